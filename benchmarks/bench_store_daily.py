"""10,000 instruments × 5 years of daily bars: imported in batches under a limit of memory, then read two ways.

The import runs in a process of its own, whose peak resident memory is what the system says it was (`ru_maxrss`). Read are one
instrument's year, beside bare polars on the same file and beside DuckDB and pyarrow datasets over the folder, and one day of
every instrument. Bare polars is told the path of the one file; it keeps no index and knows no versions.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from _store import LINEAGE, SEED, bars, day, interleaved, ratio, seconds, sessions

from fieldcast.data import ParquetStore
from fieldcast.ledger import open_database

COVERS = ("src/fieldcast/data", "src/fieldcast/market/tables.py", "src/fieldcast/ledger/_tables_market.py")
INSTRUMENTS = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 10_000
BATCH, FIRST, YEARS, ROUNDS = 500, 2019, 5, 40


def ids() -> list[str]:
    return [f"SIM:D{number:05}" for number in range(INSTRUMENTS)]


def import_all(folder: Path) -> None:
    """The child's work: every batch generated and appended; its figures are printed."""
    stamps, names, times = sessions(FIRST, YEARS), ids(), []
    with open_database(f"sqlite:///{folder}/ledger.db", None) as db:
        store = ParquetStore(folder / "data", db)
        for start in range(0, len(names), BATCH):
            batch = pl.concat([bars(id, stamps, SEED + start + place) for place, id in enumerate(names[start : start + BATCH])])
            times.append(seconds(lambda rows=batch: store.append(rows, LINEAGE)))  # type: ignore[misc]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_bytes": peak, "rows": len(names) * len(stamps), "append_seconds": round(sum(times), 1),
                      "last_batch_seconds": round(times[-1], 2)}))  # fmt: skip


def reads(folder: Path) -> dict[str, object]:
    import duckdb
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    with open_database(f"sqlite:///{folder}/ledger.db", None) as db:
        store = ParquetStore(folder / "data", db)
        place = store.data_dir / "bars/1d/bench"
        path = next(place.glob("2022-*.parquet"))
        id, first, last = ids()[INSTRUMENTS // 2], date(2022, 1, 1), date(2022, 12, 31)
        low, high = datetime(2022, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)
        connection = duckdb.connect()
        dataset = ds.dataset(place, format="parquet")

        def ours() -> pl.DataFrame:
            return store.read(id, first=first, last=last)

        def bare() -> pl.DataFrame:
            return pl.scan_parquet(path, glob=False).filter(pl.col("instrument") == id).collect()

        def duck() -> pl.DataFrame:
            query = f"SELECT * FROM read_parquet('{place}/*.parquet') WHERE instrument = ? AND ts >= ? AND ts < ?"
            return pl.from_arrow(connection.sql(query, params=[id, low, high]).to_arrow_table())  # type: ignore[return-value]

        def arrow() -> pl.DataFrame:
            where = (pc.field("instrument") == id) & (pc.field("ts") >= low) & (pc.field("ts") < high)
            return pl.from_arrow(dataset.to_table(filter=where))  # type: ignore[return-value]

        assert ours().height == bare().height == duck().height == arrow().height > 250
        beside = {name: ratio(*interleaved(ROUNDS, ours, peer)) for name, peer in
                  (("polars", bare), ("duckdb", duck), ("pyarrow", arrow))}  # fmt: skip
        moments = [datetime(2022, month, 15, 21, tzinfo=UTC) for month in (2, 3, 6, 7, 9, 11, 12)]
        assert all(store.cross_section(*day(moment)).height == INSTRUMENTS for moment in moments)
        section = [1000 * seconds(lambda at=at: store.cross_section(*day(at))) for _ in range(4) for at in moments]
    return {
        **{f"point_read_over_{name}": measured for name, measured in beside.items()},
        "cross_section_ms": {
            "estimate": round(statistics.median(section), 1), "low": round(min(section), 1), "high": round(max(section), 1),
        },
    }  # fmt: skip


def main() -> dict[str, object]:
    with TemporaryDirectory() as name:
        command = [sys.executable, __file__, str(INSTRUMENTS), "--child", name]
        child = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        measured = reads(Path(name))
        size = sum(path.stat().st_size for path in Path(name).rglob("*.parquet"))
    peak = round(child["peak_bytes"] / 1e9, 3)
    return {
        "claim": f"peak resident memory in GB of importing {INSTRUMENTS} instruments x {YEARS} years of daily bars (limit 2)",
        "estimate": peak,
        "low": peak,
        "high": peak,
        "n": 1,
        "seed": SEED,
        "import": child,
        "stored_bytes": size,
        **measured,
        "limits": {"polars": 1.3, "duckdb": 0.5, "pyarrow": 0.5, "cross_section_ms": 50},
    }


if __name__ == "__main__":
    if "--child" in sys.argv:
        import_all(Path(sys.argv[-1]))
    else:
        print(json.dumps(main()))
