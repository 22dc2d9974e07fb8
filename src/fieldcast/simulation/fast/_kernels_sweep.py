"""Many parameter sets of one rule on one instrument: closes to figures, without an array of bars times sets in between.

A block of sets is one call: marks, decisions and account of a set are done before the next one begins, in scratch that belongs to
the call. Blocks share nothing that is written, so they may run on threads (the kernel holds no lock) or in processes, and the
figures do not depend on how many there are.
"""

from __future__ import annotations

import numpy as np

from fieldcast.ground.compiler import njit
from fieldcast.simulation.fast import _kernels_signals as signals
from fieldcast.simulation.fast._compiled import kernel
from fieldcast.simulation.fast._kernels_account import next_opens, play
from fieldcast.simulation.fast._layout import FILL_COLUMNS, T_UNIT

BUY_AND_HOLD, SMA_CROSS, RSI, BOLLINGER = signals.BUY_AND_HOLD, signals.SMA_CROSS, signals.RSI, signals.BOLLINGER
MACD, MOMENTUM, MEAN_REVERSION = signals.MACD, signals.MOMENTUM, signals.MEAN_REVERSION
sma_cross, mean_reversion, momentum, macd = signals.sma_cross, signals.mean_reversion, signals.momentum, signals.macd
bollinger, strength_lines, strength_marks = signals.bollinger, signals.strength_lines, signals.strength_marks
changes, carried = signals.changes, signals.carried
LONGEST_EXACT = 1_500_000_000     # reach * period below which the squares of the bands fit in 63 bits


@njit(cache=True, nogil=True, error_model="numpy")
def rule_marks(rule, values, units, sums, exact, squares, floats, lines, reach, fresh, marks):  # type: ignore[no-untyped-def]
    """Marks (T,) of one parameter set; arguments as of `sweep_block`.

    floats (T,) closes as float64 (MEAN_REVERSION, where `exact` is there); lines (2, T) scratch of RSI (fresh: a new period);
    reach the largest distance of a close from the first (BOLLINGER)
    """
    one = int(values[0])
    short = values[3] != 0.0
    if rule == SMA_CROSS:
        if exact.shape[0] > 0:
            sma_cross(exact, one, int(values[1]), short, marks)
        else:
            sma_cross(sums, one, int(values[1]), short, marks)
    elif rule == MEAN_REVERSION:
        if exact.shape[0] > 0:
            mean_reversion(floats, exact, one, short, marks)
        else:
            mean_reversion(units, sums, one, short, marks)
    elif rule == MOMENTUM:
        momentum(units, one, short, marks)
    elif rule == BOLLINGER:
        bollinger(units, sums, squares, one, values[1], reach * one < LONGEST_EXACT, marks)
    elif rule == RSI:
        if fresh:
            strength_lines(units, one, lines[0], lines[1])
        strength_marks(lines[0], lines[1], values[1], values[2], marks)
    elif rule == MACD:
        macd(units, one, int(values[1]), int(values[2]), short, marks)
    else:
        marks[:] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def scratch_of(rule, units, exact):  # type: ignore[no-untyped-def]
    """(floats, lines, reach) for `rule_marks`."""
    bars = units.shape[0]
    lines = np.empty((2, bars if rule == RSI else 0))
    reach = 0
    if rule == BOLLINGER:
        for t in range(bars):
            reach = max(reach, abs(units[t]))
    floats = np.empty(bars if rule == MEAN_REVERSION and exact.shape[0] > 0 else 0)
    for t in range(floats.shape[0]):
        floats[t] = float(units[t])
    return floats, lines, reach


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_block(  # type: ignore[no-untyped-def]
    rule, parameters, first, stop, units, sums, exact, squares, opened, high, low, close, volume, costs, shares,
    lots_of_unit, terms, spans, whole, real,
):  # fmt: skip
    """Sets first..stop-1 of `parameters` (P, 4) float64, in an order in which sets of one first parameter follow each other.

    units (T,) int64 closes less the first; sums (T + 1,) int64 their prefix sums; exact (T + 1,) float64 the same where every
    product of a comparison is a whole number below 2^53, else (0,); squares (T + 1,) int64, or (0,) for other rules
    spans (S, 2) int64 : first bar and end of each account; what is decided in one knows all bars before it
    whole (P, S, WHOLES), real (P, S, REALS) : results, see `_kernels_account.play`; the rest is handed to it
    """
    bars = units.shape[0]
    marks = np.zeros(bars, np.int8)
    at = np.empty(bars, np.int64)
    codes = np.empty(bars, np.int64)
    prints = np.empty(bars, np.int64)
    fills = np.empty((0, FILL_COLUMNS), np.int64)
    entry = np.zeros(3, np.int64)
    floats, lines, reach = scratch_of(rule, units, exact)
    for row in range(first, stop):
        fresh = row == first or parameters[row, 0] != parameters[row - 1, 0]
        rule_marks(rule, parameters[row], units, sums, exact, squares, floats, lines, reach, fresh, marks)
        latch = rule in (RSI, BOLLINGER)
        for span in range(spans.shape[0]):
            begin, end = spans[span, 0], spans[span, 1]
            opening = marks[begin]
            if latch and opening == 0:
                marks[begin] = carried(marks, begin)
            count = changes(marks[begin:end], latch, np.int8(0), at, codes)
            marks[begin] = opening
            for k in range(count):
                at[k] += begin
                codes[k] *= terms[T_UNIT]
            next_opens(opened, at, count, prints)
            play(
                opened, high, low, close, volume, costs, shares, lots_of_unit, terms, begin, end, at, codes, prints, count,
                whole[row, span], real[row, span], fills, entry,
            )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def rule_decisions(rule, values, units, sums, exact, squares, at, codes):  # type: ignore[no-untyped-def]
    """How many bars change the target of one parameter set; their numbers and targets (-1, 0, 1) into `at` and `codes` (T,)."""
    marks = np.zeros(units.shape[0], np.int8)
    floats, lines, reach = scratch_of(rule, units, exact)
    rule_marks(rule, values, units, sums, exact, squares, floats, lines, reach, True, marks)
    return changes(marks, rule in (RSI, BOLLINGER), np.int8(0), at, codes)


@kernel
def _all_equal(bits, last):  # type: ignore[no-untyped-def]
    other = 0
    for i in range(bits.shape[0]):
        other |= bits[i] ^ last
    return other == 0


@kernel
def decisions(targets, schedule, at):  # type: ignore[no-untyped-def]
    """How many bars decide something, their numbers into `at` (T,); a negative number, -1 - bar, for a target that is not known.

    targets (T,) float64; schedule (T,) True in the bars that decide, or (0,): those in which the target changes. Without a
    schedule, sixty-four targets with the bits of the last one are passed over at once: that one was known.
    """
    found = 0
    last = 0.0
    bits = targets.view(np.int64)
    bars = targets.shape[0]
    scheduled = schedule.shape[0] > 0
    for start in range(0, bars, 64):
        end = min(start + 64, bars)
        if not scheduled and start > 0 and _all_equal(bits[start:end], bits[start - 1]):
            continue
        for t in range(start, end):
            target = targets[t]
            if not abs(target) < 1e15:
                return -1 - t
            if schedule[t] if scheduled else target != last:
                at[found] = t
                found += 1
            last = target
    return found
