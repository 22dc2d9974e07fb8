"""What the commands share: options, the workspace, and how a result is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

Home = Annotated[
    Path | None, typer.Option("--home", help="Folder with the store and the ledger [default: FIELDCAST_HOME or .]")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="Moment in ISO 8601 with its zone, such as 2018-12-31T21:30Z.")
]


@contextmanager
def open_home(home: Path | None) -> Iterator[Any]:
    """The workspace of a command."""
    from fieldcast import workflows

    with workflows.open_workspace(home) as workspace:
        yield workspace


def moment(text: str | None) -> datetime | None:
    """`--as-of` as a moment in UTC."""
    from fieldcast.ground import InvalidInput, utc

    if text is None:
        return None
    try:
        return utc(datetime.fromisoformat(text))
    except ValueError:
        raise InvalidInput(f"expected a moment such as 2018-12-31T21:30Z, found {text!r}") from None


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """A repeated option NAME=VALUE as a mapping."""
    from fieldcast.ground import InvalidInput

    wrong = [text for text in texts or () if not all(text.partition("=")[::2])]
    if wrong:
        raise InvalidInput(f"expected {option} as NAME=VALUE, found {wrong[0]!r}")
    return dict(text.split("=", 1) for text in texts or ())


def day(text: str | None) -> date | None:
    """`--first` and `--last` as a date."""
    return None if text is None else required_day(text)


def required_day(text: str) -> date:
    """A date that has to be given."""
    from fieldcast.ground import InvalidInput

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"expected a date such as 2018-12-31, found {text!r}") from None


def show(result: Any, as_json: bool) -> None:
    """Print a result."""
    from fieldcast.cli import _render

    _render.show(result, as_json=as_json)
