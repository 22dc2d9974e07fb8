"""Real or simulated bars laid on the grid of their calendar, and the facts about them that models are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.simulated.grid import Grid, grid_of
from fieldcast.data.simulated.parameters import SESSION, Season
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import BARS, sessions, trusted_open

LEAST_ON_GRID = 0.5
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """A series on its grid; every array is (n,), NaN where nothing is known.

    Parameters
    ----------
    move : log return of each bar: from the close before, or from the open where a gap came before
    gap : log return over the gap before the bar; NaN where there is none
    log_range : log of (log high - log low); NaN where the bar did not move
    volume : as reported
    first, last : sessions
    """

    grid: Grid
    interval: str
    move: Floats
    gap: Floats
    log_range: Floats
    volume: Floats
    last_close: float
    first: date
    last: date

    def bins(self, clock: str, count: int) -> NDArray[np.int64]:
        """(n,) bin of the day (or of the session) that each bar begins in."""
        if self.interval == "1d" or count == 1:
            return np.zeros(self.grid.bars, dtype=np.int64)
        if clock == SESSION:
            length, begin = self.grid.usual_seconds, self.grid.into
        else:
            length, begin = 86_400, self.grid._second_of_day(clock)
        return np.minimum(begin * count // length, count - 1).astype(np.int64)

    def flat(self, season: Season) -> tuple[Floats, Floats]:
        """`move` and `log_range` without the season of the day (a ratio and a difference)."""
        bins = self.bins(season.clock, len(season.volatility))
        level = np.sqrt(season.variance_levels())[bins]
        return self.move / level, self.log_range - np.log(level)


def observe(bars: pl.DataFrame, calendar: str, interval: str) -> Observed:
    """Lay bars of one instrument on the grid of their calendar; what is outside its hours is left out.

    Raises
    ------
    InvalidInput : several instruments, or most bars do not end where bars of this interval end on this calendar
    MissingData : no bars
    """
    missing = [name for name in BARS if name not in bars.columns]
    if missing:
        raise InvalidInput(f"expected bars with the columns {', '.join(BARS)}; missing {', '.join(missing)}")
    if bars.is_empty():
        raise MissingData("expected bars to look at, found none")
    if bars["instrument"].n_unique() != 1:
        raise InvalidInput(f"expected bars of one instrument, found {bars['instrument'].n_unique()}")
    table = sessions(calendar)
    touched = table.filter((pl.col("close") >= bars["ts"].min()) & (pl.col("open") < bars["ts"].max()))["session"]
    if touched.is_empty():
        raise InvalidInput(f"expected bars within sessions of {calendar}, found none")
    first, last = touched[0], touched[-1]
    grid = grid_of(calendar, interval, first, last)
    laid = pl.DataFrame({"ts": grid.stamps(grid.end)}).join(
        bars.select("ts", "high", "low", "close", "volume", open=trusted_open()), on="ts", how="left"
    )
    held = laid["close"].len() - laid["close"].null_count()
    inside = bars.height if interval == "1d" else int(_inside(bars["ts"], grid).sum())
    if laid.height != grid.bars or held < LEAST_ON_GRID * inside or held < 2:
        raise InvalidInput(
            f"expected bars that end on the {interval} grid of {calendar}, one each; found {held} of {inside} there; "
            "check calendar, interval and whether the stamps are ends"
        )
    opened, high, low, close, volume = (_floats(laid[name]) for name in ("open", "high", "low", "close", "volume"))
    before = np.concatenate([[np.nan], close[:-1]])
    gap = np.where(grid.opens, np.log(opened / before), np.nan)
    move = np.log(close / np.where(grid.opens | np.isnan(before) & (np.arange(close.size) == 0), opened, before))
    spread = np.log(high / low)
    log_range = np.log(np.where(spread > 0, spread, np.nan))
    return Observed(grid, interval, move, gap, log_range, volume, float(close[~np.isnan(close)][-1]), first, last)


def _inside(ts: pl.Series, grid: Grid) -> NDArray[np.bool_]:
    seconds = ts.dt.epoch("s").to_numpy()
    place = np.minimum(np.searchsorted(grid.end, seconds), grid.bars - 1)
    inside: NDArray[np.bool_] = (seconds > grid.start[place]) & (seconds <= grid.end[place])
    return inside


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


@dataclass(frozen=True)
class Facts:
    """Stylised facts of a series of bars.

    Parameters
    ----------
    annual_volatility : root of the mean yearly variance, gaps included
    gap_share : of the variance
    kurtosis : of the moves without their season (3 = normal)
    autocorrelation : of the moves at lag 1
    absolute_autocorrelation : of the absolute moves without their season at lags 1, 5, 20 and 60 (in bars)
    leverage : correlation of a move with the mean log range of the next 5 bars
    shape : mean absolute move in each bin of the day, 1 on average
    volume_volatility : correlation of log volume with log range, both without their season; None without volume
    """

    annual_volatility: float
    gap_share: float
    kurtosis: float
    autocorrelation: float
    absolute_autocorrelation: tuple[float, ...]
    leverage: float
    shape: tuple[float, ...]
    volume_volatility: float | None


FACT_LAGS = (1, 5, 20, 60)
LEVERAGE_LAGS = 5


def stylised_facts(bars: pl.DataFrame, calendar: str, interval: str, *, clock: str = SESSION, bins: int = 13) -> Facts:
    """The facts that a simulated market must share with a real one (Cont 2001, Quantitative Finance 1).

    Raises
    ------
    InvalidInput, MissingData : see `observe`
    """
    seen = observe(bars, calendar, interval)
    shape = shape_of(seen, clock, bins)
    season = Season(clock, tuple(shape)) if interval != "1d" else Season(clock)
    move, log_range = seen.flat(season)
    annual, share = variances(seen, calendar)
    known = move[~np.isnan(move)]
    centred = known - known.mean()
    absolute = np.abs(move)
    ahead = sum((_shifted(log_range, lag) for lag in range(2, LEVERAGE_LAGS + 1)), start=_shifted(log_range, 1)) / LEVERAGE_LAGS
    log_volume = np.log(np.where(seen.volume > 0, seen.volume, np.nan))
    of_bin = seen.bins(clock, bins)
    return Facts(
        annual_volatility=annual,
        gap_share=share,
        kurtosis=float((centred**4).mean() / (centred**2).mean() ** 2),
        autocorrelation=correlation(move, _shifted(move, 1)),
        absolute_autocorrelation=tuple(correlation(absolute, _shifted(absolute, lag)) for lag in FACT_LAGS),
        leverage=correlation(move, ahead),
        shape=tuple(float(value) for value in shape),
        volume_volatility=None if np.isnan(log_volume).all() else correlation(without_bins(log_volume, of_bin), log_range),
    )


def shape_of(seen: Observed, clock: str, bins: int) -> Floats:
    """(bins,) mean absolute move of each bin of the day, 1 on average; all 1 for daily bars."""
    if seen.interval == "1d":
        return np.ones(1)
    return levels(np.abs(seen.move), seen.bins(clock, bins), bins)


def levels(values: Floats, bins: NDArray[np.int64], count: int) -> Floats:
    """(count,) mean of the known values of each bin over the mean of the bins.

    Raises
    ------
    MissingData : a bin has no positive mean
    """
    known = ~np.isnan(values)
    sums = np.bincount(bins[known], values[known], minlength=count)
    sizes = np.bincount(bins[known], minlength=count)
    if (sums <= 0).any():
        empty = int(np.argmin(sums))
        raise MissingData(f"expected moves in each of {count} bins of the day, found none in bin {empty}; use fewer bins")
    means = sums / sizes
    found: Floats = means / means.mean()
    return found


def without_bins(values: Floats, bins: NDArray[np.int64]) -> Floats:
    """`values` less the mean of their bin."""
    known = ~np.isnan(values)
    sizes = np.maximum(np.bincount(bins[known], minlength=int(bins.max()) + 1), 1)
    means = np.bincount(bins[known], values[known], minlength=int(bins.max()) + 1) / sizes
    found: Floats = values - means[bins]
    return found


def variances(seen: Observed, calendar: str) -> tuple[float, float]:
    """Annual volatility from the squares of all moves and gaps, and the share of the gaps."""
    from fieldcast.market import sessions_per_year

    known = ~np.isnan(seen.move)
    drift = float(seen.move[known].mean()) if seen.interval == "1d" else 0.0
    per_second = float(np.square(seen.move[known] - drift).sum() / seen.grid.seconds[known].sum())
    trading = per_second * seen.grid.usual_seconds
    gaps = seen.gap[~np.isnan(seen.gap)]
    closed = float(np.square(gaps).mean()) * seen.grid.gaps_per_session if gaps.size else 0.0
    return float(np.sqrt((trading + closed) * sessions_per_year(calendar))), closed / (trading + closed)


def _shifted(values: Floats, lag: int) -> Floats:
    """The value `lag` bars later."""
    return np.concatenate([values[lag:], np.full(lag, np.nan)])


def correlation(one: Floats, other: Floats) -> float:
    """Of the rows in which both are known.

    Raises
    ------
    MissingData : fewer than 30 of them, or one does not vary
    """
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < 30 or one[both].std() == 0 or other[both].std() == 0:
        raise MissingData(f"expected at least 30 rows that vary, found {int(both.sum())}")
    return float(np.corrcoef(one[both], other[both])[0, 1])
