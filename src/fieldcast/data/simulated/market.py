"""Daily bars of a simulated market with stochastic volatility, with or without a planted edge.

Volatility of session t + 1 is known at the close of session t and follows a log-AR(1), independent of the price shocks
(no leverage):

    log s(t+1) = m + phi (log s(t) - m) + eta x(t),       m chosen such that E s^2 = annual_volatility^2 / 252

The log return is d(t) + s(t+1) z(t+1), z standard normal, made of one overnight step and K equal steps within the
session; prices stand on a grid of one tick, and each session starts from the published close. Returns are fat-tailed
through s.

- `martingale`: d = -s^2 / 2, so that the price is a martingale (the grid moves its mean by far less than a tick).
- `planted`: the sign of the last five sessions' return r5 = close(t) / close(t-5) - 1, as published, decides the next
  session's odds: d is such that P(close(t+1) > close(t)) is exactly 0.60 where r5 > 0 and 0.40 where r5 < 0, whatever
  s:

      d = s PHI^-1(P) + log(1 + tick / (2 close))

  Where r5 = 0, and in the first five sessions, there is no drift (as in the martingale). A forecaster who knows the
  rule reaches an AUC of 0.60 on average.

Source of the form: Taylor (1986), Modelling Financial Time Series, ch. 3 (log-normal AR(1) stochastic volatility).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.lineage import Lineage
from fieldcast.ground import InvalidInput, Reason, digest
from fieldcast.market import BARS, DECISION_DELAY, Instrument, Kind, sessions_between

MarketKind = Literal["planted", "martingale"]
PLANTED_LOOKBACK = 5
BAYES_AUC = 0.60  # what knowing the planted rule is worth, on average
_SESSIONS_A_YEAR = 252
_STREAM = {"planted": 1, "martingale": 2}


@dataclass(frozen=True)
class SimulatedMarket:
    """Every parameter of a simulated market; the defaults are the ones the demo uses, and were written before it ran.

    Parameters
    ----------
    seed : of the random numbers; the same seed gives the same bars in every process
    kind : `planted` or `martingale`
    first, last : dates between which every session of `calendar` gets a bar
    n_sessions : keep only so many sessions, the last ones up to `last`; none = all
    annual_volatility : root of the mean yearly variance of the log return
    persistence : phi, one-session autocorrelation of log volatility
    log_volatility_sd : stationary standard deviation of log volatility
    overnight_share : of a session's variance that falls between close and open
    steps : K, equal steps within the session
    p_up : P(close(t+1) > close(t)) after a rise over five sessions; 1 - p_up after a fall
    first_price, tick : currency units
    mean_volume : shares a session at mean log volatility
    id : instrument id; none = `SIM:` and the kind in capitals
    """

    seed: int
    kind: MarketKind = "planted"
    first: date = date(1999, 1, 4)
    last: date = date(2018, 12, 31)
    n_sessions: int | None = None
    calendar: str = "XNYS"
    annual_volatility: float = 0.18
    persistence: float = 0.985
    log_volatility_sd: float = 0.40
    overnight_share: float = 0.22
    steps: int = 78
    p_up: float = 0.60
    first_price: float = 2000.0
    tick: float = 0.01
    mean_volume: float = 1e8
    id: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(MarketKind):
            raise InvalidInput(f"expected kind planted or martingale, found {self.kind!r}")
        for name, low, high in (("persistence", 0, 1), ("overnight_share", 0, 1), ("p_up", 0.5, 1)):
            value = getattr(self, name)
            if not low <= value < high:
                raise InvalidInput(f"expected {name} in [{low}, {high}), found {value}")
        if self.seed < 0:
            raise InvalidInput(f"expected a seed of at least 0, found {self.seed}")
        for name in ("annual_volatility", "log_volatility_sd", "steps", "first_price", "tick", "mean_volume"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"expected {name} above zero, found {getattr(self, name)}")
        if self.n_sessions is not None and self.n_sessions < 1:
            raise InvalidInput(f"expected n_sessions of at least 1, found {self.n_sessions}")

    @property
    def instrument(self) -> Instrument:
        return Instrument(
            id=self.id or f"SIM:{self.kind.upper()}",
            kind=Kind.EQUITY,
            calendar=self.calendar,
            tick=Decimal(str(self.tick)),
            simulated=True,
            name=f"SIMULATED {self.kind} (seed {self.seed})",
        )


@dataclass(frozen=True)
class Simulated:
    """A simulated history and the truth behind it.

    Parameters
    ----------
    bars : schema `market.BARS`, every row with the reason `simulated`
    p_up : (n,) true P(close(t+1) > close(t)), known at the close of session t
    sigma : (n,) true volatility of the log return close(t) → close(t+1), known at the close of session t
    bayes_auc : AUC of `p_up` against the signs that came (ties half; sessions without a change of price left out)
    """

    market: SimulatedMarket
    instrument: Instrument
    bars: pl.DataFrame
    lineage: Lineage
    p_up: NDArray[np.float64]
    sigma: NDArray[np.float64]
    bayes_auc: float


def simulate(market: SimulatedMarket) -> Simulated:
    """The history of a simulated market.

    Raises
    ------
    InvalidInput : the calendar has fewer than two sessions in the span
    """
    calendar = sessions_between(market.calendar, market.first, market.last)
    if market.n_sessions is not None:
        calendar = calendar.tail(market.n_sessions)
    n = calendar.height
    if n < 2:
        raise InvalidInput(f"expected at least two sessions of {market.calendar}, found {n} in the span")
    random = np.random.Generator(np.random.PCG64([market.seed, _STREAM[market.kind]]))
    log_sigma = _log_volatility(market, random, n + 1)
    sigma = np.exp(log_sigma)
    path = _unit_paths(market, random, n)
    close, drift, p_up = _closes(market, sigma, path[:, -1])
    bars = _bars(market, calendar["close"], close, drift, sigma, path, log_sigma, random)
    instrument = market.instrument
    lineage = Lineage(
        provider="simulated",
        dataset="simulated",
        fetched_at=calendar["close"][-1] + DECISION_DELAY,
        simulated=True,
        source=f"SimulatedMarket {digest(asdict(replace(market, id=instrument.id)))}",
    )
    return Simulated(market, instrument, bars, lineage, p_up, sigma[1:], bayes_auc(p_up[:-1], np.diff(close)))


def _log_volatility(market: SimulatedMarket, random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """(n,) log volatility by session, started from its stationary distribution."""
    spread = market.log_volatility_sd
    shocks = random.standard_normal(n) * spread * math.sqrt(1 - market.persistence**2)
    deviation = np.empty(n)
    deviation[0] = random.standard_normal() * spread
    for t in range(1, n):
        deviation[t] = market.persistence * deviation[t - 1] + shocks[t]
    return _mean_log_volatility(market) + deviation


def _mean_log_volatility(market: SimulatedMarket) -> float:
    """m, from E s^2 = exp(2 m + 2 log_volatility_sd^2)."""
    return math.log(market.annual_volatility / math.sqrt(_SESSIONS_A_YEAR)) - market.log_volatility_sd**2


def _unit_paths(market: SimulatedMarket, random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """(n, K + 1) path of each session with unit variance in all: after the night, then after each step."""
    steps = random.standard_normal((n, market.steps + 1))
    steps[:, 0] *= math.sqrt(market.overnight_share)
    steps[:, 1:] *= math.sqrt((1 - market.overnight_share) / market.steps)
    return np.cumsum(steps, axis=1)


def _closes(
    market: SimulatedMarket, sigma: NDArray[np.float64], shock: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Published closes (n,), log drift of each session (n,), and true P(up) of the next session (n,)."""
    n = shock.size
    normal = NormalDist()
    edge = normal.inv_cdf(market.p_up)
    ticks = [round(market.first_price / market.tick)] * (n + 1)  # ticks[0] is the price before the first session
    drift, p_up = [0.0] * (n + 1), [0.0] * (n + 1)
    sigmas, shocks = sigma.tolist(), shock.tolist()
    for t in range(n + 1):
        s, now = sigmas[t], ticks[t]
        half_tick = math.log1p(0.5 / now)
        rise = now - ticks[t - PLANTED_LOOKBACK] if market.kind == "planted" and t > PLANTED_LOOKBACK else 0
        if rise == 0:
            drift[t] = -0.5 * s * s
            p_up[t] = normal.cdf((drift[t] - half_tick) / s)
        else:
            drift[t] = math.copysign(edge, rise) * s + half_tick
            p_up[t] = market.p_up if rise > 0 else 1 - market.p_up
        if t < n:
            ticks[t + 1] = max(1, round(now * math.exp(drift[t] + s * shocks[t])))
    close = np.array(ticks[1:], dtype=np.float64)
    return _price(market, close), np.array(drift[:-1]), np.array(p_up[1:])


def _price(market: SimulatedMarket, ticks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole ticks as the float that is nearest to the decimal price."""
    per_unit = round(1 / market.tick)
    return ticks / per_unit if math.isclose(per_unit * market.tick, 1) else ticks * market.tick


def _bars(
    market: SimulatedMarket,
    ts: pl.Series,
    close: NDArray[np.float64],
    drift: NDArray[np.float64],
    sigma: NDArray[np.float64],
    path: NDArray[np.float64],
    log_sigma: NDArray[np.float64],
    random: np.random.Generator,
) -> pl.DataFrame:
    """Open, high and low from the path within each session; volume that rises with volatility and with the move."""
    n = close.size
    before = np.concatenate([[market.first_price], close[:-1]])
    elapsed = np.concatenate([[0.0], np.full(market.steps, (1 - market.overnight_share) / market.steps)])
    elapsed = np.cumsum(elapsed) + market.overnight_share
    returns = drift[:, None] * elapsed + sigma[:n, None] * path

    def on_grid(log_return: NDArray[np.float64]) -> NDArray[np.float64]:
        return _price(market, np.maximum(1.0, np.rint(before * np.exp(log_return) / market.tick)))

    opened = on_grid(returns[:, 0])
    high = np.maximum(on_grid(returns.max(axis=1)), close)
    low = np.minimum(on_grid(returns.min(axis=1)), close)
    surprise = np.abs(path[:, -1]) - math.sqrt(2 / math.pi)
    excess = log_sigma[:n] - _mean_log_volatility(market)
    log_volume = 0.8 * excess + 0.35 * surprise + 0.2 * random.standard_normal(n)
    return pl.DataFrame(
        {
            "instrument": [market.instrument.id] * n,
            "ts": ts,
            "available_at": ts,
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": np.rint(market.mean_volume * np.exp(log_volume)),
            "reasons": [str(Reason.SIMULATED)] * n,
        },
        schema=BARS,
    )


def bayes_auc(p_up: NDArray[np.float64], change: NDArray[np.float64]) -> float:
    """P(true odds of a rise are higher before a rise than before a fall), ties half; NaN-free.

    Parameters
    ----------
    p_up : (n,) true odds
    change : (n,) the change of price that came; zeros are left out

    Raises
    ------
    InvalidInput : there was no rise, or no fall
    """
    rises, falls = p_up[change > 0], np.sort(p_up[change < 0])
    if not (rises.size and falls.size):
        raise InvalidInput(f"expected rises and falls, found {rises.size} and {falls.size}")
    below = np.searchsorted(falls, rises, side="left")
    not_above = np.searchsorted(falls, rises, side="right")
    return float((below + not_above).sum() / (2 * rises.size * falls.size))
