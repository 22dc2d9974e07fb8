"""Writers of one bucket on several machines: one of them writes, the others are refused, a fenced-off one loses nothing."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update

from fieldcast.data import Lineage, ParquetStore, _lease, _pending, _writer
from fieldcast.ground import ConflictError, Halted, ManualClock
from fieldcast.ledger import Database, open_database
from fieldcast.ledger.tables import StoreLease
from fieldcast.ledger.types import EPOCH
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("D10", part="writers of one bucket on several machines")

FETCHED = datetime(2024, 1, 2, 12, tzinfo=UTC)
START = datetime(2023, 1, 3, 15, tzinfo=UTC)


class Bucket:
    """Objects by name, as a bucket has them."""

    address = "s3://bucket/prefix"

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def stage(self, name: str, data: bytes) -> None:
        self.put(name, data)

    def publish(self, names: object) -> None:
        """An upload has its name at once."""

    def put(self, name: str, data: bytes) -> None:
        self.held[name] = bytes(data)

    def read(self, name: str) -> bytes:
        if name not in self.held:
            raise FileNotFoundError(name)
        return self.held[name]

    def sha256(self, name: str) -> str:
        return hashlib.sha256(self.read(name)).hexdigest()

    def footer(self, name: str) -> dict[bytes, bytes]:
        return pq.read_metadata(pa.BufferReader(self.read(name))).metadata or {}

    def source(self, name: str) -> io.BytesIO:
        return io.BytesIO(self.read(name))

    def list(self, folder: str, *, deep: bool = False) -> list[str]:
        return sorted(
            name for name in self.held if (name.startswith(folder + "/") if deep else name.rpartition("/")[0] == folder)
        )

    def delete(self, name: str) -> None:
        self.held.pop(name, None)

    def exists(self, name: str) -> bool:
        return name in self.held


class Machines:
    """Two machines with a store each, on one bucket and one ledger; `on` says which of them acts."""

    def __init__(self, db: Database, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bucket, self.db, self.acting = Bucket(), db, "a"
        self.a, self.b = (self._store(place) for _ in range(2))
        monkeypatch.setattr(_pending, "writing", _unlocked)  # the lock of one machine is not the other's
        monkeypatch.setattr(_pending, "_host", lambda: self.acting)

    def _store(self, place: Path) -> ParquetStore:
        store = ParquetStore(place, self.db, ManualClock(FETCHED))
        store._files = store._writer._files = self.bucket  # type: ignore[assignment]
        return store

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        before, self.acting = self.acting, name
        yield
        self.acting = before

    def lease(self) -> StoreLease:
        with self.db.read() as session:
            return session.scalars(select(StoreLease)).one()

    def set_lease(self, **values: object) -> None:
        with self.db.begin() as session:
            session.execute(update(StoreLease).values(values))


@contextmanager
def _unlocked(_: object) -> Iterator[None]:
    yield


@pytest.fixture
def machines(db, tmp_path, monkeypatch) -> Machines:
    return Machines(db, tmp_path / "none", monkeypatch)


def bars(instrument: str, count: int = 3, first: datetime = START) -> pl.DataFrame:
    stamps = [first + timedelta(minutes=place) for place in range(count)]
    prices = [100.0 + place for place in range(count)]
    columns = [[instrument] * count, stamps, stamps, prices, prices, prices, prices, [10.0] * count, [None] * count]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


def delivery() -> Lineage:
    return Lineage(provider="test", dataset="test", fetched_at=FETCHED)


def once(monkeypatch: pytest.MonkeyPatch, point: str, act: Callable[[], object]) -> list[bool]:
    """Do something when a writer first passes a fault point."""
    met: list[bool] = []

    def hook(name: str) -> None:
        if name == point and not met:
            met.append(True)
            act()

    monkeypatch.setattr(_writer, "fail_point", hook)
    return met


@pytest.mark.parametrize("point", ["store:after:temporary", "store:after:rename", "store:before:remove"])
def test_a_second_machine_is_refused_while_the_first_one_writes(machines, monkeypatch, point):
    machines.a.append(bars("X:A"), delivery())

    def second() -> None:
        with machines.on("b"):
            for write in (lambda: machines.b.append(bars("X:C"), delivery()), machines.b.compact, machines.b.rebuild_index):
                with pytest.raises(ConflictError, match=rf"only writer.*on {socket.gethostname()} writing .*run this again"):
                    write()
            assert machines.b.read("X:A").height == 3

    met = once(monkeypatch, point, second)
    machines.a.append(bars("X:B"), delivery())
    assert met
    with machines.on("b"):
        assert machines.b.append(bars("X:C"), delivery()).rows_added == 3
        assert [machines.b.read(id).height for id in ("X:A", "X:B", "X:C")] == [3, 3, 3]
        assert machines.b.verify().ok
    assert sorted(machines.bucket.held) == sorted(machines.b.index())
    assert machines.lease().token == ""


@pytest.mark.parametrize("point", ["store:after:temporary", "store:after:rename"])
@pytest.mark.parametrize("tool", ["append", "rebuild"])
def test_a_writer_whose_lease_was_taken_commits_nothing_and_loses_nothing(machines, monkeypatch, point, tool):
    machines.a.append(bars("X:A"), delivery())

    def second() -> None:
        machines.set_lease(until=EPOCH)  # the first machine slept
        with machines.on("b"):
            if tool == "append":
                machines.b.append(bars("X:B"), delivery())
            else:
                machines.b.rebuild_index()

    once(monkeypatch, point, second)
    with pytest.raises(ConflictError, match=r"hold the store's lease until the end.*run it again"):
        machines.a.append(bars("X:C"), delivery())
    assert machines.a.verify().ok
    assert machines.a.datasets()["instrument"].to_list() == ["X:A", "X:B"][: 2 if tool == "append" else 1]
    assert machines.a.append(bars("X:C"), delivery()).rows_added == 3
    for id in machines.a.datasets()["instrument"]:
        assert machines.a.read(id).equals(bars(id))
    assert sorted(machines.bucket.held) == sorted(machines.a.index())
    assert machines.a.verify().ok
    assert machines.a.rebuild_index().equal


def test_a_writer_whose_lease_was_taken_does_not_tidy_up(machines, monkeypatch):
    """Its files have the same unit and generation as those that the new holder puts there."""
    machines.a.append(bars("X:A"), delivery())
    other = "bars/1d/test/2023-g2-0123456789abcdef.parquet"
    holder = _lease.Lease(machines.db)

    def second() -> None:
        machines.set_lease(until=EPOCH)
        with machines.on("b"):
            holder.take()
        machines.bucket.put(other, b"uploaded by the other machine a moment ago")
        raise Halted("the network is gone")

    once(monkeypatch, "store:after:temporary", second)
    with pytest.raises(Halted, match="network"):
        machines.a.append(bars("X:C"), delivery())
    assert machines.bucket.exists(other)
    holder.give_up()
    machines.a.append(bars("X:C"), delivery())
    assert sorted(machines.bucket.held) == sorted(machines.a.index())


def test_a_lease_is_free_when_it_ran_out_or_its_process_of_this_machine_is_gone(machines):
    late = datetime.now(tz=UTC) + timedelta(minutes=1)
    gone = 2**22 + 1  # above the largest process number of Linux
    for values, free in (
        ({"token": "t", "host": "other", "pid": 1, "until": late}, False),
        ({"token": "t", "host": "other", "pid": 1, "until": EPOCH}, True),
        ({"token": "", "host": "other", "pid": 1, "until": late}, True),
        ({"token": "t", "host": "a", "pid": gone, "until": late}, True),
        ({"token": "t", "host": "a", "pid": 1, "until": late}, False),
    ):
        machines.set_lease(**values)
        lease = _lease.Lease(machines.db)
        if free:
            lease.take()
            assert machines.lease().token == lease.token
            lease.give_up()
        else:
            with pytest.raises(ConflictError, match="process 1 on"):
                lease.take()
            assert machines.lease().token == "t"


def test_the_lease_is_renewed_while_a_write_goes_on(machines, monkeypatch):
    monkeypatch.setattr(_lease, "RENEW_SECONDS", 0.01)
    seen = []

    def wait() -> None:
        first = machines.lease().until
        end = time.monotonic() + 10
        while machines.lease().until == first and time.monotonic() < end:
            time.sleep(0.01)
        seen.append(machines.lease().until > first)

    once(monkeypatch, "store:after:temporary", wait)
    machines.a.append(bars("X:A"), delivery())
    assert seen == [True]


def test_the_note_is_written_once_however_many_files_an_append_has(machines, monkeypatch):
    puts: list[str] = []
    put = machines.bucket.put
    monkeypatch.setattr(machines.bucket, "put", lambda name, data: (puts.append(name), put(name, data)))
    machines.a.append(pl.concat([bars(f"X:{number:02}") for number in range(30)]), delivery(), table="bars/1m")
    assert len(puts) == 31


@pytest.mark.slow
def test_on_postgresql_a_lease_cannot_be_taken_between_its_confirmation_and_the_commit(postgres_url):
    with open_database(postgres_url, None) as db:
        first, second, outcome = _lease.Lease(db), _lease.Lease(db), []
        first.take()
        with db.begin() as session:
            session.execute(update(StoreLease).values(until=EPOCH, host="elsewhere"))

        def take() -> None:
            try:
                second.take()
            except ConflictError as error:
                outcome.append(str(error))

        taker = threading.Thread(target=take)
        with db.begin() as session:
            first.confirm(session)
            taker.start()
            taker.join(0.5)
            assert taker.is_alive()  # it waits for the row
        taker.join(20)
        assert len(outcome) == 1
        first.renew()
        first.give_up()
        second.take()


def test_a_store_in_a_folder_needs_no_lease(parquet, db):
    parquet.append(bars("X:A"), delivery())
    with db.read() as session:
        assert session.scalars(select(StoreLease.until)).one() == EPOCH
