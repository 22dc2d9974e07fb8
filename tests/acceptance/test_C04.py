"""C04. One decision per cycle and instrument with current and target position, action BUY, SELL, HOLD or REJECT,
reduce_only; closed reason-code registry; cycle key (account, portfolio, as_of slot), hashes recorded.

Done when: "A unique key holds in the schema, an unregistered code is refused, running one cycle twice adds 0 decisions
and 0 orders, and rerunning it after one bar was restated adds 0 orders unless explicitly revised"
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, inspect, select, text

from fieldcast.cycle import CycleStatus
from fieldcast.ground import ConflictError, IntegrityError, InvalidInput, Reason
from fieldcast.ledger import tables
from fieldcast.trading import Action

pytestmark = pytest.mark.feature("C04")

OPEN_PARTS: tuple[str, ...] = ()

MONDAY, TUESDAY = date(2018, 12, 3), date(2018, 12, 4)
COUNTED = (tables.CycleMeta, tables.Decision, tables.Intent, tables.Order, tables.Fill, tables.AuditLog)


def _worlds() -> Any:
    """tests/cycle/world.py as a module: a small market, given projections, ledger, paper broker and clock."""
    name, path = "fieldcast_test_world", Path(__file__).parents[1] / "cycle" / "world.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    made = _worlds().World(tmp_path)
    yield made
    made.close()


def counts(world: Any) -> dict[str, int]:
    with world.ledger.read() as session:
        return {t.__tablename__: session.scalar(select(func.count()).select_from(t)) or 0 for t in COUNTED}


def restate_one_bar(world: Any, session: date = MONDAY, factor: float = 1.02) -> None:
    """The share's close of `session` is told anew five minutes after the cycle of Monday."""
    world.at(MONDAY, minutes=5)
    share = world.config.instruments[0]
    close = world.bar(share, session)["close"]
    world.market.restate(share, session, world.clock.now(), close=round(close * factor, 2))


# one decision an instrument


def test_each_instrument_has_one_decision_with_positions_action_reduce_only_and_reasons(world: Any) -> None:
    world.source.gates[("XNAS:INDEX", TUESDAY)] = "FAIL"
    world.at(MONDAY).run()
    world.at(TUESDAY).run()
    with world.ledger.read() as session:
        rows = list(session.scalars(select(tables.Decision)))
    assert len(rows) == 2 * len(world.config.instruments)
    assert len({(row.slot, row.instrument) for row in rows}) == len(rows)
    assert {row.action for row in rows} <= {action.value for action in Action}
    assert {row.action for row in rows} >= {"BUY", "SELL", "REJECT"}
    for row in rows:
        change = row.target_position - row.current_position
        assert row.action == ("BUY" if change > 0 else "SELL" if change < 0 else row.action)
        assert row.action in ("HOLD", "REJECT") or change != 0
        assert len(row.reasons) >= 1
        assert not row.reduce_only or abs(row.target_position) <= abs(row.current_position)
    leaving = next(row for row in rows if (row.instrument, row.slot[:10]) == ("XNAS:INDEX", "2018-12-04"))
    assert (leaving.action, leaving.target_position, leaving.reduce_only) == ("SELL", 0, True)


def test_a_day_without_change_is_a_hold(world: Any) -> None:
    world.source.p_up["XNAS:SHARE"] = 0.2
    decision = world.at(MONDAY).run().decision("XNAS:SHARE")
    assert (decision.action, decision.current_position, decision.target_position) == (Action.HOLD, 0, 0)
    assert Reason.DIRECTION_DOWN in decision.reasons


# the key, in the schema


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("decision", ["account", "portfolio", "slot", "instrument", "revision"]),
        ("cycle_meta", ["account", "portfolio", "slot", "revision"]),
        ("intent", ["account", "portfolio", "slot", "instrument", "leg", "attempt"]),
    ],
)
def test_the_unique_key_stands_in_the_schema(world: Any, table: str, key: list[str]) -> None:
    found = [item["column_names"] for item in inspect(world.ledger.engine).get_unique_constraints(table)]
    assert key in found


def test_a_second_decision_under_the_same_key_is_refused_by_the_database(world: Any) -> None:
    """By the database itself: the row is written with plain SQL, past every class of ours."""
    world.at(MONDAY).run()
    before = counts(world)
    columns = [column.name for column in tables.Decision.__table__.columns if column.name != "id"]
    names = ", ".join(columns)
    statement = f"INSERT INTO decision (id, {names}) SELECT 'second', {names} FROM decision LIMIT 1"
    with pytest.raises(IntegrityError, match="UNIQUE"), world.ledger.begin() as session:
        session.execute(text(statement))
    assert counts(world) == before


# the registry of codes


def test_an_unregistered_code_is_refused_in_the_decision_and_in_the_ledger(world: Any) -> None:
    from dataclasses import replace

    decision = world.at(MONDAY).run().decision("XNAS:SHARE")
    with pytest.raises(InvalidInput, match="because_i_said_so"):
        replace(decision, reasons=("because_i_said_so",))
    update = text("UPDATE decision SET reasons = reasons")  # a statement that is fine, to show that the next one is not
    with world.ledger.begin() as session:
        session.execute(update)
    with pytest.raises(InvalidInput, match="because_i_said_so"), world.ledger.begin() as session:
        session.execute(tables.Decision.__table__.update().values(reasons=["because_i_said_so"]))
    with world.ledger.read() as session:
        written = {code for row in session.scalars(select(tables.Decision)) for code in row.reasons}
    assert written <= {reason.value for reason in Reason}


# the same slot again


def test_running_one_cycle_twice_adds_no_decision_and_no_order(world: Any) -> None:
    first = world.at(MONDAY).run()
    before = counts(world)
    second = world.run()
    assert counts(world) == before
    assert len(world.broker.open_orders()) == 2
    assert second.status is CycleStatus.UNCHANGED
    assert [d.action for d in second.decisions] == [d.action for d in first.decisions]
    world.at(TUESDAY).run()
    before = counts(world)
    world.at(MONDAY).run()
    world.at(TUESDAY).run()
    assert counts(world) == before


def test_the_hashes_are_recorded(world: Any) -> None:
    result = world.at(MONDAY).run()
    with world.ledger.read() as session:
        row = session.scalars(select(tables.CycleMeta)).one()
    assert (row.account, row.portfolio, row.slot) == ("test", "paper", "2018-12-03/daily")
    assert row.configuration_hash == world.config.hash == result.configuration_hash
    assert row.data_hash == result.data_hash
    assert len(row.data_hash) == 64


@pytest.mark.parametrize("session", [MONDAY, date(2018, 11, 20)])
def test_after_one_bar_was_restated_the_rerun_is_refused_and_names_both_hashes(world: Any, session: date) -> None:
    world.at(MONDAY).run()
    before = counts(world)
    recorded = world.run().data_hash
    restate_one_bar(world, session)
    with pytest.raises(ConflictError) as caught:
        world.run()
    assert caught.value.exit_code == 3
    assert recorded in str(caught.value)
    found = [word for word in str(caught.value).replace(";", " ").split() if len(word) == 64]
    assert len(set(found)) == 3  # one configuration, two hashes of data
    assert counts(world) == before
    assert len(world.broker.open_orders()) == 2


def test_another_configuration_is_refused_likewise(world: Any) -> None:
    world.at(MONDAY).run()
    before, old = counts(world), world.config.hash
    world.config = _worlds().configuration(target_volatility=Decimal("0.2"))
    with pytest.raises(ConflictError) as caught:
        world.run()
    assert old in str(caught.value)
    assert world.config.hash in str(caught.value)
    assert counts(world) == before


def test_an_explicit_revision_orders_the_difference_alone(world: Any) -> None:
    first = world.at(MONDAY).run()
    restate_one_bar(world, factor=1.10)
    second = world.run(revise=True)
    assert (second.status, second.revision) == (CycleStatus.REVISED, 1)
    old, new = first.decision("XNAS:SHARE"), second.decision("XNAS:SHARE")
    assert new.target_position < old.target_position  # the same money buys less of a dearer share
    assert new.current_position == old.target_position  # what is at work counts as held
    assert Reason.REVISED in new.reasons
    (sent,) = second.submitted
    assert sent.order.side.value == "SELL"
    assert sent.order.quantity == old.target_position - new.target_position
    assert second.decision("XNAS:INDEX").action is Action.HOLD
    with world.ledger.read() as session:
        attempts = {row.client_id: row.attempt for row in session.scalars(select(tables.Intent))}
        kept = session.scalars(select(tables.Decision).where(tables.Decision.revision == 0)).all()
    assert attempts[sent.client_id] == 2
    assert len(kept) == 3  # the first decisions stand as they were
    before = counts(world)
    assert world.run(revise=True).status is CycleStatus.UNCHANGED
    assert world.run().status is CycleStatus.UNCHANGED
    assert counts(world) == before
    world.at(TUESDAY).run()
    held = {item.instrument: item.quantity for item in world.broker.positions()}
    assert held["XNAS:SHARE"] == new.target_position


def test_only_the_newest_slot_can_be_revised(world: Any) -> None:
    world.at(MONDAY).run()
    world.at(TUESDAY).run()
    restate_one_bar(world)
    before = counts(world)
    with pytest.raises(ConflictError, match="2018-12-04/daily"):
        world.run(revise=True)
    assert counts(world) == before
