"""Instruments and store files as rows of the ledger, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fieldcast.data._files import TIMEFRAME, StoredFile, describe
from fieldcast.ground import ConflictError, MissingData, canonical_json
from fieldcast.ledger import Database, tables
from fieldcast.market import Instrument, Kind

_FIXED = ("kind", "currency", "calendar", "simulated")


def save_instrument(db: Database, instrument: Instrument) -> None:
    """Write an instrument to the catalogue; writing it again changes nothing.

    Raises
    ------
    ConflictError : the id is taken by an instrument of another kind, currency, calendar or simulated flag
    """
    with db.begin(label="instrument") as session:
        row = session.get(tables.Instrument, instrument.id)
        if row is None:
            session.add(tables.Instrument(**_columns(instrument)))
            return
        stored = _instrument(row)
        for name in _FIXED:
            if getattr(stored, name) != getattr(instrument, name):
                raise ConflictError(
                    f"expected {instrument.id} with {name} {getattr(stored, name)}, as in the catalogue, found "
                    f"{getattr(instrument, name)}; an id is assigned once, choose another"
                )
        for name, value in _columns(instrument).items():
            setattr(row, name, value)


def load_instrument(db: Database, id: str) -> Instrument:
    """The instrument with this id.

    Raises
    ------
    MissingData : the catalogue has none
    """
    with db.read() as session:
        row = session.get(tables.Instrument, id)
        if row is None:
            raise MissingData(f"expected {id} in the catalogue, found none; import its data first")
        return _instrument(row)


def list_instruments(db: Database) -> tuple[Instrument, ...]:
    """Every instrument of the catalogue, by id."""
    with db.read() as session:
        return tuple(
            _instrument(row) for row in session.scalars(select(tables.Instrument).order_by(tables.Instrument.id))
        )


def _columns(instrument: Instrument) -> dict[str, object]:
    names = ("id", "currency", "calendar", "tick", "lot", "multiplier", "tradable", "notional", "simulated", "name")
    return {name: getattr(instrument, name) for name in names} | {"kind": str(instrument.kind)}


def _instrument(row: tables.Instrument) -> Instrument:
    return Instrument(
        id=row.id,
        kind=Kind(row.kind),
        currency=row.currency,
        calendar=row.calendar,
        tick=row.tick,
        lot=row.lot,
        multiplier=row.multiplier,
        tradable=row.tradable,
        notional=row.notional,
        simulated=row.simulated,
        name=row.name,
    )


# the index of files -------------------------------------------------------------------------------------------------


def load_index(session: Session) -> dict[str, StoredFile]:
    """Every file that the index knows, by path."""
    rows = session.scalars(select(tables.StoreFile).where(tables.StoreFile.timeframe == TIMEFRAME))
    return {file.path: file for file in (_stored_file(row) for row in rows)}


def change_index(session: Session, remove: Iterable[str], add: Iterable[StoredFile]) -> None:
    """Take paths out of the index and put files in."""
    gone = list(remove)
    if gone:
        session.execute(delete(tables.StoreFile).where(tables.StoreFile.path.in_(gone)))
    session.add_all([_store_file(file) for file in add])


def _store_file(file: StoredFile) -> tables.StoreFile:
    return tables.StoreFile(
        path=file.path,
        dataset=file.dataset,
        timeframe=TIMEFRAME,
        year=file.year,
        generation=file.generation,
        sha256=file.sha256,
        rows=file.rows,
        first_ts=file.first_ts,
        last_ts=file.last_ts,
        instruments=canonical_json(file.instruments),
        lineage=canonical_json(
            {
                "content_sha256": file.content_sha256,
                "deliveries": {id: [item.to_json() for item in items] for id, items in file.lineage.items()},
            }
        ),
        simulated=file.simulated,
        written_at=file.written_at,
    )


def _stored_file(row: tables.StoreFile) -> StoredFile:
    lineage = json.loads(row.lineage)
    footer = {
        "dataset": row.dataset,
        "year": row.year,
        "generation": row.generation,
        "content_sha256": lineage["content_sha256"],
        "rows": row.rows,
        "first_ts": row.first_ts.isoformat(),
        "last_ts": row.last_ts.isoformat(),
        "instruments": json.loads(row.instruments),
        "lineage": lineage["deliveries"],
        "simulated": row.simulated,
        "written_at": row.written_at.isoformat(),
    }
    return describe(footer, row.path, row.sha256)
