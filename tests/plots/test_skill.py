"""Forests and saved loss: estimates, intervals and lines to judge by stand where the table says."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from fieldcast.plots import forest, loss_saved

ROWS = pl.DataFrame(
    {
        "group": ["A", "A", "B"],
        "model": ["anchor", "logistic", "logistic"],
        "estimate": [0.50, 0.53, 0.49],
        "low": [0.48, 0.51, 0.46],
        "high": [0.52, 0.56, 0.52],
        "n": [3400, 3400, 3399],
    }
)


def test_a_forest_carries_estimates_intervals_and_counts() -> None:
    figure = forest(ROWS, title="X", quantity="AUC", lines=[(0.50, "chance"), (0.52, "gate")], simulated=False)
    logistic = next(trace for trace in figure.data if trace.name == "logistic")
    assert list(logistic.x) == [0.53, 0.49]
    assert list(logistic.error_x.array) == pytest.approx([0.03, 0.03])
    assert list(logistic.error_x.arrayminus) == pytest.approx([0.02, 0.03])
    assert [list(row) for row in logistic.customdata] == [[0.51, 0.56, 3400], [0.46, 0.52, 3399]]
    assert [shape.x0 for shape in figure.layout.shapes] == [0.50, 0.52]


def test_the_first_group_is_on_top_and_models_of_a_group_do_not_overlap() -> None:
    figure = forest(ROWS, title="X", quantity="AUC", lines=[], simulated=False)
    anchor, logistic = figure.data
    assert dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True)) == {"A": 1, "B": 0}
    assert anchor.y[0] > logistic.y[0] > logistic.y[1]


def test_saved_loss_is_drawn_line_by_line() -> None:
    days = [date(2018, 1, 2), date(2018, 1, 3)]
    edge = pl.DataFrame({"date": days, "saved": [0.1, 0.3]})
    none = pl.DataFrame({"date": days, "saved": [0.0, -0.1]})
    figure = loss_saved([("planted", edge, "edge"), ("martingale", none, "none")], title="X", simulated=True)
    assert [(trace.name, list(trace.y)) for trace in figure.data] == [("planted", [0.1, 0.3]), ("martingale", [0.0, -0.1])]
    assert list(figure.data[0].x) == days
    assert "nats" in figure.layout.yaxis.title.text
    assert figure.layout.title.text == "SIMULATED · X"
