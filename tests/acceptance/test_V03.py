"""V03: Evaluation: tie-correct AUC, IC, 50/75/90 coverage, Brier, log loss with intervals; win rate, Sharpe, drawdown,
tier and market-hours tables, mean and p90 latency.

Done when: "A constant forecast scores exactly 0.5, the DeLong vector gives 0.8889 and .024691, and trading figures
equal an independent calculation on a 50-trade fixture"
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from fieldcast.evaluation import (
    CENTRAL_LEVELS,
    auc,
    auc_interval,
    brier,
    brier_rows,
    central_band,
    coverage,
    delong,
    ic_interval,
    information_coefficient,
    log_loss,
    log_loss_rows,
    mean_interval,
)

pytestmark = pytest.mark.feature("V03", part="scores of probabilities and cones, with intervals")
OPEN_PARTS: tuple[str, ...] = (
    "trading figures (win rate, Sharpe, drawdown) against a 50-trade fixture", "tier and market-hours tables",
    "mean and p90 latency",
)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 0.5, 1.0])
def test_a_constant_forecast_scores_exactly_one_half(constant: float) -> None:
    y = (np.random.default_rng(0).random(777) < 0.4).astype(float)
    forecast = np.full(777, constant)
    assert auc(forecast, y) == 0.5
    found = auc_interval(forecast, y)
    assert (found.estimate, found.low, found.high, found.lower_one_sided) == (0.5, 0.5, 0.5, 0.5)
    assert information_coefficient(forecast, y) == 0.0


def test_ties_count_half() -> None:
    assert auc([0.2, 0.2, 0.8, 0.8], [0, 1, 0, 1]) == 0.5
    assert auc([0.2, 0.5, 0.5, 0.8], [0, 0, 1, 1]) == 0.875      # 3.5 of 4 pairs


def test_the_delong_vector() -> None:
    y = [0, 0, 1, 1, 0, 1]
    found = delong([[0.1, 0.35, 0.4, 0.8, 0.2, 0.75], [0.05, 0.2, 0.3, 0.6, 0.4, 0.65]], y)
    assert found.auc[0] == 1.0
    assert found.auc[1] == pytest.approx(0.8889, abs=5e-5)
    assert found.variance[1] == pytest.approx(0.024691, abs=5e-7)
    assert found.variance[0] == 0.0      # degenerate, and the test does not divide by it
    assert found.z == pytest.approx((1 - 8 / 9) / 0.024691358**0.5, rel=1e-6)


def test_every_figure_comes_with_an_interval_that_holds_it() -> None:
    rng = np.random.default_rng(1)
    n = 800
    signal = rng.normal(size=n)
    outcome = 0.4 * signal + rng.normal(size=n)
    y, p = (outcome > 0).astype(float), 1 / (1 + np.exp(-0.6 * signal))
    for interval, estimate in (
        (auc_interval(p, y), auc(p, y)),
        (ic_interval(p, outcome), spearmanr(p, outcome).statistic),
        (mean_interval(brier_rows(p, y)), brier(p, y)),
        (mean_interval(log_loss_rows(p, y)), log_loss(p, y)),
    ):
        assert interval.estimate == pytest.approx(estimate, abs=1e-12)
        assert interval.low < interval.estimate < interval.high
        assert interval.n == n


def test_coverage_of_the_three_bands() -> None:
    rng = np.random.default_rng(2)
    quantiles = np.tile([-1.6448536, -1.1503494, -0.6744898, 0.0, 0.6744898, 1.1503494, 1.6448536], (2000, 1))
    y = rng.normal(size=2000)
    for level in CENTRAL_LEVELS:
        low, high = central_band(quantiles, level)
        found = coverage(low, high, y, level)
        inside = ((y >= low) & (y <= high)).astype(float)
        interval = mean_interval(inside)
        assert found.rate == interval.estimate == inside.mean()
        assert interval.low < level < interval.high
        assert found.kupiec_p > 0.01
