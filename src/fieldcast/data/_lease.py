"""One writer at a time of a store in a bucket: a lease in the ledger, which every machine that writes there shares.

A writer takes the lease before it looks at anything, renews it from a thread while it works, and confirms it in the very
transaction that changes the index: a writer whose lease ran out (its machine slept, its network failed) and was taken by
another one commits nothing. What it left behind is noted, and the holder of the lease removes it. A store in a folder has
the lock of `_pending.writing` instead.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from fieldcast.data import _pending
from fieldcast.data._objects import Files, LocalFiles
from fieldcast.ground import ConflictError, FieldcastError, SystemClock
from fieldcast.ledger import Database
from fieldcast.ledger.tables import StoreLease

LENGTH = timedelta(minutes=2)  # far more than the clocks of two machines may differ by
RENEW_SECONDS = 20.0


class Lease:
    """The right to write, until it runs out and another writer takes it."""

    def __init__(self, db: Database) -> None:
        self.token = uuid.uuid4().hex
        self._db = db
        self._failure: FieldcastError | None = None  # of the last attempt to renew it
        self._done = threading.Event()

    def take(self) -> None:
        """Take the lease if it is free, ran out, or was held by a process of this machine that is no more.

        Raises
        ------
        ConflictError : another writer holds it; it is named
        """
        now = _now()
        with self._db.begin(label="lease") as session:
            held = session.execute(select(StoreLease.token, StoreLease.host, StoreLease.pid)).one()
            free = or_(StoreLease.token == "", StoreLease.until < now)
            if _is_over(held.host, held.pid):
                free = or_(free, StoreLease.token == held.token)
            values = {
                "token": self.token, "host": _pending._host(), "name": socket.gethostname(), "pid": os.getpid(),
                "until": now + LENGTH,
            }  # fmt: skip
            taken = session.execute(update(StoreLease).where(free).values(values)).rowcount  # type: ignore[attr-defined]
            if not taken:
                raise ConflictError(f"expected to be the only writer of the store, found {_holder(session)}")

    def confirm(self, session: Session) -> None:
        """Renew the lease as part of a transaction, which nobody can then take it away from before it commits.

        Raises
        ------
        ConflictError : it ran out and another writer took it; nothing may be committed
        """
        renewed = update(StoreLease).where(StoreLease.token == self.token).values(until=_now() + LENGTH)
        if not session.execute(renewed).rowcount:  # type: ignore[attr-defined]
            reason = "" if self._failure is None else f" (it could not be renewed: {self._failure})"
            raise ConflictError(
                f"expected to hold the store's lease until the end, found {_holder(session)}{reason}; nothing of this write is "
                "kept, run it again"
            )

    def renew(self) -> None:
        """See `confirm`."""
        with self._db.begin(label="lease") as session:
            self.confirm(session)

    def keep(self) -> None:
        """Renew it again and again until `give_up`; the body of a thread."""
        while not self._done.wait(RENEW_SECONDS):
            try:
                self.renew()
                self._failure = None
            except ConflictError:
                return  # lost: `confirm` says so before anything is committed
            except FieldcastError as error:
                self._failure = error  # told by `confirm`, if the lease is lost over it

    def give_up(self) -> None:
        """Let the next writer have it."""
        self._done.set()
        with self._db.begin(label="lease") as session:
            session.execute(update(StoreLease).where(StoreLease.token == self.token).values(token=""))


@contextmanager
def leased(files: Files, db: Database) -> Iterator[Lease | None]:
    """Hold the lease of a store in a bucket; none is needed for one in a folder.

    Raises
    ------
    ConflictError : another writer holds it; it is named
    """
    if isinstance(files, LocalFiles):
        yield None
        return
    lease = Lease(db)
    lease.take()
    keeper = threading.Thread(target=lease.keep, name="store-lease", daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        lease.give_up()
        keeper.join()


def _now() -> datetime:
    """Wall time, whatever clock the store stamps its files with: what counts is whether the other one still lives."""
    return SystemClock().now()


def _is_over(host: str, pid: int) -> bool:
    """True for a process of this machine that does not write any more; the lock has seen to the living ones."""
    return host == _pending._host() and (pid == os.getpid() or not Path(f"/proc/{pid}").exists())


def _holder(session: Session) -> str:
    held = session.execute(select(StoreLease.name, StoreLease.pid, StoreLease.until)).one()
    return (
        f"process {held.pid} on {held.name} writing (its lease runs until {held.until:%Y-%m-%d %H:%M:%S} UTC unless renewed); "
        "wait until it is done, then run this again"
    )
