"""The best of many, judged as the best of many: superior predictive ability, stepwise tests, the set of the best models.

With losses L_0 of a benchmark and L_k of k models, d_k = L_0 - L_k (above zero: better than the benchmark), and w_k the
standard deviation of sqrt(T) mean d_k:

    SPA     max(0, max_k sqrt(T) mean d_k / w_k)                              Hansen (2005)
    null    max(0, max_k sqrt(T) (mean* d_k - g_k) / w_k)                     g_k = mean d_k                           upper
                                                                              the same where it is > -w_k sqrt(2 log log T / T),
                                                                              else 0                                   consistent
                                                                              max(0, mean d_k)                         lower
    StepM   reject every k above the (1 - size) quantile of the null over those not yet rejected, until none is
                                                                              Romano and Wolf (2005)
    MCS     drop the worst model until "all are equal" is not rejected        Hansen, Lunde and Nason (2011)

mean* is over draws of the stationary bootstrap by dates, all instruments of a date together; blocks, of mean length b, are chosen
by Politis and White where none are given. A resample of T/b blocks spreads less widely around its own sample than the sample
around the truth, and knows its spread no better than T/b observations do. Taken as they stand, the tests reject a true null of
autocorrelated losses in 8 to 10 % of cases at a nominal 5 %. Three steps bring that to 4.5 to 7 % (T = 250 to 1,000, AR(1) with
rho of 0 to 0.5): each draw is divided by the bootstrap's own w_k (Politis and Romano 1994), the statistic by the larger of that
and the flat-top one of `dependence`, both widened by T / (T - b); and the null's quantiles are those of Student's t with
T/b - 1 degrees of freedom where they would be normal ones.

`arch` has these tests, but divides nothing by w_k (its 8.0 uses w_k in the consistent recentring alone), so that one noisy
model hides the others; it is the oracle of our tests where all w_k are equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, finite, same_length
from fieldcast.evaluation.dependence import block_for, date_means, long_run_variance
from fieldcast.evaluation.intervals import DRAWS, date_positions, resampled_sums
from fieldcast.ground import InvalidInput, MissingData

LEAST = 30  # dates


@dataclass(frozen=True)
class SuperiorAbility:
    """Is any of `models` models better than the benchmark? `best` is the one with the largest studentised edge.

    `p_value` is Hansen's consistent one; `p_lower` is too liberal and `p_upper` (White's reality check, studentised) too
    cautious where poor models are among those compared.
    """

    statistic: float
    p_lower: float
    p_value: float
    p_upper: float
    best: int
    edge: float
    models: int
    n: int
    dates: int
    block: float
    draws: int

    def __str__(self) -> str:
        return (
            f"best of {self.models}: model {self.best}, edge {self.edge:.6g}, p {self.p_value:.4f} "
            f"[{self.p_lower:.4f}, {self.p_upper:.4f}] (n={self.n}, dates={self.dates}, block={self.block:.1f})"
        )


@dataclass(frozen=True)
class StepwiseTest:
    """Models that beat the benchmark with a familywise error of `size`, in the order of `steps`; places among the columns."""

    better: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]
    critical: tuple[float, ...]
    statistics: tuple[float, ...]
    size: float
    n: int
    dates: int
    block: float
    draws: int


@dataclass(frozen=True)
class ConfidenceSet:
    """The models among which the best one lies with probability 1 - size, and each model's p-value for belonging to them."""

    included: tuple[int, ...]
    excluded: tuple[int, ...]
    p_values: tuple[float, ...]
    size: float
    method: str
    n: int
    dates: int
    block: float
    draws: int


def spa(
    losses: ArrayLike,
    benchmark: ArrayLike,
    *,
    dates: NDArray[Any] | None = None,
    block: float | None = None,
    horizon: int = 1,
    draws: int = DRAWS,
    seed: int = 0,
) -> SuperiorAbility:
    """Hansen's test that no model is better than the benchmark.

    Parameters
    ----------
    losses : (n, k) of k models, on identical rows; in time order where `dates` is not given
    benchmark : (n,) losses of the benchmark
    dates : (n,) stamp of each row; rows that share one travel together
    block : mean block in dates; None = the longest that Politis and White ask for among the differences
    horizon : of the forecasts in dates; blocks are never shorter
    draws, seed : of the stationary bootstrap

    Raises
    ------
    MissingData : fewer than 30 dates, or fewer than two blocks
    """
    edges = _Edges.of(losses, benchmark, dates, block, horizon, draws, seed)
    root = math.sqrt(edges.dates)
    observed = np.maximum(edges.statistics.max(), 0.0)
    limit = -edges.spread * math.sqrt(2.0 * math.log(math.log(edges.dates)) / edges.dates)
    centres = {
        "upper": edges.mean,
        "consistent": np.where(edges.mean >= limit, edges.mean, 0.0),
        "lower": np.maximum(edges.mean, 0.0),
    }
    p = {}
    for name, centre in centres.items():
        null = edges.heavier((edges.around + root * edges.scaled(edges.mean - centre)).max(axis=1))
        p[name] = float(np.mean(null >= observed)) if observed > 0.0 else 1.0
    best = int(np.argmax(edges.statistics))
    return SuperiorAbility(
        statistic=float(observed),
        p_lower=p["lower"],
        p_value=p["consistent"],
        p_upper=p["upper"],
        best=best,
        edge=float(edges.mean[best]),
        models=edges.mean.size,
        n=edges.n,
        dates=edges.dates,
        block=edges.block,
        draws=draws,
    )


def step_m(
    losses: ArrayLike,
    benchmark: ArrayLike,
    *,
    size: float = 0.05,
    dates: NDArray[Any] | None = None,
    block: float | None = None,
    horizon: int = 1,
    draws: int = DRAWS,
    seed: int = 0,
) -> StepwiseTest:
    """Romano and Wolf's stepwise test: which models are better than the benchmark. Parameters as in `spa`.

    Raises
    ------
    InvalidInput : a size outside (0, 0.5)
    MissingData : fewer than 30 dates, or fewer than two blocks
    """
    _check_size(size)
    edges = _Edges.of(losses, benchmark, dates, block, horizon, draws, seed)
    left = np.arange(edges.mean.size)
    steps, critical = [], []
    while left.size:
        critical.append(float(np.quantile(edges.heavier(edges.around[:, left].max(axis=1)), 1.0 - size)))
        beaten = left[edges.statistics[left] > max(critical[-1], 0.0)]
        if not beaten.size:
            break
        steps.append(tuple(int(k) for k in beaten))
        left = np.setdiff1d(left, beaten)
    return StepwiseTest(
        better=tuple(sorted(k for step in steps for k in step)),
        steps=tuple(steps),
        critical=tuple(critical),
        statistics=tuple(float(t) for t in edges.statistics),
        size=size,
        n=edges.n,
        dates=edges.dates,
        block=edges.block,
        draws=draws,
    )


def confidence_set(
    losses: ArrayLike,
    *,
    size: float = 0.10,
    method: Literal["range", "max"] = "range",
    dates: NDArray[Any] | None = None,
    block: float | None = None,
    horizon: int = 1,
    draws: int = DRAWS,
    seed: int = 0,
) -> ConfidenceSet:
    """Hansen, Lunde and Nason's model confidence set.

    Parameters
    ----------
    losses : (n, k) of at least two models on identical rows
    size : 1 - confidence
    method : "range" compares all pairs (T_R), "max" each model with the mean of those left (T_max)
    dates, block, horizon, draws, seed : as in `spa`; the automatic block looks at each model's loss against the mean loss

    Raises
    ------
    InvalidInput : fewer than two models, or a size outside (0, 0.5)
    MissingData : fewer than 30 dates, or fewer than two blocks
    """
    _check_size(size)
    if method not in ("range", "max"):
        raise InvalidInput(f"expected the method range or max, found {method!r}")
    table = finite("losses", losses, ndim=2)
    if table.shape[1] < 2:
        raise InvalidInput(f"expected at least two models, found {table.shape[1]}")
    position, n_dates = _axis(len(table), dates)
    series = date_means(table, position, n_dates)
    length = _length(series - series.mean(axis=1, keepdims=True), block, horizon)
    mean = series.mean(axis=0)
    drawn = resampled_sums(series - mean, block=length, draws=draws, seed=seed) / n_dates
    wider, level = math.sqrt(n_dates / (n_dates - length)), float(np.abs(series).max())
    left = list(range(table.shape[1]))
    p_values = np.ones(table.shape[1])
    highest = 0.0
    while len(left) > 1:
        statistic, null, worst = _equality(mean[left] / wider, drawn[:, left], method, level)
        null = _heavier(null, n_dates, length)
        highest = max(highest, float(np.mean(null >= statistic)) if statistic > 0.0 else 1.0)
        p_values[left[worst]] = highest
        left.pop(worst)
    kept = tuple(int(k) for k in np.flatnonzero(p_values >= size))
    return ConfidenceSet(
        included=kept,
        excluded=tuple(k for k in range(table.shape[1]) if k not in kept),
        p_values=tuple(float(p) for p in p_values),
        size=size,
        method=method,
        n=len(table),
        dates=n_dates,
        block=length,
        draws=draws,
    )


def _equality(mean: Array, drawn: Array, method: str, level: float) -> tuple[float, Array, int]:
    """Statistic of "all are equal", its null (draws,), and the place of the model that speaks most against it."""
    if method == "max":
        edge, noise = mean - mean.mean(), drawn - drawn.mean(axis=1, keepdims=True)
        t, null = _ratio(edge, noise, level)
        return float(t.max()), null.max(axis=1), int(np.argmax(t))
    k = mean.size
    highest = np.zeros(len(drawn))
    pairs = np.zeros((k, k))
    for i in range(k - 1):
        t, null = _ratio(mean[i] - mean[i + 1 :], drawn[:, [i]] - drawn[:, i + 1 :], level)
        pairs[i, i + 1 :], pairs[i + 1 :, i] = t, -t
        np.maximum(highest, np.abs(null).max(axis=1), out=highest)
    return float(np.abs(pairs).max()), highest, int(np.argmax(pairs.max(axis=1)))


def _ratio(edge: Array, noise: Array, level: float) -> tuple[Array, Array]:
    """Edges (k,) and noise (draws, k), each over the noise's own spread; 0 where there is neither, at losses of this level."""
    spread = np.sqrt(np.square(noise).mean(axis=0))
    still = spread <= 1e-12 * level
    if (np.abs(edge[still]) > 1e-12 * level).any():
        raise MissingData("expected losses that vary against each other, found two that differ by a constant")
    scale = np.where(still, 1.0, spread)
    return np.where(still, 0.0, edge / scale), np.where(still, 0.0, noise / scale)


@dataclass(frozen=True)
class _Edges:
    """Loss differences by date, and what the bootstrap makes of their means.

    `spread` (k,) is w_k of the statistic, `around` (draws, k) sqrt(T) (mean* - mean) over the bootstrap's own w_k.
    """

    mean: Array
    spread: Array
    around: Array
    n: int
    dates: int
    block: float

    @classmethod
    def of(
        cls,
        losses: ArrayLike,
        benchmark: ArrayLike,
        dates: NDArray[Any] | None,
        block: float | None,
        horizon: int,
        draws: int,
        seed: int,
    ) -> _Edges:
        table, base = finite("losses", losses, ndim=2), finite("benchmark", benchmark)
        n = same_length(losses=table, benchmark=base)
        position, n_dates = _axis(n, dates)
        series = date_means(base[:, None] - table, position, n_dates)
        length = _length(series, block, horizon)
        mean = series.mean(axis=0)
        own = np.sqrt(np.maximum(_variance(series - mean, length), 0.0))
        still = own <= 1e-12 * np.maximum(np.abs(series).max(axis=0), 1e-300)
        if (still & (np.abs(mean) > 0.0)).any():
            raise MissingData("expected losses that vary against the benchmark, found one at a constant distance from it")
        wide = np.sqrt(np.maximum([long_run_variance(column) for column in series.T], np.square(own)))
        spread = np.where(still, 0.0, wide * math.sqrt(n_dates / (n_dates - length)))
        around = resampled_sums(series - mean, block=length, draws=draws, seed=seed) / math.sqrt(n_dates)
        around = np.where(still, 0.0, around / np.where(still, 1.0, own))
        return cls(mean, spread, around, n, n_dates, length)

    @property
    def statistics(self) -> Array:
        """(k,) sqrt(T) mean d_k / w_k."""
        return math.sqrt(self.dates) * self.scaled(self.mean)

    def scaled(self, values: Array) -> Array:
        """Over w_k; a model that is the benchmark itself has neither edge nor spread, and stays 0."""
        result: Array = np.where(self.spread > 0.0, values / np.where(self.spread > 0.0, self.spread, 1.0), 0.0)
        return result

    def heavier(self, null: Array) -> Array:
        return _heavier(null, self.dates, self.block)


def _heavier(null: Array, dates: int, block: float) -> Array:
    """Normal quantiles as those of Student's t with dates / block - 1 degrees of freedom."""
    from scipy.special import ndtr, stdtrit

    result: Array = stdtrit(dates / block - 1.0, ndtr(null))
    return result


def _variance(centred: Array, block: float) -> Array:
    """Variance of sqrt(T) times the mean under the stationary bootstrap, for infinitely many draws; (k,)."""
    n = len(centred)
    keep = 1.0 - 1.0 / block
    lag = np.arange(1, n)
    weight = (1.0 - lag / n) * keep**lag + (lag / n) * keep ** (n - lag)
    covariance = _autocovariances(centred)
    result: Array = covariance[0] + 2.0 * weight @ covariance[1:]
    return result


def _autocovariances(centred: Array) -> Array:
    """(T, k) autocovariances at every lag, by the fast Fourier transform."""
    n = len(centred)
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size, axis=0)) ** 2
    result: Array = np.fft.irfft(power, size, axis=0)[:n] / n
    return result


def _axis(n: int, dates: NDArray[Any] | None) -> tuple[NDArray[np.intp], int]:
    position, n_dates = date_positions(n, dates)
    if n_dates < LEAST:
        raise MissingData(f"expected at least {LEAST} dates, found {n_dates}")
    return position, n_dates


def _length(series: Array, block: float | None, horizon: int) -> float:
    length = block_for(series, block, horizon)
    if len(series) < 2.0 * length:
        raise MissingData(f"expected at least two blocks of {length:g} dates, found {len(series)} dates")
    return length


def _check_size(size: float) -> None:
    if not 0.0 < size < 0.5:
        raise InvalidInput(f"expected a size between 0 and 0.5, found {size}")
