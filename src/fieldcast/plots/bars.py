"""Bars of one instrument: candles with their volume, and marks on the rows that carry a reason code."""

from __future__ import annotations

from typing import Any

import polars as pl
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, GOOD, REFERENCE, UNSURE, axis, figure, line

MOST_CANDLES = 2_000  # beyond that a candle is narrower than a pixel: a line of closes then


def bar_chart(
    bars: pl.DataFrame, *, title: str, currency: str, simulated: bool, quiet_reasons: frozenset[str] = frozenset()
) -> Figure:
    """Candles (or, beyond 2,000 bars or without opens, closes) above volume.

    Parameters
    ----------
    bars : columns of `market.BARS`, ascending, of one instrument
    quiet_reasons : codes that concern the whole source and get no mark
    """
    ts = bars["ts"].to_list()
    whole = bars["open"].null_count() == 0 and bars.height <= MOST_CANDLES
    traces = [_candles(bars, ts) if whole else line(ts, bars["close"].to_list(), "close", REFERENCE)]
    traces += _marks(bars, quiet_reasons)
    traces.append({
        "type": "bar", "x": ts, "y": bars["volume"].to_list(), "name": "volume", "yaxis": "y2", "marker": {"color": REFERENCE},
        "showlegend": False,
    })
    chart = figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("end of bar (UTC)", rangeslider={"visible": False}, anchor="y2", rangebreaks=_breaks(bars)),
        yaxis=axis(f"price ({currency})", domain=[0.26, 1.0]),
        yaxis2=axis("volume", domain=[0.0, 0.2]),
        height=520,
    )
    return chart.update_layout(legend={"y": -0.14})


def _breaks(bars: pl.DataFrame) -> list[dict[str, Any]]:
    """Weekends are left out of the axis where nothing was traded in them."""
    weekend = bars["ts"].dt.weekday().is_in([6, 7]).any()
    return [] if weekend else [{"bounds": ["sat", "mon"]}]


def _candles(bars: pl.DataFrame, ts: list[Any]) -> dict[str, Any]:
    prices = {name: bars[name].to_list() for name in ("open", "high", "low", "close")}
    return {
        "type": "candlestick", "x": ts, **prices, "name": "bar",
        "increasing": {"line": {"color": GOOD, "width": 1}}, "decreasing": {"line": {"color": BAD, "width": 1}},
    }


def _marks(bars: pl.DataFrame, quiet: frozenset[str]) -> list[dict[str, Any]]:
    """One trace for each reason code, at the bars that carry it."""
    marked = (
        bars.select("ts", "close", pl.col("reasons").str.split(",").alias("code"))
        .explode("code")
        .filter(pl.col("code").is_not_null() & ~pl.col("code").is_in(sorted(quiet)))
    )
    return [
        {
            "type": "scatter", "mode": "markers", "x": rows["ts"].to_list(), "y": rows["close"].to_list(), "name": str(code),
            "marker": {"symbol": "diamond-open", "size": 8, "color": UNSURE},
        }
        for (code,), rows in marked.group_by(["code"], maintain_order=True)
    ]
