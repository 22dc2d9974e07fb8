"""The TOML file of a training run: which tasks, which model, which seed, how it stops and how it is scored.

family = "mine"                  # trials of the walk are counted under this name
seed = 7
until = 2017-12-29               # optional: sessions after it are not read
[features]
blocks = ["volatility"]
[[tasks]]
kind = "direction"               # direction | event | magnitude | volatility
horizon = 1                      # sessions
[model]                          # of direction, event and magnitude
kind = "boosted_trees"
[model.settings]
rounds = 200
[early_stop]                     # optional, boosting alone
share = 0.2                      # the last part of the training rows
patience = 20                    # rounds without a gain
[walk_forward]
initial = 756
test = 252
step = 252
embargo = 5
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fieldcast.features import columns
from fieldcast.ground import ConfigError, InvalidInput, digest
from fieldcast.models import BoostedTrees, HeldOut, OddsModel, QuantileBoosted, XGBoostTrees, model_kinds
from fieldcast.workflows.experiment import Features
from fieldcast.workflows.prepare import Array

Kind = Literal["direction", "event", "magnitude", "volatility"]
Setting = bool | int | float | str
Stamps = NDArray[np.datetime64]
BOOSTED: tuple[type[OddsModel], ...] = (BoostedTrees, XGBoostTrees)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskPart(_Part):
    """One thing to forecast: the sign of the return, whether the high reaches a threshold, how large the move is (three
    classes, cut on training rows, in units of trailing volatility), or the log of the volatility to come."""

    kind: Kind
    horizon: int = Field(ge=1, le=21)
    threshold: float | None = Field(default=None, gt=0, lt=0.5)

    @model_validator(mode="after")
    def _threshold_of_the_event_alone(self) -> TaskPart:
        if (self.kind == "event") != (self.threshold is not None):
            raise ValueError("threshold: an event needs one, such as 0.01, and no other kind takes one")
        return self

    @property
    def name(self) -> str:
        at = "" if self.threshold is None else f"-{100 * self.threshold:g}pct"
        return f"{self.kind}{at}-{self.horizon}d"


class ModelPart(_Part):
    kind: Literal["logistic", "boosted_trees", "xgboost_trees", "random_forest", "mlp"]
    settings: dict[str, Setting] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _settings_are_those_of_the_kind(self) -> ModelPart:
        if "seed" in self.settings:
            raise ValueError("settings.seed: the seed is the plan's own, on its first level")
        self.new(0)
        return self

    def new(self, seed: int) -> OddsModel:
        """An unfitted model."""
        kind = model_kinds()[self.kind]
        seeded = {} if self.kind == "logistic" else {"seed": seed}
        try:
            return kind(**self.settings, **seeded)
        except (TypeError, InvalidInput) as error:
            raise ValueError(f"settings of {self.kind}: {error}") from None


class QuantilesPart(_Part):
    """Settings of the quantile boosting that answers volatility tasks."""

    rounds: int = Field(default=100, ge=1, le=1000)
    leaves: int = Field(default=7, ge=2, le=255)
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    min_rows_in_leaf: int = Field(default=100, ge=1)


class EarlyStopPart(_Part):
    share: float = Field(gt=0.0, lt=0.5)
    patience: int = Field(ge=1)


class WalkPart(_Part):
    initial: int = Field(ge=60)
    test: int = Field(ge=1)
    step: int = Field(ge=1)
    embargo: int = Field(ge=0)

    @model_validator(mode="after")
    def _no_row_is_scored_twice(self) -> WalkPart:
        if self.step < self.test or self.embargo >= self.initial:
            raise ValueError("expected step >= test, so that no row is scored twice, and embargo < initial")
        return self


class TrainingPlan(_Part):
    """Everything that decides what a training run gives, and nothing else."""

    family: str = Field(min_length=1)
    seed: int = Field(ge=0, lt=2**31)
    until: date | None = None
    features: Features
    tasks: tuple[TaskPart, ...] = Field(min_length=1)
    model: ModelPart | None = None
    quantiles: QuantilesPart | None = None
    early_stop: EarlyStopPart | None = None
    walk_forward: WalkPart

    @model_validator(mode="after")
    def _parts_fit_the_tasks(self) -> TrainingPlan:
        kinds = {task.kind for task in self.tasks}
        if len({task.name for task in self.tasks}) != len(self.tasks):
            raise ValueError("tasks: expected each once")
        if bool(kinds - {"volatility"}) != (self.model is not None):
            raise ValueError("model: direction, event and magnitude need it, and nothing else takes it")
        if ("volatility" in kinds) != (self.quantiles is not None):
            raise ValueError("quantiles: a volatility task needs it, and nothing else takes it")
        if self.early_stop is not None and (self.model is None or model_kinds()[self.model.kind] not in BOOSTED):
            raise ValueError("early_stop: only boosted_trees and xgboost_trees stop early")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return columns(self.features.blocks)

    @property
    def hash(self) -> str:
        """SHA-256 that names the run."""
        return digest(self.model_dump(mode="json"))

    def architecture(self, task: TaskPart) -> dict[str, Any]:
        """What a model of this task has to be: its kind, its settings and its columns."""
        if task.kind == "volatility":
            assert self.quantiles is not None
            return {"kind": QuantileBoosted.kind, "settings": self.quantiles.model_dump(), "columns": list(self.columns)}
        assert self.model is not None
        return {"kind": self.model.kind, "settings": dict(self.model.settings), "columns": list(self.columns)}

    @property
    def recipe(self) -> Recipe:
        assert self.model is not None
        return Recipe(self.model, self.seed, self.early_stop)


@dataclass(frozen=True)
class Recipe:
    """How one odds model is fitted on rows in time order, whoever asks: the final fit, a fold of the walk, a trial."""

    model: ModelPart
    seed: int
    early_stop: EarlyStopPart | None

    def fit(self, X: Array, y: Array, decision: Stamps, label_end: Stamps) -> tuple[OddsModel, int]:
        """The fitted model, and how many of the rows were held out for its early stop.

        The held-out rows are the last ones; a row before them whose label had not ended by the first of their decisions
        is dropped.

        Raises
        ------
        ShortHistory : fewer than 60 rows would be held out
        InvalidInput : one class among the rows fitted on, or among those held out
        """
        made = self.model.new(self.seed)
        if self.early_stop is None:
            return made.fit(X, y), 0
        assert isinstance(made, BoostedTrees | XGBoostTrees)
        cut = round(len(y) * (1.0 - self.early_stop.share))
        held = slice(cut, None)
        fitted = np.arange(cut)
        if cut < len(y):
            fitted = fitted[label_end[:cut] <= decision[cut]]
        later = HeldOut(X[held], y[held], self.early_stop.patience)
        return made.fit(X[fitted], y[fitted], held_out=later), len(y) - cut


PlanType = TypeVar("PlanType", bound=TrainingPlan)


def load_plan(path: Path | str, kind: type[PlanType]) -> PlanType:
    """A plan from its TOML file.

    Raises
    ------
    ConfigError : the file is missing, is no TOML, or a key is unknown or has a bad value (each is named)
    """
    file = Path(path)
    try:
        found: Mapping[str, Any] = tomllib.loads(file.read_text("utf-8"))
        return kind.model_validate(found)
    except OSError as error:
        raise ConfigError(f"expected a plan of a training in {file}, found none: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected valid TOML in {file}, found {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"expected a valid plan in {file}, found {problems}") from None
