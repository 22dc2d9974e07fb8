"""Figures of a backtest: they show what they are given, say when it is simulated, and keep the extremes of long lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast import plots
from fieldcast.plots.backtest import extremes

START = datetime(2020, 1, 1, tzinfo=UTC)


def table(**columns: object) -> pl.DataFrame:
    return pl.DataFrame(columns)


def days(n: int) -> list[datetime]:
    return [START + timedelta(days=row) for row in range(n)]


def trades() -> pl.DataFrame:
    return table(
        instrument=["XNYS:A"] * 3, direction=["long", "short", "long"], entry_ts=days(3), exit_ts=[*days(5)[3:], None],
        entry_price=[10.0, 11.0, 12.0], exit_price=[11.0, 12.0, None], net=[5.0, -3.0, None], mae=[-0.01, -0.04, None],
        mfe=[0.1, 0.02, None],
    )  # fmt: skip


def test_equity_stands_over_its_drawdown_and_beside_its_benchmark() -> None:
    curve = table(ts=days(4), equity=[100.0, 110.0, 99.0, 105.0], drawdown=[0.0, 0.0, 0.1, 0.045])
    beside = table(ts=days(4), benchmark=[100.0, None, 101.0, 102.0])
    chart = plots.equity_chart(
        curve, title="T", currency="USD", simulated=True, benchmark=beside, benchmark_name="the market"
    )
    assert chart.layout.title.text == "SIMULATED · T"
    market, account, drawdown = chart.data
    assert list(market.y) == [100.0, 101.0, 102.0]
    assert list(account.y) == [100.0, 110.0, 99.0, 105.0]
    assert list(drawdown.y) == [0.0, 0.0, -0.1, -0.045]
    assert drawdown.yaxis == "y2"
    assert "USD" in chart.layout.yaxis.title.text
    assert len(plots.equity_chart(curve, title="T", currency="USD", simulated=False).data) == 2


def test_a_long_line_keeps_its_ends_and_its_extremes() -> None:
    values = np.random.default_rng(1).standard_normal(50_000).cumsum()
    long = table(ts=np.arange(50_000), equity=values)
    kept = extremes(long, "equity", most=1000)
    assert kept.height <= 1002
    assert kept["ts"].is_sorted()
    assert (kept["ts"][0], kept["ts"][-1]) == (0, 49_999)
    assert (kept["equity"].min(), kept["equity"].max()) == (values.min(), values.max())
    assert extremes(long.head(500), "equity", most=1000).height == 500


def test_months_have_their_place_and_an_empty_month_stays_empty() -> None:
    months = table(year=[2020] * 3, month=[1, 3, None], days=[20, 21, 41], **{"return": [0.02, -0.0001, 0.0199]})
    chart = plots.monthly_heat_map(months, title="M", simulated=False)
    (heat,) = chart.data
    row = list(heat.z[0])
    assert row[0] == 0.02
    assert row[1] is None
    assert heat.text[0][0] == "2.0"
    assert heat.text[0][1] == ""
    assert heat.text[0][2] == "0.0"  # what rounds to nothing has no sign
    assert heat.text[0][12] == "2.0"
    json.loads(chart.to_json())


@pytest.mark.parametrize("bars", [30, 3000])
def test_trades_are_marked_where_they_happened(bars: int) -> None:
    close = 10 + 0.01 * np.arange(bars)
    frame = table(ts=days(bars), open=close, high=close + 1, low=close - 1, close=close)
    chart = plots.trade_chart(frame, trades(), title="T", currency="USD", simulated=True)
    names = {trace.name: trace for trace in chart.data}
    assert chart.data[0].type == ("candlestick" if bars == 30 else "scatter")
    assert list(names["entry long"].y) == [10.0, 12.0]
    assert list(names["entry short"].y) == [11.0]
    assert list(names["exit"].y) == [11.0, 12.0]
    assert list(names["paid (1)"].y) == [10.0, 11.0, None]
    assert list(names["lost (1)"].y) == [11.0, 12.0, None]


def test_excursions_are_positive_both_ways_and_open_trades_left_out() -> None:
    chart = plots.excursion_scatter(trades(), title="E", simulated=False)
    won, lost, _ = chart.data
    assert (list(won.x), list(won.y)) == ([0.01], [0.1])
    assert (list(lost.x), list(lost.y)) == ([0.04], [0.02])
    empty = plots.excursion_scatter(trades().clear(), title="E", simulated=False)
    assert len(empty.data) == 1


def test_the_waterfall_ends_with_what_is_left() -> None:
    steps = [("before costs", 100.0), ("spread", -30.0), ("fees", -80.0)]
    chart = plots.cost_waterfall(steps, title="C", currency="USD", simulated=False)
    (bars,) = chart.data
    assert list(bars.measure) == ["absolute", "relative", "relative", "total"]
    assert bars.text[-1] == "−10"
    low, high = chart.layout.yaxis.range
    assert low < -10
    assert high > 100


def test_sources_come_largest_on_top() -> None:
    rows = table(source=["a", "b", "c"], amount=[1.0, 5.0, -2.0])
    chart = plots.contribution_bars(rows, title="S", currency="USD", simulated=False)
    assert list(chart.data[0].y) == ["c", "a", "b"]  # a horizontal bar chart is read from below


def test_a_sweep_is_laid_out_over_two_parameters_and_what_is_unknown_stays_empty() -> None:
    runs = table(fast=[5, 5, 10, 10], slow=[20, 40, 20, 20], sharpe=[0.5, None, 1.0, 2.0])
    chart = plots.sweep_heat_map(runs, x="fast", y="slow", value="sharpe", quantity="Sharpe ratio", title="S", simulated=False)
    (heat,) = chart.data
    assert [list(row) for row in heat.z] == [[0.5, 1.5], [None, None]]
    assert list(heat.x) == ["5", "10"]


def test_each_window_is_fitted_before_it_is_scored() -> None:
    def later(by: int) -> list[datetime]:
        return [one + timedelta(days=by) for one in days(3)]

    windows = table(
        fit_start=days(3), fit_end=later(9), test_start=later(10), test_end=later(12), chosen=["fast 5"] * 3,
        fitted=[1.0, 2.0, None], scored=[0.5, None, 0.1],
    )  # fmt: skip
    chart = plots.window_chart(windows, title="W", quantity="Sharpe ratio", simulated=True)
    fitted, scored = chart.data
    assert fitted.name == "fitted"
    assert len(scored.x) == 9
    assert "unknown" in scored.text[3]
    assert fitted.x[1] < scored.x[0]
