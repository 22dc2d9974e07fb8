"""The model registry: versions by name, which one is active, and what the others would have said.

A fitted model is kept in a folder of its own (`models.store`: text with SHA-256, no pickle) under a name and a semantic version;
its hash is over kind and parameters. A promotion makes a version the active one; it needs a report that holds the model against
every required baseline on the same n rows. Promotions are rows that are only added, each remembering the one that it took the
place of: a roll-back restores that one's hash, and a second roll-back the one before it.

Shadow predictions are recorded beside the active model's and scored against them. Nothing reads them to decide anything.
Semantic versions: semver.org 2.0.0, three numbers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fieldcast.ground import Clock, ConflictError, Halted, IntegrityError, InvalidInput, MissingData, utc, write_whole
from fieldcast.ledger import AuditRecord, AuditTrail, Database, tables
from fieldcast.models.baselines import IMPLIED_BASELINES, REQUIRED_BASELINES, BaselineReport
from fieldcast.models.contract import OddsModel
from fieldcast.models.drift import TrainingSample
from fieldcast.models.store import load_model, save_model

Change = Literal["major", "minor", "patch"]
REFERENCE = "training_sample.json"
ENTRY = "model"  # type of the audit entries
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


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


class ModelRegistry:
    """Versions and promotions in the ledger, models in `folder`.

    Parameters
    ----------
    database : an open ledger with its audit folder
    folder : of the models' files; made when first needed
    clock : tells when
    """

    def __init__(self, database: Database, folder: Path, clock: Clock) -> None:
        self._database, self._folder, self._clock = database, folder, clock

    def register(
        self,
        name: str,
        model: OddsModel,
        report: BaselineReport | None,
        *,
        instrument: str,
        label: str,
        horizon: int,
        configuration_hash: str,
        data_hash: str,
        trained_until: datetime,
        simulated: bool,
        sample: TrainingSample | None = None,
        change: Change = "patch",
    ) -> Version:
        """Keep a fitted model under the next version; the same model again is the version that it has.

        Parameters
        ----------
        report : the model beside its baselines; without one it can be a shadow, and is never promoted
        trained_until : when the last label of the fit had ended
        sample : the features of the fit, for drift
        change : which number of the version goes up; the first version is 1.0.0
        """
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"expected a name of small letters, digits, dots and dashes, found {name!r}")
        content = b"" if sample is None else json.dumps(sample.as_dict(), sort_keys=True, allow_nan=False).encode()
        with self._database.begin("model-register") as session:
            known = self._same(session, name, model.hash)
            if known is not None:
                return self._version(known, self._active(session, name))
            numbers = [_numbers(row.version) for row in self._rows(session, name)]
            version = _next(max(numbers, default=None), change)
            row = tables.ModelVersion(
                name=name,
                version=version,
                sha256=model.hash,
                kind=model.kind,
                folder=f"{name}/{version}",
                instrument=instrument,
                label=label,
                horizon=horizon,
                configuration_hash=configuration_hash,
                data_hash=data_hash,
                trained_until=utc(trained_until),
                simulated=simulated,
                reference_sha256=hashlib.sha256(content).hexdigest() if content else "",
                baselines={} if report is None else json.loads(json.dumps(asdict(report))),
                registered_at=self._clock.now(),
            )
            session.add(row)
            session.flush()  # the version is taken before its files are written: another process cannot write over them
            directory = self._folder / name / version
            save_model(model, directory)
            if content:
                write_whole(directory / REFERENCE, content)
            return self._version(row, self._active(session, name))

    def versions(self, name: str | None = None) -> list[Version]:
        """Registered versions, by name and then oldest first."""
        with self._database.read() as session:
            rows = self._rows(session, name)
            return [self._version(row, self._active(session, row.name)) for row in rows]

    def get(self, name: str, version: str | None = None) -> Version:
        """A version; the active one where none is named.

        Raises
        ------
        MissingData : there is no such version, or none is active
        """
        with self._database.read() as session:
            active = self._active(session, name)
            wanted = version if version is not None else (None if active is None else active.version)
            row = None if wanted is None else session.get(tables.ModelVersion, (name, wanted))
            if row is None:
                known = ", ".join(found.version for found in self._rows(session, name)) or "none"
                raise MissingData(f"expected {version or 'an active version'} of model {name!r}, found versions: {known}")
            return self._version(row, active)

    def load(self, name: str, version: str | None = None) -> OddsModel:
        """The model of a version (the active one by default), its files and its hash checked.

        Raises
        ------
        MissingData : there is no such version, or its files are gone
        IntegrityError : a file or the parameters do not have the recorded SHA-256
        """
        found = self.get(name, version)
        return load_model(self._folder / found.name / found.version, expected=found.sha256)

    def sample(self, name: str, version: str | None = None) -> TrainingSample:
        """The training sample of a version.

        Raises
        ------
        MissingData : it was registered without one, or the file is gone
        IntegrityError : the file was changed
        """
        found = self.get(name, version)
        with self._database.read() as session:
            row = session.get(tables.ModelVersion, (found.name, found.version))
        path = self._folder / found.name / found.version / REFERENCE
        if row is None or not row.reference_sha256 or not path.is_file():
            raise MissingData(f"expected the training sample of {name} {found.version}, found none; register it with one")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != row.reference_sha256:
            raise IntegrityError(f"expected {path} as it was registered, found other bytes; fit and register the model again")
        return TrainingSample.from_dict(json.loads(content))

    def promote(self, name: str, version: str, *, note: str = "") -> Promotion:
        """Make a version the active one.

        Raises
        ------
        Halted : its report lacks a baseline, or rests on unequal rows
        MissingData, IntegrityError : the version or its files are not there, or were changed
        ConflictError : it is the active one already
        """
        found = self.get(name, version)
        absent = IMPLIED_BASELINES if found.simulated else ()  # a simulated market has no implied volatility
        require_equal_rows(found.baselines, required=[one for one in REQUIRED_BASELINES if one not in absent])
        self.load(name, version)
        with self._database.begin("model-promote") as session:
            newest = self._active(session, name)
            if newest is not None and newest.version == version:
                raise ConflictError(f"expected another version of {name!r} than the active {version}, found the same")
            before = None if newest is None else newest.sequence
            return self._add(session, found, "promote", before, note)

    def rollback(self, name: str, *, note: str = "") -> Promotion:
        """Restore the version that was active before the present one; its hash is checked first.

        Raises
        ------
        MissingData : nothing was active before
        IntegrityError : the earlier model's files were changed
        """
        with self._database.read() as session:
            newest = self._active(session, name)
            earlier = (
                None if newest is None or newest.before is None else session.get(tables.ModelPromotion, (name, newest.before))
            )
        if newest is None or earlier is None:
            raise MissingData(f"expected an earlier active version of {name!r} to go back to, found none")
        target = self.get(name, earlier.version)
        if target.sha256 != earlier.sha256:
            raise IntegrityError(f"expected {name} {earlier.version} with hash {earlier.sha256}, found {target.sha256}")
        self.load(name, earlier.version)
        with self._database.begin("model-rollback") as session:
            present = self._active(session, name)
            if present is None or present.sequence != newest.sequence:
                raise ConflictError(
                    f"expected {name!r} as it was a moment ago, found it changed; look, and give the command again"
                )
            return self._add(session, target, "rollback", earlier.before, note)

    def history(self, name: str) -> list[Promotion]:
        """Every change of the active version, oldest first."""
        t = tables.ModelPromotion
        with self._database.read() as session:
            return [_promotion(row) for row in session.scalars(select(t).where(t.name == name).order_by(t.sequence))]

    def record_prediction(self, name: str, version: str, instrument: str, as_of: datetime, probability: float) -> str:
        """Write what a version says of a moment; the role, `active` or `shadow`, is what it is now. The first word stands.

        Raises
        ------
        InvalidInput : no probability
        MissingData : there is no such version
        """
        if not 0.0 <= probability <= 1.0:
            raise InvalidInput(f"expected a probability, found {probability}")
        found = self.get(name, version)
        with self._database.begin("model-prediction") as session:
            row = session.get(tables.ModelPrediction, (name, version, instrument, utc(as_of)))
            if row is None:
                row = tables.ModelPrediction(
                    name=name,
                    version=version,
                    instrument=instrument,
                    as_of=utc(as_of),
                    sha256=found.sha256,
                    role="active" if found.active else "shadow",
                    probability=probability,
                    recorded_at=self._clock.now(),
                )
                session.add(row)
            return row.role

    def predictions(self, name: str, version: str) -> list[tuple[str, datetime, float]]:
        """Instrument, moment and probability of each recorded prediction of a version, oldest first."""
        t = tables.ModelPrediction
        query = select(t).where(t.name == name, t.version == version).order_by(t.as_of, t.instrument)
        with self._database.read() as session:
            return [(row.instrument, row.as_of, row.probability) for row in session.scalars(query)]

    def shadow_scores(self, name: str, outcomes: Mapping[tuple[str, datetime], float]) -> list[ShadowScore]:
        """The active version and every shadow on the rows on which all of them spoke and the outcome (0 or 1) is known."""
        from fieldcast.evaluation import brier, log_loss

        every = self.versions(name)
        spoken = {one.version: {(i, t): p for i, t, p in self.predictions(name, one.version)} for one in every}
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

    def request(self, name: str, *, note: str = "") -> None:
        """Write down that a person wants the model fitted again."""
        self.get(name, self.versions(name)[-1].version if self.versions(name) else None)
        with self._database.begin("model-request") as session:
            session.add(tables.RetrainRequest(name=name, note=note, at=self._clock.now()))

    def requested_at(self, name: str) -> datetime | None:
        """When a new fit was last asked for; None = never."""
        t = tables.RetrainRequest
        with self._database.read() as session:
            return session.scalar(select(func.max(t.at)).where(t.name == name))

    # rows

    def _add(
        self, session: Session, found: Version, action: Literal["promote", "rollback"], before: int | None, note: str
    ) -> Promotion:
        newest = self._active(session, found.name)
        row = tables.ModelPromotion(
            name=found.name,
            sequence=1 if newest is None else newest.sequence + 1,
            action=action,
            version=found.version,
            sha256=found.sha256,
            before=before,
            note=note,
            at=self._clock.now(),
        )
        session.add(row)
        session.flush()
        metadata = {"model": found.name, "version": found.version, "sha256": found.sha256, "sequence": row.sequence}
        AuditTrail.append(session, AuditRecord(None, None, row.at, action.upper(), metadata=metadata), entry_type=ENTRY)
        return _promotion(row)

    @staticmethod
    def _rows(session: Session, name: str | None) -> list[tables.ModelVersion]:
        query = select(tables.ModelVersion)
        if name is not None:
            query = query.where(tables.ModelVersion.name == name)
        return sorted(session.scalars(query), key=lambda row: (row.name, _numbers(row.version)))

    @staticmethod
    def _same(session: Session, name: str, sha256: str) -> tables.ModelVersion | None:
        return session.scalars(select(tables.ModelVersion).filter_by(name=name, sha256=sha256)).one_or_none()

    @staticmethod
    def _active(session: Session, name: str) -> tables.ModelPromotion | None:
        t = tables.ModelPromotion
        return session.scalars(select(t).where(t.name == name).order_by(t.sequence.desc()).limit(1)).one_or_none()

    @staticmethod
    def _version(row: tables.ModelVersion, active: tables.ModelPromotion | None) -> Version:
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


def _promotion(row: tables.ModelPromotion) -> Promotion:
    return Promotion(row.name, row.sequence, row.action, row.version, row.sha256, row.at, row.note)


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def _next(newest: tuple[int, int, int] | None, change: Change) -> str:
    if newest is None:
        return "1.0.0"
    major, minor, patch = newest
    if change == "major":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if change == "minor" else f"{major}.{minor}.{patch + 1}"
