"""The forward and the discount factor of an expiry, how they are found, and what stands where there is no usable answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground.errors import InvalidInput
from fieldcast.ground.reasons import Reason
from fieldcast.pricing.quotes import DAY_COUNTS, ChainQuotes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ForwardRules:
    """How forwards are found.

    Parameters
    ----------
    day_count : one of `DAY_COUNTS`, calendar days to the minute
    fewest_pairs : strikes with a usable call and put
    max_log_moneyness : of pairs that enter, about a first guess of the forward
    max_pairs : the tightest of them, for American chains (each pair costs a few American prices an iteration); None: all
    max_rate_width : half width of the rate's interval up to which an expiry's own discount factor is used
    confidence : of the intervals
    max_width : half width of the forward's interval over the forward, above which the expiry is refused
    iterations, tolerance : of de-Americanising; it stops when the rate that goes in and the one that comes out differ by less
        than `tolerance` and a fiftieth of the interval
    """

    day_count: str = "ACT/365"
    fewest_pairs: int = 5
    max_log_moneyness: float = 0.25
    max_pairs: int | None = 30
    max_rate_width: float = 0.003
    confidence: float = 0.95
    max_width: float = 0.01
    iterations: int = 10
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if self.day_count not in DAY_COUNTS:
            raise InvalidInput(f"expected a day count of {', '.join(DAY_COUNTS)}, found {self.day_count!r}")
        if self.fewest_pairs < 3 or (self.max_pairs is not None and self.max_pairs < self.fewest_pairs):
            raise InvalidInput("expected at least three pairs, and max_pairs not below fewest_pairs")
        if not 0 < self.confidence < 1:
            raise InvalidInput(f"expected a confidence between 0 and 1, found {self.confidence}")


@dataclass(frozen=True)
class Forward:
    """Forward and discount factor of one expiry, with everything that says how good they are.

    Parameters
    ----------
    series, root, expiry : which one; `expiry` in µs since 1970
    as_of, spot : the snapshot
    years, day_count : time to expiry
    method : put-call parity, de-Americanised or not, or a dividend schedule
    forward, forward_low, forward_high : price units; interval at `confidence`
    tradable_low, tradable_high : outside these a pair of quotes would be an arbitrage; low above high: the quotes contradict each
        other at this discount factor
    discount, discount_low, discount_high : price of 1 at expiry
    discount_source : `regression`, `pooled` (from expiries that resolve it), `given`, or `unresolved` (the regression's own
        figure for want of a better one: use the forward, not the rate)
    rate, rate_low, rate_high : −ln D / years, continuously compounded
    carry : ln(F / spot) / years: rate less dividend and borrow yield; NaN without a spot
    pairs, outliers : strikes used; of them without weight in the end
    residual : weighted root mean square of C − P about the line, in price units
    iterations : evaluations of premiums for de-Americanising; 0 for European
    """

    series: int
    root: str
    expiry: int
    as_of: int
    spot: float
    years: float
    day_count: str
    method: str
    forward: float
    forward_low: float
    forward_high: float
    tradable_low: float
    tradable_high: float
    discount: float
    discount_low: float
    discount_high: float
    discount_source: str
    rate: float
    rate_low: float
    rate_high: float
    carry: float
    confidence: float
    pairs: int
    outliers: int
    residual: float
    iterations: int

    @property
    def dividend_yield(self) -> float:
        """Rate less carry: what holding the underlying pays, borrow fee included."""
        return self.rate - self.carry


@dataclass(frozen=True)
class Refused:
    """An expiry without a usable answer, and why."""

    series: int
    root: str
    expiry: int
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Forwards:
    """Every expiry of a snapshot, ascending."""

    known: tuple[Forward, ...]
    refused: tuple[Refused, ...]

    def of_rows(self, chain: ChainQuotes) -> tuple[Floats, Floats, Floats]:
        """Forward, discount factor and years of each row; NaN where the expiry was refused."""
        table = np.full((3, max(chain.n_series, 1)), np.nan)
        for one in self.known:
            if one.series < table.shape[1]:
                table[:, one.series] = one.forward, one.discount, one.years
        return table[0][chain.series], table[1][chain.series], table[2][chain.series]
