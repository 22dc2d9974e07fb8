"""Events in the simulator's own loop: with orders, trades, margins and results around them. Worked by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from fieldcast.data.actions import action_rows
from fieldcast.ground import ConfigError, InvalidInput
from fieldcast.market import BARS, Instrument, Kind
from fieldcast.simulation.derivatives import FutureTerms, OptionTerms
from fieldcast.simulation.events import events_of
from fieldcast.simulation.financing import BORROW_RATES
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import OrderKind, Ticket

ID = "XNAS:AAPL"
STOCK = Instrument(ID, Kind.EQUITY)
FREE = CostModel(half_spread_bps=Decimal(0), slippage_bps=Decimal(0), commission_bps=Decimal(0))
Row = tuple[float, float, float, float]


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def market_of(instrument: Instrument, rows: list[Row], first: date = date(2024, 6, 6)) -> Market:
    """Daily bars (open, high, low, close) of weekdays that end at 20:00 UTC and begin at 13:30."""
    days = [first + timedelta(n) for n in range(30) if (first + timedelta(n)).weekday() < 5]
    table = [(instrument.id, at(day), at(day), *row, 1e6, None) for day, row in zip(days, rows, strict=False)]
    return Market.of({instrument.id: pl.DataFrame(table, schema=BARS, orient="row")}, [instrument], bar_length_us=23_400_000_000)


SPLIT_ROWS: list[Row] = [
    (700.0, 705.0, 690.0, 700.0), (700.0, 705.0, 698.0, 700.0), (100.0, 101.0, 98.0, 99.0), (99.0, 104.0, 99.0, 103.0),
    (104.0, 105.0, 103.0, 104.0),
]  # fmt: skip


def test_a_limit_order_that_is_open_over_a_split_fills_at_its_new_price_and_size():
    """
    Friday: a limit to buy 10 at 693.00 stays open (low 698.00). Monday, 7 for 1: it is one for 70 at 99.00, filled at 99.00 (low
    98.00). Ten shares bought on Friday at the open of 700.00 are 70, sold on Wednesday at the open of 104.00: 70 * 4.00 = 280.00
    gained.
    """
    market = market_of(STOCK, SPLIT_ROWS)
    events = events_of(market, actions=action_rows(ID, [date(2024, 6, 10)], [7.0]))
    venue = Simulator(market, VenueSettings(costs=FREE), events=events)
    venue.advance()
    venue.submit(Ticket(ID, Side.BUY, Decimal(10)))
    limit = venue.submit(Ticket(ID, Side.BUY, Decimal(10), OrderKind.LIMIT, limit=Decimal(693)))
    venue.advance()
    assert (venue.position(ID), venue.account().equity) == (Decimal(10), Decimal(100_000))
    venue.advance()
    assert venue.position(ID) == Decimal(140)
    assert venue.order(limit).filled == Decimal(70)
    assert venue.account().equity == Decimal(100_000) - 70       # 70 at 99.00 for 100.00, and 70 bought at 99.00
    venue.submit(Ticket(ID, Side.SELL, Decimal(140)))
    venue.advance(2)
    result = venue.result()
    result.verify()
    fills = result.fills.select("side", "quantity", "price").rows()
    assert fills == [("BUY", 10.0, 700.0), ("BUY", 70.0, 99.0), ("SELL", 140.0, 99.0)]
    trades = result.trades.select("quantity", "entry_price", "exit_price", "gross", "mfe", "mae").rows()
    # the first entry is 70 at 100.00: best 705 / 700, worst 98 * 7 / 700
    assert trades[0] == pytest.approx((70.0, 100.0, 99.0, -70.0, 101 / 100 - 1, 98 / 100 - 1))
    assert trades[1][:4] == pytest.approx((70.0, 99.0, 99.0, 0.0))
    assert venue.account().equity == Decimal(99_930)


def test_a_short_that_pays_a_dividend_and_borrow_ends_with_what_the_journal_says():
    """
    Short 100 at Friday's open, 50.00. Friday's close 49.00: collateral 49.98, up to 50.00: 5,000 * 7.2 % * 3 / 360 = 3.00.
    Dividend of Monday 0.50: -50.00. Monday's close 48.00: 48.96, up to 49: 4,900 * 7.2 % / 360 = 0.98. Bought back on Tuesday at
    47.00: +300.00.
    """
    rows: list[Row] = [(50.0, 50.0, 50.0, 50.0), (50.0, 50.0, 49.0, 49.0), (48.5, 48.5, 48.0, 48.0), (47.0, 47.0, 47.0, 47.0)]
    market = market_of(STOCK, rows)
    early = datetime(2024, 6, 1, tzinfo=UTC)
    lent = pl.DataFrame([(ID, early, early, 0.072)], schema=BORROW_RATES, orient="row")
    events = events_of(market, actions=action_rows(ID, [date(2024, 6, 10)], None, [0.5]), borrow=lent)
    venue = Simulator(market, VenueSettings(costs=FREE), events=events)
    venue.advance()
    venue.submit(Ticket(ID, Side.SELL, Decimal(100)))
    venue.advance(2)
    venue.submit(Ticket(ID, Side.BUY, Decimal(100)))
    venue.advance()
    assert venue.account().equity == Decimal(100_000) + 300 - 50 - 3 - Decimal("0.98")
    journal = venue.result().journal
    sums = journal.group_by("account").agg(pl.col("amount_minor").sum()).rows()
    assert dict(sums) == {
        "cash": 10_024_602, "capital": -10_000_000, "position": 0, "realised": -30_000, "dividends": 5_000, "borrow": 398,
    }  # fmt: skip
    assert journal.group_by("event_id").agg(pl.col("amount_minor").sum())["amount_minor"].unique().to_list() == [0]


ES = Instrument("XCME:ES.2024M", Kind.FUTURE, calendar="24/7", tick=Decimal("0.25"), multiplier=Decimal(50))
ES_ROWS: list[Row] = [(5000.0, 5000.0, 5000.0, 5000.0)] * 2 + [(5000.0, 5000.0, 4960.0, 4960.0), (4960.0, 4960.0, 4960.0, 4960.0)]
ES_TERMS = FutureTerms(ES.id, datetime(2024, 6, 21, 21, tzinfo=UTC), Decimal(12_000), Decimal(11_000))


def es_account(cash: str) -> Simulator:
    market = market_of(ES, ES_ROWS)
    margins = {ES.id: Margin.per_contract(ES_TERMS.initial_margin, ES_TERMS.maintenance_margin)}
    settings = VenueSettings(cash={"USD": Decimal(cash)}, costs=FREE, margins=margins)
    venue = Simulator(market, settings, events=events_of(market, contracts=[ES_TERMS]))
    venue.advance()
    return venue


def test_a_future_needs_its_margin_a_contract_and_no_more():
    """24,000.00 carry two contracts of 250,000 each, not three, and not two with a cent less."""
    for cash, contracts, status in (("24000", 2, "filled"), ("24000", 3, "rejected"), ("23999.99", 2, "rejected")):
        venue = es_account(cash)
        order = venue.submit(Ticket(ES.id, Side.BUY, Decimal(contracts)))
        venue.advance()
        assert venue.order(order).status == status
        if status == "filled":
            account = venue.account()
            assert (account.initial_margin, account.maintenance_margin, account.equity) == (24_000, 22_000, 24_000)
            assert account.cash["USD"] == Decimal(24_000)       # only changes in value are paid


@pytest.mark.parametrize(("cash", "closed"), [("24000", True), ("26000", False)])
def test_a_future_below_its_maintenance_margin_is_closed_at_the_next_open(cash, closed):
    """Two contracts lose 40.00 * 100 = 4,000.00 at Monday's close: 20,000.00 do not carry 22,000.00 of maintenance, 22,000.00
    do."""
    venue = es_account(cash)
    venue.submit(Ticket(ES.id, Side.BUY, Decimal(2)))
    venue.advance(2)
    assert venue.account().equity == Decimal(cash) - 4_000
    venue.advance()
    assert venue.position(ES.id) == (0 if closed else 2)
    assert venue.account().cash["USD"] == Decimal(cash) - 4_000       # what was lost has been paid
    assert venue.result().orders["margin_call"].sum() == (1 if closed else 0)


def test_margins_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="need nothing"):
        Margin(Decimal(0), Decimal(0))
    with pytest.raises(ConfigError, match="maintenance margin a unit"):
        Margin.per_contract(Decimal(1), Decimal(2))
    with pytest.raises(ConfigError, match="in `margins`"):
        VenueSettings(margin=Margin.per_contract(Decimal(2), Decimal(1)))


def test_a_future_that_is_paid_in_full_cannot_be_settled_each_day():
    market = market_of(ES, ES_ROWS)
    settings = VenueSettings(cash={"USD": Decimal(1_000_000)}, costs=FREE, margined=())
    with pytest.raises(ConfigError, match="among `margined`"):
        Simulator(market, settings, events=events_of(market, contracts=[ES_TERMS]))


def test_an_amount_beyond_63_bits_stops_the_run_with_the_bar_named():
    """1e10 shares at 0.01 and a dividend of 4e7 each: 4e19 cents."""
    rows: list[Row] = [(0.01, 0.01, 0.01, 0.01)] * 4
    market = market_of(STOCK, rows)
    events = events_of(market, actions=action_rows(ID, [date(2024, 6, 10)], None, [4e7]))
    venue = Simulator(market, VenueSettings(cash={"USD": Decimal(10**9)}, costs=FREE), events=events)
    venue.advance()
    venue.submit(Ticket(ID, Side.BUY, Decimal(10**10)))
    venue.advance()
    with pytest.raises(InvalidInput, match=r"63 bits at bar"):
        venue.advance()


def test_an_index_option_is_held_by_targets_beside_an_index_that_is_only_watched():
    """One call of 5,000 bought at 40.00 settles in cash on the index's close of 5,055.25: 100 * (55.25 - 40.00) = +1,525.00."""
    index = Instrument("XCBO:SPX", Kind.INDEX, calendar="24/7", tradable=False)
    call = Instrument("OPRA:C5000", Kind.OPTION, calendar="24/7", multiplier=Decimal(100))
    days = [date(2024, 6, 3) + timedelta(n) for n in range(4)]
    prices = {index.id: (5000.0, 5010.0, 5055.25, 5060.0), call.id: (40.0, 40.0, 55.0, 0.01)}
    tables = {
        id: [(id, at(day), at(day), p, p, p, p, 1e3, None) for day, p in zip(days, row, strict=True)]
        for id, row in prices.items()
    }
    frames = {id: pl.DataFrame(rows, BARS, orient="row") for id, rows in tables.items()}
    market = Market.of(frames, [index, call])
    end = OptionTerms(call.id, index.id, "call", Decimal(5000), at(days[2]), "european", "cash")
    settings = VenueSettings(costs=FREE, size="units")
    targets = np.array([[0.0] * 4, [1.0] * 4])
    result = run_targets(targets, market, settings, events=events_of(market, contracts=[end]))
    assert result.equity["equity"].to_list() == [100_000.0, 100_000.0, 101_525.0, 101_525.0]
    assert result.trades.select("instrument", "entry_price", "exit_price", "gross").rows() == [(call.id, 40.0, 55.25, 1525.0)]
    with pytest.raises(InvalidInput, match="can be held"):
        run_targets(np.ones((2, 4)), market, settings)
