"""The signals of the agents that look at daily bars. Each is known at its row's close; units cancel.

    momentum        0.3 R_21 + 0.3 R_63 + 0.4 R_126,   R_k the k-row log return over s sqrt(k)
    mean_reversion  R_60 - R_5
    volatility      -1/2 log(s_20 / s_252)
    liquidity       log(volume / mean volume of 20 rows)
    pattern         (close > SMA 20 > SMA 50) - (close < SMA 20 < SMA 50) + (RSI 14 < 30) - (RSI 14 > 70)
    regime          (close > EMA 200) - (close < EMA 200) - (s_20 > 1.5 s_252)

s, s_20 and s_252 are root mean squares of daily log returns (s is s_20). The horizons, windows and weights are those of the
system that the agents come from; what they are worth is measured row by row (`contract.line_agent`), not assumed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from fieldcast.projection.agents.contract import AgentPath, Floats, line_agent

FAST, SLOW = 20, 252


def signals(bars: pl.DataFrame) -> dict[str, Floats]:
    """The signal of each of `AGENTS` at every bar, (n,); NaN in the warm-up and where an input is not known.

    Parameters
    ----------
    bars : schema `market.BARS`, one instrument, ascending, adjusted
    """
    close = bars["close"].to_numpy().astype(np.float64)
    volume = bars["volume"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    log_close = np.log(close)
    daily = np.concatenate([[np.nan], np.diff(log_close)])
    return {name: signal(_Bars(close, volume, log_close, root_mean_square(daily, FAST), root_mean_square(daily, SLOW)))
            for name, signal in AGENTS.items()}  # fmt: skip


def price_agents(bars: pl.DataFrame, returns: Floats, horizon: int) -> list[AgentPath]:
    """Every agent of `AGENTS` over `bars`.

    Parameters
    ----------
    returns : (n,) log return close(t) → close(t + horizon), NaN where not known yet
    """
    daily = np.concatenate([[np.nan], np.diff(np.log(bars["close"].to_numpy().astype(np.float64)))])
    volatility = root_mean_square(daily, FAST) * np.sqrt(horizon)
    return [line_agent(name, line, returns, volatility, horizon) for name, line in signals(bars).items()]


def root_mean_square(values: Floats, window: int) -> Floats:
    """(n,) over the last `window` values; NaN where one of them is, or where all are 0."""
    squares = pl.Series(values**2).fill_nan(None).rolling_mean(window, min_samples=window).cast(pl.Float64)
    root: Floats = np.sqrt(squares.fill_null(np.nan).to_numpy())
    root[~(root > 0.0)] = np.nan
    return root


class _Bars:
    """The lines that signals share."""

    def __init__(self, close: Floats, volume: Floats, log_close: Floats, fast: Floats, slow: Floats) -> None:
        self.close, self.volume, self.log_close, self.fast, self.slow = close, volume, log_close, fast, slow

    def moved(self, rows: int) -> Floats:
        """Log return of the last `rows` rows in units of its volatility."""
        line = np.full(self.close.shape, np.nan)
        line[rows:] = self.log_close[rows:] - self.log_close[:-rows]
        line /= self.fast * np.sqrt(rows)
        return line


def _momentum(b: _Bars) -> Floats:
    return 0.3 * b.moved(21) + 0.3 * b.moved(63) + 0.4 * b.moved(126)


def _mean_reversion(b: _Bars) -> Floats:
    return b.moved(60) - b.moved(5)


def _volatility(b: _Bars) -> Floats:
    return -0.5 * np.log(b.fast / b.slow)


def _liquidity(b: _Bars) -> Floats:
    usual = pl.Series(b.volume).fill_nan(None).rolling_mean(FAST, min_samples=FAST).cast(pl.Float64).fill_null(np.nan).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        line = np.log(b.volume / usual)
    return np.where(np.isfinite(line), line, np.nan)


def _pattern(b: _Bars) -> Floats:
    from fieldcast.indicators import rsi, sma

    short, long, strength = sma(b.close, 20), sma(b.close, 50), rsi(b.close, 14)
    rising = (b.close > short) & (short > long)
    falling = (b.close < short) & (short < long)
    line = rising.astype(np.float64) - falling + (strength < 30.0) - (strength > 70.0)
    return np.where(np.isfinite(long) & np.isfinite(strength), line, np.nan)


def _regime(b: _Bars) -> Floats:
    from fieldcast.indicators import ema

    average = ema(b.close, 200)
    line = np.sign(b.close - average) - (b.fast > 1.5 * b.slow)
    return np.where(np.isfinite(average) & np.isfinite(b.slow), line, np.nan)


AGENTS: dict[str, Callable[[_Bars], Floats]] = {
    "momentum": _momentum,
    "mean_reversion": _mean_reversion,
    "volatility": _volatility,
    "liquidity": _liquidity,
    "pattern": _pattern,
    "regime": _regime,
}
