"""Measures of curation: against scipy, scikit-learn and known answers."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.features import curation
from fieldcast.ground import InvalidInput


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(17)
    X = random.standard_normal((1200, 4))
    X[:, 2] = X[:, 0] ** 3 + 0.01 * X[:, 2]
    X[:, 3] = np.round(X[:, 3])
    return X, (random.random(1200) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)


def test_correlations_equal_scipys(rows: tuple[np.ndarray, np.ndarray]) -> None:
    from scipy.stats import spearmanr

    X, y = rows
    np.testing.assert_allclose(curation.correlation(X, y), [spearmanr(column, y).statistic for column in X.T], atol=1e-12)
    np.testing.assert_allclose(curation.correlations(X), spearmanr(X).statistic, atol=1e-12)


def test_mutual_information_equals_scikit_learns_on_the_bins_less_its_bias(rows: tuple[np.ndarray, np.ndarray]) -> None:
    score = pytest.importorskip("sklearn.metrics").mutual_info_score
    X, y = rows
    found = curation.mutual_information(X, y)
    for place in range(3):
        bins = np.searchsorted(np.quantile(X[:, place], np.arange(1, 8) / 8), X[:, place], side="right")
        assert found[place] == pytest.approx(score(bins, y) - 7 / 2400, abs=1e-12)


def test_mutual_information_of_independent_columns_is_zero_on_average_with_the_stated_spread() -> None:
    random = np.random.default_rng(2)
    y = (random.random(800) < 0.5).astype(float)
    noise = random.standard_normal((800, 400))
    found = curation.mutual_information(noise, y)
    spread = curation.information_noise(noise, y)[0]
    assert abs(found.mean()) < 4 * spread / np.sqrt(400)
    assert found.std() == pytest.approx(spread, rel=0.15)


def test_of_two_columns_that_repeat_each_other_the_earlier_in_the_order_stays(rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, _ = rows
    assert set(curation.twins(X, [0, 1, 2, 3], 0.95)) == {2}
    found = curation.twins(X, [2, 1, 0, 3], 0.95)
    assert set(found) == {0}
    assert found[0][0] == 2
    assert found[0][1] > 0.99
    assert curation.twins(X[:, [0, 1, 3]], [0, 1, 2], 0.95) == {}


def test_a_steady_column_is_steadier_than_one_that_changes_sides() -> None:
    random = np.random.default_rng(6)
    steady, turning = random.standard_normal((2, 3000))
    side = np.where(np.arange(3000) < 1200, 1.0, -0.8)
    y = steady + side * turning + random.standard_normal(3000)
    found = curation.stability(np.column_stack([steady, turning, np.ones(3000)]), y)
    assert found[0] < 0.3
    assert found[1] > 1.0
    assert np.isnan(found[2])


def test_few_rows_and_unknown_values_are_refused(rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    with pytest.raises(InvalidInput, match="at least 60"):
        curation.correlation(X[:59], y[:59])
    with pytest.raises(InvalidInput, match="finite columns"):
        curation.correlation(np.where(X > 3, np.nan, X), y)
    with pytest.raises(InvalidInput, match="every column once"):
        curation.twins(X, [0, 1], 0.9)
    with pytest.raises(InvalidInput, match="blocks"):
        curation.stability(X, y, 500)
