"""Statistics of bootstrap draws, straight from the blocks that make up each draw.

A draw is a row of blocks: where each starts on the axis of n dates and how many dates it holds (0 = unused, and all after
it). A block that runs past the end goes on at the beginning. Neither kernel writes out a resample: sums come from prefix
sums, two look-ups a block, and an AUC from how often each date was drawn and rows that were sorted once.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Blocks = NDArray[np.int32]


@njit(cache=True, nogil=True)
def block_sums(starts: Blocks, lengths: Blocks, prefix: Floats, out: Floats) -> None:
    """Fill `out` (draws, k) with the sums over each draw of k columns whose prefix sums are `prefix` (n + 1, k)."""
    n, columns = prefix.shape[0] - 1, prefix.shape[1]
    for draw in range(starts.shape[0]):
        for k in range(columns):
            out[draw, k] = 0.0
        for block in range(starts.shape[1]):
            length = lengths[draw, block]
            if length == 0:
                break
            start = starts[draw, block]
            stop = start + length
            if stop <= n:
                for k in range(columns):
                    out[draw, k] += prefix[stop, k] - prefix[start, k]
            else:
                for k in range(columns):
                    out[draw, k] += prefix[n, k] - prefix[start, k] + prefix[stop - n, k]


@njit(cache=True, nogil=True)
def block_aucs(
    starts: Blocks,
    lengths: Blocks,
    n: int,
    position: NDArray[np.int32],
    positive: NDArray[np.int64],
    last_of_tie: NDArray[np.bool_],
    last_of_group: NDArray[np.bool_],
    out: Floats,
) -> None:
    """Fill `out` (draws,) with the AUC of each draw; NaN where a draw holds no pair.

    Rows are ordered by group, then score. `position` is each row's date, `positive` 1 or 0; pairs count within a group only.
    Everything is summed in whole numbers, ties as halves of two, so that the result does not depend on an order of summation.
    """
    steps = np.empty(n + 1, dtype=np.int64)
    for draw in range(starts.shape[0]):
        steps[:] = 0
        for block in range(starts.shape[1]):
            length = lengths[draw, block]
            if length == 0:
                break
            start = starts[draw, block]
            stop = start + length
            steps[start] += 1
            if stop <= n:
                steps[stop] -= 1
            else:
                steps[0] += 1
                steps[stop - n] -= 1
        for t in range(1, n):
            steps[t] += steps[t - 1]
        concordant, pairs = np.int64(0), np.int64(0)  # the first in halves
        below, above = np.int64(0), np.int64(0)  # negatives under this tie, positives so far in the group
        tied_up, tied_down = np.int64(0), np.int64(0)
        for i in range(position.size):
            weight = steps[position[i]]
            up = weight * positive[i]
            tied_up += up
            tied_down += weight - up
            if last_of_tie[i]:
                concordant += tied_up * (2 * below + tied_down)
                below += tied_down
                above += tied_up
                tied_up, tied_down = np.int64(0), np.int64(0)
                if last_of_group[i]:
                    pairs += above * below
                    below, above = np.int64(0), np.int64(0)
        out[draw] = 0.5 * concordant / pairs if pairs > 0 else np.nan
