"""The charts of a factor: they draw the figures that they are given, and say where those are simulated."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcast.plots import ic_decay_chart, quantile_equity_chart


def test_the_decay_has_a_point_with_its_interval_for_each_horizon() -> None:
    rows = pl.DataFrame({"horizon": [1, 5], "estimate": [0.03, 0.01], "low": [0.02, -0.01], "high": [0.04, 0.03], "n": [100, 96]})
    chart = ic_decay_chart(rows, title="momentum", simulated=True)
    (trace,) = chart.data
    assert list(trace.y) == [0.03, 0.01]
    assert trace.error_y.array == pytest.approx((0.01, 0.02))
    assert trace.error_y.arrayminus == pytest.approx((0.01, 0.02))
    assert chart.layout.title.text.startswith("SIMULATED")


def test_the_equity_of_each_quantile_is_the_sum_of_its_log_returns() -> None:
    returns = np.array([[0.01, 0.02], [np.nan, 0.0], [-0.01, 0.03]])
    chart = quantile_equity_chart([1, 2, 3], returns, returns[:, 1] - returns[:, 0], title="momentum", simulated=False)
    assert [trace.name for trace in chart.data] == ["quantile 1", "quantile 2", "top less bottom"]
    np.testing.assert_allclose(chart.data[1].y, np.cumsum(np.log1p(returns[:, 1])))
    np.testing.assert_allclose(chart.data[0].y, [np.log(1.01), np.log(1.01), np.log(1.01) + np.log(0.99)])
    assert "SIMULATED" not in chart.layout.title.text
