"""Which version of the schema a database has, and how it is brought to the newest one.

Migrations are Alembic's and travel inside the package. A database that is up to date is recognised by one SELECT,
without importing Alembic; each upgrade runs in one transaction, so that a killed one leaves the older version whole.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from fieldcast.ground import ConfigError
from fieldcast.ledger._engine import is_missing_table, writer

MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADE_LOCK = 0x666C6467  # "fldg": PostgreSQL's advisory lock for upgrades


def versions() -> tuple[str, ...]:
    """Every version of the schema, oldest first: the number that its migration file starts with."""
    return tuple(sorted(path.stem.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))


def newest() -> str:
    """The version that this code expects."""
    return versions()[-1]


def current(engine: Engine) -> str | None:
    """The version of a database; None where it holds no ledger yet."""
    try:
        with engine.connect() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except DBAPIError as error:
        if is_missing_table(error):
            return None
        raise


def upgrade(engine: Engine, target: str | None = None) -> bool:
    """Bring the database to `target` (default: the newest version). True where something was done.

    Raises
    ------
    ConfigError : the database was written by a newer Fieldcast
    """
    target = newest() if target is None else target
    found = current(engine)
    if found == target:
        return False
    if found is not None and found not in versions():
        raise ConfigError(
            f"expected a ledger of version {newest()} or older, found version {found}; "
            "it was written by a newer Fieldcast: install that one, or open another ledger"
        )
    with writer(engine).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        _run_alembic(connection, target)
    return True


def _run_alembic(connection: Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)
