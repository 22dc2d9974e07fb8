"""Risk-off: when the market is in alarm, no reading of a trend may speak for more risk.

Rules, each judged on what is known; a rule whose input is unknown is listed as not judged, never taken for quiet:

    VIX level        VIX ≥ 30
    VIX jump         VIX at least 25 % above its close one session before
    drawdown         close at least 10 % below the highest close of the last 60 sessions, while realised volatility is in the
                     top tenth of its own year
    correlation      mean pairwise correlation of the book of instruments ≥ 0.70 (given by whoever knows the book)
    dealers          dealers short gamma at the present price and VIX ≥ 20

Where any rule holds, `overridden` lowers the membership of an uptrend to what no trend at all (S = 0) would give at the same
range, never below it and never up, and hands what it took to `expansion`. The four still sum to 1. A downtrend keeps its
weight: alarm is no reason to doubt it.

The bounds are parameters with conventional values, fitted to nothing; whether the override earns its place is for an ablation
to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import exp, isfinite

from fieldcast.fields.regime.soft import EXPANSION_OFFSET, REVERSION_BASE
from fieldcast.fields.vocabulary import Alarm
from fieldcast.ground import InvalidInput


@dataclass(frozen=True, slots=True)
class RiskOffRules:
    """Bounds of the rules; see the module's docstring."""

    vix_level: float = 30.0
    vix_jump: float = 0.25
    drawdown: float = 0.10
    drawdown_rank: float = 0.90
    correlation: float = 0.70
    dealer_vix: float = 20.0


@dataclass(frozen=True, slots=True)
class MarketState:
    """What the rules read; None = unknown.

    Parameters
    ----------
    vix, vix_before : VIX now and one session before, index points
    drawdown : 1 − close / highest close of the last 60 sessions, 0 … 1
    volatility_rank : `regime.volatility_rank`
    correlation : mean pairwise correlation of the book
    dealer_gamma : dealers' net gamma at the present price, any unit
    """

    vix: float | None = None
    vix_before: float | None = None
    drawdown: float | None = None
    volatility_rank: float | None = None
    correlation: float | None = None
    dealer_gamma: float | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and not isfinite(value):
                raise InvalidInput(f"expected a finite {item.name}, found {value}; an unknown one is None")


@dataclass(frozen=True, slots=True)
class RiskOff:
    """Which rules hold, and which could not be judged."""

    alarms: tuple[Alarm, ...]
    not_judged: tuple[Alarm, ...]

    @property
    def active(self) -> bool:
        """True where any rule holds."""
        return bool(self.alarms)


def risk_off(state: MarketState, rules: RiskOffRules | None = None) -> RiskOff:
    """Judge every rule on what is known."""
    bounds = rules or RiskOffRules()
    verdicts: dict[Alarm, bool | None] = {
        Alarm.VIX_LEVEL: None if state.vix is None else state.vix >= bounds.vix_level,
        Alarm.VIX_JUMP: None
        if state.vix is None or state.vix_before is None
        else state.vix >= (1.0 + bounds.vix_jump) * state.vix_before,
        Alarm.DRAWDOWN: _both(
            state.drawdown is not None and state.drawdown >= bounds.drawdown,
            state.volatility_rank is not None and state.volatility_rank >= bounds.drawdown_rank,
            state.drawdown is not None,
            state.volatility_rank is not None,
        ),
        Alarm.CORRELATION: None if state.correlation is None else state.correlation >= bounds.correlation,
        Alarm.DEALERS: _both(
            state.dealer_gamma is not None and state.dealer_gamma < 0,
            state.vix is not None and state.vix >= bounds.dealer_vix,
            state.dealer_gamma is not None,
            state.vix is not None,
        ),
    }
    return RiskOff(
        alarms=tuple(rule for rule, verdict in verdicts.items() if verdict),
        not_judged=tuple(rule for rule, verdict in verdicts.items() if verdict is None),
    )


def _both(first: bool, second: bool, first_known: bool, second_known: bool) -> bool | None:
    """Both conditions; false as soon as a known one is, unknown where that cannot be told."""
    if (first_known and not first) or (second_known and not second):
        return False
    return True if first_known and second_known else None


def overridden(memberships: Mapping[str, float], range_z: float, verdict: RiskOff) -> dict[str, float]:
    """The memberships under risk-off.

    Parameters
    ----------
    memberships : the four of `regime.memberships`, summing to 1
    range_z : the standardised range they were computed with
    verdict : from `risk_off`

    Returns
    -------
    the same four, summing to 1; `trend_up` never higher than before
    """
    held = dict(memberships)
    if verdict.active:
        without_trend = 1.0 / (2.0 + exp(REVERSION_BASE) + exp(range_z - EXPANSION_OFFSET))
        taken = max(0.0, held["trend_up"] - without_trend)
        held["trend_up"] -= taken
        held["expansion"] += taken
    return held
