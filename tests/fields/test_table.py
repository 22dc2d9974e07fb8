"""The field table: causal, forgetful as declared, scale-free where declared, and never silent about a null."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.fields import FIELD_REGISTRY, TIMES, WARMUP, build_field_table, reasons_of, registry_hash
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import BARS

NAMES = list(FIELD_REGISTRY)
PRICES = ("open", "high", "low", "close")


def same(left: pl.DataFrame, right: pl.DataFrame, tolerance: float) -> None:
    for name in NAMES:
        a, b = left[name].to_numpy(), right[name].to_numpy()
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=name)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def test_every_column_is_registered_and_holds_values(bars: pl.DataFrame) -> None:
    table = build_field_table(bars)
    assert table.columns == ["ts", "available_at", "close", *NAMES, *TIMES, "reasons"]
    for name, column in FIELD_REGISTRY.items():
        values = table[name]
        assert values.dtype == pl.Float64
        assert not values.is_nan().any()
        assert values[: column.warmup].null_count() == column.warmup, f"{name} speaks before its warm-up is over"
        known = values.drop_nulls()
        assert known.len() > 30, name
        assert column.low is None or known.min() >= column.low, name
        assert column.high is None or known.max() <= column.high, name


def test_nothing_in_the_future_moves_a_row(bars: pl.DataFrame) -> None:
    full = build_field_table(bars)
    for rows in (1, 2, 7, 64, 251, 551, 600, 777, 899):
        cut = build_field_table(bars.head(rows))
        assert cut.equals(full.head(rows)), rows


def test_nothing_older_than_the_warm_up_moves_a_row(make_bars) -> None:
    for seed in range(3):
        bars = make_bars(1400, seed=seed, sigma=0.02)
        # a violent past: prices ten times as high, ranges wide
        early = pl.int_range(pl.len()) < 300
        bars = bars.with_columns(
            *(pl.when(early).then(pl.col(name) * 10).otherwise(name).alias(name) for name in PRICES),
        )
        full = build_field_table(bars)
        for start in (290, 310, 500):
            part = build_field_table(bars.slice(start))
            for name, column in FIELD_REGISTRY.items():
                a, b = full[name][start + column.warmup :].to_numpy(), part[name][column.warmup :].to_numpy()
                np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=name)
                np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6, err_msg=f"{name} from {start}, seed {seed}")


@pytest.mark.parametrize("tick", [0.0, 0.05])
@pytest.mark.parametrize("factor", [0.25, 1 / 7.0, 13.37])
def test_only_levels_move_with_the_price_scale(make_bars, factor: float, tick: float) -> None:
    bars = make_bars(800, seed=11, tick=tick)
    scaled = bars.with_columns(*(pl.col(name) * factor for name in PRICES), pl.col("volume") / factor)
    before, after = build_field_table(bars), build_field_table(scaled)
    for name, column in FIELD_REGISTRY.items():
        expected = before[name].to_numpy() * (factor if column.level else 1.0)
        np.testing.assert_allclose(after[name].to_numpy(), expected, rtol=1e-7, atol=1e-9, err_msg=name)
    levels = {name for name, column in FIELD_REGISTRY.items() if column.level}
    assert "liquidity.poc" in levels
    assert "regime.atr_percent" not in levels


# nulls and their reasons --------------------------------------------------------------------------------------------


def test_every_null_has_a_registered_reason_and_nothing_else_has(bars: pl.DataFrame) -> None:
    holes = pl.int_range(pl.len())
    bars = bars.with_columns(
        volume=pl.when(holes == 650).then(None).otherwise("volume"),
        high=pl.when(holes == 700).then(None).otherwise("high"),
        low=pl.when(holes == 700).then(None).otherwise("low"),
    )
    for row in build_field_table(bars).iter_rows(named=True):
        assert set(reasons_of(row["reasons"])) == {name for name in NAMES if row[name] is None}


def test_the_reason_names_what_was_missing(bars: pl.DataFrame) -> None:
    position = pl.int_range(pl.len())
    bars = bars.with_columns(
        volume=pl.when(position == 600).then(None).otherwise("volume"),
        high=pl.when(position == 800).then(None).otherwise("high"),
        low=pl.when(position == 800).then(None).otherwise("low"),
        reasons=pl.when(position.is_between(100, 120)).then(pl.lit("open_synthetic")).otherwise("reasons"),
    )
    table = build_field_table(bars)

    def reason(row: int, name: str) -> Reason | None:
        return reasons_of(table["reasons"][row]).get(name)

    assert reason(10, "liquidity.poc") is Reason.WARMING_UP
    assert reason(600, "liquidity.poc") is Reason.VOLUME_NOT_REPORTED
    assert reason(659, "liquidity.poc") is Reason.VOLUME_NOT_REPORTED
    assert reason(660, "liquidity.poc") is None
    assert reason(600, "liquidity.swing_high") is None  # needs no volume
    assert reason(800, "regime.trend_up") is Reason.CLOSE_ONLY
    assert reason(800, "sentiment.trend") is None  # needs the close alone
    assert reason(110, "liquidity.gap") is Reason.OPEN_SYNTHETIC
    assert reason(122, "liquidity.gap") is None


def test_a_recursion_warms_up_again_after_an_unknown_bar(bars: pl.DataFrame) -> None:
    broken = bars.with_columns(high=pl.when(pl.int_range(pl.len()) == 400).then(None).otherwise("high"))
    table, fresh = build_field_table(broken), build_field_table(bars.slice(401))
    spread = FIELD_REGISTRY["regime.ema_spread"]
    assert table["regime.ema_spread"][400 : 401 + spread.warmup].null_count() == spread.warmup + 1
    assert table["regime.ema_spread"][-1] == fresh["regime.ema_spread"][-1]


def test_a_close_only_series_gets_what_the_close_alone_can_tell(bars: pl.DataFrame) -> None:
    vix = bars.with_columns(
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("open", "high", "low", "volume")),
        reasons=pl.lit("close_only"),
    )
    table = build_field_table(vix)
    known = {name for name in NAMES if table[name].null_count() < table.height}
    assert known == {name for name, column in FIELD_REGISTRY.items() if column.inputs == ("close",)}
    assert known == {
        "regime.efficiency", "regime.realised_volatility", "regime.volatility_rank", "sentiment.rsi", "sentiment.trend",
    }  # fmt: skip
    for name, code in reasons_of(table["reasons"][-1]).items():
        needs_volume_alone = FIELD_REGISTRY[name].inputs == ("close", "volume")
        assert code is (Reason.VOLUME_NOT_REPORTED if needs_volume_alone else Reason.CLOSE_ONLY), name


def test_a_row_is_available_when_all_it_reads_was(bars: pl.DataFrame) -> None:
    restated = bars["ts"][300] + timedelta(days=30)
    late = bars.with_columns(
        available_at=pl.when(pl.int_range(pl.len()) == 300).then(pl.lit(restated)).otherwise("available_at")
    )
    table = build_field_table(late)
    assert table["available_at"][299] == bars["available_at"][299]
    assert table["available_at"][300] == table["available_at"][305] == restated
    assert table["available_at"][300 + WARMUP] == bars["available_at"][300 + WARMUP]


def test_one_instrument_is_taken_out_of_many(bars: pl.DataFrame) -> None:
    both = pl.concat([bars, bars.with_columns(instrument=pl.lit("XNAS:ELSE"))])
    with pytest.raises(InvalidInput, match="one instrument, found 2"):
        build_field_table(both)
    assert build_field_table(both, instrument="XNAS:TEST").equals(build_field_table(bars))


def test_no_bars_give_an_empty_table(bars: pl.DataFrame) -> None:
    table = build_field_table(bars.head(0))
    assert table.height == 0
    assert table.schema == build_field_table(bars).schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": float("nan")}, "NaN or infinity in close"),
        ({"high": float("inf")}, "NaN or infinity in high"),
        ({"close": None}, "a close on every bar"),
        ({"low": 0.0}, "positive prices, found others in low"),
        ({"high": 1.0}, "high ≥ low"),
        ({"volume": -1.0}, "volume ≥ 0"),
        ({"ts": datetime(2005, 1, 3, 21, tzinfo=UTC)}, "strictly ascending"),
    ],
)
def test_bad_bars_are_refused(bars: pl.DataFrame, change: dict[str, object], message: str) -> None:
    spoilt = bars.with_columns(
        pl.when(pl.int_range(pl.len()) == 50).then(pl.lit(value, dtype=BARS[name])).otherwise(name).alias(name)
        for name, value in change.items()
    )
    with pytest.raises(InvalidInput, match=message):
        build_field_table(spoilt)


def test_the_registry_hash_is_a_sha256_of_the_declarations() -> None:
    assert len(registry_hash()) == 64
    assert registry_hash() == registry_hash()
