"""The parts of an engine: columns that read the same inputs and remember for the same time are computed together.

A part is what the batch and the step form share. The batch runs it over whole stretches of known rows; a step runs it over
the last `memory` + 1 rows and keeps the last value, which is the same one because nothing older is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fieldcast.fields._rows import Floats, Rows, by_stretch


@dataclass(frozen=True)
class Part:
    """Columns that are computed together.

    Parameters
    ----------
    inputs : columns of BARS that must be known in every row
    memory : the value at row t reads rows t − memory … t alone
    compute : rows of one stretch → (n,) array by column; NaN where there is no value
    """

    inputs: tuple[str, ...]
    memory: int
    compute: Callable[[Rows], dict[str, Floats]]

    def values(self, rows: Rows) -> dict[str, Floats]:
        """The part's columns over every stretch of known inputs, NaN elsewhere."""
        return by_stretch(rows, self.inputs, 1, self.compute)
