"""Seals and registrations as text: what is sealed, what a run could find, what has been seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def sealed_text(result: Any) -> RenderableType:
    """The text of `SpanSealed`."""
    seal = result.seal
    state = "sealed" if seal.opened_at is None else f"opened for {seal.opened_for[:16]} on {seal.opened_at:%Y-%m-%d %H:%M} UTC"
    return Text("\n".join([f"{seal.name}: {', '.join(seal.instruments)} {seal.first} to {seal.last}, {state}", *_looked(result)]))


def registered_text(result: Any) -> RenderableType:
    """The text of `ExperimentRegistered`: the effect comes first."""
    made, effect = result.registered, result.effect
    compute = made.compute
    lines = [
        f"minimum detectable effect: AUC {made.effect_auc:.4f} over {effect.sessions:,} sessions "
        f"(power {effect.power:.0%}, one-sided level {effect.alpha:.0%}, standard error {effect.standard_error:.4f} from blocks "
        f"of {effect.block:g} sessions, measured on {effect.measured_rows:,} earlier outcomes)",
        f"registered {made.id[:16]}: configuration {made.configuration_hash[:16]} of family {made.family!r} on "
        f"{', '.join(made.instruments)}, {made.first} to {made.last}",
        f"compute: {compute['axis']}, {compute['training_rows']:,} in {compute['fits']:,} fits",
    ]
    return Text("\n".join([*lines, *_looked(result)]))


def seals_text(result: Any) -> RenderableType:
    """The text of `SealsListed`."""
    spans = _table("Sealed spans", "name", "instruments", "first", "last", "opened for")
    for one in result.seals:
        spans.add_row(one.name, ", ".join(one.instruments), str(one.first), str(one.last), (one.opened_for or "")[:16])
    made = _table("Registered", "configuration", "family", "instruments", "first", "last", "finds AUC", "sessions")
    for one in result.registrations:
        made.add_row(one.configuration_hash[:16], one.family, ", ".join(one.instruments), str(one.first), str(one.last),
                     f"{one.effect_auc:.4f}", f"{one.sessions:,}")  # fmt: skip
    seen = _table("Looked at", "instruments", "first", "last", "how")
    for one in result.looked:
        seen.add_row(", ".join(one.instruments), str(one.first), str(one.last), one.label)
    return Group(spans, made, seen)


def _looked(result: Any) -> Iterable[str]:
    for one in result.looked:
        yield f"has been looked at: {', '.join(one.instruments)} {one.first} to {one.last} ({one.label})"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    for name in columns:
        table.add_column(name)
    return table
