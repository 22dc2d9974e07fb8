"""The verbs about data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import AsOf, Home, Json, day, moment, open_home, required_day, show

data = typer.Typer(help="Bring data in, look at it, check it.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(help="Instrument id.")]
TableName = Annotated[str, typer.Option("--table", help="Table, such as bars/1d, bars/1m, chains or macro.")]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Dataset, where an instrument stands in several.")]
First = Annotated[str | None, typer.Option("--first", help="First date, such as 2018-01-31.")]
Last = Annotated[str | None, typer.Option("--last", help="Last date.")]


@data.command("import")
def data_import(
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of files; plain, .gz or .zip.")],
    instrument: Annotated[
        str | None,
        typer.Option("--instrument", help="Id, such as ARCX:SPY, where the file does not name it; XNAS:{name} takes the file's."),
    ] = None,
    format: Annotated[str | None, typer.Option("--format", help="Format [default: recognised]; fieldcast data formats.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Where the rows belong [default: by format].")] = None,
    venue: Annotated[str | None, typer.Option("--venue", help="Prefix of the ids of files with tickers alone.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="equity, etf, index, fx, crypto, future or rate [default for a new id: equity].")
    ] = None,
    columns: Annotated[str | None, typer.Option("--columns", help="Names in the file, such as ts=Date,close=Last.")] = None,
    interval: Annotated[str | None, typer.Option("--interval", help="1d, 1h, 5m, 1m … where the file does not say.")] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="Zone of times without one, such as America/New_York.")] = None,
    stamp: Annotated[str | None, typer.Option("--stamp", help="Whether a bar's time is its start or its end.")] = None,
    date_format: Annotated[str | None, typer.Option("--date-format", help="strptime format of dates.")] = None,
    map_files: Annotated[
        Path | None, typer.Option("--map-files", help="Folder of LEAN map files: which company a ticker meant when.")
    ] = None,
    calendar: Annotated[str | None, typer.Option("--calendar", help="Calendar [default: by kind].")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="ISO 4217 [default: USD].")] = None,
    tick: Annotated[str | None, typer.Option("--tick", help="Smallest price step [default: by kind].")] = None,
    adjusted: Annotated[bool, typer.Option("--adjusted", help="The prices are back-adjusted (no raw prices).")] = False,
    received: Annotated[
        str | None,
        typer.Option("--received", help="When the files reached you [default: now]: what they do not date was known then."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, count, write nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Import also files that were imported before.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Check files and add them to the store; bad rows are quarantined and counted. Run again after a stop, it goes on."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json or (len(files) == 1 and not files[0].is_dir())) as progress:
        result = workflows.import_data(
            workspace,
            files,
            instrument,
            format=format,
            dataset=dataset,
            venue=venue,
            kind=kind,
            columns=columns,
            interval=interval,
            zone=zone,
            stamp=stamp,
            date_format=date_format,
            map_files=map_files,
            calendar=calendar,
            currency=currency,
            tick=tick,
            adjusted=adjusted,
            received=moment(received),
            dry_run=dry_run,
            again=again,
            progress=progress,
        )
    show(result, json)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


@data.command("formats")
def data_formats(json: Json = False) -> None:
    """List the file formats that can be imported, and what each was proved on."""
    from fieldcast import workflows
    from fieldcast.ground import load_settings

    load_settings()
    show(workflows.list_formats(), json)


@data.command("ls")
def data_ls(home: Home = None, json: Json = False) -> None:
    """List what is in the store."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        show(workflows.list_data(workspace), json)


@data.command("show")
def data_show(
    instrument: Id,
    table: TableName = "bars/1d",
    dataset: Dataset = None,
    as_of: AsOf = None,
    first: First = None,
    last: Last = None,
    adjust: Annotated[str, typer.Option("--adjust", help="raw, split or total: corporate actions applied at read.")] = "raw",
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows to print, the newest.")] = 10,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the chart to this HTML file.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the newest rows of an instrument as they were known at a moment, and plot them."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.show_data(
            workspace,
            instrument,
            table=table,
            dataset=dataset,
            as_of=moment(as_of),
            first=day(first),
            last=day(last),
            adjust=adjust,
            rows=rows,
            plot=plot,
        )
    show(result, json)


@data.command("check")
def data_check(
    instrument: Id,
    table: TableName = "bars/1d",
    dataset: Dataset = None,
    state: Annotated[
        str | None, typer.Option("--state", help="record, retire or reinstate: write the state of quality down.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Quality score, state, gaps and vendor's errors of an instrument's bars."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        show(workflows.check_data(workspace, instrument, table=table, dataset=dataset, state=state), json)


@data.command("repair")
def data_repair(
    instrument: Id,
    table: TableName = "bars/1d",
    dataset: Dataset = None,
    apply: Annotated[bool, typer.Option("--apply", help="Store the repaired values, beside those they replace.")] = False,
    by: Annotated[str, typer.Option("--by", help="Who answers for it; needed with --apply.")] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Find a vendor's errors in an instrument's bars and propose their repair; nothing changes without --apply."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        show(workflows.repair_data(workspace, instrument, table=table, dataset=dataset, apply=apply, by=by), json)


@data.command("universe")
def data_universe(
    file: Annotated[Path | None, typer.Argument(help="Universe in TOML [default: the 225 that ship].")] = None,
    group: Annotated[str | None, typer.Option("--group", help="One group of the universe.")] = None,
    dataset: Dataset = None,
    as_of: AsOf = None,
    strict: Annotated[bool, typer.Option("--strict", help="Any hole and any lateness fail.")] = False,
    plan: Annotated[
        str | None, typer.Option("--plan", help="repair or update: the ranges that have to be fetched and imported.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Check that the history of a universe is there, 1,260 sessions of each; exit code 1 where it is not."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.check_universe(
            workspace, file, group=group, dataset=dataset, as_of=moment(as_of), strict=strict, plan=plan
        )
    show(result, json)
    if not result.ok:
        raise typer.Exit(1)


@data.command("simulate")
def data_simulate(
    names: Annotated[list[str], typer.Argument(help="Names of the instruments; their ids are SIM: and the name.")],
    first: Annotated[str, typer.Option("--first", help="First date, such as 2020-01-02.")],
    last: Annotated[str, typer.Option("--last", help="Last date.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random numbers.")],
    market: Annotated[str, typer.Option("--market", help="equity, crypto, fx or index.")] = "equity",
    table: Annotated[str, typer.Option("--table", help="bars, chains or depth.")] = "bars",
    interval: Annotated[str, typer.Option("--interval", help="1d, 1h, 30m, 15m, 5m or 1m.")] = "1d",
    correlation: Annotated[float, typer.Option("--correlation", help="Of each pair's price shocks, 0 to below 1.")] = 0.0,
    like: Annotated[str | None, typer.Option("--like", help="Id of a stored instrument to fit the market to.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make bars, option chains or order books of simulated instruments, labelled SIMULATED everywhere."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.simulate_data(
            workspace,
            names,
            first=required_day(first),
            last=required_day(last),
            seed=seed,
            market=market,
            table=table,
            interval=interval,
            correlation=correlation,
            like=like,
            progress=progress,
        )
    show(result, json)


@data.command("tickers")
def data_tickers(
    folder: Annotated[Path, typer.Argument(help="Folder of LEAN map files.")], home: Home = None, json: Json = False
) -> None:
    """Bring in which company a ticker meant when."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        show(workflows.import_tickers(workspace, folder), json)


@data.command("members")
def data_members(
    index: Annotated[str, typer.Argument(help="Id of the index, such as XCBO:SPX.")],
    ranges: Annotated[Path, typer.Argument(help="CSV of ticker,start_date,end_date.")],
    changes: Annotated[Path | None, typer.Option("--changes", help="CSV of date,add,remove, laid over the ranges.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Bring in who belonged to an index when."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        show(workflows.import_members(workspace, index, ranges, changes), json)


@data.command("verify")
def data_verify(home: Home = None, json: Json = False) -> None:
    """Hash every file of the store again; exit code 1 where one has changed, with its name."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.verify_data(workspace)
    show(result, json)
    if not result.ok:
        raise typer.Exit(1)


@data.command("compact")
def data_compact(home: Home = None, json: Json = False) -> None:
    """Merge the day segments of intraday tables into their years; what is read stays the same."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        show(workflows.compact_data(workspace), json)
