"""A plan on the simulated venue: its account, costs and fills as the venue's settings, its events, and one call."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.ground import ConfigError, Reason
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.strategy import UserStrategy
from fieldcast.trading import CostModel
from fieldcast.trading.costs import fee_schedule, refuse_unsuited
from fieldcast.workflows.backtest_data import BacktestData
from fieldcast.workflows.backtest_financing import lent_for_nothing, shorts_allowed, under_options_alone
from fieldcast.workflows.backtest_settings import BacktestPlan
from fieldcast.workflows.backtest_sizing import Sizer

Array = npt.NDArray[np.float64]
REGULATION_T = Margin(Decimal("0.5"), Decimal("0.25"))
SAME_CLOSE = "fills at the close that decisions were made on: nobody can trade at that price, and this result is no evidence"


def venue_settings(plan: BacktestPlan, data: BacktestData) -> VenueSettings:
    """The venue's settings.

    Raises
    ------
    MissingData : no fees are known by the preset's name
    ConfigError : a weight above 1 in an account that borrows nothing, or a preset that is not for what it would be charged of
    """
    _refuse_unsuited_fees(plan, data)
    account, fills, purse = plan.account, plan.fills, data.purse
    parts = {one.id: plan.instruments.get(data.roots.get(one.id, one.id)) for one in data.instruments}
    margins = {name: part.margin.terms() for name, part in parts.items() if part is not None and part.margin is not None}
    margin = account_margin(plan)
    if account.weight > 1 and margin.initial == 1 and any(one.id not in margins for one in data.instruments):
        raise ConfigError(f"expected a weight of at most 1 without margin, found {account.weight}; use margin = reg_t")
    return VenueSettings(
        cash=purse.cash,
        base=purse.base,
        costs=cost_model(plan),
        fill=fills.convention,          # type: ignore[arg-type]
        intrabar=fills.intrabar,        # type: ignore[arg-type]
        shortfall=fills.shortfall,      # type: ignore[arg-type]
        untrusted_open=fills.untrusted_open,    # type: ignore[arg-type]
        limit_touch=fills.limit_touch,
        volume_share=None if fills.volume_share is None else Decimal(str(fills.volume_share)),
        latency_us=int(fills.latency * 1_000_000),
        shorts=shorts_allowed(plan),
        margin=margin,
        margins=margins,
        pattern_day_trader=account.pdt,
        pattern_equity=account.pdt_equity,
        options=() if data.chain is None else data.chain.terms,
        option_fees=None if plan.options is None or plan.options.preset is None else fee_schedule(plan.options.preset),
    )


def _refuse_unsuited_fees(plan: BacktestPlan, data: BacktestData) -> None:
    """Refuse a preset of fees that is for another kind of instrument, or for another currency, than what pays it."""
    options, chain = plan.options, data.chain
    contracts = () if chain is None else chain.instruments
    ids = {one.id for one in contracts}
    alone = chain.underlying if chain is not None and not chain.part.shares else None     # nothing of it is traded
    if plan.costs.preset is not None:
        fees = fee_schedule(plan.costs.preset)
        for one in data.instruments:
            if one.id not in ids and one.id != alone:
                refuse_unsuited(fees, one, key="costs.preset")
    if chain is None or options is None:
        return
    under = next(one for one in data.instruments if one.id == chain.underlying)
    name, key = (plan.costs.preset, "costs.preset") if options.preset is None else (options.preset, "options.preset")
    for one in contracts if name is not None else ():
        refuse_unsuited(fee_schedule(str(name)), one, key=key, underlying=under)


def account_margin(plan: BacktestPlan) -> Margin:
    """What positions need that have no margin of their own."""
    margin = plan.account.margin
    if isinstance(margin, str):
        return REGULATION_T if margin == "reg_t" else Margin()
    return margin.terms()


def cost_model(plan: BacktestPlan) -> CostModel:
    """The plan's costs as the venue takes them."""
    costs = plan.costs
    return CostModel(
        half_spread_bps=costs.half_spread_bps,
        slippage_bps=costs.slippage_bps,
        impact_bps=costs.impact_bps,
        commission_bps=costs.commission_bps,
        minimum_commission=costs.minimum_commission,
        fees=None if costs.preset is None else fee_schedule(costs.preset),
    )


def play_targets(data: BacktestData, plan: BacktestPlan, targets: Array) -> SimulationResult:
    """Hold the targets, shared out among the instruments.

    Parameters
    ----------
    targets : (heads, T), 1 = the instrument's whole share of the account

    Raises
    ------
    StrategyError : a target that is not finite
    """
    wanted = data.held(targets * (plan.account.weight / len(data.heads)))
    settings, events, rebalance = venue_settings(plan, data), data.events, plan.fills.rebalance
    if data.chain is not None:
        from fieldcast.workflows.backtest_chain_play import play_chain

        found = play_chain(data, data.chain, wanted, settings, every_bar=rebalance == "every_bar")
        return marked(replace(found, warnings=(*found.warnings, *_left_short(plan, data.chain.underlying, found))), data)
    if plan.exits.any or plan.sizing is not None:
        from fieldcast.workflows.backtest_exits import play_with_exits

        sizer = _sizer(plan, data)
        found = play_with_exits(data.market, wanted, settings, plan.exits, events=events, sizer=sizer)
        words = () if sizer is None or not sizer.bound else (sizer.words,)
        return marked(replace(found, warnings=(*found.warnings, *words)), data)
    return marked(run_targets(wanted, data.market, settings, rebalance=rebalance, events=events), data)


def _left_short(plan: BacktestPlan, underlying: str, result: SimulationResult) -> list[str]:
    """What is said where options alone were played, left shares short, and no borrow rate is stated."""
    own = plan.instruments.get(underlying)
    stated = plan.financing.borrow is not None or (own is not None and own.borrow is not None)
    if stated or not under_options_alone(plan, underlying):
        return []
    fills = result.fills.filter(pl.col("instrument") == underlying)
    signed = pl.when(pl.col("side") == "BUY").then(pl.col("lots")).otherwise(-pl.col("lots"))
    held = fills.select(signed.cum_sum()).to_series()
    return [lent_for_nothing(underlying)] if (held < 0).any() else []


def _sizer(plan: BacktestPlan, data: BacktestData) -> Sizer | None:
    if plan.sizing is None:
        return None
    from fieldcast.workflows.backtest_fast import bars_per_year

    stop = plan.exits.stop or plan.exits.trailing
    return Sizer.of(plan.sizing, data, stop=stop, target=plan.exits.target, year=bars_per_year(plan, data))


def play_events(data: BacktestData, plan: BacktestPlan, code: UserStrategy) -> SimulationResult:
    """Let a user's class place its own orders.

    Raises
    ------
    StrategyError : it raises; the bar is named
    """
    from fieldcast.simulation.events_run import run_events

    if plan.exits.any or plan.sizing is not None or plan.options is not None:
        raise ConfigError(
            f"expected no exits, no sizing and no options in a plan with {code.path.name}, which places its own orders, found "
            "some"
        )
    return marked(run_events(code.make(), data.market, venue_settings(plan, data), events=data.events), data)


def marked(result: Any, data: BacktestData) -> SimulationResult:
    """The result with everything that a reader has to know of its data and fills."""
    said = (*data.warnings, *result.warnings, *((SAME_CLOSE,) if result.fill_convention == "same_close" else ()))
    found: SimulationResult = replace(result, warnings=tuple(dict.fromkeys(said)))
    return found


def with_refusals(result: SimulationResult, title: str) -> SimulationResult:
    """The result, saying how many orders of the strategy were refused and why, where any were."""
    refused = result.rejections
    if refused.is_empty():
        return result
    meanings = {str(reason): reason.meaning for reason in Reason}
    counts = Counter(refused["reasons"].to_list()).most_common()
    why = "; ".join(f"{meanings.get(code, 'no reason on record')} ({count:,})" for code, count in counts)
    orders = "1 order of {} was" if refused.height == 1 else f"{refused.height:,} orders of {{}} were"
    return replace(result, warnings=(*result.warnings, f"{orders.format(title)} refused: {why}"))
