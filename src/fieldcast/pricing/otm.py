"""Implied volatilities of a chain from its out-of-the-money quotes: mid, bid and ask, each with its status.

Of the two options at a strike the one out of the money carries the information: its price is all time value and its spread is
the smaller. Puts below the forward, calls from it on. American quotes lose their early-exercise premium first, at the volatility
that the quote itself implies; the premium taken off is kept beside each row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing.forwards import Forwards, Premium, early_exercise_premium
from fieldcast.pricing.quotes import ChainQuotes

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Statuses = NDArray[np.int8]

ROUNDS = 3  # of premium and volatility; out of the money the premium is small and three reach 1e-6 of volatility


@dataclass(frozen=True)
class OtmVolatilities:
    """m out-of-the-money quotes of expiries with a known forward, by expiry and strike.

    Parameters
    ----------
    row : (m,) place in the chain
    series : (m,) expiry
    strike, is_call, years, forward, discount : (m,)
    k : (m,) ln(strike / forward)
    mid, bid, ask : (m,) volatility a year; NaN where the status says why
    mid_status, bid_status, ask_status : (m,) `ImpliedStatus`
    half_spread : (m,) of the price over vega: half a spread in volatility units
    vega : (m,) price units per 1 of volatility, at the mid
    premium : (m,) early-exercise premium taken off the price; 0 for European
    """

    row: NDArray[np.intp]
    series: Integers
    strike: Floats
    is_call: NDArray[np.bool_]
    years: Floats
    forward: Floats
    discount: Floats
    k: Floats
    mid: Floats
    bid: Floats
    ask: Floats
    mid_status: Statuses
    bid_status: Statuses
    ask_status: Statuses
    half_spread: Floats
    vega: Floats
    premium: Floats

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(m,) rows whose mid has a volatility with a vega that doubles resolve."""
        return np.asarray(np.isfinite(self.mid) & (self.mid > 0) & (self.vega > 1e-12 * self.forward) & (self.half_spread >= 0))

    def counts(self) -> dict[str, int]:
        """Rows by the status of their mid."""
        from fieldcast.pricing.implied import ImpliedStatus

        codes, found = np.unique(self.mid_status, return_counts=True)
        return {ImpliedStatus(int(code)).name: int(n) for code, n in zip(codes, found, strict=True)}


def otm_volatilities(chain: ChainQuotes, forwards: Forwards, premium: Premium | None = None) -> OtmVolatilities:
    """Volatilities of the out-of-the-money rows of `chain` (those that `judge` kept) whose forward is known.

    Parameters
    ----------
    chain, forwards : the same snapshot
    premium : as in `implied_forwards`

    Raises
    ------
    InvalidInput : no row has a known forward
    """
    from fieldcast.pricing.implied import implied_volatility

    forward, discount, years = forwards.of_rows(chain)
    with np.errstate(invalid="ignore"):
        out = np.where(chain.is_call, chain.strike >= forward, chain.strike < forward)
    row = np.flatnonzero(out & np.isfinite(forward) & (years > 0))
    if row.size == 0:
        raise InvalidInput("expected out-of-the-money quotes of an expiry with a known forward, found none")
    row = row[np.lexsort((chain.strike[row], chain.series[row]))]
    strike, is_call = chain.strike[row], chain.is_call[row]
    forward, discount, years = forward[row], discount[row], years[row]
    mid, half = chain.mid[row], 0.5 * (chain.ask[row] - chain.bid[row])

    def solve(price: Floats) -> tuple[Floats, Statuses]:
        sigma, status = implied_volatility(price, forward, strike, years, discount, is_call)
        return np.asarray(sigma, np.float64), np.asarray(status, np.int8)

    sigma, status = solve(mid)
    early = np.zeros(len(row))
    if chain.american[row].any():
        work = premium or early_exercise_premium
        for _ in range(ROUNDS):
            early = _premiums(chain, forwards, row, sigma, work)
            sigma, status = solve(mid - early)
    bid, bid_status = solve(chain.bid[row] - early)
    ask, ask_status = solve(chain.ask[row] - early)
    k = np.log(strike / forward)
    deviation = np.where(np.isfinite(sigma) & (sigma > 0), sigma, np.nan) * np.sqrt(years)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        d1 = -k / deviation + 0.5 * deviation
        vega = np.nan_to_num(discount * forward * np.sqrt(years / (2 * np.pi)) * np.exp(-0.5 * d1 * d1))
        width = np.where(vega > 0, half / vega, np.inf)
    return OtmVolatilities(
        row, chain.series[row], strike, is_call, years, forward, discount, k, sigma, bid, ask,
        status, bid_status, ask_status, width, vega, early,
    )


def _premiums(chain: ChainQuotes, forwards: Forwards, row: NDArray[np.intp], sigma: Floats, premium: Premium) -> Floats:
    """Early-exercise premium of each American row whose volatility is known."""
    early = np.zeros(len(row))
    ready = chain.american[row] & np.isfinite(sigma) & (sigma > 0)
    for one in forwards.known:
        for is_call in (True, False):
            here = ready & (chain.series[row] == one.series) & (chain.is_call[row] == is_call)
            if here.any():
                strike = chain.strike[row][here]
                early[here] = premium(one.spot, strike, one.years, one.rate, one.dividend_yield, sigma[here], is_call)
    return np.minimum(early, 0.999 * chain.mid[row])
