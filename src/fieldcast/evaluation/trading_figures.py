"""What a list of trades was worth, in all and by tier and market hours, and how long predictions took.

    win rate        trades with profit above 0 / trades                  its 95 % interval: Wilson (1927)
    profit factor   sum of profits / sum of losses
    expectancy      mean profit of a trade
    Sharpe          mean / standard deviation (n - 1) of returns, a trade; times sqrt(trades a year) only where that is given
    drawdown        (highest equity so far - equity) / highest equity so far, equity in order of exits, the start included

A trade that ends level is no win and no loss. What cannot be computed (a Sharpe ratio of one trade, a profit factor without a
loss) is NaN, never zero and never infinite. A diagnostic: whether a strategy may trade is judged by the gates of `validation`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, finite, normal_quantile, probability, same_length
from fieldcast.ground import InvalidInput, MissingData

HIGH, MEDIUM = 0.75, 0.65  # confidence from which a call is of this tier; below, low
TIERS = ("high", "medium", "low")
HOURS = ("tokyo", "london", "new_york")  # UTC 0-8, 8-16, 16-24: the three thirds of a market that never closes
_Row = TypeVar("_Row")


@dataclass(frozen=True)
class TradingFigures:
    """Figures of n trades; money in the account's currency, drawdowns as shares of the highest equity.

    `sharpe` is per trade; `annual` scales it. `worst_drawdown_trades` counts the exits from the peak before the worst drawdown to
    its bottom.
    """

    n: int
    wins: int
    losses: int
    win_rate: float
    win_rate_low: float
    win_rate_high: float
    total_profit: float
    mean_profit: float
    mean_win: float
    mean_loss: float
    profit_factor: float
    sharpe: float
    worst_drawdown: float
    mean_drawdown: float
    worst_drawdown_trades: int
    final_equity: float

    def annual(self, trades_per_year: float) -> float:
        """Sharpe ratio by the year, for independent trades so many a year."""
        if not trades_per_year > 0.0:
            raise InvalidInput(f"expected trades a year above 0, found {trades_per_year}")
        return self.sharpe * float(np.sqrt(trades_per_year))


def trading_figures(profit: ArrayLike, *, start: float) -> TradingFigures:
    """Figures of trades in the order of their exits.

    Parameters
    ----------
    profit : (n,) net of costs, in the currency of `start`
    start : equity before the first trade; above 0

    Raises
    ------
    MissingData : the equity falls to 0 or below, from where no return can be computed
    """
    gain = finite("profit", profit)
    if not (np.isfinite(start) and start > 0.0):
        raise InvalidInput(f"expected a starting equity above 0, found {start}")
    equity = start + np.concatenate(([0.0], np.cumsum(gain)))
    if equity.min() <= 0.0:
        raise MissingData(f"expected equity above 0 throughout, found {equity.min():g} after trade {int(equity.argmin())}")
    returns = gain / equity[:-1]
    won, lost = gain[gain > 0.0], gain[gain < 0.0]
    peak = np.maximum.accumulate(equity)
    drawdown = 1.0 - equity / peak
    bottom = int(drawdown.argmax())
    low, high = wilson(won.size, gain.size)
    spread = float(returns.std(ddof=1)) if gain.size > 1 else 0.0
    return TradingFigures(
        n=gain.size,
        wins=won.size,
        losses=lost.size,
        win_rate=won.size / gain.size,
        win_rate_low=low,
        win_rate_high=high,
        total_profit=float(gain.sum()),
        mean_profit=float(gain.mean()),
        mean_win=float(won.mean()) if won.size else float("nan"),
        mean_loss=float(lost.mean()) if lost.size else float("nan"),
        profit_factor=float(won.sum() / -lost.sum()) if lost.size else float("nan"),
        sharpe=float(returns.mean()) / spread if spread > 1e-12 * float(np.abs(returns).max()) else float("nan"),
        worst_drawdown=float(drawdown[bottom]),
        mean_drawdown=float(drawdown[1:].mean()),
        worst_drawdown_trades=bottom - int(equity[: bottom + 1].argmax()),
        final_equity=float(equity[-1]),
    )


def wilson(hits: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's interval of a share of independent trials.

    Raises
    ------
    InvalidInput : not 0 <= hits <= n with n of at least 1
    """
    if not 0 <= hits <= n or n < 1:
        raise InvalidInput(f"expected hits from 0 to n and n of at least 1, found {hits} of {n}")
    z = normal_quantile(1.0 - alpha / 2.0)
    share = hits / n
    middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def tiers(confidence: ArrayLike, *, high: float = HIGH, medium: float = MEDIUM) -> NDArray[np.str_]:
    """(n,) `high`, `medium` or `low` from the probability of the called side: a fall can be called as firmly as a rise."""
    p = probability("confidence", confidence)
    if not 0.5 <= medium <= high <= 1.0:
        raise InvalidInput(f"expected 0.5 <= medium <= high <= 1, found {medium} and {high}")
    return np.where(p >= high, TIERS[0], np.where(p >= medium, TIERS[1], TIERS[2]))


def market_hours(entered: NDArray[Any]) -> NDArray[np.str_]:
    """(n,) the third of the UTC day in which each entry lies: tokyo (0-8), london (8-16) or new_york (16-24)."""
    stamps = np.asarray(entered, dtype="datetime64[us]")
    if stamps.ndim != 1 or np.isnat(stamps).any():
        raise InvalidInput("expected one known entry time for every trade")
    hour = (stamps - stamps.astype("datetime64[D]")) // np.timedelta64(1, "h")
    result: NDArray[np.str_] = np.array(HOURS)[hour.astype(np.int64) // 8]
    return result


def trading_table(profit: ArrayLike, by: NDArray[np.str_], *, order: Iterable[str] = ()) -> pl.DataFrame:
    """Figures of each group of trades, such as tiers or market hours.

    Parameters
    ----------
    profit : (n,) in the order of exits
    by : (n,) group of each trade
    order : groups that come first, in this order; one without a trade has a row with n = 0 and nulls

    Returns
    -------
    `group`, `n`, `wins`, `win_rate`, `win_rate_low`, `win_rate_high`, `total_profit`, `mean_profit`, `profit_factor`; null
    where a figure does not exist
    """
    gain, groups = finite("profit", profit), np.asarray(by)
    same_length(profit=gain, by=groups)
    rows = []
    for group in dict.fromkeys((*order, *sorted(set(groups.tolist())))):
        mine = gain[groups == group]
        won, lost = mine[mine > 0.0], mine[mine < 0.0]
        row: dict[str, Any] = {"group": group, "n": mine.size, "wins": won.size}
        if mine.size:
            low, high = wilson(won.size, mine.size)
            row |= {"win_rate": won.size / mine.size, "win_rate_low": low, "win_rate_high": high}
            row |= {"total_profit": float(mine.sum()), "mean_profit": float(mine.mean())}
            row["profit_factor"] = float(won.sum() / -lost.sum()) if lost.size else None
        rows.append(row)
    names = ("win_rate", "win_rate_low", "win_rate_high", "total_profit", "mean_profit", "profit_factor")
    schema = {"group": pl.String, "n": pl.Int64, "wins": pl.Int64, **dict.fromkeys(names, pl.Float64)}
    return pl.DataFrame(rows, schema=schema)


@dataclass(frozen=True)
class Latency:
    """How long n predictions took, in milliseconds; `p90` is the value that nine of ten did not exceed."""

    mean: float
    p90: float
    worst: float
    n: int

    @classmethod
    def of(cls, milliseconds: ArrayLike) -> Latency:
        """From measured times.

        Raises
        ------
        InvalidInput : a time below zero, NaN, or none at all
        """
        taken: Array = finite("milliseconds", milliseconds)
        if taken.min() < 0.0:
            raise InvalidInput(f"expected times of at least 0 ms, found {taken.min():g}")
        # the smallest time that nine of ten do not exceed: a time that was measured, never one between two
        p90 = float(np.sort(taken)[-(-9 * taken.size // 10) - 1])
        return cls(float(taken.mean()), p90, float(taken.max()), taken.size)

    def __str__(self) -> str:
        return f"mean {self.mean:.2f} ms, p90 {self.p90:.2f} ms (n={self.n})"


def prediction_latency(predict: Callable[[_Row], object], rows: Iterable[_Row], *, warm_up: int = 1) -> Latency:
    """Time `predict` on each row by itself, as it is called live.

    Parameters
    ----------
    predict : from one row to its prediction
    rows : inputs, at least one more than `warm_up`
    warm_up : first calls that are made but not counted: they load and compile
    """
    taken = []
    for row in rows:
        started = time.perf_counter_ns()
        predict(row)
        taken.append((time.perf_counter_ns() - started) / 1e6)
    if warm_up < 0 or len(taken) <= warm_up:
        raise InvalidInput(f"expected more rows than the warm-up of {warm_up}, found {len(taken)}")
    return Latency.of(taken[warm_up:])
