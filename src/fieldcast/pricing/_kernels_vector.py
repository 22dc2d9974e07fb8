"""Exponential and logarithm without branches or calls, so that the compiler turns loops over them into vector instructions.

Both reduce their argument by powers of two through the bits of a double, then use a polynomial: the exponential's own series, and
for log(1 + f) = 2 atanh(f / (2 + f)) the coefficients of P. T. P. Tang's scheme as published with FreeBSD's msun (e_log.c).
Within 1 and 3 units in the last place. Arguments must be in range; callers look after the rest.
"""

# mypy: allow-untyped-decorators, disable-error-code="call-arg,var-annotated,unreachable,import-untyped"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

MAGIC = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer that stands in the low bits
LOG2_E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
ROOT_HALF_BITS = 0x3FE6A09E667F3BCD


@intrinsic
def bits_of(context: Any, value: Any) -> Any:
    """The 64 bits of a double as an integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def from_bits(context: Any, value: Any) -> Any:
    """The double with these 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def exp_between(x):  # type: ignore[no-untyped-def]
    """exp(x) for |x| <= 700."""
    rounded = x * LOG2_E + MAGIC
    k = rounded - MAGIC
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * (r * r) + r + 1.0
    return p * from_bits((bits_of(rounded) + 1023) << 52)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def log_ratio_between(a, b):  # type: ignore[no-untyped-def]
    """log(a / b) for positive a, b whose ratio is a normal number; as `_kernels.log_ratio` where they are close."""
    inverse = 1.0 / b
    ratio = a * inverse
    bits = bits_of(ratio)
    k = (bits - ROOT_HALF_BITS) >> 52
    near = (a - b) * inverse
    far = from_bits(bits - (k << 52)) - 1.0
    f = near if k == 0 else far
    scale = float(k)
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    half = 0.5 * f * f
    return scale * LN2_HIGH - ((half - (s * (half + p * z) + scale * LN2_LOW)) - f)
