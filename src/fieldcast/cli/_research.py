"""The verbs that say what earns its place: an engine of an experiment, a factor over a cross-section."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import Home, Json, open_home, show
from fieldcast.cli._leaks import science
from fieldcast.ground import InvalidInput

__all__ = ["ablate", "research", "science"]  # the group, with these verbs in it


class UpgradeName(StrEnum):
    """The upgrades that have to be earned."""

    hmm_regime = "hmm_regime"
    intraday_dealer = "intraday_dealer"
    print_stream = "print_stream"


@science.command("ablate")
def ablate(
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    experiment: Annotated[
        Path | None, typer.Option("--experiment", help="TOML file of the experiment [default: the demo's].")
    ] = None,
    vix: Annotated[str | None, typer.Option("--vix", help="Id of the VIX series to use as a covariate.")] = None,
    upgrade: Annotated[
        UpgradeName | None, typer.Option("--upgrade", help="Walk with and without this upgrade instead, and judge it.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Drop each engine of an experiment in turn, and say which earns its place; or judge an upgrade. Recorded as evidence."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    if upgrade is not None and vix is not None:
        raise InvalidInput("expected --vix without --upgrade, whose walks read no VIX, found both; leave out one of them")
    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        chosen = workflows.load_experiment(experiment)
        if upgrade is None:
            show(workflows.ablate(workspace, instrument, chosen, vix=vix, progress=progress), json)
            return
        runners = {
            UpgradeName.hmm_regime: workflows.ablate_regime,
            UpgradeName.intraday_dealer: workflows.ablate_intraday_dealer,
            UpgradeName.print_stream: workflows.ablate_print_stream,
        }
        show(runners[upgrade](workspace, instrument, chosen, progress=progress), json)


@science.command("research")
def research(
    factor: Annotated[str, typer.Argument(help="A column of the panel, or a registered column, such as rsi_14.")],
    instruments: Annotated[list[str] | None, typer.Argument(help="Ids of stored instruments.")] = None,
    panel: Annotated[
        Path | None, typer.Option("--panel", help="CSV or Parquet file: instrument, date, close, the factor; open and volume.")
    ] = None,
    horizon: Annotated[
        list[int] | None, typer.Option("--horizon", help="Sessions; repeat it [default: 1, 2, 5, 10, 21].")
    ] = None,
    quantiles: Annotated[int, typer.Option("--quantiles", min=2, help="Portfolios by rank of the factor.")] = 5,
    group: Annotated[str | None, typer.Option("--group", help="Column of the panel whose groups' means are removed.")] = None,
    exposure: Annotated[list[str] | None, typer.Option("--exposure", help="Column to be neutral to; repeat it.")] = None,
    least: Annotated[int, typer.Option("--least", min=2, help="Instruments that a date needs.")] = 10,
    share: Annotated[float, typer.Option("--share", help="Share of the dollar volume that a trade may be.")] = 0.01,
    simulated: Annotated[bool, typer.Option("--simulated", help="Say that the panel's prices are simulated.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the charts to this HTML file.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Rank IC with its decay, quantile portfolios, turnover and capacity of a factor, with intervals."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.research(
            factor,
            tuple(instruments or ()),
            workspace=workspace,
            panel=panel,
            horizons=tuple(horizon or (1, 2, 5, 10, 21)),
            quantiles=quantiles,
            group=group,
            exposures=tuple(exposure or ()),
            least=least,
            share=share,
            simulated=simulated,
            seed=seed,
            plot=plot,
            progress=progress,
        )
    show(result, json)
