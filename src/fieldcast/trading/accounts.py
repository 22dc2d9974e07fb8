"""What is held, and whose it is: one account and one portfolio at a time, never summed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fieldcast.ground import InvalidInput


@dataclass(frozen=True, slots=True)
class Position:
    """A quantity held of one instrument; negative would be short."""

    instrument: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Account:
    """The cash of one portfolio of one account, in one currency."""

    account: str
    portfolio: str
    currency: str
    cash: Decimal

    def __post_init__(self) -> None:
        if not self.cash.is_finite():
            raise InvalidInput(f"expected a finite amount of cash, found {self.cash}")
