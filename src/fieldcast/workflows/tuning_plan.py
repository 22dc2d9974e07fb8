"""The TOML file of a search: a training plan with one task, the space that is searched, and by what.

… a plan of `fieldcast train odds` with one direction or event, and below it
[study]
name = "first"
trials = 20
objectives = ["log_loss"]        # log_loss | accuracy | sharpe | calibration; several: a Pareto front
extremes = 4                     # corners of the space that are tried first
[space]
rounds = { low = 20, high = 200 }
learning_rate = { low = 0.01, high = 0.3, log = true }
leaves = { choices = [3, 7, 15] }
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any, Literal

from pydantic import Field, model_validator

from fieldcast.ground import digest
from fieldcast.ground.hashing import canonical
from fieldcast.workflows.recipe_parts import Part
from fieldcast.workflows.training_plan import ModelPart, Setting, TrainingPlan

Objective = Literal["log_loss", "accuracy", "sharpe", "calibration"]
MAXIMISED = ("accuracy", "sharpe")
MOST_DIMENSIONS = 12


class Range(Part):
    """One dimension: whole numbers or reals from `low` to `high`, both ends included, or a list of choices."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Setting, ...] = ()

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Range:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or len(self.choices) < 2:
                raise ValueError("expected at least two choices and no low, high or log beside them")
            if len({canonical(choice) for choice in self.choices}) != len(self.choices):  # 1, 1.0 and true are one
                raise ValueError("expected choices that differ")
        elif (
            self.low is None
            or self.high is None
            or not canonical(self.low) < canonical(self.high)  # at the digits in which a point is on record
            or (self.log and self.low <= 0)
        ):
            raise ValueError("expected low < high (above 0 with log), or choices")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Setting, Setting]:
        if self.choices:
            return canonical(self.choices[0]), canonical(self.choices[-1])
        assert self.low is not None
        assert self.high is not None
        return (self.low, self.high) if self.whole else (canonical(float(self.low)), canonical(float(self.high)))

    @property
    def size(self) -> float:
        """Number of points; infinite for reals."""
        if self.choices:
            return len(self.choices)
        assert self.low is not None
        assert self.high is not None
        return self.high - self.low + 1 if self.whole else math.inf


class StudyPart(Part):
    name: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9._-]+$")
    trials: int = Field(ge=1, le=10_000)
    objectives: tuple[Objective, ...] = Field(min_length=1)
    extremes: int = Field(default=4, ge=0)


class TuningPlan(TrainingPlan):
    """A training plan, and where around its settings the search may go."""

    study: StudyPart
    space: dict[str, Range] = Field(min_length=1, max_length=MOST_DIMENSIONS)

    @model_validator(mode="after")
    def _can_be_searched(self) -> TuningPlan:
        if len(self.tasks) != 1 or self.tasks[0].kind not in ("direction", "event"):
            raise ValueError("tasks: expected one direction or event to search for")
        if len(set(self.study.objectives)) != len(self.study.objectives):
            raise ValueError("study.objectives: expected each once")
        if self.study.extremes > self.study.trials:
            raise ValueError("study.extremes: expected no more than study.trials")
        if self.points < self.study.trials:
            raise ValueError(f"space: it has {self.points:.0f} points, too few for {self.study.trials} different trials")
        for corner in self.corners(len(self.space) + 2):
            self.with_settings(corner)
        return self

    @property
    def points(self) -> float:
        return math.prod(found.size for found in self.space.values())

    def corners(self, most: int) -> list[dict[str, Setting]]:
        """Corner points of the space: all low, all high, then each dimension alone at its high end, then the others."""
        names = list(self.space)
        low, high = (dict(zip(names, found, strict=True)) for found in zip(*(r.ends for r in self.space.values()), strict=True))
        found = [low, high, *({**low, name: high[name]} for name in names)]
        if most > len(found):
            found += [dict(zip(names, ends, strict=True)) for ends in product(*(r.ends for r in self.space.values()))]
        return list({digest(corner): corner for corner in found}.values())[:most]

    def with_settings(self, settings: dict[str, Setting]) -> TrainingPlan:
        """The training plan at a point of the space.

        Raises
        ------
        ValueError : the model does not take these settings
        """
        assert self.model is not None
        model = ModelPart(kind=self.model.kind, settings={**self.model.settings, **settings})
        plain = {name: getattr(self, name) for name in TrainingPlan.model_fields}
        return TrainingPlan.model_construct(**{**plain, "model": model})

    @property
    def study_hash(self) -> str:
        """SHA-256 of all that a trial's scores and its place in the search rest on; more trials are the same study."""
        found: dict[str, Any] = self.model_dump(mode="json")
        del found["study"]["trials"]
        return digest(found)
