"""Figures of cones carry the numbers that they were given, in the unit that they say."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import polars as pl
import pytest

from fieldcast.plots import cone_history, levels, projection_cone

EDGES = {"q_05": -200.0, "q_12_5": -120.0, "q_25": -50.0, "q_50": 5.0, "q_75": 60.0, "q_87_5": 130.0, "q_95": 210.0}


def _history() -> pl.DataFrame:
    rows = [{"target": date(2018, 1, 2 + i), "reference_price": 100.0 + i, "realised": realised, **EDGES}
            for i, realised in enumerate((10.0, -250.0, 230.0, None))]  # fmt: skip
    return pl.DataFrame(rows)


def _trace(figure: object, name: str) -> object:
    return next(trace for trace in figure.data if trace.name == name)  # type: ignore[attr-defined]


def test_bands_and_outcomes_in_bps_are_the_table_s_own() -> None:
    figure = cone_history(_history(), title="X", unit="bps", currency="USD", simulated=False)
    assert list(_trace(figure, "90 % band").y) == [210.0] * 4
    assert list(_trace(figure, "90 % band, lower edge").y) == [-200.0] * 4
    assert list(_trace(figure, "50 % band, lower edge").y) == [-50.0] * 4
    assert list(_trace(figure, "75 % band").y) == [130.0] * 4
    assert list(_trace(figure, "what happened").y) == [10.0, -250.0, 230.0, None]
    assert "bps" in figure.layout.yaxis.title.text


def test_only_outcomes_beyond_the_widest_band_are_ringed() -> None:
    figure = cone_history(_history(), title="X", unit="bps", currency="USD", simulated=False)
    ringed = _trace(figure, "beyond 90 %")
    assert list(ringed.y) == [-250.0, 230.0]
    assert list(ringed.x) == [date(2018, 1, 3), date(2018, 1, 4)]


def test_in_prices_every_edge_lies_its_log_return_from_the_reference() -> None:
    figure = cone_history(_history(), title="X", unit="price", currency="USD", simulated=False)
    upper = _trace(figure, "90 % band").y
    assert list(upper) == pytest.approx([(100.0 + i) * math.exp(0.0210) for i in range(4)])
    happened = _trace(figure, "what happened").y
    assert happened[1] == pytest.approx(101.0 * math.exp(-0.0250))
    assert happened[3] is None
    assert figure.layout.yaxis.title.text == "close, USD"


def test_the_newest_cone_opens_from_the_last_close() -> None:
    moment = [datetime(2018, 12, day, 21, 30, tzinfo=UTC) for day in (27, 28, 31)]
    closes = pl.DataFrame({"ts": moment, "close": [98.0, 99.0, 100.0]})
    targets = [datetime(2019, 1, day, 21, tzinfo=UTC) for day in (2, 8)]
    horizons = pl.DataFrame([{"target_ts": target, "reference_price": 100.0, **EDGES} for target in targets])
    figure = projection_cone(closes, horizons, title="X", currency="USD", simulated=True)
    assert list(_trace(figure, "median").y) == pytest.approx([100.0, *[100.0 * math.exp(0.0005)] * 2])
    assert list(_trace(figure, "90 % band").x) == [moment[-1], *targets]
    assert _trace(figure, "90 % band, lower edge").y[0] == 100.0
    assert list(_trace(figure, "close").y) == [98.0, 99.0, 100.0]


def test_simulated_stands_first_in_the_title_and_only_there_where_it_is_true() -> None:
    shown = cone_history(_history(), title="X", unit="bps", currency="USD", simulated=True)
    assert shown.layout.title.text == "SIMULATED · X"
    real = cone_history(_history(), title="X", unit="bps", currency="USD", simulated=False)
    assert real.layout.title.text == "X"


def test_levels_keep_the_unknown_unknown() -> None:
    assert levels([100.0, None, 100.0], [0.0, 5.0, None]) == [100.0, None, None]
