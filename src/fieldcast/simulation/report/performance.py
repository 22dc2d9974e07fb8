"""Return, risk, and the ratio of the two, each with the doubt that a dependent sample leaves.

r(d) is the return of the account over day d, from the last equity of the day before to the last equity of d; the first day
starts at the cash paid in. A is the number of such days in a year, c the cash rate of one day.

    CAGR            prod(1 + r)^(A/n) - 1
    volatility      s sqrt(A),  s the standard deviation of r (n - 1)
    Sharpe          (mean(r) - c) / s * sqrt(A)
    Sortino         (mean(r) - c) / sqrt(mean(min(r - c, 0)^2)) * sqrt(A)
    drawdown        1 - equity / highest equity so far
    Calmar          CAGR / deepest drawdown
    VaR, ES         5 % quantile of r with its sign turned, and the mean of the days at or below it

Intervals are those of the stationary bootstrap over days (`evaluation.intervals`), whose mean block is the one that Politis and
White's rule gives for r and r^2 together: blocks that keep clusters of volatility whole. The deepest drawdown depends on the
order of the days, and so does Calmar: their intervals are the central 95 % over the resampled paths, and need not lie evenly
around the value. PSR and the minimum track record see `evaluation.sharpe`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.evaluation import (
    Interval,
    min_track_record,
    optimal_block,
    probabilistic_sharpe,
    sharpe_moments,
)
from fieldcast.evaluation.intervals import DRAWS, blocks, resampled_sums, summarise
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.simulation.report.figures import Figure, attempted

DAYS_PER_YEAR = {"24/7": 365.0, "24/5": 260.0}  # by calendar; every exchange with holidays has about 252
EXCHANGE_DAYS = 252.0
YEAR_SECONDS = 365.25 * 86_400
PATHS_AT_ONCE = 2_000_000  # days of resampled paths in memory at one time
Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DailyReturns:
    """Returns of an account by day.

    Parameters
    ----------
    dates : (n,) trading days, strictly ascending
    equity : (n,) last equity of each day
    returns : (n,) from the day before
    start : equity before the first day
    days_per_year : A
    """

    dates: NDArray[np.datetime64]
    equity: Array
    returns: Array
    start: float
    days_per_year: float

    @property
    def n(self) -> int:
        return self.returns.size

    @property
    def path(self) -> Array:
        """(n + 1,) equity, the start included."""
        return np.concatenate(([self.start], self.equity))


def days_per_year(calendars: frozenset[str] | set[str]) -> float:
    """Days on which an account with instruments of these calendars is valued, by year: that of the busiest calendar."""
    return max((DAYS_PER_YEAR.get(calendar, EXCHANGE_DAYS) for calendar in calendars), default=EXCHANGE_DAYS)


def daily_returns(
    equity: pl.DataFrame, *, start: float, days_per_year: float, days: Integers | None = None
) -> DailyReturns:
    """Daily returns from a curve of any bar length.

    Parameters
    ----------
    equity : `ts`, ascending, and `equity`
    start : cash paid in before the first bar, above 0
    days : trading day of each row, days since 1970-01-01, ascending (`Market.session`); None: UTC days, to which a bar that ends
        at midnight belongs as the last of the day

    Raises
    ------
    MissingData : no row, or the equity is 0 or below at the end of a day: no return can be computed from there
    InvalidInput : days other than one a row, or a start or days a year that are not above 0
    """
    if not (math.isfinite(start) and start > 0.0) or not days_per_year > 0.0:
        raise InvalidInput(f"expected a starting equity and days a year above 0, found {start} and {days_per_year}")
    if days is not None and len(days) != equity.height:
        raise InvalidInput(f"expected a trading day for each of {equity.height} rows of equity, found {len(days)}")
    by_utc = (pl.col("ts") - pl.duration(microseconds=1)).dt.date()
    date = by_utc if days is None else pl.Series(np.asarray(days, dtype=np.int32)).cast(pl.Date)
    ends = equity.select(date=date, equity="equity").group_by("date", maintain_order=True).last()
    if ends.is_empty():
        raise MissingData("expected at least one row of equity, found none")
    values = ends["equity"].cast(pl.Float64).to_numpy()
    dates = ends["date"].to_numpy().astype("datetime64[D]")
    path = np.concatenate(([start], values))
    low = np.flatnonzero(~(path > 0.0))
    if low.size:
        where = dates[max(int(low[0]) - 1, 0)]
        raise MissingData(f"expected equity above 0 throughout, found {path[low[0]]:g} on {where}: no return can follow")
    return DailyReturns(dates, values, path[1:] / path[:-1] - 1.0, start, days_per_year)


@dataclass(frozen=True)
class Performance:
    """Figures of one series of daily returns; shares, not percent; ratios by the year."""

    total_return: Figure
    cagr: Figure
    volatility: Figure
    sharpe: Figure
    sortino: Figure
    calmar: Figure
    max_drawdown: Figure
    skewness: Figure
    kurtosis: Figure
    value_at_risk: Figure
    expected_shortfall: Figure
    best_day: Figure
    worst_day: Figure
    days_up: Figure
    psr: Figure
    min_track_record_days: Figure

    def as_dict(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name).as_dict() for field in fields(self)}

    @classmethod
    def unknown(cls, reason: Reason, why: str) -> Performance:
        """Every figure missing for one reason."""
        return cls(**{field.name: Figure.missing(reason, why) for field in fields(cls)})


def block_of(returns: Array) -> float:
    """Mean block, in days, for the bootstrap of ratios of mean and spread.

    Raises
    ------
    MissingData : fewer than 8 days
    """
    return optimal_block(np.column_stack((returns, returns * returns)))


def performance(daily: DailyReturns, *, cash_rate: float = 0.0, draws: int = DRAWS, seed: int = 0) -> Performance:
    """Figures of the series.

    Parameters
    ----------
    cash_rate : by the year, compounded; what Sharpe and Sortino measure from
    draws, seed : of the bootstrap
    """
    if not cash_rate > -1.0:
        raise InvalidInput(f"expected a cash rate above -1, found {cash_rate}")
    r, year = daily.returns, daily.days_per_year
    excess = r - math.expm1(math.log1p(cash_rate) / year)
    scale = math.sqrt(year)
    growth, down = np.log1p(r), np.minimum(excess, 0.0)
    varies = r.size > 1 and float(r.std()) > 1e-12 * max(1.0, float(np.abs(r).max()))
    still = Figure.missing(Reason.UNDEFINED, "the returns do not vary")

    def bootstrap(columns: Array, statistic: Callable[[Array], Array]) -> Callable[[], Interval]:
        """Interval of a function of the columns' sums."""

        def interval() -> Interval:
            block = block_of(r)
            estimate = float(statistic(columns.sum(axis=0)[None])[0])
            drawn = statistic(resampled_sums(columns, block=block, draws=draws, seed=seed))
            return summarise(estimate, drawn, n=r.size, dates=r.size, block=block)

        return interval

    def compounded(sums: Array) -> Array:
        grown: Array = np.expm1(sums[:, 0] / r.size * year)
        return grown

    def spread(sums: Array) -> Array:
        found: Array = scale * _deviation(sums[:, 0], sums[:, 1], r.size)
        return found

    def ratio(sums: Array) -> Array:
        return scale * _over(sums[:, 0] / r.size, _deviation(sums[:, 0], sums[:, 1], r.size))

    def downside(sums: Array) -> Array:
        return scale * _over(sums[:, 0] / r.size, np.sqrt(sums[:, 1] / r.size))

    def figure(columns: tuple[Array, ...], statistic: Callable[[Array], Array]) -> Figure:
        stacked = np.column_stack(columns)
        value = float(statistic(stacked.sum(axis=0)[None])[0])
        return Figure.with_interval(value, bootstrap(stacked, statistic))

    deepest = float(drawdown_of(daily.path).max())
    cagr = figure((growth,), compounded)
    paths = _path_intervals(r, year, draws=draws, seed=seed) if varies else None
    tail = np.sort(r)[: max(math.ceil(0.05 * r.size), 1)]
    moments = attempted(lambda: Figure.of(sharpe_moments(excess).skew)) if varies else still
    return Performance(
        total_return=Figure.of(daily.equity[-1] / daily.start - 1.0),
        cagr=cagr,
        volatility=figure((r, r * r), spread) if varies else still,
        sharpe=figure((excess, excess * excess), ratio) if varies else still,
        sortino=figure((excess, down * down), downside)
        if (down < 0.0).any()
        else Figure.missing(Reason.UNDEFINED, "no day fell below the cash rate"),
        calmar=_with_ends(cagr.known / deepest, paths, "calmar")
        if deepest > 0.0
        else Figure.missing(Reason.UNDEFINED, "the equity never fell below its highest value so far"),
        max_drawdown=_with_ends(deepest, paths, "drawdown"),
        skewness=moments,
        kurtosis=attempted(lambda: Figure.of(sharpe_moments(excess).kurtosis)) if varies else still,
        value_at_risk=_from_tail(-tail[-1], r.size),
        expected_shortfall=_from_tail(-tail.mean(), r.size),
        best_day=Figure.of(r.max()),
        worst_day=Figure.of(r.min()),
        days_up=Figure.of(float((r > 0.0).mean())),
        psr=attempted(lambda: Figure.of(probabilistic_sharpe(sharpe_moments(excess)))) if varies else still,
        min_track_record_days=_track_record(excess) if varies else still,
    )


def drawdown_of(path: Array) -> Array:
    """Share below the highest value so far, along the last axis of `path`, whose first value is the start."""
    found: Array = 1.0 - path / np.maximum.accumulate(path, axis=-1)
    return found


def _from_tail(value: float, n: int) -> Figure:
    """A figure of the worst twentieth; of fewer than 20 days there is none."""
    if n < 20:
        return Figure.missing(Reason.FEW_ROWS, f"expected at least 20 days for a twentieth of them, found {n}")
    return Figure.of(float(value))


def _track_record(excess: Array) -> Figure:
    days = min_track_record(sharpe_moments(excess))
    return Figure.of(days, why="the mean return is not above the cash rate: no record is long enough")


def _deviation(total: Array, squares: Array, n: int) -> Array:
    """Standard deviation (n - 1) from sums."""
    found: Array = np.sqrt(np.maximum(squares - total * total / n, 0.0) / (n - 1)) if n > 1 else np.full(total.shape, np.nan)
    return found


def _over(above: Array, below: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(below > 0.0, above / below, np.nan)
    return found


def _with_ends(value: float, paths: dict[str, tuple[float, float]] | str | None, name: str) -> Figure:
    if isinstance(paths, dict):
        return Figure(value=value, low=paths[name][0], high=paths[name][1])
    return Figure(value=value, why=paths or "the returns do not vary")


def _path_intervals(r: Array, year: float, *, draws: int, seed: int) -> dict[str, tuple[float, float]] | str:
    """Central 95 % of the deepest drawdown and of Calmar over resampled orders of the days; in words where there are too few."""
    try:
        block = block_of(r)
    except MissingData as error:
        return str(error)
    if r.size < 2.0 * block:
        return f"expected at least two blocks of {block:g} days for an interval, found {r.size} days"
    starts, lengths = blocks(r.size, block, draws, seed)
    offset = np.cumsum(lengths, axis=1) - lengths
    deepest, growth = np.empty(draws), np.empty(draws)
    step = max(PATHS_AT_ONCE // r.size, 1)
    for first in range(0, draws, step):
        part = slice(first, min(first + step, draws))
        rows = part.stop - part.start
        begin = np.repeat((starts[part] - offset[part]).ravel(), lengths[part].ravel()).reshape(rows, r.size)
        taken = np.log1p(r)[(begin + np.arange(r.size)) % r.size]
        path = np.concatenate((np.zeros((rows, 1)), np.cumsum(taken, axis=1)), axis=1)
        deepest[part] = -np.expm1((path - np.maximum.accumulate(path, axis=1)).min(axis=1))
        growth[part] = np.expm1(path[:, -1] / r.size * year)
    calmar = np.where(deepest > 0.0, growth / np.where(deepest > 0.0, deepest, 1.0), np.nan)
    usable = calmar[np.isfinite(calmar)]
    if 2 * usable.size < draws:
        return "most resampled paths have no drawdown"
    return {
        name: (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975)))
        for name, values in (("drawdown", deepest), ("calmar", usable))
    }
