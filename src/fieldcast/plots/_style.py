"""What all figures share: colours that hold on a light and on a dark page, quiet axes, a title that names simulated data.

A figure has no background of its own and takes its text colour from the page that places it; every axis carries its
quantity and its unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plotly.graph_objects import Figure

OURS = "#3b7dc4"
OURS_BANDS = ("rgba(59,125,196,0.16)", "rgba(59,125,196,0.22)", "rgba(59,125,196,0.34)")  # 90, 75, 50 %
HAPPENED = "#d9622b"
REFERENCE = "#8b93a1"
BENCHMARK = "#9a7b4f"
GOOD, BAD, UNSURE = "#2f9e63", "#d04545", "#c98a1b"
QUIET_BAND = "rgba(139,147,161,0.24)"
TEXT = "#6b7280"
GRID = "rgba(139,147,161,0.22)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

Axis = dict[str, Any]
Trace = dict[str, Any]


def titled(title: str, simulated: bool) -> str:
    """The title, with SIMULATED before it where the figure rests on simulated data: a narrow page cuts the end off."""
    return f"SIMULATED · {title}" if simulated else title


def axis(text: str, **more: Any) -> Axis:
    """A quiet axis; `text` says the quantity and its unit."""
    return {
        "title": {"text": text, "standoff": 8, "font": {"size": 12}},
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GRID,
        "ticks": "",
        "automargin": True,
        **more,
    }


def figure(
    traces: Sequence[Trace],
    *,
    title: str,
    simulated: bool,
    xaxis: Axis,
    yaxis: Axis,
    height: int = 320,
    legend: bool = True,
    **layout: Any,
) -> Figure:
    """A figure in the common dress; further keywords go to the layout."""
    rows: Mapping[str, Any] = {
        "title": {
            "text": titled(title, simulated),
            "x": 0.0,
            "xref": "container",
            "xanchor": "left",
            "y": 1.0,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 10, "l": 0},
            "font": {"size": 13},
        },
        "font": {"family": FONT, "size": 12, "color": TEXT},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 44, "b": 8},
        "height": height,
        "autosize": True,
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0.0, "y": -0.24, "yanchor": "top", "font": {"size": 11}},
        "hoverlabel": {"font": {"family": FONT, "size": 12}},
        "colorway": [OURS, HAPPENED, GOOD, BENCHMARK, REFERENCE],
        "template": None,
        "xaxis": xaxis,
        "yaxis": yaxis,
        **layout,
    }
    return Figure({"data": list(traces), "layout": dict(rows)})


def line(x: Iterable[Any], y: Iterable[Any], name: str, color: str, **more: Any) -> Trace:
    """A plain line."""
    style = {"color": color, "width": more.pop("width", 1.8), "dash": more.pop("dash", "solid")}
    return {"type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "name": name, "line": style, **more}


def band(
    x: Sequence[Any], low: Sequence[Any], high: Sequence[Any], name: str, color: str, *, show: bool = True, **more: Any
) -> list[Trace]:
    """Two traces that fill the room between `low` and `high`; the legend shows one of them."""
    edge = {"color": color, "width": 0}
    group = more.pop("legendgroup", name)
    common = {"type": "scatter", "mode": "lines", "x": list(x), "line": edge, "legendgroup": group, **more}
    return [
        {**common, "y": list(low), "name": f"{name}, lower edge", "showlegend": False, "hoverinfo": "skip"},
        {
            **common,
            "y": list(high),
            "name": name,
            "fill": "tonexty",
            "fillcolor": color,
            "showlegend": show,
            "hoverinfo": "skip",
        },
    ]
