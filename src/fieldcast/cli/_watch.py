"""The verbs of the watch: record today's paper packets, and show how the recorded ones have done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import Home, Json, open_home, show

watch = typer.Typer(help="Daily paper projections and the watch over them.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Option("--name", help="Name of the watch.")]


@watch.command("run")
def watch_run(
    instruments: Annotated[list[str], typer.Argument(help="Instrument ids, such as ARCX:SPY.")],
    name: Name = "paper",
    experiment: Annotated[
        Path | None, typer.Option("--experiment", help="TOML file of the experiment [default: the demo's].")
    ] = None,
    vix: Annotated[str | None, typer.Option("--vix", help="Id of the VIX series to use as a covariate.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Record the packet of the newest session of each instrument, once, before the open that it speaks of."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.run_watch(
            workspace, instruments, workflows.load_experiment(experiment), name=name, vix=vix, progress=progress
        )
    show(result, json)


@watch.command("show")
def watch_show(
    name: Name = "paper",
    rates: Annotated[bool, typer.Option("--rates/--no-rates", help="Simulate how often the rules kill by chance.")] = True,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show rolling AUC, coverage, IC and regime mix, the kill rules, and the eight-week clock."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.show_watch(workspace, name=name, rates=rates)
    show(result, json)
