"""Absorption, displacement, phases and zones: hand cases, mirror images and a second computation."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcast.fields import build_field_table
from fieldcast.fields.liquidity import ZonePolicy, effort_of, zones
from fieldcast.fields.liquidity.effort import PHASES
from fieldcast.ground import InvalidInput


def quiet(bars: pl.DataFrame, n: int = 80) -> pl.DataFrame:
    """Bars from 99 to 101 that close at 100, with a volume of 1,000: every range and volume is the usual one."""
    return bars.head(n).with_columns(
        open=pl.lit(100.0), high=pl.lit(101.0), low=pl.lit(99.0), close=pl.lit(100.0), volume=pl.lit(1000.0)
    )


def with_last(bars: pl.DataFrame, **values: float) -> pl.DataFrame:
    last = pl.int_range(pl.len()) == bars.height - 1
    return bars.with_columns(pl.when(last).then(value).otherwise(name).alias(name) for name, value in values.items())


def test_much_volume_in_a_small_range_is_absorption(bars: pl.DataFrame) -> None:
    found = effort_of(with_last(quiet(bars), high=100.5, low=99.5, volume=3000.0)).row(-1, named=True)
    assert found["relative_volume"] == pytest.approx(np.log(3))
    assert found["effort_result"] == pytest.approx(np.log(3) - np.log(0.5))
    assert found["absorption"] == pytest.approx(np.tanh(np.log(3)) * np.tanh(np.log(2)))  # 0.8 · 0.6
    assert found["absorption"] == pytest.approx(0.48)
    assert found["displacement"] == 0


@pytest.mark.parametrize(("close", "expected"), [(104.0, 0.8 * 0.6), (96.0, -0.8 * 0.6)])
def test_a_large_range_that_the_close_keeps_is_displacement(bars: pl.DataFrame, close: float, expected: float) -> None:
    # a range of 4, twice the usual one (tanh log 2 = 0.6), of which the close keeps 3.2
    high, low = (103.2, 99.2) if close > 100 else (100.8, 96.8)
    kept = high if close > 100 else low
    found = effort_of(with_last(quiet(bars), high=high, low=low, close=kept)).row(-1, named=True)
    assert found["displacement"] == pytest.approx(expected)
    assert found["absorption"] == 0


def test_the_scores_are_those_of_a_loop(bars: pl.DataFrame) -> None:
    table = effort_of(bars)
    high, low, close, volume = (bars[name].to_numpy() for name in ("high", "low", "close", "volume"))
    before = np.concatenate(([np.nan], close[:-1]))
    reach = (np.maximum(high, before) - np.minimum(low, before)) / before
    for row in (21, 100, 500, 899):
        effort = np.log(close[row] * volume[row] / (close * volume)[row - 20 : row].mean())
        result = np.log(reach[row] / reach[row - 20 : row].mean())
        got = table.row(row, named=True)
        assert got["relative_volume"] == pytest.approx(effort, rel=1e-10)
        assert got["effort_result"] == pytest.approx(effort - result, rel=1e-9)
        assert got["absorption"] == pytest.approx(max(0, np.tanh(effort)) * max(0, np.tanh(-result)))
        travelled = (close[row] - close[row - 1]) / (reach[row] * close[row - 1])
        assert got["displacement"] == pytest.approx(travelled * max(0, np.tanh(result)))
    assert table["absorption"][:21].null_count() == 21


# phases -------------------------------------------------------------------------------------------------------------


def slow_phases(bars: pl.DataFrame, row: int) -> dict[str, float]:
    high, low, close, volume = (bars[name].to_numpy()[: row + 1] for name in ("high", "low", "close", "volume"))
    top, bottom = high[-60:].max(), low[-60:].min()
    place = 2 * (close[-1] - bottom) / (top - bottom) - 1
    trend = (close[-1] - close[-21]) / np.abs(np.diff(close[-21:])).sum()
    location = (2 * close - high - low)[-20:] / (high - low)[-20:]
    flow = (volume[-20:] * location).sum() / volume[-20:].sum()
    weights = {
        "accumulation": np.exp(1 - 2 * abs(trend) - 2 * (place - flow)),
        "markup": np.exp(4 * trend),
        "distribution": np.exp(1 - 2 * abs(trend) + 2 * (place - flow)),
        "markdown": np.exp(-4 * trend),
    }
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def test_phases_sum_to_one_and_follow_their_declared_formula(bars: pl.DataFrame) -> None:
    table = effort_of(bars)
    known = table.drop_nulls()
    np.testing.assert_allclose(known.select(pl.sum_horizontal(PHASES)).to_series(), 1, rtol=1e-12)
    for row in (59, 300, 899):
        for name, share in slow_phases(bars, row).items():
            assert table[name][row] == pytest.approx(share, rel=1e-9), (row, name)


def test_a_mirrored_market_swaps_the_phases(bars: pl.DataFrame) -> None:
    # prices turned about a level far above their range keep every difference and turn its sign
    turned = bars.with_columns(
        open=1000 - pl.col("open"), close=1000 - pl.col("close"), high=1000 - pl.col("low"), low=1000 - pl.col("high")
    )
    one, other = effort_of(bars), effort_of(turned)
    for name, mirror in (("markup", "markdown"), ("accumulation", "distribution")):
        np.testing.assert_allclose(one[name].drop_nulls(), other[mirror].drop_nulls(), rtol=1e-9)


def test_a_straight_climb_is_markup_and_a_base_bought_on_volume_is_accumulation(bars: pl.DataFrame) -> None:
    climb = quiet(bars).with_columns(close=100.0 + pl.int_range(pl.len()), high=101.0 + pl.int_range(pl.len()))
    climb = climb.with_columns(low=pl.col("close") - 1.0)
    assert effort_of(climb)["markup"][-1] > 0.9
    # a fall from 140 to 100, then a range at the bottom in which every bar closes at its high
    price = np.concatenate((np.linspace(140, 100, 40), 100 + np.tile([0.0, 0.5], 20)))
    base = bars.head(80).with_columns(
        open=pl.Series(price),
        high=pl.Series(price + 0.05),
        low=pl.Series(price - 1.5),
        close=pl.Series(price),
        volume=pl.lit(1e3),
    )
    last = effort_of(base).row(-1, named=True)
    assert last["accumulation"] > 0.8
    assert last["distribution"] < 0.05


# zones --------------------------------------------------------------------------------------------------------------


def test_a_zone_stands_from_its_bar_until_a_close_beyond_it(bars: pl.DataFrame) -> None:
    found = zones(bars, ZonePolicy(absorption=0.3, displacement=0.4))
    scores = effort_of(bars)
    row_of = dict(zip(bars["ts"], range(bars.height), strict=True))
    assert set(found["kind"]) == {"absorption", "displacement"}
    assert set(found["side"]) == {"support", "resistance"}
    close = bars["close"].to_numpy()
    for zone in found.iter_rows(named=True):
        row = row_of[zone["ts"]]
        assert zone["score"] == abs(scores[zone["kind"]][row]) >= (0.3 if zone["kind"] == "absorption" else 0.4)
        assert (zone["low"], zone["high"], zone["age"]) == (bars["low"][row], bars["high"][row], bars.height - 1 - row)
        beyond = close < zone["low"] if zone["side"] == "support" else close > zone["high"]
        ended = next((k for k in range(row + 1, bars.height) if beyond[k]), None)
        assert zone["ended_at"] == (None if ended is None else bars["ts"][ended])
    cut = zones(bars.head(400), ZonePolicy(absorption=0.3, displacement=0.4))
    assert cut["ts"].to_list() == found.filter(pl.col("ts") <= bars["ts"][399])["ts"].to_list()


def test_a_threshold_lies_in_reach_of_the_score() -> None:
    for value in (0.0, 1.5, float("nan")):
        with pytest.raises(InvalidInput, match="thresholds"):
            ZonePolicy(absorption=value)


def test_the_table_shows_the_same_scores(bars: pl.DataFrame) -> None:
    table, found = build_field_table(bars), effort_of(bars)
    names = {name: name for name in ("relative_volume", "effort_result", "absorption", "displacement")}
    for name, column in (names | {name: f"wyckoff_{name}" for name in PHASES}).items():
        assert table[f"liquidity.{column}"].equals(found[name].alias(f"liquidity.{column}")), name
