"""One model a task, and stacking on out-of-fold odds."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import log_loss
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.models import (
    BaseRate,
    BoostedTrees,
    Logistic,
    OutOfFold,
    Stacker,
    Task,
    TaskData,
    fit_tasks,
    out_of_fold,
)


def rows(n: int = 1200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    eta = X[:, 0] + np.where(X[:, 1] * X[:, 2] > 0, 1.0, -1.0)
    return X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(np.float64)


def folds(n: int = 1200) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.arange(start), np.arange(start, start + 200)) for start in range(400, n, 200)]


def test_each_task_has_its_own_model_and_no_other_answers_for_it() -> None:
    data = {}
    for seed, instrument in enumerate(("XNAS:A", "XNAS:B")):
        for horizon in (1, 5):
            X, y = rows(300, 10 * seed + horizon)
            data[Task(instrument, horizon, "sign")] = TaskData(X, y)
    models = fit_tasks(data, lambda task: Logistic())
    assert set(models.models) == set(data)
    assert len({model.hash for model in models.models.values()}) == 4
    task = Task("XNAS:A", 5, "sign")
    own = Logistic().fit(data[task].X, data[task].y)
    assert np.array_equal(models.predict(task, data[task].X), own.predict(data[task].X))
    with pytest.raises(MissingData, match="XNAS:C"):
        models.predict(Task("XNAS:C", 5, "sign"), data[task].X)
    shared = Logistic()
    with pytest.raises(InvalidInput, match="another task"):
        fit_tasks(data, lambda task: shared)


def test_a_fold_never_scores_what_it_was_fitted_on() -> None:
    X, y = rows()
    found = out_of_fold(Logistic, X, y, folds(), name="logistic")
    assert (found.fold[:400] == -1).all()
    assert np.isnan(found.odds[:400]).all()
    assert np.array_equal(found.odds[600:800], Logistic().fit(X[:600], y[:600]).predict(X[600:800]))
    with pytest.raises(InvalidInput, match="distinct"):
        out_of_fold(Logistic, X, y, [(np.arange(500), np.arange(499, 600))], name="leak")
    with pytest.raises(InvalidInput, match="scored once"):
        out_of_fold(Logistic, X, y, [folds()[0], folds()[0]], name="twice")


def test_the_stacker_beats_its_parts_on_later_rows() -> None:
    X, y = rows(3000)
    parts = {"line": Logistic, "trees": lambda: BoostedTrees(rounds=60, seed=1)}
    inside = [out_of_fold(make, X[:2000], y[:2000], folds(2000), name=name) for name, make in parts.items()]
    stack = Stacker().fit(inside, y[:2000])
    later = {name: make().fit(X[:2000], y[:2000]).predict(X[2000:]) for name, make in parts.items()}
    blended = stack.predict(later)
    assert log_loss(blended, y[2000:]) < min(log_loss(p, y[2000:]) for p in later.values())
    assert stack.hash == Stacker().fit(inside, y[:2000]).hash


def test_in_sample_odds_cannot_reach_the_stacker() -> None:
    X, y = rows()
    in_sample = Logistic().fit(X, y).predict(X)
    with pytest.raises(InvalidInput, match="unknown origin"):
        OutOfFold("forged", in_sample, np.zeros(len(y), dtype=np.int64))
    with pytest.raises(InvalidInput, match="in-sample odds are refused"):
        Stacker().fit([in_sample], y)
    one = out_of_fold(Logistic, X, y, folds(), name="a")
    other = out_of_fold(BaseRate, X, y, folds()[:2], name="b")
    with pytest.raises(InvalidInput, match="same folds"):
        Stacker().fit([one, other], y)
    stack = Stacker().fit([one], y)
    with pytest.raises(InvalidInput, match="odds of a"):
        stack.predict({"b": in_sample})
