"""A trade idea as text."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def idea_text(result: Any) -> RenderableType:
    """The text of `IdeaMade`."""
    idea = result.idea
    mark = " [SIMULATED]" if idea.instrument.simulated else ""
    side = "long" if idea.side.sign > 0 else "short"
    head = f"{idea.instrument.id}{mark}: {side} {idea.quantity} as of {idea.as_of:%Y-%m-%d %H:%M} UTC, worth {idea.value:,.2f}"
    levels = _table("", "level", "price")
    rows = (("entry", f"{idea.entry_low} to {idea.entry_high}"), ("stop", idea.stop), ("target", idea.target))
    for name, price in rows:
        levels.add_row(name, str(price))
    lines = [f"size: {', '.join(code.meaning for code in result.size.reasons)}"]
    if idea.costs is not None:
        lines.append(
            f"round trip ({result.costs_from} costs): {idea.costs.total:,.2f}; reward to risk {idea.reward_risk}, "
            f"after costs {idea.reward_risk_net}"
        )
    lines += [f"BLOCKED: {code.meaning}" for code in idea.errors] + [f"warning: {code.meaning}" for code in idea.warnings]
    parts: list[RenderableType] = [Text(head, "bold"), levels, Text("\n".join(lines))]
    if result.odds is not None:
        parts.append(_odds(result))
    return Group(*parts)


def _odds(result: Any) -> RenderableType:
    table = _table(
        f"Odds over {result.sessions} sessions, {result.odds.paths:,} paths of {result.returns:,} daily returns without drift",
        "figure", "value", "± standard error",
    )  # fmt: skip
    shares = (("target", "target_rate"), ("stop", "stop_rate"), ("neither", "time_rate"), ("gain after costs", "win_rate"))
    money = (("mean return", "mean_return"), ("VaR 95 %", "var_95"), ("CVaR 95 %", "cvar_95"))
    for name, field in (*shares, *money):
        found = getattr(result.odds, field)
        table.add_row(name, f"{found.value:.2%}", f"{found.standard_error:.2%}")
    for name, field in (("profit factor", "profit_factor"), ("sessions held", "steps_held")):
        found = getattr(result.odds, field)
        table.add_row(name, *("" if one is None else f"{one:.3f}" for one in (found.value, found.standard_error)))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left")
    return table
