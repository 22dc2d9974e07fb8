"""D19, range-invariant and bounded-memory reads.

Done when: "Bars for a date are identical for 200 random request ranges, and ingest of 10,000 symbols by 5 years stays below
2 GB resident".
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore, ParquetStore, Store
from fieldcast.ground import ManualClock
from fieldcast.ledger import open_database
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("D19")
OPEN_PARTS: tuple[str, ...] = ()

ROOT = Path(__file__).resolve().parents[2]
FETCHED = datetime(2026, 1, 2, tzinfo=UTC)
FIRST, LAST = date(2023, 10, 1), date(2024, 4, 30)


def bars(step: timedelta, seed: int) -> pl.DataFrame:
    """A random walk over the turn of a year, labelled simulated."""
    stamps = pl.datetime_range(
        datetime(2023, 10, 1, 21, tzinfo=UTC), datetime(2024, 4, 30, 21, tzinfo=UTC), step, time_unit="us", eager=True
    )
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(stamps))))
    n = len(stamps)
    columns = [["SIM:X"] * n, stamps, stamps, *([close] * 4), [1.0] * n, ["simulated"] * n]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


@pytest.mark.parametrize("backend", ["memory", "parquet"])
@pytest.mark.parametrize(("table", "step"), [("bars/1d", timedelta(days=1)), ("bars/1m", timedelta(hours=1))])
def test_bars_for_a_date_are_identical_for_200_random_ranges(tmp_path, backend, table, step):
    """Versions from three deliveries, segments and years mixed; 200 ranges, each as of a random moment or the newest."""
    dice, rows = random.Random(20240102), bars(step, 7)
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as db:
        disk = ParquetStore(tmp_path / "data", db, ManualClock(FETCHED))
        store: Store = MemoryStore() if backend == "memory" else disk
        cut = rows.height * 9 // 10
        moments = [FETCHED + timedelta(days=30 * number) for number in range(3)]
        lineages = [Lineage(provider="simulated", dataset="simulated", fetched_at=at, simulated=True) for at in moments]
        store.append(rows.head(cut), lineages[0], table=table)
        for start in range(cut, rows.height, 24):
            store.append(rows.slice(start, 24), lineages[0], table=table)
        for number in (1, 2):
            again = rows.sample(rows.height // 5, seed=number).with_columns(pl.col("close", "high", "low", "open") * (1 + number))
            store.append(again, lineages[number], table=table)
        as_of: list[datetime | None] = [None, *moments, rows["ts"][rows.height // 2]]
        whole = {moment: store.read("SIM:X", table=table, as_of=moment) for moment in as_of}
        assert whole[None].height == rows.height
        assert whole[moments[0]].equals(rows)
        assert not whole[moments[1]].equals(whole[moments[2]])
        span = (LAST - FIRST).days
        for _ in range(200):
            day = FIRST + timedelta(days=dice.randrange(span))
            first, last = day - timedelta(days=dice.randrange(300)), day + timedelta(days=dice.randrange(300))
            moment = dice.choice(as_of)
            read = store.read("SIM:X", table=table, first=first, last=last, as_of=moment)
            of_day = pl.col("ts").dt.date() == day
            assert read.filter(of_day).equals(whole[moment].filter(of_day))
            assert read.equals(whole[moment].filter(pl.col("ts").dt.date().is_between(first, last)))


@pytest.mark.slow
def test_ten_thousand_instruments_by_five_years_are_imported_below_two_gigabytes(tmp_path):
    """In a process of its own, in batches of 500 instruments; the peak is what the system counted, interpreter and all."""
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_store_daily.py"), "10000", "--child", str(tmp_path)]
    figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert figures["rows"] == 10_000 * 1304
    assert figures["peak_bytes"] < 2_000_000_000
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as db:
        store = ParquetStore(tmp_path / "data", db)
        assert store.datasets().height == 10_000
        assert store.read("SIM:D09999").height == 1304
        at = datetime(2022, 6, 15, tzinfo=UTC)
        assert store.cross_section(at, at + timedelta(days=1)).height == 10_000
        assert store.verify().ok
