"""What one source says: its score, how sure it is, how much it says and how much it agrees with itself.

With the texts i of a source, aged a_i hours, scored s_i in [−1, 1] with confidence c_i, standing for n_i texts, and the
source's half-life h:

    d_i        = 2^(−a_i / h)                                                     decay by age
    score      = Σ c_i n_i d_i s_i / Σ c_i n_i d_i
    confidence = 2^(−min a_i / h) · Σ c_i n_i d_i / Σ n_i d_i                     an old word is less sure of today
    dispersion = √( Σ c_i n_i d_i (s_i − score)² / Σ c_i n_i d_i )                0 … 1

A text older than `memory` half-lives counts no more. A source without one is not there, which is not a score of 0; one whose
texts say nothing (every c_i is 0) is there and has no score.

    velocity   mentions an hour over the last 24 h       burst    the same over its mean since the oldest text that counts
    reach      the score with each text counted by 1 + ln(1 + engagement): what was seen, not what was said
    bull_bear  (B − b) / (B + b) of StockTwits messages tagged or scored up and down in the last 24 h
    change     of earnings tone: the mean score of the newest event less that of the one before it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fieldcast.fields._rows import Flags, Floats
from fieldcast.fields.sentiment.rules import SentimentRules
from fieldcast.fields.sentiment.texts import Texts
from fieldcast.ground import Reason

DAY = 24.0  # hours
EVENT_GAP = 20 * DAY  # texts about results that lie further apart speak of another quarter


@dataclass(frozen=True)
class SourceFlow:
    """One source at one moment.

    Parameters
    ----------
    source : which
    texts : how many of its texts count
    score, confidence, dispersion : see above; None where unknown
    figures : what else is known, by name
    reasons : name → why it is not known
    """

    source: str
    texts: int
    score: float | None = None
    confidence: float | None = None
    dispersion: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, Reason] = field(default_factory=dict)

    @property
    def is_there(self) -> bool:
        """Whether the source has said anything of late."""
        return self.texts > 0


def news_flow(texts: Texts, rules: SentimentRules | None = None) -> SourceFlow:
    """NewsFlow: articles and headlines."""
    return _flow(texts, "news", rules or SentimentRules())


def x_flow(texts: Texts, rules: SentimentRules | None = None) -> SourceFlow:
    """XFlow: posts on X (Twitter), with their reach."""
    return _flow(texts, "x", rules or SentimentRules())


def reddit_flow(texts: Texts, rules: SentimentRules | None = None) -> SourceFlow:
    """RedditFlow: posts and comments on Reddit, with their reach."""
    return _flow(texts, "reddit", rules or SentimentRules())


def stocktwits_flow(texts: Texts, rules: SentimentRules | None = None) -> SourceFlow:
    """StockTwitsFlow: messages, their bulls against their bears, and whether they trend.

    `sample` in [0, 1] says how far the share of bulls can be believed: messages of the day / full_sample, at most 1.
    """
    rules = rules or SentimentRules()
    flow = _flow(texts, "stocktwits", rules)
    day = texts.of("stocktwits", oldest=DAY)
    if not flow.is_there or not day.any():
        why = Reason.NO_DATA
        return _with(flow, {}, dict.fromkeys(("bull_bear", "sample", "trending"), why))
    mentions, score = texts.mentions[day], texts.score[day]
    bulls, bears = mentions[score > 0].sum(), mentions[score < 0].sum()
    figures = {"sample": min(1.0, float(bulls + bears) / rules.full_sample)}
    reasons: dict[str, Reason] = {}
    if bulls + bears == 0:
        return _with(flow, figures, dict.fromkeys(("bull_bear", "trending"), Reason.UNDEFINED))
    figures["bull_bear"] = float((bulls - bears) / (bulls + bears))
    likes = texts.engagement[day]
    if np.isnan(likes).all():
        reasons["trending"] = Reason.VALUE_MISSING
    else:
        hot = flow.figures["velocity"] > rules.trending_per_hour and np.nanmean(likes) > rules.trending_likes
        figures["trending"] = float(hot and abs(figures["bull_bear"]) > rules.trending_score)
    return _with(flow, figures, reasons)


def earnings_tone(texts: Texts, rules: SentimentRules | None = None) -> SourceFlow:
    """EarningsTone: what was said about results, and whether it sounds better than the time before."""
    flow = _flow(texts, "earnings", rules or SentimentRules())
    if not flow.is_there:
        return _with(flow, {}, {"change": Reason.NO_DATA})
    said = texts.of("earnings")
    order = np.argsort(texts.age[said])
    age, score, weight = (array[said][order] for array in (texts.age, texts.score, texts.confidence * texts.mentions))
    event = np.concatenate([[0], np.cumsum(np.diff(age) > EVENT_GAP)])
    means = [_mean(score[event == place], weight[event == place]) for place in (0, 1)]
    if means[0] is None or means[1] is None:
        return _with(flow, {}, {"change": Reason.WARMING_UP})
    return _with(flow, {"change": means[0] - means[1]}, {})


def _flow(texts: Texts, source: str, rules: SentimentRules) -> SourceFlow:
    half_life = getattr(rules.half_lives, source)
    mine = texts.of(source, oldest=rules.memory * half_life)
    if not mine.any():
        names = ("score", "confidence", "dispersion", "velocity", "burst")
        return SourceFlow(source, 0, reasons=dict.fromkeys(names, Reason.NO_DATA))
    age, score, mentions = texts.age[mine], texts.score[mine], texts.mentions[mine]
    decayed = mentions * np.exp2(-age / half_life)
    weight = texts.confidence[mine] * decayed
    figures, reasons = _amount(texts, source, mine, rules)
    figures["confidence"] = confidence = float(np.exp2(-age.min() / half_life) * weight.sum() / decayed.sum())
    mean = _mean(score, weight)
    if mean is None:
        reasons |= dict.fromkeys(("score", "dispersion"), Reason.UNDEFINED)
        return SourceFlow(source, int(mine.sum()), None, confidence, None, figures, reasons)
    spread = float(np.sqrt((weight * (score - mean) ** 2).sum() / weight.sum()))
    figures |= {"score": mean, "dispersion": spread}
    engagement = texts.engagement[mine]
    if source in ("x", "reddit"):
        seen = _mean(score, weight * (1.0 + np.log1p(engagement)))
        if seen is None:
            reasons["reach"] = Reason.VALUE_MISSING
        else:
            figures["reach"] = seen
    return SourceFlow(source, int(mine.sum()), mean, confidence, spread, figures, reasons)


def _amount(texts: Texts, source: str, mine: Flags, rules: SentimentRules) -> tuple[dict[str, float], dict[str, Reason]]:
    """Mentions, how fast they come, and the shares of those that are scored up and down."""
    mentions, score = texts.mentions[mine], texts.score[mine]
    total = mentions.sum()
    day = float(texts.mentions[texts.of(source, oldest=DAY)].sum())
    figures = {
        "mentions": float(total),
        "velocity": day / DAY,
        "positive_share": float(mentions[score > 0].sum() / total),
        "negative_share": float(mentions[score < 0].sum() / total),
        "newest_hours": float(texts.age[mine].min()),
        "assumed_share": float(mentions[texts.assumed[mine]].sum() / total),
    }
    span = min(rules.memory * getattr(rules.half_lives, source), float(texts.age[mine].max()))
    if span <= DAY:
        return figures, {"burst": Reason.WARMING_UP}
    return figures | {"burst": day / DAY / float(total / span)}, {}


def _mean(values: Floats, weights: Floats) -> float | None:
    """Weighted mean; None where nothing has weight, or a weight is not known."""
    total = weights.sum()
    if not total > 0:
        return None
    return float(np.clip((weights * values).sum() / total, values.min(), values.max()))


def _with(flow: SourceFlow, figures: Mapping[str, float], reasons: Mapping[str, Reason]) -> SourceFlow:
    return SourceFlow(
        flow.source,
        flow.texts,
        flow.score,
        flow.confidence,
        flow.dispersion,
        {**flow.figures, **figures},
        {**flow.reasons, **reasons},
    )
