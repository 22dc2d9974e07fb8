"""A factor over a cross-section: how its rank IC dies away with the horizon, and what its quantiles would have earned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, GOOD, HAPPENED, OURS, REFERENCE, axis, figure, line


def ic_decay_chart(rows: pl.DataFrame, *, title: str, simulated: bool) -> Figure:
    """Mean rank IC with its 95 % interval over each horizon.

    Parameters
    ----------
    rows : horizon, estimate, low, high, n
    """
    horizons = [f"{horizon}" for horizon in rows["horizon"].to_list()]
    estimate, low, high = (rows[name].to_list() for name in ("estimate", "low", "high"))
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": horizons,
        "y": estimate,
        "name": "mean rank IC",
        "line": {"color": OURS, "width": 1.8},
        "marker": {"color": OURS, "size": 8},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [b - a for a, b in zip(estimate, high, strict=True)],
            "arrayminus": [a - b for a, b in zip(estimate, low, strict=True)],
            "color": OURS,
            "thickness": 1.8,
            "width": 0,
        },
        "customdata": [list(item) for item in zip(low, high, rows["n"].to_list(), strict=True)],
        "hovertemplate": "%{x} sessions: %{y:.4f}<br>95 %: %{customdata[0]:.4f} to %{customdata[1]:.4f}<br>n = %{customdata[2]:,}"
        "<extra></extra>",
    }
    return figure(
        [trace],
        title=title,
        simulated=simulated,
        xaxis=axis("horizon, sessions", type="category", showgrid=False),
        yaxis=axis("mean rank IC", tickformat=".3f", zeroline=True, zerolinecolor=REFERENCE, zerolinewidth=1),
        legend=False,
    )


def quantile_equity_chart(
    dates: Sequence[object], returns: np.ndarray, spread: np.ndarray, *, title: str, simulated: bool
) -> Figure:
    """Sum of log returns of each quantile, before cost, and of top less bottom.

    Parameters
    ----------
    dates : (T,)
    returns : (T, Q) equal-weighted returns, lowest factor first; NaN where there is none, drawn as a flat step
    spread : (T,) top less bottom
    """
    count = returns.shape[1]
    traces = []
    for place in range(count):
        share = place / max(count - 1, 1)
        color = BAD if place == 0 else GOOD if place == count - 1 else f"rgba(139,147,161,{0.4 + 0.4 * share:.2f})"
        traces.append(line(dates, np.cumsum(np.log1p(np.nan_to_num(returns[:, place]))).tolist(), f"quantile {place + 1}", color))
    cumulated = np.cumsum(np.log1p(np.nan_to_num(spread))).tolist()
    traces.append(line(dates, cumulated, "top less bottom", HAPPENED, dash="dash"))
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("session", showgrid=False),
        yaxis=axis("log return before cost, sum", tickformat=".2f", zeroline=True, zerolinecolor=REFERENCE, zerolinewidth=1),
        height=380,
    )
