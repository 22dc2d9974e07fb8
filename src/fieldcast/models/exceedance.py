"""Odds that follow from a volatility alone: of reaching a level, and of ending up.

For a log price that moves as a Brownian motion with mean m and standard deviation s over the horizon, a = log(1 + theta):

    P(high >= +theta)  = Phi((m - a)/s) + exp(2 m a / s^2) Phi((-m - a)/s)      watched all the time (reflection principle)
    P(close >= +theta) = Phi((m - a)/s)
    P(close > 0)       = Phi(m / s)
    s_implied          = implied / 100 * sqrt(h / 252)                          implied: percent a year, such as VIX

The strong volatility anchor is the best that volatility alone says of an outcome: log-HAR with log implied volatility
as a further regressor, through these odds. A forecast that does not beat it knows nothing but volatility.

m is the mean daily log return of all rows so far times h: with it the sign has odds at all, since a driftless
volatility says 1/2 of it. VIX holds a premium over the volatility that comes (its odds of reaching a level are too
high on average): the anchor, whose coefficients are fitted, has it taken out.
Sources: Borodin and Salminen, Handbook of Brownian Motion (2002), 2.1.1.4; Corsi 2009.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.log_har import MONTH, LogHar

SESSIONS_A_YEAR = 252  # the convention in which VIX is turned into a volatility of sessions
_EDGE = 1e-9
_LEAST_IMPLIED = 126  # rows with implied volatility before the first fit that uses it


def implied_sigma(implied_percent: ArrayLike, horizon: int) -> Floats:
    """Standard deviation of the log return over `horizon` sessions that an implied volatility says.

    Parameters
    ----------
    implied_percent : (n,) percent a year, such as the close of VIX; NaN where unknown
    horizon : sessions

    Returns
    -------
    (n,) in log-return units, NaN where unknown
    """
    v = np.asarray(implied_percent, dtype=np.float64)
    if v.ndim != 1 or np.isinf(v).any() or (v <= 0).any() or horizon < 1:
        raise InvalidInput("expected a vector of implied volatilities above 0 percent (NaN where unknown), horizon >= 1")
    if np.isfinite(v).any() and np.nanmedian(v) < 1.0:
        raise InvalidInput(f"expected implied volatilities in percent, found a median of {np.nanmedian(v):.3g}; times 100")
    sigma: Floats = v / 100.0 * np.sqrt(horizon / SESSIONS_A_YEAR)
    return sigma


def barrier_odds(sigma: ArrayLike, threshold: float, drift: ArrayLike = 0.0) -> Floats:
    """P(the high of the horizon is at least close * (1 + threshold)).

    Parameters
    ----------
    sigma : (n,) standard deviation of the log return over the horizon, NaN where unknown
    threshold : above 0, such as 0.01 for +1 %
    drift : mean of the log return over the horizon, a number or (n,)

    Returns
    -------
    (n,) inside (0, 1), NaN where sigma or drift is
    """
    from scipy.special import log_ndtr, ndtr

    s, m = _moments(sigma, drift)
    if not (np.isfinite(threshold) and threshold > 0):
        raise InvalidInput(f"expected a threshold above 0, such as 0.01 for +1 %, found {threshold}")
    a = np.log1p(threshold)
    odds: Floats = np.asarray(ndtr((m - a) / s) + np.exp(2.0 * m * a / s**2 + log_ndtr((-m - a) / s)), dtype=np.float64)
    return np.clip(odds, _EDGE, 1.0 - _EDGE)


def sign_odds(sigma: ArrayLike, drift: ArrayLike) -> Floats:
    """P(the log return over the horizon is above 0): Phi(drift / sigma); shapes as in `barrier_odds`."""
    from scipy.special import ndtr

    s, m = _moments(sigma, drift)
    return np.clip(np.asarray(ndtr(m / s), dtype=np.float64), _EDGE, 1.0 - _EDGE)


def running_drift(ret: ArrayLike, horizon: int) -> Floats:
    """Mean of the known daily log returns up to each row, times `horizon`; (n,), NaN before the first one."""
    r = np.asarray(ret, dtype=np.float64)
    if r.ndim != 1 or np.isinf(r).any() or horizon < 1:
        raise InvalidInput(f"expected a vector of finite returns (NaN where unknown) and horizon >= 1, found {r.shape}")
    known = np.isfinite(r)
    count = np.cumsum(known)
    total = np.cumsum(np.where(known, r, 0.0))
    drift: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan) * horizon
    return drift


@dataclass(frozen=True, eq=False)
class StrongAnchor:
    """Odds from log-HAR with implied volatility, each from rows up to its own.

    sigma, drift, event, sign : (n,), NaN before `first` and wherever an input is unknown
    first : the first row whose forecast is out of sample; n where there is none
    """

    sigma: Floats
    drift: Floats
    event: Floats
    sign: Floats
    first: int


def strong_anchor(
    variance: ArrayLike,
    ret: ArrayLike,
    implied_percent: ArrayLike,
    *,
    first: int,
    horizon: int = 1,
    threshold: float | None = 0.01,
    refit: int = 21,
) -> StrongAnchor:
    """The strong volatility anchor at rows `first` to n-1.

    Parameters
    ----------
    variance, ret : (n,) daily variances and log returns, as in `LogHar`
    implied_percent : (n,) implied volatility known at each row, percent a year; NaN where unknown
    first : row of the first forecast; later where implied volatility was not yet known on half a year of rows
    threshold : of the event; None = no event is asked about, and its odds are NaN

    Returns
    -------
    StrongAnchor; without a forecast at all where implied volatility is never known long enough
    """
    implied = np.asarray(implied_percent, dtype=np.float64)
    implied_sigma(implied, horizon)  # refuses what is no volatility in percent
    v = np.asarray(variance, dtype=np.float64)
    if v.shape != implied.shape:
        raise InvalidInput(f"expected an implied volatility for each of {len(v)} rows, found shape {implied.shape}")
    enough = np.flatnonzero(np.cumsum(np.isfinite(implied) & np.isfinite(v)) >= _LEAST_IMPLIED + MONTH)
    begin = max(first, int(enough[0]) + horizon) if enough.size else len(v)
    sigma = np.full(len(v), np.nan)
    if begin < len(v):
        path = LogHar().path(v, ret, first=begin, horizon=horizon, refit=refit, extra=np.log(implied))
        sigma[begin:] = path.sigma[begin:]
    drift = np.where(np.isfinite(sigma), running_drift(ret, horizon), np.nan)
    event = np.full(len(v), np.nan) if threshold is None else barrier_odds(sigma, threshold, drift)
    return StrongAnchor(sigma, drift, event, sign_odds(sigma, drift), begin)


def _moments(sigma: ArrayLike, drift: ArrayLike) -> tuple[Floats, Floats]:
    s = np.asarray(sigma, dtype=np.float64)
    if s.ndim != 1 or np.isinf(s).any() or (s <= 0).any():
        raise InvalidInput("expected a vector of positive volatilities (NaN where unknown)")
    m = np.asarray(drift, dtype=np.float64)
    if (m.ndim and m.shape != s.shape) or np.isinf(m).any():
        raise InvalidInput(f"expected a finite drift, one number or {len(s)}, found shape {m.shape}")
    return s, np.broadcast_to(m, s.shape)
