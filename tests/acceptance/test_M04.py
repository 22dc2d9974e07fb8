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
    OddsModel,
    OutOfFold,
    PerRegime,
    Stacker,
    Task,
    TaskData,
    XGBoostTrees,
    fit_tasks,
    out_of_fold,
    strongest,
)

pytestmark = pytest.mark.feature("M04")
OPEN_PARTS: tuple[str, ...] = ()


def sample(seed: int, n: int = 900) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    eta = 0.8 * X[:, 0] + np.where(X[:, 1] * X[:, 2] > 0, 0.6, -0.6)
    return X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(np.float64)


@pytest.mark.parametrize("kind", [BoostedTrees, XGBoostTrees])
def test_one_model_a_symbol_horizon_and_task(kind: type[OddsModel]) -> None:
    if kind is XGBoostTrees:
        pytest.importorskip("xgboost", reason="the extra xgboost is not installed")
    tasks = [
        Task(symbol, horizon, label)
        for symbol in ("XNAS:COMP", "XCBO:SPX")
        for horizon in (1, 5)
        for label in ("sign", "high_reaches_1pct")
    ]
    data = {task: TaskData(*sample(seed)) for seed, task in enumerate(tasks)}
    models = fit_tasks(data, lambda task: kind(rounds=15, seed=1))
    assert set(models.models) == set(tasks)
    assert len({id(model) for model in models.models.values()}) == len({m.hash for m in models.models.values()}) == 8
    for task in tasks:
        alone = kind(rounds=15, seed=1).fit(data[task].X, data[task].y)
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


def test_per_regime_models_on_the_causal_regime_field_with_a_stated_fallback() -> None:
    """NASDAQ 1999-2006, sign of the next session: regimes are the strongest membership of the regime field at each close."""
    from fieldcast.data import read_bundled
    from fieldcast.features import compute, labels

    bars = read_bundled("nasdaq")[1].head(2000)
    names = ["regime.trend_up", "regime.trend_down", "regime.mean_revert", "regime.expansion"]
    table = compute(bars, ["fields.regime"])
    regime = strongest(table.select(names).to_numpy())
    cut = 1400
    past = compute(bars.head(cut), ["fields.regime"])                  # the regimes are causal: what came later moves none
    np.testing.assert_array_equal(strongest(past.select(names).to_numpy()), regime[:cut])

    X = np.column_stack([table.select("regime.ema_spread", "regime.atr_percent").to_numpy(), regime])
    y = labels.sign(bars, 1)["y"].cast(float).to_numpy()
    known = np.flatnonzero(np.isfinite(np.column_stack([X, y])).all(axis=1))
    train, test = known[known < cut], known[known > cut]
    model = PerRegime("boosted_trees", {"rounds": 10, "seed": 1}, minimum_rows=100).fit(X[train], y[train])
    counts = {code: int((regime[train] == code).sum()) for code in np.unique(regime[train])}
    assert set(model.models) == {code for code, count in counts.items() if count >= 100}
    assert set(model.fallback) == {code for code, count in counts.items() if count < 100}
    assert len(model.models) == 3
    assert len(model.fallback) == 1                                    # expansion: 11 rows in all
    spoke = model.answered_by(X[test])
    for code in model.models:
        own = regime[test] == code
        alone = BoostedTrees(rounds=10, seed=1).fit(X[train][regime[train] == code, :2], y[train][regime[train] == code])
        assert np.array_equal(model.predict(X[test])[own], alone.predict(X[test][own, :2]))
        assert {who for who, mine in zip(spoke, own, strict=True) if mine} <= {f"regime {code}"}
    unseen = X[test[:1]].copy()
    unseen[0, 2] = np.nan
    assert model.answered_by(unseen) == ["pooled (the regime is not known)"]
    assert model.predict(unseen)[0] == BoostedTrees(rounds=10, seed=1).fit(X[train, :2], y[train]).predict(unseen[:, :2])[0]
