"""How much an instrument is talked about where anybody writes, and whether that is a mania.

    m_k      mentions on X, Reddit and StockTwits between k and k + 1 days ago
    z        (ln(1 + m_0) − mean) / standard deviation, both of ln(1 + m_k), k = 1 … 30      against its own past alone
    pressure ½ · M/50 + 0.3 · V/5000 + 0.2 · C/1000                                          each part at most 1
    mania    ½ · bulls + 0.3 · M/100 + 0.2 · pressure                                        each part at most 1
    meme     1 where M ≥ 10 and V ≥ 1000, else 0

M, V and C are the mentions of the last day on Reddit and the mean votes and comments of those posts; bulls is the share of
mentions scored above 0 among those scored at all. Counts have long tails, hence the logarithm. Days before the first text are
no days without mentions: they are not known, and fewer than 10 known days say nothing.

Pressure, mania and meme are the Gnosis reference's figures for r/wallstreetbets; each part is held to at most 1 here, so that
they stay in [0, 1], and bulls come from scored texts: keywords such as "up" and "hold" are no opinion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fieldcast.fields._rows import Floats
from fieldcast.fields.sentiment.flows import DAY
from fieldcast.fields.sentiment.rules import SOCIAL, SOURCES, SentimentRules
from fieldcast.fields.sentiment.texts import Texts
from fieldcast.fields.vocabulary import Activity
from fieldcast.ground import Reason


@dataclass(frozen=True)
class Mentions:
    """What mentions say.

    Parameters
    ----------
    figures : mentions (last day), mention_z, meme, meme_pressure, mania: those that are known
    activity : a word for z; None where it is not known
    reasons : name → why it is not known
    """

    figures: Mapping[str, float]
    activity: Activity | None
    reasons: Mapping[str, Reason]


def mention_mania(texts: Texts, rules: SentimentRules | None = None) -> Mentions:
    """MentionMania: mentions of the last day against their own past, and the meme figures of Reddit."""
    rules = rules or SentimentRules()
    social = np.isin(texts.source, [SOURCES.index(name) for name in SOCIAL])
    if not social.any():
        names = ("mentions", "mention_z", "meme", "meme_pressure", "mania", "activity")
        return Mentions({}, None, dict.fromkeys(names, Reason.NO_DATA))
    counts = _by_day(texts.age[social], texts.mentions[social], rules)
    figures = {"mentions": float(counts[0])}
    past = np.log1p(counts[1:])
    reasons: dict[str, Reason] = {}
    activity = None
    if past.size < rules.least_days:
        reasons |= dict.fromkeys(("mention_z", "activity"), Reason.WARMING_UP)
    elif past.std(ddof=1) <= 1e-12:
        reasons |= dict.fromkeys(("mention_z", "activity"), Reason.UNDEFINED)
    else:
        figures["mention_z"] = z = float((np.log1p(counts[0]) - past.mean()) / past.std(ddof=1))
        activity = Activity.BUSY if z >= rules.busy else Activity.QUIET if z <= -rules.busy else Activity.USUAL
    meme, why = _meme(texts, rules)
    return Mentions(figures | meme, activity, reasons | why)


def _by_day(age: Floats, mentions: Floats, rules: SentimentRules) -> Floats:
    """Mentions of the last day and of each whole day before it since the first text, at most `mention_days` of them."""
    days = min(rules.mention_days, int(age.max() // DAY))
    place = (age // DAY).astype(np.int64)
    kept = place <= days
    return np.bincount(place[kept], mentions[kept], minlength=days + 1).astype(np.float64)


def _meme(texts: Texts, rules: SentimentRules) -> tuple[dict[str, float], dict[str, Reason]]:
    names = ("meme", "meme_pressure", "mania")
    day = texts.of("reddit", oldest=DAY)
    if not day.any():
        return {}, dict.fromkeys(names, Reason.NO_DATA)
    mentions, votes, comments = texts.mentions[day], texts.engagement[day], texts.comments[day]
    count = float(mentions.sum())
    if count >= rules.meme_mentions and np.isnan(votes).all():
        return {}, dict.fromkeys(names, Reason.VALUE_MISSING)
    if np.isnan(votes).all():
        return {"meme": 0.0}, dict.fromkeys(names[1:], Reason.VALUE_MISSING)  # too few mentions, whatever the votes
    mean_votes = max(float(np.nanmean(votes)), 0.0)
    found = {"meme": float(count >= rules.meme_mentions and mean_votes >= rules.meme_votes)}
    if np.isnan(comments).all():
        return found, dict.fromkeys(names[1:], Reason.VALUE_MISSING)
    pressure = 0.5 * _part(count, rules.full_pressure_mentions) + 0.3 * _part(mean_votes, rules.full_votes)
    pressure += 0.2 * _part(float(np.nanmean(comments)), rules.full_comments)
    found["meme_pressure"] = pressure
    scored = mentions[texts.confidence[day] > 0].sum()
    if scored == 0:
        return found, {"mania": Reason.UNDEFINED}
    bulls = float(mentions[(texts.confidence[day] > 0) & (texts.score[day] > 0)].sum() / scored)
    found["mania"] = 0.5 * bulls + 0.3 * _part(count, rules.full_mentions) + 0.2 * pressure
    return found, {}


def _part(value: float, whole: float) -> float:
    return min(1.0, value / whole)
