"""Sums of decimals without rounding, whatever the context's precision is."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact

# Inexact is trapped: a digit that would be lost raises. Python's default of 28 digits is fewer than NUMERIC holds.
_CONTEXT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])


def exact_sum(values: Iterable[Decimal]) -> Decimal:
    """The sum of `values`, to the last digit; zero where there are none."""
    total = Decimal(0)
    for value in values:
        total = _CONTEXT.add(total, value)
    return total
