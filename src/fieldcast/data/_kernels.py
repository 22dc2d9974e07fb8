"""Order books as kernels: changes in, states out.

A ladder holds one rung for each price that occurs, ascending, so that a price is an integer and its neighbours are next to it.
Both sides are kept so that their best rung is the highest used one: the asks stand upside down (rung → rungs - 1 - rung).

State of the levels: `sizes (2, rungs)`, total size at each rung; `best (2,)`, highest used rung or -1; `used (2,)`, used rungs.
Side 0 is the bid. Sources: Binance, "How to manage a local order book correctly"; Databento, "MBO" (actions and flags).
"""

from __future__ import annotations

import numpy as np
from numba import njit

OK, UNKNOWN, GAP = 0, 1, 2
ADD, CANCEL, MODIFY, RESET = 0, 1, 2, 3


@njit(cache=True)
def set_level(sizes, best, used, side, rung, size):  # type: ignore[no-untyped-def]
    """The total size at a rung, 0 to remove it; `best` and `used` follow."""
    before = sizes[side, rung]
    sizes[side, rung] = size
    if size > 0.0:
        if before == 0.0:
            used[side] += 1
        if rung > best[side]:
            best[side] = rung
    elif before > 0.0:
        used[side] -= 1
        if used[side] == 0:
            best[side] = -1
        elif rung == best[side]:
            below = rung - 1
            while sizes[side, below] == 0.0:
                below -= 1
            best[side] = below


@njit(cache=True)
def clear_levels(sizes, best, used):  # type: ignore[no-untyped-def]
    """Remove every level."""
    for side in range(2):
        rung = best[side]
        while used[side] > 0:
            if sizes[side, rung] > 0.0:
                sizes[side, rung] = 0.0
                used[side] -= 1
            rung -= 1
        best[side] = -1


@njit(cache=True)
def top(sizes, best, used, rungs_out, sizes_out):  # type: ignore[no-untyped-def]
    """The best levels of both sides: rungs_out, sizes_out (2, levels); rung -1 where a side has fewer."""
    rungs = sizes.shape[1]
    for side in range(2):
        rung = best[side]
        for level in range(rungs_out.shape[1]):
            if level >= used[side]:
                rungs_out[side, level] = -1
                sizes_out[side, level] = 0.0
                continue
            while sizes[side, rung] == 0.0:
                rung -= 1
            rungs_out[side, level] = rung if side == 0 else rungs - 1 - rung
            sizes_out[side, level] = sizes[side, rung]
            rung -= 1


@njit(cache=True)
def is_crossed(rungs, best):  # type: ignore[no-untyped-def]
    """True where the best bid is at or above the best ask."""
    return best[0] >= 0 and best[1] >= 0 and best[0] >= rungs - 1 - best[1]


@njit(cache=True)
def follows(first, last, newest):  # type: ignore[no-untyped-def]
    """What a message numbered first to last is to a book whose last number is `newest`: OK, UNKNOWN (old, passed over) or GAP."""
    if last >= 0 and newest >= 0:
        if last <= newest:
            return UNKNOWN
        if first > newest + 1:
            return GAP
    return OK


@njit(cache=True)
def earlier_than_snapshot(snapshot, first, last, at):  # type: ignore[no-untyped-def]
    """The first message received before the snapshot `at` that is applied to it; `at` itself where there is none."""
    begin = at
    if last[at] >= 0 and first[at] < 0:     # a snapshot with a first number is itself part of the stream
        while begin > 0 and not snapshot[begin - 1] and last[begin - 1] > last[at]:
            begin -= 1
    return begin


@njit(cache=True)
def catch_up(starts, snapshot, torn, first, last, side, rung, size, until, sizes, best, used):  # type: ignore[no-untyped-def]
    """The book after the messages before `until`, looked at after none of them: its state and its last number.

    A level is what was last said of it since the last snapshot: a row is one store, and `best` and `used` are found at the end.
    """
    rungs = sizes.shape[1]
    opening = until - 1
    while opening >= 0 and not snapshot[opening]:
        opening -= 1
    if opening < 0:
        return UNKNOWN, -1
    state, newest = OK, last[opening]
    for row in range(starts[opening], starts[opening + 1]):
        sizes[side[row], rung[row] if side[row] == 0 else rungs - 1 - rung[row]] = size[row]
    for j in range(earlier_than_snapshot(snapshot, first, last, opening), until):
        if j == opening:
            continue
        if state == OK and torn[j] and j > opening:
            state = GAP
        if state != OK:     # until the next snapshot, and there is none before `until`
            break
        found = follows(first[j], last[j], newest)
        if found == GAP:
            state = GAP
        elif found == OK:
            for row in range(starts[j], starts[j + 1]):
                sizes[side[row], rung[row] if side[row] == 0 else rungs - 1 - rung[row]] = size[row]
            if last[j] >= 0:
                newest = last[j]
    for one in range(2):
        for at in range(rungs):
            if sizes[one, at] > 0.0:
                used[one] += 1
                best[one] = at
    return state, newest


@njit(cache=True)
def replay_levels(starts, snapshot, torn, first, last, side, rung, size, since, wanted, sizes, best, used, states, crossed, rungs_out, sizes_out):  # type: ignore[no-untyped-def]  # noqa: E501
    """A book of price levels through messages in the order of their receipt.

    A snapshot that is numbered L takes over: what was received before it and ends after L is applied to it (unless it has a first
    number too: then it came in the stream and is newer than everything before it). A numbered change
    follows when it begins at most one after the last number and ends after it; one that ends earlier is old and passed over; one
    that begins later leaves a gap, and the book is unknown until the next snapshot.

    starts (m + 1,): rows of message i are starts[i]:starts[i + 1]
    snapshot, first, last (m,): does the message replace the book; its numbers, -1 where it has none
    torn (m,): the source says that messages before this one are missing
    side, rung, size (n,): side 0 bid, 1 ask; rung from below on both sides; total size at the rung
    since: the first message whose state is asked for; states and crossed say nothing of those before
    wanted (m,): place of the message among the outputs, -1 where its state is not asked for
    sizes, best, used: state, empty at first, the last state at the end
    states, crossed (m,): OK, UNKNOWN or GAP after each message; best bid at or above best ask
    rungs_out, sizes_out (k, 2, levels)
    """
    rungs = sizes.shape[1]
    state, newest = catch_up(starts, snapshot, torn, first, last, side, rung, size, since, sizes, best, used)
    for i in range(since, snapshot.shape[0]):
        begin, end = i, i + 1       # messages to apply now
        if torn[i] and state == OK:
            state = GAP
        if snapshot[i]:
            clear_levels(sizes, best, used)
            state, newest = OK, last[i]
            for row in range(starts[i], starts[i + 1]):
                at = rung[row] if side[row] == 0 else rungs - 1 - rung[row]
                set_level(sizes, best, used, side[row], at, size[row])
            begin, end = earlier_than_snapshot(snapshot, first, last, i), i
        if state == OK:
            for j in range(begin, end):
                found = follows(first[j], last[j], newest)
                if found == UNKNOWN:
                    continue
                if found == GAP:
                    state = GAP
                    break
                for row in range(starts[j], starts[j + 1]):
                    at = rung[row] if side[row] == 0 else rungs - 1 - rung[row]
                    set_level(sizes, best, used, side[row], at, size[row])
                if last[j] >= 0:
                    newest = last[j]
        states[i] = state
        crossed[i] = state == OK and is_crossed(rungs, best)
        if wanted[i] >= 0 and state == OK:
            top(sizes, best, used, rungs_out[wanted[i]], sizes_out[wanted[i]])


@njit(cache=True)
def replay_orders(starts, snapshot, torn, order, action, side, rung, size, wanted, sizes, best, used, resting, orders, states, crossed, rungs_out, sizes_out):  # type: ignore[no-untyped-def]  # noqa: E501
    """A book of single orders through messages in the order of their receipt.

    ADD puts an order in (in place of one with its number), CANCEL takes its size off it, MODIFY gives it another price or size
    (an order that is not known is put in), RESET empties the book and puts in its order. The book is unknown until a snapshot or
    a RESET has come.

    order (n,): number of the order from 0; action (n,); the others as in `replay_levels`
    resting (orders, 3): side, rung (upside down for asks) and size of each order, size 0 where it does not rest
    orders (2, rungs): how many orders rest at each rung
    """
    rungs = sizes.shape[1]
    state = UNKNOWN
    for i in range(snapshot.shape[0]):
        if snapshot[i]:
            state = OK
        elif torn[i] and state == OK:
            state = GAP
        for row in range(starts[i], starts[i + 1]):
            if action[row] == RESET:
                clear_levels(sizes, best, used)
                resting[:, :] = 0.0
                orders[:, :] = 0
                state = OK
            who = order[row]
            held_side, held_rung, held = int(resting[who, 0]), int(resting[who, 1]), resting[who, 2]
            if action[row] == CANCEL:
                new_side, new_rung, new = held_side, held_rung, max(held - size[row], 0.0)
            else:
                new_side = side[row]
                new_rung = rung[row] if new_side == 0 else rungs - 1 - rung[row]
                new = size[row]
            if held > 0.0:
                orders[held_side, held_rung] -= 1
                rest = max(sizes[held_side, held_rung] - held, 1e-300) if orders[held_side, held_rung] > 0 else 0.0
                set_level(sizes, best, used, held_side, held_rung, rest)
            if new > 0.0:
                orders[new_side, new_rung] += 1
                set_level(sizes, best, used, new_side, new_rung, sizes[new_side, new_rung] + new)
            resting[who, 0], resting[who, 1], resting[who, 2] = new_side, new_rung, new
        states[i] = state
        crossed[i] = state == OK and is_crossed(rungs, best)
        if wanted[i] >= 0 and state == OK:
            top(sizes, best, used, rungs_out[wanted[i]], sizes_out[wanted[i]])


@njit(cache=True)
def message_starts(available_at, ts, snapshot, first, last):  # type: ignore[no-untyped-def]
    """Where each message begins among the rows, and the number of rows at the end: rows of a message agree on all columns."""
    starts = np.empty(available_at.shape[0] + 1, np.int64)
    found = 0
    for row in range(available_at.shape[0]):
        if (
            row == 0
            or available_at[row] != available_at[row - 1]
            or last[row] != last[row - 1]
            or first[row] != first[row - 1]
            or ts[row] != ts[row - 1]
            or snapshot[row] != snapshot[row - 1]
        ):
            starts[found] = row
            found += 1
    starts[found] = available_at.shape[0]
    return starts[: found + 1]


@njit(cache=True)
def decimal_ticks(prices, scale, ticks):  # type: ignore[no-untyped-def]
    """True where every price is a whole number of 1 / scale, which `ticks` (n,) then holds.

    Exact: a price read from a decimal text is the double nearest to it, and so is the quotient of two whole doubles.
    """
    for row in range(prices.shape[0]):
        whole = np.rint(prices[row] * scale)
        if whole / scale != prices[row] or whole > 9e15:
            return False
        ticks[row] = np.int64(whole)
    return True


@njit(cache=True)
def ranks(ticks, lowest, span):  # type: ignore[no-untyped-def]
    """Rungs of a ladder out of ticks: `rung (n,)` of each row, and the ticks that occur, ascending.

    span : highest - lowest + 1
    """
    place = np.zeros(span, np.int64)
    for row in range(ticks.shape[0]):
        place[ticks[row] - lowest] = 1
    found = 0
    for at in range(span):
        if place[at] > 0:
            place[at] = found
            found += 1
    used = np.empty(found, np.int64)
    rung = np.empty(ticks.shape[0], np.int64)
    for row in range(ticks.shape[0]):
        at = ticks[row] - lowest
        rung[row] = place[at]
        used[place[at]] = ticks[row]
    return rung, used
