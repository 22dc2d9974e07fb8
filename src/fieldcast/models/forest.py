"""Random forest: the mean of many deep-ish trees, each grown on a bootstrap sample with a random choice of columns.

    P(y = 1 | x) = mean over trees of (share of ones among the training rows in x's leaf, each counted as its weight says)

Grown by scikit-learn (Breiman 2001; the variant that averages shares instead of votes), then taken over as plain
arrays: a saved forest is JSON and needs no scikit-learn to predict. A row goes left at a node where
`float32(x) <= threshold`, as in scikit-learn, whose trees read 32-bit features.

Set in advance and not tuned: 200 trees, at least 50 rows a leaf, the square root of the number of columns at each
split. One thread; equal seeds give equal forests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats, OddsModel, check_features, check_labels, check_weights, not_fitted

_EDGE = 1e-9
_LEAF = -1  # as a child's number: the node is a leaf


@dataclass(frozen=True)
class _Tree:
    """One tree: (m,) arrays over its nodes; node 0 is the root, `left` is -1 at a leaf."""

    column: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    share: Floats  # of ones among the training rows that reached the node

    def predict(self, table: NDArray[np.float32]) -> Floats:
        node = np.zeros(len(table), dtype=np.int64)
        rows = np.arange(len(table))
        while rows.size:
            here = node[rows]
            inner = self.left[here] != _LEAF
            rows, here = rows[inner], here[inner]
            goes_left = table[rows, self.column[here]] <= self.threshold[here]
            node[rows] = np.where(goes_left, self.left[here], self.right[here])
        return self.share[node]


class RandomForest(OddsModel):
    """Bagged classification trees.

    Parameters
    ----------
    trees : 1 to 1000
    seed : of the bootstrap samples and the choice of columns
    min_rows_in_leaf : at least so many training rows in each leaf
    """

    kind: ClassVar[str] = "random_forest"

    def __init__(self, trees: int = 200, seed: int = 0, *, min_rows_in_leaf: int = 50) -> None:
        if not 1 <= trees <= 1000 or min_rows_in_leaf < 1 or not 0 <= seed < 2**32:
            raise InvalidInput(
                f"expected 1..1000 trees, min_rows_in_leaf >= 1 and a seed in [0, 2^32), found {trees}, "
                f"{min_rows_in_leaf}, {seed}"
            )
        self.trees, self.seed, self.min_rows_in_leaf = int(trees), int(seed), int(min_rows_in_leaf)
        self.rows = 0
        self.columns = 0
        self._grown: tuple[_Tree, ...] = ()

    def fit(self, X: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Self:
        from sklearn.ensemble import RandomForestClassifier

        table = _narrow(check_features(X, missing_allowed=False))
        labels = check_labels(y, len(table))
        forest = RandomForestClassifier(
            n_estimators=self.trees,
            min_samples_leaf=self.min_rows_in_leaf,
            max_features="sqrt",
            random_state=self.seed,
            n_jobs=1,
        ).fit(table, labels, sample_weight=check_weights(weights, len(table)))
        self._grown = tuple(_taken(estimator.tree_) for estimator in forest.estimators_)
        self.rows, self.columns = table.shape
        return self

    def predict(self, X: ArrayLike) -> Floats:
        if not self._grown:
            raise not_fitted(self)
        table = _narrow(check_features(X, missing_allowed=False, columns=self.columns))
        total = np.zeros(len(table))
        for tree in self._grown:
            total += tree.predict(table)
        return np.clip(total / len(self._grown), _EDGE, 1.0 - _EDGE)

    def parameters(self) -> dict[str, Any]:
        if not self._grown:
            raise not_fitted(self)
        return {
            "trees": self.trees,
            "seed": self.seed,
            "min_rows_in_leaf": self.min_rows_in_leaf,
            "rows": self.rows,
            "columns": self.columns,
            "grown": [{name: getattr(tree, name).tolist() for name in _Tree.__dataclass_fields__} for tree in self._grown],
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        model = cls(
            trees=int(parameters["trees"]),
            seed=int(parameters["seed"]),
            min_rows_in_leaf=int(parameters["min_rows_in_leaf"]),
        )
        model.rows, model.columns = int(parameters["rows"]), int(parameters["columns"])
        model._grown = tuple(_read(tree, model.columns) for tree in parameters["grown"])
        if len(model._grown) != model.trees:
            raise InvalidInput(f"expected {model.trees} trees in a forest, found {len(model._grown)}")
        return model


def _narrow(table: Floats) -> NDArray[np.float32]:
    """The 32-bit features that trees are grown on and asked with; refuses what 32 bits cannot hold."""
    with np.errstate(over="ignore"):
        narrow = table.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise InvalidInput("expected features below 3e38 in size, which a 32-bit tree can hold; scale them")
    return narrow


def _taken(tree: Any) -> _Tree:
    """scikit-learn's tree as arrays; its `value` is (m, 1, 2), the weight of each class at a node."""
    value = np.asarray(tree.value, dtype=np.float64)[:, 0, :]
    leaf = np.asarray(tree.children_left) == _LEAF
    return _Tree(
        column=np.where(leaf, 0, tree.feature).astype(np.int64),
        threshold=np.where(leaf, 0.0, tree.threshold).astype(np.float64),
        left=np.asarray(tree.children_left, dtype=np.int64),
        right=np.asarray(tree.children_right, dtype=np.int64),
        share=value[:, 1] / value.sum(axis=1),
    )


def _read(found: Mapping[str, Any], columns: int) -> _Tree:
    """A tree from JSON; refuses one whose nodes point outside it, back up, or at a column that is not there."""
    column, left, right = (np.asarray(found[name], dtype=np.int64) for name in ("column", "left", "right"))
    threshold, share = (np.asarray(found[name], dtype=np.float64) for name in ("threshold", "share"))
    tree = _Tree(column, threshold, left, right, share)
    nodes = len(tree.left)
    inner = tree.left != _LEAF
    here = np.flatnonzero(inner)
    children = np.concatenate([tree.left[inner], tree.right[inner]])
    sizes = {len(column), len(left), len(right), len(threshold), len(share)}
    if not nodes or sizes != {nodes} or ((tree.column < 0) | (tree.column >= columns)).any():
        raise InvalidInput(f"expected a tree over {columns} columns with arrays of one length, found something else")
    if (children >= nodes).any() or (children <= np.concatenate([here, here])).any():
        raise InvalidInput("expected a tree whose nodes point downwards, found one that does not")
    return tree
