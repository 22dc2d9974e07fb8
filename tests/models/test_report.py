"""The report's own parts: walks that see no later row, names, refusals. The whole stands in tests/acceptance/test_M05.py."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import Fold
from fieldcast.ground import InvalidInput
from fieldcast.models import BaseRate, Logistic, Question, baseline_odds
from fieldcast.models.report import walk


def question(n: int = 700, **changes: object) -> Question:
    rng = np.random.default_rng(4)
    whole = {"label": "event", "horizon": 2, "threshold": 0.02, "features": rng.normal(size=(n, 3)),
             "y": (rng.random(n) < 0.4).astype(float), "variance": np.exp(rng.normal(size=n) * 0.3 - 9.2),
             "ret": 0.01 * rng.normal(size=n)}  # fmt: skip
    return Question(**{**whole, **changes})  # type: ignore[arg-type]


FOLDS = [Fold(0, np.arange(500), np.arange(502, 600)), Fold(1, np.arange(600), np.arange(602, 700))]


def test_a_fold_without_enough_rows_or_with_one_class_gives_nothing() -> None:
    q = question()
    assert np.isfinite(walk(Logistic, q.features, q.y, FOLDS)[502:600]).all()
    one = q.y.copy()
    one[:500] = 1.0
    odds = walk(Logistic, q.features, one, FOLDS)
    assert np.isnan(odds[:602]).all()
    assert np.isfinite(odds[602:]).all()
    short = [Fold(0, np.arange(59), np.arange(60, 80))]
    assert np.isnan(walk(BaseRate, np.empty((700, 0)), q.y, short)).all()


def test_a_row_with_an_unknown_input_has_no_odds() -> None:
    q = question()
    X = q.features.copy()
    X[550, 1] = np.nan
    odds = walk(Logistic, X, q.y, FOLDS)
    assert np.isnan(odds[550])
    assert np.isfinite(odds[[549, 551]]).all()


def test_baselines_speak_on_test_rows_alone_and_those_of_implied_volatility_only_where_there_is_one() -> None:
    found = baseline_odds(question(), FOLDS, seed=1)
    tested = np.concatenate([fold.test for fold in FOLDS])
    assert set(found) == {"base_rate", "volatility_anchor[log_variance_14]", "har_exceedance", "garch_exceedance",
                          "random_forest", "mlp"}  # fmt: skip
    for name, odds in found.items():
        assert np.isfinite(odds[tested]).all(), name
        assert np.isnan(np.delete(odds, tested)).all(), name
        assert ((odds[tested] > 0) & (odds[tested] < 1)).all(), name
    assert "volatility_anchor[log_variance_14+log_implied]" in baseline_odds(
        question(implied_percent=np.full(700, 16.0) + np.arange(700) % 7), FOLDS[:1], seed=1
    )


def test_the_text_says_what_is_forecast() -> None:
    assert question().text == "high reaches +2 % in 2 sessions"
    assert question(label="sign", threshold=None, horizon=1).text == "close rises in 1 session"
    with pytest.raises(InvalidInput, match="threshold"):
        question(label="sign")
    with pytest.raises(InvalidInput, match="threshold"):
        question(threshold=None)


def test_refusals() -> None:
    with pytest.raises(InvalidInput, match="at least one fold"):
        baseline_odds(question(), [])
    with pytest.raises(InvalidInput, match="700 rows"):
        baseline_odds(question(ret=np.zeros(3)), FOLDS)
