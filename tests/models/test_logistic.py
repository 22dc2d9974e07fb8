"""Logistic regression against scikit-learn, and its corners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.models import Logistic, VolatilityAnchor


def sample(n: int, p: int, seed: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * rng.uniform(0.01, 100.0, p) + rng.normal(size=p) * 10.0
    z = (X - X.mean(0)) / X.std(0)
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-strength * z[:, 0] - 0.2))).astype(np.float64)
    return X, y


@pytest.mark.parametrize(
    ("n", "p", "strength", "l2"),
    [(3000, 30, 0.1, 1.0), (3000, 30, 3.0, 1.0), (300, 8, 30.0, 0.1), (150, 35, 0.5, 10.0), (800, 1, 0.0, 1.0)],
)
def test_same_minimum_as_scikit_learn(n: int, p: int, strength: float, l2: float) -> None:
    from sklearn.linear_model import LogisticRegression

    X, y = sample(n, p, n + p, strength)
    ours = Logistic(l2).fit(X, y)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    theirs = LogisticRegression(C=1.0 / l2, solver="lbfgs", tol=1e-12, max_iter=100_000).fit(Z, y)
    assert ours.weights is not None
    assert np.abs(ours.weights[1:] - theirs.coef_[0]).max() < 1e-6
    assert abs(ours.weights[0] - theirs.intercept_[0]) < 1e-6
    assert np.abs(ours.predict(X) - theirs.predict_proba(Z)[:, 1]).max() < 1e-6


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.floats(0.0, 6.0), st.floats(0.01, 100.0), st.integers(1, 12))
def test_the_gradient_is_zero_at_the_fit(seed: int, strength: float, l2: float, p: int) -> None:
    X, y = sample(200, p, seed, strength)
    if y.min() == y.max():
        return
    model = Logistic(l2).fit(X, y)
    assert model.weights is not None
    Z = np.column_stack([np.ones(200), (X - X.mean(0)) / X.std(0)])
    ridge = np.r_[0.0, np.full(p, l2)] * model.weights
    gradient = Z.T @ (1.0 / (1.0 + np.exp(-Z @ model.weights)) - y) + ridge
    assert np.abs(gradient).max() < 1e-6 * 200


def test_an_earlier_fit_saves_steps_and_changes_nothing() -> None:
    X, y = sample(3000, 30, 7, 0.3)
    first = Logistic().fit(X[:2979], y[:2979])
    cold, warm = Logistic().fit(X, y), Logistic().fit(X, y, start=first)
    assert warm.steps < cold.steps
    assert np.abs(warm.predict(X) - cold.predict(X)).max() < 1e-7
    with pytest.raises(InvalidInput, match="30 columns"):
        Logistic().fit(X, y, start=Logistic().fit(X[:, :4], y))


def test_a_column_that_never_moved_in_training_has_no_say() -> None:
    X, y = sample(400, 3, 1, 1.0)
    X[:, 1] = 7.3
    model = Logistic().fit(X, y)
    moved = X.copy()
    moved[:, 1] = 1e6
    assert np.array_equal(model.predict(X), model.predict(moved))
    assert model.weights is not None
    assert model.weights[2] == 0.0


def test_separable_rows_and_copied_columns_have_a_finite_fit() -> None:
    X, _ = sample(300, 3, 2, 1.0)
    X = np.column_stack([X, X, X[:, 0] * 1e-9 + 5.0])
    y = (X[:, 0] > np.median(X[:, 0])).astype(np.float64)
    p = Logistic(1e-3).fit(X, y).predict(X)
    assert ((p > 0.5) == (y == 1.0)).all()


def test_scaling_a_column_changes_nothing() -> None:
    X, y = sample(500, 4, 3, 1.0)
    assert np.allclose(Logistic().fit(X, y).predict(X), Logistic().fit(X * 1e4 - 3.0, y).predict(X * 1e4 - 3.0),
    atol=1e-9)


def test_the_ridge_must_be_positive() -> None:
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="l2 > 0"):
            Logistic(bad)


def test_the_anchor_takes_exactly_its_named_columns() -> None:
    X, y = sample(400, 2, 4, 1.0)
    anchor = VolatilityAnchor(("log_atr_pct", "log_vix")).fit(X, y)
    assert anchor.name == "volatility_anchor[log_atr_pct+log_vix]"
    assert np.array_equal(anchor.predict(X), Logistic().fit(X, y).predict(X))
    with pytest.raises(InvalidInput, match="2 feature columns"):
        VolatilityAnchor(("log_atr_pct", "log_vix")).fit(X[:, :1], y)
    with pytest.raises(InvalidInput, match="distinct"):
        VolatilityAnchor(("a", "a"))
