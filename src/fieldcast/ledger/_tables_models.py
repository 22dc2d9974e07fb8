"""Tables about fitted models: versions, which one is active and since when, their predictions, wishes to fit again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fieldcast.ledger._base import Base, natural_id


class ModelVersion(Base):
    """One fitted model under a name and a semantic version; `sha256` is over its kind and parameters."""

    __tablename__ = "model_version"
    __table_args__ = (UniqueConstraint("name", "sha256"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    kind: Mapped[str]
    folder: Mapped[str]  # relative to the registry's folder
    instrument: Mapped[str]
    label: Mapped[str]
    horizon: Mapped[int]
    configuration_hash: Mapped[str]
    data_hash: Mapped[str]
    trained_until: Mapped[datetime]
    simulated: Mapped[bool]
    reference_sha256: Mapped[str]  # of the file with the training sample; empty where there is none
    baselines: Mapped[dict[str, Any]]  # scores of the model and its baselines, each with its n
    registered_at: Mapped[datetime]


class ModelPromotion(Base):
    """A change of the active model of a name; the newest row tells which version is active."""

    __tablename__ = "model_promotion"

    name: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str]  # promote | rollback
    version: Mapped[str]
    sha256: Mapped[str]
    before: Mapped[int | None]  # sequence of the row that a rollback from this one restores
    note: Mapped[str]
    at: Mapped[datetime]


class ModelPrediction(Base):
    """What a version said of a moment: the active one, or a shadow beside it that nothing uses."""

    __tablename__ = "model_prediction"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    instrument: Mapped[str] = mapped_column(primary_key=True)
    as_of: Mapped[datetime] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    role: Mapped[str]  # active | shadow
    probability: Mapped[float]
    recorded_at: Mapped[datetime]


class RetrainRequest(Base):
    """A person's wish to fit a model again."""

    __tablename__ = "retrain_request"

    id: Mapped[str] = natural_id("name", "at")
    name: Mapped[str] = mapped_column(index=True)
    note: Mapped[str]
    at: Mapped[datetime]
