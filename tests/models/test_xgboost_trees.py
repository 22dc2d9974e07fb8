"""XGBoost trees: equal seeds, saving, early stop, and one clear line where the package is absent."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from fieldcast.ground import ConfigError, InvalidInput, ShortHistory
from fieldcast.models import BoostedTrees, HeldOut, OddsModel, XGBoostTrees, load_model


def sample(n: int = 1200, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    return X, (rng.random(n) < 1 / (1 + np.exp(-1.5 * X[:, 0]))).astype(float)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.mean(np.where(y == 1, np.log(p), np.log(1 - p))))


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ConfigError, match=r"expected xgboost .*found it is not installed.*fieldcast\[xgboost\]"):
        XGBoostTrees().fit(*sample(300))


def test_the_package_is_not_loaded_by_the_import_of_the_models() -> None:
    import subprocess

    code = "import fieldcast.models, sys; print(sorted({'xgboost', 'sklearn', 'lightgbm', 'optuna'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_a_saved_model_predicts_the_same_bits(tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    X, y = sample()
    X[::7, 1] = np.nan
    model = XGBoostTrees(40, seed=1).fit(X, y)
    digest = model.save(tmp_path / "trees")
    loaded = load_model(tmp_path / "trees", expected=digest)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert loaded.hash == digest == XGBoostTrees(40, seed=1).fit(X, y).hash
    assert digest != XGBoostTrees(40, seed=2).fit(X, y).hash
    assert {path.suffix for path in (tmp_path / "trees").iterdir()} == {".json", ".txt"}
    new, truth = sample(800, 9)
    assert log_loss(model.predict(new), truth) < 0.60


def test_it_predicts_what_the_package_itself_does() -> None:
    xgboost = pytest.importorskip("xgboost")
    from fieldcast.models.xgboost_trees import SETTINGS

    X, y = sample()
    theirs = xgboost.train(SETTINGS | {"max_depth": 3, "eta": 0.05, "seed": 4}, xgboost.DMatrix(X, y), 25)
    np.testing.assert_allclose(XGBoostTrees(25, seed=4).fit(X, y).predict(X), theirs.predict(xgboost.DMatrix(X)), atol=1e-7)


@pytest.mark.parametrize("kind", [BoostedTrees, XGBoostTrees])
def test_an_early_stop_restores_the_best_iteration(kind: type[OddsModel]) -> None:
    pytest.importorskip("xgboost")
    X, y = sample()
    later, answers = sample(400, 11)
    stopped = kind(rounds=400, seed=1, learning_rate=0.3).fit(X, y, held_out=HeldOut(later, answers, patience=15))
    kept = stopped.kept
    assert kept is not None
    assert kept < 400
    whole = [kind(rounds=rounds, seed=1, learning_rate=0.3).fit(X, y) for rounds in range(1, kept + 16)]
    losses = [log_loss(model.predict(later), answers) for model in whole]
    assert int(np.argmin(losses)) + 1 == kept
    np.testing.assert_allclose(stopped.predict(X), whole[kept - 1].predict(X), atol=1e-7)


@pytest.mark.parametrize("kind", [BoostedTrees, XGBoostTrees])
def test_what_cannot_decide_a_stop_is_refused(kind: type[OddsModel]) -> None:
    pytest.importorskip("xgboost")
    X, y = sample()
    with pytest.raises(ShortHistory, match="found 19"):
        kind().fit(X, y, held_out=HeldOut(X[:19], y[:19]))
    with pytest.raises(InvalidInput, match="both classes"):
        kind().fit(X, y, held_out=HeldOut(X[:80], np.zeros(80)))
    with pytest.raises(InvalidInput, match="patience"):
        kind().fit(X, y, held_out=HeldOut(X[:80], y[:80], patience=0))


def test_refusals() -> None:
    pytest.importorskip("xgboost")
    with pytest.raises(InvalidInput, match="depth"):
        XGBoostTrees(depth=0)
    with pytest.raises(InvalidInput, match="without parameters"):
        XGBoostTrees().predict(np.zeros((1, 4)))
    parameters = XGBoostTrees(2).fit(*sample(300)).parameters()
    for broken in ("not json", "{}"):
        with pytest.raises(InvalidInput, match="XGBoost's JSON"):
            XGBoostTrees.from_parameters(parameters | {"booster": broken})
