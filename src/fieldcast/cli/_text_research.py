"""What earns its place, as text: engines of an experiment, a factor over a cross-section."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _interval(found: Any, places: int = 4) -> str:
    return "" if found is None else f"{found.estimate:+.{places}f} [{found.low:+.{places}f}, {found.high:+.{places}f}]"


def ablated_text(result: Any) -> RenderableType:
    """The text of `EngineAblations`."""
    mark = " [SIMULATED]" if result.simulated else ""
    title = f"{result.instrument}{mark}: {result.model}, out of sample {result.first} to {result.last}; gains with 90 % intervals"
    table = _table(title, "engine", "columns", "verdict", "AUC", "log loss", "75 % coverage nearer by", "n")
    for one in result.verdicts:
        verdict = Text("keep", "bold green") if one.kept else Text("drop", "bold yellow")
        table.add_row(
            one.engine, str(len(one.columns)), verdict, _interval(one.auc), _interval(one.log_loss), _interval(one.coverage),
            f"{one.auc.n:,}",
        )  # fmt: skip
    lines = [
        "kept: AUC gains more than 0.02 with its interval above 0, or 75 % coverage comes nearer with its interval above 0 and "
        "log loss is not worse",
        *(f"{one.engine}: {', '.join(one.clauses)}" for one in result.verdicts if one.kept),
    ]
    return Group(table, Text("\n".join(lines), "dim"))


def upgrade_text(result: Any) -> RenderableType:
    """The text of `Ablation`."""
    verdict = result.verdict
    style = {"enabled": "bold green", "disabled": "bold yellow"}.get(result.outcome, "bold")
    lines = [
        Text(f"{verdict.upgrade.name} of {verdict.instrument}: {result.outcome}", style),
        Text("; ".join(reason.meaning for reason in verdict.reasons)),
        Text(f"{result.rows:,} rows on which both sides were known, {result.forecast:,} of them forecast out of sample", "dim"),
        *(Text(note, "dim") for note in result.notes),
    ]
    if not result.evidence:
        return Group(*lines)
    table = _table("Gains, 90 % intervals", "measure", "gain", "n", "simulated")
    for row in result.evidence:
        table.add_row(row.claim.rsplit(".", 1)[-1], _interval(row), f"{row.n:,}", "yes" if row.span.simulated else "no")
    return Group(*lines, table)


def research_text(result: Any) -> RenderableType:
    """The text of `Research`."""
    mark = " [SIMULATED]" if result.simulated else ""
    neutral = f", neutral to {', '.join(result.neutral_to)}" if result.neutral_to else ""
    title = (
        f"{result.factor}{mark}{neutral}: {result.instruments} instruments, {result.dates.size:,} dates, {result.dates[0]} to "
        f"{result.dates[-1]}; 95 % intervals over dates"
    )
    table = _table(title, "horizon", "mean rank IC", "deviation", "instruments a date", "dates")
    for one in result.decay:
        table.add_row(str(one.horizon), _interval(one.mean), f"{one.deviation:.4f}", f"{one.names:.1f}", f"{one.mean.n:,}")
    formed = _table("Quantile portfolios, a session, before cost", "quantile", "mean return, bps")
    for place, one in enumerate(result.quantiles.mean, 1):
        formed.add_row(str(place), _bps(one))
    formed.add_row("top less bottom", _bps(result.quantiles.spread))
    carried = result.capacity
    lines = [
        f"positions at the next {result.traded_at}, {result.prices}; turnover "
        f"{_interval(result.quantiles.mean_turnover, 3)} of the account a session",
        "capacity: unknown, there is no volume" if carried is None else
        f"capacity at {carried.share:.1%} of the dollar volume: {carried.median:,.0f} at the median date, {carried.low:,.0f} "
        "at the worst tenth",
        f"the factor is known for {result.coverage:.1%} of the prices; {result.thin_dates:,} dates have too few instruments",
    ]  # fmt: skip
    if result.ended:
        shown = ", ".join(result.ended[:5]) + (" …" if len(result.ended) > 5 else "")
        lines.append(f"{len(result.ended)} instruments end inside the panel ({shown}): no return is counted across their end, "
                     "which flatters a factor that held what failed")  # fmt: skip
    else:
        lines.append("no instrument ends inside the panel: if it holds today's survivors alone, these figures are too good")
    lines += [f"charts: {result.plot}"] if result.plot else []
    return Group(table, Text(), formed, Text("\n".join(lines), "dim"))


def _bps(found: Any) -> str:
    return f"{1e4 * found.estimate:+.2f} [{1e4 * found.low:+.2f}, {1e4 * found.high:+.2f}]"
