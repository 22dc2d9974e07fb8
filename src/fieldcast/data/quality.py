"""How good the rows of one instrument are at a moment: a score in [0, 1], and what took it away.

    score = max(0, 1 - sum over reasons of min(cap, weight * share of the rows or sessions concerned))

over the last 252 sessions (20 for intraday tables), because a decision rests on the recent past and an old hole must not cost
for ever. `COSTS` holds weight and cap of each reason; `EVENT_COSTS` those of reasons that are counted one by one. A stale series
costs 0.25 for each session that it is late. No row at all, or no column to judge by, scores 0. Below 0.6 the cycle takes no new
position.

What is unusual depends on the asset class. With L the class's large daily move (`rules.LARGE_MOVE`, 15 % for equities), a flash
spike is a move above 2 L that the next bar takes back by at least four fifths; an open gap is an open more than 4/3 L from the
close before. (For equities: 30 % and 20 %. A fall that is not taken back is no fault of the data.) Volume of zero counts only
where a class reports volume. Series that are watched and never held, such as VIX, have no such limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.cleaning import INTRADAY_SHARE, clean_rows
from fieldcast.data.gaps import GAPS, gap_report, microseconds, session_times
from fieldcast.data.rules import LARGE_MOVE, CleaningReport, clean, count_reasons
from fieldcast.ground import MissingData, Reason, utc
from fieldcast.market import BARS, DAILY, DECISION_DELAY, STAMP, Instrument, Kind, Table, table_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
THRESHOLD = 0.6
WINDOW = 252
INTRADAY_WINDOW = 20
STALE_COST = 0.25  # for each session
FEWEST_ROWS = 50
SPIKE = 2.0       # of the class's large move
TAKEN_BACK = 0.8  # of the spike, by the next bar
OPEN_GAP = 4 / 3  # of the class's large move
ZERO_VOLUME_SHARE = 0.05  # of the bars, above which it counts
INTRADAY_ZERO_VOLUME_SHARE = 0.20
_REPORTS_VOLUME = (Kind.EQUITY, Kind.ETF, Kind.CRYPTO, Kind.FUTURE)
_EVERY_SESSION = ("bars", "quote_bars", "trades", "quotes", "depth", "chains", "open_interest", "short_volume")

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
    Reason.VOLUME_ZERO: (6.0, 0.3),
    Reason.STAMP_IMPOSSIBLE: (5.0, 0.5),
    Reason.KNOWN_BEFORE_EVENT: (5.0, 0.5),
    Reason.VALUE_MISSING: (5.0, 0.5),
    Reason.VALUE_NOT_FINITE: (5.0, 0.5),
    Reason.VALUE_NOT_POSITIVE: (5.0, 0.5),
    Reason.VALUE_NEGATIVE: (5.0, 0.5),
    Reason.VALUES_OUT_OF_ORDER: (5.0, 0.5),
    Reason.VALUE_NOT_ALLOWED: (5.0, 0.5),
    Reason.MISSING_BARS: (5.0, 0.5),
    Reason.QUOTE_CROSSED: (2.0, 0.3),
}
EVENT_COSTS: Mapping[Reason, tuple[float, float]] = {  # each, and the most
    Reason.FLASH_SPIKE: (0.45, 0.9),  # one is enough to stop: it stays in every volatility of the window until it is repaired
    Reason.OPEN_GAP: (0.1, 0.3),
}
_WHOLE_COSTS = {Reason.FEW_ROWS: 0.5}


@dataclass(frozen=True)
class QualityReport:
    """The score of one instrument at one moment, and why.

    Parameters
    ----------
    score : in [0, 1]
    reasons : reason → rows (for missing_session and stale: sessions) that it concerns
    costs : reason → what it took from the score
    completeness : percentage of sessions of the window that have a row, 0 to 100
    gaps : runs of missing sessions (or bars) within the window, schema `gaps.GAPS`
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

    @property
    def usable(self) -> bool:
        """True where the score is at or above the threshold."""
        return self.score >= THRESHOLD


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
    if not set(BARS) <= set(bars.columns):
        return _nothing(instrument, as_of, {Reason.COLUMN_MISSING: 1})
    due = _due(instrument, as_of)
    recent = slice(0 if window is None else max(0, due.stop - window), due.stop)
    bars = _since(bars, instrument, recent)
    kept, report = clean(bars, instrument, as_of + DECISION_DELAY)
    if kept.is_empty():
        return _nothing(instrument, as_of, {**report.removed, Reason.NO_DATA: 1})
    holes = gap_report(kept, instrument)
    missing = {Reason.MISSING_SESSION: (holes.expected - holes.present, holes.expected)}
    unusual = _unusual(kept, instrument, 1.0, ZERO_VOLUME_SHARE)
    closes = session_times(instrument.calendar).close
    late = due.stop - int(np.searchsorted(closes[due], microseconds(kept["ts"].tail(1))[0], side="right"))
    reasons, costs = _priced(report, count_reasons(kept), missing, unusual, late)
    score = min(1.0, max(0.0, 1.0 - sum(costs.values())))
    return QualityReport(
        instrument.id, as_of, score, reasons, costs, _completeness(kept, closes[recent]), holes.gaps, report.rows_in
    )


def quality_of(
    rows: pl.DataFrame, table: str, instrument: Instrument, as_of: datetime, *, window: int = INTRADAY_WINDOW
) -> QualityReport:
    """Judge the rows of any table as they are known at `as_of`; daily bars as `quality` does, over its own window.

    Parameters
    ----------
    rows : the table's schema, of one instrument (for chains: of one underlying)
    window : sessions up to `as_of` that count
    """
    if table == DAILY:
        return quality(rows, instrument, as_of)
    kind, as_of = table_of(table), utc(as_of)
    if not set(kind.schema) <= set(rows.columns):
        return _nothing(instrument, as_of, {Reason.COLUMN_MISSING: 1})
    due = _due(instrument, as_of)
    rows = _since(rows, instrument, slice(max(0, due.stop - window), due.stop))
    kept, report = clean_rows(rows, kind, as_of, [instrument])
    if kept.is_empty():
        return _nothing(instrument, as_of, {**report.removed, Reason.NO_DATA: 1})
    kept = kept.sort("ts", maintain_order=True)
    flagged = count_reasons(kept)
    flagged.pop(Reason.VOLUME_ZERO, None)  # counts only above a share, below
    missing, completeness, gaps = _missing_bars(kept, kind, instrument)
    unusual = _unusual(kept, instrument, INTRADAY_SHARE, INTRADAY_ZERO_VOLUME_SHARE) if kind.kind == "bars" else {}
    opens, newest = session_times(instrument.calendar).open[due], microseconds(kept["ts"].tail(1))[0]
    late = opens.size - int(np.searchsorted(opens, newest)) if kind.kind in _EVERY_SESSION else 0
    reasons, costs = _priced(report, flagged, missing, unusual, late)
    score = min(1.0, max(0.0, 1.0 - sum(costs.values())))
    return QualityReport(instrument.id, as_of, score, reasons, costs, completeness, gaps, report.rows_in)


def _due(instrument: Instrument, as_of: datetime) -> slice:
    """Where in `session_times` the sessions stand whose decision time is not after `as_of`: from the first on."""
    moments = session_times(instrument.calendar).as_of
    return slice(0, int(np.searchsorted(moments, (as_of - _EPOCH) // timedelta(microseconds=1), side="right")))


def _since(rows: pl.DataFrame, instrument: Instrument, recent: slice) -> pl.DataFrame:
    """The rows from the open of the first of the sessions on, and those without a time; all where there is no session."""
    if recent.start >= recent.stop:
        return rows
    begin = int(session_times(instrument.calendar).open[recent.start])
    if rows["ts"].dtype == STAMP and not rows["ts"].null_count() and (microseconds(rows["ts"]) >= begin).all():
        return rows
    return rows.filter(pl.col("ts").is_null() | (pl.col("ts") >= _EPOCH + timedelta(microseconds=begin)))


def _nothing(instrument: Instrument, as_of: datetime, found: Mapping[Reason, int]) -> QualityReport:
    """Nothing to judge: the score is 0."""
    cause = Reason.COLUMN_MISSING if Reason.COLUMN_MISSING in found else Reason.NO_DATA
    return QualityReport(instrument.id, as_of, 0.0, found, {cause: 1.0}, 0.0, pl.DataFrame(schema=GAPS), 0)


def _priced(
    report: CleaningReport,
    flagged: Mapping[Reason, int],
    missing: Mapping[Reason, tuple[int, int]],
    unusual: Mapping[Reason, int],
    late: int,
) -> tuple[dict[Reason, int], dict[Reason, float]]:
    """Every reason that was found with its count, and what each takes from the score."""
    reasons = dict(report.removed)
    for reason, count in [*flagged.items(), *unusual.items()]:
        reasons[reason] = reasons.get(reason, 0) + count
    reasons |= {reason: count for reason, (count, _) in missing.items() if count}
    if report.rows_out < FEWEST_ROWS:
        reasons[Reason.FEW_ROWS] = report.rows_out
    costs: dict[Reason, float] = {}
    for reason, count in reasons.items():
        if reason in _WHOLE_COSTS:
            costs[reason] = _WHOLE_COSTS[reason]
        elif reason in EVENT_COSTS:
            each, cap = EVENT_COSTS[reason]
            costs[reason] = min(cap, each * count)
        else:
            weight, cap = COSTS.get(reason, (0.0, 0.0))  # the codes that only explain cost nothing
            base = missing[reason][1] if reason in missing else report.rows_in
            costs[reason] = min(cap, weight * count / base)
    if late:
        reasons[Reason.STALE] = late
        costs[Reason.STALE] = STALE_COST * late
    return reasons, costs


def _unusual(bars: pl.DataFrame, instrument: Instrument, share: float, zero_share: float) -> dict[Reason, int]:
    """What the class's own limits find in bars, ascending; `share` of the daily limit counts from one bar to the next."""
    found: dict[Reason, int] = {}
    if instrument.kind in _REPORTS_VOLUME:
        empty = int((bars["volume"] == 0).sum())
        if empty > zero_share * bars.height:
            found[Reason.VOLUME_ZERO] = empty
    if not (instrument.tradable or instrument.notional):
        return found
    limit = LARGE_MOVE[instrument.kind]
    move = (pl.col("close") / pl.col("close").shift(1)).log()
    following = move.shift(-1)
    spike = (move.abs() > math.log1p(SPIKE * share * limit)) & ((move + following).abs() < (1 - TAKEN_BACK) * move.abs())
    gap = (pl.col("open") / pl.col("close").shift(1) - 1).abs() > OPEN_GAP * limit
    counts = bars.select(
        spike=(spike & (following.abs() > 0)).fill_null(value=False).sum(), gap=gap.fill_null(value=False).sum()
    ).row(0, named=True)
    if counts["spike"]:
        found[Reason.FLASH_SPIKE] = int(counts["spike"])
    if counts["gap"]:
        found[Reason.OPEN_GAP] = int(counts["gap"])
    return found


def _missing_bars(
    kept: pl.DataFrame, table: Table, instrument: Instrument
) -> tuple[dict[Reason, tuple[int, int]], float, pl.DataFrame]:
    """Bars missing in holes above the limit, of how many; completeness in percent; the holes."""
    nothing = pl.DataFrame(schema=GAPS)
    if table.kind not in ("bars", "quote_bars") or table.interval in (None, "1d", "1s"):
        return {}, 100.0, nothing
    try:
        holes = gap_report(kept, instrument, str(table.interval))
    except MissingData:  # no bar on a step of the calendar: all of them are missing
        return {Reason.MISSING_BARS: (kept.height, kept.height)}, 0.0, nothing
    return {Reason.MISSING_BARS: (int(holes.gaps.filter("breach")["bars"].sum()), holes.expected)}, holes.completeness, holes.gaps


def _completeness(kept: pl.DataFrame, closes: NDArray[np.int64]) -> float:
    """Percentage of the sessions due since the first row (at most the window) that have one."""
    ts = microseconds(kept["ts"])
    expected = closes[np.searchsorted(closes, ts[0]) :]
    here = int(np.isin(expected, ts).sum())
    return 100.0 * here / expected.size if expected.size else 0.0
