"""The timeline of a portfolio: its values, and one mark a decision."""

from __future__ import annotations

from datetime import date

import polars as pl

from fieldcast.plots import nav_timeline

DAYS = [date(2018, 12, 27), date(2018, 12, 28)]


def _decisions() -> pl.DataFrame:
    return pl.DataFrame({"slot": [DAYS[0], DAYS[0], DAYS[1]], "instrument": ["A", "B", "A"],
                         "action": ["BUY", "REJECT", "SELL"], "why": ["up", "gate", "down"]})  # fmt: skip


def test_values_and_decisions_stand_at_their_sessions() -> None:
    navs = pl.DataFrame({"slot": DAYS, "nav": [1_000_000.0, 1_010_000.0], "positions_value": [0.0, 1.0]})
    figure = nav_timeline(navs, _decisions(), title="P", currency="USD", simulated=True)
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["net asset value"].y) == [1_000_000.0, 1_010_000.0]
    assert (list(traces["BUY"].x), list(traces["BUY"].y)) == ([DAYS[0]], ["A"])
    assert list(traces["REJECT"].customdata) == ["gate"]
    assert "HOLD" not in traces
    assert figure.layout.title.text == "SIMULATED · P"
    assert figure.layout.yaxis.title.text == "net asset value, USD"


def test_a_portfolio_that_stands_still_is_not_blown_up() -> None:
    navs = pl.DataFrame({"slot": DAYS, "nav": [1_000_000.0] * 2, "positions_value": [0.0, 0.0]})
    low, high = nav_timeline(navs, _decisions(), title="P", currency="USD", simulated=False).layout.yaxis.range
    assert high - low >= 1000.0
