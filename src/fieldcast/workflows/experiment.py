"""One TOML file is one experiment, and its hash names the run."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fieldcast.features import columns, registry_hash
from fieldcast.ground import ConfigError, InvalidInput, digest

Horizon = Annotated[int, Field(ge=1, le=5)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Nominated(_Part):
    """The one configuration that may open the gate to paper, named before the first run."""

    model: Literal["logistic", "boosted_trees"]
    label: Literal["sign"] = "sign"      # the gate judges the sign of the next session's return, and nothing else
    horizon: Literal[1] = 1


class Features(_Part):
    blocks: tuple[str, ...]

    @field_validator("blocks")
    @classmethod
    def _blocks_exist(cls, blocks: tuple[str, ...]) -> tuple[str, ...]:
        try:
            columns(blocks)
        except InvalidInput as error:
            raise ValueError(str(error)) from None
        return blocks


class Walk(_Part):
    initial: int = Field(ge=60)
    test: int = Field(ge=1)
    step: int = Field(ge=1)
    embargo: int = Field(ge=0)
    calibration_share: float = Field(gt=0.05, lt=0.5)


class Labels(_Part):
    sign: tuple[Horizon, ...]
    event: tuple[Horizon, ...] = ()
    event_threshold: float = Field(gt=0, lt=0.5)
    flat_share: float = Field(gt=0, lt=1)

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        return tuple(("sign", h) for h in self.sign) + tuple(("event", h) for h in self.event)


class LogisticPart(_Part):
    l2: float = Field(gt=0)
    refit: int = Field(ge=1)


class TreesPart(_Part):
    rounds: int = Field(ge=1, le=2000)
    leaves: int = Field(ge=2, le=255)
    refit: int = Field(ge=1)
    seed: int


class Models(_Part):
    logistic: LogisticPart
    boosted_trees: TreesPart | None = None


class Cones(_Part):
    sigma: Literal["log_har"] = "log_har"
    refit: int = Field(ge=1)
    benchmark_refit: int = Field(ge=1)
    regressors: tuple[str, ...] = ()          # columns that join the log-HAR's own
    drift: Literal["cone", "odds"] = "cone"
    forecaster: Literal["conformal", "adaptive", "experts"] = "conformal"     # what finds the cone's quantiles


class Intervals(_Part):
    block: int = Field(ge=21)
    draws: int = Field(ge=200)
    seed: int


class CyclePart(_Part):
    sessions: int = Field(ge=1)
    volatility_target: float = Field(gt=0, lt=1)
    nav: Decimal = Field(gt=0)


class SimulatedPart(_Part):
    """Seeds of the demo's two simulated instruments."""

    planted_seed: int = Field(ge=0)
    martingale_seed: int = Field(ge=0)


class Experiment(_Part):
    """Everything that decides the figures of a run, and nothing else."""

    family: str = Field(min_length=1)
    nominated: Nominated
    features: Features
    walk_forward: Walk
    labels: Labels
    models: Models
    cones: Cones
    intervals: Intervals
    cycle: CyclePart
    simulated: SimulatedPart = SimulatedPart(planted_seed=1, martingale_seed=1)
    preregistered: bool = False          # True: no run starts before its minimum detectable effect is on record

    @model_validator(mode="after")
    def _nominated_is_run(self) -> Experiment:
        if (self.nominated.label, self.nominated.horizon) not in self.labels.pairs:
            raise ValueError(f"nominated: {self.nominated.label} over {self.nominated.horizon} is not in labels")
        if self.nominated.model == "boosted_trees" and self.models.boosted_trees is None:
            raise ValueError("nominated.model: boosted_trees is nominated, but models.boosted_trees is not there")
        return self

    @model_validator(mode="after")
    def _regressors_are_features(self) -> Experiment:
        known = columns(self.features.blocks)
        unknown = [name for name in self.cones.regressors if name not in known]
        if unknown or len(set(self.cones.regressors)) != len(self.cones.regressors):
            raise ValueError(f"cones.regressors: expected distinct columns of features.blocks, found {unknown or 'one twice'}")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 that names the run.

        An option of the cones at its default is no part of it, so that runs from before there was the option keep their name.
        The block `fields` is whatever engines have registered: where it is used, the declarations of its columns are part of the
        name, and a run with another field map is another run.
        """
        plain = self.model_dump(mode="json")
        for name in ("regressors", "drift", "forecaster"):
            if getattr(self.cones, name) == Cones.model_fields[name].default:
                del plain["cones"][name]
        if not self.preregistered:
            del plain["preregistered"]
        fields = [name for name in self.features.blocks if name.partition(".")[0] == "fields"]
        if fields:
            plain["field_columns"] = registry_hash(columns(fields))
        return digest(plain)


def load_experiment(path: Path | None = None) -> Experiment:
    """The experiment in a TOML file; none = the demo's.

    Raises
    ------
    ConfigError : the file is missing, is no TOML, or a key is unknown or has a bad value (each is named)
    """
    try:
        text = files("fieldcast.workflows").joinpath("demo.toml").read_text("utf-8") if path is None else path.read_text("utf-8")
        return Experiment.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"expected an experiment file, found none at {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected valid TOML in {path}, found {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"expected a valid experiment in {path or 'demo.toml'}, found {problems}") from None
