"""Stops, targets and trailing stops that lie in the market from the fill on, as a bracket of the venue does.

Their levels are known when the order is made, from the close of the deciding bar:

    stop     close * (1 - s) of a long position, down to the tick        close * (1 + s) of a short one, up
    target   close * (1 + g) of a long position, up to the tick          close * (1 - g) of a short one, down
    trail    best price since the fill's print * (1 - d), moved by completed bars only: within a bar nobody knows
             whether its high came before its low

What happens inside a bar is `_kernels_fill.exit_in_bar`, the venue's own. Sixty-four bars are passed over at once where their
extremes reach neither level.
"""

from __future__ import annotations

from fieldcast.simulation._kernels_fill import NOTHING, OHLC, STOPPED, exit_in_bar, share_ceil, share_floor, stop_print
from fieldcast.simulation.fast._compiled import kernel
from fieldcast.simulation.fast._kernels_marks import CHUNK, lowest_and_highest
from fieldcast.simulation.fast._layout import T_POLICY, T_TOUCH, T_TRAIL


@kernel
def level(price, part, side, tick):  # type: ignore[no-untyped-def]
    """A price `part` e8 above (side 1) or below (side -1) `price`, on the tick and never nearer to it; at least one tick."""
    moved = share_ceil(price, part)
    if side > 0:
        return ((price + moved + tick - 1) // tick) * tick
    return max((price - moved) // tick, 1) * tick


@kernel
def trailed(best, part, side, stop_level):  # type: ignore[no-untyped-def]
    """The stop of a position of this side after its best price so far; it only ever comes closer."""
    if side > 0:
        return max(best - share_floor(best, part), stop_level)
    moved = best + share_floor(best, part)
    return moved if stop_level == 0 else min(moved, stop_level)


@kernel
def first_exit(opened, high, low, close, first, stop, entered, side, terms, entry):  # type: ignore[no-untyped-def]
    """(bar, which, print) of the first exit of a position of this side in bars first..stop-1; which = NOTHING: none.

    entered : the bar of the entry. Its open is the entry itself, so a target that lies beyond it is no exit at the open: under
    `worst` the stop comes first there
    entry (3,) int64: stop, target and the best price since the entry (0 = none), kept up to date. A trailing stop is moved by
    completed bars only: within a bar nobody knows whether its high came before its low.
    """
    trail, policy, touch = terms[T_TRAIL], terms[T_POLICY], terms[T_TOUCH] != 0
    reach = entry[2]
    stop_level, target, best = entry[0], entry[1], entry[2]
    for base in range(first, stop, CHUNK):
        end = min(base + CHUNK, stop)
        top, bottom = lowest_and_highest(high[base:end])[1], lowest_and_highest(low[base:end])[0]
        tightest = stop_level
        if trail > 0:
            reach = max(best, top) if side > 0 else min(best, bottom)
            tightest = trailed(reach, trail, side, stop_level)
        if side > 0:
            quiet = bottom > tightest and (target == 0 or top < target)
        else:
            quiet = (tightest == 0 or top < tightest) and (target == 0 or bottom > target)
        if quiet:
            if trail > 0:
                stop_level, best = tightest, reach
            continue
        for t in range(base, end):
            which, found = exit_in_bar(side, stop_level, target, opened[t], high[t], low[t], close[t], policy, touch)
            if t == entered and policy != OHLC and stop_level > 0:
                printed = stop_print(-side, stop_level, opened[t], high[t], low[t])
                if printed > 0:
                    which, found = STOPPED, printed
            if which != NOTHING:
                entry[0], entry[2] = stop_level, best
                return t, which, found
            if trail > 0:
                best = max(best, high[t]) if side > 0 else min(best, low[t])
                stop_level = trailed(best, trail, side, stop_level)
    entry[0], entry[2] = stop_level, best
    return stop, NOTHING, 0
