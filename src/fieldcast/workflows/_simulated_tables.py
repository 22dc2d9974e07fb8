"""How simulated chains and books reach the store: what belongs together, under which lineage, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import polars as pl

from fieldcast.data import Lineage, Store
from fieldcast.data.simulated import (
    EQUITY_LISTINGS,
    INDEX_LISTINGS,
    BookMarket,
    ChainMarket,
    SimulatedInstrument,
    simulate_book,
    simulate_chain,
)
from fieldcast.data.simulated.bars import source_of
from fieldcast.data.simulated.chain import Moments
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind

BATCH = 500_000  # rows of a table that are put into the store at once
BOOK = ("depth", "quotes", "trades")


class TableMaker(Protocol):
    """Simulated tables of one instrument."""

    @property
    def instrument(self) -> Instrument:
        """As the catalogue holds it."""

    @property
    def sources(self) -> dict[str, str]:
        """Table → what its lineage will say."""

    def store(self, store: Store) -> int:
        """Make and store everything; how many rows of the table that was asked for are new."""


@dataclass(frozen=True)
class ChainMaker:
    """The table `chains` of an underlying, with its bars and the counts of open interest."""

    market: ChainMarket

    @property
    def instrument(self) -> Instrument:
        return self.market.described

    @property
    def sources(self) -> dict[str, str]:
        bars = self.market.bars
        return {
            bars.table: source_of(bars, self.market.instrument),
            "chains": self.market.source,
            "open_interest": self.market.source,
        }

    def store(self, store: Store) -> int:
        made = simulate_chain(self.market)
        store.append(made.bars.bars, made.bars.lineage, table=made.bars.table)
        parts = (
            {"chains": pl.concat([one.rows for one in session.snapshots]), "open_interest": session.open_interest}
            for session in made.sessions()
        )
        return _store(store, made.lineage, parts, "chains")


@dataclass(frozen=True)
class BookMaker:
    """The table `depth` of an instrument, with the quotes and trades that agree with it."""

    market: BookMarket

    @property
    def instrument(self) -> Instrument:
        return self.market.described

    @property
    def sources(self) -> dict[str, str]:
        return dict.fromkeys(BOOK, self.market.source)

    def store(self, store: Store) -> int:
        made = simulate_book(self.market)
        parts = ({"depth": one.depth, "quotes": one.quotes, "trades": one.trades} for one in made.sessions())
        return _store(store, made.lineage, parts, "depth")


def chain_maker(seed: int, instrument: SimulatedInstrument, first: date, last: date, interval: str) -> TableMaker:
    """The usual chain of a share (american contracts) or of an index (european ones).

    Raises
    ------
    InvalidInput : another kind of instrument, or a name that is no root of options
    """
    if instrument.kind not in (Kind.EQUITY, Kind.INDEX):
        raise InvalidInput(f"expected an equity or an index with options, found {instrument.kind}")
    snapshots: Moments = "close" if interval == "1d" else "bars"
    if instrument.kind is Kind.INDEX:
        return ChainMaker(ChainMarket(seed, instrument, first, last, interval, snapshots, "european", listings=INDEX_LISTINGS))
    return ChainMaker(ChainMarket(seed, instrument, first, last, interval, snapshots, "american", listings=EQUITY_LISTINGS))


def book_maker(seed: int, instrument: SimulatedInstrument, first: date, last: date, interval: str) -> TableMaker:
    """The usual book of an instrument.

    Raises
    ------
    InvalidInput : an interval, which a book has not, or an index, which has no book
    """
    if interval != "1d":
        raise InvalidInput(f"expected no interval with depth, which holds every event, found {interval}")
    if instrument.kind is Kind.INDEX:
        raise InvalidInput("expected an instrument that is traded, found an index; choose equity, crypto or fx")
    return BookMaker(BookMarket(seed, instrument, first, last))


TABLES: dict[str, Callable[[int, SimulatedInstrument, date, date, str], TableMaker]] = {
    "chains": chain_maker, "depth": book_maker,
}  # fmt: skip


def _store(store: Store, lineage: Lineage, parts: Iterator[dict[str, pl.DataFrame]], counted: str) -> int:
    """Append tables in batches; rows of the table `counted` that were added."""
    added, held, waiting = 0, 0, dict[str, list[pl.DataFrame]]()

    def flush() -> int:
        new = 0
        for table, frames in waiting.items():
            result = store.append(pl.concat(frames), lineage, table=table)
            new += result.rows_added if table == counted else 0
        waiting.clear()
        return new

    for part in parts:
        for table, frame in part.items():
            waiting.setdefault(table, []).append(frame)
        held += part[counted].height
        if held >= BATCH:
            added, held = added + flush(), 0
    return added + flush()
