"""The paper broker's own memory: one SQLite file, apart from the ledger, as a broker's books are apart from ours.

Three tables: `account` (one row: what was paid in, and under which name), `orders` (in order of arrival), `fills`.
Decimals and times are text. Every write is one transaction that is on the disk (`synchronous=FULL`) when it returns,
so a process killed at any moment leaves the books of a moment before or after, never between.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from fieldcast.ground import ConflictError, Halted, IntegrityError, Reason
from fieldcast.ledger.faults import fail_point
from fieldcast.trading import Fill, Order, OrderState, OrderStatus, Side

PATIENCE_SECONDS = 1.0  # how long to wait for another process that has the file
_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    id INTEGER PRIMARY KEY CHECK (id = 1), account TEXT NOT NULL, portfolio TEXT NOT NULL, currency TEXT NOT NULL,
    cash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    arrival INTEGER PRIMARY KEY, client_id TEXT NOT NULL UNIQUE, broker_order_id TEXT NOT NULL UNIQUE,
    instrument TEXT NOT NULL, side TEXT NOT NULL, quantity TEXT NOT NULL, valid_for_session TEXT NOT NULL,
    status TEXT NOT NULL, filled_quantity TEXT NOT NULL, submitted_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    reasons TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS fills (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, client_id TEXT NOT NULL UNIQUE REFERENCES orders (client_id),
    instrument TEXT NOT NULL, side TEXT NOT NULL, quantity TEXT NOT NULL, price TEXT NOT NULL, fee TEXT NOT NULL,
    ts TEXT NOT NULL, source_bar_ts TEXT NOT NULL, reference_price TEXT NOT NULL, known_at TEXT NOT NULL
);
"""


class PaperStore:
    """Opens the file for this process alone.

    Raises
    ------
    Halted : another process has the file open
    IntegrityError : the file is no paper account
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_SECONDS)
        except (OSError, sqlite3.OperationalError) as error:
            raise Halted(f"expected {path} to be writable, found: {error}; mend the folder") from None
        try:
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._connection.execute("BEGIN EXCLUSIVE")
            for statement in _SCHEMA.split(";"):
                self._connection.execute(statement)
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise Halted(f"expected {path} to be free, found it in use ({error}); end the other process") from None
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise IntegrityError(f"expected a paper account in {path}, found {error}") from None

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def open_account(self, account: str, portfolio: str, currency: str, cash: Decimal) -> None:
        """Pay `cash` in, once; afterwards check that the file belongs to this account.

        Raises
        ------
        ConflictError : the file is the account of another portfolio, or was opened with other cash
        """
        wanted = (account, portfolio, currency, str(cash.normalize()))
        self._connection.execute(
            "INSERT OR IGNORE INTO account (id, account, portfolio, currency, cash) VALUES (1, ?, ?, ?, ?)", wanted
        )
        found = self._connection.execute("SELECT account, portfolio, currency, cash FROM account").fetchone()
        if (*found[:3], Decimal(found[3])) != (account, portfolio, currency, cash):
            raise ConflictError(
                f"expected the paper account {wanted} in {self.path}, found {found}; "
                "use another file for another account"
            )

    def orders(self) -> list[OrderState]:
        """Every order, in order of arrival."""
        rows = self._connection.execute(
            "SELECT client_id, instrument, side, quantity, valid_for_session, broker_order_id, status, filled_quantity,"
            " submitted_at, updated_at, reasons FROM orders ORDER BY arrival"
        )
        return [
            OrderState(
                order=Order(row[0], row[1], Side(row[2]), Decimal(row[3]), date.fromisoformat(row[4])),
                broker_order_id=row[5],
                status=OrderStatus(row[6]),
                filled_quantity=Decimal(row[7]),
                submitted_at=datetime.fromisoformat(row[8]),
                updated_at=datetime.fromisoformat(row[9]),
                reasons=tuple(Reason(code) for code in json.loads(row[10])),  # type: ignore[call-arg]
            )
            for row in rows
        ]

    def fills(self) -> list[tuple[Fill, datetime]]:
        """Every fill with the moment at which it became known, in the order in which they happened."""
        rows = self._connection.execute(
            "SELECT id, client_id, instrument, side, quantity, price, fee, ts, source_bar_ts, reference_price, known_at"
            " FROM fills ORDER BY sequence"
        )
        return [
            (
                Fill(
                    id=row[0],
                    client_id=row[1],
                    instrument=row[2],
                    side=Side(row[3]),
                    quantity=Decimal(row[4]),
                    price=Decimal(row[5]),
                    fee=Decimal(row[6]),
                    ts=datetime.fromisoformat(row[7]),
                    source_bar_ts=datetime.fromisoformat(row[8]),
                    reference_price=Decimal(row[9]),
                ),
                datetime.fromisoformat(row[10]),
            )
            for row in rows
        ]

    def write(self, states: Iterable[OrderState], fills: Iterable[Fill], known_at: datetime, label: str) -> None:
        """Orders new or changed, and new fills, in one transaction; `label` names its fault points."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for state in states:
                self._write_order(state)
            for fill in fills:
                self._write_fill(fill, known_at)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        fail_point(f"before:broker:{label}")
        self._connection.execute("COMMIT")
        fail_point(f"after:broker:{label}")

    def _write_order(self, state: OrderState) -> None:
        order = state.order
        self._connection.execute(
            "INSERT INTO orders (client_id, broker_order_id, instrument, side, quantity, valid_for_session, status,"
            " filled_quantity, submitted_at, updated_at, reasons) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (client_id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at,"
            " filled_quantity = excluded.filled_quantity, reasons = excluded.reasons",
            (
                order.client_id,
                state.broker_order_id,
                order.instrument,
                order.side.value,
                str(order.quantity),
                order.valid_for_session.isoformat(),
                state.status.value,
                str(state.filled_quantity),
                state.submitted_at.isoformat(),
                state.updated_at.isoformat(),
                json.dumps([reason.value for reason in state.reasons]),
            ),
        )

    def _write_fill(self, fill: Fill, known_at: datetime) -> None:
        self._connection.execute(
            "INSERT INTO fills (id, client_id, instrument, side, quantity, price, fee, ts, source_bar_ts,"
            " reference_price, known_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                fill.id,
                fill.client_id,
                fill.instrument,
                fill.side.value,
                str(fill.quantity),
                str(fill.price),
                str(fill.fee),
                fill.ts.isoformat(),
                fill.source_bar_ts.isoformat(),
                str(fill.reference_price),
                known_at.isoformat(),
            ),
        )
