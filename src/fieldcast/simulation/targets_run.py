"""A run of a table of targets: one kernel over all bars, orders, fills and journal included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, StrategyError
from fieldcast.simulation import _kernels_run as kernels
from fieldcast.simulation._account import Run
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.market import Market
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import TargetUnit, VenueSettings


def run_targets(
    targets: NDArray[np.float64],
    market: Market,
    settings: VenueSettings | None = None,
    *,
    rebalance: str | NDArray[np.bool_] = "on_change",
    events: EventTable | None = None,
) -> SimulationResult:
    """Hold the targets: at the end of a bar, market orders for what is missing to them.

    Parameters
    ----------
    targets : (T,) for one instrument, or (N, T): what is to be held from the end of each bar on, as weights of the
        equity at that moment
        or in units (`settings.size`); a size is turned into whole lots towards zero when its order is made
    rebalance : `on_change`: an order where the target is another one than in the bar before; `every_bar`: wherever
        the holding is off its
        target; or (T,) flags: so in these bars alone; in others targets are not looked at and need be no numbers
    events : dividends, splits, interest and the like

    Raises
    ------
    InvalidInput : shapes do not fit, or an amount does not fit in 63 bits
    StrategyError : a target that is looked at is not a finite number in a bar that the instrument has; the message names both
    """
    settings = settings or VenueSettings()
    count, bars = len(market.instruments), market.bars
    table = np.ascontiguousarray(targets, dtype=np.float64)
    if table.ndim == 1 and count == 1:
        table = table.reshape(1, -1)
    if table.shape != (count, bars):
        raise InvalidInput(f"expected targets of shape {(count, bars)}, found {table.shape}")
    closed = [
        one.id for one, row in zip(market.instruments, table, strict=True) if not (one.tradable or one.notional) and row.any()
    ]
    if closed:      # one that is only watched, such as an option's underlying, has targets of 0
        raise InvalidInput(f"expected instruments that can be held, found {', '.join(closed)}; an index needs notional=True")
    schedule = _schedule(rebalance, bars)
    exposed = count > 1 or settings.is_margined(market.instruments[0])
    run = Run(market, settings, events, rows=max(256, bars // 16), exposures=exposed)
    kind = kernels.WEIGHT
    if settings.size is TargetUnit.UNITS:
        kind = kernels.LOTS
        table = np.ascontiguousarray(np.trunc(table * run.state.scale[:, 1:2] + np.copysign(1e-9, table)))
    last, buffer = np.zeros(count), np.zeros(count, dtype=np.int64)
    decisions = _decisions(table, schedule)
    while True:
        code, n, t = kernels.play_targets(
            run.state, run.bars, run.finer, run.first, table, schedule, decisions, last, buffer, kind, bars, run.events
        )
        if code != kernels.NEEDS_ROOM:
            break
        run.grow(2 * count)
    if code == kernels.BAD_TARGET:
        found = float(np.asarray(targets).reshape(count, -1)[n, t])
        raise StrategyError(
            f"expected a finite target of at most 1e9 for {market.instruments[n].id} at bar {t} ({int(market.ts[t])}), "
            f"found {found}",
            bar=int(t),
        )
    run.check()
    how = rebalance if isinstance(rebalance, str) else f"{int(schedule.sum())} of {bars} bars"
    return run.result(rebalance=how)


def _decisions(table: NDArray[np.float64], schedule: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The bars of a schedule, or those in which a target is another than in the bar before; the number of bars last."""
    if len(schedule):
        found = np.flatnonzero(schedule)
    else:
        other = table[:, 1:] != table[:, :-1]
        found = np.flatnonzero(other[0] if len(table) == 1 else other.any(axis=0)) + 1
    return np.append(found, table.shape[1])


def _schedule(rebalance: str | NDArray[np.bool_], bars: int) -> NDArray[np.bool_]:
    if isinstance(rebalance, str):
        if rebalance not in ("on_change", "every_bar"):
            raise InvalidInput(f"expected rebalance on_change, every_bar or an array of flags, found {rebalance!r}")
        return np.zeros(0, dtype=np.bool_) if rebalance == "on_change" else np.ones(bars, dtype=np.bool_)
    flags = np.ascontiguousarray(rebalance)
    if flags.shape != (bars,) or flags.dtype != np.bool_:
        raise InvalidInput(f"expected rebalance flags of shape {(bars,)}, found {flags.dtype} of shape {flags.shape}")
    return flags
