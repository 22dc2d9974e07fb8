"""Where volume lies: candles beside their volume profile, and what an order would pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, GOOD, HAPPENED, OURS, REFERENCE, UNSURE, axis, figure, line
from fieldcast.plots.bars import bar_chart

Floats = NDArray[np.float64]
PROFILE_SHARE = 0.22  # of the width


def profile_chart(
    bars: pl.DataFrame,
    edges: Floats,
    held: Floats,
    *,
    area: tuple[float, float],
    poc: float,
    lines: Mapping[str, Floats],
    title: str,
    currency: str,
    simulated: bool,
    quiet_reasons: frozenset[str] = frozenset(),
) -> Figure:
    """Candles with the volume done at each price beside them.

    Parameters
    ----------
    bars : columns of `market.BARS`, ascending, of one instrument: those that the profile was made of, or the last of them
    edges, held : (k + 1,) prices and (k,) volumes of the profile's bins
    area, poc : value area and point of control
    lines : name → (n,) values at each bar, such as VWAP and its bands; NaN where there is none
    quiet_reasons : codes that concern the whole source and get no mark
    """
    chart = bar_chart(bars, title=title, currency=currency, simulated=simulated, quiet_reasons=quiet_reasons)
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    inside = (middle >= area[0]) & (middle <= area[1])
    colors = np.where(inside, OURS, REFERENCE)
    profile: dict[str, Any] = {
        "type": "bar", "orientation": "h", "y": middle.tolist(), "x": held.tolist(), "width": (0.92 * width).tolist(),
        "marker": {"color": colors.tolist(), "line": {"width": 0}}, "opacity": 0.8, "xaxis": "x3", "yaxis": "y",
        "name": "volume at price", "showlegend": False, "hovertemplate": "%{y:,.6g}: %{x:,.4g}<extra></extra>",
    }  # fmt: skip
    chart.add_traces([profile])
    ts = bars["ts"].to_list()
    for place, (name, values) in enumerate(lines.items()):
        shown = [None if np.isnan(value) else float(value) for value in values]
        chart.add_traces([line(ts, shown, name, HAPPENED if place == 0 else UNSURE, width=1.4 if place == 0 else 0.9)])
    chart.update_layout(
        xaxis={"domain": [0.0, 1.0 - PROFILE_SHARE - 0.02]},
        xaxis3=axis("volume at price", domain=[1.0 - PROFILE_SHARE, 1.0], anchor="y", showticklabels=False),
        shapes=[
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": poc, "y1": poc,
             "line": {"color": OURS, "width": 1.2}},
            {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": area[0], "y1": area[1],
             "line": {"width": 0}, "fillcolor": "rgba(59,125,196,0.08)"},
        ],
    )  # fmt: skip
    return chart


def slippage_chart(table: pl.DataFrame, *, title: str, currency: str, simulated: bool) -> Figure:
    """What a market order pays, by size and side, as far as the book can be seen.

    Parameters
    ----------
    table : `side`, `notional`, `slippage_bps`; rows beyond the visible book have none and are left out
    """
    known = table.drop_nulls(["notional", "slippage_bps"]).sort("notional")
    traces = [
        line(rows["notional"].to_list(), rows["slippage_bps"].to_list(), f"{side} orders", color, mode="lines+markers")
        for side, color in (("buy", GOOD), ("sell", BAD))
        for rows in [known.filter(pl.col("side") == side)]
    ]
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis(f"order ({currency})", type="log"),
        yaxis=axis("slippage from the mid (bps)", rangemode="tozero"),
        height=320,
    )
