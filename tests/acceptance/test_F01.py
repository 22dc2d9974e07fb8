"""F01 Assignment engine: filter, resample, AssignedPacket with coverage full, partial, missing, stale and warnings.

Done when: "Each coverage value is reached by a test, and missing data never raises".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields import Coverage, assign
from fieldcast.ground import Reason
from fieldcast.market import BARS, default_instrument, sessions

pytestmark = pytest.mark.feature("F01")

OPEN_PARTS: tuple[str, ...] = ()
# bars resample to bars of n sessions, which is what daily data can be joined to; minutes come with row D15

INSTRUMENT = default_instrument("XNAS:TEST", "equity")
SESSIONS = sessions("XNYS").filter(pl.col("session").dt.year() == 2019)


def bars(take: list[bool]) -> pl.DataFrame:
    """One bar for each session of 2019 that is taken, prices counting upward."""
    chosen = SESSIONS.head(len(take)).filter(pl.Series(take, dtype=pl.Boolean))
    price = pl.int_range(pl.len()).cast(pl.Float64) + 100
    return chosen.select(
        instrument=pl.lit(INSTRUMENT.id),
        ts="close",
        available_at="close",
        open=price,
        high=price + 1,
        low=price - 1,
        close=price,
        volume=pl.lit(1000.0),
        reasons=pl.lit(None, dtype=pl.String),
    )


def at(session: int) -> datetime:
    return SESSIONS["as_of"][session]


@pytest.mark.parametrize(
    ("take", "coverage", "reasons"),
    [
        ([True] * 30, Coverage.FULL, set()),
        ([True] * 20 + [False] + [True] * 9, Coverage.PARTIAL, {Reason.MISSING_SESSION}),
        ([False] * 15 + [True] * 15, Coverage.PARTIAL, {Reason.SHORT_HISTORY}),
        ([True] * 29 + [False], Coverage.STALE, {Reason.STALE}),
        ([False] * 30, Coverage.MISSING, {Reason.NO_DATA}),
    ],
)
def test_each_coverage_is_reached_with_its_warning(
    take: list[bool], coverage: Coverage, reasons: set[Reason]
) -> None:
    packet = assign(bars(take), INSTRUMENT, at(29), window=20)
    assert packet.coverage is coverage
    assert {warning.reason for warning in packet.warnings} == reasons
    assert packet.found == packet.bars.height == sum(take[10:])


@given(
    take=st.lists(st.booleans(), min_size=0, max_size=60),
    session=st.integers(0, 59),
    every=st.integers(1, 5),
    window=st.integers(5, 60),
)
def test_missing_data_never_raises(take: list[bool], session: int, every: int, window: int) -> None:
    packet = assign(bars(take), INSTRUMENT, at(session), window=window, every=every)
    there = [number for number in range(session + 1) if number < len(take) and take[number] and number > session - window]
    expected = window  # earlier sessions exist before 2019
    if not there:
        assert packet.coverage is Coverage.MISSING
    elif there[-1] != session:
        assert packet.coverage is Coverage.STALE
    else:
        assert packet.coverage is (Coverage.FULL if len(there) == expected else Coverage.PARTIAL)
    assert (packet.coverage is Coverage.FULL) == (not packet.warnings)
    assert packet.bars.schema == pl.Schema(BARS)
    assert packet.bars.filter(pl.col("available_at") > packet.as_of).is_empty()


@pytest.mark.parametrize("moment", [datetime(1900, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC), at(0)])
@pytest.mark.parametrize("given_bars", [None, bars([]), bars([True] * 100)])
def test_no_table_no_rows_and_strange_times_never_raise(given_bars: pl.DataFrame | None, moment: datetime) -> None:
    assert isinstance(assign(given_bars, INSTRUMENT, moment).coverage, Coverage)


def test_it_filters_what_was_known_and_resamples_without_ever_changing_a_bar() -> None:
    table = bars([True] * 60)
    other = table.with_columns(instrument=pl.lit("XNAS:ELSE"))
    restated = table[50].with_columns(volume=pl.lit(5000.0), available_at=pl.col("available_at") + timedelta(days=9))
    everything = pl.concat([other, restated, table])
    assert assign(everything, INSTRUMENT, at(51), window=40).bars.equals(table[12:52])
    assert assign(everything, INSTRUMENT, at(59), window=40).bars["volume"].sum() == 39 * 1000 + 5000
    weekly = {}
    for session in range(40, 50):
        for row in assign(table, INSTRUMENT, at(session), window=30, every=5).bars.iter_rows(named=True):
            assert row["volume"] == 5000
            assert weekly.setdefault(row["ts"], row) == row
    assert len(weekly) == 7
