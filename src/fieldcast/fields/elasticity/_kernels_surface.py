"""A book on a fine grid of prices for the cost of a few: a Taylor series around a few prices carries all nodes between them.

In u = log(price / spot) the value f(u) of any book obeys f'' = f' + G, with the dollar gamma G, and that of one option is a bell:

    G(c + e) = B phi(d2) / s * sum_p t_p e^p,   t_0 = 1,  t_(p+1) = -(d2 / s t_p + t_(p-1) / s^2) / (p + 1)     [Hermite]

So the book needs f and f' at the centre c and the sums of t_p, and every node follows from one polynomial. This is the idea
of L. Greengard and J. Strain, "The fast Gauss transform", SIAM J. Sci. Stat. Comput. 12 (1991). Terms fall as r^p / sqrt(p!)
with r = half width / s: there are 2^level centres, as many as make r at most WIDEST, and then TERMS leave 1e-16 of the largest
gamma; more centres with fewer terms, or fewer with more, cost more.
Options with so little volatility left that even the finest level is too coarse are priced at each node in their reach.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fieldcast.fields.elasticity._kernels import (
    BLOCK,
    DELTA,
    GAMMA,
    INSTANT,
    INVERSE,
    REACH,
    ROWS,
    SIGN,
    VALUE,
    WEIGHT,
    WIDTH,
    A,
    B,
    S,
    X,
    add_block,
    prepare_block,
)
from fieldcast.pricing._kernels import ROOT_TWO_PI
from fieldcast.pricing._kernels_vector import exp_between

TERMS = 48
WIDEST = 2.0
LEVELS = 5  # 1, 2, 4, 8 and 16 centres
CENTRES = 31


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def add_terms(many, held, work, log_move, half, terms, sums):  # type: ignore[no-untyped-def]
    """Add G's coefficients of one block around log_move to `sums` (TERMS,), in powers of (u - log_move) / half."""
    for i in range(many):
        inverse = held[i + INVERSE * BLOCK]
        d2 = (held[i + X * BLOCK] + log_move) * inverse - 0.5 * held[i + S * BLOCK]
        size = min(abs(d2), 37.0)
        r = half * inverse
        work[i] = held[i + WEIGHT * BLOCK] * held[i + B * BLOCK] * inverse * exp_between(-0.5 * size * size)
        work[i + BLOCK] = 0.0
        work[i + 2 * BLOCK] = -r * d2
        work[i + 3 * BLOCK] = -r * r
    for p in range(0, terms, 2):  # two at a time: the two newest terms change places
        even, odd = 0.0, 0.0
        first, second = 1.0 / (p + 1.0), 1.0 / (p + 2.0)
        for i in range(many):
            t = work[i]
            next_t = (work[i + 2 * BLOCK] * t + work[i + 3 * BLOCK] * work[i + BLOCK]) * first
            even += t
            odd += next_t
            work[i] = (work[i + 2 * BLOCK] * next_t + work[i + 3 * BLOCK] * t) * second
            work[i + BLOCK] = next_t
        sums[p] += even
        sums[p + 1] += odd


@njit(cache=True, error_model="numpy")
def level_of(half, least):  # type: ignore[no-untyped-def]
    """The coarsest level whose half width is at most WIDEST * least, the smallest total volatility of a block; or LEVELS."""
    level = 0
    while level < LEVELS and half > WIDEST * least * (1 << level):
        level += 1
    return level


@njit(cache=True, error_model="numpy")
def terms_for(r):  # type: ignore[no-untyped-def]
    """How many terms leave less than 1e-16: an even number, at most TERMS."""
    size = 1.0
    for p in range(1, TERMS):
        size *= r / math.sqrt(p)
        if size < 1e-16:
            return p + p % 2
    return TERMS


@njit(cache=True, nogil=True, error_model="numpy")
def fill_surface(spot, lines, log_moves, shifts, later, part, parts, out):  # type: ignore[no-untyped-def]
    """As `_kernels.fill_nodes`, for many log_moves between -half and half; SIZE is not filled."""
    held = np.empty(ROWS * BLOCK)
    work = np.empty(4 * BLOCK)
    root = np.empty(BLOCK)
    moves = np.exp(log_moves)
    middle = 0.5 * (log_moves[0] + log_moves[-1])
    half = 0.5 * (log_moves[-1] - log_moves[0])
    ends = np.zeros((later.size, shifts.size, CENTRES, WIDTH))  # value and delta at the centres
    series = np.zeros((later.size, shifts.size, CENTRES, TERMS))
    for start in range(part * BLOCK, lines.shape[1], parts * BLOCK):
        many = min(BLOCK, lines.shape[1] - start)
        for time in range(later.size):
            prepare_block(start, many, spot, lines, later[time], held)
            there = 0.0
            for i in range(many):
                root[i] = held[i + S * BLOCK]
                there += abs(held[i + WEIGHT * BLOCK])
            if there == 0.0:
                continue
            put_a, put_b, call_a, call_b = 0.0, 0.0, 0.0, 0.0  # as in `fill_nodes`
            for i in range(many):
                weight = held[i + WEIGHT * BLOCK]
                if held[i + SIGN * BLOCK] > 0.0:
                    call_a += weight * held[i + A * BLOCK]
                    call_b += weight * held[i + B * BLOCK]
                else:
                    put_a += weight * held[i + A * BLOCK]
                    put_b += weight * held[i + B * BLOCK]
            for shift in range(shifts.size):
                low, high, least = np.inf, -np.inf, np.inf
                for i in range(many):
                    s = max(lines[4, start + i] * (1.0 + shifts[shift]) * root[i], INSTANT)
                    held[i + S * BLOCK] = s
                    held[i + INVERSE * BLOCK] = 1.0 / s
                    x = held[i + X * BLOCK]
                    wide = s * (REACH + 0.5 * s)
                    low = min(low, -x - wide)
                    high = max(high, wide - x)
                    if held[i + WEIGHT * BLOCK] != 0.0:
                        least = min(least, s)
                level = level_of(half, least)
                if level == LEVELS:
                    for node in range(moves.size):
                        sums = out[time, shift, node]
                        if log_moves[node] < low:
                            sums[VALUE] += put_b - put_a * moves[node]
                            sums[DELTA] -= put_a * moves[node]
                        elif log_moves[node] > high:
                            sums[VALUE] += call_a * moves[node] - call_b
                            sums[DELTA] += call_a * moves[node]
                        else:
                            add_block(many, held, log_moves[node], moves[node], sums)
                    continue
                count = 1 << level
                width = half / count
                terms = terms_for(width / least)
                for k in range(count):
                    centre = middle + width * (2 * k + 1 - count)
                    move = math.exp(centre)
                    sums = ends[time, shift, count - 1 + k]
                    if centre + width < low:
                        sums[VALUE] += put_b - put_a * move
                        sums[DELTA] -= put_a * move
                    elif centre - width > high:
                        sums[VALUE] += call_a * move - call_b
                        sums[DELTA] += call_a * move
                    else:
                        add_block(many, held, centre, move, sums)
                        add_terms(many, held, work, centre, width, terms, series[time, shift, count - 1 + k])
    for time in range(later.size):
        for shift in range(shifts.size):
            add_series(log_moves, middle, half, ends[time, shift], series[time, shift], out[time, shift])


@njit(cache=True, error_model="numpy")
def add_series(log_moves, middle, half, ends, series, out):  # type: ignore[no-untyped-def]
    """Evaluate the series of all levels at every node."""
    values = np.empty(TERMS + 2)
    for level in range(LEVELS):
        count = 1 << level
        width = half / count
        for k in range(count):
            centre = middle + width * (2 * k + 1 - count)
            row = count - 1 + k
            # (p + 2)(p + 1) a_(p+2) = (p + 1) a_(p+1) + G_p, in powers of u / width
            values[0] = ends[row, VALUE]
            values[1] = ends[row, DELTA] * width
            for p in range(TERMS):
                bell = series[row, p] / ROOT_TWO_PI * width * width
                values[p + 2] = ((p + 1.0) * values[p + 1] * width + bell) / ((p + 2.0) * (p + 1.0))
            for node in range(log_moves.size):
                place = min(count - 1, max(0, int((log_moves[node] - middle + half) / (2.0 * width))))
                if place != k:
                    continue
                e = (log_moves[node] - centre) / width
                value, delta, gamma = values[TERMS + 1], 0.0, 0.0
                for p in range(TERMS, -1, -1):
                    delta = delta * e + (p + 1.0) * values[p + 1]
                    value = value * e + values[p]
                for p in range(TERMS - 1, -1, -1):
                    gamma = gamma * e + series[row, p]
                out[node, VALUE] += value
                out[node, DELTA] += delta / width
                out[node, GAMMA] += gamma / ROOT_TWO_PI
