"""Several horizons of one field as one reading, and how far they agree.

Of each horizon i: asymmetry a_i, share of a day's volume e_i that dealers trade in its one-sigma move, coverage c_i (the share of
contracts whose holder is known). A horizon counts by what it rests on and by how much the dealers matter there:

    w_i = c_i · |e_i| / (|e_i| + h),  Σ w_i = 1                   h: half weight, `half_share`
    asymmetry  = Σ w_i a_i
    agreement  = |Σ w_i a_i| / Σ w_i |a_i|                        1: all lean the same way, 0: they cancel
    confidence = agreement · (mean of c_i over all horizons asked for, an unknown one counting 0)

Confidence is no probability: it is calibrated against nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fieldcast.fields.elasticity.regimes import Thresholds, bias_of
from fieldcast.fields.vocabulary import FieldBias
from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True, slots=True)
class Horizon:
    """What one timeframe found: asymmetry in −1 … 1, share of a day's volume (any sign), coverage in 0 … 1."""

    asymmetry: float
    share: float
    coverage: float = 1.0

    def __post_init__(self) -> None:
        if not (abs(self.asymmetry) <= 1.0 and 0.0 <= self.coverage <= 1.0 and abs(self.share) < float("inf")):
            raise InvalidInput(f"expected an asymmetry in -1 ... 1, a finite share and a coverage in 0 ... 1, found {self}")


@dataclass(frozen=True)
class FusedTimeframes:
    """One reading of several horizons; each figure is None where `reasons` says why."""

    asymmetry: float | None
    agreement: float | None
    confidence: float
    bias: FieldBias | None
    weights: Mapping[str, float]
    reasons: Mapping[str, Reason]


def fuse_timeframes(
    horizons: Mapping[str, Horizon | Reason], *, half_share: float | None = None, thresholds: Thresholds | None = None
) -> FusedTimeframes:
    """Fuse what is known.

    Parameters
    ----------
    horizons : timeframe → what it found, or why it found nothing
    half_share : h; None = `Thresholds.high_share`

    Raises
    ------
    InvalidInput : no horizon was asked for
    """
    limits = thresholds or Thresholds()
    half = limits.high_share if half_share is None else half_share
    if not horizons or not half > 0.0:
        raise InvalidInput(f"expected at least one horizon and a half share above 0, found {len(horizons)} and {half}")
    known = {name: one for name, one in horizons.items() if isinstance(one, Horizon)}
    reasons = {name: one for name, one in horizons.items() if isinstance(one, Reason)}
    raw = {name: one.coverage * abs(one.share) / (abs(one.share) + half) for name, one in known.items()}
    whole = sum(raw.values())
    coverage = sum(one.coverage for one in known.values()) / len(horizons)
    if whole == 0.0:
        reasons |= dict.fromkeys(("asymmetry", "agreement", "bias"), Reason.UNDEFINED)
        return FusedTimeframes(None, None, 0.0, None, MappingProxyType({}), MappingProxyType(reasons))
    weights = {name: one / whole for name, one in raw.items()}
    lean = sum(weights[name] * one.asymmetry for name, one in known.items())
    size = sum(weights[name] * abs(one.asymmetry) for name, one in known.items())
    agreement = min(1.0, abs(lean) / size) if size > 0.0 else 1.0  # all of them see no side: they agree on it
    return FusedTimeframes(
        lean, agreement, agreement * coverage, bias_of(lean, limits), MappingProxyType(weights), MappingProxyType(reasons)
    )
