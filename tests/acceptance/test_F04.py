"""F04 Regime engine: efficiency ratio, ATR %, EMA alignment to soft probabilities; VIX, volatility, structure and
market-hours buckets; risk-off overrides.

Done when: "Probabilities sum to 1 within 1e-12, and a downtrend does not raise upward odds".
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from fieldcast.fields import FieldMap, build_field_table, regime
from fieldcast.fields.vocabulary import Alarm
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("F04")

OPEN_PARTS: tuple[str, ...] = ()


def path(drift: float, seed: int, n: int = 800, calm: int = 600) -> pl.DataFrame:
    """A walk without drift for `calm` bars, then the same shocks with `drift` added to each log return."""
    random = np.random.default_rng(seed)
    returns = 0.01 * random.standard_normal(n) + drift * (np.arange(n) >= calm)
    close = 100 * np.exp(np.cumsum(returns))
    reach = np.exp(0.004 * np.abs(random.standard_normal((2, n))))
    ts = pl.select(pl.lit(datetime(2000, 1, 3, 21, tzinfo=UTC)).cast(BARS["ts"]) + pl.duration(days=pl.int_range(n)))
    return pl.DataFrame(
        {
            "instrument": ["XNAS:TEST"] * n,
            "ts": ts.to_series(),
            "available_at": ts.to_series(),
            "open": close,
            "high": close * reach[0],
            "low": close / reach[1],
            "close": close,
            "volume": [1e6] * n,
            "reasons": [None] * n,
        },
        schema=BARS,
    )


@pytest.mark.parametrize("drift", [-0.02, -0.005, 0.0, 0.005, 0.02])
def test_probabilities_sum_to_one_within_1e_12(drift: float) -> None:
    table = build_field_table(path(drift, seed=1)).drop_nulls("regime.trend_up")
    assert table.height == 800 - 550
    total = table.select(pl.sum_horizontal(f"regime.{name}" for name in regime.NAMES)).to_series()
    assert (total - 1).abs().max() <= 1e-12


@pytest.mark.parametrize("seed", range(10))
def test_a_downtrend_does_not_raise_upward_odds(seed: int) -> None:
    """The same shocks with a downward drift added: upward odds fall, at each moment against no trend and on the whole."""
    calm, falling = (build_field_table(path(drift, seed)).tail(180) for drift in (0.0, -0.01))
    up, down = falling["regime.trend_up"].to_numpy(), falling["regime.trend_down"].to_numpy()
    neutral = regime.memberships(np.zeros(up.size), falling["regime.range_z"].to_numpy())["trend_up"]
    is_down = falling["regime.trend_strength"].to_numpy() < 0
    assert is_down.mean() > 0.7
    assert (up[is_down] < neutral[is_down]).all()
    assert (up[is_down] < down[is_down]).all()
    assert up.mean() < calm["regime.trend_up"].mean()
    assert (up - calm["regime.trend_up"].to_numpy()).mean() < 0
    assert down.mean() > calm["regime.trend_down"].mean()


def test_the_fault_of_the_reference_is_gone() -> None:
    """There a strong downtrend scored as `trend`, which raised the odds of up; here the two directions are apart."""
    fall = build_field_table(path(-0.02, seed=3)).tail(100)
    assert fall["regime.trend_down"].mean() > 0.8
    assert fall["regime.trend_up"].max() < 0.2


def test_the_buckets_and_the_override_stand_in_the_field_map() -> None:
    bars = path(0.02, seed=3)
    table = build_field_table(bars)
    at = bars["available_at"][-1]
    plain = FieldMap.at("XNAS:TEST", at, table)
    vix = bars.with_columns(instrument=pl.lit("XCBO:VIX"), close=pl.when(pl.int_range(pl.len()) < 799).then(18.0).otherwise(31.0))
    found = regime.regime_field(plain.regime, bars, at, calendar="XNYS", vix=vix)
    field = FieldMap.at("XNAS:TEST", at, table, [found.reading()])
    words = {name.removeprefix("regime."): word for name, word in field.labels.items()}
    assert words["vix_level"] == "crisis"
    assert words["stance"] == "risk_off"
    assert {"volatility_level", "structure", "market_hours"} <= set(words)
    assert found.verdict.alarms == (Alarm.VIX_LEVEL, Alarm.VIX_JUMP)
    assert field.regime["trend_up"] > 0.5 > field.regime["trend_up_guarded"]
    assert sum(field.regime[f"{name}_guarded"] for name in regime.NAMES) == pytest.approx(1.0, abs=1e-12)


def test_an_alarm_in_a_downtrend_does_not_raise_upward_odds() -> None:
    bars = path(-0.02, seed=3)
    table = build_field_table(bars)
    at = bars["available_at"][-1]
    plain = FieldMap.at("XNAS:TEST", at, table)
    vix = bars.with_columns(instrument=pl.lit("XCBO:VIX"), close=pl.lit(31.0))
    found = regime.regime_field(plain.regime, bars, at, calendar="XNYS", vix=vix)
    assert found.verdict.alarms == (Alarm.VIX_LEVEL,)
    assert found.memberships["trend_up"] <= plain.regime["trend_up"] < 0.1
    assert found.memberships["trend_down"] == plain.regime["trend_down"]
