"""The verbs. Heavy imports stand inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fieldcast import __version__
from fieldcast.ground.errors import FieldcastError

app = typer.Typer(
    name="fieldcast",
    help="Reads markets as fields, turns them into calibrated projections, and lets money follow only those that earned it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Bring data in, look at it, check it.", no_args_is_help=True, rich_markup_mode=None)
cycle = typer.Typer(help="Governed decision cycles (paper only).", no_args_is_help=True, rich_markup_mode=None)
audit = typer.Typer(help="The hash-chained audit trail.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")
app.add_typer(cycle, name="cycle")
app.add_typer(audit, name="audit")

Home = Annotated[
    Path | None, typer.Option("--home", help="Folder with the store and the ledger [default: FIELDCAST_HOME or .]")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Names = Annotated[list[str], typer.Argument(help="Instrument ids, such as ARCX:SPY.")]
ExperimentFile = Annotated[
    Path | None, typer.Option("--experiment", help="TOML file of the experiment [default: the demo's].")
]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="Moment in ISO 8601 with its zone, such as 2018-12-31T21:30Z.")
]
Vix = Annotated[str | None, typer.Option("--vix", help="Id of the VIX series to use as a covariate.")]


def main() -> None:
    """Run the command line; a deliberate error is one line on standard error and its exit code."""
    try:
        code = app(standalone_mode=False)
    except FieldcastError as error:
        print(f"fieldcast: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.Abort:
        print("fieldcast: stopped; running the same command again goes on where it was", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # wrong use, as click tells it, is one line; anything else goes on up
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            print(f"fieldcast: {error.format_message()}; see --help", file=sys.stderr)
            sys.exit(2)
        raise
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _workspace(home: Path | None) -> Iterator[Any]:
    from fieldcast import workflows

    with workflows.open_workspace(home) as workspace:
        yield workspace


def _moment(text: str | None) -> datetime | None:
    from fieldcast.ground import InvalidInput, utc

    if text is None:
        return None
    try:
        return utc(datetime.fromisoformat(text))
    except ValueError:
        raise InvalidInput(f"expected a moment such as 2018-12-31T21:30Z, found {text!r}") from None


def _show(result: Any, as_json: bool) -> None:
    from fieldcast.cli import _render

    _render.show(result, as_json=as_json)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@app.command()
def demo(
    home: Annotated[Path, typer.Option("--home", help="Folder of the demo.")] = Path("fieldcast-demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove the demo's folder first.")] = False,
    rows: Annotated[int | None, typer.Option("--rows", min=60, help="Only the last so many sessions.")] = None,
    experiment: ExperimentFile = None,
    json: Json = False,
) -> None:
    """Do the whole job on real daily data, offline: data, fields, projections, gates, paper cycles, report."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with _render.watching(quiet=json) as progress:
        result = workflows.demo(home, fresh=fresh, rows=rows, experiment=experiment, progress=progress)
    _show(result, json)


@app.command()
def doctor(home: Home = None, json: Json = False) -> None:
    """Check that this machine has what Fieldcast needs; exit code 1 where it has not."""
    from fieldcast import workflows
    from fieldcast.ground import load_settings

    diagnosis = workflows.doctor(load_settings() if home is None else load_settings(home=home))
    _show(diagnosis, json)
    if not diagnosis.ok:
        raise typer.Exit(1)


@app.command()
def fields(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    as_of: AsOf = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the field map of an instrument at a moment."""
    from fieldcast import workflows

    with _workspace(home) as workspace:
        _show(workflows.field_map(workspace, instrument, as_of=_moment(as_of)), json)


@app.command()
def validate(
    instruments: Names,
    experiment: ExperimentFile = None,
    vix: Vix = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write the HTML report to this file.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Walk forward, calibrate, score, and put the nominated configuration to the gate."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with _workspace(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.validate(
            workspace, instruments, workflows.load_experiment(experiment), vix=vix, report=report, progress=progress
        )
    _show(result, json)


@app.command()
def project(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    as_of: AsOf = None,
    experiment: ExperimentFile = None,
    vix: Vix = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Print the calibrated projection packet of the newest session known (at a moment)."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with _workspace(home) as workspace, _render.watching(quiet=json) as progress:
        packet = workflows.project(
            workspace,
            instrument,
            workflows.load_experiment(experiment),
            as_of=_moment(as_of),
            vix=vix,
            progress=progress,
        )
    _show(packet, json)


@data.command("import")
def data_import(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file, plain or .gz.")],
    instrument: Annotated[str, typer.Option("--instrument", help="Id, such as ARCX:SPY.")],
    kind: Annotated[
        str | None, typer.Option("--kind", help="equity, etf, index, fx or crypto [default: equity for a new id].")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="Names in the file, such as ts=Date,close=Last.")
    ] = None,
    calendar: Annotated[str | None, typer.Option("--calendar", help="Calendar [default: by kind].")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="ISO 4217 [default: USD].")] = None,
    tick: Annotated[str | None, typer.Option("--tick", help="Smallest price step [default: by kind].")] = None,
    adjusted: Annotated[bool, typer.Option("--adjusted", help="The prices are back-adjusted (no raw prices).")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, count, write nothing.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Check a file of daily bars and add it to the store; bad rows are quarantined and counted."""
    from fieldcast import workflows

    with _workspace(home) as workspace:
        result = workflows.import_data(
            workspace,
            file,
            instrument,
            kind=kind,
            columns=columns,
            calendar=calendar,
            currency=currency,
            tick=tick,
            adjusted=adjusted,
            dry_run=dry_run,
        )
    _show(result, json)


@data.command("ls")
def data_ls(home: Home = None, json: Json = False) -> None:
    """List what is in the store."""
    from fieldcast import workflows

    with _workspace(home) as workspace:
        _show(workflows.list_data(workspace), json)


@data.command("check")
def data_check(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")], home: Home = None, json: Json = False
) -> None:
    """Quality score, reasons and gaps of an instrument's rows."""
    from fieldcast import workflows

    with _workspace(home) as workspace:
        _show(workflows.check_data(workspace, instrument), json)


@data.command("verify")
def data_verify(home: Home = None, json: Json = False) -> None:
    """Hash every file of the store again; exit code 1 where one has changed, with its name."""
    from fieldcast import workflows

    with _workspace(home) as workspace:
        result = workflows.verify_data(workspace)
    _show(result, json)
    if not result.ok:
        raise typer.Exit(1)


@cycle.command("run")
def cycle_run(
    instruments: Names,
    paper: Annotated[bool, typer.Option("--paper", help="Required: orders go to the paper broker.")] = False,
    portfolio: Annotated[str, typer.Option("--portfolio", help="Portfolio of the decisions.")] = "paper",
    revise: Annotated[bool, typer.Option("--revise", help="Decide a slot again that was run on other data.")] = False,
    as_of: AsOf = None,
    experiment: ExperimentFile = None,
    vix: Vix = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Run the governed cycle of the newest session: one decision an instrument, orders to the paper broker."""
    from fieldcast import workflows
    from fieldcast.cli import _render
    from fieldcast.ground import InvalidInput

    if not paper:
        raise InvalidInput("expected --paper: this version trades on paper only")
    with _workspace(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.run_cycle(
            workspace,
            instruments,
            workflows.load_experiment(experiment),
            portfolio=portfolio,
            as_of=_moment(as_of) or datetime.now(tz=UTC),
            vix=vix,
            revise=revise,
            progress=progress,
        )
    _show(result, json)


@audit.command("verify")
def audit_verify(home: Home = None, json: Json = False) -> None:
    """Check the audit chain against its twin and its anchor; exit code 1 where anything was changed."""
    from fieldcast import workflows

    with _workspace(home) as workspace:
        result = workflows.verify_audit(workspace)
    _show(result, json)
    if not result.ok:
        raise typer.Exit(1)
