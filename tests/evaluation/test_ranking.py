"""AUC, DeLong, information coefficient against brute force, scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fieldcast.evaluation import auc, delong, information_coefficient
from fieldcast.ground import InvalidInput, MissingData


def _pairs(score: np.ndarray, y: np.ndarray) -> float:
    """AUC by the definition: every positive against every negative."""
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in score[y == 1.0] for b in score[y == 0.0]
    ]
    return float(np.mean(wins))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=2, max_size=40))
def test_auc_equals_all_pairs_counted_one_by_one(rows: list[tuple[int, int]]) -> None:
    score, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if np.ptp(y) == 0.0:
        with pytest.raises(MissingData):
            auc(score, y)
        return
    assert auc(score, y) == pytest.approx(_pairs(score, y), abs=1e-12)
    assert auc(score, y) == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    assert auc(-score, y) == pytest.approx(1.0 - auc(score, y), abs=1e-12)
    assert auc(np.exp(score), y) == auc(score, y)


def test_auc_refuses_what_it_cannot_rank() -> None:
    for score, y in (([np.nan, 1.0], [0, 1]), ([0.0, 1.0], [0, 2]), ([0.0, 1.0, 2.0], [0, 1]), ([], [])):
        with pytest.raises(InvalidInput):
            auc(score, y)


def test_delong_covariance_equals_the_definition_by_structural_components() -> None:
    rng = np.random.default_rng(3)
    y = (rng.random(60) < 0.4).astype(float)
    scores = np.round(np.vstack([y + rng.normal(size=60), 0.3 * y + rng.normal(size=60)]), 1)
    pos, neg = scores[:, y == 1], scores[:, y == 0]
    psi = (pos[:, :, None] > neg[:, None, :]) + 0.5 * (pos[:, :, None] == neg[:, None, :])
    v10, v01 = psi.mean(axis=2), psi.mean(axis=1)
    expected = np.cov(v10) / pos.shape[1] + np.cov(v01) / neg.shape[1]
    found = delong(scores, y)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-14)
    np.testing.assert_allclose(found.auc, [roc_auc_score(y, s) for s in scores], atol=1e-12)
    z = (found.auc[0] - found.auc[1]) / np.sqrt(expected[0, 0] + expected[1, 1] - 2 * expected[0, 1])
    assert found.z == pytest.approx(z)
    assert found.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(z)))


def test_delong_of_a_score_against_itself_says_nothing_instead_of_dividing_by_zero() -> None:
    found = delong([[0.1, 0.4, 0.3, 0.9], [0.1, 0.4, 0.3, 0.9]], [0, 1, 0, 1])
    assert found.z is None
    assert found.p_value is None
    with pytest.raises(MissingData, match="two rows of each class"):
        delong([[0.1, 0.2, 0.3]], [0, 0, 1])


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-5, 5)), min_size=3, max_size=60))
def test_information_coefficient_equals_scipy(rows: list[tuple[int, float]]) -> None:
    a, b = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        assert information_coefficient(a, b) == 0.0
        return
    assert information_coefficient(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-9)


def test_pearson_coefficient_equals_numpy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 100))
    assert information_coefficient(a, b, method="pearson") == pytest.approx(np.corrcoef(a, b)[0, 1])
