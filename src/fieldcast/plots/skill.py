"""Skill with its uncertainty: areas under the curve beside the gate's lines, and log loss saved session by session."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from plotly.graph_objects import Figure

from fieldcast.plots._style import BENCHMARK, GOOD, HAPPENED, OURS, REFERENCE, Trace, axis, figure, line

MODEL_COLORS = {"logistic": OURS, "boosted_trees": GOOD, "anchor": BENCHMARK, "base_rate": REFERENCE}
ROLES = {"edge": (OURS, "solid", 2.0), "none": (HAPPENED, "solid", 2.0), "bayes": (REFERENCE, "dash", 1.6)}
_ROOM = 0.52  # of the room between two groups that their points take


def forest(
    rows: pl.DataFrame,
    *,
    title: str,
    quantity: str,
    lines: Sequence[tuple[float, str]],
    simulated: bool,
    percent: bool = False,
) -> Figure:
    """A point with its interval for each model, grouped by instrument, the first group on top.

    Parameters
    ----------
    rows : group, model, estimate, low, high, n
    quantity : name and unit of the estimate, for the axis
    lines : value and name of the vertical lines to judge it by, ascending
    simulated : True where every group rests on simulated data; one that does beside others says so in its name
    """
    groups = rows["group"].unique(maintain_order=True).to_list()
    models = rows["model"].unique(maintain_order=True).to_list()
    place = {name: len(groups) - 1 - i for i, name in enumerate(groups)}
    step = _ROOM / max(len(models) - 1, 1)
    number = ".1%" if percent else ".4f"
    traces: list[Trace] = []
    for i, model in enumerate(models):
        part = rows.filter(pl.col("model") == model)
        estimate, low, high = (part[name].to_list() for name in ("estimate", "low", "high"))
        color = MODEL_COLORS.get(model, HAPPENED)
        offset = step * ((len(models) - 1) / 2 - i)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": estimate,
                "y": [place[name] + offset for name in part["group"].to_list()],
                "name": model.replace("_", " "),
                "marker": {"color": color, "size": 8},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [b - a for a, b in zip(estimate, high, strict=True)],
                    "arrayminus": [a - b for a, b in zip(estimate, low, strict=True)],
                    "color": color,
                    "thickness": 1.8,
                    "width": 0,
                },
                "text": part["group"].to_list(),
                "customdata": [list(item) for item in zip(low, high, part["n"].to_list(), strict=True)],
                "hovertemplate": f"%{{text}}: {model.replace('_', ' ')}<br>%{{x:{number}}} (95 %: "
                f"%{{customdata[0]:{number}}} to %{{customdata[1]:{number}}})<br>n = %{{customdata[2]:,}}<extra></extra>",
            }
        )
    shapes = [
        {"type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper", "layer": "below",
         "line": {"color": REFERENCE, "width": 1.4, "dash": "dot" if i == 0 else "solid"}}
        for i, (value, _) in enumerate(lines)
    ]  # fmt: skip
    notes = [
        {"x": value, "y": 1.0, "yref": "paper", "text": text, "showarrow": False, "yanchor": "bottom",
         "xanchor": "right" if i == 0 and len(lines) > 1 else "left", "font": {"size": 11}}
        for i, (value, text) in enumerate(lines)
    ]  # fmt: skip
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis(quantity, tickformat=".1%" if percent else ".2f", nticks=7),
        yaxis=axis("", tickvals=list(place.values()), ticktext=groups, range=[-0.6, len(groups) - 0.4], showgrid=False),
        height=160 + 54 * len(groups),
        shapes=shapes,
        annotations=notes,
        margin={"l": 8, "r": 12, "t": 64, "b": 8},
    )


def loss_saved(lines: Sequence[tuple[str, pl.DataFrame, str]], *, title: str, simulated: bool, height: int = 380) -> Figure:
    """Cumulative log loss saved against a reference: a steady climb is skill, a walk about zero is none.

    Parameters
    ----------
    lines : name, table (date; saved: cumulative, nats), role: `edge`, `none` or `bayes`
    """
    traces = []
    for name, table, role in lines:
        color, dash, width = ROLES[role]
        tip = f"{name}<br>%{{x|%d %b %Y}}: %{{y:+.1f}} nats<extra></extra>"
        x, y = table["date"].to_list(), table["saved"].to_list()
        traces.append(line(x, y, name, color, dash=dash, width=width, hovertemplate=tip))
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("session", showgrid=False),
        yaxis=axis("log loss saved, nats (sum)", zeroline=True, zerolinecolor=REFERENCE, zerolinewidth=1),
        height=height,
    )
