"""P04: Probability calibration: Platt, isotonic, beta, temperature, Venn-Abers, chosen by held-out log loss inside the
fold; ECE reported debiased.

Done when: "Each method lowers log loss on a planted miscalibration, and the calibrator is fitted on the score it later
maps"
"""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import ece, log_loss
from fieldcast.ground import ConflictError
from fieldcast.models import BoostedTrees, Logistic
from fieldcast.projection import CALIBRATORS, CalibratedModel, choose_calibrator

pytestmark = pytest.mark.feature("P04")
OPEN_PARTS: tuple[str, ...] = ()

METHODS = ("platt", "isotonic", "beta", "temperature", "venn_abers")
BLOCK, LATER = 600, 3000


def planted(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Model odds with a known fault, and outcomes drawn from the true odds."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=BLOCK + LATER)
    slope, shift = {"overconfident": (4.0, 0.0), "timid": (0.2, 0.0), "overconfident and biased": (4.0, 1.0)}[kind]
    y = (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))).astype(np.float64)
    return 1 / (1 + np.exp(-(slope * eta + shift))), y


def test_all_five_methods_are_here() -> None:
    assert set(METHODS) == set(CALIBRATORS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["overconfident", "timid", "overconfident and biased"])
def test_each_method_lowers_log_loss_and_debiased_ece(method: str, kind: str) -> None:
    for seed in (0, 1):
        p, y = planted(kind, seed)
        later = p[BLOCK:]
        after = CALIBRATORS[method]().fit(p[:BLOCK], y[:BLOCK]).predict(later)
        assert log_loss(after, y[BLOCK:]) < log_loss(later, y[BLOCK:]) - 0.01
        if method != "temperature" or kind != "overconfident and biased":    # one slope cannot mend a shift
            assert ece(after, y[BLOCK:], draws=20).debiased < 0.5 * ece(later, y[BLOCK:], draws=20).debiased


def test_the_choice_is_made_inside_the_block_alone() -> None:
    p, y = planted("overconfident", 3)
    chosen = choose_calibrator(p[:BLOCK], y[:BLOCK], methods=METHODS)
    assert chosen.name == min(chosen.held_out, key=lambda name: chosen.held_out[name])
    assert set(chosen.held_out) == set(METHODS)
    flipped = y.copy()
    flipped[BLOCK:] = 1 - y[BLOCK:]
    again = choose_calibrator(p[:BLOCK], flipped[:BLOCK], methods=METHODS)
    assert again.calibrator.hash == chosen.calibrator.hash
    assert log_loss(chosen.apply(p[BLOCK:]), y[BLOCK:]) < log_loss(p[BLOCK:], y[BLOCK:])


def test_the_calibrator_is_fitted_on_the_score_it_later_maps() -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(3000, 8))
    y = (rng.random(3000) < 1 / (1 + np.exp(-X[:, 0]))).astype(np.float64)
    for make in (lambda: Logistic(0.1), lambda: BoostedTrees(rounds=40, seed=1, min_rows_in_leaf=10)):
        model = make().fit(X[:1000], y[:1000])
        block = model.predict(X[1000:1800])
        calibrated = CalibratedModel.fit(model, X[1000:1800], y[1000:1800])
        assert calibrated.model is model
        assert calibrated.calibrator.hash == choose_calibrator(block, y[1000:1800]).calibrator.hash
        assert np.array_equal(calibrated.predict(X[1800:]), calibrated.calibrator.predict(model.predict(X[1800:])))
        model.fit(X[:1800], y[:1800])               # another model now: its scores are not the ones that were mapped
        with pytest.raises(ConflictError):
            calibrated.predict(X[1800:])
