"""Cash in several currencies: dated rates as they were known, conversions with their costs, value in the base currency."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.fx_rates import FxRates
from fieldcast.ground import ConfigError, InvalidInput, MissingData
from fieldcast.market import BARS, Instrument, Kind
from fieldcast.simulation import _state as s
from fieldcast.simulation.currencies import Conversion, ConversionCosts, DatedRates
from fieldcast.simulation.event_table import micros
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market

_spec = importlib.util.spec_from_file_location("fieldcast_test_ledger", Path(__file__).with_name("ledger.py"))
ledger = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ledger)

SAP = Instrument("XETR:SAP", Kind.EQUITY, currency="EUR", calendar="XETR")
FRIDAY, MONDAY = datetime(2024, 3, 8, 22, tzinfo=UTC), datetime(2024, 3, 11, 21, tzinfo=UTC)
FREE = ConversionCosts(Decimal(0), Decimal(0))


def pair(symbol: str) -> Instrument:
    return Instrument(f"OANDA:{symbol}", Kind.FX, currency=symbol[3:], calendar="24/5", tick=Decimal("0.00001"))


def quotes(symbol: str, *rows: tuple[datetime, datetime, float]) -> pl.DataFrame:
    id, reason = f"OANDA:{symbol}", "volume_not_reported"
    table = [(id, ts, known, close, close, close, close, None, reason) for ts, known, close in rows]
    return pl.DataFrame(table, schema=BARS, orient="row")


def rates(**closes: list[tuple[datetime, float]]) -> DatedRates:
    table = pl.concat([quotes(symbol, *((ts, ts, close) for ts, close in rows)) for symbol, rows in closes.items()])
    return DatedRates(table, [pair(symbol) for symbol in closes])


WEEKEND = {"EURUSD": [(FRIDAY, 1.0938), (MONDAY, 1.0926)], "USDJPY": [(FRIDAY, 147.06)], "GBPUSD": [(FRIDAY, 1.2858)]}


def sap(moments: list[datetime], closes: list[float]) -> Market:
    row = np.array(closes)
    ends = np.array([micros(moment) for moment in moments])
    return Market.of_arrays(SAP, ends, row, row, row, row, open_ts=ends - 6 * 3_600_000_000)


def test_a_euro_share_in_a_dollar_account_is_worth_its_euros_at_the_rate_known_then():
    """
    250,000.00 USD and 100,000.00 EUR, 500 shares bought at 170.00 EUR. Friday 18:00, before EURUSD's close of Friday is known
    (rate of Thursday 1.0950): cash 15,000 EUR, shares 500 * 172.50 = 86,250 EUR; 250,000 + 16,425.00 + 94,443.75 = 360,868.75
    USD. Monday 17:00 the newest rate is Friday's, 1.0938: shares at 171.00, 85,500 EUR: 250,000 + 16,407.00 + 93,519.90 =
    359,926.90. Tuesday 17:00 it is Monday's, 1.0926, and the shares have not moved: 120.60 USD less = 0.0012 * 100,500.
    """
    thursday = datetime(2024, 3, 7, 22, tzinfo=UTC)
    dated = rates(EURUSD=[(thursday, 1.0950), (FRIDAY, 1.0938), (MONDAY, 1.0926)])
    ends = [datetime(2024, 3, 8, 18, tzinfo=UTC), datetime(2024, 3, 11, 17, tzinfo=UTC), datetime(2024, 3, 12, 17, tzinfo=UTC)]
    market = sap(ends, [172.5, 171.0, 171.0])
    book = ledger.Ledger(market, events_of(market, "USD", fx=dated), {"USD": "250000", "EUR": "100000"}, "USD")
    book.play(lambda t: book.trade(SAP.id, "500", "170.00") if t == 0 else None)
    found = [book.units.money(int(worth)) for worth in book.state.curve[0] + book.state.curve[1]]
    assert found == [Decimal("360868.75"), Decimal("359926.90"), Decimal("359806.30")]


def test_values_in_the_base_currency_are_those_of_the_stored_rates_to_the_cent():
    """The four currencies of data.fx_rates' hand case (D20): 479,553.3472 on Friday, 120.00 less on Monday; cents down, each by
    itself."""
    store = MemoryStore()
    for symbol, rows in WEEKEND.items():
        lineage = Lineage(provider="test", dataset="fx", fetched_at=MONDAY)
        store.append(quotes(symbol, *((ts, ts, close) for ts, close in rows)), lineage)
    known = FxRates(store, [pair(symbol) for symbol in WEEKEND])
    cash = {"USD": "250000.00", "EUR": "100000", "JPY": "12000000", "GBP": "30000"}
    ends = [FRIDAY + timedelta(hours=7), MONDAY - timedelta(hours=1), MONDAY + timedelta(hours=6)]
    market = sap(ends, [1.0, 1.0, 1.0])
    table = events_of(market, "USD", currencies=("JPY", "GBP"), fx=rates(**WEEKEND))
    book = ledger.Ledger(market, table, cash, "USD")
    book.play()
    found = [book.units.money(int(worth)) for worth in book.state.curve[0]]
    exact = [known.total({name: Decimal(amount) for name, amount in cash.items()}, "USD", end) for end in ends]
    assert [value.quantize(Decimal("0.0001")) for value in exact] == [Decimal("479553.3472")] * 2 + [Decimal("479433.3472")]
    assert found == [Decimal("479553.34"), Decimal("479553.34"), Decimal("479433.34")]


def test_a_rate_holds_from_when_it_was_known_and_a_late_one_of_an_older_bar_never_replaces_a_newer():
    late = MONDAY + timedelta(hours=3)
    table = quotes("EURUSD", (FRIDAY, FRIDAY, 1.10), (MONDAY, MONDAY, 1.12), (FRIDAY, late, 1.11))
    dated = DatedRates(table, [pair("EURUSD")])
    at = lambda moment: dated.at("EUR", "USD", micros(moment))  # noqa: E731
    assert at(FRIDAY) == at(MONDAY - timedelta(microseconds=1)) == Fraction(110, 100)
    assert at(MONDAY) == at(late) == Fraction(112, 100)
    assert dated.at("USD", "EUR", micros(MONDAY)) == Fraction(100, 112)
    moments, above, below = dated.changes("EUR", "USD", micros(FRIDAY), micros(late))
    assert [Fraction(int(a), int(b)) for a, b in zip(above, below, strict=True)] == [Fraction(110, 100), Fraction(112, 100)]
    assert moments.tolist() == [micros(FRIDAY), micros(MONDAY)]


def test_a_cross_goes_through_the_pivot():
    dated = rates(**WEEKEND)
    found = dated.at("EUR", "JPY", micros(FRIDAY))
    assert found == Fraction("1.0938") * Fraction("147.06")
    assert dated.at("JPY", "GBP", micros(FRIDAY)) == 1 / (Fraction("147.06") * Fraction("1.2858"))


def test_a_conversion_costs_half_the_spread_and_a_commission_and_takes_at_most_what_there_is():
    """
    10,000.00 EUR at 1.0938 less 1 bp: 1.09369062 -> 10,936.9062, down 10,936.90; commission 2 bps of it 2.18738, up 2.19; minimum
    5.00. All of the remaining 500 EUR, without costs: 546.90.
    """
    market = sap([FRIDAY + timedelta(hours=7), MONDAY], [1.0, 1.0])
    costs = ConversionCosts(Decimal(1), Decimal(2))
    at = FRIDAY + timedelta(hours=2)
    for minimum, fee in (("0", "2.19"), ("5", "5.00")):
        table = events_of(
            market, "USD", fx=rates(**WEEKEND), conversions=[Conversion(at, "EUR", "USD", Decimal(10_000))],
            conversion_costs=ConversionCosts(costs.half_spread_bps, costs.commission_bps, Decimal(minimum)),
        )  # fmt: skip
        book = ledger.Ledger(market, table, {"EUR": "10500"}, "USD")
        book.play()
        assert (book.cash("EUR"), book.cash("USD")) == (Decimal("500.00"), Decimal("10936.90") - Decimal(fee))
        fees = [amount for _, account, amount in book.postings(s.K_CONVERSION) if account == s.A_FEES]
        assert fees == [int(Decimal(fee) * 100)]
    table = events_of(
        market, "USD", fx=rates(**WEEKEND), conversion_costs=FREE,
        conversions=[Conversion(at, "EUR", "USD"), Conversion(at + timedelta(hours=1), "EUR", "USD", Decimal(3))],
    )  # fmt: skip
    book = ledger.Ledger(market, table, {"EUR": "500"}, "USD")
    book.play()
    assert (book.cash("EUR"), book.cash("USD")) == (Decimal("0.00"), Decimal("546.90"))


def test_a_run_whose_rates_are_unknown_too_old_or_not_of_its_pairs_is_refused():
    market = sap([FRIDAY + timedelta(hours=7), MONDAY], [1.0, 1.0])
    with pytest.raises(MissingData, match="give earlier bars"):
        events_of(market, "USD", fx=rates(EURUSD=[(MONDAY, 1.09)]))
    late = sap([FRIDAY + timedelta(hours=7), FRIDAY + timedelta(days=5)], [1.0, 1.0])
    with pytest.raises(MissingData, match="give the missing bars"):
        events_of(late, "USD", fx=rates(EURUSD=[(FRIDAY, 1.09)]))
    with pytest.raises(MissingData, match="EUR and USD"):
        events_of(market, "USD", fx=rates(USDJPY=[(FRIDAY, 147.06)]))
    with pytest.raises(InvalidInput, match="dated rates"):
        events_of(market, "USD")
    with pytest.raises(InvalidInput, match="finite"):
        rates(EURUSD=[(FRIDAY, float("nan"))])
    with pytest.raises(InvalidInput, match="above zero"):
        rates(EURUSD=[(FRIDAY, -1.0)])
    with pytest.raises(InvalidInput, match="bars of the pairs"):
        DatedRates(quotes("EURUSD", (FRIDAY, FRIDAY, 1.0)), [pair("USDJPY")])
    with pytest.raises(InvalidInput, match="second one"):
        DatedRates(quotes("EURUSD", (FRIDAY, FRIDAY, 1.0)), [pair("EURUSD"), pair("USDEUR")])
    with pytest.raises(InvalidInput, match="two currencies"):
        Conversion(FRIDAY, "EUR", "EUR")
    with pytest.raises(InvalidInput, match="above 0"):
        Conversion(FRIDAY, "EUR", "USD", Decimal(-1))
    with pytest.raises(ConfigError):
        ConversionCosts(Decimal(-1))
    with pytest.raises(InvalidInput, match="currency of the run"):
        events_of(market, "USD", fx=rates(**WEEKEND), conversions=[Conversion(FRIDAY + timedelta(hours=2), "EUR", "CHF")])
    with pytest.raises(InvalidInput, match="within the run"):
        events_of(market, "USD", fx=rates(**WEEKEND), conversions=[Conversion(FRIDAY, "EUR", "USD")])
