"""The verb that searches for settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import AsOf, Home, Json, moment, open_home, show

search = typer.Typer()  # merged into the program itself


@search.command("tune")
def tune(
    plan: Annotated[Path, typer.Argument(help="TOML file of the search: a training plan with study and space.")],
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    as_of: AsOf = None,
    vix: Annotated[str | None, typer.Option("--vix", help="Id of the VIX series to use as a covariate.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Search for settings by walk-forward; every trial is on record, and a stopped search goes on where it was."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.tune(workspace, plan, instrument, vix=vix, as_of=moment(as_of), progress=progress)
    show(result, json)
