"""What an account needs for its options on one underlying, in whole numbers: the compiled twin of `option_margin.requirement`.

A group is an underlying and all options on it. Its margin, beside what the shares need by themselves, is

    asked for the shorts (`option_margin`) + value of the options, which is below zero where they are short

so that `equity >= margin` is `cash + shares - their margin >= asked`: a long option has no loan value, and what was received for
a short one is no equity. Prices are steps of 1e-10, units are steps of the group (their greatest common measure), amounts are
minimal units; each part that is asked for is rounded up by itself. Nothing is allocated: what is still to be paired stands in
the table.
"""

from __future__ import annotations

from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._kernels_wide import mul, mul_div_floor

# a row an instrument; the underlying's has right 0 and keeps the group's margin
(OP_GROUP, OP_RIGHT, OP_STRIKE, OP_ENDS, OP_SIZE, OP_NUMERATOR, OP_DENOMINATOR, OP_RATE, OP_PRICE, OP_FACTOR, OP_MARGIN, OP_LEFT,
 OP_NAKED, OP_ALONE) = range(14)  # fmt: skip
OPTION_COLUMNS = 14
# OP_GROUP: row of the underlying, -1 = of no group; OP_RIGHT: 1 call, -1 put; OP_STRIKE: 1e-10; OP_ENDS: microseconds;
# OP_SIZE: steps a lot; OP_NUMERATOR / OP_DENOMINATOR: minimal units for a step at a price of 1e-10; OP_RATE: percent;
# OP_PRICE: 1e-10 for a price unit; OP_FACTOR: minimal units for a lot and price unit; OP_LEFT: steps still to be paired, below
# zero where short; OP_NAKED: steps that nothing covers; OP_ALONE: asked for a step alone
LEAST = 10  # percent


@kernel
def amount_up(row, steps, price):  # type: ignore[no-untyped-def]
    """(ceil(steps * price) in minimal units, fits)."""
    worth, ok = mul(-steps, row[OP_NUMERATOR])
    amount, fine = mul_div_floor(worth, price, row[OP_DENOMINATOR])
    return -amount, ok and fine


@kernel
def apart(short, long):  # type: ignore[no-untyped-def]
    """What is asked for a step of a spread."""
    return max((long[OP_STRIKE] - short[OP_STRIKE]) * short[OP_RIGHT], 0)


@kernel
def alone_at(row, price, spot, secured):  # type: ignore[no-untyped-def]
    """What is asked for a step of a short option by itself; secured: a put is covered by its strike in cash."""
    strike = row[OP_STRIKE]
    if secured and row[OP_RIGHT] < 0:
        return strike
    outside = max((strike - spot) * row[OP_RIGHT], 0)
    least = (spot if row[OP_RIGHT] > 0 else strike) // 100 * LEAST
    return price + max(spot // 100 * row[OP_RATE] - outside, least)


@kernel
def dearest(options, group, right):  # type: ignore[no-untyped-def]
    """The short option of a right that asks for most by itself and is not paired yet; ties by strike, end, row; -1 = none."""
    best = -1
    for n in range(len(options)):
        row = options[n]
        if row[OP_GROUP] != group or row[OP_RIGHT] != right or row[OP_LEFT] >= 0:
            continue
        if best < 0:
            best = n
            continue
        other = options[best]
        if row[OP_ALONE] != other[OP_ALONE]:
            if row[OP_ALONE] > other[OP_ALONE]:
                best = n
        elif row[OP_STRIKE] != other[OP_STRIKE]:
            if row[OP_STRIKE] < other[OP_STRIKE]:
                best = n
        elif row[OP_ENDS] < other[OP_ENDS]:
            best = n
    return best


@kernel
def closest(options, group, short):  # type: ignore[no-untyped-def]
    """The long option that leaves least to ask beside a short one; -1 = none that is worth it."""
    best, least = -1, options[short, OP_ALONE]
    for n in range(len(options)):
        row = options[n]
        if row[OP_GROUP] != group or row[OP_RIGHT] != options[short, OP_RIGHT] or row[OP_LEFT] <= 0:
            continue
        each = apart(options[short], row)
        if row[OP_ENDS] >= options[short, OP_ENDS] and each < least:
            best, least = n, each
    return best, least


@kernel
def group_margin(options, lots, marks, group, n, lots_n, mark_n, secured):  # type: ignore[no-untyped-def]
    """(asked for the shorts, value of the options, steps of naked calls, fits) of one group, in its currency.

    Parameters
    ----------
    options : (N, OPTION_COLUMNS); lots, marks : (N,) held, last prices in price units
    n, lots_n, mark_n : an instrument of the group with what it would hold, and its price then; n = -1: as it stands
    secured : True where short puts are covered by cash (an account that may not sell short); a long option covers none there
    """
    fits = True
    held = lots_n if n == group else lots[group]
    spot = (mark_n if n == group else marks[group]) * options[group, OP_PRICE]
    shares, value, asked = held * options[group, OP_SIZE], 0, 0
    for k in range(len(options)):
        row = options[k]
        if row[OP_GROUP] != group or row[OP_RIGHT] == 0:
            continue
        own, mark = (lots_n, mark_n) if k == n else (lots[k], marks[k])
        row[OP_LEFT] = own * row[OP_SIZE]
        row[OP_ALONE] = alone_at(row, mark * row[OP_PRICE], spot, secured)
        worth, ok = mul(own * mark, row[OP_FACTOR])
        value += worth
        fits = fits and ok
    for right in (1, -1):
        cover = max(shares * right, 0)
        pending = dearest(options, group, right)
        while pending >= 0:
            short = options[pending]
            taken = min(-short[OP_LEFT], cover)
            cover -= taken
            part, ok = amount_up(short, taken, max((spot - short[OP_STRIKE]) * right, 0))
            asked += part
            fits = fits and ok
            left = -short[OP_LEFT] - taken
            while left > 0 and not secured:
                long, each = closest(options, group, pending)
                if long < 0:
                    break
                taken = min(left, options[long, OP_LEFT])
                options[long, OP_LEFT] -= taken
                left -= taken
                part, ok = amount_up(short, taken, each)
                asked += part
                fits = fits and ok
            short[OP_LEFT] = 0
            short[OP_NAKED] = left
            pending = dearest(options, group, right)
    naked_calls = 0
    for k in range(len(options)):
        row = options[k]
        if row[OP_GROUP] != group or row[OP_RIGHT] == 0:
            continue
        row[OP_LEFT] = -row[OP_NAKED]
        row[OP_NAKED] = 0
        if row[OP_RIGHT] > 0:
            naked_calls -= row[OP_LEFT]
    while True:
        call, put = dearest(options, group, 1), dearest(options, group, -1)
        if call < 0 and put < 0:
            break
        if call >= 0 and put >= 0 and not secured:
            more, less = (call, put) if options[call, OP_ALONE] >= options[put, OP_ALONE] else (put, call)
            taken = min(-options[call, OP_LEFT], -options[put, OP_LEFT])
            mark = mark_n if less == n else marks[less]
            price = options[more, OP_ALONE] + mark * options[less, OP_PRICE]
            options[less, OP_LEFT] += taken
        else:
            more = call if call >= 0 else put
            taken, price = -options[more, OP_LEFT], options[more, OP_ALONE]
        options[more, OP_LEFT] += taken
        part, ok = amount_up(options[more], taken, price)
        asked += part
        fits = fits and ok
    return asked, value, naked_calls, fits
