"""Monte Carlo: the bridge kernel against brute force, closed forms, error bars, and the three kinds of innovations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.strategy import Bootstrap, Gaussian, Projected, simulate_levels, target_probability
from fieldcast.strategy._kernels_barriers import first_met
from fieldcast.strategy.monte_carlo import ESTIMATES
from fieldcast.trading import Side

LONG = {"target": 1.06, "stop": 0.97}


@pytest.mark.parametrize(("variance", "end"), [(0.3, -0.3), (0.3, 0.6), (0.3, 1.4), (2.0, 0.1), (2.0, 1.0), (0.05, 0.1)])
def test_first_passage_of_a_bridge_is_that_of_fine_paths(variance: float, end: float) -> None:
    """Brute force: 6,000 bridges of 500 points, barriers moved by .5826 steps for what lies between points (Broadie 1997)."""
    start, n, m = 0.4, 6_000, 500
    random = np.random.default_rng(1)
    walk = np.cumsum(random.standard_normal((n, m)), axis=1) * math.sqrt(variance / m)
    clock = np.arange(1, m + 1) / m
    paths = start + walk - clock * walk[:, -1:] + clock * (end - start)
    shift = 0.5826 * math.sqrt(variance / m)
    never = m + 1
    above, below = paths >= 1 - shift, paths <= shift
    up = np.where(above.any(axis=1), above.argmax(axis=1), never)
    down = np.where(below.any(axis=1), below.argmax(axis=1), never)
    if end >= 1 - shift or end <= shift:  # the discrete path ends beyond by construction
        up = np.where((end >= 1 - shift) & (up == never), m, up)
    for chance, share in zip(first_met(start, end, 1.0, variance), ((up < down).mean(), (down < up).mean()), strict=True):
        assert abs(chance - share) < 4 * math.sqrt(max(chance * (1 - chance), 1e-4) / n) + 0.01


@given(st.floats(0.01, 0.99), st.floats(-1.5, 2.5), st.floats(1e-3, 20.0))
def test_passage_chances_are_chances_and_mirror(start: float, end: float, variance: float) -> None:
    up, down = first_met(start, end, 1.0, variance)
    assert -1e-12 <= up <= 1
    assert up + down <= 1 + 1e-9
    if end >= 1 or end <= 0:
        assert up + down == pytest.approx(1.0, abs=1e-9), "a path that ends beyond a barrier has met one"
    mirrored = first_met(1.0 - start, 1.0 - end, 1.0, variance)
    assert (up, down) == pytest.approx((mirrored[1], mirrored[0]), abs=1e-9)


def test_long_steps_give_the_same_rates_as_short_ones() -> None:
    """The first passage is exact, so 1 step of variance 1 and 100 steps of a hundredth agree: no step is too long."""
    one = simulate_levels(Side.BUY, **LONG, steps=1, innovations=Gaussian(0.05), seed=3, paths=40_000)
    many = simulate_levels(Side.BUY, **LONG, steps=100, innovations=Gaussian(0.005), seed=4, paths=40_000)
    for name in ("target_rate", "stop_rate", "time_rate"):
        first, second = getattr(one, name), getattr(many, name)
        assert abs(first.value - second.value) < 3.5 * math.hypot(first.standard_error, second.standard_error), name


@given(st.floats(1.001, 2.0), st.floats(0.4, 0.999), st.floats(0.001, 0.2))
def test_the_fair_game_ends_at_the_target_in_proportion_to_the_distances(target: float, stop: float, sigma: float) -> None:
    """Gambler's ruin in price, and in logs where the logarithm is without drift."""
    fair = target_probability(target=target, stop=stop, sigma=sigma)
    assert fair == pytest.approx((1 - stop) / (target - stop), rel=1e-9)
    level = target_probability(target=target, stop=stop, sigma=sigma, drift=0.5 * sigma**2)
    assert level == pytest.approx(-math.log(stop) / math.log(target / stop), rel=1e-6)


@pytest.mark.parametrize("drift", [-0.4, -0.002, 0.0005, 0.002, 0.4])
def test_a_drift_moves_the_closed_form_the_right_way(drift: float) -> None:
    fair = target_probability(**LONG, sigma=0.01)
    moved = target_probability(**LONG, sigma=0.01, drift=drift)
    assert 0.0 <= moved <= 1.0
    assert (moved - fair) * drift > 0
    assert target_probability(target=0.97, stop=1.06, sigma=0.01, drift=drift) == pytest.approx(1 - moved)


@pytest.mark.parametrize("drift", [-0.001, 0.0, 0.001])
@pytest.mark.parametrize("side", Side)
def test_rates_over_a_long_time_are_the_closed_form(drift: float, side: Side) -> None:
    levels = LONG if side is Side.BUY else {"target": 0.94, "stop": 1.03}
    found = simulate_levels(side, **levels, steps=60, innovations=Gaussian(0.05, drift * 25), seed=7, paths=20_000)
    assert found.time_rate.value is not None
    assert found.time_rate.value < 0.001
    assert found.closed_form_target_rate == pytest.approx(target_probability(**levels, sigma=0.05, drift=drift * 25))
    assert abs(found.target_rate.value - found.closed_form_target_rate) < 3.5 * found.target_rate.standard_error


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("steps", [1, 5, 40])
def test_a_martingale_earns_nothing_before_costs(side: Side, steps: int) -> None:
    levels = LONG if side is Side.BUY else {"target": 0.94, "stop": 1.03}
    found = simulate_levels(side, **levels, steps=steps, innovations=Gaussian(0.012), seed=11, paths=40_000)
    assert abs(found.mean_return.value) < 3.5 * found.mean_return.standard_error
    paid = simulate_levels(side, **levels, steps=steps, innovations=Gaussian(0.012), seed=11, paths=40_000, cost=0.002)
    assert paid.mean_return.value == pytest.approx(found.mean_return.value - 0.002)


@pytest.mark.slow
def test_mean_steps_held_by_walds_identity() -> None:
    """E[log return at the exit] = (drift - sigma² / 2) E[time]; a step of the exit counts whole, half a step too much."""
    found = simulate_levels(Side.BUY, **LONG, steps=4_000, innovations=Gaussian(0.004), seed=5, paths=2_000)
    rate = found.closed_form_target_rate
    assert rate is not None
    expected = (rate * math.log(1.06) + (1 - rate) * math.log(0.97)) / (-0.5 * 0.004**2)
    assert abs(found.steps_held.value - expected) < 4 * found.steps_held.standard_error + 1.0


def test_the_same_seed_gives_the_same_figures_and_more_paths_begin_the_same() -> None:
    few = simulate_levels(Side.BUY, **LONG, steps=10, innovations=Gaussian(0.01), seed=2, paths=5_000)
    again = simulate_levels(Side.BUY, **LONG, steps=10, innovations=Gaussian(0.01), seed=2, paths=5_000)
    more = simulate_levels(Side.BUY, **LONG, steps=10, innovations=Gaussian(0.01), seed=2, paths=9_000)
    other = simulate_levels(Side.BUY, **LONG, steps=10, innovations=Gaussian(0.01), seed=3, paths=5_000)
    assert (few.returns == again.returns).all()
    assert (more.returns[:5_000] == few.returns).all()
    assert (other.returns != few.returns).any()


@pytest.mark.slow
def test_standard_errors_are_the_spread_of_repetitions() -> None:
    """400 repetitions of 500 paths: the spread of each figure against the mean of its own error."""
    runs = [
        simulate_levels(Side.BUY, target=1.2, stop=0.8, steps=5, innovations=Gaussian(0.02, 0.004), seed=s, paths=500)
        for s in range(400)
    ]
    for name in ("win_rate", "mean_return", "profit_factor", "var_95", "cvar_95"):
        values = np.array([getattr(one, name).value for one in runs])
        errors = np.array([getattr(one, name).standard_error for one in runs])
        assert 0.85 < errors.mean() / values.std(ddof=1) < 1.2, name


def test_tail_figures_of_a_known_sample() -> None:
    """Of 1,000 returns of a bootstrap without barriers in reach, the worst 50 lie beyond VaR and their mean is CVaR."""
    found = simulate_levels(
        Side.BUY, target=9.0, stop=0.1, steps=1, innovations=Bootstrap(np.linspace(-0.05, 0.05, 501)), seed=1, paths=1_000
    )
    worst = np.sort(-found.returns)[-50:]
    assert found.cvar_95.value == pytest.approx(worst.mean())
    assert found.var_95.value == np.sort(-found.returns)[949]


def test_a_bootstrap_is_a_martingale_whatever_its_returns_were() -> None:
    drawn = np.random.default_rng(0).standard_t(4, 800) * 0.01 + 0.003
    found = simulate_levels(
        Side.BUY, target=9.0, stop=0.1, steps=20, innovations=Bootstrap(drawn), seed=6, paths=40_000
    )
    assert abs(found.mean_return.value) < 3.5 * found.mean_return.standard_error
    assert found.monitoring == "closes"
    assert found.closed_form_target_rate is None


def test_a_bootstrapped_stop_is_filled_where_the_step_ends() -> None:
    found = simulate_levels(Side.BUY, **LONG, steps=30, innovations=Bootstrap(np.array([-0.05, 0.05])), seed=6, paths=2_000)
    losses = found.returns[found.returns < 0]
    assert (losses < -0.03 - 1e-9).all(), "none at the level itself: a step of 5 % goes through it"
    assert found.returns.max() == pytest.approx(0.06), "a target at its level"


def test_projected_ends_follow_the_projection() -> None:
    """Barriers out of reach: the share of ends below each quantile is its level."""
    levels = (0.05, 0.125, 0.25, 0.5, 0.75, 0.875, 0.95)
    quantiles = (-0.05, -0.03, -0.012, 0.001, 0.014, 0.03, 0.045)
    found = simulate_levels(
        Side.BUY, target=9.0, stop=0.1, steps=5, innovations=Projected(levels, quantiles, 0.01), seed=8, paths=40_000
    )
    for level, quantile in zip(levels, quantiles, strict=True):
        share = (found.returns <= math.exp(quantile) - 1).mean()
        assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / 40_000)


def test_a_gaussian_projection_is_the_gaussian() -> None:
    from statistics import NormalDist

    levels = (0.05, 0.125, 0.25, 0.5, 0.75, 0.875, 0.95)
    mean, deviation = -0.5 * 0.01**2 * 9, 0.03
    quantiles = tuple(mean + deviation * NormalDist().inv_cdf(level) for level in levels)
    one = simulate_levels(Side.BUY, **LONG, steps=9, innovations=Projected(levels, quantiles, 0.01), seed=8)
    other = simulate_levels(Side.BUY, **LONG, steps=9, innovations=Gaussian(0.01), seed=8)
    assert np.allclose(one.returns, other.returns)


def test_plain_values_hold_every_estimate() -> None:
    values = simulate_levels(Side.SELL, target=0.9, stop=1.05, steps=3, innovations=Gaussian(0.01), seed=1).as_dict()
    assert set(ESTIMATES) <= values.keys()
    assert values["profit_factor"]["standard_error"] > 0


@pytest.mark.parametrize(
    "wrong",
    [{"target": 0.99}, {"stop": 1.01}, {"stop": -0.1}, {"steps": 0}, {"paths": 99}, {"cost": -0.1}, {"target": math.inf}],
)
def test_impossible_requests_are_refused(wrong: dict[str, float]) -> None:
    asked = {"target": 1.05, "stop": 0.95, "steps": 5, "paths": 1000, "cost": 0.0} | wrong
    with pytest.raises(InvalidInput):
        simulate_levels(Side.BUY, innovations=Gaussian(0.01), seed=1, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "made",
    [
        lambda: Gaussian(0.0),
        lambda: Gaussian(0.1, math.nan),
        lambda: Bootstrap(np.array([0.1])),
        lambda: Bootstrap(np.array([0.1, np.nan])),
        lambda: Projected((0.1, 0.5), (0.0, 0.1), 0.1),
        lambda: Projected((0.1, 0.5, 0.9), (0.0, 0.0, 0.1), 0.1),
    ],
)
def test_impossible_innovations_are_refused(made) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput):
        made()
