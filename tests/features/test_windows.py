"""Windows: immutability, unknown labels, holes, training rows, and normalisers that do not belong."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.features import labels, normalise
from fieldcast.features.windows import NAT, PriceFrame, Windows, windows
from fieldcast.ground import InvalidInput, MissingData

Bars = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def bars(bars_of: Bars) -> pl.DataFrame:
    return bars_of(150, seed=70)


def made(bars: pl.DataFrame, context: int = 10, horizon: int = 3) -> Windows:
    return windows(bars, bars.select("ts", "close", "volume"), labels.sign(bars, horizon), "y", context=context, horizon=horizon)


@given(rows=st.integers(2, 80), context=st.integers(1, 30), horizon=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_the_count_is_right_for_every_size_or_there_is_no_dataset(
    bars: pl.DataFrame, rows: int, context: int, horizon: int
) -> None:
    part = bars.head(rows)
    if rows < context + horizon:
        with pytest.raises(MissingData, match="rows after the warm-up"):
            made(part, context, horizon)
        return
    found = made(part, context, horizon)
    assert len(found) == found.x.shape[0] == found.ts.size == rows - context - horizon + 1
    assert found.ts[-1] == part["ts"].dt.epoch("us")[rows - horizon - 1]
    np.testing.assert_array_equal(found.x[-1, :, 0], part["close"].to_numpy()[rows - horizon - context : rows - horizon])


def test_the_hash_of_a_price_frame_tells_every_value_and_moment_apart(bars: pl.DataFrame) -> None:
    plain = PriceFrame.of(bars).hash
    assert PriceFrame.of(bars.clone()).hash == plain
    for column in ("open", "high", "low", "close", "volume"):
        other = bars.with_columns(pl.when(pl.int_range(pl.len()) == 77).then(pl.col(column) * (1 + 1e-12)).otherwise(column))
        assert PriceFrame.of(other).hash != plain, column
    unknown = bars.with_columns(volume=pl.when(pl.int_range(pl.len()) == 77).then(None).otherwise("volume"))
    assert PriceFrame.of(unknown).hash != plain
    assert PriceFrame.of(bars.with_columns(instrument=pl.lit("XTST:B"))).hash != plain
    later = bars.with_columns(pl.col("ts", "available_at") + timedelta(hours=1))
    assert PriceFrame.of(later).hash != plain


def test_training_windows_had_their_answer_and_their_rows_end_before_the_cut(bars: pl.DataFrame) -> None:
    still = bars.with_columns(close=pl.when(pl.int_range(pl.len()) == 63).then(bars["close"][60]).otherwise("close"))
    still = still.with_columns(high=pl.max_horizontal("high", "close"), low=pl.min_horizontal("low", "close"))
    found = made(still)
    flat = 60 - 9
    assert np.isnan(found.y[flat])  # the return is zero: neither up nor down
    cut = still["ts"][100]
    training = found.training(cut)
    assert flat not in training
    assert training.max() == 100 - 3 - 9
    assert found.rows_of(training).max() == 100 - 3
    assert (found.label_end != NAT).all()
    with pytest.raises(InvalidInput, match="windows out of 0"):
        found.rows_of([len(found)])


def test_a_decision_after_its_answer_is_refused_and_a_shorter_delay_mends_it(bars: pl.DataFrame) -> None:
    start = bars["ts"][0]
    moments = pl.Series([start + timedelta(minutes=5 * row) for row in range(bars.height)]).cast(bars["ts"].dtype)
    fast = bars.with_columns(ts=moments, available_at=moments)
    with pytest.raises(InvalidInput, match="shorter delay"):
        made(fast, horizon=6)  # thirty minutes ahead, decided thirty minutes later
    assert len(made(fast, horizon=7)) == 150 - 10 - 7 + 1
    frame = PriceFrame.of(fast, delay=timedelta(seconds=20))
    found = windows(frame, fast.select("ts", "close"), labels.sign(fast, 1), "y", context=10, horizon=1)
    assert (found.as_of - found.ts == 20_000_000).all()
    assert (found.as_of < found.label_end).all()
    with pytest.raises(InvalidInput, match="delay of"):
        PriceFrame.of(fast, delay=timedelta(seconds=-1))


def test_a_window_with_a_bar_that_came_after_its_decision_is_refused(bars: pl.DataFrame) -> None:
    late = bars.with_columns(
        available_at=pl.when(pl.int_range(pl.len()) == 60).then(pl.col("ts") + timedelta(hours=2)).otherwise("available_at")
    )
    with pytest.raises(
        MissingData, match=re.escape(f"found 1 windows with a bar that came later, the first decided on {bars['ts'][60]}")
    ):
        made(late)
    assert len(made(late.slice(61))) == 89 - 10 - 3 + 1
    frame = PriceFrame.of(late, delay=timedelta(hours=3))
    assert len(windows(frame, late.select("ts", "close"), labels.sign(late, 3), "y", context=10, horizon=3)) == 150 - 10 - 3 + 1


def test_a_hole_after_the_warm_up_is_refused_by_name_and_moment(bars: pl.DataFrame) -> None:
    inputs = bars.select(
        "ts", "close", hole=pl.when(pl.int_range(pl.len()).is_between(5, 149) & (pl.int_range(pl.len()) != 90)).then(1.0)
    )
    with pytest.raises(MissingData, match=re.escape(f"1 unknown, the first in hole at {bars['ts'][90]}")):
        windows(bars, inputs, labels.sign(bars, 1), "y", context=5, horizon=1)
    empty = bars.select("ts", "close", nothing=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(MissingData, match="never known: nothing"):
        windows(bars, empty, labels.sign(bars, 1), "y", context=5, horizon=1)


def test_normalisers_that_do_not_belong_are_refused(bars: pl.DataFrame) -> None:
    found = made(bars)
    training = found.rows_of(found.training(bars["ts"][100]))
    fitted = normalise.fit("standard", found.rows, found.columns, training)
    scaled = found.normalised(fitted)
    np.testing.assert_allclose(scaled.rows[training].mean(axis=0), 0, atol=1e-12)
    with pytest.raises(InvalidInput, match="on raw inputs"):
        scaled.normalised(fitted)
    with pytest.raises(InvalidInput, match="these columns"):
        found.normalised(normalise.fit("standard", found.rows, found.columns[::-1], training))
    with pytest.raises(InvalidInput, match="apply on the windows"):
        found.normalised(normalise.fit("revin", found.rows, found.columns, training))
