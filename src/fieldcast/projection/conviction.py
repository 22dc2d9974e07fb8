"""Conviction from several models of one move: a weighted vote, small bonuses, one bias, and a calibrator that has the last word.

    p          = sum_i w_i p_i / sum_i w_i        over the components that are known; weights by which of them are
    called     = max(p, 1 - p)                    of the side p calls; 1/2 calls none
    score      = clip(called + bonuses + 0.1 (win rate - 1/2) - 0.05, 0, 1)
    conviction = calibrator(score)                P(the called side is right), fitted on out-of-sample scores and hits

The weights, bonuses and bias are a *preset* (crpbot's), not findings: nothing of them is a probability until the calibrator,
fitted on scores of this very kind, has mapped it. A component that is absent lowers nobody's score: the others share its weight.
A preset applies to the called side, so that a fall is the exact mirror of a rise. How far the figure may be relied upon is
`reliability`, and stays apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput, utc
from fieldcast.projection.calibration import Choice, choose_calibrator

Floats = NDArray[np.float64]
Side = Literal["up", "down", "none"]
EDGE = 1e-6                      # scores of 0 and 1 enter a calibrator this far inside


@dataclass(frozen=True)
class ConvictionPreset:
    """What the vote is made of.

    Parameters
    ----------
    weights : for each set of components that may be known together, the weight of each of them; a set that is not named takes the
        smallest named set that holds it, and only the weights of those known
    aligned : bonus where the higher timeframes agree with the called side
    session : bonus inside `hours`
    regime : bonus in a high, malus in a low volatility regime
    hours : (from, to) hours of UTC, half open
    pattern, pattern_samples : weight of (win rate − 1/2) of the pattern seen, and from how many samples on it counts
    bias : taken off every score
    """

    weights: Mapping[frozenset[str], Mapping[str, float]]
    aligned: float = 0.02
    session: float = 0.01
    regime: float = 0.01
    hours: tuple[tuple[int, int], ...] = ((9, 12), (14, 17))
    pattern: float = 0.1
    pattern_samples: int = 10
    bias: float = 0.05

    def __post_init__(self) -> None:
        for known, weights in self.weights.items():
            fine = all(0.0 <= weight < np.inf for weight in weights.values()) and sum(weights.values()) > 0.0
            if not known or set(weights) - known or not fine:
                raise InvalidInput(
                    f"expected weights from 0 on, not all 0, of components out of {sorted(known)}, found {dict(weights)}"
                )

    def weights_of(self, known: frozenset[str]) -> tuple[str, dict[str, float]]:
        """Name and weights, which sum to 1, of the case that these known components are.

        Raises
        ------
        InvalidInput : no case holds all of them
        """
        cases = [case for case in self.weights if known <= case]
        if not known or not cases:
            named = sorted({name for case in self.weights for name in case})
            raise InvalidInput(f"expected at least one component out of {', '.join(named)}, found {sorted(known)}")
        case = min(cases, key=lambda case: (len(case), sorted(case)))
        shared = {name: self.weights[case].get(name, 0.0) for name in sorted(known)}
        total = sum(shared.values())
        if total == 0.0:                                # only components without a weight are known: they share alike
            shared, total = dict.fromkeys(shared, 1.0), float(len(shared))
        return " + ".join(sorted(case)), {name: weight / total for name, weight in shared.items()}


def crpbot_preset() -> ConvictionPreset:
    """35 / 40 / 25 for recurrent, transformer and reinforced models, and its stated fallbacks."""
    two = {"recurrent": 0.5, "transformer": 0.5}
    return ConvictionPreset(MappingProxyType({
        frozenset(two): two,
        frozenset({*two, "reinforced"}): {"recurrent": 0.35, "transformer": 0.40, "reinforced": 0.25},
        frozenset({*two, "sentiment"}): {"recurrent": 0.30, "transformer": 0.35, "sentiment": 0.35},
        frozenset({*two, "reinforced", "sentiment"}): {
            "recurrent": 0.30, "transformer": 0.35, "reinforced": 0.25, "sentiment": 0.10,
        },
    }))  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """What is known of one instrument at one moment.

    Parameters
    ----------
    as_of : the moment
    odds : P(up) of each component; None = it gave none
    aligned : whether the higher timeframes point to the called side; None = not known
    regime : of volatility; None = not known
    win_rate, samples : of the pattern seen, and out of how many
    """

    as_of: datetime
    odds: Mapping[str, float | None]
    aligned: bool | None = None
    regime: Literal["low", "normal", "high"] | None = None
    win_rate: float | None = None
    samples: int = 0

    def __post_init__(self) -> None:
        for name, p in (*self.odds.items(), ("win rate", self.win_rate)):
            if p is not None and not 0.0 <= p <= 1.0:
                raise InvalidInput(f"expected {name} in [0, 1] or None where it is not known, found {p}")
        if self.samples < 0:
            raise InvalidInput(f"expected a number of samples from 0 on, found {self.samples}")


@dataclass(frozen=True)
class Conviction:
    """The called side and how sure the vote is of it.

    `score` is the preset's, no probability; `conviction` what the calibrator makes of it, None while there is none. `parts` add
    up to the score before it was clipped. `absent` names components that gave no odds; all figures are None where none gave any.
    """

    side: Side
    score: float | None
    conviction: float | None
    case: str
    weights: Mapping[str, float]
    parts: Mapping[str, float] = field(default_factory=dict)
    absent: tuple[str, ...] = ()


def score_scan(scan: Scan, preset: ConvictionPreset, calibrator: Choice | None = None) -> Conviction:
    """The conviction of one scan.

    Raises
    ------
    InvalidInput : a component that the preset does not know
    """
    known = {name: p for name, p in scan.odds.items() if p is not None}
    absent = tuple(sorted(name for name, p in scan.odds.items() if p is None))
    if not known:
        return Conviction("none", None, None, "none", MappingProxyType({}), absent=absent)
    case, weights = preset.weights_of(frozenset(known))
    p = sum(weight * known[name] for name, weight in weights.items())
    side: Side = "none" if p == 0.5 else "up" if p > 0.5 else "down"
    hour = utc(scan.as_of).astimezone(UTC).hour
    parts = {
        "vote": max(p, 1.0 - p),
        "aligned": preset.aligned if scan.aligned else 0.0,
        "session": preset.session if any(first <= hour < after for first, after in preset.hours) else 0.0,
        "regime": {"high": preset.regime, "low": -preset.regime}.get(scan.regime or "", 0.0),
        "pattern": 0.0,
        "bias": -preset.bias,
    }
    if scan.win_rate is not None and scan.samples >= preset.pattern_samples:
        parts["pattern"] = preset.pattern * (scan.win_rate - 0.5)
    score = min(max(sum(parts.values()), 0.0), 1.0)
    conviction = None if calibrator is None or side == "none" else float(calibrator.apply(_inside([score]))[0])
    return Conviction(side, score, conviction, case, MappingProxyType(weights), MappingProxyType(parts), absent)


def fit_conviction(scores: ArrayLike, hits: ArrayLike, *, gap: int = 0) -> Choice:
    """The calibrator of scores, chosen by held-out log loss.

    Parameters
    ----------
    scores : (n,) out-of-sample scores of one preset, in time order, whose outcome is known
    hits : (n,) 1 where the called side was right, else 0
    gap : horizon − 1 for outcomes that overlap

    Raises
    ------
    InvalidInput : other values, or too few of them
    """
    return choose_calibrator(_inside(scores), hits, methods=("platt", "isotonic", "beta"), gap=gap)


def _inside(scores: ArrayLike) -> Floats:
    return np.clip(np.asarray(scores, dtype=np.float64), EDGE, 1.0 - EDGE)
