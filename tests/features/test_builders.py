"""Combining tables and pooling instruments: age limits, cuts, order, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.features import labels
from fieldcast.features.builders import combine, pool
from fieldcast.features.windows import windows
from fieldcast.ground import InvalidInput

Bars = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def bars(bars_of: Bars) -> pl.DataFrame:
    return bars_of(120, seed=8)


@pytest.fixture(scope="module")
def rates(bars: pl.DataFrame) -> pl.DataFrame:
    """A weekly series, published two days after its period, some of it revised three weeks later."""
    weekly = bars.gather_every(5).select("ts", value=pl.int_range(pl.len()).cast(pl.Float64))
    first = weekly.with_columns(available_at=pl.col("ts") + timedelta(days=2))
    revised = weekly.gather_every(3).with_columns(available_at=pl.col("ts") + timedelta(days=21), value=pl.col("value") + 0.5)
    return pl.concat([first, revised]).sample(fraction=1.0, shuffle=True, seed=3)


def test_cutting_every_table_at_a_decision_leaves_the_rows_before_it_as_they_were(
    bars: pl.DataFrame, rates: pl.DataFrame
) -> None:
    whole = combine(bars, {"rate": rates}, oldest=timedelta(days=60))
    delay = timedelta(minutes=30)
    for row in (3, 40, 77, 118):
        moment = bars["ts"][row] + delay
        cut = combine(bars.head(row + 1), {"rate": rates.filter(pl.col("available_at") <= moment)}, oldest=timedelta(days=60))
        assert cut.equals(whole.head(row + 1))
    assert whole["rate.value"].null_count() == 2  # the first print of the first week is two days old then
    for row in range(2, 120, 7):
        known = rates.filter(pl.col("available_at") <= bars["ts"][row] + delay).sort("ts", "available_at")
        assert whole["rate.value"][row] == known["value"][-1]


def test_what_is_too_old_is_null_and_not_carried_on(bars: pl.DataFrame, rates: pl.DataFrame) -> None:
    stopped = rates.filter(pl.col("ts") <= bars["ts"][50])
    found = combine(bars, {"rate": stopped}, oldest=timedelta(days=10))["rate.value"]
    assert found[51] is not None
    assert found[70:].null_count() == 50


def test_wrong_tables_are_refused(bars: pl.DataFrame, rates: pl.DataFrame) -> None:
    with pytest.raises(InvalidInput, match="found none"):
        combine(bars, {})
    with pytest.raises(InvalidInput, match="rate with ts"):
        combine(bars, {"rate": rates.drop("available_at")})
    with pytest.raises(InvalidInput, match="limit of age"):
        combine(bars, {"rate": rates}, oldest={"other": timedelta(days=1)})


def test_a_pool_keeps_instruments_apart_and_in_order(bars: pl.DataFrame, bars_of: Bars) -> None:
    other = bars_of(90, seed=9).with_columns(instrument=pl.lit("XTST:B"))
    parts = [windows(b, b.select("ts", "close"), labels.sign(b, 2), "y", context=8, horizon=2) for b in (bars, other)]
    both = pool(parts)
    assert both.offsets.tolist() == [0, 111, 192]
    np.testing.assert_array_equal(both[111][0], parts[1].x[0])
    assert both.as_of.size == both.label_end.size == len(both)
    with pytest.raises(IndexError, match="0 to 191"):
        both[192]
    longer = windows(other, other.select("ts", "close"), labels.sign(other, 2), "y", context=9, horizon=2)
    with pytest.raises(InvalidInput, match="same columns, context"):
        pool([parts[0], longer])
