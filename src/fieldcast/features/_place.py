"""The folder of one set, instrument and interval: its files, the pointer to the latest of them, and the lock of its writer."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fieldcast.features._stored import FILE, stamp_of
from fieldcast.ground import ConflictError, IntegrityError, InvalidInput, canonical_json, utc
from fieldcast.ledger.faults import fail_point

LATEST = "latest.json"


@dataclass(frozen=True)
class Pointer:
    """What `latest.json` says: the file of the latest version, its `as_of` and its SHA-256."""

    file: str
    as_of: datetime
    sha256: str

    def to_bytes(self) -> bytes:
        return canonical_json({"file": self.file, "as_of": self.as_of.isoformat(), "sha256": self.sha256}).encode()


def pointer_of(folder: Path) -> Pointer | None:
    """The pointer; none where nothing was published.

    Raises
    ------
    IntegrityError : it is damaged
    """
    try:
        text = (folder / LATEST).read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        name, as_of = str(found["file"]), utc(datetime.fromisoformat(found["as_of"]))
        match = FILE.fullmatch(name)
        if match is None or stamp_of(match["as_of"]) != as_of:
            raise ValueError(f"{name[:100]!r} as of {as_of.isoformat()}")
        return Pointer(name, as_of, str(found["sha256"]))
    except (ValueError, KeyError, TypeError, InvalidInput) as error:
        raise IntegrityError(f"expected {folder / LATEST} to name a file, found {error}; compute the features again") from None


def files_of(folder: Path) -> list[tuple[datetime, Path]]:
    """`as_of` and path of every version's file, published or not, ascending."""
    matched = [(FILE.fullmatch(path.name), path) for path in folder.glob("*.parquet")]
    return sorted((stamp_of(match["as_of"]), path) for match, path in matched if match is not None)


def adopted(folder: Path) -> Pointer | None:
    """For the writer: the pointer; where it is lost or damaged, one to the newest whole file; none where there is none."""
    try:
        pointer = pointer_of(folder)
    except IntegrityError:      # the write that asks makes a new one; readers are told
        pointer = None
    if pointer is not None:
        return pointer
    for as_of, path in sorted(files_of(folder), key=lambda item: (item[0], item[1].stat().st_mtime_ns), reverse=True):
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        match = FILE.fullmatch(path.name)
        if match is not None and found[:16] == match["prefix"]:
            return Pointer(path.name, as_of, found)
    return None


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """One writer at a time; the second is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"expected to be the only writer of {folder}, found another at work; try again later") from None
        yield


def replace_file(path: Path, data: bytes) -> None:
    """`data` under its name in one step, durably."""
    scratch = path.with_name(path.name + ".tmp")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        fail_point("features:written")
        os.fsync(file.fileno())
    scratch.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path, latest: Pointer | None) -> None:
    """Remove what a killed write left behind: temporary files, and files as new as the latest version that are not its own."""
    for leftover in folder.glob("*.tmp"):
        leftover.unlink()
    for as_of, path in files_of(folder):
        if latest is None or (as_of >= latest.as_of and path.name != latest.file):
            path.unlink()
