"""S06, direction-aware Monte Carlo per idea: barriers, win rate, profit factor, VaR, CVaR.

Done when: "Long and mirrored short win rates differ by less than 2 standard errors, and the drift-free barrier rate matches the
closed form for a long horizon".
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind
from fieldcast.strategy import Gaussian, MonteCarlo, TradeIdea, simulate_idea, trade_idea
from fieldcast.trading import CostModel, Side

pytestmark = pytest.mark.feature("S06")
OPEN_PARTS: tuple[str, ...] = ()

SPY = Instrument("ARCX:SPY", Kind.ETF)
PATHS = 40_000


def idea(side: Side, *, stop: str = "2", ratio: str = "2", trailing: Decimal | None = None) -> TradeIdea:
    return trade_idea(
        SPY, side, as_of=datetime(2024, 3, 1, 21, 30, tzinfo=UTC), reference=Decimal(100), stop_distance=Decimal(stop),
        reward_risk=Decimal(ratio), quantity=Decimal(10), nav=Decimal(100_000), costs=CostModel(), trailing=trailing,
    )  # fmt: skip


def differ(one: MonteCarlo, other: MonteCarlo, name: str) -> float:
    """Difference of a figure in standard errors of the difference."""
    first, second = getattr(one, name), getattr(other, name)
    return float((first.value - second.value) / math.hypot(first.standard_error, second.standard_error))


@pytest.mark.parametrize(("stop", "ratio"), [("2", "2"), ("5", "1"), ("1", "3"), ("4", "2")])
def test_long_and_mirrored_short_win_rates_differ_by_less_than_2_standard_errors(stop: str, ratio: str) -> None:
    """Over a long time, other paths for each side. One comparison in 22 of a perfect simulation lies beyond 2; so 40 of them are
    made: together they lie within 2, most of them do alone, and their spread is that of standard errors."""
    ideas = {side: idea(side, stop=stop, ratio=ratio) for side in Side}
    runs = [
        [
            simulate_idea(ideas[side], steps=6, innovations=Gaussian(0.16), seed=2 * n + (side is Side.SELL), paths=4_096)
            for side in Side
        ]
        for n in range(40)
    ]
    for name in ("win_rate", "target_rate"):
        found = np.array([differ(long, short, name) for long, short in runs])
        assert abs(found.sum()) / math.sqrt(found.size) < 2, "163,840 paths of each side"
        assert (np.abs(found) < 2).mean() >= 0.85
        assert 0.7 < found.std(ddof=1) < 1.3
    assert all(0.2 < one.target_rate.value < 0.8 for pair in runs for one in pair)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("stop", "ratio"), [("2", "2"), ("5", "1"), ("1", "3")])
@pytest.mark.parametrize("steps", [4, 400])
def test_the_drift_free_barrier_rate_is_the_gamblers_ruin(side: Side, stop: str, ratio: str, steps: int) -> None:
    """Distance to the stop over the sum of both, in price: 1 / (1 + R). Four long steps or 400 short ones of the same horizon."""
    found = simulate_idea(
        idea(side, stop=stop, ratio=ratio), steps=steps, innovations=Gaussian(0.8 / math.sqrt(steps)), seed=5, paths=PATHS // 4
    )
    expected = 1 / (1 + float(ratio))
    assert found.time_rate.value < 0.01
    assert found.closed_form_target_rate == pytest.approx(expected, rel=1e-9)
    decided = found.target_rate.value / (found.target_rate.value + found.stop_rate.value)
    assert abs(decided - expected) < 3 * found.target_rate.standard_error + found.time_rate.value


def test_a_drift_helps_one_side_and_hurts_the_other() -> None:
    """The reference system's short could not win by falling: here a falling price is what it wins by."""
    long, short = (
        simulate_idea(idea(side), steps=30, innovations=Gaussian(0.01, drift=-0.003), seed=3, paths=PATHS) for side in Side
    )
    assert short.win_rate.value > long.win_rate.value + 0.2
    assert short.mean_return.value > 0 > long.mean_return.value


@pytest.mark.parametrize("side", Side)
def test_the_figures_are_those_of_the_paths(side: Side) -> None:
    """Win rate, profit factor, VaR and CVaR once more from the returns; a stop loses and a target wins, whichever the side."""
    found = simulate_idea(idea(side), steps=10, innovations=Gaussian(0.012), seed=9, paths=10_000)
    returns = found.returns
    cost = (found.returns.max() - 0.04, found.returns.min() + 0.02)
    assert cost[0] == pytest.approx(cost[1]), "target +4 %, stop -2 %, each less the same costs"
    assert cost[0] < 0
    assert found.win_rate.value == (returns > 0).mean()
    assert found.profit_factor.value == pytest.approx(returns[returns > 0].sum() / -returns[returns < 0].sum())
    assert found.var_95.value == np.sort(-returns)[9_499]
    assert found.cvar_95.value == pytest.approx(np.sort(-returns)[-500:].mean())
    assert found.target_rate.value + found.stop_rate.value + found.time_rate.value == pytest.approx(1.0)


def test_an_idea_without_levels_or_with_a_moving_stop_is_refused() -> None:
    with pytest.raises(InvalidInput, match="stop_distance_zero"):
        simulate_idea(idea(Side.BUY, stop="0"), steps=5, innovations=Gaussian(0.01), seed=1)
    with pytest.raises(InvalidInput, match="trailing"):
        simulate_idea(idea(Side.BUY, trailing=Decimal(1)), steps=5, innovations=Gaussian(0.01), seed=1)
