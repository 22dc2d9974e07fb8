"""Frozen parameters of the fitted regime: what `models` learns and `fields` only applies.

A reading of the field must not learn while it reads. So the hidden Markov model and the change-point detector are fitted
elsewhere, on rows known by `fitted_until`, and come here as plain numbers that can be hashed, written as JSON and compared. A
moment before `fitted_until` may not be read with them: they know its future.

    HmmParameters           pi (k,), A (k, k), and for each state and feature a mean and a variance
    ChangePointParameters   hazard, the prior of a stretch's mean and precision (normal-gamma), and the longest run kept

Both are in the units of `filtered.observations`: the log return in %, and the log of the bar's range in %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from math import isfinite
from typing import Any, Self

from fieldcast.fields.vocabulary import HiddenState
from fieldcast.ground import IntegrityError, InvalidInput, digest, utc

FORMAT = 1
RETURN, RANGE = "return", "range"
FEATURES = ((RETURN,), (RETURN, RANGE))
STATE_NAMES: Mapping[int, tuple[HiddenState, ...]] = {
    2: (HiddenState.CALM, HiddenState.TURBULENT),
    3: (HiddenState.CALM, HiddenState.NORMAL, HiddenState.TURBULENT),
    4: (HiddenState.CALM, HiddenState.NORMAL, HiddenState.TENSE, HiddenState.TURBULENT),
}
_SUM = 1e-9


@dataclass(frozen=True)
class _Fitted:
    """What both have: of whom, on what, known when."""

    instrument: str
    fitted_until: datetime
    rows: int
    simulated: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "fitted_until", utc(self.fitted_until))

    @property
    def hash(self) -> str:
        """SHA-256 of kind and values."""
        return digest({"kind": type(self).__name__, **asdict(self)})

    def as_dict(self) -> dict[str, Any]:
        """JSON types, with format, kind and hash; `from_dict` takes them back."""
        values = asdict(self) | {"fitted_until": self.fitted_until.isoformat()}
        return {"format": FORMAT, "kind": type(self).__name__, "hash": self.hash, "parameters": values}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """The parameters that `as_dict` wrote.

        Raises
        ------
        InvalidInput : another format or kind
        IntegrityError : the values do not have the recorded hash
        """
        if found.get("format") != FORMAT or found.get("kind") != cls.__name__:
            raise InvalidInput(
                f"expected {cls.__name__} of format {FORMAT}, found {found.get('kind')!r}, {found.get('format')!r}"
            )
        try:
            values = {name: _frozen(value) for name, value in found["parameters"].items()}
            made = cls(**values | {"fitted_until": datetime.fromisoformat(values["fitted_until"])})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"expected {cls.__name__} as they were written, found {error}; fit them again") from None
        if made.hash != found.get("hash"):
            raise IntegrityError(f"expected {cls.__name__} with hash {found.get('hash')}, found {made.hash}; fit them again")
        return made

    def usable_at(self, instrument: str, as_of: datetime) -> None:
        """Refuse another instrument, or a moment that these parameters know the future of.

        Raises
        ------
        InvalidInput : either
        """
        if self.instrument != instrument:
            raise InvalidInput(f"expected regime parameters of {instrument}, found those of {self.instrument}; fit them")
        if self.fitted_until > utc(as_of):
            raise InvalidInput(
                f"expected parameters fitted on what was known at {utc(as_of).isoformat()}, found a fit on rows known until "
                f"{self.fitted_until.isoformat()}; fit earlier ones"
            )


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class HmmParameters(_Fitted):
    """A hidden Markov model with k states and normal features, independent of each other within a state.

    Parameters
    ----------
    instrument : id
    fitted_until : when the newest row of the fit was known, UTC
    rows : of the fit
    simulated : True where the rows were
    features : (`return`,) or (`return`, `range`)
    initial : (k,) odds of the states before the first row
    transition : (k, k) row: from, column: to
    means, variances : (k, d) in the units of `observations`; states ascend by the variance of the return
    log_likelihood, bic : of the fit; BIC = −2 log L + p log n, the lower the better
    iterations, converged : of the best start

    Raises
    ------
    InvalidInput : shapes that disagree, odds that do not sum to 1, a variance that is not positive, or states out of order
    """

    features: tuple[str, ...]
    initial: tuple[float, ...]
    transition: tuple[tuple[float, ...], ...]
    means: tuple[tuple[float, ...], ...]
    variances: tuple[tuple[float, ...], ...]
    log_likelihood: float
    bic: float
    iterations: int
    converged: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        states, width = len(self.initial), len(self.features)
        if states not in STATE_NAMES or self.features not in FEATURES:
            raise InvalidInput(f"expected 2 to 4 states on return, or return and range, found {states} on {self.features}")
        tables = (("transition", self.transition, states), ("means", self.means, width), ("variances", self.variances, width))
        for name, table, columns in tables:
            if len(table) != states or any(len(row) != columns for row in table):
                raise InvalidInput(f"expected {name} of shape ({states}, {columns}), found another")
        numbers = [*self.initial, *(x for _, table, _ in tables for row in table for x in row), self.log_likelihood, self.bic]
        if not all(isfinite(x) for x in numbers):
            raise InvalidInput("expected finite parameters, found NaN or infinity; fit again")
        if any(min(row) < 0 or abs(sum(row) - 1) > _SUM for row in (self.initial, *self.transition)):
            raise InvalidInput("expected odds of states that sum to 1 in every row, found others")
        spread = [row[0] for row in self.variances]
        if min(x for row in self.variances for x in row) <= 0 or spread != sorted(spread):
            raise InvalidInput("expected positive variances, those of the return ascending over the states, found others")

    @property
    def states(self) -> tuple[HiddenState, ...]:
        """The states' names, calmest first."""
        return STATE_NAMES[len(self.initial)]


@dataclass(frozen=True)
class ChangePointParameters(_Fitted):
    """A series that starts anew with odds `hazard` at each row; within a stretch returns are normal.

    Parameters
    ----------
    instrument, fitted_until, rows, simulated : as in `HmmParameters`
    hazard : odds that a row begins a new stretch, between 0 and 1
    mean, weight : prior of a stretch's mean: its value (%), and how many observations it counts for
    shape, scale : prior of its precision: gamma(shape, rate = scale); scale / shape is about the variance, in %²
    longest : rows; longer runs are counted as this long
    recent : rows; a run of at most so many is a recent change
    log_evidence : of the fit
    """

    hazard: float
    mean: float
    weight: float
    shape: float
    scale: float
    log_evidence: float
    longest: int = 500
    recent: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.hazard < 1 or not isfinite(self.mean) or not isfinite(self.log_evidence):
            raise InvalidInput(f"expected a hazard between 0 and 1 and a finite mean, found {self.hazard} and {self.mean}")
        if not all(isfinite(x) and x > 0 for x in (self.weight, self.shape, self.scale)):
            raise InvalidInput(f"expected a positive weight, shape and scale, found {self.weight}, {self.shape}, {self.scale}")
        if not 1 <= self.recent < self.longest:
            raise InvalidInput(f"expected 1 ≤ recent < longest, found {self.recent} and {self.longest}")
