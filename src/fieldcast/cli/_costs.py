"""The verbs of execution costs: measure them again, show them, go back to an older measurement."""

from __future__ import annotations

from typing import Annotated

import typer

from fieldcast.cli._common import AsOf, Home, Json, day, moment, open_home, pairs, required_day, show

costs = typer.Typer(help="What trading costs, by instrument and hours.", no_args_is_help=True, rich_markup_mode=None)


@costs.command("recalibrate")
def costs_recalibrate(
    instruments: Annotated[
        list[str] | None, typer.Argument(help="Instrument ids [default: every one with quotes].", show_default=False)
    ] = None,
    as_of: AsOf = None,
    days: Annotated[int, typer.Option("--days", min=1, help="How many days back.")] = 7,
    least: Annotated[int, typer.Option("--least", min=1, help="Samples without which a bucket stays as it was.")] = 10,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="TABLE=DATASET where quotes stand in several; repeat it.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Measure spread and slippage of the last days from stored quotes and real fills; write the dated file."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.recalibrate_costs(
            workspace, instruments or (), as_of=moment(as_of), days=days, least=least, datasets=pairs(dataset, "--dataset")
        )
    show(result, json)


@costs.command("show")
def costs_show(
    date: Annotated[str | None, typer.Option("--date", help="Day of the calibration [default: the one that counts].")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the profiles that count, or those of a day."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.show_costs(workspace, day=day(date))
    show(result, json)


@costs.command("restore")
def costs_restore(
    date: Annotated[str, typer.Argument(help="Day of the calibration, such as 2018-12-31.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Let the calibration of an earlier day count again; no file is deleted."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.restore_execution_costs(workspace, required_day(date))
    show(result, json)
