"""Measures of columns on training rows: relation to the label, to each other, and how steady both are. Nothing is fitted.

    correlation    Spearman's rank correlation with the label
    mutual_information    sum p(a, b) log [p(a, b) / p(a) p(b)] over quantile bins, less its bias under independence
                   (A - 1)(B - 1) / 2n (Miller 1955, Madow), in nats
    redundancy     largest |rank correlation| with a column that is kept already
    stability      over blocks of consecutive rows: spread of the correlation beyond what n_block rows give by chance,
                   sqrt(max(0, var - 1 / n_block)) / |mean|

What a column is worth to a model needs a model: `models.curation`, which decides.
Source: ts-scaling study, 2.2 (its four measures and limits).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fieldcast.features._inputs import Array
from fieldcast.ground import InvalidInput

BINS, BLOCKS = 8, 5
FEWEST = 60


def checked(X: npt.ArrayLike, y: npt.ArrayLike | None = None) -> tuple[Array, Array]:
    """Training rows as arrays; y is empty where it was not given.

    Raises
    ------
    InvalidInput : fewer than 60 rows, other lengths, NaN or infinity
    """
    table = np.asarray(X, dtype=np.float64)
    label = np.empty(0) if y is None else np.asarray(y, dtype=np.float64)
    if table.ndim != 2 or len(table) < FEWEST or (y is not None and label.shape != (len(table),)):
        raise InvalidInput(f"expected at least {FEWEST} training rows with a label each, found {table.shape} and {label.shape}")
    if not np.isfinite(table).all() or not np.isfinite(label).all():
        raise InvalidInput("expected finite columns and labels, found NaN or infinity; drop those rows")
    return table, label


def correlation(X: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """Rank correlation of each column with the label; (p,) in [-1, 1], NaN for a column that does not vary."""
    table, label = checked(X, y)
    ranked, of_label = _ranks(table), _ranks(label[:, None])
    out: Array = (ranked.T @ of_label)[:, 0]
    return out


def correlations(X: npt.ArrayLike) -> Array:
    """Rank correlations of the columns with each other; (p, p), NaN where a column does not vary."""
    ranked = _ranks(checked(X)[0])
    out: Array = np.clip(ranked.T @ ranked, -1.0, 1.0)
    return out


def mutual_information(X: npt.ArrayLike, y: npt.ArrayLike, bins: int = BINS, *, effective: float | None = None) -> Array:
    """Mutual information of each column with the label in nats, its bias taken off; (p,), below zero where there is none.

    Parameters
    ----------
    effective : rows that the rows are worth where their labels overlap; None = all of them. The bias is that of so many
    """
    table, label = checked(X, y)
    n = _effective(effective, len(table))
    if bins < 2:
        raise InvalidInput(f"expected at least 2 bins, found {bins}")
    classes = _binned(label, bins)
    return np.array([_information(_binned(column, bins), classes, n) for column in table.T])


def information_noise(X: npt.ArrayLike, y: npt.ArrayLike, bins: int = BINS, *, effective: float | None = None) -> Array:
    """(p,) standard deviation of `mutual_information` where column and label are independent, sqrt((A - 1)(B - 1) / 2) / n,
    with n the `effective` rows."""
    table, label = checked(X, y)
    n = _effective(effective, len(table))
    classes = np.unique(_binned(label, bins)).size
    cells = np.array([(np.unique(_binned(column, bins)).size - 1) * (classes - 1) for column in table.T])
    out: Array = np.sqrt(cells / 2.0) / n
    return out


def twins(X: npt.ArrayLike, order: Sequence[int], limit: float) -> dict[int, tuple[int, float]]:
    """Columns that repeat another: place → (place of the column that stays, their |rank correlation|).

    Parameters
    ----------
    order : every place once, the most valuable first: of two that repeat each other the earlier one stays
    limit : |rank correlation| from which on a column repeats another
    """
    size = np.abs(np.nan_to_num(correlations(X)))
    if sorted(order) != list(range(size.shape[0])) or not 0.0 < limit <= 1.0:
        raise InvalidInput(f"expected every column once in the order and a limit in (0, 1], found {list(order)} and {limit}")
    kept: list[int] = []
    found: dict[int, tuple[int, float]] = {}
    for place in order:
        nearest = max(kept, key=lambda other: size[place, other], default=None)
        if nearest is not None and size[place, nearest] >= limit:
            found[place] = (nearest, float(size[place, nearest]))
        else:
            kept.append(place)
    return found


def stability(X: npt.ArrayLike, y: npt.ArrayLike, blocks: int = BLOCKS, *, effective: float | None = None) -> Array:
    """How unsteady each column's correlation is over time; (p,) at or above 0, infinite where its mean is zero.

    `effective` rows are what the rows are worth where their labels overlap: what chance alone gives is that of so many.
    A block in which column or label does not vary says nothing and does not count; NaN where fewer than two blocks do.
    """
    table, label = checked(X, y)
    if not 2 <= blocks <= len(table) // 10:
        raise InvalidInput(f"expected 2 to {len(table) // 10} blocks of at least 10 rows, found {blocks}")
    parts = np.array_split(np.arange(len(table)), blocks)
    found = np.array([(_ranks(table[rows]).T @ _ranks(label[rows][:, None]))[:, 0] for rows in parts])
    out = np.full(table.shape[1], np.nan)
    chance = 1.0 / (_effective(effective, len(table)) / blocks)
    for place, values in enumerate(found.T):
        known = values[~np.isnan(values)]
        if known.size >= 2:
            spread = np.sqrt(max(0.0, float(known.var(ddof=1)) - chance))
            mean = abs(float(known.mean()))
            out[place] = 0.0 if spread == 0.0 else np.inf if mean == 0.0 else spread / mean
    return out


def _ranks(table: Array) -> Array:
    """Columns as centred ranks of length 1, ties in the middle; NaN where a column does not vary."""
    from scipy.stats import rankdata

    ranked = rankdata(table, axis=0)
    ranked -= ranked.mean(axis=0)
    length = np.sqrt((ranked**2).sum(axis=0))
    out: Array = np.full(ranked.shape, np.nan)
    np.divide(ranked, length, out=out, where=length > 0)
    return out


def _binned(values: Array, bins: int) -> npt.NDArray[np.int64]:
    """Class of each value: itself where there are at most `bins` distinct ones, else its quantile bin."""
    distinct, place = np.unique(values, return_inverse=True)
    if distinct.size <= bins:
        return place.astype(np.int64)
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def _effective(effective: float | None, rows: int) -> float:
    found = float(rows) if effective is None else float(effective)
    if not 1.0 <= found <= rows:
        raise InvalidInput(f"expected 1 to {rows} effective rows, found {found}")
    return found


def _information(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], effective: float) -> float:
    """Plug-in mutual information of two series of classes less its bias over so many independent rows."""
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1.0)
    joint = joint[joint.sum(axis=1) > 0][:, joint.sum(axis=0) > 0]
    n = float(joint.sum())
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True) / n
    seen = joint > 0
    plain = float((joint[seen] * np.log(joint[seen] / expected[seen])).sum() / n)
    cells = float((joint.shape[0] - 1) * (joint.shape[1] - 1))
    return plain - cells / (2.0 * effective)
