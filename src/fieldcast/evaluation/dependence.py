"""How much a dependent sample is worth: block lengths for its bootstrap, and its number of independent observations.

    b*          (2 G^2 / D)^(1/3) T^(1/3),  D = 2 V^2              mean block of the stationary bootstrap, in observations
    V           sum_k w(k/m) c_k                                long-run variance, flat-top window w, autocovariances c_k
    G           sum_k w(k/m) |k| c_k
    n_eff       T c_0 / V                                       independent observations that know the mean as well
    overlap     sum_i mean over i's span of 1 / c(t)            c(t): labels whose span holds t; about n/h for h-step labels

Sources: Politis and White (2004) with the correction of Patton, Politis and White (2009) for b*, its m chosen by their rule
of the first run of insignificant autocorrelations; Lopez de Prado (2018), chapter 4, for the uniqueness of labels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, finite
from fieldcast.ground import InvalidInput, MissingData

LEAST = 8  # observations below which no autocorrelation can be told from chance


def optimal_block(values: ArrayLike) -> float:
    """Mean block length with which the stationary bootstrap knows the spread of a mean best.

    Parameters
    ----------
    values : (n,) in time order; (n, k) takes the longest block of the k columns

    Returns
    -------
    at least 1, at most min(3 sqrt(n), n/3); 1 for a series that does not vary. Labels that overlap over h rows need blocks of
    at least h as well: take the larger.

    Raises
    ------
    MissingData : fewer than 8 rows
    """
    array = np.asarray(values, dtype=np.float64)
    columns = finite("values", array, ndim=array.ndim if array.ndim == 2 else 1).reshape(len(array), -1)
    return max(_block(column) for column in columns.T)


def effective_observations(values: ArrayLike) -> float:
    """Number of independent observations that would know the mean of `values` (n,) as well as these do.

    May exceed n where neighbours offset each other; n for a series that does not vary.

    Raises
    ------
    MissingData : fewer than 8 rows
    """
    x = finite("values", values)
    variance = float(x.var())
    return float(x.size * variance / long_run_variance(x)) if variance > 0.0 else float(x.size)


def long_run_variance(values: ArrayLike) -> float:
    """V: the variance of sqrt(n) times the mean of (n,) values; never below c_0 / n, which the flat-top window could give.

    Raises
    ------
    MissingData : fewer than 8 rows
    """
    x = finite("values", values)
    covariance, window = _spectrum(x)
    long_run = covariance[0] + 2.0 * float(window @ covariance[1 : window.size + 1])
    return float(max(long_run, covariance[0] / x.size))


def effective_labels(decision: NDArray[Any], label_end: NDArray[Any]) -> float:
    """Number of labels without overlap that hold as much as these: the sum of their average uniqueness.

    A label spans the rows after its decision whose decision is not before its end (and at least one). Labels over h rows come
    to about n/h; rows of several instruments are counted one instrument at a time.

    Parameters
    ----------
    decision : (n,) datetime64, strictly ascending
    label_end : (n,) datetime64; NaT where the outcome is not known, which counts for nothing

    Raises
    ------
    InvalidInput : lengths differ, decisions are not ascending, or a label ends before its own decision
    """
    from fieldcast.evaluation.splits import _stamps

    made, ended = _stamps(decision, label_end)
    known = np.flatnonzero(~np.isnat(ended))
    if not known.size:
        return 0.0
    last = np.maximum(np.searchsorted(made, ended[known], side="left"), known + 1)  # rows known + 1 .. last
    steps = np.zeros(made.size + 2)
    np.add.at(steps, known + 1, 1.0)
    np.add.at(steps, last + 1, -1.0)
    together = np.cumsum(steps)
    share = np.concatenate(([0.0], np.cumsum(np.where(together > 0.0, 1.0 / np.maximum(together, 1.0), 0.0))))
    return float(((share[last + 1] - share[known + 1]) / (last - known)).sum())


def _block(x: Array) -> float:
    n = x.size
    longest = math.ceil(min(3.0 * math.sqrt(n), n / 3.0))
    covariance, window = _spectrum(x)
    if covariance[0] <= 0.0:
        return 1.0
    lags = np.arange(1, window.size + 1)
    slope = 2.0 * float((window * lags) @ covariance[lags])
    long_run = covariance[0] + 2.0 * float(window @ covariance[lags])
    if long_run == 0.0:
        return float(longest)
    return float(np.clip((slope**2 / long_run**2) ** (1.0 / 3.0) * n ** (1.0 / 3.0), 1.0, longest))


def _spectrum(x: Array) -> tuple[Array, Array]:
    """Autocovariances from lag 0, and the flat-top window at lags 1 to m, of (n,) values."""
    n = x.size
    if n < LEAST:
        raise MissingData(f"expected at least {LEAST} values to measure dependence, found {n}")
    e = x - x.mean()
    run = max(5, int(math.log10(n)))
    most = min(math.ceil(math.sqrt(n)) + run, n - 2)
    covariance, correlation = np.zeros(most + 1), np.zeros(most + 1)
    squares = np.concatenate(([0.0], np.cumsum(e * e)))
    for lag in range(most + 1):
        product = float(e[lag:] @ e[: n - lag])
        covariance[lag] = product / n
        # the sums leave out one value more than the product, as in the authors' code: a rule is only theirs if it is theirs
        scale = (squares[n] - squares[lag + 1]) * squares[n - lag - 1]
        correlation[lag] = abs(product) / math.sqrt(scale) if scale > 0.0 else 0.0
    small = correlation < 2.0 * math.sqrt(math.log10(n) / n)
    first = next((i - run for i in range(run, most + 1) if small[i - run : i].all()), None)
    m = most if first is None else min(2 * max(first, 1), most)
    lags = np.arange(1, m + 1) / m
    return covariance, np.where(lags <= 0.5, 1.0, 2.0 * (1.0 - lags))


def date_means(values: Array, position: NDArray[np.intp], dates: int) -> Array:
    """One row a date whose mean, and whose resampled mean to first order, is that of the rows of a panel.

    A mean over rows is a ratio of date sums to date counts; its linearisation is
    m + (sum_d - m n_d) / mean(n), m the mean over rows. With as many rows on every date it is the mean of each date.

    Parameters
    ----------
    values : (n, k)
    position : (n,) each row's place on the axis of `dates` dates

    Returns
    -------
    (dates, k)
    """
    if position.size == dates:
        result: Array = np.empty_like(values)
        result[position] = values
        return result
    counts = np.bincount(position, minlength=dates).astype(np.float64)[:, None]
    sums = np.column_stack([np.bincount(position, weights=column, minlength=dates) for column in values.T])
    mean = values.mean(axis=0)
    out: Array = mean + (sums - mean * counts) / counts.mean()
    return out


def block_for(values: Array, block: float | None, horizon: int) -> float:
    """The block asked for, or the automatic one of (dates, k) values, and never shorter than the horizon."""
    if horizon < 1:
        raise InvalidInput(f"expected a horizon of at least 1, found {horizon}")
    if block is None:
        return max(optimal_block(values), float(horizon))
    if not block >= horizon:
        raise InvalidInput(f"expected blocks of at least the horizon of {horizon} rows, found {block}")
    return float(block)
