"""HTML that cannot be injected into: every text is escaped where it becomes markup, and numbers are written for people."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

UNKNOWN = "–"
_VOID = frozenset({"br", "hr", "col"})


class Html(str):
    """Text that is markup already; anything else is escaped on its way into a tag."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Html:
    """`<name attribute="…">children</name>`; a trailing underscore of an attribute is dropped, `_` within becomes `-`.

    Children that are None are left out; so are attributes that are None or False.
    """
    words = [name]
    for key, value in attributes.items():
        label = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(label)
        elif value is not None and value is not False:
            words.append(f'{label}="{html.escape(str(value))}"')
    opening = f"<{' '.join(words)}>"
    return Html(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """The children one after the other, text escaped."""
    return Html("".join(child if isinstance(child, Html) else _escaped(str(child)) for child in children if child is not None))


def _escaped(text: str) -> str:
    return html.escape(text).replace(" %", "\u00a0%")  # a number keeps its percent sign on the same line


def table(head: Sequence[object], rows: Iterable[Sequence[object] | Html], *, numeric: Iterable[int] = ()) -> Html:
    """A table that scrolls sideways in its own box where the page is narrow; a row that is markup stands as it is."""
    right = frozenset(numeric)

    def line(cell: str, items: Sequence[object]) -> Html:
        return tag("tr", *(tag(cell, item, class_="num" if i in right else None) for i, item in enumerate(items)))

    body = (row if isinstance(row, Html) else line("td", row) for row in rows)
    return tag("div", tag("table", tag("thead", line("th", head)), tag("tbody", *body)), class_="scroll", tabindex="0")


def heading_row(text: object, columns: int) -> Html:
    """A row that names the rows below it."""
    return tag("tr", tag("th", text, colspan=columns, scope="colgroup"), class_="group")


def details(summary: object, *children: object, open_: bool = False) -> Html:
    return tag("details", tag("summary", summary), *children, open=open_)


def badge(text: str, kind: str) -> Html:
    return tag("span", text, class_=f"badge {kind}")


def simulated_badge(simulated: bool) -> Html | None:
    return badge("SIMULATED", "simulated") if simulated else None


def number(value: float | Decimal | None, digits: int = 2, *, sign: bool = False) -> str:
    """Thousands separated, a true minus sign; a dash where unknown."""
    if value is None:
        return UNKNOWN
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if text[0] in "+-" and not text.strip("+-0.,"):
        text = text[1:]  # nothing is left after rounding, so neither is a sign
    return text.replace("-", "−")


def p_value(value: float | None) -> str:
    """A probability that is not called zero."""
    return "< 0.001" if value is not None and value < 0.0005 else number(value, 3)


def percent(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """A share as percent."""
    return UNKNOWN if value is None else f"{number(100 * value, digits, sign=sign)} %"


def interval(low: float | None, high: float | None, digits: int = 3, *, share: bool = False) -> Html:
    """Low to high, in small type."""
    shown = percent if share else number
    text = UNKNOWN if low is None or high is None else f"{shown(low, digits)} to {shown(high, digits)}"
    return tag("span", text, class_="interval")


def day(value: date | datetime | str) -> str:
    """31 Dec 2018."""
    when = date.fromisoformat(value) if isinstance(value, str) else value
    return f"{when.day} {when:%b %Y}"


def quantity(value: Decimal) -> str:
    """A quantity without trailing zeros."""
    text = f"{value:,f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


@dataclass
class Figures:
    """Figures on their way into the page: each gets a place in the markup and an entry in the script's list."""

    entries: list[str] = field(default_factory=list)

    def place(self, figure: Any, label: str, *, least_width: int = 0) -> Html:
        """The figure's box; `label` says in words what it shows, for those who cannot see it.

        On a window narrower than `least_width` pixels it keeps that width and is scrolled: what stands in its cells would touch.
        """
        from plotly.io import to_json

        name = f"figure-{len(self.entries) + 1}"
        self.entries.append(f"[{json.dumps(name)},{for_script(to_json(figure, validate=False, engine='json'))}]")
        height = figure.layout.height
        least = f";min-width:{least_width}px" if least_width else ""
        box = tag("div", id=name, class_="figure", role="img", aria_label=label, style=f"height:{height:g}px{least}")
        return tag("div", box, class_="scrolled") if least_width else box

    def script(self) -> str:
        """The list as a JavaScript value."""
        return f"[{','.join(self.entries)}]"


def for_script(text: str) -> str:
    """JSON that may stand within a script: it cannot end the element, nor break a line where JavaScript would."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
