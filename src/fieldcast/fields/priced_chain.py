"""An option chain as arrays that can be re-priced: what the dealer and the elasticity engine both start from.

A chain is a snapshot of quotes; here every row that can be priced has its time to expiry, its implied volatility and its
expiry's rate and carry, under conventions that travel with the result. A row that cannot is left out, and the count of each
reason is kept: nothing is dropped silently, and a chain without open interest is no chain with an open interest of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import Reason

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PricedChain:
    """The contracts of one underlying that can be priced at one moment; n of them, ordered by expiry, then strike, puts first.

    Parameters
    ----------
    underlying : id
    as_of : the moment of the decision, UTC; quotes and open interest were known by then
    ts : the moment of the quotes
    spot : price of the underlying at `ts`
    contract_id : (n,) OSI symbols
    strike : (n,) prices
    is_call, american : (n,)
    expiry : (n,) row of `expiry_ts` that the contract belongs to
    expiry_ts : (m,) µs since 1970 (UTC), the true last moments, ascending; series that settle at different moments differ
    years : (n,) from `as_of` to the last moment, in `day_count`, always positive
    rate, carry : (n,) a year, continuous: discount e^(−rate·years), forward spot·e^(carry·years)
    sigma : (n,) implied volatility a year (of an American contract: that of its de-Americanised price)
    open_interest : (n,) contracts known at `as_of`
    multiplier : (n,) units of the underlying for each contract
    volume : (n,) contracts traded in the session so far, NaN where the source does not say
    day_count : such as `ACT/365`
    dropped : reason → number of rows that could not be used
    simulated : True where any row came out of a simulation
    available_at : when the last of its rows was known; None where the maker does not say
    iv_source : how volatilities came about, in words
    filled : `gap`, `wing` → contracts whose volatility is that of neighbouring strikes
    refused : expiries without a forward, each with its reason, in words
    """

    underlying: str
    as_of: datetime
    ts: datetime
    spot: float
    contract_id: NDArray[np.str_]
    strike: Floats
    is_call: Flags
    american: Flags
    expiry: Integers
    expiry_ts: Integers
    years: Floats
    rate: Floats
    carry: Floats
    sigma: Floats
    open_interest: Floats
    multiplier: Floats
    volume: Floats
    day_count: str
    dropped: Mapping[Reason, int]
    simulated: bool
    available_at: datetime | None = None
    iv_source: str = "given"
    filled: Mapping[str, int] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.strike.size
