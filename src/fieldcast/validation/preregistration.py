"""Pre-registration: what a run could find is written down before it runs.

The smallest AUC that a test over T sessions finds with probability `power` at one-sided level `alpha` is

    0.5 + (t(1 - alpha; nu) + t(power; nu)) * se,         nu = T / b - 1

with the standard error of the stationary bootstrap of mean block b, as `evaluation.auc_interval` and the gate use it. It has to
be known before a forecast is made, so it is measured on earlier outcomes with scores that know nothing: Gaussian AR(1) paths of
coefficient 0.95 (features are as persistent as that), the same path for every instrument of a date, and scaled by
sqrt(T before / T planned). Source: Student's t in place of the normal quantiles of Noether (1987), "Sample size determination for
some common nonparametric tests".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.evaluation import auc_interval
from fieldcast.ground import Halted, InvalidInput, MissingData, Reason, canonical_json, utc
from fieldcast.ledger import AuditRecord, AuditTrail, tables

EVERY = "*"
ALPHA, POWER = 0.05, 0.80
PERSISTENCE = 0.95
SCORES = 8  # scores that know nothing, over which the standard error is averaged
ENTRY = "seal"  # type of the audit entries


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
    key = {"configuration_hash": configuration_hash, "instruments": joined(instruments), "first": first, "last": last}
    in_order(first, last)
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


def overlap(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two lists of instruments have one in common; `*` stands for all."""
    first, second = set(one), set(other)
    return EVERY in first or EVERY in second or bool(first & second)


def joined(instruments: Sequence[str]) -> str:
    """The ids as the ledger keeps them: sorted, with commas between.

    Raises
    ------
    InvalidInput : no id, an id with a comma, or `*` beside others
    """
    names = sorted(set(instruments))
    if not names or any("," in name or not name.strip() for name in names) or (EVERY in names and len(names) > 1):
        raise InvalidInput(f"expected ids of instruments, or * alone, found {canonical_json(names)}")
    return ",".join(names)


def in_order(first: date, last: date) -> None:
    """Refuse a span that ends before it begins."""
    if last < first:
        raise InvalidInput(f"expected a first session before the last, found {first} and {last}")


def _persistent(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """A stationary Gaussian AR(1) path of variance 1."""
    steps = rng.standard_normal(n) * np.sqrt(1.0 - PERSISTENCE**2)
    path = np.empty(n)
    path[0] = rng.standard_normal()
    for t in range(1, n):
        path[t] = PERSISTENCE * path[t - 1] + steps[t]
    return path


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
