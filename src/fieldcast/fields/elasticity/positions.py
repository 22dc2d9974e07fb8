"""The dealers' option position as one hedged book: its value, delta and gamma at any price, volatility and time.

Every contract i is held s_i · OI_i · m_i times (s_i = +1 where the dealer is long, −1 short; m_i units of the underlying) and
re-priced at the hypothetical price with the implied volatility of its own strike (sticky strike):

    V(S) = Σ s_i OI_i m_i v_i(S, σ_i, T_i),   Δ(S) = V'(S)  [units of the underlying],   Γ(S) = V''(S)  [units per 1.00 of price]

A put and a call of one strike and expiry differ by a straight line in S (parity), which is hedged once and for all. So each
contract is held here in the form that is out of the money at the spot, and the lines are kept apart as `parity`: differences of
values between two prices, less the anchor's delta, do not know of them, and small differences do not drown in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.fields.dealer.units import SMALLEST_SIGMA
from fieldcast.fields.elasticity.conventions import stamp
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.pricing._arrays import spread

Floats = NDArray[np.float64]
YEAR = 365.0  # days
GIVEN = "signs given by the caller"
EDGE = 4.6  # of |log(price / spot)|: a hundredth and a hundredfold; beyond them nothing is re-priced


@runtime_checkable
class Policy(Protocol):
    """Who holds the contracts; `fields.dealer.sign` has several."""

    @property
    def name(self) -> str:
        """What is stamped."""

    def positions(self, chain: PricedChain) -> Floats:
        """(n,) contracts that dealers hold, positive for long, NaN where unknown."""


class PricingModel(StrEnum):
    """How contracts are re-priced."""

    BLACK_SCHOLES = "black_scholes"
    BACHELIER = "bachelier"  # the twin: normal steps of spot · sigma, in which up and down are mirror images


@dataclass(frozen=True, eq=False)
class Sums:
    """A book at l times, j volatilities and k prices: arrays (l, j, k)."""

    value: Floats
    """Dollars, without the parity lines."""
    delta: Floats
    """Units of the underlying, without the parity lines."""
    gamma: Floats
    """Units per 1.00 of price."""
    size: Floats
    """Dollars: the sum of the absolute terms of `value`, which bounds its rounding."""


@dataclass(frozen=True, eq=False)
class HedgedBook:
    """The position of those who hedge it.

    Parameters
    ----------
    spot : the price at which it is hedged
    lines : (7, n) strike, years, rate, carry, sigma, sign (1 call, −1 put), weight in units of the underlying
    parity : (n,) units of the straight line (call − put) that the form of each line leaves out
    model : how lines are re-priced
    policy : who is taken to hold the contracts, in words
    unknown : contracts left out because the policy does not know who holds them
    """

    spot: float
    lines: Floats
    parity: Floats
    model: PricingModel = PricingModel.BLACK_SCHOLES
    policy: str = GIVEN
    unknown: int = 0

    @property
    def conventions(self) -> Mapping[str, str]:
        """How everything that is read off this book is to be read; every result carries it."""
        return stamp(self.policy, self.model.value)

    def __len__(self) -> int:
        return int(self.lines.shape[1])

    def at(self, prices: ArrayLike, shifts: ArrayLike = 0.0, days: ArrayLike = 0.0, *, keep_expired: bool = False) -> Sums:
        """Value, delta and gamma at hypothetical prices, volatilities and times.

        Parameters
        ----------
        prices : (k,) above 0
        shifts : (j,) relative changes of every volatility, above −1
        days : (l,) calendar days that have passed, at least 0; a contract that expires by then is gone
        keep_expired : it stays instead, at its last moment

        Raises
        ------
        InvalidInput : out of range
        """
        price, shift, day = (np.atleast_1d(np.asarray(a, np.float64)) for a in (prices, shifts, days))
        self._refuse(price, shift, day)
        from fieldcast.fields.elasticity import _kernels as kernels

        later = day / YEAR * (-1.0 if keep_expired else 1.0)
        later[day == 0.0] = 0.0
        if self.model is PricingModel.BACHELIER:
            out = np.zeros((day.size, shift.size, price.size, kernels.WIDTH))
            kernels.fill_nodes_bachelier(self.spot, self.lines, price, shift, later, out)
        else:
            out = self._sum(kernels.fill_nodes, np.log(price / self.spot), shift, later)
        return _sums(out, price)

    def on_grid(self, prices: Floats, shifts: ArrayLike = 0.0, days: ArrayLike = 0.0) -> Sums:
        """As `at`, for many ascending prices between which a series is quicker; `size` is 0 there."""
        if self.model is PricingModel.BACHELIER:
            return self.at(prices, shifts, days)
        price, shift, day = (np.atleast_1d(np.asarray(a, np.float64)) for a in (prices, shifts, days))
        self._refuse(price, shift, day)
        if price.size < 2 or (np.diff(price) <= 0.0).any():
            raise InvalidInput("expected at least two ascending prices for a grid, found others")
        from fieldcast.fields.elasticity import _kernels_surface as kernels

        return _sums(self._sum(kernels.fill_surface, np.log(price / self.spot), shift, day / YEAR), price)

    def parity_delta(self, days: float = 0.0) -> float:
        """Units of the underlying in the straight lines after some days; expired ones at their last moment."""
        years, rate, carry = self.lines[1:4]
        left = np.maximum(years - days / YEAR, 0.0)
        growth = np.exp((carry - rate) * left) if self.model is PricingModel.BLACK_SCHOLES else np.exp(-rate * left)
        return float((self.parity * growth).sum())

    def _sum(self, kernel: Any, moves: Floats, shifts: Floats, later: Floats) -> Floats:
        """Add up what threads find, always in the same order."""
        tasks = len(self) * moves.size * shifts.size * later.size
        parts = 4 if tasks > 200_000 else 1  # fixed, so that sums are the same on every machine
        found: list[Floats] = [np.zeros((later.size, shifts.size, moves.size, 4)) for _ in range(parts)]

        def work(first: int, last: int) -> int:
            for part in range(first, last):
                kernel(self.spot, self.lines, moves, shifts, later, part, parts, found[part])
            return -1

        if parts == 1:  # a thread costs more than this
            work(0, 1)
            return found[0]
        spread(work, parts, 1)
        whole: Floats = np.sum(found, axis=0)
        return whole

    def with_volatility(self, change: float) -> HedgedBook:
        """The same position with every volatility changed by an amount (0.01 = one point), down to SMALLEST_SIGMA."""
        unit = self.spot if self.model is PricingModel.BACHELIER else 1.0
        lines = self.lines.copy()
        lines[4] = np.maximum(lines[4] + change * unit, SMALLEST_SIGMA * unit)
        return replace(self, lines=lines)

    def _refuse(self, price: Floats, shift: Floats, day: Floats) -> None:
        with np.errstate(invalid="ignore", divide="ignore"):
            good = np.isfinite(price).all() and (price > 0.0).all() and (np.abs(np.log(price / self.spot)) < EDGE).all()
        if not good:
            raise InvalidInput(f"expected prices above 0 and within a hundredfold of the spot {self.spot:g}, found others")
        if not (np.isfinite(shift).all() and (shift > -1.0).all()):
            raise InvalidInput("expected relative changes of volatility above -1, found others")
        if not (np.isfinite(day).all() and (day >= 0.0).all()):
            raise InvalidInput("expected days that have passed, at least 0, found others")


def _sums(out: Floats, price: Floats) -> Sums:
    return Sums(out[..., 0], out[..., 1] / price, out[..., 2] / price**2, out[..., 3])


def hedged_book(
    priced: PricedChain, signs: ArrayLike | Policy, *, model: PricingModel = PricingModel.BLACK_SCHOLES
) -> HedgedBook:
    """The dealers' book out of a priced chain.

    Parameters
    ----------
    priced : n contracts
    signs : a sign policy of `fields.dealer`; or (n,) +1 where the dealer is long the open interest, −1 where short, anything
        between for a part of it, NaN where nobody knows

    Returns
    -------
    HedgedBook; contracts of one strike, expiry and volatility are one line

    Raises
    ------
    InvalidInput : a sign outside of −1 … 1, not one for each contract, or values that cannot be priced
    MissingData : no contract with a known position
    """
    contracts, policy = _positions(priced, signs)
    known = np.isfinite(contracts)
    used = known & (contracts != 0.0)
    if not used.any():
        raise MissingData("expected contracts with open interest and a dealer's side, found none: there is nothing to hedge")
    weight = (contracts * priced.multiplier)[used]
    columns = (priced.strike, priced.years, priced.rate, priced.carry, priced.sigma)
    keys = np.stack([np.asarray(column, np.float64)[used] for column in columns])
    if model is PricingModel.BACHELIER:
        keys[4] *= priced.spot
    _check(keys, weight, priced.spot)
    is_call = priced.is_call[used]
    form = np.where(keys[0] > priced.spot, 1.0, -1.0)
    parity = np.where(is_call & (form < 0.0), weight, np.where(~is_call & (form > 0.0), -weight, 0.0))
    first = np.flatnonzero(np.concatenate(([True], (np.diff(keys, axis=1) != 0.0).any(axis=0))))
    lines = np.vstack([keys[:, first], form[first], np.add.reduceat(weight, first)])
    return HedgedBook(float(priced.spot), lines, np.add.reduceat(parity, first), model, policy, int((~known).sum()))


def _positions(priced: PricedChain, signs: ArrayLike | Policy) -> tuple[Floats, str]:
    """(n,) contracts held, NaN where unknown, and by which policy."""
    if isinstance(signs, Policy):
        contracts, policy = np.asarray(signs.positions(priced), np.float64), signs.name
    else:
        sign, policy = np.asarray(signs, np.float64), GIVEN
        if (np.abs(sign) > 1.0).any():
            raise InvalidInput("expected signs between -1 (dealer short) and 1 (dealer long), found others")
        contracts = sign * priced.open_interest if sign.shape == (len(priced),) else sign
    if contracts.shape != (len(priced),):
        raise InvalidInput(f"expected one position for each of {len(priced)} contracts, found shape {contracts.shape}")
    if np.isinf(contracts).any():
        raise InvalidInput("expected finite positions, found infinite ones")
    return contracts, policy


def _check(keys: Floats, weight: Floats, spot: float) -> None:
    """Refuse what no kernel can price: it would come out as a number."""
    names: Sequence[str] = ("strike", "years", "rate", "carry", "sigma")
    for name, column in zip(names, keys, strict=True):
        bad = ~np.isfinite(column) | ((column <= 0.0) if name in ("strike", "years", "sigma") else np.abs(column) > 5.0)
        if bad.any():
            row = int(np.argmax(bad))
            raise InvalidInput(f"expected a usable {name} in every priced contract, found {column[row]} in row {row}")
    if not (np.isfinite(weight).all() and np.isfinite(spot) and spot > 0.0):
        raise InvalidInput("expected finite open interest, multipliers and spot, found others")
