"""Run a command and hold it to a limit of wall time and of memory: `measure.py --seconds 60 --gigabytes 1.5 --
COMMAND`.

Memory is the peak, over samples 0.2 s apart, of the proportional set size (PSS) summed over the command and
everything it started: shared pages count once. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path


def _pss_kilobytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0  # it ended between the listing and the reading
    return 0


def tree(root: int) -> list[int]:
    """`root` and all its descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--gigabytes", type=float)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(options.command)
    while process.poll() is None:
        peak = max(peak, sum(_pss_kilobytes(pid) for pid in tree(process.pid)))
        time.sleep(0.2)
    seconds, gigabytes = time.monotonic() - started, peak * 1024 / 1e9
    print(f"measured: {seconds:.1f} s, {gigabytes:.2f} GB at most", file=sys.stderr)
    if process.returncode:
        return process.returncode if process.returncode > 0 else 1
    if options.seconds is not None and seconds > options.seconds:
        print(f"expected at most {options.seconds:g} s, found {seconds:.1f} s", file=sys.stderr)
        return 1
    if options.gigabytes is not None and gigabytes > options.gigabytes:
        print(f"expected at most {options.gigabytes:g} GB, found {gigabytes:.2f} GB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
