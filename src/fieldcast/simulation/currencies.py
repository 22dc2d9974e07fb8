"""Cash in several currencies: dated rates, conversions, and what an account is worth in its base currency.

    value in the base currency = floor(amount * rate), each currency by itself
    rate                       = units of the base currency for one of the other, an exact fraction (a cross whose
                                 fraction does not fit in 63 bits: steps of 1e-12, half to even)
    conversion                 amount leaves one currency; floor(amount * rate * (1 - half spread)) comes in the other, less a
                               commission max(share, minimum), up to the minimal unit

A rate is the close of the newest bar of a pair that was known at that moment: the pair itself, the pair the other way round, or
two pairs that meet in a pivot. It holds from the moment it was known until the next one is; between two bars there is none, and
what came later never enters. A run in which a rate would be older than the limit is refused (`data.fx_rates` has the same rule).
A conversion takes at most what the currency holds above zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl

from fieldcast.data.fx_rates import LONGEST_AGE, pair_of
from fieldcast.ground import ConfigError, InvalidInput, MissingData, utc
from fieldcast.market import BARS, STAMP, Instrument
from fieldcast.simulation.event_table import (
    NONE,
    PRICE_PLACES,
    RATE_PLACES,
    EventKind,
    EventTable,
    Integers,
    empty,
    make,
    merged,
    micros,
    scaled,
    scaled_decimal,
)

ONE = 10**RATE_PLACES
_UNIT = 10**PRICE_PLACES
_LARGEST = 2**62


@dataclass(frozen=True)
class ConversionCosts:
    """What a conversion costs.

    Parameters
    ----------
    half_spread_bps, commission_bps : of the rate and of the amount received
    minimum_commission : units of the currency received

    Raises
    ------
    ConfigError : a value is negative or not finite, or the two take everything
    """

    half_spread_bps: Decimal = Decimal("0.5")
    commission_bps: Decimal = Decimal("0.2")
    minimum_commission: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name in ("half_spread_bps", "commission_bps", "minimum_commission"):
            value = getattr(self, name)
            if not value.is_finite() or value < 0:
                raise ConfigError(f"expected {name} of at least 0, found {value}")
        if self.half_spread_bps + self.commission_bps >= 10_000:
            raise ConfigError("expected half_spread_bps + commission_bps below 10000, found the whole amount")


@dataclass(frozen=True)
class Conversion:
    """An order to convert cash.

    Parameters
    ----------
    at : when
    sold, bought : currencies
    amount : of `sold`; none = all of it

    Raises
    ------
    InvalidInput : the same currency twice, or an amount that is not above zero
    """

    at: datetime
    sold: str
    bought: str
    amount: Decimal | None = None

    def __post_init__(self) -> None:
        utc(self.at)
        if self.sold == self.bought:
            raise InvalidInput(f"expected two currencies, found {self.sold} twice")
        if self.amount is not None and not (self.amount.is_finite() and self.amount > 0):
            raise InvalidInput(f"expected an amount above 0 of {self.sold}, found {self.amount}")


class DatedRates:
    """Rates of currencies to one another through time, out of the bars of pairs.

    Parameters
    ----------
    fx : bars of the pairs, schema `market.BARS`
    pairs : the instruments (symbols such as EURUSD)
    pivot : currency through which a cross is made where no pair joins the two
    longest_age : of a rate, counted from the end of its bar

    Raises
    ------
    InvalidInput : a column is missing, bars of an instrument that is not among the pairs, or a close that is missing or not
        above zero
    """

    def __init__(
        self, fx: pl.DataFrame, pairs: Iterable[Instrument], *, pivot: str = "USD", longest_age: timedelta = LONGEST_AGE
    ) -> None:
        missing = [name for name in ("instrument", "ts", "available_at", "close") if name not in fx.columns]
        if missing:
            raise InvalidInput(f"expected bars with the columns {', '.join(BARS)}; missing {', '.join(missing)}")
        known = {pair.id: pair_of(pair) for pair in pairs}
        strangers = sorted(set(fx["instrument"].unique()) - set(known))
        if strangers:
            raise InvalidInput(f"expected bars of the pairs {', '.join(known)}, found {', '.join(strangers)}")
        self.pivot, self.longest_age = pivot, longest_age
        self._series: dict[tuple[str, str], tuple[str, Integers, Integers, Integers]] = {}
        for id, key in known.items():
            rows = fx.filter(pl.col("instrument") == id).sort("available_at", "ts")
            closes = scaled(rows["close"].fill_null(float("nan")), PRICE_PLACES, f"a close of {id}")
            if closes.size and closes.min() <= 0:
                raise InvalidInput(f"expected closes above zero for {id}, found {closes.min() / _UNIT}")
            if key in self._series or key[::-1] in self._series:
                raise InvalidInput(f"expected one pair of {key[0]} and {key[1]}, found a second one in {id}")
            self._series[key] = (
                id, rows["available_at"].dt.epoch("us").to_numpy(), rows["ts"].dt.epoch("us").to_numpy(), closes,
            )  # fmt: skip
        self._stated: set[tuple[str, str]] = set()

    def state(self, base: str, quote: str, rate: Decimal) -> None:
        """Take a rate for one that holds all the time: units of `quote` for one of `base`.

        Raises
        ------
        InvalidInput : a rate that is not above zero or has more than 8 decimal places, or a pair of the two is there already
        """
        if self.joins(base, quote, pivot=False):
            raise InvalidInput(f"expected no pair of {base} and {quote} beside a stated rate, found one")
        step = scaled_decimal(rate, PRICE_PLACES, f"the stated rate of {base} in {quote}")
        if step <= 0:
            raise InvalidInput(f"expected a rate of {base} in {quote} above zero, found {rate}")
        always = np.zeros(1, dtype=np.int64)
        self._series[base, quote] = (f"{base}/{quote}", always, always, np.array([step], dtype=np.int64))
        self._stated.add((base, quote))

    def joins(self, base: str, quote: str, *, pivot: bool = True) -> bool:
        """True where a pair, or two that meet in the pivot, lead from one currency to the other."""
        def direct(one: str, other: str) -> bool:
            return (one, other) in self._series or (other, one) in self._series

        return direct(base, quote) or (pivot and direct(base, self.pivot) and direct(self.pivot, quote))

    def at(self, base: str, quote: str, moment: int) -> Fraction:
        """Units of `quote` for one of `base` as known at a moment.

        Raises
        ------
        MissingData : none was known, or the newest one was too old
        """
        moments, above, below = self.changes(base, quote, moment, moment)
        return Fraction(int(above[0]), int(below[0])) if moments.size else Fraction(1)

    def changes(self, base: str, quote: str, first: int, last: int) -> tuple[Integers, Integers, Integers]:
        """(moments, numerators, denominators) at `first` and every change up to `last`; empty for a currency in itself.

        Raises
        ------
        MissingData : no way from one to the other, none known at `first`, or one that grows too old before the next is known
        """
        if base == quote:
            none = np.empty(0, dtype=np.int64)
            return none, none, none
        legs = self._way(base, quote)
        stages = [self._newest(key) for key, _ in legs]
        moments = np.unique(np.concatenate([np.array([first]), *(known for known, _, _ in stages)]))
        moments = moments[(moments >= first) & (moments <= last)]
        columns = []
        for (key, inverse), (known, periods, closes) in zip(legs, stages, strict=True):
            place = np.searchsorted(known, moments, side="right") - 1
            self._refuse_old(key, known, periods, place, moments, last)
            columns.append([(int(closes[one]), inverse) for one in place])
        rates = [_product(parts) for parts in zip(*columns, strict=True)]
        above = np.array([rate.numerator for rate in rates], dtype=np.int64)
        below = np.array([rate.denominator for rate in rates], dtype=np.int64)
        new = np.concatenate([[True], (np.diff(above) != 0) | (np.diff(below) != 0)])
        return moments[new].astype(np.int64), above[new], below[new]

    def _way(self, base: str, quote: str) -> list[tuple[tuple[str, str], bool]]:
        for way in ([(base, quote)], [(base, self.pivot), (self.pivot, quote)]):
            legs = []
            for one, other in way:
                if (one, other) in self._series:
                    legs.append(((one, other), False))
                elif (other, one) in self._series:
                    legs.append(((other, one), True))
            if len(legs) == len(way):
                return legs
        held = ", ".join(sorted(id for id, *_ in self._series.values())) or "none"
        raise MissingData(
            f"expected a pair of {base} and {quote}, or of both with {self.pivot}; found {held}; give the bars of one"
        )

    def _newest(self, key: tuple[str, str]) -> tuple[Integers, Integers, Integers]:
        """(known at, period, close): from each moment on, the bar of the latest period among those known."""
        _, known, periods, closes = self._series[key]
        best = np.zeros(known.size, dtype=np.int64)
        for row in range(1, known.size):
            best[row] = row if periods[row] >= periods[best[row - 1]] else best[row - 1]
        return known, periods[best], closes[best]

    def _refuse_old(
        self, key: tuple[str, str], known: Integers, periods: Integers, place: Integers, moments: Integers, last: int
    ) -> None:
        if key in self._stated:
            return
        id = self._series[key][0]
        limit = self.longest_age // timedelta(microseconds=1)
        if (place < 0).any():
            moment = _shown(int(moments[place < 0][0]))
            raise MissingData(f"expected a rate of {id} known at {moment}, found none; give earlier bars")
        ends = np.append(moments[1:], last)     # a rate has to serve until the next one is known
        old = ends - periods[place] > limit
        if old.any():
            spot = int(np.flatnonzero(old)[0])
            raise MissingData(
                f"expected a rate of {id} at most {self.longest_age.total_seconds() / 3600:g} hours old at "
                f"{_shown(int(ends[spot]))}, "
                f"found one of {_shown(int(periods[place[spot]]))}; give the missing bars"
            )


def rate_events(
    instruments: Sequence[Instrument], currencies: Sequence[str], rates: DatedRates, first: int, last: int
) -> EventTable:
    """The rate of every currency in the base (the first of `currencies`) at the start of the run and whenever a new one is known.

    Raises
    ------
    MissingData, InvalidInput : see `DatedRates.changes`
    """
    ids = [instrument.id for instrument in instruments]
    found = [empty(ids, currencies)]
    for place, currency in enumerate(currencies):
        if place:
            moments, above, below = rates.changes(currency, currencies[0], first, last)
            found.append(make(ids, currencies, EventKind.RATE, moments, currency=place, a=above, b=below))
    return merged(found)


def conversion_events(
    instruments: Sequence[Instrument],
    currencies: Sequence[str],
    conversions: Iterable[Conversion],
    rates: DatedRates,
    costs: ConversionCosts | Mapping[tuple[str, str], ConversionCosts] | None = None,
) -> EventTable:
    """Conversions at the rates known at their moments.

    Parameters
    ----------
    costs : for all, or by (sold, bought); none = `ConversionCosts()`

    Raises
    ------
    InvalidInput : a currency is not one of the run's
    MissingData : see `DatedRates.at`
    """
    ids = [instrument.id for instrument in instruments]
    cost_of: Callable[[tuple[str, str]], ConversionCosts]
    if costs is None or isinstance(costs, ConversionCosts):
        same = ConversionCosts() if costs is None else costs
        cost_of = lambda _: same  # noqa: E731
    else:
        cost_of = costs.__getitem__
    found = [empty(ids, currencies)]
    for order in conversions:
        for currency in (order.sold, order.bought):
            if currency not in currencies:
                raise InvalidInput(f"expected a currency of the run ({', '.join(currencies)}), found {currency}")
        cost = cost_of((order.sold, order.bought))
        moment = micros(utc(order.at))
        rate = rates.at(order.sold, order.bought, moment)
        kept = _UNIT - scaled_decimal(cost.half_spread_bps / 10_000, PRICE_PLACES, "half_spread_bps in parts of 1e-8")
        found.append(make(
            ids, currencies, EventKind.CONVERT, np.array([moment], dtype=np.int64),
            currency=list(currencies).index(order.sold), other=list(currencies).index(order.bought),
            a=NONE if order.amount is None else scaled_decimal(order.amount, PRICE_PLACES, "the amount of a conversion"),
            b=int(rate * kept * ONE / _UNIT), c=ONE,
            d=scaled_decimal(cost.commission_bps / 10_000, PRICE_PLACES, "commission_bps in parts of 1e-8"),
            e=scaled_decimal(cost.minimum_commission, PRICE_PLACES, "minimum_commission"),
        ))  # fmt: skip
    return merged(found)


def _product(parts: tuple[tuple[int, bool], ...]) -> Fraction:
    """The product of closes (steps of 1e-8; inverse: divided by it), exact where it fits in 63 bits."""
    rate = Fraction(1)
    for close, inverse in parts:
        rate *= Fraction(_UNIT, close) if inverse else Fraction(close, _UNIT)
    if rate.numerator < _LARGEST and rate.denominator < _LARGEST:
        return rate
    return Fraction(round(rate * ONE), ONE)


def _shown(moment: int) -> str:
    return f"{pl.Series([moment]).cast(STAMP)[0]:%Y-%m-%d %H:%M} UTC"
