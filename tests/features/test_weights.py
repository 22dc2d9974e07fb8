"""Weights: against loops and pandas, on times and groups, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.features import weights
from fieldcast.ground import InvalidInput


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_average_uniqueness_equals_a_loop_over_the_moments(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 25))
    start = np.array(data.draw(st.lists(st.integers(0, 30), min_size=n, max_size=n)))
    end = start + np.array(data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n)))
    moments = sorted({*start.tolist(), *end.tolist()})
    expected = []
    for i in range(n):
        mine = [m for m in moments if start[i] < m <= end[i]]
        expected.append(np.mean([1 / sum(start[j] < m <= end[j] for j in range(n)) for m in mine]))
    found = weights.average_uniqueness(start, end)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert ((found > 0) & (found <= 1 + 1e-12)).all()


def test_labels_of_h_rows_on_every_row_are_one_hth_unique_in_the_middle() -> None:
    start = np.arange(200)
    found = weights.average_uniqueness(start, start + 5)
    np.testing.assert_allclose(found[10:190], 1 / 5)
    assert found[0] == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]))


def test_times_count_like_numbers_and_instruments_do_not_overlap() -> None:
    start = np.arange(50)
    stamps = np.datetime64("2024-01-01") + start.astype("timedelta64[D]")
    plain = weights.average_uniqueness(start, start + 3)
    np.testing.assert_array_equal(weights.average_uniqueness(stamps, stamps + np.timedelta64(3, "D")), plain)
    both = weights.average_uniqueness(np.tile(start, 2), np.tile(start + 3, 2), np.repeat(["A", "B"], 50))
    np.testing.assert_array_equal(both, np.tile(plain, 2))


def test_rows_that_were_left_out_do_not_change_how_long_labels_run_where_the_bars_are_given() -> None:
    start, end = np.array([0, 9, 40]), np.array([10, 19, 50])  # of fifty bars, the first two labels share one
    found = weights.average_uniqueness(start, end, moments=np.arange(60))
    np.testing.assert_allclose(found, [0.95, 0.95, 1.0])
    np.testing.assert_allclose(weights.average_uniqueness(start, end), [0.75, 0.75, 1.0])
    every = np.arange(80)
    np.testing.assert_array_equal(
        weights.average_uniqueness(every, every + 4, moments=np.arange(90)), weights.average_uniqueness(every, every + 4)
    )
    np.testing.assert_allclose(weights.uniqueness(start, end, moments=np.arange(60)), found / found.mean())
    with pytest.raises(InvalidInput, match="ends of all bars"):
        weights.average_uniqueness(start, end, moments=np.arange(30))


def test_decay_halves_at_the_half_life_and_never_reaches_zero() -> None:
    age = np.arange(200_000)
    found = weights.time_decay(age, 100)
    assert found[100] / found[0] == pytest.approx(0.5)
    assert found.min() > 0


def test_energy_and_volatility_are_reciprocals() -> None:
    values = np.array([0.5, 1.0, 4.0])
    np.testing.assert_allclose(weights.energy(values, 2.0), weights.scaled(values**-2.0))
    np.testing.assert_allclose(weights.volatility(values), weights.energy(values))
    np.testing.assert_allclose(weights.volatility(values * 7.0), weights.volatility(values))


def test_balance_equals_scikit_learn() -> None:
    compute = pytest.importorskip("sklearn.utils.class_weight").compute_sample_weight
    y = np.array([0, 0, 0, 0, 1, 1, 2, 0, 0.0])
    expected = compute("balanced", y)
    np.testing.assert_allclose(weights.balance(y), expected / expected.mean())


def test_what_cannot_be_a_weight_is_refused() -> None:
    with pytest.raises(InvalidInput, match="energies above zero"):
        weights.energy([1.0, -0.2])
    with pytest.raises(InvalidInput, match="finite volatilities"):
        weights.volatility([0.1, float("nan")])
    with pytest.raises(InvalidInput, match="ages of at least zero"):
        weights.time_decay([-1.0, 2.0])
    with pytest.raises(InvalidInput, match="end after they begin"):
        weights.uniqueness([1, 2], [2, 2])
    with pytest.raises(InvalidInput, match="ends known"):
        weights.uniqueness(np.array(["2024-01-01"], "M8[D]"), np.array(["NaT"], "M8[D]"))
    with pytest.raises(InvalidInput, match="two classes"):
        weights.balance(np.ones(5))
    with pytest.raises(InvalidInput, match="same rows"):
        weights.combined(np.ones(3), np.ones(4))
    with pytest.raises(InvalidInput, match="above zero"):
        weights.scaled([1.0, 0.0])
