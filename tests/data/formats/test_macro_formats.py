"""FRED, ALFRED, Treasury curves and rates: what was observed, in which unit, and when it can have been known."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.data.macro import read_macro
from fieldcast.data.releases import federal_holidays
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import default_instrument

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def bring(tmp_path: Path):
    def run(content: str, name: str = "file.csv", **options):
        path = tmp_path / name
        path.write_text(content)
        store = MemoryStore()
        return import_source(path, Options(**({"now": NOW} | options)), store=store), store

    return run


# FRED ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["DATE,CPIAUCSL", "observation_date,CPIAUCSL"])
def test_a_month_ends_when_it_ends_and_is_known_weeks_later(bring, header):
    report, store = bring(f"{header}\n2024-01-01,300.1\n2024-02-01,.\n2024-03-01,302.3")
    rows = store.read("FRED:CPIAUCSL", table="macro")
    assert (report.format, report.rows_kept, report.removed) == ("fred-series", 2, {})
    assert rows["ts"].to_list() == [
        datetime(2024, 2, 1, 5, tzinfo=UTC),
        datetime(2024, 4, 1, 4, tzinfo=UTC),
    ]  # New York's midnight
    assert rows["available_at"].to_list() == [
        datetime(2024, 2, 20, 13, 30, tzinfo=UTC),      # the 18th is a Sunday, the 19th Washington's birthday
        datetime(2024, 4, 18, 12, 30, tzinfo=UTC),
    ]
    assert rows["reasons"].to_list() == ["availability_assumed,latest_vintage"] * 2
    assert rows["unit"][0].startswith("index")
    assert "CPIAUCSL: monthly, 1 observations missing in the source" in report.notes
    with pytest.raises(MissingData, match="alfred"):
        read_macro(store, "FRED:CPIAUCSL", NOW, require_vintages=True)


@pytest.mark.parametrize(
    ("series", "dates", "end", "known"),
    [
        ("DGS10", ("2024-01-04", "2024-01-05"), "2024-01-06T05:00", "2024-01-08T23:00"),  # Friday; Monday evening
        ("ICSA", ("2024-01-06", "2024-01-13"), "2024-01-14T05:00", "2024-01-19T13:30"),
        ("GDP", ("2024-01-01", "2024-04-01"), "2024-07-01T04:00", "2024-07-30T12:30"),
        ("SOMETHING", ("2024-01-01", "2024-02-01"), "2024-03-01T05:00", "2024-04-15T22:00"),      # 14 April is a Sunday
        ("FEDFUNDS", ("2024-07-01", "2024-08-01"), "2024-09-01T04:00", "2024-09-03T22:00"),     # 2 September is Labor Day
        ("T10Y2YM", ("2020-11-01", "2020-12-01"), "2021-01-01T05:00", "2021-01-04T23:00"),     # a holiday and a weekend first
        ("DGS10", ("2023-11-08", "2023-11-09"), "2023-11-10T05:00", "2023-11-13T23:00"),       # Veterans Day, kept on Friday
        ("CPIAUCSL", ("2013-08-01", "2013-09-01"), "2013-10-01T04:00", "2013-10-30T12:30"),    # the government was shut down
        ("PAYEMS", ("2025-08-01", "2025-09-01"), "2025-10-01T04:00", "2025-11-20T13:30"),
        ("ICSA", ("2025-09-27", "2025-10-04"), "2025-10-05T04:00", "2025-11-20T13:30"),
        ("ICSA", ("2025-11-08", "2025-11-15"), "2025-11-16T05:00", "2025-11-21T13:30"),
        ("GDP", ("2018-07-01", "2018-10-01"), "2019-01-01T05:00", "2019-02-28T13:30"),
        ("YEARLY", ("2022-01-01", "2023-01-01"), "2024-01-01T05:00", "2024-04-29T22:00"),
    ],
)
def test_every_frequency_has_its_period_and_its_lag(bring, series, dates, end, known):
    _, store = bring(f"DATE,{series}\n{dates[0]},1.5\n{dates[1]},2.5")
    row = store.read(f"FRED:{series}", table="macro").row(-1, named=True)
    assert (row["ts"], row["available_at"]) == tuple(datetime.fromisoformat(f"{text}:00Z") for text in (end, known))
    assert row["available_at"] > row["ts"]


def test_federal_holidays_are_kept_on_business_days():
    held = {day for day in federal_holidays() if day.year == 2021}
    assert held - {date(2021, 12, 31)} == {
        date(2021, 1, 1), date(2021, 1, 18), date(2021, 2, 15), date(2021, 5, 31), date(2021, 6, 18), date(2021, 6, 19),
        date(2021, 7, 4), date(2021, 7, 5), date(2021, 9, 6), date(2021, 10, 11), date(2021, 11, 11), date(2021, 11, 25),
        date(2021, 12, 24), date(2021, 12, 25),
    }
    assert date(2021, 12, 31) in held       # new year's day of 2022 is a Saturday


def test_what_a_file_holds_was_known_when_it_came(bring):
    """A file of 4 October has September's unemployment, although the assumed lag would put it later."""
    came = datetime(2024, 10, 4, 18, tzinfo=UTC)
    _, store = bring("DATE,UNRATE\n2024-08-01,4.2\n2024-09-01,4.1", now=came)
    assert store.read("FRED:UNRATE", table="macro")["available_at"].to_list() == [datetime(2024, 9, 10, 12, 30, tzinfo=UTC), came]


def test_a_graph_of_several_series_and_american_dates_are_read(bring):
    report, store = bring("observation_date,DGS10,DGS2\n1/2/2024,4.0,4.3\n1/3/2024,.,4.2\n1/4/2024,4.1,")
    assert store.read("FRED:DGS10", table="macro").height == store.read("FRED:DGS2", table="macro").height == 2
    assert report.rows_kept == 4


def test_a_value_that_is_no_number_is_unfit_and_a_table_of_prices_is_no_series(bring):
    report, _ = bring("DATE,DGS10\n2024-01-02,4.0\n2024-01-03,four\n2024-01-04,inf\n2024-01-05,4.1\n2024-01-08,4.1")
    assert report.removed == {Reason.VALUE_MISSING: 1, Reason.VALUE_NOT_FINITE: 1}
    with pytest.raises(InvalidInput, match="instrument="):
        bring("DATE,CLOSE\n2024-01-02,4.0\n2024-01-03,4.1")


# ALFRED -------------------------------------------------------------------------------------------------------------

WIDE = """observation_date,GDP_20240425,GDP_20240530,GDP_20240627,GDP_20240725
2023-10-01,27957.0,27957.0,27957.0,27957.0
2024-01-01,28284.5,28255.9,28269.2,28269.2
2024-04-01,.,.,.,28629.2
"""
LONG = """realtime_start,realtime_end,date,value
2024-04-25,2024-05-29,2024-01-01,28284.5
2024-05-30,2024-06-26,2024-01-01,28255.9
2024-06-27,9999-12-31,2024-01-01,28269.2
2024-04-25,9999-12-31,2023-10-01,27957.0
2024-07-25,9999-12-31,2024-04-01,28629.2
"""
PERIODS = LONG.replace("realtime_start,realtime_end,date,value", "realtime_start_date,realtime_end_date,period_start_date,GDP")


@pytest.mark.parametrize("content", [WIDE, LONG, PERIODS], ids=["a column a vintage", "a row a period", "the site's download"])
def test_a_query_before_a_revision_returns_the_first_print(bring, content):
    report, store = bring(content, instrument=default_instrument("FRED:GDP", "rate"))
    assert (report.format, report.dataset, report.rows_kept) == ("alfred-vintages", "fred-vintages", 5)
    known = [
        (date(2024, 4, 25), 0),
        (date(2024, 4, 26), 28284.5),
        (date(2024, 5, 30), 28284.5),
        (date(2024, 5, 31), 28255.9),
        (date(2024, 6, 28), 28269.2),
    ]
    for day, value in known:  # a vintage is known when its day has ended
        rows = read_macro(store, "FRED:GDP", datetime(day.year, day.month, day.day, 12, tzinfo=UTC), require_vintages=True)
        quarter = rows.filter(pl.col("ts") == datetime(2024, 4, 1, 4, tzinfo=UTC))
        assert quarter["value"].to_list() == ([value] if value else [])
    assert read_macro(store, "FRED:GDP", NOW)["value"].to_list() == [27957.0, 28269.2, 28629.2]


def test_vintages_of_a_series_that_nobody_names_are_refused(bring):
    with pytest.raises(InvalidInput, match="FRED:GDP"):
        bring(LONG)
    with pytest.raises(InvalidInput, match="one series"):
        bring(WIDE.replace("GDP_20240725", "CPI_20240725"))


# curves and rates ---------------------------------------------------------------------------------------------------


def test_treasury_yields_are_fractions_and_out_in_the_evening(bring):
    text = "Time Period,1month,10year\n1990-01-02 00:00:00+00:00,,0.0794\n1990-01-03 00:00:00+00:00,0.0783,0.0799"
    report, store = bring(text)
    row = store.read("TREASURY:10YEAR", table="macro").row(0, named=True)
    assert (row["value"], row["unit"]) == (0.0794, "fraction a year")
    assert (row["ts"], row["available_at"]) == (datetime(1990, 1, 2, 20, 30, tzinfo=UTC), datetime(1990, 1, 2, 23, tzinfo=UTC))
    assert store.read("TREASURY:1MONTH", table="macro").height == 1
    assert report.rows_kept == 3


def test_changes_of_the_credit_rate_hold_from_their_date(bring):
    _, store = bring("DATE,PCREDIT8\n2003-01-09,2.25\n2003-06-26,2.00", "interest-rate.csv")
    assert store.read("LEAN:PCREDIT8", table="macro")["ts"].to_list() == [
        datetime(2003, 1, 9, 5, tzinfo=UTC),
        datetime(2003, 6, 26, 4, tzinfo=UTC),
    ]


# real files ---------------------------------------------------------------------------------------------------------

ROWS = {
    "CPIAUCSL": 932,
    "DCOILBRENTEU": 9749 - 267,
    "DGS10": 16373 - 697,
    "FEDFUNDS": 843,
    "GDP": 310,
    "ICSA": 3013,
    "M2SL": 788,
    "NASDAQCOM": 14000 - 467,
    "PAYEMS": 1029,
    "SAHMREALTIME": 778,
    "T10Y2YM": 580,
    "T10Y3MM": 513,
    "UNRATE": 921,
    "VIXCLS": 9068 - 296,
}


def test_fourteen_series_of_october_2024_are_never_known_at_their_period_s_end(realdata):
    for series, rows in ROWS.items():
        store = MemoryStore()
        report = import_source(realdata / "macro" / "fred_2024-10" / f"{series}.csv", Options(now=NOW), store=store)
        found = store.read(f"FRED:{series}", table="macro")
        assert (report.format, report.rows_kept, report.removed) == ("fred-series", rows, {})
        assert (found["available_at"] > found["ts"]).all()
        assert found["reasons"].str.contains("availability_assumed").all()
        assert found["unit"].null_count() == 0


def test_the_curves_and_rates_of_shared_data(realdata):
    expected = (
        ("macro/treasury_curves_1990_2017.csv.gz", "TREASURY:10YEAR", 6816 * 11 - 4832, (date(2017, 3, 29), 0.0239)),
        ("macro/lean_interest-rate.csv", "LEAN:PCREDIT8", 56, (date(2023, 7, 27), 5.5)),
        ("daily/arch_frenchdata.csv.gz", "FRENCH:MKT-RF", 4436, (date(2018, 12, 1), 1.69)),
        ("daily/arch_core_cpi.csv.gz", "FRED:CPILFESL", 743, (date(2018, 12, 1), 259.481)),
        ("daily/arch_wti.csv.gz", "FRED:DCOILWTICO", 8321, (date(2019, 1, 4), 46.92)),
        (
            "daily/skfolio_sp500_implied_vol_20stocks.csv.gz",
            "IMPLIEDVOL:AAPL",
            3270 * 20,
            (date(2022, 12, 28), 0.3884221192713417),
        ),
    )
    for name, id, rows, (day, value) in expected:
        store = MemoryStore()
        report = import_source(realdata / name, Options(now=NOW), store=store)
        last = store.read(id, table="macro").row(-1, named=True)
        assert (report.rows_kept, report.removed) == (rows, {})
        assert (last["ts"].date(), last["value"]) == (day, value)
