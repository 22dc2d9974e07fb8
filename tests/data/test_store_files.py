"""How the store on disk lays out, indexes and guards its files: segments, spans, deliveries, writers that meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from sqlalchemy import event, text

from fieldcast.data import Lineage, MemoryStore, ParquetStore
from fieldcast.data._content import content_sha256
from fieldcast.data._encoding import GROUP_ROWS, WIDE
from fieldcast.ground import ConfigError, ConflictError, Halted, IntegrityError, InvalidInput, ManualClock
from fieldcast.ledger import open_database
from fieldcast.market import BARS, table_of

pytestmark = pytest.mark.feature("D10", part="files, index, writers")

FETCHED = datetime(2024, 1, 2, 12, tzinfo=UTC)
TABLE = "bars/1m"


def bars(instrument: str, first: datetime, count: int, step: timedelta = timedelta(minutes=1)) -> pl.DataFrame:
    stamps = [first + step * place for place in range(count)]
    prices = [100 + place % 7 for place in range(count)]
    columns = [[instrument] * count, stamps, stamps, prices, prices, prices, prices, [10.0] * count, [None] * count]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS, strict=False)


def delivery(fetched_at: datetime = FETCHED, source: str = "") -> Lineage:
    return Lineage(provider="test", dataset="test", fetched_at=fetched_at, source=source)


def paths(store: ParquetStore) -> list[str]:
    return sorted(path.relative_to(store.data_dir).as_posix() for path in store.data_dir.rglob("*.parquet"))


# layout -------------------------------------------------------------------------------------------------------------


def test_intraday_files_stand_by_instrument_and_year_and_new_days_in_segments(parquet):
    history = bars("CBOE:^VIX/X", datetime(2022, 12, 29, 15, tzinfo=UTC), 6, timedelta(days=1))
    parquet.append(history, delivery(), table=TABLE)
    names = [name.rsplit("-", 1)[0] for name in paths(parquet)]
    assert names == [f"bars/1m/test/CBOE%3A%5EVIX%2FX/{year}-g1" for year in (2022, 2023)]
    parquet.append(bars("CBOE:^VIX/X", datetime(2023, 1, 3, 16, tzinfo=UTC), 2), delivery(), table=TABLE)
    parquet.append(bars("CBOE:^VIX/X", datetime(2023, 1, 4, 15, tzinfo=UTC), 2), delivery(), table=TABLE)
    segments = [name for name in paths(parquet) if "/2023-01-0" in name]
    assert [Path(name).name[:13] for name in segments] == ["2023-01-03-g1", "2023-01-04-g1"]
    schema = pq.read_schema(parquet.data_dir / segments[0])
    types = {field.name: str(field.type) for field in schema}
    assert types["ts"] == types["available_at"] == "timestamp[us, tz=UTC]"
    assert {types[column] for column in ("open", "high", "low", "close", "volume")} == {"double"}
    report = parquet.compact()
    assert (report.segments, report.files) == (2, 1)
    assert [name.rsplit("-", 1)[0][-7:] for name in paths(parquet)] == ["2022-g1", "2023-g2"]


def test_a_live_bar_rewrites_its_days_segment_alone(parquet):
    parquet.append(bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 300), delivery(), table=TABLE)
    parquet.append(bars("X:A", datetime(2023, 1, 4, 15, tzinfo=UTC), 5), delivery(), table=TABLE)
    before = set(paths(parquet))
    result = parquet.append(bars("X:A", datetime(2023, 1, 4, 15, 5, tzinfo=UTC), 1), delivery(), table=TABLE)
    assert [Path(name).name[:13] for name in result.files] == ["2023-01-04-g2"]
    assert len(before - set(paths(parquet))) == 1
    late = parquet.append(bars("X:A", datetime(2023, 1, 2, 15, tzinfo=UTC), 1), delivery(), table=TABLE)
    assert [Path(name).name[:7] for name in late.files] == ["2023-g2"]      # an older day belongs to the year
    assert parquet.read("X:A", table=TABLE).height == 307


def test_a_wide_daily_file_is_kept_month_by_month(parquet):
    stamps = datetime(2023, 1, 2, 21, tzinfo=UTC)
    names = [f"X:{number:05}" for number in range(WIDE + 1)]
    rows = pl.concat([bars(id, stamps, 90, timedelta(days=1)) for id in names])
    half = len(names) // 2
    parquet.append(rows.filter(pl.col("instrument").is_in(names[half:])), delivery())
    parquet.append(rows.filter(pl.col("instrument").is_in(names[:half])), delivery())
    (path,) = paths(parquet)
    metadata = pq.read_metadata(parquet.data_dir / path)
    place = metadata.schema.to_arrow_schema().get_field_index("ts")
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(place).statistics
        assert statistics.min.month == statistics.max.month
        assert metadata.row_group(group).num_rows <= GROUP_ROWS
    assert parquet.read(names[3]).equals(rows.filter(instrument=names[3]))
    at = datetime(2023, 2, 7, tzinfo=UTC)
    assert parquet.cross_section(at, at + timedelta(days=1)).equals(rows.filter(pl.col("ts").dt.date() == at.date()))
    parquet.append(bars("X:99999", stamps, 90, timedelta(days=1)), delivery())
    assert parquet.read(names[700]).equals(rows.filter(instrument=names[700]))
    assert parquet.footers() == parquet.index()
    assert parquet.verify().ok


def test_an_instrument_whose_name_would_leave_the_folder_is_refused(parquet):
    for id in ("..", ".", ""):
        with pytest.raises(InvalidInput, match="instrument ids"):
            parquet.append(bars(id, datetime(2023, 1, 3, 15, tzinfo=UTC), 1), delivery(), table=TABLE)


# index --------------------------------------------------------------------------------------------------------------


def test_a_delivery_stands_once_however_many_instruments_it_had(parquet, db):
    rows = pl.concat([bars(f"X:{number}", datetime(2023, 1, 3, 15, tzinfo=UTC), 3) for number in range(40)])
    (path,) = parquet.append(rows, delivery(source="one file")).files
    footer = json.loads(pq.read_metadata(parquet.data_dir / path).metadata[b"fieldcast"])
    assert len(footer["deliveries"]) == len(footer["delivery_sets"]) == 1
    with db.read() as session:
        assert session.execute(text("SELECT count(*) FROM store_delivery")).scalar() == 1
        assert session.execute(text("SELECT count(*) FROM store_span")).scalar() == 40


def test_a_read_asks_the_index_one_cheap_question_until_something_was_written(parquet, db):
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    parquet.append(bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 3), delivery(), table=TABLE)
    parquet.read("X:A", table=TABLE)
    statements.clear()
    parquet.read("X:A", table=TABLE)
    assert [text for text in statements if "SELECT" in text] == ["SELECT number FROM store_change"]
    with open_database(str(db.engine.url), None) as other:       # another process writes
        ParquetStore(parquet.data_dir, other).append(
            bars("X:A", datetime(2023, 1, 3, 16, tzinfo=UTC), 1), delivery(), table=TABLE
        )
    assert parquet.read("X:A", table=TABLE).height == 4


def test_an_index_of_version_2_is_carried_over(tmp_path):
    """A store whose ledger was written before segments: every row of the index is kept, and its files are read."""
    from fieldcast.ledger import _migrate
    from fieldcast.ledger._engine import build_engine

    url, data = f"sqlite:///{tmp_path / 'old.db'}", tmp_path / "data"
    rows = bars("X:A", datetime(2023, 1, 3, 21, tzinfo=UTC), 5, timedelta(days=1))
    lineage = delivery(source="old")
    span = {"rows": 5, "first_ts": rows["ts"][0].isoformat(), "last_ts": rows["ts"][-1].isoformat()}
    footer = {
        "format": 1, "timeframe": "1d", "dataset": "test", "year": 2023, "generation": 3, "rows": 5,
        "content_sha256": content_sha256(rows), "first_ts": span["first_ts"], "last_ts": span["last_ts"],
        "instruments": {"X:A": span}, "lineage": {"X:A": [lineage.to_json()]}, "simulated": False,
        "written_at": FETCHED.isoformat(),
    }  # fmt: skip
    folder = data / "bars/1d/test"
    folder.mkdir(parents=True)
    rows.write_parquet(folder / "new", metadata={"fieldcast": json.dumps(footer)})
    import hashlib

    sha256 = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    path = f"bars/1d/test/2023-g3-{sha256[:16]}.parquet"
    (folder / "new").rename(data / path)
    engine = build_engine(url)
    _migrate.upgrade(engine, "0002")
    from fieldcast.ledger.types import EPOCH

    def us(moment: datetime) -> int:
        return (moment - EPOCH) // timedelta(microseconds=1)

    with engine.execution_options(fieldcast_writes=True).begin() as connection:
        connection.execute(
            text("INSERT INTO store_file VALUES (:path, 'test', '1d', 2023, 3, :sha, 5, :first, :last, :held, :lineage, 0, :at)"),
            {
                "path": path, "sha": sha256, "first": us(rows["ts"][0]), "last": us(rows["ts"][-1]), "at": us(FETCHED),
                "held": json.dumps(footer["instruments"]),
                "lineage": json.dumps({"content_sha256": footer["content_sha256"], "deliveries": footer["lineage"]}),
            },
        )  # fmt: skip
    engine.dispose()
    with open_database(url, None) as db:
        store = ParquetStore(data, db, ManualClock(FETCHED))
        assert store.read("X:A").equals(rows)
        assert store.lineage("X:A") == (lineage,)
        assert store.verify().ok
        assert store.footers() == store.index()
        assert store.rebuild_index().equal
        more = bars("X:A", datetime(2023, 2, 3, 21, tzinfo=UTC), 1)
        assert [Path(name).name[:8] for name in store.append(more, delivery()).files] == ["2023-g4-"]


# writers that meet --------------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from fieldcast.data._objects import LocalFiles
from fieldcast.data._pending import writing
with writing(LocalFiles(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_and_readers_are_not(parquet):
    rows = bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 3)
    parquet.append(rows, delivery(), table=TABLE)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(parquet.data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    for write in (
        lambda: parquet.append(rows, delivery(), table=TABLE),
        parquet.compact,
        parquet.rebuild_index,
    ):
        with pytest.raises(ConflictError, match=f"process {holder.pid} writing; wait until"):
            write()
    assert parquet.read("X:A", table=TABLE).equals(rows)
    assert parquet.verify().ok
    holder.communicate("")
    assert parquet.append(rows, delivery(), table=TABLE).rows_unchanged == 3


@pytest.mark.parametrize("early", [True, False], ids=["while it reads", "before it commits"])
def test_a_faster_writer_on_another_machine_makes_the_slower_one_give_up_whole(early, tmp_path, db, monkeypatch):
    """A shared folder whose lock is not: the transaction sees that the file to be replaced is not the newest.

    In a bucket a lease refuses the second writer, see test_store_lease.py.
    """
    from fieldcast.data import _writer

    slower, faster = (ParquetStore(tmp_path / "data", db, ManualClock(FETCHED)) for _ in range(2))
    first = bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 3)
    slower.append(first, delivery())
    slow_rows = bars("X:B", datetime(2023, 1, 3, 15, tzinfo=UTC), 3)
    fast_rows = bars("X:C", datetime(2023, 1, 3, 15, tzinfo=UTC), 3)
    made = _writer.encode
    met = []

    def encode_meanwhile(*given: object) -> object:
        slow = None if early or met else made(*given)
        if not met:
            met.append(True)
            monkeypatch.setattr(_writer._pending, "settle", lambda *_: None)  # another machine has a note of its own
            name = _writer._pending._self
            monkeypatch.setattr(_writer._pending, "_self", lambda: "otherhost-1")
            with monkeypatch.context() as inner:
                inner.setattr(_writer._pending, "writing", _unlocked)
                faster.append(fast_rows, delivery())
            monkeypatch.setattr(_writer._pending, "_self", name)
        return made(*given) if slow is None else slow

    monkeypatch.setattr(_writer, "encode", encode_meanwhile)
    with pytest.raises(ConflictError, match="another writer was faster"):
        slower.append(slow_rows, delivery())
    monkeypatch.undo()
    assert slower.read("X:A").equals(first)
    assert slower.read("X:C").equals(fast_rows)
    assert "X:B" not in slower.datasets()["instrument"]
    assert slower.verify().ok
    assert slower.append(slow_rows, delivery()).rows_added == 3
    assert slower.verify().ok


@contextmanager
def _unlocked(_: object) -> Iterator[None]:
    yield


# where the files are ------------------------------------------------------------------------------------------------


def test_a_place_that_is_not_understood_is_a_setting_to_mend(db, monkeypatch):
    for place in ("http://bucket/x", "s3://", "s3://key@bucket/x"):
        with pytest.raises(ConfigError, match="s3://bucket/prefix"):
            ParquetStore(place, db)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(ConfigError, match=r"fieldcast\[s3\]"):
        ParquetStore("s3://bucket/x", db)


@pytest.mark.slow
def test_a_store_on_s3_holds_what_a_folder_would(s3_url, db, tmp_path, monkeypatch):
    rows = pl.concat([bars(id, datetime(2023, 1, 3, 15, tzinfo=UTC), 50, timedelta(hours=9)) for id in ("X:A", "X:B")])
    store = ParquetStore(s3_url, db, ManualClock(FETCHED))
    with open_database(f"sqlite:///{tmp_path / 'twin.db'}", None) as other:
        twin = ParquetStore(tmp_path / "data", other, ManualClock(FETCHED))
        for part in (rows.filter(instrument="X:A"), rows):
            for table in ("bars/1d", TABLE):
                assert store.append(part, delivery(), table=table).files == twin.append(part, delivery(), table=table).files
        assert store.index() == twin.index()
        assert store.footers() == twin.footers()
    assert store.verify().ok
    name = next(iter(store.index()))
    data = bytearray(store._files.read(name))
    data[len(data) // 2] ^= 1
    store._files.put(name, bytes(data))
    assert [problem.path for problem in store.verify().problems] == [name]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Halted, match=r"expected s3://.* to answer"):
        ParquetStore(s3_url, db).read("X:A", table=TABLE)


def test_what_a_killed_writer_noted_is_settled_even_where_the_index_was_lost(parquet, tmp_path):
    """Killed after its commit, before the old file was removed; then the ledger is lost: rebuilding finds one of the two."""
    rows = bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 40)
    rows.write_ipc(tmp_path / "bars.arrow")
    parquet.append(rows.head(20), delivery())
    program = f"""
import polars as pl
from pathlib import Path
from fieldcast.data import Lineage, ParquetStore
from fieldcast.ledger import open_database
from datetime import datetime, UTC
with open_database({str(parquet._db.engine.url)!r}, None) as db:
    lineage = Lineage(provider="test", dataset="test", fetched_at=datetime(2024, 1, 2, 12, tzinfo=UTC))
    ParquetStore(Path({str(parquet.data_dir)!r}), db).append(pl.read_ipc({str(tmp_path / "bars.arrow")!r}), lineage)
"""
    subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"FIELDCAST_FAULT": "store:before:remove"}, check=False
    )
    assert len(paths(parquet)) == 2
    with open_database(f"sqlite:///{tmp_path / 'new.db'}", None) as db:
        fresh = ParquetStore(parquet.data_dir, db)
        with pytest.raises(IntegrityError, match="index was lost"):
            fresh.append(rows, delivery())
        fresh.rebuild_index()
        assert fresh.read("X:A").height == 40
        assert fresh.append(rows, delivery()).rows_restated == 0
        assert fresh.read("X:A").equals(rows)
        assert fresh.verify().ok
        assert len(paths(fresh)) == 1


class Killed(BaseException):
    """A writer's end at a fault point, in this process."""


def killed_at(point: str, monkeypatch: pytest.MonkeyPatch, write: Callable[[], object]) -> None:
    from fieldcast.data import _writer

    def die(name: str) -> None:
        if name == point:
            raise Killed

    with monkeypatch.context() as inner:
        inner.setattr(_writer, "fail_point", die)
        with pytest.raises(Killed):
            write()


@pytest.mark.parametrize("tool", ["append", "rebuild"])
def test_a_ledger_older_than_the_files_removes_none_of_them(tool, tmp_path, monkeypatch):
    """Restored from a backup of before the last two writes, of which the second left a note."""
    import sqlite3

    url, start = f"sqlite:///{tmp_path / 'old.db'}", datetime(2023, 1, 3, 15, tzinfo=UTC)
    rows = bars("X:A", start, 9)
    with open_database(url, None) as db:
        store = ParquetStore(tmp_path / "data", db, ManualClock(FETCHED))
        store.append(rows.head(3), delivery())
        with sqlite3.connect(tmp_path / "old.db") as connection:
            connection.execute(f"VACUUM INTO '{tmp_path / 'backup.db'}'")
        store.append(rows.head(6), delivery())
        killed_at("store:before:remove", monkeypatch, lambda: store.append(rows, delivery()))
        before = paths(store)
        assert len(before) == 2
    with open_database(f"sqlite:///{tmp_path / 'backup.db'}", None) as db:
        store = ParquetStore(tmp_path / "data", db, ManualClock(FETCHED))
        if tool == "append":
            with pytest.raises(IntegrityError, match=r"older than the files.*rebuild the index"):
                store.append(bars("X:B", start, 1), delivery())
            assert paths(store) == before
        store.rebuild_index()
        assert store.read("X:A").equals(rows)
        assert store.append(bars("X:B", start, 1), delivery()).rows_added == 1
        assert store.verify().ok


def test_the_first_append_of_all_outlives_a_kill_and_a_lost_ledger(parquet, tmp_path, monkeypatch):
    rows = bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 3)
    killed_at("store:before:remove", monkeypatch, lambda: parquet.append(rows, delivery()))
    with open_database(f"sqlite:///{tmp_path / 'new.db'}", None) as db:
        fresh = ParquetStore(parquet.data_dir, db)
        fresh.rebuild_index()
        assert fresh.read("X:A").equals(rows)


def test_what_a_kill_left_behind_in_the_first_layout_is_settled(parquet):
    """`bars/pending.json` lists files that were written and never committed."""
    rows = bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 4)
    (first,) = parquet.append(rows.head(2), delivery()).files
    unfinished = "bars/1d/test/2023-g2-0123456789abcdef.parquet"
    for name in (unfinished, unfinished + ".tmp"):
        (parquet.data_dir / name).write_bytes((parquet.data_dir / first).read_bytes())
    note = parquet.data_dir / "bars" / "pending.json"
    note.write_text(json.dumps([first, unfinished]))
    assert parquet.append(rows, delivery()).rows_added == 2
    assert not note.exists()
    assert unfinished not in paths(parquet)
    assert parquet.read("X:A").equals(rows)
    assert parquet.verify().ok


def test_verify_beside_a_writer_sees_one_moment_of_the_index(parquet, db, monkeypatch):
    from fieldcast.data._index import Index

    start = datetime(2023, 1, 3, 15, tzinfo=UTC)
    other = ParquetStore(parquet.data_dir, db, ManualClock(FETCHED))
    parquet.append(bars("X:A", start, 3), delivery())
    met, between = [], Index._lineages     # asked for after the spans and before the files

    def meanwhile(self: Index, *given: object) -> object:
        if not met:
            met.append(True)
            writer = threading.Thread(target=lambda: other.append(bars("X:B", start, 3), delivery()))
            writer.start()
            writer.join()
        return between(self, *given)

    monkeypatch.setattr(Index, "_lineages", meanwhile)
    assert parquet.verify().ok
    assert met


def test_a_damaged_file_is_an_error_that_says_so(parquet, monkeypatch):
    """Cut short, and so damaged that polars panics (which is no `Exception`)."""
    rows = bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 400)
    (name,) = parquet.append(rows, delivery(), table=TABLE).files

    def panic(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("range end index 7 out of range")

    with monkeypatch.context() as inner:
        inner.setattr(pl.LazyFrame, "collect", panic)
        with pytest.raises(IntegrityError, match="readable files, found range end"):
            parquet.read("X:A", table=TABLE)
    path = parquet.data_dir / name
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(IntegrityError, match="`verify` names the damaged one"):
        parquet.read("X:A", table=TABLE)
    assert [problem.path for problem in parquet.verify().problems] == [name]


@pytest.mark.parametrize("table", ["bars/1d", TABLE])
def test_ids_and_moments_that_no_file_can_carry_are_refused_before_anything_is_written(parquet, table):
    start = datetime(2023, 1, 3, 15, tzinfo=UTC)
    parquet.append(bars("X:OK", start, 1), delivery(), table=table)
    before = left(parquet)
    for id, expected in (("X:" + "\u6771" * 28, "at most 200 bytes"), ("X:A\0B", "control"), ("X:A\nB", "control")):
        with pytest.raises(InvalidInput, match=expected):
            parquet.append(bars(id, start, 1), delivery(), table=table)
    late = bars("X:OK", datetime(9999, 12, 30, tzinfo=UTC), 1)
    with pytest.raises(InvalidInput, match="years 1 to 9998"):
        parquet.append(late, delivery(), table=table)
    with pytest.raises(InvalidInput, match="years 1 to 9998"):
        parquet.append(late.with_columns(pl.col("ts", "available_at") + pl.duration(days=800_000)), delivery(), table=table)
    assert left(parquet) == before
    assert parquet.append(bars("X:" + "\u6771" * 20, start, 1), delivery(), table=table).rows_added == 1
    assert parquet.verify().ok


def left(store: ParquetStore) -> list[str]:
    return sorted(path.relative_to(store.data_dir).as_posix() for path in store.data_dir.rglob("*") if path.is_file())


def test_spans_of_time_are_answered_as_in_memory(parquet):
    twin, start = MemoryStore(), datetime(2023, 1, 3, 15, tzinfo=UTC)
    rows = bars("X:A", start, 5, timedelta(hours=11))
    for store in (parquet, twin):
        store.append(rows, delivery())
    midnight = datetime(2023, 1, 4, tzinfo=UTC)
    for first, last in (
        (None, date.max), (date.min, date.max), (midnight, None), (None, midnight), (midnight - timedelta(hours=3), None),
        (midnight + timedelta(hours=3), None), (None, midnight + timedelta(hours=30)), (date.max, None),
    ):  # fmt: skip
        assert parquet.read("X:A", first=first, last=last).equals(twin.read("X:A", first=first, last=last)), (first, last)
    assert parquet.read("X:A", last=date.max).height == 5


def test_a_reader_that_never_gets_a_moment_is_told_to_try_again(parquet, monkeypatch):
    """A file that is gone is an error of the store only where the index still names it."""
    rows = bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 12)
    parquet.append(rows.head(2), delivery())
    source, busy = parquet._files.source, [9]

    def meanwhile(name: str) -> object:
        if busy[0]:
            busy[0] -= 1
            raise FileNotFoundError(name)
        return source(name)

    monkeypatch.setattr(parquet._files, "source", meanwhile)
    assert parquet.read("X:A").height == 2
    busy[0] = 1000
    with pytest.raises(ConflictError, match="try again"):
        parquet.read("X:A")
    (parquet.data_dir / paths(parquet)[0]).unlink()
    with pytest.raises(IntegrityError, match="restore them"):
        parquet.read("X:A")


def by_definition(rows: pl.DataFrame) -> str:
    """The hash of bars, written down value by value."""
    import hashlib
    import struct

    state = hashlib.sha256(f"bars/2 {rows.height}".encode())
    for name, dtype in table_of(TABLE).schema.items():
        values = rows[name].to_list()
        state.update(f"|{name}|".encode())
        if None in values:
            bits = "".join("1" if value is None else "0" for value in values).ljust(-(-len(values) // 8) * 8, "0")
            state.update(b"\1" + bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)))
        else:
            state.update(b"\0")
        if dtype == pl.String:
            texts = [(value or "").encode() for value in values]
            if set(values) == {None}:
                continue
            if len(set(values)) == 1:
                state.update(b"\2" + struct.pack("<q", len(texts[0])) + texts[0])
            else:
                state.update(b"\3" + b"".join(struct.pack("<q", len(one)) for one in texts) + b"".join(texts))
        elif dtype == pl.Float64:
            state.update(b"".join(struct.pack("<d", (value or 0.0) + 0.0) for value in values))
        else:
            micros = [round(value.timestamp() * 1e6) for value in values]
            if name == "available_at":
                micros = [known - at for known, at in zip(micros, [round(v.timestamp() * 1e6) for v in rows["ts"]], strict=True)]
                state.update(b"\2" if len(set(micros)) == 1 else b"\3")
                micros = micros[:1] if len(set(micros)) == 1 else micros
            state.update(b"".join(struct.pack("<q", value) for value in micros))
    return state.hexdigest()


def test_the_hash_of_values_is_the_one_that_its_definition_gives():
    rows = bars("X:A", datetime(2023, 1, 3, 15, tzinfo=UTC), 11).with_columns(
        reasons=pl.when(pl.col("volume").cum_count() % 3 == 0).then(pl.lit("close_only")),
        open=pl.when(pl.col("volume").cum_count() % 4 == 0).then(None).otherwise(-0.0),
    )
    late = rows.with_columns(
        available_at=pl.col("available_at") + pl.duration(minutes=pl.int_range(11)), reasons=pl.lit("close_only")
    )
    assert late["ts"].is_sorted()
    seen = set()
    for one in (rows, late, rows.with_columns(reasons=pl.lit(None, dtype=pl.String))):
        found = content_sha256(one.sample(fraction=1, shuffle=True, seed=2), table_of(TABLE))
        assert found == by_definition(one)
        seen.add(found)
    assert len(seen) == 3
    assert date(2023, 1, 3) == rows["ts"][0].date()


def test_a_new_folders_name_is_put_on_the_disk_in_each_folder_above_it(tmp_path, monkeypatch):
    from fieldcast.data import _pending

    synced = []
    monkeypatch.setattr(_pending.os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").resolve()))
    _pending.make_lasting(tmp_path / "a" / "data")
    assert sorted(synced) == [tmp_path.resolve(), (tmp_path / "a").resolve()]
    _pending.make_lasting(tmp_path / "a" / "data")
    assert len(synced) == 2
