"""The eight processors of the engine by name: five read bars, the last three an order book."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fieldcast.fields import books
from fieldcast.fields.liquidity.effort import effort_of
from fieldcast.fields.liquidity.profile import profile_of
from fieldcast.fields.liquidity.spreads import spread_estimates
from fieldcast.fields.liquidity.structure import structure_of
from fieldcast.fields.liquidity.vwap import vwap

PROCESSORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "VolumeProfile": profile_of,
        "Vwap": vwap,
        "Structure": structure_of,
        "Absorption": effort_of,
        "SpreadEstimators": spread_estimates,
        **books.PROCESSORS,
    }
)
