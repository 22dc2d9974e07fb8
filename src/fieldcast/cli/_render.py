"""How results look on a terminal: JSON for machines, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def show(result: Any, *, as_json: bool) -> None:
    """Print a result: what it holds as one JSON object, or the text that belongs to its type."""
    if as_json:
        json.dump(_payload(result), sys.stdout, default=str, allow_nan=False)
        print()
        return
    from fieldcast.cli._text import text_of

    Console(soft_wrap=False).print(text_of(result))


def _payload(result: Any) -> Any:
    if hasattr(result, "as_dict"):
        return result.as_dict()
    if hasattr(result, "model_dump"):
        return result.model_dump(mode="json")
    return {"ok": result.ok, **asdict(result)}          # a check's report


@contextmanager
def watching(*, quiet: bool) -> Iterator[Any]:
    """A callback that draws one progress bar a stage on standard error (or draws nothing)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<44}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report
