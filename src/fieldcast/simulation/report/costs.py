"""What trading cost, by kind, and what holding brought or took.

    before costs = profit of the run + spread + slippage + impact + commissions - financing - exchange

Amounts in other currencies count at the rate of their moment (`base_currency`); exchange is what rates did to balances. Spread,
slippage and impact are the difference between each fill's price and the bare print that it was made at; they are inside the
profit of the trades. Financing is everything that an account earns or pays for holding: dividends, interest, borrow, funding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from fieldcast.ground import MissingData, Reason
from fieldcast.simulation.report.base_currency import exchange, fill_rates, posted_in_base
from fieldcast.simulation.report.figures import Figure
from fieldcast.simulation.result import SimulationResult

FINANCING = ("dividends", "interest", "borrow", "funding", "tax", "conversion", "corporate")


@dataclass(frozen=True)
class CostBreakdown:
    """Amounts in the base currency; costs are at least 0, financing is signed as it moves the account.

    `financing` by account of the journal; `commissions` of fills, `other_fees` of what was no fill (exercise, conversion);
    `exchange` of a run in several currencies alone.
    """

    profit: float
    before_costs: float
    spread: float
    slippage: float
    impact: float
    commissions: float
    other_fees: float
    financing: dict[str, float]
    exchange: float
    traded_value: float
    cost_of_traded_bps: Figure
    share_of_gross: Figure

    @property
    def total(self) -> float:
        """Everything that trading cost."""
        return self.spread + self.slippage + self.impact + self.commissions + self.other_fees

    @property
    def steps(self) -> list[tuple[str, float]]:
        """From before costs to what was left; the amounts sum to `profit`."""
        costs = [(name, -getattr(self, name)) for name in ("spread", "slippage", "impact", "commissions", "other_fees")]
        named = [("before costs", self.before_costs), *costs, *self.financing.items(), ("exchange rates", self.exchange)]
        return [(name.replace("_", " "), value) for place, (name, value) in enumerate(named) if value or not place]

    def as_dict(self) -> dict[str, Any]:
        names = (
            "profit",
            "before_costs",
            "spread",
            "slippage",
            "impact",
            "commissions",
            "other_fees",
            "financing",
            "exchange",
            "traded_value",
            "total",
        )
        figures = {name: getattr(self, name).as_dict() for name in ("cost_of_traded_bps", "share_of_gross")}
        return {name: getattr(self, name) for name in names} | figures


def one_currency(result: SimulationResult) -> float:
    """Minimal units in one unit of the run's only currency.

    Raises
    ------
    MissingData : the run holds several currencies, whose amounts have no common measure without the rate of each moment
    """
    if len(result.units.currencies) > 1:
        raise MissingData(
            f"expected a run in one currency, found {', '.join(result.units.currencies)}: its amounts cannot be added without "
            "the rate of each moment"
        )
    return float(10.0**result.units.cash_decimals)


def financing(result: SimulationResult) -> dict[str, float]:
    """What holding brought (above 0) or took, by account of the journal; accounts that did not move are absent."""
    moved = posted_in_base(result)
    return {name: moved[name] for name in FINANCING if moved.get(name)}


def cost_breakdown(result: SimulationResult) -> CostBreakdown:
    """Costs and financing of a run."""
    unit = 10.0**result.units.cash_decimals
    fills, rate = result.fills, pl.Series(fill_rates(result))
    spread, slippage, impact = (float((fills[f"{name}_cost"] * rate).sum()) for name in ("spread", "slippage", "impact"))
    commissions = float((fills["fee_minor"] * rate).sum()) / unit
    all_fees = -posted_in_base(result).get("fees", 0.0)
    moved = exchange(result)
    profit = float(int(result.equity_minor()[-1]) - result.start_minor) / unit
    held = financing(result)
    costs = spread + slippage + impact + all_fees
    before = profit + costs - sum(held.values()) - moved
    traded = traded_value(result)
    return CostBreakdown(
        profit=profit,
        before_costs=before,
        spread=spread,
        slippage=slippage,
        impact=impact,
        commissions=commissions,
        other_fees=all_fees - commissions if abs(all_fees - commissions) > 1e-9 * max(1.0, all_fees) else 0.0,
        financing=held,
        exchange=moved,
        traded_value=traded,
        cost_of_traded_bps=Figure.of(1e4 * costs / traded)
        if traded > 0.0
        else Figure.missing(Reason.FEW_ROWS, "nothing was traded"),
        share_of_gross=Figure.of(costs / before)
        if before > 0.0
        else Figure.missing(Reason.UNDEFINED, "nothing was earned before costs"),
    )


def traded_value(result: SimulationResult) -> float:
    """Value of everything bought and sold, at the prices and the rates of the fills."""
    multiplier = pl.DataFrame(
        {
            "instrument": [one.id for one in result.market.instruments],
            "multiplier": [float(one.multiplier) for one in result.market.instruments],
        }
    )
    rows = result.fills.join(multiplier, on="instrument", how="left", maintain_order="left")
    return float((rows["price"] * rows["quantity"].abs() * rows["multiplier"] * pl.Series(fill_rates(result))).sum())
