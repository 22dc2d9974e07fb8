"""Tables of a training plan that say how rows are turned into a fit.

[early_stop]                     # boosting alone
share = 0.2                      # the last part of the training rows
patience = 20                    # rounds without a gain
[weights]                        # each key is one weight; they are multiplied
uniqueness = true                # how far labels run alone
half_life = 500                  # sessions after which a row counts half
volatility = true                # 1 / trailing volatility
energy = { column = "amihud_20", power = 1.0 }
balance = "balanced"             # or sqrt
[normalise]
kind = "robust"                  # standard | min_max | robust
keep_bounded = true              # columns between two declared bounds are handed through
[curation]                       # limits as in models.curation; an empty table takes its defaults
correlation = 0.02
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fieldcast.ground import InvalidInput
from fieldcast.models.curation import CurationRules


class Part(BaseModel):
    """A table of a plan: every key is known, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EarlyStopPart(Part):
    share: float = Field(gt=0.0, lt=0.5)
    patience: int = Field(ge=1)


class EnergyPart(Part):
    """The column that holds the energy of a move, above zero in every training row, and the power of its reciprocal."""

    column: str = Field(min_length=1)
    power: float = Field(default=1.0, gt=0)


class WeightsPart(Part):
    """What weighs a training row; see `features.weights`."""

    uniqueness: bool = False
    half_life: float | None = Field(default=None, gt=0)
    volatility: bool = False
    energy: EnergyPart | None = None
    balance: Literal["balanced", "sqrt"] | None = None

    @model_validator(mode="after")
    def _something_weighs(self) -> WeightsPart:
        if not (self.uniqueness or self.volatility or self.half_life or self.energy or self.balance):
            raise ValueError("expected uniqueness, half_life, volatility, energy or balance; leave the table out for none")
        return self


class NormalisePart(Part):
    """A normaliser of single rows; those of windows need a model of windows."""

    kind: Literal["standard", "min_max", "robust"]
    keep_bounded: bool = False


_DEFAULT = CurationRules()


class CurationPart(Part):
    """Limits of `models.curation.CurationRules`."""

    correlation: float = _DEFAULT.correlation
    information: float = _DEFAULT.information
    sigmas: float = _DEFAULT.sigmas
    redundancy: float = _DEFAULT.redundancy
    unsteadiness: float = _DEFAULT.unsteadiness
    worth: float = _DEFAULT.worth
    worth_sigmas: float = _DEFAULT.worth_sigmas
    blocks: int = _DEFAULT.blocks
    folds: int = _DEFAULT.folds
    shuffles: int = _DEFAULT.shuffles

    @model_validator(mode="after")
    def _limits_are_valid(self) -> CurationPart:
        try:
            self.rules()
        except InvalidInput as error:
            raise ValueError(str(error)) from None
        return self

    def rules(self) -> CurationRules:
        return CurationRules(**self.model_dump())
