"""The ledger as one object: write transactions, read transactions, and the audit files that follow each commit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.orm import Session

from fieldcast.ground import Halted, IntegrityError, InvalidInput
from fieldcast.ledger import _migrate
from fieldcast.ledger._engine import build_engine, reader, shown, writer
from fieldcast.ledger._twin import Twin
from fieldcast.ledger.audit import PENDING, PendingAudit
from fieldcast.ledger.faults import fail_point


class Database:
    """One open ledger. Use `open_database` to get one.

    Attributes
    ----------
    engine : SQLAlchemy engine with the ledger's connection settings
    audit_dir : folder of the JSON-lines twin and the anchor; None = no audit entry can be written
    """

    def __init__(self, engine: Engine, audit_dir: Path | None) -> None:
        self.engine = engine
        self.audit_dir = audit_dir
        self._writer = writer(engine)
        self._reader = reader(engine)
        self._twin = None if audit_dir is None else Twin(audit_dir)
        self._open_here = threading.local()
        self._halted: str | None = None

    @property
    def url(self) -> str:
        """The database's URL, its password hidden."""
        return shown(self.engine.url)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def begin(self, label: str = "write") -> Iterator[Session]:
        """One write transaction: committed when the block ends, rolled back when it raises.

        Parameters
        ----------
        label : names the commit in the fault points of `fieldcast.ledger.faults`

        Raises
        ------
        IntegrityError : the rows break a constraint, or an append-only table was to be changed
        Halted : the database refused for another reason, or an audit entry could not be written
        InvalidInput : a write transaction is already open in this thread
        """
        if self._halted is not None:
            raise Halted(self._halted)
        if getattr(self._open_here, "writing", False):
            raise InvalidInput("expected one write transaction at a time, found a second one in the same thread")
        self._open_here.writing = True
        try:
            with self._translated(label), Session(self._writer, expire_on_commit=False) as session:
                pending = PendingAudit(kept=self._twin is not None)
                session.info[PENDING] = pending
                session.connection()  # takes SQLite's write lock now: what is read here cannot change before the commit
                yield session
                session.flush()
                if pending.failed:
                    raise Halted(
                        f"expected every audit entry of {label!r} to be written, found one that failed; nothing of "
                        "this transaction is kept"
                    )
                fail_point(f"before:commit:{label}")
                session.commit()
                fail_point(f"after:commit:{label}")
        finally:
            self._open_here.writing = False
        if pending.written and self._twin is not None:
            self._follow(self._twin, label)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One read transaction: sees a single moment of the database, and cannot write."""
        with self._translated("read"), Session(self._reader, expire_on_commit=False) as session:
            session.connection()
            yield session  # leaving it undone, not rolled back, lets the caller keep the rows that it read

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _follow(self, twin: Twin, label: str) -> None:
        """Bring the audit files up to the commit that has just been made; stop everything where that fails."""
        try:
            twin.catch_up(self.read, label)
        except (OSError, IntegrityError, Halted) as error:
            self._halted = (
                f"expected to write the audit twin and anchor in {self.audit_dir} after the commit of {label!r}, found "
                f"{error}; that commit stands, but no further one is made: mend the folder and start again"
            )
            raise Halted(self._halted) from error

    @contextmanager
    def _translated(self, label: str) -> Iterator[None]:
        try:
            yield
        except ConstraintError as error:
            raise IntegrityError(
                f"expected rows that keep the ledger's constraints in {label!r}, found: {error.orig}"
            ) from error
        except DBAPIError as error:
            raise Halted(f"expected the ledger {self.url} to answer in {label!r}, found: {error.orig}") from error


def open_database(url: str | URL, audit_dir: Path | None) -> Database:
    """Open a ledger; create it, or bring it to the newest schema, where that is needed.

    Parameters
    ----------
    url : `sqlite:////absolute/path.db` or `postgresql+psycopg://user@host/name`
    audit_dir : folder of the audit twin and anchor, created with the ledger; a ledger opened with None can be read and
        written, but takes no audit entry

    Raises
    ------
    ConfigError : another kind of URL, or a ledger written by a newer Fieldcast
    IntegrityError : the audit log was cut or rewritten since the anchor was written
    Halted : the database does not answer
    """
    engine = build_engine(url)
    database = Database(engine, audit_dir)
    try:
        with database._translated("open"):
            _migrate.upgrade(engine)
        if database._twin is not None:
            database._twin.start(database.read)
    except BaseException:
        engine.dispose()
        raise
    return database
