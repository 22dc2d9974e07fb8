"""Splits, dividends and delistings of a simulated account: worked by hand, and what is refused."""

from __future__ import annotations

import importlib.util
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data.actions import action_rows
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind
from fieldcast.simulation import _state as s
from fieldcast.simulation.corporate import corporate_events, exact_ratio
from fieldcast.simulation.event_table import EventKind, EventTable, make
from fieldcast.simulation.events import event_rows, events_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.units import Units

_spec = importlib.util.spec_from_file_location("fieldcast_test_ledger", Path(__file__).with_name("ledger.py"))
ledger = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ledger)

ID = "XNAS:AAPL"
STOCK = Instrument(ID, Kind.EQUITY)
EX = date(2024, 6, 10)


def daily(closes: list[float], instrument: Instrument = STOCK, first: date = date(2024, 6, 6)) -> Market:
    """Bars that end at 20:00 UTC on weekdays and begin where the one before ended, as bars without a known open do."""
    days = [first + timedelta(n) for n in range(20) if (first + timedelta(n)).weekday() < 5][: len(closes)]
    ts = np.array([int(datetime(day.year, day.month, day.day, 20, tzinfo=UTC).timestamp()) * 10**6 for day in days])
    row = np.array(closes)
    return Market.of_arrays(instrument, ts, row, row, row, row)


def actions(ratio: float | None = None, amount: float | None = None, day: date = EX, id: str = ID) -> pl.DataFrame:
    return action_rows(id, [day], [ratio], [amount])


def account(market: Market, table: pl.DataFrame, quantity: str, cash: str = "100000", price: str | None = None):
    book = ledger.Ledger(market, events_of(market, actions=table), {"USD": cash})
    book.trade(ID, quantity, price or f"{market.close[0, 0]:.2f}")
    return book


def test_a_split_multiplies_the_position_before_the_open_of_the_ex_date():
    """100 shares bought at 700.00, 7 for 1 on Monday: 700 shares of basis 70,000.00; the mark of Friday, 693.00, is 99.00."""
    market = daily([700.0, 693.0, 100.0])
    book = account(market, actions(7.0), "100")
    seen = []
    book.play(lambda t: seen.append((book.held(ID), int(book.state.position[0, s.P_MARK]), book.equity())))
    assert seen == [
        (Decimal(100), 70000, Decimal("100000.00")), (Decimal(100), 70000, Decimal("100000.00")),
        (Decimal(700), 9900, Decimal("99300.00")),
    ]
    assert book.equity() == Decimal("100000") - 70_000 + 700 * Decimal("100.00")
    assert book.state.position[0, s.P_BASIS] == 7_000_000
    assert book.postings(s.K_SPLIT) == []


def test_a_fraction_of_a_share_is_paid_at_the_last_price_before_the_split():
    """
    105 shares at 2.00, 1 for 10: 10 shares, and half a new share = 5 old ones at 2.00 = 10.00, basis 5/105 of 210.00 = 10.00.
    Short 7 at 10.01, 3 for 2: 10 shares short, and half a new share = 1/3 old one: 10.01 / 3 = 3.3367 is charged as 3.34.
    """
    book = account(daily([2.0, 2.0, 20.0]), actions(0.1), "105")
    book.play()
    assert (book.held(ID), book.moved(s.K_SPLIT)) == (Decimal(10), [Decimal("10.00")])
    assert book.state.position[0, s.P_BASIS] == 20000
    short = account(daily([10.01, 10.01, 6.67]), actions(1.5), "-7")
    short.play()
    assert (short.held(ID), short.moved(s.K_SPLIT)) == (Decimal(-10), [Decimal("-3.34")])
    # basis -70.07; 1 of 21 parts leaves: floor(-3.33666...) = -3.34; realised -3.34 - -3.34 = 0
    assert short.state.position[0, s.P_BASIS] == -7007 + 334


def test_a_dividend_is_paid_on_the_shares_before_a_split_of_the_same_day_and_charged_to_a_short():
    """Short 300 x 0.2475 = -74.25; 7 long x 0.0333 = 0.2331 is 0.23, 7 short pay 0.24."""
    both = action_rows(ID, [EX], [2.0], [0.2475])
    book = account(daily([50.0, 50.0, 25.0]), both, "-300")
    book.play()
    assert (book.moved(s.K_DIVIDEND), book.held(ID)) == ([Decimal("-74.25")], Decimal(-600))
    for quantity, paid in (("7", "0.23"), ("-7", "-0.24")):
        book = account(daily([50.0, 50.0, 50.0]), actions(amount=0.0333), quantity)
        book.play()
        assert book.moved(s.K_DIVIDEND) == [Decimal(paid)]


def order(book, row: int, **columns: int) -> None:
    fields = book.state.orders[row]
    fields[s.O_PARENT] = fields[s.O_GROUP] = fields[s.O_REPLACES] = -1
    for name, value in columns.items():
        fields[getattr(s, f"O_{name}")] = value
    book.state.working[book.state.counters[s.N_WORKING]] = row
    book.state.counters[s.N_WORKING] += 1
    book.state.counters[s.N_ORDERS] = row + 1


def test_working_orders_follow_a_split_away_from_the_market():
    """
    3 for 1: a limit to buy 100 at 700.00 becomes 300 at 233.33 (down), one to sell at 700.00 becomes 233.34 (up); a stop to sell
    at 650.00 is 216.66 (down), one to buy at 650.00 is 216.67 (up).
    """
    book = account(daily([690.0, 690.0, 230.0]), actions(3.0), "100")
    order(book, 0, KIND=s.LIMIT, SIDE=1, LOTS=100, LEFT=100, LIMIT=70000)
    order(book, 1, KIND=s.LIMIT, SIDE=-1, LOTS=100, LEFT=60, LIMIT=70000)
    order(book, 2, KIND=s.STOP, SIDE=-1, LOTS=1, LEFT=1, STOP=65000)
    order(book, 3, KIND=s.STOP, SIDE=1, LOTS=1, LEFT=1, STOP=65000)
    book.play()
    rows = book.state.orders
    assert rows[:4, [s.O_LIMIT, s.O_STOP]].tolist() == [[23333, 0], [23334, 0], [0, 21666], [0, 21667]]
    assert rows[:4, [s.O_LOTS, s.O_LEFT]].tolist() == [[300, 300], [300, 180], [3, 3], [3, 3]]
    assert book.state.counters[s.N_WORKING] == 4


def test_an_order_of_less_than_a_share_after_a_reverse_split_is_cancelled_with_its_reason():
    book = account(daily([2.0, 2.0, 20.0]), actions(0.1), "100")
    order(book, 0, KIND=s.LIMIT, SIDE=1, LOTS=9, LEFT=9, LIMIT=150)
    order(book, 1, KIND=s.LIMIT, SIDE=1, LOTS=19, LEFT=19, LIMIT=150)
    book.play()
    assert book.state.orders[0, [s.O_STATUS, s.O_REASON]].tolist() == [s.CANCELLED, s.W_BELOW_LOT]
    assert book.state.orders[1, [s.O_STATUS, s.O_LEFT, s.O_LIMIT]].tolist() == [s.WORKING, 1, 1500]
    assert book.state.working[: book.state.counters[s.N_WORKING]].tolist() == [1]


def test_the_children_of_a_filled_bracket_still_cover_the_position_after_a_split():
    """The parent (done) has filled 10; stop and target are for 10; 2 for 1 makes both, and what the parent counts as filled,
    20."""
    book = account(daily([50.0, 50.0, 25.0]), actions(2.0), "10")
    order(book, 0, KIND=s.MARKET, SIDE=1, LOTS=10, LEFT=0, STATUS=s.FILLED)
    book.state.counters[s.N_WORKING] = 0
    order(book, 1, KIND=s.STOP, SIDE=-1, LOTS=10, LEFT=10, STOP=4500, PARENT=0, GROUP=0)
    order(book, 2, KIND=s.LIMIT, SIDE=-1, LOTS=10, LEFT=10, LIMIT=6000, PARENT=0, GROUP=0)
    book.play()
    from fieldcast.simulation._kernels_orders import available

    assert [available(book.state, row) for row in (1, 2)] == [20, 20]
    assert (book.state.orders[1, s.O_STOP], book.state.orders[2, s.O_LIMIT]) == (2250, 3000)


def test_a_delisting_pays_out_and_ends_the_orders():
    """100 shares of basis 10.00 at 0.05: 5.00, a realised loss of 995.00."""
    market = daily([10.0, 10.0, 10.0])
    moment = datetime(2024, 6, 8, tzinfo=UTC)
    book = ledger.Ledger(market, events_of(market, delistings={ID: (moment, Decimal("0.05"))}), {"USD": "2000"})
    book.trade(ID, "100", "10.00")
    order(book, 0, KIND=s.LIMIT, SIDE=1, LOTS=9, LEFT=9, LIMIT=150)
    book.play()
    assert (book.held(ID), book.cash(), book.moved(s.K_DELISTING)) == (Decimal(0), Decimal("1005.00"), [Decimal("5.00")])
    assert book.state.position[0, s.P_REALISED] == -99500
    assert book.state.orders[0, s.O_REASON] == s.W_NOT_TRADABLE
    assert book.fills()[0, [s.F_ORDER, s.F_SIDE, s.F_LOTS, s.F_PRICE, s.F_CONVENTION]].tolist() == [-1, -1, 100, 5, s.AT_EVENT]


@pytest.mark.parametrize(
    ("value", "new", "old"), [(7.0, 7, 1), (1.5, 3, 2), (1 / 7, 1, 7), (0.1, 1, 10), (1.0273, 10273, 10000), (1.05, 21, 20)]
)
def test_ratios_are_the_fractions_that_they_mean(value, new, old):
    ratio = exact_ratio(value, ID)
    assert (ratio.numerator, ratio.denominator) == (new, old)


def test_what_is_no_action_of_the_run_is_refused_by_name():
    market = daily([10.0, 10.0, 10.0])
    with pytest.raises(InvalidInput, match="XNAS:MSFT"):
        events_of(market, actions=actions(2.0, id="XNAS:MSFT"))
    for bad in (-2.0, float("inf")):
        with pytest.raises(InvalidInput, match="ratio above zero"):
            events_of(market, actions=actions(2.0).with_columns(ratio=pl.lit(bad)))
    with pytest.raises(InvalidInput, match="ratio above zero"):
        events_of(market, actions=actions(2.0).with_columns(ratio=pl.lit(None, dtype=pl.Float64)))
    for bad in (float("nan"), None):
        with pytest.raises(InvalidInput, match="finite"):
            events_of(market, actions=actions(amount=1.0).with_columns(amount=pl.lit(bad, dtype=pl.Float64)))
    with pytest.raises(InvalidInput, match="at least 0"):
        events_of(market, actions=actions(amount=1.0).with_columns(amount=pl.lit(-1.0)))
    with pytest.raises(InvalidInput, match="spinoff"):
        events_of(market, actions=actions(2.0).with_columns(action=pl.lit("spinoff")))
    coin = Instrument("BINANCE:BTCUSDT", Kind.CRYPTO, currency="USDT", calendar="24/7")
    with pytest.raises(InvalidInput, match="shares and funds"):
        corporate_events((coin,), ("USDT",), actions(2.0, id=coin.id))


def test_of_an_action_announced_twice_the_newest_announcement_is_played():
    early, late = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 30, tzinfo=UTC)
    rows = [
        action_rows(ID, [EX], None, [amount], announced=[moment]) for amount, moment in ((0.10, early), (0.30, late))
    ]
    book = account(daily([50.0, 50.0, 50.0]), pl.concat(rows), "10")
    book.play()
    assert book.moved(s.K_DIVIDEND) == [Decimal("3.00")]


def test_events_out_of_order_or_of_another_market_are_refused():
    none = np.zeros(2, dtype=np.int64)
    table = make((ID,), ("USD",), EventKind.DIVIDEND, np.array([5, 7]), instrument=0, currency=0, a=1)
    columns = {**table.columns(), "ts": np.array([7, 5])}
    with pytest.raises(InvalidInput, match="in order of time"):
        EventTable((ID,), ("USD",), **columns)
    with pytest.raises(InvalidInput, match="instrument from -1 to 0"):
        make((ID,), ("USD",), EventKind.DIVIDEND, none, instrument=3)
    with pytest.raises(InvalidInput, match="kinds from 0"):
        EventTable((ID,), ("USD",), **{**table.columns(), "kind": np.array([14, 14])})
    market = daily([10.0, 10.0])
    other = make(("XNAS:MSFT",), ("USD",), EventKind.DIVIDEND, none, instrument=0, currency=0)
    with pytest.raises(InvalidInput, match="events of XNAS:AAPL"):
        event_rows(other, market, Units.of(market))


def test_an_event_counts_at_the_open_where_it_came_by_then_and_an_ex_date_always():
    """A bar that begins where the last one ended (Friday 20:00) holds Monday's ex-date: the dividend still comes before its
    open."""
    market = daily([50.0, 50.0, 50.0])
    table = events_of(market, actions=actions(amount=0.5))
    assert event_rows(table, market, Units.of(market))[:, s.EV_STEP].tolist() == [4]
    cut = make((ID,), ("USD",), EventKind.DELIST, market.ts + np.array([-1, 0, 1]), instrument=0)
    assert event_rows(cut, market, Units.of(market))[:, s.EV_STEP].tolist() == [1, 3]    # the third comes after the last bar
