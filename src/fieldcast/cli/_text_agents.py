"""Alpha agents as text."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def agents_text(result: Any) -> RenderableType:
    """The text of `AgentsRead`."""
    mark = " [SIMULATED]" if result.simulated else ""
    table = Table(
        title=f"{result.instrument} as of {result.as_of:%Y-%m-%d %H:%M} UTC, log return over {result.horizon} in bps{mark}",
        title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False,
    )  # fmt: skip
    for name in ("agent", "expects", "σ", "confidence", ""):
        table.add_column(name, justify="right" if name in ("expects", "σ", "confidence") else "left")
    for row in result.agents:
        if row.mu_bps is None:
            table.add_row(row.name, "", "", "", row.note)
        else:
            heard = "" if row.name not in result.ensemble.outliers else "too far from the others: no vote"
            table.add_row(row.name, f"{row.mu_bps:+.1f}", f"{row.sigma_bps:.0f}", f"{row.confidence:.2f}", heard)
    found = result.ensemble
    if found.mu is None:
        return Group(table, Text("no common view: no agent has any confidence"))
    return Group(table, Text(f"together {1e4 * found.mu:+.1f} ± {1e4 * found.sigma:.0f}, agreement {found.agreement:.2f}, from "
                             f"{', '.join(found.voted)}"))  # fmt: skip
