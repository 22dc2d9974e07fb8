"""Recursions of the fitted regime: one step of each filter, and the batch as a loop over that step.

Batch and live use therefore agree to the last bit. Unknown observations are NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MASS, MEAN, WEIGHT, SHAPE, SCALE, GAMMAS, SAID = range(7)  # rows of the runs' table; the last is scratch
RUN_ROWS = 7
LOG_TWO_PI = math.log(2.0 * math.pi)


@njit(cache=True)
def hmm_step(
    row: Floats, first: bool, initial: Floats, transition: Floats, means: Floats, variances: Floats, odds: Floats, ahead: Floats
) -> float:
    """Move `odds` (k,) one row on; returns the row's log likelihood given the past (0 where nothing of it is known).

    ahead : (k,) scratch. A feature that is unknown says nothing: with independent features its density integrates to 1.
    """
    states = odds.size
    top = -np.inf
    for j in range(states):
        if first:
            ahead[j] = math.log(initial[j]) if initial[j] > 0.0 else -np.inf
        else:
            total = 0.0
            for i in range(states):
                total += odds[i] * transition[i, j]
            ahead[j] = math.log(total) if total > 0.0 else -np.inf
        for d in range(row.size):
            if not math.isnan(row[d]):
                gap = row[d] - means[j, d]
                ahead[j] -= 0.5 * (LOG_TWO_PI + math.log(variances[j, d]) + gap * gap / variances[j, d])
        top = max(top, ahead[j])
    total = 0.0
    for j in range(states):
        ahead[j] = math.exp(ahead[j] - top)
        total += ahead[j]
    for j in range(states):
        odds[j] = ahead[j] / total
    return top + math.log(total)


@njit(cache=True)
def hmm_filter(rows: Floats, initial: Floats, transition: Floats, means: Floats, variances: Floats, result: Floats) -> float:
    """Fill `result` (n, k) with the odds of the states after each row; returns the log likelihood of all rows.

    NaN until the first row of which anything is known: before it there is only the prior.
    """
    states = initial.size
    odds, ahead = np.empty(states), np.empty(states)
    seen = False
    likelihood = 0.0
    for t in range(rows.shape[0]):
        known = False
        for d in range(rows.shape[1]):
            known = known or not math.isnan(rows[t, d])
        if known or seen:
            likelihood += hmm_step(rows[t], not seen, initial, transition, means, variances, odds, ahead)
            seen = True
            result[t] = odds
        else:
            result[t] = np.nan
    return likelihood


@njit(cache=True)
def log_density(x: float, mean: float, weight: float, shape: float, scale: float, gammas: float) -> float:
    """Log of the normal-gamma's predictive density: t with 2·shape degrees, squared width scale (weight + 1) / (shape · weight).

    gammas : log Γ(shape + ½) − log Γ(shape)
    """
    spread = 2.0 * scale * (weight + 1.0) / weight
    gap = x - mean
    return gammas - 0.5 * math.log(math.pi * spread) - (shape + 0.5) * math.log1p(gap * gap / spread)


@njit(cache=True)
def learn(runs: Floats, r: int, x: float) -> None:
    """Update the posterior of run r by one observation; log Γ(s + 1) = log s + log Γ(s) moves `GAMMAS` on by half a step."""
    gap, weight = x - runs[MEAN, r], runs[WEIGHT, r]
    runs[SCALE, r] += 0.5 * weight * gap * gap / (weight + 1.0)
    runs[MEAN, r] += gap / (weight + 1.0)
    runs[WEIGHT, r] = weight + 1.0
    runs[GAMMAS, r] = math.log(runs[SHAPE, r]) - runs[GAMMAS, r]
    runs[SHAPE, r] += 0.5


@njit(cache=True)
def copy_run(runs: Floats, source: int, target: int) -> None:
    for item in range(RUN_ROWS):
        runs[item, target] = runs[item, source]


@njit(cache=True)
def run_step(x: float, count: int, hazard: float, prior: Floats, runs: Floats) -> tuple[int, float]:
    """Take one observation: `runs` (RUN_ROWS, longest) holds, for each run length 1 …, its odds and posterior; returns the new
    count of run lengths and the observation's log evidence given the past.

    prior : mean, weight, shape, scale of a new stretch
    """
    longest = runs.shape[1]
    gammas = math.lgamma(prior[2] + 0.5) - math.lgamma(prior[2])
    fresh = log_density(x, prior[0], prior[1], prior[2], prior[3], gammas)
    top = fresh
    for r in range(count):
        runs[SAID, r] = log_density(x, runs[MEAN, r], runs[WEIGHT, r], runs[SHAPE, r], runs[SCALE, r], runs[GAMMAS, r])
        if runs[MASS, r] > 0.0:
            top = max(top, runs[SAID, r])
    begin = (hazard if count > 0 else 1.0) * math.exp(fresh - top)
    total = begin
    for r in range(count):
        if runs[MASS, r] > 0.0:
            runs[MASS, r] *= (1.0 - hazard) * math.exp(runs[SAID, r] - top)
        total += runs[MASS, r]
        learn(runs, r, x)
    kept = count
    if count == longest:  # the two longest become one: their odds together, the likelier one's posterior
        kept = longest - 2
        both = runs[MASS, kept] + runs[MASS, kept + 1]
        if runs[MASS, kept] > runs[MASS, kept + 1]:
            copy_run(runs, kept, kept + 1)
        runs[MASS, kept + 1] = both
    else:
        count += 1
    for r in range(kept, 0, -1):
        copy_run(runs, r - 1, r)
    runs[MASS, 0], runs[MEAN, 0], runs[WEIGHT, 0], runs[SHAPE, 0], runs[SCALE, 0] = begin, prior[0], prior[1], prior[2], prior[3]
    runs[GAMMAS, 0] = gammas
    learn(runs, 0, x)
    for r in range(count):
        runs[MASS, r] /= total
    return count, top + math.log(total)


@njit(cache=True)
def run_figures(runs: Floats, count: int, recent: int) -> tuple[float, float]:
    """Odds of a run of at most `recent` rows, and the expected run length."""
    odds = 0.0
    expected = 0.0
    for r in range(count):
        expected += (r + 1) * runs[MASS, r]
        if r < recent:
            odds += runs[MASS, r]
    return min(odds, 1.0), expected


@njit(cache=True)
def run_filter(values: Floats, hazard: float, prior: Floats, longest: int, recent: int, odds: Floats, length: Floats) -> float:
    """Fill `odds` and `length` (n,); a row without a value changes nothing and repeats what is known, NaN before the first."""
    runs = np.zeros((RUN_ROWS, longest))
    count = 0
    evidence = 0.0
    for t in range(values.size):
        if not math.isnan(values[t]):
            count, gain = run_step(values[t], count, hazard, prior, runs)
            evidence += gain
        if count > 0:
            odds[t], length[t] = run_figures(runs, count, recent)
        else:
            odds[t], length[t] = np.nan, np.nan
    return evidence
