"""Macro series by vintage: a query before a revision returns the first print."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.macro import first_prints, known_versions, latest_at, panel, read_macro, revisions
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import STAMP
from fieldcast.market.tables import MACRO

START = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def rows(*versions: tuple[int, int, float], series: str = "FRED:GDP", reasons: str | None = None) -> pl.DataFrame:
    """Rows out of (period, day published, value)."""
    frame = pl.DataFrame(
        {
            "instrument": [series] * len(versions),
            "ts": [START + period * DAY for period, _, _ in versions],
            "available_at": [START + day * DAY for _, day, _ in versions],
            "value": [value for _, _, value in versions],
            "unit": ["index"] * len(versions),
            "reasons": [reasons] * len(versions),
        },
        schema_overrides={"ts": STAMP, "available_at": STAMP, "reasons": pl.String},
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in MACRO.schema.items())


def stored(*parts: pl.DataFrame) -> MemoryStore:
    store = MemoryStore()
    for part in parts:
        store.append(part, Lineage(provider="test", dataset="fred", fetched_at=START + 999 * DAY), table="macro")
    return store


GDP = rows((90, 120, 1.1), (90, 150, 1.3), (90, 180, 1.2), (180, 210, 2.0), (180, 240, 2.5))


def test_a_query_before_a_revision_returns_the_first_print():
    store = stored(GDP)
    values = [read_macro(store, "FRED:GDP", START + day * DAY)["value"].to_list() for day in (119, 120, 149, 150, 200, 210, 240)]
    assert values == [[], [1.1], [1.1], [1.3], [1.2], [1.2, 2.0], [1.2, 2.5]]


def test_first_prints_and_revisions_tell_the_history_of_a_value():
    assert first_prints(GDP)["value"].to_list() == [1.1, 2.0]
    changes = revisions(GDP)
    assert changes["before"].to_list() == [1.1, 1.3, 2.0]
    assert changes["after"].to_list() == [1.3, 1.2, 2.5]
    assert changes["change"].to_list() == pytest.approx([0.2, -0.1, 0.5])


def test_a_panel_has_the_newest_value_of_each_series_and_its_age():
    store = stored(GDP, rows((10, 12, 4.0), (20, 22, 4.5), series="FRED:DGS10"))
    table = panel(store, ["FRED:DGS10", "FRED:GDP"], START + 151 * DAY)
    assert table["value"].to_list() == [4.5, 1.3]
    assert table["age_days"].to_list() == [131.0, 61.0]
    assert panel(store, ["FRED:GDP"], START + 100 * DAY).is_empty()
    with pytest.raises(MissingData, match="UNRATE"):
        panel(store, ["FRED:UNRATE"], START)


def test_latest_revisions_are_no_vintages():
    store = stored(rows((90, 120, 1.2), reasons="availability_assumed,latest_vintage"))
    assert read_macro(store, "FRED:GDP", START + 200 * DAY).height == 1
    with pytest.raises(MissingData, match="alfred-vintages"):
        read_macro(store, "FRED:GDP", START + 200 * DAY, require_vintages=True)
    assert read_macro(stored(GDP), "FRED:GDP", START + 200 * DAY, require_vintages=True).height == 1


def test_several_series_are_no_column():
    both = pl.concat([GDP, rows((1, 2, 3.0), series="FRED:DGS10")])
    with pytest.raises(InvalidInput, match="one series"):
        latest_at(both, pl.Series([START], dtype=STAMP))


VERSIONS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 40), st.floats(-9, 9, allow_nan=False).map(lambda v: round(v, 3))),
    min_size=1,
    max_size=25,
    unique_by=lambda version: version[:2],
).map(lambda versions: [(period, period + delay, value) for period, delay, value in versions])


@given(versions=VERSIONS, days=st.lists(st.integers(-2, 60), min_size=1, max_size=12))
def test_every_query_agrees_with_a_search_by_hand(versions, days):
    table = rows(*versions)
    store = stored(table)
    asked = pl.Series([START + day * DAY for day in days], dtype=STAMP)
    found = latest_at(table, asked)
    for place, day in enumerate(days):
        out = [version for version in versions if version[1] <= day]
        by_hand = {}
        for period, published, value in sorted(out, key=lambda version: version[1]):
            by_hand[period] = (published, value)
        expected = [by_hand[period][1] for period in sorted(by_hand)]
        assert known_versions(table, START + day * DAY)["value"].to_list() == expected
        assert read_macro(store, "FRED:GDP", START + day * DAY)["value"].to_list() == expected
        newest = max(by_hand) if by_hand else None
        assert found["value"][place] == (None if newest is None else by_hand[newest][1])
        assert found["ts"][place] == (None if newest is None else START + newest * DAY)
        assert found["as_of"][place] == START + day * DAY
