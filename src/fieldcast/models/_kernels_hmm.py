"""One pass of expectation and maximisation for a hidden Markov model with normal features of diagonal covariance.

    forward    a_t(j) = f_j(x_t) Σ_i a_{t−1}(i) A_ij / c_t          scaled so that each row sums to 1; log L = Σ log c_t
    backward   b_t(i) = Σ_j A_ij f_j(x_{t+1}) b_{t+1}(j) / c_{t+1}
    state      g_t(j) = a_t(j) b_t(j)
    pair       x(i, j) = Σ_t a_t(i) A_ij f_j(x_{t+1}) b_{t+1}(j) / c_{t+1}

Densities are taken relative to the row's largest, whose log goes into log L: no product can underflow. Source: Rabiner, "A
Tutorial on Hidden Markov Models", Proc. IEEE 77 (1989), III.
"""


# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LOG_TWO_PI = math.log(2.0 * math.pi)


@njit(cache=True)
def densities(rows: Floats, means: Floats, variances: Floats, result: Floats) -> float:
    """Fill `result` (n, k) with each state's density relative to the row's largest; returns the sum of the logs of those."""
    states = means.shape[0]
    base = 0.0
    for t in range(rows.shape[0]):
        top = -np.inf
        for j in range(states):
            value = 0.0
            for d in range(rows.shape[1]):
                gap = rows[t, d] - means[j, d]
                value -= 0.5 * (LOG_TWO_PI + math.log(variances[j, d]) + gap * gap / variances[j, d])
            result[t, j] = value
            top = max(top, value)
        for j in range(states):
            result[t, j] = math.exp(result[t, j] - top)
        base += top
    return base


@njit(cache=True)
def expectation(rows: Floats, initial: Floats, transition: Floats, means: Floats, variances: Floats, state: Floats,
                pair: Floats) -> float:  # fmt: skip
    """Fill `state` (n, k), the smoothed odds, and `pair` (k, k), the expected moves; returns log L. For fitting alone."""
    n, states = rows.shape[0], initial.size
    density, forward = np.empty((n, states)), np.empty((n, states))
    scale = np.empty(n)
    likelihood = densities(rows, means, variances, density)
    for t in range(n):
        total = 0.0
        for j in range(states):
            value = initial[j]
            if t > 0:
                value = 0.0
                for i in range(states):
                    value += forward[t - 1, i] * transition[i, j]
            forward[t, j] = value * density[t, j]
            total += forward[t, j]
        scale[t] = total
        likelihood += math.log(total)
        for j in range(states):
            forward[t, j] /= total
    pair[:] = 0.0
    after, before = np.ones(states), np.empty(states)
    for t in range(n - 1, -1, -1):
        for j in range(states):
            state[t, j] = forward[t, j] * after[j]
        if t > 0:
            for i in range(states):
                total = 0.0
                for j in range(states):
                    value = transition[i, j] * density[t, j] * after[j] / scale[t]
                    pair[i, j] += forward[t - 1, i] * value
                    total += value
                before[i] = total
            after[:] = before
    return likelihood


@njit(cache=True)
def maximisation(rows: Floats, state: Floats, pair: Floats, floor: Floats, initial: Floats, transition: Floats, means: Floats,
                 variances: Floats) -> None:  # fmt: skip
    """Replace the parameters by those most likely given the expected states; no variance falls below its `floor` (d,)."""
    states = initial.size
    for j in range(states):
        initial[j] = state[0, j]
        moves = pair[j].sum()
        if moves > 0.0:
            for i in range(states):
                transition[j, i] = pair[j, i] / moves
        weight = state[:, j].sum()
        if weight > 0.0:
            for d in range(rows.shape[1]):
                mean = 0.0
                for t in range(rows.shape[0]):
                    mean += state[t, j] * rows[t, d]
                mean /= weight
                spread = 0.0
                for t in range(rows.shape[0]):
                    gap = rows[t, d] - mean
                    spread += state[t, j] * gap * gap
                means[j, d] = mean
                variances[j, d] = max(spread / weight, floor[d])


@njit(cache=True)
def climb(rows: Floats, floor: Floats, initial: Floats, transition: Floats, means: Floats, variances: Floats, most: int,
          tolerance: float) -> tuple[float, int, bool]:  # fmt: skip
    """Expectation and maximisation in turn, in place, until log L gains less than `tolerance` a row.

    Returns log L of the parameters that are left, the passes made, and whether the gain had become small.
    """
    state, pair = np.empty((rows.shape[0], initial.size)), np.empty((initial.size, initial.size))
    before = expectation(rows, initial, transition, means, variances, state, pair)
    for i in range(most):
        maximisation(rows, state, pair, floor, initial, transition, means, variances)
        likelihood = expectation(rows, initial, transition, means, variances, state, pair)
        if likelihood - before < tolerance * rows.shape[0]:
            return likelihood, i + 1, True
        before = likelihood
    return before, most, False
