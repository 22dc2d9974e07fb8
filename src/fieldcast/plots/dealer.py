"""What dealers hold: gamma along the price axis with its flips and walls, and exposure strike by strike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, GOOD, HAPPENED, OURS, REFERENCE, TEXT, UNSURE, axis, figure, line

Floats = NDArray[np.float64]
REACH = 0.12  # of the spot: strikes farther away are not drawn


def gamma_profile_chart(
    spots: Floats,
    gex: Floats,
    *,
    spot: float,
    flips: Sequence[float],
    walls: Mapping[str, float],
    title: str,
    currency: str,
    simulated: bool,
) -> Figure:
    """Net gamma at each hypothetical price, shaded by its sign.

    Parameters
    ----------
    spots : (k,) prices, ascending
    gex : (k,) net dealer gamma re-priced there, in `currency` of delta per 1 % move
    flips : prices at which it changes sign
    walls : name → price, such as the call wall
    """
    scale, unit = scaled(gex, currency)
    shown = np.asarray(gex) / scale
    x, y = with_roots(np.asarray(spots, float), shown, flips)
    traces: list[dict[str, Any]] = [
        line(x, np.maximum(y, 0.0), "dealers damp moves", GOOD, width=0, fill="tozeroy", fillcolor="rgba(47,158,99,0.28)"),
        line(x, np.minimum(y, 0.0), "dealers feed moves", BAD, width=0, fill="tozeroy", fillcolor="rgba(208,69,69,0.28)"),
        line(x, y, "net gamma", OURS, showlegend=False),
    ]
    marks = [(spot, f"price {spot:,.6g}", TEXT, "solid")]
    marks += [(flip, f"flip {flip:,.6g}", HAPPENED, "dash") for flip in flips]
    marks += [(price, f"{name} {price:,.6g}", UNSURE, "dot") for name, price in walls.items()]
    inside = [mark for mark in marks if spots[0] <= mark[0] <= spots[-1]]
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis(f"price ({currency})"),
        yaxis=axis(f"net gamma ({unit} of delta per 1 %)", zeroline=True, zerolinecolor=REFERENCE),
        height=420,
        shapes=[vertical(price, color, dash) for price, _, color, dash in inside],
        annotations=_labels(inside, float(spots[-1] - spots[0])),
        margin={"l": 8, "r": 12, "t": 118, "b": 8},
    )


def strike_chart(
    by_strike: pl.DataFrame, *, spot: float, title: str, currency: str, simulated: bool, reach: float = REACH
) -> Figure:
    """Signed gamma of calls and puts at each strike near the price.

    Parameters
    ----------
    by_strike : `strike`, `call_gex`, `put_gex`, ascending
    """
    near = by_strike.filter((pl.col("strike") / spot - 1).abs() <= reach)
    scale, unit = scaled(np.concatenate([near["call_gex"].to_numpy(), near["put_gex"].to_numpy()]), currency)
    traces = [
        {
            "type": "bar", "orientation": "h", "y": near["strike"].to_list(), "x": (near[column] / scale).to_list(),
            "name": name, "marker": {"color": color, "line": {"width": 0}},
        }
        for column, name, color in (("call_gex", "calls", GOOD), ("put_gex", "puts", BAD))
    ]  # fmt: skip
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis(f"gamma ({unit} of delta per 1 %)", zeroline=True, zerolinecolor=REFERENCE),
        yaxis=axis(f"strike ({currency})"),
        height=520,
        barmode="overlay",
        bargap=0.1,
        shapes=[{"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": spot, "y1": spot, "line": {"color": TEXT, "width": 1}}],
    )


def scaled(values: Floats, currency: str) -> tuple[float, str]:
    """A power of a thousand that leaves the largest value between 1 and 1000, and the unit with it."""
    largest = float(np.abs(np.asarray(values)).max(initial=0.0))
    for scale, word in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if largest >= scale:
            return scale, f"{word} {currency}"
    return 1.0, currency


def with_roots(x: Floats, y: Floats, roots: Sequence[float]) -> tuple[Floats, Floats]:
    """The line with its zero crossings as points of their own, so that no area is drawn on the wrong side."""
    order = np.argsort(np.concatenate([x, roots]), kind="stable")
    return np.concatenate([x, roots])[order], np.concatenate([y, np.zeros(len(roots))])[order]


def vertical(price: float, color: str, dash: str) -> dict[str, Any]:
    """A line over the whole height at a price."""
    style = {"color": color, "width": 1.2, "dash": dash}
    return {"type": "line", "x0": price, "x1": price, "y0": 0, "y1": 1, "yref": "paper", "line": style}


def _labels(marks: Sequence[tuple[float, str, str, str]], width: float) -> list[dict[str, Any]]:
    """Names above the lines; those that would overlap stand one above the other."""
    placed: list[tuple[float, int]] = []
    labels = []
    for price, text, color, _ in sorted(marks):
        level = 0
        while any(other == level and abs(price - at) < 0.17 * width for at, other in placed):
            level += 1
        placed.append((price, level))
        labels.append({
            "x": price, "y": 1.0, "yref": "paper", "yanchor": "bottom", "yshift": 2 + 15 * level, "text": text,
            "showarrow": False, "font": {"size": 11, "color": color},
        })  # fmt: skip
    return labels
