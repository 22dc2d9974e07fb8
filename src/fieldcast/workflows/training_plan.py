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
[walk_forward]
initial = 756
test = 252
step = 252
embargo = 5

Optional tables: early_stop, weights, normalise, curation; see `recipe_parts`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from fieldcast.features import columns
from fieldcast.ground import ConfigError, InvalidInput, digest
from fieldcast.models import BoostedTrees, OddsModel, QuantileBoosted, XGBoostTrees, model_kinds
from fieldcast.workflows.experiment import Features
from fieldcast.workflows.recipe import Recipe
from fieldcast.workflows.recipe_parts import CurationPart, EarlyStopPart, NormalisePart, Part, WeightsPart

Kind = Literal["direction", "event", "magnitude", "volatility"]
Setting = bool | int | float | str
_LATER = ("weights", "normalise", "curation")  # tables that came later: a plan without them keeps its hash
BOOSTED: tuple[type[OddsModel], ...] = (BoostedTrees, XGBoostTrees)


class TaskPart(Part):
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


class ModelPart(Part):
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


class QuantilesPart(Part):
    """Settings of the quantile boosting that answers volatility tasks."""

    rounds: int = Field(default=100, ge=1, le=1000)
    leaves: int = Field(default=7, ge=2, le=255)
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    min_rows_in_leaf: int = Field(default=100, ge=1)


class WalkPart(Part):
    initial: int = Field(ge=60)
    test: int = Field(ge=1)
    step: int = Field(ge=1)
    embargo: int = Field(ge=0)

    @model_validator(mode="after")
    def _no_row_is_scored_twice(self) -> WalkPart:
        if self.step < self.test or self.embargo >= self.initial:
            raise ValueError("expected step >= test, so that no row is scored twice, and embargo < initial")
        return self


class TrainingPlan(Part):
    """Everything that decides what a training run gives, and nothing else."""

    family: str = Field(min_length=1)
    seed: int = Field(ge=0, lt=2**31)
    until: date | None = None
    features: Features
    tasks: tuple[TaskPart, ...] = Field(min_length=1)
    model: ModelPart | None = None
    quantiles: QuantilesPart | None = None
    early_stop: EarlyStopPart | None = None
    weights: WeightsPart | None = None
    normalise: NormalisePart | None = None
    curation: CurationPart | None = None
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
        if kinds == {"volatility"} and (self.curation or (self.weights and self.weights.balance)):
            raise ValueError("curation, weights.balance: a volatility has no classes; leave them out")
        if self.weights is not None and self.weights.energy is not None and self.weights.energy.column not in self.columns:
            raise ValueError(f"weights.energy.column: expected one of the plan's columns, found {self.weights.energy.column!r}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return columns(self.features.blocks)

    @property
    def hash(self) -> str:
        """SHA-256 that names the run."""
        whole = self.model_dump(mode="json")
        return digest({name: part for name, part in whole.items() if part is not None or name not in _LATER})

    def architecture(self, task: TaskPart) -> dict[str, Any]:
        """What a model of this task has to be: its kind, its settings and its columns."""
        if task.kind == "volatility":
            assert self.quantiles is not None
            kind, settings = QuantileBoosted.kind, self.quantiles.model_dump()
        else:
            assert self.model is not None
            kind, settings = self.model.kind, dict(self.model.settings)
        scaled = {} if self.normalise is None else {"normaliser": self.normalise.kind}
        return {"kind": kind, "settings": settings, "columns": list(self.columns), **scaled}

    @property
    def recipe(self) -> Recipe:
        """How a model of this plan is fitted."""
        return Recipe(self.columns, self.seed, self.early_stop, self.weights, self.normalise, self.curation)

    def new(self) -> OddsModel:
        """An unfitted model of odds."""
        assert self.model is not None
        return self.model.new(self.seed)


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
