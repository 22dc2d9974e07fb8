"""An account played through bars without orders: positions are set by trades at stated prices, events are applied by the kernel.

`Ledger` is what tests of money through time share; the simulator's own loop is tested where orders are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal

import numpy as np

from fieldcast.market import Kind
from fieldcast.simulation import _kernels_fill as f
from fieldcast.simulation import _state as s
from fieldcast.simulation._kernels_account import move
from fieldcast.simulation._kernels_events import apply_event
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.events import event_rows
from fieldcast.simulation.market import Market
from fieldcast.simulation.units import Units


class Ledger:
    """One account on a market.

    Parameters
    ----------
    cash : currency -> amount at the start
    half_spread_bps, fee_share_e8 : what the two legs of a roll cost
    """

    def __init__(
        self, market: Market, table: EventTable, cash: Mapping[str, str], base: str | None = None,
        half_spread_bps: float = 0.0, fee_share_e8: int = 0,
    ) -> None:  # fmt: skip
        self.market = market
        self.units = units = Units.of(market, base, currencies=table.currencies)
        count, money = len(market.instruments), len(units.currencies)
        events = event_rows(table, market, units)
        instrument = np.zeros((count, s.INSTRUMENT_COLUMNS), dtype=np.int64)
        for n, one in enumerate(market.instruments):
            instrument[n, s.I_CURRENCY] = units.currency[n]
            instrument[n, s.I_TICK] = units.tick[n]
            instrument[n, s.I_FACTOR] = units.factor[n]
            instrument[n, s.I_STYLE] = s.MARGINED if one.kind is Kind.FUTURE else s.PAID
            instrument[n, s.I_MOST_LOTS] = units.most_lots[n]
            instrument[n, s.I_INITIAL] = instrument[n, s.I_MAINTENANCE] = 10**8
            instrument[n, s.I_PRICE_SCALE] = 10 ** int(units.price_decimals[n])
            fees = instrument[n, s.I_FEES :]
            fees[f.FEE_SHARE] = fees[f.FEE_MAKER_SHARE] = fee_share_e8
            fees[f.FEE_CAP] = fees[f.FEE_ACTIVITY_MOST] = -1
            fees[f.FEE_STEP] = units.cent
        scale = np.array([[10.0 ** int(p), float(1 / lot)] for p, lot in zip(units.price_decimals, units.lot, strict=True)])
        room = (len(events) + 100) * 8
        costs = np.zeros((3, count, 1))
        costs[0] = half_spread_bps
        fx = np.zeros((money, 2), dtype=np.int64)
        fx[:, 1] = 1
        fx[0, 0] = 1
        self.state = s.State(
            counters=np.zeros(s.COUNTERS, dtype=np.int64), totals=np.zeros(s.TOTALS, dtype=np.int64),
            cash=np.zeros(money, dtype=np.int64), instrument=instrument,
            position=np.zeros((count, s.POSITION_COLUMNS), dtype=np.int64),
            orders=np.zeros((100, s.ORDER_COLUMNS), dtype=np.int64), working=np.zeros(100, dtype=np.int64),
            fills=np.zeros((room, s.FILL_COLUMNS), dtype=np.int64), journal=np.zeros((room, s.JOURNAL_COLUMNS), dtype=np.int64),
            events=events, curve=np.zeros((5, market.bars), dtype=np.int64), fx=fx,
            rules=np.zeros(s.RULES, dtype=np.int64), scale=scale, costs=costs,
            options=np.zeros((0, s.OPTION_COLUMNS), dtype=np.int64),
        )  # fmt: skip
        for currency, amount in cash.items():
            self._post(s.K_DEPOSIT, -1, units.currencies.index(currency), {s.A_CASH: 1, s.A_CAPITAL: -1}, Decimal(amount))
        self.cursor = 0
        self.seen: Callable[[int], None] = lambda row: None

    def _post(self, kind: int, n: int, currency: int, parts: Mapping[int, int], amount: Decimal) -> None:
        event = s.next_event(self.state)
        for account, sign in parts.items():
            s.post(self.state, event, 0, kind, account, n, currency, sign * self.units.minor(amount))
        self.state.totals[s.S_CASH] = s.cash_in_base(self.state)

    # -- what a test does --------------------------------------------------------------------------------------------

    def trade(self, instrument: str, quantity: str, price: str) -> None:
        """A fill without costs; below zero sells."""
        n = self.market.row(instrument)
        lots, units = self.units.lots(n, Decimal(quantity)), self.units.price_units(n, Decimal(price))
        state, currency = self.state, int(self.units.currency[n])
        realised, cash, basis = move(state, n, 1 if lots > 0 else -1, abs(lots), units, 0)
        event = s.next_event(state)
        for account, amount in ((s.A_CASH, cash), (s.A_POSITION, basis), (s.A_REALISED, -realised)):
            s.post(state, event, 0, s.K_FILL, account, n, currency, amount)
        state.position[n, s.P_MARK] = units
        s.remark(state, n)
        state.totals[s.S_CASH] = s.cash_in_base(state)

    def events_until(self, step: int, t: int) -> None:
        state = self.state
        while self.cursor < len(state.events) and state.events[self.cursor, s.EV_STEP] <= step:
            apply_event(state, self.cursor, t)
            self.check()
            self.seen(self.cursor)
            self.cursor += 1

    def play(self, at_open: Callable[[int], None] = lambda t: None, last: int | None = None) -> None:
        """Every bar: events before it, what the test does at its open, its closes, events within it."""
        state, market = self.state, self.market
        for t in range(market.bars if last is None else last + 1):
            self.events_until(2 * t, t)
            at_open(t)
            for n in range(len(market.instruments)):
                close = market.close[n, t]
                if close > 0:
                    state.position[n, s.P_MARK] = round(close * 10 ** int(self.units.price_decimals[n]))
                    s.remark(state, n)
            self.events_until(2 * t + 1, t)
            state.curve[0, t], state.curve[1, t] = state.totals[s.S_CASH], state.totals[s.S_VALUE]
            self.check()

    # -- what it answers ---------------------------------------------------------------------------------------------

    def cash(self, currency: str | None = None) -> Decimal:
        return self.units.money(int(self.state.cash[0 if currency is None else self.units.currencies.index(currency)]))

    def held(self, instrument: str) -> Decimal:
        n = self.market.row(instrument)
        return self.units.quantity(n, int(self.state.position[n, s.P_LOTS]))

    def equity(self) -> Decimal:
        return self.units.money(int(self.state.totals[s.S_CASH] + self.state.totals[s.S_VALUE]))

    def postings(self, kind: int) -> list[tuple[int, int, int]]:
        """(event, account, amount) of one kind."""
        rows = self.state.journal[: self.state.counters[s.N_JOURNAL]]
        return [(int(row[s.J_EVENT]), int(row[s.J_ACCOUNT]), int(row[s.J_AMOUNT])) for row in rows if row[s.J_KIND] == kind]

    def moved(self, kind: int) -> list[Decimal]:
        """What each event of a kind did to cash."""
        return [self.units.money(amount) for _, account, amount in self.postings(kind) if account == s.A_CASH]

    def fills(self) -> np.ndarray:
        return self.state.fills[: self.state.counters[s.N_FILLS]]

    # -- conservation ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every event sums to zero in each currency; cash and positions at cost are what the ledger says; equity is their
        value."""
        state, units = self.state, self.units
        assert state.counters[s.C_ERROR] == s.NO_ERROR, int(state.counters[s.C_ERROR])
        sums: dict[tuple[int, int], int] = defaultdict(int)
        accounts: dict[tuple[int, int, int], int] = defaultdict(int)
        for row in state.journal[: state.counters[s.N_JOURNAL]].tolist():
            sums[row[s.J_EVENT], row[s.J_CURRENCY]] += row[s.J_AMOUNT]
            accounts[row[s.J_ACCOUNT], row[s.J_INSTRUMENT] if row[s.J_ACCOUNT] == s.A_POSITION else -1, row[s.J_CURRENCY]] += (
                row[s.J_AMOUNT]
            )
        assert set(sums.values()) <= {0}
        for currency, held in enumerate(state.cash.tolist()):
            assert held == accounts[s.A_CASH, -1, currency]
        worth = 0
        for n, row in enumerate(state.position.tolist()):
            paid = state.instrument[n, s.I_STYLE] == s.PAID
            assert accounts[s.A_POSITION, n, int(units.currency[n])] == (row[s.P_BASIS] if paid else 0)
            value = row[s.P_LOTS] * row[s.P_MARK] * int(units.factor[n])
            assert row[s.P_VALUE] == (value if paid else value - row[s.P_BASIS])
            worth += self._base(row[s.P_VALUE], int(units.currency[n]))
        assert state.totals[s.S_VALUE] == worth
        assert state.totals[s.S_CASH] == sum(self._base(amount, c) for c, amount in enumerate(state.cash.tolist()))

    def _base(self, amount: int, currency: int) -> int:
        above, below = (int(one) for one in self.state.fx[currency])
        return amount if currency == 0 else amount * above // below
