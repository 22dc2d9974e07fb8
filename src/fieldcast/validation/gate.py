"""The gate to paper: may money follow this projection?

The score P(up) / (P(up) + P(down)) is set against the sign of the 1-day return, over the whole out-of-sample span
of the one configuration that was nominated beforehand, on every row whose return is not zero. Up-against-the-rest
and threshold labels are predictable from volatility alone (a martingale with stochastic volatility reaches 0.55 to
0.64 on them), so they are never offered: the outcome is taken from the returns here, not from a label.

In this order:

    PASS           estimate > 0.52 and one-sided 95 % lower bound > 0.50
    CANNOT_JUDGE   .02 / standard error < 2.49           (less than 80 % power: the sample is too small to refuse)
    FAIL           estimate <= 0.52
    CANNOT_JUDGE   above the point, but the bound is not above 0.50

Several instruments: pairs are compared within each, and each weighs as many pairs as it has. The interval comes
from the stationary bootstrap over blocks of dates, mean length at least 21 sessions, all instruments of a date
together. Spans under 252 sessions are refused: there, small-window bias takes the sign of the model's loadings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.evaluation import auc, auc_interval
from fieldcast.ground import InvalidInput, MissingData, Reason

GATE = "V04"
POINT = 0.52           # the estimate must be above it
CHANCE = 0.50          # and its lower bound above this
EDGE = 0.02            # the smallest edge worth finding
POWER = 2.49           # z(0.95) + z(0.80): edge / standard error that gives 80 % power at one-sided 5 %
LEAST_SESSIONS = 252
LEAST_BLOCK = 21
DRAWS = 1000
_TOLERANCE = 1e-12     # 0.52 computed as a ratio of counts may come out as 0.5200000000000001


class GateOutcome(StrEnum):
    """What a gate can say."""

    PASS = "PASS"
    FAIL = "FAIL"
    CANNOT_JUDGE = "CANNOT_JUDGE"


_REASONS = {
    GateOutcome.PASS: Reason.GATE_PASSED,
    GateOutcome.FAIL: Reason.GATE_FAILED,
    GateOutcome.CANNOT_JUDGE: Reason.GATE_CANNOT_JUDGE,
}


@dataclass(frozen=True, eq=False)
class SignForecast:
    """Out-of-sample direction odds of one instrument for the next session, over its whole span.

    Parameters
    ----------
    instrument : id
    dates : (n,) session of each decision, strictly ascending
    p_up, p_down : (n,) probabilities, together above 0 and at most 1 (the rest is flat)
    ret : (n,) log return close(t) to close(t+1); rows where it is 0 are set aside by the gate, so hand them over
    """

    instrument: str
    dates: NDArray[Any]
    p_up: NDArray[np.float64]
    p_down: NDArray[np.float64]
    ret: NDArray[np.float64]

    def __post_init__(self) -> None:
        days = np.asarray(self.dates, dtype="datetime64[D]")
        columns = {name: np.asarray(getattr(self, name), dtype=np.float64) for name in ("p_up", "p_down", "ret")}
        if days.ndim != 1 or any(column.shape != days.shape for column in columns.values()):
            shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
            raise InvalidInput(
                f"expected columns of one length for {self.instrument}, found dates {days.shape}, {shapes}"
            )
        if np.isnat(days).any() or (np.diff(days) <= np.timedelta64(0, "D")).any():
            raise InvalidInput(
                f"expected known, strictly ascending sessions for {self.instrument}; sort the rows first"
            )
        for name, column in columns.items():
            bad = np.count_nonzero(~np.isfinite(column))
            if bad:
                raise InvalidInput(
                    f"expected finite {name} for {self.instrument}, found {bad} NaN or infinite rows; leave rows out "
                    "whose forecast or next return is not known"
                )
            object.__setattr__(self, name, column)
        total = self.p_up + self.p_down
        if (self.p_up < 0.0).any() or (self.p_down < 0.0).any() or (total <= 0.0).any() or (total > 1.0 + 1e-9).any():
            raise InvalidInput(
                f"expected P(up) and P(down) of {self.instrument} at or above 0 with a sum in (0, 1], found sums from "
                f"{total.min():g} to {total.max():g}"
            )
        object.__setattr__(self, "dates", days)

    @property
    def score(self) -> NDArray[np.float64]:
        """P(up) / (P(up) + P(down)): the odds of the sign, whatever is said about flat."""
        return self.p_up / (self.p_up + self.p_down)


@dataclass(frozen=True)
class InstrumentFigure:
    """One instrument's part of a gate: AUC (None where its returns have one sign only), rows, pairs."""

    instrument: str
    auc: float | None
    n: int
    pairs: int


@dataclass(frozen=True)
class GateResult:
    """What the gate said, and the figures that led to it.

    `n` counts rows with a return that is not zero, `dates` the distinct sessions of the bootstrap (None on a result
    read back from the ledger, which keeps the figures but not that count).
    """

    outcome: GateOutcome
    estimate: float
    standard_error: float
    lower_bound: float
    n: int
    dates: int | None
    reasons: tuple[Reason, ...]
    instruments: tuple[InstrumentFigure, ...] = field(default=())
    gate: str = GATE

    @property
    def passed(self) -> bool:
        return self.outcome is GateOutcome.PASS

    @property
    def power_ratio(self) -> float:
        """Edge of .02 over the standard error; 2.49 and more is a sample that could tell."""
        return EDGE / self.standard_error if self.standard_error > 0.0 else math.inf

    @property
    def text(self) -> str:
        """What was expected, what was found, and why that leads to the outcome; for people."""
        found = (
            f"expected an AUC of the sign above {POINT:.2f} with its one-sided 95 % bound above {CHANCE:.2f}; found "
            f"{_shown(self.estimate, POINT)} with bound {_shown(self.lower_bound, CHANCE)} (standard error "
            f"{self.standard_error:.4f}, n={self.n}"
            + (f" on {self.dates} sessions)" if self.dates is not None else ")")
        )
        return f"{self.outcome}: {found}. {self._why()}"

    def _why(self) -> str:
        if self.outcome is GateOutcome.PASS:
            return "Both hold: this projection may be followed on paper."
        power = f".02 / standard error = {self.power_ratio:.2f}, needed {POWER}"
        if self.outcome is GateOutcome.FAIL:
            return f"The sample is large enough to show an edge of .02 ({power}), and it is not there."
        if self.power_ratio < POWER:
            times = (POWER / self.power_ratio) ** 2
            return f"The sample is too small to tell ({power}): about {times:.1f} times as many rows are needed."
        return "The estimate is above the point, but chance alone could still explain it."


def decide(estimate: float, standard_error: float, lower: float) -> GateOutcome:
    """The decision rule of V04 by itself; see the module for its four clauses and their order.

    Raises
    ------
    InvalidInput : a figure is not finite, or the standard error is negative
    """
    if not all(math.isfinite(figure) for figure in (estimate, standard_error, lower)) or standard_error < 0.0:
        raise InvalidInput(f"expected finite figures, found {estimate}, {standard_error}, {lower}")
    above = estimate > POINT + _TOLERANCE
    if above and lower > CHANCE + _TOLERANCE:
        return GateOutcome.PASS
    if POWER * standard_error > EDGE:
        return GateOutcome.CANNOT_JUDGE
    return GateOutcome.CANNOT_JUDGE if above else GateOutcome.FAIL


def gate_v04(
    forecasts: Sequence[SignForecast],
    *,
    label: str = "sign",
    horizon: int = 1,
    seed: int = 0,
    block: int = LEAST_BLOCK,
    draws: int = DRAWS,
) -> GateResult:
    """Judge the one nominated configuration on its whole out-of-sample span.

    Parameters
    ----------
    forecasts : one entry an instrument, each over its whole out-of-sample span
    label, horizon : what the odds forecast; anything but the sign of the 1-day return is refused
    seed, draws : of the bootstrap
    block : mean block length in sessions, at least 21

    Raises
    ------
    InvalidInput : another label or horizon, a block under 21 sessions, no instrument or one twice
    MissingData : a span under 252 sessions, or returns of one sign only
    """
    if label != "sign" or horizon != 1:
        raise InvalidInput(
            f"expected the label sign at a horizon of 1 session, found {label!r} at {horizon}: threshold and "
            "up-against-the-rest labels are predictable from volatility alone and never open a gate; show them as "
            "volatility skill"
        )
    if block < LEAST_BLOCK:
        raise InvalidInput(f"expected date blocks of at least {LEAST_BLOCK} sessions, found {block}")
    names = [forecast.instrument for forecast in forecasts]
    if not names or len(set(names)) != len(names):
        raise InvalidInput(f"expected each instrument once and at least one, found {names}")
    for forecast in forecasts:
        if forecast.dates.size < LEAST_SESSIONS:
            raise MissingData(
                f"expected an out-of-sample span of at least {LEAST_SESSIONS} sessions for {forecast.instrument}, "
                f"found {forecast.dates.size}; on shorter ones small-window bias takes the sign of the model's loadings"
            )
    moved = [forecast.ret != 0.0 for forecast in forecasts]
    interval = auc_interval(
        np.concatenate([f.score[rows] for f, rows in zip(forecasts, moved, strict=True)]),
        np.concatenate([f.ret[rows] > 0.0 for f, rows in zip(forecasts, moved, strict=True)]),
        dates=np.concatenate([f.dates[rows] for f, rows in zip(forecasts, moved, strict=True)]),
        groups=np.concatenate([np.full(int(rows.sum()), i) for i, rows in enumerate(moved)]),
        block=block,
        draws=draws,
        seed=seed,
    )
    outcome = decide(interval.estimate, interval.standard_error, interval.lower_one_sided)
    return GateResult(
        outcome=outcome,
        estimate=interval.estimate,
        standard_error=interval.standard_error,
        lower_bound=interval.lower_one_sided,
        n=interval.n,
        dates=interval.dates,
        reasons=(_REASONS[outcome],),
        instruments=tuple(_figure(f, rows) for f, rows in zip(forecasts, moved, strict=True)),
    )


def _figure(forecast: SignForecast, rows: NDArray[np.bool_]) -> InstrumentFigure:
    up = forecast.ret[rows] > 0.0
    pairs = int(up.sum()) * int((~up).sum())
    value = auc(forecast.score[rows], up) if pairs else None
    return InstrumentFigure(forecast.instrument, value, up.size, pairs)


def _shown(value: float, limit: float) -> str:
    """Four digits, more where the value would otherwise look equal to the limit that it is compared with."""
    digits = 4 if abs(value - limit) >= 5e-5 or value == limit else 8
    return f"{value:.{digits}f}"
