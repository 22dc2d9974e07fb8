"""10,000 damaged files of every provider, spread over its formats: what became of them.

A chunk with a failure is named and left at it; any failure ends the run with 1, and nothing is filed.

It takes about two hours of processor time. With FIELDCAST_FUZZ_RESUME=FILE each sound chunk is written down as it ends, under the
hash of the code and of the sound files that it ran on, and a later run takes it over where these are the same still.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from types import ModuleType

COVERS = (
    "src/fieldcast/data/formats",
    "src/fieldcast/data/importing.py",
    "src/fieldcast/data/cleaning.py",
    "src/fieldcast/data/rules.py",
)
FILES = int(os.environ.get("FIELDCAST_FUZZ_FILES", "10000"))  # of each provider
LEAST = FILES // 10  # of each format, however many the provider has
CHUNK = max(1, FILES // 40)


ROOT = Path(__file__).resolve().parents[1]
FUZZ = ROOT / "tests" / "data" / "formats" / "fuzz.py"
READERS = ROOT / "src" / "fieldcast" / "data" / "formats"


def fuzz() -> ModuleType:
    """The damage that the tests do, in this process."""
    if "fieldcast_fuzz" not in sys.modules:
        spec = importlib.util.spec_from_file_location("fieldcast_fuzz", FUZZ)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return sys.modules["fieldcast_fuzz"]


def work(job: tuple[str, int, int]) -> tuple[tuple[str, int, int], dict[str, int], str]:
    """One chunk of one format, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return job, fuzz().campaign(*job, Path(folder)), ""
        except AssertionError as error:
            return job, {"payloads": 0}, str(error)


@cache
def needed(name: str) -> frozenset[str]:
    """The reader modules that the reader `name` imports, itself included."""
    found, waiting = set(), [name]
    while waiting:
        module = waiting.pop()
        path = READERS / f"{module}.py"
        if module in found or not path.is_file():
            continue
        found.add(module)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fieldcast.data.formats"):
                inner = (node.module or "").removeprefix("fieldcast.data.formats").removeprefix(".")
                waiting += [inner] if inner else [alias.name for alias in node.names]
    return frozenset(found)


def code_of(name: str) -> str:
    """SHA-256 of what the outcome of a format rests on: its readers, what stores them, the damage and the sound files."""
    from fieldcast.data.formats import FORMATS

    [home] = [
        path.stem
        for path in READERS.glob("*.py")
        if path.stem not in ("__init__", "registry")
        and FORMATS[name] in getattr(importlib.import_module(f"fieldcast.data.formats.{path.stem}"), "FORMATS", ())
    ]
    total = hashlib.sha256()
    paths = [READERS / f"{module}.py" for module in sorted(needed(home))]
    for path in [*paths, *(ROOT / kept for kept in COVERS[1:]), FUZZ]:
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    for seed in fuzz().seeds()[name]:
        total.update(seed.name.encode() + b"\0" + hashlib.sha256(seed.data).digest() + repr(seed.options).encode())
    return total.hexdigest()


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
    codes = {name: code_of(name) for name in FORMATS}
    resume = os.environ.get("FIELDCAST_FUZZ_RESUME")
    done: dict[tuple[str, int, int], dict[str, int]] = {}
    if resume and Path(resume).is_file():
        for line in Path(resume).read_text(encoding="utf-8").splitlines():
            kept = json.loads(line)
            if codes.get(kept["job"][0]) == kept["code"]:
                done[tuple(kept["job"])] = kept["tally"]
    total: dict[str, dict[str, int]] = {name: {} for name in FORMATS}
    failures: list[str] = []

    def count(name: str, tally: dict[str, int]) -> None:
        total[name] = {key: total[name].get(key, 0) + value for key, value in tally.items()}

    for job in jobs:
        if job in done:
            count(job[0], done[job])
    # a process that a damaged file ends breaks the pool, and the run with it
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(work, job) for job in jobs if job not in done]):
            job, tally, failure = future.result()
            count(job[0], tally)
            if failure:
                failures.append(failure)
                print(failure, flush=True)
            elif resume:
                with Path(resume).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"code": codes[job[0]], "job": job, "tally": tally}) + "\n")
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
