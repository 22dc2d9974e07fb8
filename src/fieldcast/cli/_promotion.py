"""The verb that puts symbols to the promotion gates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import Home, Json, open_home, show

gates = typer.Typer(rich_markup_mode=None)


@gates.command("promote-check")
def promote_check(
    instruments: Annotated[list[str], typer.Argument(help="Instrument ids, such as ARCX:SPY.")],
    experiment: Annotated[
        Path | None, typer.Option("--experiment", help="TOML file of the experiment [default: the demo's].")
    ] = None,
    vix: Annotated[str | None, typer.Option("--vix", help="Id of the VIX series to use as a covariate.")] = None,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="End with 0 whatever the gates say.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Ask the promotion gates: accuracy 68 %, above the majority, calibration 5 %, no leak. Ends with 1 or 4 (cannot judge)."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.check_promotion(
            workspace, instruments, workflows.load_experiment(experiment), vix=vix, progress=progress
        )
    show(result, json)
    if result.exit_code and not exit_zero:
        raise typer.Exit(result.exit_code)
