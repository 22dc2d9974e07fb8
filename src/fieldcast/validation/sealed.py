"""Sealed spans: a last test is opened once, for a configuration that was frozen before, and every look is on record.

A span is sealed for instruments (`*` = all) from a first to a last session. Whatever fits or scores reads only what was known
before the first sealed session, unless the span was opened for exactly its configuration. An opening needs a registration of that
configuration, made earlier (`preregistration`); there is one opening of a span, and a second attempt is refused and stands in the
audit trail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import Text, func, select, type_coerce
from sqlalchemy.orm import Session

from fieldcast.evaluation import POINTS
from fieldcast.ground import ConflictError, Halted, IntegrityError, InvalidInput, MissingData, Reason, utc
from fieldcast.ledger import AuditRecord, AuditTrail, Database, tables
from fieldcast.validation.preregistration import ENTRY, EVERY, Registered, in_order, joined, overlap, registrations

DAILY_TABLE = "bars/1d"


@dataclass(frozen=True)
class LookedSpan:
    """Sessions whose outcomes have been seen; `instruments` holds ids, or `*` alone."""

    instruments: tuple[str, ...]
    first: date
    last: date
    label: str

    def touches(self, instruments: Iterable[str], first: date, last: date) -> bool:
        """True where it shares an instrument and a session."""
        return overlap(self.instruments, instruments) and self.first <= last and first <= self.last


LOOKED_BEFORE = (LookedSpan((EVERY,), date(2023, 1, 1), date(2025, 12, 31), "looked at while Fieldcast was being built"),)


@dataclass(frozen=True)
class Seal:
    """A sealed span and, where it was opened, for which configuration and when."""

    name: str
    table: str
    instruments: tuple[str, ...]
    first: date
    last: date
    sealed_at: datetime
    opened_for: str | None = None
    opened_at: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"instruments": list(self.instruments)}


def add_seal(
    session: Session,
    name: str,
    instruments: Sequence[str],
    first: date,
    last: date,
    *,
    at: datetime,
    table: str = DAILY_TABLE,
) -> Seal:
    """Seal a span; a sealed span is never changed or removed.

    Raises
    ------
    ConflictError : the name stands for another span
    InvalidInput : no name, no instrument, or a span that ends before it begins
    """
    if not name.strip():
        raise InvalidInput("expected a name for the sealed span, found none")
    in_order(first, last)
    wanted = {"table": table, "instruments": joined(instruments), "first": first, "last": last}
    row = session.get(tables.SealedSpan, name)
    if row is not None:
        found = {key: getattr(row, key) for key in wanted}
        if found != wanted:
            raise ConflictError(
                f"expected {name!r} to stay sealed as {found['instruments']} {row.first}/{row.last}, found other figures; "
                "a seal cannot be moved: choose another name"
            )
        return _seal(row, session.get(tables.SealOpening, name))
    row = tables.SealedSpan(name=name, sealed_at=utc(at), **wanted)
    session.add(row)
    AuditTrail.append(session, AuditRecord(None, None, utc(at), "SEALED", reason_codes=(Reason.SEALED,),
                      metadata={"seal": name, "instruments": row.instruments, "first": first, "last": last}),
                      entry_type=ENTRY)  # fmt: skip
    return _seal(row, None)


def seals(session: Session) -> list[Seal]:
    """Every sealed span by name, with its opening."""
    openings = {row.seal: row for row in session.scalars(select(tables.SealOpening))}
    rows = session.scalars(select(tables.SealedSpan).order_by(tables.SealedSpan.name))
    return [_seal(row, openings.get(row.name)) for row in rows]


def open_seal(database: Database, name: str, configuration_hash: str, *, at: datetime) -> Seal:
    """Open a sealed span for one configuration that was frozen before; once, and never again.

    Raises
    ------
    MissingData : there is no such seal
    Halted : the configuration was not registered for the span before
    ConflictError : the span was opened before; the attempt stands in the audit trail
    """
    moment = utc(at)
    try:
        return _open(database, name, configuration_hash, moment)
    except IntegrityError:  # another process opened it in between: this attempt is the second one, and is logged as such
        with database.read() as session:
            if session.get(tables.SealOpening, name) is None:
                raise
        return _open(database, name, configuration_hash, moment)


def _open(database: Database, name: str, configuration_hash: str, moment: datetime) -> Seal:
    refusal: Halted | ConflictError | None = None
    with database.begin("seal-open") as session:
        row = session.get(tables.SealedSpan, name)
        if row is None:
            known = ", ".join(one.name for one in seals(session)) or "none"
            raise MissingData(f"expected a sealed span out of {known}, found {name!r}")
        before = session.get(tables.SealOpening, name)
        frozen = _frozen_for(session, row, configuration_hash, moment)
        if before is not None:
            refusal = ConflictError(
                f"expected {name!r} to be opened once, found it opened on {before.opened_at.isoformat()} for configuration "
                f"{before.configuration_hash[:16]}; a second test on the same sessions is no test"
            )
        elif frozen is None:
            refusal = Halted(
                f"expected configuration {configuration_hash[:16]} frozen before {name!r} is opened ({Reason.EFFECT_UNKNOWN}), "
                "found no registration that covers the span; fieldcast seal register makes one"
            )
        else:
            opening = tables.SealOpening(
                seal=name, configuration_hash=configuration_hash, registration=frozen.id, opened_at=moment
            )
            session.add(opening)
            look(session, row.instruments.split(","), row.first, row.last, f"sealed span {name}, opened", at=moment)
        reason = Reason.SEAL_OPENED if refusal is None else Reason.SEAL_REFUSED
        AuditTrail.append(session, AuditRecord(None, None, moment, "REFUSED" if refusal else "OPENED", reason_codes=(reason,),
                          metadata={"seal": name, "configuration": configuration_hash}), entry_type=ENTRY)  # fmt: skip
        opened = _seal(row, session.get(tables.SealOpening, name) if refusal is None else before)
    if refusal is not None:
        raise refusal
    return opened


def sealed_from(session: Session, instruments: Iterable[str], configuration_hash: str) -> datetime | None:
    """Midnight (UTC) of the first session that this configuration may not see of these instruments; None = nothing is sealed."""
    names = tuple(instruments)
    closed = [seal.first for seal in seals(session) if overlap(seal.instruments, names) and seal.opened_for != configuration_hash]
    return datetime.combine(min(closed), time(), tzinfo=UTC) if closed else None


def look(session: Session, instruments: Sequence[str], first: date, last: date, label: str, *, at: datetime) -> None:
    """Write down that the outcomes of a span have been seen; the same words again change nothing."""
    in_order(first, last)
    key = {"instruments": joined(instruments), "first": first, "last": last, "label": label}
    if session.scalars(select(tables.LookedAt).filter_by(**key)).one_or_none() is None:
        session.add(tables.LookedAt(**key, recorded_at=utc(at)))


def looked_at(session: Session, instruments: Iterable[str] | None = None, *, trials: bool = True) -> list[LookedSpan]:
    """Every span that has been looked at: what is declared, what was opened, and the test spans of recorded trials.

    Parameters
    ----------
    instruments : ids; None = all
    trials : False = without the trials, which a report lists by themselves
    """
    declared = [
        LookedSpan(tuple(row.instruments.split(",")), row.first, row.last, row.label)
        for row in session.scalars(select(tables.LookedAt).order_by(tables.LookedAt.first, tables.LookedAt.id))
    ]
    t = tables.Trial
    spans = select(t.instrument, t.family, func.min(t.span_start), func.max(t.span_end), func.count(), func.sum(t.looks))
    grouped = session.execute(spans.group_by(t.instrument, t.family).order_by(t.instrument, t.family)).all() if trials else []
    more = _not_stored(session) if grouped else Counter[tuple[str, str]]()
    scored = []
    for name, family, start, end, count, looks in grouped:
        label = f"{count + more[name, family]} configurations of {family!r} scored, {looks} looks"
        scored.append(LookedSpan((name,), start.date(), end.date(), label))
    wanted = None if instruments is None else tuple(instruments)
    return [one for one in (*LOOKED_BEFORE, *declared, *scored) if wanted is None or overlap(one.instruments, wanted)]


def _not_stored(session: Session) -> Counter[tuple[str, str]]:
    """By instrument and family, how many configurations its trials stand for beside their own (`evaluation.POINTS`)."""
    t, found = tables.Trial, Counter[tuple[str, str]]()
    said = type_coerce(t.configuration, Text).contains(f'"{POINTS}":')
    for name, family, configuration in session.execute(select(t.instrument, t.family, t.configuration).where(said)):
        found[name, family] += int(configuration.get(POINTS, 1)) - 1
    return found


def _frozen_for(session: Session, seal: tables.SealedSpan, configuration_hash: str, moment: datetime) -> Registered | None:
    """The registration of the configuration that covers the sealed sessions, made before this moment."""
    for one in registrations(session, configuration_hash=configuration_hash):
        names = set(seal.instruments.split(","))
        covers = one.first <= seal.first and one.last >= seal.last and (EVERY in names or names <= set(one.instruments))
        if covers and one.registered_at < moment:
            return one
    return None


def _seal(row: tables.SealedSpan, opening: tables.SealOpening | None) -> Seal:
    return Seal(
        name=row.name,
        table=row.table,
        instruments=tuple(row.instruments.split(",")),
        first=row.first,
        last=row.last,
        sealed_at=row.sealed_at,
        opened_for=None if opening is None else opening.configuration_hash,
        opened_at=None if opening is None else opening.opened_at,
    )
