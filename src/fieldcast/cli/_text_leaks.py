"""A leak report as text: the answer, the columns, and each finding with what moved, when, and why."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_STYLE = {"clean": "bold green", "leak": "bold red", "fault": "bold red", "cannot_judge": "bold yellow"}
_MOST = 40  # columns and findings in full


def leaks_text(result: Any) -> RenderableType:
    """The text of `LeakReport`."""
    mark = " [SIMULATED]" if result.simulated else ""
    failing = [item for item in result.findings if item.fails]
    head = Text.assemble(
        (f"{result.outcome.value.upper().replace('_', ' ')}", _STYLE[result.outcome]),
        f"  {result.function}: {len(result.leaking)} of {len(result.columns)} columns look ahead; {result.computations} "
        f"computations on {result.rows:,} rows of {result.data}{mark}, {result.first:%Y-%m-%d} to {result.last:%Y-%m-%d}",
    )
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("column", "verdict", "known", "memory", "price level", "reads its own bar"):
        table.add_column(name, justify="right" if name in ("known", "memory") else "left", overflow="fold")
    for one in result.columns[:_MOST]:
        table.add_row(
            one.name,
            Text(one.verdict.value.replace("_", " "), _STYLE[one.verdict]),
            f"{one.known:.1%}",
            "all of it" if one.memory is None else f"{one.memory:,} rows",
            one.scale,
            "yes" if one.reads_own_bar else "no",
        )
    parts: list[RenderableType] = [head, Text(), table]
    for item in failing[:_MOST]:
        parts += [Text(), _finding(item)]
    left = max(0, len(failing) - _MOST) + max(0, len(result.columns) - _MOST)
    notes = [item.column for item in result.findings if not item.fails]
    lines = [f"… and {left} more columns and findings; --json has them all"] if left else []
    lines += [f"moves with the level of prices: {', '.join(notes[:8])}; --strict refuses that"] if notes else []
    lines += list(result.notes)
    return Group(*parts, *([Text("\n" + "\n".join(lines), "dim")] if lines else []))


def _finding(item: Any) -> RenderableType:
    lines = [f"{item.column}: {item.text}"]
    if item.cause is not None:
        reach = "the whole sample" if item.whole_sample else "" if item.reach is None else f"{item.reach:,} rows"
        lines += [f"  why      {item.cause.value}: {item.cause.meaning}"]
        lines += [f"  ahead    {reach}"] if reach and item.reach != 0 else []
        lines += [f"  when     rows from {item.first:%Y-%m-%d %H:%M} to {item.last:%Y-%m-%d %H:%M} moved, by up to "
                  f"{item.size:.3g} times the column's spread"]  # fmt: skip
        lines += ["  moved by " + ", ".join(f"{how} at {count} cuts" for how, count in item.moved.items())]
    for one in item.examples[:2]:
        then = "unknown" if one.altered is None else f"{one.altered:.6g}"
        now = "unknown" if one.value is None else f"{one.value:.6g}"
        lines += [f"  example  {one.row:%Y-%m-%d %H:%M} holds {now}, and {then} with other bars after {one.cut:%Y-%m-%d %H:%M} "
                  f"({one.how})"]  # fmt: skip
    lines += [f"  do       {item.cause.remedy}"] if item.cause is not None and item.cause.remedy else []
    return Text("\n".join(lines))
