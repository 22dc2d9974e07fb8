"""From how a column answers to single altered bars to why it looks ahead.

An impulse alters the bars of one time k alone, a step those of k and of all later times. The rows r < k that move are the
column's look into the future, and their shape is a fingerprint; offsets are k − r. A column of prices shows itself by impulses;
one of returns by steps, because an impulse moves two returns, one up and one down, and they may cancel:

    one offset, always the same                                 shift
    all rows since k's hour (day, week, month …) began          a period's figure joined to its own rows
    a few rows with one value, that of a row from k on          filled, or joined, from a later row
    a few rows on a straight line to a row from k on            interpolation
    offsets 1 … h, nothing behind k                             forward window;  as far behind k: centred window
    moves that die away geometrically                           a filter that runs backwards
    all rows, each by the same amount, none behind k            cumulative from the end
    all rows, in proportion to the values (a + b x)             normalisation by the whole sample
    rows that share one value, all to a new one                 a figure of the whole sample that stands on them
    some rows everywhere, by one and the same step              rank, quantile or bin
    all rows, in no such way                                    fitted on the whole sample

What no impulse moves, but fewer rows do, rests on the number of rows; what moves only at holes or in the leading rows is filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.validation.leaks.report import Cause

Array = NDArray[np.float64]
CLOCK = {"5-minute span": 5, "15-minute span": 15, "30-minute span": 30, "hour": 60, "4-hour span": 240}
LONG = 60  # rows that few windows reach ahead


@dataclass(frozen=True)
class Response:
    """What one impulse did to one column of one instrument.

    Parameters
    ----------
    at : place k of the altered time
    when : (m,) places of the column's rows, ascending
    base, moved : (m,) values before and after
    changed : (m,) True where they differ
    """

    at: int
    when: NDArray[np.intp]
    base: Array
    moved: Array
    changed: NDArray[np.bool_]

    @property
    def offsets(self) -> NDArray[np.intp]:
        """How far before k the moved rows are, ascending."""
        return np.sort(self.at - self.when[self.changed & (self.when < self.at)])

    @property
    def behind(self) -> NDArray[np.intp]:
        return self.when[self.changed & (self.when > self.at)] - self.at


@dataclass(frozen=True)
class Diagnosis:
    """Why, how many rows ahead at least (None: through the whole sample), and words for people."""

    cause: Cause
    reach: int | None
    text: str


def periods(times: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Number of the clock's periods, the day, week, month, quarter and year of each time.

    Only those that hold more than one time on average, and of which there are two at least.
    """
    days = times.astype("datetime64[us]").astype("datetime64[D]").astype(np.int64)
    months = times.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    found = {name: times // (minutes * 60_000_000) for name, minutes in CLOCK.items()}
    found |= {"day": days, "week": (days + 3) // 7, "month": months, "quarter": months // 3, "year": months // 12}
    return {name: values for name, values in found.items() if 1.5 * max(np.unique(values).size, 2) < values.size}


def diagnose(
    impulses: Sequence[Response],
    steps: Sequence[Response],
    moved: Mapping[str, int],
    calendar: Mapping[str, NDArray[np.int64]],
    *,
    only_holes: bool,
    filled: bool,
    leading: bool,
) -> Diagnosis:
    """The cause that explains the responses.

    Parameters
    ----------
    impulses, steps : the responses to them, for one instrument
    moved : alteration → cuts at which an earlier value moved
    only_holes : nothing moved but where bars are missing
    filled : the values that moved at holes or in the leading rows are those of a later row
    leading : nothing moved but the column's leading rows, which stand before the first value it could have
    """
    bumped, stepped = ([one for one in group if one.offsets.size] for group in (impulses, steps))
    seen = bumped or stepped
    if (only_holes or leading) and filled:
        return Diagnosis(Cause.BACK_FILL, None, "rows without a value of their own hold that of a later row")
    if only_holes:
        return Diagnosis(Cause.INTERPOLATION, None, "rows inside a gap of the bars depend on the rows behind the gap")
    if not seen:
        if moved and set(moved) <= {"cut", "append"}:
            return Diagnosis(Cause.LENGTH, None, "values move when rows are added or removed behind them, whatever those hold")
        return Diagnosis(Cause.UNKNOWN, None, Cause.UNKNOWN.meaning)
    reach = max(int(one.offsets[-1]) for one in seen)
    named = _period(bumped, calendar) or _period(stepped, calendar)
    if named is not None:
        return Diagnosis(Cause.PERIOD_JOIN, reach, f"the earlier rows of each {named} hold what is known when it is over")
    for group in (bumped, stepped):
        single = _single(group)
        edges = {tuple(one.behind.tolist()) for one in group}  # of a window that an impulse leaves but at its two ends
        if single is not None and group is bumped and (single + 1,) in edges <= {(single + 1,), ()}:
            return Diagnosis(Cause.CENTRED_WINDOW, single, f"a window of about {single} rows ahead and {single} back")
        if single is not None:
            return Diagnosis(Cause.SHIFT, single, f"each row holds a value of the row {single} later (shift(-{single}))")
    wide = _through(seen)
    if _fades(seen):
        return Diagnosis(Cause.TWO_SIDED_FILTER, reach, f"later rows count with weights that die away, up to {reach} rows ahead")
    if wide:
        return _global(seen)
    for group in (bumped, stepped):
        if _held(group):
            text = f"rows hold the value of a row up to {reach} later: filled backwards, or joined to the next or nearest record"
            return Diagnosis(Cause.BACK_FILL, reach, text)
        if _in_line(group):
            return Diagnosis(Cause.INTERPOLATION, reach, f"rows lie on a straight line to a row up to {reach} later")
    if reach > LONG and _stays(seen) and _stepped(seen):
        return _global(seen)
    union = np.unique(np.concatenate([one.offsets for one in seen]))
    dense = float(np.median([one.offsets.size / one.offsets[-1] for one in seen]))
    if union.size >= 0.6 * union[-1] and dense >= 0.2:
        behind = max((int(one.behind.max()) if one.behind.size else 0) for one in seen)
        if 0.6 * reach <= behind <= 1.7 * reach + 2:
            return Diagnosis(Cause.CENTRED_WINDOW, reach, f"a window of about {reach} rows ahead and {behind} back")
        return Diagnosis(Cause.FORWARD_WINDOW, reach, f"each row rests on the {reach} rows that follow it")
    if _stepped(seen) or _far(seen):
        return _global(seen)
    return Diagnosis(Cause.UNKNOWN, reach, f"{Cause.UNKNOWN.meaning}; it looks at least {reach} rows ahead")


def _single(seen: Sequence[Response]) -> int | None:
    """The one offset, the same for every response."""
    only = {tuple(one.offsets.tolist()) for one in seen}
    return only.pop()[0] if len(only) == 1 and len(next(iter(only))) == 1 else None


def _period(seen: Sequence[Response], calendar: Mapping[str, NDArray[np.int64]]) -> str | None:
    """The shortest period of which every impulse moves exactly its rows before k."""
    for name, numbers in calendar.items():
        exact, apart = [], False
        for one in seen:
            before = one.when < one.at
            mine = one.when[(numbers[one.when] == numbers[one.at]) & before]
            exact.append(mine.size > 0 and np.array_equal(np.sort(one.at - mine), one.offsets))
            # rows of earlier periods, which stayed: without one, all that is known is that all rows move
            apart |= exact[-1] and bool((np.isfinite(one.base) & before & (numbers[one.when] != numbers[one.at])).any())
        if len(exact) >= 2 and apart and sum(exact) >= 0.8 * len(exact) and (_reaches(seen) or _ends_only(seen, numbers)):
            return name
    for name, numbers in calendar.items():
        if _within(seen, numbers):
            return name
    return None


def _within(seen: Sequence[Response], numbers: NDArray[np.int64]) -> bool:
    """Whether all that moves is of k's own period, back to near its beginning: a rank or a deviation within the period."""
    inside, reached, apart = 0, [], False
    for one in seen:
        same = numbers[one.when] == numbers[one.at]
        mine = one.when[same & (one.when < one.at)]
        if not mine.size:
            continue
        inside += int(not one.changed[~same].any())
        reached.append(one.offsets[-1] / (one.at - mine.min()))
        apart |= bool((np.isfinite(one.base) & (one.when < mine.min())).any())
    if len(reached) < 3 or inside < 0.9 * len(seen) or not apart:
        return False
    return bool(np.median(reached) >= 0.8) and _reaches(seen)


def _held(seen: Sequence[Response]) -> bool:
    """Whether the rows that move hold one value, and then one other, and a different one for most impulses."""
    held = []
    several = 0
    for one in seen:
        rows = np.flatnonzero(one.changed & (one.when < one.at))
        x, y = one.base[rows], one.moved[rows]
        if np.unique(x).size > 1 or np.unique(y).size > 1 or (np.diff(rows) != 1).any():
            return False
        held.append(float(x[0]))
        several += int(x.size > 1)
    return several >= 3 and np.unique(held).size >= max(3, 0.5 * len(held))


def _in_line(seen: Sequence[Response]) -> bool:
    """Whether the rows that move lie on one straight line before and after, wherever three or more do."""
    lines = 0
    for one in seen:
        rows = np.flatnonzero(one.changed & (one.when < one.at))
        if rows.size < 3:
            continue
        if (np.diff(rows) != 1).any():
            return False
        for values in (one.base[rows], one.moved[rows]):
            spread = float(np.ptp(values))
            if not spread > 0.0 or np.abs(np.diff(values, 2)).max() > 1e-7 * spread:  # a NaN is no line either
                return False
        lines += 1
    return lines >= 3


def _stays(seen: Sequence[Response]) -> bool:
    """Whether two impulses moved the very same rows: what moves does not move along with k, as a window does."""
    sets = [tuple(one.when[one.changed & (one.when < one.at)].tolist()) for one in seen]
    return any(len(rows) >= 5 and sets.count(rows) > 1 for rows in sets)


def _reaches(seen: Sequence[Response]) -> bool:
    """Whether the impulses reach back by different numbers of rows."""
    return len({int(one.offsets[-1]) for one in seen}) > 1


def _ends_only(seen: Sequence[Response], numbers: NDArray[np.int64]) -> bool:
    """Whether every impulse that moved something stands at the end of its period."""
    return all(one.at + 1 == numbers.size or numbers[one.at + 1] != numbers[one.at] for one in seen)


def _through(seen: Sequence[Response]) -> bool:
    """Whether moves reach back to the first known rows, from most impulses."""
    far: list[bool] = []
    for one in seen:
        known = one.when[np.isfinite(one.base) & (one.when < one.at)]
        far.append(known.size > 30 and bool(one.offsets[-1] >= 0.9 * (one.at - known.min())) and one.offsets.size >= 5)
    return 2 * sum(far) >= len(far)


def _far(seen: Sequence[Response]) -> bool:
    """Whether moves, few as they are, reach through half of the known past from most impulses."""
    shares = []
    for one in seen:
        known = one.when[np.isfinite(one.base) & (one.when < one.at)]
        shares.append(one.offsets[-1] / (one.at - known.min()) if known.size else 0.0)
    return bool(np.median(shares) >= 0.5)


def _fades(seen: Sequence[Response]) -> bool:
    """Whether the moves die away with distance, to less than a thousandth, in most impulses."""
    fading = []
    for one in seen:
        rows = one.changed & (one.when < one.at) & np.isfinite(one.base) & np.isfinite(one.moved)
        away = one.at - one.when[rows]
        size = np.abs(one.moved[rows] - one.base[rows])
        if away.size < 8:
            continue
        order = np.argsort(away)
        log = np.log(np.maximum(size[order], 1e-300))
        slope = np.corrcoef(away[order], log)[0, 1] if np.ptp(log) > 0 else 0.0
        fading.append(bool(slope < -0.75 and log[-1] < log[: max(3, log.size // 20)].max() - np.log(1e3)))
    return bool(fading) and 2 * sum(fading) > len(fading)


def _global(seen: Sequence[Response]) -> Diagnosis:
    """Which kind of statistic of the whole sample it is."""
    whole = "rows as far back as the first one move with a single later bar"
    if _stands(seen):
        return Diagnosis(Cause.WHOLE_SAMPLE_FIT, None, "rows that share a value move together to a new one: a figure of all rows")
    if _stepped(seen):
        return Diagnosis(Cause.GLOBAL_RANK, None, f"{whole}, by one and the same step: a place among all rows")
    additive = affine = alone = tests = 0
    for one in seen:
        rows = (one.when < one.at) & np.isfinite(one.base) & np.isfinite(one.moved)
        x, y = one.base[rows], one.moved[rows]
        if x.size < 10:
            continue
        tests += 1
        delta = y - x
        scale = max(float(np.abs(delta).max()), 1e-300)
        level = max(float(np.abs(x).max()), 1e-12)
        same = bool(np.ptp(delta) <= 1e-6 * scale + 1e-11 * level)
        additive += int(same)
        affine += int(same or _is_affine(x, y))
        later = (one.when > one.at) & np.isfinite(one.base)
        alone += int(not later.any() or one.changed[later].mean() < 0.05)
    if tests and additive >= 0.8 * tests and alone >= 0.8 * tests:
        return Diagnosis(Cause.CUMULATIVE_FROM_END, None, f"{whole}, all by the same amount, and none behind it")
    if tests and affine >= 0.8 * tests:
        return Diagnosis(Cause.FULL_SAMPLE_NORMALISATION, None, f"{whole}, in proportion to their values")
    return Diagnosis(Cause.WHOLE_SAMPLE_FIT, None, f"{whole}, each in its own way")


def _is_affine(x: Array, y: Array) -> bool:
    """Whether y = a + b x to rounding."""
    spread = x - x.mean()
    scale = float(spread @ spread)
    if scale <= 0.0:
        return True
    slope = float(spread @ (y - y.mean())) / scale
    left = y - y.mean() - slope * spread
    return bool(np.abs(left).max() <= 1e-7 * max(float(np.abs(y - y.mean()).max()), 1e-300))


def _stands(seen: Sequence[Response]) -> bool:
    """Whether the rows that move shared one value and share one other that no row had: a mean or limit that stands on them."""
    found = []
    for one in seen:
        rows = one.changed & (one.when < one.at) & np.isfinite(one.base) & np.isfinite(one.moved)
        if rows.sum() < 2:
            continue
        x, y = np.unique(one.base[rows]), np.unique(one.moved[rows])
        found.append(x.size == 1 and y.size == 1 and not np.isin(y, one.base).any())
    return len(found) >= 2 and sum(found) >= 0.8 * len(found)


def _stepped(seen: Sequence[Response]) -> bool:
    """Whether rows move by few distinct steps while others between them stay, in some impulse, and by few steps in most."""
    few = partial = tests = 0
    for one in seen:
        rows = (one.when < one.at) & np.isfinite(one.base) & np.isfinite(one.moved)
        changed = one.changed & rows
        if rows.sum() < 30 or not changed.any():
            continue
        tests += 1
        steps = np.abs(one.moved[changed] - one.base[changed])
        few += int(np.unique(np.round(steps / steps.max(), 6)).size <= 3)
        partial += int(changed.sum() < 0.97 * rows.sum())
    return tests > 0 and few >= 0.7 * tests and partial > 0
