"""What the cycle takes from its source: stale, foreign, unlabelled and future things are not used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select

from fieldcast.cycle import Snapshot
from fieldcast.ground import IntegrityError, Reason
from fieldcast.ledger import tables
from fieldcast.risk import Limits
from fieldcast.trading import Action

MONDAY, FRIDAY_BEFORE = date(2018, 12, 3), date(2018, 11, 30)


def spoil(world: Any, change: Callable[[Snapshot], Snapshot], id: str = "XNAS:SHARE") -> None:
    """From now on the source's snapshot of one instrument is changed before it is handed over."""
    plain = world.source.snapshot

    def snapshot(instrument: Any, as_of: Any) -> Snapshot:
        found: Snapshot = plain(instrument, as_of)
        return change(found) if instrument.id == id else found

    world.source.snapshot = snapshot


def packet_of(worlds: Any, world: Any, session: date, close: float, **changes: Any) -> Any:
    as_of = world.at(session).clock.now()
    made = worlds.packet(worlds.SHARE, as_of=as_of, session=session, close=close, **changes)
    world.at(MONDAY)
    return made


def test_yesterdays_packet_is_no_projection_for_today(world: Any, worlds: Any) -> None:
    old = packet_of(worlds, world, FRIDAY_BEFORE, world.bar(worlds.SHARE, MONDAY)["close"])
    spoil(world, lambda snapshot: replace(snapshot, packet=old))
    share = world.run().decision("XNAS:SHARE")
    assert share.action is Action.REJECT
    assert {Reason.STALE, Reason.PROJECTION_MISSING} <= set(share.reasons)


def test_a_packet_made_on_another_close_is_not_used(world: Any, worlds: Any) -> None:
    other = packet_of(worlds, world, MONDAY, world.bar(worlds.SHARE, MONDAY)["close"] * 1.001)
    spoil(world, lambda snapshot: replace(snapshot, packet=other))
    share = world.run().decision("XNAS:SHARE")
    assert share.action is Action.REJECT
    assert {Reason.STALE, Reason.PROJECTION_MISSING} <= set(share.reasons)


def test_a_packet_without_the_wanted_horizon_is_no_projection(world: Any, worlds: Any) -> None:
    world.config = worlds.configuration(horizon="5d")
    share = world.at(MONDAY).run().decision("XNAS:SHARE")
    assert share.action is Action.REJECT
    assert Reason.PROJECTION_MISSING in share.reasons


@pytest.mark.parametrize("price", [float("nan"), float("inf"), 0.0, -5.0])
def test_a_close_that_is_no_price_is_a_reject(world: Any, price: float) -> None:
    spoil(world, lambda snapshot: replace(snapshot, bars=snapshot.bars.with_columns(close=pl.lit(price)), packet=None))
    share = world.at(MONDAY).run().decision("XNAS:SHARE")
    assert share.action is Action.REJECT
    assert {Reason.PRICE_MISSING, Reason.PRICE_NOT_POSITIVE} & set(share.reasons)
    assert share.reference_price is None


def test_no_rows_at_all_are_a_reject(world: Any) -> None:
    spoil(world, lambda snapshot: replace(snapshot, bars=snapshot.bars.clear(), packet=None))
    share = world.at(MONDAY).run().decision("XNAS:SHARE")
    assert share.action is Action.REJECT
    assert Reason.NO_DATA in share.reasons


@pytest.mark.parametrize("what", ["instrument", "future", "simulated", "bars"])
def test_what_does_not_belong_stops_the_cycle(world: Any, worlds: Any, what: str) -> None:
    close = world.bar(worlds.SHARE, MONDAY)["close"]
    as_of = world.at(MONDAY).clock.now()
    wrong = {
        "instrument": worlds.packet(worlds.INDEX, as_of=as_of, session=MONDAY, close=close),
        "future": worlds.packet(worlds.SHARE, as_of=as_of + timedelta(minutes=1), session=MONDAY, close=close),
        "simulated": worlds.packet(replace(worlds.SHARE, simulated=True), as_of=as_of, session=MONDAY, close=close),
    }
    if what == "bars":
        other = world.market.read("XNAS:INDEX", as_of=as_of)
        spoil(world, lambda snapshot: replace(snapshot, bars=other))
    else:
        spoil(world, lambda snapshot: replace(snapshot, packet=wrong[what]))
    with pytest.raises(IntegrityError):
        world.run()
    with world.ledger.read() as session:
        assert session.scalars(select(tables.Decision)).all() == []


def test_a_tighter_limit_scales_every_increase(world: Any, worlds: Any) -> None:
    world.config = worlds.configuration(limits=Limits(max_exposure=Decimal("0.1")))
    result = world.at(MONDAY).run()
    share, index = result.decision("XNAS:SHARE"), result.decision("XNAS:INDEX")
    assert Reason.NAV_LIMIT in share.reasons
    assert share.sizing["verdict"] == "SCALE"
    value = sum(d.target_position * d.reference_price for d in (share, index))
    assert Decimal(80_000) < value <= Decimal(100_000)


def test_the_audit_holds_the_whole_decision(world: Any) -> None:
    import json

    result = world.at(MONDAY).run()
    with world.ledger.read() as session:
        entries = [row for row in session.scalars(select(tables.AuditLog)) if row.entry_type == "decision"]
        intents = {row.client_id for row in session.scalars(select(tables.Intent))}
    records = {record["symbol"]: record for record in (json.loads(row.record) for row in entries)}
    assert set(records) == {decision.instrument for decision in result.decisions}
    share = records["XNAS:SHARE"]
    assert len(share) == 15
    assert share["final_decision"] == "BUY"
    assert share["mu_hat"] == 1.0
    assert share["sigma_hat"] == pytest.approx(1e4 * 0.2 / 252**0.5)
    assert share["data_quality_score"] == 0.99
    assert share["risk_checks"]["verdict"] == "ALLOW"
    assert share["metadata"]["intent"] in intents
    assert records["XCBO:FEAR"]["metadata"]["intent"] is None
