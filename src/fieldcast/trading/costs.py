"""What a market order costs.

    price of a purchase = print * (1 + (half_spread + slippage) / 10^4), up to the tick
    price of a sale     = print * (1 - (half_spread + slippage) / 10^4), down to the tick
    commission          = max(value * commission / 10^4, minimum), up to 0.01

All parameters are in basis points of the print except `minimum_commission` (currency units an order). The defaults are
for notional index units, held at about what an index fund's investor pays at the open: half a spread of 1 bp, 1 bp of
slippage, 0.5 bp of commission, no minimum. They are an assumption, wider than a liquid index fund's own spread, and
every fill records the print beside the price, so what was charged can be read off.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal

from fieldcast.ground import ConfigError
from fieldcast.trading.money import exact_product, fill_value, to_cent, to_tick
from fieldcast.trading.orders import Side

BASIS_POINT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class CostModel:
    """Spread, slippage and commission; none can be negative.

    Raises
    ------
    ConfigError : a parameter is negative or not finite, or spread and slippage reach the whole price
    """

    half_spread_bps: Decimal = Decimal(1)
    slippage_bps: Decimal = Decimal(1)
    commission_bps: Decimal = Decimal("0.5")
    minimum_commission: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value.is_finite() or value < 0:
                raise ConfigError(f"expected {field.name} of at least 0, found {value}")
        if self.half_spread_bps + self.slippage_bps >= 10_000:
            raise ConfigError("expected half_spread_bps + slippage_bps below 10000, found the whole price")

    def fill_price(self, side: Side, reference: Decimal, tick: Decimal) -> Decimal:
        """The price of a fill at the print `reference`, on the tick; never better than the print."""
        shift = side.sign * exact_product(self.half_spread_bps + self.slippage_bps, BASIS_POINT)
        return to_tick(exact_product(reference, 1 + shift), tick, up=side is Side.BUY)

    def commission(self, price: Decimal, quantity: Decimal, multiplier: Decimal) -> Decimal:
        """Commission in currency units, >= 0."""
        value = abs(fill_value(price, quantity, multiplier))
        return to_cent(max(exact_product(value, self.commission_bps, BASIS_POINT), self.minimum_commission))
