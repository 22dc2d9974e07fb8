"""In-sample winners of every choice of blocks, and where they come out of sample; the equations stand in `overfitting`."""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def choice_figures(
    choices: NDArray[np.int64],
    rows: Floats,
    sums: Floats,
    squares: Floats,
    level: Floats,
    least: Floats,
    by_mean: bool,
    out: Floats,
) -> bool:
    """Fill `out` (choices, N) with each column's Sharpe ratio (or mean) on the chosen blocks; False where one does not vary.

    `rows` (S,), `sums` and `squares` (S, N) are of each block about the columns' means, which are `level`; a variance not above
    `least` (N,) is none.
    """
    columns = sums.shape[1]
    square = np.empty(columns)
    for i in range(choices.shape[0]):
        n = 0.0
        figure = out[i]
        figure[:] = 0.0
        square[:] = 0.0
        for j in range(choices.shape[1]):
            block = choices[i, j]
            n += rows[block]
            for k in range(columns):
                figure[k] += sums[block, k]
                square[k] += squares[block, k]
        for k in range(columns):
            mean = figure[k] / n
            figure[k] = mean + level[k]
            if not by_mean:
                variance = (square[k] / n - mean * mean) * n / (n - 1.0)
                if variance <= least[k]:
                    return False
                figure[k] /= math.sqrt(variance)
    return True


@njit(cache=True, nogil=True)
def winners(figures: Floats, looked: Floats, did: Floats, ranks: Floats) -> None:
    """Each choice's winner: its figure in-sample, and its figure and mid-rank on the complement, the same row from the end."""
    choices, columns = figures.shape
    for i in range(choices):
        inside, outside = figures[i], figures[choices - 1 - i]
        best = 0
        for k in range(1, columns):
            if inside[k] > inside[best]:
                best = k
        below, same = 0, 0
        for k in range(columns):
            below += outside[k] < outside[best]
            same += outside[k] == outside[best]
        looked[i], did[i], ranks[i] = inside[best], outside[best], below + (same + 1) / 2.0
