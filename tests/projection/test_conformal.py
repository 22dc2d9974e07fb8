"""Cones: strictly online, within the ACI bound, capped, ordered; against a brute-force twin and MAPIE."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.projection import (
    BANDS,
    QUANTILE_LEVELS,
    AdaptiveConformal,
    RawTracker,
    cone_quantiles,
    normal_quantiles,
)


def market(n: int, seed: int, horizon: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping h-step returns from each row, with a sigma that is right up to a slow drift of its scale."""
    rng = np.random.default_rng(seed)
    scale = np.exp(0.5 * np.sin(np.arange(n) / 200.0))
    daily = 0.01 * scale * rng.standard_t(4, n) / np.sqrt(2.0)
    ret = np.full(n, np.nan)
    ret[: n - horizon] = [daily[t + 1 : t + 1 + horizon].sum() for t in range(n - horizon)]
    return ret, np.full(n, 0.01 * np.sqrt(horizon))


def twin(ret: np.ndarray, sigma: np.ndarray, horizon: int, gamma: float, window: int, minimum: int) -> np.ndarray:
    """The same cones by the book: every row looks at all the past again."""
    n = len(ret)
    z = ret / sigma
    out = np.full((n, 7), np.nan)
    raw: dict[int, list[float]] = {}
    for t in range(n):
        known = [z[s] for s in range(t - horizon + 1) if np.isfinite(z[s])][-window:]
        if len(known) < minimum:
            continue
        ordered = sorted(known)
        count = len(ordered)
        capped, unlimited = [], []
        for place, tau in enumerate(QUANTILE_LEVELS):
            if tau == 0.5:
                capped.append(float(np.median(ordered)))
                unlimited.append(capped[-1])
                continue
            aim = min(tau, 1 - tau)
            mass = aim
            for s in range(t % horizon, t - horizon + 1, horizon):
                if s in raw and np.isfinite(z[s]):
                    missed = z[s] < raw[s][place] if tau < 0.5 else z[s] > raw[s][place]
                    mass += gamma * (aim - missed)
            rank = math.floor((count + 1) * mass)
            index = min(max(rank, 1), count)
            out_of_reach = -np.inf if rank < 1 else np.inf if rank > count else None
            value = ordered[index - 1] if tau < 0.5 else ordered[count - index]
            capped.append(value)
            unlimited.append(value if out_of_reach is None else out_of_reach * (1 if tau < 0.5 else -1))
        raw[t] = unlimited
        out[t] = np.sort(1e4 * np.array(capped) * sigma[t])
    return out


@pytest.mark.parametrize(("horizon", "gamma", "window"), [(1, 0.005, 120), (1, 0.2, 60), (5, 0.05, 100), (3, 0.0, 80)])
def test_the_fast_loop_equals_its_brute_force_twin(horizon: int, gamma: float, window: int) -> None:
    ret, sigma = market(330, 1, horizon)
    ret[50:53] = np.nan
    cones = AdaptiveConformal(gamma, window, minimum=40).run(ret, sigma, horizon=horizon)
    expected = twin(ret, sigma, horizon, gamma, window, 40)
    assert np.array_equal(np.isnan(cones.quantiles_bps), np.isnan(expected))
    assert np.nanmax(np.abs(cones.quantiles_bps - expected)) < 1e-4     # ties are set apart by 1e-6 bps each


@pytest.mark.parametrize("horizon", [1, 5])
def test_later_outcomes_change_nothing(horizon: int) -> None:
    ret, sigma = market(600, 2, horizon)
    whole = AdaptiveConformal().run(ret, sigma, horizon=horizon)
    for t in (150, 299, 477):
        future = ret.copy()
        future[t - horizon + 1 :] = 0.5              # every outcome not known at row t
        again = AdaptiveConformal().run(future, sigma, horizon=horizon)
        assert np.array_equal(again.quantiles_bps[: t + 1], whole.quantiles_bps[: t + 1], equal_nan=True)
        assert not np.array_equal(again.quantiles_bps[t + 2 :], whole.quantiles_bps[t + 2 :], equal_nan=True)
        live = ret[: t + 1].copy()
        live[t - horizon + 1 :] = np.nan             # as it stands at row t
        last = AdaptiveConformal().run(live, sigma[: t + 1], horizon=horizon)
        assert np.array_equal(last.quantiles_bps, whole.quantiles_bps[: t + 1], equal_nan=True)


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_outcome_that_just_ended_counts_at_once(horizon: int) -> None:
    ret, sigma = market(300, 3, horizon)
    shocked = ret.copy()
    shocked[200 - horizon] = 10.0
    plain = AdaptiveConformal(gamma=0.1).run(ret, sigma, horizon=horizon).levels
    moved = AdaptiveConformal(gamma=0.1).run(shocked, sigma, horizon=horizon).levels
    assert np.array_equal(plain[:200], moved[:200], equal_nan=True)
    assert not np.array_equal(plain[200], moved[200])


@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.005, 0.3, 0.9]),
    st.integers(1, 6),
    st.sampled_from(["noise", "grow", "jump", "constant", "alternate"]),
)
def test_cones_are_ordered_and_finite_whatever_happens(seed: int, gamma: float, horizon: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    n = 160
    ret = {
        "noise": rng.standard_cauchy(n),
        "grow": np.exp(np.arange(n) / 20.0) * rng.normal(size=n),
        "jump": np.where(np.arange(n) < 80, 0.001, 1.0) * rng.normal(size=n),
        "constant": np.full(n, 0.01),
        "alternate": np.where(np.arange(n) % 2, 1.0, -1.0),
    }[shape]
    cones = AdaptiveConformal(gamma, 60, 20).run(ret, np.full(n, 0.01), horizon=horizon)
    q = cones.quantiles_bps
    known = np.isfinite(q).all(axis=1)
    assert known.sum() == n - 20 - horizon + 1
    assert np.isnan(q[~known]).all()
    assert (np.diff(q[known], axis=1) > 0).all()


def test_a_saturated_cone_is_capped_at_the_sample_and_says_so() -> None:
    n = 400
    ret = np.random.default_rng(4).normal(size=n) * 0.01
    ret[200:] = -0.01 * np.exp(np.arange(200) / 25.0)      # each outcome below all before: every lower edge is missed
    cones = AdaptiveConformal(gamma=0.02, window=None, minimum=100).run(ret, np.full(n, 0.01), horizon=1)
    assert not cones.saturated[100:200].any()
    assert cones.saturated[230:].all()
    assert cones.levels[230:, 0].min() < 0
    assert cones.quantiles_bps[399, 0] == pytest.approx(1e4 * ret[:399].min())


def test_known_scores_hold_no_row_twice_and_none_too_early() -> None:
    ret, sigma = market(300, 5, 5)
    cones = AdaptiveConformal(window=150, minimum=30).run(ret, sigma, horizon=5)
    assert cones.scores[34] == 30
    assert cones.scores[33] == 0
    assert cones.scores[299] == 150


def test_coverage_is_kept_under_a_drifting_scale() -> None:
    ret, sigma = market(4000, 6)
    cones = AdaptiveConformal().run(ret, sigma, horizon=1)
    rows = np.isfinite(ret) & np.isfinite(cones.quantiles_bps[:, 0])
    for share in BANDS:
        low, high = cones.band(share)
        inside = ((1e4 * ret >= low) & (1e4 * ret <= high))[rows]
        assert abs(inside.mean() - share) < 0.02
    with pytest.raises(InvalidInput, match="band"):
        cones.band(0.8)


def test_a_skewed_return_gets_a_skewed_cone() -> None:
    rng = np.random.default_rng(7)
    ret = 0.01 * (rng.exponential(size=2000) - 1.0)
    q = AdaptiveConformal().run(ret, np.full(2000, 0.01), horizon=1).quantiles_bps[-1]
    assert q[6] - q[3] > 2.0 * (q[3] - q[0])


# the raw tracker ----------------------------------------------------------------------------------------------------


def worst_case(tracker: RawTracker, steps: int, choose: str, rng: np.random.Generator) -> None:
    for t in range(steps):
        free = {
            "always": True,
            "never": False,
            "when_wide": tracker.mass < tracker.alpha,
            "when_narrow": tracker.mass > tracker.alpha,
            "blocks": (t // 50) % 2 == 0,
            "random": bool(rng.random() < 0.5),
        }[choose]
        tracker.update(missed=tracker.empty or (free and not tracker.infinite))


@pytest.mark.parametrize("choose", ["always", "never", "when_wide", "when_narrow", "blocks", "random"])
@pytest.mark.parametrize(("alpha", "gamma", "steps", "bound"), [(0.1, 0.05, 1000, 0.019), (0.1, 0.01, 1000, 0.091),
                                                              (0.1, 0.005, 5000, 0.036)])
def test_no_sequence_breaks_the_bound(choose: str, alpha: float, gamma: float, steps: int, bound: float) -> None:
    tracker = RawTracker(alpha, gamma)
    worst_case(tracker, steps, choose, np.random.default_rng(0))
    assert tracker.bound == pytest.approx(bound, abs=6e-4)
    assert abs(tracker.misses / tracker.updates - alpha) <= tracker.bound + 1e-12


@settings(max_examples=100)
@given(st.floats(0.01, 0.99), st.floats(0.001, 2.0), st.lists(st.booleans(), min_size=1, max_size=400))
def test_the_bound_holds_for_any_sequence(alpha: float, gamma: float, wishes: list[bool]) -> None:
    tracker = RawTracker(alpha, gamma)
    for wish in wishes:
        tracker.update(missed=tracker.empty or (wish and not tracker.infinite))
        assert -gamma - 1e-9 <= tracker.mass <= 1.0 + gamma + 1e-9
        assert abs(tracker.misses / tracker.updates - alpha) <= tracker.bound + 1e-9


def test_the_impossible_is_refused() -> None:
    tracker = RawTracker(0.1, 0.5)
    assert tracker.bound == 1.0
    tracker.update(missed=True)
    assert tracker.infinite
    with pytest.raises(InvalidInput, match="cannot miss"):
        tracker.update(missed=True)
    full = RawTracker(0.9, 0.5, start=1.0)
    with pytest.raises(InvalidInput, match="cannot cover"):
        full.update(missed=False)
    with pytest.raises(InvalidInput, match="alpha"):
        RawTracker(0.0, 0.1)


def test_the_level_moves_as_mapies_does() -> None:
    from mapie.regression import TimeSeriesRegressor
    from sklearn.dummy import DummyRegressor
    from sklearn.model_selection import PredefinedSplit

    rng = np.random.default_rng(9)
    X, y = np.zeros((300, 1)), rng.normal(size=300)
    fold = np.r_[-np.ones(50), np.zeros(100)]
    zero = DummyRegressor(strategy="constant", constant=0.0)
    theirs = TimeSeriesRegressor(zero, method="aci", cv=PredefinedSplit(fold))
    theirs.fit(X[:150], y[:150])
    ours = RawTracker(0.2, 0.02)
    for t in range(150, 300):
        _, bounds = theirs.predict(X[t : t + 1], confidence_level=0.8, allow_infinite_bounds=True)
        missed = not bounds[0, 0, 0] < y[t] < bounds[0, 1, 0]
        theirs.adapt_conformal_inference(X[t : t + 1], y[t : t + 1], gamma=0.02, confidence_level=0.8)
        ours.update(missed=missed)
        (current,) = [value for key, value in theirs.current_alpha.items() if abs(key - 0.2) < 1e-9]
        assert ours.mass == pytest.approx(current, abs=1e-12)
    assert 0 < ours.misses < 150


# the pieces ---------------------------------------------------------------------------------------------------------


def test_crossing_score_quantiles_are_rearranged_and_set_apart() -> None:
    scores = np.array([[-2.0, -1.0, -1.2, 0.0, 0.0, 1.0, 1.0]])
    q = cone_quantiles(scores, np.array([0.01]))[0]
    assert q[:3] == pytest.approx([-200.0, -120.0, -100.0])
    assert (np.diff(q) > 0).all()
    assert q[4] - q[3] < 1e-5
    assert np.isnan(cone_quantiles(np.full((1, 7), np.nan), np.array([0.01]))).all()
    assert np.isnan(cone_quantiles(scores, np.array([np.nan]))).all()


def test_normal_quantiles_are_those_of_the_normal() -> None:
    from scipy.stats import norm

    q = normal_quantiles(np.array([0.01, np.nan]), 0.001)
    assert q[0] == pytest.approx(1e4 * norm.ppf(QUANTILE_LEVELS, loc=0.001, scale=0.01))
    assert np.isnan(q[1]).all()


def test_senseless_input_is_refused() -> None:
    ret, sigma = market(200, 1)
    with pytest.raises(InvalidInput, match="equal vectors"):
        AdaptiveConformal().run(ret[:-1], sigma, horizon=1)
    with pytest.raises(InvalidInput, match="positive sigma"):
        AdaptiveConformal().run(ret, sigma * 0.0, horizon=1)
    with pytest.raises(InvalidInput, match="horizon"):
        AdaptiveConformal().run(ret, sigma, horizon=0)
    for bad in ({"gamma": -0.1}, {"minimum": 5}, {"window": 50, "minimum": 100}):
        with pytest.raises(InvalidInput, match="expected gamma"):
            AdaptiveConformal(**bad)
