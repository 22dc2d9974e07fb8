"""Exact integer arithmetic of the simulated account, against Python's own integers."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fieldcast.simulation._kernels_wide import LARGEST, add, mul, mul_div_floor, mul_div_nearest

WHOLE = st.integers(-LARGEST, LARGEST) | st.integers(-1000, 1000)
ABOVE = st.integers(1, LARGEST) | st.integers(1, 1000)


def fits(value: int) -> bool:
    return abs(value) <= LARGEST


@settings(max_examples=400)
@given(WHOLE, WHOLE, ABOVE)
@example(LARGEST, LARGEST, LARGEST)
@example(-LARGEST, LARGEST, LARGEST)
@example(-1, 1, 2)
@example(LARGEST, 3, 2)
def test_products_divided_are_those_of_python(a, b, c):
    for found, exact in ((mul_div_floor(a, b, c), a * b // c), (mul_div_nearest(a, b, c), round(Fraction(a * b, c)))):
        assert found == ((exact, True) if fits(exact) else (0, False))


@settings(max_examples=400)
@given(WHOLE, WHOLE)
@example(2**31, 2**32)
@example(-(2**31), 2**32)
def test_products_and_sums_say_when_they_do_not_fit(a, b):
    assert mul(a, b) == ((a * b, True) if fits(a * b) else (0, False))
    assert add(a, b) == ((a + b, True) if fits(a + b) else (0, False))


def test_a_divisor_of_zero_or_below_is_refused():
    assert mul_div_floor(1, 1, 0) == (0, False)
    assert mul_div_nearest(1, 1, -3) == (0, False)


def test_floor_is_against_the_account_whatever_the_sign():
    assert mul_div_floor(7, 1, 2)[0] == 3       # received: 3.5 becomes 3
    assert mul_div_floor(-7, 1, 2)[0] == -4     # paid: 3.5 becomes 4
