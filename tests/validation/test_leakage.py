"""Leakage tests at their edges: what they must not flag, what they refuse. Planted leaks: tests/acceptance/test_V02.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.evaluation import CombinatorialPurged, WalkForward
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.validation import LeakKind, feature_leaks, label_leaks, scaler_leaks, split_leaks, threshold_leaks


def _bars(n: int = 60) -> pl.DataFrame:
    ts = [datetime(2020, 1, 1, 21, tzinfo=UTC) + timedelta(days=i) for i in range(n)]
    return pl.DataFrame({"ts": ts, "close": 100.0 + np.cumsum(np.random.default_rng(0).normal(size=n))})


def _label(bars: pl.DataFrame, ahead: int = 3) -> pl.DataFrame:
    return bars.select(
        "ts", (pl.col("close").shift(-ahead) - pl.col("close")).alias("y"), pl.col("ts").shift(-ahead).alias("label_end_ts")
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 4))
def test_every_purged_splitter_is_clean(seed: int, longest: int, embargo: int) -> None:
    rng = np.random.default_rng(seed)
    made = np.datetime64("2020-01-01T21:30", "us") + np.cumsum(rng.integers(1, 30, 80)) * np.timedelta64(1, "h")
    ended = made + rng.integers(1, 30 * longest, 80) * np.timedelta64(1, "h")
    ended[rng.random(80) < 0.05] = np.datetime64("NaT")
    folds = [(fold.train, fold.test) for fold in WalkForward(30, 10, 10, embargo).split(made, ended)]
    folds += [(split.train, split.test) for split in CombinatorialPurged(5, 2, embargo).split(made, ended)]
    assert not split_leaks(folds, made, ended).leaks


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_split_leaks_are_those_of_every_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = np.datetime64("2020-01-01T21:30", "us") + np.cumsum(rng.integers(1, 30, 30)) * np.timedelta64(1, "h")
    ended = made + rng.integers(1, 60, 30) * np.timedelta64(1, "h")
    order = rng.permutation(30)
    train, test = np.sort(order[:4]), np.sort(order[4:7])
    apart = True
    for run in np.split(test, np.flatnonzero(np.diff(test) > 1) + 1):
        last = max(ended[run].max(), made[run[-1]])
        apart &= all(ended[i] <= made[run[0]] or made[i] >= last for i in train)
    assert bool(split_leaks([(train, test)], made, ended).leaks) is not apart


def test_an_open_test_label_reaches_over_everything_after_it() -> None:
    made = np.datetime64("2020-01-01", "us") + np.arange(6) * np.timedelta64(1, "D")
    ended = made + np.timedelta64(1, "h")
    ended[2] = np.datetime64("NaT")
    for row in (3, 4, 5):
        assert split_leaks([([row], [2])], made, ended).leaks
    assert not split_leaks([([0, 1], [2])], made, ended).leaks


def test_unknown_values_are_equal_to_unknown_values() -> None:
    bars = _bars()

    def early(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select("ts", mean=pl.col("close").rolling_mean(20))

    assert not feature_leaks(early, bars).leaks
    assert feature_leaks(early, bars).comparisons > 300


def test_a_label_of_the_future_with_its_true_end_is_clean() -> None:
    bars = _bars()
    assert not label_leaks(_label, bars).leaks
    named = label_leaks(lambda rows: _label(rows).with_columns(label_end_ts=pl.col("ts")), bars).leaks
    assert {leak.kind for leak in named} == {LeakKind.LABELS}
    assert "not after its own bar" in named[0].detail


def test_a_scaler_that_is_fitted_on_training_rows_is_clean_with_holes_as_well() -> None:
    X = np.random.default_rng(1).normal(size=(50, 3))
    X[::7, 1] = np.nan
    train = np.arange(30)
    assert not scaler_leaks(lambda t, rows: (t - np.nanmean(t[rows], axis=0)) / np.nanstd(t[rows], axis=0), X, train).leaks
    ranked = scaler_leaks(lambda t, rows: t.argsort(axis=0).argsort(axis=0), np.nan_to_num(X), train).leaks
    assert len(ranked) == 2  # ranks over all rows: training rows follow the others, and those follow each other


def test_wrong_use_is_refused() -> None:
    bars = _bars()
    with pytest.raises(InvalidInput, match="one row of features a bar"):
        feature_leaks(lambda rows: rows.head(5), bars)
    with pytest.raises(InvalidInput, match=r"same columns .* found late"):
        feature_leaks(lambda rows: rows.with_columns(late=pl.col("close")) if rows.height == bars.height else rows, bars)
    with pytest.raises(InvalidInput, match="at least one cut"):
        feature_leaks(lambda rows: rows, bars.head(2))
    with pytest.raises(InvalidInput, match="label_end_ts"):
        label_leaks(lambda rows: rows, bars)
    with pytest.raises(MissingData, match="none to test"):
        label_leaks(lambda rows: _label(rows, 100), bars)
    with pytest.raises(InvalidInput, match="two rows outside"):
        scaler_leaks(lambda table, rows: table, np.ones((5, 1)), np.arange(4))
    with pytest.raises(InvalidInput, match="prepared rows"):
        scaler_leaks(lambda table, rows: table[:2], np.ones((5, 1)), np.arange(3))
    with pytest.raises(InvalidInput, match="training rows"):
        threshold_leaks(lambda score, y, rows: 0.5, np.ones(5), np.ones(5), np.arange(0))
