"""The registry loop of `validation.causality` over every column of the field table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
import pytest

from fieldcast.fields import FIELD_REGISTRY, TIMES, build_field_table
from fieldcast.market import BARS
from fieldcast.validation.causality import check_causality
from fieldcast.validation.causality_report import Kind

STAMPS = [replace(FIELD_REGISTRY["liquidity.swing_high_age"], name=name, low=None, high=None) for name in TIMES]


def compute(bars: pl.DataFrame, covariates: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return build_field_table(bars).drop("available_at", "close", "reasons")


def test_every_field_is_causal_forgets_as_declared_and_is_scale_free(make_bars) -> None:
    report = check_causality([*FIELD_REGISTRY.values(), *STAMPS], compute, make_bars(1000, seed=21), times=12)
    assert report.ok, report
    assert set(report.columns) == {*FIELD_REGISTRY, *TIMES}


@pytest.mark.slow
@pytest.mark.parametrize("tick", [0.0, 0.01])
def test_every_field_is_causal_at_200_times(make_bars, tick: float) -> None:
    report = check_causality([*FIELD_REGISTRY.values(), *STAMPS], compute, make_bars(1500, seed=22, tick=tick), times=200)
    assert report.ok, report
    assert report.times[Kind.TRUNCATION] >= 200
    assert report.times[Kind.PREFIX] >= 200


@pytest.mark.slow
def test_every_field_is_causal_on_real_bars(realdata) -> None:
    """SPY since 1993, back-adjusted: dividends, holidays, 1990s ticks of 1/32."""
    names = {"open", "high", "low", "close", "volume"}
    (path,) = sorted((realdata / "daily" / "yahoo_adjusted").glob("SPY*.csv.gz"))
    raw = pl.read_csv(path, try_parse_dates=True).rename(str.lower)
    assert names <= set(raw.columns)
    ts = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(hours=21)
    bars = raw.select(
        instrument=pl.lit("ARCX:SPY"), ts=ts, available_at=ts, **{n: pl.col(n).cast(pl.Float64) for n in names}
    ).with_columns(reasons=pl.lit(None, dtype=pl.String))
    bars = bars.with_columns(high=pl.max_horizontal("high", "low")).select(*BARS)
    report = check_causality(FIELD_REGISTRY, lambda part, _: compute(part, {}).drop(*TIMES), bars, times=60)
    assert report.ok, report
