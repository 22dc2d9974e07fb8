"""The regime over time: soft memberships as a ribbon under the price."""

from __future__ import annotations

import polars as pl
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, GOOD, OURS, REFERENCE, UNSURE, axis, figure, line

MEMBERS = (
    ("trend_up", "uptrend", GOOD), ("mean_revert", "rotation", REFERENCE),
    ("expansion", "expansion", UNSURE), ("trend_down", "downtrend", BAD),
)  # fmt: skip


def regime_ribbon(table: pl.DataFrame, *, title: str, currency: str, simulated: bool) -> Figure:
    """Price above, the four memberships stacked to 1 below.

    Parameters
    ----------
    table : of `build_field_table`: `ts`, `close` and the columns `regime.…`
    """
    ts = table["ts"].to_list()
    traces = [line(ts, table["close"].to_list(), "close", OURS, showlegend=False)]
    traces += [
        {
            "type": "scatter", "mode": "lines", "x": ts, "y": table[f"regime.{name}"].to_list(), "name": words,
            "stackgroup": "regime", "yaxis": "y2", "line": {"width": 0.4, "color": color}, "fillcolor": color, "opacity": 0.75,
        }
        for name, words, color in MEMBERS
    ]  # fmt: skip
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("session", anchor="y2"),
        yaxis=axis(f"close ({currency})", domain=[0.46, 1.0]),
        yaxis2=axis("membership", domain=[0.0, 0.4], range=[0, 1]),
        height=420,
    )
