"""X10, causality of every registered feature: truncation, prefix (history before the warm-up dropped), scale
(prices × c, volumes ÷ c) and vintage.

Done when: "For 100 % of the registry (model columns; raw cumulative indicators are no columns) at 200 random times:
value on data cut at t and value without history older than the declared warm-up equal the full one to 1e-9 and 1e-6,
and only columns declared `level` move under scaling".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast import features
from fieldcast.data import read_bundled
from fieldcast.fields import FIELD_REGISTRY, build_field_table
from fieldcast.indicators import RECURSIVE
from fieldcast.market import BARS, STAMP, conform
from fieldcast.validation import causality
from fieldcast.validation.causality import check_causality
from fieldcast.validation.causality_report import CausalityReport, Kind
from fieldcast.validation.steps import check_steps

pytestmark = pytest.mark.feature("X10")
OPEN_PARTS: tuple[str, ...] = ()
TIMES = 200


def compute(bars: pl.DataFrame, covariates: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return features.compute(bars, features.blocks(), covariates["vix"])


def fields(bars: pl.DataFrame, _: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return build_field_table(bars).select("ts", *FIELD_REGISTRY)


def simulated(n: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bars with clustered volatility, and a VIX of which every 200th row is published three days late."""
    random = np.random.default_rng(seed)
    sigma = 0.012 * np.exp(0.6 * np.sin(np.arange(n) / 60.0))
    move = sigma * random.standard_normal(n)
    close = 100 * np.exp(np.cumsum(move))
    opened = close * np.exp(-0.7 * move)
    ts = [datetime(2001, 1, 1, 21, tzinfo=UTC) + timedelta(days=day) for day in range(n)]
    frame = pl.DataFrame(
        {
            "instrument": ["XTST:SIM"] * n,
            "ts": pl.Series(ts, dtype=STAMP),
            "open": opened,
            "high": np.maximum(opened, close) * (1 + 0.006 * random.random(n)),
            "low": np.minimum(opened, close) * (1 - 0.006 * random.random(n)),
            "close": close,
            "volume": 1e6 * np.exp(0.4 * random.standard_normal(n)),
            "reasons": pl.Series([None] * n, dtype=pl.String),
        }
    ).with_columns(available_at="ts")
    bars = conform(frame, BARS)
    level = np.exp(2.9 + 0.3 * np.sin(np.arange(n) / 70.0) + 0.05 * random.standard_normal(n))
    late = pl.when(pl.int_range(n) % 200 == 150).then(timedelta(days=3)).otherwise(timedelta(minutes=15))
    vix = bars.select("ts", available_at=pl.col("ts") + late, close=pl.Series(level))
    return bars, vix


def assert_whole(report: CausalityReport, names: Mapping[str, object], times: int = TIMES) -> None:
    """100 % of the registry, at so many times, each column known at every one of them, and nothing found."""
    assert report.ok, "\n".join(str(violation) for violation in report.violations)
    assert set(report.columns) == set(names)
    assert report.times[Kind.TRUNCATION] == report.times[Kind.PREFIX] == times
    assert report.least_times[Kind.TRUNCATION] == report.least_times[Kind.PREFIX] == times
    assert report.comparisons[Kind.SCALE] > 0
    assert (causality.TRUNCATION_TOLERANCE, causality.PREFIX_TOLERANCE) == (1e-9, 1e-6)


@pytest.mark.slow
def test_every_feature_at_200_random_times_of_a_simulated_market() -> None:
    bars, vix = simulated(1150, 10)
    report = check_causality(
        features.REGISTRY, compute, bars, covariates={"vix": vix}, times=TIMES, late_rows=6, seed=1, restated_bars=True
    )
    assert_whole(report, features.REGISTRY)
    assert report.times[Kind.VINTAGE] == 2 * 6  # late rows of VIX, and late bars


@pytest.mark.slow
def test_every_feature_at_30_random_times_of_nasdaq_and_vix() -> None:
    vix = read_bundled("vix")[1]
    bars = read_bundled("nasdaq")[1].filter(pl.col("ts") >= vix["ts"][0])
    report = check_causality(
        features.REGISTRY, compute, bars, covariates={"vix": vix}, times=30, late_rows=5, seed=2, restated_bars=True
    )
    assert_whole(report, features.REGISTRY, 30)
    assert report.times[Kind.VINTAGE] == 2 * 5


@pytest.mark.slow
def test_the_features_of_bars_alone_over_twenty_years_of_nasdaq() -> None:
    names = {name: column for name, column in features.REGISTRY.items() if column.block != "vix"}
    report = check_causality(
        names,
        lambda bars, _: features.compute(bars, [block for block in features.blocks() if block != "vix"]),
        read_bundled("nasdaq")[1],
        times=8,
        seed=3,
    )
    assert_whole(report, names, 8)


@pytest.mark.slow
@pytest.mark.parametrize(("market", "times"), [("simulated", TIMES), ("nasdaq", 50)])
def test_every_field_at_random_times(market: str, times: int) -> None:
    bars = simulated(1000, 11)[0] if market == "simulated" else read_bundled("nasdaq")[1].tail(1000)
    assert_whole(check_causality(FIELD_REGISTRY, fields, bars, times=times, seed=4), FIELD_REGISTRY, times)


def test_only_columns_declared_level_move_under_scaling() -> None:
    bars, vix = simulated(1000, 12)
    constant = 1 / 3
    scaled = bars.with_columns(
        *(pl.col(name) * constant for name in ("open", "high", "low", "close")), pl.col("volume") / constant
    )
    before, after = compute(bars, {"vix": vix}), compute(scaled, {"vix": vix})
    moved = {
        name
        for name in features.REGISTRY
        if not np.allclose(before[name].to_numpy(), after[name].to_numpy(), rtol=1e-6, atol=1e-6, equal_nan=True)
    }
    assert moved <= {name for name, column in features.REGISTRY.items() if column.level}
    before, after = fields(bars, {}), fields(scaled, {})
    moved = {
        name
        for name in FIELD_REGISTRY
        if not np.allclose(before[name].to_numpy(), after[name].to_numpy(), rtol=1e-6, atol=1e-6, equal_nan=True)
    }
    assert moved <= {name for name, column in FIELD_REGISTRY.items() if column.level}
    assert moved, "a field such as the value area is a price and has to move: the comparison sees movement"


def test_a_leak_planted_into_the_real_registry_is_found() -> None:
    bars, vix = simulated(1000, 13)

    def leaky(bars: pl.DataFrame, covariates: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        return compute(bars, covariates).with_columns(
            pl.col("rsi_14").shift(-1), pl.col("adx_14") - pl.col("adx_14").mean(), pl.col("rv_5") * bars["close"]
        )

    report = check_causality(features.REGISTRY, leaky, bars, covariates={"vix": vix}, times=4, late_rows=1, seed=5)
    assert report.of(Kind.TRUNCATION) == {"rsi_14", "adx_14"}
    assert report.of(Kind.SCALE) == {"rv_5"}


def test_every_recursive_indicator_behind_the_registry_is_the_same_in_steps() -> None:
    report = check_steps(RECURSIVE.values(), simulated(1150, 14)[0])
    assert report.ok, str(report)
