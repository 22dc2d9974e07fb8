"""The verb that says what a trade idea would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fieldcast.cli._common import AsOf, Home, Json, moment, open_home, show

if TYPE_CHECKING:
    from decimal import Decimal

ideas = typer.Typer(rich_markup_mode=None)


@ideas.command()
def idea(
    instrument: Annotated[str, typer.Argument(help="Instrument id, such as ARCX:SPY.")],
    direction: Annotated[str, typer.Option("--direction", help="long or short.")],
    nav: Annotated[str, typer.Option("--nav", help="Net asset value of the portfolio, in the instrument's currency.")],
    stop_ranges: Annotated[str, typer.Option("--stop-ranges", help="Average true ranges to the stop.")] = "1.5",
    reward_risk: Annotated[str, typer.Option("--reward-risk", help="Distance of the target over that of the stop.")] = "2",
    risk: Annotated[str, typer.Option("--risk", help="Share of NAV that may be lost at the stop.")] = "0.01",
    cap: Annotated[str, typer.Option("--cap", help="Largest share of NAV.")] = "0.10",
    fees: Annotated[str | None, typer.Option("--fees", help="Fees of a venue, such as ibkr_fixed or alpaca.")] = None,
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="Sessions until it is left anyway.")] = 20,
    paths: Annotated[int, typer.Option("--paths", min=100, help="Paths of the Monte Carlo.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the Monte Carlo.")] = 0,
    as_of: AsOf = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Say what an idea would be: entry, stop, target, size, costs, what forbids it, and its odds without a forecast."""
    from fieldcast import workflows

    with open_home(home) as workspace:
        result = workflows.make_idea(
            workspace,
            instrument,
            direction,
            nav=_number(nav, "--nav"),
            as_of=moment(as_of),
            stop_ranges=_number(stop_ranges, "--stop-ranges"),
            reward_risk=_number(reward_risk, "--reward-risk"),
            risk_share=_number(risk, "--risk"),
            cap_share=_number(cap, "--cap"),
            fees=fees,
            sessions=sessions,
            paths=paths,
            seed=seed,
        )
    show(result, json)


def _number(text: str, option: str) -> Decimal:
    from decimal import Decimal, InvalidOperation

    from fieldcast.ground import InvalidInput

    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise InvalidInput(f"expected a number for {option}, found {text!r}")
    return value
