"""M04: Gradient-boosted multi-task models (LightGBM, XGBoost), stacking, per-regime models.

Done when: "One model per symbol, horizon and task is fitted, and the stacker sees out-of-fold predictions only"
"""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.models import (
    BoostedTrees,
    Logistic,
    OutOfFold,
    Stacker,
    Task,
    TaskData,
    fit_tasks,
    out_of_fold,
)

pytestmark = pytest.mark.feature("M04")
OPEN_PARTS: tuple[str, ...] = ("XGBoost", "per-regime models")


def sample(seed: int, n: int = 900) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    eta = 0.8 * X[:, 0] + np.where(X[:, 1] * X[:, 2] > 0, 0.6, -0.6)
    return X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(np.float64)


def test_one_lightgbm_model_a_symbol_horizon_and_task() -> None:
    tasks = [
        Task(symbol, horizon, label)
        for symbol in ("XNAS:COMP", "XCBO:SPX")
        for horizon in (1, 5)
        for label in ("sign", "high_reaches_1pct")
    ]
    data = {task: TaskData(*sample(seed)) for seed, task in enumerate(tasks)}
    models = fit_tasks(data, lambda task: BoostedTrees(rounds=15, seed=1))
    assert set(models.models) == set(tasks)
    assert len({id(model) for model in models.models.values()}) == len({m.hash for m in models.models.values()}) == 8
    for task in tasks:
        alone = BoostedTrees(rounds=15, seed=1).fit(data[task].X, data[task].y)
        assert np.array_equal(models.predict(task, data[task].X), alone.predict(data[task].X))
    with pytest.raises(MissingData):
        models.predict(Task("XNAS:COMP", 2, "sign"), data[tasks[0]].X)


def test_the_stacker_sees_out_of_fold_predictions_only() -> None:
    X, y = sample(50)
    folds = [(np.arange(start), np.arange(start, start + 150)) for start in range(300, 900, 150)]
    seen: list[tuple[int, int]] = []

    class Spy(Logistic):
        def fit(self, X: object, y: object, **_: object) -> Spy:
            self.fitted_on = {row.tobytes() for row in np.asarray(X)}
            super().fit(X, y)  # type: ignore[arg-type]
            return self

        def predict(self, X: object) -> np.ndarray:
            rows = {row.tobytes() for row in np.asarray(X)}
            seen.append((len(rows), len(rows & self.fitted_on)))
            return super().predict(X)  # type: ignore[arg-type]

    line = out_of_fold(Spy, X, y, folds, name="line")
    trees = out_of_fold(lambda: BoostedTrees(rounds=30, seed=1), X, y, folds, name="trees")
    assert seen == [(150, 0)] * 4
    stack = Stacker().fit([line, trees], y)
    assert stack.blend.rows == 600                      # rows that no fold scored are not used

    in_sample = Logistic().fit(X, y).predict(X)
    with pytest.raises(InvalidInput):
        Stacker().fit([in_sample], y)  # type: ignore[list-item]
    with pytest.raises(InvalidInput):
        OutOfFold("forged", in_sample, np.zeros(len(y), dtype=np.int64))
    with pytest.raises(InvalidInput):
        out_of_fold(Logistic, X, y, [(np.arange(301), np.arange(300, 450))], name="overlap")
