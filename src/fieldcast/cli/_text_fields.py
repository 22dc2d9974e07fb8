"""The field map as text: what is known, where it lies, how to read it, and what is not known and why."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

NAMESPACES = ("liquidity", "regime", "sentiment", "dealer", "elasticity")
PAIRS = 2  # name and value, side by side, so many times


def fields_text(result: Any) -> RenderableType:
    """The text of `FieldsRead`."""
    found = result.map
    mark = " [SIMULATED]" if found.simulated else ""
    parts: list[RenderableType] = [
        Text(f"{found.instrument}{mark} at {found.as_of:%Y-%m-%d %H:%M} UTC; price {found.close:,.6g} of "
             f"{found.ts:%Y-%m-%d %H:%M} UTC", "bold"),
        Text(),
    ]  # fmt: skip
    parts += [_landmarks(found), Text()]
    for name in NAMESPACES:
        values = getattr(found, name)
        if values:
            parts += [_values(name, _worded(found, name), values.items()), Text()]
    parts += [Text(line, "dim") for line in _notes(result)]
    return Group(*parts, Text(f"hash {found.hash[:16]}", "dim"))


def _table(title: str, *columns: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False,
                  padding=(0, 1, 0, 0))  # fmt: skip
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place in right else "left")
    return table


def _worded(found: Any, namespace: str) -> str:
    """The namespace and the words for its figures."""
    words = [f"{name.partition('.')[2].replace('_', ' ')} {word.replace('_', ' ')}" for name, word in found.labels.items()
             if name.startswith(f"{namespace}.")]  # fmt: skip
    return namespace + (f": {', '.join(words)}" if words else "")


def _values(name: str, title: str, values: Iterable[tuple[str, float]]) -> Table:
    table = _table(title, *(["field", "value"] * PAIRS), right=tuple(range(1, 2 * PAIRS, 2)))
    cells = [(key, figure(value)) for key, value in values]
    height = -(-len(cells) // PAIRS)
    for row in range(height):
        line = cells[row::height]
        table.add_row(*(text for cell in line for text in cell))
    return table


def figure(value: float) -> str:
    """Four digits that say something; millions and billions by their letter."""
    for least, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= least:
            return f"{value / least:,.4g} {letter}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _landmarks(found: Any) -> Table:
    table = _table("landmarks, highest first", "level", "price", "away", "ATR", "known since", right=(1, 2, 3))
    for name, mark in sorted(found.landmarks.items(), key=lambda item: -item[1].price):
        steps = found.steering.get(name)
        table.add_row(name, f"{mark.price:,.6g}", f"{mark.price / found.close - 1:+.2%}",
                      "" if steps is None else f"{steps:+.1f}", f"{mark.known_since:%Y-%m-%d %H:%M}")  # fmt: skip
    return table


def _notes(result: Any) -> list[str]:
    found = result.map
    lines = [f"{name}: {text}" for name, text in found.conventions.items()]
    lines += [f"{engine} was not read: {text}" for engine, text in result.notes.items()]
    by_code = sorted(((code, name) for name, code in found.reasons.items()), key=lambda pair: str(pair[0]))
    for code, names in groupby(by_code, key=lambda pair: pair[0]):
        lines.append(f"unknown ({code.meaning}): {', '.join(sorted(name for _, name in names))}")
    if result.plot is not None:
        lines.append(f"charts: {result.plot}")
    return lines
