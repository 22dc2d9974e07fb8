# mypy: disallow-untyped-decorators=False
"""Least squares of smiles: one raw SVI slice, or all slices of an extended SSVI surface at once.

Residuals are (model − quoted volatility) / tolerance, softened by Huber's loss beyond HUBER, and one-sided penalty rows that are
zero where no arbitrage is left. Levenberg-Marquardt with a forward-difference Jacobian; a few microseconds an evaluation, so
that derivatives by hand would gain little and could be wrong.

Raw SVI (Gatheral 2004), total variance at log-moneyness k:  w(k) = a + b (ρ (k − m) + √((k − m)² + σ²)).
Extended SSVI (Hendriks and Martini 2019), ψ = θφ:           w(k) = ½ (θ + ρψk + √((ψk + ρθ)² + (1 − ρ²) θ²)).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SVI, ESSVI, ESSVI_NEXT = 0, 1, 2
HUBER = 3.0  # tolerances; beyond it a residual counts linearly
LOCAL = 25  # extra penalty points around the vertex of a slice, where curvature is largest
SLOPE_LIMIT = 1.999  # Lee: total variance grows at most like 2|k|
STEPS = 60


@njit(cache=True)
def svi_unpack(x: Floats, smallest: float, raw: Floats) -> None:
    """Free numbers to raw SVI: b > 0, |ρ| < 1, σ > smallest and a lowest variance above zero hold by construction."""
    b = np.exp(min(x[0], 20.0))
    rho = np.tanh(x[1])
    sigma = smallest + np.exp(min(x[3], 20.0))
    raw[0] = np.exp(min(x[4], 20.0)) - b * sigma * np.sqrt(max(0.0, 1.0 - rho * rho))
    raw[1], raw[2], raw[3], raw[4] = b, rho, x[2], sigma


@njit(cache=True)
def svi_pack(raw: Floats, smallest: float, x: Floats) -> None:
    """The inverse of `svi_unpack`; values outside the domain are moved inside."""
    a, b, m = raw[0], max(raw[1], 1e-8), raw[3]
    rho = min(0.9999, max(-0.9999, raw[2]))
    sigma = max(raw[4], smallest * 1.001)
    lowest = max(a + b * sigma * np.sqrt(1.0 - rho * rho), 1e-10)
    x[0], x[1], x[2], x[3], x[4] = np.log(b), np.arctanh(rho), m, np.log(sigma - smallest), np.log(lowest)


@njit(cache=True)
def essvi_unpack(x: Floats, raw: Floats) -> None:
    """Free numbers (3 a slice: ρ, step of θ, place of ψ between its bounds) to slices without arbitrage, as raw SVI (slices, 5).

    Mingone (2022), "No arbitrage global parametrization for the eSSVI volatility surface": with p_i = max((1+ρ₋)/(1+ρ),
    (1−ρ₋)/(1−ρ)), slices are free of calendar arbitrage where θ ≥ θ₋p and ψ₋p ≤ ψ ≤ ψ₋θ/θ₋, and of butterflies where
    ψ ≤ min(4/(1+|ρ|), 2√(θ/(1+|ρ|))) (Gatheral and Jacquier 2014). A bound of a later slice binds the earlier ones.
    """
    n = raw.shape[0]
    theta, psi, cap, ratio = np.empty(n), np.empty(n), np.empty(n), np.ones(n)
    for i in range(n):
        rho = 0.9995 * np.tanh(x[3 * i])
        raw[i, 2] = rho
        step = np.exp(min(x[3 * i + 1], 20.0))
        if i == 0:
            theta[i] = step + 1e-10
        else:
            before = raw[i - 1, 2]
            ratio[i] = max((1.0 + before) / (1.0 + rho), (1.0 - before) / (1.0 - rho))
            theta[i] = theta[i - 1] * ratio[i] + step
        cap[i] = 0.9999 * min(4.0 / (1.0 + abs(rho)), 2.0 * np.sqrt(theta[i] / (1.0 + abs(rho))))
    for i in range(n - 2, -1, -1):
        cap[i] = min(cap[i], cap[i + 1] / ratio[i + 1])
    for i in range(n):
        low, high = 0.0, cap[i]
        if i > 0:
            low = psi[i - 1] * ratio[i]
            high = min(high, psi[i - 1] * theta[i] / theta[i - 1])
        psi[i] = low + max(0.0, high - low) / (1.0 + np.exp(-x[3 * i + 2]))
        psi[i] = max(psi[i], 1e-12)
        rho = raw[i, 2]
        rest = 1.0 - rho * rho
        raw[i, 0] = 0.5 * theta[i] * rest
        raw[i, 1] = 0.5 * psi[i]
        raw[i, 3] = -rho * theta[i] / psi[i]
        raw[i, 4] = np.sqrt(rest) * theta[i] / psi[i]


@njit(cache=True)
def essvi_pack(raw: Floats, x: Floats) -> None:
    """The inverse of `essvi_unpack`; slices outside its domain are moved inside."""
    n = raw.shape[0]
    shadow = np.empty((n, 5))
    for i in range(n):
        rho = raw[i, 2]
        x[3 * i] = np.arctanh(min(0.999, max(-0.999, rho / 0.9995)))
        theta = 2.0 * raw[i, 0] / (1.0 - rho * rho)
        floor = 0.0
        if i > 0:
            before = raw[i - 1, 2]
            floor = 2.0 * raw[i - 1, 0] / (1.0 - before * before)
            floor *= max((1.0 + before) / (1.0 + rho), (1.0 - before) / (1.0 - rho))
        x[3 * i + 1] = np.log(max(theta - floor, 1e-6 * theta))
        x[3 * i + 2] = 0.0
    for i in range(n):  # place each ψ by what the bounds make of 0 and 1
        x[3 * i + 2] = -30.0
        essvi_unpack(x, shadow)
        low = 2.0 * shadow[i, 1]
        x[3 * i + 2] = 30.0
        essvi_unpack(x, shadow)
        high = 2.0 * shadow[i, 1]
        share = (2.0 * raw[i, 1] - low) / (high - low) if high > low else 0.5
        share = min(0.995, max(0.005, share))
        x[3 * i + 2] = np.log(share / (1.0 - share))


@njit(cache=True)
def _essvi_next(x: Floats, before: Floats, raw: Floats) -> float:
    """One slice after `before` (b below zero: the first); how far its bounds contradict each other, 0 where they do not."""
    rho = 0.9995 * np.tanh(x[0])
    theta = np.exp(min(x[1], 20.0))
    low, high = 0.0, np.inf
    if before[1] > 0.0:
        ratio = max((1.0 + before[2]) / (1.0 + rho), (1.0 - before[2]) / (1.0 - rho))
        held = 2.0 * before[0] / (1.0 - before[2] * before[2])
        theta += held * ratio
        low = 2.0 * before[1] * ratio
        high = 2.0 * before[1] * theta / held
    high = min(high, 0.9999 * min(4.0 / (1.0 + abs(rho)), 2.0 * np.sqrt(theta / (1.0 + abs(rho)))))
    psi = max(1e-12, low + (high - low) / (1.0 + np.exp(-x[2])))
    rest = 1.0 - rho * rho
    raw[0], raw[1], raw[2] = 0.5 * theta * rest, 0.5 * psi, rho
    raw[3], raw[4] = -rho * theta / psi, np.sqrt(rest) * theta / psi
    return float(max(0.0, low / high - 1.0))


@njit(cache=True)
def total_variance(raw: Floats, k: float) -> float:
    """w(k) of one raw SVI slice."""
    y = k - raw[3]
    return float(raw[0] + raw[1] * (raw[2] * y + np.sqrt(y * y + raw[4] * raw[4])))


@njit(cache=True)
def durrleman(raw: Floats, k: float) -> float:
    """g(k): the risk-neutral density has its sign. Gatheral and Jacquier (2014), equation 2.1."""
    y = k - raw[3]
    root = np.sqrt(y * y + raw[4] * raw[4])
    w = raw[0] + raw[1] * (raw[2] * y + root)
    first = raw[1] * (raw[2] + y / root)
    second = raw[1] * raw[4] * raw[4] / (root * root * root)
    half = 1.0 - 0.5 * k * first / w
    return float(half * half - 0.25 * first * first * (1.0 / w + 0.25) + 0.5 * second)


@njit(cache=True)
def _soft(r: float) -> float:
    size = abs(r)
    return r if size <= HUBER else float(np.sign(r) * np.sqrt(2.0 * HUBER * size - HUBER * HUBER))


@njit(cache=True)
def _residuals(
    kind: int, x: Floats, k: Floats, iv: Floats, tolerance: Floats, start: Integers, years: Floats, grid: Floats,
    before: Floats, smallest: float, penalty: float, margins: Floats, raw: Floats, out: Floats,
) -> float:
    """Fill `out`; the sum of squares. `margins` (2,): how far g stays from zero, and w/w(before) from one."""
    if kind == SVI:
        svi_unpack(x, smallest, raw[0])
    elif kind == ESSVI:
        essvi_unpack(x, raw)
    else:
        out[start[1]] = penalty * _essvi_next(x, before, raw[0])
    for s in range(years.size):
        for i in range(start[s], start[s + 1]):
            w = max(total_variance(raw[s], k[i]), 1e-14)
            out[i] = _soft((np.sqrt(w / years[s]) - iv[i]) / tolerance[i])
    n = start[years.size]
    if kind == SVI:
        p = raw[0]
        for j in range(grid.size + LOCAL):
            at = grid[j] if j < grid.size else p[3] + p[4] * 8.0 * (2.0 * (j - grid.size) / (LOCAL - 1.0) - 1.0)
            out[n + j] = penalty * max(0.0, margins[0] - durrleman(p, at))
        n += grid.size + LOCAL
        out[n] = penalty * max(0.0, p[1] * (1.0 + abs(p[2])) - SLOPE_LIMIT)
        n += 1
        if before[1] > 0.0:
            for j in range(grid.size):
                out[n + j] = penalty * max(0.0, 1.0 + margins[1] - total_variance(p, grid[j]) / total_variance(before, grid[j]))
            n += grid.size
            for j in range(LOCAL):
                at = before[3] + before[4] * 8.0 * (2.0 * j / (LOCAL - 1.0) - 1.0)
                out[n + j] = penalty * max(0.0, 1.0 + margins[1] - total_variance(p, at) / total_variance(before, at))
            n += LOCAL
            out[n] = penalty * max(0.0, 1.0 + margins[1] - p[1] * (1.0 + p[2]) / (before[1] * (1.0 + before[2])))
            out[n + 1] = penalty * max(0.0, 1.0 + margins[1] - p[1] * (1.0 - p[2]) / (before[1] * (1.0 - before[2])))
    total = 0.0
    for i in range(out.size):
        total += out[i] * out[i]
    return total


@njit(cache=True)
def _solve(matrix: Floats, right: Floats, answer: Floats) -> bool:
    """Cholesky; false where the matrix is not positive definite. Overwrites the lower triangle."""
    n = right.size
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for c in range(j):
                total -= matrix[i, c] * matrix[j, c]
            if i == j:
                if not total > 0.0:
                    return False
                matrix[i, i] = np.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    for i in range(n):
        total = right[i]
        for c in range(i):
            total -= matrix[i, c] * answer[c]
        answer[i] = total / matrix[i, i]
    for i in range(n - 1, -1, -1):
        total = answer[i]
        for c in range(i + 1, n):
            total -= matrix[c, i] * answer[c]
        answer[i] = total / matrix[i, i]
    return True


@njit(cache=True)
def levenberg(
    kind: int, x: Floats, k: Floats, iv: Floats, tolerance: Floats, start: Integers, years: Floats, grid: Floats,
    before: Floats, smallest: float, penalty: float, margins: Floats, steps: int, raw: Floats,
) -> float:
    """Improve `x` in place; the sum of squares that it reaches. `raw` (slices, 5) ends as the parameters of `x`."""
    rows = start[years.size]
    if kind == SVI:
        rows += grid.size + LOCAL + 1
        if before[1] > 0.0:
            rows += grid.size + LOCAL + 2
    elif kind == ESSVI_NEXT:
        rows += 1
    n = x.size
    here, there = np.empty(rows), np.empty(rows)
    jacobian = np.empty((n, rows))
    normal, damped = np.empty((n, n)), np.empty((n, n))
    gradient, step, trial = np.empty(n), np.empty(n), np.empty(n)
    best = _residuals(kind, x, k, iv, tolerance, start, years, grid, before, smallest, penalty, margins, raw, here)
    damping = 1e-3
    for _ in range(steps):
        for j in range(n):
            kept = x[j]
            width = 1e-6 * max(1.0, abs(kept))
            x[j] = kept + width
            _residuals(kind, x, k, iv, tolerance, start, years, grid, before, smallest, penalty, margins, raw, there)
            x[j] = kept
            for i in range(rows):
                jacobian[j, i] = (there[i] - here[i]) / width
        for i in range(n):
            total = 0.0
            for r in range(rows):
                total += jacobian[i, r] * here[r]
            gradient[i] = -total
            for j in range(i + 1):
                total = 0.0
                for r in range(rows):
                    total += jacobian[i, r] * jacobian[j, r]
                normal[i, j] = total
        moved = False
        gain = 0.0
        for _ in range(12):
            for i in range(n):
                for j in range(i + 1):
                    damped[i, j] = normal[i, j]
                damped[i, i] += damping * (normal[i, i] + 1e-12)
            if _solve(damped, gradient, step):
                for i in range(n):
                    trial[i] = x[i] + min(2.0, max(-2.0, step[i]))
                reached = _residuals(
                    kind, trial, k, iv, tolerance, start, years, grid, before, smallest, penalty, margins, raw, there
                )
                if reached < best:
                    gain = best - reached
                    best = reached
                    for i in range(n):
                        x[i] = trial[i]
                    for i in range(rows):
                        here[i] = there[i]
                    damping = max(1e-12, damping * 0.2)
                    moved = True
                    break
            damping *= 5.0
        if not moved or gain < 1e-9 * best:
            break
    _residuals(kind, x, k, iv, tolerance, start, years, grid, before, smallest, penalty, margins, raw, there)
    return best


@njit(cache=True)
def svi_start(k: Floats, iv: Floats, tolerance: Floats, years: float, smallest: float, scale: float, raw: Floats) -> None:
    """Quasi-explicit start (De Marco and Martini 2009): for each (m, σ) of a grid, w is linear in (a, ρbσ, bσ)."""
    n = k.size
    normal, right, answer = np.empty((3, 3)), np.empty(3), np.empty(3)
    best = np.inf
    for i in range(11):
        m = scale * (-1.0 + 0.2 * i)
        for j in range(7):
            sigma = max(smallest * 1.01, 0.1 * scale * 2.0**j)
            normal[:] = 0.0
            right[:] = 0.0
            for q in range(n):
                weight = 1.0 / (tolerance[q] * 2.0 * iv[q] * years)
                y = (k[q] - m) / sigma
                z = np.sqrt(y * y + 1.0)
                w = iv[q] * iv[q] * years
                weight *= weight
                normal[0, 0] += weight
                normal[1, 0] += weight * y
                normal[1, 1] += weight * y * y
                normal[2, 0] += weight * z
                normal[2, 1] += weight * y * z
                normal[2, 2] += weight * z * z
                right[0] += weight * w
                right[1] += weight * y * w
                right[2] += weight * z * w
            for q in range(3):
                normal[q, q] *= 1.0 + 1e-10
            if not _solve(normal, right, answer):
                continue
            c = max(answer[2], 1e-9)
            d = min(0.99 * c, max(-0.99 * c, answer[1]))
            a = max(answer[0], -c * np.sqrt(1.0 - (d / c) ** 2) + 1e-10)
            cost = 0.0
            for q in range(n):
                y = (k[q] - m) / sigma
                w = max(a + d * y + c * np.sqrt(y * y + 1.0), 1e-14)
                r = _soft((np.sqrt(w / years) - iv[q]) / tolerance[q])
                cost += r * r
            if cost < best:
                best = cost
                raw[0], raw[1], raw[2], raw[3], raw[4] = a, c / sigma, d / c, m, sigma
