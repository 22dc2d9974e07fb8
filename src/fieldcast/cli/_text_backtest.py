"""Backtests, sweeps, walk-forward optimisations and comparisons as text."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_MOST_SETTINGS = 12
_COLUMNS = ("return", "vol.", "Sharpe 95 %", "drawdown", "trades", "costs", "DSR", "run")      # what 80 columns hold
_FOLDED = ("strategy", "Sharpe 95 %")


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False,
                  padding=(0, 1, 0, 0))  # fmt: skip
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < left else "right", no_wrap=name in _COLUMNS and name not in _FOLDED)
    return table


def _mark(result: Any) -> str:
    return " [SIMULATED]" if result.simulated else ""


def _names(instruments: Any) -> str:
    return ", ".join(instruments[:4]) + (f" and {len(instruments) - 4} more" if len(instruments) > 4 else "")


def _share(figure: Any) -> str:
    return "none" if figure.value is None else f"{figure.value:+.2%}"


def _number(figure: Any, places: int = 2) -> str:
    return "none" if figure.value is None else f"{figure.value:.{places}f}"


def _ranged(figure: Any) -> str:
    if figure.value is None:
        return "none"
    return f"{figure.value:.2f}" if figure.low is None else f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def backtest_text(result: Any) -> RenderableType:
    """The text of `Backtest`."""
    first = result.runs[0].report
    title = f"{_names(result.instruments)}{_mark(result)}: {first.start:%Y-%m-%d} to {first.end:%Y-%m-%d}, {first.bars:,} bars"
    table = _table(title, "strategy", *_COLUMNS)
    for run in result.runs:
        report = run.report
        figures = report.performance
        table.add_row(
            run.title, _share(figures.total_return), _share(figures.volatility).lstrip("+"), _ranged(figures.sharpe),
            _share(figures.max_drawdown).lstrip("+"), f"{report.trades.closed:,}",
            "none" if report.costs is None else f"{report.costs.total:,.0f}", _number(report.deflation.dsr), run.id[:8],
        )  # fmt: skip
    held = first.benchmark
    if held is not None:
        own = held.own
        table.add_row(
            Text(held.name, "dim"), _share(own.total_return), _share(own.volatility).lstrip("+"), _ranged(own.sharpe),
            _share(own.max_drawdown).lstrip("+"), "", "", "", "",
        )  # fmt: skip
    lines = [
        f"money in {first.currency}, from {first.start_equity:,.0f}; fills: {first.fill_convention}; DSR: the probability that "
        f"the Sharpe ratio is above what the best of {result.trials:,} worthless trials of {result.family} would show",
        *dict.fromkeys(f"note: {said}" for run in result.runs for said in run.report.warnings),
    ]
    several = len(result.runs) > 1
    lines += [f"{run.title}: {run.gate.text}" if several else run.gate.text for run in result.runs if run.gate is not None]
    if result.looked:
        lines.append("looked at before: " + "; ".join(dict.fromkeys(one.label for one in result.looked)))
    lines += [f"{run.id[:8]}: {run.folder / 'report.html'}" for run in result.runs]
    return Group(table, Text("\n".join(lines), "dim"))


def sweep_text(result: Any) -> RenderableType:
    """The text of `Sweep`."""
    names = [name for name in result.ranking.columns if name not in _FIGURES and name != "ruined"]
    shown = [name for name in _SHOWN if name in result.ranking.columns]
    where = f"{result.title} on {_names(result.instruments)}{_mark(result)}"
    title = f"{where}: {result.points:,} parameter sets, the best by {result.by}"
    table = _table(title, *names, *(_SHOWN[name] for name in shown), left=0)
    for row in result.ranking.iter_rows(named=True):
        table.add_row(*(_setting(row[name]) for name in names), *(_figure(name, row[name]) for name in shown))
    lines = [f"shown: {result.ranking.height:,} of {result.points:,} sets"] if result.ranking.height < result.points else []
    best = result.deflated
    if best is None or best.sharpe is None:
        lines.append("deflated: none, the returns of the best set do not vary or cannot be given")
    else:
        lines.append(
            f"deflated: the best set's Sharpe ratio is above that of the best of {result.trials:,} worthless trials with a "
            f"probability of {best.dsr:.2f} ({best.dsr_effective:.2f} among {result.effective_trials:.1f} independent ones)"
        )
    lines.append("chosen after many looks at one span it looks better than it is: fieldcast wfo says what such choices are worth")
    lines += [f"note: {said}" for said in result.warnings]
    lines.append(f"every set: {result.folder / 'sweep.parquet'}")
    return Group(table, Text("\n".join(lines), "dim"))


def walk_forward_text(result: Any) -> RenderableType:
    """The text of `WalkForwardOptimised`."""
    names = [name for name in result.choices.columns if name not in ("instrument", "first", "last", "chosen", "came")]
    several = len(result.instruments) > 1
    title = f"{result.title} on {_names(result.instruments)}{_mark(result)}: parameters chosen by {result.by} on past bars alone"
    heads = (*(("instrument",) if several else ()), "played from", "to", *names, "on the bars it was chosen on")
    table = _table(title, *heads, "on those that followed", left=3 if several else 2)
    for row in result.choices.iter_rows(named=True):
        table.add_row(
            *((row["instrument"],) if several else ()), f"{row['first']:%Y-%m-%d}", f"{row['last']:%Y-%m-%d}",
            *(_setting(row[name]) for name in names),
            _figure(result.by, row["chosen"]), _figure(result.by, row["came"]),
        )  # fmt: skip
    ends = "" if result.sharpe_interval is None else " [{:.2f}, {:.2f}]".format(*result.sharpe_interval)
    lines = [
        f"out of sample, {result.days:,} days: return {_plain(result.total_return, '+.2%')}, Sharpe "
        f"{_plain(result.sharpe, '.2f')}{ends}, deepest drawdown {_plain(result.max_drawdown, '.2%')}; "
        f"{result.points:,} parameter sets at each choice{f'; {len(result.instruments)} accounts together' if several else ''}",
        f"deflated: its Sharpe ratio is above that of the best of {result.trials:,} worthless trials of {result.family} with a "
        f"probability of {_plain(result.dsr, '.2f')}",
        *(f"note: {said}" for said in result.warnings),
        f"curve and choices: {result.folder}",
    ]
    return Group(table, Text("\n".join(lines), "dim"))


def comparison_text(result: Any) -> RenderableType:
    """The text of `Comparison`."""
    one, other = result.first.about, result.second.about
    title = f"{one['title']} beside {other['title']}{_mark(result)}"
    table = _table(title, "figure", one["id"][:8], other["id"][:8], "difference")
    for figure in result.figures:
        if figure.first is None and figure.second is None:
            continue
        table.add_row(
            figure.name.replace("_", " "), _plain(figure.first, ",.4f"), _plain(figure.second, ",.4f"),
            _plain(figure.difference, "+,.4f"),
        )  # fmt: skip
    lines = [f"{key}: {values[0]} | {values[1]}" for key, values in list(result.settings.items())[:_MOST_SETTINGS]]
    if len(result.settings) > _MOST_SETTINGS:
        lines.append(f"… and {len(result.settings) - _MOST_SETTINGS} more settings; --json lists them all")
    if not result.same_data:
        lines.append("the two ran on different data")
    parts: list[RenderableType] = [table, Text("\n".join(lines or ["the two were set alike"]), "dim")]
    found = result.differences
    if found is None:
        parts.append(Text(f"no order-by-order comparison: {result.why_none}", "dim"))
        return Group(*parts)
    causes = _table("Where the money parts", "cause", "what it means", "orders", "amount", left=2)
    for cause, (count, amount) in found.by_cause.items():
        causes.add_row(str(cause), cause.meaning, f"{count:,}", f"{float(amount):+,.2f}")
    since = found.first_divergence
    said = [
        f"{found.shared_intents:,} orders in both, {found.equal_intents:,} of them without a difference; "
        + ("the equities never differ" if since is None else f"the equities differ from {since:%Y-%m-%d %H:%M} on"),
        f"explained {float(found.explained):+,.2f} of {float(found.equity_difference):+,.2f}, unexplained "
        f"{float(found.unexplained):+,.2f}",
    ]
    return Group(*parts, Text(), causes, Text("\n".join(said), "dim"))


_SHOWN = {"total_return": "return", "sharpe": "Sharpe", "max_drawdown": "drawdown", "trades": "trades", "win_rate": "won",
          "exposure": "in market", "fees": "fees", "final_equity": "equity"}  # fmt: skip
_FIGURES = {"final_equity", "total_return", "max_drawdown", "sharpe", "sortino", "trades", "win_rate", "exposure", "turnover",
            "fees", "price_costs", "fills", "rejected", "cut", "stopped", "targets_hit"}  # fmt: skip


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name in ("total_return", "max_drawdown", "win_rate", "exposure"):
        return f"{value:+.2%}" if name == "total_return" else f"{value:.2%}"
    return f"{value:,.0f}" if name in ("trades", "fees", "final_equity") else f"{value:.2f}"


def _setting(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(value: Any, form: str) -> str:
    return "none" if value is None else format(value, form)
