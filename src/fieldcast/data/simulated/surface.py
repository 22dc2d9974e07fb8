"""The true surface of a simulated option chain: SSVI on the variance that the simulated bars themselves expect.

At the money. The bars' log volatility is h = h_slow + h_fast (`parameters`), so that the variance of the session that lies u
sessions of business time ahead has, given the two parts now, the mean

    xi(u) = S^2 exp(2 (a_s h_slow + a_f h_fast) - 2 (a_s^2 v_s^2 + a_f^2 v_f^2)),    a_j = exp(-kappa_j u),   S^2 a session's
    variance

(jumps grow with h, so S^2 holds all variance). Options charge more: theta(u) is the integral of xi (1 + premium), where the
premium rises from `premium_short` at u = 0 to `premium_long`. xi > 0, so theta rises in time.

The smile. With k = log(K / forward),

    w(k) = theta / 2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)),    phi = eta / (theta^gamma (1 + theta)^(1 - gamma))

rho and eta are the same for all expiries at a moment and move in time: rho = tanh(y), eta = c 2 / (1 + |rho|), logit c and y are
stationary autoregressions whose shocks are correlated with the price's. For gamma in (0, 1/2] and eta (1 + |rho|) <= 2 this
surface has neither butterflies nor calendar arbitrage, at any strike and between any two times: c < 1 is all that it takes.

Source: Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014), theorems 4.1, 4.2 and
remark 4.4; forward variance of a log-normal Ornstein-Uhlenbeck process by its conditional mean and variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.data.simulated.parameters import PriceProcess
from fieldcast.ground import InvalidInput
from fieldcast.pricing.svi import Svi

Floats = NDArray[np.float64]
KNOTS = np.concatenate([[0.0], np.geomspace(1e-3, 5000.0, 700)])  # sessions ahead at which forward variance is summed
MOST_MOVE = 4.0  # standard deviations: a jump of the price tilts the smile no further


@dataclass(frozen=True)
class SurfaceProcess:
    """Parameters of the surface; the defaults are round figures of the size that index options show, fitted to nothing.

    Parameters
    ----------
    premium_short, premium_long : what options charge over the variance expected, as a share of it: at once, and far ahead
    premium_half_life : sessions ahead after which the premium is halfway from the one to the other
    skew : rho around which the smile's tilt moves, in (-1, 1)
    skew_sd, skew_half_life : stationary standard deviation of atanh(rho); sessions
    skew_leverage : correlation of its shocks with the price's
    curvature : c, share of the largest eta that is free of arbitrage, in (0, 1)
    curvature_sd, curvature_half_life, curvature_leverage : the same of logit(c)
    gamma : how fast the smile flattens with time, in (0, 1/2]; the skew at the money falls about as T^(-gamma)
    short_rate, long_rate : a year, continuous, for an instant and far ahead
    rate_half_life : years ahead at which the instantaneous forward rate is halfway
    dividend_yield : a year, continuous
    """

    premium_short: float = 0.10
    premium_long: float = 0.35
    premium_half_life: float = 10.0
    skew: float = -0.65
    skew_sd: float = 0.12
    skew_half_life: float = 20.0
    skew_leverage: float = 0.35
    curvature: float = 0.70
    curvature_sd: float = 0.30
    curvature_half_life: float = 15.0
    curvature_leverage: float = -0.35
    gamma: float = 0.40
    short_rate: float = 0.045
    long_rate: float = 0.035
    rate_half_life: float = 1.0
    dividend_yield: float = 0.015

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not math.isfinite(getattr(self, name)):
                raise InvalidInput(f"expected a finite {name}, found {getattr(self, name)}")
        for name in ("premium_half_life", "skew_half_life", "curvature_half_life", "rate_half_life"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"expected {name} above zero, found {getattr(self, name)}")
        for name in ("skew_sd", "curvature_sd", "short_rate", "long_rate", "dividend_yield"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"expected {name} at or above zero, found {getattr(self, name)}")
        for name, low, high in (("skew", -1, 1), ("skew_leverage", -1, 1), ("curvature_leverage", -1, 1), ("curvature", 0, 1)):
            if not low < getattr(self, name) < high:
                raise InvalidInput(f"expected {name} between {low} and {high}, found {getattr(self, name)}")
        if min(self.premium_short, self.premium_long) <= -1 or not 0 < self.gamma <= 0.5:
            raise InvalidInput("expected premiums above -1 and gamma in (0, 1/2]: else the surface offers arbitrage")

    def discount(self, years: Floats) -> Floats:
        """Price today of 1 paid after `years`."""
        speed = math.log(2) / self.rate_half_life
        gap = (self.short_rate - self.long_rate) * -np.expm1(-speed * years) / speed
        return np.asarray(np.exp(-(self.long_rate * years + gap)))

    def forward(self, spot: float, years: Floats) -> Floats:
        """Price agreed today for delivery after `years`."""
        return np.asarray(spot * np.exp(-self.dividend_yield * years) / self.discount(years))


@dataclass(frozen=True)
class Surface:
    """The true surface at one moment, for every strike and time.

    Parameters
    ----------
    rho, eta, gamma : of all expiries
    summed : (knots,) theta at `KNOTS` sessions ahead
    """

    rho: float
    eta: float
    gamma: float
    summed: Floats

    def theta(self, ahead: Floats | float) -> Floats:
        """Total variance at the money, `ahead` sessions of business time from now.

        Raises
        ------
        InvalidInput : a time at or before now, or beyond the last knot
        """
        ahead = np.asarray(ahead, np.float64)
        if ahead.size and not (ahead.min() > 0 and ahead.max() <= KNOTS[-1]):
            raise InvalidInput(f"expected times from now to {KNOTS[-1]:g} sessions ahead, found others")
        return np.asarray(np.interp(ahead, KNOTS, self.summed))

    def phi(self, theta: Floats) -> Floats:
        """How fast the smile opens, at a total variance at the money."""
        return np.asarray(self.eta / (theta**self.gamma * (1 + theta) ** (1 - self.gamma)))

    def total_variance(self, k: Floats, theta: Floats) -> Floats:
        """w(k) of the expiries with these thetas; shapes broadcast."""
        scaled = self.phi(theta) * k
        return np.asarray(0.5 * theta * (1 + self.rho * scaled + np.sqrt((scaled + self.rho) ** 2 + 1 - self.rho**2)))

    def slice(self, ahead: float) -> Svi:
        """The expiry `ahead` sessions from now as a raw SVI slice."""
        theta = float(self.theta(ahead))
        phi = float(self.phi(np.array(theta)))
        rest = 1 - self.rho**2
        return Svi(0.5 * theta * rest, 0.5 * theta * phi, self.rho, -self.rho / phi, math.sqrt(rest) / phi)


def expected_variance(price: PriceProcess, surface: SurfaceProcess, session_variance: float, slow: float, fast: float) -> Floats:
    """(knots,) theta at each of `KNOTS`, given the two parts of log volatility now."""
    rates = (math.log(2) / price.slow_half_life, math.log(2) / price.fast_half_life)
    kept_slow, kept_fast = (np.exp(-rate * KNOTS) for rate in rates)
    noise = (kept_slow * price.slow_volatility_sd) ** 2 + (kept_fast * price.fast_volatility_sd) ** 2
    forward = session_variance * np.exp(2 * (kept_slow * slow + kept_fast * fast) - 2 * noise)
    far = surface.premium_long - surface.premium_short
    asked = forward * (1 + surface.premium_short - far * np.expm1(-math.log(2) / surface.premium_half_life * KNOTS))
    summed = np.zeros(KNOTS.size)
    np.cumsum(0.5 * (asked[1:] + asked[:-1]) * np.diff(KNOTS), out=summed[1:])
    return summed


def tilts(surface: SurfaceProcess, moves: Floats, elapsed: Floats, start: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """rho and eta after each step.

    Parameters
    ----------
    moves : (n,) the price's move over each step in standard deviations
    elapsed : (n,) sessions of business time in each step
    start : (2,) standard normal: the stationary state before the first step
    draws : (n, 2) standard normal: own shocks of skew and curvature
    """
    found = np.empty((2, moves.size))
    mean = (math.atanh(surface.skew), math.log(surface.curvature / (1 - surface.curvature)))
    spread, half_life = (surface.skew_sd, surface.curvature_sd), (surface.skew_half_life, surface.curvature_half_life)
    leverage = (surface.skew_leverage, surface.curvature_leverage)
    for part in (0, 1):
        kept = np.exp(-math.log(2) / half_life[part] * elapsed)
        shock = leverage[part] * np.clip(moves, -MOST_MOVE, MOST_MOVE) + math.sqrt(1 - leverage[part] ** 2) * draws[:, part]
        state = float(start[part]) * spread[part]
        for step in range(moves.size):
            state = kept[step] * state + spread[part] * math.sqrt(1 - kept[step] ** 2) * shock[step]
            found[part, step] = mean[part] + state
    rho = np.tanh(found[0])
    return rho, 2 / (1 + np.exp(-found[1])) / (1 + np.abs(rho))
