"""What any broker must answer.

One object speaks for one portfolio of one account. `submit` either returns the order's state (accepted or refused, with
codes), or raises `TimeoutError`: then nothing is known, and only `order(client_id)` can tell whether the order exists.
Orders cannot be replaced and are filled whole or not at all; no adapter offers more yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

import polars as pl

from fieldcast.trading import Account, Fill, NotFound, Order, OrderState, Position

if TYPE_CHECKING:
    from fieldcast.data.lineage import Lineage


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do; the cycle refuses to start where it needs more.

    Parameters
    ----------
    market_on_open : takes market orders for the open of a given session
    idempotent_submit : the same order under the same client id, sent twice, is one order
    """

    market_on_open: bool
    idempotent_submit: bool


class Broker(Protocol):
    """One portfolio of one account at one broker."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def submit(self, order: Order) -> OrderState:
        """Send an order. Raises TimeoutError where no answer came."""
        ...

    def cancel(self, client_id: str) -> OrderState | NotFound: ...

    def order(self, client_id: str) -> OrderState | NotFound: ...

    def open_orders(self) -> tuple[OrderState, ...]: ...

    def positions(self) -> tuple[Position, ...]: ...

    def fills(self, since: datetime | None = None) -> tuple[Fill, ...]:
        """Fills whose moment is `since` or later, oldest first; all of them without it."""
        ...

    def account(self) -> Account: ...


class MarketData(Protocol):
    """Bars as they were known; every bar store of `fieldcast.data` is one."""

    def read(
        self,
        instrument: str,
        *,
        as_of: datetime | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> pl.DataFrame:
        """BARS ascending by ts, one row a ts. Raises MissingData for an unknown instrument."""
        ...


class StoredActions(Protocol):
    """Splits and dividends as they were known, and how a source gives its prices; every store of `fieldcast.data` is one."""

    def read(self, instrument: str, *, table: str, as_of: datetime | None = None, dataset: str | None = None) -> pl.DataFrame:
        """Rows of table `actions`. Raises MissingData where none are stored, ConflictError where several datasets have some."""
        ...

    def lineage(self, instrument: str) -> tuple[Lineage, ...]:
        """Every delivery behind the instrument's daily bars."""
        ...
