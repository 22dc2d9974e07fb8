"""The simulated venue for orders one by one: submit, cancel, replace, advance, look.

A moment of the simulator is the end of a bar. What is sent then acts from the next open on (plus latency). Orders
that cannot be are refused
on record, with their reason; what cannot even be written down (no such instrument, a price that is no number) raises.

Prices are put on the tick so that the order asks for no more than was said: a limit to buy and a stop to sell down,
a limit to sell and a stop to buy up. Quantities are cut to whole lots towards zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from fieldcast.ground import InvalidInput, Reason
from fieldcast.simulation import _kernels_orders as kernels
from fieldcast.simulation import _kernels_run as loop
from fieldcast.simulation import _state as s
from fieldcast.simulation._account import Run
from fieldcast.simulation._kernels_fill import price_units
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.market import Market
from fieldcast.simulation.result import STATUSES, SimulationResult
from fieldcast.simulation.settings import FillConvention, VenueSettings
from fieldcast.trading import Side
from fieldcast.trading.money import to_tick
from fieldcast.trading.order_kinds import Bracket, OrderKind, Ticket, TimeInForce

_KINDS = {kind: number for number, kind in enumerate(OrderKind)}
_TIMES = {tif: number for number, tif in enumerate(TimeInForce)}
_NO_STOP = (OrderKind.MARKET, OrderKind.LIMIT, OrderKind.MARKET_ON_OPEN, OrderKind.MARKET_ON_CLOSE)


@dataclass(frozen=True, slots=True)
class OrderView:
    """What is known of one order."""

    id: int
    ticket: Ticket
    status: str
    reason: Reason | None
    filled: Decimal
    left: Decimal


@dataclass(frozen=True, slots=True)
class AccountView:
    """The account at the end of the last bar; money in the base currency but `cash`.

    Parameters
    ----------
    equity : cash + value of positions, exactly
    buying_power : largest value of new positions at the initial margin: (equity - margin in use) / the run's initial share
    """

    cash: dict[str, Decimal]
    equity: Decimal
    positions_value: Decimal
    gross: Decimal
    net: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    buying_power: Decimal


class Simulator:
    """One account on one market, at the end of a bar; before the first bar until `advance` is called.

    Raises
    ------
    InvalidInput, ConfigError, MissingData : market, settings and events do not fit each other
    """

    def __init__(self, market: Market, settings: VenueSettings | None = None, *, events: EventTable | None = None) -> None:
        self.market = market
        self.settings = settings or VenueSettings()
        self._run = Run(market, self.settings, events)
        self._tickets: list[Ticket | None] = []

    # -- the clock ---------------------------------------------------------------------------------------------------

    @property
    def t(self) -> int:
        """Number of the last complete bar; -1 before the first."""
        return int(self._run.state.counters[s.N_BAR])

    @property
    def now(self) -> int:
        """The moment: end of the last bar, or the start of the first; microseconds UTC."""
        t = self.t
        return int(self.market.ts[t]) if t >= 0 else int(self.market.open_ts[0])

    def advance(self, bars: int = 1) -> int:
        """Play the next bars; returns `t`.

        Raises
        ------
        InvalidInput : there are not so many left, or an amount no longer fits
        IntegrityError : see `Run.check`
        """
        if bars < 0 or self.t + bars >= self.market.bars:
            raise InvalidInput(f"expected at most {self.market.bars - 1 - self.t} more bars, found {bars}")
        self._run.play(self.t + 1 + bars)
        return self.t

    # -- orders ------------------------------------------------------------------------------------------------------

    def submit(self, order: Ticket | Bracket) -> int:
        """Send an order, or a bracket; the id of the order (of the bracket's entry: its stop and target have the next ids)."""
        if isinstance(order, Ticket):
            number = self._add(order)
        else:
            self._room(3)
            number = self._add(order.entry)
            group = self._group()
            for child in order.children():
                self._add(child, parent=number, group=group)
        self._fill_now(number)
        return number

    def one_cancels_other(self, tickets: Sequence[Ticket]) -> tuple[int, ...]:
        """Send orders of which each fill takes as many lots from the others; their ids.

        Raises
        ------
        InvalidInput : fewer than two, or of several instruments
        """
        if len(tickets) < 2 or len({ticket.instrument for ticket in tickets}) != 1:
            raise InvalidInput(f"expected at least two orders of one instrument, found {len(tickets)}")
        self._room(len(tickets))
        group = self._group()
        numbers = tuple(self._add(ticket, group=group) for ticket in tickets)
        for number in numbers:
            self._fill_now(number)
        return numbers

    def cancel(self, number: int) -> None:
        """Take an order back, from the latency on; one that has ended stays as it is.

        Where another order is on its way to take its place the withdrawal arrives after it and takes back that one: a venue
        that is asked to withdraw an order means the last form of it that it has accepted (FIX 4.4, volume 4, order state
        changes).

        Raises
        ------
        InvalidInput : no order of one's own
        """
        row, _ = self._own(number)
        while row[s.O_STATUS] <= s.WAITING and row[s.O_FLAGS] & s.REPLACING:
            number = self._successor(number)
            row = self._row(number)
        if row[s.O_STATUS] > s.WAITING:
            return
        moment = self.now + self.settings.latency_us
        row[s.O_CANCEL] = min(int(row[s.O_CANCEL]), moment)
        if moment <= self.now:
            kernels.end(self._run.state, number, s.CANCELLED, s.W_CANCELLED, moment)
            kernels.sweep_ended(self._run.state)

    def replace(
        self,
        number: int,
        *,
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        stop: Decimal | None = None,
    ) -> int:
        """Another order in place of a working one, with its kind, group and parent; what is not given stays. Its id.

        The old one works until the new one does, and goes on as it was where the new one is rejected. `quantity` is what is
        still to be filled now; what the old one fills until then goes off it.

        Raises
        ------
        InvalidInput : the order has ended or is about to, its target or stop hang on it, the new one does not suit its kind,
            or it is no order of one's own
        """
        row, old = self._own(number)
        if row[s.O_STATUS] > s.WAITING:
            raise InvalidInput(f"expected a working order, found {number}: {STATUSES[row[s.O_STATUS]]}")
        if row[s.O_CANCEL] != s.NEVER:
            raise InvalidInput(f"expected an order that is not being replaced or withdrawn already, found {number}")
        if any(self._run.state.orders[other, s.O_PARENT] == number for other in self.working()):
            raise InvalidInput(
                f"expected an order by itself, found {number}, which its target or stop hang on; cancel it and send a new bracket"
            )
        n = int(row[s.O_INSTRUMENT])
        ticket = Ticket(
            old.instrument, old.side, self._run.units.quantity(n, int(row[s.O_LEFT])) if quantity is None else quantity, old.kind,
            limit=old.limit if limit is None else limit, stop=old.stop if stop is None else stop, trail=old.trail,
            trail_share=old.trail_share, time_in_force=old.time_in_force, reduce_only=old.reduce_only, tag=old.tag,
        )  # fmt: skip
        parent, group, status = int(row[s.O_PARENT]), int(row[s.O_GROUP]), int(row[s.O_STATUS])
        reached = int(row[s.O_STOP])
        new = self._add(ticket, parent=parent, group=group, replaces=number, working=status == s.WORKING)
        row, put = self._row(number), self._row(new)
        if put[s.O_STATUS] == s.REJECTED:
            return new
        if ticket.kind is OrderKind.TRAILING_STOP:
            put[s.O_STOP] = reached  # as close as the old one had come
        moment = self.now + self.settings.latency_us
        row[s.O_CANCEL], row[s.O_FLAGS] = moment, int(row[s.O_FLAGS]) | s.REPLACING
        if moment <= self.now:
            kernels.end(self._run.state, number, s.REPLACED, s.W_REPLACED, moment)
            kernels.sweep_ended(self._run.state)
        elif group < 0:
            row[s.O_GROUP] = put[s.O_GROUP] = self._group()  # a lot that the old one still fills is one less for the new one
        return new

    # -- what it answers ---------------------------------------------------------------------------------------------

    def order(self, number: int) -> OrderView:
        """What is known of an order of one's own."""
        row, ticket = self._own(number)
        n, quantity = int(row[s.O_INSTRUMENT]), self._run.units.quantity
        filled = int(row[s.O_LOTS] - row[s.O_LEFT] - row[s.O_TAKEN])
        left, reason = int(row[s.O_LEFT]), s.REASONS[row[s.O_REASON]]
        return OrderView(number, ticket, STATUSES[row[s.O_STATUS]], reason, quantity(n, filled), quantity(n, left))

    def working(self) -> tuple[int, ...]:
        """Ids of one's own orders that may still act, in order of arrival; those of margin calls are the venue's."""
        state = self._run.state
        numbers = state.working[: state.counters[s.N_WORKING]]
        return tuple(int(number) for number in numbers if not state.orders[number, s.O_FLAGS] & s.LIQUIDATION)

    def position(self, instrument: str) -> Decimal:
        """Units held, negative where short."""
        n = self.market.row(instrument)
        return self._run.units.quantity(n, int(self._run.state.position[n, s.P_LOTS]))

    def positions(self) -> dict[str, Decimal]:
        """Units held by instrument; those without a position are absent."""
        held = {one.id: self.position(one.id) for one in self.market.instruments}
        return {name: quantity for name, quantity in held.items() if quantity}

    def account(self) -> AccountView:
        """Cash, equity and margin, exact."""
        state, money = self._run.state, self._run.units.money
        totals = [int(one) for one in state.totals]
        equity, initial = totals[s.S_CASH] + totals[s.S_VALUE], self.settings.margin.initial
        free = money(max(0, equity - totals[s.S_INITIAL]))
        return AccountView(
            cash={name: money(int(amount)) for name, amount in zip(self._run.units.currencies, state.cash, strict=True)},
            equity=money(equity),
            positions_value=money(totals[s.S_VALUE]),
            gross=money(totals[s.S_GROSS]),
            net=money(totals[s.S_NET]),
            initial_margin=money(totals[s.S_INITIAL]),
            maintenance_margin=money(totals[s.S_MAINTENANCE]),
            buying_power=free / initial,
        )

    def equity_in(self, currency: str) -> Decimal:
        """The account's equity in one of the run's currencies at the rate of now, down, as a target of weights reckons it.

        Raises
        ------
        InvalidInput : no currency of the run
        """
        state, units = self._run.state, self._run.units
        if currency not in units.currencies:
            raise InvalidInput(f"expected a currency of the run ({', '.join(units.currencies)}), found {currency}")
        above, below = (int(one) for one in state.fx[units.currencies.index(currency)])
        equity = int(state.totals[s.S_CASH]) + int(state.totals[s.S_VALUE])
        return units.money(equity * below // above)

    def result(self, warnings: tuple[str, ...] = ()) -> SimulationResult:
        """The run up to now."""
        tags = {number: ticket.tag for number, ticket in enumerate(self._tickets) if ticket is not None and ticket.tag}
        return self._run.result(tags, warnings)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _own(self, number: int) -> tuple[s.Integers, Ticket]:
        row = self._row(number)
        ticket = self._tickets[number] if number < len(self._tickets) else None
        if ticket is None:
            raise InvalidInput(f"expected an order that was submitted, found {number}, one of a margin call")
        return row, ticket

    def _row(self, number: int) -> s.Integers:
        if not 0 <= number < self._run.state.counters[s.N_ORDERS]:
            raise InvalidInput(f"expected an order of this run (0 to {self._run.state.counters[s.N_ORDERS] - 1}), found {number}")
        row: s.Integers = self._run.state.orders[number]
        return row

    def _successor(self, number: int) -> int:
        """The order that is on its way to take the place of one."""
        later = self._run.state.orders[number + 1 : self._run.state.counters[s.N_ORDERS]]
        accepted = (later[:, s.O_REPLACES] == number) & (later[:, s.O_STATUS] != s.REJECTED)
        return number + 1 + int(accepted.argmax())

    def _group(self) -> int:
        counters = self._run.state.counters
        counters[s.C_GROUPS] += 1
        return int(counters[s.C_GROUPS])

    def _room(self, orders: int) -> None:
        state = self._run.state
        if state.counters[s.N_ORDERS] + orders > len(state.orders) or state.counters[s.N_WORKING] + orders > len(state.working):
            self._run.grow(orders)

    def _add(
        self, ticket: Ticket, *, parent: int = -1, group: int = -1, replaces: int = -1, working: bool = False
    ) -> int:
        n = self.market.row(ticket.instrument)
        self._room(1)
        state, units = self._run.state, self._run.units
        instrument = self.market.instruments[n]
        exact = ticket.quantity / instrument.lot
        lots = int(abs(exact).to_integral_value(rounding="ROUND_DOWN"))
        reason = s.W_NONE
        if ticket.quantity == 0:
            reason = s.W_ZERO
        elif ticket.quantity < 0:
            reason = s.W_NEGATIVE
        elif lots > int(units.most_lots[n]):
            reason, lots = s.W_TOO_LARGE, min(lots, s.NEVER)
        elif lots == 0:
            reason = s.W_BELOW_LOT
        elif not (instrument.tradable or instrument.notional):
            reason = s.W_NOT_TRADABLE
        elif parent >= 0 and state.orders[parent, s.O_STATUS] == s.REJECTED:
            reason = s.W_PARENT
        buys = ticket.side is Side.BUY
        moment = self.now
        active = moment + self.settings.latency_us
        number = int(kernels.add(state, n, _KINDS[ticket.kind], 1 if buys else -1, lots, moment, active))
        while len(self._tickets) < number:
            self._tickets.append(None)  # orders of margin calls lie between
        self._tickets.append(ticket)
        row = state.orders[number]
        row[s.O_TIF] = _TIMES[ticket.time_in_force]
        row[s.O_PARENT], row[s.O_GROUP], row[s.O_REPLACES] = parent, group, replaces
        row[s.O_FLAGS] = s.REDUCE_ONLY if ticket.reduce_only else 0
        if parent >= 0:
            state.orders[parent, s.O_FLAGS] |= s.PARENT
        if parent >= 0 and not working:
            row[s.O_STATUS] = s.WAITING
        try:
            if ticket.limit is not None:
                row[s.O_LIMIT] = units.price_units(n, to_tick(ticket.limit, instrument.tick, up=not buys))
            if ticket.stop is not None:
                row[s.O_STOP] = units.price_units(n, to_tick(ticket.stop, instrument.tick, up=buys))
            if ticket.trail is not None:
                row[s.O_TRAIL] = units.price_units(n, to_tick(ticket.trail, units.price(n, 1), up=True))
        except InvalidInput:
            reason = reason or s.W_NO_PRICE
        if ticket.trail_share is not None:
            row[s.O_TRAIL_E8] = int((ticket.trail_share * 100_000_000).to_integral_value(rounding="ROUND_UP"))
        if ticket.kind is OrderKind.TRAILING_STOP and (parent < 0 or working):
            last = self._last_price(n)
            if last == 0:
                reason = reason or s.W_PRICE
            else:
                kernels.trail(row, last, last)
        if reason != s.W_NONE:
            kernels.refuse(state, number, reason, moment)
            kernels.sweep_ended(state)
        return number

    def _last_price(self, n: int) -> int:
        """The last known close in price units; 0 before the first."""
        t, close = self.t, self.market.close[n]
        while t >= 0 and not close[t] > 0:
            t -= 1
        return int(price_units(close[t], self._run.state.scale[n, 0])) if t >= 0 else 0

    def _fill_now(self, number: int) -> None:
        """Under same_close a market order fills at the close that it was decided on."""
        if self.settings.fill is not FillConvention.SAME_CLOSE or self.t < 0:
            return
        state = self._run.state
        if state.orders[number, s.O_KIND] != s.MARKET:
            return
        self._run.grow(1)
        loop.fill_at_same_close(self._run.state, self._run.bars, number, self.t)
        row = self._row(number)
        traded = bool(self.market.close[row[s.O_INSTRUMENT], self.t] > 0)
        if traded and row[s.O_STATUS] == s.WORKING and row[s.O_TIF] >= s.IOC:
            kernels.end(self._run.state, number, s.CANCELLED, s.W_NOT_AT_ONCE, self.now)
        kernels.sweep_ended(self._run.state)
        loop.write_curve(self._run.state, self.t)
        self._run.check()
