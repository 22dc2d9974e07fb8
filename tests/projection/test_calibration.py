"""Calibrators against their oracles, and what none of them may do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground import ConflictError, InvalidInput
from fieldcast.models import Logistic
from fieldcast.projection import (
    CALIBRATORS,
    Beta,
    CalibratedModel,
    Isotonic,
    Platt,
    Temperature,
    VennAbers,
    calibrator_from_parameters,
    choose_calibrator,
)

NAMES = sorted(CALIBRATORS)


def distorted(n: int, seed: int, slope: float, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Model odds whose logit is the true one times `slope` plus `shift`; labels and true odds beside them."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=n)
    truth = 1 / (1 + np.exp(-eta))
    return 1 / (1 + np.exp(-(slope * eta + shift))), (rng.random(n) < truth).astype(np.float64), truth


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.mean(np.log(np.where(y == 1, p, 1 - p))))


def test_platt_equals_a_weighted_logistic_fit_on_platts_targets() -> None:
    from sklearn.linear_model import LogisticRegression

    p, y, _ = distorted(400, 0, 2.5, -0.4)
    ours = Platt().fit(p, y)
    s = np.log(p / (1 - p))[:, None]
    k, m = y.sum(), (1 - y).sum()
    high, low = (k + 1) / (k + 2), 1 / (m + 2)
    target = np.where(y == 1, high, low)
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(
        np.vstack([s, s]), np.r_[np.ones(400), np.zeros(400)], sample_weight=np.r_[target, 1 - target]
    )
    assert ours.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-5)
    assert ours.shift == pytest.approx(theirs.intercept_[0], abs=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(20, 300), st.booleans())
def test_isotonic_is_scikit_learns_with_each_step_by_laplaces_rule(seed: int, n: int, ties: bool) -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(seed)
    p = rng.random(n)
    p = np.round(p, 1) if ties else p
    y = (rng.random(n) < p).astype(np.float64)
    steps = np.round(IsotonicRegression().fit(p, y).predict(p), 9)
    smoothed = np.array([(y[steps == s].sum() + 1) / ((steps == s).sum() + 2) for s in np.unique(steps)])
    rows = np.array([(steps == s).sum() + 2 for s in np.unique(steps)])
    monotone = IsotonicRegression().fit(np.arange(len(rows)), smoothed, sample_weight=rows).predict(np.arange(len(rows)))
    expected = monotone[np.searchsorted(np.unique(steps), steps)]
    edge = 1 / (n + 2)
    np.testing.assert_allclose(Isotonic().fit(p, y).predict(p), np.clip(expected, edge, 1 - edge), atol=1e-9)


def test_a_handful_of_hits_at_the_end_of_a_block_gives_no_certainty() -> None:
    p = np.linspace(0.3, 0.7, 600)
    y = np.tile([0.0, 1.0], 300)
    y[-3:], y[:3] = 1.0, 0.0
    q = Isotonic().fit(p, y).predict(np.array([0.0, 1.0]))
    assert 0.15 <= q[0] < 0.5 < q[1] <= 0.85


def test_temperature_finds_the_planted_one() -> None:
    p, y, _ = distorted(20_000, 1, 3.0)
    assert Temperature().fit(p, y).slope == pytest.approx(1 / 3.0, abs=0.02)


def test_beta_equals_an_unpenalised_logistic_fit_and_drops_negative_slopes() -> None:
    from sklearn.linear_model import LogisticRegression

    p, y, _ = distorted(4000, 2, 1.7, 0.5)
    ours = Beta().fit(p, y)
    sides = np.column_stack([np.log(p), -np.log1p(-p)])
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(sides, y)
    assert [ours.a, ours.b] == pytest.approx(theirs.coef_[0].tolist(), abs=1e-4)
    assert ours.c == pytest.approx(theirs.intercept_[0], abs=1e-4)
    assert min(ours.a, ours.b) >= 0
    one_sided = Beta().fit(p, (np.random.default_rng(0).random(4000) < 1 - p**3).astype(np.float64))
    assert one_sided.a >= 0
    assert one_sided.b >= 0


def test_venn_abers_equals_two_isotonic_fits_for_each_row() -> None:
    from sklearn.isotonic import IsotonicRegression

    p, y, _ = distorted(60, 3, 2.0)
    fitted = VennAbers().fit(p, y)
    new = np.r_[np.random.default_rng(1).random(15), p[:3], 0.0, 1.0]
    for score, (low, high) in zip(new, fitted.interval(new), strict=True):
        for label, ours in ((0.0, low), (1.0, high)):
            iso = IsotonicRegression(out_of_bounds="clip").fit(np.r_[p, score], np.r_[y, label])
            assert ours == pytest.approx(float(iso.predict([score])[0]), abs=1e-9)
    low, high = fitted.interval(new).T
    assert (low <= high).all()
    assert fitted.predict(new) == pytest.approx(np.clip(high / (1 - low + high), 1 / 62, 61 / 62))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slope", [4.0, 0.25])
def test_each_mends_a_planted_miscalibration(name: str, slope: float) -> None:
    p, y, truth = distorted(6000, 4, slope)
    after = CALIBRATORS[name]().fit(p[:800], y[:800]).predict(p[800:])
    assert log_loss(after, y[800:]) < log_loss(np.clip(p[800:], 1e-9, 1 - 1e-9), y[800:]) - 0.02
    assert log_loss(after, y[800:]) < log_loss(truth[800:], y[800:]) + 0.03


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), n=st.integers(20, 120))
def test_order_is_kept_and_odds_stay_bold_only_as_the_sample_allows(name: str, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.random(n), (rng.random(n) < 0.5).astype(np.float64)
    grid = np.linspace(0, 1, 31)
    mapped = CALIBRATORS[name]().fit(p, y).predict(grid)
    assert (np.diff(mapped) >= -1e-9).all()
    assert (mapped >= 1 / (n + 2)).all()
    assert (mapped <= 1 - 1 / (n + 2)).all()


@pytest.mark.parametrize("name", ["platt", "isotonic", "beta", "venn_abers"])
def test_an_inverted_model_gets_the_base_rate_not_its_mirror_image(name: str) -> None:
    p, y, _ = distorted(2000, 5, -1.0)
    mapped = CALIBRATORS[name]().fit(p, y).predict(np.linspace(0.05, 0.95, 19))
    assert np.abs(mapped - y.mean()).max() < 0.08


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_and_one_score_still_give_odds(name: str, label: float) -> None:
    p = np.full(40, 0.6)
    for y in (np.full(40, label), np.r_[np.zeros(20), np.ones(20)]):
        mapped = CALIBRATORS[name]().fit(p, y).predict(np.array([0.0, 0.3, 0.6, 1.0]))
        assert np.isfinite(mapped).all()
        assert (mapped > 0).all()
        assert (mapped < 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_parameters_bring_the_same_map_back(name: str) -> None:
    p, y, _ = distorted(300, 6, 2.0)
    fitted = CALIBRATORS[name]().fit(p, y)
    again = calibrator_from_parameters(fitted.parameters())
    assert again.hash == fitted.hash
    assert np.array_equal(again.predict(p), fitted.predict(p))
    with pytest.raises(InvalidInput, match="platt"):
        calibrator_from_parameters({"kind": "wishful", "rows": 3})


def test_the_choice_is_the_least_held_out_loss() -> None:
    p, y, _ = distorted(600, 7, 3.0)
    methods = ("platt", "isotonic", "beta", "temperature")
    choice = choose_calibrator(p, y, methods=methods, folds=4)
    edges = np.linspace(0, 600, 5).astype(int)
    for name in methods:
        total = 0.0
        for begin, end in pairwise(edges):
            rest = np.r_[0:begin, end:600]
            total += (end - begin) * log_loss(
                CALIBRATORS[name]().fit(p[rest], y[rest]).predict(p[begin:end]), y[begin:end]
            )
        assert choice.held_out[name] == pytest.approx(total / 600, rel=1e-12)
    assert choice.name == min(choice.held_out, key=lambda name: choice.held_out[name])
    assert np.array_equal(choice.apply(p), CALIBRATORS[choice.name]().fit(p, y).predict(p))


def test_steps_win_where_the_distortion_is_a_step() -> None:
    rng = np.random.default_rng(8)
    p = rng.random(800)
    y = (rng.random(800) < np.where(p > 0.8, 0.9, 0.3)).astype(np.float64)
    assert choose_calibrator(p, y).name == "isotonic"
    p, y, _ = distorted(200, 9, 3.0)
    assert choose_calibrator(p, y).name == "platt"


def test_rows_within_the_gap_are_left_out() -> None:
    p, y, _ = distorted(200, 10, 1.5)
    gapped = choose_calibrator(p, y, gap=4)
    assert gapped.held_out["platt"] != choose_calibrator(p, y).held_out["platt"]
    with pytest.raises(InvalidInput, match="at least 20 rows"):
        choose_calibrator(p[:24], y[:24], gap=4)


def test_a_calibrator_cannot_outlive_the_fit_it_was_made_for() -> None:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(900, 3))
    y = (rng.random(900) < 1 / (1 + np.exp(-X[:, 0]))).astype(np.float64)
    model = Logistic().fit(X[:400], y[:400])
    calibrated = CalibratedModel.fit(model, X[400:700], y[400:700])
    expected = calibrated.calibrator.predict(model.predict(X[700:]))
    assert np.array_equal(calibrated.predict(X[700:]), expected)
    model.fit(X[:500], y[:500])
    with pytest.raises(ConflictError, match="calibrate again"):
        calibrated.predict(X[700:])


@pytest.mark.parametrize(
    ("p", "y", "said"),
    [
        (np.full(30, 0.5), np.zeros(29), "labels"),
        (np.full(30, 0.5), np.full(30, 0.5), "labels"),
        (np.full(30, 1.5), np.zeros(30), "probabilities"),
        (np.full(30, np.nan), np.zeros(30), "probabilities"),
        (np.full(19, 0.5), np.zeros(19), "at least 20"),
    ],
)
def test_bad_blocks_are_refused(p: np.ndarray, y: np.ndarray, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Platt().fit(p, y)


def test_an_unfitted_calibrator_and_an_unknown_method_say_so() -> None:
    with pytest.raises(InvalidInput, match="call fit first"):
        Isotonic().predict(np.array([0.5]))
    with pytest.raises(InvalidInput, match="wishful"):
        choose_calibrator(np.full(50, 0.5), np.zeros(50), methods=("wishful",))
