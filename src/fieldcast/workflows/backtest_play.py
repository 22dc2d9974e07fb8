"""A plan on the simulated venue: its account, costs and fills as the venue's settings, its events, and one call."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldcast.ground import ConfigError, Reason
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.events import events_of
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.strategy import UserStrategy
from fieldcast.trading import CostModel
from fieldcast.trading.costs import fee_schedule
from fieldcast.workflows.backtest_data import BacktestData
from fieldcast.workflows.backtest_settings import BacktestPlan

Array = npt.NDArray[np.float64]
REGULATION_T = Margin(Decimal("0.5"), Decimal("0.25"))
SAME_CLOSE = "fills at the close that decisions were made on: nobody can trade at that price, and this result is no evidence"


def venue_settings(plan: BacktestPlan, data: BacktestData) -> VenueSettings:
    """The venue's settings.

    Raises
    ------
    MissingData : no fees are known by the preset's name
    ConfigError : a weight above 1 in an account that borrows nothing, or instruments of several currencies
    """
    account, fills = plan.account, plan.fills
    margined = account.margin == "reg_t"
    if account.weight > 1 and not margined:
        raise ConfigError(f"expected a weight of at most 1 without margin, found {account.weight}; use margin = reg_t")
    found = sorted({one.currency for one in data.instruments} | ({account.currency} if account.currency else set()))
    if len(found) > 1:
        raise ConfigError(f"expected instruments and an account in one currency, found {', '.join(found)}; run one at a time")
    return VenueSettings(
        cash={found[0]: account.cash},
        costs=cost_model(plan),
        fill=fills.convention,      # type: ignore[arg-type]
        intrabar=fills.intrabar,    # type: ignore[arg-type]
        shortfall=fills.shortfall,  # type: ignore[arg-type]
        volume_share=None if fills.volume_share is None else Decimal(str(fills.volume_share)),
        shorts=margined,
        margin=REGULATION_T if margined else Margin(),
    )


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


def events_for(data: BacktestData) -> EventTable | None:
    """Splits and dividends of the run; None where there are none."""
    return events_of(data.market, actions=data.actions) if data.actions.height else None


def play_targets(data: BacktestData, plan: BacktestPlan, targets: Array) -> SimulationResult:
    """Hold the targets, shared out among the instruments.

    Parameters
    ----------
    targets : (N, T), 1 = the instrument's whole share of the account

    Raises
    ------
    StrategyError : a target that is not finite
    """
    share = plan.account.weight / len(data.instruments)
    settings, events, rebalance = venue_settings(plan, data), events_for(data), plan.fills.rebalance
    if plan.exits.any:
        from fieldcast.workflows.backtest_exits import play_with_exits

        return marked(play_with_exits(data.market, targets * share, settings, plan.exits, events=events), data)
    return marked(run_targets(targets * share, data.market, settings, rebalance=rebalance, events=events), data)


def play_events(data: BacktestData, plan: BacktestPlan, code: UserStrategy) -> SimulationResult:
    """Let a user's class place its own orders.

    Raises
    ------
    StrategyError : it raises; the bar is named
    """
    from fieldcast.simulation.events_run import run_events

    if plan.exits.any:
        raise ConfigError(f"expected no exits in a plan with {code.path.name}, which places its own orders, found some")
    return marked(run_events(code.make(), data.market, venue_settings(plan, data), events=events_for(data)), data)


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
