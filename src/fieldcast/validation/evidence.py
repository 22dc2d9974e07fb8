"""Evidence: a claim, the estimate and interval that carry it, and until when it may be relied on; rows of the ledger.

`low` and `high` are the ends of a 90 % interval, so that each is a one-sided 95 % bound: with probability 95 % the truth lies
above `low`. The ledger's column `data_span` holds instruments, first and last session and, where it is so, the word
`simulated`:

    XNAS:COMP 2005-01-03/2018-12-31            SIM:ONE,SIM:TWO 2020-01-02/2024-01-04 simulated

Rows are only ever added. A claim that fails later is a later row; the earlier one stands in the record and no longer counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from math import isfinite

from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.ground import IntegrityError, InvalidInput, utc
from fieldcast.ledger import tables

_SIMULATED = "simulated"


@dataclass(frozen=True)
class Span:
    """What data a figure rests on.

    Parameters
    ----------
    instruments : ids
    first, last : sessions, both included
    simulated : True where any row of it is
    """

    instruments: tuple[str, ...]
    first: date
    last: date
    simulated: bool = False

    def __post_init__(self) -> None:
        if not self.instruments or any(not name or "," in name or " " in name for name in self.instruments):
            raise InvalidInput(f"expected ids of instruments without commas and blanks, found {self.instruments}")
        if self.last < self.first:
            raise InvalidInput(f"expected a first session before the last, found {self.first} and {self.last}")

    def __str__(self) -> str:
        mark = f" {_SIMULATED}" if self.simulated else ""
        return f"{','.join(self.instruments)} {self.first.isoformat()}/{self.last.isoformat()}{mark}"

    @classmethod
    def parse(cls, text: str) -> Span:
        """The span that `str` wrote.

        Raises
        ------
        IntegrityError : the text is not of that form
        """
        parts = text.split(" ")
        try:
            if len(parts) not in (2, 3) or parts[2:] not in ([], [_SIMULATED]):
                raise ValueError("another number of words")
            first, last = (date.fromisoformat(day) for day in parts[1].split("/"))
            return cls(tuple(parts[0].split(",")), first, last, len(parts) == 3)
        except (ValueError, InvalidInput) as error:
            raise IntegrityError(
                f"expected a data span such as 'XNAS:COMP 2005-01-03/2018-12-31', found {text!r}: {error}"
            ) from None


@dataclass(frozen=True)
class EvidenceRow:
    """One claim as it was measured.

    Parameters
    ----------
    claim : id, such as `upgrade.hmm_regime.auc`
    configuration_hash : of what was measured
    span : on which data
    estimate, low, high : the figure and its 90 % interval
    n : rows behind it
    command : that made it
    recorded_at, expires_at : UTC; it counts from the one to before the other

    Raises
    ------
    InvalidInput : figures that are not finite or out of order, no rows, or an expiry that is not later
    """

    claim: str
    configuration_hash: str
    span: Span
    estimate: float
    low: float
    high: float
    n: int
    command: str
    recorded_at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "recorded_at", utc(self.recorded_at))
        object.__setattr__(self, "expires_at", utc(self.expires_at))
        figures = (self.low, self.estimate, self.high)
        if not all(isfinite(x) for x in figures) or list(figures) != sorted(figures):
            raise InvalidInput(f"expected finite low ≤ estimate ≤ high of {self.claim}, found {figures}")
        if self.n < 1 or self.expires_at <= self.recorded_at:
            raise InvalidInput(f"expected rows behind {self.claim} and an expiry after it was recorded, found n={self.n}")


def save_evidence(session: Session, rows: Iterable[EvidenceRow]) -> None:
    """Add rows in the caller's transaction.

    Raises
    ------
    IntegrityError : the same claim of the same configuration and span was already recorded at that moment
    """
    for row in rows:
        session.add(
            tables.Evidence(
                claim=row.claim,
                configuration_hash=row.configuration_hash,
                data_span=str(row.span),
                estimate=row.estimate,
                low=row.low,
                high=row.high,
                n=row.n,
                command=row.command,
                recorded_at=row.recorded_at,
                expires_at=row.expires_at,
            )
        )


def load_evidence(session: Session, claims: Iterable[str], as_of: datetime) -> tuple[EvidenceRow, ...]:
    """Every row of the claims that was on record at `as_of`, oldest first; expired ones too.

    Raises
    ------
    IntegrityError : a row cannot be read as evidence
    """
    row = tables.Evidence
    query = select(row).where(row.claim.in_(sorted(set(claims))), row.recorded_at <= utc(as_of))
    return tuple(_evidence(found) for found in session.scalars(query.order_by(row.recorded_at, row.id)))


def _evidence(row: tables.Evidence) -> EvidenceRow:
    try:
        return EvidenceRow(
            claim=row.claim,
            configuration_hash=row.configuration_hash,
            span=Span.parse(row.data_span),
            estimate=row.estimate,
            low=row.low,
            high=row.high,
            n=row.n,
            command=row.command,
            recorded_at=row.recorded_at,
            expires_at=row.expires_at,
        )
    except InvalidInput as error:
        raise IntegrityError(f"expected evidence in row {row.id}, found: {error}") from None
