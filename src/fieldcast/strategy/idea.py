"""A trade idea: where to enter, where it is wrong, where it is done, what it costs, and whether it may be acted on.

All distances are whole ticks from the reference price r, and the side s (+1 long, -1 short) places them:

    entry range  r - k, r + k          k = half the spread, up to the tick
    stop         r - s * d             d as asked for, up to the tick
    target       r + s * R * d         R = 2 by default
    trailing     follows the best price at its own distance

so a short idea is the image of the long one in r, tick for tick, with the same quantity, costs and codes (but for a level that
would not be above zero, which only one of the two can have). Costs are a round trip at r: twice the shift of the cost model and
the fees of one purchase and one sale.

    net reward to risk = (R d - c) / (d + c)            c = round-trip cost in price units

Errors block an order, warnings do not; both are reason codes. Sources: the reference systems (reward to risk 2, entry range of a
spread, their list of errors and warnings; there a short's stop was counted as its target).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from fieldcast.fields.vocabulary import ElasticityRegime, LiquidityRegime, SentimentRegime
from fieldcast.ground import InvalidInput, Reason, Shown, utc
from fieldcast.market import Instrument
from fieldcast.trading import CostModel, CostParts, Order, Side, exact_product, exact_sum, fill_value, ratio_down
from fieldcast.trading.money import round_up

REWARD_RISK = Decimal(2)
BASIS_POINT = Decimal("0.0001")
ZERO = Decimal(0)
_RATIO_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class IdeaLimits:
    """What an idea may not exceed (errors) and what it is warned of.

    Parameters
    ----------
    nav_share, notional : largest value, as a share of NAV and in money; None = no such limit
    impact_bps, slippage_bps : above them there is a warning
    reward_risk_net : below it there is a warning
    """

    nav_share: Decimal | None = Decimal("0.10")
    notional: Decimal | None = None
    impact_bps: float = 50.0
    slippage_bps: float = 30.0
    reward_risk_net: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class MarketState:
    """Words of the fields about the market that an idea would trade in; None where unknown. `avoid` comes from policies."""

    liquidity: LiquidityRegime | None = None
    elasticity: ElasticityRegime | None = None
    sentiment: SentimentRegime | None = None
    avoid: bool = False


@dataclass(frozen=True, slots=True)
class IdeaCosts:
    """A round trip at the reference price.

    Parameters
    ----------
    half_spread_bps, slippage_bps, impact_bps : of one fill
    shift : both fills' distance from the print, currency units
    fees : of both fills, currency units
    per_unit : shift and fees for each unit and multiplier, in price units
    """

    half_spread_bps: float
    slippage_bps: float
    impact_bps: float
    shift: Decimal
    fees: Decimal
    per_unit: Decimal

    @property
    def total(self) -> Decimal:
        return exact_sum(self.shift, self.fees)


@dataclass(frozen=True)
class TradeIdea(Shown):
    """One idea; see the module for its levels.

    Parameters
    ----------
    instrument, side, quantity : what and how much; a quantity of 0 is an error, not an idea of nothing
    as_of : when it was made
    reference, entry_low, entry_high, stop, target : prices on the tick
    trailing : distance of the trailing stop in price units; None = none
    costs : None where no cost can be given (its code is among the errors)
    reward_risk, reward_risk_net : before and after costs; None where there is no distance to the stop, or no costs
    errors, warnings : registered codes, in the order in which they were looked for
    """

    instrument: Instrument
    side: Side
    quantity: Decimal
    as_of: datetime
    reference: Decimal
    entry_low: Decimal
    entry_high: Decimal
    stop: Decimal
    target: Decimal
    trailing: Decimal | None
    costs: IdeaCosts | None
    reward_risk: Decimal | None
    reward_risk_net: Decimal | None
    errors: tuple[Reason, ...]
    warnings: tuple[Reason, ...]

    @property
    def blocked(self) -> bool:
        """True where an error forbids an order."""
        return bool(self.errors)

    @property
    def value(self) -> Decimal:
        """Notional at the reference price, currency units."""
        return fill_value(self.reference, self.quantity, self.instrument.multiplier)

    @property
    def risk(self) -> Decimal:
        """What is lost at the stop, costs included where they are known, currency units."""
        loss = fill_value(abs(self.reference - self.stop), self.quantity, self.instrument.multiplier)
        return loss if self.costs is None else exact_sum(loss, self.costs.total)

    def order(self, client_id: str, session: date) -> Order:
        """The market order for the open of a session that acts on the idea.

        Raises
        ------
        InvalidInput : an error forbids it; the message names every code
        """
        if self.errors:
            codes = ", ".join(f"{code} ({code.meaning})" for code in self.errors)
            raise InvalidInput(f"expected an idea without errors to order {self.instrument.id}, found {codes}")
        return Order(client_id, self.instrument.id, self.side, self.quantity, session)

    def as_dict(self) -> dict[str, Any]:
        costs = None
        if self.costs is not None:
            names = ("half_spread_bps", "slippage_bps", "impact_bps", "shift", "fees", "per_unit", "total")
            costs = {name: getattr(self.costs, name) for name in names}
        return {
            "instrument": self.instrument.id,
            "side": str(self.side),
            "quantity": self.quantity,
            "as_of": self.as_of.isoformat(),
            "reference": self.reference,
            "entry": [self.entry_low, self.entry_high],
            "stop": self.stop,
            "target": self.target,
            "trailing": self.trailing,
            "costs": costs,
            "reward_risk": self.reward_risk,
            "reward_risk_net": self.reward_risk_net,
            "errors": [str(code) for code in self.errors],
            "warnings": [str(code) for code in self.warnings],
            "simulated": self.instrument.simulated,
        }


def trade_idea(
    instrument: Instrument,
    side: Side,
    *,
    as_of: datetime,
    reference: Decimal,
    stop_distance: Decimal,
    quantity: Decimal,
    nav: Decimal,
    costs: CostModel,
    reward_risk: Decimal = REWARD_RISK,
    trailing: Decimal | None = None,
    at: datetime | None = None,
    latency_ms: float = 0.0,
    volume: float = float("nan"),
    state: MarketState = MarketState(),
    limits: IdeaLimits = IdeaLimits(),
) -> TradeIdea:
    """Put an idea together and look for what forbids it.

    Parameters
    ----------
    reference : price that the distances are counted from, such as the last close; taken to the nearest tick
    stop_distance, trailing : price units, >= 0 and > 0
    quantity : units, >= 0, such as `smallest_size` gives
    nav : of the portfolio, in the instrument's currency
    costs : the model that fills will be charged by
    at, latency_ms : moment of the fill, for a model with measured profiles; None = `as_of`
    volume : units traded over the time that the order takes, for the impact

    Raises
    ------
    InvalidInput : a price, a distance or a quantity is out of its range
    MissingData : the cost model has no profile for that moment
    """
    figures = (reference, stop_distance, quantity, nav, reward_risk)
    if not all(figure.is_finite() for figure in figures) or reference <= 0 or reward_risk <= 0:
        raise InvalidInput(f"expected finite figures, a reference and a reward to risk above 0, found {figures}")
    if stop_distance < 0 or quantity < 0 or (trailing is not None and not (trailing.is_finite() and trailing > 0)):
        raise InvalidInput(
            f"expected a stop distance and a quantity of at least 0 and a trailing distance above 0, "
            f"found {stop_distance}, {quantity}, {trailing}"
        )
    tick = instrument.tick
    price = max((reference / tick).to_integral_value(rounding=ROUND_HALF_EVEN) * tick, tick)
    parts = costs.parts(instrument, at or as_of, latency_ms=latency_ms)
    risk = round_up(stop_distance, tick)
    reward = round_up(exact_product(reward_risk, risk), tick)
    half = round_up(exact_product(price, Decimal(repr(parts.half_spread_bps)), BASIS_POINT), tick)
    stop, target = price - side.sign * risk, price + side.sign * reward
    trip = _round_trip(instrument, price, quantity, costs, parts, volume)
    net = None if trip is None or risk == 0 else _ratio(reward - trip.per_unit, risk + trip.per_unit)
    levels = (price - half, stop, target)
    value = fill_value(price, quantity, instrument.multiplier)
    return TradeIdea(
        instrument=instrument,
        side=side,
        quantity=quantity,
        as_of=utc(as_of),
        reference=price,
        entry_low=price - half,
        entry_high=price + half,
        stop=stop,
        target=target,
        trailing=None if trailing is None else round_up(trailing, tick),
        costs=trip,
        reward_risk=None if risk == 0 else _ratio(reward, risk),
        reward_risk_net=net,
        errors=_errors(instrument, levels, (risk, reward), quantity, value, nav, trip, state, limits),
        warnings=_warnings(trip, net, state, limits),
    )


def _ratio(amount: Decimal, unit: Decimal) -> Decimal:
    """A ratio to four places, rounded down where it is above zero and away from zero below: never better than it is."""
    ratio = ratio_down(abs(amount), unit)
    if amount >= 0:
        return (ratio // _RATIO_STEP) * _RATIO_STEP
    return -round_up(ratio, _RATIO_STEP)


def _round_trip(
    instrument: Instrument, price: Decimal, quantity: Decimal, costs: CostModel, parts: CostParts, volume: float
) -> IdeaCosts | None:
    """Costs of a purchase and a sale at `price`; None where no price can be given for that quantity."""
    shift_bps = parts.total_bps(float(quantity), volume)
    if not 0.0 <= shift_bps < 10_000.0:
        return None
    base = exact_sum(Decimal(repr(parts.half_spread_bps)), Decimal(repr(parts.slippage_bps)))
    impact_bps = max(0.0, shift_bps - float(base))
    shift_per_unit = round_up(exact_product(Decimal(2), price, Decimal(repr(shift_bps)), BASIS_POINT), instrument.tick)
    if quantity == 0:
        return IdeaCosts(parts.half_spread_bps, parts.slippage_bps, impact_bps, ZERO, ZERO, shift_per_unit)
    fees = exact_sum(
        *(costs.commission(price, quantity, instrument.multiplier, side=side) for side in (Side.BUY, Side.SELL))
    )
    shift = fill_value(shift_per_unit, quantity, instrument.multiplier)
    fee_per_unit = round_up(ratio_down(fees, exact_product(quantity, instrument.multiplier)), Decimal("1E-8"))
    return IdeaCosts(
        parts.half_spread_bps, parts.slippage_bps, impact_bps, shift, fees, exact_sum(shift_per_unit, fee_per_unit)
    )


def _errors(
    instrument: Instrument,
    levels: tuple[Decimal, Decimal, Decimal],
    distances: tuple[Decimal, Decimal],
    quantity: Decimal,
    value: Decimal,
    nav: Decimal,
    costs: IdeaCosts | None,
    state: MarketState,
    limits: IdeaLimits,
) -> tuple[Reason, ...]:
    risk, reward = distances
    allowed = None if limits.nav_share is None else exact_product(max(nav, ZERO), limits.nav_share)
    found = {
        Reason.NOT_TRADABLE: not instrument.tradable and not instrument.notional,
        Reason.STOP_DISTANCE_ZERO: risk == 0,
        Reason.LEVEL_NOT_POSITIVE: min(levels) <= 0,
        Reason.QUANTITY_ZERO: quantity == 0,
        Reason.BELOW_LOT: quantity % instrument.lot != 0,
        Reason.NAV_LIMIT: allowed is not None and value > allowed,
        Reason.NOTIONAL_LIMIT: limits.notional is not None and value > limits.notional,
        Reason.IMPACT_UNKNOWN: costs is None,
        Reason.COST_ABOVE_REWARD: costs is not None and risk > 0 and costs.per_unit >= reward,
        Reason.MARKET_AVOIDED: state.avoid,
        Reason.MARKET_FROZEN: state.liquidity in (LiquidityRegime.FROZEN, LiquidityRegime.TOXIC),
        Reason.MARKET_PLASTIC: state.elasticity is ElasticityRegime.PLASTIC,
    }
    return tuple(code for code, there in found.items() if there)


def _warnings(
    costs: IdeaCosts | None, net: Decimal | None, state: MarketState, limits: IdeaLimits
) -> tuple[Reason, ...]:
    found = {
        Reason.IMPACT_HIGH: costs is not None and costs.impact_bps > limits.impact_bps,
        Reason.SLIPPAGE_HIGH: costs is not None and costs.slippage_bps > limits.slippage_bps,
        Reason.REWARD_RISK_LOW: net is not None and net < limits.reward_risk_net,
        Reason.SENTIMENT_EXTREME: state.sentiment in (SentimentRegime.PANICKED, SentimentRegime.EUPHORIC),
    }
    return tuple(code for code, there in found.items() if there)
