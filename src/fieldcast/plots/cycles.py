"""A portfolio through its governed cycles: its value, and what was decided about each instrument."""

from __future__ import annotations

import polars as pl
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, GOOD, OURS, REFERENCE, UNSURE, Trace, axis, figure, line

ACTIONS = {
    "BUY": (GOOD, "triangle-up"),
    "SELL": (BAD, "triangle-down"),
    "HOLD": (REFERENCE, "circle"),
    "REJECT": (UNSURE, "x"),
}
LEAST_SPAN = 0.002  # of the value: a portfolio that does not move is drawn as a flat line, not as rounding


def nav_timeline(navs: pl.DataFrame, decisions: pl.DataFrame, *, title: str, currency: str, simulated: bool) -> Figure:
    """Net asset value of one portfolio above, one mark a decision below.

    Parameters
    ----------
    navs : slot, nav, positions_value (in `currency`), ascending
    decisions : slot, instrument, action, why
    """
    slots = navs["slot"].to_list()
    tip = f"%{{x|%d %b %Y}}<br>%{{y:,.0f}} {currency}<extra></extra>"
    traces: list[Trace] = [line(slots, navs["nav"].to_list(), "net asset value", OURS, width=2.2, hovertemplate=tip,
                                showlegend=False)]  # fmt: skip
    names = decisions["instrument"].unique(maintain_order=True).to_list()
    for action, (color, symbol) in ACTIONS.items():
        part = decisions.filter(pl.col("action") == action)
        if part.is_empty():
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": part["slot"].to_list(),
                "y": part["instrument"].to_list(),
                "yaxis": "y2",
                "name": action,
                "marker": {"color": color, "symbol": symbol, "size": 10},
                "customdata": part["why"].to_list(),
                "hovertemplate": f"%{{x|%d %b %Y}} %{{y}}<br>{action}: %{{customdata}}<extra></extra>",
            }
        )
    low, high = min(navs["nav"].to_list()), max(navs["nav"].to_list())
    room = max(0.06 * (high - low), LEAST_SPAN * high)
    below = 0.09 * len(names) + 0.06
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("session", anchor="y2", showgrid=False, nticks=5, tickformat="%-d %b", tickangle=0),
        yaxis=axis(f"net asset value, {currency}", domain=[below + 0.1, 1.0], tickformat=",.0f", nticks=5,
                   range=[low - room, high + room]),
        yaxis2=axis("decision", type="category", categoryorder="array", categoryarray=names[::-1],
                    domain=[0.0, below], showgrid=False),
        height=320 + 14 * len(names),
    )
