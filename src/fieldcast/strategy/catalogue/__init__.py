"""The catalogue: eight strategies with typed, bounded parameters, each from the arrays of one instrument to targets."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fieldcast.ground import InvalidInput
from fieldcast.strategy.catalogue._parameters import Parameter, Parameters, Rule, parameters_of
from fieldcast.strategy.catalogue.projection import Projection
from fieldcast.strategy.catalogue.rules import Bollinger, BuyAndHold, Macd, MeanReversion, Momentum, Rsi, SmaCross
from fieldcast.strategy.catalogue.units import close_units

CATALOGUE: Mapping[str, type[Any]] = MappingProxyType(
    {rule.id: rule for rule in (BuyAndHold, SmaCross, Rsi, Bollinger, Macd, Momentum, MeanReversion, Projection)}
)

__all__ = [
    "CATALOGUE",
    "Bollinger",
    "BuyAndHold",
    "Macd",
    "MeanReversion",
    "Momentum",
    "Parameter",
    "Parameters",
    "Projection",
    "Rsi",
    "Rule",
    "SmaCross",
    "close_units",
    "parameters_of",
    "strategy",
]


def strategy(name: str, **settings: Any) -> Any:
    """A strategy of the catalogue by its name, its parameters checked.

    Raises
    ------
    InvalidInput : no such strategy, no such parameter, or a parameter out of its bounds
    """
    if name not in CATALOGUE:
        raise InvalidInput(f"expected a strategy out of {', '.join(CATALOGUE)}, found {name!r}")
    rule = CATALOGUE[name]
    known = [item.name for item in parameters_of(rule)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InvalidInput(f"expected parameters of {name} out of {', '.join(known) or 'none'}, found {', '.join(unknown)}")
    return rule(**settings)
