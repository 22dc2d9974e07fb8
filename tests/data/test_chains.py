"""Option identifiers and the moments at which contracts end."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data.chains import (
    expiry_moments,
    open_interest_known,
    osi,
    osi_of,
    parse_osi,
    parsed_osi,
    terms_of,
    underlying_time,
)
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP

ROOTS = st.from_regex(r"[A-Z][A-Z0-9]{0,5}", fullmatch=True)
EXPIRIES = st.dates(date(2000, 1, 1), date(2099, 12, 31))
RIGHTS = st.sampled_from(["call", "put"])
STRIKES = st.integers(1, 99_999_999).map(lambda thousandths: thousandths / 1000)


@given(root=ROOTS, expiry=EXPIRIES, right=RIGHTS, strike=STRIKES)
def test_a_symbol_that_is_built_reads_back_as_its_parts(root, expiry, right, strike):
    symbol = osi(root, expiry, right, strike)
    assert len(symbol) == 21
    assert parse_osi(symbol) == (root, expiry, right, strike)
    assert parse_osi(symbol.replace(" ", "")) == (root, expiry, right, strike)
    parts = parsed_osi(pl.Series([symbol.replace(" ", ""), symbol]))
    assert osi_of(parts).to_list() == [symbol, symbol]


def test_a_known_symbol_of_the_clearing_house():
    assert osi("SPXW", date(2023, 9, 14), "call", 4500) == "SPXW  230914C04500000"
    assert osi("BRKB", date(2026, 1, 16), "put", 452.5) == "BRKB  260116P00452500"


@pytest.mark.parametrize(
    "text",
    ["", "SPY", "SPY230914X00450000", "SPY231314C00450000", "SPY230914C0045000", "SPY230914C00000000", "spy230914C00450000"],
)
def test_what_is_no_symbol_is_refused(text):
    with pytest.raises(InvalidInput, match="OSI symbol"):
        parse_osi(text)
    assert parsed_osi(pl.Series([text], dtype=pl.String)).row(0) == (None, None, None, None)


@pytest.mark.parametrize(
    ("root", "expiry", "right", "strike"),
    [
        ("TOOLONGROOT", date(2024, 1, 19), "call", 1.0),
        ("SPY", date(1999, 1, 15), "call", 1.0),
        ("SPY", date(2024, 1, 19), "C", 1.0),
        ("SPY", date(2024, 1, 19), "call", 0.0),
        ("SPY", date(2024, 1, 19), "call", -5.0),
        ("SPY", date(2024, 1, 19), "call", 1e5),
        ("SPY", date(2024, 1, 19), "call", 1.00005),
        ("SPY", date(2024, 1, 19), "call", float("nan")),
    ],
)
def test_what_no_symbol_can_hold_is_refused(root, expiry, right, strike):
    with pytest.raises(InvalidInput):
        osi(root, expiry, right, strike)


def test_terms_follow_from_the_root():
    assert (terms_of("SPX").settlement, terms_of("SPXW").settlement, terms_of("VIXW").settlement) == ("AM", "PM", "AM")
    assert terms_of("SPX").underlying == terms_of("SPXW").underlying == "SPX"
    assert {terms_of(root).exercise_style for root in ("SPX", "SPXW", "VIX", "XSP", "NDX", "RUT")} == {"european"}
    assert (terms_of("AAPL").exercise_style, terms_of("OEX").exercise_style) == ("american", "american")
    assert terms_of("AAPL").multiplier == 100
    with pytest.raises(InvalidInput, match="adjusted"):
        terms_of("AAPL1")


def moments(*pairs: tuple[date, str]) -> list[datetime]:
    expiry, settlement = pl.Series([day for day, _ in pairs], dtype=pl.Date), pl.Series([how for _, how in pairs])
    return expiry_moments(expiry, settlement).to_list()


def test_contracts_of_one_day_end_at_the_open_or_the_close():
    assert moments((date(2023, 9, 15), "AM"), (date(2023, 9, 15), "PM")) == [
        datetime(2023, 9, 15, 13, 30, tzinfo=UTC),
        datetime(2023, 9, 15, 20, tzinfo=UTC),
    ]


def test_a_half_day_a_holiday_and_a_saturday_end_when_trading_does():
    assert moments((date(2023, 11, 24), "PM")) == [datetime(2023, 11, 24, 18, tzinfo=UTC)]  # 13:00 New York
    assert moments((date(2022, 4, 15), "PM")) == [datetime(2022, 4, 14, 20, tzinfo=UTC)]  # Good Friday
    assert moments((date(2014, 6, 21), "PM")) == [datetime(2014, 6, 20, 20, tzinfo=UTC)]  # OSI dates before 2015 are Saturdays


def test_beyond_the_calendar_the_usual_hours_of_a_weekday_stand_in():
    assert moments((date(2040, 1, 20), "AM"), (date(2040, 7, 20), "PM"), (date(2040, 7, 22), "PM")) == [
        datetime(2040, 1, 20, 14, 30, tzinfo=UTC),
        datetime(2040, 7, 20, 20, tzinfo=UTC),
        datetime(2040, 7, 20, 20, tzinfo=UTC),
    ]


def test_open_interest_is_known_at_the_open_and_an_index_stops_at_the_close():
    during, evening, sunday = (
        datetime(2024, 1, 4, 16, tzinfo=UTC),
        datetime(2024, 1, 4, 23, tzinfo=UTC),
        datetime(2024, 1, 7, 15, 52, tzinfo=UTC),
    )
    stamps = pl.Series([during, evening, sunday], dtype=STAMP)
    assert open_interest_known(stamps).to_list() == [datetime(2024, 1, 4, 14, 30, tzinfo=UTC), evening, sunday]
    assert underlying_time(stamps).to_list() == [
        during,
        datetime(2024, 1, 4, 21, tzinfo=UTC),
        datetime(2024, 1, 5, 21, tzinfo=UTC),
    ]
