"""A person's own table: daily and intraday bars, several tickers, one column an instrument."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data._reading import as_number
from fieldcast.data.formats import Options
from fieldcast.data.importing import SourceReport, import_source
from fieldcast.ground import ConflictError, InvalidInput, Reason
from fieldcast.market import Instrument, Kind, default_instrument, has_reason, sessions_between

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SPY = default_instrument("ARCX:SPY", Kind.ETF)
VIX = default_instrument("XCBO:VIX", Kind.INDEX)
BITCOIN = default_instrument("CRYP:BTC", Kind.CRYPTO)
UNPROVEN = Reason.LAST_BAR_UNPROVEN
YORK = "America/New_York"


@pytest.fixture
def bring(tmp_path: Path):
    """Write text or bytes to a file and import it as a table into a new store."""

    def run(
        content: str | bytes, name: str = "file.csv", store=None, format="table", **options
    ) -> tuple[SourceReport, MemoryStore]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        store = MemoryStore() if store is None else store
        settings = {"now": NOW, "instrument": SPY} | options
        return import_source(path, Options(**settings), store=store, format=format), store

    return run


def bars(start: datetime, count: int, minutes: int = 1, form: str = "%Y-%m-%d %H:%M:%S+00:00") -> list[str]:
    """Lines of sound bars with rising times."""
    times = [start + timedelta(minutes=minutes * n) for n in range(count)]
    return [f"{t.strftime(form)},100,101,99,100.5,{10 + n}" for n, t in enumerate(times)]


def text(lines: list[str], header: str = "time,open,high,low,close,volume") -> str:
    return "\n".join([header, *lines])


OPEN = datetime(2024, 1, 3, 14, 30, tzinfo=UTC)


# daily --------------------------------------------------------------------------------------------------------------


def daily(count: int = 40, first: date = date(2024, 1, 2)) -> pl.DataFrame:
    days = sessions_between("XNYS", first, first + timedelta(days=90))["session"].head(count)
    n = pl.int_range(count, eager=True)
    return pl.DataFrame(
        {"Date": days, "Open": 100.0 + n, "High": 101.5 + n, "Low": 99.0 + n, "Close": 100.5 + n, "Volume": 10 + n}
    )


def test_daily_rows_get_the_close_of_their_session(bring):
    report, store = bring(daily().write_csv())
    found = store.read("ARCX:SPY")
    assert (report.dataset, report.rows_kept, report.removed) == ("files", 40, {})
    assert found["ts"][0] == datetime(2024, 1, 2, 21, tzinfo=UTC)
    assert (found["close"][0], found["volume"][3]) == (100.5, 13.0)


def test_the_columns_taken_and_the_sorting_are_noted(bring):
    report, store = bring(daily().reverse().rename({"Close": "Px"}).write_csv(), columns={"close": "Px"})
    assert any("close=Px" in note for note in report.notes)
    assert "39 rows stood before an earlier one and were sorted" in report.notes
    assert store.read("ARCX:SPY")["ts"].is_sorted()


def test_adjusted_prices_never_meet_raw_ones(bring):
    _, store = bring(daily().write_csv(), adjusted=True)
    assert store.datasets()["adjustment"].to_list() == ["adjusted_only"]
    with pytest.raises(ConflictError, match="adjusted_only"):
        bring(daily().write_csv(), store=store)


def test_unfit_daily_rows_are_counted_and_kept_aside(bring):
    lines = daily().write_csv().splitlines()
    lines[3] = "2024-01-04,100,101,99,NaN,5"
    lines[5] = "2024-01-06,100,101,99,100,5"
    report, store = bring("\n".join(lines))
    assert report.removed == {Reason.PRICE_MISSING: 1, Reason.NOT_A_SESSION: 1}
    assert store.read("ARCX:SPY").height == 38


def test_a_session_that_has_not_closed_is_not_stored(bring):
    report, _ = bring(daily().write_csv(), now=datetime(2024, 2, 28, 20, 59, tzinfo=UTC))
    assert report.removed == {Reason.FUTURE_STAMP: 1}


# intraday -----------------------------------------------------------------------------------------------------------


def test_a_bar_stamped_by_its_start_ends_an_interval_later(bring):
    report, store = bring(text(bars(OPEN, 30)))
    found = store.read("ARCX:SPY", table="bars/1m")
    assert found["ts"].to_list() == [OPEN + timedelta(minutes=n + 1) for n in range(30)]
    assert found["available_at"].equals(found["ts"].alias("available_at"))
    assert any("taken to be its start" in note for note in report.notes)


def test_a_bar_stamped_by_its_end_keeps_its_time(bring):
    report, store = bring(text(bars(OPEN + timedelta(minutes=1), 30)), stamp="end")
    assert store.read("ARCX:SPY", table="bars/1m")["ts"][0] == OPEN + timedelta(minutes=1)
    assert "a bar's time is its end, as told" in report.notes


@pytest.mark.parametrize(
    ("minutes", "table"), [(1, "bars/1m"), (5, "bars/5m"), (15, "bars/15m"), (30, "bars/30m"), (60, "bars/1h")]
)
def test_the_interval_is_the_step_between_the_times(bring, minutes, table):
    report, store = bring(text(bars(OPEN, 8, minutes)))
    assert list(report.tables) == [table]
    assert store.read("ARCX:SPY", table=table).height == 8


def test_an_interval_that_cannot_be_told_must_be_given(bring):
    with pytest.raises(InvalidInput, match="give interval="):
        bring(text(bars(OPEN, 20, 7)))
    with pytest.raises(InvalidInput, match="give interval="):
        bring(text(bars(OPEN, 1)))
    assert bring(text(bars(OPEN, 1)), interval="1m")[0].rows_kept == 1
    with pytest.raises(InvalidInput, match="interval out of"):
        bring(text(bars(OPEN, 20)), interval="7m")


def test_times_at_every_close_and_no_open_contradict_a_start(bring):
    ends = [line for day in range(3) for line in bars(datetime(2024, 1, 3 + day, 14, 31, tzinfo=UTC), 390)]
    with pytest.raises(InvalidInput, match="3 of 3 sessions have one at their close and none at their open"):
        bring(text(ends))
    report, _ = bring(text(ends), stamp="end")
    assert Reason.OUTSIDE_HOURS not in report.flagged
    assert bring(text(ends), stamp="start")[0].flagged == {Reason.OUTSIDE_HOURS: 3, UNPROVEN: 1}  # a person may insist


def test_times_without_a_zone_are_refused_until_it_is_given(bring):
    lines = bars(datetime(2024, 1, 3, 9, 30, tzinfo=UTC), 30, form="%Y-%m-%d %H:%M:%S")  # the zone is not written
    with pytest.raises(InvalidInput, match="zone="):
        bring(text(lines))
    _, store = bring(text(lines), zone=YORK)
    assert store.read("ARCX:SPY", table="bars/1m")["ts"][0] == OPEN + timedelta(minutes=1)
    with pytest.raises(InvalidInput, match="name of a time zone"):
        bring(text(lines), zone="Mars/Olympus")


def test_a_local_clock_follows_summer_time(bring):
    """The clocks of New York went forward on 2024-03-10: the open moves from 14:30 to 13:30 UTC."""
    lines = [line for day in (8, 11) for line in bars(datetime(2024, 3, day, 9, 30, tzinfo=UTC), 30, form="%m/%d/%Y %H:%M")]
    _, store = bring(text(lines), zone=YORK, date_format="%m/%d/%Y %H:%M")
    found = store.read("ARCX:SPY", table="bars/1m")["ts"].to_list()
    assert found[0] == datetime(2024, 3, 8, 14, 31, tzinfo=UTC)
    assert found[30] == datetime(2024, 3, 11, 13, 31, tzinfo=UTC)
    with pytest.raises(InvalidInput, match="date_format="):  # 03/08 could be August
        bring(text(lines), zone=YORK)
    lines = [line.replace(" 09:", " 9:").replace(",100,101", " AM,100,101") for line in lines]
    _, store = bring(text(lines), zone=YORK, date_format="%m/%d/%Y %I:%M %p")
    assert store.read("ARCX:SPY", table="bars/1m")["ts"].to_list() == found


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_hour_that_occurs_twice_in_autumn_is_two_hours(bring, newest_first):
    """The clocks of New York went back on 2024-11-03 at 06:00 UTC: local 01:00 to 01:59 occurs twice, bitcoin trades on."""
    times = [datetime(2024, 11, 3, 4, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(10)]
    local = [time.astimezone(ZoneInfo(YORK)) for time in times]
    lines = [f"{time:%Y-%m-%d %H:%M:%S},100,101,99,100,{n + 1}" for n, time in enumerate(local)]
    _, store = bring(text(lines[::-1] if newest_first else lines), zone=YORK, instrument=BITCOIN)
    found = store.read("CRYP:BTC", table="bars/30m")
    assert found["ts"].to_list() == [time + timedelta(minutes=30) for time in times]
    assert found["volume"].to_list() == [float(n + 1) for n in range(10)]


@pytest.mark.parametrize("step", [1, 1000, 1_000_000])
def test_unix_times_are_read_by_their_digits(bring, step):
    lines = [f"{int((OPEN + timedelta(minutes=n)).timestamp()) * step},100,101,99,100,5" for n in range(20)]
    _, store = bring(text(lines))
    assert store.read("ARCX:SPY", table="bars/1m")["ts"][0] == OPEN + timedelta(minutes=1)


def test_bars_outside_the_session_are_kept_and_flagged(bring):
    report, store = bring(text(bars(OPEN - timedelta(minutes=10), 30)))
    found = store.read("ARCX:SPY", table="bars/1m")
    assert report.flagged == {Reason.OUTSIDE_HOURS: 10, UNPROVEN: 1}
    assert found.filter(has_reason("outside_hours"))["ts"].max() == OPEN
    assert bring(text(bars(OPEN, 30)), instrument=BITCOIN)[0].flagged == {UNPROVEN: 1}


def test_an_hourly_bar_that_begins_in_the_session_ends_with_it(bring):
    """Yahoo's last hourly bar begins at 15:30 New York and lasts half an hour."""
    _, store = bring(text(bars(OPEN, 7, 60)))
    assert store.read("ARCX:SPY", table="bars/1h")["ts"][-1] == datetime(2024, 1, 3, 21, tzinfo=UTC)


def test_the_running_minute_at_the_end_of_a_file_is_no_bar(bring):
    stub = f"{OPEN + timedelta(minutes=30):%Y-%m-%d %H:%M:%S}+00:00,100,100,100,100,0"
    live = OPEN + timedelta(minutes=31, seconds=20)
    report, store = bring(text([*bars(OPEN, 30), stub]), now=live)
    assert (report.removed, report.flagged) == ({Reason.STUB_BAR: 1}, {})
    assert store.read("ARCX:SPY", table="bars/1m").height == 30
    report, store = bring(text([*bars(OPEN, 30), stub]))      # an old file: a quiet minute or a running one
    assert report.removed == {}
    assert store.read("ARCX:SPY", table="bars/1m")["reasons"][-1] == "last_bar_unproven,stub_bar,volume_zero"
    quiet = f"{OPEN + timedelta(minutes=15):%Y-%m-%d %H:%M:%S}+00:00,100,100,100,100,0"
    lines = bars(OPEN, 30)
    lines[15] = quiet  # a minute without a trade in the middle is a bar
    assert bring(text(lines))[0].removed == {}
    silent = [line.rsplit(",", 1)[0] + ",0" for line in [*bars(OPEN, 30), stub]]
    assert bring(text(silent))[0].flagged == {Reason.VOLUME_ZERO: 31, Reason.STUB_BAR: 1, UNPROVEN: 1}
    index = bring(text(silent), instrument=VIX)[0]      # of an index nothing is counted
    assert (index.removed, index.flagged[Reason.VOLUME_NOT_REPORTED]) == ({}, 31)


def test_the_newest_bar_is_marked_until_a_longer_file_settles_it(bring):
    two = [f"{line},{ticker}" for ticker in ("AA", "BB") for line in bars(OPEN, 20)]
    _, store = bring(text(two, "time,open,high,low,close,volume,ticker"), instrument=None, venue="XNAS")
    for ticker in ("XNAS:AA", "XNAS:BB"):
        rows = store.read(ticker, table="bars/1m")
        assert rows.filter(has_reason(UNPROVEN))["ts"].to_list() == [rows["ts"].max()]
    _, store = bring(text(bars(OPEN, 20)), now=datetime(2024, 1, 5, tzinfo=UTC))
    report, _ = bring(text(bars(OPEN, 25)), store=store, now=datetime(2024, 1, 6, tzinfo=UTC))
    counts = report.tables["bars/1m"]
    assert (counts.added, counts.restated, counts.unchanged) == (5, 1, 19)
    rows = store.read("ARCX:SPY", table="bars/1m")
    assert rows.filter(has_reason(UNPROVEN))["ts"].to_list() == [rows["ts"].max()]
    assert rows["volume"].to_list() == [10.0 + n for n in range(25)]
    before = store.read("ARCX:SPY", table="bars/1m", as_of=datetime(2024, 1, 5, 12, tzinfo=UTC))
    assert before["volume"].to_list()[:20] == [10.0 + n for n in range(20)]
    assert before.filter(has_reason(UNPROVEN))["ts"][0] == OPEN + timedelta(minutes=20)
    assert bring(text(bars(OPEN, 25)), store=store)[0].tables["bars/1m"].restated == 0      # and stays so


def test_a_day_is_marked_only_where_the_market_never_closes(bring):
    assert bring(daily().write_csv())[0].flagged == {}
    days = [f"2024-01-{day:02d},100,101,99,100,5" for day in range(1, 20)]
    assert bring(text(days), instrument=BITCOIN)[0].flagged == {UNPROVEN: 1}
    running = datetime(2024, 1, 19, 15, tzinfo=UTC)
    report, _ = bring(text(days), instrument=BITCOIN, now=running)      # a running day shows that those before it are over
    assert (report.removed, report.flagged) == ({Reason.FUTURE_STAMP: 1}, {})


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_doubled_hour_is_told_apart_within_each_ticker(bring, newest_first):
    times = [datetime(2024, 11, 3, 4, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(10)]
    local = [time.astimezone(ZoneInfo(YORK)) for time in times]
    lines = [f"{t:%Y-%m-%d %H:%M:%S},100,101,99,100,{n + 1}" for n, t in enumerate(local)]
    lines = lines[::-1] if newest_first else lines
    header, options = "time,open,high,low,close,volume,ticker", {"instrument": None, "venue": "CRYP", "kind": Kind.CRYPTO}
    grouped = [f"{line},{ticker}" for ticker in ("BTC", "ETH", "SOL") for line in lines]
    woven = [f"{line},{ticker}" for line in lines for ticker in ("BTC", "ETH", "SOL")]
    for order in (grouped, woven):
        report, store = bring(text(order, header), zone=YORK, **options)
        assert report.removed == {}
        for ticker in ("BTC", "ETH", "SOL"):
            found = store.read(f"CRYP:{ticker}", table="bars/30m")
            assert found["ts"].to_list() == [time + timedelta(minutes=30) for time in times]
            assert found["volume"].to_list() == [float(n + 1) for n in range(10)]


def test_a_zero_volume_stays_a_zero_however_the_file_is_cut(bring):
    lines = bars(OPEN, 20)
    lines[:5] = [line.rsplit(",", 1)[0] + ",0" for line in lines[:5]]
    assert bring(text(lines))[1].read("ARCX:SPY", table="bars/1m")["volume"].to_list()[:5] == [0.0] * 5
    assert bring(text(lines[:5]))[1].read("ARCX:SPY", table="bars/1m")["volume"].to_list() == [0.0] * 5


def test_a_volume_that_is_no_number_is_counted(bring):
    lines = bars(OPEN, 20)
    for row, volume in ((3, "2033K"), (7, "inf"), (9, "-"), (11, "")):
        lines[row] = lines[row].rsplit(",", 1)[0] + f",{volume}"
    report, store = bring(text(lines))
    assert (report.rows_kept, report.removed) == (20, {})
    assert report.flagged == {Reason.VOLUME_UNREADABLE: 2, Reason.VOLUME_NOT_REPORTED: 4, UNPROVEN: 1}
    found = store.read("ARCX:SPY", table="bars/1m")
    assert found.filter(has_reason("volume_unreadable"))["ts"].to_list() == [OPEN + timedelta(minutes=n) for n in (4, 8)]
    assert found["volume"].to_list()[2:12] == [12.0, None, 14.0, 15.0, 16.0, None, 18.0, None, 20.0, None]


def _priced(*prices: str, volume: str = "100") -> str:
    """Daily rows of SPY that are one price each."""
    days = sessions_between("XNYS", date(2024, 1, 2), date(2024, 2, 1))["session"].head(len(prices))
    cells = [f'{day},"{price}","{price}","{price}","{price}","{volume}"' for day, price in zip(days, prices, strict=True)]
    return "\n".join(["date,open,high,low,close,volume", *cells]) + "\n"


def test_commas_between_thousands_are_read_where_nothing_else_can_be_meant(bring):
    report, store = bring(_priced("1,234.5", "1,235", "999.25", volume="1,234,567"), columns={"close": "close"})
    rows = store.read(SPY.id, dataset=report.dataset)
    assert rows["close"].to_list() == [1234.5, 1235.0, 999.25]
    assert rows["volume"].to_list() == [1_234_567.0] * 3


@pytest.mark.parametrize(("price", "found"), [("1,234", "1,234"), ("1,5", "1,5"), ("1.234,5", "1.234,5"), ("0,123", "0,123")])
def test_a_comma_that_may_be_a_decimal_one_is_refused_with_its_column(bring, price, found):
    with pytest.raises(InvalidInput, match=f"in the column open, found {found}, whose comma"):
        bring(_priced(price, price))


@pytest.mark.parametrize("cell", ["1,5", "1,234", "1.234,5"])
def test_one_doubtful_comma_in_a_long_column_costs_its_row_alone(bring, cell):
    lines = bars(OPEN, 300)
    lines[7] = lines[7].replace(",100,", f',"{cell}",', 1)
    report, store = bring(text(lines))
    assert (report.rows_kept, sum(report.removed.values())) == (299, 1)
    assert report.quarantine["row"].to_list() == [7]
    assert OPEN + timedelta(minutes=8) not in store.read("ARCX:SPY", table="bars/1m")["ts"].to_list()


@pytest.mark.parametrize(("doubtful", "refused"), [(5, False), (6, True)])
def test_doubtful_commas_are_refused_where_they_are_more_than_one_cell_in_twenty(doubtful, refused):
    column = pl.Series("open", ["1,5"] * doubtful + ["2.5"] * (100 - doubtful) + [""] * 50)
    if refused:
        with pytest.raises(InvalidInput, match="in the column open, found 1,5, whose comma"):
            as_number(column)
    else:
        assert as_number(column).to_list() == [None] * doubtful + [2.5] * (100 - doubtful) + [None] * 50


def test_a_doubtful_cell_among_sure_thousands_leaves_them_readable():
    """One cell each way proves nothing: then every comma is in doubt."""
    sure = ["1,234.5"] * 30 + ["1,235"] * 10 + ["7"] * 60
    assert as_number(pl.Series("c", [*sure, "1,5"])).to_list() == [1234.5] * 30 + [1235.0] * 10 + [7.0] * 60 + [None]
    assert as_number(pl.Series("c", ["1,234.5", "1,5", "1,235", *["7"] * 97])).to_list() == [None] * 3 + [7.0] * 97


def test_text_with_a_comma_is_no_number_and_costs_its_row_alone(bring):
    report, _ = bring(_priced("100", "n.a., late", "101", "102"))
    assert report.rows_kept == 3


def test_a_zone_for_daily_bars_is_refused_unless_it_is_the_calendars_own(bring):
    with pytest.raises(InvalidInput, match=r"no time zone for the daily bars of file.csv, .* \(America/New_York\), found UTC"):
        bring(_priced("100", "101"), zone="UTC")
    assert bring(_priced("100", "101"), zone=YORK)[0].rows_kept == 2


def test_a_bad_line_costs_that_line(bring):
    lines = bars(OPEN, 20)
    lines[3] += ",extra"
    content = text(lines).encode().replace(b",19\n", b",1\xff9\n")
    report, _ = bring(content)
    assert (report.rows_kept, report.removed) == (18, {Reason.ROW_UNREADABLE: 2})
    assert report.quarantine["row"].to_list() == [3, 9]
    lines[3] = lines[3].replace("100.5", '"100.5"')
    with pytest.raises(InvalidInput, match="as many fields as its header, found 7 in line 5"):
        bring(text(lines))
    with pytest.raises(InvalidInput, match="not in line 2"):
        bring(content.replace(b"100.5", b'"100.5"', 1).replace(b"101,99", b"101\xff,99", 1))


def test_the_venue_of_simulated_instruments_is_refused(bring):
    lines = [f"{line},AA" for line in bars(OPEN, 20)]
    with pytest.raises(InvalidInput, match="kept for simulated"):
        bring(text(lines, "time,open,high,low,close,volume,ticker"), instrument=None, venue="SIM")


def test_a_bar_that_has_not_ended_yet_is_not_stored(bring):
    report, _ = bring(text(bars(OPEN, 30)), now=OPEN + timedelta(minutes=29, seconds=30))
    assert report.removed == {Reason.FUTURE_STAMP: 1}


def test_parquet_gives_the_same_bars_as_csv(bring, tmp_path):
    frame = pl.read_csv(text(bars(OPEN, 30)).encode()).with_columns(pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S%z"))
    frame.write_parquet(tmp_path / "x")
    _, one = bring((tmp_path / "x").read_bytes(), "a.parquet")
    _, two = bring(gzip.compress(text(bars(OPEN, 30)).encode()), "a.csv.gz")
    assert one.read("ARCX:SPY", table="bars/1m").equals(two.read("ARCX:SPY", table="bars/1m"))


# whose prices -------------------------------------------------------------------------------------------------------


def test_a_file_that_names_nobody_needs_an_instrument(bring):
    with pytest.raises(InvalidInput, match="give instrument="):
        bring(text(bars(OPEN, 5)), instrument=None)
    simulated = Instrument(id="SIM:SPY", kind=Kind.ETF, simulated=True)
    with pytest.raises(InvalidInput, match="real market"):
        bring(text(bars(OPEN, 5)), instrument=simulated)


def test_a_column_of_tickers_makes_several_instruments(bring):
    lines = [f"{line},{ticker}" for ticker in ("NA", "nan") for line in bars(OPEN, 20)]
    header = "time,open,high,low,close,volume,ticker"
    report, store = bring(text(lines, header), instrument=None, venue="XNAS")
    assert [instrument.id for instrument in report.instruments] == ["XNAS:NA", "XNAS:NAN"]
    assert store.read("XNAS:NA", table="bars/1m").height == 20
    with pytest.raises(InvalidInput, match="venue="):
        bring(text(lines, header), instrument=None)
    with pytest.raises(InvalidInput, match="one instrument"):
        bring(text(lines, header))
    named = text(lines, header.replace("ticker", "Stock"))
    assert bring(named, instrument=None, venue="XNAS", columns={"symbol": "Stock"})[0].instruments == report.instruments
    with pytest.raises(InvalidInput, match="column of tickers"):
        bring(named, instrument=None, venue="XNAS", columns={"symbol": "Paper"})
    with pytest.raises(InvalidInput, match="venue of 2 to 12"):
        bring(text(lines, header), instrument=None, venue="nas daq")
    report, _ = bring(text([*lines, f"{bars(OPEN, 1)[0]},A B"], header), instrument=None, venue="XNAS")
    assert report.removed == {Reason.ROW_UNREADABLE: 1}


def test_a_wide_table_is_closes_alone(bring):
    frame = daily().select("Date", AAPL="Close", MSFT=pl.when(pl.int_range(pl.len()) >= 10).then("Open"))
    report, store = bring(frame.write_csv(), format="table-wide", instrument=None, venue="XNAS")
    assert store.read("XNAS:AAPL")["close"].to_list() == frame["AAPL"].to_list()
    assert store.read("XNAS:MSFT").height == 30  # ten days before its listing are no rows of it
    assert report.flagged == {Reason.CLOSE_ONLY: 70}
    with pytest.raises(InvalidInput, match="venue="):
        bring(frame.write_csv(), format="table-wide", instrument=None)
    with pytest.raises(InvalidInput, match="known format"):      # it could be anything: a person names the format
        bring(frame.write_csv(), format=None)


# real files ---------------------------------------------------------------------------------------------------------


def real(realdata: Path, name: str, instrument: Instrument | None, format: str | None = None, **options):
    store = MemoryStore()
    settings = Options(now=options.pop("now", NOW), instrument=instrument, **options)
    return import_source(realdata / name, settings, store=store, format=format), store


def test_one_minute_bars_of_2026_end_before_their_live_stub(realdata):
    for ticker, kept in (("SPY", 2426), ("QQQ", 2427)):
        instrument = default_instrument(f"ARCX:{ticker}", Kind.ETF)
        report, store = real(realdata, f"intraday/us_2026_1m/{ticker}_1m.csv.gz", instrument)
        assert (report.format, report.rows_kept, report.removed) == ("table", kept + 1, {})
        last = store.read(instrument.id, table="bars/1m").row(-1, named=True)
        assert {"last_bar_unproven", "stub_bar"} <= set(last["reasons"].split(","))      # no complete bar
    found = real(realdata, "intraday/us_2026_1m/SPY_1m.csv.gz", SPY)[1].read("ARCX:SPY", table="bars/1m")
    assert found["ts"][0] == datetime(2026, 3, 23, 13, 31, tzinfo=UTC)
    # the file's columns stand as close, high, low, open
    assert found.select("open", "high", "low", "close").row(0) == pytest.approx(
        (658.0700, 658.3800, 656.9500, 657.8600), abs=1e-3
    )
    report, _ = real(realdata, "intraday/us_2026_1m/AAPL_1m.csv.gz", default_instrument("XNAS:AAPL", Kind.EQUITY))
    assert (report.rows_kept, report.removed) == (2728, {})


def test_five_minute_bars_run_through_the_change_of_the_clock(realdata):
    report, store = real(realdata, "intraday/us_2026_5m/SPY_5m.csv.gz", SPY)
    assert (report.rows_kept, report.removed) == (4520, {})
    assert Reason.OUTSIDE_HOURS not in report.flagged  # no bar falls out of its session on either side
    found = store.read("ARCX:SPY", table="bars/5m", first=date(2026, 3, 6), last=date(2026, 3, 9))["ts"]
    assert datetime(2026, 3, 6, 14, 35, tzinfo=UTC) in found.to_list()
    assert datetime(2026, 3, 9, 13, 35, tzinfo=UTC) in found.to_list()
    half_day = store.read("ARCX:SPY", table="bars/5m", first=date(2025, 12, 24), last=date(2025, 12, 24))
    assert (half_day.height, half_day["ts"].max()) == (40, datetime(2025, 12, 24, 17, 50, tzinfo=UTC))  # Yahoo lacks the last two


def test_extended_hours_are_kept_beside_the_session(realdata):
    name = "intraday/spy_1m_extended_hours_2025-10-29_2025-11-08.csv.gz"
    with pytest.raises(InvalidInput, match="zone="):
        real(realdata, name, SPY)
    report, store = real(realdata, name, SPY, zone="UTC")
    assert (report.rows_kept, report.removed) == (7218, {})
    found = store.read("ARCX:SPY", table="bars/1m")
    inside = found.filter(~has_reason("outside_hours"))
    per_day = inside.group_by(pl.col("ts").dt.date()).len()["len"].unique().to_list()
    assert per_day == [390]  # on both sides of the change of 2025-11-02
    assert report.flagged == {Reason.OUTSIDE_HOURS: 7218 - 390 * 8, UNPROVEN: 1}
    assert inside.filter(pl.col("ts").dt.date() == date(2025, 10, 31))["ts"].min() == datetime(2025, 10, 31, 13, 31, tzinfo=UTC)
    assert inside.filter(pl.col("ts").dt.date() == date(2025, 11, 3))["ts"].min() == datetime(2025, 11, 3, 14, 31, tzinfo=UTC)
    assert found["ts"].max() == datetime(2025, 11, 8, 1, 1, tzinfo=UTC)  # Friday evening in New York, past midnight in UTC


def test_bars_of_2019_are_stamped_by_their_end_in_local_time(realdata):
    name = "intraday/us_2019_1m_reverse_order/SPY_1min.csv.gz"
    with pytest.raises(InvalidInput, match="stamp=end"):
        real(realdata, name, SPY, zone=YORK)
    report, store = real(realdata, name, SPY, zone=YORK, stamp="end")
    found = store.read("ARCX:SPY", table="bars/1m")
    assert (report.rows_kept, report.removed) == (1950, {})
    assert found["ts"][0] == datetime(2019, 2, 11, 14, 31, tzinfo=UTC)
    assert found["ts"][-1] == datetime(2019, 2, 15, 21, tzinfo=UTC)
    assert found["close"][-1] == 277.39
    for ticker, kept in (("AAPL", 1948), ("GLD", 1927), ("JPM", 1950), ("MSFT", 1948), ("QQQ", 1948)):
        path = f"intraday/us_2019_1m_reverse_order/{ticker}_1min.csv.gz"
        instrument = default_instrument(f"USA:{ticker}", Kind.EQUITY)
        report, _ = real(realdata, path, instrument, zone=YORK, stamp="end")
        assert (report.rows_kept, report.removed) == (kept, {})
        assert Reason.OUTSIDE_HOURS not in report.flagged


def test_daily_histories_come_in_whole(realdata):
    report, store = real(realdata, "daily/yahoo_adjusted/SPY.csv.gz", SPY, adjusted=True)
    assert (report.rows_kept, report.removed) == (8288, {})
    assert store.datasets()["adjustment"].to_list() == ["adjusted_only"]
    report, store = real(realdata, "daily/yahoo_adjusted/VIX.csv.gz", VIX)
    assert report.flagged[Reason.VOLUME_NOT_REPORTED] == report.rows_kept == 9067
    assert store.read("XCBO:VIX")["volume"].null_count() == 9067
    report, _ = real(realdata, "daily/backtesting_py_GOOG.csv", default_instrument("XNAS:GOOG", Kind.EQUITY))
    assert (report.rows_kept, report.removed) == (2148, {})


def test_a_day_that_still_runs_is_not_stored(realdata):
    """Bitcoin's day ends at midnight UTC: read in the afternoon, the last row is of a part of a day."""
    name = "daily/yahoo_adjusted/BTC_USD.csv.gz"
    report, store = real(realdata, name, BITCOIN, now=datetime(2025, 12, 31, 15, tzinfo=UTC))
    assert (report.rows_kept, report.removed) == (4123, {Reason.FUTURE_STAMP: 1})
    assert store.read("CRYP:BTC")["ts"].max() == datetime(2025, 12, 31, tzinfo=UTC)
    assert real(realdata, name, BITCOIN)[0].rows_kept == 4124


def test_the_published_vix_keeps_its_47_odd_rows(realdata):
    report, store = real(realdata, "daily/vix-daily-cboe.csv.gz", VIX)
    assert report.removed == {Reason.NOT_A_SESSION: 33}
    odd = store.read("XCBO:VIX").filter(has_reason("open_outside_range") | has_reason("close_outside_range"))
    assert odd.height == 47
    assert (odd["ts"].dt.year().min(), odd["ts"].dt.year().max()) == (1992, 2006)
    first = store.read("XCBO:VIX").row(0, named=True)
    assert first["open"] == first["high"] == first["low"] == first["close"] == 17.24


def test_panels_of_closes_come_in_by_column(realdata):
    name = "daily/skfolio_sp500_close_20stocks_1990_2022.csv.gz"
    report, store = real(realdata, name, None, "table-wide", venue="USA", adjusted=True)
    assert (report.rows_kept, len(report.instruments), report.removed) == (166_260, 20, {})
    assert store.read("USA:XOM")["close"][-1] == 106.627
    assert store.datasets()["adjustment"].unique().to_list() == ["adjusted_only"]
    report, _ = real(realdata, "daily/skfolio_factors_etf.csv.gz", None, "table-wide", venue="USA", kind=Kind.ETF, adjusted=True)
    assert (report.rows_kept, report.removed) == (11_320, {})


def test_the_files_of_arch_come_in_as_told(realdata):
    for name, id, kept in (("nasdaq", "XNAS:COMP", 5031), ("sp500", "XCBO:SPX", 5031)):
        report, _ = real(realdata, f"daily/arch_{name}.csv.gz", default_instrument(id, Kind.INDEX))
        assert (report.rows_kept, report.removed) == (kept, {})
    report, store = real(realdata, "daily/arch_vix.csv.gz", VIX, "table", columns={"close": "vix"})
    found = store.read("XCBO:VIX")
    assert (report.rows_kept, report.removed) == (1259, {Reason.NOT_A_SESSION: 46})
    assert found.select(has_reason("close_only").all()).item()
