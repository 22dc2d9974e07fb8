"""M05: Baselines on identical rows: base rate, VIX/ATR logistic, HAR/GARCH exceedance, random forest, MLP.

Done when: "Each model report has all baselines with equal n, and a model without them cannot be promoted"
"""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.data import read_bundled
from fieldcast.ground import Halted
from fieldcast.models import (
    REQUIRED_BASELINES,
    BaseRate,
    BoostedTrees,
    GarchNormal,
    LogHar,
    Logistic,
    VolatilityAnchor,
    compare_with_baselines,
    daily_variance,
    exceedance_odds,
)

pytestmark = pytest.mark.feature("M05")
OPEN_PARTS: tuple[str, ...] = ("random forest", "MLP", "implied volatility exceedance")

TRAIN, ROWS = 1500, 2000


@pytest.fixture(scope="module")
def forecasts() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """High reaches +1 % on the next day, NASDAQ 1999-2006: labels, and forecasts fitted on the first 1,500 rows."""
    _, bars, _ = read_bundled("nasdaq")
    bars = bars.head(ROWS)
    close, high = bars["close"].to_numpy(), bars["high"].to_numpy()
    ret = np.r_[np.nan, np.diff(np.log(close))]
    variance = daily_variance(bars)["variance"].to_numpy()
    sigma = LogHar().path(variance, ret, first=TRAIN).sigma
    sigma[:TRAIN] = np.nan
    garch = GarchNormal().path(ret, first=TRAIN).sigma[:, 0]
    y = np.full(ROWS, np.nan)
    y[:-1] = high[1:] >= close[:-1] * 1.01
    X = np.column_stack([np.log(np.convolve(variance, np.ones(14) / 14, "full")[:ROWS]), np.log(variance), ret])
    fit, test = np.arange(30, TRAIN), np.arange(TRAIN, ROWS)

    def later(p: np.ndarray) -> np.ndarray:
        return np.r_[np.full(TRAIN, np.nan), p]

    return y, {
        "logistic": later(Logistic().fit(X[fit], y[fit]).predict(X[test])),
        "boosted_trees": later(BoostedTrees(seed=1).fit(X[fit], y[fit]).predict(X[test])),
        "base_rate": later(BaseRate().fit(X[fit], y[fit]).predict(X[test])),
        "volatility_anchor[log_atr_pct]": later(VolatilityAnchor().fit(X[fit, :1], y[fit]).predict(X[test, :1])),
        "har_exceedance": exceedance_odds(sigma, 0.01),
        "garch_exceedance": exceedance_odds(garch, 0.01),
    }


@pytest.mark.parametrize("model", ["logistic", "boosted_trees"])
def test_a_report_has_every_baseline_with_equal_n(
    model: str, forecasts: tuple[np.ndarray, dict[str, np.ndarray]]
) -> None:
    y, table = forecasts
    silent = {name: p.copy() for name, p in table.items()}
    silent["har_exceedance"][TRAIN : TRAIN + 40] = np.nan
    silent[model][ROWS - 30 :] = np.nan
    report = compare_with_baselines(model, y, silent, label="high reaches +1 % in 1 day")
    assert report.scores[0].name == model
    assert {score.name.split("[")[0] for score in report.scores} >= set(REQUIRED_BASELINES)
    assert {score.n for score in report.scores} == {ROWS - TRAIN - 40 - 30}
    assert report.promotable
    report.require_promotable()
    assert report.skill("base_rate") > 0.0             # volatility clusters: even this much is worth something


@pytest.mark.parametrize("absent", REQUIRED_BASELINES)
def test_a_model_without_a_baseline_cannot_be_promoted(
    absent: str, forecasts: tuple[np.ndarray, dict[str, np.ndarray]]
) -> None:
    y, table = forecasts
    without = {name: p for name, p in table.items() if name.split("[")[0] != absent}
    report = compare_with_baselines("logistic", y, without, label="high reaches +1 % in 1 day")
    assert report.missing == (absent,)
    assert not report.promotable
    with pytest.raises(Halted, match=absent):
        report.require_promotable()
