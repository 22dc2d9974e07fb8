"""Orders beyond the cycle's market order: kinds, how long they live, and groups.

    market            at the next open (or the print at hand)
    limit             at the limit or better
    stop              a market order once the price has reached the stop
    stop_limit        a limit order once the price has reached the stop
    trailing_stop     a stop that follows the best price since it began to work, at a distance or at a share of it
    market_on_open    at the first open of a session
    market_on_close   at the last close of a session

    GTC until cancelled · DAY until the session ends · IOC what fills at once, the rest is cancelled · FOK all at once or nothing

A bracket is an entry with a target and a stop, which begin to work when it fills and of which one cancels the other.
An `Order` of `orders.py` is the cycle's own message, and stays what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from fieldcast.ground import InvalidInput
from fieldcast.trading.orders import Side


class OrderKind(StrEnum):
    """What makes an order act."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"
    MARKET_ON_OPEN = "market_on_open"
    MARKET_ON_CLOSE = "market_on_close"


class TimeInForce(StrEnum):
    """How long an order works."""

    GTC = "GTC"
    DAY = "DAY"
    IOC = "IOC"
    FOK = "FOK"


_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_NEEDS_LIMIT = (OrderKind.LIMIT, OrderKind.STOP_LIMIT)
_NEEDS_STOP = (OrderKind.STOP, OrderKind.STOP_LIMIT)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one order asks for. Quantities of zero or below are the venue's to refuse, on record.

    Parameters
    ----------
    quantity : in units of the instrument; the side says which way
    limit, stop : prices, where the kind has them
    trail : distance of a trailing stop from the best price, in price; trail_share : the same as a share of it, in (0, 1)
    reduce_only : it may make a position smaller, never larger or turn it
    tag : the caller's own name for it

    Raises
    ------
    InvalidInput : prices that do not suit the kind, or a time in force that cannot be met
    """

    instrument: str
    side: Side
    quantity: Decimal
    kind: OrderKind = OrderKind.MARKET
    limit: Decimal | None = None
    stop: Decimal | None = None
    trail: Decimal | None = None
    trail_share: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    tag: str = ""

    def __post_init__(self) -> None:
        if not self.quantity.is_finite():
            raise InvalidInput(f"expected a finite quantity of {self.instrument}, found {self.quantity}")
        for label, value, needed in (
            ("limit", self.limit, self.kind in _NEEDS_LIMIT),
            ("stop", self.stop, self.kind in _NEEDS_STOP),
        ):
            if (value is not None) != needed:
                raise InvalidInput(f"expected {'a' if needed else 'no'} {label} for a {self.kind} order, found {value}")
            if value is not None and (not value.is_finite() or value <= 0):
                raise InvalidInput(f"expected a {label} above zero for {self.instrument}, found {value}")
        trails = [value for value in (self.trail, self.trail_share) if value is not None]
        if len(trails) != (1 if self.kind is OrderKind.TRAILING_STOP else 0):
            raise InvalidInput(f"expected one of trail and trail_share for a trailing stop alone, found {trails} for {self.kind}")
        if any(not value.is_finite() or value <= 0 for value in trails) or (self.trail_share or Decimal(0)) >= 1:
            raise InvalidInput(f"expected a trail above zero (a share below one), found {trails[0]}")
        if self.time_in_force in _AT_ONCE and self.kind not in (OrderKind.MARKET, OrderKind.LIMIT):
            raise InvalidInput(f"expected a market or limit order for {self.time_in_force}, found {self.kind}")


@dataclass(frozen=True, slots=True)
class Bracket:
    """An entry, and the two orders that end what it begins.

    Parameters
    ----------
    entry : any ticket
    target : price of the limit order that takes the profit; None = none
    stop : price of the stop order that takes the loss; None = none; trail, trail_share : a trailing stop in its place

    Raises
    ------
    InvalidInput : neither a target nor a stop, two stops, or a target on the losing side of the stop
    """

    entry: Ticket
    target: Decimal | None = None
    stop: Decimal | None = None
    trail: Decimal | None = None
    trail_share: Decimal | None = None

    def __post_init__(self) -> None:
        stops = [value for value in (self.stop, self.trail, self.trail_share) if value is not None]
        if len(stops) > 1 or (not stops and self.target is None):
            raise InvalidInput(f"expected a target, a stop or both, found target {self.target} and stops {stops}")
        if self.target is not None and self.stop is not None:
            gap = (self.target - self.stop) * self.entry.side.sign
            if gap <= 0:
                raise InvalidInput(
                    f"expected the target beyond the stop for a {self.entry.side} of {self.entry.instrument}, "
                    f"found target {self.target} and stop {self.stop}"
                )
        self.children()

    def children(self) -> tuple[Ticket, ...]:
        """The stop and the target as tickets on the other side, reduce-only, for the entry's quantity."""
        entry = self.entry
        side = Side.SELL if entry.side is Side.BUY else Side.BUY
        made = []
        if self.stop is not None:
            made.append(
                Ticket(entry.instrument, side, entry.quantity, OrderKind.STOP, stop=self.stop, reduce_only=True, tag=entry.tag)
            )
        elif self.trail is not None or self.trail_share is not None:
            made.append(
                Ticket(entry.instrument, side, entry.quantity, OrderKind.TRAILING_STOP, trail=self.trail,
                       trail_share=self.trail_share, reduce_only=True, tag=entry.tag)
            )  # fmt: skip
        if self.target is not None:
            made.append(
                Ticket(entry.instrument, side, entry.quantity, OrderKind.LIMIT, limit=self.target,
                       reduce_only=True, tag=entry.tag)
            )  # fmt: skip
        return tuple(made)
