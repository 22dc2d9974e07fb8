"""The verbs that play strategies on history: one run, a sweep, a walk-forward optimisation, a comparison.

What `backtest`, `sweep` and `wfo` take alike (bars, account, costs, exits) stands once, in `_backtest_options`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fieldcast.cli._backtest_options import Ranges, Rule, one_rule, with_run_options
from fieldcast.cli._common import Home, Json, day, open_home, show

history = typer.Typer()  # merged into the program itself


@history.command("backtest")
@with_run_options
def backtest(
    run: dict[str, Any],
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", help="NAME or NAME:key=value,… of the catalogue, or FILE.py:key=value,…; repeat it."),
    ] = None,
    combine: Annotated[
        str | None, typer.Option("--combine", help="Let them vote: majority, unanimous, weighted or at_least.")
    ] = None,
    least: Annotated[int, typer.Option("--least", min=1, help="Of at_least: strategies that have to agree.")] = 2,
    threshold: Annotated[float, typer.Option("--threshold", help="Of weighted: mean vote from which on it counts.")] = 0.3,
    currency: Annotated[str | None, typer.Option("--currency", help="Of the account [default: the instruments' own].")] = None,
    borrow: Annotated[str | None, typer.Option("--borrow", help="Rate a year of shares sold short, such as 0.01.")] = None,
    impact_bps: Annotated[float, typer.Option("--impact-bps", help="Move of an order as large as the bar's volume.")] = 0.0,
    fill: Annotated[str, typer.Option("--fill", help="next_open, or same_close, which marks the result.")] = "next_open",
    rebalance: Annotated[str, typer.Option("--rebalance", help="on_change of the target, or every_bar.")] = "on_change",
    shortfall: Annotated[str, typer.Option("--shortfall", help="cut or reject an order that cannot be paid for.")] = "cut",
    volume_share: Annotated[
        float | None, typer.Option("--volume-share", help="Most of a bar's volume that an order may be.")
    ] = None,
    latency: Annotated[float, typer.Option("--latency", help="Seconds from an order to its being at the venue.")] = 0.0,
    finer: Annotated[str | None, typer.Option("--finer", help="Table of the bars inside those played, such as bars/1h.")] = None,
    benchmark: Annotated[str | None, typer.Option("--benchmark", help="Id to compare with [default: the same, held].")] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Put each run to the economic gate; ends with 1 or 4.")] = False,
    gate_from: Annotated[str | None, typer.Option("--gate-from", help="First date that the gate judges.")] = None,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="End with 0 whatever the gate says.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write the report to this HTML file too.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Play strategies on stored bars: fills at the next open, costs, exact cash; every run is on record as a trial."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        described = workflows.backtest_plan(
            strategies=strategy, combine=combine, least=least, threshold=threshold, currency=currency, borrow=borrow,
            impact_bps=impact_bps, fill=fill, rebalance=rebalance, shortfall=shortfall, volume_share=volume_share,
            latency=latency, finer=finer, benchmark=benchmark, **run,
        )  # fmt: skip
        result = workflows.backtest(
            workspace, described, report=report, gate=gate, gate_from=day(gate_from), progress=progress
        )
    show(result, json)
    if result.exit_code and not exit_zero:
        raise typer.Exit(result.exit_code)


@history.command("sweep")
@with_run_options
def sweep(
    run: dict[str, Any],
    strategy: Rule = None,
    ranges: Ranges = [],  # noqa: B006  typer's own way of a repeated option
    by: Annotated[
        str, typer.Option("--by", help="Figure by which sets are ranked: sharpe, sortino, total_return, max_drawdown, win_rate.")
    ] = "sharpe",
    top: Annotated[int, typer.Option("--top", min=1, max=1000, help="Best parameter sets to print.")] = 10,
    home: Home = None,
    json: Json = False,
) -> None:
    """Play a strategy with every combination of parameters, and say what is left of the best one after so many trials."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        described = workflows.backtest_plan(strategies=one_rule(strategy, run), **run)
        result = workflows.sweep(workspace, described, workflows.parameter_grid(ranges), by=by, top=top, progress=progress)
    show(result, json)


@history.command("wfo")
@with_run_options
def wfo(
    run: dict[str, Any],
    strategy: Rule = None,
    ranges: Ranges = [],  # noqa: B006  typer's own way of a repeated option
    by: Annotated[
        str, typer.Option("--by", help="Figure by which sets are chosen: sharpe, sortino, total_return, return_over_drawdown.")
    ] = "sharpe",
    train: Annotated[int, typer.Option("--train", min=20, help="Bars on which parameters are chosen.")] = 756,
    test: Annotated[int, typer.Option("--test", min=1, help="Bars that follow, on which they are played.")] = 252,
    expanding: Annotated[bool, typer.Option("--expanding", help="Choose on all bars before, not on the last so many.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Choose parameters on past bars and play them on those that follow, again and again: what such choices are worth."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        described = workflows.backtest_plan(strategies=one_rule(strategy, run), **run)
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
