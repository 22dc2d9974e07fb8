"""The verbs of pre-registration: what a run could find, what is sealed, what has been seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import Home, Json, open_home, required_day, show

seal = typer.Typer(help="Sealed test spans and pre-registered runs.", no_args_is_help=True, rich_markup_mode=None)

Names = Annotated[list[str], typer.Argument(help="Instrument ids, such as ARCX:SPY; * alone stands for all.")]
First = Annotated[str, typer.Option("--first", help="First session of the span.")]
Last = Annotated[str, typer.Option("--last", help="Last session of the span.")]
ExperimentFile = Annotated[Path | None, typer.Option("--experiment", help="TOML file of the experiment [default: the demo's].")]


@seal.command("add")
def seal_add(
    name: Annotated[str, typer.Argument(help="Name of the sealed span.")],
    instruments: Names,
    first: First,
    last: Last,
    home: Home = None,
    json: Json = False,
) -> None:
    """Seal sessions: nothing is fitted or scored on them before they are opened, once."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.seal_span(workspace, name, instruments, first=required_day(first), last=required_day(last))
    show(result, json)


@seal.command("register")
def seal_register(
    instruments: Names,
    first: First,
    last: Last,
    experiment: ExperimentFile = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Freeze an experiment for a span and print the smallest effect that its run could find there."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.register_experiment(
            workspace,
            instruments,
            workflows.load_experiment(experiment),
            first=required_day(first),
            last=required_day(last),
        )
    show(result, json)


@seal.command("open")
def seal_open(
    name: Annotated[str, typer.Argument(help="Name of the sealed span.")],
    experiment: ExperimentFile = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Open a sealed span for an experiment that was registered before; a second opening is refused with exit code 3."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.open_span(workspace, name, workflows.load_experiment(experiment))
    show(result, json)


@seal.command("look")
def seal_look(
    instruments: Names,
    first: First,
    last: Last,
    label: Annotated[str, typer.Option("--label", help="Who looked at the span, and how.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Write down that the outcomes of a span have been seen."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.declare_looked_at(
            workspace, instruments, first=required_day(first), last=required_day(last), label=label
        )
    show(result, json)


@seal.command("ls")
def seal_ls(home: Home = None, json: Json = False) -> None:
    """List sealed spans, registrations, and what has been looked at."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.list_seals(workspace)
    show(result, json)
