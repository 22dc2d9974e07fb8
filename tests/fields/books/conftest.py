"""Books for the tests: one made by hand, and the recorded ones that FIELDCAST_REALDATA holds.

`recorded` runs a test on each recorded stream with two sides; `binance` is the long one with trades and quotes; `lone` opens the
others: books with one side, and changes without their snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.books import book_at, replay
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.fields.books import Ladders, ladders
from fieldcast.ground import MissingData
from fieldcast.market import table_of

NOW = datetime(2026, 11, 1, tzinfo=UTC)
START = datetime(2024, 1, 2, tzinfo=UTC)
BINANCE = "hftbacktest_binance_spot_btcusdt_20240808.gz"
TWO_SIDED = {
    "binance": BINANCE,
    "hyperliquid": "hftbacktest_hyperliquid_btcusd_20250126.gz",
    "bybit": "nautilus_bybit_xrpusdt-ob500.data.zip",
    "tardis-25": "nautilus_tardis/binance-futures_book_snapshot_25_BTCUSDT.csv",
    "tardis-5": "nautilus_tardis/binance-futures_book_snapshot_5_BTCUSDT.csv",
    "databento": "databento/esh4-glbx-mdp3-20231224.mbo.dbn.zst",
}
MOMENTS = 4


@dataclass(frozen=True, eq=False)
class Recorded:
    """One recorded stream."""

    name: str
    tables: dict[str, pl.DataFrame]

    @property
    def depth(self) -> pl.DataFrame:
        return self.tables["depth"]

    def states(self, levels: int = 10) -> pl.DataFrame:
        return _states(self, levels)

    def moments(self) -> list[datetime]:
        """Times of a few messages after which the book was known, the last one among them."""
        times = self.states().filter(pl.col("reasons").is_null())["available_at"].unique().sort()
        place = np.unique(np.linspace(0, len(times) - 1, MOMENTS).astype(int))
        return [times[int(at)] for at in place]

    def books(self) -> list[Ladders]:
        return [_book(self, moment) for moment in self.moments()]


@cache
def _states(stream: Recorded, levels: int) -> pl.DataFrame:
    return replay(stream.depth, levels).states


@cache
def _book(stream: Recorded, moment: datetime) -> Ladders:
    return ladders(book_at(stream.depth, moment))


@cache
def _load(folder: Path, file: str) -> Recorded:
    store = MemoryStore()
    report = import_source(folder / "l2" / file, Options(now=NOW), store=store)
    tables = {}
    for table in ("depth", "trades", "quotes"):
        try:
            tables[table] = store.read(report.instruments[0].id, table=table)
        except MissingData:
            continue
    return Recorded(file, tables)


@pytest.fixture(params=list(TWO_SIDED))
def recorded(request: pytest.FixtureRequest, realdata: Path) -> Recorded:
    if request.param == "databento":
        pytest.importorskip("databento_dbn")
    return _load(realdata, TWO_SIDED[request.param])


@pytest.fixture
def binance(realdata: Path) -> Recorded:
    return _load(realdata, BINANCE)


@pytest.fixture
def lone(realdata: Path) -> Callable[[str], Recorded]:
    return lambda file: _load(realdata, file)


Change = tuple[str, float, float]


def depth_rows(messages: list[tuple[int, bool, list[Change]]], reasons: dict[int, str] | None = None) -> pl.DataFrame:
    """Rows of `depth` out of (milliseconds after START, snapshot, changes); `reasons` by place of the message."""
    rows = []
    for place, (at, snapshot, changes) in enumerate(messages):
        for side, price, size in changes:
            moment = START + timedelta(milliseconds=at)
            rows.append(
                {
                    "instrument": "XTST:BOOK", "ts": moment, "available_at": moment, "sequence": len(rows),
                    "first_update": None, "last_update": None, "snapshot": snapshot, "side": side, "price": price,
                    "size": size, "order_id": None, "action": None, "reasons": (reasons or {}).get(place),
                }
            )  # fmt: skip
    return pl.DataFrame(rows, schema=dict(table_of("depth").schema))


@pytest.fixture(scope="session")
def make_depth() -> Callable[..., pl.DataFrame]:
    return depth_rows


@pytest.fixture(scope="session")
def make_book() -> Callable[..., Ladders]:
    return random_ladders


@pytest.fixture
def hand_book() -> Ladders:
    """Bids 100.00 × 10, 99.99 × 20, 99.95 × 70; asks 100.02 × 5, 100.03 × 15, 100.08 × 80. Mid 100.01."""
    return Ladders(
        np.array([100.00, 99.99, 99.95]), np.array([10.0, 20.0, 70.0]),
        np.array([100.02, 100.03, 100.08]), np.array([5.0, 15.0, 80.0]),
    )  # fmt: skip


def random_ladders(seed: int, levels: int = 12) -> Ladders:
    random = np.random.default_rng(seed)
    mid = random.lognormal(3, 2)
    away = [np.cumsum(random.exponential(1e-4, levels) + 1e-6) * mid for _ in range(2)]
    sizes = random.lognormal(0, 2, (2, levels))
    return Ladders(mid - away[0], sizes[0], mid + away[1], sizes[1])
