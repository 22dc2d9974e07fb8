"""The contract of `Store` beyond daily bars, on every backend: other tables, intraday, cross sections, compaction, columns."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldcast.data import Lineage, MemoryStore, ParquetStore, Store
from fieldcast.ground import ConflictError, InvalidInput, ManualClock, MissingData
from fieldcast.ledger import open_database
from fieldcast.market import TABLES, Layout, table_of

pytestmark = pytest.mark.feature("D10", part="store contract on both backends: every table")

FETCHED = datetime(2024, 1, 2, 12, tzinfo=UTC)
LATER = datetime(2024, 3, 1, tzinfo=UTC)
START = datetime(2022, 12, 30, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rows_of(table: str, instrument: str, stamps: list[datetime], seed: int = 1) -> pl.DataFrame:
    """Sound rows of any table, one a stamp."""
    kind, random = table_of(table), np.random.default_rng(seed)
    n = len(stamps)
    columns: dict[str, object] = {"instrument": [instrument] * n, "ts": stamps, "available_at": stamps, "reasons": [None] * n}
    for name, dtype in kind.schema.items():
        if name in columns:
            continue
        if dtype == pl.Float64:
            columns[name] = np.round(random.uniform(1, 2, n), 4)
        elif dtype == pl.Int64:
            columns[name] = list(range(n))
        elif dtype == pl.Boolean:
            columns[name] = [False] * n
        elif dtype == pl.String:
            columns[name] = [f"{name}-{place}" for place in range(n)]
        else:
            columns[name] = stamps
    frame = pl.DataFrame(columns).select(pl.col(name).cast(dtype) for name, dtype in kind.schema.items())
    for low, high in kind.ordered * 2:  # pairs may share a column
        frame = frame.with_columns(pl.min_horizontal(low, high).alias(low), pl.max_horizontal(low, high).alias(high))
    return frame


def minutes(count: int, start: datetime = START, step: timedelta = MINUTE) -> list[datetime]:
    return [start + step * place for place in range(count)]


def delivery(dataset: str = "test", fetched_at: datetime = FETCHED) -> Lineage:
    return Lineage(provider="test", dataset=dataset, fetched_at=fetched_at)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_stored_and_read_back(store, table):
    step = timedelta(days=1) if TABLES[table].layout is Layout.DAILY else timedelta(hours=7)
    one, two = (rows_of(table, id, minutes(9, step=step), seed) for seed, id in enumerate(("XNAS:A", "CBOE:^B/C")))
    assert store.append(pl.concat([two, one]), delivery(), table=table).rows_added == 18
    assert store.read("XNAS:A", table=table).equals(one)
    assert store.read("CBOE:^B/C", table=table).equals(two)
    assert store.append(one, delivery(), table=table).rows_unchanged == 9
    listed = store.datasets()
    assert listed["table"].to_list() == [table] * 2
    assert listed["rows"].to_list() == [9, 9]
    assert store.verify().ok
    assert store.rebuild_index().equal
    with pytest.raises(MissingData):
        store.read("XNAS:A", table="macro" if table != "macro" else "news")


def test_live_bars_minute_by_minute_are_one_series(store):
    table, history = "bars/1m", rows_of("bars/1m", "XNAS:A", minutes(200))
    live = rows_of(table, "XNAS:A", minutes(30, START + timedelta(days=4)), seed=2)
    store.append(history, delivery(), table=table)
    for place in range(live.height):
        assert store.append(live.slice(place, 1), delivery(), table=table).rows_added == 1
        assert store.append(live.slice(place, 1), delivery(), table=table).rows_unchanged == 1
    assert store.read("XNAS:A", table=table).equals(pl.concat([history, live]))
    assert store.read("XNAS:A", table=table, first=date(2023, 1, 3)).equals(live)
    assert store.verify().ok
    assert store.rebuild_index().equal


def test_compaction_changes_no_read(store):
    table, start = "bars/1m", datetime(2022, 12, 28, 14, 30, tzinfo=UTC)
    days = [rows_of(table, id, minutes(50, start + timedelta(days=day)), day) for day in range(8) for id in ("XNAS:A", "XNAS:B")]
    for part in days:
        store.append(part, delivery(), table=table)
    last = days[-2].with_columns(close=pl.col("low"))
    store.append(last, delivery(fetched_at=LATER), table=table)
    asked = [dict[str, object](), {"as_of": FETCHED}, {"first": date(2022, 12, 31), "last": date(2023, 1, 3)}]

    def everything() -> list[object]:
        found: list[object] = [store.read(id, table=table, **how).rows() for id in ("XNAS:A", "XNAS:B") for how in asked]
        day = start + timedelta(days=7)
        found += [store.cross_section(day, day + timedelta(hours=1), table=table).rows(), store.datasets().rows()]
        return [*found, store.lineage("XNAS:A", table=table), store.content_hash("XNAS:A", table=table)]

    before = everything()
    report = store.compact()
    assert everything() == before
    again = store.compact()
    assert (again.segments, again.files) == (0, 0)
    assert store.verify().ok
    assert store.rebuild_index().equal
    if not isinstance(store, MemoryStore):
        assert report.segments >= 7
        assert not [path for path in store.index() if "-12-" in path or "-01-" in path]


def test_a_restated_minute_is_a_new_version_whatever_file_it_is_in(store):
    table, rows = "bars/1m", rows_of("bars/1m", "XNAS:A", minutes(100))
    store.append(rows, delivery(), table=table)
    again = rows.slice(40, 1).with_columns(volume=pl.lit(77.0))
    result = store.append(again, delivery(fetched_at=LATER), table=table)
    assert (result.rows_added, result.rows_restated) == (0, 1)
    assert store.read("XNAS:A", table=table, as_of=FETCHED).equals(rows)
    assert store.read("XNAS:A", table=table)["volume"][40] == 77.0
    assert store.read("XNAS:A", table=table).height == rows.height


def test_columns_that_were_asked_for_alone_come_back(store):
    rows = rows_of("trades", "XNAS:A", minutes(20))
    store.append(rows, delivery(), table="trades")
    assert store.read("XNAS:A", table="trades", columns=["price", "ts"]).equals(rows.select("price", "ts"))
    section = store.cross_section(START, START + 5 * MINUTE, table="trades", columns=["instrument", "size"])
    assert section.equals(rows.head(6).select("instrument", "size"))
    with pytest.raises(InvalidInput, match="columns of trades"):
        store.read("XNAS:A", table="trades", columns=["prize"])
    with pytest.raises(InvalidInput, match="table out of"):
        store.read("XNAS:A", table="bars/2d")


def test_a_cross_section_is_what_the_reads_of_each_instrument_give(store, make_bars, make_lineage):
    ids = ["XNAS:C", "XNAS:A", "XNAS:B"]
    frames = {id: make_bars(id=id, seed=place) for place, id in enumerate(ids)}
    store.append(pl.concat(frames.values()), make_lineage())
    late = frames["XNAS:B"].with_columns(close=pl.col("high"))
    store.append(late, make_lineage(fetched_at=LATER))
    first, last = datetime(2022, 12, 28, tzinfo=UTC), datetime(2023, 1, 4, 23, tzinfo=UTC)
    for as_of in (None, FETCHED):
        parts = [store.read(id, as_of=as_of, first=first.date(), last=last.date()) for id in sorted(ids)]
        assert store.cross_section(first, last, as_of=as_of).equals(pl.concat(parts))
    assert store.cross_section(first, last).height == 15
    with pytest.raises(MissingData, match="bars/1h"):
        store.cross_section(first, last, table="bars/1h")
    store.append(make_bars(id="XNAS:D"), make_lineage("other"))
    with pytest.raises(ConflictError, match="other, test"):
        store.cross_section(first, last)
    assert store.cross_section(first, last, dataset="other")["instrument"].unique().to_list() == ["XNAS:D"]


def test_versions_of_a_chain_are_told_apart_by_contract(store):
    at = START
    rows = rows_of("chains", "CBOE:SPX", [at] * 6)
    store.append(rows, delivery(), table="chains")
    again = rows.slice(3, 1).with_columns(bid=pl.lit(0.5))
    assert store.append(again, delivery(fetched_at=LATER), table="chains").rows_restated == 1
    assert store.read("CBOE:SPX", table="chains", as_of=FETCHED).equals(rows)
    now = store.read("CBOE:SPX", table="chains")
    assert now.height == 6
    assert now.filter(contract_id="contract_id-3")["bid"].to_list() == [0.5]


def test_tables_of_one_name_in_two_intervals_do_not_meet(store):
    one, two = rows_of("bars/1m", "XNAS:A", minutes(5)), rows_of("bars/5m", "XNAS:A", minutes(5, step=5 * MINUTE), 2)
    store.append(one, delivery(), table="bars/1m")
    store.append(two, delivery(), table="bars/5m")
    assert store.read("XNAS:A", table="bars/1m").equals(one)
    assert store.read("XNAS:A", table="bars/5m").equals(two)


# any order of appends -----------------------------------------------------------------------------------------------

POOL = {
    table: pl.concat(
        [
            rows_of(table, id, minutes(40, datetime(2022, 12, 30, 9, tzinfo=UTC), step), seed)
            for seed, id in enumerate(("X:A", "X:B"))
        ]
    )
    for table, step in (("bars/1d", timedelta(days=1)), ("bars/1m", timedelta(hours=5)), ("trades", timedelta(hours=5)))
}
steps = st.lists(
    st.tuples(st.integers(0, 79), st.integers(1, 25), st.integers(0, 3), st.booleans()), min_size=1, max_size=8
)




@pytest.mark.parametrize("table", POOL)
@given(steps=steps)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_appends_gives_equal_results_on_both_backends(table, tmp_path: Path, steps):
    """Slices of a pool in any order, with restatements and compactions between: both backends say the same of everything."""
    place = tmp_path / uuid.uuid4().hex
    with open_database(f"sqlite:///{place / 'ledger.db'}", None) as db:
        stores: tuple[Store, Store] = (MemoryStore(), ParquetStore(place / "data", db, ManualClock(FETCHED)))
        price = "close" if table.startswith("bars") else "price"
        for number, (start, length, bump, compact) in enumerate(steps):
            part = POOL[table].slice(start, length)
            if bump:
                part = part.with_columns(pl.col(price, *(["high"] if price == "close" else [])) + bump)
            lineage = delivery(fetched_at=LATER + timedelta(days=number))
            results = [store.append(part, lineage, table=table) for store in stores]
            counts = [(r.rows_added, r.rows_restated, r.rows_unchanged, r.rows_superseded) for r in results]
            assert counts[0] == counts[1]
            if compact:
                stores[1].compact()
        memory, parquet = stores
        assert parquet.datasets().equals(memory.datasets())
        for id in memory.datasets()["instrument"]:
            for as_of in (None, LATER, LATER + timedelta(days=2)):
                assert parquet.read(id, table=table, as_of=as_of).equals(memory.read(id, table=table, as_of=as_of))
            assert parquet.lineage(id, table=table) == memory.lineage(id, table=table)
            assert parquet.content_hash(id, table=table) == memory.content_hash(id, table=table)
        span = (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 1, 20, tzinfo=UTC))
        assert parquet.cross_section(*span, table=table).equals(memory.cross_section(*span, table=table))
        assert parquet.verify().ok
        assert parquet.rebuild_index().equal
