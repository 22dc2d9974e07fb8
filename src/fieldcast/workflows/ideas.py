"""A trade idea out of the store: levels from the fields, size from the rules, costs from the model, odds from the past.

    reference       the newest close known
    stop distance   a number of average true ranges (`regime.atr_percent`)
    size            the smallest of: what may be lost at the stop, volatility target, cap
    costs           measured profiles where there are any for the hours of the next open, else the model's assumption; it says
                    which
    odds            Monte Carlo on the instrument's own daily returns (splits and dividends applied), drawn again without drift:
                    no forecast is in them

Which side to take is the caller's: this says what the idea would be, not that it is good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from fieldcast.data import read_adjusted
from fieldcast.fields.vocabulary import ElasticityRegime, LiquidityRegime, SentimentRegime
from fieldcast.ground import InvalidInput, MissingData, Shown
from fieldcast.market import Instrument, next_session
from fieldcast.market.sessions import sessions_per_year
from fieldcast.strategy import (
    Bootstrap,
    Cap,
    Holding,
    IdeaLimits,
    MarketState,
    MonteCarlo,
    RiskShare,
    RuledSize,
    TradeIdea,
    VolatilityTarget,
    simulate_idea,
    smallest_size,
    trade_idea,
)
from fieldcast.trading import CostModel, Side, fee_schedule, price_from_bar
from fieldcast.trading.costs import ExecutionCosts, Unmeasured, bucket_of, impact_coefficient_bps
from fieldcast.trading.costs.files import read_costs
from fieldcast.workflows.execution_costs import costs_folder
from fieldcast.workflows.fields import read_fields
from fieldcast.workflows.workspace import Workspace

RETURNS = 1000  # daily returns that odds are drawn from
VOLUME_SESSIONS = 20
SIDES = {"long": Side.BUY, "short": Side.SELL}
MEASURED, ASSUMED = "measured", "assumed"


@dataclass(frozen=True)
class IdeaMade(Shown):
    """An idea and what it rests on.

    Parameters
    ----------
    idea : levels, costs, errors and warnings
    size : what each rule allowed
    odds : Monte Carlo over `sessions`; None where the idea has no levels or costs
    sigma_annual : of the daily returns
    costs_from : `measured` where spread and slippage of the hours of the next open were, else `assumed`
    fields_hash : of the field map that the levels come from
    """

    idea: TradeIdea
    size: RuledSize
    odds: MonteCarlo | None
    sessions: int
    returns: int
    sigma_annual: float
    costs_from: str
    fields_hash: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "idea": self.idea.as_dict(),
            "size": {
                "quantity": self.size.quantity,
                "reasons": [str(code) for code in self.size.reasons],
                "limits": {name: round(float(units), 8) for name, units in self.size.limits.items()},
            },
            "odds": None if self.odds is None else self.odds.as_dict(),
            "sessions": self.sessions,
            "returns": self.returns,
            "sigma_annual": self.sigma_annual,
            "costs_from": self.costs_from,
            "fields_hash": self.fields_hash,
        }


def make_idea(
    workspace: Workspace,
    instrument: str,
    direction: str,
    *,
    nav: Decimal,
    as_of: datetime | None = None,
    stop_ranges: Decimal = Decimal("1.5"),
    reward_risk: Decimal = Decimal(2),
    risk_share: Decimal = Decimal("0.01"),
    target_volatility: Decimal = Decimal("0.15"),
    cap_share: Decimal = Decimal("0.10"),
    fees: str | None = None,
    sessions: int = 20,
    paths: int = 10_000,
    seed: int = 0,
) -> IdeaMade:
    """What an idea in that direction would be at a moment.

    Parameters
    ----------
    direction : `long` or `short`
    nav : of the portfolio, in the instrument's currency
    as_of : None = the newest moment at which a decision on its daily bars is made
    stop_ranges : average true ranges to the stop
    reward_risk : of the target to the stop
    risk_share, target_volatility, cap_share : of the sizing rules
    fees : a preset of `fee_schedule`; None = the model's commission
    sessions, paths, seed : of the Monte Carlo

    Raises
    ------
    MissingData : no bars are known then, or too few for a range (300 sessions); there is no such preset
    InvalidInput : a parameter is out of its range
    """
    if direction not in SIDES:
        raise InvalidInput(f"expected a direction out of {', '.join(SIDES)}, found {direction!r}")
    if stop_ranges <= 0 or sessions < 1:
        raise InvalidInput(f"expected stop_ranges above 0 and at least 1 session, found {stop_ranges} and {sessions}")
    found = read_fields(workspace, instrument, as_of=as_of)
    known, described = found.map, found.instrument
    atr = known.regime.get("atr_percent")
    if atr is None:
        reason = known.reasons.get("regime.atr_percent")
        raise MissingData(f"expected an average true range of {instrument} at {known.as_of.isoformat()}, found none ({reason})")
    closes = read_adjusted(workspace.store, instrument, "total", as_of=known.as_of, assume_none=True)["close"].to_numpy()
    if not (closes > 0).all():
        raise InvalidInput(f"expected closes above 0 of {instrument}, found {closes.min()}: it has no returns")
    returns = np.diff(np.log(closes))[-RETURNS:]
    daily = float(returns.std(ddof=1))
    sigma_annual = daily * sessions_per_year(described.calendar) ** 0.5
    volume = found.bars["volume"].tail(VOLUME_SESSIONS)
    traded = None if volume.null_count() or described.notional else volume.mean()
    opens = next_session(described.calendar, known.ts.date())["open"]
    assert isinstance(opens, datetime)
    measured = _measured(read_costs(costs_folder(workspace)), described, opens)
    model = CostModel(
        impact_bps=Decimal(0) if traded is None else Decimal(repr(round(float(impact_coefficient_bps(daily)), 6))),
        fees=None if fees is None else fee_schedule(fees),
        measured=measured,
        unmeasured=Unmeasured.CONSTANTS,
    )
    reference = price_from_bar(known.close)
    distance = price_from_bar(float(stop_ranges) * atr / 100.0 * known.close)
    rules = (RiskShare(distance, risk_share), VolatilityTarget(sigma_annual, target_volatility), Cap(cap_share))
    size = smallest_size(Holding(nav, reference, described.multiplier, described.lot), rules)
    idea = trade_idea(
        described, SIDES[direction], as_of=known.as_of, reference=reference, stop_distance=distance, quantity=size.quantity,
        nav=nav, costs=model, reward_risk=reward_risk, at=opens, volume=float("nan") if traded is None else float(str(traded)),
        state=_state(known.labels), limits=IdeaLimits(nav_share=cap_share),
    )  # fmt: skip
    odds = None
    if idea.costs is not None and min(idea.stop, idea.target) > 0:
        odds = simulate_idea(idea, steps=sessions, innovations=Bootstrap(returns), seed=seed, paths=paths)
    return IdeaMade(
        idea, size, odds, sessions, int(returns.size), sigma_annual, ASSUMED if measured is None else MEASURED, known.hash
    )


def _measured(costs: ExecutionCosts | None, instrument: Instrument, at: datetime) -> ExecutionCosts | None:
    """The calibration, where it knows spread and slippage of the instrument at those hours."""
    if costs is None:
        return None
    profile = costs.get(instrument.id, bucket_of(instrument.calendar, at))
    return None if profile.spread is None or profile.slippage is None else costs


def _state(labels: Any) -> MarketState:
    """The words of the map that an idea's errors and warnings are about."""
    liquidity, elasticity, sentiment = (
        labels.get(name) for name in ("liquidity.book_regime", "elasticity.elasticity_regime", "sentiment.mood")
    )
    return MarketState(
        None if liquidity is None else LiquidityRegime(liquidity),
        None if elasticity is None else ElasticityRegime(elasticity),
        None if sentiment is None else SentimentRegime(sentiment),
    )
