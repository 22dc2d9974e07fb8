"""FieldMap: one row as a value; equal inputs are equal maps."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from fieldcast.fields import FIELD_REGISTRY, LANDMARKS, FieldMap, build_field_table
from fieldcast.ground import InvalidInput, MissingData, Reason


@pytest.fixture(scope="module")
def table(bars: pl.DataFrame) -> pl.DataFrame:
    return build_field_table(bars)


def at(table: pl.DataFrame, row: int, **later: int) -> FieldMap:
    return FieldMap.at("XNAS:TEST", table["available_at"][row] + timedelta(**later), table)


def test_the_map_is_the_newest_row_known_at_the_time(table: pl.DataFrame) -> None:
    field = at(table, 700, hours=5)
    row = table.row(700, named=True)
    assert field.ts == row["ts"]
    for name, column in FIELD_REGISTRY.items():
        space = getattr(field, column.block)
        assert space.get(name.removeprefix(f"{column.block}.")) == row[name]
        assert (name in field.reasons) == (row[name] is None)
    assert at(table, 700, seconds=-1).ts == table["ts"][699]


def test_landmarks_say_since_when_they_are_known(table: pl.DataFrame) -> None:
    field = at(table, 700)
    assert tuple(field.landmarks) == LANDMARKS
    assert field.landmarks["poc"].known_since == table["available_at"][700]
    swing = field.landmarks["swing_high"]
    assert swing.price == field.liquidity["swing_high"]
    confirmed = table.filter(pl.col("ts") == table["liquidity.swing_high_confirmed_at"][700])
    assert swing.known_since == confirmed["available_at"].item() <= field.as_of


def test_no_landmark_was_known_before_its_bar_was(bars: pl.DataFrame) -> None:
    late = build_field_table(bars.with_columns(available_at=pl.col("ts") + timedelta(days=2)))
    field = at(late, 700)
    assert min(mark.known_since - field.ts for name, mark in field.landmarks.items() if "swing" not in name) == timedelta(days=2)
    swing = field.landmarks["swing_high"].known_since
    assert swing == late["liquidity.swing_high_confirmed_at"][700] + timedelta(days=2)


def test_steering_is_the_distance_in_average_true_ranges(table: pl.DataFrame, bars: pl.DataFrame) -> None:
    field, close = at(table, 700), bars["close"][700]
    for name in LANDMARKS:
        ahead = field.landmarks[name].price > close
        assert (field.steering[name] > 0) == ahead
    expected = math.log(field.liquidity["poc"] / close) / (field.regime["atr_percent"] / 100)
    assert field.steering["poc"] == pytest.approx(expected)


def test_what_is_unknown_is_absent_with_its_reason(table: pl.DataFrame) -> None:
    field = at(table, 100)
    assert "trend_up" not in field.regime
    assert field.reasons["regime.trend_up"] is Reason.WARMING_UP
    assert field.steering == {}  # no average true range yet to measure with


def test_equal_inputs_are_equal_maps_and_others_are_not(table: pl.DataFrame, bars: pl.DataFrame) -> None:
    first, again = at(table, 700), at(build_field_table(bars.head(750)), 700)
    assert first == again
    assert len({first, again, at(table, 701)}) == 2
    nudged = build_field_table(bars.with_columns(volume=pl.col("volume") * (1 + 1e-6)))
    assert at(nudged, 700) != first
    assert first != FieldMap.at("XNAS:ELSE", first.as_of, table)
    assert first != "a map"


def test_a_map_survives_the_way_to_another_process(table: pl.DataFrame) -> None:
    field = at(table, 700)
    copy = pickle.loads(pickle.dumps(field))
    assert copy == field
    assert copy.landmarks == field.landmarks


def test_a_map_cannot_be_changed(table: pl.DataFrame) -> None:
    field = at(table, 700)
    with pytest.raises(FrozenInstanceError):
        field.instrument = "XNAS:ELSE"  # type: ignore[misc]
    with pytest.raises(TypeError):
        field.regime["trend_up"] = 1.0  # type: ignore[index]


def test_noise_below_twelve_digits_does_not_change_the_hash(table: pl.DataFrame) -> None:
    before = at(table, 700)
    noisy = table.with_columns(pl.col("sentiment.trend") * (1 + 1e-15))
    assert at(noisy, 700).hash == before.hash


def test_a_time_before_any_bar_and_a_foreign_table_are_refused(table: pl.DataFrame) -> None:
    with pytest.raises(MissingData, match="found none"):
        FieldMap.at("XNAS:TEST", datetime(1999, 1, 1, tzinfo=UTC), table)
    with pytest.raises(InvalidInput, match="build_field_table"):
        FieldMap.at("XNAS:TEST", datetime(2010, 1, 1, tzinfo=UTC), table.drop("regime.trend_up"))
    with pytest.raises(InvalidInput, match="zone"):
        FieldMap.at("XNAS:TEST", datetime(2010, 1, 1), table)  # noqa: DTZ001
