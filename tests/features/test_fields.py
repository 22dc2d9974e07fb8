"""The field blocks: the field map's own columns in model form, with the feature table's rules for what is not known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcast import features
from fieldcast.features import REGISTRY
from fieldcast.features import _registry as registry_module
from fieldcast.features._fields import model_columns
from fieldcast.fields import FIELD_REGISTRY, FieldColumn, build_field_table
from fieldcast.models import Logistic

Bars = Callable[..., pl.DataFrame]
NAMES = features.columns(["fields"])


@pytest.fixture(scope="module")
def bars(bars_of: Bars) -> pl.DataFrame:
    return bars_of(1300, 8)


@pytest.fixture(scope="module")
def table(bars: pl.DataFrame) -> pl.DataFrame:
    return features.compute(bars, ["fields"])


def test_every_field_is_a_model_column_but_prices_and_those_in_the_instruments_own_units() -> None:
    left_out = set(FIELD_REGISTRY) - set(NAMES)
    in_own_units = {name for name, column in FIELD_REGISTRY.items() if "per 1e9 of" in column.unit}
    assert "liquidity.amihud" in in_own_units
    assert left_out == {name for name, column in FIELD_REGISTRY.items() if column.level} | in_own_units
    assert {"liquidity.poc", "liquidity.vwap", "liquidity.swing_high"} <= left_out
    assert {"liquidity.poc_distance", "liquidity.amihud_ratio", "regime.trend_up", "sentiment.trend"} <= set(NAMES)


def test_the_blocks_follow_the_field_registry_and_no_list() -> None:
    new = FieldColumn("events.sessions_to_holiday", "events", ("ts", "close"), 3, "sessions", "made up", "this test")
    price = replace(new, name="events.price", unit="price", level=True)
    (column,) = model_columns((new, price))
    assert (column.name, column.block, column.warmup) == ("events.sessions_to_holiday", "fields.events", 3)
    assert features.groups()["fields"] == tuple(dict.fromkeys(f"fields.{FIELD_REGISTRY[name].block}" for name in NAMES))
    parts = [features.columns([block]) for block in features.groups()["fields"]]
    assert tuple(name for part in parts for name in part) == NAMES
    assert all(name.startswith("regime.") for name in features.columns(["fields.regime"]))


def test_values_are_those_of_the_field_table(bars: pl.DataFrame, table: pl.DataFrame) -> None:
    assert table.columns == ["ts", *NAMES]
    expected = build_field_table(bars)
    for name in NAMES:
        assert table[name].equals(expected[name]), name
        assert table[name].head(REGISTRY[name].warmup).is_null().all(), name
        assert table[name].null_count() < table.height, name
    some = features.compute(bars, ["fields.sentiment", "a20"])
    assert some.columns == ["ts", *features.columns(["fields.sentiment", "a20"])]
    assert some["sentiment.trend"].equals(table["sentiment.trend"])


def test_one_missing_volume_blanks_what_reads_volume_and_the_reason_stands_in_the_field_table(bars: pl.DataFrame) -> None:
    here = pl.int_range(pl.len()) == 900
    holed = bars.with_columns(
        volume=pl.when(here).then(None).otherwise(pl.col("volume")),
        reasons=pl.when(here).then(pl.lit("volume_not_reported")).otherwise(None),
    )
    got = features.compute(holed, ["fields"])
    assert got["liquidity.poc_distance"][900:960].null_count() == 60
    assert got["liquidity.poc_distance"][960] is not None
    assert got["regime.trend_up"][900] is not None
    assert "liquidity.poc_distance:volume_not_reported" in build_field_table(holed)["reasons"][900]


def test_a_bar_restated_after_a_decision_leaves_that_decision_without_its_fields(bars: pl.DataFrame, table: pl.DataFrame) -> None:
    known_at = bars["ts"][920] + timedelta(minutes=1)
    here = pl.int_range(pl.len()) == 900
    restated = bars.with_columns(available_at=pl.when(here).then(known_at).otherwise(pl.col("available_at")))
    got = features.compute(restated, ["fields"])
    for name in NAMES:
        stale = min(20, REGISTRY[name].warmup + 1) if name != "liquidity.gap" else 2
        assert got[name][900 : 900 + stale].null_count() == stale, name
        assert got[name][920 + 1 :].equals(table[name][920 + 1 :]), name


def test_memberships_that_sum_to_one_leave_the_logistic_one_minimum(table: pl.DataFrame) -> None:
    members = ["regime.trend_up", "regime.trend_down", "regime.mean_revert", "regime.expansion"]
    known = table.select(members).drop_nulls().to_numpy()
    np.testing.assert_allclose(known.sum(axis=1), 1.0, atol=1e-12)
    y = (np.random.default_rng(3).random(len(known)) < 0.3 + 0.5 * known[:, 0]).astype(np.float64)
    first = Logistic(l2=10.0).fit(known, y)
    turned = Logistic(l2=10.0).fit(known[:, ::-1], y)
    np.testing.assert_allclose(first.weights[1:], turned.weights[:0:-1], atol=1e-6)  # the order decides nothing
    np.testing.assert_allclose(first.predict(known), turned.predict(known[:, ::-1]), atol=1e-7)


def test_the_hash_of_field_columns_follows_the_field_formulas_and_no_other_hash_does(monkeypatch: pytest.MonkeyPatch) -> None:
    import fieldcast.fields.table as field_table

    before = features.registry_hash(NAMES), features.registry_hash(features.columns(["a20"]))
    monkeypatch.setattr(field_table, "FORMULAS", field_table.FORMULAS + 1)
    assert features.registry_hash(NAMES) != before[0]
    assert features.registry_hash(features.columns(["a20"])) == before[1]


def test_a_column_of_the_blocks_cannot_repeat_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from fieldcast.features import _fields
    from fieldcast.ground import InvalidInput

    twice: Any = (*_fields.COLUMNS, _fields.COLUMNS[0])
    monkeypatch.setattr(_fields, "COLUMNS", twice)
    with pytest.raises(InvalidInput, match="twice"):
        registry_module._all.__wrapped__()


def test_short_histories_give_nulls_and_no_error(bars: pl.DataFrame) -> None:
    for n in (0, 1, 2, 25, 70):
        table = features.compute(bars.head(n), ["fields"])
        assert table.height == n
        assert table["regime.range_z"].null_count() == n
