"""Assignment: only what was known, joined at fixed places, and an honest word on what is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from fieldcast.fields import Coverage, assign
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import BARS, default_instrument, sessions

INSTRUMENT = default_instrument("XNAS:TEST", "equity")


def as_of(bars: pl.DataFrame, row: int) -> datetime:
    return bars["ts"][row] + timedelta(minutes=30)


def reasons(packet) -> set[Reason]:
    return {warning.reason for warning in packet.warnings}


def test_full_history_is_full_and_silent(bars: pl.DataFrame) -> None:
    packet = assign(bars, INSTRUMENT, as_of(bars, 500), window=100)
    assert packet.coverage is Coverage.FULL
    assert packet.bars.equals(bars[401:501])
    assert (packet.expected, packet.found, packet.warnings) == (100, 100, ())
    assert packet.sufficient(100)
    assert not packet.sufficient(101)


def test_nothing_known_later_is_in_the_packet(bars: pl.DataFrame) -> None:
    """The session's own bar before its decision time is not expected; a later restatement is not seen."""
    before = as_of(bars, 500) - timedelta(seconds=1)
    assert assign(bars, INSTRUMENT, before, window=50).expected == 50
    restated = bars[480].with_columns(close=pl.lit(1.0), available_at=pl.lit(as_of(bars, 505)))
    both = pl.concat([bars, restated]).sample(fraction=1.0, shuffle=True, seed=1)
    assert assign(both, INSTRUMENT, as_of(bars, 500), window=100).bars.equals(bars[401:501])
    later = assign(both, INSTRUMENT, as_of(bars, 505), window=100).bars
    assert later.filter(pl.col("ts") == bars["ts"][480])["close"].to_list() == [1.0]
    assert later.height == 100


def test_a_hole_and_a_late_start_are_partial(bars: pl.DataFrame) -> None:
    holed = assign(pl.concat([bars[:450], bars[453:]]), INSTRUMENT, as_of(bars, 500), window=100)
    assert (holed.coverage, holed.found, reasons(holed)) == (Coverage.PARTIAL, 97, {Reason.MISSING_SESSION})
    short = assign(bars[440:], INSTRUMENT, as_of(bars, 500), window=100)
    assert (short.coverage, short.found, reasons(short)) == (Coverage.PARTIAL, 61, {Reason.SHORT_HISTORY})
    assert not short.sufficient()


def test_an_old_newest_bar_is_stale(bars: pl.DataFrame) -> None:
    packet = assign(bars[:500], INSTRUMENT, as_of(bars, 500), window=100)
    assert (packet.coverage, reasons(packet)) == (Coverage.STALE, {Reason.STALE})
    assert packet.newest == bars["ts"][499].date()
    assert str(bars["ts"][500].date()) in str(packet.warnings[0])


@pytest.mark.parametrize("none", ["no table", "no rows", "another instrument", "before the calendar", "after the data"])
def test_no_bar_is_missing_and_never_raises(bars: pl.DataFrame, none: str) -> None:
    moment = as_of(bars, 500)
    given = {
        "no table": None,
        "no rows": bars.head(0),
        "another instrument": bars.with_columns(instrument=pl.lit("XNAS:ELSE")),
    }.get(none, bars)
    if none == "before the calendar":
        moment = datetime(1900, 1, 1, tzinfo=UTC)
    if none == "after the data":
        moment = as_of(bars, 899) + timedelta(days=900)
    packet = assign(given, INSTRUMENT, moment, window=100)
    assert packet.coverage is Coverage.MISSING
    assert packet.bars.schema == pl.Schema(BARS)
    assert (packet.bars.height, packet.newest) == (0, None)
    assert reasons(packet) == {Reason.NO_DATA}


def test_codes_on_bars_and_rows_off_the_calendar_become_warnings(bars: pl.DataFrame) -> None:
    marked = bars.with_columns(
        reasons=pl.when(pl.int_range(pl.len()) == 490).then(pl.lit("open_synthetic")).otherwise("reasons")
    )
    sunday = bars[490].with_columns(ts=pl.lit(datetime(2006, 12, 10, 21, tzinfo=UTC)))
    packet = assign(pl.concat([marked, sunday]), INSTRUMENT, as_of(bars, 500), window=100)
    assert packet.coverage is Coverage.FULL
    assert packet.bars.equals(marked[401:501])
    assert reasons(packet) == {Reason.OPEN_SYNTHETIC, Reason.NOT_A_SESSION}


# longer bars --------------------------------------------------------------------------------------------------------


def test_five_session_bars_sum_their_sessions(bars: pl.DataFrame) -> None:
    packet = assign(bars, INSTRUMENT, as_of(bars, 500), window=100, every=5)
    joined = packet.bars
    assert 19 <= joined.height <= 20
    for row in joined.iter_rows(named=True):
        last = bars["ts"].index_of(row["ts"])
        group = bars[last - 4 : last + 1]
        assert (row["open"], row["close"]) == (group["open"][0], group["close"][-1])
        assert (row["high"], row["low"]) == (group["high"].max(), group["low"].min())
        assert row["volume"] == pytest.approx(group["volume"].sum())
        assert row["reasons"] is None


def test_longer_bars_never_change_as_time_goes_on(bars: pl.DataFrame) -> None:
    seen: dict[datetime, dict[str, object]] = {}
    for row in range(480, 500):
        packet = assign(bars, INSTRUMENT, as_of(bars, row), window=40, every=3)
        for bar in packet.bars.iter_rows(named=True):
            assert seen.setdefault(bar["ts"], bar) == bar
        assert packet.bars["ts"][-1] <= bars["ts"][row]
    assert len(seen) == 19


def test_a_longer_bar_with_a_lost_session_says_so(bars: pl.DataFrame) -> None:
    packet = assign(pl.concat([bars[:450], bars[451:]]), INSTRUMENT, as_of(bars, 500), window=100, every=5)
    carried = packet.bars.filter(pl.col("reasons") == "missing_session")
    assert carried.height == 1
    unknown = bars.with_columns(volume=pl.when(pl.int_range(pl.len()) == 450).then(None).otherwise("volume"))
    joined = assign(unknown, INSTRUMENT, as_of(bars, 500), window=100, every=5).bars
    assert joined["volume"].null_count() == 1  # a sum that lacks a part is unknown


def test_wrong_use_is_refused(bars: pl.DataFrame) -> None:
    with pytest.raises(InvalidInput, match="zone"):
        assign(bars, INSTRUMENT, datetime(2010, 1, 1))  # noqa: DTZ001
    with pytest.raises(InvalidInput, match="window ≥ every ≥ 1"):
        assign(bars, INSTRUMENT, as_of(bars, 500), window=3, every=5)
    with pytest.raises(InvalidInput, match="missing volume"):
        assign(bars.drop("volume"), INSTRUMENT, as_of(bars, 500))


def test_sessions_of_the_fixture_are_real(bars: pl.DataFrame) -> None:
    assert set(bars["ts"]) <= set(sessions("XNYS")["close"])
