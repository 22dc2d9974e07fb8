"""Simulated bars, option chains and order books into the store: labelled in every row, in the id and in the lineage.

They are never part of a claim about a real market.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from fieldcast.data import load_instrument, save_instrument
from fieldcast.data.catalogue import settled
from fieldcast.data.simulated import (
    BarMarket,
    SimulatedInstrument,
    calibrate,
    crypto,
    equity,
    fx,
    index,
    loadings_of,
    simulate_bars,
)
from fieldcast.data.simulated.bars import DATASET, source_of
from fieldcast.ground import ConflictError, InvalidInput, Shown
from fieldcast.market import Instrument, Kind
from fieldcast.workflows._simulated_tables import BOOK, TABLES, TableMaker
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.workspace import Workspace

MARKETS: dict[str, Callable[..., SimulatedInstrument]] = {"equity": equity, "crypto": crypto, "fx": fx, "index": index}
_STAGE = "Simulated data into the store"


@dataclass(frozen=True)
class SimulatedData(Shown):
    """What was made: instrument → rows stored; the same seed gives the same rows."""

    seed: int
    table: str
    rows: dict[str, int]
    like: str | None

    def as_dict(self) -> dict[str, Any]:
        return {"simulated": True, "seed": self.seed, "table": self.table, "rows": self.rows, "like": self.like}


def simulate_data(
    workspace: Workspace,
    names: list[str],
    *,
    first: date,
    last: date,
    seed: int,
    market: str = "equity",
    table: str = "bars",
    interval: str = "1d",
    correlation: float = 0.0,
    like: str | None = None,
    progress: Progress = silent,
) -> SimulatedData:
    """Make bars of simulated instruments, or their option chains or order books, and store them.

    Parameters
    ----------
    names : of the instruments, whose ids are `SIM:` and the name
    first, last : dates of the sessions, both included; the same again with a later `last` appends
    seed : of the random numbers; stands in the lineage and in the instruments' names
    market : equity, crypto, fx or index
    table : bars; chains (of an equity or an index: american and european contracts; with the underlying's bars and the counts of
        open interest); depth (with quotes and trades)
    interval : 1d, 1h, 30m, 15m, 5m or 1m; of chains: 1d gives each session's close, others the end of each bar
    correlation : of each pair's price shocks, from 0 to below 1
    like : id of an instrument of the store to which volatility, jumps, season and volume are fitted

    Raises
    ------
    InvalidInput : an unknown market, table, interval or name, a correlation out of range, or one of chains or books
    MissingData : `like` has too few bars of the interval
    ConflictError : the store has an instrument of that name out of another seed, another first date or other parameters, or a
        book beside bars or chains is wanted under one name; nothing was written
    """
    if table not in ("bars", *TABLES):
        raise InvalidInput(f"expected a table out of bars, {', '.join(TABLES)}, found {table!r}")
    if market not in MARKETS:
        raise InvalidInput(f"expected a market out of {', '.join(MARKETS)}, found {market!r}")
    if not 0.0 <= correlation < 1.0:
        raise InvalidInput(f"expected a correlation from 0 to below 1, found {correlation}")
    matrix = [[1.0 if row == column else correlation for column in range(len(names))] for row in range(len(names))]
    loadings = loadings_of(matrix) if names else ()
    instruments = [MARKETS[market](name, loadings=share) for name, share in zip(names, loadings, strict=True)]
    if table != "bars":
        if correlation or like is not None:
            raise InvalidInput(f"expected no correlation and no `like` with {table}: they are of bars alone")
        makers = [TABLES[table](seed, item, first, last, interval) for item in instruments]
        return _tables(workspace, makers, seed, table, progress)
    if like is not None:
        described = load_instrument(workspace.ledger, like)
        bars = workspace.store.read(like, table=f"bars/{interval}")
        fitted = calibrate(
            bars, name=names[0], kind=Kind(described.kind), interval=interval, calendar=described.calendar, tick=described.tick
        )
        instruments = [replace(fitted.instrument, name=item.name, loadings=item.loadings) for item in instruments]
    made = BarMarket(seed=seed, instruments=tuple(instruments), first=first, last=last, interval=interval)
    for one in made.instruments:
        _refuse_another(workspace, one.described(seed), {made.table: source_of(made, one)})
    rows: dict[str, int] = {}
    for done, item in enumerate(simulate_bars(made)):
        progress(_STAGE, done, len(instruments))
        save_instrument(workspace.ledger, item.instrument)
        result = workspace.store.append(item.bars, item.lineage, table=item.table)
        rows[item.instrument.id] = result.rows_added
    progress(_STAGE, len(instruments), len(instruments))
    return SimulatedData(seed, made.table, rows, like)


def _tables(workspace: Workspace, makers: list[TableMaker], seed: int, table: str, progress: Progress) -> SimulatedData:
    """Chains or books of several instruments, one after the other; checked before anything is written."""
    for maker in makers:
        _refuse_another(workspace, maker.instrument, maker.sources)
    rows: dict[str, int] = {}
    for done, maker in enumerate(makers):
        progress(_STAGE, done, len(makers))
        save_instrument(workspace.ledger, maker.instrument)
        rows[maker.instrument.id] = maker.store(workspace.store)
    progress(_STAGE, len(makers), len(makers))
    return SimulatedData(seed, table, rows, None)


def _refuse_another(workspace: Workspace, instrument: Instrument, expected: Mapping[str, str]) -> None:
    """A simulated instrument is one history: what is stored under its id must come out of the same seed and parameters.

    Another table of it (minutes beside days) has the same seed. A book has a price path of its own, and so no bars or chains.

    Parameters
    ----------
    expected : table → what the lineage will say
    """
    settled(workspace.ledger, [instrument])
    stored = workspace.store.datasets()
    seed = next(iter(expected.values())).partition(",")[0]
    tables = stored.filter((pl.col("instrument") == instrument.id) & (pl.col("dataset") == DATASET))["table"]
    for table in tables:
        if (table in BOOK) != any(wanted in BOOK for wanted in expected):
            raise ConflictError(
                f"expected {instrument.id} with one price path, found {table} stored and {', '.join(expected)} to be made: a "
                "simulated book does not follow simulated bars and chains; choose another name"
            )
        for delivery in workspace.store.lineage(instrument.id, table=table, dataset=DATASET):
            wanted = expected.get(table)
            same = delivery.source == wanted if wanted is not None else delivery.source.partition(",")[0] == seed
            if not same:
                raise ConflictError(
                    f"expected {instrument.id} ({table}) out of the seed and the parameters that it is stored with "
                    f"({delivery.source}), found {wanted or seed}; choose another name"
                )
