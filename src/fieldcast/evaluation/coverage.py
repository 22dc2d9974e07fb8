"""Does a cone cover as often as it says, and do its misses cluster?

    LR_uc   = -2 ln [ (1-p)^(n-x) p^x / ((1-x/n)^(n-x) (x/n)^x) ]                    ~ chi2(1)   Kupiec (1995)
    LR_ind  = -2 ln [ L(pi) / L(pi01, pi11) ] from the transitions n00 n01 n10 n11   ~ chi2(1)   Christoffersen (1998)
    LR_cc   = LR_uc + LR_ind                                                         ~ chi2(2)

x is the number of misses in n rows, p the miss rate that was promised. 0 ln 0 = 0, so empty cells are fine. Cones
over h sessions overlap: their tests run on the h subsamples of every h-th row, and the p-values printed are the
smallest times h (Bonferroni), which is valid whatever the dependence between the subsamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import finite, same_length
from fieldcast.ground import InvalidInput, MissingData


@dataclass(frozen=True)
class LikelihoodRatio:
    """Test statistic and p-value; `degrees` is that of the chi-square distribution."""

    statistic: float
    p_value: float
    degrees: int = 1


def kupiec(misses: int, n: int, p: float) -> LikelihoodRatio:
    """Unconditional coverage: are `misses` in `n` rows in keeping with the promised miss rate `p`?"""
    if not 0 <= misses <= n or n == 0:
        raise InvalidInput(f"expected 0 <= misses <= n with n > 0, found {misses} of {n}")
    if not 0.0 < p < 1.0:
        raise InvalidInput(f"expected a miss rate between 0 and 1, found {p}")
    rate = misses / n
    under_null = _term(misses, p) + _term(n - misses, 1.0 - p)
    observed = _term(misses, rate) + _term(n - misses, 1.0 - rate)
    return _test(2.0 * (observed - under_null), 1)


def christoffersen(n00: int, n01: int, n10: int, n11: int) -> LikelihoodRatio:
    """Independence of misses: does a miss make the next one likelier (or rarer)?

    n01 counts a covered row followed by a miss, n10 a miss followed by a covered row, and so on.
    """
    if min(n00, n01, n10, n11) < 0 or n00 + n01 + n10 + n11 == 0:
        raise InvalidInput(f"expected counts of at least one transition, found {(n00, n01, n10, n11)}")
    pi = (n01 + n11) / (n00 + n01 + n10 + n11)
    after_hit = n01 / (n00 + n01) if n00 + n01 else 0.0
    after_miss = n11 / (n10 + n11) if n10 + n11 else 0.0
    joint = _term(n00 + n10, 1.0 - pi) + _term(n01 + n11, pi)
    apart = (
        _term(n00, 1.0 - after_hit) + _term(n01, after_hit) + _term(n10, 1.0 - after_miss) + _term(n11, after_miss)
    )
    return _test(2.0 * (apart - joint), 1)


def transitions(missed: ArrayLike) -> tuple[int, int, int, int]:
    """n00, n01, n10, n11 of a series of misses (True = missed) in time order."""
    flags = _flags(missed)
    before, after = flags[:-1], flags[1:]
    return (
        int(np.count_nonzero(~before & ~after)),
        int(np.count_nonzero(~before & after)),
        int(np.count_nonzero(before & ~after)),
        int(np.count_nonzero(before & after)),
    )


def conditional_coverage(missed: ArrayLike, p: float) -> LikelihoodRatio:
    """Rate and independence together; needs at least two rows."""
    flags = _flags(missed)
    if flags.size < 2:
        raise MissingData(f"expected at least two rows, found {flags.size}")
    statistic = kupiec(int(flags.sum()), flags.size, p).statistic + christoffersen(*transitions(flags)).statistic
    return _test(statistic, 2)


@dataclass(frozen=True)
class Coverage:
    """How a band that promises `level` did over n rows.

    The p-values are None where a subsample is too short for the test. With `horizon` h > 1 they are
    Bonferroni-combined over the h non-overlapping subsamples.
    """

    level: float
    n: int
    covered: int
    horizon: int
    kupiec_p: float
    christoffersen_p: float | None
    conditional_p: float | None

    @property
    def rate(self) -> float:
        return self.covered / self.n

    @property
    def misses(self) -> int:
        return self.n - self.covered


def coverage(low: ArrayLike, high: ArrayLike, y: ArrayLike, level: float, *, horizon: int = 1) -> Coverage:
    """Coverage of central bands, with Kupiec's and Christoffersen's tests.

    Parameters
    ----------
    low, high : (n,) edges of the band, in time order; an edge belongs to the band
    y : (n,) what happened
    level : promised probability of lying inside
    horizon : rows that each outcome spans

    Raises
    ------
    MissingData : fewer rows than the horizon
    """
    low, high, y = finite("low", low), finite("high", high), finite("y", y)
    same_length(low=low, high=high, y=y)
    if not 0.0 < level < 1.0 or horizon < 1:
        raise InvalidInput(f"expected a level between 0 and 1 and a horizon of at least 1, found {level}, {horizon}")
    if (high < low).any():
        raise InvalidInput(f"expected low <= high, found {np.count_nonzero(high < low)} crossed bands")
    if y.size < horizon:
        raise MissingData(f"expected at least {horizon} rows for a horizon of {horizon}, found {y.size}")
    missed = (y < low) | (y > high)
    apart = [missed[offset::horizon] for offset in range(horizon)]
    rate = [kupiec(int(part.sum()), part.size, 1.0 - level).p_value for part in apart]
    enough = all(part.size >= 2 for part in apart)
    clustered = [christoffersen(*transitions(part)).p_value for part in apart] if enough else []
    both = [conditional_coverage(part, 1.0 - level).p_value for part in apart] if enough else []
    return Coverage(
        level=level,
        n=y.size,
        covered=int(np.count_nonzero(~missed)),
        horizon=horizon,
        kupiec_p=_bonferroni(rate),
        christoffersen_p=_bonferroni(clustered) if enough else None,
        conditional_p=_bonferroni(both) if enough else None,
    )


def _bonferroni(p_values: list[float]) -> float:
    return min(1.0, min(p_values) * len(p_values))


def _term(count: int, p: float) -> float:
    """count * ln p with 0 ln 0 = 0."""
    return count * math.log(p) if count else 0.0


def _test(statistic: float, degrees: int) -> LikelihoodRatio:
    statistic = max(statistic, 0.0)      # rounding may leave -1e-14
    p_value = math.erfc(math.sqrt(statistic / 2.0)) if degrees == 1 else math.exp(-statistic / 2.0)
    return LikelihoodRatio(statistic, p_value, degrees)


def _flags(missed: ArrayLike) -> NDArray[np.bool_]:
    flags = np.asarray(missed)
    if flags.ndim != 1 or flags.dtype != np.bool_:
        raise InvalidInput(f"expected a series of true and false, found {flags.dtype} of shape {flags.shape}")
    return flags
