"""Do probabilities mean what they say? Expected calibration error, with what chance alone would show.

    ECE         sum_b w_b |mean p - hit rate|                                           over equal-mass bins
    debiased    sqrt(max(0, sum_b w_b [(mean p - hit rate)^2 - hit (1 - hit)/(n_b - 1)]))   Kumar, Liang, Ma (2019)
    null band   distribution of the plug-in ECE when y ~ Bernoulli(p), by simulation at these very forecasts

The plug-in figure of a perfectly calibrated forecaster is about 0.4 sqrt(10/n) with ten bins, not zero: below a
thousand rows "ECE under 5 %" can neither be met nor failed meaningfully, so the band is always printed beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, binary, probability, same_length
from fieldcast.ground import InvalidInput, MissingData

BINS = 10
_CHUNK = 4_000_000     # simulated outcomes held at a time


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error of n rows.

    `ece` is the plug-in figure, `debiased` its debiased l2 twin and `debiased_square` the same before the root (it
    may be below zero by chance). `null_mean`, `null_low`, `null_high` are mean, 5 % and 95 % points of the plug-in
    figure under perfect calibration at these forecasts.
    """

    ece: float
    debiased: float
    debiased_square: float
    null_mean: float
    null_low: float
    null_high: float
    n: int
    bins: int

    @property
    def within_null(self) -> bool:
        """True where chance alone explains the figure (one-sided, 95 %)."""
        return self.ece <= self.null_high

    def __str__(self) -> str:
        return (f"ECE {self.ece:.4f} (debiased {self.debiased:.4f}); a perfectly calibrated forecast of n={self.n} in "
                f"{self.bins} bins shows {self.null_low:.4f} to {self.null_high:.4f} by chance")


def ece(
    p: ArrayLike, y: ArrayLike, *, bins: int = BINS, draws: int = 1000, seed: int = 0, overlap: int = 1
) -> CalibrationError:
    """Expected calibration error with its null band for the n in hand.

    Parameters
    ----------
    p, y : (n,) probabilities and outcomes, in time order
    bins : equal-mass bins; equal forecasts share a bin, so there may be fewer
    draws, seed : of the simulated null
    overlap : horizon of the label in rows; `overlap` neighbouring rows then share one simulated outcome, because
        h-step labels hold about n/h independent ones

    Raises
    ------
    MissingData : fewer than two rows
    """
    p, y = _pair(p, y, bins, overlap)
    sums = _Bins.of(p, bins)
    hits = sums.total(y[None, sums.order])[0]
    gap = (sums.forecast - hits) / sums.n
    rate = hits / sums.n
    shared = sums.shared_luck(overlap)
    noise = rate * (1.0 - rate) * shared / np.maximum(sums.n - shared, 1.0)
    square = float(sums.weight @ (np.square(gap) - noise))
    null = np.abs((sums.forecast - _null_hits(p, sums, draws, seed, overlap)) / sums.n) @ sums.weight
    low, high = np.quantile(null, (0.05, 0.95))
    return CalibrationError(
        ece=float(sums.weight @ np.abs(gap)),
        debiased=max(square, 0.0) ** 0.5,
        debiased_square=square,
        null_mean=float(null.mean()),
        null_low=float(low),
        null_high=float(high),
        n=y.size,
        bins=sums.n.size,
    )


def reliability_table(
    p: ArrayLike, y: ArrayLike, *, bins: int = BINS, draws: int = 1000, seed: int = 0, overlap: int = 1
) -> pl.DataFrame:
    """One row a bin: forecast against what happened, and the range that chance alone allows.

    Returns ------- `bin`, `n`, `forecast_low`, `forecast_high`, `forecast` (mean), `hit_rate`, `null_low`,
    `null_high` (central 90 % of the bin's hit rate under perfect calibration), `within_null`
    """
    p, y = _pair(p, y, bins, overlap)
    sums = _Bins.of(p, bins)
    rate = sums.total(y[None, sums.order])[0] / sums.n
    low, high = np.quantile(_null_hits(p, sums, draws, seed, overlap) / sums.n, (0.05, 0.95), axis=0)
    ordered = p[sums.order]
    last = np.append(sums.first[1:], p.size) - 1
    return pl.DataFrame(
        {
            "bin": np.arange(sums.n.size),
            "n": sums.n.astype(np.int64),
            "forecast_low": ordered[sums.first],
            "forecast_high": ordered[last],
            "forecast": sums.forecast / sums.n,
            "hit_rate": rate,
            "null_low": low,
            "null_high": high,
            "within_null": (rate >= low) & (rate <= high),
        }
    )


@dataclass(frozen=True)
class _Bins:
    """Rows sorted by forecast and cut into bins; `first` is each bin's first sorted row, `forecast` its sum of p."""

    order: NDArray[np.intp]
    first: NDArray[np.intp]
    n: Array
    forecast: Array
    weight: Array

    @classmethod
    def of(cls, p: Array, bins: int) -> _Bins:
        order = np.argsort(p, kind="stable")
        ordered = p[order]
        middle = (np.searchsorted(ordered, ordered, "left") + np.searchsorted(ordered, ordered, "right")) / 2.0
        cell = np.minimum((middle * bins / p.size).astype(np.intp), bins - 1)
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        first = _merge_singles(first, p.size)
        n = np.diff(np.append(first, p.size)).astype(np.float64)
        return cls(order, first, n, np.add.reduceat(ordered, first), n / p.size)

    def shared_luck(self, overlap: int) -> Array:
        """Factor by which a bin's variance grows because rows of one outcome lie in it together; (bins,), 1 without."""
        cell = np.repeat(np.arange(self.n.size), self.n.astype(np.intp))
        groups = -(-self.order.size // overlap)
        together = np.bincount(cell * groups + self.order // overlap, minlength=self.n.size * groups)
        result: Array = np.square(together.reshape(self.n.size, groups)).sum(axis=1) / self.n
        return result

    def total(self, rows: Array) -> Array:
        """Sums within bins of (k, n) rows that are in sorted order; (k, bins)."""
        result: Array = np.add.reduceat(rows, self.first, axis=1)
        return result


def _merge_singles(first: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Bins of one row, which have no variance, joined to the bin below (the first one: to the bin above)."""
    kept = [0]
    for start in first[1:]:
        if start - kept[-1] >= 2:
            kept.append(int(start))
    if len(kept) > 1 and n - kept[-1] < 2:
        kept.pop()
    return np.array(kept, dtype=np.intp)


def _null_hits(p: Array, sums: _Bins, draws: int, seed: int, overlap: int) -> Array:
    """Hits by bin in `draws` simulated worlds where p is right; (draws, bins)."""
    rng = np.random.default_rng(seed)
    groups = -(-p.size // overlap)
    hits = []
    done = 0
    while done < draws:
        size = min(draws - done, max(1, _CHUNK // p.size))
        luck = rng.random((size, groups))
        if overlap > 1:
            luck = np.repeat(luck, overlap, axis=1)[:, : p.size]
        hits.append(sums.total((luck < p)[:, sums.order].astype(np.float64)))
        done += size
    return np.vstack(hits)


def _pair(p: ArrayLike, y: ArrayLike, bins: int, overlap: int) -> tuple[Array, Array]:
    p, y = probability("p", p), binary("y", y)
    n = same_length(p=p, y=y)
    if bins < 1 or overlap < 1:
        raise InvalidInput(f"expected at least one bin and an overlap of at least 1, found {bins} and {overlap}")
    if n < 2:
        raise MissingData(f"expected at least two rows to measure calibration, found {n}")
    return p, y
