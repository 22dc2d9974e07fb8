"""The two fits behind the calibrators as kernels: a logistic line of few parameters, and the isotonic steps.

A calibrator is chosen by ten fits on a few hundred rows each; as array operations their time would go into calls. Twins in plain
numpy and scipy stand in the tests.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit

LEAST_STEP = 1e-10  # share of a Newton step below which only rounding is left
LEAST_CURVE = 1e-12  # of p (1 - p), and beside the ridge


@njit(cache=True, error_model="numpy")
def objective(a, y, weights, ridge, gradient, hessian):  # type: ignore[no-untyped-def]
    """Logistic loss of a (n, k) @ weights on targets y (n,) in [0, 1], with half the ridge on the weights' squares; its first and
    second derivatives go into gradient (k,) and hessian (k, k)."""
    width = weights.shape[0]
    total = 0.0
    for k in range(width):
        total += 0.5 * ridge * weights[k] * weights[k]
        gradient[k] = ridge * weights[k]
        for m in range(width):
            hessian[k, m] = ridge + LEAST_CURVE if k == m else 0.0
    for row in range(a.shape[0]):
        eta = 0.0
        for k in range(width):
            eta += a[row, k] * weights[k]
        small = math.exp(-abs(eta))
        total += max(eta, 0.0) + math.log1p(small) - y[row] * eta
        p = 1.0 / (1.0 + small) if eta >= 0.0 else small / (1.0 + small)
        curve = max(p * (1.0 - p), LEAST_CURVE)
        for k in range(width):
            gradient[k] += a[row, k] * (p - y[row])
            for m in range(k + 1):
                hessian[k, m] += a[row, k] * a[row, m] * curve
    for k in range(width):
        for m in range(k):
            hessian[m, k] = hessian[k, m]
    return total


@njit(cache=True, error_model="numpy")
def solve(matrix, right):  # type: ignore[no-untyped-def]
    """The solution of matrix (k, k) x = right, by elimination with pivots; both are used up. x stands in `right`."""
    size = right.shape[0]
    for k in range(size):
        pivot = k
        for m in range(k + 1, size):
            if abs(matrix[m, k]) > abs(matrix[pivot, k]):
                pivot = m
        if pivot != k:
            for m in range(size):
                matrix[k, m], matrix[pivot, m] = matrix[pivot, m], matrix[k, m]
            right[k], right[pivot] = right[pivot], right[k]
        for m in range(k + 1, size):
            share = matrix[m, k] / matrix[k, k]
            for j in range(k, size):
                matrix[m, j] -= share * matrix[k, j]
            right[m] -= share * right[k]
    for k in range(size - 1, -1, -1):
        for m in range(k + 1, size):
            right[k] -= matrix[k, m] * right[m]
        right[k] /= matrix[k, k]


@njit(cache=True, error_model="numpy")
def newton(a, y, start, ridge, steps):  # type: ignore[no-untyped-def]
    """Weights (k,) that minimise `objective`, by damped Newton steps from `start`; a (n, k) C-contiguous, y (n,)."""
    width = start.shape[0]
    weights, trial, direction = start.copy(), np.empty(width), np.empty(width)
    gradient, hessian = np.empty(width), np.empty((width, width))
    value = objective(a, y, weights, ridge, gradient, hessian)
    for _ in range(steps):
        steepest = 0.0
        for k in range(width):
            steepest = max(steepest, abs(gradient[k]))
        if steepest <= 1e-9 * y.shape[0]:
            break
        solve(hessian, gradient)
        for k in range(width):  # by element: a whole array costs a second of compiling
            direction[k] = gradient[k]
        share, found = 1.0, np.inf
        while share > LEAST_STEP:
            for k in range(width):
                trial[k] = weights[k] - share * direction[k]
            found = objective(a, y, trial, ridge, gradient, hessian)
            if found <= value + 1e-12 * (1.0 + abs(value)):
                break
            share *= 0.5
        if share <= LEAST_STEP:
            break
        for k in range(width):
            weights[k] = trial[k]
        value = found
    return weights


@njit(cache=True, error_model="numpy")
def line(s, target, ridge, steps):  # type: ignore[no-untyped-def]
    """Slope >= 0 and shift of the logistic line through s (n,) and target (n,) in [0, 1]; slope 0 where there is none."""
    n = s.shape[0]
    center, rate, square = 0.0, 0.0, 0.0
    for row in range(n):
        center += s[row]
        rate += target[row]
    center, rate = center / n, min(max(rate / n, 1e-12), 1.0 - 1e-12)
    for row in range(n):
        square += (s[row] - center) ** 2
    spread, base = math.sqrt(square / n), math.log(rate / (1.0 - rate))
    if spread <= 1e-12 * max(1.0, abs(center)):
        return 0.0, base
    z, start = np.ones((n, 2)), np.empty(2)
    for row in range(n):
        z[row, 0] = (s[row] - center) / spread
    start[0], start[1] = spread, base
    weights = newton(z, target, start, ridge, steps)
    if weights[0] <= 0.0:
        return 0.0, base
    slope = weights[0] / spread
    return slope, weights[1] - slope * center


@njit(cache=True, error_model="numpy")
def pooled_ties(p, y, order, x, mean, weight):  # type: ignore[no-untyped-def]
    """Distinct scores ascending, mean label and count of each, into x, mean and weight (n,); how many there are.

    order (n,): places of p in ascending order
    """
    many = 0
    for place in order:
        if many == 0 or p[place] != x[many - 1]:
            x[many], mean[many], weight[many] = p[place], 0.0, 0.0
            many += 1
        mean[many - 1] += y[place]
        weight[many - 1] += 1.0
    for k in range(many):
        mean[k] /= weight[k]
    return many


@njit(cache=True, error_model="numpy")
def pool_violators(values, weight, out):  # type: ignore[no-untyped-def]
    """Non-decreasing weighted least-squares fit of values (n,), into out (n,): pool adjacent violators."""
    n = values.shape[0]
    level, mass, length = np.empty(n), np.empty(n), np.empty(n, dtype=np.int64)
    blocks = 0
    for k in range(n):
        level[blocks], mass[blocks], length[blocks] = values[k], weight[k], 1
        blocks += 1
        while blocks > 1 and level[blocks - 2] >= level[blocks - 1]:
            both = mass[blocks - 2] + mass[blocks - 1]
            level[blocks - 2] = (level[blocks - 2] * mass[blocks - 2] + level[blocks - 1] * mass[blocks - 1]) / both
            mass[blocks - 2] = both
            length[blocks - 2] += length[blocks - 1]
            blocks -= 1
    place = 0
    for block in range(blocks):
        for _ in range(length[block]):
            out[place] = level[block]
            place += 1


@njit(cache=True, error_model="numpy")
def isotonic_steps(p, y, order):  # type: ignore[no-untyped-def]
    """Corners x and fitted values of the isotonic fit whose steps go by Laplace's rule; see `calibration.Isotonic`."""
    n = p.shape[0]
    x, mean, weight = np.empty(n), np.empty(n), np.empty(n)
    many = pooled_ties(p, y, order, x, mean, weight)
    fitted, step = np.empty(many), np.empty(many, dtype=np.int64)
    pool_violators(mean[:many], weight[:many], fitted)
    rows, hits, last = np.zeros(many), np.zeros(many), -1
    for k in range(many):
        if k == 0 or fitted[k] - fitted[k - 1] > 1e-12:
            last += 1
        step[k] = last
        rows[last] += weight[k]
        hits[last] += weight[k] * mean[k]
    for k in range(last + 1):
        hits[k] = (hits[k] + 1.0) / (rows[k] + 2.0)
        rows[k] += 2.0
    smooth = np.empty(last + 1)
    pool_violators(hits[: last + 1], rows[: last + 1], smooth)
    kept = 0
    for k in range(many):
        here = smooth[step[k]]
        inner = 0 < k < many - 1
        if not inner or here != smooth[step[k - 1]] or here != smooth[step[k + 1]]:  # inner points of a flat step say nothing
            x[kept], mean[kept] = x[k], here
            kept += 1
    return x[:kept].copy(), mean[:kept].copy()
