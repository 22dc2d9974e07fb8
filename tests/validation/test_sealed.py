"""Seals on both dialects: one opening, for what was frozen before, and refusals that are logged."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from fieldcast.ground import ConflictError, Halted, InvalidInput, MissingData
from fieldcast.ledger import Database, tables, verify
from fieldcast.validation.preregistration import Effect, register
from fieldcast.validation.sealed import (
    add_seal,
    look,
    looked_at,
    open_seal,
    sealed_from,
    seals,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FIRST, LAST = date(2024, 1, 2), date(2024, 12, 31)
EFFECT = Effect(0.02, 0.05, 0.05, 0.8, 21, 252, 1000, 1000)


def freeze(db: Database, configuration: str = "c1", *, names: tuple[str, ...] = ("XNAS:A",), at: datetime = NOW) -> None:
    with db.begin("register") as session:
        register(session, family="f", configuration_hash=configuration, configuration={"x": 0.1}, instruments=names,
                 first=FIRST, last=LAST, effect=EFFECT, measured_on="x", compute={"axis": "rows"}, at=at)  # fmt: skip


def seal(db: Database, name: str = "final", names: tuple[str, ...] = ("XNAS:A",)) -> None:
    with db.begin("seal") as session:
        add_seal(session, name, names, FIRST, LAST, at=NOW)


def entries(db: Database) -> list[tuple[str, list[str]]]:
    with db.read() as session:
        records = [json.loads(row.record) for row in session.scalars(select(tables.AuditLog).order_by(tables.AuditLog.sequence))]
    return [(record["final_decision"], record["reason_codes"]) for record in records]


def test_a_second_opening_is_refused_and_logged(db: Database, tmp_path: Path) -> None:
    seal(db)
    freeze(db)
    freeze(db, "c2")
    opened = open_seal(db, "final", "c1", at=NOW + timedelta(hours=1))
    assert (opened.opened_for, opened.opened_at) == ("c1", NOW + timedelta(hours=1))
    for configuration in ("c2", "c1"):
        with pytest.raises(ConflictError, match="opened once") as refused:
            open_seal(db, "final", configuration, at=NOW + timedelta(hours=2))
        assert refused.value.exit_code == 3
    assert entries(db) == [("SEALED", ["sealed"]), ("REGISTERED", []), ("REGISTERED", []), ("OPENED", ["seal_opened"]),
                           ("REFUSED", ["seal_refused"]), ("REFUSED", ["seal_refused"])]  # fmt: skip
    assert verify(db, tmp_path).ok
    with db.read() as session:
        assert seals(session)[0].opened_for == "c1"


def test_of_two_openings_at_once_one_is_refused_and_logged(db: Database) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    seal(db)
    freeze(db)
    freeze(db, "c2")
    gate = Barrier(2)

    def attempt(configuration: str) -> str:
        gate.wait()
        try:
            return str(open_seal(db, "final", configuration, at=NOW + timedelta(hours=1)).opened_for)
        except ConflictError:
            return "refused"

    with ThreadPoolExecutor(2) as pool:
        found = sorted(pool.map(attempt, ("c1", "c2")))
    assert found in (["c1", "refused"], ["c2", "refused"])
    assert [decision for decision, _ in entries(db)][-2:] == ["OPENED", "REFUSED"]


@pytest.mark.parametrize("how", ["not at all", "at the same moment", "for another span", "for another instrument"])
def test_only_a_configuration_that_was_frozen_before_may_open(db: Database, how: str) -> None:
    seal(db)
    if how == "at the same moment":
        freeze(db, at=NOW + timedelta(hours=1))
    elif how == "for another instrument":
        freeze(db, names=("XNAS:B",))
    elif how == "for another span":
        with db.begin("register") as session:
            register(session, family="f", configuration_hash="c1", configuration={}, instruments=["XNAS:A"], first=FIRST,
                     last=LAST - timedelta(days=1), effect=EFFECT, measured_on="x", compute={"axis": "rows"}, at=NOW)  # fmt: skip
    with pytest.raises(Halted, match="frozen before"):
        open_seal(db, "final", "c1", at=NOW + timedelta(hours=1))
    assert entries(db)[-1] == ("REFUSED", ["seal_refused"])
    with db.read() as session:
        assert seals(session)[0].opened_for is None


def test_reads_end_before_the_seal_unless_it_is_open_for_this_configuration(db: Database) -> None:
    midnight = datetime(2024, 1, 2, tzinfo=UTC)
    seal(db)
    freeze(db)
    with db.read() as session:
        assert sealed_from(session, ["XNAS:A", "XNAS:B"], "c1") == midnight
        assert sealed_from(session, ["XNAS:B"], "c1") is None
    open_seal(db, "final", "c1", at=NOW + timedelta(hours=1))
    seal(db, "everything", ("*",))
    with db.read() as session:
        assert sealed_from(session, ["XNAS:A"], "c1") == midnight  # the other seal still stands
        assert sealed_from(session, ["XNAS:B"], "c9") == midnight
        assert [(one.name, one.opened_for) for one in seals(session)] == [("everything", None), ("final", "c1")]


def test_a_seal_cannot_be_moved(db: Database) -> None:
    seal(db)
    seal(db)
    with pytest.raises(ConflictError, match="cannot be moved"), db.begin("seal") as session:
        add_seal(session, "final", ["XNAS:A"], FIRST, LAST - timedelta(days=1), at=NOW)
    with pytest.raises(MissingData, match="final"):
        open_seal(db, "other", "c1", at=NOW)
    with pytest.raises(InvalidInput), db.begin("seal") as session:
        add_seal(session, "x", ["XNAS:A", "*"], FIRST, LAST, at=NOW)


def test_looked_at_spans_are_shown_once_and_the_years_of_development_are_among_them(db: Database) -> None:
    for _ in range(2):
        with db.begin("look") as session:
            look(session, ["XNAS:A"], FIRST, LAST, "a plot", at=NOW)
    with db.read() as session:
        found = looked_at(session, ["XNAS:A"])
        assert [(one.first, one.last) for one in found] == [(date(2023, 1, 1), date(2025, 12, 31)), (FIRST, LAST)]
        assert len(looked_at(session, ["XNAS:B"])) == 1
    assert found[0].touches(["XNAS:Z"], date(2025, 12, 31), date(2026, 1, 1))
    assert not found[1].touches(["XNAS:A"], date(2025, 1, 1), date(2026, 1, 1))
