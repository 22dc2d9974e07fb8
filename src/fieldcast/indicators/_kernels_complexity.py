"""Entropies, fractal measures and divergence of short windows, as kernels; every value depends on its own window alone.

permutation     Shannon entropy of the order patterns of `order` neighbours / log(order!)           Bandt, Pompe 2002
sample          -log( matches of length 3 / matches of length 2 ), tolerance 0.2 deviations, in add-one form
                log( (1 + pairs2) / (1 + pairs3) ): known without a match as well                   Richman, Moorman 2000
approximate     phi_2 - phi_3, self-matches counted, tolerance 0.2 deviations                       Pincus 1991
spectral        Shannon entropy of the periodogram of the window less its mean / log(bins)          Inouye 1991
rescaled range  log(R / S) / log(rows / 2)                                                          Hurst 1951
fluctuation     slope of log F_q(s) on log s, boxes of 4, 8, 16 rows (of 32 or more), each detrended Kantelhardt 2002
Katz            log(m) / ( log(m) + log(d / L) ),  m steps, path length L, furthest distance d       Katz 1988
Petrosian       log(n) / ( log(n) + log( n / (n + 0.4 turns) ) )                                    Petrosian 1995
divergence      mean log( distance after one row / distance ) of nearest neighbours in 3 dimensions  Rosenstein 1993
correlation     log( C(r) / C(r / 2) ) / log 2, r one deviation, 2 dimensions, add-one              Grassberger 1983
octave share    share of a window's squared deviations in one octave of its Haar transform
"""

from __future__ import annotations

import numpy as np
from numba import njit

TIE = 1e-9  # of the price or the value: what lies nearer together is equal, and differs by rounding


@njit(cache=True)
def permutation_entropy(x, rows, order, out):  # type: ignore[no-untyped-def]
    """Out (n,) in [0, 1]; equal values, such that differ by rounding among them, count in the order they came."""
    patterns = 1
    for k in range(2, order + 1):
        patterns *= k
    counts = np.zeros(patterns)
    whole = rows - order + 1
    n = x.shape[0]
    codes = np.full(n, -1, dtype=np.int64)
    table = np.zeros(whole + 1)
    for k in range(1, whole + 1):
        table[k] = k / whole * np.log(k / whole)
    known = 0
    for row in range(n):
        code, good = 0, row >= order - 1
        if good:
            for i in range(order):
                value = x[row - order + 1 + i]
                if np.isnan(value):
                    good = False
                    break
                smaller = 0
                for j in range(i + 1, order):
                    smaller += value - x[row - order + 1 + j] > TIE * abs(value)
                code = code * (order - i) + smaller
        codes[row] = code if good else -1
        if good:
            counts[code] += 1.0
            known += 1
        if row - whole >= 0 and codes[row - whole] >= 0:
            counts[codes[row - whole]] -= 1.0
            known -= 1
        if known < whole:
            out[row] = np.nan
            continue
        total = 0.0
        for k in range(patterns):
            total += table[int(counts[k])]
        out[row] = -total / np.log(patterns)


@njit(cache=True)
def _deviation(part):  # type: ignore[no-untyped-def]
    mean = 0.0
    for value in part:
        mean += value
    mean /= part.size
    squares = 0.0
    for value in part:
        squares += (value - mean) * (value - mean)
    return mean, np.sqrt(squares / part.size)


@njit(cache=True)
def template_entropy(x, rows, approximate, out):  # type: ignore[no-untyped-def]
    """Sample entropy, or (approximate) approximate entropy; out (n,) in nats."""
    hits2, hits3 = np.empty(rows), np.empty(rows)
    for row in range(x.shape[0]):
        out[row] = np.nan
        if row < rows - 1:
            continue
        part = x[row - rows + 1 : row + 1]
        mean, deviation = _deviation(part)
        if not deviation > 1e-9 * abs(mean):
            continue
        near = 0.2 * deviation
        hits2[:], hits3[:] = 1.0, 1.0
        pairs2, pairs3 = 0.0, 0.0
        for i in range(rows - 1):
            for j in range(i + 1, rows - 1):
                if abs(part[i] - part[j]) > near or abs(part[i + 1] - part[j + 1]) > near:
                    continue
                hits2[i] += 1.0
                hits2[j] += 1.0
                if j + 2 >= rows:
                    continue
                pairs2 += 1.0
                if abs(part[i + 2] - part[j + 2]) <= near:
                    pairs3 += 1.0
                    hits3[i] += 1.0
                    hits3[j] += 1.0
        if not approximate:
            out[row] = np.log((1.0 + pairs2) / (1.0 + pairs3))
            continue
        phi2, phi3 = 0.0, 0.0
        for i in range(rows - 1):
            phi2 += np.log(hits2[i] / (rows - 1))
        for i in range(rows - 2):
            phi3 += np.log(hits3[i] / (rows - 2))
        out[row] = phi2 / (rows - 1) - phi3 / (rows - 2)


@njit(cache=True)
def spectral_entropy(x, rows, out):  # type: ignore[no-untyped-def]
    """Out (n,) in [0, 1], frequencies 1 … rows // 2."""
    bins = rows // 2
    waves = np.empty((2, bins, rows))
    for k in range(bins):
        for t in range(rows):
            angle = 2.0 * np.pi * (k + 1) * t / rows
            waves[0, k, t], waves[1, k, t] = np.cos(angle), np.sin(angle)
    power, held = np.empty(bins), np.empty(rows)
    for row in range(x.shape[0]):
        out[row] = np.nan
        if row < rows - 1:
            continue
        part = x[row - rows + 1 : row + 1]
        mean, deviation = _deviation(part)
        if not deviation > 1e-9 * abs(mean):
            continue
        for t in range(rows):
            held[t] = (part[t] - mean) / deviation
        total = 0.0
        for k in range(bins):
            a, b = 0.0, 0.0
            for t in range(rows):
                a += waves[0, k, t] * held[t]
                b += waves[1, k, t] * held[t]
            power[k] = a * a + b * b
            total += power[k]
        entropy = 0.0
        for k in range(bins):
            share = power[k] / total
            if share > 1e-15:
                entropy -= share * np.log(share)
        out[row] = entropy / np.log(bins)


@njit(cache=True)
def rescaled_range(x, rows, out):  # type: ignore[no-untyped-def]
    """Out (n,)."""
    for row in range(x.shape[0]):
        out[row] = np.nan
        if row < rows - 1:
            continue
        part = x[row - rows + 1 : row + 1]
        mean, deviation = _deviation(part)
        if not deviation > 1e-9 * abs(mean):
            continue
        path, lowest, highest = 0.0, 0.0, 0.0
        for value in part:
            path += value - mean
            lowest, highest = min(lowest, path), max(highest, path)
        out[row] = np.log((highest - lowest) / deviation) / np.log(0.5 * rows)


@njit(cache=True)
def fluctuation_slope(x, rows, q, out):  # type: ignore[no-untyped-def]
    """Slope of log F_q on log box length, boxes of 4, 8 and 16 rows that end at the newest; out (n,)."""
    path = np.empty(rows)
    logs, levels = np.empty(3), np.empty(3)
    for row in range(x.shape[0]):
        out[row] = np.nan
        if row < rows - 1:
            continue
        part = x[row - rows + 1 : row + 1]
        mean, deviation = _deviation(part)
        if not deviation > 1e-9 * abs(mean):
            continue
        total = 0.0
        for t in range(rows):
            total += (part[t] - mean) / deviation
            path[t] = total
        good = True
        for scale in range(3):
            size = 4 << scale
            boxes = rows // size
            middle, spread = 0.5 * (size - 1.0), size * (size * size - 1.0) / 12.0
            gathered = 0.0
            for box in range(boxes):
                first = rows - (box + 1) * size
                level, cross, squares = 0.0, 0.0, 0.0
                for t in range(size):
                    level += path[first + t]
                    cross += (t - middle) * path[first + t]
                level /= size
                slope = cross / spread
                for t in range(size):
                    left = path[first + t] - level - slope * (t - middle)
                    squares += left * left
                squares /= size
                if squares < 1e-12:
                    good = False
                    break
                gathered += squares if q == 2 else squares ** (0.5 * q)
            if not good:
                break
            logs[scale] = np.log(size * 1.0)
            levels[scale] = np.log(gathered / boxes) / q
        if good:
            out[row] = (levels[2] - levels[0]) / (logs[2] - logs[0])


@njit(cache=True)
def path_dimension(x, rows, turns, out):  # type: ignore[no-untyped-def]
    """Katz's dimension, or (turns) Petrosian's; out (n,), 1 for a straight path."""
    for row in range(x.shape[0]):
        out[row] = np.nan
        if row < rows - 1:
            continue
        part = x[row - rows + 1 : row + 1]
        if turns:
            changes = 0
            bad = np.isnan(part[0])
            for t in range(1, rows):
                bad = bad or np.isnan(part[t])
                if t > 1:
                    changes += (part[t] - part[t - 1]) * (part[t - 1] - part[t - 2]) < 0.0
            size = np.log10(rows * 1.0)
            out[row] = np.nan if bad else size / (size + np.log10(rows / (rows + 0.4 * changes)))
            continue
        length, furthest = 0.0, 0.0
        for t in range(1, rows):
            length += abs(part[t] - part[t - 1])
            furthest = max(furthest, abs(part[t] - part[0]))
        if length > 0.0 and furthest > 0.0:
            steps = np.log(rows - 1.0)
            out[row] = steps / (steps + np.log(furthest / length)) if steps + np.log(furthest / length) > 0.05 * steps else np.nan


@njit(cache=True)
def divergence(x, rows, out):  # type: ignore[no-untyped-def]
    """Mean log growth of the distance of nearest neighbours in one row; neighbours at least 3 rows apart; out (n,)."""
    for row in range(x.shape[0]):
        out[row] = np.nan
        if row < rows - 1:
            continue
        part = x[row - rows + 1 : row + 1]
        mean, deviation = _deviation(part)
        if not deviation > 1e-9 * abs(mean):
            continue
        least = 1e-6 * deviation
        total, used = 0.0, 0
        points = rows - 3  # each has two rows before it in its window and one after
        for i in range(points):
            nearest, who = np.inf, -1
            for j in range(points):
                if abs(i - j) < 3:
                    continue
                a, b, c = part[i] - part[j], part[i + 1] - part[j + 1], part[i + 2] - part[j + 2]
                distance = a * a + b * b + c * c
                if distance < nearest:
                    nearest, who = distance, j
            if who < 0:
                continue
            after = abs(part[i + 3] - part[who + 3])
            before = np.sqrt(nearest)
            total += np.log(max(after, least) / max(before, least))
            used += 1
        if used > 0:
            out[row] = total / used


@njit(cache=True)
def correlation_slope(x, rows, out):  # type: ignore[no-untyped-def]
    """Growth of the number of close pairs when the radius doubles; out (n,), between 0 and the logarithm of the pairs."""
    for row in range(x.shape[0]):
        out[row] = np.nan
        if row < rows - 1:
            continue
        part = x[row - rows + 1 : row + 1]
        mean, deviation = _deviation(part)
        if not deviation > 1e-9 * abs(mean):
            continue
        wide, narrow = 1.0, 1.0
        for i in range(rows - 1):
            for j in range(i + 1, rows - 1):
                distance = max(abs(part[i] - part[j]), abs(part[i + 1] - part[j + 1]))
                wide += distance <= deviation
                narrow += distance <= 0.5 * deviation
        out[row] = np.log(wide / narrow) / np.log(2.0)


@njit(cache=True)
def octave_share(x, rows, octave, out):  # type: ignore[no-untyped-def]
    """Share of squared deviations between neighbouring means of 2^octave rows (0: single rows); `rows` a power of 2; out (n,)."""
    held = np.empty(rows)
    for row in range(x.shape[0]):
        out[row] = np.nan
        if row < rows - 1:
            continue
        part = x[row - rows + 1 : row + 1]
        mean, deviation = _deviation(part)
        if not deviation > 1e-9 * abs(mean):
            continue
        held[:] = part - mean
        size, here = rows, 0.0
        for _ in range(octave + 1):
            size //= 2
            here = 0.0
            for k in range(size):
                a, b = held[2 * k], held[2 * k + 1]
                here += 0.5 * (a - b) * (a - b)
                held[k] = np.sqrt(0.5) * (a + b)
        out[row] = here / (rows * deviation * deviation)
