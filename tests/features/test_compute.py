"""The feature table: values against formulas worked out another way, nulls where nothing is known, refusals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import talib

from fieldcast import features
from fieldcast.features import REGISTRY
from fieldcast.ground import InvalidInput

Bars = Callable[..., pl.DataFrame]
BLOCKS = ("a20", "vix", "volatility")       # those of this package; the field blocks are tests/features/test_fields.py's
COLUMNS = {name: REGISTRY[name] for name in features.columns(BLOCKS)}


@pytest.fixture(scope="module")
def bars(bars_of: Bars) -> pl.DataFrame:
    return bars_of(1100, 5)


@pytest.fixture(scope="module")
def vix(bars: pl.DataFrame, vix_of: Bars) -> pl.DataFrame:
    return vix_of(bars, 6)


@pytest.fixture(scope="module")
def table(bars: pl.DataFrame, vix: pl.DataFrame) -> pl.DataFrame:
    return features.compute(bars, BLOCKS, vix)


def arrays(bars: pl.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))


def test_the_table_has_ts_and_the_columns_of_the_blocks_in_order(table: pl.DataFrame, bars: pl.DataFrame) -> None:
    assert table.columns == ["ts", *features.columns(BLOCKS)]
    assert table["ts"].equals(bars["ts"])
    assert set(table.drop("ts").dtypes) == {pl.Float64()}
    assert features.compute(bars, ["volatility"]).columns == ["ts", *features.columns(["volatility"])]


def test_each_column_is_null_in_its_warm_up_and_known_right_after(table: pl.DataFrame) -> None:
    for name, column in COLUMNS.items():
        assert table[name].head(column.warmup).is_null().all(), name
        assert table[name].tail(table.height - column.warmup).is_not_null().all(), name


def test_values_are_finite_and_within_their_declared_bounds(table: pl.DataFrame) -> None:
    for name, column in COLUMNS.items():
        known = table[name].drop_nulls()
        assert known.is_finite().all(), name
        if column.low is not None:
            assert known.min() >= column.low, name
        if column.high is not None:
            assert known.max() <= column.high, name


def test_price_columns_of_a20_are_talib_values_over_the_close(table: pl.DataFrame, bars: pl.DataFrame) -> None:
    _, high, low, close, volume = arrays(bars)
    upper, _, lower = talib.BBANDS(close, 20, 2, 2)
    obv, traded = talib.OBV(close, volume), talib.SUM(volume, 20)
    expected = {
        **{f"close_to_dema_{p}": np.log(close / talib.DEMA(close, p)) for p in (9, 10, 20, 25, 90)},
        **{f"close_to_sma_{p}": np.log(close / talib.SMA(close, p)) for p in (12, 50, 100, 200)},
        "rsi_14": talib.RSI(close, 14) / 100,
        "stochrsi_14": talib.STOCHRSI(close, 14, 5, 3, 0)[0] / 100,
        "macd_to_close": talib.MACD(close, 12, 26, 9)[0] / close,
        "obv_20": (obv - np.roll(obv, 20)) / traded,
        "adosc_to_volume": talib.ADOSC(high, low, close, volume, 3, 10) / (traded / 20),
        "atr_to_close": talib.ATR(high, low, close, 14) / close,
        "adx_14": talib.ADX(high, low, close, 14) / 100,
        "percent_b_20": (close - lower) / (upper - lower),
        "close_to_vwap_20": np.log(close / (talib.SUM(close * volume, 20) / traded)),
    }
    assert {*expected, "rsi_weekly", "stochrsi_weekly"} == set(features.columns(["a20"]))
    for name, oracle in expected.items():
        start = REGISTRY[name].warmup
        np.testing.assert_allclose(table[name].to_numpy()[start:], oracle[start:], rtol=1e-6, atol=1e-9, err_msg=name)


def test_weekly_strength_is_talibs_on_fifty_closes_five_rows_apart(table: pl.DataFrame, bars: pl.DataFrame) -> None:
    close = bars["close"].to_numpy()
    for row in (249, 250, 613, 1099):
        blocks = np.ascontiguousarray(close[row - 245 : row + 1 : 5])
        assert blocks.size == 50
        assert table["rsi_weekly"][row] == pytest.approx(talib.RSI(blocks, 14)[-1] / 100, rel=1e-9)
        place = talib.STOCHRSI(blocks, 14, 5, 3, 0)[0][-1] / 100
        assert table["stochrsi_weekly"][row] == pytest.approx(place, rel=1e-9, abs=1e-12)


def test_volatility_columns_equal_their_formulas_row_by_row(table: pl.DataFrame, bars: pl.DataFrame) -> None:
    opened, high, low, close, _ = arrays(bars)
    for row in (30, 500, 1099):
        for w in (1, 5, 22):
            days = range(row - w + 1, row + 1)
            squares = [np.log(close[d] / close[d - 1]) ** 2 for d in days]
            ranges = [np.log(high[d] / low[d]) ** 2 / (4 * np.log(2)) for d in days]
            both = [0.5 * np.log(high[d] / low[d]) ** 2 - (2 * np.log(2) - 1) * np.log(close[d] / opened[d]) ** 2 for d in days]
            for name, values in ((f"rv_{w}", squares), (f"parkinson_{w}", ranges), (f"garman_klass_{w}", both)):
                assert table[name][row] == pytest.approx(np.log(np.sqrt(np.mean(values) + 1e-8)), rel=1e-10), name
    row = 700
    nights = [np.log(opened[d] / close[d - 1]) ** 2 for d in range(row - 21, row + 1)]
    days_only = [np.log(close[d] / opened[d]) ** 2 for d in range(row - 21, row + 1)]
    assert table["overnight_share_22"][row] == pytest.approx(sum(nights) / (sum(nights) + sum(days_only)), rel=1e-10)
    atr = talib.ATR(high, low, close, 14)
    assert table["log_atr_percent"][row] == pytest.approx(np.log(100 * atr[row] / close[row]), rel=1e-9)


def test_volatility_columns_recover_the_volatility_of_a_random_walk(bars_of: Bars) -> None:
    random = np.random.default_rng(1)
    path = np.cumsum(0.01 / np.sqrt(1000) * random.standard_normal((400, 1000)).ravel()).reshape(400, 1000)
    start = np.concatenate([[0.0], path[:-1, -1]])
    prices = np.exp(np.column_stack([start, np.maximum(path.max(1), start), np.minimum(path.min(1), start), path[:, -1]]))
    bars = bars_of(400).with_columns(pl.Series(name, prices[:, i]) for i, name in enumerate(("open", "high", "low", "close")))
    table = features.compute(bars, ["volatility"])
    for name in ("rv_22", "parkinson_22", "garman_klass_22"):
        assert float(np.exp(table[name].drop_nulls().mean())) == pytest.approx(0.01, rel=0.06), name


def test_vix_columns_equal_their_definitions_row_by_row(table: pl.DataFrame, vix: pl.DataFrame) -> None:
    close = vix["close"].to_numpy()
    for row in (60, 400, 1099):
        last = close[row - 19 : row + 1]
        expected = {
            "vix_close": close[row],
            "vix_sma_10": last[-10:].mean(),
            "vix_sma_20": last.mean(),
            "vix_percentile_60": 100 * sum(close[row - back] < close[row] for back in range(1, 60)) / 59,
            "vix_zscore_20": (close[row] - last.mean()) / last.std(ddof=1),
            "vix_regime": 0 if close[row] < 15 else 1 if close[row] < 25 else 2,
            "vix_change_1": close[row] / close[row - 1] - 1,
            "vix_change_5": close[row] / close[row - 5] - 1,
        }
        assert set(expected) == set(features.columns(["vix"]))
        for name, value in expected.items():
            assert table[name][row] == pytest.approx(value, rel=1e-10), name


def test_vix_regimes_change_at_15_and_25_and_a_flat_vix_scores_zero(bars_of: Bars) -> None:
    bars = bars_of(30)
    levels = [14.99, 15.0, 24.99, 25.0, *[20.0] * 26]
    table = features.compute(bars, ["vix"], bars.select("ts", "available_at", close=pl.Series(levels)))
    assert table["vix_regime"].to_list()[1:5] == [1, 1, 2, 1]
    assert table["vix_regime"][0] is None
    assert table["vix_zscore_20"][-1] == 0.0


def test_vix_is_null_before_it_begins_on_missing_days_and_after_it_ends(bars: pl.DataFrame, vix: pl.DataFrame) -> None:
    gappy = pl.concat([vix[300:500], vix[501:900]])
    table = features.compute(bars, ["vix"], gappy)
    known = table["vix_close"].is_not_null().to_numpy()
    assert not known[:301].any()
    assert known[301:500].all()
    assert not known[500]
    assert known[501:900].all()
    assert not known[900:].any()
    assert table["vix_close"][501] == vix["close"][501]
    assert table["vix_change_1"][501] == pytest.approx(vix["close"][501] / vix["close"][499] - 1)


def test_a_vix_row_published_after_the_decision_is_not_used(bars: pl.DataFrame, vix: pl.DataFrame) -> None:
    late = vix.with_columns(
        pl.when(pl.int_range(pl.len()) == 700)
        .then(pl.col("ts") + timedelta(minutes=31))
        .otherwise(pl.col("available_at"))
        .alias("available_at")
    )
    table = features.compute(bars, ["vix"], late)
    assert table["vix_close"][700] is None
    assert table["vix_close"][701] == vix["close"][701]
    on_time = late.with_columns(
        pl.when(pl.int_range(pl.len()) == 700)
        .then(pl.col("ts") + timedelta(minutes=30))
        .otherwise(pl.col("available_at"))
        .alias("available_at")
    )
    assert features.compute(bars, ["vix"], on_time)["vix_close"][700] == vix["close"][700]


def test_the_windows_of_earlier_decisions_do_without_a_vix_row_that_came_late(
    bars: pl.DataFrame, vix: pl.DataFrame, table: pl.DataFrame
) -> None:
    here = pl.int_range(pl.len()) == 700
    late = vix.with_columns(available_at=pl.when(here).then(bars["ts"][705]).otherwise(pl.col("available_at")))
    got = features.compute(bars, ["vix"], late)
    without = features.compute(bars, ["vix"], vix.filter(~here))
    columns = features.columns(["vix"])
    assert got[:705].select(columns).equals(without[:705].select(columns))
    assert got[705:].select(columns).equals(table[705:].select(columns))
    assert got["vix_sma_10"][704] != table["vix_sma_10"][704]


def test_a_market_that_closes_before_vix_takes_the_evening_before(bars: pl.DataFrame, vix: pl.DataFrame) -> None:
    europe = bars.with_columns(ts=pl.col("ts") - timedelta(hours=5), available_at=pl.col("ts") - timedelta(hours=5))
    table = features.compute(europe, ["vix"], vix)
    assert table["vix_close"].to_list()[2:] == vix["close"].to_list()[1:-1]


def test_a_null_volume_blanks_what_needs_volume_for_as_long_as_it_is_remembered(bars: pl.DataFrame, table: pl.DataFrame) -> None:
    holed = bars.with_columns(
        volume=pl.when(pl.int_range(pl.len()) == 600).then(None).otherwise(pl.col("volume")),
        reasons=pl.when(pl.int_range(pl.len()) == 600).then(pl.lit("volume_not_reported")).otherwise(None),
    )
    got = features.compute(holed, ["a20"])
    for name in features.columns(["a20"]):
        column = REGISTRY[name]
        if "volume" in column.inputs:
            assert got[name][600 : 601 + column.warmup].null_count() == column.warmup + 1, name
            after = slice(601 + column.warmup, None)
            np.testing.assert_allclose(got[name][after].to_numpy(), table[name][after].to_numpy(), atol=1e-6)
        else:
            assert got[name].equals(table[name]), name


def test_bars_with_a_close_alone_keep_every_column_that_needs_no_more(bars: pl.DataFrame) -> None:
    empty = pl.lit(None, dtype=pl.Float64)
    closes = bars.with_columns(open=empty, high=empty, low=empty, volume=empty, reasons=pl.lit("close_only"))
    table = features.compute(closes, ["a20", "volatility"])
    for name in features.columns(["a20", "volatility"]):
        known = table[name].drop_nulls().len() > 0
        assert known == (set(REGISTRY[name].inputs) == {"close"}), name


def test_a_synthetic_open_is_never_used(bars: pl.DataFrame, table: pl.DataFrame) -> None:
    marked = bars.with_columns(
        reasons=pl.when(pl.int_range(pl.len()).is_between(500, 509)).then(pl.lit("open_synthetic")).otherwise(None)
    )
    got = features.compute(marked, ["a20", "volatility"])
    for name in features.columns(["a20", "volatility"]):
        column = REGISTRY[name]
        nulls = got[name][500:].null_count()
        assert nulls == (10 + column.warmup if "open" in column.inputs else max(0, column.warmup - 500)), name


def test_a_bar_restated_after_a_decision_leaves_that_decision_without_a_value(bars: pl.DataFrame) -> None:
    known_at = bars["ts"][620] + timedelta(minutes=1)
    restated = bars.with_columns(
        available_at=pl.when(pl.int_range(pl.len()) == 600).then(known_at).otherwise(pl.col("available_at"))
    )
    got = features.compute(restated, ["a20", "volatility"])
    assert got["close_to_sma_200"][600:620].null_count() == 20
    assert got["close_to_sma_200"][620:].null_count() == 0
    assert got["rv_5"][600:606].null_count() == 6
    assert got["rv_5"][606:].null_count() == 0


def test_a_market_that_stands_still_has_no_strength_and_the_least_volatility(bars_of: Bars) -> None:
    bars = bars_of(400).with_columns(pl.lit(10.0).alias(name) for name in ("open", "high", "low", "close"))
    table = features.compute(bars, ["a20", "volatility"])
    for name in ("rsi_14", "rsi_weekly", "stochrsi_14", "percent_b_20", "overnight_share_22", "log_atr_percent"):
        assert table[name].is_null().all(), name
    assert table["rv_5"][-1] == pytest.approx(np.log(1e-4))
    assert table["close_to_sma_200"][-1] == 0.0


def test_short_histories_give_nulls_and_no_error(bars: pl.DataFrame, vix: pl.DataFrame) -> None:
    for n in (0, 1, 2, 4, 19, 21, 50):
        table = features.compute(bars.head(n), BLOCKS, vix.head(n))
        assert table.height == n
        assert table["close_to_dema_90"].null_count() == n


def test_what_breaks_the_schema_is_refused(bars: pl.DataFrame, vix: pl.DataFrame) -> None:
    cases = {
        "missing close": (bars.drop("close"), vix),
        "ascending": (bars.reverse(), vix),
        "one row each": (pl.concat([bars.head(3), bars[2:5]]), vix),
        "one instrument": (pl.concat([bars.head(3), bars[3:5].with_columns(instrument=pl.lit("XTST:B"))]), vix),
        "finite": (bars.with_columns(high=pl.lit(float("nan"))), vix),
        "a close in every bar": (bars.with_columns(close=pl.lit(None, dtype=pl.Float64)), vix),
        "positive prices": (bars.with_columns(low=pl.lit(0.0)), vix),
        "volumes of at least zero": (bars.with_columns(volume=pl.lit(-1.0)), vix),
        "times in UTC": (bars.with_columns(ts=pl.col("ts").dt.replace_time_zone(None)), vix),
        "VIX with ts": (bars, vix.drop("available_at")),
        "VIX in ascending": (bars, vix.reverse()),
        "positive close in every row of VIX": (bars, vix.with_columns(close=pl.lit(None, dtype=pl.Float64))),
        "expected bars of VIX": (bars, None),
    }
    for message, (given, index) in cases.items():
        with pytest.raises(InvalidInput, match=message):
            features.compute(given, BLOCKS, index)
