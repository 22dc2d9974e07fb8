"""Targets with exits on the simulated venue: each entry is a bracket, whose stop and target lie in the market from its fill on.

At the close of the bar in which a target changes, the lots that it is worth are reckoned, what is missing to them is ordered, and
an entry takes its levels from that close, as the fast engine's do:

    stop        close * (1 - s) of a long position, down to the tick      close * (1 + s) of a short one, up
    target      close * (1 + g) of a long position, up to the tick        close * (1 - g) of a short one, down
    trailing    a share of the best price since the fill

A position that an exit has ended stays closed until the target changes. A target of the same side and another size keeps the
levels of the first entry (a trailing stop begins anew).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from fieldcast.ground import ConfigError, StrategyError
from fieldcast.market import Instrument
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.market import Market
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.trading import Side, exact_product, price_from_bar, ratio_down, to_lots, to_tick
from fieldcast.trading.order_kinds import Bracket, OrderKind, Ticket
from fieldcast.workflows.backtest_settings import ExitsPart
from fieldcast.workflows.backtest_sizing import Sizer

Array = npt.NDArray[np.float64]
_PLACES = 8


@dataclass(frozen=True)
class Levels:
    """Prices at which a position ends; None = no such exit."""

    stop: Decimal | None
    target: Decimal | None
    trail_share: Decimal | None


def play_with_exits(
    market: Market,
    targets: Array,
    settings: VenueSettings,
    exits: ExitsPart,
    *,
    events: EventTable | None = None,
    sizer: Sizer | None = None,
) -> SimulationResult:
    """Hold the targets, each entry with its exits.

    Parameters
    ----------
    targets : (N, T) weights of equity
    sizer : how large a position may be; None = what its weight is worth

    Raises
    ------
    StrategyError : a target that is not finite in a bar that the instrument has
    ConfigError : a stop and a trailing stop at once
    """
    if exits.stop is not None and exits.trailing is not None:
        raise ConfigError("expected a stop or a trailing stop, found both; a trailing stop begins where a stop would stand")
    simulator = Simulator(market, settings, events=events)
    held = [_Held(simulator, row, one, exits, sizer) for row, one in enumerate(market.instruments)]
    wanted: dict[int, dict[int, float]] = {}
    for row in range(len(held)):
        for bar, target in _changes(market, targets, row):
            wanted.setdefault(bar, {})[row] = target
    waiting: dict[int, float] = {}      # targets whose size could not be reckoned yet: asked again at each bar
    changes = sorted(wanted)
    bar = changes[0] if changes else market.bars
    while bar < market.bars:
        due = {**waiting, **wanted.get(bar, {})}
        if due:
            simulator.advance(bar - simulator.t)
        for row, target in sorted(due.items()):
            if not np.isfinite(market.close[row, bar]):
                continue
            exact = Decimal(repr(round(target, _PLACES)))
            known = held[row].aim(exact, price_from_bar(float(market.close[row, bar])))
            waiting.pop(row, None)
            if not known:
                waiting[row] = target
        ahead = bisect_right(changes, bar)
        bar = bar + 1 if waiting else changes[ahead] if ahead < len(changes) else market.bars
    simulator.advance(market.bars - 1 - simulator.t)
    return simulator.result()


def _changes(market: Market, targets: Array, row: int) -> list[tuple[int, float]]:
    """Bars of the instrument at which its target changes, and to what; before the first bar it is 0."""
    places = np.flatnonzero(np.isfinite(market.close[row]))
    own = targets[row, places]
    bad = np.flatnonzero(~np.isfinite(own))
    if bad.size:
        bar = int(places[bad[0]])
        raise StrategyError(
            f"expected a finite target for {market.instruments[row].id} at bar {bar} ({market.ts[bar]}), found {own[bad[0]]}",
            bar=bar,
        )
    moved = np.flatnonzero(np.diff(own, prepend=0.0) != 0.0)
    return [(int(places[at]), float(own[at])) for at in moved]


class _Held:
    """One instrument's position with its exits."""

    def __init__(
        self, simulator: Simulator, row: int, instrument: Instrument, exits: ExitsPart, sizer: Sizer | None = None
    ) -> None:
        self.simulator, self.row, self.instrument, self.exits, self.sizer = simulator, row, instrument, exits, sizer
        self.levels: Levels | None = None
        self.orders: tuple[int, ...] = ()

    def aim(self, weight: Decimal, close: Decimal) -> bool:
        """Order what is missing to `weight` of the equity; `close` is the last one. False where no size is known yet."""
        one, simulator = self.instrument, self.simulator
        nav, tag = simulator.equity_in(one.currency), ""
        if self.sizer is not None and weight:
            sized = self.sizer.size(one, self.row, simulator.t, nav=nav, price=close, most=abs(weight))
            if sized is None:
                return False
            lots, tag = sized.quantity, sized.reasons[0].meaning
        else:
            value = exact_product(max(nav, Decimal(0)), abs(weight))
            lots = to_lots(ratio_down(value, exact_product(close, one.multiplier)), one.lot)
        wanted = lots if weight > 0 else -lots
        held = simulator.position(one.id)
        change = wanted - held
        if change == 0:
            return True
        for number in (*self.orders, *self._working()):
            simulator.cancel(number)
        self.orders = ()
        ticket = Ticket(one.id, Side.BUY if change > 0 else Side.SELL, abs(change), tag=tag)
        if wanted == 0:
            self.levels = None
            self.orders = (simulator.submit(ticket),)
        elif not self.exits.any:
            self.orders = (simulator.submit(ticket),)
        elif wanted * held <= 0 or self.levels is None:
            self.levels = self._levels(close, long=wanted > 0)
            level = self.levels
            bracket = Bracket(ticket, target=level.target, stop=level.stop, trail_share=level.trail_share)
            first = simulator.submit(bracket)
            self.orders = tuple(range(first, first + 1 + len(bracket.children())))
        else:
            self.orders = (simulator.submit(ticket), *self._exits(abs(wanted), long=wanted > 0))
        return True

    def _working(self) -> tuple[int, ...]:
        """Orders of this instrument that may still act, a fill that an exit is waiting for among them."""
        simulator = self.simulator
        return tuple(n for n in simulator.working() if simulator.order(n).ticket.instrument == self.instrument.id)

    def _levels(self, close: Decimal, *, long: bool) -> Levels:
        def level(share: float | None, *, above: bool) -> Decimal | None:
            if share is None:
                return None
            exact = Decimal(repr(share))
            moved = exact_product(close, 1 + exact if above else 1 - exact)
            return max(to_tick(moved, self.instrument.tick, up=above), self.instrument.tick)

        trail = self.exits.trailing
        return Levels(
            stop=level(self.exits.stop, above=not long),
            target=level(self.exits.target, above=long),
            trail_share=None if trail is None else Decimal(repr(trail)),
        )

    def _exits(self, quantity: Decimal, *, long: bool) -> tuple[int, ...]:
        """The exits of a position that changes its size, at the levels that it has."""
        assert self.levels is not None
        side, name, level = Side.SELL if long else Side.BUY, self.instrument.id, self.levels
        tickets = []
        if level.stop is not None:
            tickets.append(Ticket(name, side, quantity, OrderKind.STOP, stop=level.stop, reduce_only=True))
        if level.trail_share is not None:
            tickets.append(
                Ticket(name, side, quantity, OrderKind.TRAILING_STOP, trail_share=level.trail_share, reduce_only=True)
            )
        if level.target is not None:
            tickets.append(Ticket(name, side, quantity, OrderKind.LIMIT, limit=level.target, reduce_only=True))
        if len(tickets) == 1:
            return (self.simulator.submit(tickets[0]),)
        return self.simulator.one_cancels_other(tickets)
