"""Superior predictive ability, stepwise tests and confidence sets: arch, brute force, invariants."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import confidence_set, spa, stationary_bootstrap, step_m
from fieldcast.evaluation.superiority import _variance
from fieldcast.ground import InvalidInput, MissingData


def _losses(seed: int, n: int = 400, shifts: tuple[float, ...] = (0.0, 0.0, 0.1, -0.1, 0.3)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, len(shifts))) + np.array(shifts)


def test_variance_of_the_bootstrap_is_that_of_its_draws() -> None:
    values = _losses(0)[:, :2]
    values[:, 1] = np.convolve(np.random.default_rng(1).normal(size=409), np.ones(10), "valid")
    centred = values - values.mean(axis=0)
    drawn = stationary_bootstrap(400, block=8, draws=20_000, seed=2) @ centred / 400**0.5
    np.testing.assert_allclose(drawn.var(axis=0), _variance(centred, 8.0), rtol=0.04)


@pytest.mark.parametrize("seed", range(5))
def test_p_values_are_near_those_of_arch_where_all_models_vary_alike(seed: int) -> None:
    from arch.bootstrap import SPA

    losses = _losses(seed)
    theirs = SPA(losses[:, 0], losses[:, 1:], block_size=5, reps=4000, seed=1)
    theirs.compute()
    found = spa(losses[:, 1:], losses[:, 0], block=5, draws=4000, seed=1)
    # ours divides each by its own spread, and is a little more cautious
    np.testing.assert_allclose([found.p_lower, found.p_value, found.p_upper], theirs.pvalues.to_numpy(), atol=0.07)
    assert found.p_lower <= found.p_value <= found.p_upper


def test_one_noisy_model_does_not_hide_a_good_one() -> None:
    """Why arch is not used here: it divides nothing by the models' spread."""
    from arch.bootstrap import SPA

    losses = _losses(3, shifts=(0.0, -0.5, 0.0))
    losses[:, 2] *= 40.0
    assert spa(losses[:, 1:], losses[:, 0], block=3).p_value < 0.01
    theirs = SPA(losses[:, 0], losses[:, 1:], block_size=3, reps=1000, seed=1)
    theirs.compute()
    assert theirs.pvalues["consistent"] > 0.10


def test_poor_models_cost_the_upper_p_value_and_not_the_consistent_one() -> None:
    rng = np.random.default_rng(5)
    losses = rng.normal(size=(400, 60))
    losses[:, 1] -= 0.10
    losses[:, 2:] += 1.0  # 58 hopeless models
    found = spa(losses[:, 1:], losses[:, 0], block=2)
    few = spa(losses[:, 1:2], losses[:, 0], block=2)
    assert found.best == 0
    assert found.p_value == pytest.approx(few.p_value, abs=0.02)
    assert found.p_upper > found.p_value + 0.02


def test_nothing_better_gives_a_p_value_of_one() -> None:
    losses = _losses(6, shifts=(0.0, 2.0, 3.0))
    found = spa(losses[:, 1:], losses[:, 0])
    assert (found.statistic, found.p_lower, found.p_value, found.p_upper) == (0.0, 1.0, 1.0, 1.0)
    assert step_m(losses[:, 1:], losses[:, 0]).better == ()


def test_scale_order_and_a_common_loss_change_nothing() -> None:
    losses = _losses(7, shifts=(0.0, -0.2, 0.1, 0.0))
    one = spa(losses[:, 1:], losses[:, 0], block=4)
    common = np.random.default_rng(8).normal(size=(400, 1))
    other = spa(5.0 * (losses[:, [3, 2, 1]] + common), 5.0 * (losses[:, 0] + common[:, 0]), block=4)
    assert other.p_value == pytest.approx(one.p_value, abs=1e-9)
    assert other.statistic == pytest.approx(one.statistic, rel=1e-6)
    assert other.best == 2 - one.best


def test_a_panel_of_copies_is_worth_one_of_them() -> None:
    losses = _losses(9, shifts=(0.0, -0.2, 0.1, 0.0))
    dates = np.datetime64("2020-01-01") + np.arange(400)
    one = spa(losses[:, 1:], losses[:, 0], dates=dates, block=4)
    panel = np.tile(losses, (6, 1))
    many = spa(panel[:, 1:], panel[:, 0], dates=np.tile(dates, 6), block=4)
    assert many.p_value == pytest.approx(one.p_value, abs=1e-9)
    assert (many.n, many.dates) == (2400, 400)


def test_stepwise_rejects_more_than_one_step_alone() -> None:
    losses = _losses(10, shifts=(0.0, 0.0, *[-1.5] * 20))
    both = step_m(losses[:, 1:], losses[:, 0], block=2)
    alone = step_m(losses[:, 1:2], losses[:, 0], block=2)
    assert alone.critical[0] < both.critical[0]
    # a shift moves the mean and no spread: model 0 is put between the bar for 21 models and that for one
    edge = (losses[:, 0] - losses[:, 1]).mean()
    wanted = (alone.critical[0] + both.critical[0]) / 2
    losses[:, 1] -= edge * (wanted / both.statistics[0] - 1.0)
    found = step_m(losses[:, 1:], losses[:, 0], block=2)
    assert found.statistics[0] == pytest.approx(wanted)
    assert found.steps == (tuple(range(1, 21)), (0,))
    assert found.critical == pytest.approx((both.critical[0], alone.critical[0]))
    assert all(a >= b for a, b in zip(found.critical[:-1], found.critical[1:], strict=True))  # fewer left: a lower bar
    assert sorted(k for step in found.steps for k in step) == list(found.better)


@pytest.mark.parametrize("method", ["range", "max"])
def test_confidence_set_is_that_of_arch(method: str) -> None:
    from arch.bootstrap import MCS

    same = 0
    for seed in range(12):
        losses = _losses(20 + seed, shifts=(0.0, 0.05, 0.15, 0.6, 0.9))
        theirs = MCS(losses, 0.10, reps=1000, block_size=4, method="R" if method == "range" else "max", seed=1)
        theirs.compute()
        found = confidence_set(losses, method=method, block=4, seed=1)
        same += set(found.included) == set(theirs.included)
        p = theirs.pvalues["Pvalue"].sort_index().to_numpy()
        np.testing.assert_allclose(found.p_values, p, atol=0.08)
        assert not {3, 4} & set(found.included)
        assert sorted((*found.included, *found.excluded)) == [0, 1, 2, 3, 4]
    assert same >= 10


def test_the_best_model_is_in_the_confidence_set_as_often_as_it_says() -> None:
    held = [0 in confidence_set(_losses(100 + s, shifts=(0.0, 0.0, 0.1, 0.3)), draws=200, seed=s).included for s in range(200)]
    assert np.mean(held) >= 0.88


def test_models_that_are_all_one_stay_together() -> None:
    losses = np.repeat(_losses(11)[:, :1], 3, axis=1)
    assert confidence_set(losses, block=3).included == (0, 1, 2)
    assert spa(losses[:, 1:], losses[:, 0], block=3).p_value == 1.0


def test_what_cannot_be_tested_is_refused() -> None:
    losses = _losses(12)
    with pytest.raises(MissingData, match="30 dates"):
        spa(losses[:20, 1:], losses[:20, 0])
    with pytest.raises(MissingData, match="constant distance"):
        spa(losses[:, :1] - 1.0, losses[:, 0])
    with pytest.raises(MissingData, match="differ by a constant"):
        confidence_set(np.column_stack((losses[:, 0], losses[:, 0] + 1.0)), block=3)
    with pytest.raises(MissingData, match="two blocks"):
        spa(losses[:, 1:], losses[:, 0], block=300)
    with pytest.raises(InvalidInput, match="two models"):
        confidence_set(losses[:, :1])
    with pytest.raises(InvalidInput, match=r"between 0 and 0\.5"):
        step_m(losses[:, 1:], losses[:, 0], size=0.9)
