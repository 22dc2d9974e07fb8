"""Rates as they were known: direct, inverse, crossed; never from the future, never too old; values exact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.fx_rates import FxRates, pair_of
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import BARS, Instrument, Kind


def pair(symbol: str) -> Instrument:
    return Instrument(id=f"OANDA:{symbol}", kind=Kind.FX, currency=symbol.replace("/", "")[3:], calendar="24/5")


def close_of(day: int, hour: int = 21) -> datetime:
    return datetime(2024, 3, day, hour, tzinfo=UTC)


def put(store: MemoryStore, instrument: Instrument, rows: list[tuple[datetime, float]], late: timedelta = timedelta()) -> None:
    count = len(rows)
    bars = pl.DataFrame(
        {
            "instrument": [instrument.id] * count, "ts": [ts for ts, _ in rows], "available_at": [ts + late for ts, _ in rows],
            **{name: [price for _, price in rows] for name in ("open", "high", "low", "close")}, "volume": [None] * count,
            "reasons": ["volume_not_reported"] * count,
        },
        schema=BARS,
    )  # fmt: skip
    store.append(bars, Lineage(provider="test", dataset="fx", fetched_at=datetime(2024, 6, 1, tzinfo=UTC)))


EURUSD, USDJPY, GBPUSD = pair("EURUSD"), pair("USD/JPY"), pair("GBPUSD")


@pytest.fixture
def rates() -> FxRates:
    store = MemoryStore()
    put(store, EURUSD, [(close_of(7), 1.0948), (close_of(8), 1.0938), (close_of(11), 1.0926)])
    put(store, USDJPY, [(close_of(8), 147.06)])
    put(store, GBPUSD, [(close_of(8), 1.2858)], late=timedelta(hours=2))
    return FxRates(store, [EURUSD, USDJPY, GBPUSD])


def test_a_rate_is_the_newest_close_that_was_known_then(rates):
    assert rates.rate("EUR", "USD", close_of(8) - timedelta(seconds=1)).value == Decimal("1.0948")
    assert rates.rate("EUR", "USD", close_of(8)).value == Decimal("1.0938")
    assert rates.rate("EUR", "USD", close_of(11, 12)).value == Decimal("1.0938")      # Friday's close on Monday at noon
    with pytest.raises(MissingData, match="known then"):
        rates.rate("GBP", "USD", close_of(8, 22))                                      # it ended at 21:00, and came at 23:00
    assert rates.rate("GBP", "USD", close_of(8, 23)).value == Decimal("1.2858")


def test_the_inverse_divides_and_the_cross_goes_through_the_pivot(rates):
    at = close_of(8, 23)
    assert rates.convert(Decimal("1093.80"), "USD", "EUR", at) == Decimal(1000)
    cross = rates.rate("EUR", "JPY", at)
    assert [(leg.instrument, leg.inverse) for leg in cross.legs] == [("OANDA:EURUSD", False), ("OANDA:USD/JPY", False)]
    assert cross.value == Decimal("1.0938") * Decimal("147.06")
    back = rates.rate("JPY", "GBP", at)
    assert [leg.inverse for leg in back.legs] == [True, True]
    assert rates.convert(Decimal("147.06") * Decimal("1.2858"), "JPY", "GBP", at) == Decimal(1)
    assert rates.rate("EUR", "EUR", at).convert(Decimal("0.1")) == Decimal("0.1")
    assert cross.ts == close_of(8)


def test_a_rate_that_is_too_old_is_no_rate(rates):
    assert rates.rate("USD", "JPY", close_of(12)).value == Decimal("147.06")          # exactly four days
    with pytest.raises(MissingData, match="96 hours before"):
        rates.rate("USD", "JPY", close_of(12) + timedelta(microseconds=1))
    with pytest.raises(MissingData, match="EURUSD"):
        rates.rate("EUR", "JPY", close_of(20))


def test_what_no_pair_joins_is_missing_and_what_is_no_pair_is_refused(rates):
    with pytest.raises(MissingData, match="OANDA:EURUSD, OANDA:GBPUSD"):
        rates.rate("EUR", "CHF", close_of(8))
    store = MemoryStore()
    with pytest.raises(InvalidInput, match="one pair of"):
        FxRates(store, [EURUSD, Instrument(id="OTHER:USDEUR", kind=Kind.FX, currency="EUR")])
    with pytest.raises(InvalidInput, match="kind fx"):
        FxRates(store, [Instrument(id="XNAS:AAPL", kind=Kind.EQUITY)])
    for id, currency in (("OANDA:EURUSD", "EUR"), ("OANDA:GOLD", "USD"), ("OANDA:eurusd", "USD")):
        with pytest.raises(InvalidInput, match="a pair such as"):
            pair_of(Instrument(id=id, kind=Kind.FX, currency=currency))
    with pytest.raises(InvalidInput, match="zone"):
        rates.rate("EUR", "USD", datetime(2024, 3, 8))  # noqa: DTZ001
    with pytest.raises(InvalidInput, match="finite amount"):
        rates.convert(Decimal("NaN"), "EUR", "USD", close_of(8))


def test_net_asset_value_equals_a_hand_case_across_a_rate_change(rates):
    """10 000 USD, 5 000 EUR and 1 000 000 JPY: at Friday's and at Monday's euro, the yen standing."""
    amounts = {"USD": Decimal(10_000), "EUR": Decimal(5_000), "JPY": Decimal(1_000_000), "CHF": Decimal(0)}
    friday, monday = rates.total(amounts, "USD", close_of(8)), rates.total(amounts, "USD", close_of(11))
    # 10 000 + 5 000 x 1.0938 + 1 000 000 / 147.06 (at 34 digits); then five thousand times the euro's change less
    assert friday == Decimal("22268.945600435196518427852577179383")
    assert monday == Decimal("22262.945600435196518427852577179383")
    with pytest.raises(MissingData):
        rates.total(amounts | {"CHF": Decimal(1)}, "USD", close_of(8))


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=8), st.floats(1e-3, 1e3))
def test_there_and_back_is_the_same_amount_and_the_decimal_is_the_vendors(amount, price):
    price = round(price, 5)
    store = MemoryStore()
    put(store, EURUSD, [(close_of(8), price)])
    known = FxRates(store, [EURUSD])
    there = known.convert(amount, "EUR", "USD", close_of(8))
    assert there == amount * Decimal(str(price))
    back = known.convert(there, "USD", "EUR", close_of(8))
    assert abs(back - amount) <= abs(amount) * Decimal("1e-33")
