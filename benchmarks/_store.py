"""What the benchmarks of the store share: simulated rows, a fresh store, interleaved timing."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from fieldcast.data import Lineage, ParquetStore
from fieldcast.ledger import open_database
from fieldcast.market import BARS

SEED = 20240102
LINEAGE = Lineage(
    provider="simulated", dataset="bench", fetched_at=datetime(2026, 1, 2, tzinfo=UTC), simulated=True, source="benchmarks"
)


def bars(instrument: str, stamps: np.ndarray, seed: int) -> pl.DataFrame:
    """A random walk of bars that end at the stamps (microseconds), labelled simulated."""
    random, n = np.random.default_rng(seed), len(stamps)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.0005, n)))
    opened = close * np.exp(random.normal(0, 0.0002, n))
    high, low = np.maximum(opened, close) * 1.0002, np.minimum(opened, close) * 0.9998
    ts = pl.Series("ts", stamps).cast(BARS["ts"])
    prices = {"open": opened, "high": high, "low": low, "close": close}
    return pl.DataFrame(
        {"instrument": instrument, "ts": ts, "available_at": ts}
        | {name: values.round(2) for name, values in prices.items()}
        | {"volume": np.rint(random.lognormal(6, 1, n)), "reasons": "simulated"},
        schema=BARS,
    )


def minutes(year: int, rows: int) -> np.ndarray:
    """The ends of the first `rows` minutes from 14:31 UTC of 252 weekdays of a year."""
    days = np.arange(f"{year}-01-01", f"{year + 1}-01-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)][:252]
    of_day = np.arange(1, rows // 252 + 2) * 60_000_000 + (14 * 60 + 30) * 60_000_000
    return np.sort((days.astype("datetime64[us]").astype(np.int64)[:, None] + of_day).ravel())[:rows]


def sessions(first: int, years: int) -> np.ndarray:
    """The close, 21:00 UTC, of every weekday of `years` years."""
    days = np.arange(f"{first}-01-01", f"{first + years}-01-01", dtype="datetime64[D]")
    return days[np.is_busday(days)].astype("datetime64[us]").astype(np.int64) + 21 * 3_600_000_000


@contextmanager
def fresh_store(folder: Path | None = None) -> Iterator[ParquetStore]:
    """An empty store in a folder that goes away."""
    with TemporaryDirectory(dir=folder) as name, open_database(f"sqlite:///{name}/ledger.db", None) as db:
        yield ParquetStore(Path(name) / "data", db)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds (of all threads) of a work."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def interleaved(rounds: int, *works: Callable[[], object]) -> list[list[tuple[float, float]]]:
    """The cost of each work, taken in turns and every other round backwards: a slower minute of the machine meets all of them,
    and none is always the one that comes after another's threads.
    """
    for work in works:
        work()
    costs: list[list[tuple[float, float]]] = [[] for _ in works]
    for number in range(rounds):
        for place, work in list(enumerate(works))[:: -1 if number % 2 else 1]:
            costs[place].append(cost(work))
    return costs


def ratio(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> dict[str, float]:
    """Median wall seconds of ours over theirs, the range of the rounds' own ratios, and the same of processor seconds."""
    each = sorted(a[0] / b[0] for a, b in zip(ours, theirs, strict=True))
    wall, processor = ([statistics.median(one[place] for one in costs) for costs in (ours, theirs)] for place in (0, 1))
    return {
        "estimate": round(wall[0] / wall[1], 3),
        "low": round(each[0], 3),
        "high": round(each[-1], 3),
        "ours_seconds": round(wall[0], 4),
        "theirs_seconds": round(wall[1], 4),
        "processor_ratio": round(processor[0] / processor[1], 3),
        "n": len(each),
    }


def durable(frame: pl.DataFrame, path: Path) -> None:
    """Bare polars, made as lasting as the store's files: temporary, fsync, rename."""
    temporary = path.with_suffix(".tmp")
    frame.write_parquet(temporary, compression="zstd")
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.rename(path)


def day(moment: datetime) -> tuple[datetime, datetime]:
    """First and last moment of a UTC day."""
    first = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return first, first + timedelta(days=1) - timedelta(microseconds=1)
