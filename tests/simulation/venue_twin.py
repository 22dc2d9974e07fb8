"""The simulated venue again, in plain Python with decimals: slow, readable, written from the rules and not from the kernels.

It plays one market in one currency with instruments paid in full. Money is Decimal and exact, prices are those of
`trading.CostModel`
(itself tested against fractions), so that any difference from the compiled venue is a difference of rules or of arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np

from fieldcast.ground import InvalidInput
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Intrabar, Shortfall, UntrustedOpen, VenueSettings
from fieldcast.trading import Side
from fieldcast.trading.order_kinds import Bracket, OrderKind, Ticket, TimeInForce

ZERO = Decimal(0)
AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
STOPS = (OrderKind.STOP, OrderKind.STOP_LIMIT, OrderKind.TRAILING_STOP)


@dataclass
class Order:
    number: int
    ticket: Ticket
    lots: int
    created: int
    active: int
    limit: Decimal | None = None
    stop: Decimal | None = None
    status: str = "working"
    reason: str | None = None
    filled: int = 0
    taken: int = 0
    parent: Order | None = None
    group: int | None = None
    replaces: int | None = None
    withdrawn_from: int | None = None
    replacing: bool = False
    triggered: bool = False
    forced: bool = False
    born: tuple[int, str] | None = None
    born_at: Decimal = ZERO
    acted: tuple[int, str] | None = None
    reduce_only: bool = False

    @property
    def left(self) -> int:
        return self.lots - self.filled - self.taken

    @property
    def sign(self) -> int:
        return self.ticket.side.sign

    @property
    def alive(self) -> bool:
        return self.status in ("working", "waiting")

    @property
    def waits_for_stop(self) -> bool:
        return self.ticket.kind in STOPS and not self.triggered

    @property
    def rests_at_limit(self) -> bool:
        return self.ticket.kind is OrderKind.LIMIT or (self.ticket.kind is OrderKind.STOP_LIMIT and self.triggered)


@dataclass
class Fill:
    order: int
    n: int
    ts: int
    source: int
    side: int
    lots: int
    price: Decimal
    reference: Decimal
    fee: Decimal
    realised: Decimal
    convention: str


@dataclass
class Holding:
    lots: int = 0
    basis: Decimal = ZERO
    mark: Decimal | None = None
    opened_day: int = 0
    used: int = 0


@dataclass
class Bar:
    opened: Decimal | None
    high: Decimal
    low: Decimal
    close: Decimal
    volume: float


def decimal_price(value: float) -> Decimal:
    return Decimal(repr(float(value))).normalize() + 0


@dataclass
class Twin:
    market: Market
    settings: VenueSettings
    smallest: Decimal
    price_step: list[Decimal]
    largest: list[int]
    orders: list[Order] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    equity: list[Decimal] = field(default_factory=list)
    t: int = -1
    groups: int = 0
    day: int = 0
    day_equity: Decimal = ZERO
    day_trades: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cash = sum(self.settings.cash.values(), ZERO)
        self.start = self.cash
        self.held = [Holding() for _ in self.market.instruments]
        self.day_equity = self.cash

    # -- sending -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return int(self.market.ts[self.t]) if self.t >= 0 else int(self.market.open_ts[0])

    def submit(self, order: Ticket | Bracket) -> Order:
        if isinstance(order, Ticket):
            return self.add(order)
        entry = self.add(order.entry)
        self.groups += 1
        for child in order.children():
            self.add(child, parent=entry, group=self.groups)
        return entry

    def one_cancels_other(self, tickets: list[Ticket]) -> None:
        self.groups += 1
        for ticket in tickets:
            self.add(ticket, group=self.groups)

    def add(self, ticket: Ticket, *, parent: Order | None = None, group: int | None = None, replaces: int | None = None,
            works: bool = False) -> Order:  # fmt: skip
        n = self.market.row(ticket.instrument)
        instrument = self.market.instruments[n]
        lots = int(abs(ticket.quantity) / instrument.lot)
        order = Order(len(self.orders), ticket, lots, self.now, self.now + self.settings.latency_us, parent=parent, group=group,
                      replaces=replaces, reduce_only=ticket.reduce_only)  # fmt: skip
        buys = ticket.side is Side.BUY
        if ticket.limit is not None:
            order.limit = self.grid(ticket.limit, instrument.tick, up=not buys)
        if ticket.stop is not None:
            order.stop = self.grid(ticket.stop, instrument.tick, up=buys)
        if parent is not None and not works:
            order.status = "waiting"
        self.orders.append(order)
        if ticket.quantity == 0:
            self.end(order, "rejected", "quantity_zero")
        elif ticket.quantity < 0:
            self.end(order, "rejected", "quantity_negative")
        elif lots > self.largest[n]:
            self.end(order, "rejected", "quantity_too_large")
        elif lots == 0:
            self.end(order, "rejected", "below_lot")
        elif parent is not None and parent.status == "rejected":
            self.end(order, "rejected", "parent_ended")
        elif ticket.kind is OrderKind.TRAILING_STOP and (parent is None or works):
            closes = [value for value in self.market.close[n, : self.t + 1] if value > 0]
            if not closes:
                self.end(order, "rejected", "price_missing")
            else:
                self.follow(order, decimal_price(closes[-1]), decimal_price(closes[-1]))
        return order

    def cancel(self, order: Order) -> None:
        if not order.alive:
            return
        if order.replacing:     # the withdrawal arrives after the change, and takes back what has taken its place
            changed = [one for one in self.orders if one.replaces == order.number and one.status != "rejected"]
            self.cancel(changed[0])
            return
        moment = self.now + self.settings.latency_us
        order.withdrawn_from = moment if order.withdrawn_from is None else min(order.withdrawn_from, moment)
        if moment <= self.now:
            self.end(order, "cancelled", "cancelled")

    def replace(self, order: Order, ticket: Ticket) -> Order:
        new = self.add(ticket, parent=order.parent, group=order.group, replaces=order.number, works=order.status == "working")
        if new.status == "rejected":
            return new
        if ticket.kind is OrderKind.TRAILING_STOP:
            new.stop = order.stop
        order.withdrawn_from, order.replacing = self.now + self.settings.latency_us, True
        if order.withdrawn_from <= self.now:
            self.end(order, "replaced", "replaced")
        elif order.group is None:
            self.groups += 1
            order.group = new.group = self.groups
        return new

    # -- one bar -----------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        self.t += 1
        t, market = self.t, self.market
        for holding in self.held:
            holding.used = 0
        if t == 0 or market.session[t] != market.session[t - 1]:
            self.day += 1
            self.day_equity = self.worth()
        self.at_open(t)
        ended = set()
        for order in list(self.orders):
            n = market.row(order.ticket.instrument)
            if order.status == "working" and n not in ended and self.bar(n, t) is not None:
                ended.add(n)
                bar = self.bar(n, t)
                if self.settings.intrabar is Intrabar.OHLC and bar.opened is not None:
                    self.along_path(n, t, bar)
                else:
                    self.worst_first(n, t, bar)
        self.at_close(t)
        for n in range(len(self.held)):
            bar = self.bar(n, t)
            if bar is not None:
                self.held[n].mark = bar.close
        self.equity.append(self.worth())
        self.call_margin(t)

    def bar(self, n: int, t: int) -> Bar | None:
        market = self.market
        if not market.close[n, t] > 0:
            return None
        close = decimal_price(market.close[n, t])
        opened = decimal_price(market.open[n, t]) if market.trusted_open[n, t] and market.open[n, t] > 0 else None
        known = [close] if opened is None else [opened, close]
        high = decimal_price(market.high[n, t]) if market.high[n, t] > 0 else max(known)
        low = decimal_price(market.low[n, t]) if market.low[n, t] > 0 else min(known)
        return Bar(opened, high, low, close, float(market.volume[n, t]))

    def at_open(self, t: int) -> None:
        moment, ended = int(self.market.open_ts[t]), int(self.market.ts[t])
        for order in list(self.orders):
            if not order.alive or self.withdraws(order, moment):
                continue
            kind = order.ticket.kind
            if order.status == "waiting" or order.active > moment or order.born == (t, "open"):
                continue
            if kind is OrderKind.MARKET_ON_CLOSE:
                continue
            n = self.market.row(order.ticket.instrument)
            bar = self.bar(n, t)
            if bar is None:
                continue
            if bar.opened is None:
                if self.settings.untrusted_open is UntrustedOpen.REJECT and kind in (OrderKind.MARKET, OrderKind.MARKET_ON_OPEN):
                    missing = not self.market.open[n, t] > 0
                    self.refuse(order, "price_missing" if missing else "next_open_refused")
                continue
            acts = True
            if order.waits_for_stop:
                acts = order.sign * (bar.opened - order.stop) >= 0
                order.triggered = acts
            elif kind is OrderKind.MARKET_ON_OPEN and not self.edge_of_session(n, t, -1):
                continue
            if order.rests_at_limit:
                acts = order.sign * (order.limit - bar.opened) >= 0
            if acts:
                self.fill(order, bar.opened, t, bar.volume, moment, ended, "next_open", (t, "open"))
            if order.ticket.time_in_force in AT_ONCE and order.status == "working":
                self.end(order, "cancelled", "not_at_once")

    def in_play(self, n: int, t: int) -> list[Order]:
        """Orders that may act inside bar t, in order of arrival."""
        return [
            order
            for order in self.orders
            if order.status == "working"
            and self.market.row(order.ticket.instrument) == n
            and order.acted != (t, "bar")
            and (order.waits_for_stop or order.rests_at_limit)
            and (order.active <= self.market.open_ts[t] or (order.born is not None and order.born[0] == t))
        ]

    def worst_first(self, n: int, t: int, bar: Bar) -> None:
        ended, here = int(self.market.ts[t]), (t, "bar")
        low, high = bar.low, bar.high
        def stops(born_here: bool) -> None:
            for order in list(self.orders):
                if order not in self.in_play(n, t) or not order.waits_for_stop:
                    continue
                born = order.born == here
                if born_here and not born:
                    continue
                start = order.born_at if born else bar.opened
                if start is not None and order.sign * (start - order.stop) >= 0:
                    level = start
                elif (high >= order.stop) if order.sign > 0 else (low <= order.stop):
                    level = order.stop if start is not None else (high if order.sign > 0 else low)
                else:
                    continue
                self.trigger(order, level, t, bar.volume)
        stops(born_here=False)
        for order in list(self.orders):
            if order not in self.in_play(n, t) or not order.rests_at_limit or order.born == here:
                continue
            if bar.opened is not None and order.sign * (order.limit - bar.opened) >= 0:
                level = bar.opened
            elif self.reaches(order, low if order.sign > 0 else high):
                level = min(order.limit, high) if order.sign > 0 else max(order.limit, low)
            else:
                continue
            order.acted = here
            self.fill(order, level, t, bar.volume, ended, ended, "intrabar", here)
        stops(born_here=True)
        for order in self.in_play(n, t):
            if order.ticket.kind is OrderKind.TRAILING_STOP:
                self.follow(order, *((bar.close, bar.close) if order.born == here else (bar.high, bar.low)))

    def reaches(self, order: Order, extreme: Decimal) -> bool:
        beyond = order.sign * (order.limit - extreme)
        return beyond > 0 or (self.settings.limit_touch and beyond == 0)

    def along_path(self, n: int, t: int, bar: Bar) -> None:
        ended, here = int(self.market.ts[t]), (t, "bar")
        turns = [bar.high, bar.low] if bar.close < bar.opened else [bar.low, bar.high]
        price = bar.opened
        for goal in (*turns, bar.close):
            while True:
                met = []
                for place, order in enumerate(self.in_play(n, t)):
                    if order.waits_for_stop:
                        if order.sign * (price - order.stop) >= 0:
                            met.append((ZERO, 0, place, price, order))
                        elif order.sign * (goal - order.stop) >= 0:
                            met.append((abs(order.stop - price), 0, place, order.stop, order))
                    else:
                        touches = self.settings.limit_touch and order.limit in (price, goal)
                        if order.sign * (order.limit - price) > 0:
                            met.append((ZERO, 1, place, price, order))
                        elif order.sign * (order.limit - goal) > 0 or touches:
                            met.append((abs(order.limit - price), 1, place, order.limit, order))
                if not met:
                    break
                _, _, _, price, order = min(met, key=lambda one: one[:3])
                if order.waits_for_stop:
                    self.trigger(order, price, t, bar.volume)
                    if order.status == "working" and order.rests_at_limit and order.born == here:
                        order.acted = None
                else:
                    order.acted = here
                    self.fill(order, price, t, bar.volume, ended, ended, "intrabar", here)
            price = goal
            for order in self.in_play(n, t):
                if order.ticket.kind is OrderKind.TRAILING_STOP:
                    self.follow(order, goal, goal)

    def trigger(self, order: Order, level: Decimal, t: int, volume: float) -> None:
        ended, here = int(self.market.ts[t]), (t, "bar")
        order.triggered, order.acted = True, here
        if order.ticket.kind is OrderKind.STOP_LIMIT and order.sign * (order.limit - level) < 0:
            order.born, order.born_at = here, level
            return
        self.fill(order, level, t, volume, ended, ended, "intrabar", here)

    def at_close(self, t: int) -> None:
        moment, opened = int(self.market.ts[t]), int(self.market.open_ts[t])
        for order in list(self.orders):
            kind, tif = order.ticket.kind, order.ticket.time_in_force
            if not order.alive or (kind is not OrderKind.MARKET_ON_CLOSE and tif is not TimeInForce.DAY):
                continue
            n = self.market.row(order.ticket.instrument)
            bar = self.bar(n, t)
            if bar is None or not self.edge_of_session(n, t, 1):
                continue
            if kind is OrderKind.MARKET_ON_CLOSE and order.active < moment and order.status == "working":
                if self.withdraws(order, moment):
                    continue
                self.fill(order, bar.close, t, bar.volume, moment, moment, "on_close", (t, "bar"))
            here = order.active <= opened or (order.born is not None and order.born[0] == t)
            if tif is TimeInForce.DAY and order.status == "working" and here:
                self.end(order, "expired", "day_over")

    def edge_of_session(self, n: int, t: int, step: int) -> bool:
        k = t + step
        while 0 <= k < self.market.bars and self.market.session[k] == self.market.session[t]:
            if self.market.close[n, k] > 0:
                return False
            k += step
        return True

    def withdraws(self, order: Order, moment: int) -> bool:
        if order.withdrawn_from is None or order.withdrawn_from > moment:
            return False
        self.end(order, *(("replaced", "replaced") if order.replacing else ("cancelled", "cancelled")))
        return True

    # -- one fill ----------------------------------------------------------------------------------------------------

    def fill(self, order: Order, level: Decimal, t: int, volume: float, ts: int, source: int, convention: str,
             segment: tuple[int, str]) -> None:  # fmt: skip
        n = self.market.row(order.ticket.instrument)
        holding, instrument = self.held[n], self.market.instruments[n]
        wanted = order.left
        if order.parent is not None:
            wanted = min(wanted, order.parent.filled - order.filled - order.taken)
        if wanted <= 0:
            return
        if order.reduce_only:
            wanted = min(wanted, max(0, -order.sign * holding.lots))
            if wanted <= 0:
                self.end(order, "cancelled", "nothing_to_reduce")
                return
        if self.settings.volume_share is not None:
            share = 0
            if volume > 0:
                share = int(np.floor(volume * float(self.settings.volume_share) / float(instrument.lot) + 1e-9))
            room = max(0, share - holding.used)
            if room < wanted:
                if order.ticket.time_in_force is TimeInForce.FOK:
                    self.end(order, "cancelled", "not_at_once")
                    return
                wanted = room
        if wanted == 0:
            return
        after = holding.lots + order.sign * wanted
        grows = abs(after) > abs(holding.lots) or after * holding.lots < 0
        if abs(after) > self.largest[n] and abs(after) > abs(holding.lots):
            self.refuse(order, "quantity_too_large")
            return
        if after < 0 and order.sign < 0 and not self.settings.shorts:
            self.refuse(order, "no_shorts")
            return
        watched = self.settings.pattern_day_trader and grows and self.day_equity < self.settings.pattern_equity
        if watched and len(self.day_trades) >= 3 and self.day - self.day_trades[-3] < 5:
            self.refuse(order, "pattern_day_trader")
            return
        cut = False
        if order.sign * holding.lots < 0 and wanted <= abs(holding.lots):
            if self.priced(order, wanted, level, n, volume) is None:
                self.refuse(order, "volume_not_reported")
                return
        else:
            why = self.cannot(order, wanted, level, n, volume)
            may_cut = self.settings.shortfall is Shortfall.CUT and order.ticket.time_in_force is not TimeInForce.FOK
            if why in ("insufficient_cash", "insufficient_margin") and may_cut:
                closing = abs(holding.lots) if order.sign * holding.lots < 0 else 0
                below, above = 0, wanted
                while above - below > 1:
                    middle = (below + above) // 2
                    below, above = (middle, above) if self.cannot(order, middle, level, n, volume) is None else (below, middle)
                wanted = max(below, closing)
                if wanted > 0:
                    why, cut = None, True
            if why is not None:
                self.refuse(order, why)
                return
        price, fee = self.priced(order, wanted, level, n, volume)
        realised = self.settle(n, order.sign, wanted, price, fee)
        first = order.filled == 0
        self.fills.append(
            Fill(order.number, n, ts, source, order.sign, wanted, price, level, fee, realised, convention)
        )
        holding.mark = level
        holding.used += wanted
        before = holding.lots - order.sign * wanted
        if before * order.sign < 0 and holding.opened_day == self.day and first:
            self.day_trades.append(self.day)
        if before * order.sign >= 0 or wanted > abs(before):
            holding.opened_day = self.day
        self.booked(order, wanted, level, segment)
        if cut and order.status == "working":
            self.end(order, "cancelled", "cut_to_cash")

    def priced(self, order: Order, lots: int, level: Decimal, n: int, volume: float) -> tuple[Decimal, Decimal] | None:
        instrument, costs = self.market.instruments[n], self.settings.costs
        quantity = instrument.lot * lots
        limit = order.limit if order.rests_at_limit else None
        if limit is not None and level == limit:
            price = limit
        else:
            try:
                price = costs.fill_price(order.ticket.side, level, instrument.tick, quantity=quantity, volume=volume)
            except InvalidInput:
                return None
            if limit is not None:
                price = min(price, limit) if order.sign > 0 else max(price, limit)
        maker = limit is not None and level == limit
        return price, costs.commission(price, quantity, instrument.multiplier, side=order.ticket.side, maker=maker)

    def value(self, n: int, lots: int, price: Decimal) -> Decimal:
        instrument = self.market.instruments[n]
        return lots * instrument.lot * instrument.multiplier * price

    def worth(self) -> Decimal:
        return self.cash + sum((self.value(n, one.lots, one.mark) for n, one in enumerate(self.held) if one.lots), ZERO)

    def needed(self, share: str) -> Decimal:
        total = ZERO
        for n, one in enumerate(self.held):
            if one.lots:
                margin = self.settings.margin_of(self.market.instruments[n].id)
                part = abs(self.value(n, one.lots, one.mark)) * getattr(margin, share)
                total += part.quantize(self.smallest, ROUND_CEILING)
        return total

    def cannot(self, order: Order, lots: int, level: Decimal, n: int, volume: float) -> str | None:
        """Why the account does not carry these lots: done on a copy, and looked at."""
        made = self.priced(order, lots, level, n, volume)
        if made is None:
            return "volume_not_reported"
        one = self.held[n]
        kept = (self.cash, one.lots, one.basis, one.mark)
        self.settle(n, order.sign, lots, *made)
        one.mark = level
        borrows = any(margin.initial < 1 for margin in (self.settings.margin, *self.settings.margins.values()))
        why = None
        if not borrows and self.cash < kept[0] and self.cash < 0:
            why = "insufficient_cash"
        elif self.worth() < self.needed("initial"):
            why = "insufficient_margin" if borrows else "insufficient_cash"
        self.cash, one.lots, one.basis, one.mark = kept
        return why

    def settle(self, n: int, sign: int, lots: int, price: Decimal, fee: Decimal) -> Decimal:
        """Cash and average-cost basis after a fill; what was realised."""
        one = self.held[n]
        self.cash -= sign * self.value(n, lots, price) + fee
        realised = ZERO
        closing = min(lots, abs(one.lots)) if sign * one.lots < 0 else 0
        if closing:
            leaving = one.basis if closing == abs(one.lots) else (one.basis * closing / abs(one.lots)).quantize(
                self.smallest, ROUND_FLOOR
            )  # fmt: skip
            realised = -sign * self.value(n, closing, price) - leaving
            one.basis -= leaving
        one.basis += sign * self.value(n, lots - closing, price)
        one.lots += sign * lots
        return realised

    # -- what hangs on it --------------------------------------------------------------------------------------------

    def booked(self, order: Order, lots: int, level: Decimal, segment: tuple[int, str]) -> None:
        order.filled += lots
        if order.left == 0:
            order.status = "filled"
            if order.taken:
                self.settle_children(order)
        for other in self.orders:
            if other is order or not other.alive:
                continue
            if other.parent is order and other.status == "waiting":
                other.status = "working"
                if other.active <= self.fills[-1].ts:
                    other.active, other.born, other.born_at = self.fills[-1].ts, segment, level
                if other.ticket.kind is OrderKind.TRAILING_STOP:
                    self.follow(other, level, level)
            elif order.group is not None and other.group == order.group:
                other.taken += min(lots, other.left)
                if other.left == 0:
                    self.end(other, "cancelled", "other_filled")

    def settle_children(self, order: Order) -> None:
        for child in self.orders:
            if child.parent is order and child.alive:
                child.lots = order.filled
                if child.left == 0:
                    child.status = "filled" if child.filled else "cancelled"
                    child.reason = None if child.filled else "parent_ended"

    def end(self, order: Order, status: str, reason: str) -> None:
        order.status, order.reason = status, reason
        self.settle_children(order)

    def refuse(self, order: Order, reason: str) -> None:
        self.end(order, "rejected" if order.filled == 0 else "cancelled", reason)

    def follow(self, order: Order, high: Decimal, low: Decimal) -> None:
        ticket, step = order.ticket, self.price_step[self.market.row(order.ticket.instrument)]
        best = high if order.sign < 0 else low
        distance = (ticket.trail if ticket.trail is not None else best * ticket.trail_share).quantize(step, ROUND_CEILING)
        stop = best + order.sign * distance
        if order.stop is None or order.sign * (order.stop - stop) > 0:
            order.stop = stop

    def call_margin(self, t: int) -> None:
        short_of = self.needed("maintenance")
        worth = self.worth()
        done: set[int] = set()
        while worth < short_of:
            sizes = [
                (abs(self.value(n, one.lots, one.mark)), -n) for n, one in enumerate(self.held) if one.lots and n not in done
            ]
            if not sizes:
                return
            size, place = max(sizes)
            n = -place
            done.add(n)
            instrument = self.market.instruments[n]
            short_of -= (size * self.settings.margin_of(instrument.id).maintenance).quantize(self.smallest, ROUND_CEILING)
            if any(one.forced and one.status == "working" and one.ticket.instrument == instrument.id for one in self.orders):
                continue
            lots = self.held[n].lots
            ticket = Ticket(instrument.id, Side.SELL if lots > 0 else Side.BUY, instrument.lot * abs(lots), reduce_only=True)
            self.orders.append(
                Order(len(self.orders), ticket, abs(lots), self.now, self.now, forced=True, reduce_only=True,
                      reason="margin_call")
            )  # fmt: skip

    @staticmethod
    def grid(price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
        return max((price / tick).to_integral_value(rounding=ROUND_CEILING if up else ROUND_FLOOR) * tick, tick)


def twin_of(market: Market, settings: VenueSettings, units: Any) -> Twin:
    """A twin with the scales of the compiled venue."""
    return Twin(
        market, settings, Decimal(1).scaleb(-units.cash_decimals),
        [Decimal(1).scaleb(-int(places)) for places in units.price_decimals], [int(most) for most in units.most_lots],
    )  # fmt: skip
