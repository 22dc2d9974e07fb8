"""Refuse secrets in the files of this checkout: `make secrets`, the commit hook and `.ci/run`.

Scans every tracked and every new file that git does not ignore with detect-secrets, under the plugins and filters
of `.secrets.baseline`. What a person has looked at stands there by its SHA-1, so the file holds no secret itself;
anything else fails the scan. `--update` writes what is found now into the baseline: look at each line first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

BASELINE = ".secrets.baseline"
# Generated files: hashes of public releases, of code and of data only.
SEEN = ".status/secret_scan.json"  # no part of the repository
SKIPPED = {BASELINE, "constraints.txt", SEEN}
GENERATED = "evidence/"


def files(root: Path) -> list[str]:
    """Paths of every file that is or could be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return sorted(name for name in set(listed) - SKIPPED if name and not name.startswith(GENERATED) and (root / name).is_file())


def scan(root: Path) -> dict[tuple[str, str], tuple[int, str]]:
    """(file, hash of the secret) → (line, kind) for everything that the plugins find.

    What a file of this name and content said under these plugins and filters is kept beside the results of the last test run, so
    that a second scan looks at what has changed alone.
    """
    from detect_secrets.core.scan import scan_file
    from detect_secrets.settings import transient_settings

    settings = json.loads((root / BASELINE).read_text(encoding="utf-8"))
    chosen = {"plugins_used": settings["plugins_used"], "filters_used": settings["filters_used"]}
    begun = hashlib.sha256(json.dumps([version("detect_secrets"), chosen], sort_keys=True).encode())
    path = root / SEEN
    seen = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    now: dict[str, list[list[object]]] = {}
    found: dict[tuple[str, str], tuple[int, str]] = {}
    with transient_settings(chosen):
        for name in files(root):
            whole = begun.copy()
            whole.update(name.encode() + b"\0" + (root / name).read_bytes())
            key = whole.hexdigest()
            if key not in seen:
                seen[key] = [[one.secret_hash, one.line_number, one.type] for one in scan_file(str(root / name))]
            now[key] = seen[key]
            found |= {(name, hashed): (line, kind) for hashed, line, kind in seen[key]}
    path.parent.mkdir(exist_ok=True)
    written = path.with_name(f"{path.name}.{os.getpid()}")
    written.write_text(json.dumps(now), encoding="utf-8")
    written.replace(path)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Scan for secrets.")
    parser.add_argument("--update", action="store_true", help="accept everything that is found now")
    options = parser.parse_args(arguments)
    root = Path.cwd()
    baseline = json.loads((root / BASELINE).read_text(encoding="utf-8"))
    known = {(name, item["hashed_secret"]) for name, items in baseline["results"].items() for item in items}
    found = scan(root)
    if options.update:
        results: dict[str, list[dict[str, object]]] = {}
        for (name, hashed), (line, kind) in sorted(found.items(), key=lambda item: (item[0][0], item[1])):
            results.setdefault(name, []).append(
                {"type": kind, "filename": name, "hashed_secret": hashed, "is_verified": False, "line_number": line}
            )
        baseline["results"] = results
        (root / BASELINE).write_text(json.dumps(baseline, indent=2) + "\n", encoding="utf-8")
        print(f"{len(found)} findings accepted in {BASELINE}")
        return 0
    fresh = sorted((name, line, kind) for (name, hashed), (line, kind) in found.items() if (name, hashed) not in known)
    for name, line, kind in fresh:
        print(f"{name}:{line}: {kind}", file=sys.stderr)
    if fresh:
        print(
            f"expected no secret, found {len(fresh)}; take it out (and revoke it), or, where it is none, end its "
            "line with `pragma: allowlist secret`",
            file=sys.stderr,
        )
        return 1
    print(f"no secret in {len(files(root))} files")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
