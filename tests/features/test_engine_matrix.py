"""The engine matrix on maps made by hand: each way of reading, reasons, refusals, and the schema's hash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import log

import polars as pl
import pytest

from fieldcast.features import _engine_matrix as module
from fieldcast.features._engine_columns import EngineColumn, How
from fieldcast.features._engine_matrix import NAMES, engine_matrix, matrix_hash
from fieldcast.fields import FieldMap, Landmark, Reading, build_field_table
from fieldcast.fields.vocabulary import JumpRisk
from fieldcast.ground import InvalidInput, Reason

Bars = Callable[..., pl.DataFrame]
POLICY = {"sign_policy": "test", "unit": "test", "units": "test"}


@pytest.fixture(scope="module")
def bars(bars_of: Bars) -> pl.DataFrame:
    return bars_of(700, seed=141)


def made(bars: pl.DataFrame, row: int = -1, after: timedelta = timedelta(minutes=30), **given: object) -> FieldMap:
    as_of = bars["available_at"][row] + after
    dealer = {"gex": 5e6, "gex_gross": 2e7, "gex_calls": 1e7, "expected_move_sd": 2.0} | dict(given.pop("dealer", {}))  # type: ignore[call-overload]
    readings = [
        Reading(
            "dealer", as_of, dealer, {"call_wall": Landmark(110.0, as_of)}, reasons={"epp": Reason.FEW_ROWS}, conventions=POLICY
        ),
        Reading("elasticity", as_of, {"work_up_1sigma": 3e5}, labels={"jump_risk": JumpRisk.HIGH}, conventions=POLICY),
        Reading(
            "liquidity",
            as_of,
            {"book_slope_bid": 8.0, "book_slope_ask": 2.0, "book_depth_bid_2bps": 3.0, "book_depth_ask_2bps": 1.0},
        ),
    ]
    return FieldMap.at("XTST:SIM", as_of, build_field_table(bars), readings)


def test_each_way_of_reading_gives_its_formula(bars: pl.DataFrame) -> None:
    one = made(bars)
    row = engine_matrix([one], bars).row(0, named=True)
    last = bars.tail(20)
    turnover = (last["close"] * last["volume"]).mean()
    close = bars["close"][-1]
    assert row["hedge.net_gamma_share"] == 5e6 / 2e7
    assert row["hedge.gamma"] == pytest.approx(5e6 / turnover)
    assert row["hedge.work_up"] == pytest.approx(3e5 / turnover)
    assert row["hedge.expected_move_sd"] == pytest.approx(2.0 / close)
    assert row["hedge.call_wall"] == pytest.approx(log(110.0 / close))
    assert row["hedge.jump_risk"] == 2.0
    assert row["liquidity.book_slope_tilt"] == pytest.approx(log(4.0))
    assert row["liquidity.book_depth_tilt"] == pytest.approx(0.5)
    assert row["liquidity.poc_distance"] == one.liquidity["poc_distance"]
    from fieldcast import features

    assert row["technical.rsi_14"] == features.compute(bars, ["a20"])["rsi_14"][-1]
    assert row["technical.band_width"] == features.compute(bars, ["set31"])["set31.band_width"][-1]


def test_reasons_are_the_maps_own_where_it_gives_any(bars: pl.DataFrame) -> None:
    matrix = engine_matrix([made(bars)], bars)
    why = dict(item.split(":") for item in matrix["reasons"][0].split(","))
    assert why["hedge.epp"] == "few_rows"
    assert why["hedge.put_wall"] == "no_data"
    assert why["sentiment.text_score"] == "no_data"
    assert why["hedge.energy_regime"] == "no_data"
    nothing = made(bars, dealer={"gex_gross": 0.0})
    row = engine_matrix([nothing], bars)
    assert row["hedge.net_gamma_share"][0] is None
    assert "hedge.net_gamma_share:undefined" in row["reasons"][0]


def test_early_rows_warm_up_and_unknown_volume_costs_what_is_measured_against_it(bars: pl.DataFrame) -> None:
    early = engine_matrix([made(bars.head(15))], bars.head(15))
    why = dict(item.split(":") for item in early["reasons"][0].split(","))
    assert why["hedge.gamma"] == why["technical.rsi_14"] == why["regime.range_z"] == "warming_up"
    assert early["hedge.net_gamma_share"][0] == 0.25
    holed = bars.with_columns(volume=pl.when(pl.int_range(pl.len()) == 690).then(None).otherwise(pl.col("volume")))
    matrix = engine_matrix([made(holed)], holed)
    assert "hedge.gamma:volume_not_reported" in matrix["reasons"][0]
    without = engine_matrix([made(bars)], None)
    assert "technical.rsi_14:no_data" in without["reasons"][0]
    assert without["hedge.gamma"][0] is None


def test_a_bar_that_came_out_after_the_map_costs_what_would_read_it(bars: pl.DataFrame) -> None:
    one = made(bars, after=timedelta(minutes=5))
    for minutes in (10, 600):  # before the usual decision half an hour after the close, and after it
        late = pl.when(pl.int_range(pl.len()) == 690).then(bars["ts"][-1] + timedelta(minutes=minutes))
        told = bars.with_columns(available_at=late.otherwise("available_at"))
        assert engine_matrix([one], bars)["hedge.gamma"][0] is not None
        row = engine_matrix([one], told).row(0, named=True)
        why = dict(item.split(":") for item in row["reasons"].split(","))
        assert row["hedge.gamma"] is None
        assert row["technical.rsi_14"] is None
        assert row["technical.garman_klass_1"] is not None  # reads the last bar alone
        assert why["hedge.gamma"] == why["technical.rsi_14"] == "no_data"
        assert row["hedge.net_gamma_share"] == 0.25


def test_several_maps_stand_in_order_and_a_row_does_not_change_with_later_bars(bars: pl.DataFrame) -> None:
    maps = [made(bars, row) for row in (650, 651, 699)]
    whole = engine_matrix(maps, bars)
    assert whole["as_of"].is_sorted()
    assert engine_matrix([made(bars.head(652), 650), made(bars.head(652), 651)], bars.head(652)).equals(whole.head(2))
    with pytest.raises(InvalidInput, match="ascending order"):
        engine_matrix(maps[::-1], bars)
    with pytest.raises(InvalidInput, match="whole history"):
        engine_matrix(maps, bars.head(600))
    with pytest.raises(InvalidInput, match="one instrument"):
        engine_matrix([], bars)
    with pytest.raises(InvalidInput, match="bars of XTST:SIM"):
        engine_matrix(maps, bars.with_columns(instrument=pl.lit("XTST:OTHER")))


def test_the_hash_changes_with_a_column_and_the_names_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    before = matrix_hash()
    assert (len(NAMES), module.VERSION, before[:16]) == (141, 1, "169d6d89f7a453bc")  # pragma: allowlist secret
    changed = (EngineColumn("hedge.other", How.TAKEN, ("dealer.gex",)), *module.COLUMNS[1:])
    monkeypatch.setattr(module, "COLUMNS", changed)
    assert matrix_hash() != before
