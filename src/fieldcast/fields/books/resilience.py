"""How fast a book refills after a message that emptied much of it, and what its depth does when its spread moves.

D(t) is the size of one side over its best `levels`. A depleting event is a message that takes away at least the share `fall` of
the D before it. What has come back after a while s:

    R(s) = (D(t + s) − D(t)) / (D(t−) − D(t))          0: nothing, 1: all of it; D can overshoot or fall on

The half-life is the median time until R first reaches ½: by Kaplan and Meier, since a watch that ends before that (at the
horizon, at the end of the rows, at an unknown book) says only that it took longer. A side is watched for one event at a time.
Every event carries `known_at`, the moment when its recovery was known.

    spread elasticity   − slope of log D on log spread, by least squares over messages: by how many per cent depth falls when the
                        spread widens by one per cent. No value where the spread does not move.

D is counted from the touch, wherever that is: after an event that takes whole levels the next ones count.

Sources: Large, Measuring the resiliency of an electronic limit order book, J. Financial Markets 10 (2007) 1-25; Degryse, de Jong,
van Ravenswaaij & Wuyts, Aggressive orders and the resiliency of a limit order market, Review of Finance 9 (2005) 201-242; Kaplan
& Meier, J. American Statistical Association 53 (1958) 457-481; the spread elasticity is the definition in the reference system
this engine descends from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcast.fields._rows import Counts, Flags, Floats
from fieldcast.fields.books.ladders import SIDES, level_arrays, levels_of
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import STAMP

SECOND = 1_000_000
LEAST_SPREADS = 30  # messages with a known spread before a slope over them is given


@dataclass(frozen=True)
class ResilienceSettings:
    """What counts as an event, and how long it is watched.

    Parameters
    ----------
    levels : best levels whose size is the depth
    fall : share of the depth that one message must take away
    horizons_seconds, horizons_messages : when to look at what has come back
    watch_seconds : how long a recovery is waited for
    least_events : fewer give no half-life and no mean recovery
    """

    levels: int = 5
    fall: float = 0.5
    horizons_seconds: tuple[float, ...] = (1.0, 5.0, 30.0)
    horizons_messages: tuple[int, ...] = (1, 10, 100)
    watch_seconds: float = 60.0
    least_events: int = 5

    def __post_init__(self) -> None:
        whole = self.levels >= 1 and self.least_events >= 1 and all(n >= 1 for n in self.horizons_messages)
        if not whole or not 0 < self.fall <= 1 or self.watch_seconds <= 0 or any(s <= 0 for s in self.horizons_seconds):
            raise InvalidInput(f"expected levels ≥ 1, 0 < fall ≤ 1 and times above 0, found {self}")


@dataclass(frozen=True, eq=False)
class Resilience:
    """What a stretch of messages showed.

    Parameters
    ----------
    events : ts, available_at, side, before, after (units), half_seconds (null: not back while it was watched), watched_seconds,
        recovered_1s …, recovered_1m … (R after so many seconds or messages; null where the rows end first), known_at
    half_life_seconds : median time until half was back; None with a reason
    recovered : `1s`, `10m` … → mean R over the events that were watched so long
    reasons : figure → why it is not there
    """

    events: pl.DataFrame
    half_life_seconds: float | None
    recovered: Mapping[str, float]
    reasons: Mapping[str, Reason]


def resilience(states: pl.DataFrame, settings: ResilienceSettings | None = None) -> Resilience:
    """Depleting events and how the book came back from them.

    Parameters
    ----------
    states : `data.books.replay(depth, levels).states`, one row a message

    Raises
    ------
    InvalidInput : not a table of states, or with fewer levels than the depth is summed over
    """
    from fieldcast.fields.books import _kernels

    settings = settings or ResilienceSettings()
    depth, known = _depths(states, settings.levels)
    times = states["available_at"].cast(STAMP).to_physical().fill_null(0).to_numpy()
    out = np.empty((2 * len(states), _kernels.EVENT_WIDTH))
    horizon = int(settings.watch_seconds * SECOND)
    found = out[: _kernels.recoveries(depth, known, times, settings.fall, 0.5, horizon, out)]
    found = found[np.lexsort((found[:, _kernels.SIDE], found[:, _kernels.ROW]))]
    row, side = found[:, _kernels.ROW].astype(np.int64), found[:, _kernels.SIDE].astype(np.int64)
    half = found[:, _kernels.HALF_ROW].astype(np.int64)
    until = np.where(half >= 0, half, found[:, _kernels.LAST_ROW].astype(np.int64))
    watched = (times[until] - times[row]) / SECOND
    back = _recovered(depth, known, times, found, settings)
    seen_at = np.maximum.reduce([times[until], *(moment for moment, _ in back.values())]) if row.size else times[row]
    events = (
        states[row]
        .select("ts", "available_at")
        .with_columns(
            side=pl.Series([SIDES[s] for s in side], dtype=pl.String),
            before=found[:, _kernels.BEFORE],
            after=found[:, _kernels.AFTER],
            half_seconds=pl.Series(np.where(half >= 0, watched, np.nan), nan_to_null=True),
            watched_seconds=watched,
            **{f"recovered_{name}": pl.Series(values, nan_to_null=True) for name, (_, values) in back.items()},
            known_at=pl.Series(seen_at, dtype=pl.Int64).cast(STAMP),
        )
    )
    means, reasons = {}, {}
    for name, (_, values) in back.items():
        seen = values[np.isfinite(values)]
        if seen.size >= settings.least_events:
            means[name] = float(seen.mean())
        else:
            reasons[f"recovered_{name}"] = Reason.FEW_ROWS
    half_life = median_time(watched, half >= 0) if row.size >= settings.least_events else None
    if half_life is None:
        few = row.size < settings.least_events
        reasons["half_life_seconds"] = Reason.FEW_ROWS if few else Reason.UNRESOLVED
    return Resilience(events, half_life, means, reasons)


def median_time(times: Floats, happened: Flags) -> float | None:
    """Kaplan and Meier's median time to an event; None where more than half may not have had it in the time watched.

    Parameters
    ----------
    times : (n,) until the event, or until the watch ended
    happened : (n,) True where the event came
    """
    left, alive = times.size, 1.0
    for moment in np.unique(times):
        came = int((happened & (times == moment)).sum())
        if came:
            alive *= 1 - came / left
            if alive <= 0.5 + 1e-12:
                return float(moment)
        left -= int((times == moment).sum())
    return None


def spread_elasticity(states: pl.DataFrame, levels: int = 5) -> float | Reason:
    """− d log depth / d log spread over a stretch of messages, or why there is none.

    Parameters
    ----------
    states : `data.books.replay(depth, levels).states`, one row a message
    levels : best levels of both sides whose size is the depth

    Raises
    ------
    InvalidInput : not a table of states, or with fewer levels
    """
    depth, known = _depths(states, levels)
    bid, _, ask, _ = level_arrays(states, 1)
    spread, total = (ask - bid)[:, 0][known], depth.sum(axis=1)[known]
    there = np.isfinite(spread) & (spread > 0) & (total > 0)
    if there.sum() < LEAST_SPREADS:
        return Reason.FEW_ROWS
    x, y = np.log(spread[there]), np.log(total[there])
    x = x - x.mean()
    if x @ x <= 1e-12 * x.size:
        return Reason.UNDEFINED
    return float(-(x @ (y - y.mean())) / (x @ x))


def _depths(states: pl.DataFrame, levels: int) -> tuple[Floats, Flags]:
    """(n, 2) size of each side over its best levels, and whether the book is known; fewer levels than asked count as unknown."""
    if levels_of(states) < levels:
        raise InvalidInput(f"expected states with {levels} levels, found {levels_of(states)}; replay more of them")
    _, bid_size, _, ask_size = level_arrays(states, levels)
    depth = np.stack([bid_size.sum(axis=1), ask_size.sum(axis=1)], axis=1)
    known = states["reasons"].is_null().to_numpy() & np.isfinite(depth).all(axis=1)
    return depth, known


def _recovered(
    depth: Floats, known: Flags, times: Counts, found: Floats, settings: ResilienceSettings
) -> dict[str, tuple[Counts, Floats]]:
    """Horizon → when it was answered, and R there; NaN where the rows end, or the book is unknown, before the horizon."""
    from fieldcast.fields.books import _kernels

    row, side = found[:, _kernels.ROW].astype(np.int64), found[:, _kernels.SIDE].astype(np.int64)
    before, after = found[:, _kernels.BEFORE], found[:, _kernels.AFTER]
    unknown = np.concatenate(([0], np.cumsum(~known)))
    newest = times[-1] if times.size else 0
    spans = []
    for seconds in settings.horizons_seconds:
        moment = times[row] + int(seconds * SECOND)
        spans.append((f"{seconds:g}s", np.searchsorted(times, moment, side="right") - 1, moment, moment <= newest))
    for messages in settings.horizons_messages:
        at = np.minimum(row + messages, times.size - 1)
        spans.append((f"{messages}m", at, times[at], row + messages < times.size))
    result = {}
    for name, at, moment, reached in spans:
        whole = reached & (unknown[at + 1] == unknown[row])
        values = (depth[at, side] - after) / np.where(before > after, before - after, 1.0)
        result[name] = np.where(whole, moment, times[row]), np.where(whole, values, np.nan)
    return result
