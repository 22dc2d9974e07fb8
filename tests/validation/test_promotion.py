"""Calls of a symbol: what is refused, and how figures are made. The gates are in tests/acceptance/test_V08.py."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import ece, mean_interval
from fieldcast.ground import InvalidInput
from fieldcast.validation import GateOutcome, LeakageReport, LeakCheck, LeakKind, SymbolCalls, promotion

CLEAN = LeakageReport.of(LeakCheck(kind, 1, ()) for kind in LeakKind)
DATES = np.datetime64("2010-01-01") + np.arange(1500)


def test_figures_are_over_the_called_side() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.0, 1.0, 1500)
    up = (rng.random(1500) < p).astype(float)
    found = promotion(SymbolCalls("SIM:ONE", DATES, p, up), CLEAN, draws=200, seed=3)
    right = ((p >= 0.5) == (up == 1.0)).astype(float)
    assert found.accuracy == right.mean()
    assert found.calibration == ece(np.maximum(p, 1 - p), right, draws=200, seed=3)
    usual = (up == float(up.mean() >= 0.5)).astype(float)
    assert found.advantage == mean_interval(right - usual, dates=DATES, draws=200, seed=3)
    assert found.outcome is GateOutcome.PASS  # honest odds of a very predictable market
    turned = promotion(SymbolCalls("SIM:ONE", DATES, 1.0 - p, 1.0 - up), CLEAN, draws=200, seed=3)
    assert (turned.accuracy, turned.majority) == pytest.approx((found.accuracy, found.majority))


def test_calls_on_too_few_dates_cannot_be_judged() -> None:
    rng = np.random.default_rng(1)
    up = (rng.random(1500) < 0.5).astype(float)
    crowded = SymbolCalls("SIM:ONE", np.sort(DATES[rng.integers(0, 30, 1500)]), np.where(up == 1.0, 0.9, 0.1), up)
    found = promotion(crowded, CLEAN, draws=200)
    assert found.outcome is GateOutcome.CANNOT_JUDGE
    assert "1000 effective calls, found 30" in found.text
    assert found.advantage is None


@pytest.mark.parametrize("horizon", [1, 2])
def test_calls_of_one_date_are_one_effective_call(horizon: int) -> None:
    rng = np.random.default_rng(2)
    daily = (rng.random(1500) < 0.5).astype(float)
    up = np.repeat(daily, 4)
    calls = SymbolCalls("SIM:ONE", np.repeat(DATES, 4), np.where(up == 1.0, 0.95, 0.05), up, horizon)
    assert (calls.effective, calls.overlap) == (1500 // horizon, 4 * horizon)
    found = promotion(calls, CLEAN, draws=200)
    assert found.outcome is (GateOutcome.PASS if horizon == 1 else GateOutcome.CANNOT_JUDGE)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"symbol": ""}, "symbol"),
        ({"horizon": 0}, "horizon"),
        ({"p_up": np.full(1500, 1.1)}, "0, 1"),
        ({"p_up": np.full(1500, np.nan)}, "0, 1"),
        ({"up": np.full(1500, 0.5)}, "0 or 1"),
        ({"up": np.ones(10)}, "one length"),
        ({"dates": DATES[::-1]}, "time order"),
    ],
)
def test_wrong_calls_are_refused(change: dict[str, object], named: str) -> None:
    sound = {"symbol": "SIM:ONE", "dates": DATES, "p_up": np.full(1500, 0.6), "up": np.ones(1500), "horizon": 1}
    with pytest.raises(InvalidInput, match=named):
        SymbolCalls(**(sound | change))
