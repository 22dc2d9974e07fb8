"""Windows as kernels: one value for the last `rows` values, NaN where one of them is.

Sums, moments and extremes go through whole windows in two halves, the end of one block of `rows` values and the start of the
next, so a row costs the same whatever the window, and no rounding error grows along the series. Moments are taken about the
value at the border of the two blocks, which lies in the window: nothing large is subtracted from something large.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FUSED = {"contract"}
TIGHT = {"contract", "reassoc"}


@njit(cache=True, fastmath=FUSED)
def moments(x, rows, order, out):  # type: ignore[no-untyped-def]
    """Central moment of `order` 2 of the last `rows` values, or (3, 4) that moment in units of the deviation; out (n,).

    2: variance with divisor `rows`; 3: skewness; 4: kurtosis less 3. NaN where the window does not move.
    """
    n = x.shape[0]
    tail = np.zeros((4, rows + 1))
    for row in range(min(rows - 1, n)):
        out[row] = np.nan
    for start in range(0, n, rows):
        pivot = x[start]
        s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0
        if start > 0:
            tail[:, rows] = 0.0
            for place in range(rows - 1, -1, -1):
                d = x[start - rows + place] - pivot
                s1 += d
                s2 += d * d
                tail[0, place], tail[1, place] = s1, s2
                if order > 2:
                    s3 += d * d * d
                    s4 += d * d * d * d
                    tail[2, place], tail[3, place] = s3, s4
        s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0
        for place in range(min(rows, n - start)):
            row = start + place
            d = x[row] - pivot
            s1 += d
            s2 += d * d
            if order > 2:
                s3 += d * d * d
                s4 += d * d * d * d
            if row < rows - 1:
                continue
            m = (s1 + tail[0, place + 1]) / rows
            q = (s2 + tail[1, place + 1]) / rows
            var = q - m * m
            if order == 2:
                out[row] = var if var > 0.0 or np.isnan(var) else 0.0
                continue
            if not var > 1e-14 * q:
                out[row] = np.nan
                continue
            c = (s3 + tail[2, place + 1]) / rows
            if order == 3:
                out[row] = (c - 3.0 * m * q + 2.0 * m * m * m) / (var * np.sqrt(var))
            else:
                f = (s4 + tail[3, place + 1]) / rows
                out[row] = (f - 4.0 * m * c + 6.0 * m * m * q - 3.0 * m * m * m * m) / (var * var) - 3.0


@njit(cache=True)
def extremes(x, rows, sign, out):  # type: ignore[no-untyped-def]
    """Highest (sign 1.0) or lowest (sign -1.0) of the last `rows` values; out (n,)."""
    n = x.shape[0]
    tail = np.empty(rows + 1)
    for row in range(min(rows - 1, n)):
        out[row] = np.nan
    for start in range(0, n, rows):
        tail[rows] = -np.inf
        if start > 0:
            best = -np.inf
            for place in range(rows - 1, -1, -1):
                value = sign * x[start - rows + place]
                if value > best or np.isnan(value):
                    best = value
                if np.isnan(x[start - rows + place]):
                    best = np.nan
                tail[place] = best
        best = -np.inf
        for place in range(min(rows, n - start)):
            value = sign * x[start + place]
            if value > best or np.isnan(value):
                best = value
            if start + place < rows - 1:
                continue
            other = tail[place + 1]
            if np.isnan(best) or np.isnan(other):
                out[start + place] = np.nan
            else:
                out[start + place] = sign * (best if best > other else other)


@njit(cache=True)
def age_of_extreme(x, rows, sign, out):  # type: ignore[no-untyped-def]
    """Rows since the highest (sign 1.0) or lowest (-1.0) of the last `rows` values, the latest of equals; out (n,)."""
    n = x.shape[0]
    queue = np.empty(rows + 1, dtype=np.int64)  # candidates, ring buffer, best first
    head, size, bad = 0, 0, -1
    for row in range(n):
        value = sign * x[row]
        if np.isnan(value):
            bad = row
            size = 0
            out[row] = np.nan
            continue
        while size > 0 and sign * x[queue[(head + size - 1) % (rows + 1)]] <= value:
            size -= 1
        queue[(head + size) % (rows + 1)] = row
        size += 1
        while queue[head] <= row - rows:
            head = (head + 1) % (rows + 1)
            size -= 1
        out[row] = row - queue[head] if row - bad >= rows else np.nan


@njit(cache=True, fastmath=TIGHT)
def rank_below(x, rows, out):  # type: ignore[no-untyped-def]
    """Share of the previous rows - 1 values that lie below the newest by more than a 1e-9th of it; out (n,)."""
    for row in range(x.shape[0]):
        if row < rows - 1:
            out[row] = np.nan
            continue
        newest = x[row] - 1e-9 * abs(x[row])
        below, whole = 0, 0
        for place in range(row - rows + 1, row):
            below += x[place] < newest
            whole += x[place] == x[place]
        out[row] = below / (rows - 1.0) if whole == rows - 1 and newest == newest else np.nan


@njit(cache=True)
def sorted_share(x, rows, share, tail_mean, out):  # type: ignore[no-untyped-def]
    """Quantile of the last `rows` values, between neighbours in a straight line, or the mean of the values up to it; out (n,)."""
    n = x.shape[0]
    held = np.empty(rows)
    size = 0
    for row in range(n):
        value = x[row]
        if np.isnan(value):
            size = 0
            out[row] = np.nan
            continue
        if size == rows:
            old = x[row - rows]
            place = np.searchsorted(held[:size], old)
            for shift in range(place, size - 1):
                held[shift] = held[shift + 1]
            size -= 1
        place = size
        while place > 0 and held[place - 1] > value:
            held[place] = held[place - 1]
            place -= 1
        held[place] = value
        size += 1
        if size < rows:
            out[row] = np.nan
            continue
        spot = share * (rows - 1)
        left = int(np.floor(spot))
        right = min(left + 1, rows - 1)
        quantile = held[left] + (held[right] - held[left]) * (spot - left)
        if not tail_mean:
            out[row] = quantile
            continue
        total = 0.0
        for place in range(left + 1):
            total += held[place]
        out[row] = total / (left + 1.0)


@njit(cache=True, fastmath=TIGHT)
def weighted_mean(x, rows, out):  # type: ignore[no-untyped-def]
    """Mean of the last `rows` values weighted 1, 2, …, rows towards the newest; out (n,)."""
    unit = 2.0 / (rows * (rows + 1.0))
    weights = (np.arange(rows) + 1.0) * unit
    for row in range(x.shape[0]):
        if row < rows - 1:
            out[row] = np.nan
            continue
        part = x[row - rows + 1 : row + 1]
        total = 0.0
        for place in range(np.uint64(rows)):
            total += weights[np.uint64(place)] * part[np.uint64(place)]
        out[row] = total


@njit(cache=True, fastmath=TIGHT)
def mean_distance(x, rows, out):  # type: ignore[no-untyped-def]
    """Mean absolute distance of the last `rows` values from their mean; out (n,)."""
    for row in range(x.shape[0]):
        if row < rows - 1:
            out[row] = np.nan
            continue
        part = x[row - rows + 1 : row + 1]
        pivot, total, away = part[rows - 1], 0.0, 0.0
        for place in range(rows):
            total += part[place] - pivot
        mean = pivot + total / rows
        for place in range(rows):
            away += abs(part[place] - mean)
        out[row] = away / rows


@njit(cache=True, fastmath=TIGHT)
def line_fit(x, rows, what, out):  # type: ignore[no-untyped-def]
    """Straight line through the last `rows` values: slope a row (what 0), share explained (1), newest value less the line (2),
    standard deviation of what is left (3); out (n,). The share is NaN where the window does not move."""
    middle = 0.5 * (rows - 1.0)
    spread = rows * (rows * rows - 1.0) / 12.0
    for row in range(x.shape[0]):
        if row < rows - 1:
            out[row] = np.nan
            continue
        part = x[row - rows + 1 : row + 1]
        pivot = part[rows - 1]
        total, cross, squares = 0.0, 0.0, 0.0
        for place in range(rows):
            d = part[place] - pivot
            total += d
            cross += (place - middle) * d
            squares += d * d
        slope = cross / spread
        if what == 0:
            out[row] = slope
            continue
        mean = total / rows
        if what == 2:
            out[row] = -mean - slope * middle
            continue
        all_of_it = squares - rows * mean * mean
        explained = slope * slope * spread
        if what == 1:
            out[row] = min(explained / all_of_it, 1.0) if all_of_it > 1e-14 * squares else np.nan
        else:
            out[row] = np.sqrt(max(all_of_it - explained, 0.0) / rows)


@njit(cache=True, fastmath=TIGHT)
def correlation(x, y, rows, out):  # type: ignore[no-untyped-def]
    """Correlation of the last `rows` pairs; out (n,), NaN where one of the two does not move."""
    for row in range(x.shape[0]):
        if row < rows - 1:
            out[row] = np.nan
            continue
        px, py = x[row], y[row]
        sx, sy, xx, yy, xy = 0.0, 0.0, 0.0, 0.0, 0.0
        for place in range(row - rows + 1, row + 1):
            a = x[place] - px
            b = y[place] - py
            sx += a
            sy += b
            xx += a * a
            yy += b * b
            xy += a * b
        vx = xx - sx * sx / rows
        vy = yy - sy * sy / rows
        if vx > 1e-12 * xx and vy > 1e-12 * yy:
            value = (xy - sx * sy / rows) / np.sqrt(vx * vy)
            out[row] = min(max(value, -1.0), 1.0)
        else:
            out[row] = np.nan


@njit(cache=True)
def run_length(x, cap, out):  # type: ignore[no-untyped-def]
    """Rows in a row, up to the newest and at most `cap`, for which x is 1; out (n,), NaN where x was within that run."""
    length = 0
    clean = 0  # rows since x was last unknown
    for row in range(x.shape[0]):
        if np.isnan(x[row]):
            length, clean = 0, 0
            out[row] = np.nan
            continue
        clean += 1
        length = length + 1 if x[row] != 0.0 else 0
        if length > cap:
            length = cap
        out[row] = np.nan if length == clean and length < cap else length


@njit(cache=True)
def rows_since(x, cap, out):  # type: ignore[no-untyped-def]
    """Rows since x was last 1, at most `cap`; out (n,), NaN where that is not known."""
    age, clean = cap, 0
    for row in range(x.shape[0]):
        if np.isnan(x[row]):
            age, clean = cap, 0
            out[row] = np.nan
            continue
        clean += 1
        age = 0 if x[row] != 0.0 else min(age + 1, cap)
        out[row] = np.nan if age >= cap and clean <= cap else age


@njit(cache=True, fastmath=FUSED)
def apart_mean(x, rows, step, squared, out):  # type: ignore[no-untyped-def]
    """Mean of `rows` values `step` rows apart, the newest last, or (squared) their standard deviation; out (n,)."""
    for row in range(x.shape[0]):
        if row < (rows - 1) * step:
            out[row] = np.nan
            continue
        total, squares, pivot = 0.0, 0.0, x[row]
        for place in range(rows):
            d = x[row - place * step] - pivot
            total += d
            squares += d * d
        mean = total / rows
        out[row] = np.sqrt(max(squares / rows - mean * mean, 0.0)) if squared else pivot + mean


@njit(cache=True, fastmath=FUSED)
def exponential(x, keep, seed_rows, out):  # type: ignore[no-untyped-def]
    """Average that keeps the share `keep` of itself, seeded with the mean of the first `seed_rows` known values; out (n,).

    An unknown value is passed over: NaN in its row, the average as it was.
    """
    seen, value = 0, 0.0
    for row in range(x.shape[0]):
        if np.isnan(x[row]):
            out[row] = np.nan
            continue
        seen += 1
        if seen <= seed_rows:
            value += x[row] / seed_rows
            out[row] = value if seen == seed_rows else np.nan
        else:
            value = value * keep + x[row] * (1.0 - keep)
            out[row] = value


@njit(cache=True, fastmath=FUSED)
def exponential_window(x, keep, rows, out):  # type: ignore[no-untyped-def]
    """Mean of the last `rows` values with weights falling by `keep` a row into the past; out (n,).

    Terms that leave are subtracted, and what rounding leaves of them decays as fast as everything else.
    """
    gone = keep**rows
    total = (1.0 - gone) / (1.0 - keep)
    value, clean = 0.0, 0
    for row in range(x.shape[0]):
        if np.isnan(x[row]):
            value, clean = 0.0, 0
            out[row] = np.nan
            continue
        value = value * keep + x[row]
        if clean >= rows:
            value -= gone * x[row - rows]
        clean += 1
        out[row] = value / total if clean >= rows else np.nan
