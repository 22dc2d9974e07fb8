"""The terms of a run's options as the kernels take them: one row an instrument, see `_kernels_option_margin`."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import gcd

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import ConfigError, utc
from fieldcast.market.instrument import Kind
from fieldcast.simulation import _kernels_option_margin as o
from fieldcast.simulation.event_table import micros
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.units import Units

PLACES = 10
PERCENT, INDEX_PERCENT = 20, 15  # Cboe rule 10.3: of a share, of a broad index


def option_rows(market: Market, settings: VenueSettings, units: Units) -> NDArray[np.int64]:
    """(N, OPTION_COLUMNS), or (0, OPTION_COLUMNS) where the venue knows no options.

    Raises
    ------
    InvalidInput : an option or its underlying is none of the market's
    ConfigError : they differ in currency, an option stands on another, the strike is finer than 1e-10, or the option is margined
    """
    if not settings.options:
        return np.zeros((0, o.OPTION_COLUMNS), dtype=np.int64)
    rows = np.zeros((len(market.instruments), o.OPTION_COLUMNS), dtype=np.int64)
    rows[:, o.OP_GROUP] = -1
    groups: dict[int, list[int]] = {}
    for term in settings.options:
        n, under = market.row(term.instrument), market.row(term.underlying)
        option, share = market.instruments[n], market.instruments[under]
        if option.currency != share.currency or settings.is_margined(option):
            raise ConfigError(f"expected {option.id} in the currency of {share.id} and paid in full, found it otherwise")
        strike = term.strike.scaleb(PLACES)
        if strike != strike.to_integral_value():
            raise ConfigError(f"expected a strike of {option.id} with at most {PLACES} decimals, found {term.strike}")
        rows[n, o.OP_GROUP] = rows[under, o.OP_GROUP] = under
        rows[n, o.OP_RIGHT], rows[n, o.OP_STRIKE] = (1 if term.right == "call" else -1), int(strike)
        rows[n, o.OP_ENDS] = micros(utc(term.expires_at))
        rows[n, o.OP_RATE] = INDEX_PERCENT if share.kind is Kind.INDEX else PERCENT
        groups.setdefault(under, [under]).append(n)
    if any(rows[under, o.OP_RIGHT] for under in groups):
        raise ConfigError("expected options on something that is no option of the run, found one on another")
    for members in groups.values():
        sizes = [market.instruments[n].lot * market.instruments[n].multiplier for n in members]
        step = _measure(sizes)
        each = Fraction(step) * 10**units.cash_decimals / 10**PLACES
        for n, size in zip(members, sizes, strict=True):
            rows[n, o.OP_SIZE] = int(size / step)
            rows[n, o.OP_NUMERATOR], rows[n, o.OP_DENOMINATOR] = each.numerator, each.denominator
            rows[n, o.OP_PRICE] = 10 ** (PLACES - int(units.price_decimals[n]))
            rows[n, o.OP_FACTOR] = units.factor[n]
    return rows


def _measure(sizes: list[Decimal]) -> Decimal:
    """The greatest number that all sizes are whole multiples of."""
    parts = [Fraction(size) for size in sizes]
    below = 1
    for part in parts:
        below = below * part.denominator // gcd(below, part.denominator)
    above = gcd(*(int(part * below) for part in parts))
    return Decimal(above) / Decimal(below)
