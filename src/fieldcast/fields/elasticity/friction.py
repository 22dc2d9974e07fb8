"""Several instruments on one risk: how much hedging a move of the base asks for in all of them, and whether they pull together.

An elasticity k in units per 1.00 of an instrument's own price becomes a figure that can be added:

    f_i = β_i² · k_i · S_i² · 0.01            dollars of hedging, in terms of the base, for a base move of 1 %

β_i is the instrument's move in per cent for 1 % of the base: 1 for two prices of one index, below zero and large for a volatility
index; fitted, never assumed. Its square, because the move is β_i per cent and one dollar of the instrument stands for β_i dollars
of the base. For SPY in SPX terms the price ratio does all: k_SPX = k_SPY (S_SPY / S_SPX)². Contract multipliers are already in k.

    total = Σ f_i,   friction = 1 − |Σ f_i| / Σ |f_i|          0: all pull the same way, 1: they cancel each other
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType

from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True, slots=True)
class InstrumentElasticity:
    """One instrument: its price, its elasticity in units per 1.00 of that price, and its move in per cent for 1 % of the base."""

    spot: float
    elasticity: float
    beta: float = 1.0

    def __post_init__(self) -> None:
        if not (0.0 < self.spot < float("inf") and isfinite(self.elasticity) and isfinite(self.beta)):
            raise InvalidInput(f"expected a spot above 0, a finite elasticity and a finite beta, found {self}")


@dataclass(frozen=True)
class CrossAssetFriction:
    """Dollars of base hedging per 1 % of the base, by instrument and in sum; friction is None where nothing is hedged at all."""

    base: str
    dollars_per_percent: Mapping[str, float]
    total: float
    base_elasticity: float
    """The total as units of the base per 1.00 of its price."""
    friction: float | None
    reasons: Mapping[str, Reason]


def cross_asset_friction(readings: Mapping[str, InstrumentElasticity | Reason], *, base: str) -> CrossAssetFriction:
    """Add up instruments in terms of the base.

    Parameters
    ----------
    readings : instrument → its elasticity, or why it is unknown
    base : one of them, with a beta of 1

    Raises
    ------
    InvalidInput : the base is unknown, or its beta is not 1
    """
    anchor = readings.get(base)
    if not isinstance(anchor, InstrumentElasticity) or anchor.beta != 1.0:
        raise InvalidInput(f"expected a reading of the base {base} with a beta of 1, found {anchor}")
    known = {name: one for name, one in readings.items() if isinstance(one, InstrumentElasticity)}
    reasons = {name: one for name, one in readings.items() if isinstance(one, Reason)}
    dollars = {name: one.beta**2 * one.elasticity * one.spot**2 * 0.01 for name, one in known.items()}
    total, size = sum(dollars.values()), sum(abs(one) for one in dollars.values())
    friction = None if size == 0.0 else 1.0 - min(1.0, abs(total) / size)
    if friction is None:
        reasons["friction"] = Reason.UNDEFINED
    return CrossAssetFriction(
        base, MappingProxyType(dollars), total, total / (anchor.spot**2 * 0.01), friction, MappingProxyType(reasons)
    )
