"""Liquidity: where volume was done, where price turned, what trading costs, how much a trade moves the price.

Fields of bars alone are registered columns (`COLUMNS`, `compute`); the other functions answer for a span, a session or a table of
another kind. Each module opens with its equations and their source; docs/explanation/liquidity.md puts them together.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fieldcast.fields.liquidity._columns import COLUMNS, PARTS, compute
from fieldcast.fields.liquidity.effort import ZonePolicy, effort_of, relative_volume, zones
from fieldcast.fields.liquidity.impact import Signing, kyle_lambda
from fieldcast.fields.liquidity.profile import BINS, SHARE, WINDOW, Node, Profile, developing, profile_of, volume_profile
from fieldcast.fields.liquidity.reading import LiquidityField, interpret
from fieldcast.fields.liquidity.session import SessionLiquidity, SessionPolicy, session_liquidity
from fieldcast.fields.liquidity.short_pressure import ShortPressure, short_pressure
from fieldcast.fields.liquidity.spreads import abdi_ranaldo, corwin_schultz, edge, roll, spread_estimates
from fieldcast.fields.liquidity.structure import SWING, Structure, breaks, gaps, structure_of, swings
from fieldcast.fields.liquidity.vwap import Anchor, vwap, weighted_bands

PROCESSORS: Mapping[str, Callable[..., Any]]


def __getattr__(name: str) -> Any:
    """PROCESSORS only where it is asked for: the order book's three bring the store with them."""
    if name == "PROCESSORS":
        from fieldcast.fields.liquidity.processors import PROCESSORS

        return PROCESSORS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BINS",
    "COLUMNS",
    "PARTS",
    "PROCESSORS",
    "SHARE",
    "SWING",
    "WINDOW",
    "Anchor",
    "LiquidityField",
    "Node",
    "Profile",
    "SessionLiquidity",
    "SessionPolicy",
    "ShortPressure",
    "Signing",
    "Structure",
    "ZonePolicy",
    "abdi_ranaldo",
    "breaks",
    "compute",
    "corwin_schultz",
    "developing",
    "edge",
    "effort_of",
    "gaps",
    "interpret",
    "kyle_lambda",
    "profile_of",
    "relative_volume",
    "roll",
    "session_liquidity",
    "short_pressure",
    "spread_estimates",
    "structure_of",
    "swings",
    "volume_profile",
    "vwap",
    "weighted_bands",
    "zones",
]
