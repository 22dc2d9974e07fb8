"""Connections: what every SQLite and PostgreSQL connection of the ledger is set to before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from fieldcast.ground import ConfigError

BUSY_TIMEOUT_MS = 10_000  # how long a SQLite writer waits for another process's transaction
POOL_SIZE = 5
WRITES = "fieldcast_writes"  # execution option: transactions of this engine write


def build_engine(url: str | URL) -> Engine:
    """An engine with pooled connections, each in the ledger's settings.

    SQLite: write-ahead log, foreign keys enforced, `synchronous=FULL` (a commit survives a power cut), ten seconds of
    patience with other writers; a write transaction starts with BEGIN IMMEDIATE, so that it can never fail half-way
    because another one was faster. PostgreSQL: psycopg 3, connections tested before use.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(f"expected a database URL such as sqlite:///fieldcast.db, found one that {error}") from None
    match parsed.get_backend_name(), parsed.get_driver_name():
        case "sqlite", "pysqlite":
            return _sqlite(parsed)
        case "postgresql", "psycopg":
            return create_engine(parsed, pool_size=POOL_SIZE, pool_pre_ping=True)
    raise ConfigError(f"expected a URL that starts with sqlite: or postgresql+psycopg:, found {parsed.drivername}")


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError("expected the path of a SQLite file, found a database in memory; a ledger must last")
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"expected a folder that can be made for {url.database}, found: {error.strerror}") from None
    engine = create_engine(url, pool_size=POOL_SIZE, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # sqlite3 must not begin transactions of its own accord: _begin_sqlite does
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise ConfigError(f"expected a file system on which SQLite can keep a write-ahead log, found mode {mode!r}")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA recursive_triggers = ON")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def writer(engine: Engine) -> Engine:
    """The same connections, for transactions that write."""
    return engine.execution_options(**{WRITES: True})


def reader(engine: Engine) -> Engine:
    """The same connections, for transactions that see one moment of the database and cannot write."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine.execution_options(**{WRITES: False})


def shown(url: str | URL) -> str:
    """The URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


def is_missing_table(error: Exception) -> bool:
    """True where the database answered that there is no such table."""
    cause = getattr(error, "orig", None)
    if isinstance(error, OperationalError) and "no such table" in str(cause):
        return True
    return getattr(cause, "sqlstate", None) == "42P01"
