"""What holding costs: stock borrow, margin and credit interest, and the funding of perpetual futures, as events.

    borrow    fee = quantity short * collateral price * rate * days / days a year, up to the minimal unit
              collateral price = price * collateral share, up to the step
    interest  on the balance of a currency: floor(balance * rate * days / days a year); below zero at the debit rate, above zero
              at the credit rate, on what exceeds the part that is free of credit
              balance = cash - market value of shorts, as brokers keep it: the proceeds of a short sale secure the loan of the
              shares and earn nothing; with `short_proceeds="earn"` the balance is cash
    funding   cash -= quantity * mark * rate, up to the minimal unit where it is paid and down where it is received: with a rate
              above zero a long pays and a short receives

Borrow and interest are charged at the close of each session for the nights until the next one: one on a Thursday, three on a
Friday, four before a long weekend. (Interest in a run of currency pairs: at 17:00 New York, where their day ends.) (Brokers
charge from settlement day to settlement day; a trade here is settled when it is filled.) The rate is the newest one that was
known at that close. Funding uses the mark price of the table, or the last price where it has none, and falls on who holds the
future at that moment.
Sources: IBKR, "Collateral (Short Sale)" (102 % of the price, up to the whole dollar) and "Interest and Financing" (balance
segments; no credit on the first 10,000 USD); Regulation T, 12 CFR 220.12; Binance, "Introduction to Binance Futures Funding
Rates".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
import polars as pl

from fieldcast.ground import ConfigError, InvalidInput, MissingData
from fieldcast.market import STAMP, Instrument, sessions
from fieldcast.market.instrument import Kind
from fieldcast.market.tables import FUNDING
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
    places_of,
    scaled,
    scaled_decimal,
)
from fieldcast.simulation.trading_days import currency_nights

BORROW_RATES: dict[str, pl.DataType] = {
    "instrument": pl.String(), "ts": STAMP, "available_at": STAMP, "rate": pl.Float64(),      # a year; 0.03 = 3 %
}
CASH_RATES: dict[str, pl.DataType] = {
    "currency": pl.String(), "ts": STAMP, "available_at": STAMP, "rate": pl.Float64(),        # a year, of the benchmark
}
_DAYS = (360, 365)


@dataclass(frozen=True)
class BorrowTerms:
    """How a lender of shares reckons.

    Parameters
    ----------
    days_a_year : 360 or 365
    collateral_share : of the price that the fee is charged on
    collateral_step : the collateral price is rounded up to a multiple of it; 0 = not rounded

    Raises
    ------
    ConfigError : days_a_year is neither 360 nor 365, the share is not above zero, or the step is below zero
    """

    days_a_year: int = 360
    collateral_share: Decimal = Decimal(1)
    collateral_step: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.days_a_year not in _DAYS:
            raise ConfigError(f"expected days_a_year of 360 or 365, found {self.days_a_year}")
        if not self.collateral_share.is_finite() or self.collateral_share <= 0:
            raise ConfigError(f"expected a collateral_share above 0, found {self.collateral_share}")
        if not self.collateral_step.is_finite() or self.collateral_step < 0:
            raise ConfigError(f"expected a collateral_step of at least 0, found {self.collateral_step}")


US_BORROW = BorrowTerms(360, Decimal("1.02"), Decimal(1))     # the industry's convention for US shares, as IBKR describes it


@dataclass(frozen=True)
class InterestTerms:
    """What a broker adds to a benchmark rate, and takes off it.

    Parameters
    ----------
    debit_spread, credit_spread : a year; debit rate = max(benchmark + debit_spread, 0), credit rate = max(benchmark -
    credit_spread, 0) free_of_credit : balance on which no credit is paid, units of the currency
    days_a_year : 360 or 365 (pounds and Canadian, Australian and Hong Kong dollars)
    short_proceeds : `segregated` or `earn`; see the module

    Raises
    ------
    ConfigError : a value is negative, not finite or not among those allowed
    """

    debit_spread: Decimal = Decimal("0.015")
    credit_spread: Decimal = Decimal("0.005")
    free_of_credit: Decimal = Decimal(0)
    days_a_year: int = 360
    short_proceeds: Literal["segregated", "earn"] = "segregated"

    def __post_init__(self) -> None:
        for name in ("debit_spread", "credit_spread", "free_of_credit"):
            value = getattr(self, name)
            if not value.is_finite() or value < 0:
                raise ConfigError(f"expected {name} of at least 0, found {value}")
        if self.days_a_year not in _DAYS:
            raise ConfigError(f"expected days_a_year of 360 or 365, found {self.days_a_year}")
        if self.short_proceeds not in ("segregated", "earn"):
            raise ConfigError(f"expected short_proceeds segregated or earn, found {self.short_proceeds!r}")


def borrow_events(
    instruments: Sequence[Instrument],
    currencies: Sequence[str],
    borrow: pl.DataFrame,
    first: int,
    last: int,
    terms: BorrowTerms | Mapping[str, BorrowTerms] = US_BORROW,
) -> EventTable:
    """A charge at the close of each session of each instrument of the table that lies within the run.

    Parameters
    ----------
    borrow : schema `BORROW_RATES`; instruments that do not occur in it are lent for nothing
    first, last : of the run, microseconds since 1970
    terms : for all, or by instrument id

    Raises
    ------
    InvalidInput : a column is missing, an instrument is not listed or no share, or a rate is missing, not finite or below zero
    MissingData : no rate of an instrument is known at one of its closes
    """
    _refuse_missing(borrow, BORROW_RATES, "borrow rates")
    ids = [instrument.id for instrument in instruments]
    found = [empty(ids, currencies)]
    for place in np.unique(places_of(instruments, borrow["instrument"], "borrow rates")):
        instrument = instruments[place]
        if instrument.kind not in (Kind.EQUITY, Kind.ETF):
            raise InvalidInput(f"expected borrow rates of shares and funds, found {instrument.id} of kind {instrument.kind}")
        rates = borrow.filter(pl.col("instrument") == instrument.id)
        closes, days = nights(instrument.calendar, first, last)
        rate = _rates_at(rates, closes, f"a borrow rate of {instrument.id}")
        if rate.size and rate.min() < 0:
            raise InvalidInput(f"expected borrow rates of at least 0 for {instrument.id}, found {rate.min() / 10**RATE_PLACES}")
        term = terms if isinstance(terms, BorrowTerms) else terms[instrument.id]
        found.append(make(
            ids, currencies, EventKind.BORROW, closes, instrument=int(place), a=rate, b=days, c=term.days_a_year,
            d=scaled_decimal(term.collateral_share, PRICE_PLACES, "the collateral share"),
            e=scaled_decimal(term.collateral_step, PRICE_PLACES, "the collateral step"),
        ))  # fmt: skip
    return merged(found)


def interest_events(
    instruments: Sequence[Instrument],
    currencies: Sequence[str],
    rates: pl.DataFrame,
    first: int,
    last: int,
    terms: InterestTerms | Mapping[str, InterestTerms] | None = None,
    *,
    calendar: str | None = None,
) -> EventTable:
    """A charge or credit on each currency of the table at the close of each session within the run.

    Parameters
    ----------
    rates : schema `CASH_RATES`; a balance in a currency that does not occur in it bears none
    terms : for all, or by currency; none = `InterestTerms()`
    calendar : whose closes; none = those of the run's first instrument in the currency, else of the first instrument: its
        calendar's, or 17:00 New York for a currency pair

    Raises
    ------
    InvalidInput : a column is missing, a currency is not one of the run's, or a rate is missing or not finite
    MissingData : no rate of a currency is known at one of the closes
    """
    _refuse_missing(rates, CASH_RATES, "cash rates")
    ids = [instrument.id for instrument in instruments]
    found = [empty(ids, currencies)]
    for currency in sorted(rates["currency"].unique()):
        if currency not in currencies:
            raise InvalidInput(f"expected cash rates of {', '.join(currencies)}, found {currency}; leave out those rows")
        of_currency = [instrument for instrument in instruments if instrument.currency == currency]
        one = (of_currency or list(instruments))[0]
        pair = calendar is None and one.kind is Kind.FX
        closes, days = currency_nights(first, last) if pair else nights(calendar or one.calendar, first, last)
        benchmark = _rates_at(rates.filter(pl.col("currency") == currency), closes, f"a rate of {currency}")
        term = InterestTerms() if terms is None else terms if isinstance(terms, InterestTerms) else terms[currency]
        found.append(make(
            ids, currencies, EventKind.INTEREST, closes, currency=list(currencies).index(currency),
            other=0 if term.short_proceeds == "segregated" else -1,
            a=np.maximum(benchmark + scaled_decimal(term.debit_spread, RATE_PLACES, "debit_spread"), 0),
            b=np.maximum(benchmark - scaled_decimal(term.credit_spread, RATE_PLACES, "credit_spread"), 0),
            c=days, d=term.days_a_year, e=scaled_decimal(term.free_of_credit, PRICE_PLACES, "free_of_credit"),
        ))  # fmt: skip
    return merged(found)


def funding_events(instruments: Sequence[Instrument], currencies: Sequence[str], funding: pl.DataFrame) -> EventTable:
    """A payment at each funding time of a perpetual future, out of rows of the table `funding`.

    Of several versions of a row the newest counts: what was paid.

    Raises
    ------
    InvalidInput : a column is missing, an instrument is not listed or no future, or a number is missing, not finite or (a mark)
        not above
        zero
    """
    _refuse_missing(funding, FUNDING.schema, "table funding")
    newest = funding.sort("available_at", maintain_order=True).unique(["instrument", "ts"], keep="last", maintain_order=True)
    places = places_of(instruments, newest["instrument"], "funding")
    others = sorted({instruments[place].id for place in set(places.tolist()) if instruments[place].kind is not Kind.FUTURE})
    if others:
        raise InvalidInput(f"expected funding of perpetual futures (kind future), found {others[0]}")
    known = newest["mark"].is_not_null().to_numpy()
    marks = scaled(newest["mark"].fill_null(1.0), PRICE_PLACES, "the mark price of a funding")
    if (marks <= 0).any():
        raise InvalidInput("expected mark prices above zero in table funding, found one that is not")
    return make(
        [instrument.id for instrument in instruments], currencies, EventKind.FUNDING,
        newest["ts"].dt.epoch("us").to_numpy(), instrument=places,
        a=scaled(newest["rate"].fill_null(float("nan")), RATE_PLACES, "a funding rate"), b=np.where(known, marks, NONE),
    )  # fmt: skip


def nights(calendar: str, first: int, last: int) -> tuple[Integers, Integers]:
    """(closes, days) of the sessions that close within [first, last]: microseconds, and calendar days until the next session."""
    table = sessions(calendar).with_columns(days=(pl.col("session").shift(-1) - pl.col("session")).dt.total_days())
    closes = table["close"].dt.epoch("us").to_numpy()
    start, stop = np.searchsorted(closes, first, side="left"), np.searchsorted(closes, last, side="right")
    if stop == closes.size and stop > start:
        raise InvalidInput(f"expected a run that ends before the last session of {calendar}, {table['session'][-1]}")
    return closes[start:stop].astype(np.int64), table["days"].fill_null(1).to_numpy()[start:stop].astype(np.int64)


def _rates_at(rates: pl.DataFrame, moments: Integers, what: str) -> Integers:
    """The newest rate (the latest period, in its latest version) known at each moment, steps of 1e-12."""
    if rates["rate"].null_count():
        raise InvalidInput(f"expected {what} in every row, found a row without")
    known_at = rates["available_at"].dt.epoch("us").to_numpy()
    periods = rates["ts"].dt.epoch("us").to_numpy()
    value = scaled(rates["rate"], RATE_PLACES, what)
    order = np.lexsort((periods, known_at))
    known_at, periods, value = known_at[order], periods[order], value[order]
    best = np.zeros(value.size, dtype=np.int64)     # by row: which of the rows known by then is of the latest period
    for row in range(1, value.size):
        best[row] = row if periods[row] >= periods[best[row - 1]] else best[row - 1]
    place = np.searchsorted(known_at, moments, side="right") - 1
    if (place < 0).any():
        moment = pl.Series([int(moments[place < 0][0])]).cast(STAMP)[0]
        raise MissingData(f"expected {what} that was known at {moment:%Y-%m-%d %H:%M} UTC, found none; give earlier rows")
    return value[best[place]]


def _refuse_missing(frame: pl.DataFrame, schema: Mapping[str, pl.DataType], what: str) -> None:
    missing = [name for name in schema if name not in frame.columns and name != "reasons"]
    if missing:
        raise InvalidInput(f"expected {what} with the columns {', '.join(schema)}; missing {', '.join(missing)}")
