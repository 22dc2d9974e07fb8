"""Sample weights in every learner: what weighs more is learned more, ones change nothing, and what is no weight is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fieldcast.ground import InvalidInput
from fieldcast.models import (
    BaseRate,
    BoostedTrees,
    Logistic,
    MultilayerPerceptron,
    OddsModel,
    PerRegime,
    QuantileBoosted,
    RandomForest,
    VolatilityAnchor,
    XGBoostTrees,
    model_kinds,
)

ROWS = 1200
MAKERS: dict[str, Callable[[], OddsModel]] = {
    "base_rate": BaseRate,
    "logistic": Logistic,
    "volatility_anchor": lambda: VolatilityAnchor(("a", "b")),
    "boosted_trees": lambda: BoostedTrees(rounds=20, min_rows_in_leaf=30),
    "xgboost_trees": lambda: XGBoostTrees(rounds=20),
    "random_forest": lambda: RandomForest(trees=10),
    "mlp": lambda: MultilayerPerceptron(passes=20, learning_rate=0.01),
    "per_regime": lambda: PerRegime("logistic", minimum_rows=100),
}


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two worlds of equal size: in the first the odds rise with the first column, in the second they fall with it."""
    random = np.random.default_rng(2)
    X = np.column_stack([random.standard_normal(ROWS), random.integers(0, 2, ROWS)])
    first = np.arange(ROWS) % 2 == 0
    y = (random.random(ROWS) < 1 / (1 + np.exp(-np.where(first, 2.0, -2.0) * X[:, 0] - np.where(first, 1.0, -1.0)))).astype(float)
    return X, y, first


def test_every_kind_is_asked_here() -> None:
    assert set(MAKERS) == set(model_kinds())


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_the_world_that_weighs_more_is_the_one_that_is_learned(
    kind: str, rows: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    if kind == "xgboost_trees":
        pytest.importorskip("xgboost", reason="the extra xgboost is not installed")
    X, y, first = rows
    heavy = np.where(first, 1.9, 0.1)
    one, other = (MAKERS[kind]().fit(X, y, weights=w / w.mean()) for w in (heavy, 2.0 - heavy))
    up, down = np.array([[1.5, 0.0], [1.5, 1.0]]), np.array([[-1.5, 0.0], [-1.5, 1.0]])
    assert (one.predict(up) > other.predict(up) + 0.1).all()
    if kind != "base_rate":
        assert (one.predict(down) < one.predict(up) - 0.1).all()
        assert (other.predict(down) > other.predict(up) + 0.1).all()
    if kind != "random_forest":  # whose bootstrap draws rows by their weight, from other random numbers
        plain, ones = MAKERS[kind]().fit(X, y), MAKERS[kind]().fit(X, y, weights=np.ones(ROWS))
        np.testing.assert_allclose(ones.predict(X), plain.predict(X), atol=1e-6)


def test_a_weighted_logistic_is_that_of_scikit_learn(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    X, y, _ = rows
    weights = np.random.default_rng(4).exponential(size=ROWS) + 0.01
    weights /= weights.mean()
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(z, y, sample_weight=weights)
    ours = Logistic(2.0).fit(X, y, weights=weights)
    np.testing.assert_allclose(ours.predict(X), theirs.predict_proba(z)[:, 1], atol=1e-6)


def test_weighted_quantiles_follow_the_rows_that_weigh(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    X, _, first = rows
    target = np.where(first, 1.0, -1.0) + 0.1 * X[:, 0]
    heavy = np.where(first, 1.9, 0.1)
    model = QuantileBoosted((0.25, 0.5, 0.75), rounds=60, min_rows_in_leaf=30, learning_rate=0.2)
    assert model.fit(X, target, weights=heavy).predict(X)[:, 1].mean() > 0.5
    assert model.fit(X, target, weights=2.0 - heavy).predict(X)[:, 1].mean() < -0.5
    with pytest.raises(InvalidInput, match="mean 1"):
        model.fit(X, target, weights=heavy * 2)


@pytest.mark.parametrize(
    "bad", [np.ones(ROWS - 1), np.full(ROWS, 2.0), np.r_[0.0, np.full(ROWS - 1, ROWS / (ROWS - 1))], np.full(ROWS, np.nan)]
)
def test_what_is_no_weight_is_refused_by_every_learner(bad: np.ndarray, rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    X, y, _ = rows
    for kind, make in MAKERS.items():
        if kind == "xgboost_trees":
            continue  # an extra; the check is the contract's own
        with pytest.raises(InvalidInput, match="weights"):
            make().fit(X, y, weights=bad)
