"""Tiingo's daily prices and Yahoo's chart history: bars, and the dividends and splits beside them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.actions import read_adjusted
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Kind, default_instrument, has_reason

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NVDA = default_instrument("XNAS:NVDA", Kind.EQUITY)
DAYS = [date(2024, 6, day) for day in (3, 4, 5, 6, 7, 10, 11, 12, 13, 14)]
TIINGO = "date,Close,High,Low,Open,Volume,{0}Close,{0}High,{0}Low,{0}Open,{0}Volume,{1},{2}"
SPELLINGS = (
    TIINGO.format("Adj", "divcash", "splitfactor"),
    "Adj".join(TIINGO.format("{}", "Divcash", "Splitfactor").split("{}")).title(),
)


def tiingo(header: str) -> str:
    """Ten sessions: a 10:1 split on the sixth, a dividend on the seventh."""
    lines = [header]
    for n, day in enumerate(DAYS):
        price, split, dividend = (1200.0 if n < 5 else 120.0) + n, 10.0 if n == 5 else 1.0, 0.01 if n == 6 else 0.0
        adjusted = price / (10 if n < 5 else 1)
        lines.append(
            f"{day} 00:00:00+00:00,{price},{price + 2},{price - 2},{price + 1},1000,{adjusted},{adjusted},{adjusted},{adjusted},"
            f"1000,{dividend},{split}"
        )
    return "\n".join(lines)


def yahoo(dividend: float = 0.5) -> str:
    """A dividend before a 4:1 split; prices and the dividend are given after the split, as Yahoo does."""
    lines = ["Date,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits"]
    for n, day in enumerate(DAYS):
        lines.append(
            f"{day} 00:00:00-04:00,100,102,98,{100 + n},{99 + n},50,{dividend / 4 if n == 2 else 0.0},{4.0 if n == 5 else 0.0}"
        )
    return "\n".join(lines)


@pytest.fixture
def bring(tmp_path: Path):
    def run(content: str, name: str = "file.csv", **options):
        path = tmp_path / name
        path.write_text(content)
        store = MemoryStore()
        return import_source(path, Options(**({"now": NOW, "instrument": NVDA} | options)), store=store), store

    return run


@pytest.mark.parametrize("header", SPELLINGS)
def test_tiingo_s_raw_prices_are_stored_whatever_the_case_of_its_columns(bring, header):
    report, store = bring(tiingo(header))
    assert report.format == "tiingo-daily"
    found = store.read("XNAS:NVDA")
    assert found["close"].to_list() == [1200, 1201, 1202, 1203, 1204, 125, 126, 127, 128, 129]
    assert store.datasets().filter(pl.col("table") == "bars/1d")["adjustment"].to_list() == ["raw"]
    actions = store.read("XNAS:NVDA", table="actions")
    assert actions.select("action", "ratio", "amount").rows() == [("split", 10.0, None), ("dividend", None, 0.01)]
    assert actions["effective_at"][0] == datetime(2024, 6, 10, 4, tzinfo=UTC)  # midnight in New York
    read = read_adjusted(store, "XNAS:NVDA", "split", dataset="tiingo", actions_dataset="tiingo")
    assert read["close"].to_list() == pytest.approx([120, 120.1, 120.2, 120.3, 120.4, 125, 126, 127, 128, 129])


def test_a_dividend_that_cannot_be_read_is_no_zero(bring):
    report, store = bring(tiingo(SPELLINGS[0]).replace(",0.01,", ",a lot,"))
    assert report.removed == {Reason.ROW_UNREADABLE: 1}
    assert store.read("XNAS:NVDA", table="actions")["action"].to_list() == ["split"]
    report, store = bring(tiingo(SPELLINGS[0]).replace(",10.0\n", ",-10.0\n").replace(",0.01,", ",0.0,"))
    assert report.removed == {Reason.VALUE_NOT_POSITIVE: 1}
    assert store.datasets()["table"].to_list() == ["bars/1d"]


def test_a_file_of_one_company_needs_to_be_told_which(bring):
    with pytest.raises(InvalidInput, match="give instrument="):
        bring(tiingo(SPELLINGS[0]), instrument=None)
    with pytest.raises(InvalidInput, match="raw prices"):
        bring(tiingo(SPELLINGS[0]), adjusted=True)


def test_yahoo_s_dividends_are_those_of_the_shares_of_then(bring):
    report, store = bring(yahoo())
    assert report.format == "yahoo-chart"
    assert store.datasets()["adjustment"].unique().to_list() == ["adjusted_only"]
    assert store.read("XNAS:NVDA")["close"].to_list() == [100.0 + n for n in range(10)]
    actions = store.read("XNAS:NVDA", table="actions")
    assert actions.select("action", "ratio", "amount").rows() == [("dividend", None, 0.5), ("split", 4.0, None)]


# real files ---------------------------------------------------------------------------------------------------------


def real(realdata: Path, name: str, id: str, **others):
    store = MemoryStore()
    instrument = default_instrument(id, Kind.EQUITY, **others)
    return import_source(realdata / name, Options(now=NOW, instrument=instrument), store=store), store


def test_both_spellings_of_tiingo_are_read_and_nvidia_s_split_is_found(realdata):
    for ticker, dividends, splits in (
        ("AAPL", 8, 0),
        ("AMZN", 0, 0),
        ("MSFT", 8, 0),
        ("NVDA", 8, 1),
        ("TSLA", 0, 0),
        ("SPY", 8, 0),
    ):
        report, store = real(realdata, f"daily/tiingo_raw_and_adj/{ticker}_1d.csv.gz", f"USA:{ticker}")
        assert (report.format, report.tables["bars/1d"].rows_kept, report.removed) == ("tiingo-daily", 502, {})
        kept = report.tables["actions"].rows_kept if "actions" in report.tables else 0
        assert kept == dividends + splits, ticker
    _, store = real(realdata, "daily/tiingo_raw_and_adj/NVDA_1d.csv.gz", "USA:NVDA")
    split = store.read("USA:NVDA", table="actions").filter(pl.col("action") == "split").row(0, named=True)
    assert (split["ratio"], split["effective_at"]) == (10.0, datetime(2024, 6, 10, 4, tzinfo=UTC))
    raw = store.read("USA:NVDA", first=date(2024, 6, 7), last=date(2024, 6, 10))["close"]
    assert raw[0] / raw[1] == pytest.approx(9.93, abs=0.02)  # stored raw: the split is in the prices


def test_our_own_adjustment_of_tiingo_s_raw_prices_is_tiingo_s(realdata):
    """Their adjusted close, from their raw close and our reading of their dividends and splits, within 0.05 %."""
    for ticker in ("NVDA", "SPY", "AAPL"):
        name = f"daily/tiingo_raw_and_adj/{ticker}_1d.csv.gz"
        _, store = real(realdata, name, f"USA:{ticker}")
        ours = read_adjusted(store, f"USA:{ticker}", "total", dataset="tiingo", actions_dataset="tiingo")["close"]
        theirs = pl.read_csv(realdata / name)["AdjClose"]
        assert ((ours / theirs) - 1).abs().max() < 5e-4


def test_vendor_errors_come_in_flagged_and_their_twins_do_not(realdata):
    pairs = (("XLON:AET", "XLON", "AET-L-1d-100x-error", 2), ("XASX:DEX", "XASX", "DEX-AX-1d-bad-stock-split", 1))
    for id, calendar, name, moves in pairs:
        for suffix, expected in (("", moves), ("-fixed", 0)):
            report, store = real(realdata, f"bad_data/{name}{suffix}.csv.gz", id, calendar=calendar)
            assert (report.format, report.flagged.get(Reason.LARGE_MOVE, 0)) == ("yahoo-chart", expected)
    split = store.read("XASX:DEX", table="actions").row(0, named=True)
    assert (split["ratio"], split["effective_at"]) == (0.4406, datetime(2023, 5, 29, 14, tzinfo=UTC))
    report, store = real(realdata, "bad_data/CALM-1d-no-bad-divs.csv.gz", "XNAS:CALM")
    assert (report.tables["bars/1d"].rows_kept, report.tables["actions"].rows_kept) == (662, 10)


def test_an_hourly_file_is_hourly_bars(realdata):
    report, store = real(realdata, "bad_data/ASAI-L-1h-bad-unit.csv.gz", "XLON:ASAI", calendar="XLON")
    assert (list(report.tables), report.rows_kept) == (["bars/1h"], 20)
    found = store.read("XLON:ASAI", table="bars/1h")
    assert found["ts"][0] == datetime(2024, 10, 21, 10, tzinfo=UTC)  # 10:00+01:00 is its start
    assert not found.select(has_reason("outside_hours").any()).item()
