"""A person's own file of daily bars: what is read, refused, and put in quarantine; nothing is ever half-written."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore, SourceReport, clean, gap_report, import_source
from fieldcast.data.formats import Options
from fieldcast.ground import ConflictError, InvalidInput, ManualClock, Reason
from fieldcast.market import Instrument, Kind, default_instrument, has_reason

CLOCK = ManualClock(datetime(2024, 1, 2, 12, tzinfo=UTC))
HEADER = ("Date", "Open", "High", "Low", "Close", "Adj Close", "Volume")


def imported(path: Path, instrument: Instrument, store: MemoryStore, now=None, dry_run: bool = False, **options) -> SourceReport:
    """One import of a table of an instrument; `now` none = that of the clock."""
    settings = Options(now=now or CLOCK.now(), instrument=instrument, **options)
    return import_source(path, settings, store=store, format="table", dry_run=dry_run)


def unsorted(report: SourceReport) -> int:
    """Rows that stood before an earlier one, as the report's notes say."""
    found = [note for note in report.notes if note.endswith("stood before an earlier one and were sorted")]
    return int(found[0].split()[0]) if found else 0


def as_table(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars as a vendor's table, with an adjusted close that must not be taken for the close."""
    columns = [pl.col("ts").dt.date(), "open", "high", "low", "close", pl.col("close").alias("adj") * 0.9, "volume"]
    return bars.select(columns).rename(dict(zip(["ts", "open", "high", "low", "close", "adj", "volume"], HEADER, strict=True)))


@pytest.fixture
def table(make_bars) -> pl.DataFrame:
    return as_table(make_bars())


@pytest.fixture
def bring(tmp_path: Path, spy):
    """Write text, bytes or a table to a file and import it into a new store."""

    def run(content: str | bytes | pl.DataFrame, name: str = "file.csv", instrument=spy, store=None, **options):
        path = tmp_path / name
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path) if "parquet" in name else content.write_csv(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        store = MemoryStore() if store is None else store
        return imported(path, instrument, store, **options), store

    return run


def refused(bring, content, match: str, **options) -> None:
    """The import stops with a typed error and the store stays empty."""
    store = MemoryStore()
    with pytest.raises(InvalidInput, match=match):
        bring(content, store=store, **options)
    assert store.datasets().is_empty()


# what it reads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.parquet.gz"])
def test_csv_and_parquet_zipped_or_not_give_the_same_bars(bring, table, make_bars, tmp_path, name):
    plain = tmp_path / "plain"
    table.write_parquet(plain) if "parquet" in name else table.write_csv(plain)
    data = plain.read_bytes()
    report, store = bring(gzip.compress(data) if name.endswith("gz") else data, name)
    assert store.read("ARCX:SPY").equals(make_bars())
    assert (report.rows_read, report.rows_kept, unsorted(report)) == (81, 81, 0)
    assert (report.removed, report.flagged) == ({}, {})
    assert (report.quality.score, report.gaps.completeness) == (1.0, 100.0)
    assert (report.tables["bars/1d"].added, report.dataset) == (81, "files")
    (delivery,) = store.lineage("ARCX:SPY")
    assert (delivery.provider, delivery.source) == ("table", f"{name} sha256:{report.sha256}")
    assert report.notes[0] == "columns: ts=Date, open=Open, high=High, low=Low, close=Close, volume=Volume"


@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%m/%d/%Y", "%d.%m.%Y", "%d-%b-%Y", "%Y-%m-%d 00:00:00", "%Y-%m-%dT00:00:00Z"],
)
def test_dates_are_read_in_the_usual_forms(bring, table, make_bars, form):
    text = table.with_columns(pl.col("Date").dt.strftime(form))
    assert bring(text)[1].read("ARCX:SPY").equals(make_bars())


def test_dates_that_fit_two_forms_are_refused_until_the_form_is_given(bring, table):
    early = table.filter(pl.col("Date").dt.day() <= 12)
    text = early.with_columns(pl.col("Date").dt.strftime("%d/%m/%Y"))
    refused(bring, text, "date_format=")
    report, store = bring(text, date_format="%d/%m/%Y")
    assert report.rows_kept == early.height
    assert store.read("ARCX:SPY")["ts"].dt.date().to_list() == early["Date"].to_list()


def test_local_midnights_with_their_offsets_are_dates(bring, table, make_bars):
    """As Yahoo writes them; the offset changes with summer time and is the exchange's."""
    stamps = table["Date"].cast(pl.Datetime("us")).dt.replace_time_zone("America/New_York")
    text = table.with_columns(stamps.dt.strftime("%Y-%m-%d %H:%M:%S%:z").alias("Date"))
    assert text["Date"][0].endswith("-04:00")
    assert text["Date"][-1].endswith("-05:00")
    assert bring(text)[1].read("ARCX:SPY").equals(make_bars())


def test_moments_are_taken_to_the_exchange_s_day(bring, table, make_bars):
    bars = make_bars()
    evening = bars["ts"].dt.offset_by("5h")  # 02:00 UTC of the next day, the evening in New York
    text = table.with_columns(evening.dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("Date"))
    assert bring(text)[1].read("ARCX:SPY").equals(bars)
    typed = table.with_columns(evening.alias("Date"))
    assert bring(typed, "a.parquet")[1].read("ARCX:SPY").equals(bars)


def test_names_are_mapped_and_guessed_whatever_their_case(bring, table, make_bars):
    other = table.select(WHEN="Date", OPEN="Open", high="High", Low="Low", Px_Last="Close", Close="Adj Close", VOL="Volume")
    report, store = bring(other, columns={"ts": "WHEN", "close": "Px_Last"})
    assert store.read("ARCX:SPY").equals(make_bars())
    assert "volume=VOL" in report.notes[0]


def test_a_close_alone_is_a_close_only_series(bring, table):
    report, store = bring(table.select("Date", "Close"))
    bars = store.read("ARCX:SPY")
    assert bars["reasons"].unique().to_list() == ["close_only"]
    assert bars.select("open", "high", "low", "volume").null_count().row(0) == (81,) * 4
    assert report.flagged == {Reason.CLOSE_ONLY: 81}


def test_a_volume_that_is_all_zero_was_not_reported_of_an_index(bring, table):
    report, store = bring(table.with_columns(Volume=pl.lit(0)), instrument=default_instrument("XCBO:VIX", "index"))
    assert store.read("XCBO:VIX")["volume"].null_count() == 81
    assert report.flagged[Reason.VOLUME_NOT_REPORTED] == 81
    _, store = bring(table.with_columns(Volume=pl.lit(0)))      # of a fund it is a zero, however the file is cut
    assert store.read("ARCX:SPY")["volume"].to_list() == [0.0] * 81
    some, store = bring(table.with_columns(Volume=pl.when(pl.int_range(pl.len()) == 3).then(0).otherwise("Volume")))
    assert store.read("ARCX:SPY")["volume"][3] == 0.0
    assert some.flagged == {}


def test_a_semicolon_a_byte_order_mark_and_an_unnamed_index_are_no_obstacle(bring, table, make_bars):
    text = "\ufeff" + table.rename({"Date": "when"}).write_csv(separator=";").replace("when", "", 1)
    assert bring(text)[1].read("ARCX:SPY").equals(make_bars())


def test_opens_that_copy_the_previous_close_are_flagged(bring, table):
    copied = table.with_columns(Open=pl.col("Close").shift(1).fill_null(pl.col("Open"))).with_columns(
        High=pl.max_horizontal("Open", "High"), Low=pl.min_horizontal("Open", "Low")
    )
    report, store = bring(copied)
    assert store.read("ARCX:SPY").select(has_reason("open_synthetic").all()).item()
    assert report.flagged == {Reason.OPEN_SYNTHETIC: 81}


def test_a_dry_run_says_the_same_and_stores_nothing(bring, table):
    report, store = bring(table, dry_run=True)
    assert (report.rows_kept, report.tables["bars/1d"].added) == (81, 81)      # what would be
    assert store.datasets().is_empty()


def test_the_same_file_again_changes_nothing_and_a_longer_one_extends(bring, table):
    _, store = bring(table.head(60))
    again, _ = bring(table.head(60), store=store)
    assert (again.tables["bars/1d"].added, again.tables["bars/1d"].unchanged) == (0, 60)
    longer, _ = bring(table, store=store)
    counts = longer.tables["bars/1d"]
    assert (counts.added, counts.unchanged, counts.restated) == (21, 60, 0)


def test_adjusted_prices_are_stored_as_such_and_never_mixed_with_raw_ones(bring, table):
    _, store = bring(table, adjusted=True)
    assert store.datasets()["adjustment"].to_list() == ["adjusted_only"]
    with pytest.raises(ConflictError, match="adjusted_only"):
        bring(table, store=store)


def test_fifty_rows_are_enough_to_be_stored(bring, table):
    report, _ = bring(table.head(50))
    assert report.rows_kept == 50


# what goes to quarantine --------------------------------------------------------------------------------------------


def test_every_fault_of_a_row_is_counted_and_the_rest_is_stored(bring, table, make_bars):
    lines = table.write_csv().splitlines()

    def put(line: int, field: int, value: str) -> None:
        fields = lines[line].split(",")
        fields[field] = value
        lines[line] = ",".join(fields)

    put(5, 4, "NaN")
    put(6, 4, "")
    put(10, 3, "-1")
    put(15, 2, "1")
    put(20, 0, "2022-12-25")
    put(25, 0, "never")
    put(30, 1, "inf")
    put(35, 6, "-7")
    lines.append(lines[40])
    lines.append(lines[41].replace("2022", "2031").replace("2023", "2031"))
    report, store = bring("\n".join(lines))
    assert report.removed == {
        Reason.PRICE_MISSING: 2,
        Reason.PRICE_NOT_POSITIVE: 1,
        Reason.HIGH_BELOW_LOW: 1,
        Reason.NOT_A_SESSION: 1,
        Reason.STAMP_MISSING: 1,
        Reason.PRICE_NOT_FINITE: 1,
        Reason.VOLUME_NEGATIVE: 1,
        Reason.DUPLICATE_STAMP: 1,
        Reason.FUTURE_STAMP: 1,
    }
    gone = [4, 5, 9, 14, 19, 24, 29, 34]
    assert store.read("ARCX:SPY").equals(make_bars().filter(~pl.int_range(pl.len()).is_in(gone)))
    assert report.quarantine["row"].sort().to_list() == [*gone, 81, 82]
    assert report.rows_read == report.rows_kept + report.quarantine.height == 83
    (delivery,) = store.lineage("ARCX:SPY")
    assert delivery.dropped == {str(reason): count for reason, count in report.removed.items()}


def test_unsorted_rows_are_sorted_and_counted(bring, table, make_bars):
    report, store = bring(table.reverse())
    assert unsorted(report) == 80
    assert store.read("ARCX:SPY").equals(make_bars())
    swapped = pl.concat([table.slice(1, 1), table.slice(0, 1), table.slice(2)])
    assert unsorted(bring(swapped)[0]) == 1


def test_a_session_that_has_not_closed_is_in_the_future(bring, table, spy, tmp_path):
    path = tmp_path / "spy.csv"
    table.write_csv(path)
    during = imported(path, spy, MemoryStore(), datetime(2023, 2, 28, 20, 59, tzinfo=UTC))
    assert during.removed == {Reason.FUTURE_STAMP: 1}
    assert imported(path, spy, MemoryStore(), datetime(2023, 2, 28, 21, tzinfo=UTC)).removed == {}


# what is refused ----------------------------------------------------------------------------------------------------


def test_files_that_are_not_there_or_not_whole_are_refused(bring, table, tmp_path, spy):
    with pytest.raises(InvalidInput, match="expected a file at"):
        imported(tmp_path / "none.csv", spy, MemoryStore())
    refused(bring, b"", "empty")
    refused(bring, "\n\n", "blank lines")
    refused(bring, "Date,Open,High,Low,Close,Volume\n", "header and none")
    refused(bring, table.clear(), "header and none", name="a.parquet")
    table.write_parquet(tmp_path / "whole.parquet")
    data = (tmp_path / "whole.parquet").read_bytes()
    for size in (10, len(data) // 2, len(data) - 1):
        refused(bring, data[:size], "whole Parquet file", name="cut.parquet")
    packed = gzip.compress(table.write_csv().encode())
    refused(bring, packed[: len(packed) // 2], "to be whole", name="cut.csv.gz")
    refused(bring, b"Date,Close\n2023-01-03,\xff\xfe", "UTF-8")
    refused(bring, "Date,Close\n2023-01-03,1,2,3\n", "as many fields")


def test_columns_that_are_missing_or_doubtful_are_refused(bring, table):
    refused(bring, table.drop("Close", "Adj Close"), "columns for close")
    refused(bring, table.drop("Close"), "columns for close")  # the adjusted close is not taken for it
    refused(bring, table.drop("Open"), "columns for open")
    refused(bring, table.drop("High", "Low"), "columns for high, low")
    refused(bring, table.drop("Date"), "columns for ts")
    refused(bring, table.with_columns(last=pl.col("Close")), "one column for close")
    refused(bring, table.write_csv().replace("Adj Close", "Close"), "repeated")
    refused(bring, table, "missing Px", columns={"close": "Px"})
    refused(bring, table, "columns out of", columns={"price": "Close"})


def test_times_without_a_zone_or_with_mixed_zones_are_refused(bring, table):
    noon = table["Date"].cast(pl.Datetime("us")).dt.offset_by("12h")
    refused(bring, table.with_columns(noon.dt.strftime("%Y-%m-%d %H:%M:%S").alias("Date")), "with their zone")
    refused(bring, table.with_columns(noon.alias("Date")), "with their zone", name="a.parquet")
    text = noon.dt.strftime("%Y-%m-%dT%H:%M:%S")
    mixed = table.with_columns(Date=text + pl.Series(["Z", "+09:00"] * 40 + ["Z"]))
    refused(bring, mixed, "in one zone")
    half = table.with_columns(Date=text + pl.Series(["Z", ""] * 40 + ["Z"]))
    refused(bring, half, "mixture")


def test_a_file_that_is_mostly_unfit_is_refused_with_the_counts(bring, table, make_bars):
    bitcoin = default_instrument("CRYP:BTC", Kind.CRYPTO)
    weekend = as_table(make_bars(calendar="24/7"))
    with pytest.raises(InvalidInput, match=r"not_a_session \d+"):
        bring(weekend.filter(pl.col("Date").dt.weekday() >= 5))
    assert bring(weekend, instrument=bitcoin)[0].rows_kept == weekend.height
    refused(bring, table.with_columns(pl.col("Date").dt.offset_by("10y")), "future_stamp 81")
    hours = pl.concat([table, table.with_columns(Close=pl.col("Close") * 1.001)])
    refused(bring, hours, "duplicate_stamp 162")


def test_a_simulated_instrument_takes_no_file(bring, table, spy):
    from dataclasses import replace

    refused(bring, table, "real market", instrument=replace(spy, simulated=True))


# real files ---------------------------------------------------------------------------------------------------------


def test_spy_and_vix_from_1990_to_2025_come_in_whole(realdata, spy):
    store, now = MemoryStore(), datetime(2026, 11, 1, tzinfo=UTC)
    folder = realdata / "daily" / "yahoo_adjusted"
    report = imported(folder / "SPY.csv.gz", spy, store, now, adjusted=True)
    assert (report.rows_read, report.rows_kept, report.gaps.completeness) == (8288, 8288, 100.0)
    assert report.flagged.keys() <= {Reason.LARGE_MOVE}
    crash = store.read(spy.id, first=date(2020, 3, 16), last=date(2020, 3, 16))
    assert crash["close"][0] > 0
    assert "large_move" in crash["reasons"][0]  # 16 March 2020: -11 %, a genuine crash, kept
    vix = default_instrument("XCBO:VIX", Kind.INDEX)
    report = imported(folder / "VIX.csv.gz", vix, store, now)
    assert report.rows_kept == 9067
    assert report.flagged[Reason.VOLUME_NOT_REPORTED] == 9067
    assert report.gaps.completeness == 100.0


def test_vendor_errors_are_flagged_and_their_repaired_twins_are_not(realdata):
    now = datetime(2026, 11, 1, tzinfo=UTC)
    aet = default_instrument("XLON:AET", Kind.EQUITY, calendar="XLON")
    dex = default_instrument("XASX:DEX", Kind.EQUITY, calendar="XASX")
    pairs = ((aet, "AET-L-1d-100x-error", 2), (dex, "DEX-AX-1d-bad-stock-split", 1))
    for instrument, name, moves in pairs:
        for suffix, expected in (("", moves), ("-fixed", 0)):
            path = realdata / "bad_data" / f"{name}{suffix}.csv.gz"
            report = imported(path, instrument, MemoryStore(), now)
            assert report.flagged.get(Reason.LARGE_MOVE, 0) == expected
            assert unsorted(report) == 22
    calm = default_instrument("XNAS:CALM", Kind.EQUITY)
    report = imported(realdata / "bad_data" / "CALM-1d-no-bad-divs.csv.gz", calm, MemoryStore(), now)
    assert (report.rows_kept, report.removed) == (662, {})


def test_an_intraday_file_is_not_taken_for_a_daily_one(realdata):
    asai = default_instrument("XLON:ASAI", Kind.EQUITY, calendar="XLON")
    path = realdata / "bad_data" / "ASAI-L-1h-bad-unit.csv.gz"
    now = datetime(2026, 11, 1, tzinfo=UTC)
    assert list(imported(path, asai, MemoryStore(), now).tables) == ["bars/1h"]
    with pytest.raises(InvalidInput, match="duplicate_stamp 18"):
        imported(path, asai, MemoryStore(), now, interval="1d")


def test_published_vix_rows_on_holidays_go_to_quarantine(realdata):
    vix = default_instrument("XCBO:VIX", Kind.INDEX)
    now = datetime(2026, 11, 1, tzinfo=UTC)
    report = imported(realdata / "daily" / "vix-daily-cboe.csv.gz", vix, MemoryStore(), now)
    assert report.removed == {Reason.NOT_A_SESSION: 33}
    assert report.flagged[Reason.OPEN_OUTSIDE_RANGE] + report.flagged.get(Reason.CLOSE_OUTSIDE_RANGE, 0) == 47


def test_bitcoin_is_judged_by_its_own_calendar(realdata):
    bitcoin = default_instrument("CRYP:BTC", Kind.CRYPTO)
    now = datetime(2026, 11, 1, tzinfo=UTC)
    path = realdata / "daily" / "yahoo_adjusted" / "BTC_USD.csv.gz"
    report = imported(path, bitcoin, MemoryStore(), now)
    assert (report.rows_kept, report.gaps.completeness) == (4124, 100.0)
    assert Reason.OPEN_SYNTHETIC not in report.flagged  # its open is the previous close by nature


def test_what_an_import_stores_is_what_cleaning_lets_through(bring, table, spy, make_bars):
    bars = make_bars().with_columns(close=pl.when(pl.int_range(pl.len()) == 9).then(np.nan).otherwise("close"))
    _, store = bring(as_table(bars))
    kept, _ = clean(bars, spy, CLOCK.now())
    assert store.read("ARCX:SPY").equals(kept)
    assert gap_report(kept, spy).gaps.height == 1
