"""What happens to a run's account by itself, read as the plan says: rates of currencies, financing, dividends and splits.

What the plan states counts as stated; what it names is read from the store, as far as nothing is sealed; what neither has is not
made up. A run in several currencies without a rate is refused, and one without borrow or funding rates says that none are paid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl

from fieldcast.data import load_instrument
from fieldcast.data.fx_rates import pair_of
from fieldcast.ground import ConfigError
from fieldcast.market import Instrument
from fieldcast.simulation.currencies import ConversionCosts, DatedRates
from fieldcast.simulation.derivatives import OptionTerms
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market
from fieldcast.workflows.backtest_currencies import Purse, conversions_of, purse_of, rates_of
from fieldcast.workflows.backtest_financing import (
    SHARES,
    borrow_of,
    borrow_terms_of,
    funding_of,
    interest_of,
    is_perpetual,
)
from fieldcast.workflows.backtest_futures import Rolled
from fieldcast.workflows.backtest_money import FxPart
from fieldcast.workflows.backtest_settings import BacktestPlan
from fieldcast.workflows.workspace import Workspace


@dataclass(frozen=True)
class Happenings:
    """The events of a run, and what a reader has to know of them; `fx` where there are several currencies."""

    events: EventTable | None
    fx: DatedRates | None
    warnings: tuple[str, ...]


def happenings(
    workspace: Workspace,
    plan: BacktestPlan,
    market: Market,
    actions: pl.DataFrame,
    roots: Sequence[Rolled] = (),
    options: Sequence[OptionTerms] = (),
    *,
    until: datetime | None,
    asked_by: str | None = None,
) -> Happenings:
    """Everything that happens to the account by itself.

    Parameters
    ----------
    actions : splits and dividends to book
    roots : of futures, whose contracts settle, roll and expire
    options : which expire, are exercised and assigned
    until : nothing that became known later is read
    asked_by : hash of the plan that seals of rates have to be open for; None = `plan`'s own

    Raises
    ------
    MissingData : a rate that is needed is not there, or was not known in time; the message says which
    ConflictError : two stored pairs for the same currencies, and the plan names none
    ConfigError : conversions or interest of a currency that is none of the run's, or rates of an instrument that pays none
    """
    purse = purse_of(plan, market.instruments)
    said: list[str] = []
    several = len(purse.currencies) > 1
    fx = rates_of(workspace, plan, purse, market, until, asked_by=asked_by) if several else None
    if fx is not None:
        said += _rates_used(workspace, plan.fx, purse)
    _refuse_funded_roots(plan, roots)
    heads = _heads(plan, market, roots)
    _refuse_idle(plan, purse, heads, said)
    conversions = conversions_of(plan.fx, purse, heads, market, said) if several else ()
    own = [part.margin for part in plan.instruments.values() if part.margin is not None]
    if several and plan.account.margin == "none" and len(own) < len(plan.data.instruments):
        becomes = "is cut to it" if plan.fills.shortfall == "cut" else "is refused"
        said.append(f"without margin an order beyond the cash in its own currency {becomes}; fx.conversions moves more")
    borrow = borrow_of(workspace, plan, market, until, said)
    cash_rates, terms = interest_of(workspace, plan, purse, market, until, said)
    funding = funding_of(workspace, plan, market, until, said)
    costs = ConversionCosts(plan.fx.half_spread_bps, plan.fx.commission_bps, plan.fx.minimum_commission)
    made = events_of(
        market,
        purse.base,
        currencies=tuple(purse.cash),
        actions=actions if actions.height else None,
        withholding=_withholding(plan, market),
        regulatory=plan.costs.regulatory == "by_date",
        borrow=borrow,
        borrow_terms=borrow_terms_of(market),
        rates=cash_rates,
        interest_terms=terms,
        funding=funding,
        contracts=[*(term for root in roots for term in root.terms), *options],
        rolls=[change for root in roots for change in root.changes],
        fx=fx,
        conversions=conversions,
        conversion_costs=costs,
    )
    return Happenings(made if len(made) else None, fx, tuple(said))


def _heads(plan: BacktestPlan, market: Market, roots: Sequence[Rolled]) -> dict[str, Instrument]:
    """The plan's instruments by id, each once: of a root of futures its last contract stands for all, of a chain on one none."""
    played = {one.id: one for one in market.instruments}
    last = {root.head.id: root.instruments[-1] for root in roots}
    return {name: last[name] if name in last else played[name] for name in plan.data.instruments}


def _rates_used(workspace: Workspace, part: FxPart, purse: Purse) -> list[str]:
    """What is said of the stated rates of a run in several currencies, and of pairs and rates that join none of them."""
    joined, said = {*purse.currencies, part.pivot}, []
    idle = f"changes nothing: the run is in {', '.join(purse.currencies)}"
    for name, rate in part.stated.items():
        one, other = name.split("/")
        used = {one, other} <= joined
        said.append(f"1 {one} is taken for {rate} {other} throughout, as the plan states" if used else f"fx.stated {name} {idle}")
    pairs = [load_instrument(workspace.ledger, name) for name in part.pairs]
    return said + [f"fx.pairs {pair.id} {idle}" for pair in pairs if not set(pair_of(pair)) <= joined]


def _refuse_funded_roots(plan: BacktestPlan, roots: Sequence[Rolled]) -> None:
    """Refuse what is of perpetual futures and stated of a root, whose contracts all have a last day."""
    for root in roots:
        part = plan.instruments.get(root.head.id)
        given = [key for key in ("perpetual", "funding") if part is not None and getattr(part, key) is not None]
        if given:
            raise ConfigError(
                f"instruments.{root.head.id}: expected perpetual and funding of a future without a last day, found "
                f"{', '.join(given)} of a root of futures; leave it out"
            )


def _refuse_idle(plan: BacktestPlan, purse: Purse, heads: Mapping[str, Instrument], said: list[str]) -> None:
    """Refuse, or name, what the plan asks for and nothing of this run can have."""
    for name, part in plan.instruments.items():
        one = heads[name]
        given = {key for key in ("borrow", "funding", "withholding") if getattr(part, key) is not None}
        funded = {"funding"} if is_perpetual(one, part) else set()
        idle = sorted(given - ({"borrow", "withholding"} if one.kind in SHARES else funded))
        if idle:
            raise ConfigError(
                f"instruments.{name}: expected borrow and withholding of shares, and funding of perpetual futures (kind future, "
                f"a symbol that ends in PERP or SWAP, or perpetual = true), found {', '.join(idle)} of kind {one.kind}; leave it "
                "out"
            )
    if plan.financing.borrow is not None and not any(one.kind in SHARES for one in heads.values()):
        said.append("financing.borrow charges nothing: it is of shares sold short, and none are played")
    if plan.financing.withholding and not any(one.kind in SHARES for one in heads.values()):
        said.append("financing.withholding takes nothing: it is of dividends of shares, and none are played")
    if plan.costs.regulatory == "by_date" and not any(one.kind in SHARES and one.currency == "USD" for one in heads.values()):
        said.append("costs.regulatory takes nothing: it is of sales of US shares, and none are played")
    if len(purse.currencies) == 1 and plan.fx != FxPart():
        if plan.fx.conversions:
            raise ConfigError(
                f"fx.conversions: expected a run in several currencies, found {purse.base} alone; give cash in the others: "
                f"[account] cash = {{ {plan.fx.conversions[0].sold} = 1000, {plan.fx.conversions[0].bought} = 0 }}"
            )
        said.append(f"[fx] changes nothing: everything is in {purse.base}")


def _withholding(plan: BacktestPlan, market: Market) -> dict[str, Decimal]:
    own = {name: part.withholding for name, part in plan.instruments.items() if part.withholding is not None}
    shares = [one.id for one in market.instruments if one.kind in SHARES]
    return {name: share for name in shares if (share := own.get(name, plan.financing.withholding))}
