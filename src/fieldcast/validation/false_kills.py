"""How often the watch kills a calibrated forecaster by chance: its rules on simulated runs, with exact intervals.

A calibrated forecaster of a stated AUC has normal log-odds; outcomes, sizes of moves and odds are each correlated across
instruments through one Gaussian factor. The rules are those of `watch`. Source of the interval: Clopper and Pearson (1934), "The
use of confidence or fiducial limits illustrated in the case of the binomial".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.validation.watch import BAND, RULES, Array, e_process, rolling, trips


@dataclass(frozen=True)
class Rate:
    """How often something happened in simulated runs, with its exact 95 % interval (Clopper and Pearson)."""

    hits: int
    runs: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.hits / self.runs

    def __str__(self) -> str:
        return f"{self.share:.1%} [{self.low:.1%}, {self.high:.1%}] (n={self.runs})"


@dataclass(frozen=True)
class FalseKills:
    """How often a calibrated forecaster is killed by chance in runs of so many sessions; all of it is simulated."""

    instruments: int
    correlation: float
    sessions: int
    auc: float
    rules: Mapping[str, Rate]
    any_named: Rate


def false_kills(
    instruments: int,
    *,
    correlation: float = 0.5,
    runs: int = 400,
    sessions: int = 40,
    auc: float = 0.536,
    seed: int = 0,
) -> FalseKills:
    """How often the rules kill a calibrated forecaster by chance in eight weeks (40 sessions), by simulation.

    Raises
    ------
    InvalidInput : no instrument, or a correlation outside [0, 1]
    """
    if instruments < 1 or runs < 1 or not 0.0 <= correlation <= 1.0:
        raise InvalidInput(f"expected at least one instrument and a correlation in [0, 1], found {instruments}, {correlation}")
    rng = np.random.default_rng(seed)
    first: dict[str, list[NDArray[np.intp]]] = {rule: [] for rule in RULES}
    for size in _chunks(runs, instruments * sessions):
        p, ret, inside = calibrated_runs(rng, size, sessions, instruments, auc=auc, correlation=correlation)
        for rule, found in trips(rolling(p, ret, inside), e_process(p, ret, inside)).items():
            first[rule].append(found)
    hit = {rule: np.concatenate(found) >= 0 for rule, found in first.items()}
    named = hit["auc"] | hit["coverage"] | hit["ic"]
    rates = {rule: rate(int(found.sum()), runs) for rule, found in hit.items()}
    return FalseKills(instruments, correlation, sessions, auc, rates, rate(int(named.sum()), runs))


def calibrated_runs(
    rng: np.random.Generator, runs: int, sessions: int, instruments: int, *, auc: float, correlation: float
) -> tuple[Array, Array, Array]:
    """Simulated runs of a calibrated forecaster: odds, returns in units of their deviation, inside the 75 % band or not.

    Log-odds are normal with the spread that gives `auc`; outcomes, sizes of moves and odds are each correlated across instruments
    through one Gaussian factor, and independent from session to session.
    """
    from scipy.special import ndtr, ndtri

    shape = (runs, sessions, instruments)

    def normal() -> Array:
        common = rng.standard_normal((*shape[:2], 1))
        return np.asarray(np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * rng.standard_normal(shape))

    p = 1.0 / (1.0 + np.exp(-spread_of(auc) * normal()))
    up = ndtr(normal()) < p
    size = np.abs(normal())
    inside = (size < ndtri(0.5 + BAND / 2.0)).astype(np.float64)
    return p, np.where(up, size, -size), inside


def spread_of(auc: float) -> float:
    """Standard deviation of normal log-odds around 0 at which a calibrated forecaster has this AUC.

        AUC = 4 E[p1 (1 - p2) 1(p1 > p2)]          p1, p2 independent draws of the odds

    Raises
    ------
    InvalidInput : not in [0.5, 0.9]
    """
    if not 0.5 <= auc <= 0.9:
        raise InvalidInput(f"expected an AUC from 0.5 to 0.9, found {auc}")
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z = ndtri((np.arange(2000) + 0.5) / 2000)

    def gap(spread: float) -> float:
        p = 1.0 / (1.0 + np.exp(-spread * z))
        below = np.cumsum(1.0 - p) - 0.5 * (1.0 - p)
        return float(4.0 * (p * below).mean() / z.size - auc)

    return 0.0 if auc == 0.5 else float(brentq(gap, 0.0, 8.0))


def rate(hits: int, runs: int) -> Rate:
    """A share with its exact 95 % interval."""
    from scipy.special import betaincinv

    low = 0.0 if hits == 0 else float(betaincinv(hits, runs - hits + 1, 0.025))
    high = 1.0 if hits == runs else float(betaincinv(hits + 1, runs - hits, 0.975))
    return Rate(hits, runs, low, high)


def _chunks(runs: int, each: int) -> Iterator[int]:
    size = max(1, min(runs, 2_000_000 // max(each, 1)))
    while runs > 0:
        yield min(size, runs)
        runs -= size
