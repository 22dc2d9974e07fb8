"""Silent brokers, lost answers and the kill switch: nothing is ordered twice, exits pass, every end is recorded."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from fieldcast.execution import Capabilities
from fieldcast.ground import Halted, Reason
from fieldcast.ledger import tables
from fieldcast.risk import KillSwitch
from fieldcast.trading import Action, NotFound, OrderState, OrderStatus

MONDAY, TUESDAY, THURSDAY = date(2018, 12, 3), date(2018, 12, 4), date(2018, 12, 6)


class Faulty:
    """A broker whose answers get lost: `lost` orders arrive and the answer does not, `eaten` ones never arrive."""

    def __init__(self, inner: Any, *, lost: int = 0, eaten: int = 0, idempotent: bool = True) -> None:
        self.inner, self.lost, self.eaten = inner, lost, eaten
        self.capabilities = Capabilities(market_on_open=True, idempotent_submit=idempotent)
        self.sent: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def submit(self, order: Any) -> Any:
        self.sent.append(order.client_id)
        if self.eaten:
            self.eaten -= 1
            raise TimeoutError("no answer")
        state = self.inner.submit(order)
        if self.lost:
            self.lost -= 1
            raise TimeoutError("no answer")
        return state


def intents(world: Any) -> dict[str, str]:
    with world.ledger.read() as session:
        return {row.instrument: row.status for row in session.scalars(select(tables.Intent))}


def orders(world: Any) -> int:
    with world.ledger.read() as session:
        return len(list(session.scalars(select(tables.Order))))


def test_a_lost_answer_is_unresolved_until_the_broker_is_asked(world: Any) -> None:
    broker = Faulty(world.broker, lost=1)
    first = world.at(MONDAY).run(broker=broker)
    assert len(first.unresolved) == 1
    assert sorted(intents(world).values()) == ["submitted", "unresolved"]
    assert orders(world) == 1
    again = world.run(broker=broker)
    assert again.unresolved == ()
    assert set(intents(world).values()) == {"submitted"}
    assert orders(world) == 2
    assert len(broker.sent) == 2  # it was found, not sent again
    assert len(world.broker.open_orders()) == 2


def test_an_order_whose_answer_was_lost_is_booked_when_it_is_found_filled_a_day_later(world: Any) -> None:
    world.at(MONDAY).run(broker=Faulty(world.broker, lost=2))
    result = world.at(TUESDAY).run()
    assert [state.status.value for state in result.booked] == ["filled", "filled"]
    assert result.decision("XNAS:SHARE").current_position > 0
    assert result.cash == world.broker.account().cash
    with world.ledger.read() as session:
        assert {row.status for row in session.scalars(select(tables.Intent)) if "12-03" in row.slot} == {"submitted"}
        assert len(list(session.scalars(select(tables.Fill)))) == 2


def test_an_order_that_is_refused_at_once_is_booked_at_once(world: Any) -> None:
    class Refusing(Faulty):
        def __init__(self, inner: Any) -> None:
            super().__init__(inner)
            self.refused: dict[str, OrderState] = {}

        def submit(self, order: Any) -> OrderState:
            now = world.clock.now()
            why = (Reason.INSUFFICIENT_CASH,)
            self.refused[order.client_id] = OrderState(order, "R1", OrderStatus.REJECTED, Decimal(0), now, now, why)
            return self.refused[order.client_id]

        def order(self, client_id: str) -> Any:
            return self.refused.get(client_id, NotFound(client_id))

    result = world.at(MONDAY).run(broker=Refusing(world.broker))
    assert result.pending == ()
    assert {state.reasons for state in result.booked} == {(Reason.INSUFFICIENT_CASH,)}
    with world.ledger.read() as session:
        assert {row.state for row in session.scalars(select(tables.Order))} == {"rejected"}
        ends = [row.record for row in session.scalars(select(tables.AuditLog)) if row.entry_type == "order"]
    assert len(ends) == 2
    assert all("insufficient_cash" in record for record in ends)


def test_an_order_that_never_arrived_is_sent_again_under_its_id(world: Any) -> None:
    broker = Faulty(world.broker, eaten=1)
    world.at(MONDAY).run(broker=broker)
    world.run(broker=broker)
    assert len(broker.sent) == 3
    assert len(set(broker.sent)) == 2
    assert len(world.broker.open_orders()) == 2


def test_a_broker_without_idempotent_ids_is_not_sent_an_uncertain_order_twice(world: Any) -> None:
    broker = Faulty(world.broker, eaten=1, idempotent=False)
    world.at(MONDAY).run(broker=broker)
    again = world.run(broker=broker)
    assert len(again.unresolved) == 1
    assert len(broker.sent) == 2


def test_an_intent_that_was_never_accepted_lapses_when_its_open_has_passed(world: Any) -> None:
    world.at(MONDAY).run(broker=Faulty(world.broker, eaten=2))
    result = world.at(TUESDAY).run()
    assert len(result.lapsed) == 2
    with world.ledger.read() as session:
        assert {row.status for row in session.scalars(select(tables.Intent)) if row.slot.startswith("2018-12-03")} == {
            "lapsed"
        }
        ends = [row for row in session.scalars(select(tables.AuditLog)) if '"lapsed"' in row.record]
    assert len(ends) == 2
    assert all(Reason.TOO_LATE.value in row.record for row in ends)
    assert result.decision("XNAS:SHARE").action is Action.BUY  # and the next slot decides afresh


def test_what_is_unresolved_counts_as_working(world: Any) -> None:
    """A revision while an answer is out orders the difference to what may still be filled."""
    broker = Faulty(world.broker, lost=2)
    first = world.at(MONDAY).run(broker=broker)
    bar = world.bar(world.config.instruments[0], MONDAY)
    world.market.restate(
        world.config.instruments[0], date(2018, 11, 30), bar["available_at"], close=bar["close"] * 1.01
    )
    second = world.at(MONDAY, minutes=5).run(revise=True)
    assert second.revision == 1
    assert second.submitted != ()
    assert second.decision("XNAS:SHARE").current_position == first.decision("XNAS:SHARE").target_position
    assert second.decision("XNAS:SHARE").action is Action.HOLD


def test_a_broker_that_is_silent_at_the_start_halts(world: Any) -> None:
    class Silent(Faulty):
        def order(self, client_id: str) -> Any:
            raise TimeoutError(client_id)

    world.at(MONDAY).run()
    with pytest.raises(Halted, match="answer"):
        world.at(TUESDAY).run(broker=Silent(world.broker))


def test_an_order_that_the_broker_has_forgotten_halts(world: Any) -> None:
    class Forgetful(Faulty):
        def order(self, client_id: str) -> Any:
            return NotFound(client_id)

    world.at(MONDAY).run()
    with pytest.raises(Halted, match="to know the order"):
        world.at(TUESDAY).run(broker=Forgetful(world.broker))


def test_the_kill_switch_between_decision_and_submission_stops_the_purchase(world: Any) -> None:
    """It is pulled while the first order is on its way: the second is never sent."""
    switch = KillSwitch(world.home / "KILL")

    class Pulling(Faulty):
        def submit(self, order: Any) -> Any:
            switch.path.touch()
            return super().submit(order)

    broker = Pulling(world.broker)
    result = world.at(MONDAY).run(broker=broker)
    assert len(broker.sent) == 1
    assert len(result.blocked) == 1
    assert sorted(intents(world).values()) == ["blocked", "submitted"]


def test_under_the_kill_switch_nothing_is_bought_and_exits_go(world: Any) -> None:
    world.at(MONDAY).run()
    world.source.p_up[("XNAS:SHARE", TUESDAY)] = 0.1
    world.source.sigma[("XNAS:INDEX", TUESDAY)] = 0.1
    world.at(TUESDAY)
    KillSwitch(world.home / "KILL").engage(world.ledger, at=world.clock.now(), why="a test")
    result = world.run()
    assert result.decision("XNAS:SHARE").action is Action.SELL
    index = result.decision("XNAS:INDEX")
    assert (index.action, index.target_position) == (Action.REJECT, index.current_position)
    assert Reason.KILL_SWITCH in index.reasons
    assert len(result.submitted) == 1
    assert result.blocked == ()


@pytest.mark.server
def test_a_run_on_postgresql_writes_the_same_decisions(
    world: Any, worlds: Any, postgres_url: str, tmp_path: Any
) -> None:
    other = worlds.World(tmp_path / "pg", url=postgres_url)
    try:
        for session in worlds.days(3):
            ours, theirs = world.at(session).run(), other.at(session).run()
            assert (ours.decisions, ours.nav, ours.pending) == (theirs.decisions, theirs.nav, theirs.pending)
    finally:
        other.close()


def test_history_can_be_run_again_after_a_stop_between_booking_and_deciding(world: Any) -> None:
    """Tuesday's fills are booked, its decisions are not made: Monday is the past, though its cycle is the newest."""
    world.at(MONDAY).run()
    world.source.snapshot = None  # the process ends here, after it has reconciled
    with pytest.raises(TypeError):
        world.at(TUESDAY).run()
    del world.source.snapshot
    with world.ledger.read() as session:
        assert len(list(session.scalars(select(tables.Fill)))) == 2
    assert world.at(MONDAY).run().status.value == "unchanged"
    again = world.at(TUESDAY).run()
    assert again.status.value == "decided"
    assert again.booked == ()
    assert again.cash == world.broker.account().cash
