"""How figures of dealer exposure are to be read. Public sources disagree on each of these points, so every output carries its
stamp.

Units, for all outputs of this engine, in the currency of the underlying, dealers' view (positive gamma: dealers are long gamma):

    GEX   dollars of delta that the dealers' book gains when the underlying rises 1 %:  Σ w γ S² · 0.01
    DEX   dollars of delta that the book holds:                                        Σ w δ S
    VEX   dollars of delta gained when every volatility rises one point (0.01):        Σ w (∂δ/∂σ) S · 0.01
    CHEX  dollars of delta gained over one calendar day, everything else held:         Σ w (∂δ/∂t) S / days a year

with w = signed contracts × units for each contract. Per dollar of move instead of per cent: divide GEX by 0.01 S.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from fieldcast.ground import InvalidInput

UNIT = "dollars of delta: GEX per 1 % move, DEX held, VEX per volatility point, CHEX per calendar day"
STICKY_STRIKE = "sticky strike: each contract keeps its volatility when the spot moves"
SETTLEMENT = "each contract at its own last moment (AM: opening of the expiry day, PM: close), to the minute"
MULTIPLIER = "units for each contract, as listed; mixed multipliers are added in units of the underlying"
EUROPEAN = "Black, Scholes and Merton at each expiry's rate and carry"
DEAMERICANISED = "Black, Scholes and Merton at de-Americanised volatility, each expiry's rate and carry; early exercise left out"
CALENDAR = "XNYS"
OPEN_INTEREST = "last published before as_of; trades since then are not in it"


@dataclass(frozen=True)
class Conventions:
    """The stamp. Every part is a sentence that a person can read; none may be empty.

    Parameters
    ----------
    sign_policy : who is taken to hold the contracts
    unit : of the figures
    day_count : years to expiry, and what a day of charm is
    settlement : when contracts end
    multiplier : what a contract stands for
    greeks_model, iv_source : where sensitivities and volatilities come from
    stickiness : what volatilities do when the spot moves
    open_interest : of what moment it is
    calendar : name of the exchange calendar whose sessions close, open and "the same day" are those of

    Raises
    ------
    InvalidInput : a part is missing or empty
    """

    sign_policy: str
    day_count: str
    iv_source: str
    greeks_model: str = EUROPEAN
    unit: str = UNIT
    settlement: str = SETTLEMENT
    multiplier: str = MULTIPLIER
    stickiness: str = STICKY_STRIKE
    open_interest: str = OPEN_INTEREST
    calendar: str = CALENDAR

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not isinstance(value, str) or not value.strip():
                raise InvalidInput(f"expected words for the convention {part.name}, found {value!r}")

    def as_mapping(self) -> Mapping[str, str]:
        """Name → words, for a `Reading`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stamped:
    """Base of every output of the engine: none can be made without its conventions.

    Raises
    ------
    InvalidInput : no `Conventions`
    """

    conventions: Conventions

    def __post_init__(self) -> None:
        if not isinstance(self.conventions, Conventions):
            raise InvalidInput(
                f"expected the conventions of {type(self).__name__}, found {self.conventions!r}: an exposure without sign, unit, "
                "day count and settlement can be read in several ways; pass Conventions(...)"
            )
