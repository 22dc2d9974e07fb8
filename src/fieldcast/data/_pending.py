"""What a write says before it begins, so that one that was cut short can be told from an index that was lost.

Every write first notes, lastingly, which units it is about to write (and on S3, before each upload, its exact name) and which
files it will take away. When all is done the note is removed. The next writer finds the note of one that was killed:

- none of the new files is in the index: the write did not reach its transaction, and its files are removed;
- they are in the index: what they superseded is removed.

Of two writers on different machines (S3) each keeps a note of its own; another's is settled only when it is a day old.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from fieldcast.data._index import Index
from fieldcast.data._objects import TEMPORARY, Files, LocalFiles, room
from fieldcast.ground import ConflictError, IntegrityError, digest

FOLDER = ".pending"
LOCK = ".lock"
_STALE = timedelta(days=1)
_PID_WIDTH = 20


@dataclass
class Note:
    """One write: the units (with their generation) that it writes, its exact paths as far as known, what it removes."""

    name: str
    written_at: str
    stems: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def save(self, files: Files) -> None:
        files.put(self.name, json.dumps(vars(self)).encode())


def open_note(files: Files, now: datetime, stems: Sequence[str], removed: Sequence[str]) -> Note:
    """Say, lastingly, what is about to be written."""
    note = Note(f"{FOLDER}/{_self()}.json", now.isoformat(), list(stems), [], list(removed))
    note.save(files)
    return note


def notes(files: Files) -> list[Note]:
    """The notes of writes that are not done."""
    found = []
    for name in files.list(FOLDER):
        if name.endswith(".json"):
            try:
                found.append(Note(**json.loads(files.read(name))))
            except FileNotFoundError:
                continue  # its writer is done meanwhile
    return found


def leftovers(files: Files, note: Note) -> list[str]:
    """The files, finished or not, that a write has put there."""
    found = [*note.paths, *(path + TEMPORARY for path in note.paths)]
    for folder in sorted({stem.rpartition("/")[0] for stem in note.stems}):
        stems = tuple(stem + "-" for stem in note.stems if stem.rpartition("/")[0] == folder)
        found += [name for name in files.list(folder) if name.startswith(stems)]
    return list(dict.fromkeys(found))


def settle(files: Files, index: Index, now: datetime) -> None:
    """Finish or undo what killed writers left behind.

    Raises
    ------
    IntegrityError : neither the new nor the old files of a write are in the index: it was lost
    """
    for note in notes(files):
        if isinstance(files, LocalFiles) or _is_over(note, now):
            settle_one(files, index, note)
    if isinstance(files, LocalFiles):
        for name in files.list(FOLDER):  # a note that was cut short announced nothing that was written
            files.delete(name)


def undo(files: Files, index: Index, note: Note) -> None:
    """Take away what a write has put there that did not reach its transaction."""
    written = leftovers(files, note)
    known = index.known(written)
    for path in written:
        if path not in known:
            files.delete(path)
    files.delete(note.name)


def settle_one(files: Files, index: Index, note: Note) -> None:
    written = leftovers(files, note)
    known = index.known([*written, *note.removed])
    if note.removed and not known and index.is_empty():
        raise IntegrityError(
            f"expected the index to know {note.removed[0]} or what replaces it, found neither: the index was lost; "
            "rebuild it first"
        )
    for path in [*written, *note.removed]:
        if path not in known:
            files.delete(path)
    files.delete(note.name)


def undo_without_index(files: Files, note: Note) -> None:
    """Settle a note where the index is gone: back to the old files if all of them are there, else on to the new ones."""
    whole = all(files.exists(path) for path in note.removed)
    for path in leftovers(files, note) if whole else note.removed:
        files.delete(path)
    for path in leftovers(files, note):
        if path.endswith(TEMPORARY):
            files.delete(path)
    files.delete(note.name)


def _is_over(note: Note, now: datetime) -> bool:
    """True where the writer of a note cannot be at work any more."""
    host, _, rest = note.name.removeprefix(f"{FOLDER}/").rpartition("-")
    pid = int(rest.removesuffix(".json"))
    if host == _host():
        return pid == os.getpid() or not Path(f"/proc/{pid}").exists()
    return now - datetime.fromisoformat(note.written_at) > _STALE


def _host() -> str:
    return digest(socket.gethostname())[:12]


def _self() -> str:
    return f"{_host()}-{os.getpid()}"


@contextmanager
def writing(files: Files) -> Iterator[None]:
    """Only one process of this machine writes to a store at a time; a second one is refused.

    Raises
    ------
    ConflictError : another process writes; it is named
    """
    if isinstance(files, LocalFiles):
        files.root.mkdir(parents=True, exist_ok=True)
        path = files.root / LOCK
    else:
        path = Path(tempfile.gettempdir()) / f"fieldcast-{os.getuid()}-{digest(files.address)[:16]}.lock"
    with room(files.address):
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, _PID_WIDTH, 0).decode().strip() or "of unknown number"
            raise ConflictError(
                f"expected to be the only writer of the store {files.address}, found process {holder} writing; wait until it "
                "is done (or stop it), then run this again"
            ) from None
        with room(files.address):
            os.pwrite(lock, f"{os.getpid():<{_PID_WIDTH}}".encode(), 0)  # always as long: it fits where the last one stood
        yield
    finally:
        os.close(lock)
