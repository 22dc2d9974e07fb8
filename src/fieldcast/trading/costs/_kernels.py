"""The one function that says how far from the print an order fills.

    total shift = half spread + slippage + impact * sqrt(quantity / volume)        [basis points of the print]

The simulated venue, the fast engine and the runtime call it with the same figures and so charge the same. `impact` is
what an order as large as `volume` would move the price by: a coefficient near 1 times the standard deviation of the
return over the time in which `volume` trades (see `impact.py` for the law and its source).

Fills are integers of price units, so the shift enters them as a whole number of hundredths of a basis point (1e-6 of the
print), rounded up: against the trader.
"""

from __future__ import annotations

import math

from fieldcast.ground.compiler import njit

WHOLE_PRICE_BPS = 10_000.0
HUNDREDTHS_PER_BP = 100.0
BINARY_NOISE = 1e-7  # hundredths; 1.1 bp + 2.2 bp is 3.3000000000000003 in binary and still 330 hundredths
NO_PRICE = -1


@njit(cache=True)
def total_shift_bps(half_spread_bps, slippage_bps, impact_bps, quantity, volume):  # type: ignore[no-untyped-def]
    """Distance of a fill from its print, basis points, >= 0; a scalar of scalars.

    half_spread_bps, slippage_bps : >= 0
    impact_bps : shift at quantity = volume, >= 0; 0 switches impact off, whatever the volume
    quantity, volume : in the same unit, quantity >= 0

    Infinite where there is impact and no volume, NaN where volume or another figure is not known. The caller has no
    price to give where the result is not below 10 000 (`shift_hundredths` says so with NO_PRICE).
    """
    shift = half_spread_bps + slippage_bps
    if impact_bps == 0.0 or quantity == 0:
        return shift
    if volume <= 0:
        return math.inf
    return shift + impact_bps * math.sqrt(quantity / volume)


@njit(cache=True)
def shift_hundredths(shift_bps):  # type: ignore[no-untyped-def]
    """A shift as a whole number of hundredths of a basis point, rounded up; NO_PRICE (-1) where no price can be given.

    That is where the shift is NaN, infinite, below zero or, rounded, the whole price or more.
    """
    if not (0.0 <= shift_bps < WHOLE_PRICE_BPS):
        return NO_PRICE
    hundredths = math.ceil(shift_bps * HUNDREDTHS_PER_BP - BINARY_NOISE)
    return hundredths if hundredths < WHOLE_PRICE_BPS * HUNDREDTHS_PER_BP else NO_PRICE
