"""Version 0004: every table as the ORM declares it, on a new ledger and on one of version 0003 that holds rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from fieldcast.ground import IntegrityError
from fieldcast.ledger import AuditRecord, AuditTrail, Database, _migrate, open_database, tables, verify
from fieldcast.ledger._engine import build_engine, writer

NEW = {
    *("model_version", "model_promotion", "model_prediction", "retrain_request"),
    *("registration", "sealed_span", "seal_opening", "looked_at", "paper_packet", "watch_day", "watch_kill"),
}
AT = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)


def test_migrations_and_tables_say_the_same(ledger: Database) -> None:
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        found = compare_metadata(context, tables.Base.metadata)
    assert [change for change in found if change[0] != "remove_index"] == []


def test_columns_have_their_types_and_nulls(ledger: Database) -> None:
    looked = inspect(ledger.engine)
    assert set(looked.get_table_names()) >= NEW
    for name in NEW:
        declared = {column.name: column.nullable for column in tables.Base.metadata.tables[name].columns}
        assert {column["name"]: column["nullable"] for column in looked.get_columns(name)} == declared


def test_an_upgrade_from_0003_keeps_its_rows(empty_url: str, folder: Path) -> None:
    engine = build_engine(empty_url)
    assert _migrate.upgrade(engine, "0003")
    assert not NEW & set(inspect(engine).get_table_names())
    with writer(engine).begin() as connection:
        connection.execute(
            text(
                "INSERT INTO evidence (id, claim, configuration_hash, data_span, estimate, low, high, n, command, recorded_at, "
                "expires_at) VALUES ('e', 'upgrade.x.auc', 'c', 'XNAS:A 2005-01-03/2018-12-31', 0.03, 0.01, 0.05, 900, 'made', "
                ":at, :until)"
            ),
            {"at": _stored(engine.dialect.name, AT), "until": _stored(engine.dialect.name, AT.replace(year=2019))},
        )
        connection.execute(text("INSERT INTO ticker_alias VALUES ('XNAS', 'A', '2005-01-03', NULL, 'XNAS:A', 'test')"))
    engine.dispose()
    with open_database(empty_url, folder) as db:
        assert _migrate.current(db.engine) == _migrate.newest()
        with db.read() as session:
            row = session.get(tables.Evidence, "e")
            assert row is not None
            assert (row.estimate, row.n, row.recorded_at) == (0.03, 900, AT)
            assert session.get(tables.TickerAlias, ("XNAS", "A", date(2005, 1, 3))) is not None
        with db.begin("seal") as session:
            span = {"first": AT.date(), "last": AT.date()}
            session.add(tables.SealedSpan(name="s", table="bars/1d", instruments="XNAS:A", sealed_at=AT, **span))
            AuditTrail.append(session, AuditRecord(None, None, AT, "SEALED"), entry_type="seal")
        assert verify(db, folder).ok


def _stored(dialect: str, moment: datetime) -> object:
    return int(moment.timestamp() * 1_000_000) if dialect == "sqlite" else moment


def test_a_seal_has_one_opening_whatever_the_code_above_does(ledger: Database) -> None:
    def opened() -> None:
        with ledger.begin("open") as session:
            session.add(tables.SealOpening(seal="s", configuration_hash="c", registration="r", opened_at=AT))

    opened()
    with pytest.raises(IntegrityError):
        opened()


def test_a_session_has_one_paper_packet_of_an_instrument(ledger: Database) -> None:
    def kept(digest: str) -> None:
        with ledger.begin("paper") as session:
            session.add(
                tables.PaperPacket(watch="w", instrument="XNAS:A", session=AT.date(), as_of=AT, digest=digest,
                                   configuration_hash="c", regime={}, recorded_at=AT)
            )  # fmt: skip

    kept("one")
    with pytest.raises(IntegrityError):
        kept("two")
