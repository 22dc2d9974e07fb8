"""The verbs of registered models: keep, promote, roll back, predict, drift, triggers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import Home, Json, open_home, show

models = typer.Typer(help="Registered models: versions, promotion, drift.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="Name of the model; fieldcast models ls lists them.")]
Version = Annotated[str | None, typer.Option("--version", help="Version [default: the active one, else the newest].")]
Note = Annotated[str, typer.Option("--note", help="Why, for the record.")]
Sessions = Annotated[int, typer.Option("--sessions", min=1, help="How many of the last sessions to look at.")]


@models.command("ls")
def models_ls(home: Home = None, json: Json = False) -> None:
    """List every registered version and which one is active."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.list_models(workspace)
    show(result, json)


@models.command("show")
def models_show(name: Name, version: Version = None, home: Home = None, json: Json = False) -> None:
    """Show a version, its files checked, with its baselines, its history and the shadows beside it."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.show_model(workspace, name, version)
    show(result, json)


@models.command("register")
def models_register(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    experiment: Annotated[
        Path | None, typer.Option("--experiment", help="TOML file of the experiment [default: the demo's].")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model [default: the instrument's].")] = None,
    change: Annotated[str, typer.Option("--change", help="Which number of the version goes up: major, minor, patch.")] = "patch",
    vix: Annotated[str | None, typer.Option("--vix", help="Id of the VIX series, for the baselines that need one.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Fit the nominated model on everything known and keep it as a version, with its report beside the baselines."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.register_model(
            workspace, instrument, workflows.load_experiment(experiment), name=name, change=change, vix=vix, progress=progress
        )
    show(result, json)


@models.command("promote")
def models_promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version, such as 1.0.0.")],
    note: Note = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Make a version the active one; refused without its baselines on the same rows."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.promote_model(workspace, name, version, note=note)
    show(result, json)


@models.command("rollback")
def models_rollback(name: Name, note: Note = "", home: Home = None, json: Json = False) -> None:
    """Restore the version that was active before."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.rollback_model(workspace, name, note=note)
    show(result, json)


@models.command("predict")
def models_predict(name: Name, home: Home = None, json: Json = False) -> None:
    """Record what the active version and every shadow say of the newest session; nothing uses the shadows."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.predict_models(workspace, name)
    show(result, json)


@models.command("drift")
def models_drift(name: Name, version: Version = None, sessions: Sessions = 756, home: Home = None, json: Json = False) -> None:
    """Compare the features of the last sessions with the training sample: PSI and Kolmogorov-Smirnov."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.model_drift(workspace, name, version, sessions=sessions)
    show(result, json)


@models.command("triggers")
def models_triggers(
    name: Name,
    version: Version = None,
    request: Annotated[bool, typer.Option("--request", help="Ask for a new fit.")] = False,
    sessions: Sessions = 252,
    home: Home = None,
    json: Json = False,
) -> None:
    """Say whether the model has to be fitted again: schedule, decay, calibration, drift, command."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.model_triggers(workspace, name, version, request=request, sessions=sessions)
    show(result, json)


@models.command("report")
def models_report(home: Home = None, json: Json = False) -> None:
    """Show every training, tuning and validation run, rebuilt from the local run log alone."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.report_runs(workspace)
    show(result, json)
