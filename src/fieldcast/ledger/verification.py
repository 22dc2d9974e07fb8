"""Whether the audit trail is what was once written: database, twin and anchor are each checked and held to one another.

Seen are: an edited, deleted, inserted or swapped entry (its hash or its link fails), a cut-off end (the twin or the
anchor knows more), a fork (a rewritten end with a valid chain of its own: twin and anchor know other hashes), and the
same things done to the twin. A database ahead of the anchor is accepted, for a crash between commit and anchor leaves
just that; a database behind it never is. What no check on this machine can see is all three put back together to one
earlier moment: for that, keep a copy of the anchor's line on another machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from fieldcast.ground import IntegrityError, InvalidInput, Shown, utc
from fieldcast.ledger._chain import EMPTY, Entry, Head
from fieldcast.ledger._twin import Twin
from fieldcast.ledger.database import Database
from fieldcast.ledger.types import EPOCH, MICROSECOND

Place = Literal["database", "twin", "anchor"]
BATCH = 1000

# Plain SQL: an edited row may hold values that the columns' own types would refuse to read.
_ROWS = text(
    "SELECT sequence, cycle_id, entry_type, record, recorded_at, previous_hash, hash FROM audit_log ORDER BY sequence"
)


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """One thing that is not as it was written; `sequence` is the entry (or line) where it shows, if there is one."""

    place: Place
    sequence: int | None
    message: str


@dataclass(frozen=True, slots=True)
class AuditReport(Shown):
    """What `verify` read, and every problem that it found; `anchor` is the anchored sequence, None where unreadable."""

    entries: int
    lines: int
    anchor: int | None
    problems: tuple[AuditProblem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Plain values; the problems as a list of records."""
        return {
            "ok": self.ok,
            "entries": self.entries,
            "lines": self.lines,
            "anchor": self.anchor,
            "problems": [asdict(problem) for problem in self.problems],
        }


def verify(db: Database, audit_dir: Path) -> AuditReport:
    """Check the whole audit trail; a damaged one is reported, not raised.

    Parameters
    ----------
    db : the ledger; open it with `audit_dir=None` where a damaged one refuses to start
    audit_dir : the folder of its twin and anchor

    Raises
    ------
    InvalidInput : there is no such folder
    """
    files = Twin(audit_dir)
    if not files.folder.is_dir():
        raise InvalidInput(f"expected the folder of the audit twin and anchor, found none at {audit_dir}")
    with files.locked(write=False), db.read() as session:  # in this order: the database is not behind the files
        walk = _Walk(files)
        try:
            twin = files.opened("rb")
        except IntegrityError as error:
            walk.note("twin", None, str(error))
            return walk.along(session, None)
        with twin:
            return walk.along(session, twin)


class _Walk:
    """Goes along database and twin side by side, entry by entry, and notes what does not fit."""

    def __init__(self, files: Twin) -> None:
        self.files = files
        self.problems: list[AuditProblem] = []

    def note(self, place: Place, sequence: int | None, message: str) -> None:
        self.problems.append(AuditProblem(place, sequence, message))

    def along(self, session: Session, twin: BinaryIO | None) -> AuditReport:
        anchor = self._anchor()
        anchored = anchor is None or anchor == EMPTY
        lines: Iterator[bytes] = iter(()) if twin is None else iter(twin)
        before_entry = before_line = EMPTY
        n_entries = n_lines = 0
        for row in session.execute(_ROWS, execution_options={"yield_per": BATCH}):
            n_entries += 1
            entry = self._entry(row, before_entry)
            before_entry = Head(before_entry.sequence + 1, "") if entry is None else entry.head
            anchored = anchored or before_entry == anchor
            line = next(lines, b"")
            n_lines += line.endswith(b"\n")
            if entry is not None and entry.line().startswith(line):  # a line torn by a crash is a beginning
                before_line = entry.head if line else before_line
            elif line:
                before_line = self._line(line, before_line)
                self.note("twin", before_line.sequence, "expected the line of the database's entry, found another")
        for line in lines:
            n_lines += line.endswith(b"\n")
            before_line = self._line(line, before_line)
            self.note("database", before_line.sequence, "expected the entry that the twin has, found none: cut off")
        if anchor is not None and not anchored:
            wanted = f"expected entry {anchor.sequence} with the anchored hash {anchor.hash[:12]}… in the database"
            self.note("anchor", anchor.sequence, f"{wanted}, found none: its end was cut off or rewritten")
        if anchor is not None and twin is not None and n_lines < anchor.sequence:
            self.note("twin", anchor.sequence, f"expected at least {anchor.sequence} lines, found {n_lines}: cut off")
        return AuditReport(n_entries, n_lines, None if anchor is None else anchor.sequence, tuple(self.problems))

    def _anchor(self) -> Head | None:
        try:
            return self.files.read_anchor()
        except IntegrityError as error:
            self.note("anchor", None, str(error))
            return None

    def _entry(self, row: Any, before: Head) -> Entry | None:
        """The row as an entry, held to the one before; None where a value is not even of its type any more."""
        try:
            entry = _entry_of(row)
            faults = entry.faults(before)
        except (TypeError, ValueError, OverflowError) as error:
            self.note("database", row.sequence, f"expected the values of an audit entry, found {error}")
            return None
        for fault in faults:
            self.note("database", entry.sequence, fault)
        return entry

    def _line(self, line: bytes, before: Head) -> Head:
        """The head that a line of the twin stands for, held to the one before."""
        try:
            entry = Entry.from_line(line)
        except (TypeError, ValueError, OverflowError, KeyError) as error:
            self.note("twin", before.sequence + 1, f"expected the line of an audit entry, found {error!r}")
            return Head(before.sequence + 1, "")
        for fault in entry.faults(before):
            self.note("twin", entry.sequence, fault)
        return entry.head


def _entry_of(row: Any) -> Entry:
    texts = (row.entry_type, row.record, row.previous_hash, row.hash, "" if row.cycle_id is None else row.cycle_id)
    if not all(isinstance(value, str) for value in texts):
        raise TypeError("a text column that holds something else")
    return Entry(
        sequence=row.sequence,
        cycle_id=row.cycle_id,
        entry_type=row.entry_type,
        record=row.record,
        recorded_at=_moment(row.recorded_at),
        previous_hash=row.previous_hash,
        hash=row.hash,
    )


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, int):
        return EPOCH + value * MICROSECOND
    raise TypeError(f"a time of type {type(value).__name__}")
