"""FINRA's short volume: the trailer is counted, NA is a ticker, and the file of a day is not known at 17:00 of that day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput, Reason

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HEADER = "Date|Symbol|ShortVolume|ShortExemptVolume|TotalVolume|Market"
LINES = [
    "20260213|A|254787|0|567435|B,Q,N",
    "20260213|NA|8319|0|21150|B,Q",
    "20260213|NAN|15015|0|19617|Q",
    "20260213|BRK/B|100.5|0.25|300.75|Q,N",
]


@pytest.fixture
def bring(tmp_path: Path):
    def run(content: str, name: str = "CNMSshvol20260213.txt", **options):
        path = tmp_path / name
        path.write_bytes(content.encode())
        store = MemoryStore()
        return import_source(path, Options(**({"now": NOW} | options)), store=store), store

    return run


def whole(lines: list[str], trailer: str | None = None, header: str = HEADER) -> str:
    return "\r\n".join([header, *lines, str(len(lines)) if trailer is None else trailer, ""])


def test_tickers_that_look_like_nothing_are_tickers_and_volumes_may_have_decimals(bring):
    report, store = bring(whole(LINES))
    assert (report.format, report.rows_kept, report.removed) == ("finra-short-volume", 4, {})
    assert [instrument.id for instrument in report.instruments] == ["USA:A", "USA:BRK/B", "USA:NA", "USA:NAN"]
    assert store.read("USA:NA", table="short_volume")["short_volume"].to_list() == [8319.0]
    row = store.read("USA:BRK/B", table="short_volume").row(0, named=True)
    assert (row["short_volume"], row["short_exempt_volume"], row["total_volume"], row["market"]) == (100.5, 0.25, 300.75, "Q,N")


def test_the_day_s_file_is_not_known_at_17_00_of_the_day(bring):
    """FINRA posts it no later than 18:00 New York."""
    _, store = bring(whole(LINES))
    seventeen, eighteen = (datetime.combine(date(2026, 2, 13), time(hour), ZoneInfo("America/New_York")) for hour in (17, 18))
    assert store.read("USA:A", table="short_volume", as_of=seventeen).is_empty()
    row = store.read("USA:A", table="short_volume", as_of=eighteen).row(0, named=True)
    assert (row["ts"], row["reasons"]) == (datetime(2026, 2, 13, 21, tzinfo=UTC), "availability_assumed")


@pytest.mark.parametrize("trailer", ["3", "5", "0", "four", "-4"])
def test_a_trailer_that_counts_other_records_refuses_the_file(bring, trailer):
    with pytest.raises(InvalidInput, match="as its trailer says"):
        bring(whole(LINES, trailer))


def test_a_file_that_lost_its_end_is_refused(bring):
    text = whole(LINES)
    for cut in (text[: text.rindex("4")], "\r\n".join([HEADER, *LINES])):
        with pytest.raises(InvalidInput, match="cut"):
            bring(cut)


def test_a_line_with_a_field_too_few_costs_itself_alone(bring):
    report, _ = bring(whole([*LINES, "20260213|AA|1|2|B"]))
    assert (report.rows_kept, report.removed) == (4, {Reason.ROW_UNREADABLE: 1})


def test_impossible_volumes_go_to_quarantine(bring):
    bad = ["20260213|C|500|0|400|Q", "20260213|D|5|9|400|Q", "20260213|E|-5|0|400|Q"]
    report, _ = bring(whole([*LINES, *bad]))
    assert report.removed == {Reason.VALUES_OUT_OF_ORDER: 2, Reason.VALUE_NEGATIVE: 1}


def test_the_layout_before_2011_and_collected_files_are_read(bring):
    old = whole(["20100104|A|5|9|Q"], header="Date|Symbol|ShortVolume|TotalVolume|Market")
    assert bring(old)[1].read("USA:A", table="short_volume")["short_exempt_volume"].to_list() == [None]
    collected = "\n".join(["Date|Symbol|Short Volume|Short Exempt Volume|Total Volume|Market Center", *LINES, LINES[0]])
    report, _ = bring(collected, "mine.txt", venue="XNAS")
    assert (report.rows_kept, report.removed) == (4, {Reason.DUPLICATE_STAMP: 1})
    assert any("cannot be checked" in note for note in report.notes)
    assert report.instruments[0].id == "XNAS:A"


# real files ---------------------------------------------------------------------------------------------------------


def test_the_trailer_of_the_real_layout_equals_its_records(realdata):
    path = realdata / "short_volume" / "RECONSTRUCTED_CNMSshvol20260213.txt.gz"
    report = import_source(path, Options(now=NOW), store=MemoryStore(), dry_run=True)
    assert (report.rows_kept, report.removed) == (11_312, {})
    assert "11312 records, as the trailer says" in report.notes
    ids = {instrument.id for instrument in report.instruments}
    assert {"USA:NA", "USA:NAN", "USA:KEYpI", "USA:SES/WS"} <= ids
    copy = import_source(
        realdata / "short_volume" / "finra_cnms_20260213.parquet", Options(now=NOW), store=MemoryStore(), dry_run=True
    )
    assert (copy.rows_kept, {instrument.id for instrument in copy.instruments}) == (11_312, ids)


def test_the_collected_file_of_2010_to_2021_has_nine_repeated_rows(realdata):
    store = MemoryStore()
    path = realdata / "short_volume" / "finra_FNYX_gme_etfs_to_2021-07-16.txt.gz"
    report = import_source(path, Options(now=NOW), store=store)
    assert (report.rows_kept, report.removed) == (92_998 - 9, {Reason.DUPLICATE_STAMP: 9})
    found = store.read("USA:IWM", table="short_volume", first=date(2011, 5, 31), last=date(2011, 5, 31))
    assert found.select("short_volume", "total_volume").rows() == [(1_564_324.0, 1_892_016.0)]
    assert store.datasets()["rows"].sum() == 92_989
    assert store.read("USA:IWM", table="short_volume").select((pl.col("short_volume") <= pl.col("total_volume")).all()).item()
