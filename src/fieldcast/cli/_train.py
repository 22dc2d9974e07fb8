"""The verbs that fit models on a user's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import AsOf, Home, Json, moment, open_home, show

train = typer.Typer(help="Fit models on your own files.", no_args_is_help=True, rich_markup_mode=None)


@train.command("headline")
def train_headline(
    file: Annotated[Path, typer.Argument(help="Labelled sentences: your copy of Financial PhraseBank, or sentence@label lines.")],
    transfer: Annotated[
        list[Path] | None, typer.Option("--transfer", help="FiQA file on which the fitted model is tried; repeat it.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the model [default: models/headline in the home].")] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=50, help="Folds of the measure.")] = 10,
    home: Home = None,
    json: Json = False,
) -> None:
    """Fit the headline scorer, measured out of fold by groups of near-duplicate sentences."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.train_headline(workspace, file, transfer=transfer, out=out, folds=folds, progress=progress)
    show(result, json)


@train.command("regime")
def train_regime(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    as_of: AsOf = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Fit hidden states and change points on the daily bars known at a moment; an ablation has to earn their use."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.fit_regime(workspace, instrument, as_of=moment(as_of))
    show(result, json)


@train.command("odds")
def train_odds(
    plan: Annotated[Path, typer.Argument(help="TOML file of the training: tasks, model, seed, walk.")],
    instruments: Annotated[list[str], typer.Argument(help="Instrument ids, such as ARCX:SPY.")],
    as_of: AsOf = None,
    vix: Annotated[str | None, typer.Option("--vix", help="Id of the VIX series: a covariate, and baselines.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Fit one model for each instrument and task of a plan, walk it beside every baseline, and save it with its hashes."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.train_odds(workspace, plan, instruments, vix=vix, as_of=moment(as_of), progress=progress)
    show(result, json)
