"""Labels: against loops written out, unknown where anything of the answer is, cut points from training rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.features import labels
from fieldcast.ground import InvalidInput

Bars = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def bars(bars_of: Bars) -> pl.DataFrame:
    return bars_of(400, 11)


def holed(bars: pl.DataFrame, column: str, row: int, reason: str) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == row
    return bars.with_columns(
        pl.when(here).then(None).otherwise(pl.col(column)).alias(column),
        pl.when(here).then(pl.lit(reason)).otherwise(pl.col("reasons")).alias("reasons"),
    )


@pytest.mark.parametrize("horizon", [1, 5])
def test_sign_is_the_direction_of_the_close_over_the_horizon(bars: pl.DataFrame, horizon: int) -> None:
    table = labels.sign(bars, horizon)
    assert table.columns == ["ts", "label_end_ts", "ret", "y"]
    close = bars["close"]
    for row in range(bars.height):
        if row + horizon < bars.height:
            ret = np.log(close[row + horizon] / close[row])
            assert table["ret"][row] == pytest.approx(ret, rel=1e-12)
            assert table["y"][row] == int(ret > 0)
            assert table["label_end_ts"][row] == bars["ts"][row + horizon]
        else:
            assert table.row(row)[1:] == (None, None, None)


def test_a_return_of_zero_has_no_sign(bars_of: Bars) -> None:
    bars = bars_of(4).with_columns(pl.Series("close", [10.0, 10.0, 11.0, 10.0]))
    assert labels.sign(bars, 1)["y"].to_list() == [None, 1, 0, None]
    assert labels.sign(bars, 1)["ret"][0] == 0.0


def test_three_way_has_a_flat_band_of_k_sigma_both_ends_included(bars_of: Bars) -> None:
    bars = bars_of(5).with_columns(pl.Series("close", list(np.exp([0.0, 0.01, 0.01, -0.02, -0.021]))))
    ret = labels.sign(bars, 1)["ret"].to_numpy()
    sigma = np.array([ret[0], 0.01, 0.01, 0.01, 0.01])
    assert labels.three_way(bars, 1, sigma, 1.0)["direction"].to_list() == [0, 0, -1, 0, None]
    assert labels.three_way(bars, 1, sigma, 0.5)["direction"].to_list() == [1, 0, -1, 0, None]
    assert labels.three_way(bars, 1, sigma, 0.0)["direction"].to_list() == [1, 0, -1, -1, None]


def test_an_unknown_sigma_gives_an_unknown_direction(bars: pl.DataFrame) -> None:
    sigma = np.full(bars.height, 0.01)
    sigma[:20] = np.nan
    from_array = labels.three_way(bars, 1, sigma, 0.4)["direction"]
    from_series = labels.three_way(bars, 1, pl.Series(sigma).fill_nan(None), 0.4)["direction"]
    assert from_array[:20].null_count() == 20
    assert from_array[20:-1].null_count() == 0
    assert from_array.equals(from_series)


@given(
    moves=st.lists(st.floats(-0.2, 0.2, allow_nan=False), min_size=30, max_size=200),
    share=st.floats(0.05, 0.95),
)
def test_the_flat_band_holds_the_wanted_share_and_no_smaller_one_does(moves: list[float], share: float) -> None:
    ret, sigma = np.array(moves), np.full(len(moves), 0.01)
    k = labels.flat_band_k(ret, sigma, share)
    size = np.abs(ret) / sigma
    assert (size <= k).mean() >= share - 1e-12
    assert (size < k).mean() < share + 1e-12


def test_k_makes_a_third_of_the_training_rows_flat_and_knows_nothing_of_the_rest(bars: pl.DataFrame) -> None:
    sigma = np.full(bars.height, 0.012)
    training = labels.training_rows(labels.sign(bars, 5), bars["ts"][250])
    assert training.tolist() == list(range(246))
    ret = labels.sign(bars, 5)["ret"].to_numpy()
    k = labels.flat_band_k(ret[training], sigma[training])
    flat = labels.three_way(bars, 5, sigma, k)["direction"].to_numpy()[training] == 0
    assert flat.mean() == pytest.approx(1 / 3, abs=1 / training.size)

    later = bars.with_columns(
        pl.when(pl.int_range(pl.len()) > 250).then(pl.col(name) * 9).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    changed = labels.sign(later, 5)["ret"].to_numpy()
    assert not np.array_equal(ret[:-5], changed[:-5])
    assert labels.flat_band_k(changed[training], sigma[training]) == k


def test_magnitude_counts_the_cut_points_below_the_move(bars: pl.DataFrame) -> None:
    sigma = np.full(bars.height, 0.012)
    ret = labels.sign(bars, 1)["ret"].to_numpy()
    cuts = labels.magnitude_cuts(ret[:300], sigma[:300])
    table = labels.magnitude(bars, 1, sigma, cuts)
    expected = [sum(abs(r) / 0.012 > cut for cut in cuts) for r in ret[:-1]]
    assert table["magnitude"].to_list() == [*expected, None]
    counts = np.bincount(expected[:300], minlength=3)
    assert counts.max() - counts.min() <= 2


def test_volatility_is_the_root_mean_square_of_the_next_returns(bars: pl.DataFrame) -> None:
    table = labels.volatility(bars, 5)
    close = bars["close"].to_numpy()
    for row in (0, 123, 394):
        ahead = np.diff(np.log(close[row : row + 6]))
        assert table["log_sigma"][row] == pytest.approx(np.log(np.sqrt(np.mean(ahead**2) + 1e-8)), rel=1e-10)
    assert table["log_sigma"].null_count() == 5


def test_high_reaches_is_the_strict_formula(bars: pl.DataFrame) -> None:
    table = labels.high_reaches(bars, 3, 0.01)
    for row in range(bars.height - 3):
        expected = bars["high"][row + 1 : row + 4].max() >= bars["close"][row] * 1.01
        assert table["y"][row] == int(expected)
        assert table["label_end_ts"][row] == bars["ts"][row + 3]
    assert table["y"].tail(3).null_count() == 3


def test_reaching_the_level_to_the_last_digit_counts(bars_of: Bars) -> None:
    bars = bars_of(2).with_columns(close=pl.lit(3.0), high=pl.Series([3.0, 3.0 * 1.01]), low=pl.lit(2.0))
    assert labels.high_reaches(bars, 1, 0.01)["y"].to_list() == [1, None]
    below = bars.with_columns(high=pl.Series([3.0, np.nextafter(3.0 * 1.01, 0)]))
    assert labels.high_reaches(below, 1, 0.01)["y"].to_list() == [0, None]


def test_a_window_with_an_unknown_high_is_unknown_even_where_the_rest_decides_it(bars: pl.DataFrame) -> None:
    table = labels.high_reaches(holed(bars, "high", 100, "close_only"), 3, 0.0001)
    assert table["y"][97:100].null_count() == 3
    assert table["y"].null_count() == 6
    assert table["label_end_ts"].null_count() == 3


def test_open_to_close_starts_at_the_next_open(bars: pl.DataFrame) -> None:
    table = labels.open_to_close(bars, 2)
    expected = np.log(bars["close"].to_numpy()[2:] / bars["open"].to_numpy()[1:-1])
    np.testing.assert_allclose(table["ret"].to_numpy()[:-2], expected, rtol=1e-12)
    assert table["ret"].null_count() == 2


def test_open_to_close_is_null_where_the_next_open_is_not_a_real_print(bars: pl.DataFrame) -> None:
    marked = bars.with_columns(
        reasons=pl.when(pl.int_range(pl.len()) == 50).then(pl.lit("large_move,open_synthetic")).otherwise(None)
    )
    for table in (labels.open_to_close(marked, 1), labels.open_to_close(holed(bars, "open", 50, "close_only"), 1)):
        assert table["ret"][49] is None
        assert table["ret"].null_count() == 2


def test_minutes_ahead_looks_at_the_bar_that_many_minutes_later_and_at_no_other(bars_of: Bars) -> None:
    minutes = bars_of(60).with_columns(ts=pl.datetime_range(
        pl.datetime(2020, 1, 1, 15, 1, time_unit="us", time_zone="UTC"),
        pl.datetime(2020, 1, 1, 16, 0, time_unit="us", time_zone="UTC"),
        "1m",
    )).with_columns(available_at="ts")  # fmt: skip
    table = labels.minutes_ahead(minutes, 15)
    by_rows = labels.sign(minutes, 15)
    assert table.equals(by_rows)
    gap = minutes.filter(pl.int_range(pl.len()) != 30)
    table = labels.minutes_ahead(gap, 15)
    assert table["y"][15] is None
    later = table.drop_nulls("label_end_ts")
    assert (later["label_end_ts"] - later["ts"]).unique().to_list() == [timedelta(minutes=15)]
    close = dict(zip(gap["ts"], gap["close"], strict=True))
    for row in later.iter_rows(named=True):
        assert row["ret"] == pytest.approx(np.log(close[row["label_end_ts"]] / close[row["ts"]]), rel=1e-12)


def test_balance_counts_every_class_and_what_is_unknown(bars: pl.DataFrame) -> None:
    table = labels.sign(bars, 1)
    report = labels.balance(table, "y")
    assert report.columns == ["label", "value", "rows", "share", "unknown"]
    assert report["rows"].sum() == 399
    assert report["share"].sum() == pytest.approx(1)
    assert report["unknown"].to_list() == [1, 1]
    assert report.filter(pl.col("value") == 1)["rows"].item() == table["y"].sum()
    by_year = labels.balance(table, "y", by="year")
    assert by_year["year"].unique().to_list() == [2001, 2002]
    assert by_year.group_by("year").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1, 1])
    with pytest.raises(InvalidInput, match="expected a label"):
        labels.balance(table, "direction")
    with pytest.raises(InvalidInput, match="year"):
        labels.balance(table, "y", by="month")


@pytest.mark.parametrize("horizon", [0, -1, 1.5, True])
def test_a_horizon_is_a_whole_number_of_rows(bars: pl.DataFrame, horizon: int) -> None:
    for label in (labels.sign, labels.volatility, labels.high_reaches, labels.open_to_close):
        with pytest.raises(InvalidInput, match="horizon"):
            label(bars, horizon)


def test_a_horizon_beyond_the_data_leaves_every_row_unknown(bars_of: Bars) -> None:
    bars = bars_of(3)
    for table in (labels.sign(bars, 3), labels.volatility(bars, 3), labels.high_reaches(bars, 9)):
        assert table[table.columns[-1]].null_count() == 3
    assert labels.open_to_close(bars, 5)["ret"].null_count() == 3


def test_cut_points_and_scales_that_make_no_sense_are_refused(bars: pl.DataFrame) -> None:
    ret, sigma = np.full(40, 0.01), np.full(40, 0.01)
    cases: list[Callable[[], object]] = [
        lambda: labels.flat_band_k(ret, sigma, 0.0),
        lambda: labels.flat_band_k(ret[:29], sigma[:29]),
        lambda: labels.flat_band_k(ret, sigma[:10]),
        lambda: labels.flat_band_k(ret, -sigma),
        lambda: labels.flat_band_k(ret * np.inf, sigma),
        lambda: labels.magnitude_cuts(ret, sigma, 1),
        lambda: labels.three_way(bars, 1, np.ones(3), 0.5),
        lambda: labels.three_way(bars, 1, np.ones(bars.height), float("nan")),
        lambda: labels.three_way(bars, 1, np.zeros(bars.height), 0.5),
        lambda: labels.magnitude(bars, 1, np.ones(bars.height), (2.0, 1.0)),
        lambda: labels.magnitude(bars, 1, np.ones(bars.height), ()),
        lambda: labels.minutes_ahead(bars, 0),
    ]
    for case in cases:
        with pytest.raises(InvalidInput, match="expected"):
            case()
