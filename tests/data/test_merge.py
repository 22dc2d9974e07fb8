"""What an append does to versions that are stored: rows in key order, vintages in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data import MemoryStore
from fieldcast.data._preview import preview
from fieldcast.data.lineage import Lineage
from fieldcast.ground import InvalidInput
from fieldcast.market import table_of

pytestmark = pytest.mark.feature("D10", part="store contract on both backends")

MACRO, TRADES = table_of("macro"), table_of("trades")
SERIES = "FRED:GDP"
START = datetime(2023, 1, 3, 15, tzinfo=UTC)
FETCHED = datetime(2024, 1, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def trades(prices: dict[int, float], known: datetime = START) -> pl.DataFrame:
    """Trades of one moment out of sequence → price."""
    frame = pl.DataFrame({"sequence": list(prices), "price": list(prices.values())})
    frame = frame.with_columns(instrument=pl.lit("XTST:A"), ts=pl.lit(START), available_at=pl.lit(known), size=pl.lit(1.0))
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in TRADES.schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in TRADES.schema.items())


def vintages(*versions: tuple[int, int, float]) -> pl.DataFrame:
    """Rows out of (period, day on which the vintage came out, value)."""
    frame = pl.DataFrame(
        {
            "instrument": [SERIES] * len(versions),
            "ts": [START + period * DAY for period, _, _ in versions],
            "available_at": [START + known * DAY for _, known, _ in versions],
            "value": [value for _, _, value in versions],
            "unit": ["x"] * len(versions),
            "reasons": [None] * len(versions),
        }
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in MACRO.schema.items())


def reported(fetched_at: datetime = FETCHED) -> Lineage:
    return Lineage(provider="test", dataset="test", fetched_at=fetched_at, available_at="reported")


def values(store, known: int | None = None) -> list[float]:
    as_of = None if known is None else START + known * DAY
    return store.read(SERIES, table="macro", as_of=as_of)["value"].to_list()


def test_rows_of_one_moment_keep_their_order_when_one_is_corrected(store, make_lineage):
    store.append(trades({1: 10.0, 2: 11.0, 3: 12.0}), make_lineage(), table="trades")
    store.append(trades({1: 10.5}, START + DAY), make_lineage(fetched_at=FETCHED + DAY), table="trades")
    for read in (store.read("XTST:A", table="trades"), store.cross_section(START, START, table="trades")):
        assert read.select("sequence", "price").rows() == [(1, 10.5), (2, 11.0), (3, 12.0)]
    before = store.read("XTST:A", table="trades", as_of=START)
    assert before.select("sequence", "price").rows() == [(1, 10.0), (2, 11.0), (3, 12.0)]
    assert store.read("XTST:A", table="trades", columns=["price"])["price"].to_list() == [10.5, 11.0, 12.0]


def test_an_older_vintage_that_comes_late_does_not_become_the_newest_value(store):
    store.append(vintages((0, 60, 2.0)), reported(), table="macro")
    result = store.append(vintages((0, 30, 1.0)), reported(), table="macro")
    assert (result.rows_added, result.rows_restated) == (0, 1)
    assert [values(store, day) for day in (29, 30, 59, 60)] == [[], [1.0], [1.0], [2.0]]
    assert values(store) == [2.0]
    again = store.append(vintages((0, 30, 1.0), (0, 60, 2.0)), reported(FETCHED + DAY), table="macro")
    assert (again.rows_restated, again.rows_unchanged, again.rows_superseded, again.files) == (0, 1, 1, ())


def test_a_file_with_all_vintages_is_taken_where_the_last_is_stored(store):
    """The vintages are of after the import, as they would be if they were stamped by their source's clock."""
    early = reported(START + DAY)
    store.append(vintages((0, 90, 3.0)), early, table="macro")
    whole = vintages((0, 30, 1.0), (0, 60, 2.0), (0, 90, 3.0), (1, 60, 7.0), (1, 90, 8.0))
    told = preview(store, whole, early, table="macro")
    result = store.append(whole, early, table="macro")
    assert (result.rows_added, result.rows_restated, result.rows_unchanged) == (1, 3, 1)
    assert (told.rows_added, told.rows_restated, told.rows_unchanged) == (1, 3, 1)
    assert [values(store, day) for day in (30, 60, 90)] == [[1.0], [2.0, 7.0], [3.0, 8.0]]


def test_a_vintage_with_other_values_is_a_restatement_of_the_day_it_came(store):
    store.append(vintages((0, 30, 1.0)), reported(), table="macro")
    store.append(vintages((0, 30, 1.1)), reported(FETCHED + DAY), table="macro")
    fetched = (FETCHED + DAY - START) / DAY
    assert values(store, 30) == [1.0]
    assert store.read(SERIES, table="macro", as_of=FETCHED)["value"].to_list() == [1.0]
    assert store.read(SERIES, table="macro")["available_at"].to_list() == [START + fetched * DAY]
    same = store.append(vintages((0, 30, 1.1)), reported(FETCHED + 2 * DAY), table="macro")
    assert (same.rows_restated, same.rows_unchanged) == (0, 1)
    with pytest.raises(InvalidInput, match="available or fetched after"):
        store.append(vintages((0, 30, 1.2)), reported(FETCHED), table="macro")


def test_a_corrected_old_vintage_beside_a_later_one_is_history(store):
    store.append(vintages((0, 30, 1.0), (0, 60, 2.0)), reported(), table="macro")
    result = store.append(vintages((0, 30, 1.1), (0, 60, 2.0)), reported(FETCHED + DAY), table="macro")
    assert (result.rows_restated, result.rows_unchanged, result.rows_superseded) == (0, 1, 1)
    assert (values(store), values(store, 30)) == ([2.0], [1.0])


def test_assumed_availability_keeps_its_rule(store, make_lineage):
    store.append(vintages((0, 60, 2.0)), make_lineage(), table="macro")
    store.append(vintages((0, 30, 1.0)), make_lineage(fetched_at=FETCHED + DAY), table="macro")
    assert (values(store), values(store, 60), values(store, 30)) == ([1.0], [2.0], [])


history = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(3, 9)), st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=12
)


@given(history=history, data=st.data())
def test_vintages_in_any_order_give_the_same_reads(history, data):
    """The model: of each period the version with the latest day that is not after the moment."""
    versions = [(period, known, value) for (period, known), value in history.items()]
    order = data.draw(st.permutations(versions))
    cuts = sorted({0, len(order), *data.draw(st.lists(st.integers(0, len(order)), max_size=4))})
    parts = [order[low:high] for low, high in pairwise(cuts)]
    again = data.draw(st.lists(st.sampled_from(parts), max_size=2))     # deliveries that come twice change nothing
    store = MemoryStore()
    for place, part in enumerate([*parts, *again]):
        store.append(vintages(*part), reported(FETCHED + place * DAY), table="macro")
    assert store.datasets()["rows"].to_list() == [len(versions)]
    for moment in (*range(2, 11), None):
        out = [version for version in sorted(versions) if moment is None or version[1] <= moment]
        newest = {period: (period, known, value) for period, known, value in out}
        expected = vintages(*newest.values()) if newest else MACRO.empty()
        as_of = None if moment is None else START + moment * DAY
        assert store.read(SERIES, table="macro", as_of=as_of).equals(expected)
