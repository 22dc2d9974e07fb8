"""Random streams of events against a twin in exact fractions: the same cash, positions and bases, and a ledger that always
balances.

The twin knows no lots, price units or minimal units but the step of money: quantities and prices are fractions, and each rule is
written as its module states it.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.market import BARS, Instrument, Kind
from fieldcast.market.tables import ACTIONS, FUNDING
from fieldcast.simulation import _state as s
from fieldcast.simulation.currencies import Conversion, ConversionCosts, DatedRates
from fieldcast.simulation.derivatives import FutureTerms, OptionTerms
from fieldcast.simulation.event_table import micros
from fieldcast.simulation.events import events_of
from fieldcast.simulation.financing import BORROW_RATES, CASH_RATES, BorrowTerms, InterestTerms
from fieldcast.simulation.market import Market

_spec = importlib.util.spec_from_file_location("fieldcast_test_ledger", Path(__file__).with_name("ledger.py"))
ledger = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ledger)

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BARS_A_RUN = 8
LISTED = {
    "XNAS:AAA": Instrument("XNAS:AAA", Kind.EQUITY, calendar="24/7"),
    "XETR:EEE": Instrument("XETR:EEE", Kind.EQUITY, currency="EUR", calendar="24/7"),
    "XCME:FFF": Instrument("XCME:FFF", Kind.FUTURE, calendar="24/7", tick=Decimal("0.25"), multiplier=Decimal(50)),
    "HYPERLIQUID:PPP-PERP": Instrument("HYPERLIQUID:PPP-PERP", Kind.FUTURE, calendar="24/7", lot=Decimal("0.001")),
    "OPRA:OOO": Instrument("OPRA:OOO", Kind.OPTION, calendar="24/7", multiplier=Decimal(100)),
}
SHARE, EURO, FUTURE, PERPETUAL, CALL = LISTED
EURUSD = Instrument("OANDA:EURUSD", Kind.FX, currency="USD", calendar="24/7", tick=Decimal("0.00001"))
BORROW = BorrowTerms(360, Decimal("1.02"), Decimal("0.5"))
INTEREST = InterestTerms(Decimal("0.015"), Decimal("0.005"), Decimal(1000), 360)
RATIOS = (Fraction(2), Fraction(3, 2), Fraction(1, 10), Fraction(7), Fraction(1, 7), Fraction(21, 20))
CONVERSION = ConversionCosts(Decimal("1.5"), Decimal("0.7"), Decimal("0.25"))


def exact(value: float) -> Fraction:
    return Fraction(repr(float(value)))


@dataclass
class Twin:
    """The account in fractions. `step` is the smallest amount of money."""

    step: Fraction
    rate: Fraction
    cash: dict[str, Fraction]
    quantity: dict[str, Fraction] = field(default_factory=lambda: dict.fromkeys(LISTED, Fraction(0)))
    basis: dict[str, Fraction] = field(default_factory=lambda: dict.fromkeys(LISTED, Fraction(0)))
    mark: dict[str, Fraction] = field(default_factory=lambda: dict.fromkeys(LISTED, Fraction(0)))

    def down(self, amount: Fraction) -> Fraction:
        return math.floor(amount / self.step) * self.step

    def nearest(self, value: Fraction, step: Fraction) -> Fraction:
        return round(value / step) * step

    def worth(self, id: str) -> Fraction:
        return self.quantity[id] * self.mark[id] * Fraction(LISTED[id].multiplier)

    def trade(self, id: str, quantity: Fraction, price: Fraction) -> None:
        held, multiplier = self.quantity[id], Fraction(LISTED[id].multiplier)
        closing = min(abs(held), abs(quantity)) if held * quantity < 0 else Fraction(0)
        side = 1 if quantity > 0 else -1
        leaving = self.down(self.basis[id] * closing / abs(held)) if closing else Fraction(0)
        opened = side * (abs(quantity) - closing) * price * multiplier
        margined = LISTED[id].kind is Kind.FUTURE
        self.cash[LISTED[id].currency] += (
            -side * closing * price * multiplier - leaving if margined else -quantity * price * multiplier
        )
        self.quantity[id] += quantity
        self.basis[id] += opened - leaving
        self.mark[id] = price

    # -- the rules -----------------------------------------------------------------------------------------------------

    def dividend(self, id: str, amount: Fraction) -> None:
        self.cash[LISTED[id].currency] += self.down(self.quantity[id] * amount)

    def split(self, id: str, ratio: Fraction) -> None:
        held = self.quantity[id]
        whole = math.floor(abs(held) * ratio) * (1 if held > 0 else -1)
        rest = held * ratio - whole
        if rest:
            self.cash[LISTED[id].currency] += self.down(rest / ratio * self.mark[id])
            self.basis[id] -= self.down(self.basis[id] * rest / (held * ratio))
        self.quantity[id] = Fraction(whole)
        self.mark[id] = self.nearest(self.mark[id] / ratio, Fraction(1, 100))

    def borrow(self, id: str, rate: Fraction) -> None:
        if self.quantity[id] < 0:
            step = Fraction(BORROW.collateral_step)
            price = math.ceil(self.mark[id] * Fraction(BORROW.collateral_share) / step) * step
            self.cash[LISTED[id].currency] += self.down(self.quantity[id] * price * rate / BORROW.days_a_year)

    def interest(self, currency: str, rate: Fraction) -> None:
        paid = [id for id, one in LISTED.items() if one.currency == currency and one.kind is not Kind.FUTURE]
        balance = self.cash[currency] + sum(min(self.worth(id), 0) for id in paid)
        if balance < 0:
            self.cash[currency] += self.down(balance * (rate + Fraction(INTEREST.debit_spread)) / 360)
        else:
            earning = max(balance - Fraction(INTEREST.free_of_credit), Fraction(0))
            self.cash[currency] += self.down(earning * max(rate - Fraction(INTEREST.credit_spread), Fraction(0)) / 360)

    def funding(self, id: str, rate: Fraction, mark: Fraction | None) -> None:
        price = self.mark[id] if mark is None else mark
        notional = self.down(self.quantity[id] * price)
        self.cash[LISTED[id].currency] += self.down(-notional * rate)

    def settle(self, id: str) -> None:
        self.cash[LISTED[id].currency] += self.worth(id) - self.basis[id]
        self.basis[id] = self.worth(id)

    def end(self, id: str) -> None:
        self.settle(id)
        self.quantity[id] = self.basis[id] = Fraction(0)

    def expire(self, id: str, under: str, strike: Fraction) -> None:
        held, spot = self.quantity[id], self.mark[under]
        self.quantity[id] = self.basis[id] = Fraction(0)
        if held and spot - strike >= Fraction(1, 100):
            shares = held * 100
            self.trade(under, shares, spot)
            self.cash["USD"] += shares * (spot - strike)

    def convert(self, amount: Fraction | None) -> None:
        there = max(self.cash["EUR"], Fraction(0))
        sold = there if amount is None else min(amount, there)
        if not sold:
            return
        price = Fraction(math.floor(self.rate * (1 - Fraction(CONVERSION.half_spread_bps) / 10_000) * 10**12), 10**12)
        bought = self.down(sold * price)
        fee = max(-self.down(-bought * Fraction(CONVERSION.commission_bps) / 10_000), Fraction(CONVERSION.minimum_commission))
        self.cash["EUR"] -= sold
        self.cash["USD"] += bought - min(fee, bought)


@dataclass
class Stream:
    """One random market with its tables, its trades by bar, and its events in the twin's terms by moment."""

    market: Market
    tables: dict[str, object]
    trades: dict[int, list[tuple[str, int, float]]]
    wanted: list[tuple[int, int, str, tuple]]


def frame(rows: list[tuple], schema: dict) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def random_stream(seed: int) -> Stream:
    """Prices on the tick, trades at closes on even bars, and every kind of event at random moments between them."""
    rng = np.random.default_rng(seed)
    ends = [START + DAY * (t + 1) for t in range(BARS_A_RUN)]
    closes = {
        SHARE: rng.integers(500, 30_000, BARS_A_RUN) / 100, EURO: rng.integers(500, 30_000, BARS_A_RUN) / 100,
        FUTURE: rng.integers(4_000, 24_000, BARS_A_RUN) / 4, PERPETUAL: rng.integers(10_000, 9_000_000, BARS_A_RUN) / 100,
        CALL: rng.integers(1, 3_000, BARS_A_RUN) / 100,
    }  # fmt: skip
    tables_of_bars = {
        id: frame([(id, ts, ts, c, c, c, c, 100.0, None) for ts, c in zip(ends, row, strict=True)], BARS)
        for id, row in closes.items()
    }
    market = Market.of(tables_of_bars, LISTED, bar_length_us=20 * 3_600_000_000)
    used: set[datetime] = set()

    def moment(most: int = BARS_A_RUN - 1) -> datetime:
        while True:
            found = START + DAY * int(rng.integers(1, most)) + timedelta(seconds=int(rng.integers(1, 86_400)))
            if found not in used:
                used.add(found)
                return found

    wanted: list[tuple[int, int, str, tuple]] = []
    actions, funding = [], []
    for id in (SHARE, EURO):
        for _ in range(int(rng.integers(1, 4))):
            at, amount = moment(), int(rng.integers(1, 30_000)) / 10_000
            actions.append((id, at, at, at, "dividend", None, amount, None, None))
            wanted.append((micros(at), 10, "dividend", (id, exact(amount))))
    for _ in range(int(rng.integers(0, 3))):
        at = moment()
        ratio = RATIOS[int(rng.integers(len(RATIOS)))]
        actions.append((EURO, at, at, at, "split", float(ratio), None, None, None))
        wanted.append((micros(at), 11, "split", (EURO, ratio)))
    for _ in range(int(rng.integers(1, 5))):
        at, rate = moment(), int(rng.integers(-3_000, 3_000)) / 10**6
        mark = None if rng.random() < 0.5 else int(rng.integers(10_000, 9_000_000)) / 1000
        funding.append((PERPETUAL, at, at, rate, mark, None))
        wanted.append((micros(at), 2, "funding", (PERPETUAL, exact(rate), None if mark is None else exact(mark))))
    early = START - DAY
    yearly = {id: int(rng.integers(0, 8_000)) / 10_000 for id in (SHARE, EURO)}
    cash_rates = {currency: int(rng.integers(-100, 900)) / 10_000 for currency in ("USD", "EUR")}
    nights = [at for at in ends if micros(at) >= int(market.open_ts[0])]
    expiry = START + DAY * 7
    for at in nights:
        for id, rate in yearly.items():
            wanted.append((micros(at), 7, "borrow", (id, exact(rate))))
        for currency, rate in cash_rates.items():
            wanted.append((micros(at), 8, "interest", (currency, exact(rate))))
        if at <= expiry:
            wanted.append((micros(at), 1, "settle", (FUTURE,)) if at < expiry else (micros(at), 4, "end", (FUTURE,)))
    strike = int(rng.integers(500, 30_000)) / 100
    option_end = moment()
    wanted.append((micros(option_end), 5, "expire", (CALL, SHARE, exact(strike))))
    changes = [(START, 1.1)] + [(moment(), int(rng.integers(90_000, 130_000)) / 100_000) for _ in range(3)]
    for at, rate in changes[1:]:
        wanted.append((micros(at), 0, "rate", (exact(rate),)))
    conversions = []
    for _ in range(int(rng.integers(0, 3))):
        at, amount = moment(), None if rng.random() < 0.3 else int(rng.integers(100, 10**7)) / 100
        conversions.append(Conversion(at, "EUR", "USD", None if amount is None else Decimal(repr(amount))))
        wanted.append((micros(at), 9, "convert", (None if amount is None else exact(amount),)))
    fx = frame([(EURUSD.id, at, at, rate, rate, rate, rate, None, None) for at, rate in sorted(changes)], BARS)
    trades: dict[int, list[tuple[str, int, float]]] = {}
    for t in range(BARS_A_RUN):
        for id in LISTED:
            if rng.random() < 0.5 and (id != CALL or ends[t] < option_end) and (id != FUTURE or ends[t] < expiry):
                size = int(rng.integers(1, 2_000 if id != FUTURE else 20)) * (1 if rng.random() < 0.5 else -1)
                trades.setdefault(t, []).append((id, size, float(closes[id][t])))
    tables: dict[str, object] = {
        "actions": frame(actions, dict(ACTIONS.schema)),
        "funding": frame(funding, dict(FUNDING.schema)),
        "borrow": frame([(id, early, early, rate) for id, rate in yearly.items()], BORROW_RATES),
        "borrow_terms": BORROW,
        "rates": frame([(currency, early, early, rate) for currency, rate in cash_rates.items()], CASH_RATES),
        "interest_terms": INTEREST,
        "contracts": [
            FutureTerms(FUTURE, expiry, Decimal(2), Decimal(1)),
            OptionTerms(CALL, SHARE, "call", Decimal(repr(strike)), option_end, style="european"),
        ],
        "fx": DatedRates(fx, [EURUSD], longest_age=30 * DAY),
        "conversions": conversions,
        "conversion_costs": CONVERSION,
    }
    return Stream(market, tables, trades, wanted)


def play(seed: int) -> int:
    """Kernel and twin through one stream; how many events took place."""
    stream = random_stream(seed)
    market = stream.market
    cash = {"USD": "250000", "EUR": "-20000" if seed % 3 == 0 else "150000"}
    book = ledger.Ledger(market, events_of(market, "USD", **stream.tables), cash, "USD")
    step = Fraction(1, 10**book.units.cash_decimals)
    twin = Twin(step, Fraction(11, 10), {name: Fraction(amount) for name, amount in cash.items()})
    first, last = int(market.open_ts[0]), int(market.ts[-1])
    due = []
    places = {name: place for names in (LISTED, ("USD", "EUR")) for place, name in enumerate(names)}
    for ts, order, name, arguments in stream.wanted:
        if not first <= ts <= last:
            continue
        at_open = name in ("dividend", "split")
        bar = int(np.searchsorted(market.ts, ts, side="right" if at_open else "left"))
        if bar == market.bars:
            continue
        moment = 2 * bar if at_open or ts <= market.open_ts[bar] else 2 * bar + 1
        due.append((moment, ts, order, places.get(arguments[0], 0), name, arguments))
    due.sort(key=lambda one: one[:4])
    place = 0

    def apply(step_of_clock: int) -> None:
        nonlocal place
        while place < len(due) and due[place][0] <= step_of_clock:
            name, arguments = due[place][4], due[place][5]
            if name == "rate":
                twin.rate = arguments[0]
            else:
                getattr(twin, name)(*arguments)
            place += 1

    def compare() -> None:
        for currency in ("USD", "EUR"):
            assert Fraction(book.cash(currency)) == twin.cash[currency], (seed, currency)
        for n, id in enumerate(LISTED):
            assert Fraction(book.held(id)) == twin.quantity[id], (seed, id)
            assert Fraction(int(book.state.position[n, s.P_BASIS])) * step == twin.basis[id], (seed, id)

    for t in range(market.bars):
        book.events_until(2 * t, t)
        apply(2 * t)
        compare()
        for id, lots, price in stream.trades.get(t, []):
            quantity = Decimal(lots) * LISTED[id].lot
            book.trade(id, str(quantity), repr(price))
            twin.trade(id, Fraction(quantity), exact(price))
        for n, id in enumerate(LISTED):
            twin.mark[id] = exact(market.close[n, t])
            book.state.position[n, s.P_MARK] = round(market.close[n, t] * 10 ** int(book.units.price_decimals[n]))
            s.remark(book.state, n)
        book.events_until(2 * t + 1, t)
        apply(2 * t + 1)
        compare()
    assert place == len(due)
    assert book.cursor == len(book.state.events)
    return place


def test_random_streams_of_events_equal_their_twin_and_balance_after_each_event():
    assert sum(play(seed) for seed in range(4)) > 140


@pytest.mark.slow
def test_a_thousand_random_streams_equal_their_twin_and_balance_after_each_event():
    assert sum(play(seed) for seed in range(1_000)) > 40_000
