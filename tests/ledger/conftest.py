"""Ledgers for tests: one in a SQLite file, and the same on PostgreSQL where a server answers."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from fieldcast.ledger import AuditRecord, AuditTrail, Database, _migrate, open_database, tables

START = datetime(2018, 12, 3, 21, 30, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the audit twin and the anchor go."""
    return tmp_path / "audit"


@pytest.fixture(scope="session")
def new_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger without rows, migrated once for all tests here."""
    path = tmp_path_factory.mktemp("new") / "ledger.db"
    open_database(f"sqlite:///{path}", None).close()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, new_ledger: Path) -> str:
    shutil.copy(new_ledger, tmp_path / "ledger.db")
    return f"sqlite:///{tmp_path / 'ledger.db'}"


BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)]


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest) -> str:
    """A database without a ledger, on both dialects."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path') / 'empty.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this test's own, on both dialects; the one on PostgreSQL is emptied and used again."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    engine = request.getfixturevalue("shared_postgres")
    yield engine.url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        for table in reversed(tables.Base.metadata.sorted_tables):
            connection.execute(table.delete())
        connection.execute(text("ALTER TABLE audit_log ENABLE TRIGGER USER"))
        connection.execute(text("DROP TABLE IF EXISTS type_probe"))
        connection.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": _migrate.newest()})


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Engine]:
    """One PostgreSQL database with a ledger for all tests here: to create one for each takes most of a second."""
    server = make_url(os.environ.get("FIELDCAST_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"))
    admin = create_engine(server, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    try:
        connection = admin.connect()
    except OperationalError as error:
        if "FIELDCAST_TEST_POSTGRES" in os.environ:
            raise
        pytest.skip(f"no PostgreSQL server on 127.0.0.1:5432 ({str(error.orig).splitlines()[0]})")
    name = f"fieldcast_test_{uuid.uuid4().hex}"
    connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
    engine = create_engine(server.set(database=name))
    try:
        _migrate.upgrade(engine)
        yield engine
    finally:
        engine.dispose()
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        connection.close()
        admin.dispose()


@pytest.fixture
def ledger(url: str, folder: Path) -> Iterator[Database]:
    with open_database(url, folder) as db:
        yield db


@pytest.fixture
def sqlite_ledger(sqlite_url: str, folder: Path) -> Iterator[Database]:
    with open_database(sqlite_url, folder) as db:
        yield db


@pytest.fixture
def record() -> Callable[..., AuditRecord]:
    """Builds the n-th audit record of a cycle."""

    def build(n: int = 0, **changes: Any) -> AuditRecord:
        values: dict[str, Any] = {
            "cycle_id": f"cycle-{n // 5}",
            "symbol": f"XNAS:S{n}",
            "timestamp": START + timedelta(days=n),
            "final_decision": ("BUY", "SELL", "HOLD", "REJECT")[n % 4],
            "position_size": Decimal(n) + Decimal("0.25"),
            "reason_codes": ("gate_passed", "volatility_target"),
            "mu_hat": 1.5 * n,
            "risk_checks": {"nav_limit": {"limit": 1.0, "found": 0.1 * n}},
        }
        return AuditRecord(**(values | changes))

    return build


@pytest.fixture
def decide(record: Callable[..., AuditRecord]) -> Callable[..., None]:
    """Writes the n-th cycle with its one decision and its audit entry, in one transaction."""

    def write(db: Database, n: int = 0, *, label: str = "decide") -> None:
        with db.begin(label=label) as session:
            add_decision(session, n)
            AuditTrail.append(session, record(n))

    return write


def add_decision(session: Any, n: int) -> None:
    at = START + timedelta(days=n)
    key = {"account": "paper", "portfolio": "main", "slot": f"{at.date()}:daily", "revision": 0}
    cycle = tables.CycleMeta(
        **key, as_of=at, started_at=at, configuration_hash="c", data_hash="d", universe_size=1, status="started"
    )
    session.add(cycle)
    session.flush()
    session.add(
        tables.Decision(
            **key,
            cycle_id=cycle.id,
            instrument=f"XNAS:S{n}",
            action="BUY",
            current_position=Decimal(0),
            target_position=Decimal(n),
            reduce_only=False,
            status="ordered",
            reasons=["gate_passed"],
            sizing={"sigma": 0.2},
            decided_at=at,
        )
    )


@pytest.fixture
def insert_decision() -> Callable[[Any, int], None]:
    return add_decision
