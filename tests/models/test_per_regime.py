"""A model a regime: who answers, why the pooled model does, and what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.models import Logistic, PerRegime, load_model, strongest


def sample(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The slope changes its sign with the regime; regime 2 has 40 rows, regime 3 one class."""
    rng = np.random.default_rng(seed)
    n = 1500
    regime = rng.integers(0, 2, n).astype(float)
    regime[:40], regime[40:340] = 2.0, 3.0
    x = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-2.0 * x * np.where(regime == 0, 1, -1)))).astype(float)
    y[40:340] = 1.0
    return np.column_stack([x, rng.normal(size=n), regime]), y


def test_each_regime_has_the_model_that_its_own_rows_give_and_the_pooled_one_answers_else() -> None:
    X, y = sample()
    model = PerRegime("logistic", {"l2": 2.0}, minimum_rows=100).fit(X, y)
    for code in (0, 1):
        own = X[:, 2] == code
        alone = Logistic(2.0).fit(X[own, :2], y[own])
        assert model.models[code].hash == alone.hash
        assert np.array_equal(model.predict(X)[own], alone.predict(X[own, :2]))
    pooled = Logistic(2.0).fit(X[:, :2], y)
    rare = np.isin(X[:, 2], [2, 3])
    assert np.array_equal(model.predict(X)[rare], pooled.predict(X[rare, :2]))
    assert model.fallback == {2: "40 training rows, fewer than 100", 3: "one class among 300 training rows"}
    odd = np.array([[0.1, 0.2, 0.0], [0.1, 0.2, 2.0], [0.1, 0.2, 9.0], [0.1, 0.2, np.nan]])
    assert model.answered_by(odd) == [
        "regime 0",
        "pooled (40 training rows, fewer than 100)",
        "pooled (the regime did not occur in training)",
        "pooled (the regime is not known)",
    ]
    assert np.array_equal(model.predict(odd[1:]), pooled.predict(odd[1:, :2]))


def test_it_beats_the_pooled_model_where_the_regime_matters() -> None:
    X, y = sample()
    new, truth = sample(2)
    rows = np.isin(new[:, 2], [0, 1])
    ours = PerRegime("logistic").fit(X, y).predict(new)[rows]
    pooled = Logistic().fit(X[:, :2], y).predict(new[:, :2])[rows]
    assert np.mean((ours > 0.5) == truth[rows]) > np.mean((pooled > 0.5) == truth[rows]) + 0.2


@pytest.mark.parametrize("base", ["logistic", "boosted_trees", "random_forest"])
def test_a_saved_one_predicts_the_same_bits(base: str, tmp_path: Path) -> None:
    X, y = sample()
    settings = {"random_forest": {"trees": 5}, "boosted_trees": {"rounds": 5}}.get(base, {})
    model = PerRegime(base, settings).fit(X, y)
    loaded = load_model(tmp_path / base, expected=model.save(tmp_path / base))
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert isinstance(loaded, PerRegime)
    assert loaded.fallback == model.fallback


def test_refusals() -> None:
    X, y = sample()
    with pytest.raises(InvalidInput, match="expected a base"):
        PerRegime("oracle")
    with pytest.raises(InvalidInput, match="settings of logistic"):
        PerRegime("logistic", {"leaves": 3})
    with pytest.raises(InvalidInput, match="per_regime"):
        PerRegime("per_regime")
    with pytest.raises(InvalidInput, match="whole numbers"):
        PerRegime().fit(X + 0.5, y)
    with pytest.raises(InvalidInput, match="beside features"):
        PerRegime(regime_column=3).fit(X, y)
    with pytest.raises(InvalidInput, match="without parameters"):
        PerRegime().predict(X)


def test_the_strongest_membership_is_the_regime() -> None:
    found = strongest([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [np.nan, 1.0, 0.0]])
    np.testing.assert_array_equal(found, [1.0, 0.0, np.nan, np.nan])
