"""Exact money: where a number is rounded, which way, and why.

    price from a bar     float -> Decimal, 8 places, half to even (a float holds no more of a price)
    price of a fill      to the instrument's tick, against the trader: a purchase up, a sale down
    quantity             to the instrument's lot, towards zero
    commission           to 0.01 of the currency, up
    weights, scale factors     down
    price * quantity * multiplier, cash, NAV     exact, never rounded

What is never rounded is computed with 60 digits and the inexact trap set: a product or sum that does not fit is an
error, not a lost cent.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation

from fieldcast.ground import InvalidInput

PRICE_STEP = Decimal("0.00000001")
CENT = Decimal("0.01")
ZERO = Decimal(0)
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
_DOWN = Context(prec=60, rounding=ROUND_DOWN, traps=[InvalidOperation])
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])


def exact_product(*factors: Decimal) -> Decimal:
    """The product of `factors` without any rounding.

    Raises
    ------
    InvalidInput : a factor is not finite, or the product has more than 60 digits
    """
    result = Decimal(1)
    for factor in factors:
        if not factor.is_finite():
            raise InvalidInput(f"expected a finite amount, found {factor}")
        try:
            result = _EXACT.multiply(result, factor)
        except Inexact:
            raise InvalidInput(f"expected a product of at most 60 digits, found one with more: {factors}") from None
    return result


def exact_sum(*terms: Decimal) -> Decimal:
    """The sum of `terms` without any rounding.

    Raises
    ------
    InvalidInput : a term is not finite, or the sum has more than 60 digits
    """
    result = Decimal(0)
    for term in terms:
        if not term.is_finite():
            raise InvalidInput(f"expected a finite amount, found {term}")
        try:
            result = _EXACT.add(result, term)
        except Inexact:
            raise InvalidInput(f"expected a sum of at most 60 digits, found one with more: {terms}") from None
    return result


def ratio_down(amount: Decimal, unit: Decimal) -> Decimal:
    """How often `unit` fits into `amount`, 60 digits, never rounded up."""
    if not amount.is_finite() or not unit.is_finite() or unit <= 0:
        raise InvalidInput(f"expected a finite amount and a unit above zero, found {amount} and {unit}")
    return _DOWN.divide(amount, unit)


def price_from_bar(value: float) -> Decimal:
    """A price of a bar as a decimal at 8 places, half to even.

    Raises
    ------
    InvalidInput : the value is not a finite number above zero
    """
    if not math.isfinite(value) or value <= 0:
        raise InvalidInput(f"expected a price above zero, found {value}")
    price = Decimal(repr(float(value))).quantize(PRICE_STEP, context=_WIDE)
    if price <= 0:
        raise InvalidInput(f"expected a price of at least {PRICE_STEP}, found {value}")
    return _plain(price)


def _plain(value: Decimal) -> Decimal:
    """The same number without zeros at its end and without an exponent."""
    short = value.normalize(_WIDE)
    return short if short.as_tuple().exponent <= 0 else short.quantize(Decimal(1), context=_WIDE)  # type: ignore[operator]


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if not value.is_finite() or step <= 0:
        raise InvalidInput(f"expected a finite amount and a step above zero, found {value} and {step}")
    return _WIDE.multiply(_WIDE.divide(value, step).to_integral_value(rounding=rounding), step)


def to_tick(price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """`price` on the grid of `tick`, rounded up or down; never below one tick."""
    return max(_to_step(price, tick, ROUND_CEILING if up else ROUND_FLOOR), tick)


def to_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """The largest multiple of `lot` that is not further from zero than `quantity`."""
    return _to_step(quantity, lot, ROUND_DOWN)


def to_cent(amount: Decimal) -> Decimal:
    """`amount` in steps of 0.01, rounded up: what a broker takes is never rounded in our favour."""
    return amount.quantize(CENT, rounding=ROUND_CEILING, context=_WIDE)


def round_up(amount: Decimal, step: Decimal) -> Decimal:
    """`amount` in steps of `step`, rounded up."""
    return _to_step(amount, step, ROUND_CEILING)


def fill_value(price: Decimal, quantity: Decimal, multiplier: Decimal) -> Decimal:
    """price * quantity * multiplier in the instrument's currency, exact."""
    return exact_product(price, quantity, multiplier)
