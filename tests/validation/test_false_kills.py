"""Chance kills: simulated forecasters keep their word, rates do not depend on chunks, and their intervals are exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from fieldcast.ground import InvalidInput
from fieldcast.validation.false_kills import calibrated_runs, false_kills, rate, spread_of
from fieldcast.validation.watch import rolling


def test_the_spread_gives_its_auc() -> None:
    rng = np.random.default_rng(6)
    for auc in (0.536, 0.6, 0.75):
        p = 1 / (1 + np.exp(-spread_of(auc) * rng.standard_normal(400_000)))
        assert roc_auc_score(rng.random(p.size) < p, p) == pytest.approx(auc, abs=0.004)
    assert spread_of(0.5) == 0.0


def test_false_kills_are_the_same_in_chunks_and_their_interval_is_exact() -> None:
    assert rate(3, 40).low == pytest.approx(stats.binomtest(3, 40).proportion_ci(0.95).low, rel=1e-9)
    assert rate(0, 40).high == pytest.approx(stats.binomtest(0, 40).proportion_ci(0.95).high, rel=1e-9)
    assert rate(40, 40).high == 1.0
    found = false_kills(2, runs=50)
    assert found.any_named.hits >= max(found.rules[name].hits for name in ("auc", "coverage", "ic"))
    with pytest.raises(InvalidInput):
        false_kills(0)


def test_calibrated_runs_keep_their_word() -> None:
    p, ret, inside = calibrated_runs(np.random.default_rng(7), 2000, 20, 3, auc=0.6, correlation=0.5)
    assert inside.mean() == pytest.approx(0.75, abs=0.01)
    for low, high in ((0.2, 0.4), (0.4, 0.6), (0.6, 0.8)):
        some = (p > low) & (p <= high)
        assert (ret[some] > 0).mean() == pytest.approx(p[some].mean(), abs=0.02)
    figure = rolling(p, ret, inside)["auc"][:, -1]
    assert figure.mean() == pytest.approx(0.6, abs=0.01)
