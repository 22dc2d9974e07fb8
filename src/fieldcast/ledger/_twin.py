"""The audit trail's two files beside the database: the JSON-lines twin and the anchor.

`audit.jsonl` repeats every entry, whole, one line each. `audit.anchor` names the newest entry's sequence and hash. Both
are written after the commit, in this order, and synced to disk:

    commit  ->  twin appended  ->  anchor replaced        so always   database head >= twin head >= anchor

A crash in between leaves the files behind the database, never ahead; the next start catches them up. Files ahead of the
database, or a different hash at the anchor, mean that the database was cut or rewritten: then nothing is caught up.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.ground import IntegrityError, canonical_json
from fieldcast.ledger._chain import EMPTY, Entry, Head
from fieldcast.ledger._tables_audit import AuditLog
from fieldcast.ledger.faults import fail_point

TWIN = "audit.jsonl"
ANCHOR = "audit.anchor"
CHUNK = 1 << 16

Reader = Callable[[], AbstractContextManager[Session]]  # `Database.read`


def database_head(session: Session) -> Head:
    """The newest entry in the database."""
    row = session.execute(
        select(AuditLog.sequence, AuditLog.hash).order_by(AuditLog.sequence.desc()).limit(1)
    ).one_or_none()
    return EMPTY if row is None else Head(row.sequence, row.hash)


class Twin:
    """The two files of one ledger, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / TWIN
        self.anchor = folder / ANCHOR

    def start(self, read: Reader) -> None:
        """Create the files of a new ledger, or catch up those of an old one.

        Raises
        ------
        IntegrityError : the files know entries that the database does not have (any more), or other ones
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.locked(write=True), read() as session:
            if not self.anchor.exists():
                self._require_new(database_head(session))
                self.path.touch()
                self._replace_anchor(EMPTY)
            self._catch_up(session, "start")

    def catch_up(self, read: Reader, label: str) -> None:
        """Append to the twin what the database has beyond it, then move the anchor to the head.

        The database is read under the files' lock: what another process has written to the twin is then committed for
        this reader too. Files and database are compared at the twin's end and at the anchor; where they differ nothing
        is written.
        """
        with self.locked(write=True), read() as session:
            self._catch_up(session, label)

    def _catch_up(self, session: Session, label: str) -> None:
        anchor = self.read_anchor()
        with self.opened("r+b") as twin:
            known = self._last_complete(twin)
            if known.sequence < anchor.sequence:
                raise IntegrityError(
                    f"expected {self.path} to reach entry {anchor.sequence} of its anchor, found {known.sequence}; "
                    "lines were removed: compare with the database (verify) and restore the file"
                )
            for name, head in (("anchor", anchor), ("twin", known)):
                _require(session, name, head)
            rows = session.scalars(
                select(AuditLog).where(AuditLog.sequence > known.sequence).order_by(AuditLog.sequence)
            ).all()
            newest = self._append(twin, known, [entry_of(row) for row in rows])
        fail_point(f"before:anchor:{label}")
        if newest != anchor:
            self._replace_anchor(newest)

    def _require_new(self, head: Head) -> None:
        """Stand still where the anchor is gone although there are entries."""
        if head != EMPTY or (self.path.exists() and self.path.stat().st_size > 0):
            raise IntegrityError(
                f"expected the anchor file {self.anchor}, found none, although the audit trail has entries (the "
                f"database up to {head.sequence}); open the ledger with the folder it was written with, or restore "
                "that folder from a backup"
            )

    def read_anchor(self) -> Head:
        """The anchored head.

        Raises
        ------
        IntegrityError : the file is missing or is not an anchor
        """
        try:
            content = json.loads(self.anchor.read_bytes())
            sequence, entry_hash = content["sequence"], content["hash"]
            if not (isinstance(sequence, int) and sequence >= 0 and isinstance(entry_hash, str)):
                raise ValueError(f"found sequence {sequence!r} and hash {entry_hash!r}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"expected an anchor with sequence and hash in {self.anchor}, found {error!r}; restore it from a backup"
            ) from None
        return Head(sequence, entry_hash)

    @contextmanager
    def locked(self, *, write: bool) -> Iterator[None]:
        """A lock on the folder that other processes and threads respect: shared to read, alone to write."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if write else fcntl.LOCK_SH)  # released when it is closed
            yield
        finally:
            os.close(descriptor)

    def opened(self, mode: Literal["rb", "r+b"]) -> BinaryIO:
        """The open twin.

        Raises
        ------
        IntegrityError : there is none
        """
        try:
            return self.path.open(mode)
        except FileNotFoundError:
            raise IntegrityError(f"expected the audit twin {self.path}, found none; restore it from a backup") from None

    def _append(self, twin: BinaryIO, known: Head, entries: Sequence[Entry]) -> Head:
        head = known
        for entry in entries:
            faults = entry.faults(head)
            if faults:
                raise IntegrityError(f"audit entry {entry.sequence} in the database: {'; '.join(faults)}; run verify")
            head = entry.head
        if entries:
            twin.write(b"".join(entry.line() for entry in entries))
            twin.flush()
        os.fsync(twin.fileno())  # also where an earlier process wrote the line and was killed before it synced
        return head

    def _last_complete(self, twin: BinaryIO) -> Head:
        """The head of the last whole line; what a crash left of a further line is cut off. Ends at the file's end."""
        end = start = twin.seek(0, os.SEEK_END)
        tail = b""
        while start > 0 and tail.count(b"\n") < 2:
            step = min(CHUNK, start)
            start -= step
            twin.seek(start)
            tail = twin.read(step) + tail
        whole = tail[: tail.rfind(b"\n") + 1]
        torn = len(tail) - len(whole)
        if torn:
            twin.truncate(end - torn)
        twin.seek(end - torn)
        if not whole:
            return EMPTY
        try:
            return Entry.from_line(whole.splitlines(keepends=True)[-1]).head
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"expected an audit entry in the last line of {self.path}, found {error!r}; run verify and restore it"
            ) from None

    def _replace_anchor(self, head: Head) -> None:
        temporary = self.folder / f"{ANCHOR}.new"
        with temporary.open("wb") as file:
            file.write(canonical_json({"sequence": head.sequence, "hash": head.hash}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.anchor)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def entry_of(row: AuditLog) -> Entry:
    """The row as an entry of the chain."""
    return Entry(
        sequence=row.sequence,
        cycle_id=row.cycle_id,
        entry_type=row.entry_type,
        record=row.record,
        recorded_at=row.recorded_at,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )


def _require(session: Session, name: str, head: Head) -> None:
    if head == EMPTY:
        return
    found = session.execute(select(AuditLog.hash).where(AuditLog.sequence == head.sequence)).scalar()
    if found != head.hash:
        raise IntegrityError(
            f"expected the audit entry {head.sequence} with hash {head.hash[:12]}… that the {name} names, found "
            f"{'no such entry' if found is None else f'hash {found[:12]}…'} in the database; its audit log was cut or "
            "rewritten: stop, run verify, restore"
        )
