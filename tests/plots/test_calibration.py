"""Reliability and running coverage: points, bands and counts are those of the table."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from fieldcast.plots import coverage_over_time, reliability_diagram

BINS = pl.DataFrame(
    {
        "forecast": [0.45, 0.50, 0.56],
        "hit_rate": [0.44, 0.58, 0.55],
        "n": [100, 101, 99],
        "null_low": [0.37, 0.42, 0.48],
        "null_high": [0.53, 0.57, 0.64],
        "within_null": [True, False, True],
    }
)


def _trace(figure: object, name: str) -> object:
    return next(trace for trace in figure.data if trace.name == name)  # type: ignore[attr-defined]


def test_points_within_and_beyond_luck_are_told_apart() -> None:
    figure = reliability_diagram(BINS, title="X", event="a rise", simulated=False)
    within, beyond = _trace(figure, "bin, as luck allows"), _trace(figure, "bin, beyond luck")
    assert (list(within.x), list(within.y)) == ([0.45, 0.56], [0.44, 0.55])
    assert (list(beyond.x), list(beyond.y), list(beyond.customdata)) == ([0.50], [0.58], [101])
    assert within.marker.color != beyond.marker.color


def test_the_null_band_spans_what_chance_allows_and_the_counts_are_shown() -> None:
    figure = reliability_diagram(BINS, title="X", event="a rise", simulated=False)
    chance = _trace(figure, "chance alone (90 %)")
    assert list(chance.base) == [0.37, 0.42, 0.48]
    assert list(chance.y) == pytest.approx([0.16, 0.15, 0.16])
    assert list(_trace(figure, "sessions in the bin").y) == [100, 101, 99]
    assert figure.layout.xaxis.title.text == "forecast probability of a rise"


def test_every_bin_lies_within_the_axis() -> None:
    figure = reliability_diagram(BINS, title="X", event="a rise", simulated=False)
    low, high = figure.layout.xaxis.range
    assert low < 0.45
    assert high > 0.56


def test_coverage_is_drawn_beside_its_promise_and_its_chance_band() -> None:
    days = [date(2018, 1, day) for day in (2, 3, 4)]
    table = pl.DataFrame({"date": days, "covered_90": [0.88, 0.90, 0.93], "low_90": [0.86] * 3, "high_90": [0.936] * 3})
    figure = coverage_over_time(table, levels=[90], window=250, title="X", simulated=True)
    assert list(_trace(figure, "90 % band").y) == [0.88, 0.90, 0.93]
    assert list(_trace(figure, "promised 90 %").y) == [0.9] * 3
    assert list(_trace(figure, "chance at 90 %, lower edge").y) == [0.86] * 3
    assert list(_trace(figure, "chance at 90 %").y) == [0.936] * 3
    assert figure.layout.title.text.startswith("SIMULATED")
