"""Runs the 400-row demo in processes that can be killed.

    python demo_driver.py trace HOME    one run in HOME/demo; the fault points that it passes go to HOME/trace, one a line
    python demo_driver.py kill ROOT     for each entry of ROOT/plan: a run that is killed, then a whole one in the same folder;
                                        the wait statuses and what the folder then holds go to ROOT/results

A plan is a JSON list of `{"point": name, "nth": k}` (killed by the fault hook at the k-th passing of that point) and of
`{"share": x}` (killed from outside after that share of an unkilled run's processor time; a run that was through before is
repeated with a smaller share). The first result is that of a run
which nobody kills.

Each run is a process of its own, forked after the imports and before polars has started its threads: importing anew would cost
more than the run.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = 400
EXPERIMENT = Path(__file__).parents[1] / "workflows" / "demo_400.toml"
FAULT = "FIELDCAST_FAULT"

# Columns that hold the wall clock (or count runs), which two runs cannot share; everything else is compared.
CLOCKED = {
    "trial": {"looks", "first_seen", "last_seen"},
    "gate_result": {"recorded_at"},
    "evidence": {"recorded_at"},
}
# The index of the store names files by bytes that hold their time of writing; the rows in them are compared instead.
BY_CONTENT = {"store_file", "store_span", "store_delivery", "store_change", "store_lease"}


def play(home: Path) -> None:
    """The demo, all of it."""
    from fieldcast.workflows import demo

    demo(home, rows=ROWS, experiment=EXPERIMENT)


def content(home: Path) -> dict[str, str]:
    """SHA-256 of everything that the demo leaves behind, by name, read anew from the disk."""
    import polars as pl

    from fieldcast.data import ParquetStore
    from fieldcast.ledger import open_database
    from fieldcast.workflows.records import table_hash

    found = {}
    for file in (home / "fieldcast.db", *sorted((home / "brokers").glob("*.db"))):
        found |= _tables(file)
    with open_database(f"sqlite:///{home / 'fieldcast.db'}", home) as ledger:
        store = ParquetStore(home / "data", ledger)
        for row in store.datasets().iter_rows(named=True):
            found[f"bars:{row['instrument']}:{row['rows']}"] = store.content_hash(row["instrument"])
        found["store"] = str(store.verify().problems)
    for name in ("projections", "outcomes"):
        for path in sorted((home / "data" / name).rglob("*.parquet")):
            found[f"{name}:{path.name}"] = table_hash(pl.read_parquet(path))
    for name in ("audit.jsonl", "audit.anchor", "report.html"):
        found[name] = hashlib.sha256((home / name).read_bytes()).hexdigest()
    return found


def _tables(file: Path) -> dict[str, str]:
    found = {}
    connection = sqlite3.connect(file)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in sorted(set(tables) - BY_CONTENT):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        kept = [f'"{name}"' for name in columns if name not in CLOCKED.get(table, set())]
        rows = sorted(repr(row) for row in connection.execute(f"SELECT {', '.join(kept)} FROM {table}"))
        found[f"{file.name}:{table}:{len(rows)}"] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    connection.close()
    return found


# fault points -------------------------------------------------------------------------------------------------------


def _heed(hook: Callable[[str], None]) -> None:
    """Have every module that names its fault points tell them to `hook`."""
    import fieldcast.data._writer
    import fieldcast.execution._paper_store
    import fieldcast.ledger._twin
    import fieldcast.ledger.database

    for module in (fieldcast.data._writer, fieldcast.execution._paper_store, fieldcast.ledger._twin, fieldcast.ledger.database):
        module.fail_point = hook  # type: ignore[attr-defined]


def trace(home: Path) -> None:
    """One run in HOME/demo that notes the fault points instead of heeding them."""
    with (home / "trace").open("w", encoding="utf-8") as file:
        _heed(lambda name: print(name, file=file))
        play(home / "demo")


def killed_at(home: Path, point: str, nth: int) -> None:
    """A run that the hook kills when it passes `point` for the nth time."""
    from fieldcast.ledger.faults import fail_point

    passed: Counter[str] = Counter()

    def hook(name: str) -> None:
        passed[name] += 1
        if (name, passed[name]) == (point, nth):
            os.environ[FAULT] = point
        fail_point(name)

    _heed(hook)
    play(home)


# processes ----------------------------------------------------------------------------------------------------------


def forked(work: Callable[[], None]) -> int:
    """Start `work` in a child; its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.environ.pop(FAULT, None)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 (the child must end here, whatever happened, and say what it was)
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """Wait status of a child."""
    return os.waitpid(child, 0)[1]


def kill_after(child: int, seconds: float) -> None:
    """SIGKILL once the child has used that much processor time (or nothing, where it is through before)."""
    ticks = os.sysconf("SC_CLK_TCK")
    while True:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        if fields[0] == "Z":
            return
        if (int(fields[11]) + int(fields[12])) / ticks >= seconds:
            os.kill(child, signal.SIGKILL)
            return
        time.sleep(0.002)


def kill_in_time(home: Path, seconds: float) -> int:
    """Wait status of a run in the fresh folder `home`, killed after at most `seconds` of processor time."""
    status = 0
    for _ in range(10):
        home.mkdir()
        child = forked(lambda: play(home))
        kill_after(child, seconds)
        status = ended(child)
        if status != 0:
            break
        shutil.rmtree(home)
        seconds *= 0.8
    return status


def kill(root: Path) -> None:
    """Play the plan."""
    _warm()

    def whole(home: Path) -> None:
        started = time.process_time()
        play(home)
        taken = time.process_time() - started
        (home / "end").write_text(json.dumps({"seconds": taken, "content": content(home)}), encoding="utf-8")

    def finish(home: Path, killed: int) -> dict[str, Any]:
        again = ended(forked(lambda: whole(home)))
        end = home / "end"
        held = json.loads(end.read_text(encoding="utf-8")) if end.exists() else {}
        shutil.rmtree(home)
        return {"killed": killed, "again": again, **held}

    first = root / "unkilled"
    first.mkdir()
    results = [finish(first, 0)]
    for number, entry in enumerate(json.loads((root / "plan").read_text(encoding="utf-8"))):
        home = root / str(number)
        if "share" in entry:
            killed = kill_in_time(home, entry["share"] * results[0]["seconds"])
        else:
            home.mkdir()
            killed = ended(forked(lambda home=home, entry=entry: killed_at(home, entry["point"], entry["nth"])))
        results.append(finish(home, killed))
    (root / "results").write_text(json.dumps(results), encoding="utf-8")


def _warm() -> None:
    """What every run would import for itself or load as compiled code; none of it starts a thread of polars."""
    for name in (
        *("alembic.command", "arch.univariate", "plotly.graph_objects", "plotly.offline", "scipy.optimize", "scipy.stats"),
        *("fieldcast.execution.paper", "fieldcast.workflows.demonstration"),
    ):
        importlib.import_module(name)
    import exchange_calendars
    import numpy as np

    from fieldcast import indicators
    from fieldcast.fields.liquidity import volume_profile
    from fieldcast.market.sessions import FIRST_SESSION

    exchange_calendars.get_calendar("XNYS", start=FIRST_SESSION)
    price = 100.0 + np.sin(np.arange(120.0))
    indicators.ema(price, 5)
    indicators.wilder(price + 1.0, price - 1.0, price, 14)
    volume_profile(price + 1.0, price - 1.0, price, np.ones(120))


if __name__ == "__main__":
    {"trace": trace, "kill": kill}[sys.argv[1]](Path(sys.argv[2]))
