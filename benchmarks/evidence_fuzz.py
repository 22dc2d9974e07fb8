"""10,000 damaged files of every provider, spread over its formats: what became of them.

A chunk with a failure is named and left at it; any failure ends the run with 1, and nothing is filed.
"""

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
FILES = int(os.environ.get("FIELDCAST_FUZZ_FILES", "10000"))  # of each provider
LEAST = FILES // 10  # of each format, however many the provider has
CHUNK = max(1, FILES // 40)


def work(job: tuple[str, int, int]) -> tuple[str, dict[str, int], str]:
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
        try:
            return job[0], sys.modules["fieldcast_fuzz"].campaign(*job, Path(folder)), ""
        except AssertionError as error:
            return job[0], {"payloads": 0}, str(error)


if __name__ == "__main__":
    os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    from fieldcast.data import FORMATS

    started = time.monotonic()
    formats: dict[str, list[str]] = {}
    for name, described in FORMATS.items():
        formats.setdefault(described.home, []).append(name)
    jobs = [
        (name, first, min(CHUNK, share - first))
        for names in formats.values()
        for share in [max(LEAST, -(-FILES // len(names)))]
        for name in names
        for first in range(0, share, CHUNK)
    ]
    total: dict[str, dict[str, int]] = {name: {} for name in FORMATS}
    failures: list[str] = []
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for name, tally, failure in pool.imap_unordered(work, jobs):
            if failure:
                failures.append(failure)
                print(failure, flush=True)
            total[name] = {key: total[name].get(key, 0) + value for key, value in tally.items()}
    if failures:
        raise SystemExit(f"{len(failures)} chunks failed")
    providers = {home: sum(total[name]["payloads"] for name in names) for home, names in formats.items()}
    n = sum(providers.values())
    print(json.dumps({
        "claim": "share of damaged files that store an impossible value or end in another error than a typed refusal",
        "estimate": 0.0,
        "low": 0.0,
        "high": 1.0 - 0.05 ** (1.0 / n),      # one-sided 95 % Clopper-Pearson bound of none in n
        "n": n,
        "seed": "payload number n of a file is random.Random('format/file/n')",
        "seconds": round(time.monotonic() - started),
        "providers": providers,
        "formats": total,
    }))
