"""What one share becomes in the course of a run, as the splits that were played say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldcast.simulation._round_trips import splits_of
from fieldcast.simulation.result import SimulationResult


def shares_through(result: SimulationResult, row: int) -> NDArray[np.float64]:
    """(T,) what one share of instrument `row` from before the run has become by each open; all 1 without a split."""
    found = np.ones(result.market.bars)
    for instrument, bar, new, old in splits_of(result).tolist():
        if instrument == row:
            found[bar:] *= new / old
    return found
