"""The mood at one moment: one score out of all sources, how it moves, and what is missing.

    score        = Σ s_k c_k w_k / Σ c_k w_k                    over the sources that have a score
    coverage     = declared sources that are there / declared sources
    momentum     = least-squares slope of the score over 5 moments a day apart, a day
    acceleration = s_t − 2 s_{t−1} + s_{t−2}

A source that falls silent leaves both sums of the score: it lowers the coverage, and the score is what the others say, as if
it had never been declared. It is not counted as neutral. Momentum and acceleration are taken over the sources that have a
score at all five moments, so that a source that comes or goes moves neither.

Every earlier moment uses what was known at that moment: the five scores are those that were shown then, as far as the rows
hold the versions of then (a text that was restated since and scored again is not there before its new score).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import polars as pl

from fieldcast.fields._rows import Floats
from fieldcast.fields.readings import Reading
from fieldcast.fields.sentiment.conviction import Convinced, conviction, second_difference, slope, weighted_score
from fieldcast.fields.sentiment.flows import SourceFlow, earnings_tone, news_flow, reddit_flow, stocktwits_flow, x_flow
from fieldcast.fields.sentiment.mentions import Mentions, mention_mania
from fieldcast.fields.sentiment.rules import SentimentRules
from fieldcast.fields.sentiment.texts import ScoreTable, Texts, checked_scores
from fieldcast.fields.sentiment.tone import PriceMood, price_sentiment
from fieldcast.fields.vocabulary import SentimentRegime
from fieldcast.ground import Reason, utc

FLOWS: Mapping[str, Callable[[Texts, SentimentRules], SourceFlow]] = {
    "news": news_flow,
    "x": x_flow,
    "reddit": reddit_flow,
    "stocktwits": stocktwits_flow,
    "earnings": earnings_tone,
}
_OF_A_SOURCE = ("score", "confidence", "mentions", "velocity", "burst", "reach", "bull_bear", "sample", "trending", "change")


@dataclass(frozen=True)
class SentimentField:
    """The mood of one instrument at one moment.

    Parameters
    ----------
    as_of : the moment, UTC
    flows : source → what it says
    score : of all sources; None where none has one
    coverage : share of the declared sources that are there
    path : (points,) scores up to `as_of`, of the sources that have one throughout; None where no source has
    momentum, acceleration : a day and a day²; None where the path is not known
    convinced, mentions, price : what the other processors found
    scorers : who scored the texts
    assumed_share : share of mentions whose moment of availability is a convention; None without texts
    simulated : whether anything behind it is
    rules : what was taken for granted
    """

    as_of: datetime
    flows: Mapping[str, SourceFlow]
    score: float | None
    coverage: float
    path: Floats | None
    momentum: float | None
    acceleration: float | None
    convinced: Convinced
    mentions: Mentions
    price: PriceMood
    scorers: tuple[str, ...]
    assumed_share: float | None
    simulated: bool
    rules: SentimentRules

    @property
    def regime(self) -> SentimentRegime | None:
        """A word for the score; None where there is none."""
        if self.score is None:
            return None
        size = abs(self.score)
        if size < self.rules.bullish:
            return SentimentRegime.NEUTRAL
        if self.score > 0:
            return SentimentRegime.EUPHORIC if size >= self.rules.euphoric else SentimentRegime.BULLISH
        return SentimentRegime.PANICKED if size >= self.rules.euphoric else SentimentRegime.BEARISH

    @property
    def divergence(self) -> float | None:
        """Text score less price score: positive where words are better than price."""
        return None if self.score is None or self.price.score is None else self.score - self.price.score

    def reading(self) -> Reading:
        """The short form for the field map; the columns of the field table are not repeated."""
        why = Reason.UNDEFINED if any(flow.is_there for flow in self.flows.values()) else Reason.NO_DATA
        moving = Reason.WARMING_UP if self.score is not None else why
        figures: dict[str, tuple[float | None, Reason]] = {
            "text_score": (self.score, why),
            "text_momentum": (self.momentum, moving),
            "text_acceleration": (self.acceleration, moving),
            "assumed_share": (self.assumed_share, Reason.NO_DATA),
            "price_score": (self.price.score, self.price.reasons.get("price_score", Reason.UNDEFINED)),
            "divergence": (self.divergence, why if self.score is None else Reason.WARMING_UP),
        }
        values = {name: value for name, (value, _) in figures.items() if value is not None}
        reasons = {name: reason for name, (value, reason) in figures.items() if value is None}
        values |= {"coverage": self.coverage} | dict(self.convinced.figures) | dict(self.mentions.figures)
        reasons |= dict(self.convinced.reasons) | dict(self.mentions.reasons)
        for source, flow in self.flows.items() if self.scorers else ():
            if not flow.is_there:
                reasons[f"{source}_score"] = Reason.NO_DATA
                continue
            values |= {f"{source}_{name}": flow.figures[name] for name in _OF_A_SOURCE if name in flow.figures}
            reasons |= {f"{source}_{name}": flow.reasons[name] for name in _OF_A_SOURCE if name in flow.reasons}
        words: dict[str, tuple[StrEnum | None, Reason]] = {
            "mood": (self.regime, why),
            "activity": (self.mentions.activity, self.mentions.reasons.get("activity", Reason.NO_DATA)),
            "range_state": (self.price.range_state, self.price.reasons.get("range_state", Reason.NO_DATA)),
        }
        labels = {name: word for name, (word, _) in words.items() if word is not None}
        reasons |= {name: reason for name, (word, reason) in words.items() if word is None}
        conventions = {"scorers": ", ".join(self.scorers), "weights": self._weights()} if self.scorers else {}
        return Reading(
            "sentiment",
            self.as_of,
            values,
            labels=labels,
            reasons=reasons,
            conventions=conventions,
            simulated=self.simulated,
        )

    def _weights(self) -> str:
        named = (f"{name} {getattr(self.rules.weights, name):g}" for name in self.rules.weights.declared)
        return f"declared, not fitted: {', '.join(named)}"


def sentiment_field(
    scores: pl.DataFrame | None,
    as_of: datetime,
    *,
    row: Mapping[str, float] | None = None,
    rules: SentimentRules | None = None,
) -> SentimentField:
    """The mood at `as_of`.

    Parameters
    ----------
    scores : rows of the table `text_scores` about one instrument; only those known at `as_of` count. None = none
    as_of : the moment, with its zone
    row : the sentiment columns of the field table known then, as `FieldMap.sentiment` has them

    Raises
    ------
    InvalidInput : rows of another schema or of several instruments, an unknown source, or a score out of its range
    """
    as_of, rules = utc(as_of), rules or SentimentRules()
    table = ScoreTable.of(None if scores is None else checked_scores(scores), rules)
    now = table.at(as_of)
    flows = {name: FLOWS[name](now, rules) for name in rules.weights.declared}
    path = _path(table, as_of, flows)
    days = rules.step_hours / 24.0
    momentum = None if path is None else slope(path) / days
    counted = np.isin(now.source, [place for place, name in enumerate(FLOWS) if name in flows])
    total = float(now.mentions[counted].sum())
    return SentimentField(
        as_of=as_of,
        flows=flows,
        score=weighted_score(list(flows.values()), rules),
        coverage=sum(flow.is_there for flow in flows.values()) / len(flows),
        path=path,
        momentum=momentum,
        acceleration=None if path is None else second_difference(path) / days**2,
        convinced=conviction(list(flows.values()), rules, momentum=momentum),
        mentions=mention_mania(now, rules),
        price=price_sentiment(row or {}),
        scorers=now.scorers,
        assumed_share=float(now.mentions[counted & now.assumed].sum()) / total if total else None,
        simulated=now.simulated,
        rules=rules,
    )


def _path(table: ScoreTable, as_of: datetime, flows: Mapping[str, SourceFlow]) -> Floats | None:
    """Scores at equally spaced moments, of the sources that have one at every one of them."""
    names = [name for name, flow in flows.items() if flow.score is not None]
    if not names:
        return None
    rules, step = table.rules, timedelta(hours=table.rules.step_hours)
    found: list[Sequence[SourceFlow]] = []
    for back in range(rules.points - 1, -1, -1):
        texts = table.at(as_of - back * step)
        found.append([FLOWS[name](texts, rules) for name in names])
    steady = [place for place in range(len(names)) if all(point[place].score is not None for point in found)]
    scores = [weighted_score([point[place] for place in steady], rules) for point in found]
    if any(score is None for score in scores):
        return None
    return np.array(scores, dtype=np.float64)
