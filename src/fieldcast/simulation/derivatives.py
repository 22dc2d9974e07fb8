"""Futures and options over time: daily settlement, expiry, rolls, exercise and assignment, as events.

    settlement   cash += quantity * (settlement price - last settled price) * multiplier, exact: a future holds no value, its
                 gains are paid each day. At the close of each session, at the last price or at a stated settlement price
    expiry       a last settlement at the final price; then the position and its orders are gone
    roll         the whole position leaves the old contract and enters the new one at both closes of the roll, each leg with its
                 own spread, slippage and commission. The rule decided before that close (`data.futures.rolls`), so that both
                 legs are orders for it
    option       a long option is worth its price and a short one owes it; the premium is paid when it is traded
      cash       cash += floor(quantity * max(right * (settlement value - strike), 0) * multiplier)
      physical   exercised (assigned, where short) if in the money by at least 0.01: quantity * deliverable units of the
                 underlying come at the strike for a call and go for a put; cash moves by the strike alone
      AM / PM    a PM option settles on the underlying's last price at its expiry; an AM option on the opening value of the next
                 session, which has to be given: its last trade is the evening before
    early        an American option that is short and in the money is assigned at a close after which its holder loses more by
                 waiting than its time value (price - what it is in the money) is worth. The whole position is assigned; a long
                 one is exercised so where its terms say so
      call       at the close before an ex-date: dividend > time value
      put        at each close, where a rate is stated: the interest on the strike to the next close, strike *
                 (1 - exp(-rate * years)) > time value; to wait another day is worth no more than that day's interest
    known        an expiry needs a price of the underlying of its session, an early exercise one of both (`events.events_of`)
Sources: CME Group, "Daily Settlements" and "Final Settlement"; Cboe, SPX specifications (AM settlement, SOQ); OCC Rule 805
(exercise by exception at 0.01); Hull, Options, Futures, and Other Derivatives, sections 11.5 and 11.6 (no call is exercised early
without a dividend, a put is for the interest on its strike) and 15.12 (early exercise just before an ex-date).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.actions import DIVIDEND, SPLIT
from fieldcast.data.contracts import Contract
from fieldcast.data.futures import Roll
from fieldcast.ground import InvalidInput, MissingData, utc
from fieldcast.market import STAMP, Instrument, sessions
from fieldcast.market.instrument import Kind
from fieldcast.simulation.event_table import (
    NONE,
    PRICE_PLACES,
    EventKind,
    EventTable,
    empty,
    make,
    merged,
    micros,
    places_of,
    scaled,
    scaled_decimal,
)
from fieldcast.simulation.financing import nights

YEAR_US = 365 * 86_400_000_000
SETTLEMENTS: dict[str, pl.DataType] = {"instrument": pl.String(), "ts": STAMP, "price": pl.Float64()}


@dataclass(frozen=True)
class FutureTerms:
    """A dated future.

    Parameters
    ----------
    instrument : its id
    expires_at : its last moment
    initial_margin, maintenance_margin : currency units a contract
    final_price : of the last settlement; none = its last price

    Raises
    ------
    InvalidInput : a margin is negative or not finite, or the maintenance margin is above the initial one
    """

    instrument: str
    expires_at: datetime
    initial_margin: Decimal
    maintenance_margin: Decimal
    final_price: Decimal | None = None

    def __post_init__(self) -> None:
        utc(self.expires_at)
        for name in ("initial_margin", "maintenance_margin"):
            value = getattr(self, name)
            if not value.is_finite() or value < 0:
                raise InvalidInput(f"expected {name} of at least 0 for {self.instrument}, found {value}")
        if self.maintenance_margin > self.initial_margin:
            raise InvalidInput(f"expected a maintenance margin up to the initial one for {self.instrument}, found {self}")


@dataclass(frozen=True)
class OptionTerms:
    """One option contract of a chain.

    Parameters
    ----------
    instrument, underlying : ids
    right : call or put
    strike : price of one unit of the underlying
    expires_at : when it settles: its last moment, or for an AM option the opening on whose value it settles
    style : american or european
    delivery : physical or cash
    settlement : AM or PM
    settlement_value : of the underlying; none = its last price then (PM alone)
    rate : a year, that a strike earns where an American put is exercised early; none = puts are exercised at expiry alone
    exercise : a long position of an American option is exercised at its expiry alone, or `early` by the rule above

    Raises
    ------
    InvalidInput : a word is not among those allowed, the strike is not above zero, the rate is not in [0, 1), an AM option has no
        settlement value, or a European one is exercised early
    """

    instrument: str
    underlying: str
    right: Literal["call", "put"]
    strike: Decimal
    expires_at: datetime
    style: Literal["american", "european"] = "american"
    delivery: Literal["physical", "cash"] = "physical"
    settlement: Literal["AM", "PM"] = "PM"
    settlement_value: Decimal | None = None
    rate: Decimal | None = None
    exercise: Literal["expiry", "early"] = "expiry"

    def __post_init__(self) -> None:
        utc(self.expires_at)
        allowed = {"right": ("call", "put"), "style": ("american", "european"), "delivery": ("physical", "cash"),
                   "settlement": ("AM", "PM"), "exercise": ("expiry", "early")}  # fmt: skip
        for name, words in allowed.items():
            if getattr(self, name) not in words:
                raise InvalidInput(f"expected {name} {' or '.join(words)} for {self.instrument}, found {getattr(self, name)!r}")
        if not self.strike.is_finite() or self.strike <= 0:
            raise InvalidInput(f"expected a strike above 0 for {self.instrument}, found {self.strike}")
        if self.rate is not None and not 0 <= self.rate < 1:
            raise InvalidInput(f"expected a rate in [0, 1) for {self.instrument}, found {self.rate}")
        if self.exercise == "early" and self.style == "european":
            raise InvalidInput(f"expected exercise at expiry of the European option {self.instrument}, found early")
        if self.settlement == "AM" and self.settlement_value is None:
            raise InvalidInput(
                f"expected the settlement value of the AM option {self.instrument}, found none; give the opening value"
            )

    def canonical(self) -> str:
        """Everything in one line."""
        value = "" if self.settlement_value is None else f" at {self.settlement_value}"
        early = f", {self.exercise}" if self.rate is None else f", {self.exercise} at {self.rate}"
        return (
            f"{self.instrument}: {self.style} {self.right} {self.strike} on {self.underlying} to "
            f"{utc(self.expires_at):%Y-%m-%dT%H:%M:%SZ}, {self.delivery}, {self.settlement}{value}{early}"
        )


DerivativeTerms = FutureTerms | OptionTerms


def future_terms(
    contract: Contract, instrument: Instrument, initial_margin: Decimal, maintenance_margin: Decimal,
    final_price: Decimal | None = None,
) -> FutureTerms:  # fmt: skip
    """Terms of a dated contract that trades to the close of its last trading day on the instrument's calendar.

    Raises
    ------
    MissingData : the calendar has no session on that day
    """
    day = sessions(instrument.calendar).filter(pl.col("session") == contract.expiry)
    if day.is_empty():
        raise MissingData(
            f"expected a session of {instrument.calendar} on {contract.expiry}, the last day of {contract.id}, found none"
        )
    return FutureTerms(instrument.id, day["close"][0], initial_margin, maintenance_margin, final_price)


def settlement_events(
    instruments: Sequence[Instrument],
    currencies: Sequence[str],
    terms: Iterable[FutureTerms],
    first: int,
    last: int,
    settlements: pl.DataFrame | None = None,
) -> EventTable:
    """Daily settlements and the expiry of each future.

    Parameters
    ----------
    settlements : schema `SETTLEMENTS`, prices at closes of sessions; where it has none the future settles at its last price

    Raises
    ------
    InvalidInput : an instrument is not listed or no future, or a price is missing or not finite
    """
    ids = [instrument.id for instrument in instruments]
    found = [empty(ids, currencies)]
    stated: dict[tuple[str, int], int] = {}
    if settlements is not None:
        places_of(instruments, settlements["instrument"], "settlements")
        prices = scaled(settlements["price"].fill_null(float("nan")), PRICE_PLACES, "a settlement price")
        moments = settlements["ts"].dt.epoch("us")
        stated = {(id, ts): int(price) for id, ts, price in zip(settlements["instrument"], moments, prices, strict=True)}
    for term in terms:
        place = int(places_of(instruments, pl.Series([term.instrument]), "futures")[0])
        instrument = instruments[place]
        if instrument.kind is not Kind.FUTURE:
            raise InvalidInput(f"expected terms of a future, found {instrument.id} of kind {instrument.kind}")
        end = micros(utc(term.expires_at))
        closes, _ = nights(instrument.calendar, first, min(last, end - 1))
        prices = np.array([stated.get((instrument.id, int(ts)), NONE) for ts in closes], dtype=np.int64)
        found.append(make(ids, currencies, EventKind.SETTLE, closes, instrument=place, a=prices))
        if first <= end <= last:
            final = stated.get((instrument.id, end), NONE)
            if term.final_price is not None:
                final = scaled_decimal(term.final_price, PRICE_PLACES, f"the final price of {instrument.id}")
            found.append(make(
                ids, currencies, EventKind.EXPIRE_FUTURE, np.array([end], dtype=np.int64), instrument=place, a=final,
            ))  # fmt: skip
    return merged(found)


def roll_events(instruments: Sequence[Instrument], currencies: Sequence[str], rolls: Iterable[Roll]) -> EventTable:
    """Rolls of a held position, at the closes that the roll states.

    Raises
    ------
    InvalidInput : a contract is not listed, or the two differ in currency, lot or multiplier, or a roll was decided after its
        close
    """
    made = list(rolls)
    ids = [instrument.id for instrument in instruments]
    old = places_of(instruments, pl.Series([roll.old.id for roll in made], dtype=pl.String), "rolls")
    new = places_of(instruments, pl.Series([roll.new.id for roll in made], dtype=pl.String), "rolls")
    for roll, one, other in zip(made, old, new, strict=True):
        left, right = instruments[one], instruments[other]
        if (left.currency, left.lot, left.multiplier) != (right.currency, right.lot, right.multiplier):
            raise InvalidInput(f"expected contracts of one currency, lot and multiplier, found {left} and {right}")
        if roll.decided_at > roll.ts:
            raise InvalidInput(f"expected the roll from {left.id} to be decided by its close {roll.ts}, found {roll.decided_at}")
    return make(
        ids, currencies, EventKind.ROLL, np.array([micros(utc(roll.ts)) for roll in made], dtype=np.int64),
        instrument=old, other=new, a=scaled([roll.old_close for roll in made], PRICE_PLACES, "a close at a roll"),
        b=scaled([roll.new_close for roll in made], PRICE_PLACES, "a close at a roll"),
    )  # fmt: skip


def option_events(
    instruments: Sequence[Instrument],
    currencies: Sequence[str],
    terms: Iterable[OptionTerms],
    first: int,
    actions: pl.DataFrame | None = None,
) -> EventTable:
    """Expiries of options, and early assignments of short American calls over the dividends in `actions`.

    Raises
    ------
    InvalidInput : an option or its underlying is not listed, they differ in currency, a physical option delivers no whole lots,
        or the underlying splits while the option lives
    """
    ids = [instrument.id for instrument in instruments]
    found = [empty(ids, currencies)]
    for term in terms:
        place, underlying = (int(one) for one in places_of(instruments, pl.Series([term.instrument, term.underlying]), "options"))
        deliverable = _deliverable(term, instruments[place], instruments[underlying])
        end = micros(utc(term.expires_at))
        _refuse_splits(term, actions, first, end)
        value = NONE if term.settlement_value is None else scaled_decimal(
            term.settlement_value, PRICE_PLACES, f"the settlement value of {term.instrument}"
        )
        common: Mapping[str, int] = {
            "instrument": place, "other": underlying, "b": scaled_decimal(term.strike, PRICE_PLACES, "a strike"),
            "c": 1 if term.right == "call" else -1, "e": deliverable,
        }
        found.append(make(
            ids, currencies, EventKind.EXPIRE_OPTION, np.array([end], dtype=np.int64), a=value,
            d=1 if term.delivery == "physical" else 0, **common,
        ))  # fmt: skip
        if term.style == "european" or term.delivery == "cash":
            continue
        held: Mapping[str, int] = {**common, "d": 1 if term.exercise == "early" else 0}
        if actions is not None and term.right == "call":
            found.append(_assignments(ids, currencies, term, instruments[underlying], actions, end, held))
        if term.rate and term.right == "put":
            closes, gains = put_gains(term, instruments[underlying], first, end)
            found.append(make(ids, currencies, EventKind.ASSIGN, closes, a=gains, **held))
    return merged(found)


def put_gains(
    term: OptionTerms, underlying: Instrument, first: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Closes of the sessions before a put's last one, and the interest on its strike from each to the next, in steps of 1e-8."""
    closes = sessions(underlying.calendar)["close"].dt.epoch("us").to_numpy()
    closes = closes[(closes >= first) & (closes <= end)]
    years = np.diff(np.append(closes, end)) / YEAR_US
    lives = closes < end
    gains = float(term.strike) * -np.expm1(-float(term.rate or 0) * years)
    return closes[lives].astype(np.int64), scaled(gains[lives], PRICE_PLACES, "the interest on a strike")


def _refuse_splits(term: OptionTerms, actions: pl.DataFrame | None, first: int, end: int) -> None:
    """A clearing house changes strikes and deliverables at a split; that is another contract."""
    if actions is None:
        return
    moments = actions.filter((pl.col("action") == SPLIT) & (pl.col("instrument") == term.underlying))["effective_at"]
    within = moments.filter(moments.dt.epoch("us").is_between(first, end))
    if within.len():
        raise InvalidInput(
            f"expected no split of {term.underlying} in the life of {term.instrument}, found one on {within[0]:%Y-%m-%d}; "
            "list the adjusted contract as an instrument of its own"
        )


def _assignments(
    ids: Sequence[str], currencies: Sequence[str], term: OptionTerms, underlying: Instrument, actions: pl.DataFrame, end: int,
    common: Mapping[str, int],
) -> EventTable:  # fmt: skip
    """The closes before the ex-dates that an American call lives to see."""
    dividends = actions.filter((pl.col("action") == DIVIDEND) & (pl.col("instrument") == term.underlying))
    dividends = dividends.sort("available_at", maintain_order=True).unique("effective_at", keep="last", maintain_order=True)
    ex_dates = dividends["effective_at"].dt.epoch("us").to_numpy()
    closes = sessions(underlying.calendar)["close"].dt.epoch("us").to_numpy()
    evenings = closes[np.searchsorted(closes, ex_dates, side="left") - 1]
    lives = ex_dates <= end
    amounts = scaled(dividends["amount"].fill_null(float("nan")), PRICE_PLACES, "the amount of a dividend")
    return make(ids, currencies, EventKind.ASSIGN, evenings[lives].astype(np.int64), a=amounts[lives], **common)


def _deliverable(term: OptionTerms, option: Instrument, underlying: Instrument) -> int:
    """Lots of the underlying for one lot of the option; its multiplier is the number of units that it stands for."""
    if option.currency != underlying.currency:
        raise InvalidInput(
            f"expected {option.id} and {underlying.id} in one currency, found {option.currency} and {underlying.currency}"
        )
    if term.delivery == "cash":
        return 0
    lots = option.lot * option.multiplier / (underlying.lot * underlying.multiplier)
    if lots != lots.to_integral_value() or lots <= 0:
        raise InvalidInput(f"expected whole lots of {underlying.id} for one lot of {option.id}, found {lots}")
    return int(lots)
