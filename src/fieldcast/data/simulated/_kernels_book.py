"""The queue-reactive book, event by event: state and draws in, level changes, trades and truth out.

Side 0 is the bid. With the reference at p + 1/2 ticks, bid i stands at p - i and ask i at p + 1 + i (i from 0 here). The readable
twin stands in tests/data/simulated/test_book.py.
"""

from __future__ import annotations

from numba import njit

LIMIT, CANCEL, MARKET = 0, 1, 2
NONE = -(1 << 60)  # no best price on a side


@njit(cache=True)
def drawn_size(cdf, queue, uniform):  # type: ignore[no-untyped-def]
    """A queue's size out of its law."""
    size = 0
    while size < cdf.shape[1] - 1 and uniform > cdf[queue, size]:
        size += 1
    return size


@njit(cache=True)
def first_used(sizes, side):  # type: ignore[no-untyped-def]
    """The nearest queue that is not empty; K where all are."""
    queue = 0
    while queue < sizes.shape[1] and sizes[side, queue] == 0:
        queue += 1
    return queue


@njit(cache=True)
def size_at(sizes, p, side, price):  # type: ignore[no-untyped-def]
    """Size of a side at a price, 0 out of view."""
    queue = p - price if side == 0 else price - p - 1
    return sizes[side, queue] if 0 <= queue < sizes.shape[1] else 0


@njit(cache=True)
def shift(sizes, up, entering):  # type: ignore[no-untyped-def]
    """Move the reference a tick towards side `up` (1: prices rise), whose first queue is empty; `entering` comes into view."""
    down = 1 - up
    last = sizes.shape[1] - 1
    for queue in range(last):
        sizes[up, queue] = sizes[up, queue + 1]
        sizes[down, last - queue] = sizes[down, last - queue - 1]
    sizes[up, last] = entering
    sizes[down, 0] = 0


@njit(cache=True)
def run(  # type: ignore[no-untyped-def]
    rates, cdf, chances, sizes, place, clock, end, waits, choices, pool,
    row_event, row_side, row_price, row_size, times, kinds, sides, queues, before, total_rate, own_rate, best,
):  # fmt: skip
    """Events until `end` or until draws or room run out; returns (events, rows, pool used, 1 where `end` was reached).

    rates (3, K, N + 1), cdf (K, N + 1); chances (2,) : of a move of the reference and of a redraw
    sizes (2, K), place (1,) p, clock (1,) seconds : state, advanced
    waits, choices (m,) : standard exponentials, uniforms; pool (u,) : uniforms for moves and redraws
    row_* (r,) : level changes: number of the event, side, price in ticks, new size
    times, kinds, sides, queues, before, total_rate, own_rate (m,) : the truth of each event; best (m, 4) : bid, its size, ask,
        its size after it, price NONE where a side is empty
    """
    levels = sizes.shape[1]
    old = sizes.copy()
    rows, used = 0, 0
    for event in range(waits.shape[0]):
        if rows + 4 * levels + 4 > row_event.shape[0] or used + 2 * levels + 3 > pool.shape[0]:
            return event, rows, used, 0
        near0, near1 = first_used(sizes, 0), first_used(sizes, 1)
        total = 0.0
        for side in range(2):
            near = near0 if side == 0 else near1
            for queue in range(levels):
                n = sizes[side, queue]
                total += rates[LIMIT, queue, n] + rates[CANCEL, queue, n]
            if near < levels:
                total += rates[MARKET, near, sizes[side, near]]
        at = clock[0] + waits[event] / total
        if at > end:
            return event, rows, used, 1
        clock[0] = at
        left = choices[event] * total
        kind, hit, chosen, rate = -1, 0, 0, 0.0
        for side in range(2):
            near = near0 if side == 0 else near1
            for queue in range(levels):
                n = sizes[side, queue]
                for what in range(3):
                    if what == MARKET and queue != near:
                        continue
                    part = rates[what, queue, n]
                    if part > 0.0 and (kind < 0 or left >= 0.0):  # the last possible one takes what rounding leaves
                        kind, hit, chosen, rate = what, side, queue, part
                        left -= part
                if left < 0.0:
                    break
            if left < 0.0:
                break
        p = place[0]
        n = sizes[hit, chosen]
        times[event], kinds[event], sides[event], queues[event], before[event] = at, kind, hit, chosen, n
        total_rate[event], own_rate[event] = total, rate
        for side in range(2):
            for queue in range(levels):
                old[side, queue] = sizes[side, queue]
        sizes[hit, chosen] = n + 1 if kind == LIMIT else n - 1
        new0, new1 = first_used(sizes, 0), first_used(sizes, 1)
        moved = 0
        if new0 < levels and new1 < levels and near0 < levels and near1 < levels and (new0 != near0 or new1 != near1):
            rise = (new1 - near1) - (new0 - near0)
            if rise > 0 and new1 > 0:
                moved = 1
            elif rise < 0 and new0 > 0:
                moved = -1
        if moved != 0:
            used += 1
            if pool[used - 1] >= chances[0]:
                moved = 0
        if moved == 0:
            row_event[rows], row_side[rows], row_size[rows] = event, hit, sizes[hit, chosen]
            row_price[rows] = p - chosen if hit == 0 else p + 1 + chosen
            rows += 1
        else:
            shift(sizes, 1 if moved > 0 else 0, drawn_size(cdf, levels - 1, pool[used]))
            used += 1
            place[0] = p + moved
            used += 1
            if pool[used - 1] < chances[1]:
                for side in range(2):
                    for queue in range(levels):
                        sizes[side, queue] = drawn_size(cdf, queue, pool[used])
                        used += 1
            for side in range(2):
                for price in range(p - levels, p + levels + 3):
                    size = size_at(sizes, p + moved, side, price)
                    if size != size_at(old, p, side, price):
                        row_event[rows], row_side[rows], row_price[rows], row_size[rows] = event, side, price, size
                        rows += 1
            p += moved
        b, a = first_used(sizes, 0), first_used(sizes, 1)
        best[event, 0], best[event, 1] = (p - b, sizes[0, b]) if b < levels else (NONE, 0)
        best[event, 2], best[event, 3] = (p + 1 + a, sizes[1, a]) if a < levels else (NONE, 0)
    return waits.shape[0], rows, used, 0
