"""The verbs. Heavy imports stand inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import atexit
import gc
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from fieldcast import __version__
from fieldcast.cli._backtest import history
from fieldcast.cli._common import AsOf, Home, Json, moment, open_home, pairs, show
from fieldcast.cli._costs import costs
from fieldcast.cli._idea import ideas
from fieldcast.cli._models import models
from fieldcast.cli._promotion import gates
from fieldcast.cli._research import science
from fieldcast.cli._score import data
from fieldcast.cli._seal import seal
from fieldcast.cli._train import train
from fieldcast.cli._tune import search
from fieldcast.cli._watch import watch
from fieldcast.ground.errors import FieldcastError

app = typer.Typer(
    name="fieldcast",
    help="Reads markets as fields, turns them into calibrated projections, and lets money follow only those that earned it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cycle = typer.Typer(help="Governed decision cycles (paper only).", no_args_is_help=True, rich_markup_mode=None)
audit = typer.Typer(help="The hash-chained audit trail.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")
app.add_typer(train, name="train")
app.add_typer(search)
app.add_typer(science)
app.add_typer(gates)
app.add_typer(history)
app.add_typer(seal, name="seal")
app.add_typer(models, name="models")
app.add_typer(watch, name="watch")
app.add_typer(costs, name="costs")
app.add_typer(ideas)
app.add_typer(cycle, name="cycle")
app.add_typer(audit, name="audit")

Names = Annotated[list[str], typer.Argument(help="Instrument ids, such as ARCX:SPY.")]
ExperimentFile = Annotated[
    Path | None, typer.Option("--experiment", help="TOML file of the experiment [default: the demo's].")
]
Vix = Annotated[str | None, typer.Option("--vix", help="Id of the VIX series to use as a covariate.")]


def main() -> None:
    """Run the command line; a deliberate error is one line on standard error and its exit code."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # nobody looks for cycles in a process that ends; files and databases are closed by then
    try:
        code = app(standalone_mode=False, prog_name="fieldcast")
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
    show(result, json)


@app.command()
def doctor(home: Home = None, json: Json = False) -> None:
    """Check that this machine has what Fieldcast needs; exit code 1 where it has not."""
    from fieldcast import workflows
    from fieldcast.ground import load_settings

    diagnosis = workflows.doctor(load_settings() if home is None else load_settings(home=home))
    show(diagnosis, json)
    if not diagnosis.ok:
        raise typer.Exit(1)


@app.command()
def fields(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    as_of: AsOf = None,
    vix: Vix = None,
    sign: Annotated[
        str, typer.Option("--sign", help="Who holds the options: auto, naive, reversed, all_short, all_long or prints.")
    ] = "auto",
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="TABLE=DATASET where the instrument stands in several; repeat it.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the page of charts to this HTML file.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the fields of an instrument at a moment: liquidity, regime, sentiment, dealers, elasticity."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.read_fields(
            workspace, instrument, as_of=moment(as_of), vix=vix, sign=sign, datasets=pairs(dataset, "--dataset"), plot=plot
        )
    show(result, json)


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

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.validate(
            workspace, instruments, workflows.load_experiment(experiment), vix=vix, report=report, progress=progress
        )
    show(result, json)


@app.command()
def project(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    as_of: AsOf = None,
    minutes: Annotated[bool, typer.Option("--minutes", help="From stored minute bars: 1m, 5m, 15m and 1h.")] = False,
    cones: Annotated[
        Literal["conformal", "experts"] | None,
        typer.Option("--cones", help="Of minutes: conformal (default), or experts where a market never closes."),
    ] = None,
    experiment: ExperimentFile = None,
    vix: Vix = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Print the calibrated projection packet of the newest session, or the newest minute, known (at a moment)."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        packet = workflows.project(
            workspace,
            instrument,
            None if minutes and experiment is None else workflows.load_experiment(experiment),
            as_of=moment(as_of),
            vix=vix,
            minutes=minutes,
            cones=cones,
            progress=progress,
        )
    show(packet, json)


@app.command()
def tiers(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    horizon: Annotated[str, typer.Option("--horizon", help="Of the projections, such as 1d or 5d.")] = "1d",
    as_of: AsOf = None,
    experiment: ExperimentFile = None,
    vix: Vix = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Say how sure the projections are, in tiers, and how often the calls of each tier were right."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.read_tiers(
            workspace,
            instrument,
            workflows.load_experiment(experiment),
            horizon=horizon,
            as_of=moment(as_of),
            vix=vix,
            progress=progress,
        )
    show(result, json)


@app.command()
def agents(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    horizon: Annotated[int, typer.Option("--horizon", min=1, max=5, help="Sessions ahead.")] = 1,
    as_of: AsOf = None,
    experiment: ExperimentFile = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show what each alpha agent expects, how well founded that is, and their common view."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.read_agents(
            workspace, instrument, workflows.load_experiment(experiment), horizon=horizon, as_of=moment(as_of)
        )
    show(result, json)


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
    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.run_cycle(
            workspace,
            instruments,
            workflows.load_experiment(experiment),
            portfolio=portfolio,
            as_of=moment(as_of) or datetime.now(tz=UTC),
            vix=vix,
            revise=revise,
            progress=progress,
        )
    show(result, json)


@audit.command("verify")
def audit_verify(home: Home = None, json: Json = False) -> None:
    """Check the audit chain against its twin and its anchor; exit code 1 where anything was changed."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.verify_audit(workspace)
    show(result, json)
    if not result.ok:
        raise typer.Exit(1)
