"""Was the best of many configurations the best by luck? Probability of backtest overfitting.

Combinatorially symmetric cross-validation of a (T, N) matrix of returns, one column a configuration: the rows are cut into S
blocks that follow each other, and every choice of S/2 of them is once in-sample, the rest out of sample.

    n*       the best column in-sample
    w        its rank out of sample / (N + 1)                    1 worst, N best; equal ones share the mean of their ranks
    lambda   ln(w / (1 - w))
    PBO      share of the choices with lambda <= 0               the winner was no better than the median

Source: Bailey, Borwein, Lopez de Prado and Zhu (2017). On a single matrix of pure noise PBO comes out anywhere from about 0.15
to 0.8, so it is printed with the matrix's shape, and is no gate by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, finite
from fieldcast.ground import InvalidInput, MissingData

BLOCKS = 16
MOST_BLOCKS = 20  # 184,756 choices


@dataclass(frozen=True, eq=False)
class Overfitting:
    """Probability of backtest overfitting of `columns` configurations over `rows` periods, by `splits` choices of blocks.

    `logits` (splits,) are the lambdas; `slope` that of the winner's out-of-sample figure on its in-sample one (below zero: the
    better it looked, the worse it did; NaN where all winners looked alike); `loss` the share of the choices in which the winner's
    out-of-sample figure was below zero.
    """

    probability: float
    logits: Array
    slope: float
    loss: float
    metric: str
    rows: int
    columns: int
    blocks: int

    @property
    def splits(self) -> int:
        return self.logits.size

    def __str__(self) -> str:
        return (
            f"PBO {self.probability:.3f} ({self.rows} x {self.columns} matrix of returns, {self.blocks} blocks, {self.splits} "
            f"splits, by {self.metric}); on one matrix of noise 0.15 to 0.8 is usual"
        )


def backtest_overfitting(
    returns: ArrayLike, *, blocks: int = BLOCKS, metric: Literal["sharpe", "mean"] = "sharpe"
) -> Overfitting:
    """Probability that the in-sample winner is no better than the median out of sample.

    Parameters
    ----------
    returns : (T, N) per-period returns, rows in time order, N >= 2 configurations on identical periods
    blocks : S, even, from 4 to 20; their lengths differ by one row at most
    metric : what picks the winner: per-period Sharpe ratio, or mean

    Raises
    ------
    InvalidInput : an odd or unusable number of blocks, or one column
    MissingData : fewer than two rows a block, or a column that does not vary over half of the rows
    """
    table = finite("returns", returns, ndim=2)
    rows, columns = table.shape
    if blocks % 2 or not 4 <= blocks <= MOST_BLOCKS:
        raise InvalidInput(f"expected an even number of blocks from 4 to {MOST_BLOCKS}, found {blocks}")
    if columns < 2:
        raise InvalidInput("expected at least two configurations, found one: there is nothing to choose from")
    if metric not in ("sharpe", "mean"):
        raise InvalidInput(f"expected the metric sharpe or mean, found {metric!r}")
    if rows < 2 * blocks:
        raise MissingData(f"expected at least {2 * blocks} rows for {blocks} blocks, found {rows}")
    looked, figure, rank = _winners(table, blocks, metric)
    w = rank / (columns + 1)
    logits = np.log(w / (1.0 - w))
    spread = float(looked.var())
    return Overfitting(
        probability=float(np.mean(logits <= 0.0)),
        logits=logits,
        slope=float(np.mean((looked - looked.mean()) * figure)) / spread if spread > 0.0 else float("nan"),
        loss=float(np.mean(figure < 0.0)),
        metric=metric,
        rows=rows,
        columns=columns,
        blocks=blocks,
    )


def _winners(table: Array, blocks: int, metric: str) -> tuple[Array, Array, Array]:
    """Of each choice of half of the blocks: the winner's figure inside, its figure outside, its mid-rank outside; (choices,)."""
    from fieldcast.evaluation._kernels_overfitting import choice_figures, winners

    edges = np.linspace(0, len(table), blocks + 1).astype(int)
    level = table.mean(axis=0)
    centred = table - level  # so that a variance is no difference of large numbers
    choices = _choices(blocks)
    figures = np.empty((len(choices), table.shape[1]))
    varies = choice_figures(
        choices,
        np.diff(edges).astype(np.float64),
        np.add.reduceat(centred, edges[:-1], axis=0),
        np.add.reduceat(np.square(centred), edges[:-1], axis=0),
        level,
        1e-14 * np.square(table).max(axis=0),
        metric == "mean",
        figures,
    )
    if not varies:
        raise MissingData("expected returns that vary over every half of the rows, found a column that does not; leave it out")
    looked, did, ranks = np.empty((3, len(choices)))
    winners(figures, looked, did, ranks)
    return looked, did, ranks


@lru_cache(maxsize=2)
def _choices(blocks: int) -> NDArray[np.int64]:
    """(C(S, S/2), S/2) blocks of each choice, in lexicographic order: the i-th from the end is the complement of the i-th."""
    return np.array(list(combinations(range(blocks), blocks // 2)), dtype=np.int64)
