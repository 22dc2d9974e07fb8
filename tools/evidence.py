"""Run the long studies and benchmarks, and file what they found: `make evidence`, `make bench`.

A study is a script benchmarks/evidence_<name>.py, a benchmark a script benchmarks/bench_<name>.py. It declares
COVERS, the paths of the code that its claim is about, and prints one JSON object as the last line of its output
with at least

    claim, estimate, low, high, n, seed

Each result is written to evidence/<kind>_<name>-<date>.json with the command, the commit, the hash of the covered
code, the machine and the time it took. `--list` shows every claim; one that is older than the code it covers is
stale.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "benchmarks"
FILED = ROOT / "evidence"
NEEDED = ("claim", "estimate", "low", "high", "n", "seed")


def covers(script: Path) -> tuple[str, ...]:
    """The COVERS of a script, read without running it."""
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "COVERS" for t in node.targets):
            return tuple(ast.literal_eval(node.value))
    raise SystemExit(f"expected COVERS = (paths, …) in {script.relative_to(ROOT)}, found none")


def covered_hash(paths: tuple[str, ...]) -> str:
    """SHA-256 over the names and bytes of the covered files."""
    total = hashlib.sha256()
    for name in sorted(paths):
        base = ROOT / name
        if not base.exists():
            raise SystemExit(f"expected the covered path {name} to exist")
        found = [base] if base.is_file() else sorted(p for p in base.rglob("*.py") if p.is_file())
        for path in found:
            total.update(
                path.relative_to(ROOT).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
            )
    return total.hexdigest()


def run(script: Path) -> dict[str, Any]:
    """Run one script and file its result.

    Raises
    ------
    RuntimeError : it failed, or its last line is not the JSON object that is asked for
    """
    paths = covers(script)
    command = [sys.executable, str(script.relative_to(ROOT))]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"{script.name} ended with {done.returncode}")
    try:
        result = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError) as error:
        raise RuntimeError(f"expected a JSON object as the last line of {script.name}, found {error}") from None
    if missing := [key for key in NEEDED if key not in result]:
        raise RuntimeError(f"expected {', '.join(NEEDED)} from {script.name}; missing {', '.join(missing)}")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    filed = {
        **result,
        "command": f"python {script.relative_to(ROOT).as_posix()}",
        "commit": commit.stdout.strip(),
        "covers": list(paths),
        "covered_sha256": covered_hash(paths),
        "recorded_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    FILED.mkdir(exist_ok=True)
    target = FILED / f"{script.stem}-{filed['recorded_at'][:10]}.json"
    target.write_text(json.dumps(filed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return filed


def show(filed: dict[str, Any], state: str) -> str:
    return (
        f"{state:5} {filed['claim']}: {filed['estimate']} [{filed['low']}, {filed['high']}], n={filed['n']}, "
        f"{filed['recorded_at'][:10]}"
    )


def listing() -> int:
    """Every filed claim, newest of each script, with whether it still speaks of the code that stands here."""
    newest: dict[str, Path] = {}
    for path in sorted(FILED.glob("*.json")):
        newest[path.stem[:-11]] = path
    for path in newest.values():
        filed = json.loads(path.read_text(encoding="utf-8"))
        there = all((ROOT / name).exists() for name in filed["covers"])
        fresh = there and covered_hash(tuple(filed["covers"])) == filed["covered_sha256"]
        print(show(filed, "fresh" if fresh else "stale"))
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run and file long studies.")
    parser.add_argument("kind", choices=["bench", "evidence"])
    parser.add_argument("names", nargs="*", help="only these, such as `martingales` for evidence_martingales.py")
    parser.add_argument("--list", action="store_true", help="show what is filed, run nothing")
    options = parser.parse_args(arguments)
    if options.list:
        return listing()
    scripts = sorted(SCRIPTS.glob(f"{options.kind}_*.py"))
    scripts = [s for s in scripts if not options.names or s.stem.removeprefix(f"{options.kind}_") in options.names]
    if not scripts:
        print(f"expected scripts benchmarks/{options.kind}_*.py, found none that fit", file=sys.stderr)
        return 2
    failed = 0
    for script in scripts:
        try:
            print(show(run(script), "new"), flush=True)
        except RuntimeError as error:
            print(f"FAIL  {error}", file=sys.stderr, flush=True)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
