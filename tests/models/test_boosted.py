"""LightGBM behind our contract."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from fieldcast.evaluation import auc
from fieldcast.ground import InvalidInput
from fieldcast.models import BoostedTrees, Logistic
from fieldcast.models.boosted import SETTINGS


@pytest.fixture(scope="module")
def xor() -> tuple[np.ndarray, np.ndarray]:
    """A sign that lies in the product of two columns: no line can see it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 6))
    y = (rng.random(3000) < np.where(X[:, 0] * X[:, 1] > 0, 0.8, 0.2)).astype(np.float64)
    return X, y


def test_trees_find_an_interaction_that_a_line_cannot(xor: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = xor
    trees = BoostedTrees(seed=1).fit(X[:2000], y[:2000]).predict(X[2000:])
    line = Logistic().fit(X[:2000], y[:2000]).predict(X[2000:])
    assert auc(trees, y[2000:]) > 0.7
    assert auc(line, y[2000:]) < 0.56


def test_one_seed_gives_one_model_and_another_seed_another(xor: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = xor
    one, same, other = (BoostedTrees(rounds=20, seed=s).fit(X, y) for s in (1, 1, 2))
    assert one.hash == same.hash
    assert one.hash != other.hash
    assert not np.array_equal(one.predict(X), other.predict(X))


def test_a_model_is_the_one_that_lightgbm_itself_trains(xor: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = xor
    for rounds, leaves in ((1, 3), (40, 7)):
        settings = SETTINGS | {"num_leaves": leaves, "learning_rate": 0.05, "min_data_in_leaf": 100, "seed": 4}
        theirs = lightgbm.train(settings, lightgbm.Dataset(X, label=y, params=settings), num_boost_round=rounds)
        model = BoostedTrees(rounds=rounds, leaves=leaves, seed=4).fit(X, y)
        assert model.parameters()["booster"] == theirs.model_to_string()
        weights = np.linspace(0.5, 1.5, len(y))
        weighed = lightgbm.Dataset(X, label=y, weight=weights, params=settings)
        theirs = lightgbm.train(settings, weighed, num_boost_round=rounds)
        model = BoostedTrees(rounds=rounds, leaves=leaves, seed=4).fit(X, y, weights=weights)
        assert model.parameters()["booster"] == theirs.model_to_string()


def test_a_missing_covariate_is_learned_from_not_filled(xor: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = xor
    holed = X.copy()
    told = (np.arange(len(y)) % 3 == 0) & (y == 1.0)   # here missing means up
    holed[told, 2] = np.nan
    model = BoostedTrees(seed=1).fit(holed[:2000], y[:2000])
    p = model.predict(holed[2000:])
    assert p[np.isnan(holed[2000:, 2])].mean() > p[~np.isnan(holed[2000:, 2])].mean() + 0.1
    assert np.isfinite(model.predict(np.full((2, 6), np.nan))).all()


def test_pure_noise_gets_odds_near_the_base_rate() -> None:
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(3000, 20)), (rng.random(3000) < 0.53).astype(np.float64)
    p = BoostedTrees(seed=1).fit(X[:2500], y[:2500]).predict(X[2500:])
    assert 0.4 < auc(p, y[2500:]) < 0.6
    assert p.std() < 0.1


def test_settings_are_the_ones_asked_for(xor: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = xor
    parameters = BoostedTrees(rounds=13, leaves=5, seed=4).fit(X, y).parameters()
    text = str(parameters["booster"])
    assert text.count("Tree=") == 13
    assert max(int(line.split("=")[1]) for line in text.splitlines() if line.startswith("num_leaves=")) <= 5
    for setting in ("[max_bin: 31]", "[lambda_l2: 10]", "[num_threads: 1]", "[min_data_in_leaf: 100]", "[seed: 4]"):
        assert setting in text
    assert BoostedTrees(rounds=13).fit(X, y).predict(np.empty((0, 6))).shape == (0,)


@pytest.mark.parametrize("bad", [{"rounds": 0}, {"leaves": 1}, {"learning_rate": 0.0}, {"min_rows_in_leaf": 0}])
def test_senseless_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        BoostedTrees(**bad)


def test_a_broken_booster_text_is_refused(xor: tuple[np.ndarray, np.ndarray]) -> None:
    parameters = BoostedTrees(rounds=5).fit(*xor).parameters()
    with pytest.raises(InvalidInput, match="LightGBM"):
        BoostedTrees.from_parameters(parameters | {"booster": "no model at all"})
