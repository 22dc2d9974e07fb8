"""10,000 damaged files of every registered format: what became of them, on every core. Any failure stops the run."""

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
PAYLOADS, CHUNK = int(os.environ.get("FIELDCAST_FUZZ_PAYLOADS", "10000")), 500


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


if __name__ == "__main__":
    os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    from fieldcast.data import FORMATS

    started = time.monotonic()
    jobs = [(name, first, min(CHUNK, PAYLOADS - first)) for name in FORMATS for first in range(0, PAYLOADS, CHUNK)]
    total: dict[str, dict[str, int]] = {name: {} for name in FORMATS}
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for name, tally in pool.imap_unordered(work, jobs):
            total[name] = {key: total[name].get(key, 0) + value for key, value in tally.items()}
    print(json.dumps({
        "claim": "impossible values stored, and errors other than a typed refusal, out of damaged files",
        "estimate": 0,
        "n": sum(tally["payloads"] for tally in total.values()),
        "seed": "payload number n of a file is random.Random('format/file/n')",
        "seconds": round(time.monotonic() - started),
        "formats": total,
    }))
