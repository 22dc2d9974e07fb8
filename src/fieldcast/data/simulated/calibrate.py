"""Parameters of the simulated market from a series of bars.

Log volatility is seen through the log range, log(log H - log L), which is log volatility plus noise that is independent from bar
to bar: its autocovariances are those of h, whatever the innovations,

    cov(y_i, y_i+k) = v_slow^2 exp(-kappa_slow D) + v_fast^2 exp(-kappa_fast D),     D = business time between the bars,

fitted over lags by non-negative least squares on a grid of half-lives, each regressor less the variance that its own sample mean
takes away. The leverage follows from the covariance of the sign of a move with the surprise in the next log range, the season
from the mean absolute moves, the volatility from the sum of squares, and the elasticities of volume from its covariances with the
log range around it and with the size of the move. Rate and size of jumps are those whose simulated tails
(moves over the volatility of the bars around them) have the observed numbers of moves in each class of size: indirect inference.

Sources: Alizadeh, Brandt and Diebold (2002), Journal of Finance 57 (log range); Harvey and Shephard (1996) (sign moments of
leverage); Gourieroux, Monfort and Renault (1993), Journal of Applied Econometrics 8 (indirect inference).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.simulated.bars import simulate_bars
from fieldcast.data.simulated.observe import (
    Observed,
    levels,
    observe,
    shape_of,
    variances,
    without_bins,
)
from fieldcast.data.simulated.parameters import SESSION, BarMarket, PriceProcess, Season, SimulatedInstrument, VolumeProcess
from fieldcast.ground import MissingData
from fieldcast.market import Kind, default_instrument

LEAST_BARS = 500
TAIL_EDGES = (2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0, 18.0, 27.0, math.inf)
LONGEST_HALF_LIFE = 250.0   # sessions: what lasts longer cannot be told from a trend
_GAIN = 1.0                 # least gain in the distance of the tails that is worth two parameters (chi-square / 4, AIC)
_AROUND = 6                 # bars on each side that give a bar's local volatility
_SIMULATED_BARS = 60_000    # for each candidate of jump rate and size
_SEED = 20_021              # of the candidates' common random numbers
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The fitted instrument and how well its tails fit.

    Parameters
    ----------
    instrument : ready to simulate; `first_price` is the last close of the series
    bars, sessions : that the fit could use
    tails, fitted_tails : moves in each class of size between `TAIL_EDGES` (local standard deviations), found and expected
    """

    instrument: SimulatedInstrument
    bars: int
    sessions: int
    tails: tuple[int, ...]
    fitted_tails: tuple[float, ...]


def calibrate(
    bars: pl.DataFrame,
    *,
    name: str,
    kind: Kind,
    interval: str,
    calendar: str | None = None,
    clock: str = SESSION,
    bins: int | None = None,
    tick: Decimal | None = None,
) -> Calibration:
    """Fit an instrument of the simulated market to bars (schema `market.BARS`, one instrument).

    Parameters
    ----------
    name : of the simulated instrument, whose id is `SIM:name`
    interval : of the bars, 1m to 1d
    calendar, tick : none = as usual for the kind
    clock, bins : of the season, see `Season`; bins none = half hours of a session, hours of a day

    Raises
    ------
    MissingData : fewer than 500 bars, or no opens, highs and lows
    InvalidInput : see `observe`
    """
    usual = default_instrument(f"SIM:{name}", kind, calendar=calendar, tick=tick)
    seen = observe(bars, usual.calendar, interval)
    used = int((~np.isnan(seen.move) & ~np.isnan(seen.log_range)).sum())
    if used < LEAST_BARS:
        raise MissingData(f"expected at least {LEAST_BARS} bars with open, high, low and close, found {used}")
    season = _season(seen, clock, bins)
    annual, share = variances(seen, usual.calendar)
    process = PriceProcess(annual, gap_share=share if share > 1e-9 else 0.0)
    process = _with_volatility(seen, season, process)
    process = _with_leverage(seen, season, process)
    item = SimulatedInstrument(
        name, kind, process, season, _volume(seen, season, process), seen.last_close, tick=tick, calendar=calendar
    )
    item, found, fitted = _with_jumps(seen, item, usual.calendar)
    return Calibration(item, used, int(np.unique(seen.grid.session).size), tuple(int(count) for count in found), fitted)


def _season(seen: Observed, clock: str, bins: int | None) -> Season:
    if seen.interval == "1d":
        return Season(clock)
    if bins is None:
        bins = max(1, round(seen.grid.usual_seconds / 1800)) if clock == SESSION else 24
    volume: tuple[float, ...] = (1.0,)
    if not np.isnan(seen.volume).all():
        volume = tuple(float(value) for value in levels(seen.volume, seen.bins(clock, bins), bins))
    return Season(clock, tuple(float(value) for value in shape_of(seen, clock, bins)), volume)


# volatility ---------------------------------------------------------------------------------------------------------


def _clock(seen: Observed, process: PriceProcess) -> Floats:
    """(n,) business time at the end of each bar."""
    gaps = np.where(seen.grid.opens, seen.grid.gap_time(process), 0.0)
    time: Floats = np.cumsum(seen.grid.business_time(process) + gaps)
    return time


def _lags(n: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.geomspace(1, max(2, min(n // 4, most)), 60).astype(np.int64))


def _covariances(one: Floats, other: Floats, lags: NDArray[np.int64]) -> Floats:
    """(lags,) of `one` with `other` so many bars later, over the rows where both are known; both are centred."""
    return np.array([np.nanmean(one[: one.size - lag] * other[lag:]) for lag in lags])


def _with_volatility(seen: Observed, season: Season, process: PriceProcess) -> PriceProcess:
    """Both parts of log volatility, from the autocovariances of the log range."""
    y = _without_stillness(seen.flat(season)[1])
    y = y - np.nanmean(y)
    time = _clock(seen, process)
    total = float(time[-1])
    bar = total / time.size
    lags = _lags(y.size, round(250 / bar) if seen.interval == "1d" else round(40 / bar))
    target = _covariances(y, y, lags)
    half_lives = np.geomspace(2 * bar, min(LONGEST_HALF_LIFE, total / 6), 48)
    places = np.linspace(0, time.size - 1 - lags[-1], 800).astype(np.int64)
    apart = time[places[:, None] + lags] - time[places][:, None]
    regressors = np.stack([_decay(apart, math.log(2) / life, total) for life in half_lives])
    best, error = (0.0, 0.0, half_lives[0], half_lives[-1]), math.inf
    for slow in range(1, half_lives.size):
        for fast in range(slow):
            if half_lives[slow] < 3 * half_lives[fast]:
                continue
            a, b = _two_non_negative(regressors[slow], regressors[fast], target)
            miss = float(np.square(target - a * regressors[slow] - b * regressors[fast]).sum())
            if miss < error:
                best, error = (a, b, half_lives[slow], half_lives[fast]), miss
    a, b, slow_life, fast_life = best
    return replace(
        process, slow_volatility_sd=math.sqrt(a), fast_volatility_sd=math.sqrt(b),
        slow_half_life=float(slow_life), fast_half_life=float(fast_life),
    )  # fmt: skip


def _without_stillness(y: Floats) -> Floats:
    """`y` no lower than two standard deviations (of its upper half) below its median: bars in which hardly anything traded have a
    range of a tick, which tells of the trading and not of the volatility."""
    middle, upper = np.nanquantile(y, [0.5, 0.75])
    found: Floats = np.maximum(y, middle - 2 * (upper - middle) / 0.6745)
    return found


def _decay(apart: Floats, kappa: float, total: float) -> Floats:
    """(lags,) mean of exp(-kappa D), less what the sample mean of such a process takes away."""
    kt = kappa * total
    of_mean = 2 * (kt - 1 + math.exp(-kt)) / (kt * kt)
    decays: Floats = np.exp(-kappa * apart).mean(axis=0)
    return decays - of_mean


def _two_non_negative(one: Floats, other: Floats, target: Floats) -> tuple[float, float]:
    """Least squares of `target` on two regressors with coefficients at or above zero."""
    aa, bb, ab = one @ one, other @ other, one @ other
    at, bt = one @ target, other @ target
    determinant = aa * bb - ab * ab
    if determinant > 1e-12 * aa * bb:
        a, b = (bb * at - ab * bt) / determinant, (aa * bt - ab * at) / determinant
        if a >= 0 and b >= 0:
            return float(a), float(b)
    alone = [(max(0.0, float(at / aa)), 0.0), (0.0, max(0.0, float(bt / bb)))]
    return min(alone, key=lambda pair: float(np.square(target - pair[0] * one - pair[1] * other).sum()))


def _with_leverage(seen: Observed, season: Season, process: PriceProcess) -> PriceProcess:
    """E[sign(move_i) surprise_i+1] = leverage sqrt(2 / pi) sum_j v_j sqrt(1 - keep_j^2) keep over the gap."""
    move, y = seen.flat(season)
    y = _without_stillness(y)
    surprise = _surprises(y - np.nanmean(y))
    sign = np.sign(move) - np.nanmean(np.sign(move))
    dt = seen.grid.business_time(process)
    gap = np.where(seen.grid.opens, seen.grid.gap_time(process), 0.0)
    effect = np.zeros(dt.size - 1)
    for sd, life in (
        (process.slow_volatility_sd, process.slow_half_life), (process.fast_volatility_sd, process.fast_half_life)
    ):  # fmt: skip
        kappa = math.log(2) / life
        effect += sd * np.sqrt(-np.expm1(-2 * kappa * dt[:-1])) * np.exp(-kappa * gap[1:])
    product = sign[:-1] * surprise[1:]
    known = ~np.isnan(product)
    weight = math.sqrt(2 / math.pi) * effect[known].mean()
    if weight == 0:
        return process
    return replace(process, leverage=float(np.clip(product[known].mean() / weight, -0.95, 0.95)))


def _surprises(y: Floats) -> Floats:
    """`y` less its best linear forecast from its last value and its last 5, 22 and 100 (a heterogeneous autoregression)."""
    known = ~np.isnan(y)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, y, 0.0))])
    sizes = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(y.size)
    means = []
    for window in (1, 5, 22, 100):
        begin = np.maximum(at - window, 0)
        count = sizes[at] - sizes[begin]
        means.append((sums[at] - sums[begin]) / np.maximum(count, 1))
    design = np.stack(means, axis=1)
    fit, *_ = np.linalg.lstsq(design[known], y[known], rcond=None)
    found: Floats = y - design @ fit
    return found


# volume -------------------------------------------------------------------------------------------------------------


def _volume(seen: Observed, season: Season, process: PriceProcess) -> VolumeProcess | None:
    known = ~np.isnan(seen.volume)
    if not known.any():
        return None
    bins = seen.bins(season.clock, len(season.volume))
    log_volume = without_bins(np.log(np.where(seen.volume > 0, seen.volume, np.nan)), bins)
    log_volume = _without_trend(log_volume, seen)
    move, raw = seen.flat(season)
    y = _without_stillness(raw)
    y = y - np.nanmean(y)
    time = _clock(seen, process)
    lags = np.arange(1, 6)
    apart = (time[lags] - time[0]).astype(np.float64)
    implied = sum(
        sd**2 * np.exp(-math.log(2) / life * apart)
        for sd, life in (
            (process.slow_volatility_sd, process.slow_half_life), (process.fast_volatility_sd, process.fast_half_life)
        )
    )  # fmt: skip
    seen_with = (_covariances(log_volume, y, lags) + _covariances(y, log_volume, lags)) / 2
    elasticity = float(np.sum(seen_with) / np.sum(implied)) if np.sum(implied) > 0 else 0.0
    size = np.minimum(np.abs(_local(move, raw)), 4.0)
    size = size - np.nanmean(size)
    both = ~np.isnan(size) & ~np.isnan(log_volume)
    rises = float((log_volume[both] * size[both]).mean() / np.square(size[both]).mean())
    explained = elasticity**2 * process.log_volatility_variance + rises**2 * (1 - 2 / math.pi)
    noise = math.sqrt(max(0.0, float(np.nanvar(log_volume)) - explained))
    per_second = float(seen.volume[known].sum() / seen.grid.seconds[known].sum())
    return VolumeProcess(per_second * seen.grid.usual_seconds, elasticity, rises, noise)


def _without_trend(values: Floats, seen: Observed) -> Floats:
    """Less a straight line where the series spans more than a year: volumes grow with the market, not with volatility."""
    if seen.grid.end[-1] - seen.grid.start[0] < 366 * 86_400:
        return values - np.nanmean(values)
    known = ~np.isnan(values)
    at = (seen.grid.end - seen.grid.end.mean()) / 86_400
    slope, level = np.polyfit(at[known], values[known], 1)
    found: Floats = values - level - slope * at
    return found


# jumps --------------------------------------------------------------------------------------------------------------


def _local(move: Floats, y: Floats) -> Floats:
    """Moves over the mean range of the bars around, scaled to a median size of 0.6745; a bar that stood still counts as 0."""
    known = ~np.isnan(move)
    spread = np.where(known & ~np.isnan(y), np.exp(np.where(np.isnan(y), 0.0, y)), 0.0)
    sums = np.concatenate([[0.0], np.cumsum(spread)])
    sizes = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(y.size)
    begin, end = np.maximum(at - _AROUND, 0), np.minimum(at + _AROUND + 1, y.size)
    count = sizes[end] - sizes[begin] - known
    level = (sums[end] - sums[begin] - spread) / np.maximum(count, 1)
    usable = known & (count >= _AROUND) & (level > 1e-12)
    z = np.where(usable, move / np.where(usable, level, 1.0), np.nan)
    found: Floats = z / (np.nanmedian(np.abs(z)) / 0.6745)
    return found


def _tails(seen: Observed, season: Season) -> Floats:
    """Number of moves in each class of size."""
    z = np.abs(_local(*seen.flat(season)))
    counts: Floats = np.histogram(z[~np.isnan(z)], bins=np.array(TAIL_EDGES))[0].astype(np.float64)
    return counts


def _with_jumps(
    seen: Observed, item: SimulatedInstrument, calendar: str
) -> tuple[SimulatedInstrument, Floats, tuple[float, ...]]:
    """The jump rate and size whose simulated tails are nearest to those observed, and both tails."""
    found = _tails(seen, item.season)
    known = int((~np.isnan(seen.move)).sum())
    bar = float(np.median(seen.grid.business_time(item.process)))
    sd = math.sqrt(bar)         # of a bar, in standard deviations of a session
    tried: dict[tuple[float, float], tuple[float, Floats]] = {}

    def miss(rate: float, size: float) -> float:
        key = (rate, size)
        if key not in tried:
            if rate * size * size >= 0.7:
                tried[key] = (math.inf, np.zeros_like(found))
            else:
                process = replace(item.process, jumps_per_session=rate, jump_size=size)
                expected = _expected(replace(item, process=process), seen, calendar) * known
                distance = float(np.square(np.sqrt(found + 0.375) - np.sqrt(expected + 0.375)).sum())
                tried[key] = (distance, expected)
        return tried[key][0]

    rates = [share / bar for share in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 2e-1)]
    sizes = [times * sd for times in (1.5, 3.0, 6.0, 12.0)]
    best = min([(0.0, 0.0), *((rate, size) for rate in rates for size in sizes)], key=lambda pair: miss(*pair))
    for step in (1.6, 1.25):
        if best[0] > 0:
            near = [(best[0] * step**i, best[1] * math.sqrt(step) ** j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            best = min(near, key=lambda pair: miss(*pair))
    if miss(0.0, 0.0) - miss(*best) < _GAIN:
        best = (0.0, 0.0)
    process = replace(item.process, jumps_per_session=best[0], jump_size=best[1])
    return replace(item, process=process), found, tuple(float(value) for value in tried[best][1])


def _expected(item: SimulatedInstrument, seen: Observed, calendar: str) -> Floats:
    """Share of simulated moves in each class of size; always with the same random numbers."""
    copies = max(1, min(12, round(_SIMULATED_BARS / seen.grid.bars)))
    counts, moves = np.zeros(len(TAIL_EDGES) - 1), 0
    for copy in range(copies):
        market = BarMarket(_SEED + copy, (replace(item, volume=None),), seen.first, seen.last, seen.interval)
        simulated = observe(next(iter(simulate_bars(market))).bars, calendar, seen.interval)
        counts += _tails(simulated, item.season)
        moves += int((~np.isnan(simulated.move)).sum())
    return counts / moves
