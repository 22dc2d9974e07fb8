"""What the tests of the data floor share: small frames of sound bars, their lineage, and both stores."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore, ParquetStore, Store
from fieldcast.ground import ManualClock
from fieldcast.ledger import Database, open_database
from fieldcast.market import BARS, Instrument, Kind, sessions_between

FETCHED = datetime(2024, 1, 2, 12, tzinfo=UTC)
SPY = Instrument(id="ARCX:SPY", kind=Kind.ETF, name="SPDR S&P 500 ETF")
MakeBars = Callable[..., pl.DataFrame]


def _bars(
    id: str = SPY.id,
    first: date = date(2022, 11, 1),
    last: date = date(2023, 2, 28),
    seed: int = 1,
    calendar: str = "XNYS",
) -> pl.DataFrame:
    """A random walk of sound bars with real opens on every session of the span."""
    ts = sessions_between(calendar, first, last)["close"]
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, len(ts))))
    opened = close * np.exp(random.normal(0, 0.004, len(ts)))
    high = np.maximum(opened, close) * 1.004
    low = np.minimum(opened, close) * 0.996
    volume = np.rint(random.lognormal(15, 0.3, len(ts)))
    none = [None] * len(ts)
    columns = [[id] * len(ts), ts, ts, opened.round(2), high.round(2), low.round(2), close.round(2), volume, none]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


@pytest.fixture
def make_bars() -> MakeBars:
    return _bars


@pytest.fixture
def spy() -> Instrument:
    return SPY


@pytest.fixture
def make_lineage() -> Callable[..., Lineage]:
    def make(dataset: str = "test", fetched_at: datetime = FETCHED, **others: object) -> Lineage:
        return Lineage(provider="test", dataset=dataset, fetched_at=fetched_at, **others)  # type: ignore[arg-type]

    return make


@pytest.fixture
def lineage(make_lineage: Callable[..., Lineage]) -> Lineage:
    return make_lineage()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as database:
        yield database


@pytest.fixture
def parquet(tmp_path: Path, db: Database) -> ParquetStore:
    return ParquetStore(tmp_path / "data", db, ManualClock(FETCHED))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 service in this process, on 127.0.0.1."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://…` of an empty bucket; the environment says where it is."""
    environment = {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"store-{uuid.uuid4().hex}"
    with urlopen(Request(f"{s3_server}/{bucket}", method="PUT")) as answer:
        assert answer.status == 200
    return f"s3://{bucket}/some/prefix"


@pytest.fixture(
    params=[
        "memory", "parquet", pytest.param("parquet-postgresql", marks=pytest.mark.slow),
        pytest.param("parquet-s3", marks=pytest.mark.slow),
    ]
)  # fmt: skip
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "parquet":
        yield ParquetStore(tmp_path / "data", request.getfixturevalue("db"), ManualClock(FETCHED))
        return
    if request.param == "parquet-s3":
        yield ParquetStore(request.getfixturevalue("s3_url"), request.getfixturevalue("db"), ManualClock(FETCHED))
        return
    with open_database(request.getfixturevalue("postgres_url"), tmp_path) as database:
        yield ParquetStore(tmp_path / "data", database, ManualClock(FETCHED))
