"""The fields of one instrument at one moment, from everything that the store knows of it.

Daily bars give the field table; a session's minutes, an option chain, an order book and the short volume give readings beside
it, each only as far as it was known then. A chain that states no price of its underlying takes it from the store, or from parity
(`chain_spot`). What is not stored is absent with its reason; what is stored but cannot be read (a chain whose quotes are all
refused) is absent too, and the engine's own words stand in `notes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from fieldcast.data import load_instrument
from fieldcast.fields import FieldMap, Reading, build_field_table
from fieldcast.fields.books import BookField, BookSettings, Ladders, book_field
from fieldcast.fields.chain_rows import with_open_interest
from fieldcast.fields.dealer import DealerField, dealer_field
from fieldcast.fields.elasticity import ElasticityField, elasticity_field
from fieldcast.fields.liquidity import LiquidityField, SessionLiquidity, interpret, session_liquidity, short_pressure
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.pricing_chain import ChainRules, price_chain
from fieldcast.fields.regime import RegimeField, regime_field
from fieldcast.fields.sentiment import TABLE, SentimentField, SentimentRules, sentiment_field
from fieldcast.ground import InvalidInput, MissingData, Reason, Shown, utc
from fieldcast.market import DAILY, DECISION_DELAY, Instrument, Kind, sessions
from fieldcast.workflows.chain_spot import ChainSpot, chain_spot
from fieldcast.workflows.cycles import not_in_the_future
from fieldcast.workflows.upgrades import AUTO, SIGNS, EarnedParts
from fieldcast.workflows.workspace import Workspace

INTRADAY = ("bars/1m", "bars/5m", "bars/15m", "bars/30m", "bars/1h")
SESSIONS_BACK = timedelta(days=35)  # of intraday bars: the composite profile and the usual volume by time of day
BOOK_BACK = timedelta(days=1)
BOOK = BookSettings(quote_lag_seconds=0.05, oldest_seconds=60.0)  # streams stamped at receipt show the quote before its trade
BOOK_WINDOW = timedelta(seconds=BOOK.window_seconds)
BOOK_FIRST = timedelta(minutes=15)  # of messages before the window: feeds with snapshots every few minutes need no more
COUNTS_BACK = timedelta(days=10)
OLDEST_BARS = 5  # sessions
NEAR = 0.005  # of the chain's price, within which a book is of the same market at the same time
VOLUME_DAYS = 20
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class FieldsRead(Shown):
    """The field map, and the engines' own results behind it for whoever looks closer.

    Parameters
    ----------
    map : the field map
    instrument : whose
    bars : its daily bars known then; empty where there are none
    session, dealer, elasticity, book, chain, liquidity, regime, sentiment : what the engines found; None where nothing was there
        to read
    notes : engine → why it could not read what is stored
    plot : file of the page of charts, where one was asked for
    """

    map: FieldMap
    instrument: Instrument
    bars: pl.DataFrame
    session: SessionLiquidity | None = None
    minutes: pl.DataFrame | None = None
    chain: PricedChain | None = None
    dealer: DealerField | None = None
    elasticity: ElasticityField | None = None
    book: BookField | None = None
    liquidity: LiquidityField | None = None
    regime: RegimeField | None = None
    sentiment: SentimentField | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    plot: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        shown = {"notes": dict(self.notes), "plot": None if self.plot is None else str(self.plot)}
        return self.map.as_dict() | {"hash": self.map.hash} | shown


def read_fields(
    workspace: Workspace,
    instrument: str,
    *,
    as_of: datetime | None = None,
    vix: str | None = None,
    sign: str = AUTO,
    datasets: Mapping[str, str] | None = None,
    plot: Path | None = None,
    earned_only: bool = False,
) -> FieldsRead:
    """Every field of an instrument at a moment.

    Parameters
    ----------
    as_of : time with its zone; None = the newest moment at which a decision on its daily bars (or its chain) is made
    vix : id of the VIX series for the regime; None = the one in the store whose symbol is VIX, if there is just one
    sign : who holds the options, one of `upgrades.SIGNS`: `auto` takes the option prints where they are earned, else `naive`
    datasets : table → dataset, where the instrument stands in several
    plot : write the page of charts to this HTML file, self-contained
    earned_only : leave out what no ablation has earned yet, instead of showing it with a mark; for whatever feeds a model

    Raises
    ------
    MissingData : nothing that a field can be read from is known of the instrument at that moment
    InvalidInput : `as_of` lies ahead, or there is no such sign policy
    """
    not_in_the_future(workspace, as_of)
    if sign not in SIGNS:
        raise InvalidInput(f"expected a sign policy out of {', '.join(SIGNS)}, found {sign!r}")
    source = Known(workspace, load_instrument(workspace.ledger, instrument), dict(datasets or {}))
    moment = source.newest() if as_of is None else utc(as_of)
    found = _read(source, moment, vix, sign, EarnedParts(workspace, source.instrument, moment, earned_only=earned_only))
    if plot is not None:
        from fieldcast.workflows.fields_page import write_fields_page

        write_fields_page(found, plot)
        found = replace(found, plot=plot)
    return found


def field_map(workspace: Workspace, instrument: str, *, as_of: datetime | None = None) -> FieldMap:
    """The field map alone; see `read_fields`."""
    return read_fields(workspace, instrument, as_of=as_of).map


def usable_fields(workspace: Workspace, instrument: str, *, as_of: datetime | None = None) -> FieldMap:
    """The field map as a model may use it: nothing in it that no ablation has earned."""
    return read_fields(workspace, instrument, as_of=as_of, earned_only=True).map


def _read(source: Known, as_of: datetime, vix: str | None, sign: str, earned: EarnedParts) -> FieldsRead:
    notes: dict[str, str] = {}

    def attempt(engine: str, read: Callable[[], Found]) -> Found | None:
        """What an engine finds, or None and its own words why it finds nothing in what is there."""
        try:
            return read()
        except (MissingData, InvalidInput) as error:
            notes[engine] = str(error)
            return None

    bars, minutes = source.daily(as_of, notes), source.minutes(as_of)
    chains, without, rules = *earned.chain(source.chains(as_of)), chain_rules(source.instrument)
    depth, short = source.book(as_of), source.rows("short_volume", as_of)
    for engine, tables, rows, back in (("book", ("depth",), depth, BOOK_BACK), ("session", INTRADAY, minutes, SESSIONS_BACK)):
        if rows is None and (unread := source.out_of_reach(tables, as_of, back)) is not None:
            notes[engine] = unread
    absent: dict[str, Reason] = {}
    spot = None if chains is None else attempt("dealer", lambda: source.spot(chains, as_of, rules))
    chain = (
        None
        if chains is None or spot is None
        else attempt("dealer", lambda: price_chain(chains, as_of, spot=spot.price, rules=spot.rules))
    )
    policy = earned.policy(sign, chain)
    clock = source.instrument.calendar
    dealer = None if chain is None else attempt("dealer", lambda: dealer_field(chain, sign=policy, calendar=clock))
    prints, quotes = (source.window(table, as_of) for table in ("trades", "quotes"))
    told = {"trades": prints, "quotes": quotes}
    book = None if depth is None else attempt("book", lambda: book_field(depth, as_of, **told, settings=BOOK))
    volume = _usual_volume(bars, source.instrument)
    ladders = None if book is None or chain is None else _same_market(book, chain, notes)
    elasticity = (
        None
        if chain is None
        else attempt("elasticity", lambda: elasticity_field(chain, policy, depth=ladders, daily_volume=volume))
    )
    session = None if minutes is None else attempt("session", lambda: session_liquidity(minutes, source.instrument, as_of))
    for name, part, rows in (("dealer", dealer, chains), ("elasticity", elasticity, chains)):
        if part is None:
            absent[name] = source.why_none("chains", without) if rows is None else Reason.UNDEFINED
    readings = [_with_spot(earned.marked(part.reading()), spot) for part in (dealer, elasticity) if part is not None]
    row: Mapping[str, float] = {}
    mood: Mapping[str, float] = {}
    regime = None
    if bars is None:
        why = source.why_none(DAILY, Reason.NO_DATA)
        absent |= dict.fromkeys(("liquidity.daily", "regime.daily", "sentiment.daily"), why)
    else:
        table = build_field_table(bars)
        plain = FieldMap.at(source.instrument.id, as_of, table)
        row, mood = plain.liquidity, plain.sentiment
        gamma = None if dealer is None else dealer.gex
        rates, made_up = source.vix(vix, as_of)
        regime = regime_field(
            plain.regime,
            bars,
            as_of,
            calendar=source.instrument.calendar,
            vix=rates,
            dealer_gamma=gamma,
            hmm=earned.hmm(),
            change=earned.change(),
        )
        source.simulated = source.simulated or made_up
        readings.append(regime.reading())
    pressure = None if short is None else short_pressure(short, bars, as_of, simulated=source.simulated)
    liquidity = interpret(row, as_of, session=session, book=None if book is None else book.reading(), short=pressure)
    readings.append(liquidity.reading())
    sentiment = sentiment_field(source.rows(TABLE, as_of, SentimentRules().back), as_of, row=mood)
    readings.append(sentiment.reading())
    if bars is not None:
        found = FieldMap.at(source.instrument.id, as_of, table, readings, absent=absent, simulated=source.simulated)
    else:
        found = _without_bars(source, as_of, readings, absent, notes, session, chain, book)
    return FieldsRead(
        found, source.instrument, pl.DataFrame() if bars is None else bars, session, minutes, chain, dealer, elasticity, book,
        liquidity, regime, sentiment, notes,
    )  # fmt: skip


def chain_rules(instrument: Instrument) -> ChainRules:
    """How an instrument's chains are priced: an index's stated price is often older than its quotes."""
    return ChainRules(spot="parity") if instrument.kind is Kind.INDEX else ChainRules()


def _same_market(book: BookField, chain: PricedChain, notes: dict[str, str]) -> Ladders | None:
    """The book for the elasticity, where it stands around the chain's price: the two may have been taken at different times."""
    if book.book is None or book.book.reason is not None:
        return None
    away = book.book.mid / chain.spot - 1.0
    if abs(away) <= NEAR:
        return book.book
    notes["elasticity, the book"] = (
        f"expected a book within {NEAR:.1%} of the chain's price {chain.spot:,.6g}, found one around {book.book.mid:,.6g} "
        f"({away:+.1%}); the dealers' part stands alone"
    )
    return None


def _with_spot(reading: Reading, spot: ChainSpot | None) -> Reading:
    """Stamp where the spot came from."""
    return reading if spot is None else replace(reading, conventions={**reading.conventions, "spot": spot.words})


def _without_bars(
    source: Known,
    as_of: datetime,
    readings: list[Reading],
    absent: Mapping[str, Reason],
    notes: Mapping[str, str],
    session: SessionLiquidity | None,
    chain: PricedChain | None,
    book: BookField | None,
) -> FieldMap:
    """The map of an instrument without daily bars; its price is that of the chain, the session or the book, in this order."""
    if chain is not None:
        ts, price = chain.ts, chain.spot
    elif session is not None and session.developing.height:
        ts, price = session.developing["ts"][-1], session.developing["close"][-1]
    elif book is not None and book.available_at is not None and "mid" in book.figures:
        ts, price = book.available_at, book.figures["mid"]
    else:
        why = "; ".join(f"{engine}: {text}" for engine, text in notes.items())
        raise MissingData(
            f"expected bars, a chain or a book of {source.instrument.id} known at {as_of.isoformat()}, found none to read"
            + (f" ({why})" if why else "; import some, or choose a later --as-of")
        )
    return FieldMap.without_bars(source.instrument.id, as_of, ts, price, readings, absent=absent)


def _usual_volume(bars: pl.DataFrame | None, instrument: Instrument) -> float | None:
    """Mean volume of the last 20 known sessions, in units of the instrument; an index has no volume of its own."""
    if bars is None or instrument.kind is Kind.INDEX:
        return None
    known = bars["volume"].drop_nulls().tail(VOLUME_DAYS)
    return float(known.mean()) if known.len() == VOLUME_DAYS and known.sum() > 0 else None  # type: ignore[arg-type]


class Known:
    """The rows of one instrument in the store, each table as far as it was known at a moment."""

    def __init__(self, workspace: Workspace, instrument: Instrument, datasets: dict[str, str]) -> None:
        self.workspace, self.instrument, self.datasets = workspace, instrument, datasets
        self._everything = everything = workspace.store.datasets()
        self.held = everything.filter(pl.col("instrument") == instrument.id)
        self.simulated = instrument.simulated or bool(self.held["simulated"].any())
        self._vix = everything.filter((pl.col("table") == DAILY) & pl.col("instrument").str.contains(r":\^?VIX$"))

    def rows(
        self, table: str, as_of: datetime, back: timedelta | None = None, known_from: datetime | None = None
    ) -> pl.DataFrame | None:
        """Rows known at `as_of` (of the last `back`, and not before `known_from`); None where there are none."""
        if table not in set(self.held["table"]):
            return None
        first = None if back is None else (as_of - back).date()
        found = self.workspace.store.read(
            self.instrument.id, table=table, as_of=as_of, first=first, last=as_of.date(), known_from=known_from,
            dataset=self.datasets.get(table),
        )  # fmt: skip
        return None if found.is_empty() else found

    def daily(self, as_of: datetime, notes: dict[str, str]) -> pl.DataFrame | None:
        """Daily bars, unless the newest is older than five sessions: what they say is history then, and no field of now."""
        bars = self.rows(DAILY, as_of)
        if bars is None:
            return None
        ended = sessions(self.instrument.calendar).filter(pl.col("close") > bars["ts"][-1], pl.col("as_of") <= as_of).height
        if ended <= OLDEST_BARS:
            return bars
        notes["daily bars"] = (
            f"expected a bar of the last {OLDEST_BARS} sessions at {as_of:%Y-%m-%d %H:%M} UTC, found the newest of "
            f"{bars['ts'][-1]:%Y-%m-%d}, {ended} sessions before; choose an earlier --as-of, or import newer bars"
        )
        return None

    def chains(self, as_of: datetime) -> pl.DataFrame | None:
        """Every snapshot of the last days, with the open interest that the store keeps apart."""
        rows = self.rows("chains", as_of, ChainRules().oldest)
        counts = None if rows is None else self.rows("open_interest", as_of, COUNTS_BACK)
        return rows if rows is None or counts is None else with_open_interest(rows, counts, as_of)

    def spot(self, snapshot: pl.DataFrame, as_of: datetime, rules: ChainRules) -> ChainSpot:
        """Where the price of the underlying comes from; see `chain_spot`."""
        return chain_spot(self.workspace, self.instrument, snapshot, as_of, rules)

    def why_none(self, table: str, otherwise: Reason) -> Reason:
        """Stale, where the table holds only what is too old."""
        return Reason.STALE if otherwise is Reason.NO_DATA and table in set(self.held["table"]) else otherwise

    def out_of_reach(self, tables: Sequence[str], as_of: datetime, back: timedelta) -> str | None:
        """Why nothing of these tables is of this moment, where something is stored; None where nothing is."""
        held = self.held.filter(pl.col("table").is_in(tables))
        if held.is_empty():
            return None
        first, last = str(held["first_ts"].min())[:10], str(held["last_ts"].max())[:10]
        return (
            f"expected rows of {', '.join(sorted(set(held['table'])))} from {as_of - back:%Y-%m-%d} on that were known at "
            f"{as_of:%Y-%m-%d %H:%M} UTC, found none (the store has {first} to {last}); choose another --as-of, or import more"
        )

    def recent(self, table: str, as_of: datetime) -> pl.DataFrame | None:
        """Rows since the day before `as_of`."""
        return self.rows(table, as_of, BOOK_BACK)

    def book(self, as_of: datetime) -> pl.DataFrame | None:
        """Messages of the order book, as far back as its window rests on; the day before where that cannot be told sooner.

        The rows are those on which the same states rest (`books.rests_within`), so that the end of a session does not cost the
        whole of it.
        """
        from fieldcast.data.books import rests_within

        rows = self.rows("depth", as_of, BOOK_BACK, as_of - BOOK_WINDOW - BOOK_FIRST)
        if rows is not None and rests_within(rows, as_of - BOOK_WINDOW):
            return rows
        return self.recent("depth", as_of)

    def window(self, table: str, as_of: datetime) -> pl.DataFrame | None:
        """Rows that became known in the book's window; where there are none, those since the day before."""
        rows = self.rows(table, as_of, BOOK_BACK, as_of - BOOK_WINDOW)
        return self.recent(table, as_of) if rows is None else rows

    def minutes(self, as_of: datetime) -> pl.DataFrame | None:
        """The finest intraday bars that are known then."""
        found = (self.rows(table, as_of, SESSIONS_BACK) for table in INTRADAY)
        return next((rows for rows in found if rows is not None), None)

    def vix(self, wanted: str | None, as_of: datetime) -> tuple[pl.DataFrame | None, bool]:
        """Bars of the VIX (the series that was named, else the only one there is), and whether they are simulated.

        A simulated series is never chosen for a real instrument; one that is named marks the whole map.
        """
        real = self._vix if self.simulated else self._vix.filter(~pl.col("simulated"))
        names = real["instrument"].unique().to_list()
        name = wanted or (names[0] if len(names) == 1 else None)
        if name is None:
            return None, False
        made_up = bool(self._everything.filter(pl.col("instrument") == name)["simulated"].any())
        return self.workspace.store.read(name, as_of=as_of, last=as_of.date()), made_up

    def newest(self) -> datetime:
        """The newest moment at which a decision can be made on what is stored.

        Raises
        ------
        MissingData : nothing is stored from which a field is read
        """
        read = {DAILY, "chains", "depth", *INTRADAY}
        moments = []
        for table, dataset, last in self.held.filter(pl.col("table").is_in(sorted(read))).select(
            "table", "dataset", "last_ts"
        ).iter_rows():  # fmt: skip
            if self.datasets.get(table, dataset) != dataset:
                continue
            if table == DAILY:
                moments.append(last + DECISION_DELAY)
            else:
                rows = self.workspace.store.read(
                    self.instrument.id, table=table, dataset=dataset, first=last.date(), columns=["available_at"]
                )
                moments.append(rows["available_at"].max())
        if not moments:
            raise MissingData(f"expected bars, a chain or a book of {self.instrument.id} in the store, found none; import some")
        return min(utc(max(moments)), self.workspace.clock.now())
