"""The expected-move cone, with its convention named.

"Expected move" means different things to different people. Each convention here is a half-width m of the log return over
the horizon, so that the cone is reference * exp(-m) to reference * exp(m):

    one_sigma          m = sigma                            holds 68.3 % of a normal's outcomes
    central_50/75/90   m = sigma * z((1 + p) / 2)           0.6745, 1.1503, 1.6449 sigma: half the distance between the quantiles
                                                            (1 - p) / 2 and (1 + p) / 2 of a driftless normal
    mean_absolute      m = sigma * sqrt(2 / pi) = 0.798 sigma   the mean size of the move; what an at-the-money straddle costs

The horizon is in sessions, 252 a year: 20 % a year is 126.0 bps a session, and central_75 of it 144.9 bps.
Sources: Brenner and Subrahmanyam 1988 (straddle = sigma sqrt(2 / pi)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats

Convention = Literal["one_sigma", "central_50", "central_75", "central_90", "mean_absolute"]
CONVENTIONS: tuple[Convention, ...] = ("one_sigma", "central_50", "central_75", "central_90", "mean_absolute")


def multiple(convention: Convention) -> float:
    """Half-width in sigmas.

    Raises
    ------
    InvalidInput : an unknown convention
    """
    from scipy.special import ndtri

    if convention not in CONVENTIONS:
        raise InvalidInput(f"expected a convention out of {', '.join(CONVENTIONS)}, found {convention!r}")
    if convention == "one_sigma":
        return 1.0
    if convention == "mean_absolute":
        return float(np.sqrt(2.0 / np.pi))
    return float(ndtri(0.5 + 0.5 * int(convention[-2:]) / 100.0))


@dataclass(frozen=True)
class ExpectedMove:
    """A cone around reference prices over one horizon; arrays of one shape, NaN where the volatility is unknown."""

    convention: Convention
    horizon: int  # sessions, or bars of the intraday profile
    half_width_bps: Floats  # of the log return
    low: Floats  # price
    high: Floats  # price


def expected_move(reference: ArrayLike, sigma: ArrayLike, *, horizon: int, convention: Convention) -> ExpectedMove:
    """The expected-move cone.

    Parameters
    ----------
    reference : prices at the decision, above zero (NaN where unknown)
    sigma : standard deviation of the log return over the whole horizon, in the same shape; NaN where unknown
    horizon : what sigma is over, for the record
    convention : which move is meant; there is no default, because no convention is everybody's

    Raises
    ------
    InvalidInput : shapes differ, a price or sigma is not positive, or the convention is unknown
    """
    price, s = np.asarray(reference, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    if price.shape != s.shape:
        raise InvalidInput(f"expected prices and sigmas of one shape, found {price.shape} and {s.shape}")
    if (price <= 0).any() or (s <= 0).any() or np.isinf(price).any() or np.isinf(s).any() or horizon < 1:
        raise InvalidInput("expected positive finite prices and sigmas (NaN where unknown) over a horizon of at least 1")
    half = multiple(convention) * s
    return ExpectedMove(convention, int(horizon), 1e4 * half, price * np.exp(-half), price * np.exp(half))
