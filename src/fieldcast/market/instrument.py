"""What is traded or watched. The id is assigned once and never changes; a ticker is only a dated alias."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from urllib.parse import quote, unquote

from fieldcast.ground import InvalidInput

_CURRENCY = re.compile(r"[A-Z]{3,5}")
_INVERSE = frozenset({"BINANCE", "BITMEX", "BYBIT", "DERIBIT", "OKX"})
_ID = re.compile(r"[A-Z0-9]{2,12}:[^\s\x00-\x1f:]{1,32}")


class Kind(StrEnum):
    """Asset classes; each has its own defaults for calendar, tick and whether volume is expected."""

    EQUITY = "equity"
    ETF = "etf"
    INDEX = "index"
    FX = "fx"
    CRYPTO = "crypto"
    FUTURE = "future"
    OPTION = "option"  # one contract of a chain; its multiplier is the number of units of the underlying that it stands for
    RATE = "rate"  # a yield or a macro series: watched, never held


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument.

    Parameters
    ----------
    id : `VENUE:SYMBOL`, such as `XNAS:AAPL`; the venue is an ISO 10383 code where there is one
    kind : asset class
    currency : ISO 4217
    calendar : name in exchange_calendars, such as `XNYS` or `24/7`
    tick : smallest price step, in `currency`
    lot : smallest tradable quantity
    multiplier : currency units for each price unit and contract
    tradable : False for covariates and for indices, which have no contract of their own
    notional : True for an index that may be held on paper in notional units
    simulated : True where the prices come from Fieldcast's own simulated market
    """

    id: str
    kind: Kind
    currency: str = "USD"
    calendar: str = "XNYS"
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal(1)
    multiplier: Decimal = Decimal(1)
    tradable: bool = True
    notional: bool = False
    simulated: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise InvalidInput(f"expected an instrument id such as XNAS:AAPL, found {self.id!r}")
        if not _CURRENCY.fullmatch(self.currency):
            raise InvalidInput(f"expected a currency such as USD for {self.id}, found {self.currency!r}")
        for label in ("tick", "lot", "multiplier"):
            value = getattr(self, label)
            if not value.is_finite() or value <= 0:
                raise InvalidInput(f"expected a positive {label} for {self.id}, found {value}")

    @property
    def symbol(self) -> str:
        return self.id.split(":", 1)[1]

    @property
    def inverse(self) -> bool:
        """True of a coin's future that is quoted in US dollars and paid in the coin: one contract is a sum of dollars.

        The venues of `_INVERSE` list futures against USD as such alone; those against USDT and USDC are linear, also where their
        accounts are kept in dollars. Of others, such as Hyperliquid, a future against USD is linear.
        """
        venue, symbol = self.id.split(":", 1)
        if self.kind is not Kind.FUTURE or self.calendar != "24/7" or self.currency != "USD" or venue not in _INVERSE:
            return False
        return "USDT" not in symbol and "USDC" not in symbol


def default_instrument(
    id: str,
    kind: Kind | str,
    *,
    calendar: str | None = None,
    currency: str | None = None,
    tick: Decimal | None = None,
) -> Instrument:
    """An instrument with the usual calendar, tick and lot of its kind; what is given overrides them."""
    try:
        kind = Kind(kind)
    except ValueError:
        raise InvalidInput(f"expected a kind out of {', '.join(Kind)}, found {kind!r}") from None
    usual_calendar = {Kind.FX: "24/5", Kind.CRYPTO: "24/7"}.get(kind, "XNYS")
    usual_tick = {Kind.FX: Decimal("0.00001")}.get(kind, Decimal("0.01"))
    return Instrument(
        id=id,
        kind=kind,
        currency="USD" if currency is None else currency,
        calendar=usual_calendar if calendar is None else calendar,
        tick=usual_tick if tick is None else tick,
        lot=Decimal("0.00000001") if kind is Kind.CRYPTO else Decimal(1),
        tradable=kind not in (Kind.INDEX, Kind.RATE),
        notional=False,
    )


def file_name(instrument_id: str) -> str:
    """The id as a file name: percent-encoded, so that `^VIX`, `BTC/USD` and `NA` survive every file system."""
    return quote(instrument_id, safe="")


def from_file_name(name: str) -> str:
    """The inverse of `file_name`."""
    return unquote(name)
