"""Do the odds mean what they say, and do the cones cover as often as they promise, all along?"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, OURS, QUIET_BAND, REFERENCE, Trace, axis, band, figure, line

LEVEL_COLORS = {50: "#7fb2e5", 75: "#3b7dc4", 90: "#1f4f8a"}


def reliability_diagram(bins: pl.DataFrame, *, title: str, event: str, simulated: bool, height: int = 360) -> Figure:
    """Forecast against hit rate in equal-mass bins, with what chance alone would show, and the count of each bin.

    Parameters
    ----------
    bins : forecast (mean of the bin), hit_rate, n, null_low, null_high, within_null; one row a bin
    event : what is forecast, for the axis: `a rise`, `a high of +1 %`
    """
    forecast, counts = bins["forecast"].to_list(), bins["n"].to_list()
    low, high = bins["null_low"].to_list(), bins["null_high"].to_list()
    ends = [min(*forecast, *low), max(*forecast, *high)]
    wide = (ends[1] - ends[0]) or 0.02
    traces: list[Trace] = [
        line(ends, ends, "perfect", REFERENCE, width=1.2, dash="dot", hoverinfo="skip"),
        {
            "type": "bar",
            "orientation": "v",
            "x": forecast,
            "base": low,
            "y": [b - a for a, b in zip(low, high, strict=True)],
            "width": wide / 60,
            "name": "chance alone (90 %)",
            "marker": {"color": QUIET_BAND, "line": {"width": 0}},
            "customdata": [list(pair) for pair in zip(low, high, strict=True)],
            "hovertemplate": "by chance %{customdata[0]:.1%} to %{customdata[1]:.1%}<extra></extra>",
        },
        *(_points(bins.filter(pl.col("within_null") == within), name, color) for within, name, color in
          ((True, "bin, as luck allows", OURS), (False, "bin, beyond luck", BAD))),
        {
            "type": "bar",
            "x": forecast,
            "y": counts,
            "width": wide / 40,
            "yaxis": "y2",
            "name": "sessions in the bin",
            "marker": {"color": "rgba(59,125,196,0.45)", "line": {"width": 0}},
            "hovertemplate": "n = %{y:,}<extra></extra>",
        },
    ]
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis(f"forecast probability of {event}", tickformat=".0%", anchor="y2", showgrid=False,
                   range=[ends[0] - wide / 30, ends[1] + wide / 30]),
        yaxis=axis("share that came", tickformat=".0%", domain=[0.28, 1.0]),
        yaxis2=axis("sessions", domain=[0.0, 0.18], nticks=3, rangemode="tozero"),
        height=height,
        barmode="overlay",
    )


def _points(bins: pl.DataFrame, name: str, color: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": bins["forecast"].to_list(),
        "y": bins["hit_rate"].to_list(),
        "name": name,
        "marker": {"size": 8, "color": color},
        "customdata": bins["n"].to_list(),
        "hovertemplate": "said %{x:.1%}, came %{y:.1%}<br>n = %{customdata:,}<extra></extra>",
    }


def coverage_over_time(
    table: pl.DataFrame, *, levels: Sequence[int], window: int, title: str, simulated: bool, height: int = 320
) -> Figure:
    """Share of the last `window` outcomes inside each band, beside what an honest cone would show 95 % of the time.

    Parameters
    ----------
    table : date and, for each level in percent, covered_{level}, low_{level}, high_{level} (shares)
    """
    x = table["date"].to_list()
    traces: list[Trace] = []
    for level in levels:
        color, group = LEVEL_COLORS.get(level, OURS), f"{level}"
        low, high = table[f"low_{level}"].to_list(), table[f"high_{level}"].to_list()
        traces += band(x, low, high, f"chance at {level} %", QUIET_BAND, show=False, legendgroup=group)
        traces.append(line(x, [level / 100] * len(x), f"promised {level} %", REFERENCE, width=1, dash="dot",
                           showlegend=False, hoverinfo="skip", legendgroup=group))  # fmt: skip
        tip = f"%{{x|%d %b %Y}}<br>{level} % band held %{{y:.1%}} of the last {window}<extra></extra>"
        values = table[f"covered_{level}"].to_list()
        traces.append(line(x, values, f"{level} % band", color, hovertemplate=tip, legendgroup=group))
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis(f"session (end of {window} outcomes)", showgrid=False),
        yaxis=axis("share inside the band", tickformat=".0%", range=[0.3, 1.0]),
        height=height,
    )
