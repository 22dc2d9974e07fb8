"""A backtest drawn: equity over its drawdown, months, trades on their bars, excursions, what costs took, sweeps and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, BENCHMARK, GOOD, GRID, HAPPENED, OURS, REFERENCE, Trace, axis, figure, line
from fieldcast.plots.bars import MOST_CANDLES

MOST_POINTS = 4_000  # of one line: beyond that the lowest and the highest of each step are kept
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DIVERGING = [[0.0, "#c24a3f"], [0.35, "#e9b8b0"], [0.5, "#eeeeea"], [0.65, "#b4d3bf"], [1.0, "#2f9e63"]]
_DARK_TEXT = "#1d2530"


def equity_chart(
    curve: pl.DataFrame,
    *,
    title: str,
    currency: str,
    simulated: bool,
    benchmark: pl.DataFrame | None = None,
    benchmark_name: str = "",
) -> Figure:
    """Equity above, its drawdown below.

    Parameters
    ----------
    curve : ts, equity (`currency`), drawdown (share, at least 0), ascending
    benchmark : ts, benchmark (`currency`); nulls are gaps
    """
    shown = extremes(curve, "equity")
    x = shown["ts"].to_list()
    traces: list[Trace] = []
    if benchmark is not None:
        beside = extremes(benchmark.drop_nulls(), "benchmark")
        tip = f"{benchmark_name}<br>%{{x|%d %b %Y}}: %{{y:,.0f}} {currency}<extra></extra>"
        traces.append(line(beside["ts"], beside["benchmark"], benchmark_name, BENCHMARK, width=1.4, hovertemplate=tip))
    tip = f"%{{x|%d %b %Y}}: %{{y:,.0f}} {currency}<extra></extra>"
    traces.append(line(x, shown["equity"], "account", OURS, width=2.0, hovertemplate=tip))
    under = {"fill": "tozeroy", "fillcolor": "rgba(208,69,69,0.22)", "yaxis": "y2", "showlegend": False}
    tip = "%{x|%d %b %Y}: %{y:.1%} below the highest<extra></extra>"
    traces.append(line(x, (-shown["drawdown"]).to_list(), "drawdown", BAD, width=1.0, hovertemplate=tip, **under))
    chart = figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("", anchor="y2", showgrid=False, nticks=6),
        yaxis=axis(f"equity, {currency}", domain=[0.34, 1.0], tickformat="~s", nticks=6),
        yaxis2=axis("drawdown", domain=[0.0, 0.26], tickformat=".2~%", nticks=4),
        height=460,
        legend=benchmark is not None,
    )
    return chart.update_layout(legend={"y": -0.08})


def monthly_heat_map(months: pl.DataFrame, *, title: str, simulated: bool) -> Figure:
    """A row a year, a column a month and one for the year; months without a day stay empty.

    Parameters
    ----------
    months : year, month (null for the whole year), return (share), days
    """
    years = months["year"].unique().sort().to_list()
    place = {year: row for row, year in enumerate(years)}
    grid = np.full((len(years), 13), np.nan)
    days = np.zeros((len(years), 13), dtype=np.int64)
    for year, month, value, count in months.select("year", "month", "return", "days").iter_rows():
        column = 12 if month is None else month - 1
        grid[place[year], column], days[place[year], column] = value, count
    ends = float(np.nanmax(np.abs(grid[:, :12]), initial=1e-9))
    names = [*MONTHS, "year"]
    trace = {
        "type": "heatmap",
        "x": names,
        "y": [str(year) for year in years],
        "z": _plain(np.clip(grid, -ends, ends)),
        "text": [["" if math.isnan(value) else _tenths(100 * value) for value in row] for row in grid.tolist()],
        "customdata": np.dstack([np.nan_to_num(grid), days]).tolist(),
        "texttemplate": "%{text}",
        "textfont": {"size": 11, "color": _DARK_TEXT},
        "hovertemplate": "%{x} %{y}: %{customdata[0]:+.2%} (%{customdata[1]} days)<extra></extra>",
        "colorscale": DIVERGING,
        "zmin": -ends,
        "zmax": ends,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
    }
    return figure(
        [trace],
        title=title,
        simulated=simulated,
        xaxis=axis("", showgrid=False, side="top", fixedrange=True, tickangle=0),
        yaxis=axis("", showgrid=False, autorange="reversed", type="category", fixedrange=True),
        height=110 + 30 * len(years),
        legend=False,
        margin={"l": 8, "r": 12, "t": 72, "b": 8},
    )


def trade_chart(bars: pl.DataFrame, trades: pl.DataFrame, *, title: str, currency: str, simulated: bool) -> Figure:
    """Entries and exits on the bars of one instrument; a line from each entry to its exit, green where it paid.

    Parameters
    ----------
    bars : ts, open, high, low, close, ascending
    trades : entry_ts, exit_ts (null while open), direction (`long` or `short`), entry_price, exit_price, net
    """
    ts = bars["ts"].to_list()
    whole = bars["open"].null_count() == 0 and bars.height <= MOST_CANDLES
    if whole:
        prices = {name: bars[name].to_list() for name in ("open", "high", "low", "close")}
        faint = {"line": {"width": 1, "color": REFERENCE}, "fillcolor": "rgba(139,147,161,0.35)"}
        hollow = {"line": {"width": 1, "color": REFERENCE}, "fillcolor": "rgba(0,0,0,0)"}
        traces: list[Trace] = [
            {
                "type": "candlestick",
                "x": ts,
                **prices,
                "name": "bar",
                "increasing": hollow,
                "decreasing": faint,
                "showlegend": False,
            }
        ]
    else:
        shown = extremes(bars.select("ts", "close").drop_nulls(), "close")
        traces = [line(shown["ts"], shown["close"], "close", REFERENCE, width=1.2, showlegend=False)]
    closed = trades.filter(pl.col("exit_ts").is_not_null())
    for name, part, color in (
        ("paid", closed.filter(pl.col("net") > 0.0), GOOD),
        ("lost", closed.filter(pl.col("net") <= 0.0), BAD),
    ):
        if part.is_empty():
            continue
        x: list[Any] = []
        y: list[float | None] = []
        for entry, leave, price, left in part.select("entry_ts", "exit_ts", "entry_price", "exit_price").iter_rows():
            x += [entry, leave, None]
            y += [price, left, None]
        traces.append(line(x, y, f"{name} ({part.height})", color, width=1.6, dash="dot", hoverinfo="skip"))
    for word, symbol, color in (("long", "triangle-up", GOOD), ("short", "triangle-down", BAD)):
        part = trades.filter(pl.col("direction") == word)
        if not part.is_empty():
            traces.append(_marks(part["entry_ts"], part["entry_price"], f"entry {word}", symbol, color, 9))
    if not closed.is_empty():
        traces.append(_marks(closed["exit_ts"], closed["exit_price"], "exit", "x-thin", HAPPENED, 7))
    weekend = bars["ts"].dt.weekday().is_in([6, 7]).any()
    chart = figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis(
            "",
            rangeslider={"visible": False},
            showgrid=False,
            rangebreaks=[] if weekend else [{"bounds": ["sat", "mon"]}],
            nticks=6,
        ),
        yaxis=axis(f"price, {currency}", nticks=7),
        height=440,
    )
    return chart.update_layout(legend={"y": -0.1})


def excursion_scatter(trades: pl.DataFrame, *, title: str, simulated: bool) -> Figure:
    """How far each trade went against its holder and for him, as shares of the entry; on the diagonal both were equal.

    Parameters
    ----------
    trades : mae (share of the entry price, at most 0), mfe (at least 0), net (currency), instrument; nulls are left out
    """
    known = trades.drop_nulls(["mae", "mfe", "net"]).with_columns(mae=-pl.col("mae"))
    traces: list[Trace] = []
    for word, part, color, symbol in (
        ("paid", known.filter(pl.col("net") > 0.0), GOOD, "circle"),
        ("lost", known.filter(pl.col("net") <= 0.0), BAD, "diamond"),
    ):
        if part.is_empty():
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": part["mae"].to_list(),
                "y": part["mfe"].to_list(),
                "name": f"{word} ({part.height})",
                "marker": {"color": color, "symbol": symbol, "size": 7, "opacity": 0.7},
                "customdata": [list(row) for row in part.select("instrument", "net").iter_rows()],
                "hovertemplate": "%{customdata[0]}: against %{x:.2%}, for %{y:.2%}<br>net %{customdata[1]:,.2f}<extra></extra>",
            }
        )
    far = min(max([*known[name].to_list(), 1e-4]) for name in ("mae", "mfe"))
    traces.append(
        line([0.0, far], [0.0, far], "as far either way", REFERENCE, width=1.0, dash="dot", hoverinfo="skip", showlegend=False)
    )
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("furthest against the trade (MAE)", tickformat=".1%", rangemode="tozero", nticks=6),
        yaxis=axis("furthest for the trade (MFE)", tickformat=".1%", rangemode="tozero", nticks=6),
        height=400,
    )


def cost_waterfall(steps: Sequence[tuple[str, float]], *, title: str, currency: str, simulated: bool) -> Figure:
    """From what was earned before costs to what was left: the first step is where it begins, the last bar the sum of all.

    Parameters
    ----------
    steps : name and amount (`currency`); costs are below 0
    """
    names = [*(name for name, _ in steps), "left"]
    amounts = [value for _, value in steps]
    trace = {
        "type": "waterfall",
        "x": names,
        "y": [*amounts, 0.0],
        "measure": ["absolute", *["relative"] * (len(steps) - 1), "total"],
        "text": [f"{value:,.0f}".replace("-", "−") for value in [*amounts, sum(amounts)]],
        "textposition": "outside",
        "cliponaxis": False,
        "connector": {"line": {"color": GRID, "width": 1}},
        "increasing": {"marker": {"color": GOOD}},
        "decreasing": {"marker": {"color": BAD}},
        "totals": {"marker": {"color": OURS}},
        "hovertemplate": f"%{{x}}: %{{y:,.2f}} {currency}<extra></extra>",
    }
    running = np.concatenate(([0.0], np.cumsum(amounts)))
    room = 0.14 * max(float(np.ptp(running)), 1e-9)
    low = float(running.min()) - (room if running.min() < 0 else 0.0)
    return figure(
        [trace],
        title=title,
        simulated=simulated,
        xaxis=axis("", showgrid=False, fixedrange=True),
        yaxis=axis(currency, tickformat="~s", nticks=6, zeroline=True, zerolinecolor=REFERENCE,
                   range=[low, float(running.max()) + room]),
        height=340,
        legend=False,
    )  # fmt: skip


def contribution_bars(rows: pl.DataFrame, *, title: str, currency: str, simulated: bool) -> Figure:
    """One bar for each source of profit, the largest on top.

    Parameters
    ----------
    rows : source, amount (`currency`)
    """
    shown = rows.sort("amount")
    amounts = shown["amount"].to_list()
    trace = {
        "type": "bar", "orientation": "h", "x": amounts, "y": shown["source"].to_list(),
        "marker": {"color": [GOOD if value > 0 else BAD for value in amounts]},
        "text": [f"{value:,.0f}".replace("-", "−") for value in amounts], "textposition": "auto",
        "hovertemplate": f"%{{y}}: %{{x:,.2f}} {currency}<extra></extra>",
    }  # fmt: skip
    return figure(
        [trace],
        title=title,
        simulated=simulated,
        xaxis=axis(f"profit, {currency}", tickformat="~s", zeroline=True, zerolinecolor=REFERENCE, nticks=6),
        yaxis=axis("", type="category", showgrid=False),
        height=120 + 30 * rows.height,
        legend=False,
    )


def sweep_heat_map(
    table: pl.DataFrame, *, x: str, y: str, value: str, quantity: str, title: str, simulated: bool, percent: bool = False
) -> Figure:
    """One figure over two parameters of a sweep; where several runs share a pair, their median. Unknown values stay empty.

    Parameters
    ----------
    table : columns `x`, `y`, `value`
    quantity : name and unit of `value`
    """
    grid = table.group_by(x, y).agg(pl.col(value).median())
    across, down = (grid[name].unique().sort().to_list() for name in (x, y))
    z = np.full((len(down), len(across)), np.nan)
    place_x, place_y = ({item: place for place, item in enumerate(items)} for items in (across, down))
    for a, b, found in grid.select(x, y, value).iter_rows():
        z[place_y[b], place_x[a]] = math.nan if found is None else found
    ends = float(np.nanmax(np.abs(z), initial=1e-12))
    number = ".1%" if percent else ".3g"
    trace = {
        "type": "heatmap", "x": [str(item) for item in across], "y": [str(item) for item in down], "z": _plain(z),
        "colorscale": DIVERGING, "zmin": -ends, "zmax": ends, "hoverongaps": False,
        "colorbar": {"title": {"text": quantity, "side": "right"}, "thickness": 12, "outlinewidth": 0,
                     "tickformat": ".0%" if percent else ""},
        "hovertemplate": f"{x} %{{x}}, {y} %{{y}}: %{{z:{number}}}<extra></extra>",
    }  # fmt: skip
    return figure(
        [trace],
        title=title,
        simulated=simulated,
        xaxis=axis(x.replace("_", " "), type="category", showgrid=False, nticks=12),
        yaxis=axis(y.replace("_", " "), type="category", showgrid=False, nticks=12),
        height=440,
        legend=False,
    )


def window_chart(windows: pl.DataFrame, *, title: str, quantity: str, simulated: bool) -> Figure:
    """The windows of a walk-forward optimisation: fitted on the grey part, scored on the blue one.

    Parameters
    ----------
    windows : fit_start, fit_end, test_start, test_end, chosen (parameters in words), fitted, scored (figure of each part; null
        where unknown), in order
    quantity : name of the figure
    """
    traces: list[Trace] = []
    for word, first, last, score, color in (
        ("fitted", "fit_start", "fit_end", "fitted", REFERENCE),
        ("scored", "test_start", "test_end", "scored", OURS),
    ):
        x: list[Any] = []
        y: list[Any] = []
        text: list[Any] = []
        for row, (begin, end, chosen, found) in enumerate(windows.select(first, last, "chosen", score).iter_rows(), start=1):
            told = f"{chosen}<br>{quantity} " + ("unknown" if found is None else f"{found:.3g}")
            x += [begin, end, None]
            y += [row, row, None]
            text += [told, told, None]
        traces.append(line(x, y, word, color, width=9, text=text, hovertemplate="%{text}<br>%{x|%d %b %Y}<extra></extra>"))
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis("", showgrid=True, nticks=7),
        yaxis=axis("window", autorange="reversed", tickformat="d", showgrid=False, nticks=min(windows.height + 1, 12)),
        height=150 + 22 * windows.height,
    )


def extremes(table: pl.DataFrame, column: str, most: int = MOST_POINTS) -> pl.DataFrame:
    """The rows of a long line that its picture needs: first and last, and the lowest and highest of each step."""
    if table.height <= most:
        return table
    step = math.ceil(2 * table.height / most)
    numbered = table.with_row_index("_row").with_columns(_step=pl.col("_row") // step)
    ends = numbered.group_by("_step").agg(
        low=pl.col("_row").get(pl.col(column).arg_min()), high=pl.col("_row").get(pl.col(column).arg_max())
    )
    kept = {0, table.height - 1, *ends["low"].drop_nulls().to_list(), *ends["high"].drop_nulls().to_list()}
    return table[sorted(kept)]


def _marks(ts: pl.Series, price: pl.Series, name: str, symbol: str, color: str, size: int) -> Trace:
    return {
        "type": "scatter", "mode": "markers", "x": ts.to_list(), "y": price.to_list(), "name": name,
        "marker": {"symbol": symbol, "size": size, "color": color,
                   "line": {"width": 2 if "thin" in symbol else 0, "color": color}},
        "hovertemplate": f"{name}<br>%{{x|%d %b %Y %H:%M}}: %{{y:,.4~f}}<extra></extra>",
    }  # fmt: skip


def _tenths(value: float) -> str:
    """With one decimal and a true minus sign; what rounds to nothing has no sign."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def _plain(grid: Any) -> list[list[float | None]]:
    """Rows with None for what is unknown: JSON has no NaN."""
    return [[None if math.isnan(value) else value for value in row] for row in grid.tolist()]
