"""X09: Sample weights (energy, volatility, time decay, uniqueness) and class balancing; feature curation by correlation, MI,
redundancy, stability and permutation.

Done when: "Weights are positive with mean 1, and a planted redundant column and a planted noise column are both removed"
"""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.features import weights
from fieldcast.models.curation import Curation, Why, curate

pytestmark = pytest.mark.feature("X09")
OPEN_PARTS: tuple[str, ...] = ("weights in the fit of a learner: no model takes them yet",)
COLUMNS = ("strong", "weak", "bent", "redundant", "noise", "passing")
ROWS = 2600


def planted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three columns that tell (one only by its size), a copy with a little error, noise, and one that told at first."""
    random = np.random.default_rng(seed)
    strong, weak, bent, noise, passing = random.standard_normal((5, ROWS))
    redundant = np.exp(strong) * (1 + 0.02 * random.standard_normal(ROWS))  # another scale: ranks see through it
    told = np.where(np.arange(ROWS) < ROWS // 6, 1.5, 0.0) * passing
    odds = 1 / (1 + np.exp(-(0.9 * strong + 0.5 * weak + told - 0.7 * (np.abs(bent) - 0.8))))
    X = np.column_stack([strong, weak, np.abs(bent), redundant, noise, passing])
    return X, (random.random(ROWS) < odds).astype(float)


def found(X: np.ndarray, y: np.ndarray, training: np.ndarray) -> Curation:
    return curate(X, y, COLUMNS, training, gap=1, seed=9)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_redundant_and_a_planted_noise_column_are_both_removed(seed: int) -> None:
    X, y = planted(seed)
    result = found(X, y, np.arange(2000))
    assert set(result.kept) >= {"weak", "bent"}
    # of two columns that rank alike one stays; which of them is a matter of their correlation with the label
    assert len({"strong", "redundant"} & set(result.kept)) == 1
    copy = next(one for one in result.verdicts if one.why is Why.REDUNDANT)
    assert {copy.name, copy.twin} == {"strong", "redundant"}
    assert copy.likeness is not None
    assert copy.likeness >= 0.95
    assert "noise" in result.removed
    assert result.removed["noise"] in (Why.UNRELATED, Why.UNSTABLE, Why.WORTHLESS)
    assert "passing" in result.removed
    assert result.loss_kept < result.loss_all + 0.002  # what was taken out was worth nothing
    assert result.rows == 2000


def test_a_noise_column_that_correlates_by_chance_falls_to_the_shuffling_test() -> None:
    X, y = planted(0)
    training = np.arange(2000)
    random = np.random.default_rng(99)
    by_shuffling = 0
    for _ in range(40):  # of forty noise columns two pass the first test by chance
        noisy = X.copy()
        noisy[:, 4] = random.standard_normal(ROWS)
        result = found(noisy, y, training)
        assert "noise" in result.removed
        by_shuffling += result.removed["noise"] is Why.WORTHLESS
    assert by_shuffling >= 1


def test_curation_inside_a_fold_reads_its_training_rows_alone() -> None:
    X, y = planted(1)
    training = np.arange(1800)
    before = found(X, y, training)
    other_X, other_y = X.copy(), y.copy()
    other_X[1800:] = np.nan
    other_y[1800:] = np.nan
    after = found(other_X, other_y, training)
    assert after == before
    other_X[:1800, 4] = X[:1800, 0] + 0.5 * X[:1800, 1]
    assert found(other_X, other_y, training) != before


def test_weights_are_positive_with_mean_one_each_and_multiplied() -> None:
    random = np.random.default_rng(3)
    n = 1500
    start = np.arange(n)
    end = start + random.integers(1, 21, n)
    y = (random.random(n) < 0.12).astype(float)
    made = {
        "energy": weights.energy(np.exp(2 * random.standard_normal(n))),
        "volatility": weights.volatility(0.01 * np.exp(0.5 * random.standard_normal(n))),
        "time decay": weights.time_decay(n - 1 - start),
        "uniqueness": weights.uniqueness(start, end),
        "balanced": weights.balance(y),
        "sqrt": weights.balance(y, "sqrt"),
    }
    for name, weight in {**made, "together": weights.combined(*made.values())}.items():
        assert (weight > 0).all(), name
        assert weight.mean() == pytest.approx(1.0, abs=1e-12), name
        assert weight.shape == (n,)
        assert np.ptp(weight) > 0, name
    assert made["balanced"][y == 1].sum() == pytest.approx(made["balanced"][y == 0].sum())
