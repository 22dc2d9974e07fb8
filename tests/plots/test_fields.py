"""Charts of the fields: areas change colour at the roots, lines stand at their prices, what is unknown is not drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.plots import (
    elasticity_surface_chart,
    energy_chart,
    gamma_profile_chart,
    profile_chart,
    regime_ribbon,
    slippage_chart,
    strike_chart,
)
from fieldcast.plots.dealer import scaled, with_roots

SPOTS = np.linspace(90, 110, 21)


def test_the_gamma_profile_changes_colour_exactly_at_the_flip_and_marks_spot_flip_and_walls() -> None:
    figure = gamma_profile_chart(
        SPOTS, 1e9 * (SPOTS - 98.4), spot=100.0, flips=[98.4], walls={"call wall": 105.0, "put wall": 80.0},
        title="X", currency="USD", simulated=True,
    )  # fmt: skip
    above, below, net = figure.data
    assert 98.4 in above.x
    assert min(above.y) == max(below.y) == 0.0
    assert all(y > 0 for x, y in zip(above.x, above.y, strict=True) if x > 98.4)
    assert all(y < 0 for x, y in zip(below.x, below.y, strict=True) if x < 98.4)
    assert max(net.y) == pytest.approx(11.6)
    assert "bn USD" in figure.layout.yaxis.title.text
    assert sorted(shape.x0 for shape in figure.layout.shapes) == [98.4, 100.0, 105.0]  # a wall off the chart has no line
    assert figure.layout.title.text.startswith("SIMULATED")


def test_labels_that_would_overlap_stand_above_each_other() -> None:
    figure = gamma_profile_chart(
        SPOTS, SPOTS - 100, spot=100.0, flips=[100.1], walls={"call wall": 100.2, "put wall": 92.0}, title="X", currency="USD",
        simulated=False,
    )  # fmt: skip
    shift = {label.text.rsplit(" ", 1)[0]: label.yshift for label in figure.layout.annotations}
    assert len({shift["price"], shift["flip"], shift["call wall"]}) == 3
    assert shift["put wall"] == min(shift.values())


def test_roots_enter_in_order_and_figures_keep_one_to_three_digits_before_the_point() -> None:
    x, y = with_roots(np.array([1.0, 2.0, 3.0]), np.array([-1.0, 1.0, 2.0]), [1.5])
    assert (list(x), list(y)) == ([1.0, 1.5, 2.0, 3.0], [-1.0, 0.0, 1.0, 2.0])
    assert [scaled(np.array([value]), "USD") for value in (0.0, 999.0, 1e3, -2e6, 3e11)] == [
        (1.0, "USD"), (1.0, "USD"), (1e3, "k USD"), (1e6, "m USD"), (1e9, "bn USD"),
    ]  # fmt: skip


def test_strikes_near_the_price_alone_are_drawn() -> None:
    table = pl.DataFrame({"strike": [50.0, 95.0, 105.0], "call_gex": [1e6, 2e6, 3e6], "put_gex": [-1e6, -2e6, -3e6]})
    calls, puts = strike_chart(table, spot=100.0, title="X", currency="USD", simulated=False).data
    assert list(calls.y) == [95.0, 105.0]
    assert list(puts.x) == [-2.0, -3.0]


def test_energy_and_surface_stand_on_their_axes() -> None:
    energy = energy_chart(SPOTS, 1e6 * (SPOTS - 100) ** 3, spot=100.0, sigma=2.0, title="X", currency="USD", simulated=False)
    assert sorted(shape.x0 for shape in energy.layout.shapes) == [98.0, 100.0, 102.0]
    grid = np.outer([-1.0, 1.0], SPOTS - 100)
    surface = elasticity_surface_chart(SPOTS, np.array([-0.1, 0.1]), grid, spot=100.0, title="X", currency="USD", simulated=False)
    (heat,) = surface.data
    assert np.array(heat.z).shape == (2, 21)
    assert heat.zmax == -heat.zmin == 10.0
    assert list(heat.y) == [-10.0, 10.0]


def test_the_volume_profile_stands_beside_the_candles_with_its_value_area() -> None:
    n = 10
    ts = pl.Series([datetime(2024, 1, 2, 15, tzinfo=UTC) + timedelta(minutes=k) for k in range(n)])
    close = 100 + np.arange(n) / 10
    bars = pl.DataFrame(
        {"instrument": "X", "ts": ts, "available_at": ts, "open": close, "high": close + 0.1, "low": close - 0.1, "close": close,
         "volume": 5.0, "reasons": pl.Series([None] * n, dtype=pl.String)}
    )  # fmt: skip
    vwap = np.where(np.arange(n) < 2, np.nan, close)
    figure = profile_chart(
        bars, np.array([99.0, 100.0, 101.0, 102.0]), np.array([1.0, 5.0, 2.0]), area=(100.0, 101.0), poc=100.5,
        lines={"VWAP": vwap}, title="X", currency="USD", simulated=False,
    )  # fmt: skip
    profile = next(trace for trace in figure.data if trace.name == "volume at price")
    assert list(profile.y) == [99.5, 100.5, 101.5]
    assert list(profile.x) == [1.0, 5.0, 2.0]
    colors = profile.marker.color
    assert colors[1] != colors[0] == colors[2]
    line = next(trace for trace in figure.data if trace.name == "VWAP")
    assert list(line.y[:2]) == [None, None]
    assert {shape.y0 for shape in figure.layout.shapes} == {100.0, 100.5}


def test_orders_beyond_the_visible_book_are_not_drawn() -> None:
    table = pl.DataFrame({"side": ["buy", "buy", "sell"], "notional": [1e4, 1e6, 1e4], "slippage_bps": [0.5, None, 0.7]})
    buys, sells = slippage_chart(table, title="X", currency="USD", simulated=False).data
    assert list(buys.x) == [1e4]
    assert list(sells.y) == [0.7]


def test_the_ribbon_stacks_the_four_memberships() -> None:
    ts = [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)]
    names = ("trend_up", "trend_down", "mean_revert", "expansion")
    table = pl.DataFrame({"ts": ts, "close": [1.0, 2.0]} | {f"regime.{name}": [0.25, 0.25] for name in names})
    figure = regime_ribbon(table, title="X", currency="USD", simulated=False)
    stacked = [trace for trace in figure.data if trace.stackgroup == "regime"]
    assert len(stacked) == 4
    assert sum(trace.y[0] for trace in stacked) == pytest.approx(1.0)
