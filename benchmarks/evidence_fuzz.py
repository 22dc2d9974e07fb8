"""10,000 damaged files and rows of every registered format: what became of them, on every core. Any failure stops the run."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

COVERS = (
    "src/fieldcast/data/formats",
    "src/fieldcast/data/importing.py",
    "src/fieldcast/data/cleaning.py",
    "src/fieldcast/data/rules.py",
)
DAMAGED = int(os.environ.get("FIELDCAST_FUZZ_DAMAGED", "10000"))     # files and rows of each format together
FILES, CHUNK = DAMAGED // 5, max(1, DAMAGED // 40)                    # of each at least so many files, in chunks


def work(job: tuple[str, int, int]) -> tuple[str, dict[str, int]]:
    """One chunk of one format, in a process of its own."""
    path = Path(__file__).parents[1] / "tests" / "data" / "formats" / "fuzz.py"
    if "fieldcast_fuzz" not in sys.modules:
        spec = importlib.util.spec_from_file_location("fieldcast_fuzz", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    with tempfile.TemporaryDirectory() as folder:
        return job[0], sys.modules["fieldcast_fuzz"].campaign(*job, Path(folder))


def sum_of(tally: dict[str, int]) -> int:
    """Damaged files and rows of a format so far."""
    return tally["payloads"] + tally["rows"]


def starts(tally: dict[str, int]) -> range:
    """First numbers of the chunks to do next: up to `FILES`, then as many as the rate so far says are missing."""
    done = tally["payloads"]
    files = FILES if not done else max(FILES, done * DAMAGED // sum_of(tally) + CHUNK)
    return range(done, max(files, done + 1), CHUNK)


if __name__ == "__main__":
    os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    from fieldcast.data import FORMATS

    started = time.monotonic()
    total = {name: dict.fromkeys(("payloads", "rows"), 0) for name in FORMATS}
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        while short := [name for name, tally in total.items() if sum_of(tally) < DAMAGED or tally["payloads"] < FILES]:
            jobs = [(name, first, CHUNK) for name in short for first in starts(total[name])]
            for name, tally in pool.imap_unordered(work, jobs):
                total[name] = {key: total[name].get(key, 0) + value for key, value in tally.items()}
    n = sum(tally["payloads"] for tally in total.values())
    print(json.dumps({
        "claim": "share of damaged files that store an impossible value or end in another error than a typed refusal",
        "estimate": 0.0,
        "low": 0.0,
        "high": 1.0 - 0.05 ** (1.0 / n),      # one-sided 95 % Clopper-Pearson bound of none in n
        "n": n,
        "seed": "payload number n of a file is random.Random('format/file/n')",
        "fewest_files_and_rows_of_a_format": min(map(sum_of, total.values())),
        "seconds": round(time.monotonic() - started),
        "formats": total,
    }))
