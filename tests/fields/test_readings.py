"""Readings: what other engines add to the field map, and what the map refuses to take."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from fieldcast.fields import FieldMap, Landmark, Reading, build_field_table
from fieldcast.fields.vocabulary import LiquidityRegime
from fieldcast.ground import InvalidInput, Reason

KNOWN = datetime(1990, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def table(bars: pl.DataFrame) -> pl.DataFrame:
    return build_field_table(bars)


def moment(table: pl.DataFrame) -> datetime:
    at = table["available_at"][700]
    assert isinstance(at, datetime)
    return at


def dealer(at: datetime, **more: object) -> Reading:
    plain = {
        "values": {"gamma_per_percent": -8.788e6},
        "landmarks": {"flip": Landmark(95.0, KNOWN)},
        "reasons": {"vanna_per_point": Reason.UNDEFINED},
        "conventions": {"sign_policy": "calls long, puts short", "unit": "dollars per 1 %"},
        "labels": {"state": LiquidityRegime.THIN},
    }
    return Reading("dealer", at, **(plain | more))  # type: ignore[arg-type]


def test_a_reading_stands_in_its_namespace_with_its_landmarks_reasons_and_conventions(table: pl.DataFrame) -> None:
    at = moment(table)
    field = FieldMap.at("XNAS:TEST", at, table, [dealer(at)], absent={"elasticity": Reason.NO_DATA})
    assert field.dealer == {"gamma_per_percent": -8.788e6}
    assert field.reasons["dealer.vanna_per_point"] is Reason.UNDEFINED
    assert field.reasons["elasticity"] is Reason.NO_DATA
    assert field.labels == {"dealer.state": "thin"}
    assert field.conventions == {"dealer.sign_policy": "calls long, puts short", "dealer.unit": "dollars per 1 %"}
    strides = math.log(95.0 / field.close) / (field.regime["atr_percent"] / 100)
    assert field.steering["flip"] == pytest.approx(strides)
    assert field.close == table["close"][700]
    bare = FieldMap.at("XNAS:TEST", at, table)
    assert bare.dealer == {}
    assert bare != field


def test_simulated_rows_behind_any_reading_mark_the_map(table: pl.DataFrame) -> None:
    at = moment(table)
    assert not FieldMap.at("XNAS:TEST", at, table, [dealer(at)]).simulated
    assert FieldMap.at("XNAS:TEST", at, table, [dealer(at, simulated=True)]).simulated
    assert FieldMap.at("XNAS:TEST", at, table, simulated=True).simulated


def test_what_was_known_later_is_refused(table: pl.DataFrame) -> None:
    at = moment(table)
    with pytest.raises(InvalidInput, match="expected readings made by"):
        FieldMap.at("XNAS:TEST", at, table, [dealer(at + timedelta(seconds=1))])
    late = {"flip": Landmark(95.0, at + timedelta(minutes=1))}
    with pytest.raises(InvalidInput, match="found later ones: flip"):
        FieldMap.at("XNAS:TEST", at, table, [dealer(at, landmarks=late)])


def test_a_quantity_has_one_source(table: pl.DataFrame) -> None:
    at = moment(table)
    with pytest.raises(InvalidInput, match="found gamma_per_percent twice"):
        FieldMap.at("XNAS:TEST", at, table, [dealer(at), dealer(at, landmarks={}, labels={})])
    with pytest.raises(InvalidInput, match="found state twice"):
        FieldMap.at("XNAS:TEST", at, table, [dealer(at), dealer(at, values={}, landmarks={})])
    with pytest.raises(InvalidInput, match="found poc twice"):
        FieldMap.at("XNAS:TEST", at, table, [dealer(at, landmarks={"poc": Landmark(95.0, KNOWN)})])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"values": {"gamma_per_percent": math.nan}}, "found others in gamma_per_percent"),
        ({"landmarks": {"flip": Landmark(math.inf, KNOWN)}}, "found others in flip"),
        ({"labels": {"state": "thin"}}, "found plain text in state"),
        ({"reasons": {"state": Reason.UNDEFINED}}, "found both for state"),
        ({"reasons": {"gamma_per_percent": Reason.UNDEFINED}}, "found both for gamma_per_percent"),
    ],
)
def test_a_reading_holds_finite_values_or_reasons_never_both(more: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        dealer(KNOWN, **more)


@pytest.mark.parametrize(("namespace", "unit"), [("dealer", "unit"), ("elasticity", "units")])
def test_figures_of_hedging_without_sign_policy_and_unit_are_refused(namespace: str, unit: str) -> None:
    whole = {"sign_policy": "naive", unit: "dollars"}
    assert Reading(namespace, KNOWN, {"figure": 1.0}, conventions=whole).conventions == whole
    for missing in whole:
        for stamp in ({}, {name: words for name, words in whole.items() if name != missing}, {**whole, missing: " "}):
            with pytest.raises(InvalidInput, match=f"expected the conventions sign_policy and {unit}"):
                Reading(namespace, KNOWN, {"figure": 1.0}, conventions=stamp)
    Reading(namespace, KNOWN, {}, reasons={"figure": Reason.UNDEFINED})  # nothing is stated that could be misread
    Reading("regime", KNOWN, {"figure": 1.0})


def test_an_unknown_namespace_is_refused() -> None:
    with pytest.raises(InvalidInput, match="found 'gamma'"):
        Reading("gamma", KNOWN, {})
