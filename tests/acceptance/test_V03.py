"""V03: Evaluation: tie-correct AUC, IC, 50/75/90 coverage, Brier, log loss with intervals; win rate, Sharpe, drawdown,
tier and market-hours tables, mean and p90 latency.

Done when: "A constant forecast scores exactly 0.5, the DeLong vector gives 0.8889 and .024691, and trading figures
equal an independent calculation on a 50-trade fixture"
"""

from __future__ import annotations

import csv
import math
import statistics
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from statsmodels.stats.proportion import proportion_confint

from fieldcast.evaluation import (
    CENTRAL_LEVELS,
    Latency,
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
    market_hours,
    mean_interval,
    prediction_latency,
    tiers,
    trading_figures,
    trading_table,
)

pytestmark = pytest.mark.feature("V03")
OPEN_PARTS: tuple[str, ...] = ()

TRADES = Path(__file__).resolve().parents[1] / "evaluation" / "data" / "trades_50.csv"


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


def _trades() -> list[dict[str, str]]:
    with TRADES.open() as file:
        return list(csv.DictReader(file))


def test_trading_figures_equal_an_independent_calculation_on_50_trades() -> None:
    """Decimals and loops against arrays: nothing is shared but the definitions."""
    trades = _trades()
    assert len(trades) == 50
    equity = peak = Decimal("10000")
    returns, drawdowns, gains, losses = [], [], Decimal(0), Decimal(0)
    wins = lost = since_peak = worst_length = 0
    for trade in trades:
        profit = Decimal(trade["profit"])
        returns.append(float(profit / equity))
        equity += profit
        since_peak += 1
        if equity > peak:
            peak, since_peak = equity, 0
        drawdowns.append(float(1 - equity / peak))
        if drawdowns[-1] == max(drawdowns) and drawdowns.count(drawdowns[-1]) == 1:
            worst_length = since_peak
        wins += profit > 0
        lost += profit < 0
        gains += max(profit, Decimal(0))
        losses -= min(profit, Decimal(0))
    found = trading_figures([float(trade["profit"]) for trade in trades], start=10_000.0)
    assert (found.n, found.wins, found.losses) == (50, wins, lost)
    assert wins + lost == 48      # two trades ended level: neither won nor lost
    assert found.win_rate == wins / 50
    assert (found.win_rate_low, found.win_rate_high) == pytest.approx(proportion_confint(wins, 50, method="wilson"), abs=1e-12)
    assert found.total_profit == pytest.approx(float(gains - losses), abs=1e-9)
    assert found.final_equity == pytest.approx(float(equity), abs=1e-9)
    assert found.mean_profit == pytest.approx(float((gains - losses) / 50), abs=1e-12)
    assert found.mean_win == pytest.approx(float(gains / wins), abs=1e-12)
    assert found.mean_loss == pytest.approx(-float(losses / lost), abs=1e-12)
    assert found.profit_factor == pytest.approx(float(gains / losses), rel=1e-12)
    assert found.sharpe == pytest.approx(statistics.mean(returns) / statistics.stdev(returns), rel=1e-9)
    assert found.annual(252) == pytest.approx(found.sharpe * 252**0.5)
    assert found.worst_drawdown == pytest.approx(max(drawdowns), rel=1e-12)
    assert found.mean_drawdown == pytest.approx(statistics.mean(drawdowns), rel=1e-9)
    assert found.worst_drawdown_trades == worst_length > 0


@pytest.mark.parametrize("by", ["tier", "hours"])
def test_tier_and_market_hours_tables_equal_an_independent_calculation(by: str) -> None:
    trades = _trades()
    profit = [float(trade["profit"]) for trade in trades]
    if by == "tier":
        groups = tiers([float(trade["confidence"]) for trade in trades])
        order = ("high", "medium", "low")
        mine = ["high" if Decimal(t["confidence"]) >= Decimal("0.75") else "medium" if Decimal(t["confidence"]) >= Decimal("0.65")
                else "low" for t in trades]
    else:
        groups = market_hours(np.array([trade["entered"] for trade in trades], dtype="datetime64[us]"))
        order = ("tokyo", "london", "new_york")
        mine = [order[int(trade["entered"][11:13]) // 8] for trade in trades]
    table = trading_table(profit, groups, order=order)
    assert table["group"].to_list() == list(order)
    assert table["n"].sum() == 50
    for row in table.iter_rows(named=True):
        own = [p for p, group in zip(profit, mine, strict=True) if group == row["group"]]
        assert row["n"] == len(own) > 0
        assert row["wins"] == sum(p > 0 for p in own)
        assert row["win_rate"] == pytest.approx(sum(p > 0 for p in own) / len(own))
        assert row["total_profit"] == pytest.approx(math.fsum(own), abs=1e-9)
        assert row["mean_profit"] == pytest.approx(math.fsum(own) / len(own), abs=1e-9)
        factor = math.fsum(p for p in own if p > 0) / -math.fsum(p for p in own if p < 0)
        assert row["profit_factor"] == pytest.approx(factor, rel=1e-12)


def test_boundaries_of_tiers_and_market_hours() -> None:
    assert tiers([0.5, 0.6499, 0.65, 0.7499, 0.75, 1.0]).tolist() == ["low", "low", "medium", "medium", "high", "high"]
    stamps = np.array(["2024-03-10T00:00", "2024-03-10T07:59:59", "2024-03-10T08:00", "2024-03-10T16:00", "1969-12-31T23:00"],
                      dtype="datetime64[us]")
    assert market_hours(stamps).tolist() == ["tokyo", "tokyo", "london", "new_york", "new_york"]


def test_mean_and_p90_latency() -> None:
    taken = [float(trade["latency_ms"]) for trade in _trades()]
    found = Latency.of(taken)
    assert found.mean == pytest.approx(statistics.fmean(taken))
    assert found.p90 == sorted(taken)[44]      # 45 of 50 took no longer
    assert found.worst == max(taken)
    assert Latency.of(range(1, 11)).p90 == 9.0
    timed = prediction_latency(time.sleep, [0.05, *[0.001] * 8, 0.02, 0.02])
    assert timed.n == 10      # the first call warms up and is not counted
    assert timed.mean >= 4.8
    assert timed.worst >= timed.p90 >= 20.0
