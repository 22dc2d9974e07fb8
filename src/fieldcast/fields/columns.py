"""What a column of the field table is: its unit, its range, what it reads and how long it remembers.

`warmup` = w says that the value at row t is a function of rows t − w … t: dropping everything older moves it by less
than 1e-6 (relative to max(1, |value|)). The first w rows of a stretch of known inputs therefore hold no value.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldColumn:
    """One registered column of the field table.

    Parameters
    ----------
    name : `namespace.quantity`
    block : its namespace
    inputs : columns of BARS that it reads
    warmup : rows of history before a value stands (see above)
    unit : unit in words
    formula, source : what it is and where that is written down
    low, high : the closed range that the value cannot leave; None = unbounded on that side
    level : True for a price: it moves when prices are scaled, and no model may see it unnormalised
    """

    name: str
    block: str
    inputs: tuple[str, ...]
    warmup: int
    unit: str
    formula: str
    source: str
    low: float | None = None
    high: float | None = None
    level: bool = False
