"""Stored texts scored, each once: rows of `news` into rows of `text_scores`.

A score is known from the moment at which it was made: available_at = max(the text's, now). `history` says otherwise on
purpose, for texts of the past: then a score counts as known when its text was, and carries `availability_assumed`, since nobody
had it then (and a model that was trained later may know what came of the news).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from fieldcast.data import Lineage
from fieldcast.fields.sentiment import SOURCES
from fieldcast.ground import InvalidInput, MissingData, Reason, Shown
from fieldcast.market import add_reason, table_of
from fieldcast.models.text import TextScorer, choose_scorer, scorer_id
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.workspace import Workspace

TABLE, TEXTS = "text_scores", "news"
DATASET = "scores"
KINDS: Mapping[str, str] = {
    "NEWS": "news",
    "X": "x",
    "TWITTER": "x",
    "REDDIT": "reddit",
    "STOCKTWITS": "stocktwits",
    "EARNINGS": "earnings",
}
"""Prefix of a source's id → kind of source."""
_BATCH = 1000  # texts that are stored together: what was scored stays when a run is stopped
_STAGE = "Texts scored"


@dataclass(frozen=True)
class TextsScored(Shown):
    """What was scored.

    Parameters
    ----------
    about : id under which the scores stand
    source, kind : whose texts, and what kind of source that is
    scorer : name@version of what scored them; said : why it was this one; passed_over : name → why a better one did not
    texts : that there are; already : had this score; language : in a language that the scorer does not read; added : new scores
    history : whether they count as known when their texts were
    mean : of the new scores; None where there are none
    """

    about: str
    source: str
    kind: str
    scorer: str
    said: str
    passed_over: Mapping[str, str]
    texts: int
    already: int
    language: int
    added: int
    history: bool
    mean: float | None

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "passed_over": dict(self.passed_over)}


def score_texts(
    workspace: Workspace,
    instrument: str | None = None,
    *,
    source: str | None = None,
    scorer: str | None = None,
    kind: str | None = None,
    dataset: str | None = None,
    history: bool = False,
    online: bool = False,
    progress: Progress = silent,
) -> TextsScored:
    """Score the stored texts about an instrument, or of a source; what has this scorer's score already is left alone.

    Parameters
    ----------
    instrument : what the scores are about; None = the source itself, for the market as a whole
    source : id whose texts are read, such as NEWS:YAHOO; of these the ones whose subject is the instrument's symbol. None = texts
        stored under the instrument itself
    scorer : lexicon, headline, finbert or llm; None = the lexicon offline, else the best that is there
    kind : news, x, reddit, stocktwits or earnings; None = by the source's id, else news
    dataset : of the texts, where they stand in several
    history : scores count as known when their texts were, and say that this is assumed
    online : a service may be asked

    Raises
    ------
    InvalidInput : neither instrument nor source, or an unknown kind or scorer
    MissingData : no texts are stored, or the scorer that was named is not there
    Halted : the service did not answer; what was scored before stays
    """
    about, whose = instrument or source, source or instrument
    if about is None or whose is None:
        raise InvalidInput("expected an instrument or --source with texts, found neither")
    kind = kind or KINDS.get(whose.partition(":")[0], "news")
    if kind not in SOURCES:
        raise InvalidInput(f"expected a kind of source out of {', '.join(SOURCES)}, found {kind!r}")
    choice = choose_scorer(scorer, offline=not online, models=workspace.home / "models")
    texts = _texts(workspace, about, whose, dataset)
    readable = texts if not choice.scorer.languages else texts.filter(_reads(choice.scorer))
    fresh = _without_score(workspace, about, readable, scorer_id(choice.scorer))
    added, total = 0, 0.0
    for part in _batches(fresh):
        progress(_STAGE, added, fresh.height)
        rows = _scored(part, about, whose, kind, choice.scorer, None if history else workspace.clock.now())
        workspace.store.append(rows, _lineage(workspace, whose, dataset, choice.scorer, history=history), table=TABLE)
        added, total = added + rows.height, total + float(rows["score"].sum())
    progress(_STAGE, added, fresh.height)
    return TextsScored(
        about=about,
        source=whose,
        kind=kind,
        scorer=scorer_id(choice.scorer),
        said=choice.said,
        passed_over=choice.passed_over,
        texts=texts.height,
        already=readable.height - fresh.height,
        language=texts.height - readable.height,
        added=added,
        history=history,
        mean=total / added if added else None,
    )


def _texts(workspace: Workspace, about: str, whose: str, dataset: str | None) -> pl.DataFrame:
    """Texts of `whose` that are about `about`, with their hashes."""
    rows = workspace.store.read(whose, table=TEXTS, dataset=dataset)
    if about != whose:
        symbol = about.rpartition(":")[2].lstrip("^").upper()
        rows = rows.filter(pl.col("subject").str.strip_chars_start("^").str.to_uppercase() == symbol)
        if rows.is_empty():
            raise MissingData(f"expected texts of {whose} about {symbol}, found none; import some, or name another --source")
        rows = rows.with_columns(item=pl.lit(f"{whose}#") + pl.col("item"))
    hashes = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in rows["text"].to_list()]
    return rows.with_columns(text_hash=pl.Series(hashes, dtype=pl.String))


def _reads(scorer: TextScorer) -> pl.Expr:
    """Texts in a language of the scorer; one whose language is not said is taken for one."""
    return pl.col("language").is_null() | pl.col("language").str.slice(0, 2).str.to_lowercase().is_in(list(scorer.languages))


def _without_score(workspace: Workspace, about: str, texts: pl.DataFrame, scorer: str) -> pl.DataFrame:
    """Texts that this scorer has not scored as they read now."""
    try:
        stored = workspace.store.read(about, table=TABLE, dataset=DATASET, columns=["item", "scorer", "text_hash"])
    except MissingData:
        return texts
    return texts.join(stored.filter(pl.col("scorer") == scorer), on=["item", "text_hash"], how="anti", maintain_order="left")


def _batches(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return (rows.slice(first, _BATCH) for first in range(0, rows.height, _BATCH))


def _scored(texts: pl.DataFrame, about: str, whose: str, kind: str, scorer: TextScorer, now: datetime | None) -> pl.DataFrame:
    """Rows of `text_scores`; `now` = None leaves the texts' own moments and says that they are assumed."""
    found = scorer.score(texts["text"].to_list())
    rows = texts.with_columns(
        instrument=pl.lit(about),
        source=pl.lit(kind),
        scorer=pl.lit(scorer_id(scorer)),
        score=pl.Series(found.score),
        confidence=pl.Series(found.confidence),
        mentions=pl.lit(1.0),
        engagement=pl.lit(None, dtype=pl.Float64),
        comments=pl.lit(None, dtype=pl.Float64),
    )
    if now is None:
        rows = rows.with_columns(add_reason(Reason.AVAILABILITY_ASSUMED, pl.lit(value=True)))
    else:
        late = pl.max_horizontal("available_at", pl.lit(now).dt.cast_time_unit("us"))
        assumed = pl.col("reasons").str.split(",").list.set_difference([str(Reason.AVAILABILITY_ASSUMED)]).list.join(",")
        rows = rows.with_columns(available_at=late, reasons=pl.when(assumed != "").then(assumed))
    return rows.select(*table_of(TABLE).schema)


def _lineage(workspace: Workspace, whose: str, dataset: str | None, scorer: TextScorer, *, history: bool) -> Lineage:
    deliveries = workspace.store.lineage(whose, table=TEXTS, dataset=dataset)
    return Lineage(
        provider=scorer.name,
        dataset=DATASET,
        fetched_at=workspace.clock.now(),
        available_at="assumed" if history else "reported",
        simulated=any(item.simulated for item in deliveries),
        source=f"{whose} by {scorer_id(scorer)}",
    )
