"""The model registry: versions by name, which one is active, and what the others would have said.

A fitted model is kept in a folder of its own (`models.store`: text with SHA-256, no pickle) under a name and a semantic version;
its hash is over kind and parameters. A promotion makes a version the active one; it needs a report that holds the model against
every required baseline on the same n rows. Promotions are rows that are only added, each remembering the one that it took the
place of: a roll-back restores that one's hash, and a second roll-back the one before it.

Shadow predictions are recorded beside the active model's and scored against them. Nothing reads them to decide anything.
What a version is and how the rows are read: `models.versions`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fieldcast.ground import Clock, ConflictError, IntegrityError, InvalidInput, MissingData, utc, write_whole
from fieldcast.ledger import AuditRecord, AuditTrail, Database, tables
from fieldcast.models.baselines import IMPLIED_BASELINES, REQUIRED_BASELINES, BaselineReport
from fieldcast.models.contract import OddsModel
from fieldcast.models.drift import TrainingSample
from fieldcast.models.store import load_model, save_model
from fieldcast.models.versions import (
    Change,
    Promotion,
    ShadowScore,
    Version,
    newest_promotion,
    next_version,
    numbers_of,
    promotion_of,
    require_equal_rows,
    row_of_hash,
    rows_of,
    scores_together,
    version_of,
)

__all__ = ["Change", "ModelRegistry", "Promotion", "ShadowScore", "Version", "require_equal_rows"]


REFERENCE = "training_sample.json"
ENTRY = "model"  # type of the audit entries
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


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
            known = row_of_hash(session, name, model.hash)
            if known is not None:
                return version_of(known, newest_promotion(session, name))
            numbers = [numbers_of(row.version) for row in rows_of(session, name)]
            version = next_version(max(numbers, default=None), change)
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
            return version_of(row, newest_promotion(session, name))

    def versions(self, name: str | None = None) -> list[Version]:
        """Registered versions, by name and then oldest first."""
        with self._database.read() as session:
            rows = rows_of(session, name)
            return [version_of(row, newest_promotion(session, row.name)) for row in rows]

    def get(self, name: str, version: str | None = None) -> Version:
        """A version; the active one where none is named.

        Raises
        ------
        MissingData : there is no such version, or none is active
        """
        with self._database.read() as session:
            active = newest_promotion(session, name)
            wanted = version if version is not None else (None if active is None else active.version)
            row = None if wanted is None else session.get(tables.ModelVersion, (name, wanted))
            if row is None:
                known = ", ".join(found.version for found in rows_of(session, name)) or "none"
                raise MissingData(f"expected {version or 'an active version'} of model {name!r}, found versions: {known}")
            return version_of(row, active)

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
            newest = newest_promotion(session, name)
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
            newest = newest_promotion(session, name)
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
            present = newest_promotion(session, name)
            if present is None or present.sequence != newest.sequence:
                raise ConflictError(f"expected {name!r} as it was a moment ago, found it changed; look, and repeat the command")
            return self._add(session, target, "rollback", earlier.before, note)

    def history(self, name: str) -> list[Promotion]:
        """Every change of the active version, oldest first."""
        t = tables.ModelPromotion
        with self._database.read() as session:
            return [promotion_of(row) for row in session.scalars(select(t).where(t.name == name).order_by(t.sequence))]

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
        every = self.versions(name)
        spoken = {one.version: {(i, t): p for i, t, p in self.predictions(name, one.version)} for one in every}
        return scores_together(every, spoken, outcomes)

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

    def _add(
        self, session: Session, found: Version, action: Literal["promote", "rollback"], before: int | None, note: str
    ) -> Promotion:
        newest = newest_promotion(session, found.name)
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
        return promotion_of(row)
