"""Live packets in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import select

from fieldcast.ground import IntegrityError
from fieldcast.ledger import Database, open_database, tables
from fieldcast.projection import ProjectionPacket, packet_of_row, packet_row, record_packet, recorded_packets


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as db:
        yield db


def test_a_packet_is_recorded_once_and_comes_back(ledger: Database, packets: ModuleType) -> None:
    packet = ProjectionPacket.model_validate(packets.packet_fields())
    with ledger.begin(label="packet") as session:
        assert record_packet(session, packet)
    with ledger.begin(label="packet") as session:
        assert not record_packet(session, packet)
    with ledger.read() as session:
        found = recorded_packets(session, packet.instrument, packet.as_of)
        assert [item.digest for item in found] == [packet.digest]
        assert found[0].horizons[0].warnings == packet.horizons[0].warnings
        assert recorded_packets(session, packet.instrument, packet.as_of + timedelta(days=1)) == []
        row = session.execute(select(tables.Packet)).scalar_one()
        assert (row.schema_version, row.simulated, row.digest) == ("1.0", False, packet.digest)


def test_changed_text_is_found(packets: ModuleType) -> None:
    row = packet_row(ProjectionPacket.model_validate(packets.packet_fields()))
    row.json = row.json.replace("XNAS:COMP", "XNAS:FAKE")
    with pytest.raises(IntegrityError, match="expected packet"):
        packet_of_row(row)
