"""The windows of tier a20: means, band, flow and the weekly oscillators, in blocks of rows that stay in the processor's cache.

A window comes from sums of two, four, eight … rows, each the sum of two halves of the one before:

    S_2m(t) = S_m(t) + S_m(t - m),    E_2m(t) = E_m(t) + keep^m E_m(t - m)    (the same with weights that decay)

so that windows share them, and every step is one vector instruction on rows side by side. A value depends on its own window
alone and nothing is subtracted: no rounding error grows along the series. Squared distances from the mean join in the same way
(Chan, Golub and LeVeque 1983). The lines equal those of `fieldcast.indicators` but for rounding.
"""

# mypy: allow-untyped-decorators, disable-error-code="call-arg,unreachable"

from __future__ import annotations

import numpy as np
from numba import njit

from fieldcast.pricing._kernels_vector import LN2_HIGH, LN2_LOW, bits_of, from_bits

FUSED = {"contract"}
BLOCK = 1024  # rows
HALO = 256  # rows before a block that its windows may reach
WIDTH = HALO + BLOCK
HALF_STEP = 1 << 51
WEEK, PERIOD = 5, 14  # rows between two closes of the weekly RSI; changes of every RSI
# Lines of the workspace: the close and its sums, the squared distances, the weekly sides; the volumes have one of their own.
X, S2, S4, S8, S16, S20, S32, S48, S50, S12, S100, S200, Q1, Q2, Q4, Q8, Q16 = range(17)
UP, DOWN, GAIN, LOSS, STRENGTH, PLACE, M2, M4, M8, M12, M14, E2, E4, E8, E16, E24, E28, E30, E31 = range(1, 20)
V, FLOW, MONEY, V20, FLOW20, MONEY20, T2, T4, T8, T16 = range(1, 11)
LINES = 20
MEANS = (S12, S50, S100, S200)
KEEP = (PERIOD - 1.0) / PERIOD


def _twenty(line: int, two: int, four: int, eight: int, sixteen: int, out: int) -> list[tuple[int, int, int, int]]:
    """Steps to the sum of 20 values."""
    halves = [(line, line, two, 1), (two, two, four, 2), (four, four, eight, 4), (eight, eight, sixteen, 8)]
    return [*halves, (sixteen, four, out, 16)]


def _weekly(side: int, out: int) -> list[tuple[int, int, int, int]]:
    """Steps to the Wilder average of one side as it stood twenty rows ago: the mean of the window's first 14 changes, then 31."""
    plain = [(side, side, M2, 5), (M2, M2, M4, 10), (M4, M4, M8, 20), (M8, M4, M12, 40), (M12, M2, M14, 60)]
    fading = [(side, side, E2, 5), (E2, E2, E4, 10), (E4, E4, E8, 20), (E8, E8, E16, 40), (E16, E8, E24, 80), (E24, E4, E28, 120)]
    return [*plain, *fading, (E28, E2, E30, 140), (E30, side, E31, 150), (E31, M14, out, 155)]


# steps (k, 4): lines (recent, older, out) and the lag of the older one
PRICE_STEPS = np.array(
    [*_twenty(X, S2, S4, S8, S16, S20), (S16, S16, S32, 16), (S32, S16, S48, 32), (S48, S2, S50, 48), (S8, S4, S12, 8),
     (S50, S50, S100, 50), (S100, S100, S200, 100)]
)  # fmt: skip
PRICE_WEIGHTS = np.ones(len(PRICE_STEPS))
WEEKLY_STEPS = np.array(_weekly(UP, GAIN) + _weekly(DOWN, LOSS))
WEEKLY_WEIGHTS = np.array(2 * ([1.0] * 5 + [KEEP**k for k in (1, 2, 4, 8, 16, 24, 28, 30, 31)]))
VOLUME_STEPS = np.array(
    [step for line, out in ((V, V20), (FLOW, FLOW20), (MONEY, MONEY20)) for step in _twenty(line, T2, T4, T8, T16, out)]
)
VOLUME_WEIGHTS = np.ones(len(VOLUME_STEPS))


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def log_of(a, b):  # type: ignore[no-untyped-def]
    """log(a / b) of positive normal numbers: k log 2 + 2 atanh((a - d) / (a + d)), d = 2^k b within half a power of a."""
    k = (bits_of(a) - bits_of(b) + HALF_STEP) >> 52
    d = from_bits(bits_of(b) + (k << 52))
    s = (a - d) / (a + d)  # |s| <= 0.2: thirteen terms of the series reach the last place
    z = s * s
    p = 2.0 / 25.0
    p = p * z + 2.0 / 23.0
    p = p * z + 2.0 / 21.0
    p = p * z + 2.0 / 19.0
    p = p * z + 2.0 / 17.0
    p = p * z + 2.0 / 15.0
    p = p * z + 2.0 / 13.0
    p = p * z + 2.0 / 11.0
    p = p * z + 2.0 / 9.0
    p = p * z + 2.0 / 7.0
    p = p * z + 2.0 / 5.0
    p = p * z + 2.0 / 3.0
    scale = float(k)
    return scale * LN2_HIGH + (2.0 * s + (s * (z * p) + scale * LN2_LOW))


@njit(cache=True)
def blank(out, lines, rows, first, last):  # type: ignore[no-untyped-def]
    """NaN in the first `rows` of each of these lines of `out`, from place `first` on but before `last`."""
    for k in range(lines.shape[0]):
        out[lines[k], first : min(first + rows[lines[k]], last)] = np.nan


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def log_ratios(close, line, share):  # type: ignore[no-untyped-def]
    """`line` becomes log(close / (share line)); NaN where it is not positive or not known."""
    for i in range(close.shape[0]):
        other = line[i] * share
        value = log_of(close[i], other)
        line[i] = value if other > 0.0 else np.nan


@njit(cache=True, fastmath=FUSED)
def joined(recent, older, lag, keep, out):  # type: ignore[no-untyped-def]
    """out(t) = recent(t) + keep older(t - lag), from place `lag` on; `out` is another array."""
    a, b, c = recent[lag:], older[: older.shape[0] - lag], out[lag:]
    for i in range(c.shape[0]):
        c[i] = a[i] + keep * b[i]


@njit(cache=True, fastmath=FUSED)
def carry_out(w, size, steps, weights):  # type: ignore[no-untyped-def]
    """One `joined` after another on the first `size` places: steps (k, 4) lines (recent, older, out) and lag; weights (k,)."""
    for k in range(steps.shape[0]):
        joined(w[steps[k, 0], :size], w[steps[k, 1], :size], steps[k, 3], weights[k], w[steps[k, 2], :size])


@njit(cache=True, fastmath=FUSED)
def spreads(w, size, squares, sums):  # type: ignore[no-untyped-def]
    """Squared distances from the mean of 2, 4, 8 and 16 values in the lines `squares` on, out of the values and their sums of
    2, 4 and 8 in the lines `sums` on: those of two halves, and what the halves lie apart."""
    w[squares] = 0.0
    for k in range(4):
        lag = 1 << k
        n = size - lag
        q, r, a, b = w[squares + k, lag:], w[squares + k, :n], w[sums + k, lag:], w[sums + k, :n]
        c = w[squares + k + 1, lag:]
        share = 0.5 / lag
        for i in range(n):
            apart = a[i] - b[i]
            c[i] = q[i] + r[i] + apart * apart * share


@njit(cache=True)
def load(values, start, x):  # type: ignore[no-untyped-def]
    """x (WIDTH,): the block from row `start` on behind the HALO rows before it, NaN where there are none."""
    lead = max(HALO - start, 0)
    part = values[max(start - HALO, 0) : start + BLOCK]
    x[:lead] = np.nan
    there = x[lead:]
    for i in range(part.shape[0]):
        there[i] = part[i]


@njit(cache=True)
def copied(line, out):  # type: ignore[no-untyped-def]
    """`out` takes the rows of a line of the workspace."""
    block = line[HALO:]
    for i in range(out.shape[0]):
        out[i] = block[i]


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def band_place(w, close, width, out):  # type: ignore[no-untyped-def]
    """Place between the bands at mean ± width population deviations of 20 rows."""
    spreads(w, HALO + out.shape[0], Q1, X)
    q16, q4, s16, s4, s20 = w[Q16, HALO:], w[Q4, HALO - 16 :], w[S16, HALO:], w[S4, HALO - 16 :], w[S20, HALO:]
    for i in range(out.shape[0]):
        apart = s16[i] * 0.25 - s4[i]
        out[i] = np.sqrt((q16[i] + q4[i] + apart * apart * 0.2) * 0.05)
    for i in range(out.shape[0]):
        deviation, middle = out[i], s20[i] * 0.05
        value = (close[i] - middle + width * deviation) / (2.0 * width * deviation)
        out[i] = value if deviation > 1e-12 * middle else np.nan


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def price_windows(close, start, stop, w, base, out):  # type: ignore[no-untyped-def]
    """One block of the sums for SMA 12, 50, 100 and 200 (lines 5 to 8 of `out`) and of %B (18)."""
    load(close, start, w[X])
    carry_out(w, HALO + stop - start, PRICE_STEPS, PRICE_WEIGHTS)
    for k in range(4):
        copied(w[MEANS[k]], out[5 + k, base + start : base + stop])
    band_place(w, close[start:stop], 2.0, out[18, base + start : base + stop])


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def weekly_sides(w):  # type: ignore[no-untyped-def]
    """Lines UP and DOWN: a fourteenth of what the close rose and fell in five rows."""
    x, up, down = w[X], w[UP, WEEK:], w[DOWN, WEEK:]
    a, b = x[WEEK:], x[: WIDTH - WEEK]
    for i in range(up.shape[0]):
        moved = (a[i] - b[i]) / PERIOD
        up[i] = moved if moved > 0.0 else 0.0
    for i in range(up.shape[0]):
        moved = (b[i] - a[i]) / PERIOD
        down[i] = moved if moved > 0.0 else 0.0


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def weekly_last(flat, length, least_move, least_range):  # type: ignore[no-untyped-def]
    """Lines STRENGTH and PLACE out of the averages GAIN and LOSS of twenty rows ago; flat: the workspace as one series."""
    keep = KEEP
    for i in range(length):
        gain, loss = flat[i + GAIN * WIDTH + HALO - 20], flat[i + LOSS * WIDTH + HALO - 20]
        least = least_move * flat[i + X * WIDTH + HALO]
        known = gain + loss > least
        strength = gain / (gain + loss)
        low, high, moved = strength, strength, known
        for later in range(4):
            gain = gain * keep + flat[i + UP * WIDTH + HALO - 15 + 5 * later]
            loss = loss * keep + flat[i + DOWN * WIDTH + HALO - 15 + 5 * later]
            moved = gain + loss > least
            known &= moved
            strength = gain / (gain + loss)
            low = strength if strength < low else low
            high = strength if strength > high else high
        place = (strength - low) / (high - low)
        flat[i + STRENGTH * WIDTH + HALO] = strength if moved else np.nan
        flat[i + PLACE * WIDTH + HALO] = place if known & (high - low > least_range) else np.nan


@njit(cache=True)
def weekly_windows(start, stop, least_move, least_range, w, base, out):  # type: ignore[no-untyped-def]
    """One block of the weekly RSI and its place; line X holds the closes."""
    weekly_sides(w)
    carry_out(w, HALO + stop - start, WEEKLY_STEPS, WEEKLY_WEIGHTS)
    weekly_last(w.ravel(), stop - start, least_move, least_range)
    copied(w[STRENGTH], out[10, base + start : base + stop])
    copied(w[PLACE], out[12, base + start : base + stop])


@njit(cache=True, error_model="numpy", fastmath=FUSED)
def volume_windows(close, volume, chaikin, start, stop, w, base, out):  # type: ignore[no-untyped-def]
    """One block of OBV's change, Chaikin's oscillator over the mean volume, and close to VWAP, all of 20 rows."""
    x, v, flow, money = w[X], w[V], w[FLOW], w[MONEY]
    load(close, start, x)
    load(volume, start, v)
    for i in range(WIDTH):
        money[i] = x[i] * v[i]
    a, b, c, d = x[1:], x[: WIDTH - 1], v[1:], flow[1:]
    for i in range(c.shape[0]):
        sign = (1.0 if a[i] > b[i] else 0.0) - (1.0 if a[i] < b[i] else 0.0)
        d[i] = sign * c[i]
    flow[: max(HALO - start, 0) + 1] = np.nan  # the first bar has no sign
    carry_out(w, HALO + stop - start, VOLUME_STEPS, VOLUME_WEIGHTS)
    total, net, spent = w[V20, HALO:], w[FLOW20, HALO:], w[MONEY20, HALO:]
    line = out[14, base + start : base + stop]
    for i in range(line.shape[0]):
        share = net[i] / total[i]
        share = 1.0 if share > 1.0 else share  # rounding
        share = -1.0 if share < -1.0 else share
        line[i] = share if total[i] > 0.0 else np.nan
    line = out[15, base + start : base + stop]
    for i in range(line.shape[0]):
        value = 20.0 * chaikin[i] / total[i]
        line[i] = value if total[i] > 0.0 else np.nan
    line = out[19, base + start : base + stop]
    for i in range(line.shape[0]):
        value = spent[i] / total[i]
        line[i] = value if total[i] > 0.0 else np.nan
