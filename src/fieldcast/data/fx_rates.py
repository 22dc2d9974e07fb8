"""What an amount in one currency was worth in another, as it was known at a moment.

A rate is the close of the newest stored bar of a currency pair that was known at the moment asked for: the pair itself, the pair
the other way round, or two pairs that meet in a pivot currency. A rate that is older than the limit is no rate: markets close
over the weekend, so that the limit must let Friday's close stand on Monday, and nothing older.

Amounts are exact decimals: multiplying by a rate is exact, dividing by one (an inverse pair) is rounded half to even at 34
digits. The float of a bar enters as the shortest decimal that reads back as the same float, the price as the vendor wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation

import polars as pl

from fieldcast.data.store import Store
from fieldcast.ground import InvalidInput, MissingData, utc
from fieldcast.market import DAILY, Instrument, Kind

LONGEST_AGE = timedelta(days=4)     # Friday's close on a Tuesday after a Monday holiday
_DIVISION = Context(prec=34, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])
_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation])


@dataclass(frozen=True)
class Leg:
    """One pair on the way from a currency to another.

    Parameters
    ----------
    instrument : the pair's id
    price : its close, units of the quote currency for one unit of the base currency
    inverse : the way goes from quote to base: the amount is divided by the price
    ts, available_at : of the bar
    """

    instrument: str
    price: Decimal
    inverse: bool
    ts: datetime
    available_at: datetime


@dataclass(frozen=True)
class Rate:
    """A rate as it was known at `as_of`; no legs where both currencies are the same."""

    base: str
    quote: str
    as_of: datetime
    legs: tuple[Leg, ...]

    @property
    def value(self) -> Decimal:
        """Units of `quote` for one unit of `base`."""
        return self.convert(Decimal(1))

    @property
    def ts(self) -> datetime:
        """The oldest price in it."""
        return min((leg.ts for leg in self.legs), default=self.as_of)

    def convert(self, amount: Decimal) -> Decimal:
        """`amount` of `base` in `quote`.

        Raises
        ------
        InvalidInput : the amount is not finite, or the exact product has more than 80 digits
        """
        if not amount.is_finite():
            raise InvalidInput(f"expected a finite amount, found {amount}")
        for leg in self.legs:
            if leg.inverse:
                amount = _DIVISION.divide(amount, leg.price)
                continue
            try:
                amount = _EXACT.multiply(amount, leg.price)
            except Inexact:
                raise InvalidInput(f"expected an amount with fewer digits, found {amount}") from None
        return amount


@dataclass(frozen=True)
class _Pair:
    instrument: str
    base: str
    quote: str


def pair_of(instrument: Instrument) -> tuple[str, str]:
    """(base, quote) of a currency pair whose symbol names both: `EURUSD`, `EUR/USD`, `EUR-USD`, `EUR_USD`.

    Raises
    ------
    InvalidInput : the symbol does not, or its quote currency is not the instrument's currency
    """
    letters = instrument.symbol.replace("/", "").replace("-", "").replace("_", "")
    if len(letters) != 6 or not letters.isalpha() or not letters.isupper() or letters[3:] != instrument.currency:
        raise InvalidInput(
            f"expected a pair such as EURUSD, quoted in the instrument's currency, found {instrument.id} in {instrument.currency}"
        )
    return letters[:3], letters[3:]


class FxRates:
    """Rates out of the stored bars of currency pairs.

    Parameters
    ----------
    store : holds the bars
    pairs : the instruments (kind fx) to look at
    pivot : currency through which a cross is made where no pair joins the two
    longest_age : of a rate at the moment it is used, counted from the end of its bar
    table, dataset : where the bars are

    Raises
    ------
    InvalidInput : an instrument that is no pair, or two for the same two currencies
    """

    def __init__(
        self,
        store: Store,
        pairs: Iterable[Instrument],
        *,
        pivot: str = "USD",
        longest_age: timedelta = LONGEST_AGE,
        table: str = DAILY,
        dataset: str | None = None,
    ) -> None:
        self._store, self._table, self._dataset = store, table, dataset
        self.pivot, self.longest_age = pivot, longest_age
        self._pairs: dict[frozenset[str], _Pair] = {}
        for instrument in pairs:
            if instrument.kind is not Kind.FX:
                raise InvalidInput(f"expected instruments of kind fx, found {instrument.id} of kind {instrument.kind}")
            base, quote = pair_of(instrument)
            key = frozenset((base, quote))
            if key in self._pairs:
                other = self._pairs[key].instrument
                raise InvalidInput(f"expected one pair of {base} and {quote}, found {other} and {instrument.id}")
            self._pairs[key] = _Pair(instrument.id, base, quote)

    def rate(self, base: str, quote: str, as_of: datetime) -> Rate:
        """Units of `quote` for one unit of `base`, as known at `as_of`.

        Raises
        ------
        MissingData : no pair joins the two, directly or through the pivot, or a rate on the way was not known or too old
        """
        as_of = utc(as_of)
        if base == quote:
            return Rate(base, quote, as_of, ())
        ways = [((base, quote),), ((base, self.pivot), (self.pivot, quote))]
        for way in ways:
            if all(start != end and frozenset((start, end)) in self._pairs for start, end in way):
                return Rate(base, quote, as_of, tuple(self._leg(start, end, as_of) for start, end in way))
        known = ", ".join(sorted(pair.instrument for pair in self._pairs.values())) or "none"
        raise MissingData(
            f"expected a pair of {base} and {quote}, or of both with {self.pivot}; found {known}; import the bars of one"
        )

    def _leg(self, start: str, end: str, as_of: datetime) -> Leg:
        pair = self._pairs[frozenset((start, end))]
        oldest = as_of - self.longest_age
        bars = self._store.read(
            pair.instrument, table=self._table, as_of=as_of, first=oldest.date(), last=as_of.date(), dataset=self._dataset,
            columns=("ts", "available_at", "close"),
        ).filter(pl.col("ts").is_between(oldest, as_of))  # fmt: skip
        if bars.is_empty():
            raise MissingData(
                f"expected a rate of {pair.instrument} from the {self.longest_age.total_seconds() / 3600:g} hours before "
                f"{as_of.isoformat()} that was known then, found none; import newer bars"
            )
        newest = bars.row(bars.height - 1, named=True)
        close = float(newest["close"])
        if not math.isfinite(close) or close <= 0:
            raise InvalidInput(f"expected a positive rate of {pair.instrument} at {newest['ts']}, found {close}")
        return Leg(pair.instrument, Decimal(repr(close)), start == pair.quote, newest["ts"], newest["available_at"])

    def convert(self, amount: Decimal, base: str, quote: str, as_of: datetime) -> Decimal:
        """`amount` of `base` in `quote` at the rate known at `as_of`; see `rate` and `Rate.convert` for what is refused."""
        return self.rate(base, quote, as_of).convert(amount)

    def total(self, amounts: Mapping[str, Decimal], base: str, as_of: datetime) -> Decimal:
        """The sum in the base currency of amounts by currency (a net asset value), at the rates known at `as_of`.

        A currency with the amount zero needs no rate.

        Raises
        ------
        MissingData : see `rate`
        InvalidInput : an amount is not finite, or the sum has more than 80 digits
        """
        worth = Decimal(0)
        for currency, amount in sorted(amounts.items()):
            if amount == 0:
                continue
            try:
                worth = _EXACT.add(worth, self.convert(amount, currency, base, as_of))
            except Inexact:
                raise InvalidInput(f"expected amounts whose sum has at most 80 digits, found {amounts}") from None
        return worth
