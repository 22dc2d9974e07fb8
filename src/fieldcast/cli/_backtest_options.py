"""The options that every verb on history takes alike, written once: which bars, what account, what costs, which exits."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from fieldcast.cli._common import day

RUN = "run"     # the parameter of a verb that receives them
Ranges = Annotated[list[str], typer.Option("--range", help="NAME=LOW:HIGH:STEP or NAME=A,B,C of a parameter; repeat it.")]
Rule = Annotated[
    str | None,
    typer.Option("--strategy", help="NAME or NAME:key=value,… of the catalogue, or FILE.py:key=value,… [default: sma_cross]."),
]


def run_options(
    instruments: Annotated[list[str] | None, typer.Argument(help="Ids of stored instruments, such as ARCX:SPY.")] = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="TOML file of the whole run, instead of options.")] = None,
    table: Annotated[str, typer.Option("--table", help="Table of the bars, such as bars/1d or bars/1m.")] = "bars/1d",
    dataset: Annotated[str | None, typer.Option("--dataset", help="Where the bars stand in several datasets.")] = None,
    first: Annotated[str | None, typer.Option("--first", help="First date of the run, such as 2005-01-03.")] = None,
    last: Annotated[str | None, typer.Option("--last", help="Last date of the run.")] = None,
    cash: Annotated[str, typer.Option("--cash", help="Paid in at the start: an amount, or EUR=60000,USD=10000.")] = "100000",
    weight: Annotated[float, typer.Option("--weight", help="Share of equity that a target of 1 is worth.")] = 1.0,
    margin: Annotated[str, typer.Option("--margin", help="none (no shorts, no debt) or reg_t.")] = "none",
    costs: Annotated[str | None, typer.Option("--costs", help="Fees by a venue's preset, such as ibkr_fixed.")] = None,
    half_spread_bps: Annotated[
        float, typer.Option("--half-spread-bps", help="Half the spread, in basis points of the print.")
    ] = 1.0,
    slippage_bps: Annotated[float, typer.Option("--slippage-bps", help="Slippage, in basis points of the print.")] = 1.0,
    commission_bps: Annotated[
        float | None, typer.Option("--commission-bps", help="Commission, in basis points of the value [default: 0.5].")
    ] = None,
    intrabar: Annotated[
        str | None, typer.Option("--intrabar", help="Path inside a bar: worst, or ohlc (open, high, low, close); default worst.")
    ] = None,
    stop: Annotated[float | None, typer.Option("--stop", help="Stop, as a share of the price at the decision.")] = None,
    target: Annotated[
        float | None, typer.Option("--target", help="Profit target, as a share of the price at the decision.")
    ] = None,
    trailing: Annotated[float | None, typer.Option("--trailing", help="Trailing stop, as a share of the best price.")] = None,
    family: Annotated[str, typer.Option("--family", help="Family of trials that the run counts among.")] = "backtests",
) -> dict[str, Any]:
    """The options as `workflows.backtest_plan` takes them."""
    return dict(locals()) | {"first": day(first), "last": day(last)}


def one_rule(strategy: str | None, run: dict[str, Any]) -> list[str] | None:
    """The strategy of a verb that plays one: the file's own where there is a plan."""
    if strategy is None and run["plan"] is not None:
        return None
    return [strategy or "sma_cross"]


def with_run_options(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with these options before its own; it receives them as one mapping, its parameter `run`."""
    shared = inspect.signature(run_options).parameters
    own = [one for name, one in inspect.signature(verb).parameters.items() if name != RUN]

    @functools.wraps(verb)
    def called(**given: Any) -> None:
        verb(run_options(**{name: given.pop(name) for name in shared}), **given)

    hints = get_type_hints(run_options, include_extras=True) | get_type_hints(verb, include_extras=True)
    parameters = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[one.name]) for one in (*shared.values(), *own)
    ]
    called.__signature__ = inspect.Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called
