"""What is to be held, and why: strategies and their combination, a user's own, and sizing with its reasons and figures.

Names load when they are first asked for: a run of a strategy need not wait for ideas, sizing and Monte Carlo.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldcast.strategy.catalogue import (
        CATALOGUE,
        Bollinger,
        BuyAndHold,
        Macd,
        MeanReversion,
        Momentum,
        Parameter,
        Projection,
        Rsi,
        SmaCross,
        close_units,
        parameters_of,
        strategy,
    )
    from fieldcast.strategy.combination import Combination
    from fieldcast.strategy.exits import Exit, ExitKind, ExitManager, ExitPlan
    from fieldcast.strategy.idea import IdeaCosts, IdeaLimits, MarketState, TradeIdea, trade_idea
    from fieldcast.strategy.monte_carlo import (
        Bootstrap,
        Gaussian,
        MonteCarlo,
        Projected,
        simulate_idea,
        simulate_levels,
        target_probability,
    )
    from fieldcast.strategy.sizing import DEFAULT_TARGET, SizedTarget, volatility_target
    from fieldcast.strategy.sizing_rules import (
        Cap,
        EnergyAware,
        FixedSize,
        FractionalKelly,
        Holding,
        QualityHaircut,
        RiskShare,
        RuledSize,
        VolatilityTarget,
        smallest_size,
    )
    from fieldcast.strategy.user import LookAhead, UserStrategy, load_strategy, refuse_look_ahead

_PLACES = {
    "catalogue": (
        "CATALOGUE", "Bollinger", "BuyAndHold", "Macd", "MeanReversion", "Momentum", "Parameter", "Projection", "Rsi",
        "SmaCross", "close_units", "parameters_of", "strategy",
    ),
    "combination": ("Combination",),
    "exits": ("Exit", "ExitKind", "ExitManager", "ExitPlan"),
    "idea": ("IdeaCosts", "IdeaLimits", "MarketState", "TradeIdea", "trade_idea"),
    "monte_carlo": (
        "Bootstrap", "Gaussian", "MonteCarlo", "Projected", "simulate_idea", "simulate_levels", "target_probability",
    ),
    "sizing": ("DEFAULT_TARGET", "SizedTarget", "volatility_target"),
    "sizing_rules": (
        "Cap", "EnergyAware", "FixedSize", "FractionalKelly", "Holding", "QualityHaircut", "RiskShare", "RuledSize",
        "VolatilityTarget", "smallest_size",
    ),
    "user": ("LookAhead", "UserStrategy", "load_strategy", "refuse_look_ahead"),
}  # fmt: skip
_HOME = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "CATALOGUE",
    "DEFAULT_TARGET",
    "Bollinger",
    "Bootstrap",
    "BuyAndHold",
    "Cap",
    "Combination",
    "EnergyAware",
    "Exit",
    "ExitKind",
    "ExitManager",
    "ExitPlan",
    "FixedSize",
    "FractionalKelly",
    "Gaussian",
    "Holding",
    "IdeaCosts",
    "IdeaLimits",
    "LookAhead",
    "Macd",
    "MarketState",
    "MeanReversion",
    "Momentum",
    "MonteCarlo",
    "Parameter",
    "Projected",
    "Projection",
    "QualityHaircut",
    "RiskShare",
    "Rsi",
    "RuledSize",
    "SizedTarget",
    "SmaCross",
    "TradeIdea",
    "UserStrategy",
    "VolatilityTarget",
    "close_units",
    "load_strategy",
    "parameters_of",
    "refuse_look_ahead",
    "simulate_idea",
    "simulate_levels",
    "smallest_size",
    "strategy",
    "target_probability",
    "trade_idea",
    "volatility_target",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found
