"""9.8 million one-minute rows written and read, beside bare polars with the same layout and compression, side by side.

Bare polars writes the same frames to the same number of files (instrument and year), with zstd, each synced and renamed; it
checks nothing, keeps no index and no hash; the store encodes times and prices its own way. Reading: every file, instrument by
instrument, into tables; `read` has bare polars read the files that it wrote, `read_same_files` those of the store.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from _store import LINEAGE, SEED, bars, cost, durable, fresh_store, interleaved, minutes, ratio

COVERS = ("src/fieldcast/data", "src/fieldcast/market/tables.py", "src/fieldcast/ledger/_tables_market.py")
INSTRUMENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 50
YEARS, ROWS, ROUNDS = (2022, 2023), 98_000, 5
TABLE = "bars/1m"


def main() -> dict[str, object]:
    ids = [f"SIM:M{number:03}" for number in range(INSTRUMENTS)]
    frames = {
        (id, year): bars(id, minutes(year, ROWS), SEED + place * 10 + year)
        for place, id in enumerate(ids)
        for year in YEARS
    }
    whole = {id: pl.concat([frames[id, year] for year in YEARS]) for id in ids}
    batches = [pl.concat([whole[id] for id in ids[start : start + 10]]) for start in range(0, len(ids), 10)]
    with TemporaryDirectory() as name:
        bare, place = Path(name) / "bare", Path(name)

        def write_bare() -> None:
            shutil.rmtree(bare, ignore_errors=True)
            for (id, year), frame in frames.items():
                folder = bare / id
                folder.mkdir(parents=True, exist_ok=True)
                durable(frame, folder / f"{year}.parquet")

        def write_ours() -> tuple[float, float]:
            with fresh_store(place) as store:
                return cost(lambda: [store.append(batch, LINEAGE, table=TABLE) for batch in batches])

        write_bare()
        write_ours()
        writing: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
        for _ in range(ROUNDS):
            writing[0].append(write_ours())
            writing[1].append(cost(write_bare))
        with fresh_store(place) as store:
            for batch in batches:
                store.append(batch, LINEAGE, table=TABLE)
            files = {id: sorted(store.data_dir.glob(f"{TABLE}/bench/{id.replace(':', '%3A')}/*.parquet")) for id in ids}

            def read_ours() -> int:
                return sum(store.read(id, table=TABLE).height for id in ids)

            def bare_read(found: dict[str, list[Path]]) -> int:
                return sum(pl.scan_parquet(found[id], glob=False).collect().height for id in ids)

            own = {id: sorted((bare / id).glob("*.parquet")) for id in ids}
            sizes = [sum(path.stat().st_size for paths in held.values() for path in paths) for held in (files, own)]
            assert read_ours() == bare_read(files) == bare_read(own) == len(ids) * len(YEARS) * ROWS
            reading = interleaved(ROUNDS, read_ours, lambda: bare_read(own))
            same = interleaved(ROUNDS, read_ours, lambda: bare_read(files))
            assert store.read(ids[0], table=TABLE).equals(whole[ids[0]])
    write, read, read_same = ratio(*writing), ratio(*reading), ratio(*same)
    return {
        "claim": f"time to write {len(ids) * len(YEARS) * ROWS} simulated one-minute rows over bare polars' (`read`: to read)",
        **{key: write[key] for key in ("estimate", "low", "high", "n")},
        "seed": SEED,
        "write": write,
        "read": read,
        "read_same_files": read_same,
        "bytes_over_bare": round(sizes[0] / sizes[1], 3),
        "limit": 1.2,
    }


if __name__ == "__main__":
    print(json.dumps(main()))
