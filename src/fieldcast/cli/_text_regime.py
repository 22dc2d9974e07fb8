"""A fitted regime as text: its states, how long they last, and what still stands between it and its use."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def regime_text(result: Any) -> RenderableType:
    """The text of `RegimeTrained`."""
    hmm, change = result.hmm, result.change
    mark = " [SIMULATED]" if hmm.simulated else ""
    table = Table(title=f"{hmm.instrument}{mark}: {len(hmm.states)} hidden states", title_justify="left", title_style="bold",
                  box=SIMPLE_HEAD, show_edge=False)  # fmt: skip
    for name in ("state", "mean % a bar", "deviation % a bar", "lasts, bars"):
        table.add_column(name, justify="left" if name == "state" else "right")
    for place, state in enumerate(hmm.states):
        leave = 1 - hmm.transition[place][place]
        lasts = "to the end" if leave <= 0 else f"{1 / leave:.1f}"
        table.add_row(str(state), f"{hmm.means[place][0]:+.3f}", f"{hmm.variances[place][0] ** 0.5:.3f}", lasts)
    lines = [
        f"fitted on {hmm.rows:,} rows known until {hmm.fitted_until:%Y-%m-%d %H:%M} UTC; BIC {hmm.bic:,.1f}",
        f"change points: a new stretch every {1 / change.hazard:.0f} bars on average, as the evidence has it",
        f"parameters {hmm.hash[:16]} and {change.hash[:16]} in {result.path}",
        "nothing uses them until an ablation has earned the upgrade hmm_regime",
    ]
    return Group(table, Text("\n".join(lines)))
