"""Positions and cash are sums of fills and movements, exact and kept apart by account and portfolio."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fieldcast.ledger import Database, cash, positions, tables
from fieldcast.ledger.exact import exact_sum

NOW = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)


def add_fills(session: Session, portfolio: str, *fills: tuple[str, str, str]) -> None:
    """One cycle whose decision has an intent and a fill for each (instrument, side, quantity)."""
    key: dict[str, Any] = {"account": "a", "portfolio": portfolio, "slot": "2018-12-31:daily"}
    cycle = tables.CycleMeta(
        **key, id=f"c{portfolio}", revision=0, as_of=NOW, started_at=NOW, configuration_hash="", data_hash="",
        universe_size=1, status="done",
    )  # fmt: skip
    decision = tables.Decision(
        **key, id=f"d{portfolio}", cycle_id=cycle.id, instrument="X:Y", revision=0, action="HOLD",
        current_position=Decimal(0), target_position=Decimal(0), reduce_only=False, status="ordered", reasons=[],
        sizing={}, decided_at=NOW,
    )  # fmt: skip
    session.add_all([cycle, decision])
    for n, (instrument, side, quantity) in enumerate(fills):
        trade: dict[str, Any] = {
            "client_id": f"{portfolio}{n}".rjust(26, "0"),
            "instrument": instrument,
            "side": side,
            "quantity": Decimal(quantity),
        }
        intent = tables.Intent(
            **key, **trade, decision_id=decision.id, leg="main", attempt=n, created_at=NOW, status="created"
        )
        session.add_all([intent, tables.Fill(**trade, price=Decimal(1), fee=Decimal(0), ts=NOW)])


def test_positions_are_signed_sums_by_portfolio(ledger: Database) -> None:
    with ledger.begin() as session:
        add_fills(
            session, "p", ("X:A", "BUY", "1.10"), ("X:A", "SELL", "0.4"), ("X:B", "BUY", "3"), ("X:B", "SELL", "3.0"),
            ("X:C", "SELL", "0.00000001"),
        )  # fmt: skip
        add_fills(session, "q", ("X:A", "BUY", "7"))
    with ledger.read() as session:
        assert positions(session, "a", "p") == {"X:A": Decimal("0.70"), "X:C": Decimal("-0.00000001")}
        assert positions(session, "a", "q") == {"X:A": Decimal(7)}
        assert positions(session, "other", "p") == {}


def test_cash_is_summed_by_currency(ledger: Database) -> None:
    def movement(currency: str, amount: str, kind: str) -> tables.CashMovement:
        return tables.CashMovement(
            account="a", portfolio="p", currency=currency, amount=Decimal(amount), kind=kind, ts=NOW
        )

    with ledger.begin() as session:
        session.add_all(
            [movement("USD", "1000000", "deposit"), movement("USD", "-0.1", "fee"), movement("EUR", "5", "deposit")]
        )
    with ledger.read() as session:
        assert cash(session, "a", "p") == {"EUR": Decimal(5), "USD": Decimal("999999.9")}
        assert cash(session, "a", "q") == {}


@given(st.lists(st.tuples(st.integers(), st.integers(-40, 40)), max_size=8))
def test_a_sum_loses_no_digit_whatever_the_context(parts: list[tuple[int, int]]) -> None:
    values = [Decimal(whole).scaleb(exponent, localcontext_wide()) for whole, exponent in parts]
    expected = sum(whole * 10 ** (exponent + 40) for whole, exponent in parts)  # integers, in units of 1E-40
    with localcontext() as context:
        context.prec = 3
        total = exact_sum(values)
    assert int(total.scaleb(40, localcontext_wide())) == expected


def localcontext_wide() -> Any:
    with localcontext() as context:
        context.prec = 400
        return context.copy()
