"""Splits, cash dividends and delistings as events of a simulated account.

    dividend   cash += floor(quantity * amount)      on the quantity held before the ex-date: a long receives, a short pays
               cash -= ceil(received * share withheld)          of a long, to the account TAX; a short pays the whole amount
    split      quantity' = quantity * new / old, towards zero to a whole lot; the fraction of a lot left over is paid in cash at
               the last price before the split, a short's fraction is charged: cash += floor(fraction * price)
               mark' = mark * old / new, half to even to the price unit, until the next bar brings a price
               working orders: quantity * new / old, down to a whole lot (none left: cancelled); limits and trailing distances
               times old / new, to the tick away from the market (a purchase's limit down, a sale's up; stops the other way round)
    delisting  every position is paid out at the stated price, and working orders are cancelled

All happen at midnight of the ex-date in the instrument's zone, before the open. Cash moves on the ex-date: a table of actions
states no payment date, so the days in between bear no interest. An order is not lowered by a cash dividend ("do not reduce").
Where an action was announced more than once, the newest announcement counts, whenever it was made: the venue plays what happened,
and a strategy never sees the table.
Sources: FINRA Rule 5330 (orders in the face of splits; we scale purchases and sales alike, and do not cancel orders before a
reverse split); CRSP, Data Descriptions Guide ("factor to adjust prices").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl

from fieldcast.data.actions import DIVIDEND, SPLIT
from fieldcast.ground import InvalidInput, utc
from fieldcast.market import Instrument
from fieldcast.market.instrument import Kind
from fieldcast.market.tables import ACTIONS
from fieldcast.simulation.event_table import (
    PRICE_PLACES,
    RATE_PLACES,
    EventKind,
    EventTable,
    make,
    merged,
    micros,
    places_of,
    scaled,
    scaled_decimal,
)

SHARES = (Kind.EQUITY, Kind.ETF)
_SIMPLE = 10_000        # largest denominator of a ratio that is taken for a simple fraction
_NEAR = Fraction(1, 10**9)


def corporate_events(
    instruments: Sequence[Instrument],
    currencies: Sequence[str],
    actions: pl.DataFrame,
    withholding: Mapping[str, Decimal] | None = None,
) -> EventTable:
    """Events out of rows of the table `actions`.

    Parameters
    ----------
    withholding : share of a dividend that is withheld from a long, by instrument id; others get theirs whole

    Raises
    ------
    InvalidInput : a withheld share is not in [0, 1], or of an instrument that is not listed; a column is missing, an action of an
        instrument that is not listed or no share, an unknown action, a ratio that is not above zero, an amount that is negative,
        or a number that is missing or not finite
    """
    missing = [name for name in ACTIONS.schema if name not in actions.columns]
    if missing:
        raise InvalidInput(f"expected the columns of table actions, missing {', '.join(missing)}")
    unknown = set(actions["action"].unique()) - {SPLIT, DIVIDEND}
    if unknown:
        raise InvalidInput(f"expected the actions {SPLIT} and {DIVIDEND}, found {', '.join(map(str, sorted(unknown, key=str)))}")
    newest = actions.sort("available_at", "ts", maintain_order=True).unique(
        ["instrument", "action", "effective_at"], keep="last", maintain_order=True
    )
    places = places_of(instruments, newest["instrument"], "actions")
    others = sorted({instruments[place].id for place in set(places.tolist()) if instruments[place].kind not in SHARES})
    if others:
        raise InvalidInput(f"expected splits and dividends of shares and funds, found one of {others[0]}")
    splits = (newest["action"] == SPLIT).to_numpy()
    moments = newest["effective_at"].dt.epoch("us").to_numpy()
    ratios = [exact_ratio(value, id) for value, id in newest.filter(splits).select("ratio", "instrument").iter_rows()]
    amounts = scaled(newest.filter(~splits)["amount"].fill_null(float("nan")), PRICE_PLACES, "the amount of a dividend")
    if amounts.size and amounts.min() < 0:
        raise InvalidInput(f"expected amounts of at least 0, found {amounts.min() / 10**PRICE_PLACES}")
    ids = [instrument.id for instrument in instruments]
    withheld = _withheld(instruments, withholding or {})
    money = np.array([list(currencies).index(instruments[place].currency) for place in places[~splits]], dtype=np.int64)
    return merged((
        make(
            ids, currencies, EventKind.SPLIT, moments[splits], instrument=places[splits],
            a=np.array([ratio.numerator for ratio in ratios], dtype=np.int64),
            b=np.array([ratio.denominator for ratio in ratios], dtype=np.int64),
        ),
        make(
            ids, currencies, EventKind.DIVIDEND, moments[~splits], instrument=places[~splits], currency=money, a=amounts,
            b=withheld[places[~splits]],
        ),
    ))  # fmt: skip


def _withheld(instruments: Sequence[Instrument], withholding: Mapping[str, Decimal]) -> np.ndarray:
    """(N,) shares in steps of 1e-12."""
    places_of(instruments, pl.Series(list(withholding), dtype=pl.String), "withholding")
    found = np.zeros(len(instruments), dtype=np.int64)
    for place, instrument in enumerate(instruments):
        share = withholding.get(instrument.id, Decimal(0))
        found[place] = scaled_decimal(share, RATE_PLACES, f"the share withheld of {instrument.id}")
        if not 0 <= share <= 1:
            raise InvalidInput(f"expected a share from 0 to 1 to be withheld of {instrument.id}, found {share}")
    return found


def delisting_events(
    instruments: Sequence[Instrument], currencies: Sequence[str], delistings: Mapping[str, tuple[datetime, Decimal]]
) -> EventTable:
    """Instruments whose trading ends, with the moment and what one unit is paid out at (0 for nothing).

    Raises
    ------
    InvalidInput : an instrument is not listed, or a price is negative or has more than 8 decimal places
    """
    ids = [instrument.id for instrument in instruments]
    places = places_of(instruments, pl.Series(list(delistings), dtype=pl.String), "delistings")
    prices = [scaled_decimal(price, PRICE_PLACES, f"the last price of {id}") for id, (_, price) in delistings.items()]
    if prices and min(prices) < 0:
        raise InvalidInput(f"expected last prices of at least 0, found {min(prices) / 10**PRICE_PLACES}")
    moments = np.array([micros(utc(moment)) for moment, _ in delistings.values()], dtype=np.int64)
    return make(ids, currencies, EventKind.DELIST, moments, instrument=places, a=np.array(prices, dtype=np.int64))


def exact_ratio(value: float | None, instrument: str) -> Fraction:
    """New shares for one old share as a fraction: a simple one where the number means one (0.142857142857 is 1/7), else its
    decimal.

    Raises
    ------
    InvalidInput : the ratio is missing, not finite or not above zero
    """
    if value is None or not np.isfinite(value) or value <= 0:
        raise InvalidInput(f"expected a split ratio above zero for {instrument}, found {value}")
    written = Fraction(repr(float(value)))
    simple = written.limit_denominator(_SIMPLE)
    if simple > 0 and abs(simple / written - 1) <= _NEAR:
        return simple
    return Fraction(round(written * 10**PRICE_PLACES), 10**PRICE_PLACES) or written
