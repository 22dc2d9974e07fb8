"""What a simulated option is worth, and what is quoted for it.

European options are worth Black's price at the true volatility of their strike. American ones are worth their European price and
the right to exercise early, which is worth at most

    puts   r K integral over [0, T] of e^(-r u) Phi(-d2(u)) du,        calls   q S integral of e^(-q u) Phi(d1(u)) du

(Kim's integral with the boundary put at the strike). Where that bound is below `EARLY_IGNORED` the right is left out;
everywhere else the American price is computed in full.

A quote stands around the true price by

    half spread = vega spread_volatility (1 + spread_wings |z|) + spread_price price,       z in standard deviations to expiry

rounded outwards to the tick, one tick for prices below `TICK_LIMIT` and a larger one from there on. So bid <= true price <= ask
holds in every row: nobody can trade against an arbitrage-free surface at a gain.

Sources: I. J. Kim, "The analytic valuation of American options", RFS 3 (1990); tick sizes of the penny programme and of other
classes in Cboe Rule 5.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.pricing import american_price, black76_price

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
EARLY_IGNORED = 5e-5  # price units: a two-hundredth of a cent
TICK_LIMIT = 3.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True)
class QuoteProcess:
    """Parameters of quotes.

    Parameters
    ----------
    ticks : smallest price steps in cents, below and from `TICK_LIMIT` on
    spread_volatility : half spread at the money, in volatility a year
    spread_wings : how much wider a standard deviation away
    spread_price : half spread as a share of the price, added
    size : mean contracts at the bid and at the ask, at the money
    """

    ticks: tuple[int, int] = (1, 5)
    spread_volatility: float = 0.0025
    spread_wings: float = 0.3
    spread_price: float = 0.002
    size: float = 40.0

    def __post_init__(self) -> None:
        if not (1 <= self.ticks[0] <= self.ticks[1] <= 300 and 300 % self.ticks[1] == 0 and 300 % self.ticks[0] == 0):
            raise InvalidInput(f"expected two ticks in cents, ascending, that divide 300, found {self.ticks}")
        for name in ("spread_volatility", "spread_wings", "spread_price", "size"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InvalidInput(f"expected {name} at or above zero, found {getattr(self, name)}")


@dataclass(frozen=True)
class Priced:
    """Contracts at one moment; arrays (n,).

    Parameters
    ----------
    strike, forward, discount, years, sigma, is_call : what the price depends on
    price : true price
    place : log(K / forward) in standard deviations to expiry
    """

    strike: Floats
    forward: Floats
    discount: Floats
    years: Floats
    sigma: Floats
    is_call: Flags
    price: Floats
    place: Floats

    @property
    def vega(self) -> Floats:
        """(n,) of the European price, for one unit of volatility."""
        deviation = self.sigma * np.sqrt(self.years)
        d1 = np.log(self.forward / self.strike) / deviation + 0.5 * deviation
        return np.asarray(self.discount * self.forward * np.sqrt(self.years) * np.exp(-0.5 * d1 * d1) / math.sqrt(2 * math.pi))


def priced(
    spot: float, strike: Floats, forward: Floats, discount: Floats, years: Floats, sigma: Floats, is_call: Flags, place: Floats,
    *, american: bool,
) -> Priced:  # fmt: skip
    """True prices of contracts."""
    price = black76_price(forward, strike, years, discount, sigma, is_call)
    if american:
        rate = -np.log(discount) / years
        dividend = rate - np.log(forward / spot) / years
        rows = np.flatnonzero(early_bound(spot, strike, years, rate, dividend, sigma, is_call) >= EARLY_IGNORED)
        if rows.size:
            own = (column[rows] for column in (strike, years, rate, dividend, sigma, is_call))
            price[rows] = np.maximum(price[rows], american_price(spot, *own))
    return Priced(strike, forward, discount, years, sigma, is_call, price, place)


def early_bound(
    spot: float, strike: Floats, years: Floats, rate: Floats, dividend: Floats, sigma: Floats, is_call: Flags
) -> Floats:
    """(n,) what the right to exercise early is worth at most; see the module."""
    from scipy.special import ndtr

    u = 0.5 * years[:, None] * (1 + _NODES)
    spread = sigma[:, None] * np.sqrt(u)
    d1 = (np.log(spot / strike)[:, None] + (rate - dividend)[:, None] * u) / spread + 0.5 * spread
    growth = np.where(is_call, np.maximum(dividend, 0), np.maximum(rate, 0))[:, None]
    inside = np.exp(-growth * u) * ndtr(np.where(is_call[:, None], d1, spread - d1))
    return np.asarray(growth[:, 0] * np.where(is_call, spot, strike) * 0.5 * years * (inside @ _WEIGHTS))


@dataclass(frozen=True)
class Quoted:
    """Quotes of contracts; arrays (n,): prices in whole cents over 100, sizes in contracts."""

    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats


def quoted(process: QuoteProcess, contracts: Priced, random: np.random.Generator) -> Quoted:
    """Quotes around the true prices, at least one tick wide."""
    far = 1 + process.spread_wings * np.abs(contracts.place)
    half = contracts.vega * process.spread_volatility * far + process.spread_price * contracts.price
    bid = _on_tick(process, np.maximum(contracts.price - half, 0.0), up=False)
    ask = np.maximum(_on_tick(process, contracts.price + half, up=True), bid + process.ticks[0] / 100)
    ask = _on_tick(process, np.asarray(np.round(ask, 2), np.float64), up=True)
    mean = process.size * np.exp(-0.3 * np.abs(contracts.place))
    sizes = 1.0 + random.poisson(np.stack([mean, mean]))
    return Quoted(bid, ask, np.where(bid > 0, sizes[0], 0.0), sizes[1])


def _on_tick(process: QuoteProcess, price: Floats, *, up: bool) -> Floats:
    tick = np.where(price < TICK_LIMIT, float(process.ticks[0]), float(process.ticks[1]))
    whole = np.ceil(100 * price / tick - 1e-9) if up else np.floor(100 * price / tick + 1e-9)
    return np.asarray(whole * tick / 100, np.float64)
