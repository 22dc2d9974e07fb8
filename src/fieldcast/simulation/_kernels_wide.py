"""Exact integer arithmetic for amounts: products of 126 bits divided to 63, and nothing that overflows in silence.

    mul(a, b)                    a * b
    mul_div_floor(a, b, c)       floor(a * b / c)          rounded towards minus infinity: against the account, whatever the sign
    mul_div_nearest(a, b, c)     a * b / c, half to even

Each returns (value, ok); where `ok` is False the result does not fit in 63 bits (or c is not above zero) and the value is 0.
"""

from __future__ import annotations

import numpy as np

from fieldcast.simulation._compiled import kernel

LARGEST = 2**63 - 1
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_TOP = np.uint64(63)
_NARROW = 2**31 - 1


@kernel
def _wide(a, b):  # type: ignore[no-untyped-def]
    """The product of two uint64 as (high, low)."""
    a_low, a_high = a & _LOW, a >> _HALF
    b_low, b_high = b & _LOW, b >> _HALF
    low, middle, other, high = a_low * b_low, a_low * b_high, a_high * b_low, a_high * b_high
    carried = (low >> _HALF) + (middle & _LOW) + (other & _LOW)
    return high + (middle >> _HALF) + (other >> _HALF) + (carried >> _HALF), (carried << _HALF) | (low & _LOW)


@kernel
def _divided(high, low, c):  # type: ignore[no-untyped-def]
    """(quotient, remainder) of a 128-bit number by c < 2^63, where high < c."""
    rest, quotient = high, _ZERO
    for place in range(64):
        rest = (rest << _ONE) | ((low >> np.uint64(63 - place)) & _ONE)
        quotient = quotient << _ONE
        if rest >= c:
            rest -= c
            quotient |= _ONE
    return quotient, rest


@kernel
def mul(a, b):  # type: ignore[no-untyped-def]
    """(a * b, fits)."""
    if -_NARROW <= a <= _NARROW and -_NARROW <= b <= _NARROW:
        return a * b, True
    if a < -LARGEST or b < -LARGEST:
        return 0, False
    high, low = _wide(np.uint64(abs(a)), np.uint64(abs(b)))
    if high != _ZERO or (low >> _TOP) != _ZERO:
        return 0, False
    return a * b, True


@kernel
def _parts(a, b, c):  # type: ignore[no-untyped-def]
    """(quotient, remainder, negative, ok) of |a * b| by c."""
    if c <= 0 or a < -LARGEST or b < -LARGEST:
        return np.int64(0), np.int64(0), False, False
    negative = (a < 0) != (b < 0)
    divisor = np.uint64(c)
    high, low = _wide(np.uint64(abs(a)), np.uint64(abs(b)))
    if high >= divisor:
        return np.int64(0), np.int64(0), negative, False
    if high == _ZERO:
        quotient, rest = low // divisor, low % divisor
    else:
        quotient, rest = _divided(high, low, divisor)
    if quotient >> _TOP != _ZERO:
        return np.int64(0), np.int64(0), negative, False
    return np.int64(quotient), np.int64(rest), negative, True


@kernel
def mul_div_floor(a, b, c):  # type: ignore[no-untyped-def]
    """(floor(a * b / c), fits)."""
    quotient, rest, negative, ok = _parts(a, b, c)
    if not ok:
        return np.int64(0), False
    if negative:
        if rest > 0:
            if quotient == LARGEST:
                return np.int64(0), False
            return -quotient - 1, True
        return -quotient, True
    return quotient, True


@kernel
def mul_div_nearest(a, b, c):  # type: ignore[no-untyped-def]
    """(a * b / c to the nearest integer, half to even; fits)."""
    quotient, rest, negative, ok = _parts(a, b, c)
    if not ok:
        return np.int64(0), False
    beyond = c - rest       # rest above, at or below one half, without doubling it
    if rest > beyond or (rest == beyond and quotient & 1):
        if quotient == LARGEST:
            return np.int64(0), False
        quotient += 1
    return -quotient if negative else quotient, True


@kernel
def add(a, b):  # type: ignore[no-untyped-def]
    """(a + b, fits)."""
    if (b > 0 and a > LARGEST - b) or (b < 0 and a < -LARGEST - b):
        return 0, False
    return a + b, True
