"""Transactions: whole or not at all, one writer, readers that cannot write, settings that survive a power cut."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from fieldcast.ground import ConfigError, Halted, IntegrityError, InvalidInput
from fieldcast.ledger import Database, open_database, tables
from fieldcast.ledger._engine import writer

NOW = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)


def instrument(id: str = "XNAS:AAPL") -> tables.Instrument:
    return tables.Instrument(
        id=id,
        kind="equity",
        currency="USD",
        calendar="XNYS",
        tick=Decimal("0.01"),
        lot=Decimal(1),
        multiplier=Decimal(1),
        tradable=True,
        notional=False,
        simulated=False,
        name="Apple",
    )


def test_what_was_committed_is_read_back(ledger: Database) -> None:
    with ledger.begin(label="instrument") as session:
        session.add(instrument())
    with ledger.read() as session:
        found = session.scalars(select(tables.Instrument)).one()
    assert (found.id, found.tick, found.tradable) == ("XNAS:AAPL", Decimal("0.01"), True)


def test_a_transaction_that_raises_leaves_nothing(ledger: Database) -> None:
    with pytest.raises(RuntimeError, match="half-way"), ledger.begin() as session:  # noqa: PT012
        session.add(instrument())
        session.flush()
        raise RuntimeError("half-way")
    with ledger.read() as session:
        assert session.scalars(select(tables.Instrument)).all() == []


def test_a_reader_cannot_write(ledger: Database) -> None:
    def write_in_a_reader() -> None:
        with ledger.read() as session:
            session.add(instrument())
            session.flush()

    with pytest.raises(Halted, match=r"readonly|read-only"):
        write_in_a_reader()
    with ledger.begin() as session:  # and the connection that it used can write again
        session.add(instrument())


def test_a_reader_sees_one_moment(ledger: Database) -> None:
    with ledger.read() as session:
        assert session.scalars(select(tables.Instrument.id)).all() == []
        with ledger.begin() as other:
            other.add(instrument())
        assert session.scalars(select(tables.Instrument.id)).all() == []
    with ledger.read() as session:
        assert session.scalars(select(tables.Instrument.id)).all() == ["XNAS:AAPL"]


def test_a_second_write_transaction_in_one_thread_is_refused_at_once(ledger: Database) -> None:
    def nest() -> None:
        with ledger.begin() as session:
            session.add(instrument())
            with ledger.begin():
                pass

    with pytest.raises(InvalidInput, match="one write transaction"):
        nest()
    with ledger.begin() as session:
        assert session.get(tables.Instrument, "XNAS:AAPL") is None


def test_writers_in_threads_wait_for_each_other(ledger: Database) -> None:
    def add(worker: int) -> None:
        for n in range(5):
            with ledger.begin() as session:
                known = len(session.scalars(select(tables.Instrument.id)).all())
                session.add(instrument(f"XNAS:W{worker}N{n}K{known}"))

    threads = [threading.Thread(target=add, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.read() as session:
        ids = session.scalars(select(tables.Instrument.id)).all()
    assert len(ids) == 20
    if ledger.dialect == "sqlite":  # BEGIN IMMEDIATE: what a writer has read cannot change before it commits
        assert sorted(int(id.rsplit("K", 1)[1]) for id in ids) == list(range(20))


def test_rows_may_be_added_in_any_order_and_foreign_keys_hold(ledger: Database) -> None:
    rows = _a_filled_order()
    with ledger.begin() as session:
        session.add_all(reversed(rows))
    orphan = tables.Order(
        client_id="b" * 26, broker="paper", side="BUY", quantity=Decimal(1), state="accepted", updated_at=NOW
    )
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), ledger.begin(label="orphan") as session:
        session.add(orphan)


def _a_filled_order() -> list[Any]:
    key = {"account": "a", "portfolio": "p", "slot": "2018-12-31:daily"}
    cycle = tables.CycleMeta(
        **key,
        id="c",
        revision=0,
        as_of=NOW,
        started_at=NOW,
        configuration_hash="",
        data_hash="",
        universe_size=1,
        status="done",
    )
    decision = tables.Decision(
        **key,
        id="d",
        cycle_id="c",
        instrument="XNAS:AAPL",
        revision=0,
        action="BUY",
        current_position=Decimal(0),
        target_position=Decimal(1),
        reduce_only=False,
        status="ordered",
        reasons=[],
        sizing={},
        decided_at=NOW,
    )
    trade: dict[str, Any] = {"client_id": "a" * 26, "side": "BUY", "quantity": Decimal(1)}
    intent = tables.Intent(
        **key, **trade, decision_id="d", instrument="XNAS:AAPL", leg="main", attempt=0, created_at=NOW, status="created"
    )
    order = tables.Order(**trade, broker="paper", state="filled", updated_at=NOW)
    fill = tables.Fill(**trade, id="f", instrument="XNAS:AAPL", price=Decimal("157.74"), fee=Decimal(0), ts=NOW)
    cash = tables.CashMovement(
        account="a", portfolio="p", currency="USD", amount=Decimal("-157.74"), kind="trade", ts=NOW, fill_id="f"
    )
    return [cycle, decision, intent, order, fill, cash]


def test_an_id_follows_from_the_natural_key_and_the_same_row_twice_is_refused(
    ledger: Database, insert_decision: Callable[[Any, int], None]
) -> None:
    with ledger.begin() as session:
        insert_decision(session, 1)
    with ledger.read() as session:
        decision = session.scalars(select(tables.Decision)).one()
        assert len(decision.id) == 32
        assert decision.cycle_id == session.scalars(select(tables.CycleMeta.id)).one()
    with pytest.raises(IntegrityError, match=r"(?i)unique"), ledger.begin() as session:
        insert_decision(session, 1)


@pytest.mark.parametrize(("column", "value"), [("action", "EXECUTE"), ("revision", -1)])
def test_a_decision_outside_its_vocabulary_is_refused(
    ledger: Database, insert_decision: Callable[[Any, int], None], column: str, value: Any
) -> None:
    def add() -> None:
        with ledger.begin() as session:
            insert_decision(session, 1)
            for pending in session.new:
                if isinstance(pending, tables.Decision):
                    setattr(pending, column, value)

    with pytest.raises(IntegrityError, match=f"ck_decision_{column}"):
        add()


def test_sqlite_connections_are_set_to_survive_a_power_cut(sqlite_ledger: Database) -> None:
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    with sqlite_ledger.read() as session:
        found = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in expected}
    assert found == expected


def test_connections_are_pooled(ledger: Database) -> None:
    for _ in range(3):
        with ledger.read() as session:
            session.execute(text("SELECT 1"))
    assert ledger.engine.pool.checkedin() == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/x", "postgresql+asyncpg://h/x", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        open_database(url, None)


def test_a_server_that_does_not_answer_halts_without_naming_the_password() -> None:
    with pytest.raises(Halted) as caught:
        open_database("postgresql+psycopg://someone:hunter2@127.0.0.1:1/none?connect_timeout=2", None)
    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_file_that_is_no_database_halts(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is not a database, but it is long enough to look like one" * 20)
    with pytest.raises(Halted, match="not a database"):
        open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None)


def test_a_ledger_of_a_newer_version_is_left_alone(ledger: Database, url: str) -> None:
    with writer(ledger.engine).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer Fieldcast"):
        open_database(url, None)


def test_an_up_to_date_ledger_opens_without_importing_alembic(sqlite_ledger: Database, sqlite_url: str) -> None:
    program = (
        "import sys; from fieldcast.ledger import open_database; from pathlib import Path\n"
        f"open_database({sqlite_url!r}, Path({str(sqlite_ledger.audit_dir)!r}))\n"
        "print(any(name.startswith('alembic') for name in sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False"]
