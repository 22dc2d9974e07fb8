"""D10, bar store.

Done when: "One contract suite passes on both backends, a kill during write leaves the old file readable, one flipped
byte makes verify exit 1 naming the file, the index rebuilt from footers equals the one kept, and a restated bar is a
new row that only later reads see".

The contract suite itself is tests/data/test_store_contract.py and test_store_tables.py, which run on both backends, on SQLite
and PostgreSQL, in a folder and on S3; here the row's claims are shown on the real bundled data, and its typed schemas for one and
five minutes on simulated rows, the remote copy included.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import polars as pl
import pyarrow.parquet as pq
import pytest

from fieldcast.data import Lineage, MemoryStore, ParquetStore, Store, read_bundled
from fieldcast.ground import ManualClock
from fieldcast.ledger import open_database
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("D10")
OPEN_PARTS: tuple[str, ...] = ()

FETCHED = datetime(2026, 1, 2, tzinfo=UTC)
CLOCK = ManualClock(FETCHED)


def nasdaq() -> tuple[pl.DataFrame, Lineage]:
    _, bars, lineage = read_bundled("nasdaq", CLOCK)
    return bars, lineage


def restated(bars: pl.DataFrame, ts: datetime) -> pl.DataFrame:
    wider = pl.when(pl.col("ts") == ts)
    return bars.with_columns(
        high=wider.then(pl.col("high") * 1.5).otherwise("high"),
        close=wider.then(pl.col("high") * 1.5).otherwise("close"),
    )


def contract(store: Store) -> tuple[object, ...]:
    """One sequence of appends and reads, with everything that a caller can see of it."""
    bars, lineage = nasdaq()
    again = Lineage(provider="bundled", dataset="bundled", fetched_at=FETCHED + timedelta(days=1))
    results = [
        store.append(bars.head(4000), lineage),
        store.append(bars, lineage),
        store.append(bars, lineage),
        store.append(restated(bars, bars["ts"][4500]), again),
    ]
    counts = [(r.rows_added, r.rows_restated, r.rows_unchanged, r.rows_superseded) for r in results]
    assert counts == [(4000, 0, 0, 0), (1031, 0, 4000, 0), (0, 0, 5031, 0), (0, 1, 5030, 0)]
    return (
        counts,
        store.content_hash("XNAS:COMP", as_of=FETCHED),
        store.content_hash("XNAS:COMP"),
        store.datasets().rows(),
        store.lineage("XNAS:COMP"),
        store.read("XNAS:COMP", as_of=bars["ts"][100]).height,
        store.verify().ok,
        store.rebuild_index().equal,
    )


@pytest.fixture
def store(tmp_path: Path):
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as db:
        yield ParquetStore(tmp_path / "data", db, CLOCK)


def test_one_contract_holds_on_both_backends(store):
    assert contract(store) == contract(MemoryStore())


WRITER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
import polars as pl
from fieldcast.data import Lineage, ParquetStore
from fieldcast.ground import ManualClock
from fieldcast.ledger import open_database
home, fetched = Path(sys.argv[1]), datetime(2026, 1, 2, tzinfo=UTC)
with open_database(f"sqlite:///{home / 'ledger.db'}", home) as db:
    store = ParquetStore(home / "data", db, ManualClock(fetched))
    store.append(pl.read_ipc(home / "bars.arrow"), Lineage(provider="bundled", dataset="bundled", fetched_at=fetched))
"""
slow = pytest.mark.slow
BEFORE = ("store:after:temporary", "store:after:rename", "before:commit:store")
POINTS = (
    pytest.param("store:after:temporary", marks=slow),
    "store:after:rename",
    pytest.param("before:commit:store", marks=slow),
    "after:commit:store",
    pytest.param("store:before:remove", marks=slow),
)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_during_write_leaves_the_old_file_readable(store, tmp_path, point):
    bars, lineage = nasdaq()
    bars.write_ipc(tmp_path / "bars.arrow")
    old = bars.head(4700)  # ends within 2017: the killed write replaces one file and adds one
    store.append(old, lineage)
    killed = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path)], env=os.environ | {"FIELDCAST_FAULT": point}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert store.read("XNAS:COMP").equals(old if point in BEFORE else bars)
    assert store.verify().ok
    store.append(bars, lineage)  # the same write, not killed
    assert store.read("XNAS:COMP").equals(bars)
    store.append(*read_bundled("vix", CLOCK)[1:])
    left = {path.relative_to(store.data_dir).as_posix() for path in store.data_dir.rglob("*") if path.is_file()}
    assert left == {*store.index(), ".lock"}


def test_one_flipped_byte_makes_verify_name_the_file(store):
    store.append(*nasdaq())
    victim = sorted(store.index())[7]
    path = store.data_dir / victim
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0b100
    path.write_bytes(data)
    report = store.verify()
    assert not report.ok
    assert report.files_checked == 20
    assert [problem.path for problem in report.problems] == [victim]


def test_the_verify_command_exits_1_and_names_the_file(tmp_path):
    with open_database(f"sqlite:///{tmp_path / 'fieldcast.db'}", tmp_path) as db:
        store = ParquetStore(tmp_path / "data", db, CLOCK)
        victim = store.append(*read_bundled("vix", CLOCK)[1:]).files[3]

    def verify() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from fieldcast.cli import main; main()", "data", "verify", "--json"]
        return subprocess.run([*command, "--home", str(tmp_path)], capture_output=True, text=True, check=False)

    whole = verify()
    assert whole.returncode == 0, whole.stderr
    path = tmp_path / "data" / victim
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    damaged = verify()
    assert damaged.returncode == 1
    assert [problem["path"] for problem in json.loads(damaged.stdout)["problems"]] == [victim]


def test_the_index_rebuilt_from_footers_equals_the_one_kept(store, tmp_path):
    store.append(*nasdaq())
    store.append(*read_bundled("sp500", CLOCK)[1:])
    kept = store.index()
    assert store.footers() == kept
    with open_database(f"sqlite:///{tmp_path / 'lost.db'}", None) as db:
        fresh = ParquetStore(store.data_dir, db, CLOCK)
        fresh.rebuild_index()
        assert fresh.index() == kept
        assert fresh.content_hash("XCBO:SPX") == store.content_hash("XCBO:SPX")


@pytest.mark.parametrize("backend", ["memory", "parquet"])
def test_a_restated_bar_is_a_new_row_that_only_later_reads_see(backend, store):
    chosen: Store = store if backend == "parquet" else MemoryStore()
    bars, lineage = nasdaq()
    chosen.append(bars, lineage)
    ts, told = bars["ts"][5000], FETCHED + timedelta(days=30)
    chosen.append(restated(bars, ts), Lineage(provider="bundled", dataset="bundled", fetched_at=told))
    assert chosen.datasets()["rows"].to_list() == [bars.height + 1]
    assert chosen.read("XNAS:COMP", as_of=told - timedelta(microseconds=1)).equals(bars)
    later = chosen.read("XNAS:COMP", as_of=told)
    changed = later.filter(pl.col("close") != bars["close"])
    assert changed["ts"].to_list() == [ts]
    assert changed["available_at"].to_list() == [told]


# one and five minutes, and a copy on S3 -------------------------------------------------------------------------------


def minute_bars(instrument: str, step: timedelta, count: int = 600) -> tuple[pl.DataFrame, Lineage]:
    """Bars over the turn of a year, labelled simulated."""
    stamps = [datetime(2025, 12, 31, 20, tzinfo=UTC) + step * place for place in range(count)]
    closes = [100.0 + place % 11 for place in range(count)]
    columns = [[instrument] * count, stamps, stamps, *([closes] * 4), [5.0] * count, ["simulated"] * count]
    rows = pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)
    return rows, Lineage(provider="simulated", dataset="simulated", fetched_at=FETCHED, simulated=True)


@pytest.mark.parametrize(("table", "step"), [("bars/1m", 1), ("bars/5m", 5)])
def test_one_and_five_minute_bars_have_typed_arrow_schemas_with_zones(store, table, step):
    rows, lineage = minute_bars("SIM:X", timedelta(minutes=step))
    files = store.append(rows, lineage, table=table).files
    assert [Path(name).name.split("-")[0] for name in files] == ["2025", "2026"]
    for name in files:
        schema = pq.read_schema(store.data_dir / name)
        assert schema.names == list(BARS)
        assert {str(schema.field(column).type) for column in ("ts", "available_at")} == {"timestamp[us, tz=UTC]"}
        assert {str(schema.field(column).type) for column in ("open", "high", "low", "close", "volume")} == {"double"}
    assert store.read("SIM:X", table=table).equals(rows)
    twin = MemoryStore()
    twin.append(rows, lineage, table=table)
    assert twin.content_hash("SIM:X", table=table) == store.content_hash("SIM:X", table=table)


@pytest.mark.slow
def test_a_store_on_s3_is_the_same_store(store, tmp_path, monkeypatch):
    """The same appends to a folder and to a bucket give the same files, by name and hash, the same reads and the same faults."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        with urlopen(Request(f"http://{host}:{port}/bars", method="PUT")) as answer:
            assert answer.status == 200
        with open_database(f"sqlite:///{tmp_path / 's3.db'}", None) as db:
            remote = ParquetStore("s3://bars/kept", db, CLOCK)
            minute = minute_bars("SIM:X", timedelta(minutes=1))
            for one in (store, remote):
                one.append(*nasdaq())
                one.append(*minute, table="bars/1m")
            assert remote.index() == store.index()
            assert remote.read("XNAS:COMP").equals(store.read("XNAS:COMP"))
            assert remote.read("SIM:X", table="bars/1m").equals(minute[0])
            victim = sorted(remote.index())[3]
            data = bytearray(remote._files.read(victim))
            data[len(data) // 2] ^= 1
            remote._files.put(victim, bytes(data))
            assert [problem.path for problem in remote.verify().problems] == [victim]
    finally:
        server.stop()
