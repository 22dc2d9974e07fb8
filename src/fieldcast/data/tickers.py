"""Dated tickers: which instrument a ticker meant on a date.

A ticker is leased, not owned: `FB` was another company until 2003, `QQQ` traded as `QQQQ` from 2004 to 2011, a delisted ticker is
given away again. The ledger's `ticker_alias` holds the leases by venue; ids never change. For United States shares the venue of
an alias is `USA`, the name space of the consolidated tape, where a ticker means one company at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
from sqlalchemy import select

from fieldcast.data.formats.lean_maps import USA, read_map_folder
from fieldcast.ground import ConflictError, InvalidInput, MissingData
from fieldcast.ledger import Database, tables

LEASES: dict[str, pl.DataType] = {
    "ticker": pl.String(),
    "first": pl.Date(),
    "last": pl.Date(),          # included; null = still in force
    "instrument": pl.String(),
    "source": pl.String(),
}
_FOREVER = date.max


@dataclass(frozen=True)
class Saved:
    """What became of leases: new ones, ones whose end became known, ones that were known already."""

    added: int
    ended: int
    unchanged: int


def save_leases(db: Database, leases: pl.DataFrame, venue: str = USA) -> Saved:
    """Write leases (schema `LEASES`); writing them again changes nothing. All or nothing.

    A lease that was in force may get its end (a rename, a delisting); nothing else about it changes.

    Raises
    ------
    ConflictError : the ticker meant another instrument on one of the days
    InvalidInput : a lease without ticker, start or instrument, or one that ends before it starts
    """
    _refuse_unfit(leases)
    counts = {"added": 0, "ended": 0, "unchanged": 0}
    with db.begin(label="tickers") as session:
        for lease in leases.sort("ticker", "first").iter_rows(named=True):
            statement = select(tables.TickerAlias).where(
                tables.TickerAlias.venue == venue, tables.TickerAlias.ticker == lease["ticker"]
            )
            known = list(session.scalars(statement))
            same = next((row for row in known if row.first == lease["first"] and row.instrument == lease["instrument"]), None)
            for row in known:
                if row is not same and row.first <= (lease["last"] or _FOREVER) and lease["first"] <= (row.last or _FOREVER):
                    raise ConflictError(
                        f"expected {lease['ticker']} to mean {row.instrument} from {row.first} to {row.last or 'now'}, as "
                        f"stored, found {lease['instrument']} from {lease['first']}; correct the source"
                    )
            if same is None:
                session.add(tables.TickerAlias(venue=venue, **lease))
                counts["added"] += 1
            elif same.last == lease["last"]:
                counts["unchanged"] += 1
            elif same.last is None:
                same.last, same.source = lease["last"], lease["source"]
                counts["ended"] += 1
            else:
                raise ConflictError(
                    f"expected {lease['ticker']} of {same.instrument} to end on {same.last}, as stored, found "
                    f"{lease['last'] or 'no end'}; correct the source"
                )
            session.flush()
    return Saved(**counts)


def import_map_files(db: Database, folder: Path, *, venue: str = USA) -> Saved:
    """LEAN's map files into the ledger; ids are `<exchange>:<permtick>`.

    Raises
    ------
    InvalidInput : no map files there, or two companies with one ticker on the same day
    ConflictError : see `save_leases`
    """
    return save_leases(db, leases_of(read_map_folder(folder), f"lean map files {folder.name}"), venue)


def leases_of(holdings: pl.DataFrame, source: str) -> pl.DataFrame:
    """Map files (schema `lean_maps.HOLDINGS`) as leases."""
    return holdings.select(
        "ticker", "first", "last", pl.format("{}:{}", "venue", "permtick").alias("instrument"), pl.lit(source).alias("source")
    )


def resolve(db: Database, ticker: str, on: date, venue: str = USA) -> str:
    """The id of the instrument that had the ticker on a date.

    Raises
    ------
    MissingData : none had it then; the message names who had it at other times
    """
    with db.read() as session:
        rows = list(
            session.scalars(
                select(tables.TickerAlias)
                .where(tables.TickerAlias.venue == venue, tables.TickerAlias.ticker == ticker.upper())
                .order_by(tables.TickerAlias.first)
            )
        )
        found = [row for row in rows if row.first <= on <= (row.last or _FOREVER)]
        if not found:
            others = ", ".join(f"{row.instrument} {row.first}..{row.last or 'now'}" for row in rows) or "nobody"
            raise MissingData(f"expected an instrument with the ticker {ticker.upper()} on {on} ({venue}), found {others}")
        return found[0].instrument


def resolve_many(db: Database, wanted: Sequence[tuple[str, date]], venue: str = USA) -> list[str | None]:
    """The ids of many (ticker, date) pairs; none where nobody had the ticker."""
    with db.read() as session:
        rows = [
            (row.ticker, row.first, row.last or _FOREVER, row.instrument)
            for row in session.scalars(select(tables.TickerAlias).where(tables.TickerAlias.venue == venue))
        ]
    held: dict[str, list[tuple[date, date, str]]] = {}
    for ticker, first, last, instrument in rows:
        held.setdefault(ticker, []).append((first, last, instrument))
    return [
        next((instrument for first, last, instrument in held.get(ticker.upper(), []) if first <= on <= last), None)
        for ticker, on in wanted
    ]


def tickers_of(db: Database, instrument: str) -> pl.DataFrame:
    """Every ticker that the instrument had, schema `LEASES`, by date; the last row ends with its delisting, null while listed."""
    with db.read() as session:
        rows = session.scalars(
            select(tables.TickerAlias).where(tables.TickerAlias.instrument == instrument).order_by(tables.TickerAlias.first)
        )
        return pl.DataFrame([{name: getattr(row, name) for name in LEASES} for row in rows], schema=LEASES)


def _refuse_unfit(leases: pl.DataFrame) -> None:
    for row in leases.iter_rows(named=True):
        if not row["ticker"] or not row["instrument"] or row["first"] is None:
            raise InvalidInput(f"expected a ticker, its first day and its instrument, found {row}")
        if row["last"] is not None and row["last"] < row["first"]:
            raise InvalidInput(f"expected {row['ticker']} to end on or after {row['first']}, found {row['last']}")
