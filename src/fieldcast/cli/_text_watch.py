"""The watch as text: what was recorded, the rolling figures, what has tripped, how long until live."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_SHOWN = 20  # sessions


def watch_run_text(result: Any) -> RenderableType:
    """The text of `WatchRun`."""
    table = _table(f"Watch {result.watch!r}", "instrument", "session", "")
    for name, status in sorted(result.statuses.items()):
        table.add_row(name, str(result.sessions.get(name, "")), status)
    return table


def watch_text(result: Any) -> RenderableType:
    """The text of `WatchShown`."""
    mark = " [SIMULATED]" if result.simulated else ""
    count = len(result.instruments)
    title = f"Watch {result.watch!r}: {count} instrument{'' if count == 1 else 's'}{mark}, rolling 20 sessions"
    table = _table(title, "session", "rows", "AUC", "75 % band holds", "IC", "runs AUC/IC", "evidence against", "regimes")
    for day in result.watched.days[-_SHOWN:]:
        mix = ", ".join(f"{name} {share:.0%}" for name, share in day.regime.items())
        table.add_row(str(day.session), str(day.rows), _figure(day.auc), _figure(day.coverage), _figure(day.ic),
                      f"{day.auc_run}/{day.ic_run}", f"{day.evidence:.3f}", mix)  # fmt: skip
    lines = [f"KILLED by {kill.rule} on {kill.session} ({_figure(kill.figure) or 'unknown'})" for kill in result.kills]
    state = "LOCKED" if result.lock.locked else "open"
    lines.append(
        f"live: {state}, day {result.lock.day} of 56, {result.lock.recorded} of {result.lock.expected} sessions recorded"
    )
    if result.false_kills is not None:
        lines += rates_text(result.false_kills)
    return Group(table, Text("\n".join(lines)))


def rates_text(found: Any) -> list[str]:
    """Lines about how often the rules kill by chance."""
    head = (
        f"false kills in {found.sessions} sessions of a calibrated forecaster of AUC {found.auc:g} on {found.instruments} "
        f"instrument(s), correlation {found.correlation:.2f} (simulated):"
    )
    named = ", ".join(f"{name} {found.rules[name]}" for name in ("auc", "coverage", "ic"))
    return [
        head,
        f"  named rules {found.any_named} ({named})",
        f"  sequential test {found.rules['sequential']}, at most 5 % by proof",
    ]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    for name in columns:
        table.add_column(name)
    return table
