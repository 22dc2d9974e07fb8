"""Instruments as rows of the ledger, and back."""

from __future__ import annotations

from sqlalchemy import select

from fieldcast.ground import ConflictError, MissingData
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
