"""Promotion gates as text."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_STYLE = {"PASS": "bold green", "FAIL": "bold red", "CANNOT_JUDGE": "bold yellow"}


def promotion_text(result: Any) -> RenderableType:
    """The text of `PromotionCheck`."""
    table = Table(title=f"Promotion gates, {result.model}, {result.horizon} session(s) ahead", title_justify="left",
                  title_style="bold", box=SIMPLE_HEAD, show_edge=False)  # fmt: skip
    for name in ("symbol", "outcome", "calls", "accuracy", "majority", "difference, 95 %", "calibration error"):
        table.add_column(name, justify="left" if name in ("symbol", "outcome") else "right")
    lines = []
    for one in result.results:
        name = f"{one.symbol} [SIMULATED]" if one.symbol in result.simulated else one.symbol
        difference = "" if one.advantage is None else f"{one.advantage.low:+.3f} to {one.advantage.high:+.3f}"
        error = "" if one.calibration is None else f"{one.calibration.debiased:.2%}"
        share = ["" if value is None else f"{value:.2%}" for value in (one.accuracy, one.majority)]
        table.add_row(Text(name), Text(str(one.outcome), _STYLE[str(one.outcome)]), f"{one.n:,}", *share, difference, error)
        lines.append(Text(f"{one.text}; {one.leakage}"))
    return Group(table, Text(), *lines)
