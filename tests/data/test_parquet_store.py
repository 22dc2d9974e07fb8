"""What only the store on disk can promise: files, footers, damage, lost indexes, killed writers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from fieldcast.data import Lineage, ParquetStore
from fieldcast.data._content import content_sha256
from fieldcast.ground import IntegrityError, InvalidInput
from fieldcast.ledger import open_database
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("D10", part="files, footers, damage, rebuild")


def files(store: ParquetStore) -> list[str]:
    return sorted(path.relative_to(store.data_dir).as_posix() for path in store.data_dir.rglob("*") if path.is_file())


def parquet_files(store: ParquetStore) -> list[str]:
    return [name for name in files(store) if name.endswith(".parquet")]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_one_file_a_year_with_a_row_group_for_each_instrument(parquet, make_bars, lineage):
    rows = pl.concat([make_bars(), make_bars(id="XNAS:QQQ", seed=2)])
    result = parquet.append(rows, lineage)
    assert list(result.files) == parquet_files(parquet)
    assert [Path(name).name[:8] for name in result.files] == ["2022-g1-", "2023-g1-"]
    assert all(name.startswith("bars/1d/test/") for name in result.files)
    for name in result.files:
        metadata = pq.read_metadata(parquet.data_dir / name)
        assert metadata.num_row_groups == 2
        assert metadata.row_group(0).column(0).compression == "ZSTD"
        ids = [metadata.row_group(group).column(0).statistics.min for group in range(2)]
        assert ids == ["ARCX:SPY", "XNAS:QQQ"]
        types = {field.name: str(field.type) for field in pq.read_schema(parquet.data_dir / name)}
        assert types["ts"] == types["available_at"] == "timestamp[us, tz=UTC]"
        assert {types[column] for column in ("open", "high", "low", "close", "volume")} == {"double"}


def test_the_footer_tells_the_whole_lineage(parquet, make_bars, make_lineage):
    lineage = make_lineage(adjustment="adjusted_only", source="spy.csv", dropped={"future_stamp": 2})
    bars = make_bars()
    name = parquet.append(bars, lineage).files[-1]
    footer = json.loads(pq.read_metadata(parquet.data_dir / name).metadata[b"fieldcast"])
    of_year = bars.filter(pl.col("ts").dt.year() == 2023)
    place = (footer["table"], footer["dataset"], footer["period"], footer["generation"], footer["rows"])
    assert place == ("bars/1d", "test", "2023", 1, of_year.height)
    assert footer["first_ts"] == of_year["ts"][0].isoformat()
    assert footer["last_ts"] == of_year["ts"][-1].isoformat()
    assert footer["content_sha256"] == content_sha256(of_year)
    (delivery,) = footer["deliveries"].values()
    assert delivery == lineage.to_json()
    assert Lineage.from_json(delivery) == lineage
    assert delivery["available_at"] == "assumed"
    assert footer["delivery_sets"] == [list(footer["deliveries"])]
    assert footer["spans"]["instrument"] == ["ARCX:SPY"]
    assert footer["spans"]["rows"] == [of_year.height]


def test_equal_appends_give_equal_bytes(tmp_path, db, make_bars, lineage, parquet):
    with open_database(f"sqlite:///{tmp_path / 'other.db'}", None) as other:
        twin = ParquetStore(tmp_path / "other", other, parquet._clock)
        assert twin.append(make_bars(), lineage).files == parquet.append(make_bars(), lineage).files


def test_a_new_generation_replaces_only_the_years_it_touches(parquet, make_bars, lineage):
    bars = make_bars()
    first = parquet.append(bars.head(60), lineage).files
    second = parquet.append(bars, lineage).files
    assert [Path(name).name[:8] for name in second] == ["2023-g2-"]
    assert parquet_files(parquet) == sorted([first[0], second[0]])
    assert [name for name in files(parquet) if not name.endswith(".parquet")] == [".lock"]


def test_one_flipped_byte_anywhere_is_found_and_its_file_named(parquet, make_bars, lineage):
    parquet.append(make_bars(), lineage)
    name = parquet_files(parquet)[1]
    path = parquet.data_dir / name
    size = path.stat().st_size
    for at in (0, size // 3, size // 2, size - 1):
        flip(path, at)
        report = parquet.verify()
        assert [problem.path for problem in report.problems] == [name]
        assert report.files_checked == 2
        flip(path, at)
    assert parquet.verify().ok


def test_a_missing_file_is_a_problem_and_a_typed_error(parquet, make_bars, lineage):
    parquet.append(make_bars(), lineage)
    name = parquet_files(parquet)[0]
    (parquet.data_dir / name).unlink()
    assert [problem.path for problem in parquet.verify().problems] == [name]
    with pytest.raises(IntegrityError, match=name):
        parquet.read("ARCX:SPY")


def test_a_damaged_file_is_a_typed_error_when_read(parquet, make_bars, lineage):
    parquet.append(make_bars(), lineage)
    path = parquet.data_dir / parquet_files(parquet)[0]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(IntegrityError, match="readable"):
        parquet.read("ARCX:SPY")


def test_a_file_under_another_name_is_found(parquet, make_bars, lineage):
    parquet.append(make_bars(), lineage)
    one, two = (parquet.data_dir / name for name in parquet_files(parquet))
    one_bytes = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(one_bytes)
    assert len(parquet.verify().problems) == 2


def test_the_index_rebuilt_from_footers_equals_the_kept_one(parquet, make_bars, make_lineage, tmp_path):
    parquet.append(make_bars(), make_lineage())
    parquet.append(make_bars(id="XNAS:QQQ", seed=4), make_lineage("other"))
    kept = parquet.index()
    assert parquet.footers() == kept
    assert parquet.rebuild_index().equal
    with open_database(f"sqlite:///{tmp_path / 'new.db'}", None) as db:  # the ledger was lost
        fresh = ParquetStore(parquet.data_dir, db)
        assert {problem.path for problem in fresh.verify().problems} == set(kept)
        with pytest.raises(IntegrityError, match="index was lost"):
            fresh.append(make_bars(id="XNAS:AAPL"), make_lineage())
        assert set(fresh.rebuild_index().added) == set(kept)
        assert fresh.index() == kept
        assert fresh.read("ARCX:SPY").equals(parquet.read("ARCX:SPY"))
        assert fresh.verify().ok


def test_a_wrong_index_is_set_right(parquet, make_bars, lineage, db):
    from sqlalchemy import text

    parquet.append(make_bars(), lineage)
    kept = parquet.index()
    with db.begin() as session:
        session.execute(text("UPDATE store_file SET rows = rows + 1 WHERE period = '2023'"))
    assert [Path(problem.path).name[:4] for problem in parquet.verify().problems] == ["2023"]
    report = parquet.rebuild_index()
    assert [Path(name).name[:4] for name in report.changed] == ["2023"]
    assert parquet.index() == kept


def test_a_damaged_file_is_not_taken_into_a_rebuilt_index(parquet, make_bars, lineage):
    parquet.append(make_bars(), lineage)
    kept = parquet.index()
    path = parquet.data_dir / parquet_files(parquet)[0]
    flip(path, 100)
    with pytest.raises(IntegrityError, match=path.name):
        parquet.rebuild_index()
    assert parquet.index() == kept


def test_a_foreign_file_is_reported_and_never_removed(parquet, make_bars, lineage):
    parquet.append(make_bars(), lineage)
    foreign = parquet.data_dir / "bars/1d/test/mine.parquet"
    foreign.write_bytes(b"mine")
    assert [problem.path for problem in parquet.verify().problems] == ["bars/1d/test/mine.parquet"]
    with pytest.raises(IntegrityError, match=r"mine\.parquet"):
        parquet.append(make_bars(id="XNAS:QQQ"), lineage)
    assert foreign.exists()


def test_a_refused_append_leaves_no_file(parquet, make_bars, lineage):
    bars = make_bars().with_columns(close=pl.lit(float("nan")))
    with pytest.raises(InvalidInput):
        parquet.append(bars, lineage)
    assert not parquet.data_dir.exists() or files(parquet) == []


def test_a_failed_transaction_leaves_the_old_data_and_the_next_write_cleans_up(
    parquet, make_bars, lineage, monkeypatch
):
    from fieldcast.data._index import Index

    bars = make_bars()
    parquet.append(bars.head(60), lineage)
    before = parquet_files(parquet)

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Index, "change", fail)
        with pytest.raises(RuntimeError, match="disk is full"):
            parquet.append(bars, lineage)
    assert parquet.read("ARCX:SPY").equals(bars.head(60))
    assert len(parquet_files(parquet)) == len(before) + 1
    assert parquet.verify().ok  # the announced file is no problem: the next write takes it away
    parquet.append(make_bars(id="XNAS:QQQ"), lineage)
    assert parquet.read("ARCX:SPY").equals(bars.head(60))
    assert len(parquet_files(parquet)) == 2


def test_readers_never_meet_half_of_an_append(parquet, make_bars, lineage, make_lineage):
    """A writer replaces both years again and again; a reader sees one generation or the next, never a mixture."""
    bars = make_bars()
    parquet.append(bars, lineage)
    done = threading.Event()

    def write() -> None:
        for number in range(1, 13):
            scaled = bars.with_columns(pl.col("open", "high", "low", "close") * (1 + number))
            parquet.append(scaled, make_lineage(fetched_at=datetime(2024, 2, number, tzinfo=UTC)))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not done.is_set():
        ratio = (parquet.read("ARCX:SPY")["close"] / bars["close"]).round(6).unique()
        assert ratio.len() == 1
        reads += 1
    writer.join()
    assert reads > 3
    assert parquet.read("ARCX:SPY")["close"].to_list() == (bars["close"] * 13).to_list()


WRITER = """
import sys, polars as pl
from datetime import datetime, UTC
from pathlib import Path
from fieldcast.data import Lineage, ParquetStore
from fieldcast.ground import ManualClock
from fieldcast.ledger import open_database
home = Path(sys.argv[1])
fetched = datetime(2024, 1, 2, 12, tzinfo=UTC)
with open_database(f"sqlite:///{home / 'ledger.db'}", home) as db:
    store = ParquetStore(home / "data", db, ManualClock(fetched))
    bars = pl.read_ipc(home / "bars.arrow")
    print("ready", flush=True)
    for start in range(0, bars.height, 20):
        store.append(bars.slice(0, start + 20), Lineage(provider="test", dataset="test", fetched_at=fetched))
    print("done", flush=True)
"""


@pytest.mark.slow
def test_writers_killed_at_random_moments_end_where_an_unkilled_one_does(parquet, make_bars, tmp_path, db):
    """SIGKILL at 12 random moments of an import in small steps; the rerun always ends with the same rows and files."""
    import random

    bars = make_bars()
    bars.write_ipc(tmp_path / "bars.arrow")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(home: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(home)], stdout=subprocess.PIPE, text=True, env=environment
        )

    twin = tmp_path / "twin"
    twin.mkdir()
    bars.write_ipc(twin / "bars.arrow")
    began = time.monotonic()
    unkilled = start(twin)
    assert unkilled.stdout is not None
    assert unkilled.stdout.readline() == "ready\n"
    ready = time.monotonic()
    assert unkilled.communicate()[0] == "done\n"
    span = time.monotonic() - ready
    assert ready > began

    dice, killed = random.Random(20240102), 0
    for _ in range(12):
        writer = start(tmp_path)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0, span / 4))      # early: what earlier writers stored shortens this one's work
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        killed += writer.returncode == -signal.SIGKILL
        heights = parquet.datasets()["rows"].to_list()
        if heights:
            read = parquet.read("ARCX:SPY")
            assert read.equals(bars.head(read.height))
            assert read.height == bars.height or read.height % 20 == 0
        assert parquet.verify().ok
    assert killed >= 3      # how many land depends on the machine's load; each one is checked above
    assert start(tmp_path).communicate()[0] == "ready\ndone\n"
    assert parquet.read("ARCX:SPY").equals(bars)
    with open_database(f"sqlite:///{twin / 'ledger.db'}", twin) as other:
        reference = ParquetStore(twin / "data", other)
        assert reference.content_hash("ARCX:SPY") == parquet.content_hash("ARCX:SPY")
    assert [name for name in files(parquet) if name.endswith((".tmp", ".json"))] == []
    assert len(parquet_files(parquet)) == 2
    assert BARS.keys() == set(bars.columns)
