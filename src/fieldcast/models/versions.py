"""What the model registry knows of a model: versions, promotions and scores as values, and how they are read from the ledger.

`require_equal_rows` is the condition under which a version may become the active one.
Semantic versions: semver.org 2.0.0, three numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.ground import Halted
from fieldcast.ledger import tables

Change = Literal["major", "minor", "patch"]


@dataclass(frozen=True)
class Version:
    """One registered model."""

    name: str
    version: str
    sha256: str
    kind: str
    instrument: str
    label: str
    horizon: int
    configuration_hash: str
    data_hash: str
    trained_until: datetime
    simulated: bool
    baselines: Mapping[str, Any]
    registered_at: datetime
    active: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Promotion:
    """A change of the active model."""

    name: str
    sequence: int
    action: str
    version: str
    sha256: str
    at: datetime
    note: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ShadowScore:
    """A version's predictions on the rows on which every compared version spoke; the active one comes first."""

    version: str
    role: str
    n: int
    log_loss: float
    brier: float


def require_equal_rows(report: Mapping[str, Any], *, required: Sequence[str] = ()) -> None:
    """Refuse a baseline report on which nothing may be promoted.

    Parameters
    ----------
    required : baselines that have to be there, whatever the report itself was asked to hold

    Raises
    ------
    Halted : no report, a required baseline is missing, or a score rests on another number of rows than the others
    """
    if not report or not report.get("scores"):
        raise Halted("expected the model beside its baselines, found no report; a model without its baselines is not promoted")
    given = {score["name"].split("[", 1)[0] for score in report["scores"]}
    missing = dict.fromkeys([*report.get("missing", ()), *(name for name in required if name not in given)])
    if missing:
        raise Halted(f"expected every required baseline beside the model, missing {', '.join(missing)}")
    counts = {score["name"]: score["n"] for score in report["scores"]}
    if len(set(counts.values())) != 1 or report.get("n") not in counts.values() or not report["n"] > 0:
        raise Halted(f"expected model and baselines scored on the same rows, found n of {counts}")
    if len(counts) < 2:
        raise Halted("expected at least one baseline beside the model, found none")


def scores_together(
    every: Sequence[Version],
    spoken: Mapping[str, Mapping[tuple[str, datetime], float]],
    outcomes: Mapping[tuple[str, datetime], float],
) -> list[ShadowScore]:
    """Scores of the versions that spoke at all, the active one first, on the rows on which all of them did.

    Parameters
    ----------
    spoken : probabilities by version, and then by instrument and moment
    outcomes : 0 or 1 by instrument and moment
    """
    from fieldcast.evaluation import brier, log_loss

    speakers = [one for one in sorted(every, key=lambda one: not one.active) if spoken[one.version]]
    common = [key for key in outcomes if all(key in spoken[one.version] for one in speakers)]
    if not speakers or not common:
        return []
    y = np.array([outcomes[key] for key in common])
    rows = []
    for one in speakers:
        p = np.array([spoken[one.version][key] for key in common])
        role = "active" if one.active else "shadow"
        rows.append(ShadowScore(one.version, role, len(common), float(log_loss(p, y)), float(brier(p, y))))
    return rows


def rows_of(session: Session, name: str | None) -> list[tables.ModelVersion]:
    """Registered versions, by name and then oldest first."""
    query = select(tables.ModelVersion)
    if name is not None:
        query = query.where(tables.ModelVersion.name == name)
    return sorted(session.scalars(query), key=lambda row: (row.name, numbers_of(row.version)))


def row_of_hash(session: Session, name: str, sha256: str) -> tables.ModelVersion | None:
    """The version that holds this very model; None where there is none."""
    return session.scalars(select(tables.ModelVersion).filter_by(name=name, sha256=sha256)).one_or_none()


def newest_promotion(session: Session, name: str) -> tables.ModelPromotion | None:
    """The change that made the active version; None where none is active."""
    t = tables.ModelPromotion
    return session.scalars(select(t).where(t.name == name).order_by(t.sequence.desc()).limit(1)).one_or_none()


def version_of(row: tables.ModelVersion, active: tables.ModelPromotion | None) -> Version:
    """A row as a version; `active` is the newest promotion under its name."""
    return Version(
        name=row.name,
        version=row.version,
        sha256=row.sha256,
        kind=row.kind,
        instrument=row.instrument,
        label=row.label,
        horizon=row.horizon,
        configuration_hash=row.configuration_hash,
        data_hash=row.data_hash,
        trained_until=row.trained_until,
        simulated=row.simulated,
        baselines=row.baselines,
        registered_at=row.registered_at,
        active=active is not None and active.version == row.version,
    )


def promotion_of(row: tables.ModelPromotion) -> Promotion:
    """A row as a change of the active model."""
    return Promotion(row.name, row.sequence, row.action, row.version, row.sha256, row.at, row.note)


def numbers_of(version: str) -> tuple[int, int, int]:
    """Major, minor and patch number."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def next_version(newest: tuple[int, int, int] | None, change: Change) -> str:
    """The version after `newest`; 1.0.0 is the first."""
    if newest is None:
        return "1.0.0"
    major, minor, patch = newest
    if change == "major":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if change == "minor" else f"{major}.{minor}.{patch + 1}"
