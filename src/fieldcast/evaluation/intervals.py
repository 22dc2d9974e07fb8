"""Intervals for dependent data: the stationary bootstrap over dates.

Blocks of consecutive dates, of geometric length with the given mean, are drawn with replacement and wrapped at the
end until they hold as many dates as there are (Politis and Romano 1994). All rows of a date travel together, so
instruments keep their correlation. What a statistic needs of a draw is how often each date is in it; an AUC
therefore sorts its scores once and only re-weights them. Choose a mean block of at least the label's horizon, and
of at least 21 sessions for a gate.

    se            standard deviation over the draws * sqrt(T / (T - b))             T dates, mean block b
    low, high     estimate -+ t(1 - alpha/2; T/b - 1) se
    one-sided     estimate - t(1 - alpha; T/b - 1) se: with probability 1 - alpha the truth lies above

A resample of T/b blocks knows its own spread about as well as T/b observations do: hence the factor, and Student's
t with T/b - 1 degrees of freedom in place of the percentiles. On martingales of 252 sessions with blocks of 21,
percentiles reject a true null in up to 13 % of cases at a nominal 5 %, this in at most 8 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, binary, finite, same_length
from fieldcast.evaluation.ranking import midranks
from fieldcast.ground import InvalidInput, MissingData

BLOCK = 21
DRAWS = 1000
_CHUNK = 250           # draws weighted at a time: keeps the working set in the processor's cache
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval from `n` rows on `dates` dates; `draws` resamples were usable.

    `low` and `high` hold the truth with probability 1 - alpha; with the same probability it is above `lower_one_sided`.
    """

    estimate: float
    standard_error: float
    low: float
    high: float
    lower_one_sided: float
    n: int
    dates: int
    draws: int
    alpha: float = 0.05

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}] (n={self.n})"


def stationary_bootstrap(n: int, *, block: float = BLOCK, draws: int = DRAWS, seed: int = 0) -> Counts:
    """How often each of `n` consecutive dates is in each draw.

    Parameters
    ----------
    n : dates
    block : mean block length in dates, at least 1
    draws, seed : number of resamples and of the generator

    Returns
    -------
    (draws, n) whole numbers as float64; every row sums to n
    """
    if n < 1 or draws < 1 or not block >= 1.0:
        raise InvalidInput(f"expected n, draws and block of at least 1, found {n}, {draws}, {block}")
    return _multiplicities(n, float(block), draws, seed)


@lru_cache(maxsize=2)      # many figures of one table share their draws; a matrix holds draws x dates numbers
def _multiplicities(n: int, block: float, draws: int, seed: int) -> Counts:
    rng = np.random.default_rng(seed)
    guess = int(n / block + 6.0 * np.sqrt(n / block) + 8)
    lengths = rng.geometric(1.0 / block, (draws, guess)).astype(np.int64)
    starts = rng.integers(n, size=(draws, guess))
    while (lengths.sum(axis=1) < n).any():
        lengths = np.hstack((lengths, rng.geometric(1.0 / block, (draws, guess))))
        starts = np.hstack((starts, rng.integers(n, size=(draws, guess))))
    done = np.cumsum(lengths, axis=1)
    lengths = np.clip(lengths - np.maximum(done - n, 0), 0, n)      # the last block is cut, later ones are empty
    stops = starts + lengths
    # +1 where a block starts and -1 after its end; a block that wraps also covers 0 .. stop - n
    row = np.broadcast_to(np.arange(draws)[:, None] * (n + 1), starts.shape)
    wraps = stops > n
    used = lengths > 0
    steps = np.bincount((row + starts)[used], minlength=draws * (n + 1)).astype(np.float64)
    steps -= np.bincount((row + np.minimum(stops, n))[used], minlength=draws * (n + 1))
    steps += np.bincount(row[wraps], minlength=draws * (n + 1))
    steps -= np.bincount((row + stops - n)[wraps], minlength=draws * (n + 1))
    counts = np.ascontiguousarray(np.cumsum(steps.reshape(draws, n + 1), axis=1)[:, :n])
    counts.flags.writeable = False
    return counts


def auc_interval(
    score: ArrayLike,
    y: ArrayLike,
    *,
    dates: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
    block: float = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
    alpha: float = 0.05,
) -> Interval:
    """AUC (ties half) with its date-bootstrap interval.

    Parameters
    ----------
    score, y : (n,) score of y = 1, and y in {0, 1}; in time order where `dates` is not given
    dates : (n,) stamp of each row; rows that share one travel together. None = every row is its own date
    groups : (n,) instrument of each row; pairs are compared within an instrument only, and each instrument weighs
        as many pairs as it has. None = one instrument
    block, draws, seed : of the stationary bootstrap
    alpha : 1 - confidence

    Raises
    ------
    MissingData : one class only, or more than half of the draws hold only one class
    """
    score, y = finite("score", score), binary("y", y)
    n = same_length(score=score, y=y)
    position, n_dates = date_positions(n, dates)
    panel = ConcordancePanel.of(score, y, position, groups)
    estimate = panel.auc(np.ones((1, n_dates)))[0]
    if not np.isfinite(estimate):
        raise MissingData(f"expected both outcomes, found {int(y.sum())} of 1 in {n} rows")
    counts = stationary_bootstrap(n_dates, block=block, draws=draws, seed=seed)
    drawn = panel.auc(counts)
    return summarise(float(estimate), drawn, n=n, dates=n_dates, block=block, alpha=alpha, bounds=(0.0, 1.0))


def auc_difference_interval(
    score: ArrayLike,
    reference: ArrayLike,
    y: ArrayLike,
    *,
    dates: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
    block: float = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
    alpha: float = 0.05,
) -> Interval:
    """AUC of `score` minus AUC of `reference` on identical rows, both re-weighted by the same draws."""
    score, reference, y = finite("score", score), finite("reference", reference), binary("y", y)
    n = same_length(score=score, reference=reference, y=y)
    position, n_dates = date_positions(n, dates)
    panels = [ConcordancePanel.of(s, y, position, groups) for s in (score, reference)]
    once = np.ones((1, n_dates))
    estimate = panels[0].auc(once)[0] - panels[1].auc(once)[0]
    if not np.isfinite(estimate):
        raise MissingData(f"expected both outcomes, found {int(y.sum())} of 1 in {n} rows")
    counts = stationary_bootstrap(n_dates, block=block, draws=draws, seed=seed)
    drawn = panels[0].auc(counts) - panels[1].auc(counts)
    return summarise(float(estimate), drawn, n=n, dates=n_dates, block=block, alpha=alpha, bounds=(-1.0, 1.0))


def mean_interval(
    values: ArrayLike,
    *,
    dates: NDArray[Any] | None = None,
    block: float = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
    alpha: float = 0.05,
) -> Interval:
    """Mean of `values` (n,) with its date-bootstrap interval; in time order where `dates` is not given."""
    return _ratio(finite("values", values), None, dates, block, draws, seed, alpha)


def diff_interval(
    a: ArrayLike,
    b: ArrayLike,
    *,
    dates: NDArray[Any] | None = None,
    block: float = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
    alpha: float = 0.05,
) -> Interval:
    """Mean of a - b, row by row: a paired comparison of two losses on identical rows."""
    a, b = finite("a", a), finite("b", b)
    same_length(a=a, b=b)
    return _ratio(a - b, None, dates, block, draws, seed, alpha)


def skill_interval(
    loss: ArrayLike,
    reference: ArrayLike,
    *,
    dates: NDArray[Any] | None = None,
    block: float = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
    alpha: float = 0.05,
) -> Interval:
    """Skill 1 - mean(loss) / mean(reference), both losses (n,) on identical rows."""
    loss, reference = finite("loss", loss), finite("reference", reference)
    same_length(loss=loss, reference=reference)
    if reference.mean() <= 0.0:
        raise InvalidInput(f"expected a reference with a positive mean loss, found {reference.mean():g}")
    return _ratio(reference - loss, reference, dates, block, draws, seed, alpha)


def ic_interval(
    score: ArrayLike,
    outcome: ArrayLike,
    *,
    dates: NDArray[Any] | None = None,
    block: float = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
    alpha: float = 0.05,
) -> Interval:
    """Rank information coefficient with its interval; ranks are taken once, over all rows."""
    a, b = midranks(score), midranks(outcome)
    n = same_length(score=a, outcome=b)
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        raise MissingData("expected a score and an outcome that vary, found a constant one")
    position, n_dates = date_positions(n, dates)
    a, b = (a - a.mean()) / n, (b - b.mean()) / n
    moments = _by_date(np.column_stack((np.ones(n), a, b, a * a, b * b, a * b)), position, n_dates)

    def correlation(counts: Counts) -> Array:
        w, x, y, xx, yy, xy = (counts @ moments).T
        scale = np.sqrt(np.maximum(xx - x * x / w, 0.0) * np.maximum(yy - y * y / w, 0.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Array = np.where(scale > 0.0, (xy - x * y / w) / scale, np.nan)
        return result

    counts = stationary_bootstrap(n_dates, block=block, draws=draws, seed=seed)
    estimate = float(correlation(np.ones((1, n_dates)))[0])
    drawn = correlation(counts)
    return summarise(estimate, drawn, n=n, dates=n_dates, block=block, alpha=alpha, bounds=(-1.0, 1.0))


def _ratio(
    numerator: Array,
    denominator: Array | None,
    dates: NDArray[Any] | None,
    block: float,
    draws: int,
    seed: int,
    alpha: float,
) -> Interval:
    n = numerator.size
    below = np.ones(n) if denominator is None else denominator
    position, n_dates = date_positions(n, dates)
    sums = _by_date(np.column_stack((numerator, below)), position, n_dates)
    above, under = (stationary_bootstrap(n_dates, block=block, draws=draws, seed=seed) @ sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.where(under > 0.0, above / under, np.nan)
    estimate = float(numerator.sum() / below.sum())
    return summarise(estimate, drawn, n=n, dates=n_dates, block=block, alpha=alpha)


def date_positions(n: int, dates: NDArray[Any] | None) -> tuple[NDArray[np.intp], int]:
    """Each row's place on the axis of distinct dates, and the length of that axis."""
    if dates is None:
        return np.arange(n), n
    stamps = np.asarray(dates)
    same_length(rows=np.empty(n), dates=stamps)
    if np.issubdtype(stamps.dtype, np.datetime64) and np.isnat(stamps).any():
        raise InvalidInput("expected a date for every row, found rows without one")
    axis, position = np.unique(stamps, return_inverse=True)
    return position, axis.size


def _by_date(columns: Array, position: NDArray[np.intp], n_dates: int) -> Array:
    """Column sums within each date; (dates, columns)."""
    return np.column_stack([np.bincount(position, weights=column, minlength=n_dates) for column in columns.T])


@dataclass(frozen=True)
class ConcordancePanel:
    """What an AUC needs in order to be re-weighted by date: per group, scores sorted once.

    Each entry holds, for one group, the dates of its negatives in score order, the dates of its positives, and how many
    negatives lie below, and at or below, each positive.
    """

    parts: tuple[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]], ...]

    @classmethod
    def of(
        cls, score: Array, y: Array, position: NDArray[np.intp], groups: NDArray[Any] | None
    ) -> ConcordancePanel:
        labels = np.zeros(score.size, dtype=np.intp) if groups is None else np.unique(groups, return_inverse=True)[1]
        same_length(score=score, groups=labels)
        parts = []
        for group in np.unique(labels):
            positives = np.flatnonzero((labels == group) & (y == 1.0))
            negatives = np.flatnonzero((labels == group) & (y == 0.0))
            negatives = negatives[np.argsort(score[negatives], kind="stable")]
            ordered = score[negatives]
            parts.append(
                (
                    position[negatives],
                    position[positives],
                    np.searchsorted(ordered, score[positives], "left"),
                    np.searchsorted(ordered, score[positives], "right"),
                )
            )
        return cls(tuple(parts))

    def auc(self, counts: Counts) -> Array:
        """AUC of each draw, (draws,); NaN where a draw holds no pair."""
        return np.concatenate([self._auc(counts[i : i + _CHUNK].T) for i in range(0, len(counts), _CHUNK)])

    def _auc(self, weight: Counts) -> Array:
        """`weight` is (dates, draws)."""
        weight = np.ascontiguousarray(weight)
        concordant = np.zeros(weight.shape[1])
        pairs = np.zeros(weight.shape[1])
        for negative, positive, below, upto in self.parts:
            if not negative.size or not positive.size:
                continue
            running = np.zeros((negative.size + 1, weight.shape[1]))
            np.cumsum(weight[negative], axis=0, out=running[1:])
            mine = weight[positive]
            concordant += 0.5 * np.einsum("ij,ij->j", mine, running[below] + running[upto])
            pairs += mine.sum(axis=0) * running[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Array = np.where(pairs > 0.0, concordant / pairs, np.nan)
        return result


def summarise(
    estimate: float,
    drawn: Array,
    *,
    n: int,
    dates: int,
    block: float,
    alpha: float = 0.05,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """The interval that a bootstrap distribution gives; draws on which the statistic does not exist are left out.

    Raises
    ------
    MissingData : fewer than two blocks of dates, or more than half of the draws are left out
    """
    from scipy.special import stdtrit

    if not 0.0 < alpha < 0.5:
        raise InvalidInput(f"expected alpha between 0 and 0.5, found {alpha}")
    if dates < 2.0 * block:
        raise MissingData(f"expected at least two blocks of {block:g} dates for an interval, found {dates} dates")
    usable = drawn[np.isfinite(drawn)]
    if usable.size < 2 or 2 * usable.size < drawn.size:
        raise MissingData(f"expected the statistic to exist on most resamples, found {usable.size} of {drawn.size}")
    error = float(usable.std(ddof=1)) * (dates / (dates - block)) ** 0.5
    two_sided, one_sided = stdtrit(dates / block - 1.0, (1.0 - alpha / 2.0, 1.0 - alpha))
    low, one, high = np.clip(estimate + error * np.array((-two_sided, -one_sided, two_sided)), *bounds)
    return Interval(
        estimate=estimate,
        standard_error=error,
        low=float(low),
        high=float(high),
        lower_one_sided=float(one),
        n=n,
        dates=dates,
        draws=int(usable.size),
        alpha=alpha,
    )
