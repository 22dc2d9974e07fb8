"""The verb that tests a user's own code for leaks, and the group of the verbs of science."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import Home, Json, show

science = typer.Typer()  # merged into the program itself


@science.command("leaks")
def leaks(
    code: Annotated[Path, typer.Argument(help="Python file with a function from a table of bars to columns, one value a bar.")],
    function: Annotated[str | None, typer.Option("--function", help="Name of the function, where the file has several.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="nasdaq, sp500, or the id of a stored instrument [default: nasdaq].")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="CSV or Parquet file of your own bars.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=120, help="Only the last so many times.")] = 1000,
    warmup: Annotated[
        int | None, typer.Option("--warmup", min=0, help="Rows after which no value may depend on where the history began.")
    ] = None,
    decision: Annotated[
        str, typer.Option("--decision", help="close or open: at the open, a row may not use its own high, low, close, volume.")
    ] = "close",
    form: Annotated[
        str | None, typer.Option("--form", help="polars, pandas or arrays [default: as declared, else the first that works].")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Columns that move with the level of prices fail too.")] = False,
    limit: Annotated[float, typer.Option("--limit", help="Seconds that one computation may take.")] = 60.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the moments and of the alterations.")] = 0,
    page: Annotated[Path | None, typer.Option("--page", help="Write the result to this HTML file.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Say which column of your own code looks ahead, when, how far and why; exit code 1 where one does."""
    from fieldcast import workflows
    from fieldcast.cli import _render
    from fieldcast.ground import load_settings

    settings = load_settings() if home is None else load_settings(home=home)
    with _render.watching(quiet=json) as progress:
        report = workflows.leaks(
            code,
            function=function,
            data=data,
            file=file,
            rows=rows,
            warmup=warmup,
            decision=decision,
            form=form,
            strict=strict,
            limit=limit,
            seed=seed,
            page=page,
            settings=settings,
            progress=progress,
        )
    show(report, json)
    if not report.ok:
        raise typer.Exit(1)
