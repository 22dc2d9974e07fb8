"""Beside the market: buying and holding it, the same at the account's own volatility, beta and alpha.

r(d) and m(d) are the returns of the account and of the benchmark on the days that both have, A the days in a year.

    equal volatility    mean(r - s m) A,  s = sd(r) / sd(m): what the account earned beyond the market taken at its own risk
    beta                cov(r, m) / var(m)
    alpha               (mean(r) - beta mean(m)) A
    tracking error      sd(r - m) sqrt(A);  information ratio  mean(r - m) A / tracking error

Each with the interval of the stationary bootstrap over days; a draw re-estimates s and beta as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.evaluation import Interval
from fieldcast.evaluation.intervals import DRAWS, resampled_sums, summarise
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.simulation.market import Market
from fieldcast.simulation.report.figures import Figure
from fieldcast.simulation.report.performance import Array, DailyReturns, Performance, block_of, performance


@dataclass(frozen=True, eq=False)
class Benchmark:
    """What the benchmark did, and what the account did beside it; by the year, shares.

    `own` are the benchmark's figures on the shared days; `scaled_return` is its total return held at the account's volatility.
    """

    name: str
    days: int
    own: Performance
    scaled_return: Figure
    excess_at_equal_volatility: Figure
    beta: Figure
    alpha: Figure
    correlation: Figure
    tracking_error: Figure
    information_ratio: Figure
    curve: pl.DataFrame  # date, benchmark, scaled: growth of 1

    def as_dict(self) -> dict[str, Any]:
        figures = {field.name: getattr(self, field.name) for field in fields(self) if field.type == "Figure"}
        shown = {name: figure.as_dict() for name, figure in figures.items()}
        return {"name": self.name, "days": self.days, "own": self.own.as_dict(), **shown}


def buy_and_hold(
    closes: Mapping[str, pl.DataFrame], *, start: float, days_per_year: float, entry: Mapping[str, float] | None = None,
    market: Market | None = None,
) -> DailyReturns:  # fmt: skip
    """Equal amounts of every instrument bought at its first close and held.

    Parameters
    ----------
    closes : by instrument: `ts`, `close`; one currency. An instrument whose first close comes later waits in cash until then
    entry : by instrument: what buying it costs, a share of its amount; None = nothing
    market : whose trading days count; None: UTC days

    Raises
    ------
    InvalidInput : no instrument, or a close that is not above 0
    """
    from fieldcast.simulation.report.performance import daily_returns

    if not closes:
        raise InvalidInput("expected closes of at least one instrument, found none")
    whole: pl.DataFrame | None = None
    for place, (name, table) in enumerate(closes.items()):
        known = table.filter(pl.col("close").is_not_null() & pl.col("close").is_not_nan()).sort("ts")
        if known.is_empty() or not (known["close"] > 0.0).all():
            raise InvalidInput(f"expected closes of {name} above 0, found {known.height} rows with others among them")
        kept = 1.0 - (0.0 if entry is None else entry[name])
        part = known.select("ts", (kept * pl.col("close") / known["close"][0]).alias(f"c{place}"))
        whole = part if whole is None else whole.join(part, on="ts", how="full", coalesce=True)
    assert whole is not None
    columns = [name for name in whole.columns if name != "ts"]
    held = whole.sort("ts").with_columns(pl.col(columns).forward_fill().fill_null(1.0))
    curve = held.select("ts", equity=start * pl.mean_horizontal(columns))
    days = None if market is None else market.days_at(curve["ts"].dt.epoch("us").to_numpy())
    return daily_returns(curve, start=start, days_per_year=days_per_year, days=days)


def beside(
    account: DailyReturns, market: DailyReturns, *, name: str, cash_rate: float = 0.0, draws: int = DRAWS, seed: int = 0
) -> Benchmark:
    """The account beside a benchmark on the days that both have; a day of one side alone is compounded into the next shared one.

    Raises
    ------
    MissingData : fewer than two shared days
    """
    dates, r, m = shared_days(account, market)
    year, scale = account.days_per_year, math.sqrt(account.days_per_year)
    growth: Array = np.cumprod(1.0 + m).astype(np.float64)
    shared = DailyReturns(dates, growth, m, 1.0, year)
    columns = np.column_stack((np.ones(r.size), r, m, r * r, m * m, r * m))

    def moments(sums: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Means of r and m; variances (divisor n) and covariance."""
        w, x, y, xx, yy, xy = sums.T
        return x / w, y / w, np.maximum(xx / w - (x / w) ** 2, 0.0), np.maximum(yy / w - (y / w) ** 2, 0.0), xy / w - x * y / w**2

    def slope(sums: Array) -> Array:
        _, _, _, market_variance, both = moments(sums)
        return _over(both, market_variance)

    def intercept(sums: Array) -> Array:
        mean, market_mean, _, market_variance, both = moments(sums)
        found: Array = (mean - _over(both, market_variance) * market_mean) * year
        return found

    def beyond(sums: Array) -> Array:
        mean, market_mean, variance, market_variance, _ = moments(sums)
        found: Array = (mean - np.sqrt(_over(variance, market_variance)) * market_mean) * year
        return found

    def related(sums: Array) -> Array:
        _, _, variance, market_variance, both = moments(sums)
        return _over(both, np.sqrt(variance * market_variance))

    def tracking(sums: Array) -> Array:
        _, _, variance, market_variance, both = moments(sums)
        unbiased = r.size / (r.size - 1)
        found: Array = np.sqrt(np.maximum(variance + market_variance - 2.0 * both, 0.0) * unbiased) * scale
        return found

    def information(sums: Array) -> Array:
        mean, market_mean, *_ = moments(sums)
        return _over((mean - market_mean) * year, tracking(sums))

    def figure(statistic: Callable[[Array], Array]) -> Figure:
        value = float(statistic(columns.sum(axis=0)[None])[0])

        def interval() -> Interval:
            block = max(block_of(r), block_of(m))
            drawn = statistic(resampled_sums(columns, block=block, draws=draws, seed=seed))
            return summarise(value, drawn, n=r.size, dates=r.size, block=block)

        if not math.isfinite(value):
            return Figure.missing(Reason.UNDEFINED, f"the account or {name} does not vary")
        return Figure.with_interval(value, interval)

    spread = float(m.std())
    leverage = float(r.std()) / spread if spread > 0.0 else math.nan
    held = np.cumprod(np.maximum(1.0 + leverage * m, 0.0)) if math.isfinite(leverage) else np.full(r.size, np.nan)
    curve = pl.DataFrame({"date": dates, "benchmark": growth, "scaled": held}).with_columns(pl.col("scaled").fill_nan(None))
    return Benchmark(
        name=name,
        days=r.size,
        own=performance(shared, cash_rate=cash_rate, draws=draws, seed=seed),
        scaled_return=Figure.of(float(held[-1]) - 1.0, why=f"{name} does not vary"),
        excess_at_equal_volatility=figure(beyond),
        beta=figure(slope),
        alpha=figure(intercept),
        correlation=figure(related),
        tracking_error=figure(tracking),
        information_ratio=figure(information),
        curve=curve,
    )


def shared_days(account: DailyReturns, market: DailyReturns) -> tuple[NDArray[np.datetime64], Array, Array]:
    """Days that both have, and the returns of each from one shared day to the next; the first is from each one's own start.

    Raises
    ------
    MissingData : fewer than two shared days
    """
    dates, left, right = np.intersect1d(account.dates, market.dates, assume_unique=True, return_indices=True)
    if dates.size < 2:
        raise MissingData(f"expected at least two days that the account and its benchmark share, found {dates.size}")
    one = np.concatenate(([account.start], account.equity[left]))
    other = np.concatenate(([market.start], market.equity[right]))
    return dates, one[1:] / one[:-1] - 1.0, other[1:] / other[:-1] - 1.0


def _over(above: Array, below: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(below > 0.0, above / below, np.nan)
    return found
