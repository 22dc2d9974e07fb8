"""Cones against what happened, and the newest cone ahead of the last closes.

A band that promises 50, 75 or 90 % lies between two quantiles of the log return close(t) → close(t + H), in basis
points; as a price it is reference_price · exp(quantile / 10 000).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import polars as pl
from plotly.graph_objects import Figure

from fieldcast.plots._style import HAPPENED, OURS, OURS_BANDS, REFERENCE, Trace, axis, band, figure, line

BANDS = (("90 %", "q_05", "q_95"), ("75 %", "q_12_5", "q_87_5"), ("50 %", "q_25", "q_75"))
MEDIAN = "q_50"
Unit = Literal["price", "bps"]


def cone_history(
    table: pl.DataFrame, *, title: str, unit: Unit, currency: str, simulated: bool, height: int = 340
) -> Figure:
    """Bands that were said beforehand, and the outcome of each.

    Parameters
    ----------
    table : target (date or stamp the outcome belongs to), reference_price, q_05 … q_95 and realised (bps log return;
        null where it is not known yet), ascending
    unit : `price` draws levels in `currency`, `bps` the log return itself
    """
    x = table["target"].to_list()
    price = unit == "price"
    reference = table["reference_price"].to_list()

    def shown(column: str) -> list[float | None]:
        values = table[column].to_list()
        return levels(reference, values) if price else values

    traces: list[Trace] = []
    for (name, low, high), color in zip(BANDS, OURS_BANDS, strict=True):
        traces += band(x, shown(low), shown(high), f"{name} band", color)
    happened, outside = shown("realised"), _outside(table)
    place = "close" if price else "return"
    digits = ",.2f" if price else "+.0f"
    tip = f"%{{x|%d %b %Y}}<br>{place} %{{y:{digits}}}{'' if price else ' bps'}<extra></extra>"
    if price:
        traces.append(line(x, happened, "what happened", HAPPENED, width=1.6, hovertemplate=tip))
    else:
        dots = {"color": HAPPENED, "size": 4.5}
        traces.append({"type": "scatter", "mode": "markers", "x": x, "y": happened, "name": "what happened",
                       "marker": dots, "hovertemplate": tip})  # fmt: skip
    ring = {"symbol": "circle-open", "size": 9, "color": HAPPENED, "line": {"width": 1.6}}
    traces.append({
        "type": "scatter", "mode": "markers", "name": "beyond 90 %", "marker": ring, "hoverinfo": "skip",
        "x": [day for day, out in zip(x, outside, strict=True) if out],
        "y": [value for value, out in zip(happened, outside, strict=True) if out],
    })  # fmt: skip
    label = f"close, {currency}" if price else "log return close to close, bps"
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("session of the outcome", showgrid=False),
        yaxis=axis(label, zeroline=not price, zerolinecolor=REFERENCE, zerolinewidth=1),
        height=height,
    )


def projection_cone(
    closes: pl.DataFrame, horizons: pl.DataFrame, *, title: str, currency: str, simulated: bool, height: int = 240
) -> Figure:
    """The last closes and the cone that opens from the newest of them.

    Parameters
    ----------
    closes : ts, close, ascending; the last row is the reference of the cone
    horizons : one row a known horizon: target_ts, reference_price, q_05 … q_95 (bps), ascending by target_ts; between
        two horizons the edges are drawn as straight lines, which is drawing and not forecast
    """
    now, close = closes["ts"][-1], closes["close"][-1]
    x: list[Any] = [now, *horizons["target_ts"].to_list()]
    reference = horizons["reference_price"].to_list()

    def edge(column: str) -> list[float | None]:
        return [close, *levels(reference, horizons[column].to_list())]

    traces: list[Trace] = []
    for (name, low, high), color in zip(BANDS, OURS_BANDS, strict=True):
        traces += band(x, edge(low), edge(high), f"{name} band", color)
    tip = "%{x|%d %b %Y}<br>%{y:,.2f}<extra></extra>"
    traces.append(line(x, edge(MEDIAN), "median", OURS, width=1.4, dash="dot", hovertemplate=tip))
    traces.append(line(closes["ts"].to_list(), closes["close"].to_list(), "close", HAPPENED, hovertemplate=tip))
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("session", showgrid=False, nticks=5),
        yaxis=axis(f"close, {currency}", nticks=5),
        height=height,
        legend=False,
    )


def levels(reference: Sequence[float | None], bps: Sequence[float | None]) -> list[float | None]:
    """Prices that lie `bps` of log return from each reference; null where either is unknown."""
    return [
        None if price is None or move is None else price * math.exp(move / 1e4)
        for price, move in zip(reference, bps, strict=True)
    ]


def _outside(table: pl.DataFrame) -> list[bool]:
    beyond = (pl.col("realised") < pl.col("q_05")) | (pl.col("realised") > pl.col("q_95"))
    return table.select(beyond.fill_null(value=False).alias("out"))["out"].to_list()
