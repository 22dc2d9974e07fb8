"""Which scorer scores: the one that was asked for, else the best that is there; offline, the lexicon, and it says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldcast.ground import ConfigError, FieldcastError, InvalidInput, MissingData
from fieldcast.models.text.chat import OpenAiChat, load_chat_settings
from fieldcast.models.text.contract import TextScorer
from fieldcast.models.text.finbert import FinBert
from fieldcast.models.text.headline import HeadlineModel
from fieldcast.models.text.lexicon import Lexicon
from fieldcast.models.text.llm import LlmScorer

SCORERS = ("lexicon", "headline", "finbert", "llm")
_BEST_FIRST = ("llm", "finbert", "headline", "lexicon")
OFFLINE = "offline: the lexicon scores, since it needs no network, no weights and no fitting"


@dataclass(frozen=True)
class Choice:
    """A scorer, and why it is this one.

    Parameters
    ----------
    scorer : the scorer
    said : why, in one sentence
    passed_over : name → why a better one does not score
    """

    scorer: TextScorer
    said: str
    passed_over: Mapping[str, str]


def choose_scorer(name: str | None = None, *, offline: bool = True, models: Path | None = None) -> Choice:
    """The scorer to use.

    Parameters
    ----------
    name : one of SCORERS; None = the lexicon offline, else the best that is there (llm, finbert, headline, lexicon)
    offline : no service is asked
    models : folder with `headline/` (from `fieldcast train headline`) and `finbert/` (weights); None = none there

    Raises
    ------
    InvalidInput : no such scorer
    ConfigError, MissingData : the one that was named is not there; or it asks a service, and the run is offline
    """
    if name is not None and name not in SCORERS:
        raise InvalidInput(f"expected a scorer out of {', '.join(SCORERS)}, found {name!r}")
    if name is not None:
        return Choice(_made(name, offline, models), f"{name}: asked for", {})
    if offline:
        return Choice(Lexicon(), OFFLINE, {})
    passed: dict[str, str] = {}
    for candidate in _BEST_FIRST:
        try:
            scorer = _made(candidate, offline, models)
        except (ConfigError, MissingData) as error:
            passed[candidate] = _why(error)
            continue
        return Choice(scorer, f"{candidate}: the best that is there", passed)
    raise MissingData("expected at least the lexicon, found no scorer")


def _made(name: str, offline: bool, models: Path | None) -> TextScorer:
    makers: dict[str, Callable[[], TextScorer]] = {
        "lexicon": Lexicon,
        "headline": lambda: HeadlineModel.load(_folder(models, "headline")),
        "finbert": lambda: FinBert.load(_folder(models, "finbert")),
        "llm": lambda: _llm(offline),
    }
    return makers[name]()


def _llm(offline: bool) -> TextScorer:
    if offline:
        raise ConfigError("expected a run that may use the network for the scorer llm, found an offline one; add --online")
    return LlmScorer(OpenAiChat.of(load_chat_settings()))


def _folder(models: Path | None, name: str) -> Path:
    if models is None:
        raise MissingData(f"expected a folder of models for the scorer {name}, found none")
    return models / name


def _why(error: FieldcastError) -> str:
    return " ".join(str(error).split())
