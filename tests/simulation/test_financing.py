"""Borrow, interest and funding: worked by hand in decimals, and what is refused."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import ConfigError, InvalidInput, MissingData
from fieldcast.market import Instrument, Kind
from fieldcast.market.sessions import sessions_between
from fieldcast.market.tables import FUNDING
from fieldcast.simulation import _state as s
from fieldcast.simulation.events import events_of
from fieldcast.simulation.financing import BORROW_RATES, CASH_RATES, US_BORROW, BorrowTerms, InterestTerms, nights
from fieldcast.simulation.market import Market

_spec = importlib.util.spec_from_file_location("fieldcast_test_ledger", Path(__file__).with_name("ledger.py"))
ledger = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ledger)

ID = "XNAS:AAPL"
STOCK = Instrument(ID, Kind.EQUITY)
CENT = Decimal("0.01")
START = datetime(2024, 6, 1, tzinfo=UTC)


def sessions_of(closes: list[float], first: datetime) -> Market:
    """Daily bars that end at the closes of New York's sessions."""
    days = sessions_between("XNYS", first.date(), (first + timedelta(30)).date()).head(len(closes))
    row = np.array(closes)
    return Market.of_arrays(
        STOCK, days["close"].dt.epoch("us").to_numpy(), row, row, row, row, open_ts=days["open"].dt.epoch("us").to_numpy()
    )


def lent(*rates: tuple[datetime, float], id: str = ID) -> pl.DataFrame:
    return pl.DataFrame([(id, at, at, rate) for at, rate in rates], schema=BORROW_RATES, orient="row")


def benchmark(*rates: tuple[datetime, float], currency: str = "USD") -> pl.DataFrame:
    return pl.DataFrame([(currency, at, at, rate) for at, rate in rates], schema=CASH_RATES, orient="row")


def test_a_short_over_a_weekend_pays_three_nights_on_the_rounded_collateral():
    """
    1,000 shares short. Friday 7 June at 24.37: 1.02 * 24.37 = 24.8574, up to 25; 25,000 * 5 % * 3 / 360 = 10.41666..., charged
    10.42. Monday at 25.00: 25.50, up to 26; 26,000 * 5 % / 360 = 3.6111..., charged 3.62.
    """
    market = sessions_of([24.37, 25.00], datetime(2024, 6, 7, tzinfo=UTC))
    book = ledger.Ledger(market, events_of(market, borrow=lent((START, 0.05))), {"USD": "100000"})
    book.play(lambda t: book.trade(ID, "-1000", "24.00") if t == 0 else None)
    by_hand = [
        (Decimal(price) * 1000 * Decimal("0.05") * days / 360).quantize(CENT, ROUND_CEILING) for price, days in ((25, 3), (26, 1))
    ]
    assert by_hand == [Decimal("10.42"), Decimal("3.62")]
    assert book.moved(s.K_BORROW) == [-fee for fee in by_hand]


def test_the_fee_without_a_convention_is_on_the_price_and_a_long_pays_none():
    """200 * 24.37 = 4,874.00 * 3 % * 3 / 365 = 1.20180..., charged 1.21."""
    market = sessions_of([24.37, 25.00], datetime(2024, 6, 7, tzinfo=UTC))
    table = events_of(market, borrow=lent((START, 0.03)), borrow_terms=BorrowTerms(365))
    for quantity, paid in (("-200", "-1.21"), ("200", None)):
        book = ledger.Ledger(market, table, {"USD": "100000"})
        book.play(lambda t, book=book, quantity=quantity: book.trade(ID, quantity, "24.00") if t == 0 else None, last=0)
        assert book.moved(s.K_BORROW) == ([] if paid is None else [Decimal(paid)])


def test_the_rate_of_a_night_is_the_newest_that_was_known_at_its_close():
    """A rate of 8 % for Friday that is published on Saturday charges Monday's night, not Friday's."""
    market = sessions_of([100.0, 100.0], datetime(2024, 6, 7, tzinfo=UTC))
    friday, saturday = datetime(2024, 6, 7, 12, tzinfo=UTC), datetime(2024, 6, 8, 12, tzinfo=UTC)
    late = pl.DataFrame([(ID, START, START, 0.04), (ID, friday, saturday, 0.08)], schema=BORROW_RATES, orient="row")
    table = events_of(market, borrow=late, borrow_terms=BorrowTerms(360))
    assert [(row["a"], row["b"]) for row in table.frame().iter_rows(named=True)] == [(4 * 10**10, 3), (8 * 10**10, 1)]
    revised = pl.concat([late, pl.DataFrame([(ID, START, saturday, 0.5)], schema=BORROW_RATES, orient="row")])
    table = events_of(market, borrow=revised, borrow_terms=BorrowTerms(360))      # a revision of an older period is no newer rate
    assert table.a.tolist() == [4 * 10**10, 8 * 10**10]


def test_cash_below_zero_pays_the_debit_rate_for_three_nights_and_above_zero_earns_the_credit_rate():
    """
    -10,000.00 at 5.33 % + 1.5 % = 6.83 %: 3 nights 5.69166..., charged 5.70.
    50,000.00, the first 10,000 free of credit, at 5.33 % - 0.5 % = 4.83 %: 40,000 * 3 / 360 * 4.83 % = 16.10.
    """
    market = sessions_of([100.0], datetime(2024, 6, 7, tzinfo=UTC))
    terms = InterestTerms(free_of_credit=Decimal(10_000))
    table = events_of(market, rates=benchmark((START, 0.0533)), interest_terms=terms)
    for cash, moved in (("-10000", "-5.70"), ("50000", "16.10"), ("9000", None)):
        book = ledger.Ledger(market, table, {"USD": cash})
        book.play()
        assert book.moved(s.K_INTEREST) == ([] if moved is None else [Decimal(moved)])
    hand = (Decimal("-10000") * Decimal("0.0683") * 3 / 360).quantize(CENT, ROUND_FLOOR)
    assert hand == Decimal("-5.70")


def test_the_proceeds_of_a_short_sale_earn_nothing_unless_said():
    """Cash 150,000 of which 100,000 are a short's: balance 50,000 * 4.83 % * 3 / 360 = 20.125, or 150,000: 60.375."""
    market = sessions_of([100.0], datetime(2024, 6, 7, tzinfo=UTC))
    for way, moved in (("segregated", "20.12"), ("earn", "60.37")):
        table = events_of(market, rates=benchmark((START, 0.0533)), interest_terms=InterestTerms(short_proceeds=way))
        book = ledger.Ledger(market, table, {"USD": "50000"})
        book.play(lambda t, book=book: book.trade(ID, "-1000", "100.00"))
        assert book.moved(s.K_INTEREST) == [Decimal(moved)]


PERP = Instrument(
    "BINANCE:BTCUSDT-PERP", Kind.FUTURE, currency="USDT", calendar="24/7", tick=Decimal("0.10"), lot=Decimal("0.001")
)


def funding(*rows: tuple[datetime, float, float | None]) -> pl.DataFrame:
    table = [(PERP.id, at, at, rate, mark, None) for at, rate, mark in rows]
    return pl.DataFrame(table, schema=dict(FUNDING.schema), orient="row")


def eight_hours(closes: list[float]) -> Market:
    ts = np.array([int((START + timedelta(hours=8 * (n + 1))).timestamp()) * 10**6 for n in range(len(closes))])
    row = np.array(closes)
    return Market.of_arrays(PERP, ts, row, row, row, row)


@pytest.mark.parametrize(
    ("quantity", "rate", "moved"),
    [("0.5", 0.0001, "-2.1606"), ("-0.5", 0.0001, "2.1605"), ("0.5", -0.0001, "2.1605"), ("-0.5", -0.0001, "-2.1606")],
)
def test_a_long_pays_a_positive_funding_rate_and_a_short_receives_it(quantity, rate, moved):
    """0.5 BTC at a mark of 43,210.50, 0.01 %: 21,605.25 * 0.0001 = 2.160525; minimal units are 0.0001 USDT (a tick of 0.10 *
    0.001)."""
    market = eight_hours([43_200.0, 43_250.0])
    table = events_of(market, funding=funding((START + timedelta(hours=8), rate, 43_210.5)))
    book = ledger.Ledger(market, table, {"USDT": "100000"})
    book.play(lambda t: book.trade(PERP.id, quantity, "43200.0") if t == 0 else None)
    assert book.moved(s.K_FUNDING) == [Decimal(moved)]


def test_funding_falls_on_who_holds_at_its_moment_at_the_last_price_where_no_mark_is_stated():
    market = eight_hours([40_000.0, 41_000.0, 42_000.0])
    table = events_of(market, funding=funding(*((START + timedelta(hours=8 * n), 0.001, None) for n in range(4))))
    book = ledger.Ledger(market, table, {"USDT": "100000"})
    book.play(lambda t: book.trade(PERP.id, {1: "1", 2: "-1"}[t], "41000.0") if t else None)
    assert book.moved(s.K_FUNDING) == [Decimal("-41.0000")]     # of four funding times only the one at the end of bar 1


def test_nights_are_counted_to_the_next_session():
    """Thursday 3 July 2024 to Friday 5 July is two nights (Independence Day), Friday to Monday three."""
    first, last = (int(datetime(2024, 7, day, tzinfo=UTC).timestamp()) * 10**6 for day in (2, 9))
    closes, days = nights("XNYS", first, last)
    assert days.tolist() == [1, 2, 3, 1]
    assert (np.diff(closes) > 0).all()


def test_the_nights_of_a_currency_pair_end_at_17_new_york_and_its_weekend_is_fridays():
    """New York's clocks change on Sunday 10 March 2024: 17:00 is 22:00 UTC before and 21:00 after. Friday: three nights."""
    pair = Instrument("OANDA:EURUSD", Kind.FX, calendar="24/5", tick=Decimal("0.00001"))
    hours = np.arange(1_709_769_600_000_000, 1_710_270_000_000_000, 3_600_000_000)  # 7 March, 00:00 to 12 March, 18:00
    row = np.full(hours.size, 1.09)
    market = Market.of_arrays(pair, hours, row, row, row, row)
    table = events_of(market, rates=benchmark((START - timedelta(200), 0.05)))
    ends = pl.Series(table.ts).cast(pl.Datetime("us", "UTC"))
    assert [f"{end:%a %H:%M}" for end in ends] == ["Thu 22:00", "Fri 22:00", "Mon 21:00"]
    assert table.c.tolist() == [1, 3, 1]


def test_rates_that_are_missing_negative_or_of_strangers_are_refused():
    market = sessions_of([100.0, 100.0], datetime(2024, 6, 7, tzinfo=UTC))
    with pytest.raises(MissingData, match="give earlier rows"):
        events_of(market, borrow=lent((datetime(2024, 6, 9, tzinfo=UTC), 0.05)))
    with pytest.raises(InvalidInput, match="at least 0"):
        events_of(market, borrow=lent((START, -0.01)))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="finite"):
            events_of(market, borrow=lent((START, bad)))
    with pytest.raises(InvalidInput, match="XNAS:MSFT"):
        events_of(market, borrow=lent((START, 0.05), id="XNAS:MSFT"))
    with pytest.raises(InvalidInput, match="EUR"):
        events_of(market, rates=benchmark((START, 0.05), currency="EUR"))
    with pytest.raises(InvalidInput, match="missing rate"):
        events_of(market, rates=benchmark((START, 0.05)).drop("rate"))
    with pytest.raises(InvalidInput, match="shares and funds"):
        events_of(eight_hours([1.0]), borrow=lent((START, 0.05), id=PERP.id))
    with pytest.raises(InvalidInput, match="perpetual futures"):
        events_of(market, funding=funding((START, 0.1, None)).with_columns(instrument=pl.lit(ID)))
    with pytest.raises(InvalidInput, match="finite"):
        events_of(eight_hours([1.0]), funding=funding((START, float("nan"), None)))


def test_terms_that_make_no_sense_are_refused():
    for call in (
        lambda: BorrowTerms(364), lambda: BorrowTerms(360, Decimal(0)), lambda: BorrowTerms(360, Decimal(1), Decimal(-1)),
        lambda: InterestTerms(debit_spread=Decimal(-1)), lambda: InterestTerms(days_a_year=252),
        lambda: InterestTerms(short_proceeds="half"),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            call()
    assert US_BORROW.collateral_share == Decimal("1.02")
