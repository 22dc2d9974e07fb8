"""G01: Versioned schema and migrations for SQLite and Postgres with pooling, WAL, foreign keys

Done when: "A clean build and an upgrade from each earlier version give the same schema"

A clean build is what the ORM classes make of an empty database; an upgrade runs the migrations. Both are read back from
the database's own catalogue, with every column, type, default, constraint, index, trigger and trigger function, and
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, QueuePool, inspect, text

from fieldcast.ground import IntegrityError
from fieldcast.ledger import Database, _migrate, open_database, tables
from fieldcast.ledger._engine import build_engine, writer

pytestmark = pytest.mark.feature("G01")
OPEN_PARTS: tuple[str, ...] = ("an upgrade from an earlier version that holds rows: 0001 is the first",)

NewDatabase = Callable[[], Engine]
DIALECTS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)]
ALEMBIC = "alembic_version"


@pytest.fixture(params=DIALECTS)
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Makes empty databases: files on SQLite, the same database emptied again on PostgreSQL."""
    engines: list[Engine] = []

    def make() -> Engine:
        if request.param == "sqlite":
            engine = build_engine(f"sqlite:///{tmp_path / f'{len(engines)}.db'}")
        else:
            engine = build_engine(request.getfixturevalue("postgres_url"))
            with engine.begin() as connection:
                connection.execute(text("DROP SCHEMA public CASCADE"))
                connection.execute(text("CREATE SCHEMA public"))
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.dispose()


def schema(connection: Connection) -> dict[str, Any]:
    """Everything that the database's catalogue says of the ledger, Alembic's own table left out."""
    found = inspect(connection)
    names = sorted(set(found.get_table_names()) - {ALEMBIC})
    described: dict[str, Any] = {
        name: {
            "columns": [{key: str(value) for key, value in column.items()} for column in found.get_columns(name)],
            "primary key": found.get_pk_constraint(name),
            "foreign keys": sorted(map(str, found.get_foreign_keys(name))),
            "unique": sorted(map(str, found.get_unique_constraints(name))),
            "checks": sorted(map(str, found.get_check_constraints(name))),
            "indexes": sorted(map(str, found.get_indexes(name))),
        }
        for name in names
    }
    catalogue = {
        "sqlite": "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')",
        "postgresql": "SELECT 'trigger', tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger "
        "WHERE NOT tgisinternal UNION ALL SELECT 'function', proname, prokind, pg_get_functiondef(oid) FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace",
    }
    rows = connection.execute(text(catalogue[connection.dialect.name])).all()
    described["programs"] = sorted(tuple(str(value) for value in row) for row in rows)
    return described


def clean_build(engine: Engine) -> dict[str, Any]:
    with writer(engine).begin() as connection:
        tables.Base.metadata.create_all(connection)
        return schema(connection)


def test_a_clean_build_and_an_upgrade_from_each_earlier_version_give_the_same_schema(new_database: NewDatabase) -> None:
    expected = clean_build(new_database())
    earlier: list[str | None] = [None, *_migrate.versions()[:-1]]  # None: the empty database, before version 0001
    for version in earlier:
        engine = new_database()
        if version is not None:
            _migrate.upgrade(engine, version)
            assert _migrate.current(engine) == version
        _migrate.upgrade(engine)
        assert _migrate.current(engine) == _migrate.newest()
        with engine.connect() as connection:
            found = schema(connection)
        assert found == expected, f"upgrade from version {version} differs from the clean build"
    every_table = {table.name for table in tables.Base.metadata.sorted_tables}
    assert set(expected) == every_table | {"programs"}
    assert len(every_table) == 33


DIFFERENCES = {
    "sqlite": ["DROP TABLE nav_snapshot", "DROP TRIGGER audit_log_no_update"],
    "postgresql": [
        "ALTER TABLE orders ALTER COLUMN quantity TYPE NUMERIC(20, 8)",
        "ALTER TABLE audit_log DISABLE TRIGGER audit_log_chain",
        "ALTER TABLE decision DROP CONSTRAINT ck_decision_action",
        "ALTER TABLE intent DROP CONSTRAINT fk_intent_decision_id",
    ],
    "both": [
        "ALTER TABLE fill ADD COLUMN venue VARCHAR",
        "DROP INDEX ix_intent_decision_id",
        "CREATE UNIQUE INDEX one_name ON instrument (name)",
    ],
}


def test_the_comparison_sees_a_planted_difference(new_database: NewDatabase) -> None:
    engine = new_database()
    _migrate.upgrade(engine)
    with writer(engine).connect() as connection:
        before = schema(connection)
        connection.rollback()
        for change in DIFFERENCES[engine.dialect.name] + DIFFERENCES["both"]:
            connection.execute(text(change))
            assert schema(connection) != before, change
            connection.rollback()
            assert schema(connection) == before
            connection.rollback()


def test_what_an_upgraded_ledger_holds_is_still_there(new_database: NewDatabase) -> None:
    engine = new_database()
    _migrate.upgrade(engine, _migrate.versions()[0])
    with writer(engine).begin() as connection:
        connection.execute(
            text(
                "INSERT INTO instrument (id, kind, currency, calendar, tick, lot, multiplier, tradable, notional, "
                "simulated, name) VALUES ('XNAS:COMP', 'index', 'USD', 'XNYS', '1', '1', '1', false, true, false, '')"
            )
        )
    _migrate.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM instrument")).scalars().all() == ["XNAS:COMP"]


def test_sqlite_ledgers_have_wal_foreign_keys_and_a_pool(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as db:
        with db.read() as session:
            assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
        _orphan_is_refused(db)
        _connection_is_reused(db)


def test_postgresql_ledgers_have_foreign_keys_and_a_pool(postgres_url: str, tmp_path: Path) -> None:
    with open_database(postgres_url, tmp_path) as db:
        _orphan_is_refused(db)
        _connection_is_reused(db)


def _orphan_is_refused(db: Database) -> None:
    at = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)
    orphan = tables.Order(
        client_id="a" * 26, broker="paper", side="BUY", quantity=Decimal(1), state="accepted", updated_at=at
    )
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), db.begin() as session:
        session.add(orphan)


def _connection_is_reused(db: Database) -> None:
    for _ in range(5):
        with db.read() as session:
            session.execute(text("SELECT 1"))
    assert isinstance(db.engine.pool, QueuePool)
    assert db.engine.pool.checkedin() == 1
