"""Calibration error: the plug-in figure, its debiased twin and what chance alone shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.evaluation import ece, reliability_table
from fieldcast.ground import InvalidInput, MissingData


def _calibrated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.3, 0.7, n)
    return p, (rng.random(n) < p).astype(float)


def test_figures_equal_a_loop_over_bins() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(200)
    y = (rng.random(200) < p).astype(float)
    order = np.argsort(p)
    plug_in = square = 0.0
    for rows in np.array_split(order, 10):
        forecast, rate = p[rows].mean(), y[rows].mean()
        plug_in += 0.1 * abs(forecast - rate)
        square += 0.1 * ((forecast - rate) ** 2 - rate * (1 - rate) / (rows.size - 1))
    found = ece(p, y)
    assert found.ece == pytest.approx(plug_in)
    assert found.debiased_square == pytest.approx(square)
    assert found.debiased == pytest.approx(max(square, 0.0) ** 0.5)
    assert found.bins == 10


# validation-science section 5, checked there by simulation: E[ECE] of a calibrated 50/50 classifier in 10 bins
@pytest.mark.parametrize(("n", "expected"), [(100, 0.123), (250, 0.079), (500, 0.056), (1000, 0.040), (2000, 0.028)])
def test_null_mean_equals_the_published_bias_of_the_plug_in_figure(n: int, expected: float) -> None:
    p = np.random.default_rng(n).uniform(0.45, 0.55, n)
    assert ece(p, np.zeros(n), draws=2000).null_mean == pytest.approx(expected, rel=0.04)


def test_null_p95_at_1000_equals_the_published_figure() -> None:
    p = np.random.default_rng(0).uniform(0.45, 0.55, 1000)
    assert ece(p, np.zeros(1000), draws=4000).null_high == pytest.approx(0.055, abs=0.002)


def test_debiased_square_of_a_calibrated_forecaster_averages_zero() -> None:
    squares = [ece(*_calibrated(500, seed), draws=1).debiased_square for seed in range(400)]
    assert abs(np.mean(squares)) < 3.0 * np.std(squares) / 20.0
    assert np.mean(squares) < 1e-4


def test_debiased_square_stays_unbiased_when_labels_overlap() -> None:
    def square(seed: int, overlap: int) -> float:
        rng = np.random.default_rng(seed)
        p = np.repeat(rng.uniform(0.3, 0.7, 100), 5)
        y = (np.repeat(rng.random(100), 5) < p).astype(float)
        return ece(p, y, draws=1, overlap=overlap).debiased_square

    aware, naive = ([square(seed, h) for seed in range(300)] for h in (5, 1))
    assert abs(np.mean(aware)) < 3.0 * np.std(aware) / 300**0.5
    assert np.mean(naive) > 0.01      # taken as independent rows, a calibrated forecaster looks 10 % off


def test_band_holds_a_calibrated_forecaster_about_95_times_in_100() -> None:
    inside = [ece(*_calibrated(300, seed), draws=300, seed=seed).within_null for seed in range(200)]
    assert 0.90 <= np.mean(inside) <= 0.99


def test_a_planted_miscalibration_is_seen() -> None:
    p, y = _calibrated(3000, 1)
    found = ece(np.clip(p + 0.15, 0, 1), y)
    assert not found.within_null
    assert found.debiased == pytest.approx(0.15, abs=0.02)


def test_overlapping_labels_widen_the_band_by_the_root_of_the_horizon() -> None:
    p = np.random.default_rng(0).uniform(0.45, 0.55, 5000)
    single, five = (ece(p, np.zeros(5000), draws=1500, overlap=h).null_mean for h in (1, 5))
    # of the four rows that share a row's luck, one in ten lies in its bin
    assert five == pytest.approx(single * 1.4**0.5, rel=0.05)
    trend = np.linspace(0.3, 0.7, 5000)      # bins made of neighbouring rows: each holds a fifth of the information
    single, five = (ece(trend, np.zeros(5000), draws=1500, overlap=h).null_mean for h in (1, 5))
    assert five == pytest.approx(single * 5**0.5, rel=0.05)


def test_a_constant_forecast_has_one_bin_and_a_few_valued_one_keeps_equal_forecasts_together() -> None:
    y = np.array([0, 1] * 50, dtype=float)
    assert ece(np.full(100, 0.5), y).bins == 1
    table = reliability_table(np.repeat([0.1, 0.3, 0.7, 0.9], 25), y)
    assert table["forecast"].to_list() == pytest.approx([0.1, 0.3, 0.7, 0.9])
    assert table["n"].to_list() == [25] * 4


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.integers(1, 12))
def test_every_row_is_in_one_bin_of_at_least_two(values: list[float], bins: int) -> None:
    p = np.array(values)
    table = reliability_table(p, np.zeros(p.size), bins=bins, draws=5)
    assert table["n"].sum() == p.size
    assert table["n"].min() >= 2
    assert table.height <= bins
    assert table["forecast_low"].is_sorted()
    assert (table["forecast"] >= table["forecast_low"] - 1e-9).all()
    assert (table["forecast"] <= table["forecast_high"] + 1e-9).all()


def test_reliability_bands_shrink_with_the_rows_of_the_bin() -> None:
    p, y = _calibrated(4000, 7)
    table = reliability_table(p, y, draws=500)
    assert table["within_null"].sum() >= 7
    width = (table["null_high"] - table["null_low"]).mean()
    assert width == pytest.approx(2 * 1.645 * (0.24 / 400) ** 0.5, rel=0.12)


def test_same_seed_gives_the_same_band_and_a_single_row_is_refused() -> None:
    p, y = _calibrated(200, 3)
    assert ece(p, y, seed=4) == ece(p, y, seed=4)
    with pytest.raises(MissingData):
        ece([0.5], [1])
    with pytest.raises(InvalidInput):
        ece(p, y, bins=0)
