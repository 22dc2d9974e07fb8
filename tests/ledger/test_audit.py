"""The audit trail: one entry and one decision are one transaction, the files follow, a crash is caught up."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from fieldcast.ground import Halted, IntegrityError, InvalidInput
from fieldcast.ledger import AuditRecord, AuditTrail, Database, open_database, tables, verify
from fieldcast.ledger._chain import EMPTY, Entry, Head
from fieldcast.ledger.faults import VARIABLE

Decide = Callable[..., None]
FIELDS = [
    *("cycle_id", "symbol", "timestamp", "final_decision", "position_size", "stop_loss", "reason_codes", "mu_hat"),
    *("sigma_hat", "conviction", "data_quality_score", "provider_confidence", "agent_results", "risk_checks"),
    "metadata",
]


def count(db: Database, table: Any) -> int:
    with db.read() as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "audit.jsonl").read_bytes().splitlines()]


def anchor(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "audit.anchor").read_text())
    return content


def killed(program: Callable[[], None], at: str) -> None:
    """Run `program` in a child process that is to be killed at the fault point `at`."""
    child = os.fork()
    if child == 0:
        try:
            os.environ[VARIABLE] = at
            program()
        finally:
            os._exit(99)  # it was not killed
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"expected a kill at {at}, found exit status {os.waitstatus_to_exitcode(status)}"
    assert os.WTERMSIG(status) == signal.SIGKILL


# the record ---------------------------------------------------------------------------------------------------------


def test_the_record_has_its_fifteen_fields() -> None:
    assert [field.name for field in dataclasses.fields(AuditRecord)] == FIELDS
    assert len(FIELDS) == 15


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": datetime(2018, 12, 31)},  # noqa: DTZ001
        {"reason_codes": ("made_up",)},
        {"mu_hat": float("nan")},
        {"conviction": float("inf")},
        {"position_size": 1.5},
        {"stop_loss": Decimal("NaN")},
    ],
)
def test_a_record_that_cannot_be_kept_as_it_is_is_refused(
    record: Callable[..., AuditRecord], changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        record(1, **changes)


# the chain and its files --------------------------------------------------------------------------------------------


def test_entry_twin_and_anchor_say_the_same(ledger: Database, folder: Path, decide: Decide) -> None:
    for n in range(5):
        decide(ledger, n)
    with ledger.read() as session:
        rows = session.scalars(select(tables.AuditLog).order_by(tables.AuditLog.sequence)).all()
    twin = lines(folder)
    assert [row.sequence for row in rows] == [line["sequence"] for line in twin] == [1, 2, 3, 4, 5]
    assert [row.hash for row in rows] == [line["hash"] for line in twin]
    assert [json.loads(row.record) for row in rows] == [line["record"] for line in twin]
    assert all(sorted(line["record"]) == sorted(FIELDS) for line in twin)
    assert [row.previous_hash for row in rows] == ["0" * 64, *(row.hash for row in rows[:-1])]
    assert anchor(folder) == {"sequence": 5, "hash": rows[-1].hash}
    assert verify(ledger, folder).ok


def test_the_same_decisions_give_the_same_chain_on_both_dialects(
    sqlite_ledger: Database, postgres_url: str, tmp_path: Path, decide: Decide
) -> None:
    with open_database(postgres_url, tmp_path / "other") as postgres:
        for n in range(3):
            decide(sqlite_ledger, n)
            decide(postgres, n)
    assert (tmp_path / "audit" / "audit.jsonl").read_bytes() == (tmp_path / "other" / "audit.jsonl").read_bytes()


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(metadata=st.dictionaries(st.text(), plain, max_size=3))
def test_a_line_of_the_twin_is_read_back_as_the_entry_that_wrote_it(metadata: dict[str, Any]) -> None:
    moment = datetime.fromisoformat("2018-12-31T21:30:00+00:00")
    record = AuditRecord("c", "XNAS:COMP", moment, "HOLD", metadata=metadata)
    entry = Entry.after(EMPTY, cycle_id="c", entry_type="decision", record=record.canonical(), recorded_at=moment)
    assert entry.faults(EMPTY) == []
    assert entry.line().count(b"\n") == 1
    assert Entry.from_line(entry.line()) == entry
    assert entry.faults(Head(0, "f" * 64))


def test_several_entries_of_one_transaction_are_chained(
    ledger: Database, folder: Path, record: Callable[..., AuditRecord]
) -> None:
    with ledger.begin() as session:
        for n in range(4):
            AuditTrail.append(session, record(n), entry_type="decision" if n else "start")
    assert [line["entry_type"] for line in lines(folder)] == ["start", "decision", "decision", "decision"]
    assert verify(ledger, folder).ok


def test_writers_in_threads_share_one_chain(ledger: Database, folder: Path, record: Callable[..., AuditRecord]) -> None:
    def append(worker: int) -> None:
        for n in range(6):
            with ledger.begin() as session:
                AuditTrail.append(session, record(10 * worker + n))

    threads = [threading.Thread(target=append, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify(ledger, folder)
    assert report.ok, report.problems
    assert (report.entries, report.lines, report.anchor) == (18, 18, 18)


def test_two_ledgers_on_one_database_and_folder_share_one_chain(url: str, folder: Path, decide: Decide) -> None:
    with open_database(url, folder) as first, open_database(url, folder) as second:
        for n in range(6):
            decide(first if n % 2 else second, n)
        assert verify(first, folder).ok
    assert anchor(folder)["sequence"] == 6


# both or neither ----------------------------------------------------------------------------------------------------


def test_a_failed_entry_that_the_caller_swallows_still_stops_the_commit(
    ledger: Database, folder: Path, insert_decision: Callable[[Session, int], None], record: Callable[..., AuditRecord]
) -> None:
    def swallow() -> None:
        with ledger.begin() as session:
            insert_decision(session, 1)
            with pytest.raises(InvalidInput):
                AuditTrail.append(session, record(1, metadata={"x": float("nan")}))

    with pytest.raises(Halted, match="audit entry"):
        swallow()
    assert count(ledger, tables.Decision) == count(ledger, tables.AuditLog) == 0
    assert lines(folder) == []


def test_without_a_folder_for_its_files_no_entry_is_taken(sqlite_url: str, decide: Decide) -> None:
    with open_database(sqlite_url, None) as db:
        with pytest.raises(Halted, match="audit_dir"):
            decide(db)
        assert count(db, tables.Decision) == 0


def test_a_session_from_elsewhere_is_refused(sqlite_ledger: Database, record: Callable[..., AuditRecord]) -> None:
    with Session(sqlite_ledger.engine) as session, pytest.raises(InvalidInput, match="begin"):
        AuditTrail.append(session, record())


def test_a_rolled_back_entry_leaves_no_line(ledger: Database, folder: Path, record: Callable[..., AuditRecord]) -> None:
    with pytest.raises(RuntimeError), ledger.begin() as session:  # noqa: PT012
        AuditTrail.append(session, record())
        raise RuntimeError
    assert lines(folder) == []
    assert anchor(folder)["sequence"] == 0


def test_files_that_cannot_be_written_halt_the_ledger_until_it_is_opened_again(
    sqlite_ledger: Database, sqlite_url: str, folder: Path, decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Halted, match="No space left"):
            decide(sqlite_ledger, 1)
    with pytest.raises(Halted, match="start again"):
        decide(sqlite_ledger, 2)
    with open_database(sqlite_url, folder) as again:
        decide(again, 3)
        assert [line["record"]["symbol"] for line in lines(folder)] == ["XNAS:S1", "XNAS:S3"]
        assert verify(again, folder).ok


# crashes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "in_database", "in_twin", "in_anchor"),
    [("before:commit:decide", 2, 2, 2), ("after:commit:decide", 3, 2, 2), ("before:anchor:decide", 3, 3, 2)],
)
def test_a_kill_at_any_point_is_caught_up(
    url: str, folder: Path, decide: Decide, at: str, in_database: int, in_twin: int, in_anchor: int
) -> None:
    with open_database(url, folder) as db:
        decide(db, 1)
        decide(db, 2)

    def one_more() -> None:
        decide(open_database(url, folder), 3)

    killed(one_more, at)
    with open_database(url, None) as db:  # as the crash left it
        report = verify(db, folder)
        assert report.ok, report.problems
        assert (report.entries, report.lines, report.anchor) == (in_database, in_twin, in_anchor)
    with open_database(url, folder) as db:
        report = verify(db, folder)
        assert report.ok, report.problems
        assert report.entries == report.lines == report.anchor == in_database == count(db, tables.Decision)


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_line_that_a_crash_tore_is_completed(
    sqlite_url: str, folder: Path, decide: Decide, kept: int
) -> None:
    with open_database(sqlite_url, folder) as db:
        decide(db, 1)
    before = (folder / "audit.jsonl").read_bytes()
    killed(lambda: decide(open_database(sqlite_url, folder), 2), "before:anchor:decide")
    whole = (folder / "audit.jsonl").read_bytes()
    (folder / "audit.jsonl").write_bytes(before + whole[len(before) :][:kept])
    with open_database(sqlite_url, None) as db:
        assert verify(db, folder).ok
    with open_database(sqlite_url, folder):
        assert (folder / "audit.jsonl").read_bytes() == whole


# starting on a damaged trail ----------------------------------------------------------------------------------------


def damage_database(url: str, *statements: str) -> None:
    with open_database(url, None) as db, db.begin() as session:
        for name in ("audit_log_no_update", "audit_log_no_delete"):
            session.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            session.execute(text(statement))


@pytest.mark.parametrize("missing", ["audit.anchor", "audit.jsonl"])
def test_a_missing_file_is_not_made_anew(sqlite_url: str, folder: Path, decide: Decide, missing: str) -> None:
    with open_database(sqlite_url, folder) as db:
        decide(db)
    (folder / missing).unlink()
    with pytest.raises(IntegrityError, match="found none"):
        open_database(sqlite_url, folder)
    assert not (folder / missing).exists()


def test_another_folder_is_refused(sqlite_url: str, folder: Path, tmp_path: Path, decide: Decide) -> None:
    with open_database(sqlite_url, folder) as db:
        decide(db)
    with pytest.raises(IntegrityError, match="folder it was written with"):
        open_database(sqlite_url, tmp_path / "other")


def test_a_database_behind_its_anchor_does_not_start(sqlite_url: str, folder: Path, decide: Decide) -> None:
    with open_database(sqlite_url, folder) as db:
        for n in range(3):
            decide(db, n)
    files = {path: path.read_bytes() for path in folder.iterdir()}
    damage_database(sqlite_url, "DELETE FROM audit_log WHERE sequence = 3")
    with pytest.raises(IntegrityError, match="cut or rewritten"):
        open_database(sqlite_url, folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == files  # the evidence is untouched


def test_a_rewritten_head_does_not_start(sqlite_url: str, folder: Path, decide: Decide) -> None:
    with open_database(sqlite_url, folder) as db:
        decide(db)
    damage_database(sqlite_url, f"UPDATE audit_log SET hash = '{'a' * 64}'")
    with pytest.raises(IntegrityError, match="cut or rewritten"):
        open_database(sqlite_url, folder)


def test_a_twin_behind_its_anchor_does_not_start(sqlite_url: str, folder: Path, decide: Decide) -> None:
    with open_database(sqlite_url, folder) as db:
        decide(db, 1)
        decide(db, 2)
    first = (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)[0]
    (folder / "audit.jsonl").write_bytes(first)
    with pytest.raises(IntegrityError, match="lines were removed"):
        open_database(sqlite_url, folder)


@pytest.mark.parametrize("content", ["", "{}", '{"sequence":"1","hash":"x"}', '{"sequence":-1,"hash":"x"}', "[]"])
def test_an_anchor_that_is_none_does_not_start(sqlite_url: str, folder: Path, content: str) -> None:
    open_database(sqlite_url, folder).close()
    (folder / "audit.anchor").write_text(content)
    with pytest.raises(IntegrityError, match="anchor"):
        open_database(sqlite_url, folder)
