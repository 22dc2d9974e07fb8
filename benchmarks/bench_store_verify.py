"""`verify` of a store of one-minute bars beside bare hashlib over the same files, two threads each, in turns.

Bare hashlib reads every file in pieces of one megabyte, in a pool of two threads, and compares nothing.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
from _store import LINEAGE, SEED, bars, fresh_store, interleaved, minutes, ratio

from fieldcast.data import _verify

COVERS = ("src/fieldcast/data",)
INSTRUMENTS, YEARS, ROWS, ROUNDS, THREADS = 50, (2022, 2023), 98_000, 15, 2
TABLE = "bars/1m"


def bare(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            state.update(piece)
    return state.hexdigest()


if __name__ == "__main__":
    _verify._THREADS = THREADS
    with fresh_store() as store:
        for number in range(INSTRUMENTS):
            rows = pl.concat([bars(f"SIM:M{number:03}", minutes(year, ROWS), SEED + number * 10 + year) for year in YEARS])
            store.append(rows, LINEAGE, table=TABLE)
        paths = sorted(store.data_dir.rglob("*.parquet"))
        size = sum(path.stat().st_size for path in paths)

        def hash_all() -> list[str]:
            with ThreadPoolExecutor(THREADS) as pool:
                return list(pool.map(bare, paths))

        assert store.verify().ok
        ours, theirs = interleaved(ROUNDS, store.verify, hash_all)
    speed = ratio(theirs, ours)
    print(json.dumps({
        "claim": "speed of `verify` over bare hashlib's on the same files, two threads each",
        **{key: speed[key] for key in ("estimate", "low", "high", "n")},
        "seed": SEED,
        "bytes": size,
        "files": len(paths),
        "verify_gb_per_second": round(size / speed["theirs_seconds"] / 1e9, 3),
        "hashlib_gb_per_second": round(size / speed["ours_seconds"] / 1e9, 3),
        "limit": 0.8,
    }))  # fmt: skip
