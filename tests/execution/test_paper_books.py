"""The paper broker's books: one case by hand, each refusal, and conservation over random sequences."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.execution._paper_books import PaperBooks
from fieldcast.ground import ConflictError, IntegrityError, InvalidInput, MissingData, Reason
from fieldcast.market import Instrument, Kind
from fieldcast.simulation import OpeningPrint
from fieldcast.trading import CostModel, NotFound, Order, OrderState, OrderStatus, Side, client_id

A = Instrument("XNAS:A", Kind.EQUITY)
B = Instrument("XNAS:B", Kind.EQUITY, multiplier=Decimal(5), lot=Decimal("0.1"))
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))
DAY = date(2018, 12, 3)
EVENING = datetime(2018, 12, 3, 21, 30, tzinfo=UTC)


def id_of(number: int) -> str:
    return client_id("a", "p", "s", "i", "main", number)


def order(number: int, side: Side, quantity: str, instrument: Instrument = A, session: date | None = None) -> Order:
    return Order(id_of(number), instrument.id, side, Decimal(quantity), session or DAY + timedelta(days=1))


def opening(
    price: str | None, instrument: Instrument = A, session: date | None = None, *, trusted: bool = True
) -> OpeningPrint:
    session = session or DAY + timedelta(days=1)
    moment = datetime(session.year, session.month, session.day, 14, 30, tzinfo=UTC)
    bar = moment + timedelta(hours=6.5)
    return OpeningPrint(instrument.id, session, moment, bar, None if price is None else float(price), trusted)


def books(cash: str = "10000", costs: CostModel | None = None) -> PaperBooks:
    return PaperBooks(cash=Decimal(cash), costs=costs or CostModel(), instruments=[A, B])


def only(states: tuple[OrderState, ...]) -> OrderState:
    assert len(states) == 1
    return states[0]


def test_a_purchase_by_hand() -> None:
    """100.00 * 1.0002 = 100.02; 10 units = 1000.20; commission 0.05001 -> 0.06; cash 10000 - 1000.26 = 8999.74."""
    market = books()
    market.submit(order(1, Side.BUY, "10"), EVENING)
    state = only(market.match([opening("100.00")], EVENING + timedelta(days=1)))
    assert state.status is OrderStatus.FILLED
    assert state.filled_quantity == 10
    (fill,) = market.fills()
    assert (fill.price, fill.fee, fill.reference_price) == (Decimal("100.02"), Decimal("0.06"), Decimal("100.00"))
    assert fill.ts == datetime(2018, 12, 4, 14, 30, tzinfo=UTC)
    assert fill.source_bar_ts == datetime(2018, 12, 4, 21, 0, tzinfo=UTC)
    assert market.cash == Decimal("8999.74")
    assert market.positions() == {A.id: Decimal(10)}


def test_a_multiplier_counts_in_cash() -> None:
    market = books(costs=FREE)
    market.submit(order(1, Side.BUY, "1.5", B), EVENING)
    market.match([opening("100", B)], EVENING)
    assert market.cash == Decimal(10000) - Decimal(750)


@pytest.mark.parametrize(
    ("side", "quantity", "print_", "status", "reason"),
    [
        (Side.BUY, "200", opening("100"), OrderStatus.REJECTED, Reason.INSUFFICIENT_CASH),
        (Side.SELL, "1", opening("100"), OrderStatus.REJECTED, Reason.NO_SHORTS),
        (Side.BUY, "1", opening("100", trusted=False), OrderStatus.REJECTED, Reason.NEXT_OPEN_REFUSED),
        (Side.BUY, "1", opening(None), OrderStatus.REJECTED, Reason.PRICE_MISSING),
    ],
)
def test_each_refusal_moves_no_money(
    side: Side, quantity: str, print_: OpeningPrint, status: OrderStatus, reason: Reason
) -> None:
    market = books()
    market.submit(order(1, side, quantity), EVENING)
    state = only(market.match([print_], EVENING + timedelta(days=1)))
    assert (state.status, state.reasons, state.filled_quantity) == (status, (reason,), 0)
    assert market.cash == 10000
    assert market.positions() == {}
    assert market.fills() == ()


def test_a_print_at_or_before_the_order_never_fills_it() -> None:
    market = books()
    late = opening("100").opened_at
    market.submit(order(1, Side.BUY, "1"), late)
    state = only(market.match([opening("100")], late + timedelta(hours=7)))
    assert (state.status, state.reasons) == (OrderStatus.EXPIRED, (Reason.TOO_LATE,))


def test_another_sessions_print_fills_nothing() -> None:
    market = books()
    market.submit(order(1, Side.BUY, "1"), EVENING)
    assert market.match([opening("100", session=DAY + timedelta(days=2))], EVENING) == ()
    assert len(market.open_orders()) == 1


def test_orders_are_matched_in_the_order_of_arrival_across_instruments() -> None:
    """A sale that arrived first pays for a purchase that arrived second, and not the other way round."""
    market = books(cash="1000", costs=FREE)
    market.submit(order(1, Side.BUY, "10"), EVENING)
    market.match([opening("100")], EVENING)
    tomorrow = DAY + timedelta(days=2)
    market.submit(order(2, Side.SELL, "10", session=tomorrow), EVENING + timedelta(days=1))
    market.submit(order(3, Side.BUY, "2", B, tomorrow), EVENING + timedelta(days=1))
    states = market.match([opening("100", B, tomorrow), opening("100", A, tomorrow)], EVENING)
    assert [state.status for state in states] == [OrderStatus.FILLED, OrderStatus.FILLED]
    assert market.cash == 0


def test_the_same_order_twice_is_one_and_another_under_its_id_is_refused() -> None:
    market = books()
    first = market.submit(order(1, Side.BUY, "1"), EVENING)
    assert market.submit(order(1, Side.BUY, "1"), EVENING + timedelta(hours=1)) == first
    assert len(market.states()) == 1
    with pytest.raises(ConflictError):
        market.submit(order(1, Side.BUY, "2"), EVENING)


def test_a_cancelled_order_does_not_fill() -> None:
    market = books()
    market.submit(order(1, Side.BUY, "1"), EVENING)
    state = market.cancel(id_of(1), EVENING)
    assert isinstance(state, OrderState)
    assert state.status is OrderStatus.CANCELLED
    assert market.match([opening("100")], EVENING) == ()
    assert market.cancel(id_of(1), EVENING + timedelta(days=9)) == state
    assert market.cancel(id_of(2), EVENING) == NotFound(id_of(2))


def test_what_is_not_listed_or_no_lot_is_refused() -> None:
    market = books()
    with pytest.raises(MissingData, match="XNAS:X"):
        market.submit(Order(id_of(1), "XNAS:X", Side.BUY, Decimal(1), DAY), EVENING)
    with pytest.raises(InvalidInput, match="multiple"):
        market.submit(order(1, Side.BUY, "0.5"), EVENING)
    with pytest.raises(InvalidInput, match="one currency"):
        PaperBooks(cash=Decimal(1), costs=FREE, instruments=[A, Instrument("XLON:C", Kind.EQUITY, currency="GBP")])


steps = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(1, 120),
        st.sampled_from(["A", "B"]),
        st.decimals(1, 300, places=2),
        st.sampled_from(["good", "good", "good", "untrusted", "none", "cancel"]),
    ),
    max_size=25,
)


def play(market: PaperBooks, drawn: list[tuple[Side, int, str, Decimal, str]]) -> dict[str, Decimal]:
    last: dict[str, Decimal] = {}
    for number, (side, quantity, name, price, kind) in enumerate(drawn, start=1):
        instrument = A if name == "A" else B
        session = DAY + timedelta(days=number)
        at = EVENING + timedelta(days=number - 1)
        market.submit(order(number, side, str(quantity * instrument.lot), instrument, session), at)
        if kind == "cancel":
            market.cancel(id_of(number), at)
        print_ = opening(None if kind == "none" else str(price), instrument, session, trusted=kind != "untrusted")
        market.match([print_], at + timedelta(days=1))
        last[instrument.id] = price
    return last


@given(steps)
@settings(max_examples=80)
def test_cash_positions_and_fees_are_conserved(drawn: list[tuple[Side, int, str, Decimal, str]]) -> None:
    """cash + positions at any price = paid in + gains of each fill at that price - fees, to the last digit."""
    market = books("20000", CostModel(minimum_commission=Decimal("0.35")))
    last = play(market, drawn)
    multiplier = {A.id: 1, B.id: 5}
    nav = Fraction(market.cash) + sum(
        Fraction(quantity) * multiplier[id] * Fraction(last[id]) for id, quantity in market.positions().items()
    )
    gains = sum(
        Fraction(fill.signed_quantity) * multiplier[fill.instrument] * Fraction(last[fill.instrument] - fill.price)
        - Fraction(fill.fee)
        for fill in market.fills()
    )
    assert nav == 20000 + gains
    assert market.cash >= 0
    assert all(quantity > 0 for quantity in market.positions().values())
    filled = {fill.client_id for fill in market.fills()}
    assert filled == {state.client_id for state in market.states() if state.status is OrderStatus.FILLED}
    assert all(fill.side.sign * (fill.price - fill.reference_price) >= 0 for fill in market.fills())


@given(steps)
@settings(max_examples=40)
def test_restored_books_go_on_like_those_they_were(drawn: list[tuple[Side, int, str, Decimal, str]]) -> None:
    whole, part = books(), books()
    play(whole, drawn)
    half = len(drawn) // 2
    play(part, drawn[:half])
    again = PaperBooks.restore(
        cash=Decimal(10000), costs=CostModel(), instruments=[A, B], states=part.states(), fills=part.fills()
    )
    assert (again.cash, again.positions(), again.states()) == (part.cash, part.positions(), part.states())
    play(again, drawn)  # orders known already change nothing, the rest is new
    assert (again.cash, again.fills(), again.states()) == (whole.cash, whole.fills(), whole.states())


def test_books_that_contradict_themselves_are_not_restored() -> None:
    market = books()
    market.submit(order(1, Side.BUY, "1"), EVENING)
    market.match([opening("100")], EVENING)
    with pytest.raises(IntegrityError):
        PaperBooks.restore(cash=Decimal(1), costs=FREE, instruments=[A], states=(), fills=market.fills())
    with pytest.raises(IntegrityError):
        PaperBooks.restore(cash=Decimal(1), costs=FREE, instruments=[A], states=market.states(), fills=())
