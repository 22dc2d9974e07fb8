"""Pre-registration and sealed spans: what a run could find is written down before it runs, and a last test is opened once.

The smallest AUC that a test over T sessions finds with probability `power` at one-sided level `alpha` is

    0.5 + (t(1 - alpha; nu) + t(power; nu)) * se,         nu = T / b - 1

with the standard error of the stationary bootstrap of mean block b, as `evaluation.auc_interval` and the gate use it. It has to
be known before a forecast is made, so it is measured on earlier outcomes with scores that know nothing: Gaussian AR(1) paths of
coefficient 0.95 (features are as persistent as that), the same path for every instrument of a date, and scaled by
sqrt(T before / T planned). Source: Student's t in place of the normal quantiles of Noether (1987), "Sample size determination for
some common nonparametric tests".

A span is sealed for instruments (`*` = all) from a first to a last session. Whatever fits or scores reads only what was known
before the first sealed session, unless the span was opened for exactly its configuration. An opening needs a registration of that
configuration, made earlier; there is one opening of a span, and a second attempt is refused and stands in the audit trail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fieldcast.evaluation import auc_interval
from fieldcast.ground import ConflictError, Halted, IntegrityError, InvalidInput, MissingData, Reason, canonical_json, utc
from fieldcast.ledger import AuditRecord, AuditTrail, Database, tables

EVERY = "*"
ALPHA, POWER = 0.05, 0.80
PERSISTENCE = 0.95
SCORES = 8  # scores that know nothing, over which the standard error is averaged
DAILY_TABLE = "bars/1d"
ENTRY = "seal"  # type of the audit entries


@dataclass(frozen=True)
class LookedSpan:
    """Sessions whose outcomes have been seen; `instruments` holds ids, or `*` alone."""

    instruments: tuple[str, ...]
    first: date
    last: date
    label: str

    def touches(self, instruments: Iterable[str], first: date, last: date) -> bool:
        """True where it shares an instrument and a session."""
        return _share(self.instruments, instruments) and self.first <= last and first <= self.last


LOOKED_BEFORE = (LookedSpan((EVERY,), date(2023, 1, 1), date(2025, 12, 31), "looked at while Fieldcast was being built"),)


@dataclass(frozen=True)
class Effect:
    """What a planned run could find.

    Parameters
    ----------
    standard_error : of the AUC over the planned span, for a score that knows nothing
    minimum : smallest excess over 0.5 that is found with probability `power`
    sessions : of the planned span
    measured_sessions, measured_rows : behind the standard error
    """

    standard_error: float
    minimum: float
    alpha: float
    power: float
    block: float
    sessions: int
    measured_sessions: int
    measured_rows: int

    @property
    def auc(self) -> float:
        """The smallest AUC that would be found."""
        return 0.5 + self.minimum


@dataclass(frozen=True)
class Registered:
    """An experiment on record before its run."""

    id: str
    family: str
    configuration_hash: str
    instruments: tuple[str, ...]
    first: date
    last: date
    effect_auc: float
    standard_error: float
    sessions: int
    compute: Mapping[str, Any]
    registered_at: datetime


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


def minimum_effect(standard_error: float, sessions: int, block: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """Smallest excess of the AUC over 0.5 found with probability `power` at one-sided level `alpha`.

    Raises
    ------
    MissingData : fewer than two blocks of sessions
    InvalidInput : a standard error or a probability out of range
    """
    from scipy.special import stdtrit

    if not (np.isfinite(standard_error) and standard_error > 0 and 0 < alpha < 0.5 <= power < 1):
        raise InvalidInput(f"expected a positive standard error, alpha < 0.5 ≤ power, found {standard_error}, {alpha}, {power}")
    if sessions < 2 * block:
        raise MissingData(f"expected at least two blocks of {block:g} sessions, found {sessions}: no run of this size can judge")
    freedom = sessions / block - 1.0
    return float((stdtrit(freedom, 1.0 - alpha) + stdtrit(freedom, power)) * standard_error)


def planned_effect(
    y: ArrayLike,
    dates: NDArray[Any],
    groups: NDArray[Any],
    *,
    sessions: int,
    block: float,
    draws: int,
    seed: int,
    alpha: float = ALPHA,
    power: float = POWER,
) -> Effect:
    """The minimum detectable effect of a run over `sessions`, from outcomes that are known before it.

    Parameters
    ----------
    y : (n,) outcomes 0 and 1 before the planned span
    dates, groups : (n,) session and instrument of each
    sessions : of the planned span
    block, draws, seed : of the stationary bootstrap, as the run itself will use them

    Raises
    ------
    MissingData : too few sessions, before or in the span
    """
    outcome, stamps = np.asarray(y, dtype=np.float64), np.asarray(dates)
    axis, position = np.unique(stamps, return_inverse=True)
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(SCORES):
        score = _persistent(rng, axis.size)[position]
        errors.append(
            auc_interval(score, outcome, dates=stamps, groups=groups, block=block, draws=draws, seed=seed).standard_error
        )
    error = float(np.mean(errors)) * float(np.sqrt(axis.size / sessions)) if sessions > 0 else float("nan")
    least = minimum_effect(error, sessions, block, alpha=alpha, power=power)
    return Effect(error, least, alpha, power, block, sessions, int(axis.size), int(outcome.size))


def _persistent(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """A stationary Gaussian AR(1) path of variance 1."""
    steps = rng.standard_normal(n) * np.sqrt(1.0 - PERSISTENCE**2)
    path = np.empty(n)
    path[0] = rng.standard_normal()
    for t in range(1, n):
        path[t] = PERSISTENCE * path[t - 1] + steps[t]
    return path


def register(
    session: Session,
    *,
    family: str,
    configuration_hash: str,
    configuration: Mapping[str, Any],
    instruments: Sequence[str],
    first: date,
    last: date,
    effect: Effect,
    measured_on: str,
    compute: Mapping[str, Any],
    at: datetime,
) -> Registered:
    """Freeze a configuration for a span, with its effect size; the same registration again returns the first one.

    Raises
    ------
    InvalidInput : no compute axis, or the span ends before it begins
    """
    if not compute:
        raise InvalidInput("expected the compute axis of the run, found none; say what its compute is counted in")
    key = {"configuration_hash": configuration_hash, "instruments": _joined(instruments), "first": first, "last": last}
    _in_order(first, last)
    row = session.scalars(select(tables.Registration).filter_by(**key)).one_or_none()
    if row is None:
        row = tables.Registration(
            **key,
            family=family,
            configuration=dict(configuration),
            metric="auc",
            sessions=effect.sessions,
            standard_error=effect.standard_error,
            alpha=effect.alpha,
            power=effect.power,
            minimum_effect=effect.minimum,
            measured_on=measured_on,
            compute=dict(compute),
            registered_at=utc(at),
        )
        session.add(row)
        session.flush()
        figures = {"minimum_auc": 0.5 + effect.minimum, "standard_error": effect.standard_error, "sessions": effect.sessions}
        AuditTrail.append(session, AuditRecord(None, None, utc(at), "REGISTERED", risk_checks=figures,
                          metadata={"registration": row.id, "configuration": configuration_hash}), entry_type=ENTRY)  # fmt: skip
    return _registered(row)


def registrations(session: Session, *, family: str | None = None, configuration_hash: str | None = None) -> list[Registered]:
    """Registrations, oldest first; of a family, of a configuration."""
    query = select(tables.Registration).order_by(tables.Registration.registered_at, tables.Registration.id)
    if family is not None:
        query = query.where(tables.Registration.family == family)
    if configuration_hash is not None:
        query = query.where(tables.Registration.configuration_hash == configuration_hash)
    return [_registered(row) for row in session.scalars(query)]


def require_effect(
    session: Session, *, family: str, configuration_hash: str, instruments: Sequence[str], preregistered: bool = False
) -> Registered | None:
    """The registration that a run has to have before it starts; None where the experiment is not a pre-registered one.

    An experiment is pre-registered where it says so, or where its family has a registration: from then on every configuration of
    the family needs its own.

    Raises
    ------
    Halted : it is, and no effect size is on record for this configuration on these instruments
    """
    found = registrations(session, family=family)
    if not found and not preregistered:
        return None
    mine = [one for one in found if one.configuration_hash == configuration_hash and set(instruments) <= set(one.instruments)]
    if not mine:
        raise Halted(
            f"expected the minimum detectable effect of configuration {configuration_hash[:16]} on {', '.join(instruments)} on "
            f"record before it runs ({Reason.EFFECT_UNKNOWN}: {family!r} is pre-registered), found none; "
            "fieldcast seal register states and stores it"
        )
    return mine[-1]


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
    _in_order(first, last)
    wanted = {"table": table, "instruments": _joined(instruments), "first": first, "last": last}
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
    closed = [seal.first for seal in seals(session) if _share(seal.instruments, names) and seal.opened_for != configuration_hash]
    return datetime.combine(min(closed), time(), tzinfo=UTC) if closed else None


def look(session: Session, instruments: Sequence[str], first: date, last: date, label: str, *, at: datetime) -> None:
    """Write down that the outcomes of a span have been seen; the same words again change nothing."""
    _in_order(first, last)
    key = {"instruments": _joined(instruments), "first": first, "last": last, "label": label}
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
    scored = [
        LookedSpan((name,), start.date(), end.date(), f"{count} configurations of {family!r} scored, {looks} looks")
        for name, family, start, end, count, looks in session.execute(
            spans.group_by(t.instrument, t.family).order_by(t.instrument, t.family)
        )
        if trials
    ]
    wanted = None if instruments is None else tuple(instruments)
    return [one for one in (*LOOKED_BEFORE, *declared, *scored) if wanted is None or _share(one.instruments, wanted)]


def _frozen_for(session: Session, seal: tables.SealedSpan, configuration_hash: str, moment: datetime) -> Registered | None:
    """The registration of the configuration that covers the sealed sessions, made before this moment."""
    for one in registrations(session, configuration_hash=configuration_hash):
        names = set(seal.instruments.split(","))
        covers = one.first <= seal.first and one.last >= seal.last and (EVERY in names or names <= set(one.instruments))
        if covers and one.registered_at < moment:
            return one
    return None


def _share(one: Iterable[str], other: Iterable[str]) -> bool:
    first, second = set(one), set(other)
    return EVERY in first or EVERY in second or bool(first & second)


def _joined(instruments: Sequence[str]) -> str:
    names = sorted(set(instruments))
    if not names or any("," in name or not name.strip() for name in names) or (EVERY in names and len(names) > 1):
        raise InvalidInput(f"expected ids of instruments, or * alone, found {canonical_json(names)}")
    return ",".join(names)


def _in_order(first: date, last: date) -> None:
    if last < first:
        raise InvalidInput(f"expected a first session before the last, found {first} and {last}")


def _registered(row: tables.Registration) -> Registered:
    return Registered(
        id=row.id,
        family=row.family,
        configuration_hash=row.configuration_hash,
        instruments=tuple(row.instruments.split(",")),
        first=row.first,
        last=row.last,
        effect_auc=0.5 + row.minimum_effect,
        standard_error=row.standard_error,
        sessions=row.sessions,
        compute=row.compute,
        registered_at=row.registered_at,
    )


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
