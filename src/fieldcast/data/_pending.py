"""What a write says before it begins, so that one that was cut short can be told from an index that was lost.

Every write first notes, lastingly, which units it is about to write, with their generations, and which files it will take
away. When all is done the note is removed. The next writer finds the note of one that was killed:

- none of the new files is in the index: the write did not reach its transaction, and its files are removed;
- they are in the index: what they superseded is removed.

In a bucket the writer of a note can be on another machine. A note is settled by the holder of the lease alone (see
`_lease`): whoever wrote it cannot commit any more.
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
from datetime import datetime
from pathlib import Path

from fieldcast.data._index import Index
from fieldcast.data._layout import parse_path
from fieldcast.data._objects import TEMPORARY, Files, LocalFiles, room
from fieldcast.ground import ConflictError, IntegrityError, digest

FOLDER = ".pending"
LOCK = ".lock"
FORMER = "bars/pending.json"  # where the first layout kept its note
_PID_WIDTH = 20


@dataclass
class Note:
    """One write: the units (with their generation) that it writes, and the files that it removes."""

    name: str
    written_at: str
    stems: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    change: int = -1  # `store_change.number` when the write began: an index with a smaller one is older than the files

    def save(self, files: Files) -> None:
        files.put(self.name, json.dumps(vars(self)).encode())


def open_note(files: Files, now: datetime, stems: Sequence[str], removed: Sequence[str], change: int) -> Note:
    """Say, lastingly, what is about to be written; `change` : the index's count of changes."""
    note = Note(f"{FOLDER}/{_self()}.json", now.isoformat(), list(stems), list(removed), change)
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
    found: list[str] = []
    for folder in sorted({stem.rpartition("/")[0] for stem in note.stems}):
        stems = tuple(stem + "-" for stem in note.stems if stem.rpartition("/")[0] == folder)
        found += [name for name in files.list(folder) if name.startswith(stems)]
    return list(dict.fromkeys(found))


def settle(files: Files, index: Index) -> None:
    """Finish or undo what killed writers left behind; only for the one writer (`writing`, and in a bucket `leased`).

    Raises
    ------
    IntegrityError : the index was lost, or it is older than the files; nothing is removed
    """
    for note in notes(files):
        settle_one(files, index, note)
    if isinstance(files, LocalFiles):
        settle_former(files, index, index_lost=index.is_empty())
        for name in files.list(FOLDER):  # a note that was cut short announced nothing that was written
            files.delete(name)


def settle_former(files: LocalFiles, index: Index, *, index_lost: bool) -> None:
    """Undo a write that was cut short when the store held daily bars alone: its note lists the new files.

    Where the index knows no file at all they may be all that is left: they stay, for `rebuild_index` to look at.
    """
    if not files.exists(FORMER):
        return
    written = [str(path) for path in json.loads(files.read(FORMER))]
    if not index_lost:
        known = index.known(written)
        for path in written:
            if path not in known:
                files.delete(path)
    for path in written:
        files.delete(path + TEMPORARY)
    files.delete(FORMER)


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
    if is_older(index, note):
        raise IntegrityError(
            f"expected the index to be at change {note.change} or later, found {index.number()}: the index is older than the "
            "files (was the ledger restored from a backup?); nothing is removed: rebuild the index"
        )
    for path in [*written, *note.removed]:
        if path not in known:
            files.delete(path)
    files.delete(note.name)


def is_older(index: Index, note: Note) -> bool:
    """True where the index is of before the write began: the ledger was restored from a backup."""
    return index.number() < note.change


def undo_without_index(files: Files, note: Note) -> None:
    """Settle a note where the index is gone or older: on to the new files if all are whole, else back to the old ones.

    Where neither are complete nothing that could count is removed.
    """
    written = leftovers(files, note)
    if note.stems and all(any(_is_whole(files, path) for path in written if path.startswith(stem + "-")) for stem in note.stems):
        gone = note.removed
    elif all(files.exists(path) for path in note.removed):
        gone = written
    else:
        gone = []
    for path in [*gone, *(path for path in written if path.endswith(TEMPORARY))]:
        files.delete(path)
    files.delete(note.name)


def _is_whole(files: Files, path: str) -> bool:
    """True for a finished file whose bytes have the hash in its name."""
    parsed = parse_path(path)
    try:
        return parsed is not None and files.sha256(path)[:16] == parsed[2]
    except FileNotFoundError:
        return False


def _host() -> str:
    return digest(socket.gethostname())[:12]


def _self() -> str:
    return f"{_host()}-{os.getpid()}"


def make_lasting(folder: Path) -> None:
    """Make a folder and put its name, and those of the folders above it that were made for it, on the disk."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        handle = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def writing(files: Files) -> Iterator[None]:
    """Only one process of this machine writes to a store at a time; a second one is refused.

    Raises
    ------
    ConflictError : another process writes; it is named
    """
    if isinstance(files, LocalFiles):
        make_lasting(files.root)
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
