"""The store's writers killed at any moment, in intraday years, segments and compaction: reads are of before or of after."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import ParquetStore
from fieldcast.ledger import open_database
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("D10", part="kills of intraday writes and compaction")

START = datetime(2022, 12, 28, 14, 30, tzinfo=UTC)
IDS = ("XNAS:A", "XNAS:B")
TABLE = "bars/1m"
POINTS = ("store:after:temporary", "store:after:rename", "before:commit:store", "after:commit:store", "store:before:remove")
BEFORE = POINTS[:3]

WRITER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
import polars as pl
from fieldcast.data import Lineage, ParquetStore
from fieldcast.ground import ManualClock
from fieldcast.ledger import open_database
home, fetched = Path(sys.argv[1]), datetime(2024, 1, 2, tzinfo=UTC)
with open_database(f"sqlite:///{home / 'ledger.db'}", None) as db:
    store = ParquetStore(home / "data", db, ManualClock(fetched))
    print("ready", flush=True)
    for step in sys.argv[2:]:
        if step == "compact":
            store.compact()
        else:
            rows = pl.read_ipc(home / "bars.arrow").filter(pl.col("ts").dt.date().cast(pl.String).is_in(step.split(",")))
            store.append(rows, Lineage(provider="test", dataset="test", fetched_at=fetched), table="bars/1m")
    print("done", flush=True)
"""


def pool() -> pl.DataFrame:
    """Eight days of 30 minutes of two instruments, over the turn of a year."""
    stamps = [START + timedelta(days=day, minutes=minute) for day in range(8) for minute in range(30)]
    n = len(stamps)
    parts = [
        pl.DataFrame(
            dict(zip(BARS, [[id] * n, stamps, stamps, *([[float(10 + place)] * n] * 4), [1.0] * n, [None] * n], strict=True)),
            schema=BARS,
        )
        for place, id in enumerate(IDS)
    ]
    return pl.concat(parts)


DAYS = [str((START + timedelta(days=day)).date()) for day in range(8)]
STEPS = [",".join(DAYS[:4]), DAYS[4], DAYS[5], DAYS[6], "compact", DAYS[7]]


def start(home: Path, steps: list[str], point: str = "") -> subprocess.Popen[str]:
    environment = os.environ | {"FIELDCAST_FAULT": point, "POLARS_MAX_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home), *steps], stdout=subprocess.PIPE, text=True, env=environment
    )


def rows(store: ParquetStore) -> pl.DataFrame:
    held = set(store.datasets()["instrument"])
    return pl.concat([store.read(id, table=TABLE) for id in IDS if id in held] or [pl.DataFrame(schema=BARS)])


def days(store: ParquetStore) -> int:
    """How many whole days both instruments have; a day that only one of them has would be half of an append."""
    counts = rows(store).group_by("instrument", pl.col("ts").dt.date()).len()
    assert set(counts["len"]) <= {30}
    by_instrument = counts.group_by("instrument").len()["len"].to_list()
    assert len(by_instrument) in (0, 2)
    assert len(set(by_instrument)) <= 1
    return by_instrument[0] if by_instrument else 0


def left(store: ParquetStore) -> set[str]:
    return {path.relative_to(store.data_dir).as_posix() for path in store.data_dir.rglob("*") if path.is_file()}


@pytest.mark.parametrize("point", [pytest.param(point, marks=pytest.mark.slow) for point in POINTS])
@pytest.mark.parametrize("action", ["history", "segment", "compact"])
def test_a_kill_at_each_point_leaves_before_or_after(tmp_path, action, point):
    everything = pool()
    everything.write_ipc(tmp_path / "bars.arrow")
    done, step = {"history": ([], STEPS[0]), "segment": (STEPS[:2], STEPS[2]), "compact": (STEPS[:4], "compact")}[action]
    assert start(tmp_path, list(done)).communicate()[0] == "ready\ndone\n"
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as db:
        store = ParquetStore(tmp_path / "data", db)
        before = days(store)
        killed = start(tmp_path, [step], point)
        assert killed.communicate()[0] == "ready\n"
        assert killed.returncode == -signal.SIGKILL
        gained = {"history": 4, "segment": 1, "compact": 0}[action]
        assert days(store) == before + (0 if point in BEFORE else gained)
        assert store.verify().ok
        assert start(tmp_path, [step, *STEPS[STEPS.index(step) + 1 :]]).communicate()[0] == "ready\ndone\n"
        assert left(store) == {*store.index(), ".lock"}
        assert rows(store).equals(everything)
        assert store.verify().ok
        assert store.rebuild_index().equal


@pytest.mark.slow
def test_kills_at_random_moments_end_where_an_unkilled_run_does(tmp_path):
    everything, dice, killed = pool(), random.Random(20240102), 0
    everything.write_ipc(tmp_path / "bars.arrow")
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as db:
        store = ParquetStore(tmp_path / "data", db)
        import time

        for _ in range(15):
            writer = start(tmp_path, STEPS)
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(dice.uniform(0, 0.25))
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
            killed += writer.returncode == -signal.SIGKILL
            assert days(store) in (0, 4, 5, 6, 7, 8)
            assert store.verify().ok
        assert killed >= 3
        assert start(tmp_path, STEPS).communicate()[0] == "ready\ndone\n"
        assert rows(store).equals(everything)
        assert left(store) == {*store.index(), ".lock"}
        assert store.rebuild_index().equal
