"""Regime: is price trending (which way), reverting, or breaking out; how volatile is it; and is the market in alarm?"""

from __future__ import annotations

from fieldcast.fields._rows import Floats, Rows
from fieldcast.fields.regime import soft, volatility
from fieldcast.fields.regime.alarms import MarketState, RiskOff, RiskOffRules, overridden, risk_off
from fieldcast.fields.regime.buckets import (
    activity,
    correlation_level,
    market_hours,
    structure,
    trading_desk,
    vix_level,
    volatility_level,
)
from fieldcast.fields.regime.filtered import (
    ChangePointFilter,
    ChangePoints,
    HmmFilter,
    change_point_odds,
    hmm_log_likelihood,
    hmm_probabilities,
    observations,
)
from fieldcast.fields.regime.parameters import ChangePointParameters, HmmParameters
from fieldcast.fields.regime.reading import RegimeField, regime_field
from fieldcast.fields.regime.soft import NAMES, efficiency_ratio, memberships, trend_strength
from fieldcast.fields.regime.volatility import own_rank, realised_volatility

COLUMNS = soft.COLUMNS + volatility.COLUMNS


def compute(rows: Rows) -> dict[str, Floats]:
    """Every regime column, (n,) each, NaN where unknown; names without their namespace."""
    return soft.compute(rows) | volatility.compute(rows)


__all__ = [
    "COLUMNS",
    "NAMES",
    "ChangePointFilter",
    "ChangePointParameters",
    "ChangePoints",
    "HmmFilter",
    "HmmParameters",
    "MarketState",
    "RegimeField",
    "RiskOff",
    "RiskOffRules",
    "activity",
    "change_point_odds",
    "compute",
    "correlation_level",
    "efficiency_ratio",
    "hmm_log_likelihood",
    "hmm_probabilities",
    "market_hours",
    "memberships",
    "observations",
    "overridden",
    "own_rank",
    "realised_volatility",
    "regime_field",
    "risk_off",
    "structure",
    "trading_desk",
    "trend_strength",
    "vix_level",
    "volatility_level",
]
