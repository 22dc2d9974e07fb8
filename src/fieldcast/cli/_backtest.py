"""The verbs that play strategies on history: one run, a sweep, a walk-forward optimisation, a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldcast.cli._common import Home, Json, day, open_home, show

history = typer.Typer()  # merged into the program itself

Names = Annotated[list[str] | None, typer.Argument(help="Ids of stored instruments, such as ARCX:SPY.")]
One = Annotated[
    list[str] | None,
    typer.Option("--strategy", help="NAME or NAME:key=value,… of the catalogue, or FILE.py:key=value,… of your own; repeat it."),
]
Table = Annotated[str, typer.Option("--table", help="Table of the bars, such as bars/1d or bars/1m.")]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Where the bars stand in several datasets.")]
First = Annotated[str | None, typer.Option("--first", help="First date of the run, such as 2005-01-03.")]
Last = Annotated[str | None, typer.Option("--last", help="Last date of the run.")]
Cash = Annotated[str, typer.Option("--cash", help="Paid in at the start.")]
Weight = Annotated[float, typer.Option("--weight", help="Share of equity that a target of 1 is worth.")]
Margin = Annotated[str, typer.Option("--margin", help="none (no shorts, no debt) or reg_t.")]
Costs = Annotated[str | None, typer.Option("--costs", help="Fees by a venue's preset, such as ibkr_fixed.")]
HalfSpread = Annotated[float, typer.Option("--half-spread-bps", help="Half the spread, in basis points of the print.")]
Slippage = Annotated[float, typer.Option("--slippage-bps", help="Slippage, in basis points of the print.")]
Commission = Annotated[
    float | None, typer.Option("--commission-bps", help="Commission, in basis points of the value [default: 0.5].")
]
Family = Annotated[str, typer.Option("--family", help="Family of trials that the run counts among.")]
Ranges = Annotated[list[str], typer.Option("--range", help="NAME=LOW:HIGH:STEP or NAME=A,B,C of a parameter; repeat it.")]
Sort = Annotated[str, typer.Option("--by", help="Figure by which parameters are ranked: sharpe, total_return or max_drawdown.")]
Stop = Annotated[float | None, typer.Option("--stop", help="Stop, as a share of the price at the decision.")]
Target = Annotated[float | None, typer.Option("--target", help="Profit target, as a share of the price at the decision.")]
Trailing = Annotated[float | None, typer.Option("--trailing", help="Trailing stop, as a share of the best price.")]
Rule = Annotated[str, typer.Option("--strategy", help="NAME or NAME:key=value,… of the catalogue, or FILE.py:key=value,….")]


@history.command("backtest")
def backtest(
    instruments: Names = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="TOML file of the whole run, instead of options.")] = None,
    strategy: One = None,
    combine: Annotated[
        str | None, typer.Option("--combine", help="Let them vote: majority, unanimous, weighted or at_least.")
    ] = None,
    least: Annotated[int, typer.Option("--least", min=1, help="Of at_least: strategies that have to agree.")] = 2,
    threshold: Annotated[float, typer.Option("--threshold", help="Of weighted: mean vote from which on it counts.")] = 0.3,
    table: Table = "bars/1d",
    dataset: Dataset = None,
    first: First = None,
    last: Last = None,
    cash: Cash = "100000",
    weight: Weight = 1.0,
    margin: Margin = "none",
    costs: Costs = None,
    half_spread_bps: HalfSpread = 1.0,
    slippage_bps: Slippage = 1.0,
    impact_bps: Annotated[float, typer.Option("--impact-bps", help="Move of an order as large as the bar's volume.")] = 0.0,
    commission_bps: Commission = None,
    fill: Annotated[str, typer.Option("--fill", help="next_open, or same_close, which marks the result.")] = "next_open",
    rebalance: Annotated[str, typer.Option("--rebalance", help="on_change of the target, or every_bar.")] = "on_change",
    shortfall: Annotated[str, typer.Option("--shortfall", help="cut or reject an order that cannot be paid for.")] = "cut",
    volume_share: Annotated[
        float | None, typer.Option("--volume-share", help="Most of a bar's volume that an order may be.")
    ] = None,
    stop: Stop = None,
    target: Target = None,
    trailing: Trailing = None,
    benchmark: Annotated[str | None, typer.Option("--benchmark", help="Id to compare with [default: the same, held].")] = None,
    family: Family = "backtests",
    report: Annotated[Path | None, typer.Option("--report", help="Write the report to this HTML file too.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Play strategies on stored bars: fills at the next open, costs, exact cash; every run is on record as a trial."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        described = workflows.backtest_plan(
            instruments, strategy, plan=plan, combine=combine, least=least, threshold=threshold, table=table, dataset=dataset,
            first=day(first), last=day(last), cash=cash, weight=weight, margin=margin, costs=costs,
            half_spread_bps=half_spread_bps, slippage_bps=slippage_bps, impact_bps=impact_bps, commission_bps=commission_bps,
            fill=fill, rebalance=rebalance, shortfall=shortfall, volume_share=volume_share, stop=stop, target=target,
            trailing=trailing, benchmark=benchmark, family=family,
        )  # fmt: skip
        result = workflows.backtest(workspace, described, report=report, progress=progress)
    show(result, json)


@history.command("sweep")
def sweep(
    instruments: Names = None,
    strategy: Rule = "sma_cross",
    ranges: Ranges = [],  # noqa: B006  typer's own way of a repeated option
    by: Sort = "sharpe",
    top: Annotated[int, typer.Option("--top", min=1, max=1000, help="Best parameter sets to print.")] = 10,
    table: Table = "bars/1d",
    dataset: Dataset = None,
    first: First = None,
    last: Last = None,
    cash: Cash = "100000",
    weight: Weight = 1.0,
    margin: Margin = "none",
    costs: Costs = None,
    half_spread_bps: HalfSpread = 1.0,
    slippage_bps: Slippage = 1.0,
    commission_bps: Commission = None,
    stop: Stop = None,
    target: Target = None,
    trailing: Trailing = None,
    family: Family = "backtests",
    home: Home = None,
    json: Json = False,
) -> None:
    """Play a strategy with every combination of parameters, and say what is left of the best one after so many trials."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        described = workflows.backtest_plan(
            instruments, [strategy], table=table, dataset=dataset, first=day(first), last=day(last), cash=cash, weight=weight,
            margin=margin, costs=costs, half_spread_bps=half_spread_bps, slippage_bps=slippage_bps,
            commission_bps=commission_bps, stop=stop, target=target, trailing=trailing, family=family,
        )  # fmt: skip
        result = workflows.sweep(workspace, described, workflows.parameter_grid(ranges), by=by, top=top, progress=progress)
    show(result, json)


@history.command("wfo")
def wfo(
    instruments: Names = None,
    strategy: Rule = "sma_cross",
    ranges: Ranges = [],  # noqa: B006  typer's own way of a repeated option
    by: Sort = "sharpe",
    train: Annotated[int, typer.Option("--train", min=20, help="Bars on which parameters are chosen.")] = 756,
    test: Annotated[int, typer.Option("--test", min=1, help="Bars that follow, on which they are played.")] = 252,
    expanding: Annotated[bool, typer.Option("--expanding", help="Choose on all bars before, not on the last so many.")] = False,
    table: Table = "bars/1d",
    dataset: Dataset = None,
    first: First = None,
    last: Last = None,
    cash: Cash = "100000",
    weight: Weight = 1.0,
    margin: Margin = "none",
    costs: Costs = None,
    half_spread_bps: HalfSpread = 1.0,
    slippage_bps: Slippage = 1.0,
    commission_bps: Commission = None,
    stop: Stop = None,
    target: Target = None,
    trailing: Trailing = None,
    family: Family = "backtests",
    home: Home = None,
    json: Json = False,
) -> None:
    """Choose parameters on past bars and play them on those that follow, again and again: what such choices are worth."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        described = workflows.backtest_plan(
            instruments, [strategy], table=table, dataset=dataset, first=day(first), last=day(last), cash=cash, weight=weight,
            margin=margin, costs=costs, half_spread_bps=half_spread_bps, slippage_bps=slippage_bps,
            commission_bps=commission_bps, stop=stop, target=target, trailing=trailing, family=family,
        )  # fmt: skip
        result = workflows.optimise_walk_forward(
            workspace, described, workflows.parameter_grid(ranges), by=by, train=train, test=test, expanding=expanding,
            progress=progress,
        )  # fmt: skip
    show(result, json)


@history.command("compare")
def compare(
    run_a: Annotated[str, typer.Argument(help="Id of a run, its first digits, its folder, latest or previous.")],
    run_b: Annotated[str, typer.Argument(help="The run to put beside it.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Put two runs side by side: settings that differ, figures, and where their fills part and why."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.compare(workspace, run_a, run_b)
    show(result, json)
