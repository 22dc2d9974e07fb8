"""A model beside its baselines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fieldcast.ground import Halted, InvalidInput
from fieldcast.models import compare_with_baselines, exceedance_odds


def forecasts(n: int = 400) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.1, 0.9, n)
    y = (rng.random(n) < truth).astype(np.float64)
    table = {
        "base_rate": np.full(n, y.mean()),
        "logistic": np.clip(truth + 0.02, 0, 1),
        "volatility_anchor[log_atr_pct]": np.clip(truth + rng.normal(size=n) * 0.2, 0.01, 0.99),
        "har_exceedance": np.full(n, 0.5),
        "garch_exceedance": np.full(n, 0.4),
        "implied_exceedance": np.full(n, 0.45),
        "strong_anchor[log_har+log_implied]": np.clip(truth + rng.normal(size=n) * 0.15, 0.01, 0.99),
        "random_forest": np.full(n, 0.55),
        "mlp": np.full(n, 0.48),
    }
    return y, table


def test_all_stand_on_the_rows_that_all_know() -> None:
    y, table = forecasts()
    table["garch_exceedance"][:100] = np.nan
    table["logistic"][350:] = np.nan
    y[200] = np.nan
    report = compare_with_baselines("logistic", y, table, label="sign 1d")
    assert report.n == 249
    assert report.dropped == 151
    assert {score.n for score in report.scores} == {249}
    assert report.scores[0].name == "logistic"
    rows = np.r_[100:200, 201:350]
    p = table["logistic"][rows]
    expected = -np.mean(np.log(np.where(y[rows] == 1, p, 1 - p)))
    assert report.scores[0].log_loss == pytest.approx(expected)
    assert report.skill("base_rate") > 0.02
    assert report.promotable
    report.require_promotable()


@pytest.mark.parametrize("left_out", [name for name in forecasts()[1] if name != "logistic"])
def test_without_any_one_baseline_nothing_is_promoted(left_out: str) -> None:
    y, table = forecasts()
    del table[left_out]
    report = compare_with_baselines("logistic", y, table, label="sign 1d")
    assert report.missing == (left_out.split("[")[0],)
    with pytest.raises(Halted, match=left_out.split("[")[0]):
        report.require_promotable()


def test_no_common_row_promotes_nothing() -> None:
    y, table = forecasts()
    table["base_rate"][:] = np.nan
    report = compare_with_baselines("logistic", y, table, label="sign 1d")
    assert report.n == 0
    with pytest.raises(Halted):
        report.require_promotable()


def test_bad_forecasts_are_refused() -> None:
    y, table = forecasts()
    with pytest.raises(InvalidInput, match="among the forecasts"):
        compare_with_baselines("absent", y, table, label="x")
    with pytest.raises(InvalidInput, match=r"\[0, 1\]"):
        compare_with_baselines("logistic", y, table | {"base_rate": y + 0.5}, label="x")
    with pytest.raises(InvalidInput, match="shape"):
        compare_with_baselines("logistic", y, table | {"base_rate": y[:3]}, label="x")


def test_exceedance_equals_the_normal_tail_and_a_simulated_path() -> None:
    sigma = np.array([0.005, 0.01, 0.02])
    a = np.log(1.01)
    assert exceedance_odds(sigma, 0.01, of="close") == pytest.approx(norm.sf(a / sigma))
    high = exceedance_odds(sigma, 0.01, of="high")
    assert high == pytest.approx(2 * norm.sf(a / sigma))
    rng = np.random.default_rng(0)
    steps = 2000
    paths = np.cumsum(rng.normal(size=(4000, steps)), axis=1).max(axis=1) / np.sqrt(steps)
    reached = (paths * 0.01 >= a - 0.5826 * 0.01 / np.sqrt(steps)).mean()   # Broadie-Glasserman-Kou: discrete watching
    assert high[1] == pytest.approx(reached, abs=0.02)
    assert np.isnan(exceedance_odds([np.nan], 0.01))[0]


def test_exceedance_refuses_what_has_no_meaning() -> None:
    with pytest.raises(InvalidInput, match="positive"):
        exceedance_odds([0.0], 0.01)
    with pytest.raises(InvalidInput, match="threshold"):
        exceedance_odds([0.1], 0.0)
