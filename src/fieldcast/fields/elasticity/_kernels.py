"""Sums over a book of options at many hypothetical prices, volatilities and times: what every field of this package reads.

With A = S exp((b - r) T), B = K exp(-r T), s = sigma sqrt(T), d1 = log(A / B) / s + s / 2, d2 = d1 - s and sign +1 or -1:

    value V = sign (A Phi(sign d1) - B Phi(sign d2))
    dollar delta S V' = sign A Phi(sign d1),   dollar gamma S^2 V'' = A phi(d1) / s

Lines come in blocks. Each block is priced at a price by one loop without branches, which the compiler vectorises, unless the
price lies so far from all its strikes that every option in it is worth nothing or its payoff at the forward: REACH standard
deviations, beyond which a normal tail is below 1e-17 of what it is added to.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fieldcast.pricing._kernels import ROOT_HALF, ROOT_TWO_PI, erfcx_positive
from fieldcast.pricing._kernels_vector import exp_between, log_ratio_between

VALUE, DELTA, GAMMA, SIZE = range(4)  # SIZE: the sum of the absolute terms of VALUE, for the rounding of differences
WIDTH = 4
BLOCK = 64  # lines at a time: neighbours in strike, so that most blocks of a near expiry are out of reach of most prices
REACH = 8.5
INSTANT = 1e-12  # years: what is left to an option at its last moment
(SIGN, WEIGHT, A, B, X, S, INVERSE) = range(7)
ROWS = 7


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def add_block(many, held, log_move, move, sums):  # type: ignore[no-untyped-def]
    """Add the lines of one block at the price spot * move to `sums` (WIDTH,)."""
    value, delta, gamma, size = 0.0, 0.0, 0.0, 0.0
    for i in range(many):
        sign = held[i + SIGN * BLOCK]
        weight = held[i + WEIGHT * BLOCK]
        a = held[i + A * BLOCK] * move
        b = held[i + B * BLOCK]
        s = held[i + S * BLOCK]
        inverse = held[i + INVERSE * BLOCK]
        middle = (held[i + X * BLOCK] + log_move) * inverse
        d1 = middle + 0.5 * s
        d2 = middle - 0.5 * s
        size1 = min(abs(d1), 37.0)
        size2 = min(abs(d2), 37.0)
        n1 = exp_between(-0.5 * size1 * size1)
        half = 0.5 * a * n1  # = B exp(-d2^2 / 2) / 2
        tail_a = half * erfcx_positive(size1 * ROOT_HALF)
        tail_b = half * erfcx_positive(size2 * ROOT_HALF)
        p1 = a - tail_a if sign * d1 > 0.0 else tail_a
        p2 = b - tail_b if sign * d2 > 0.0 else tail_b
        value += weight * sign * (p1 - p2)
        delta += weight * sign * p1
        gamma += weight * a * n1 * inverse
        size += abs(weight) * (p1 + p2)
    sums[VALUE] += value
    sums[DELTA] += delta
    sums[GAMMA] += gamma * (1.0 / ROOT_TWO_PI)
    sums[SIZE] += size


@njit(cache=True, error_model="numpy")
def prepare_block(start, many, spot, lines, later, held):  # type: ignore[no-untyped-def]
    """Rows SIGN to X of `held`, and in row S the root of the time that is left; expired lines weigh nothing unless later < 0."""
    for i in range(many):
        row = start + i
        strike, years, rate, carry = lines[0, row], lines[1, row], lines[2, row], lines[3, row]
        left = years - abs(later)
        weight = lines[6, row]
        if left <= 0.0:
            weight = weight if later < 0.0 else 0.0
            left = INSTANT
        held[i + SIGN * BLOCK] = lines[5, row]
        held[i + WEIGHT * BLOCK] = weight
        held[i + A * BLOCK] = spot * exp_between((carry - rate) * left)
        held[i + B * BLOCK] = strike * exp_between(-rate * left)
        held[i + X * BLOCK] = log_ratio_between(spot, strike) + carry * left
        held[i + S * BLOCK] = math.sqrt(left)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_nodes(spot, lines, log_moves, shifts, later, part, parts, out):  # type: ignore[no-untyped-def]
    """Add every `parts`-th block of lines, from the `part`-th on, to out (times, shifts, moves, WIDTH).

    Parameters
    ----------
    lines : (7, n) strike, years, rate, carry, sigma, sign (which side of the payoff), weight (units of the underlying)
    log_moves : (k,) logarithms of price / spot, ascending
    shifts : (j,) relative changes of every volatility, above -1
    later : (l,) years that have passed; what has expired by then is gone. Negative: it stays, at its last moment
    """
    held = np.empty(ROWS * BLOCK)
    root = np.empty(BLOCK)
    moves = np.exp(log_moves)
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
            # what the block is worth below and above all its strikes: puts and calls that are in the money, by parity
            put_a, put_b, call_a, call_b = 0.0, 0.0, 0.0, 0.0
            for i in range(many):
                weight = held[i + WEIGHT * BLOCK]
                if held[i + SIGN * BLOCK] > 0.0:
                    call_a += weight * held[i + A * BLOCK]
                    call_b += weight * held[i + B * BLOCK]
                else:
                    put_a += weight * held[i + A * BLOCK]
                    put_b += weight * held[i + B * BLOCK]
            for shift in range(shifts.size):
                low, high = np.inf, -np.inf
                for i in range(many):
                    s = max(lines[4, start + i] * (1.0 + shifts[shift]) * root[i], INSTANT)
                    held[i + S * BLOCK] = s
                    held[i + INVERSE * BLOCK] = 1.0 / s
                    x = held[i + X * BLOCK]
                    wide = s * (REACH + 0.5 * s)
                    low = min(low, -x - wide)
                    high = max(high, wide - x)
                for node in range(moves.size):
                    sums = out[time, shift, node]
                    if log_moves[node] < low:
                        sums[VALUE] += put_b - put_a * moves[node]
                        sums[DELTA] -= put_a * moves[node]
                        sums[SIZE] += abs(put_b) + abs(put_a) * moves[node]
                    elif log_moves[node] > high:
                        sums[VALUE] += call_a * moves[node] - call_b
                        sums[DELTA] += call_a * moves[node]
                        sums[SIZE] += abs(call_b) + abs(call_a) * moves[node]
                    else:
                        add_block(many, held, log_moves[node], moves[node], sums)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_nodes_bachelier(spot, lines, prices, shifts, later, out):  # type: ignore[no-untyped-def]
    """As `fill_nodes`, at (k,) prices, for a price that moves by normal steps: sigma is in units of the price.

    The forward is spot + (forward at the anchor - spot): the carry is an amount, so that moves up and down are alike.
    """
    for time in range(later.size):
        for row in range(lines.shape[1]):
            strike, years, rate, carry = lines[0, row], lines[1, row], lines[2, row], lines[3, row]
            left = years - abs(later[time])
            weight = lines[6, row]
            if left <= 0.0:
                if later[time] >= 0.0:
                    continue
                left = INSTANT
            discount = math.exp(-rate * left)
            gain = spot * math.expm1(carry * left)
            sign = lines[5, row]
            for shift in range(shifts.size):
                deviation = max(lines[4, row] * (1.0 + shifts[shift]) * math.sqrt(left), INSTANT)
                for node in range(prices.size):
                    depth = sign * ((prices[node] - strike) + gain)
                    d = depth / deviation
                    density = math.exp(-0.5 * d * d) / ROOT_TWO_PI
                    cumulative = 0.5 * math.erfc(-d * ROOT_HALF)
                    sums = out[time, shift, node]
                    sums[VALUE] += weight * discount * (depth * cumulative + deviation * density)
                    sums[DELTA] += weight * discount * sign * cumulative * prices[node]
                    sums[GAMMA] += weight * discount * density / deviation * prices[node] * prices[node]
                    sums[SIZE] += abs(weight) * discount * (abs(depth) * cumulative + deviation * density + prices[node])
