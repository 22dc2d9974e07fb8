"""From the wish to the fill: intent, order, what a broker says about it, fill.

An `Intent` is ours and is committed before anything is sent. An `Order` is the message that is sent. An `OrderState` is
the broker's answer about it, then and later. A `Fill` is money that has moved. Quantities are positive; the side says
which way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from fieldcast.ground import InvalidInput, Reason, utc
from fieldcast.trading.identity import CLIENT_ID_LENGTH
from fieldcast.trading.identity import client_id as derive_client_id
from fieldcast.trading.money import exact_sum, fill_value

_CLIENT_ID = re.compile(rf"[a-z0-9]{{{CLIENT_ID_LENGTH}}}")


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class IntentStatus(StrEnum):
    """How far an intent has come; the last three are final."""

    CREATED = "created"  # committed, not known to have been sent
    UNRESOLVED = "unresolved"  # sent, and the broker has not answered: it may or may not have the order
    SUBMITTED = "submitted"  # the broker has answered; its order row carries the state from here on
    BLOCKED = "blocked"  # the kill switch stood in its way
    LAPSED = "lapsed"  # it was never accepted, and its session has opened


class OrderStatus(StrEnum):
    """What a broker says of an order; all but the first are final."""

    ACCEPTED = "accepted"
    FILLED = "filled"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self is not OrderStatus.ACCEPTED


def _check(client_id: str, quantity: Decimal) -> None:
    if not _CLIENT_ID.fullmatch(client_id):
        raise InvalidInput(f"expected a client id of {CLIENT_ID_LENGTH} characters [a-z0-9], found {client_id!r}")
    if not quantity.is_finite() or quantity <= 0:
        raise InvalidInput(f"expected a quantity above zero, found {quantity}; the side says which way")


@dataclass(frozen=True, slots=True)
class Intent:
    """What we mean to do, under an id that any replay derives again.

    Raises
    ------
    InvalidInput : the quantity is not above zero, or the id is not the one that the parts give
    """

    client_id: str
    account: str
    portfolio: str
    slot: str
    instrument: str
    leg: str
    attempt: int
    side: Side
    quantity: Decimal
    created_at: datetime

    def __post_init__(self) -> None:
        _check(self.client_id, self.quantity)
        utc(self.created_at)
        expected = derive_client_id(self.account, self.portfolio, self.slot, self.instrument, self.leg, self.attempt)
        if self.client_id != expected:
            raise InvalidInput(f"expected the client id {expected} for this intent, found {self.client_id}")

    @property
    def signed_quantity(self) -> Decimal:
        return self.side.sign * self.quantity


@dataclass(frozen=True, slots=True)
class Order:
    """A market order for the open of one session, and for no other moment."""

    client_id: str
    instrument: str
    side: Side
    quantity: Decimal
    valid_for_session: date

    def __post_init__(self) -> None:
        _check(self.client_id, self.quantity)


@dataclass(frozen=True, slots=True)
class OrderState:
    """What a broker knows of an order.

    `filled_quantity` is zero or the whole quantity: neither the venue nor the protocol fills in parts.
    """

    order: Order
    broker_order_id: str
    status: OrderStatus
    filled_quantity: Decimal
    submitted_at: datetime
    updated_at: datetime
    reasons: tuple[Reason, ...] = ()

    @property
    def client_id(self) -> str:
        return self.order.client_id


@dataclass(frozen=True, slots=True)
class NotFound:
    """A broker's definite answer that it has never seen this id."""

    client_id: str


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution.

    Parameters
    ----------
    price : per unit, costs of spread and slippage included
    fee : commission in the instrument's currency, >= 0
    ts : the moment of the print
    source_bar_ts : `ts` of the bar whose open it was
    reference_price : the bare print, before spread and slippage
    """

    id: str
    client_id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    ts: datetime
    source_bar_ts: datetime
    reference_price: Decimal

    def __post_init__(self) -> None:
        _check(self.client_id, self.quantity)
        if self.price <= 0 or self.reference_price <= 0 or self.fee < 0:
            raise InvalidInput(
                f"expected prices above zero and a fee of at least zero, found {self.price}, {self.reference_price}, "
                f"{self.fee} in the fill {self.id}"
            )
        if utc(self.source_bar_ts) <= utc(self.ts):
            raise InvalidInput(f"expected the bar of fill {self.id} to end after its print, found {self.source_bar_ts}")

    @property
    def signed_quantity(self) -> Decimal:
        return self.side.sign * self.quantity




def cash_effect(fill: Fill, multiplier: Decimal) -> Decimal:
    """What a fill does to cash: -side * price * quantity * multiplier - fee, in the instrument's currency, exact."""
    return exact_sum(-fill.side.sign * fill_value(fill.price, fill.quantity, multiplier), -fill.fee)
