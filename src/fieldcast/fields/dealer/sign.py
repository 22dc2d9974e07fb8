"""Who holds the contracts: sign policies.

Open interest says how many contracts exist, not who holds them. A policy is an assumption about it (or, with trades, evidence):

    naive      dealers are long calls, short puts: customers overwrite calls and buy puts. Plausible for index options
    reversed   dealers are short calls, long puts: the opposite, as some public sources have it
    all short  dealers are short everything: customers buy options. Plausible for a share that is bought for its calls
    all long   dealers are long everything
    trade flow dealers hold the opposite of what customers bought, contract by contract (`trade_flow` signs the trades)

A policy gives the dealers' position in contracts, positive for long. Where it does not know, it says NaN, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from fieldcast.fields.priced_chain import Floats, PricedChain
from fieldcast.ground import InvalidInput


class SignPolicy(Protocol):
    """Anything with a name that is stamped on every output, and positions."""

    @property
    def name(self) -> str:
        """What is stamped."""

    def positions(self, chain: PricedChain) -> Floats:
        """(n,) contracts that dealers hold, NaN where unknown."""


@dataclass(frozen=True)
class BySide:
    """All calls one way, all puts one way.

    Parameters
    ----------
    name : stamped on outputs
    call, put : +1 where dealers are long, −1 where short; between: the part of open interest that stands against dealers
    """

    name: str
    call: float
    put: float

    def __post_init__(self) -> None:
        if not (abs(self.call) <= 1 and abs(self.put) <= 1) or not self.name.strip():
            raise InvalidInput(f"expected a name and signs from -1 to 1, found {self.name!r}, {self.call} and {self.put}")

    def positions(self, chain: PricedChain) -> Floats:
        """(n,) sign × open interest."""
        return np.where(chain.is_call, self.call, self.put) * chain.open_interest


@dataclass(frozen=True, eq=False)
class TradeFlow:
    """From signed trades.

    Parameters
    ----------
    signed_volume : (n,) contracts that customers bought less those they sold, in the order of the chain; NaN where unknown
    basis : `flow`: dealers hold the opposite of the flow, and nothing else; `open_interest`: the flow gives the direction alone,
        and all open interest stands that way (no direction where the flow is 0: unknown)
    name : stamped on outputs
    """

    signed_volume: Floats
    basis: Literal["flow", "open_interest"] = "flow"
    name: str = field(default="")

    def __post_init__(self) -> None:
        if self.basis not in ("flow", "open_interest"):
            raise InvalidInput(f"expected the basis flow or open_interest, found {self.basis!r}")
        words = {"flow": "dealers hold the opposite of signed customer trades",
                 "open_interest": "dealers hold open interest against the direction of signed customer trades"}  # fmt: skip
        if not self.name:
            object.__setattr__(self, "name", f"trade flow: {words[self.basis]}")

    def positions(self, chain: PricedChain) -> Floats:
        """(n,) contracts.

        Raises
        ------
        InvalidInput : the flow is not that of this chain
        """
        flow = np.asarray(self.signed_volume, np.float64)
        if flow.shape != (len(chain),) or np.isinf(flow).any():
            raise InvalidInput(
                f"expected a finite (or unknown) signed volume for each of {len(chain)} contracts, found {flow.shape}"
            )
        if self.basis == "flow":
            return -flow
        return np.where(flow == 0, np.nan, -np.sign(flow) * chain.open_interest)


NAIVE = BySide("naive: dealers long calls, short puts", 1.0, -1.0)
REVERSED = BySide("reversed: dealers short calls, long puts", -1.0, 1.0)
ALL_SHORT = BySide("all short: dealers short calls and puts", -1.0, -1.0)
ALL_LONG = BySide("all long: dealers long calls and puts", 1.0, 1.0)
POLICIES = {"naive": NAIVE, "reversed": REVERSED, "all_short": ALL_SHORT, "all_long": ALL_LONG}
