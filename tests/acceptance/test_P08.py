"""P08: Proper-scoring suite with golden vectors: Brier split, log loss, CRPS, pinball, debiased ECE with null band.

Done when: "Brier .170 = .005 - .085 + .250, CRPS of N(0,1) at 0 is .2336950, Kupiec (7, 255, .01) is 5.316, and ECE
prints its null band for the n in hand"
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from fieldcast.evaluation import (
    brier,
    brier_decomposition,
    crps_normal,
    crps_quantiles,
    ece,
    kupiec,
    log_loss,
    pinball,
    reliability_table,
    skill,
)

pytestmark = pytest.mark.feature("P08")
OPEN_PARTS: tuple[str, ...] = ()

# ten forecasts of each value, with 1, 4, 6 and 9 hits
FORECASTS = np.repeat([0.1, 0.3, 0.7, 0.9], 10)
HITS = np.concatenate([np.repeat([1.0, 0.0], [hits, 10 - hits]) for hits in (1, 4, 6, 9)])


def test_brier_splits_into_reliability_resolution_and_uncertainty() -> None:
    split = brier_decomposition(FORECASTS, HITS)
    assert split.method == "groups"
    assert split.score == brier(FORECASTS, HITS)
    assert split.score == pytest.approx(0.170, abs=1e-12)
    assert split.reliability == pytest.approx(0.005, abs=1e-12)
    assert split.resolution == pytest.approx(0.085, abs=1e-12)
    assert split.uncertainty == pytest.approx(0.250, abs=1e-12)
    assert split.reliability - split.resolution + split.uncertainty == pytest.approx(split.score, abs=1e-12)
    assert skill(split.score, split.uncertainty) == pytest.approx(0.32, abs=1e-12)


def test_log_loss_of_the_same_forecasts() -> None:
    assert log_loss(FORECASTS, HITS) == pytest.approx(0.51034, abs=5e-6)


@pytest.mark.parametrize(("y", "expected"), [(0.0, 0.2336950), (1.0, 0.6024414), (2.0, 1.4527918)])
def test_crps_of_a_standard_normal(y: float, expected: float) -> None:
    assert crps_normal(0.0, 1.0, y)[0] == pytest.approx(expected, abs=5e-8)
    levels = (np.arange(4000) + 0.5) / 4000
    assert crps_quantiles(norm.ppf(levels)[None, :], [y], levels)[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("y", [0.0, 1.0, 2.0])
def test_crps_is_twice_the_integral_of_the_pinball_loss(y: float) -> None:
    found, _ = quad(lambda level: 2 * float(pinball([norm.ppf(level)], [y], level)[0]), 0, 1, limit=200)
    assert found == pytest.approx(crps_normal(0.0, 1.0, y)[0], abs=1e-5)


def test_kupiec() -> None:
    assert kupiec(7, 255, 0.01).statistic == pytest.approx(5.316, abs=5e-4)


@pytest.mark.parametrize("n", [100, 1000])
def test_calibration_error_prints_its_null_band_for_the_n_in_hand(n: int) -> None:
    rng = np.random.default_rng(n)
    p = rng.uniform(0.45, 0.55, n)
    y = (rng.random(n) < p).astype(float)
    found = ece(p, y, draws=2000)
    # E[ECE] ~ 0.4 sqrt(10/n) for a perfectly calibrated 50/50 classifier (reference: 0.123 and 0.040)
    assert found.null_mean == pytest.approx(0.4 * (10 / n) ** 0.5, rel=0.05)
    assert found.null_low < found.null_mean < found.null_high
    text = str(found)
    for part in (f"n={n}", f"{found.null_low:.4f} to {found.null_high:.4f}", f"debiased {found.debiased:.4f}"):
        assert part in text
    table = reliability_table(p, y)
    assert table["n"].sum() == n
    assert (table["null_low"] < table["null_high"]).all()


def test_debiased_calibration_error_of_a_calibrated_forecast_averages_zero() -> None:
    squares = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.2, 0.8, 500)
        squares.append(ece(p, (rng.random(500) < p).astype(float), draws=1).debiased_square)
    assert abs(np.mean(squares)) <= 1e-4 + 2 * np.std(squares) / 300**0.5
    assert min(squares) < 0.0 < max(squares)
