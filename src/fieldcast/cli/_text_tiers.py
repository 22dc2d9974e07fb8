"""Tiers as text."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def tiers_text(result: Any) -> RenderableType:
    """The text of `TiersRead`."""
    mark = " [SIMULATED]" if result.simulated else ""
    table = Table(title=f"{result.instrument} as of {result.as_of:%Y-%m-%d %H:%M} UTC, {result.horizon} ahead{mark}",
                  title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)  # fmt: skip
    for name in ("tier", "sessions", "outcomes", "said", "right", "95 %"):
        table.add_column(name, justify="left" if name == "tier" else "right")
    for row in result.rows:
        said = "-" if row.said is None else f"{row.said:.1%}"
        right = "too few" if row.hit_rate is None else f"{row.hit_rate:.1%}"
        interval = "" if row.low is None else f"{row.low:.1%} to {row.high:.1%}"
        table.add_row(str(row.tier), f"{row.sessions:,}", f"{row.outcomes:,}", said, right, interval)
    now = "no tier yet: too few convictions" if result.tier is None else f"now {result.tier}"
    sure = "" if result.conviction is None else f", conviction {result.conviction:.1%}"
    reliable = "" if result.reliability is None else f", reliability {result.reliability:.2f}"
    line = f"{now}{sure}{reliable}; the tier changed {result.changes} times, {result.flicker} without its hysteresis"
    return Group(table, Text(line))
