"""Random forest: scikit-learn's own odds from plain arrays, equal seeds, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from fieldcast.ground import IntegrityError, InvalidInput
from fieldcast.models import RandomForest, load_model


def sample(n: int = 600, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    return X, (rng.random(n) < 1 / (1 + np.exp(-X[:, 0] * X[:, 1]))).astype(float)


def test_it_predicts_what_scikit_learn_does() -> None:
    X, y = sample()
    new = sample(300, 4)[0]
    theirs = RandomForestClassifier(n_estimators=25, min_samples_leaf=20, max_features="sqrt", random_state=9).fit(
        X.astype(np.float32), y
    )
    ours = RandomForest(25, seed=9, min_rows_in_leaf=20).fit(X, y)
    np.testing.assert_allclose(ours.predict(new), theirs.predict_proba(new.astype(np.float32))[:, 1], rtol=0, atol=1e-12)


def test_a_saved_forest_predicts_the_same_bits_without_pickle(tmp_path: Path) -> None:
    X, y = sample()
    model = RandomForest(10, seed=1, min_rows_in_leaf=20).fit(X, y)
    digest = model.save(tmp_path / "forest")
    loaded = load_model(tmp_path / "forest", expected=digest)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert {path.suffix for path in (tmp_path / "forest").iterdir()} == {".json"}
    assert digest == RandomForest(10, seed=1, min_rows_in_leaf=20).fit(X, y).hash
    assert digest != RandomForest(10, seed=2, min_rows_in_leaf=20).fit(X, y).hash
    with pytest.raises(IntegrityError):
        load_model(tmp_path / "forest", expected="0" * 64)


@pytest.mark.parametrize("change", [{"left": 99}, {"left": 0}, {"column": 4}])
def test_a_tree_that_points_nowhere_is_refused(change: dict[str, int]) -> None:
    X, y = sample()
    parameters = RandomForest(1, min_rows_in_leaf=20).fit(X, y).parameters()
    for name, value in change.items():
        parameters["grown"][0][name][0] = value
    with pytest.raises(InvalidInput):
        RandomForest.from_parameters(parameters)


def test_refusals() -> None:
    X, y = sample()
    with pytest.raises(InvalidInput, match="without parameters"):
        RandomForest().predict(X)
    with pytest.raises(InvalidInput, match="NaN"):
        RandomForest().fit(np.where(np.arange(len(X))[:, None] == 3, np.nan, X), y)
    with pytest.raises(InvalidInput, match="32-bit"):
        RandomForest(1).fit(X * 1e300, y)
    with pytest.raises(InvalidInput, match="only 1"):
        RandomForest(1).fit(X, np.ones(len(y)))
    with pytest.raises(InvalidInput, match="trees"):
        RandomForest(0)
    with pytest.raises(InvalidInput, match="4 feature columns"):
        RandomForest(1, min_rows_in_leaf=20).fit(X, y).predict(X[:, :2])
