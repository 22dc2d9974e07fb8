"""The paper broker: the venue behind the protocol, its books on the disk, its past as of the clock."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fieldcast.execution import Broker, PaperBroker
from fieldcast.ground import ConflictError, Halted, IntegrityError, Reason
from fieldcast.trading import Account, NotFound, Order, OrderState, OrderStatus, Position, Side, client_id

MONDAY, TUESDAY, THURSDAY = date(2018, 12, 3), date(2018, 12, 4), date(2018, 12, 6)
KEY = ("test", "paper", "2018-12-03/daily", "XNAS:SHARE", "main")
ID = client_id(*KEY, 1)


def buy(worlds: Any, quantity: int = 10, session: date = TUESDAY, number: int = 1) -> Order:
    return Order(client_id(*KEY, number), worlds.SHARE.id, Side.BUY, Decimal(quantity), session)


def state_of(broker: PaperBroker, id: str = ID) -> OrderState:
    state = broker.order(id)
    assert isinstance(state, OrderState)
    return state


def test_it_keeps_the_protocol(world: Any) -> None:
    broker: Broker = world.broker
    assert broker.account() == Account("test", "paper", "USD", Decimal(1_000_000))
    assert broker.order(ID) == NotFound(ID)
    assert broker.cancel(ID) == NotFound(ID)
    assert (broker.positions(), broker.fills(), broker.open_orders()) == ((), (), ())


def test_an_order_fills_at_the_next_sessions_open_once_its_bar_is_known(world: Any, worlds: Any) -> None:
    world.at(MONDAY)
    world.broker.submit(buy(worlds))
    world.at(TUESDAY, minutes=-1)  # the session is over, but its bar is not out yet
    assert state_of(world.broker).status is OrderStatus.ACCEPTED
    world.at(TUESDAY)
    assert state_of(world.broker).status is OrderStatus.FILLED
    (fill,) = world.broker.fills()
    bar = world.bar(worlds.SHARE, TUESDAY)
    assert fill.reference_price == Decimal(repr(bar["open"]))
    assert fill.source_bar_ts == bar["ts"]
    assert fill.ts.isoformat() == "2018-12-04T14:30:00+00:00"
    assert world.broker.positions() == (Position(worlds.SHARE.id, Decimal(10)),)
    assert world.broker.account().cash == 1_000_000 - fill.price * 10 - fill.fee
    assert world.broker.fills(fill.ts + timedelta(seconds=1)) == ()


def test_an_untrusted_open_is_refused(world: Any, worlds: Any) -> None:
    world.market.restate(
        worlds.SHARE, TUESDAY, world.bar(worlds.SHARE, TUESDAY)["available_at"], reasons=Reason.OPEN_SYNTHETIC.value
    )
    world.at(MONDAY)
    world.broker.submit(buy(worlds))
    world.at(TUESDAY)
    assert state_of(world.broker).status is OrderStatus.REJECTED
    assert state_of(world.broker).reasons == (Reason.NEXT_OPEN_REFUSED,)


def test_an_order_whose_session_has_no_bar_waits_and_then_expires(world: Any, worlds: Any) -> None:
    world.market.drop(worlds.SHARE, TUESDAY)
    world.at(MONDAY)
    world.broker.submit(buy(worlds))
    world.at(TUESDAY)
    assert state_of(world.broker).status is OrderStatus.ACCEPTED
    world.at(THURSDAY)
    assert state_of(world.broker).status is OrderStatus.EXPIRED
    assert state_of(world.broker).reasons == (Reason.NO_DATA,)
    assert world.broker.positions() == ()


def test_its_books_survive_a_restart(world: Any, worlds: Any) -> None:
    world.at(MONDAY)
    world.broker.submit(buy(worlds))
    world.at(TUESDAY)
    before = (world.broker.account(), world.broker.positions(), world.broker.fills(), state_of(world.broker))
    world.broker.close()
    world.broker = world._broker()
    assert (world.broker.account(), world.broker.positions(), world.broker.fills(), state_of(world.broker)) == before


def test_submitting_twice_is_one_order_even_after_a_restart(world: Any, worlds: Any) -> None:
    world.at(MONDAY)
    first = world.broker.submit(buy(worlds))
    world.broker.close()
    world.broker = world._broker()
    assert world.broker.submit(buy(worlds)) == first
    assert len(world.broker.open_orders()) == 1
    with pytest.raises(ConflictError):
        world.broker.submit(buy(worlds, 11))


def test_a_clock_set_back_sees_the_past(world: Any, worlds: Any) -> None:
    world.at(MONDAY)
    world.broker.submit(buy(worlds))
    world.at(TUESDAY)
    assert len(world.broker.fills()) == 1
    world.at(MONDAY)
    assert state_of(world.broker).status is OrderStatus.ACCEPTED
    assert len(world.broker.open_orders()) == 1
    assert (world.broker.fills(), world.broker.positions()) == ((), ())
    assert world.broker.account().cash == 1_000_000
    world.at(MONDAY, minutes=-5)
    assert world.broker.order(ID) == NotFound(ID)


def test_a_cancelled_order_stays_cancelled(world: Any, worlds: Any) -> None:
    world.at(MONDAY)
    world.broker.submit(buy(worlds))
    assert world.broker.cancel(ID).status is OrderStatus.CANCELLED
    world.broker.close()
    world.broker = world._broker()
    world.at(TUESDAY)
    assert state_of(world.broker).status is OrderStatus.CANCELLED
    assert world.broker.fills() == ()


def test_a_second_process_is_kept_out(world: Any) -> None:
    with pytest.raises(Halted, match="in use"):
        world._broker()


def test_the_file_belongs_to_one_portfolio(world: Any, worlds: Any, tmp_path: Path) -> None:
    world.broker.close()
    for changes in ({"portfolio": "other"}, {"cash": Decimal(5)}):
        with pytest.raises(ConflictError, match="paper account"):
            PaperBroker(
                tmp_path / "paper.broker",
                **{  # type: ignore[arg-type]
                    "account": "test",
                    "portfolio": "paper",
                    "market": world.market,
                    "clock": world.clock,
                    "instruments": worlds.UNIVERSE,
                    "cash": Decimal(1_000_000),
                }
                | changes,
            )


def test_a_file_that_is_no_database_is_refused(worlds: Any, world: Any, tmp_path: Path) -> None:
    (tmp_path / "torn.broker").write_bytes(b"not a database, but long enough to look like a header" * 40)
    with pytest.raises(IntegrityError, match="paper account"):
        PaperBroker(
            tmp_path / "torn.broker",
            account="test",
            portfolio="paper",
            market=world.market,
            clock=world.clock,
            instruments=worlds.UNIVERSE,
            cash=Decimal(1),
        )


def test_a_write_that_fails_is_forgotten(world: Any, worlds: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: the broker must not remember an order that its file does not have."""

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    world.at(MONDAY)
    with monkeypatch.context() as patched:
        patched.setattr(world.broker._store, "_write_order", full)
        with pytest.raises(sqlite3.OperationalError):
            world.broker.submit(buy(worlds))
    assert world.broker.order(ID) == NotFound(ID)
    assert world.broker.submit(buy(worlds)).status is OrderStatus.ACCEPTED
