"""A disk that is full: at 50 random places of a write. Old data stays readable, nothing is torn, the error says so."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, ParquetStore, _objects
from fieldcast.ground import Halted, ManualClock
from fieldcast.ledger import open_database
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("D10", part="a full disk")

FETCHED = datetime(2024, 1, 2, tzinfo=UTC)
START = datetime(2022, 12, 1, 14, 30, tzinfo=UTC)


def minutes(instrument: str, count: int) -> pl.DataFrame:
    """Bars that do not compress: their files have a size to be cut at."""
    stamps = [START + timedelta(hours=1) * place for place in range(count)]
    random_numbers = np.random.default_rng(len(instrument))
    prices = random_numbers.uniform(10, 20, count)
    columns = [[instrument] * count, stamps, stamps, prices, prices, prices, prices, prices, [None] * count]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


def delivery() -> Lineage:
    return Lineage(provider="test", dataset="test", fetched_at=FETCHED)


def left(store: ParquetStore) -> set[str]:
    return {path.relative_to(store.data_dir).as_posix() for path in store.data_dir.rglob("*") if path.is_file()}


@pytest.mark.parametrize("table", ["bars/1d", "bars/1m"])
def test_a_disk_that_fills_at_any_byte_leaves_the_old_data_whole(tmp_path, monkeypatch, table):
    """The 50 cut-offs, at random bytes of everything that the write puts on the disk."""
    dice, write = random.Random(20240102), _objects.write_all
    old = pl.concat([minutes("X:A", 400), minutes("X:BB", 900)])
    new = pl.concat([minutes("X:A", 2000), minutes("X:CCC", 1500)])
    written = [0, 0]     # so far, and where the disk ends
    one = threading.Lock()      # files are written by several threads; a disk's bytes are counted once

    def write_some(file: object, data: bytes) -> None:
        with one:
            room = written[1] - written[0]
            if len(data) > room:
                write(file, data[: max(room, 0)])
                written[0] = written[1]
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(file, data)
            written[0] += len(data)

    with open_database(f"sqlite:///{tmp_path / 'twin.db'}", None) as db:
        twin = ParquetStore(tmp_path / "twin", db, ManualClock(FETCHED))
        twin.append(old, delivery(), table=table)
        written[1] = 1 << 40
        with monkeypatch.context() as patched:
            patched.setattr(_objects, "write_all", write_some)
            twin.append(new, delivery(), table=table)
        total = written[0]
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as db:
        store = ParquetStore(tmp_path / "data", db, ManualClock(FETCHED))
        store.append(old, delivery(), table=table)
        before = left(store)
        with monkeypatch.context() as patched:
            patched.setattr(_objects, "write_all", write_some)
            for _ in range(25):      # of each table
                written[:] = [0, dice.randrange(total)]
                with pytest.raises(Halted, match=r"expected room .* No space left"):
                    store.append(new, delivery(), table=table)
                assert store.read("X:A", table=table).equals(old.filter(instrument="X:A"))
                assert store.read("X:BB", table=table).equals(old.filter(instrument="X:BB"))
                assert store.verify().ok
                assert left(store) == before
        store.append(new, delivery(), table=table)
        assert store.read("X:A", table=table).equals(new.filter(instrument="X:A"))
        assert left(store) == {*store.index(), ".lock"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_real_file_system_that_is_full_leaves_the_old_data_whole(small_disk, tmp_path):
    dice = random.Random(20240103)
    old, new = minutes("X:A", 5_000), pl.concat([minutes("X:A", 8_000), minutes("X:B", 15_000)])
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as db:
        store = ParquetStore(small_disk / "data", db, ManualClock(FETCHED))
        store.append(old, delivery(), table="bars/1m")
        refused = 0
        ballast = small_disk / "ballast"
        for _ in range(50):
            state = os.statvfs(small_disk)
            ballast.write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - dice.randrange(600_000))))
            with pytest.raises(Halted, match="No space left"):
                store.append(new, delivery(), table="bars/1m")
            refused += 1
            ballast.unlink()
            assert store.read("X:A", table="bars/1m").equals(old)
            assert store.verify().ok
            assert left(store) == {*store.index(), ".lock"}
        assert refused == 50
        store.append(new, delivery(), table="bars/1m")
        assert store.read("X:A", table="bars/1m").height == 8_000
        assert store.verify().ok
