"""The cross-section: ranks against SciPy, what an IC may not depend on, and what a neutral factor has left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from fieldcast.evaluation.cross_section import (
    Panel,
    capacity,
    forward_returns,
    long_short,
    neutralise,
    quantile_portfolios,
    rank_ic,
    ranks,
    traded,
)  # fmt: skip
from fieldcast.ground import InvalidInput, MissingData

VALUES = st.one_of(st.just(float("nan")), st.integers(-4, 4).map(float))
TABLES = arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 15)), elements=VALUES)


@given(TABLES)
@settings(max_examples=150)
def test_ranks_are_those_of_scipy_with_ties_and_gaps(table: np.ndarray) -> None:
    np.testing.assert_array_equal(ranks(table), rankdata(table, axis=1, nan_policy="omit"))


@given(TABLES, st.integers(0, 1000))
@settings(max_examples=100)
def test_an_ic_is_spearmans_and_does_not_change_with_the_scale(table: np.ndarray, seed: int) -> None:
    other = np.random.default_rng(seed).standard_normal(table.shape)
    found, count = rank_ic(table, other, least=3)
    np.testing.assert_allclose(rank_ic(np.exp(table), 5 * other - 1, least=3)[0], found, atol=1e-12)
    np.testing.assert_allclose(rank_ic(-table, other, least=3)[0], -found, atol=1e-12)
    for t in np.flatnonzero(np.isfinite(found)):
        known = np.isfinite(table[t])
        assert count[t] == known.sum()
        assert found[t] == pytest.approx(spearmanr(table[t, known], other[t, known]).statistic, abs=1e-12)
    assert (np.abs(found[np.isfinite(found)]) <= 1 + 1e-12).all()


@given(st.integers(0, 500))
@settings(max_examples=30)
def test_a_neutral_factor_has_nothing_left_of_what_it_is_neutral_to(seed: int) -> None:
    rng = np.random.default_rng(seed)
    factor, size = rng.standard_normal((4, 30)), rng.standard_normal((4, 30))
    left = neutralise(factor + size, exposures=(size,))
    np.testing.assert_allclose((left * size).sum(axis=1), 0.0, atol=1e-9)
    np.testing.assert_allclose(left.sum(axis=1), 0.0, atol=1e-9)


def test_a_forward_return_begins_after_the_factor_and_ends_before_the_panel() -> None:
    price = np.array([[10.0], [11.0], [12.1], [24.2]])
    panel = Panel(np.datetime64("2020-01-01") + np.arange(4), ("A",), price, price)
    np.testing.assert_allclose(forward_returns(panel, 1)[:, 0], [0.1, 1.0, np.nan, np.nan])
    np.testing.assert_allclose(forward_returns(panel, 2)[:, 0], [1.2, np.nan, np.nan, np.nan])
    assert np.isnan(forward_returns(panel, 3)).all()


def test_weights_are_neutral_and_turnover_of_a_full_turn_is_two() -> None:
    places = np.array([[0, 0, 1, 1], [1, 1, 0, 0]])
    weights = long_short(places, 2)
    np.testing.assert_array_equal(weights.sum(axis=1), 0.0)
    np.testing.assert_array_equal(traded(weights).sum(axis=1) / 2, [1.0, 2.0])


def test_capacity_is_what_the_thinnest_trade_carries() -> None:
    volume = np.array([[1e6, 2e6], [1e6, 2e6], [1e6, np.nan]])
    price = np.ones((3, 2))
    panel = Panel(np.datetime64("2020-01-01") + np.arange(3), ("A", "B"), price, price, volume)
    weights = np.array([[1.0, -1.0], [0.5, -0.5], [-0.5, 0.5]])
    found = capacity(panel, weights, share=0.01, window=1)
    assert (found.median, found.dates) == (0.01 * 1e6 / 0.5, 1)  # on the third date a volume is not known
    with pytest.raises(MissingData, match="dollar volume"):
        capacity(Panel(panel.dates, panel.names, price, price), weights)


def test_a_factor_that_begins_late_does_not_pay_for_its_first_purchase() -> None:
    rng = np.random.default_rng(2)
    price = 10 * np.exp(np.cumsum(0.01 * rng.standard_normal((90, 12)), axis=0))
    factor = np.tile(rng.standard_normal(12), (90, 1))  # never changes: after the first date nothing is traded
    factor[:20] = np.nan
    factor[60] *= -1.0  # both legs turn, and turn back
    panel = Panel(np.datetime64("2020-01-01") + np.arange(90), tuple("ABCDEFGHIJKL"), price, factor, np.full((90, 12), 1e6))
    found = quantile_portfolios(panel, 12, draws=50)
    assert np.isnan(found.turnover[:21]).all()
    later = np.abs(np.diff(found.weights[20:], axis=0)).sum(axis=1) / 2
    np.testing.assert_array_equal(found.turnover[21:], later)
    whole = capacity(panel, found.weights)
    cut = Panel(panel.dates[20:], panel.names, price[20:], factor[20:], panel.dollar_volume[20:])  # type: ignore[index]
    assert whole.dates == capacity(cut, found.weights[20:]).dates == int((later > 0).sum())


def test_an_exposure_in_billions_hides_no_group() -> None:
    rng = np.random.default_rng(3)
    factor, cap = rng.standard_normal((3, 40)), 1e16 * np.exp(rng.standard_normal((3, 40)))
    groups = np.arange(40) % 4
    left = neutralise(factor, groups=groups, exposures=(cap,))
    for group in range(4):
        np.testing.assert_allclose(left[:, groups == group].sum(axis=1), 0.0, atol=1e-9)
    np.testing.assert_allclose(left, neutralise(factor, groups=groups, exposures=(cap / 1e16,)), atol=1e-9)


def test_what_is_no_panel_is_refused() -> None:
    days, ok = np.datetime64("2020-01-01") + np.arange(2), np.ones((2, 2))
    for wrong in (
        {"price": np.ones((2, 3))},
        {"price": -ok},
        {"factor": np.full((2, 2), np.inf)},
        {"dates": days[::-1]},
        {"names": ("A", "A")},
        {"final_return": np.array([-2.0, 0.0])},
    ):
        with pytest.raises(InvalidInput):
            Panel(**{"dates": days, "names": ("A", "B"), "price": ok, "factor": ok} | wrong)
