"""Live packets as ledger rows: canonical JSON, whole, with its digest, which is checked when a row is read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.ground import IntegrityError, digest, utc
from fieldcast.ledger import tables
from fieldcast.projection.packet import ProjectionPacket, load_packet


def packet_row(packet: ProjectionPacket) -> tables.Packet:
    """The ledger row of a packet."""
    return tables.Packet(
        instrument=packet.instrument,
        as_of=packet.as_of,
        schema_version=packet.schema_version,
        digest=packet.digest,
        json=packet.canonical,
        simulated=packet.provenance.simulated,
    )


def packet_of_row(row: tables.Packet) -> ProjectionPacket:
    """The packet of a ledger row, brought up to the present version.

    Raises
    ------
    IntegrityError : the stored text does not have the stored digest
    """
    import json

    found = digest(json.loads(row.json))
    if found != row.digest:
        raise IntegrityError(f"expected packet {row.digest} of {row.instrument} at {row.as_of}, found {found}")
    return load_packet(row.json)


def record_packet(session: Session, packet: ProjectionPacket) -> bool:
    """Add the packet unless it is already there; True where a row was added."""
    query = select(tables.Packet.id).where(
        tables.Packet.instrument == packet.instrument,
        tables.Packet.as_of == packet.as_of,
        tables.Packet.digest == packet.digest,
    )
    if session.execute(query).first() is not None:
        return False
    session.add(packet_row(packet))
    return True


def recorded_packets(session: Session, instrument: str, as_of: datetime | None = None) -> list[ProjectionPacket]:
    """Packets of an instrument, oldest first; of one decision time where `as_of` is given."""
    query = select(tables.Packet).where(tables.Packet.instrument == instrument)
    if as_of is not None:
        query = query.where(tables.Packet.as_of == utc(as_of))
    rows = session.execute(query.order_by(tables.Packet.as_of, tables.Packet.digest)).scalars()
    return [packet_of_row(row) for row in rows]
