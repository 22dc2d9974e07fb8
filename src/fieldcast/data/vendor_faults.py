"""Errors that vendors make, and that no rule on a single row can see.

- `price_unit`: a run of bars stands a hundred times too high or too low (pence for pounds). The right level is the one on which
  all volume was traded; else the one with three quarters of the bars; else, where a single step leads to the newest bars and the
  number of shares traded did not step with it, as it would in a split, the newest.
- `price_unit_mixed`: some prices of one bar do, judged by the median of the eleven bars around it.
- `split_not_applied`, `split_misplaced`: prices are said to be split-adjusted (or raw), and step (or do not) by a recorded
  split's ratio. `split_missing`: they step by a usual ratio overnight and for good, without a crash's volume; none is recorded.
- `dividend_size`: above 5 % of the price without a fall of even a third of it on the ex-date; or a hundred times, or a hundredth,
  of what the instrument pays, where it pays about the same each time. `dividend_repeated`: the same amount twice within ten bars.

A fault is `certain` where the right values follow from the data alone; `data.repair` proposes them. All else is for a person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import PRICES, STAMP

UNIT = 100.0
UNIT_TOLERANCE = 0.10    # of a factor of 100 on the log scale: a step of 63 to 158 is one of 100
MIXED_RANGE = 50.0       # high over low of one bar from which its prices may stand in two units
MIXED_TOLERANCE = 0.15
MAJORITY = 0.75
SAME_VOLUME = 5.0        # factor within which shares traded before and after a step are the same
WINDOW = 11
SPLIT_TOLERANCE = 0.03   # relative, of the ratio
SMALLEST_SPLIT = 1.2
LEAST_VOLUME, MOST_VOLUME = -0.5, 2.0    # log of shares traded that day over the usual, over the log of the ratio
NEAR = 10                # bars
USUAL_SPLITS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0)
LARGE_YIELD = 0.05
EXPECTED_FALL = 1 / 3
SIGMAS = 4.0
STEADY = 5.0             # greatest over least of the other dividends, up to which a hundred times as much is an error
SAME_AMOUNT = 0.01
_MEDIAN_TO_SIGMA = 0.6744897501960817

Floats = NDArray[np.float64]

FAULTS: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "reason": pl.String(),
    "first": STAMP,  # of the rows concerned
    "last": STAMP,
    "rows": pl.Int64(),
    "columns": pl.String(),   # joined by commas
    "factor": pl.Float64(),   # by which they must be multiplied; null where that is not known
    "certain": pl.Boolean(),
    "evidence": pl.String(),
}


@dataclass(frozen=True)
class FaultReport:
    """What was found in one instrument's history; no faults means none of these kinds was seen.

    Parameters
    ----------
    faults : schema `FAULTS`, in the order in which they must be repaired
    """

    instrument: str
    faults: pl.DataFrame

    @property
    def ok(self) -> bool:
        return self.faults.is_empty()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Each reason once, in order."""
        return tuple(Reason(code) for code in self.faults["reason"].unique(maintain_order=True))  # type: ignore[call-arg]


def find_faults(bars: pl.DataFrame, actions: pl.DataFrame | None = None, *, split_adjusted: bool = False) -> FaultReport:
    """Look for a vendor's errors in bars of one instrument.

    Parameters
    ----------
    bars : columns of `market.BARS`, one version of each row, of any interval
    actions : the table `actions` of the same instrument; none = not known, and then splits and dividends are not judged
    split_adjusted : the prices are adjusted for splits (as Yahoo's are), so that none may show

    Raises
    ------
    InvalidInput : rows of several instruments, several versions of a row, or a price that is not positive
    """
    bars = bars.sort("ts")
    _refuse(bars)
    found: list[dict[str, Any]] = []
    prices = {name: bars[name].to_numpy().astype(np.float64).copy() for name in PRICES}
    volume = bars["volume"].to_numpy().astype(np.float64)
    ts = bars["ts"].to_list()
    found += _mixed(ts, prices)
    found += _levels(ts, prices, volume)
    if actions is not None and bars.height > 1:
        splits = actions.filter(pl.col("action") == "split").sort("effective_at")
        dividends = actions.filter(pl.col("action") == "dividend").sort("effective_at")
        found += _recorded_splits(ts, prices, splits, split_adjusted)
        found += _missing_splits(ts, prices, volume, splits)
        found += _dividend_sizes(ts, prices, dividends)
        found += _repeated_dividends(ts, dividends)
    id = bars["instrument"][0] if bars.height else ""
    return FaultReport(id, pl.DataFrame([{"instrument": id, **fault} for fault in found], schema=FAULTS))


def _refuse(bars: pl.DataFrame) -> None:
    if bars["instrument"].n_unique() > 1:
        raise InvalidInput(f"expected bars of one instrument, found {bars['instrument'].n_unique()}")
    if bars["ts"].is_duplicated().any():
        raise InvalidInput("expected one version of each bar, found several; read as of a moment")
    if bars.select(pl.any_horizontal((pl.col(name) <= 0) | ~pl.col(name).is_finite() for name in PRICES).any()).item():
        raise InvalidInput("expected prices above zero, found others; clean the rows first")


def _fault(
    reason: Reason, ts: list[datetime], first: int, last: int, columns: str, factor: float | None, certain: bool, evidence: str
) -> dict[str, Any]:
    return {
        "reason": str(reason),
        "first": ts[first],
        "last": ts[last],
        "rows": last - first + 1,
        "columns": columns,
        "factor": factor,
        "certain": certain,
        "evidence": evidence,
    }


# units --------------------------------------------------------------------------------------------------------------


def _mixed(ts: list[datetime], prices: dict[str, Floats]) -> list[dict[str, Any]]:
    """Bars whose prices stand in two units; the prices are corrected in place."""
    table = np.vstack([prices[name] for name in PRICES])
    with np.errstate(invalid="ignore"):
        wide = np.nanmax(table, axis=0) / np.nanmin(table, axis=0) >= MIXED_RANGE if table.size else np.array([], dtype=bool)
    found = []
    for at in np.flatnonzero(wide):
        around = np.r_[max(0, at - WINDOW // 2) : at, at + 1 : min(len(ts), at + WINDOW // 2 + 1)]
        if not around.size:
            continue
        usual = float(np.nanmedian(np.log(table[:, around])))
        power = (np.log(table[:, at]) - usual) / math.log(UNIT)
        whole = np.rint(power)
        if not (np.abs(power - whole) <= MIXED_TOLERANCE).all() or not whole.any():
            continue
        for step in sorted({int(k) for k in whole if k}):
            names = [name for name, k in zip(PRICES, whole, strict=True) if k == step]
            factor = UNIT**-step
            text = f"{', '.join(names)} stand {UNIT**step:g} times the median of the bars around, the other prices do not"
            found.append(_fault(Reason.PRICE_UNIT_MIXED, ts, int(at), int(at), ",".join(names), factor, True, text))
            for name in names:
                prices[name][at] *= factor
    return found


def _levels(ts: list[datetime], prices: dict[str, Floats], volume: Floats) -> list[dict[str, Any]]:
    """Runs of bars on another level than the right one; the prices are corrected in place where that is certain."""
    close = prices["close"]
    if close.size < 2:
        return []
    power = np.diff(np.log(close)) / math.log(UNIT)
    step = np.rint(power)
    step[np.abs(power - step) > UNIT_TOLERANCE] = 0
    if not step.any():
        return []
    level = np.concatenate([[0], np.cumsum(step)]).astype(np.int64)
    right, certain, why = _right_level(level, volume)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(level) != 0]))
    ends = np.append(starts[1:], level.size) - 1
    found = []
    for first, last in zip(starts, ends, strict=True):
        if level[first] == right:
            continue
        factor = UNIT ** float(right - level[first])
        found.append(_fault(Reason.PRICE_UNIT, ts, int(first), int(last), ",".join(PRICES), factor, certain, why))
        if certain:
            for name in PRICES:
                prices[name][first : last + 1] *= factor
    return found


def _right_level(level: NDArray[np.int64], volume: Floats) -> tuple[int, bool, str]:
    """The level on which prices are right, whether that is certain, and why."""
    held = {int(k): int((level == k).sum()) for k in np.unique(level)}
    traded = {k: float(np.nansum(volume[level == k])) for k in held}
    with_volume = [k for k, sum_ in traded.items() if sum_ > 0]
    if len(with_volume) == 1:
        return with_volume[0], True, f"all {traded[with_volume[0]]:.0f} units were traded on the other level"
    most = max(held, key=lambda k: held[k])
    newest = int(level[-1])
    returns = level[0] == newest == most
    if held[most] >= MAJORITY * level.size and (returns or level.size - held[most] <= NEAR // 2):
        return most, True, f"{held[most]} of {level.size} bars stand on the other level"
    turns = np.flatnonzero(np.diff(level))
    if turns.size == 1:
        before, after = volume[max(0, turns[0] - 20) : turns[0] + 1], volume[turns[0] + 1 : turns[0] + 22]
        if np.nansum(before) > 0 and np.nansum(after) > 0:
            ratio = float(np.nanmean(after) / np.nanmean(before))
            if 1 / SAME_VOLUME < ratio < SAME_VOLUME:
                return newest, True, f"prices step by a hundred and shares traded by {ratio:.2f}: another unit, no split"
    return newest, False, "the level of the newest bars is taken; nothing in the data proves it"


# splits -------------------------------------------------------------------------------------------------------------


def _row_of(ts: list[datetime], moment: datetime) -> int:
    """The first bar that ends after the moment."""
    at = np.datetime64(moment.replace(tzinfo=None), "us")
    return int(np.searchsorted(np.array(ts, dtype="datetime64[us]"), at, side="right"))


def _steps(prices: dict[str, Floats]) -> Floats:
    """(n,) log of each close over the close before; the first is 0."""
    return np.concatenate([[0.0], np.diff(np.log(prices["close"]))])


def _median(values: Floats) -> float:
    """0 where nothing is known."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0


def _recorded_splits(
    ts: list[datetime], prices: dict[str, Floats], splits: pl.DataFrame, split_adjusted: bool
) -> list[dict[str, Any]]:
    steps = _steps(prices)
    bare = [moment.replace(tzinfo=None) for moment in ts]
    found = []
    for effective, ratio in splits.select("effective_at", "ratio").iter_rows():
        at = _row_of(bare, effective)
        expected = -math.log(ratio)
        if not 0 < at < len(ts) or abs(expected) < math.log(SMALLEST_SPLIT):
            continue  # the ex-date lies outside the bars, or the ratio within what a price does by itself
        near = np.abs(steps - expected) <= max(SPLIT_TOLERANCE, 0.25 * abs(expected))
        exact = np.abs(steps - expected) <= SPLIT_TOLERANCE
        if split_adjusted:
            before = np.flatnonzero(exact[1 : at + 1]) + 1
            if not before.size:
                continue
            where = int(before[-1])
            code = Reason.SPLIT_NOT_APPLIED if where == at else Reason.SPLIT_MISPLACED
            step = f"prices step by {math.exp(steps[where]):.4f} at {ts[where]:%Y-%m-%d}"
            text = f"{step}; a split of {ratio:g} took effect at {effective:%Y-%m-%d}"
            found.append(_fault(code, ts, 0, where - 1, ",".join(PRICES), 1 / ratio, before.size == 1, text))
            continue
        if near[at]:
            continue
        around = np.flatnonzero(exact[max(1, at - NEAR) : at + NEAR + 1]) + max(1, at - NEAR)
        if around.size:
            step = f"raw prices step by {math.exp(steps[around[0]]):.4f} at {ts[around[0]]:%Y-%m-%d}"
            text = f"{step}; the split is of {effective:%Y-%m-%d}"
            found.append(_fault(Reason.SPLIT_MISPLACED, ts, int(around[0]), int(around[0]), "effective_at", None, False, text))
        else:
            text = f"a split of {ratio:g} at {effective:%Y-%m-%d}, and raw prices step by {math.exp(steps[at]):.4f}"
            found.append(_fault(Reason.SPLIT_NOT_APPLIED, ts, at, at, "ratio", None, False, text))
    return found


def _missing_splits(
    ts: list[datetime], prices: dict[str, Floats], volume: Floats, splits: pl.DataFrame
) -> list[dict[str, Any]]:
    """Overnight steps by a usual ratio that are not taken back, on no more shares than a split makes, and no split near."""
    steps = _steps(prices)
    sigma = float(np.median(np.abs(steps[1:]))) / _MEDIAN_TO_SIGMA
    bare = [moment.replace(tzinfo=None) for moment in ts]
    known = [_row_of(bare, effective) for effective in splits["effective_at"]]
    found = []
    for at in np.flatnonzero(np.abs(steps) > max(math.log(1.45), 10 * sigma)):
        jump = math.exp(steps[at])
        ratio = min((r if jump < 1 else 1 / r for r in USUAL_SPLITS), key=lambda r: abs(math.log(jump * r)))
        over_night = prices["open"][at] / prices["close"][at - 1]
        near_open = abs(math.log(over_night * ratio)) <= max(SPLIT_TOLERANCE, 3 * sigma)
        if not (near_open and abs(math.log(jump * ratio)) <= max(SPLIT_TOLERANCE, 6 * sigma)):
            continue
        if any(abs(at - row) <= NEAR for row in known):
            continue
        after = slice(at + 1, at + 1 + NEAR)
        if np.abs(np.cumsum(steps[after]) + steps[at]).min(initial=np.inf) < 0.3 * abs(steps[at]):
            continue  # taken back: a spike
        before, then = _median(volume[max(0, at - 20) : at]), float(volume[at])
        if before > 0 and then > 0 and not LEAST_VOLUME <= math.log(then / before) / math.log(ratio) <= MOST_VOLUME:
            continue  # shares changed hands as in a crash: 24 times as many at Apple's profit warning of September 2000
        shares = f"shares traded by {then / before:.2f}" if before > 0 else "no volume was reported"
        text = f"the price steps by {jump:.4f} overnight, {shares}; no split is recorded"
        found.append(_fault(Reason.SPLIT_MISSING, ts, int(at), int(at), "ratio", ratio, False, text))
    return found


# dividends ----------------------------------------------------------------------------------------------------------


def _dividend_sizes(ts: list[datetime], prices: dict[str, Floats], dividends: pl.DataFrame) -> list[dict[str, Any]]:
    steps = _steps(prices)
    sigma = float(np.median(np.abs(steps[1:]))) / _MEDIAN_TO_SIGMA
    bare = [moment.replace(tzinfo=None) for moment in ts]
    paid = dividends["amount"].to_numpy().astype(np.float64)
    found = []
    for k, (effective, amount) in enumerate(dividends.select("effective_at", "amount").iter_rows()):
        at = _row_of(bare, effective)
        if not 0 < at < len(ts) or not amount > 0:
            continue
        price = prices["close"][at - 1]
        share = amount / price
        fell = max(1 - prices["open"][at] / price, 1 - prices["close"][at] / price)
        unpaid = share > LARGE_YIELD and fell < EXPECTED_FALL * share and share - fell > SIGMAS * sigma
        others = np.delete(paid, k)
        steady = others.size >= 3 and others.min() > 0 and others.max() <= STEADY * others.min()
        usual = float(np.median(others)) if steady else math.nan
        scaled = 0.0 if math.isnan(usual) else math.log(amount / usual) / math.log(UNIT)
        if unpaid or (round(scaled) != 0 and abs(scaled - round(scaled)) <= UNIT_TOLERANCE):
            factor = UNIT ** -round(scaled) if round(scaled) else 1 / UNIT
            text = f"{amount:g} is {100 * share:.1f} % of {price:.4g}; the price fell by {100 * fell:.1f} %"
            found.append(_fault(Reason.DIVIDEND_SIZE, ts, at, at, "amount", factor, False, text))
    return found


def _repeated_dividends(ts: list[datetime], dividends: pl.DataFrame) -> list[dict[str, Any]]:
    """The same amount twice within ten bars, where the instrument does not pay that often; the one off the usual rhythm goes."""
    bare = [moment.replace(tzinfo=None) for moment in ts]
    rows = [_row_of(bare, effective) for effective in dividends["effective_at"]]
    amounts = dividends["amount"].to_list()
    days = [moment.timestamp() / 86_400 for moment in dividends["effective_at"]]
    found = []
    for k in range(1, len(rows)):
        same = abs(amounts[k] - amounts[k - 1]) <= SAME_AMOUNT * max(amounts[k], amounts[k - 1], 1e-12)
        if not same or rows[k] - rows[k - 1] > NEAR or not 0 <= rows[k - 1] <= rows[k] < len(ts):
            continue
        gaps = np.diff([day for j, day in enumerate(days) if j != k - 1])
        rhythm = float(np.median(gaps)) if gaps.size else math.nan
        if rhythm <= 2 * NEAR:
            continue  # it pays that often
        anchor = days[k - 2] if k >= 2 else math.nan
        extra = k - 1 if math.isnan(anchor) or abs(days[k - 1] - anchor - rhythm) > abs(days[k] - anchor - rhythm) else k
        text = f"{amounts[k]:g} at {ts[rows[k - 1]]:%Y-%m-%d} and at {ts[rows[k]]:%Y-%m-%d}; it pays every {rhythm:.0f} days"
        found.append(_fault(Reason.DIVIDEND_REPEATED, ts, rows[extra], rows[extra], "amount", 0.0, False, text))
    return found
