"""Results show themselves in a notebook: what a result holds, as one table, nothing computed anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any


class Shown(ABC):
    """A result with `as_dict`; a notebook shows that as a table."""

    @abstractmethod
    def as_dict(self) -> Mapping[str, Any]:
        """What the result holds, as plain values."""

    def _repr_html_(self) -> str:
        return html_of(self.as_dict())


def html_of(value: Any) -> str:
    """A plain value (mappings, sequences, texts, numbers) as nested HTML tables."""
    if isinstance(value, Mapping):
        rows = (f"<tr><th>{escape(str(name))}</th><td>{html_of(item)}</td></tr>" for name, item in value.items())
        return f"<table>{''.join(rows)}</table>"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(item, Mapping) for item in value):
            return _records(value)
        return ", ".join(html_of(item) for item in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else escape(str(value))


def _records(records: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for record in records for name in record))
    head = "".join(f"<th>{escape(str(name))}</th>" for name in names)
    rows = ("".join(f"<td>{html_of(record.get(name))}</td>" for name in names) for record in records)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
