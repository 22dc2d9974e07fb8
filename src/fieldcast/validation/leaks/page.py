"""A leak report as one HTML page that needs nothing else: the answer, each column, and each finding with its evidence."""

from __future__ import annotations

from html import escape
from pathlib import Path

from fieldcast.ground import write_whole
from fieldcast.validation.leaks.report import Finding, LeakReport

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.25rem .8rem .25rem 0;text-align:left;"
    "border-bottom:1px solid #8884}.leak,.fault{color:#d04545}.clean{color:#2f9e63}.cannot_judge{color:#c98a1b}"
)


def page(report: LeakReport) -> str:
    """The page as text."""
    mark = "SIMULATED · " if report.simulated else ""
    title = f"{mark}{report.function}: {report.outcome.value.replace('_', ' ')}"
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td><td class='{one.verdict}'>{one.verdict.value.replace('_', ' ')}</td>"
        f"<td>{one.known:.1%}</td><td>{'all of it' if one.memory is None else f'{one.memory:,} rows'}</td>"
        f"<td>{one.scale}</td><td>{'yes' if one.reads_own_bar else 'no'}</td></tr>"
        for one in report.columns
    )
    tried = ", ".join(
        f"{how} {judged}" + (f" ({raised} raised)" if raised else "") for how, (judged, raised) in report.alterations.items()
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1 class='{report.outcome}'>{escape(title)}</h1>"
        f"<p>{report.rows:,} rows of {escape(report.data)}, {report.first:%Y-%m-%d} to {report.last:%Y-%m-%d}; decisions at the "
        f"{report.decision}; {report.computations} computations: {escape(tried)}; seed {report.seed}.</p>"
        "<table><tr><th>column</th><th>verdict</th><th>known</th><th>memory</th><th>price level</th>"
        "<th>reads its own bar</th></tr>"
        f"{rows}</table>{''.join(_finding(item) for item in report.findings)}{f'<ul>{notes}</ul>' if notes else ''}</body></html>"
    )


def write_page(report: LeakReport, path: Path) -> None:
    """Write the page."""
    write_whole(path, page(report).encode())


def _finding(item: Finding) -> str:
    why = "" if item.cause is None else f"<p>Why: {escape(item.cause.meaning)}. {escape(item.cause.remedy).capitalize()}.</p>"
    examples = "".join(
        f"<tr><td>{one.how}</td><td>{one.cut:%Y-%m-%d %H:%M}</td><td>{one.row:%Y-%m-%d %H:%M}</td><td>{one.rows_before:,}</td>"
        f"<td>{_number(one.value)}</td><td>{_number(one.altered)}</td></tr>"
        for one in item.examples
    )
    table = (
        "<table><tr><th>altered</th><th>after</th><th>row</th><th>rows before</th><th>value</th><th>then</th></tr>"
        f"{examples}</table>"
        if examples
        else ""
    )
    word = "fails" if item.fails else "note"
    return f"<h2>{escape(item.column)}: {item.kind.value.replace('_', ' ')} ({word})</h2><p>{escape(item.text)}</p>{why}{table}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"
