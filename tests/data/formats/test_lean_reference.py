"""LEAN's factor files, map files, market hours and symbol properties."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data.actions import adjust
from fieldcast.data.formats import Source
from fieldcast.data.formats.lean_factors import actions_of, exact_ratio, read_factors
from fieldcast.data.formats.lean_hours import read_market_hours, read_symbol_properties
from fieldcast.data.formats.lean_instruments import DATA_ZONE, FXCM_ZONE
from fieldcast.data.formats.lean_maps import read_map_file, read_map_folder
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import default_instrument, sessions_between

FACTORS = "20140205,0.8908440,0.0357143,512.59\n20140507,0.8961764,0.0357143,592.33\n20140606,0.9011818,0.0357143,645.57\n"
FACTORS += "20140806,0.9011818,0.25,94.97\n20501231,0.9056639,0.25,0\n"


# factors -------------------------------------------------------------------------------------------------------------


def test_factors_give_the_split_and_the_dividends_on_the_next_session():
    factors, broken = read_factors(FACTORS.encode(), "aapl.csv")
    rows = actions_of(factors, "XNAS:AAPL")
    assert broken.is_empty()
    found = rows.select(pl.col("effective_at").dt.date(), "action", "ratio", pl.col("amount").round(2), "reference").rows()
    assert found == [
        (date(2014, 2, 6), "dividend", None, 3.05, 512.59),
        (date(2014, 5, 8), "dividend", None, 3.29, 592.33),
        (date(2014, 6, 9), "split", 7.0, None, 645.57),
        (date(2014, 8, 7), "dividend", None, 0.47, 94.97),
    ]


@pytest.mark.parametrize(
    ("printed", "exact"),
    [(0.25 / 0.0357143, 7.0), (0.5 / 0.3333333, 1.5), (8.0, 8.0), (0.05, 0.05), (1 / 0.997307, 1 / 0.997307), (1.9999, 1.9999)],
)
def test_a_printed_ratio_is_the_simple_fraction_that_it_stands_for(printed, exact):
    assert exact_ratio(printed) == pytest.approx(exact, rel=1e-15)


def test_lines_that_are_no_factors_are_rejects_and_a_date_twice_is_refused():
    text = b"20140205,0.89,0.03,512\nx,1,1,1\n20140506,-1,1,1\n20140507,1,nan,1\n20501231,1,1,0\n"
    factors, broken = read_factors(text, "a.csv")
    assert factors.height == 2
    assert broken["row"].to_list() == [1, 2, 3]
    with pytest.raises(InvalidInput, match="one row a date"):
        read_factors(b"20140205,0.89,0.03,512\n20140205,1,1,1\n", "a.csv")


def test_every_real_factor_file_is_given_back_by_its_actions(realdata: Path):
    files = sorted((realdata / "reference/lean_factor_files").glob("*.csv"))
    assert len(files) == 22
    for path in files:
        factors, broken = read_factors(path.read_bytes(), path.name)
        assert broken.is_empty()
        rows = actions_of(factors, "X1:Y")
        days = sessions_between("XNYS", factors["day"][0], min(factors["day"][-1], date(2024, 12, 31)))
        bars = pl.DataFrame({"ts": days["close"], "close": np.ones(days.height), "volume": np.ones(days.height)}).with_columns(
            instrument=pl.lit("X1:Y")
        )
        joined = days.select(day="session").join_asof(factors.sort("day"), on="day", strategy="forward")
        for mode, factor in (
            ("total", joined["price_factor"] * joined["split_factor"]), ("split", joined["split_factor"]),
        ):
            found = adjust(bars, rows, datetime(2025, 1, 2, tzinfo=UTC), mode)["close"]  # type: ignore[arg-type]
            assert (found / (factor / factor[-1]) - 1).abs().max() < 1e-6, path.name


# maps ----------------------------------------------------------------------------------------------------------------


def test_a_map_file_tells_a_life_in_tickers(tmp_path):
    path = tmp_path / "qqq.csv"
    path.write_text("19990310,qqq,Q\n20041130,qqq,Q\n20110322,qqqq,Q\n20501231,qqq,Q\n")
    assert read_map_file(path).rows() == [
        ("QQQ", date(1999, 3, 10), date(2004, 11, 30), "QQQ", "XNAS"),
        ("QQQQ", date(2004, 12, 1), date(2011, 3, 22), "QQQ", "XNAS"),
        ("QQQ", date(2011, 3, 23), None, "QQQ", "XNAS"),
    ]


@pytest.mark.parametrize(
    "text", ["", "20110322,qqqq,Q\n", "x,qqq,Q\n20501231,qqq,Q\n", "20110322\n20501231,qqq\n", "20120101,a\n20110101,a\n"]
)
def test_what_is_no_map_file_is_refused(tmp_path, text):
    path = tmp_path / "qqq.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="expected"):
        read_map_file(path)


def test_two_companies_with_one_ticker_on_a_day_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("20100101,abc\n20501231,abc\n")
    (tmp_path / "b.csv").write_text("20050101,abc\n20100101,abc\n")
    with pytest.raises(InvalidInput, match="one company"):
        read_map_folder(tmp_path)


def test_every_real_map_file_is_read(realdata: Path):
    table = read_map_folder(realdata / "reference/lean_map_files")
    assert table["permtick"].n_unique() == 26
    assert table.filter(pl.col("permtick") == "TFCFA")["ticker"].to_list() == ["FOXA", "NWSA", "TFCFA"]


# hours ---------------------------------------------------------------------------------------------------------------


def database(tmp_path: Path) -> Source:
    week: dict[str, list[dict[str, str]]] = {"saturday": [], "sunday": []}
    regular = [
        {"start": "04:00:00", "end": "09:30:00", "state": "premarket"},
        {"start": "09:30:00", "end": "16:00:00", "state": "market"},
    ]
    days = dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), regular)
    zones = {"dataTimeZone": "UTC-05", "exchangeTimeZone": "America/New_York"}
    entry = {**zones, **week, **days, "holidays": ["1/1/2020"], "earlyCloses": {"11/27/2020": "13:00:00"}}
    path = tmp_path / "hours.json"
    path.write_text(json.dumps({"entries": {"Equity-usa-[*]": entry, "Equity-usa-ABC": {**entry, "holidays": []}}}))
    return Source(path)


def test_hours_have_sessions_half_days_and_the_market_s_holidays(tmp_path):
    hours = read_market_hours(database(tmp_path), "Equity", "usa", "ABC")
    assert hours.data_zone == "Etc/GMT+5"
    assert hours.session(date(2020, 11, 27)) == (
        datetime(2020, 11, 27, 14, 30, tzinfo=UTC), datetime(2020, 11, 27, 18, 0, tzinfo=UTC),
    )
    assert not hours.is_open(date(2020, 1, 1))
    assert not hours.is_open(date(2020, 11, 28))
    with pytest.raises(MissingData, match="trading day"):
        hours.session(date(2020, 1, 1))
    with pytest.raises(MissingData, match="hours of"):
        read_market_hours(database(tmp_path), "Crypto", "coinbase")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"entries": 5}', '{"entries": {"Equity-usa-[*]": {}}}', '{"entries": {"Equity-usa-[*]": 5}}']
)
def test_what_is_no_hours_database_is_refused(tmp_path, text):
    path = tmp_path / "hours.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="expected"):
        read_market_hours(Source(path), "Equity", "usa")


def test_leans_hours_of_us_shares_agree_with_xnys_from_2010_to_2024(realdata: Path):
    hours = read_market_hours(Source(realdata / "reference/market-hours-database.json.gz"), "Equity", "usa")
    schedule = sessions_between("XNYS", date(2010, 1, 1), date(2024, 12, 31))
    ours = {day: (opened, closed) for day, opened, closed in schedule.select("session", "open", "close").iter_rows()}
    day, differences, half_days = date(2010, 1, 1), [], 0
    while day <= date(2024, 12, 31):
        if hours.is_open(day) != (day in ours) or (day in ours and hours.session(day) != ours[day]):
            differences.append(day)
        half_days += day in hours.early_closes and day in ours
        day += timedelta(days=1)
    assert len(ours) == 3774
    assert half_days > 25
    assert differences == []        # holidays, mourning days, storms and early closes alike


def test_the_zones_that_the_readers_use_are_those_of_the_real_database(realdata: Path):
    source = Source(realdata / "reference/market-hours-database.json.gz")
    for asset, market, symbol in (
        ("equity", "usa", "AAPL"), ("option", "usa", "AAPL"), ("indexoption", "usa", "SPX"), ("index", "usa", "SPX"),
        ("forex", "oanda", "EURUSD"), ("cfd", "oanda", "XAUUSD"), ("crypto", "coinbase", "BTCUSD"),
        ("crypto", "bitfinex", "BTCUSD"), ("cryptofuture", "binance", "BTCUSD"),
    ):
        assert read_market_hours(source, asset, market, symbol).data_zone == DATA_ZONE[asset], (asset, market)
    assert read_market_hours(source, "forex", "fxcm").data_zone == FXCM_ZONE
    forex = read_market_hours(source, "forex", "oanda")
    assert forex.week["sunday"][0].start == time(17, 3)
    assert forex.week["monday"][-1].end is None


# properties ----------------------------------------------------------------------------------------------------------


def test_properties_describe_an_instrument(tmp_path):
    path = tmp_path / "symbols.csv"
    path.write_text(
        "market,symbol,type,description,quote_currency,contract_multiplier,minimum_price_variation,lot_size,market_ticker\n"
        "# a comment\nbinance,BTCUSD,cryptofuture,BTCUSD_PERP,USD,100,0.1,1,BTCUSD_PERP\nusa,[*],equity,,USD,1,0.01,1\n"
    )
    found = read_symbol_properties(Source(path), "cryptofuture", "binance", "btcusd")
    instrument = found.described(default_instrument("BINANCE:BTCUSD-PERP", "future", calendar="24/7"))
    assert (instrument.tick, instrument.lot, instrument.multiplier) == (Decimal("0.1"), Decimal(1), Decimal(100))
    assert read_symbol_properties(Source(path), "equity", "usa", "aapl").symbol == "AAPL"
    with pytest.raises(MissingData, match="properties of"):
        read_symbol_properties(Source(path), "equity", "india", "abc")


def test_real_properties(realdata: Path):
    source = Source(realdata / "reference/symbol-properties-database.csv.gz")
    assert read_symbol_properties(source, "forex", "oanda", "EURUSD").tick == Decimal("0.00001")
    assert read_symbol_properties(source, "equity", "usa", "SPY").tick == Decimal("0.01")
    assert read_symbol_properties(source, "crypto", "coinbase", "BTCUSD").lot == Decimal("0.00000001")
