"""The governed cycle, slot by slot: decisions, orders, fills, money, and what it refuses."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from sqlalchemy import func, select

from fieldcast.cycle import CycleStatus
from fieldcast.execution import Capabilities
from fieldcast.ground import ConfigError, ConflictError, Halted, IntegrityError, Reason
from fieldcast.ledger import cash, positions, tables
from fieldcast.trading import Action, DecisionStatus, OrderStatus, Side

MONDAY, TUESDAY, THURSDAY, FRIDAY = date(2018, 12, 3), date(2018, 12, 4), date(2018, 12, 6), date(2018, 12, 7)
COUNTED = (tables.Decision, tables.Intent, tables.Order, tables.Fill, tables.CashMovement, tables.AuditLog)


def counts(world: Any) -> dict[str, int]:
    with world.ledger.read() as session:
        return {t.__tablename__: session.scalar(select(func.count()).select_from(t)) or 0 for t in COUNTED}


def rows(world: Any, table: type) -> list[Any]:
    with world.ledger.read() as session:
        return list(session.scalars(select(table)))


def test_every_instrument_gets_exactly_one_decision_with_reasons_and_figures(world: Any) -> None:
    result = world.at(MONDAY).run()
    assert [decision.instrument for decision in result.decisions] == ["XCBO:FEAR", "XNAS:INDEX", "XNAS:SHARE"]
    assert result.status is CycleStatus.DECIDED
    share, index, fear = (result.decision(id) for id in ("XNAS:SHARE", "XNAS:INDEX", "XCBO:FEAR"))
    assert share.action is Action.BUY
    assert {Reason.DIRECTION_UP, Reason.VOLATILITY_TARGET, Reason.GATE_PASSED} <= set(share.reasons)
    assert Reason.NOTIONAL_UNITS in index.reasons
    assert fear.action is Action.REJECT
    assert Reason.NOT_TRADABLE in fear.reasons
    assert fear.target_position == fear.current_position == 0
    assert share.sizing["p_up"] == 0.6
    assert share.packet_digest is not None
    assert share.gate_result == "PASS"


def test_the_size_is_the_formulas(world: Any, worlds: Any) -> None:
    """0.10 / 0.20 / 3 instruments of a million at the close, in whole units."""
    result = world.at(MONDAY).run()
    close = Decimal(repr(world.bar(worlds.SHARE, MONDAY)["close"]))
    assert result.decision("XNAS:SHARE").target_position == Decimal(1_000_000) * Decimal("0.16666666") // close


def test_orders_wait_for_the_next_open_and_the_next_cycle_books_them(world: Any, worlds: Any) -> None:
    first = world.at(MONDAY).run()
    assert {order.valid_for_session for order in first.pending} == {TUESDAY}
    assert len(first.pending) == len(first.submitted) == 2
    assert first.nav == first.cash == 1_000_000
    assert "2 order(s) pending for the open of 2018-12-04" in first.text
    second = world.at(TUESDAY).run()
    assert {state.status for state in second.booked} == {OrderStatus.FILLED}
    fills = rows(world, tables.Fill)
    for fill in fills:
        bar = world.bar(worlds.SHARE if fill.instrument == "XNAS:SHARE" else worlds.INDEX, TUESDAY)
        assert fill.reference_price == Decimal(repr(bar["open"]))
        assert fill.source_bar_ts == bar["ts"]
    paid = sum(fill.price * fill.quantity + fill.fee for fill in fills)
    assert second.cash == 1_000_000 - paid
    held = sum(
        Decimal(repr(world.bar(item, TUESDAY)["close"])) * second.decision(item.id).current_position
        for item in (worlds.SHARE, worlds.INDEX)
    )
    assert second.positions_value == held
    assert second.nav == second.cash + held
    assert second.drawdown == pytest.approx(max(0.0, 1 - float(second.nav) / 1e6))


def test_the_last_days_orders_stay_pending_and_the_result_says_so(world: Any, worlds: Any) -> None:
    for session in worlds.days(15):
        result = world.at(session).run()
    assert result.pending
    assert "pending for the open of 2018-12-26" in result.text
    assert result.as_dict()["pending"][0]["valid_for_session"] == "2018-12-26"


def test_ledger_and_broker_agree_to_the_last_digit_and_money_is_conserved(world: Any, worlds: Any) -> None:
    """NAV = paid in + gain of every fill at the last close - fees, over fifteen sessions with changing odds."""
    for number, session in enumerate(worlds.days(15)):
        world.source.p_up[("XNAS:SHARE", session)] = 0.2 if number % 4 == 2 else 0.6
        result = world.at(session).run()
        with world.ledger.read() as opened:
            assert cash(opened, "test", "paper")["USD"] == world.broker.account().cash == result.cash
            held = positions(opened, "test", "paper")
        assert held == {item.instrument: item.quantity for item in world.broker.positions()}
        assert all(quantity >= 0 for quantity in held.values())
        assert result.positions_value <= result.nav
    closes = {i.id: Decimal(repr(world.bar(i, worlds.days(15)[-1])["close"])) for i in (worlds.SHARE, worlds.INDEX)}
    gains = sum(
        (1 if fill.side == "BUY" else -1) * fill.quantity * (closes[fill.instrument] - fill.price) - fill.fee
        for fill in rows(world, tables.Fill)
    )
    assert result.nav == 1_000_000 + gains
    assert {order.state for order in rows(world, tables.Order)} == {"filled", "accepted"}


def test_running_history_again_adds_nothing_anywhere(world: Any, worlds: Any) -> None:
    first = [world.at(session).run() for session in worlds.days(5)]
    before = counts(world)
    again = [world.at(session).run() for session in worlds.days(5)]
    assert counts(world) == before
    assert {result.status for result in again} == {CycleStatus.UNCHANGED}
    assert [result.decisions[0].action for result in again] == [result.decisions[0].action for result in first]
    assert again[-1].nav == first[-1].nav


def test_intents_are_committed_before_anything_is_sent(world: Any) -> None:
    """At the moment at which the broker is called, the ledger already holds the intent and its decision."""
    seen = []

    class Watching:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def submit(self, order: Any) -> Any:
            with world.ledger.read() as session:
                intent = session.get_one(tables.Intent, order.client_id)
                assert session.get_one(tables.Decision, intent.decision_id).status == "ordered"
                assert session.get(tables.Order, order.client_id) is None
                seen.append((intent.status, intent.side))
            return self.inner.submit(order)

    world.at(MONDAY).run(broker=Watching(world.broker))
    assert seen == [("created", "BUY"), ("created", "BUY")]
    assert {intent.status for intent in rows(world, tables.Intent)} == {"submitted"}
    assert all(re.fullmatch("[a-z0-9]{26}", intent.client_id) for intent in rows(world, tables.Intent))


def test_a_gate_that_no_longer_passes_sells_everything_reduce_only(world: Any) -> None:
    world.at(MONDAY).run()
    world.source.gates[("XNAS:SHARE", TUESDAY)] = "FAIL"
    result = world.at(TUESDAY).run()
    share = result.decision("XNAS:SHARE")
    assert (share.action, share.target_position, share.reduce_only) == (Action.SELL, 0, True)
    assert share.current_position > 0
    assert Reason.GATE_FAILED in share.reasons
    world.source.gates["XNAS:SHARE"] = "CANNOT_JUDGE"
    flat = world.at(THURSDAY).run().decision("XNAS:SHARE")
    assert (flat.action, flat.current_position, flat.target_position) == (Action.REJECT, 0, 0)
    assert Reason.GATE_CANNOT_JUDGE in flat.reasons


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda w: w.source.scores.update({"XNAS:SHARE": 0.59}), Reason.DATA_QUALITY),
        (lambda w: w.source.silent.add("XNAS:SHARE"), Reason.PROJECTION_MISSING),
        (lambda w: w.source.absent.add("XNAS:SHARE"), Reason.NO_DATA),
        (lambda w: w.source.gates.update({"XNAS:SHARE": None}), Reason.GATE_MISSING),
        (lambda w: w.market.drop(w.config.instruments[0], MONDAY), Reason.STALE),
    ],
)
def test_what_is_missing_becomes_a_reject_with_its_code(world: Any, spoil: Any, reason: Reason) -> None:
    spoil(world)
    result = world.at(MONDAY).run()
    share = result.decision("XNAS:SHARE")
    assert share.action is Action.REJECT
    assert share.status is DecisionStatus.NO_ORDER
    assert reason in share.reasons
    assert len(result.pending) == 1  # the other instrument goes its way


def test_quality_of_exactly_the_limit_passes(world: Any) -> None:
    world.source.scores["XNAS:SHARE"] = 0.6
    assert world.at(MONDAY).run().decision("XNAS:SHARE").action is Action.BUY


def test_a_year_of_synthetic_opens_is_not_bought_into(world: Any, worlds: Any) -> None:
    bar = world.bar(worlds.SHARE, MONDAY)
    world.market.restate(worlds.SHARE, MONDAY, bar["available_at"], reasons=Reason.OPEN_SYNTHETIC.value)
    share = world.at(MONDAY).run().decision("XNAS:SHARE")
    assert share.action is Action.REJECT
    assert Reason.NEXT_OPEN_REFUSED in share.reasons


def test_exits_pass_where_increases_are_refused(world: Any) -> None:
    world.at(MONDAY).run()
    world.source.scores["XNAS:SHARE"] = 0.1
    world.source.p_up[("XNAS:SHARE", TUESDAY)] = 0.1
    share = world.at(TUESDAY).run().decision("XNAS:SHARE")
    assert (share.action, share.target_position, share.reduce_only) == (Action.SELL, 0, True)


def test_sales_are_sent_before_purchases(world: Any) -> None:
    world.at(MONDAY).run()
    world.source.p_up[("XNAS:SHARE", TUESDAY)] = 0.1
    world.source.sigma[("XNAS:INDEX", TUESDAY)] = 0.1
    result = world.at(TUESDAY).run()
    assert [state.order.side for state in result.submitted] == [Side.SELL, Side.BUY]


def test_two_portfolios_share_a_ledger_and_nothing_else(world: Any, worlds: Any, tmp_path: Any) -> None:
    other_config = worlds.configuration(portfolio="simulated", starting_cash=Decimal(5000))
    world.at(MONDAY).run()
    other = worlds.World(tmp_path / "other", config=other_config, ledger=world.ledger)
    try:
        result = other.at(MONDAY).run()
        assert (result.cash, result.nav) == (5000, 5000)
        assert world.at(TUESDAY).run().nav > 900_000
        assert other.at(TUESDAY).run().nav < 6000
    finally:
        other.broker.close()


def test_the_future_cannot_be_shown(world: Any, worlds: Any) -> None:
    leak = world.market.frames["XNAS:SHARE"].with_columns(available_at=pl.col("available_at") - timedelta(days=30))
    world.market.frames["XNAS:SHARE"] = leak
    with pytest.raises(IntegrityError, match="later"):
        world.at(MONDAY).run()
    assert counts(world)["decision"] == 0


def test_a_slot_before_the_newest_one_is_refused(world: Any) -> None:
    world.at(TUESDAY).run()
    with pytest.raises(ConflictError, match="2018-12-04/daily"):
        world.at(MONDAY).run()


def test_a_broker_that_disagrees_halts_before_anything_is_decided(world: Any) -> None:
    world.at(MONDAY).run()
    world.at(TUESDAY).run()
    with world.ledger.begin() as session:
        movement = session.scalars(select(tables.CashMovement).where(tables.CashMovement.kind == "fee")).first()
        assert movement is not None
        movement.amount -= Decimal("0.01")
    before = counts(world)["decision"]
    with pytest.raises(Halted, match=r"USD: ledger \d+\.\d+, broker \d+\.\d+"):
        world.at(THURSDAY).run()
    assert counts(world)["decision"] == before


def test_a_held_position_without_a_price_halts(world: Any) -> None:
    world.at(MONDAY).run()
    world.at(TUESDAY).run()
    world.source.absent.add("XNAS:SHARE")
    with pytest.raises(Halted, match="expected a price"):
        world.at(THURSDAY).run()


def test_a_held_instrument_cannot_leave_the_configuration(world: Any, worlds: Any) -> None:
    world.at(MONDAY).run()
    world.at(TUESDAY).run()
    world.config = worlds.configuration(instruments=(worlds.INDEX, worlds.FEAR))
    with pytest.raises(ConfigError, match="XNAS:SHARE"):
        world.at(THURSDAY).run()


def test_a_broker_that_lacks_what_is_needed_is_refused(world: Any) -> None:
    world.broker.capabilities = Capabilities(market_on_open=False, idempotent_submit=True)
    with pytest.raises(ConfigError, match="open"):
        world.at(MONDAY).run()


def test_configurations_are_checked(worlds: Any) -> None:
    for bad in ({"instruments": ()}, {"starting_cash": Decimal(0)}, {"horizon": "9y"}, {"portfolio": ""}):
        with pytest.raises(ConfigError):
            worlds.configuration(**bad)
    one, other = worlds.configuration(), worlds.configuration(instruments=tuple(reversed(worlds.UNIVERSE)))
    assert one.hash == other.hash
    assert one.hash != worlds.configuration(target_volatility=Decimal("0.11")).hash
