"""The hash chain of the audit trail, free of any storage.

    h_n = SHA256( canonical(entry_n) || h_{n-1} ),    h_0 = 64 zeros

canonical(entry) is the canonical JSON of sequence, cycle_id, entry_type, record (as text) and recorded_at.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from fieldcast.ground import canonical_json
from fieldcast.ledger._triggers import GENESIS


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry that someone knows of: its sequence (0 = none yet) and hash."""

    sequence: int
    hash: str


EMPTY = Head(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the chain, as it is stored; `record` is canonical JSON text."""

    sequence: int
    cycle_id: str | None
    entry_type: str
    record: str
    recorded_at: datetime
    previous_hash: str
    hash: str

    @classmethod
    def after(
        cls, head: Head, *, cycle_id: str | None, entry_type: str, record: str, recorded_at: datetime
    ) -> Entry:
        """The entry that continues the chain at `head`."""
        sequence = head.sequence + 1
        return cls(
            sequence=sequence,
            cycle_id=cycle_id,
            entry_type=entry_type,
            record=record,
            recorded_at=recorded_at,
            previous_hash=head.hash,
            hash=entry_hash(sequence, cycle_id, entry_type, record, recorded_at, head.hash),
        )

    @property
    def head(self) -> Head:
        return Head(self.sequence, self.hash)

    def faults(self, before: Head) -> list[str]:
        """What is wrong with this entry as the successor of `before`; empty where the chain holds."""
        found = []
        if self.sequence != before.sequence + 1:
            found.append(f"expected sequence {before.sequence + 1}, found {self.sequence}")
        if self.previous_hash != before.hash:
            found.append(f"expected to follow hash {before.hash[:12]}…, found {self.previous_hash[:12]}…")
        own = entry_hash(
            self.sequence, self.cycle_id, self.entry_type, self.record, self.recorded_at, self.previous_hash
        )
        if self.hash != own:
            found.append(f"expected its content to hash to {self.hash[:12]}…, found {own[:12]}…")
        return found

    def line(self) -> bytes:
        """The entry as a line of the twin: keys sorted, the record's text as it was hashed, a line feed at the end."""
        parts = {
            "cycle_id": canonical_json(self.cycle_id),
            "entry_type": canonical_json(self.entry_type),
            "hash": canonical_json(self.hash),
            "previous_hash": canonical_json(self.previous_hash),
            "record": self.record,
            "recorded_at": canonical_json(self.recorded_at),
            "sequence": canonical_json(self.sequence),
        }
        return ("{" + ",".join(f'"{name}":{value}' for name, value in parts.items()) + "}\n").encode()

    @classmethod
    def from_line(cls, line: bytes) -> Entry:
        """The inverse of `line`.

        Raises
        ------
        ValueError, KeyError, TypeError : the line is not one that `line` writes
        """
        content = json.loads(line)
        entry = cls(
            sequence=int(content["sequence"]),
            cycle_id=None if content["cycle_id"] is None else str(content["cycle_id"]),
            entry_type=str(content["entry_type"]),
            record=canonical_json(content["record"]),
            recorded_at=datetime.fromisoformat(content["recorded_at"]),
            previous_hash=str(content["previous_hash"]),
            hash=str(content["hash"]),
        )
        if entry.line() != line:
            raise ValueError("the line is not in its canonical form")
        return entry


def entry_hash(
    sequence: int, cycle_id: str | None, entry_type: str, record: str, recorded_at: datetime, previous_hash: str
) -> str:
    """h_n of one entry, 64 hex digits."""
    entry = canonical_json(
        {
            "sequence": sequence,
            "cycle_id": cycle_id,
            "entry_type": entry_type,
            "record": record,
            "recorded_at": recorded_at,
        }
    )
    return hashlib.sha256((entry + previous_hash).encode()).hexdigest()
