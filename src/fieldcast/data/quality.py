"""How good the rows of one instrument are at a moment: a score in [0, 1], and what took it away.

    score = max(0, 1 - sum over reasons of min(cap, weight * share of the rows or sessions concerned))

over the last 252 sessions (`window`), because a decision rests on the recent past and an old hole must not cost for
ever. `COSTS` holds weight and cap of each reason. A stale series costs 0.25 for each session that it is late. No row at
all scores 0. Below 0.6 the cycle takes no new position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from fieldcast.data.gaps import GAPS, gap_report
from fieldcast.data.rules import clean, count_reasons
from fieldcast.ground import Reason, utc
from fieldcast.market import DECISION_DELAY, Instrument, sessions

WINDOW = 252
STALE_COST = 0.25  # for each session

COSTS: Mapping[Reason, tuple[float, float]] = {  # weight on the share of rows, and the most that it can cost
    Reason.STAMP_MISSING: (5.0, 0.5),
    Reason.PRICE_MISSING: (5.0, 0.5),
    Reason.PRICE_NOT_FINITE: (5.0, 0.5),
    Reason.PRICE_NOT_POSITIVE: (5.0, 0.5),
    Reason.HIGH_BELOW_LOW: (5.0, 0.5),
    Reason.VOLUME_NEGATIVE: (5.0, 0.5),
    Reason.FUTURE_STAMP: (5.0, 0.5),
    Reason.NOT_A_SESSION: (5.0, 0.5),
    Reason.DUPLICATE_STAMP: (5.0, 0.5),
    Reason.MISSING_SESSION: (5.0, 0.5),
    Reason.OPEN_OUTSIDE_RANGE: (2.0, 0.3),
    Reason.CLOSE_OUTSIDE_RANGE: (2.0, 0.3),
    Reason.LARGE_MOVE: (0.5, 0.1),
    Reason.CLOSE_ONLY: (0.05, 0.05),
    Reason.VOLUME_NOT_REPORTED: (0.05, 0.05),
    Reason.OPEN_SYNTHETIC: (0.05, 0.05),
    Reason.SIMULATED: (0.0, 0.0),
}


@dataclass(frozen=True)
class QualityReport:
    """The score of one instrument at one moment, and why.

    Parameters
    ----------
    score : in [0, 1]
    reasons : reason → rows (for missing_session and stale: sessions) that it concerns
    costs : reason → what it took from the score
    completeness : percentage of sessions of the window that have a row, 0 to 100
    gaps : runs of missing sessions within the window, schema `gaps.GAPS`
    rows : rows of the window that were looked at
    """

    instrument: str
    as_of: datetime
    score: float
    reasons: Mapping[Reason, int]
    costs: Mapping[Reason, float]
    completeness: float
    gaps: pl.DataFrame
    rows: int


def quality(
    bars: pl.DataFrame, instrument: Instrument, as_of: datetime, *, window: int | None = WINDOW
) -> QualityReport:
    """Judge daily bars as they are known at `as_of`.

    Parameters
    ----------
    bars : columns of `market.BARS`, of one instrument; stored or as they came from a source
    as_of : rows with a later `ts` are from the future
    window : sessions up to `as_of` that count; none = since the first row
    """
    as_of = utc(as_of)
    calendar = sessions(instrument.calendar)
    due = calendar.filter(pl.col("as_of") <= as_of)
    recent = due if window is None else due.tail(window)
    bars = bars if recent.is_empty() else bars.filter(pl.col("ts").is_null() | (pl.col("ts") >= recent["open"][0]))
    kept, report = clean(bars, instrument, as_of + DECISION_DELAY)
    if kept.is_empty():
        found = {**report.removed, Reason.NO_DATA: 1}
        return QualityReport(instrument.id, as_of, 0.0, found, {Reason.NO_DATA: 1.0}, 0.0, pl.DataFrame(schema=GAPS), 0)
    holes = gap_report(kept, instrument)
    missing = holes.expected - holes.present
    late = due.filter(pl.col("close") > kept["ts"][-1]).height
    reasons = dict(report.removed)
    for reason, count in count_reasons(kept).items():
        reasons[reason] = reasons.get(reason, 0) + count
    if missing:
        reasons[Reason.MISSING_SESSION] = missing
    costs = {}
    for reason, count in reasons.items():
        weight, cap = COSTS[reason]
        base = holes.expected if reason is Reason.MISSING_SESSION else report.rows_in
        costs[reason] = min(cap, weight * count / base)
    if late:
        reasons[Reason.STALE] = late
        costs[Reason.STALE] = STALE_COST * late
    score = min(1.0, max(0.0, 1.0 - sum(costs.values())))
    return QualityReport(
        instrument.id, as_of, score, reasons, costs, _completeness(kept, recent), holes.gaps, report.rows_in
    )


def _completeness(kept: pl.DataFrame, recent: pl.DataFrame) -> float:
    """Percentage of the sessions due since the first row (at most the window) that have one."""
    expected = recent.filter(pl.col("close") >= kept["ts"][0])
    here = int(expected["close"].is_in(kept["ts"].implode()).sum())
    return 100.0 * here / expected.height if expected.height else 0.0
