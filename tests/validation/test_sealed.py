"""Seals and registrations on both dialects: one opening, refusals that are logged, the effect against a simulation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sqlalchemy import select

from fieldcast.evaluation import auc_interval
from fieldcast.ground import ConflictError, Halted, InvalidInput, MissingData
from fieldcast.ledger import Database, open_database, tables, verify
from fieldcast.validation.sealed import (
    Effect,
    add_seal,
    look,
    looked_at,
    minimum_effect,
    open_seal,
    planned_effect,
    register,
    require_effect,
    sealed_from,
    seals,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FIRST, LAST = date(2024, 1, 2), date(2024, 12, 31)
EFFECT = Effect(0.02, 0.05, 0.05, 0.8, 21, 252, 1000, 1000)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_database(url, tmp_path) as opened:
        yield opened


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


def test_a_preregistered_family_needs_an_effect_for_every_configuration(db: Database) -> None:
    with db.read() as session:
        assert require_effect(session, family="f", configuration_hash="c1", instruments=["XNAS:A"]) is None
        with pytest.raises(Halted, match="effect_unknown"):
            require_effect(session, family="f", configuration_hash="c1", instruments=["XNAS:A"], preregistered=True)
    freeze(db)
    with db.read() as session:
        found = require_effect(session, family="f", configuration_hash="c1", instruments=["XNAS:A"], preregistered=True)
        assert found is not None
        assert (found.effect_auc, found.compute) == (0.55, {"axis": "rows"})
        for wrong in (
            {"configuration_hash": "c2", "instruments": ["XNAS:A"]},
            {"configuration_hash": "c1", "instruments": ["XNAS:B"]},
        ):
            with pytest.raises(Halted, match="minimum detectable effect"):
                require_effect(session, family="f", **wrong)  # type: ignore[arg-type]
        assert require_effect(session, family="g", configuration_hash="c2", instruments=["XNAS:A"]) is None


def test_a_registration_without_a_compute_axis_is_refused(db: Database) -> None:
    with pytest.raises(InvalidInput, match="compute axis"), db.begin("register") as session:
        register(session, family="f", configuration_hash="c", configuration={}, instruments=["XNAS:A"], first=FIRST, last=LAST,
                 effect=EFFECT, measured_on="x", compute={}, at=NOW)  # fmt: skip


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


# the effect ---------------------------------------------------------------------------------------------------------------


def test_the_minimum_effect_is_its_formula() -> None:
    t = stats.t(252 / 21 - 1)
    assert minimum_effect(0.03, 252, 21) == pytest.approx(0.03 * (t.ppf(0.95) + t.ppf(0.8)), rel=1e-12)
    assert minimum_effect(0.03, 10**7, 21) == pytest.approx(0.03 * 2.4865, rel=1e-3)  # the gate's 2.49
    with pytest.raises(MissingData, match="two blocks"):
        minimum_effect(0.03, 41, 21)


def test_independent_outcomes_give_the_textbook_error() -> None:
    rng = np.random.default_rng(1)
    y = (rng.random(2000) < 0.5).astype(float)
    found = planned_effect(y, np.arange(2000), np.zeros(2000), sessions=1000, block=21, draws=200, seed=1)
    assert found.standard_error == pytest.approx(np.sqrt(1 / (3 * 1000)), rel=0.12)  # validation-science: sqrt(1 / 3n)


def test_a_forecaster_at_the_effect_is_found_with_its_power() -> None:
    """Power of the very test that the run applies (bound of the bootstrap interval above 0.5), 200 runs of 504 sessions.

    The effect is a little cautious: its error comes from persistent scores, the forecaster's here are independent.
    """
    rng = np.random.default_rng(2)
    sessions, runs = 504, 200
    past = (rng.random(1500) < 0.5).astype(float)
    effect = planned_effect(past, np.arange(1500), np.zeros(1500), sessions=sessions, block=21, draws=200, seed=0)
    shift = np.sqrt(2) * stats.norm.ppf(effect.auc)  # AUC of two unit normals so far apart
    hits = 0
    for run in range(runs):
        y = (rng.random(sessions) < 0.5).astype(float)
        score = rng.standard_normal(sessions) + shift * y
        hits += auc_interval(score, y, block=21, draws=200, seed=run).lower_one_sided > 0.5
    assert 0.78 <= hits / runs <= 0.93, (hits, runs)
