"""LEAN options: contracts from names, sides, open interest and when it was known, universes and their placeholders."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options
from fieldcast.data.importing import SourceReport, import_source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import has_reason

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HEADER = "#expiry,strike,right,open,high,low,close,volume,open_interest,implied_volatility,delta,gamma,vega,theta,rho"


def zipped(folder: Path, name: str, members: dict[str, str]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


def imported(path: Path, **options: object) -> tuple[MemoryStore, SourceReport]:
    store = MemoryStore()
    return store, import_source(path, Options(now=NOW, **options), store=store)  # type: ignore[arg-type]


def universe_file(folder: Path, lines: list[str], day: str = "20240105") -> Path:
    path = folder / "option/usa/universes/spy" / f"{day}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


# made files ----------------------------------------------------------------------------------------------------------


def test_quotes_become_the_chain_as_it_stood_at_the_end_of_the_minute(tmp_path):
    side = "14900,15900,10400,12100,30"
    members = {
        "20140605_aapl_minute_quote_american_call_6450000_20140621.csv":
            f"34200000,{side},16300,19500,12500,13300,6\n34260000,,,,,0,1,1,1,1,5\n",
        "20140605_aapl_minute_quote_american_put_6450000_20140621.csv":
            f"34200000,{side},0,0,0,0,0\n34260000,,,,,0,,,,,0\n",
    }
    store, report = imported(zipped(tmp_path, "option/usa/minute/aapl/20140605_quote_american.zip", members), venue="XNAS")
    rows = store.read("XNAS:AAPL", table="chains")
    assert rows["contract_id"].to_list() == ["AAPL  140621C00645000", "AAPL  140621P00645000", "AAPL  140621C00645000"]
    assert rows.select("bid", "ask", "bid_size", "ask_size").rows() == [
        (1.21, 1.33, 30.0, 6.0), (1.21, None, 30.0, None), (None, 0.0001, None, 5.0),
    ]
    assert rows["ts"][0] == rows["quote_ts"][0] == datetime(2014, 6, 5, 13, 31, tzinfo=UTC)
    # a Saturday expiry ends with Friday's session
    assert set(rows["expiry_ts"]) == {datetime(2014, 6, 20, 20, tzinfo=UTC)}
    assert report.removed == {Reason.VALUE_MISSING: 1}


def test_index_options_have_their_index_and_their_settlement(tmp_path):
    ends = {}
    for root in ("spx", "spxw"):
        name = f"20210104_{root}_minute_trade_european_call_37000000_20210115.csv"
        text = "34200000,610000,620000,600000,610000,4\n"
        path = zipped(tmp_path, f"indexoption/usa/minute/{root}/20210104_trade_european.zip", {name: text})
        store, _ = imported(path)
        row = store.read("XCBO:SPX", table="option_bars/1m").row(0, named=True)
        ends[root] = (row["contract_id"], row["settlement"], row["exercise_style"], row["expiry_ts"], row["close"])
    assert ends["spx"] == ("SPX   210115C03700000", "AM", "european", datetime(2021, 1, 15, 14, 30, tzinfo=UTC), 61.0)
    assert ends["spxw"] == ("SPXW  210115C03700000", "PM", "european", datetime(2021, 1, 15, 21, tzinfo=UTC), 61.0)


def test_open_interest_is_the_count_after_the_session_before_and_known_when_it_was_published(tmp_path):
    name = "20210104_spx_minute_openinterest_european_call_37000000_20210115.csv"
    path = zipped(tmp_path, "indexoption/usa/minute/spx/20210104_openinterest_european.zip", {name: "23400000,11755\n"})
    store, _ = imported(path)
    row = store.read("XCBO:SPX", table="open_interest").row(0, named=True)
    assert row["ts"] == datetime(2020, 12, 31, 21, tzinfo=UTC)
    assert row["available_at"] == datetime(2021, 1, 4, 11, 30, tzinfo=UTC)
    assert row["open_interest"] == 11_755
    assert store.lineage("XCBO:SPX", table="open_interest")[0].available_at == "reported"


def test_a_contract_that_cannot_be_named_and_a_stray_member_cost_their_lines_alone(tmp_path):
    line = "34200000,610000,620000,600000,610000,4"
    members = {
        "20140605_aapl_minute_trade_american_call_6450000_20140621.csv": "\n".join([line] * 1) + "\n",
        "20140605_aapl_minute_trade_american_call_6500000_20140621.csv": line,
        "20140605_aapl_minute_trade_american_put_0_20140621.csv": line,
        "readme.txt": "hello",
    }
    members["20140605_aapl_minute_trade_american_put_6500000_20140621.csv"] = line
    members["20140605_aapl_minute_trade_american_put_6550000_20140621.csv"] = line
    _, report = imported(zipped(tmp_path, "option/usa/minute/aapl/20140605_trade_american.zip", members))
    assert report.rows_kept == 4
    assert report.removed == {Reason.ROW_UNREADABLE: 2}


def test_a_quote_after_the_contract_ended_is_refused(tmp_path):
    side = "100,110,90,100,5"
    name = "20151224_goog_minute_quote_american_call_7500000_20151224.csv"
    text = f"46740000,{side},{side}\n46800000,{side},{side}\n34200000,{side},{side}\n"    # 12:59, 13:00 and 09:30 on a half-day
    store, report = imported(zipped(tmp_path, "option/usa/minute/goog/20151224_quote_american.zip", {name: text}))
    assert report.removed == {Reason.EXPIRED: 1}
    assert store.read("USA:GOOG", table="chains")["ts"][-1] == datetime(2015, 12, 24, 18, tzinfo=UTC)


def test_a_universe_is_of_its_session_and_known_from_the_next_open(tmp_path):
    lines = [
        ",,,467.44,470.44,466.43,467.92,74304611,,,,,,,",
        "20240108,405,C,62.42,65.62,61.305,63.12,4,,0.66,0.99,0.01,0.1,-0.02,-0.01",
    ]
    store, _ = imported(universe_file(tmp_path, lines))
    row = store.read("USA:SPY", table="chains").row(0, named=True)
    assert row["ts"] == datetime(2024, 1, 5, 21, tzinfo=UTC)
    assert row["available_at"] == row["oi_available_at"] == datetime(2024, 1, 8, 14, 30, tzinfo=UTC)
    assert (row["mark"], row["underlying_price"], row["iv"], row["open_interest"]) == (63.12, 467.92, 0.66, None)
    assert row["contract_id"] == "SPY   240108C00405000"


def test_an_all_zero_universe_is_refused_as_a_placeholder(tmp_path):
    lines = [",,,1,1,1,1,5,,,,,,,", *(f"20240108,{strike},C,0,0,0,0,0,,0,0,0,0,0,0" for strike in range(400, 420))]
    with pytest.raises(InvalidInput, match="placeholder 20"):
        imported(universe_file(tmp_path, lines))


def test_floors_are_null_and_flagged_and_zero_greeks_are_none(tmp_path):
    lines = [
        ",,,467.44,470.44,466.43,467.92,74304611,,,,,,,",
        "20240108,405,C,62.42,65.62,61.305,63.12,4,9,0.0000001,1,0,0,0,0",
        "20240108,406,C,61.42,64.62,60.305,62.12,4,9,0,0.99,0,0,0.07,0.01",
    ]
    rows = imported(universe_file(tmp_path, lines))[0].read("USA:SPY", table="chains")
    assert rows["iv"].to_list() == [None, None]
    assert rows["delta"].to_list() == [None, 0.99]
    assert rows["reasons"].to_list() == ["placeholder", "placeholder"]


def test_strikes_of_another_deliverable_are_flagged_and_get_no_underlying(tmp_path):
    lines = [",,,92,93,92,92.7,1000,,,,,,,"]
    for strike, spot in ((90, 92.7), (95, 92.7), (630, 645.0), (650, 645.0)):
        for right, price in (("C", max(spot - strike, 0) + 2), ("P", max(strike - spot, 0) + 2)):
            lines.append(f"20240119,{strike},{right},{price},{price},{price},{price},0,50,0,0,0,0,0,0")
    rows = imported(universe_file(tmp_path, lines))[0].read("USA:SPY", table="chains")
    strange = rows.filter(has_reason("underlying_mismatch"))
    assert sorted(strange["strike"].unique()) == [630, 650]
    assert strange["underlying_price"].null_count() == strange.height == 4
    assert set(rows.filter(~has_reason("underlying_mismatch"))["underlying_price"]) == {92.7}


# real files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "format", "id", "rows", "removed"),
    [
        ("lean_minute/goog/20151224_quote_american.zip", "lean-option-quote", "XNAS:GOOG", 274_559,
         {Reason.VALUE_MISSING: 985, Reason.EXPIRED: 8}),
        ("lean_minute/goog/20151224_trade_american.zip", "lean-option-trade", "XNAS:GOOG", 958, {}),
        ("lean_minute/goog/20151224_openinterest_american.zip", "lean-open-interest", "XNAS:GOOG", 2058, {}),
        ("lean_minute/twx/20140605_quote_american.zip", "lean-option-quote", "XNYS:TWX", 30_457, {Reason.VALUE_MISSING: 11}),
        ("lean_indexoption_minute/spx/20210104_quote_european.zip", "lean-option-quote", "XCBO:SPX", 2428, {}),
        ("lean_indexoption_minute/spxw/20210104_trade_european.zip.zip", "lean-option-trade", "XCBO:SPX", 1918, {}),
        ("lean_indexoption_minute/spxw/20210107_quote_european.zip", "lean-option-quote", "XCBO:SPX", 1618, {}),
        ("lean_daily/aapl_2014_quote_american.zip", "lean-option-quote", "XNAS:AAPL", 4532, {}),
        ("lean_daily/aapl_2014_openinterest_american.zip", "lean-open-interest", "XNAS:AAPL", 6016, {}),
    ],
)
def test_real_option_files_go_in_line_for_line(
    realdata: Path, file: str, format: str, id: str, rows: int, removed: dict[Reason, int]
):
    path = realdata / "options" / file
    with zipfile.ZipFile(path) as archive:
        lines = sum(len(archive.read(name).strip().split(b"\n")) for name in archive.namelist())
    _, report = imported(path, map_files=realdata / "reference/lean_map_files")
    assert report.format == format
    assert [item.id for item in report.instruments] == [id]
    assert report.rows_kept == rows
    assert report.removed == removed
    assert rows + sum(removed.values()) == lines


def test_the_one_crossed_bar_of_spxw_is_kept_and_flagged(realdata: Path):
    store, report = imported(realdata / "options/lean_indexoption_minute/spxw/20210107_quote_european.zip")
    assert report.flagged[Reason.QUOTE_CROSSED] == 1
    row = store.read("XCBO:SPX", table="chains").filter(has_reason("quote_crossed")).row(0, named=True)
    assert row["bid"] > row["ask"]


def test_real_open_interest_is_known_before_the_open_of_the_next_session(realdata: Path):
    store, _ = imported(realdata / "options/lean_minute/goog/20151224_openinterest_american.zip")
    rows = store.read("USA:GOOG", table="open_interest")
    assert set(rows["ts"]) == {datetime(2015, 12, 23, 21, tzinfo=UTC)}
    assert rows["available_at"].min() >= datetime(2015, 12, 24, 11, 30, tzinfo=UTC)
    assert rows["available_at"].max() < datetime(2015, 12, 24, 14, 30, tzinfo=UTC)
    assert store.read("USA:GOOG", table="open_interest", as_of=datetime(2015, 12, 24, 11, tzinfo=UTC)).is_empty()


def test_a_universe_is_dated_by_its_own_session(realdata: Path):
    """Its underlying closes where the tape closed on the file's date, not on the day before."""
    maps = realdata / "reference/lean_map_files"
    store, _ = imported(realdata / "options/lean_universe/goog/20151224.csv.gz", map_files=maps)
    stated = store.read("XNAS:GOOG", table="chains")["underlying_price"].drop_nulls()[0]
    days, _ = imported(realdata / "daily/lean_raw/goog.zip", map_files=maps)
    closes = {row["ts"].date(): row["close"] for row in days.read("XNAS:GOOG").iter_rows(named=True)}
    assert abs(stated / closes[date(2015, 12, 24)] - 1) < 2e-4
    assert abs(stated / closes[date(2015, 12, 23)] - 1) > 2e-3
    yahoo = pl.read_csv(realdata / "daily/yahoo_adjusted/SPY.csv.gz").select(pl.col("date").str.slice(0, 10), "close")
    moves = dict(yahoo.with_columns(move=pl.col("close") / pl.col("close").shift(1)).select("date", "move").iter_rows())
    found = {}
    for path in sorted((realdata / "options/lean_universe/spy").glob("*.csv")):
        rows = imported(path)[0].read("USA:SPY", table="chains")
        found[rows["ts"][0].date().isoformat()] = rows["underlying_price"].drop_nulls()[0]
    days_in_order = sorted(found)
    assert len(days_in_order) == 8
    for before, day in pairwise(days_in_order):
        assert found[day] / found[before] == pytest.approx(moves[day], abs=1e-4)
    counts, _ = imported(realdata / "options/lean_daily/aapl_2014_openinterest_american.zip", map_files=maps)
    known = counts.read("XNAS:AAPL", table="open_interest").filter(
        (pl.col("contract_id") == "AAPL  140613C00645000") & (pl.col("ts") == datetime(2014, 6, 5, 20, tzinfo=UTC))
    )
    chain = imported(realdata / "options/lean_universe/aapl/20140605.csv.gz", map_files=maps)[0].read("XNAS:AAPL", table="chains")
    row = chain.filter(pl.col("contract_id") == "AAPL  140613C00645000").row(0, named=True)
    assert row["open_interest"] == known["open_interest"][0] == 3435
    assert row["ts"] == datetime(2014, 6, 5, 20, tzinfo=UTC)
    assert row["available_at"] >= known["available_at"][0]


def test_the_real_placeholder_is_refused_and_both_sets_of_strikes_are_told_apart(realdata: Path):
    folder = realdata / "options/lean_universe/aapl"
    with pytest.raises(InvalidInput, match="placeholder 2180"):
        imported(folder / "20140606.csv.gz")
    store, report = imported(folder / "20140609.csv.gz")
    rows = store.read("USA:AAPL", table="chains")
    strange = rows.filter(has_reason("underlying_mismatch"))
    assert strange["strike"].min() == 195.0                 # the pre-split strikes, all of them and nothing else
    assert rows.filter(~has_reason("underlying_mismatch"))["strike"].max() == 150.0
    lines = gzip.decompress((folder / "20140609.csv.gz").read_bytes()).decode().strip().split("\n")[2:]
    assert strange.height == sum(float(line.split(",")[1]) >= 195 for line in lines) == 2180
    assert report.rows_kept == len(lines)
