"""The fast engine: target arrays, sweeps, portfolios and walk-forward optimisation in the venue's own arithmetic.

Names load when they are first asked for: a run of one strategy need not wait for what walk-forward optimisation brings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldcast.simulation.fast.engine import FastResult, arrays_of, run_fast, run_rule, sweep_targets
    from fieldcast.simulation.fast.figures import FIGURES
    from fieldcast.simulation.fast.jobs import BACKENDS, Backend, spread
    from fieldcast.simulation.fast.portfolio import PortfolioResult, run_portfolio
    from fieldcast.simulation.fast.settings import FastSettings, Size
    from fieldcast.simulation.fast.sweeps import RULES, ParameterSets, sweep
    from fieldcast.simulation.fast.tape import Tape
    from fieldcast.simulation.fast.walk_forward import OBJECTIVES, WalkForwardOptimisation, Windows, optimise_walk_forward

_PLACES = {
    "engine": ("FastResult", "arrays_of", "run_fast", "run_rule", "sweep_targets"),
    "figures": ("FIGURES",),
    "jobs": ("BACKENDS", "Backend", "spread"),
    "portfolio": ("PortfolioResult", "run_portfolio"),
    "settings": ("FastSettings", "Size"),
    "sweeps": ("RULES", "ParameterSets", "sweep"),
    "tape": ("Tape",),
    "walk_forward": ("OBJECTIVES", "WalkForwardOptimisation", "Windows", "optimise_walk_forward"),
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "BACKENDS",
    "FIGURES",
    "OBJECTIVES",
    "RULES",
    "Backend",
    "FastResult",
    "FastSettings",
    "ParameterSets",
    "PortfolioResult",
    "Size",
    "Tape",
    "WalkForwardOptimisation",
    "Windows",
    "arrays_of",
    "optimise_walk_forward",
    "run_fast",
    "run_portfolio",
    "run_rule",
    "spread",
    "sweep",
    "sweep_targets",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found
