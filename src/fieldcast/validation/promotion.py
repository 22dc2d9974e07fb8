"""May a model of one symbol be promoted? The gates as they were named, with "cannot judge" where they would mean nothing.

On the calls of one symbol, out of sample, a call being the side that got the larger probability p of happening:

    accuracy       calls that were right / calls                                         at least 68 %
    majority       share of the side that happened more often, on the same calls         accuracy must be above it
    calibration    debiased error of p against being right (Kumar, Liang, Ma 2019)       at most 5 %
    leakage        a report of `leakage` with every door tested                          no leak

In this order:

    FAIL           a leak was found: no sample is too small for that
    CANNOT_JUDGE   a door was not tested, or fewer than 1,000 effective calls (dates with calls / horizon of overlapping labels)
    FAIL           accuracy under 68 %, not above the majority rate, or calibration error above 5 %
    CANNOT_JUDGE   above the majority rate, but the one-sided 95 % bound of the difference (date blocks) is not above 0
    PASS

A forecast that always calls one side is right as often as that side happens, which is never above the majority rate: it cannot
pass, whatever its accuracy. Below 1,000 calls the plug-in calibration error of a perfect forecast is above 4 % by chance alone,
and an accuracy of 68 % is not told from 65 % (1,000 calls: standard error 1.5 points). Exit codes: 0 all pass, 1 any fails, 4
none fails and any cannot be judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.evaluation import CalibrationError, Interval, ece, mean_interval
from fieldcast.ground import InvalidInput
from fieldcast.validation.gate import GateOutcome
from fieldcast.validation.leakage import LeakageReport

GATE = "V08"
ACCURACY = 0.68
CALIBRATION = 0.05
LEAST_CALLS = 1000
BLOCK = 21
DRAWS = 1000
PASSED, FAILED, NOT_JUDGED = 0, 1, 4  # exit codes; 2 is wrong use, 3 a conflict
_TOLERANCE = 1e-12  # 680 of 1,000 is 68 %, however it is rounded


@dataclass(frozen=True, eq=False)
class SymbolCalls:
    """Out-of-sample calls of one symbol.

    Parameters
    ----------
    symbol : id
    dates : (n,) stamp of each call, ascending; several may share one
    p_up : (n,) probability of a rise, given that there is a move
    up : (n,) 1 where it rose, 0 where it fell; leave out calls without an outcome
    horizon : sessions that the outcome spans
    """

    symbol: str
    dates: NDArray[Any]
    p_up: NDArray[np.float64]
    up: NDArray[np.float64]
    horizon: int = 1

    def __post_init__(self) -> None:
        stamps = np.asarray(self.dates)
        p, up = np.asarray(self.p_up, dtype=np.float64), np.asarray(self.up, dtype=np.float64)
        if not self.symbol or self.horizon < 1 or not (stamps.shape == p.shape == up.shape) or p.ndim != 1:
            raise InvalidInput(
                f"expected a symbol, a horizon of at least 1 and columns of one length, found {self.symbol!r}, {self.horizon}, "
                f"{stamps.shape}, {p.shape}, {up.shape}"
            )
        if not (np.isfinite(p).all() and ((p >= 0.0) & (p <= 1.0)).all() and np.isin(up, (0.0, 1.0)).all()):
            raise InvalidInput(f"expected p_up of {self.symbol} in [0, 1] and up of 0 or 1; leave out what is not known")
        if stamps.size and (stamps[1:] < stamps[:-1]).any():
            raise InvalidInput(f"expected calls of {self.symbol} in time order; sort the rows first")
        for name, value in (("dates", stamps), ("p_up", p), ("up", up)):
            object.__setattr__(self, name, value)

    @property
    def called(self) -> NDArray[np.float64]:
        """(n,) 1 where a rise was called, 0 where a fall; at exactly one half the rise, so that no call is left out."""
        return (self.p_up >= 0.5).astype(np.float64)

    @property
    def effective(self) -> int:
        """Calls that do not overlap, about: dates with calls / horizon. Calls of one date share most of their outcome."""
        return int(np.unique(self.dates).size) // self.horizon

    @property
    def overlap(self) -> int:
        """Neighbouring calls that share an outcome: horizon, times the calls of a date where there are several."""
        dates = int(np.unique(self.dates).size)
        return self.horizon * -(-self.p_up.size // dates) if dates else self.horizon


@dataclass(frozen=True)
class PromotionResult:
    """What the gates said of one symbol, and the figures that led to it; None where there were too few calls for a figure."""

    symbol: str
    outcome: GateOutcome
    reasons: tuple[str, ...]
    n: int
    effective: int
    accuracy: float | None
    majority: float | None
    advantage: Interval | None
    calibration: CalibrationError | None
    leakage: str
    gate: str = GATE

    @property
    def text(self) -> str:
        """The verdict and why, for people."""
        return f"{self.symbol} {self.outcome}: " + "; ".join(self.reasons)


def promotion(calls: SymbolCalls, leakage: LeakageReport | None, *, draws: int = DRAWS, seed: int = 0) -> PromotionResult:
    """Put one symbol to the gates.

    Parameters
    ----------
    leakage : report of the leakage tests of this model; None = none was made, which cannot pass
    draws, seed : of the bootstrap by dates and of the calibration's null band
    """
    right = (calls.called == calls.up).astype(np.float64)
    n = right.size
    accuracy = float(right.mean()) if n else None
    majority = float(max(calls.up.mean(), 1.0 - calls.up.mean())) if n else None
    confidence = np.maximum(calls.p_up, 1.0 - calls.p_up)
    block = max(BLOCK, calls.horizon)
    enough = np.unique(calls.dates).size >= 2 * block
    # the majority side is fixed by the sample, so that both are means over the same calls and their difference is paired
    usual = (calls.up == float(calls.up.mean() >= 0.5)).astype(np.float64) if n else right
    advantage = mean_interval(right - usual, dates=calls.dates, block=block, draws=draws, seed=seed) if enough else None
    calibration = ece(confidence, right, overlap=calls.overlap, draws=draws, seed=seed) if n >= 2 else None
    outcome, reasons = _decide(accuracy, majority, advantage, calibration, calls.effective, leakage)
    return PromotionResult(
        symbol=calls.symbol,
        outcome=outcome,
        reasons=reasons,
        n=n,
        effective=calls.effective,
        accuracy=accuracy,
        majority=majority,
        advantage=advantage,
        calibration=calibration,
        leakage="not tested" if leakage is None else str(leakage),
    )


def exit_code(results: Sequence[PromotionResult]) -> int:
    """0 where all pass, 1 where any fails, else 4.

    Raises
    ------
    InvalidInput : no result: nothing was judged, so that nothing passed
    """
    if not results:
        raise InvalidInput("expected at least one symbol to judge, found none")
    outcomes = {result.outcome for result in results}
    if GateOutcome.FAIL in outcomes:
        return FAILED
    return NOT_JUDGED if GateOutcome.CANNOT_JUDGE in outcomes else PASSED


def _decide(
    accuracy: float | None,
    majority: float | None,
    advantage: Interval | None,
    calibration: CalibrationError | None,
    effective: int,
    leakage: LeakageReport | None,
) -> tuple[GateOutcome, tuple[str, ...]]:
    if leakage is not None and leakage.leaks:
        return GateOutcome.FAIL, (str(leakage),)
    unknown = []
    if leakage is None or leakage.untested:
        missing = "any kind" if leakage is None else ", ".join(leakage.untested)
        unknown.append(f"expected leakage tests, found none of {missing}")
    if effective < LEAST_CALLS:
        unknown.append(f"expected at least {LEAST_CALLS} effective calls, found {effective}")
    if unknown or accuracy is None or majority is None or advantage is None or calibration is None:
        return GateOutcome.CANNOT_JUDGE, tuple(unknown)
    failed = []
    if accuracy < ACCURACY - _TOLERANCE:
        failed.append(f"expected an accuracy of at least {ACCURACY:.0%}, found {accuracy:.2%}")
    if accuracy <= majority + _TOLERANCE:
        failed.append(f"expected an accuracy above the majority rate {majority:.2%} of the same calls, found {accuracy:.2%}")
    if calibration.debiased > CALIBRATION + _TOLERANCE:
        failed.append(f"expected a debiased calibration error of at most {CALIBRATION:.0%}, found {calibration.debiased:.2%}")
    if failed:
        return GateOutcome.FAIL, tuple(failed)
    found = f"accuracy {accuracy:.2%}, majority {majority:.2%}, calibration error {calibration.debiased:.2%}"
    if advantage.lower_one_sided <= 0.0:
        bound = f"the 95 % bound of accuracy - majority is {advantage.lower_one_sided:+.4f}: chance alone could explain it"
        return GateOutcome.CANNOT_JUDGE, (found, bound)
    return GateOutcome.PASS, (found,)
