"""The arithmetic of a fill on whole numbers: the venue and the fast engine call these, so that they agree by construction.

    price unit      10^-p of the quote currency, p <= 8: every price is a whole number of them, 0 = no price
    lot             smallest tradable quantity: every quantity is a whole number of them
    minimal unit    10^-c of a currency: every amount is a whole number of them
    factor          minimal units for one price unit of one lot (price unit * lot * multiplier, a whole number)
    e8              a share in parts of 10^8; 1 bp = 10^4 e8

    price of a purchase = print * (1 + shift), up to the tick        of a sale = print * (1 - shift), down to the tick
    commission          = min(max(value * share + lots * rate, minimum), value * cap), up to the cent
    lots of a weight    = weight * equity / (price * factor), towards zero

Rounding: floor(floor(x) / n) = floor(x / n) for whole n, and the same for ceilings, so each formula is rounded once, exactly.
"""

from __future__ import annotations

import math

from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._kernels_wide import mul_div_floor
from fieldcast.trading.costs._kernels import shift_hundredths

E8 = 100_000_000
SAFE = 4.0e18  # a product below this, reckoned in floats, fits in 63 bits
TOO_MANY = 1 << 61
WORST, OHLC, FINER = 0, 1, 2  # intrabar policies
NOTHING, STOPPED, TARGET = 0, 1, 2  # what an exit in a bar was

# columns of a row of fees
(FEE_SHARE, FEE_MAKER_SHARE, FEE_RATE, FEE_MINIMUM, FEE_CAP, FEE_STEP, FEE_SECTION_31, FEE_ACTIVITY_RATE, FEE_ACTIVITY_MOST,
 FEE_PASSED_RATE, FEE_PASSED_SHARE) = range(11)  # fmt: skip
FEE_COLUMNS = 11


@kernel
def price_units(value, scale):  # type: ignore[no-untyped-def]
    """A price of a bar in price units, half to even; 0 where it is NaN or not above zero. scale = 10^p as a float."""
    if not value > 0.0:
        return 0
    return int(round(value * scale))  # noqa: RUF046 - compiled, round gives a float; half to even


@kernel
def fits(a, b, c):  # type: ignore[no-untyped-def]
    """True where |a * b * c| is certain to fit in 63 bits."""
    return abs(float(a) * float(b) * float(c)) < SAFE


@kernel
def share_floor(amount, part_e8):  # type: ignore[no-untyped-def]
    """floor(amount * part_e8 / 10^8) for amount >= 0 and 0 <= part_e8 < 9.2e10, without an intermediate overflow."""
    whole = amount // E8
    return whole * part_e8 + ((amount - whole * E8) * part_e8) // E8


@kernel
def share_ceil(amount, part_e8):  # type: ignore[no-untyped-def]
    """ceil(amount * part_e8 / 10^8) for amount >= 0 and 0 <= part_e8 < 9.2e10."""
    whole = amount // E8
    return whole * part_e8 + ((amount - whole * E8) * part_e8 + E8 - 1) // E8


@kernel
def shift_e8(bps):  # type: ignore[no-untyped-def]
    """Basis points as e8, up to a hundredth of a basis point; -1 where no price can be given (see `shift_hundredths`)."""
    hundredths = shift_hundredths(bps)
    return hundredths * 100 if hundredths >= 0 else -1


@kernel
def fill_price(side, print_units, shift, tick_units):  # type: ignore[no-untyped-def]
    """Price units of a fill: the print shifted by `shift` e8 against the trader, on the tick, at least one tick."""
    moved = share_ceil(print_units, shift)
    if side > 0:
        return ((print_units + moved + tick_units - 1) // tick_units) * tick_units
    return max((print_units - moved) // tick_units, 1) * tick_units


@kernel
def commission(value, lots, share, rate, minimum, cap, cent):  # type: ignore[no-untyped-def]
    """Commission of an order in minimal units, >= 0.

    value : minimal units, >= 0; lots : > 0; share : e8 of the value; rate : 10^-8 minimal units a lot;
    minimum : minimal units; cap : e8 of the value that the commission never exceeds, 0 = none;
    cent : minimal units to round up to (1 = none)
    """
    whole_value, whole_rate = value // E8, rate // E8
    rest = (value - whole_value * E8) * share
    whole_lots, part_rate = lots // E8, rate - whole_rate * E8      # lots * rate itself may need more than 63 bits
    rest_lots = (lots - whole_lots * E8) * part_rate
    whole = whole_value * share + lots * whole_rate + whole_lots * part_rate + rest // E8 + rest_lots // E8
    fee = whole + (rest % E8 + rest_lots % E8 + E8 - 1) // E8
    fee = max(fee, minimum)
    if cap > 0:
        fee = min(fee, share_ceil(value, cap))
    return ((fee + cent - 1) // cent) * cent


@kernel
def fees(value, lots, side, maker, row):  # type: ignore[no-untyped-def]
    """Everything that is taken for a fill, minimal units: commission, section 31, activity fee, what is passed through.

    row : (FEE_COLUMNS,) int64, see `trading.FeeSchedule`: shares in e8 (of the value, of the commission), rates in
        10^-8 minimal units a lot, amounts in minimal units; -1 in FEE_CAP and FEE_ACTIVITY_MOST = none
    """
    step = row[FEE_STEP]
    share = row[FEE_MAKER_SHARE] if maker else row[FEE_SHARE]
    cap = row[FEE_CAP]
    taken = commission(value, lots, share, row[FEE_RATE], row[FEE_MINIMUM], max(cap, 0), step)
    if cap == 0:
        taken = 0
    total = taken
    if side < 0:
        if row[FEE_SECTION_31] > 0:
            total += commission(value, 0, row[FEE_SECTION_31], 0, 0, 0, step)
        if row[FEE_ACTIVITY_RATE] > 0:
            activity = commission(0, lots, 0, row[FEE_ACTIVITY_RATE], 0, 0, 1)
            if row[FEE_ACTIVITY_MOST] >= 0:
                activity = min(activity, row[FEE_ACTIVITY_MOST])
            total += ((activity + step - 1) // step) * step
    if row[FEE_PASSED_RATE] > 0 or row[FEE_PASSED_SHARE] > 0:
        total += commission(taken, lots, row[FEE_PASSED_SHARE], row[FEE_PASSED_RATE], 0, 0, step)
    return total


@kernel
def weight_e8(weight):  # type: ignore[no-untyped-def]
    """A weight as e8, half to even."""
    return int(round(weight * 1e8))  # noqa: RUF046


@kernel
def lots_for_weight(weight, equity, price, factor):  # type: ignore[no-untyped-def]
    """Signed lots that `weight` e8 of `equity` (minimal units) buys at `price` (price units), towards zero.

    0 where the equity is not above zero; TOO_MANY (no position is that large) where the product does not fit.
    """
    if equity <= 0 or weight == 0:
        return 0
    if float(equity) * abs(float(weight)) > SAFE * 1e8:
        return TOO_MANY if weight > 0 else -TOO_MANY
    lots = share_floor(equity, abs(weight)) // (price * factor)
    return lots if weight > 0 else -lots


@kernel
def part_of(basis, closed, held):  # type: ignore[no-untyped-def]
    """The share of `basis` that leaves with `closed` of `held` lots (both above zero), towards minus infinity."""
    if closed == held:
        return basis
    if abs(float(basis) * float(closed)) < SAFE:
        return (basis * closed) // held
    part, _ = mul_div_floor(basis, closed, held)  # fits: closed < held
    return part


@kernel
def most_lots(volume, share, lots_per_unit):  # type: ignore[no-untyped-def]
    """Lots that a participation of `share` in a bar's volume allows; 0 where the volume is not known."""
    if not volume > 0.0:
        return 0
    return int(math.floor(volume * share * lots_per_unit + 1e-9))  # noqa: RUF046


@kernel
def stop_print(side, stop, opened, high, low):  # type: ignore[no-untyped-def]
    """The print at which a stop of this side goes off in a bar: the stop, or the open where it gapped; 0 = it does not.

    With no open (0) nobody can tell a gap from a touch, so the print is the bar's adverse extreme.
    """
    if side > 0:
        if opened >= stop:
            return opened
        if high >= stop:
            return stop if opened > 0 else high
        return 0
    if 0 < opened <= stop:
        return opened
    if low <= stop:
        return stop if opened > 0 else low
    return 0


@kernel
def limit_print(side, limit, opened, high, low, touch):  # type: ignore[no-untyped-def]
    """The print at which a limit of this side fills in a bar: a better open, or the limit; 0 = it does not.

    Inside the bar the price has to trade through the limit, or only touch it where `touch` is set. With no open (0)
    and a bar that lies wholly beyond the limit, the print is the bar's extreme that is worst for the order.
    """
    if side > 0:
        if 0 < opened <= limit:
            return opened
        if low < limit or (touch and low == limit):
            return min(limit, high)
        return 0
    if opened >= limit:
        return opened
    if high > limit or (touch and high == limit):
        return max(limit, low)
    return 0


@kernel
def high_first(opened, close):  # type: ignore[no-untyped-def]
    """The assumed path of a bar: open, high, low, close where it closes below its open, else open, low, high, close."""
    return close < opened


@kernel
def exit_in_bar(position, stop, target, opened, high, low, close, policy, touch):  # type: ignore[no-untyped-def]
    """How a position with a stop and a target, held from the bar's open on, leaves in this bar: (which, print).

    position : its sign; stop, target : price units, 0 = none. Where both can fill after the open, `WORST` takes the stop and
    `OHLC` what its path meets first. At the open itself only one of them can have been passed.
    """
    side = -position
    at_stop = stop_print(side, stop, opened, high, low) if stop > 0 else 0
    at_target = limit_print(side, target, opened, high, low, touch) if target > 0 else 0
    if at_stop == 0:
        return (TARGET, at_target) if at_target > 0 else (NOTHING, 0)
    if at_target == 0:
        return STOPPED, at_stop
    if opened > 0:
        if (side < 0 and opened <= stop) or (side > 0 and opened >= stop):
            return STOPPED, at_stop
        if (side < 0 and opened >= target) or (side > 0 and opened <= target):
            return TARGET, at_target
    if policy == OHLC and high_first(opened, close) == (side < 0):
        return TARGET, at_target
    return STOPPED, at_stop
