"""Risk-off: each rule on both sides of its bound, what is unknown, and what an alarm does to the memberships."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.regime import NAMES, MarketState, memberships, overridden, risk_off
from fieldcast.fields.vocabulary import Alarm
from fieldcast.ground import InvalidInput

CALM = MarketState(vix=14, vix_before=14, drawdown=0.01, volatility_rank=0.5, correlation=0.2, dealer_gamma=1e9)


def changed(**values: float) -> MarketState:
    return MarketState(**({name: getattr(CALM, name) for name in CALM.__slots__} | values))


@pytest.mark.parametrize(
    ("state", "alarms"),
    [
        (CALM, ()),
        (changed(vix=29.9, vix_before=29), ()),
        (changed(vix=30, vix_before=29), (Alarm.VIX_LEVEL,)),
        (changed(vix=17.49), ()),
        (changed(vix=17.5), (Alarm.VIX_JUMP,)),
        (changed(drawdown=0.10), ()),
        (changed(drawdown=0.10, volatility_rank=0.9), (Alarm.DRAWDOWN,)),
        (changed(drawdown=0.099, volatility_rank=0.95), ()),
        (changed(correlation=0.7), (Alarm.CORRELATION,)),
        (changed(dealer_gamma=-1.0), ()),
        (changed(dealer_gamma=-1.0, vix=20, vix_before=20), (Alarm.DEALERS,)),
    ],
)
def test_each_rule_at_its_bound(state: MarketState, alarms: tuple[Alarm, ...]) -> None:
    verdict = risk_off(state)
    assert verdict.alarms == alarms
    assert verdict.not_judged == ()
    assert verdict.active == bool(alarms)


def test_what_is_unknown_is_not_taken_for_quiet() -> None:
    assert risk_off(MarketState()).not_judged == tuple(Alarm)
    only_vix = risk_off(MarketState(vix=35.0))
    assert only_vix.alarms == (Alarm.VIX_LEVEL,)
    assert set(only_vix.not_judged) == {Alarm.VIX_JUMP, Alarm.DRAWDOWN, Alarm.CORRELATION, Alarm.DEALERS}
    assert Alarm.DRAWDOWN not in risk_off(MarketState(drawdown=0.0)).not_judged  # one known condition fails: settled
    with pytest.raises(InvalidInput, match="unknown one is None"):
        MarketState(vix=float("nan"))


@given(st.floats(-1, 1), st.floats(-4, 4))
def test_an_alarm_never_raises_the_uptrend_and_keeps_the_sum(strength: float, range_z: float) -> None:
    before = {name: float(one[0]) for name, one in memberships(np.array([strength]), np.array([range_z])).items()}
    quiet, alarmed = risk_off(CALM), risk_off(changed(vix=40.0))
    assert overridden(before, range_z, quiet) == before
    after = overridden(before, range_z, alarmed)
    none = float(memberships(np.zeros(1), np.array([range_z]))["trend_up"][0])
    assert after["trend_up"] <= before["trend_up"]
    assert after["trend_up"] <= none + 1e-12
    assert after["trend_up"] == pytest.approx(min(before["trend_up"], none), abs=1e-12)
    assert after["trend_down"] == before["trend_down"]
    assert sum(after[name] for name in NAMES) == pytest.approx(1.0, abs=1e-12)
