"""Curation with a model: inner folds, reasons, figures, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.models import BaseRate, Logistic
from fieldcast.models.curation import CurationRules, Why, curate


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(23)
    X = random.standard_normal((1500, 3))
    X[:, 1] = 2.5
    return X, (random.random(1500) < 1 / (1 + np.exp(-1.2 * X[:, 0]))).astype(float)


def test_every_column_has_a_verdict_with_its_figures(rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    result = curate(X, y, ("good", "flat", "noise"), np.arange(1200), gap=5, seed=1)
    good, flat, noise = result.verdicts
    assert result.kept == ("good",)
    assert result.removed["flat"] is Why.CONSTANT
    assert result.removed["noise"] is not Why.CONSTANT
    assert good.worth is not None
    assert good.worth_error is not None
    assert good.worth > 5 * good.worth_error > 0
    assert flat.worth is None
    assert np.isnan(flat.correlation)
    assert abs(noise.correlation) < 0.1
    assert result.loss_kept < np.log(2) - 0.1
    again = curate(X, y, ("good", "flat", "noise"), np.arange(1200), gap=5, seed=1)
    assert repr(again) == repr(result)  # NaN is equal to nothing


def test_the_gap_keeps_the_rows_before_a_test_block_out_of_its_training(rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    seen: list[int] = []

    class Counting(Logistic):
        def fit(self, X: object, y: object) -> Counting:
            seen.append(len(X))  # type: ignore[arg-type]
            super().fit(X, y)  # type: ignore[arg-type]
            return self

    curate(X, y, ("good", "flat", "noise"), np.arange(1000), gap=20, seed=0, make=Counting)
    assert set(seen) == {180, 380, 580, 780}  # blocks of 200, twenty rows short of each


def test_where_nothing_tells_nothing_is_kept_and_the_loss_is_the_base_rates() -> None:
    random = np.random.default_rng(7)
    X = random.standard_normal((900, 3))
    y = (random.random(900) < 0.5).astype(float)
    result = curate(X, y, ("a", "b", "c"), np.arange(900), gap=0, seed=0)
    assert result.kept == ()
    assert result.loss_kept == pytest.approx(np.log(2), abs=0.01)


def test_a_model_that_looks_at_nothing_finds_no_column_worth_anything(rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    result = curate(X, y, ("good", "flat", "noise"), np.arange(1200), gap=0, seed=0, make=BaseRate)
    assert result.removed["good"] is Why.WORTHLESS


def test_what_cannot_be_judged_is_refused(rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    names = ("good", "flat", "noise")
    with pytest.raises(InvalidInput, match="enough rows"):
        curate(X, y, names, np.arange(150), gap=25, seed=0)
    with pytest.raises(InvalidInput, match="distinct columns"):
        curate(X, y, ("a", "a", "b"), np.arange(1200), gap=0, seed=0)
    with pytest.raises(InvalidInput, match="both classes"):
        curate(X, np.zeros(1500), names, np.arange(1200), gap=0, seed=0)
    with pytest.raises(InvalidInput, match="redundancy"):
        CurationRules(redundancy=1.5)
