"""The fields of one instrument at one moment, from everything that the store knows of it.

Daily bars give the field table; a session's minutes, an option chain, an order book and the short volume give readings beside
it, each only as far as it was known then. What is not stored is absent with its reason; what is stored but cannot be read (a
chain whose quotes are all refused) is absent too, and the engine's own words stand in `notes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from fieldcast.data import load_instrument
from fieldcast.fields import FieldMap, Reading, build_field_table
from fieldcast.fields.books import BookField, book_field
from fieldcast.fields.dealer import POLICIES, DealerField, dealer_field
from fieldcast.fields.elasticity import ElasticityField, elasticity_field
from fieldcast.fields.liquidity import LiquidityField, SessionLiquidity, interpret, session_liquidity, short_pressure
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.pricing_chain import ChainRules, price_chain
from fieldcast.fields.regime import RegimeField, regime_field
from fieldcast.fields.sentiment import TABLE, SentimentField, SentimentRules, sentiment_field
from fieldcast.ground import InvalidInput, MissingData, Reason, Shown, utc
from fieldcast.market import DAILY, DECISION_DELAY, Instrument, Kind
from fieldcast.workflows.cycles import not_in_the_future
from fieldcast.workflows.workspace import Workspace

INTRADAY = ("bars/1m", "bars/5m", "bars/15m", "bars/30m", "bars/1h")
SESSIONS_BACK = timedelta(days=35)  # of intraday bars: the composite profile and the usual volume by time of day
BOOK_BACK = timedelta(days=1)
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
    sign: str = "naive",
    datasets: Mapping[str, str] | None = None,
    plot: Path | None = None,
) -> FieldsRead:
    """Every field of an instrument at a moment.

    Parameters
    ----------
    as_of : time with its zone; None = the newest moment at which a decision on its daily bars (or its chain) is made
    vix : id of the VIX series for the regime; None = the one in the store whose symbol is VIX, if there is just one
    sign : who holds the options, one of `fields.dealer.POLICIES`
    datasets : table → dataset, where the instrument stands in several
    plot : write the page of charts to this HTML file, self-contained

    Raises
    ------
    MissingData : nothing that a field can be read from is known of the instrument at that moment
    InvalidInput : `as_of` lies ahead, or there is no such sign policy
    """
    not_in_the_future(workspace, as_of)
    if sign not in POLICIES:
        raise InvalidInput(f"expected a sign policy out of {', '.join(POLICIES)}, found {sign!r}")
    source = _Source(workspace, load_instrument(workspace.ledger, instrument), dict(datasets or {}))
    moment = source.newest() if as_of is None else utc(as_of)
    found = _read(source, moment, vix, sign)
    if plot is not None:
        from fieldcast.workflows.fields_page import write_fields_page

        write_fields_page(found, plot)
        found = FieldsRead(**{**vars(found), "plot": plot})
    return found


def field_map(workspace: Workspace, instrument: str, *, as_of: datetime | None = None) -> FieldMap:
    """The field map alone; see `read_fields`."""
    return read_fields(workspace, instrument, as_of=as_of).map


def _read(source: _Source, as_of: datetime, vix: str | None, sign: str) -> FieldsRead:
    notes: dict[str, str] = {}

    def attempt(engine: str, read: Callable[[], Found]) -> Found | None:
        """What an engine finds, or None and its own words why it finds nothing in what is there."""
        try:
            return read()
        except MissingData as error:
            notes[engine] = str(error)
            return None

    bars, minutes = source.rows(DAILY, as_of), source.minutes(as_of)
    chains, depth, short = source.snapshot("chains", as_of), source.recent("depth", as_of), source.rows("short_volume", as_of)
    absent: dict[str, Reason] = {}
    chain = None if chains is None else attempt("dealer", lambda: price_chain(chains, as_of))
    dealer = None if chain is None else attempt("dealer", lambda: dealer_field(chain, sign=POLICIES[sign]))
    prints, quotes = source.recent("trades", as_of), source.recent("quotes", as_of)
    book = None if depth is None else book_field(depth, as_of, trades=prints, quotes=quotes)
    volume = _usual_volume(bars, source.instrument)
    ladders = None if book is None or book.book is None or book.book.reason is not None else book.book
    elasticity = (
        None
        if chain is None
        else attempt("elasticity", lambda: elasticity_field(chain, POLICIES[sign], depth=ladders, daily_volume=volume))
    )
    session = None if minutes is None else attempt("session", lambda: session_liquidity(minutes, source.instrument, as_of))
    for name, part, rows in (("dealer", dealer, chains), ("elasticity", elasticity, chains)):
        if part is None:
            absent[name] = Reason.NO_DATA if rows is None else _why_unread(rows, as_of)
    readings: list[Reading] = [part.reading() for part in (dealer, elasticity) if part is not None]
    row: Mapping[str, float] = {}
    mood: Mapping[str, float] = {}
    regime = None
    if bars is None:
        absent |= dict.fromkeys(("liquidity.daily", "regime.daily", "sentiment.daily"), Reason.NO_DATA)
    else:
        table = build_field_table(bars)
        plain = FieldMap.at(source.instrument.id, as_of, table)
        row, mood = plain.liquidity, plain.sentiment
        gamma = None if dealer is None else dealer.gex
        regime = regime_field(
            plain.regime, bars, as_of, calendar=source.instrument.calendar, vix=source.vix(vix, as_of), dealer_gamma=gamma
        )
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


def _why_unread(chains: pl.DataFrame, as_of: datetime) -> Reason:
    """Why a chain that is there gave nothing: it is too old, or none of it can be used (the note says what is wrong)."""
    oldest = ChainRules().oldest
    return Reason.STALE if oldest is not None and as_of - chains["ts"][0] > oldest else Reason.UNDEFINED


def _without_bars(
    source: _Source,
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
    elif session is not None:
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


class _Source:
    """The rows of one instrument in the store, each table as far as it was known at a moment."""

    def __init__(self, workspace: Workspace, instrument: Instrument, datasets: dict[str, str]) -> None:
        self.workspace, self.instrument, self.datasets = workspace, instrument, datasets
        everything = workspace.store.datasets()
        self.held = everything.filter(pl.col("instrument") == instrument.id)
        self.simulated = instrument.simulated or bool(self.held["simulated"].any())
        self._vix = everything.filter((pl.col("table") == DAILY) & pl.col("instrument").str.contains(r":\^?VIX$"))["instrument"]

    def rows(self, table: str, as_of: datetime, back: timedelta | None = None) -> pl.DataFrame | None:
        """Rows known at `as_of` (of the last `back`); None where there are none."""
        if table not in set(self.held["table"]):
            return None
        first = None if back is None else (as_of - back).date()
        found = self.workspace.store.read(
            self.instrument.id, table=table, as_of=as_of, first=first, last=as_of.date(), dataset=self.datasets.get(table)
        )
        return None if found.is_empty() else found

    def recent(self, table: str, as_of: datetime) -> pl.DataFrame | None:
        """Rows of the day before `as_of`."""
        return self.rows(table, as_of, BOOK_BACK)

    def snapshot(self, table: str, as_of: datetime) -> pl.DataFrame | None:
        """Rows of the newest snapshot known at `as_of`."""
        rows = self.rows(table, as_of)
        return None if rows is None else rows.filter(pl.col("ts") == pl.col("ts").max())

    def minutes(self, as_of: datetime) -> pl.DataFrame | None:
        """The finest intraday bars that are stored."""
        held = set(self.held["table"])
        finest = next((table for table in INTRADAY if table in held), None)
        return None if finest is None else self.rows(finest, as_of, SESSIONS_BACK)

    def vix(self, wanted: str | None, as_of: datetime) -> pl.DataFrame | None:
        """Bars of the VIX: the series that was named, else the only one there is."""
        name = wanted or (self._vix[0] if self._vix.n_unique() == 1 else None)
        return None if name is None else self.workspace.store.read(name, as_of=as_of, last=as_of.date())

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
