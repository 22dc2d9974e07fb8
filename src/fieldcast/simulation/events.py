"""Market tables in, the events of a run out: `events_of` collects, `event_rows` puts them on the run's clock and in its units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.futures import Roll
from fieldcast.ground import InvalidInput, utc
from fieldcast.market import STAMP, sessions
from fieldcast.simulation.corporate import corporate_events, delisting_events
from fieldcast.simulation.currencies import Conversion, ConversionCosts, DatedRates, conversion_events, rate_events
from fieldcast.simulation.derivatives import (
    DerivativeTerms,
    FutureTerms,
    OptionTerms,
    option_events,
    roll_events,
    settlement_events,
)
from fieldcast.simulation.event_table import NONE, PRICE_PLACES, UNKNOWN, EventKind, EventTable, merged, micros
from fieldcast.simulation.fee_events import regulatory_events, terms_in_units
from fieldcast.simulation.financing import (
    US_BORROW,
    BorrowTerms,
    InterestTerms,
    borrow_events,
    funding_events,
    interest_events,
)
from fieldcast.simulation.market import Market
from fieldcast.simulation.units import Units

AT_THE_OPEN = (EventKind.DIVIDEND, EventKind.SPLIT)      # of the bar in which they fall, whenever it begins
_LARGEST = 2**62


def events_of(
    market: Market,
    base: str | None = None,
    *,
    currencies: tuple[str, ...] = (),
    actions: pl.DataFrame | None = None,
    withholding: Mapping[str, Decimal] | None = None,
    regulatory: bool = False,
    delistings: Mapping[str, tuple[datetime, Decimal]] | None = None,
    borrow: pl.DataFrame | None = None,
    borrow_terms: BorrowTerms | Mapping[str, BorrowTerms] = US_BORROW,
    rates: pl.DataFrame | None = None,
    interest_terms: InterestTerms | Mapping[str, InterestTerms] | None = None,
    calendar: str | None = None,
    funding: pl.DataFrame | None = None,
    contracts: Iterable[DerivativeTerms] = (),
    settlements: pl.DataFrame | None = None,
    rolls: Iterable[Roll] = (),
    fx: DatedRates | None = None,
    conversions: Iterable[Conversion] = (),
    conversion_costs: ConversionCosts | Mapping[tuple[str, str], ConversionCosts] | None = None,
) -> EventTable:
    """Every event of a run on this market, in order of time; each table may be left out.

    Parameters
    ----------
    base, currencies : as in `Units.of`
    actions, withholding, delistings : see `corporate`
    regulatory : section 31 and activity fees of US shares at the rates of each day; see `fee_events`
    borrow, borrow_terms, rates, interest_terms, calendar, funding : see `financing`
    contracts, settlements, rolls : see `derivatives`
    fx, conversions, conversion_costs : see `currencies`; `fx` is needed where the run has several currencies

    Raises
    ------
    InvalidInput : a table does not fit the market; the message names the instrument, or the column
    MissingData : a rate that is needed was not known at its time
    """
    names = Units.of(market, base, currencies=currencies).currencies
    instruments = market.instruments
    first, last = int(market.open_ts[0]), int(market.ts[-1])
    if len(names) > 1 and fx is None:
        raise InvalidInput(f"expected dated rates (fx) for a run in {', '.join(names)}, found none")
    terms, orders, made = list(contracts), list(conversions), list(rolls)
    found = [corporate_events(instruments, names, _no_actions() if actions is None else actions, withholding)]
    if regulatory:
        found.append(regulatory_events(instruments, names, first, last))
    if delistings:
        found.append(delisting_events(instruments, names, delistings))
    if borrow is not None:
        found.append(borrow_events(instruments, names, borrow, first, last, borrow_terms))
    if rates is not None:
        found.append(interest_events(instruments, names, rates, first, last, interest_terms, calendar=calendar))
    if funding is not None:
        found.append(funding_events(instruments, names, funding))
    futures = [term for term in terms if isinstance(term, FutureTerms)]
    found.append(settlement_events(instruments, names, futures, first, last, settlements))
    options = [term for term in terms if isinstance(term, OptionTerms)]
    found.append(_on_known_prices(option_events(instruments, names, options, first, actions), market))
    if made:
        found.append(_with_volumes(roll_events(instruments, names, made), market))
    outside = [order for order in orders if not first <= micros(utc(order.at)) <= last]
    if outside:
        raise InvalidInput(f"expected conversions within the run, found one at {outside[0].at.isoformat()}")
    if fx is not None:
        found.append(rate_events(instruments, names, fx, first, last))
        found.append(conversion_events(instruments, names, orders, fx, conversion_costs))
    elif orders:
        raise InvalidInput("expected dated rates (fx) for conversions, found none")
    return merged(found).between(first, last)


def event_rows(table: EventTable, market: Market, units: Units) -> NDArray[np.int64]:
    """The table as the kernels take it: (E, EVENT_COLUMNS) int64, amounts of money in minimal units, in order of EV_STEP.

    Raises
    ------
    InvalidInput : the table is of other instruments or currencies, or an amount does not fit in 63 bits
    """
    from fieldcast.simulation import _state as s  # numba loads only when a run is made

    ids = tuple(instrument.id for instrument in market.instruments)
    if table.instruments != ids or table.currencies != units.currencies:
        raise InvalidInput(
            f"expected events of {', '.join(ids[:5])} in {', '.join(units.currencies)}, found events of "
            f"{', '.join(table.instruments[:5])} in {', '.join(table.currencies)}; make them with "
            "events_of(market, base, currencies=...)"
        )
    opens = np.isin(table.kind, AT_THE_OPEN)
    bar = np.where(
        opens, np.searchsorted(market.ts, table.ts, side="right"), np.searchsorted(market.ts, table.ts, side="left")
    )
    within = (bar < market.bars) & (table.ts >= market.open_ts[0])
    before = opens | (table.ts <= market.open_ts[np.minimum(bar, market.bars - 1)])
    step = 2 * bar + np.where(before, 0, 1)
    order = np.flatnonzero(within)[np.argsort(step[within], kind="stable")]
    rows = np.zeros((order.size, s.EVENT_COLUMNS), dtype=np.int64)
    for name, column in (
        ("ts", s.EV_TS), ("kind", s.EV_KIND), ("instrument", s.EV_INSTRUMENT), ("currency", s.EV_CURRENCY), ("a", s.EV_A),
        ("b", s.EV_B), ("c", s.EV_C), ("d", s.EV_D), ("e", s.EV_E), ("other", s.EV_OTHER),
    ):  # fmt: skip
        rows[:, column] = getattr(table, name)[order]
    rows[:, s.EV_STEP] = step[order]
    _to_minimal(rows, rows[:, s.EV_KIND] == EventKind.INTEREST, s.EV_E, units)
    converts = rows[:, s.EV_KIND] == EventKind.CONVERT
    _to_minimal(rows, converts, s.EV_E, units)
    _to_minimal(rows, converts & (rows[:, s.EV_A] != NONE), s.EV_A, units)
    for row in np.flatnonzero(rows[:, s.EV_KIND] == EventKind.TERMS):
        n, term, value = (int(rows[row, column]) for column in (s.EV_INSTRUMENT, s.EV_A, s.EV_B))
        rows[row, s.EV_A], rows[row, s.EV_B] = terms_in_units(term, value, units, n)
    return rows


def _to_minimal(rows: NDArray[np.int64], which: NDArray[np.bool_], column: int, units: Units) -> None:
    """Amounts of money in steps of 1e-8 as minimal units, down."""
    for row in np.flatnonzero(which):
        amount = int(rows[row, column]) * 10**units.cash_decimals // 10**PRICE_PLACES
        if abs(amount) >= _LARGEST:
            raise InvalidInput(f"expected an amount below {units.money(_LARGEST)}, found {units.money(amount)}")
        rows[row, column] = amount


def _on_known_prices(table: EventTable, market: Market) -> EventTable:
    """Events of options that rest on prices of their own session.

    An expiry without a price of the underlying in the session is marked as UNKNOWN; whether an option is exercised early is not
    asked at a close for which it or its underlying has no price.
    """
    settles, keep = table.a.copy(), np.ones(len(table), dtype=np.bool_)
    for row, (kind, n, under) in enumerate(zip(table.kind, table.instrument, table.other, strict=True)):
        moment = int(table.ts[row])
        if kind == EventKind.EXPIRE_OPTION and table.a[row] == NONE and not _priced(market, int(under), int(under), moment):
            settles[row] = UNKNOWN
        elif kind == EventKind.ASSIGN:
            keep[row] = all(_priced(market, int(one), int(under), moment) for one in (n, under))
    kept = {name: column[keep] for name, column in replace(table, a=settles).columns().items()}
    return EventTable(table.instruments, table.currencies, **kept)


def _priced(market: Market, n: int, of: int, moment: int) -> bool:
    """True where instrument n has a price by the bar of a moment, in the last session of another's calendar that began before."""
    opens = _opens(market.instruments[of].calendar)
    place = int(np.searchsorted(opens, moment, side="left"))
    first = int(np.searchsorted(market.ts, opens[place - 1], side="right")) if place else 0
    last = int(np.searchsorted(market.ts, moment, side="left")) + 1
    return bool((market.close[n, first:last] > 0.0).any())


@lru_cache(maxsize=16)
def _opens(calendar: str) -> NDArray[np.int64]:
    return sessions(calendar)["open"].dt.epoch("us").to_numpy()


def _with_volumes(table: EventTable, market: Market) -> EventTable:
    """Rolls with the volumes of their bars (-1 = unknown), after a look that each price is the close of its bar."""
    volumes = {}
    for column, price, instrument in (("c", table.a, table.instrument), ("d", table.b, table.other)):
        found = np.full(len(table), -1, dtype=np.int64)
        bar = np.searchsorted(market.ts, table.ts)
        for row, (t, n) in enumerate(zip(bar, instrument, strict=True)):
            if not market.open_ts[0] <= table.ts[row] <= market.ts[-1]:
                continue
            close = market.close[n, t] if market.ts[t] == table.ts[row] else np.nan
            stated = price[row] / 10**PRICE_PLACES
            if not np.isclose(close, stated, rtol=1e-12, atol=0.5 * 10.0**-PRICE_PLACES):
                moment = pl.Series([int(table.ts[row])]).cast(STAMP)[0]
                raise InvalidInput(
                    f"expected the roll at {moment} at the close of {market.instruments[n].id}, {close}, found {stated}"
                )
            if np.isfinite(market.volume[n, t]):
                found[row] = int(market.volume[n, t])
        volumes[column] = found
    return replace(table, c=volumes["c"], d=volumes["d"])


def _no_actions() -> pl.DataFrame:
    from fieldcast.market.tables import ACTIONS

    return ACTIONS.empty()


def canonical(table: EventTable) -> Sequence[object]:
    """What a result's hash sees of the events."""
    import hashlib

    whole = hashlib.sha256(repr((table.instruments, table.currencies)).encode())
    for column in table.columns().values():
        whole.update(np.ascontiguousarray(column).tobytes())
    return [len(table), whole.hexdigest()]
