"""Multilayer perceptron: scikit-learn's own odds from plain arrays, equal seeds, refusals."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from fieldcast.ground import InvalidInput
from fieldcast.models import MultilayerPerceptron, load_model


def sample(n: int = 600, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [1.0, 100.0, 1e-3]
    return X, (X[:, 0] > 0).astype(float)


def test_it_predicts_what_scikit_learn_does() -> None:
    X, y = sample()
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MLPClassifier((16,), alpha=1.0, batch_size=256, max_iter=30, tol=0.0, n_iter_no_change=31, random_state=5).fit(
            z, y
        )
    ours = MultilayerPerceptron(passes=30, seed=5).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict_proba(z)[:, 1], rtol=0, atol=1e-12)


def test_it_learns_a_planted_signal_and_a_saved_one_predicts_the_same_bits(tmp_path: Path) -> None:
    X, y = sample()
    new, truth = sample(400, 8)
    model = MultilayerPerceptron(passes=60, seed=2).fit(X, y)
    assert np.mean((model.predict(new) > 0.5) == truth) > 0.9
    digest = model.save(tmp_path / "mlp")
    assert np.array_equal(load_model(tmp_path / "mlp", expected=digest).predict(new), model.predict(new))
    assert {path.suffix for path in (tmp_path / "mlp").iterdir()} == {".json"}
    assert digest == MultilayerPerceptron(passes=60, seed=2).fit(X, y).hash
    assert digest != MultilayerPerceptron(passes=60, seed=3).fit(X, y).hash


def test_a_flat_column_is_not_used_and_an_odd_row_does_not_blow_up() -> None:
    X, y = sample()
    X[:, 1] = 7.0
    model = MultilayerPerceptron(passes=5).fit(X, y)
    moved = X.copy()
    moved[:, 1] = 1e6
    assert np.array_equal(model.predict(moved), model.predict(X))
    assert 0.0 < model.predict(X * 1e9)[0] < 1.0


def test_refusals() -> None:
    X, y = sample()
    with pytest.raises(InvalidInput, match="without parameters"):
        MultilayerPerceptron().predict(X)
    with pytest.raises(InvalidInput, match="hidden"):
        MultilayerPerceptron(0)
    with pytest.raises(InvalidInput, match="alpha"):
        MultilayerPerceptron(alpha=-1.0)
    parameters = MultilayerPerceptron(passes=2).fit(X, y).parameters()
    with pytest.raises(InvalidInput, match="shapes"):
        MultilayerPerceptron.from_parameters(parameters | {"second": [1.0]})
