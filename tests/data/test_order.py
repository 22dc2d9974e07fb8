"""What is known of the order of rows without sorting them, beside loops that say the same the slow way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data._footer import micros
from fieldcast.data._index import Entry
from fieldcast.data._layout import Unit
from fieldcast.data._merge import _table_rules
from fieldcast.data._objects import LocalFiles
from fieldcast.data._order import is_ascending, rises, run_starts
from fieldcast.data._placing import LIVE_DAYS, placed
from fieldcast.market import table_of

pytestmark = pytest.mark.feature("D10", part="store contract on both backends")

TABLE = "bars/1m"
YEAR_END = datetime(2023, 12, 30, tzinfo=UTC)
NAMES = st.sampled_from(["A", "B", "a name of more than twelve bytes", None])


def cut(column: pl.Series, places: list[int]) -> pl.Series:
    """The same values in pieces, some of them empty."""
    ends = sorted(min(place, column.len()) for place in places)
    pieces = [column.slice(low, high - low) for low, high in pairwise((0, *ends, column.len()))]
    return pl.concat(pieces, rechunk=False)


@given(st.lists(NAMES, max_size=12), st.lists(st.integers(0, 12), max_size=3))
def test_runs_begin_where_a_loop_finds_another_value_however_the_column_is_cut(values, places):
    column = cut(pl.Series("x", values, dtype=pl.String), places)
    expected = [at for at, value in enumerate(values) if at == 0 or value != values[at - 1]]
    assert run_starts(column).tolist() == expected


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3)), max_size=7), st.lists(st.integers(0, 7), max_size=2))
def test_rows_are_ascending_exactly_when_each_key_is_above_the_last(keys, places):
    names = cut(pl.Series("instrument", [name for name, _ in keys], dtype=pl.String), places)
    stamps = cut(pl.Series("ts", [at for _, at in keys], dtype=pl.Datetime("us", "UTC")), places[:1])
    rows = pl.DataFrame([names, stamps])
    expected = all(low < high for low, high in pairwise(keys))
    assert is_ascending(rows) is expected
    assert is_ascending(rows, run_starts(names)) is expected


def test_a_null_is_in_no_order():
    stamps = pl.Series("ts", [1, None, 3], dtype=pl.Datetime("us", "UTC"))
    assert not rises(stamps)
    assert not is_ascending(pl.DataFrame({"instrument": ["A", "A", "A"], "ts": stamps}))
    assert not is_ascending(pl.DataFrame({"instrument": ["A", None], "ts": pl.Series([1, 2], dtype=pl.Datetime("us", "UTC"))}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1e308, 1e308, 0.0, -0.0, None])
def test_the_rule_of_finite_values_breaks_exactly_where_a_value_is_none(value):
    rules = [where for where, message in _table_rules(table_of("macro")) if "finite" in message]
    frame = pl.DataFrame({"value": [1.0, value]}, schema={"value": pl.Float64})
    broken = [row for where in rules for row in frame.filter(where).rows()]
    assert len(broken) == (value is not None and not abs(value) < float("inf"))


def entry(period: str, last: datetime) -> Entry:
    return Entry("", Unit(TABLE, "d", "X:A", period), 1, 1, micros(last), micros(last))


@given(
    st.lists(st.integers(0, 6 * 24), min_size=1, max_size=20),
    st.sets(st.integers(0, 5), max_size=3),
    st.one_of(st.none(), st.integers(-1, 6)),
)
def test_new_rows_go_where_a_loop_over_them_puts_each(hours, segments, newest):
    """The rule of the module: a day that has a segment keeps it; few newest days get one; the rest goes into the year."""
    stamps = [YEAR_END + timedelta(hours=hour) for hour in sorted(hours)]
    rows = pl.DataFrame({"ts": stamps}, schema={"ts": pl.Datetime("us", "UTC")})
    held = {YEAR_END + timedelta(days=day) for day in segments}
    entries = [entry(f"{moment.date()}", moment) for moment in held]
    entries += [] if newest is None else [entry("2023", YEAR_END + timedelta(days=newest))]
    days = sorted({moment.date() for moment in stamps})
    last = max((datetime.fromtimestamp(one.last_us / 1e6, UTC).date() for one in entries), default=None)
    live = last is not None and days[0] >= last and len(days) <= LIVE_DAYS
    expected: dict[str, list[datetime]] = {}
    for moment in stamps:
        is_segment = live or moment.date() in {one.date() for one in held}
        expected.setdefault(str(moment.date()) if is_segment else f"{moment.year}", []).append(moment)
    assert {period: of_unit["ts"].to_list() for period, of_unit in placed(rows, entries)} == expected


def test_the_listing_of_a_folder_is_the_one_of_pathlib(tmp_path):
    for name in ("bars/1m/b.parquet", "bars/a.tmp", "bars/1m/deep/er/c", "other/d", "top"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "bars/through").symlink_to(tmp_path / "other")
    files = LocalFiles(tmp_path)
    for folder in ("", "bars", "bars/1m", "nowhere"):
        place = tmp_path / folder
        deep, flat = (
            sorted(path.relative_to(tmp_path).as_posix() for path in found if path.is_file())
            for found in (place.rglob("*"), place.iterdir() if place.is_dir() else ())
        )
        assert (files.list(folder, deep=True), files.list(folder)) == (deep, flat)
