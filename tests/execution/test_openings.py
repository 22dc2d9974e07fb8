"""One open: the venue's kernel where its whole numbers have room, exact decimals beyond, and a named answer to every order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind, default_instrument
from fieldcast.simulation import OpeningPrint, fill_at_open, openings
from fieldcast.trading import CostModel, Fill, Order, Side, client_id, fee_schedule
from fieldcast.trading.costs.profiles import ExecutionCosts

COIN = default_instrument("KRAKEN:BTCUSD", "crypto")
SHARE = Instrument("XNAS:A", Kind.EQUITY)
DAY = date(2024, 1, 3)
OPENED = datetime(2024, 1, 3, 14, 30, tzinfo=UTC)
BY_ID = {COIN.id: COIN, SHARE.id: SHARE}


def opening(price: float | None, instrument: Instrument = COIN, *, trusted: bool = True, after: int = 0) -> OpeningPrint:
    moment = OPENED + timedelta(minutes=after)
    return OpeningPrint(instrument.id, DAY, moment, moment + timedelta(hours=6), price, trusted, 1e6)


def order(side: Side, quantity: str, instrument: Instrument = COIN, number: int = 1) -> Order:
    return Order(client_id("a", "p", "s", instrument.id, "main", number), instrument.id, side, Decimal(quantity), DAY)


def answers(
    orders: Sequence[Order],
    prints: Sequence[OpeningPrint],
    *,
    cash: str = "1000000",
    held: str = "0",
    costs: CostModel | None = None,
) -> tuple[Fill | Reason, ...]:
    return fill_at_open(orders, prints, BY_ID, cash=Decimal(cash), held={COIN.id: Decimal(held)}, costs=costs or CostModel())


@pytest.mark.parametrize("price", [42280.23, 42280.23438, 42280.234375, 0.08945, 0.00001234])
@pytest.mark.parametrize("quantity", ["0.5", "2.36521347", "11.00000001"])
def test_a_coin_of_any_decimals_fills_in_a_large_account(price: float, quantity: str) -> None:
    """price = print * 1.0002 up to 0.01; fee = value * 0.5 bp up to 0.01: the same rule, however fine the print."""
    (fill,) = answers([order(Side.BUY, quantity)], [opening(price)])
    assert isinstance(fill, Fill)
    paid = (Decimal(repr(price)) * Decimal("1.0002") / Decimal("0.01")).to_integral_value(rounding="ROUND_CEILING") / 100
    assert (fill.price, fill.reference_price) == (paid, Decimal(repr(price)))
    owed = paid * Decimal(quantity) * Decimal("0.00005")
    assert fill.fee == owed.quantize(Decimal("0.01"), rounding="ROUND_CEILING")


def test_beyond_the_kernels_room_cash_is_counted_to_the_last_digit() -> None:
    """42280.234375 * 1.0002 -> 42288.70; two coins cost 84577.40 and 4.23 of fees: one step of 1e-14 less is too little."""
    enough, least = Decimal("84581.63"), Decimal("0.00000000000001")
    wanted, print_ = [order(Side.BUY, "2")], [opening(42280.234375)]
    assert isinstance(answers(wanted, print_, cash=str(enough))[0], Fill)
    assert answers(wanted, print_, cash=str(enough - least)) == (Reason.INSUFFICIENT_CASH,)


def test_beyond_the_kernels_room_each_order_sees_what_the_ones_before_have_left() -> None:
    wanted = [order(Side.SELL, "3", number=1), order(Side.BUY, "5", number=2), order(Side.SELL, "4.5", number=3)]
    first, second, third = answers(wanted, [opening(42280.234375)], cash="100000", held="4")
    assert isinstance(first, Fill)
    assert isinstance(second, Fill)
    assert isinstance(third, Fill)
    again = [*wanted, order(Side.SELL, "1.50000001", number=4)]
    assert answers(again, [opening(42280.234375)], cash="100000", held="4")[3] is Reason.NO_SHORTS


prices = st.one_of(
    st.decimals("0.01", 90_000, places=2), st.decimals("0.0001", 5_000, places=4), st.decimals("0.00001", 3, places=5)
)
sizes = st.one_of(st.decimals("0.00000001", 3, places=8), st.decimals(1, 400, places=0))
fees = st.sampled_from(
    [
        CostModel(),
        CostModel(minimum_commission=Decimal("0.35")),
        CostModel(impact_bps=Decimal(40), fees=fee_schedule("ibkr_fixed")),
        CostModel(fees=fee_schedule("kraken")),
        CostModel(half_spread_bps=Decimal(4000), slippage_bps=Decimal(3000)),
    ]
)


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.booleans(), sizes), min_size=1, max_size=6),
    prices,
    st.decimals("1", 900, places=2),
    st.decimals(0, 30_000, places=2),
    st.decimals(0, 2, places=8),
    fees,
)
@settings(max_examples=150, deadline=None)
def test_the_exact_reckoning_is_that_of_the_kernel(
    drawn: list[tuple[Side, bool, Decimal]], coin: Decimal, share: Decimal, cash: Decimal, held: Decimal, costs: CostModel
) -> None:
    """Where both have room they agree on every fill, price, fee and refusal; which one is taken is no matter of money.

    Left out: fees in parts of a coin (1e-8) on shares, whose minimal unit of 0.01 the kernel rounds them up to.
    """
    orders = [
        order(side, str(size if of_coin else max(1, int(size))), COIN if of_coin else SHARE, number)
        for number, (side, of_coin, size) in enumerate(drawn, start=1)
    ]
    ids = dict.fromkeys(one.instrument for one in orders)
    assume(COIN.id in ids or costs.fees is None or costs.fees.step >= Decimal("0.01"))
    prints = [opening(float(coin if id == COIN.id else share), BY_ID[id]) for id in ids]
    given_ = (BY_ID, cash, {COIN.id: held}, costs)
    at = openings._Open(orders, prints, *given_)
    if openings._has_room(at):
        assert openings._exactly(at) == openings._play(at)


def test_an_order_of_any_size_has_an_answer() -> None:
    for quantity in ("1000000000000", "1e25", "1e40", "1e70"):
        for side in Side:
            (answer,) = answers([order(side, quantity)], [opening(42280.234375)])
            assert answer in (Reason.INSUFFICIENT_CASH, Reason.NO_SHORTS, Reason.QUANTITY_TOO_LARGE)


@pytest.mark.parametrize("price", [None, float("nan"), float("inf"), -37.0, 0.0, 1e-12])
def test_what_is_no_price_refuses_the_order(price: float | None) -> None:
    assert answers([order(Side.BUY, "1")], [opening(price)]) == (Reason.PRICE_MISSING,)


def test_hours_that_were_never_measured_refuse_the_order_alone() -> None:
    costs = CostModel(measured=ExecutionCosts(as_of=DAY, profiles={}))
    assert answers([order(Side.BUY, "1")], [opening(100.0)], costs=costs) == (Reason.COST_UNMEASURED,)


@pytest.mark.parametrize("price", [100.0, 42280.234375])
def test_impact_without_a_volume_has_no_price(price: float) -> None:
    print_ = OpeningPrint(COIN.id, DAY, OPENED, OPENED + timedelta(hours=6), price, trusted=True)
    found = answers([order(Side.BUY, "2")], [print_], costs=CostModel(impact_bps=Decimal(40)))
    assert found == (Reason.VOLUME_NOT_REPORTED,)


@pytest.mark.parametrize("price", [100.0, 42280.234375])
def test_an_untrusted_open_is_refused_by_both(price: float) -> None:
    assert answers([order(Side.BUY, "2")], [opening(price, trusted=False)]) == (Reason.NEXT_OPEN_REFUSED,)


def test_a_minimum_fee_is_taken_of_a_small_order() -> None:
    """1 share at 100 -> 100.02, commission 0.0050 -> the minimum of 0.35."""
    (fill,) = answers([order(Side.BUY, "1", SHARE)], [opening(100.0, SHARE)], costs=CostModel(minimum_commission=Decimal("0.35")))
    assert isinstance(fill, Fill)
    assert (fill.price, fill.fee) == (Decimal("100.02"), Decimal("0.35"))


def test_openings_are_of_one_moment_and_one_for_each_order() -> None:
    both = [order(Side.BUY, "1"), order(Side.BUY, "1", SHARE)]
    with pytest.raises(InvalidInput, match="2 moments"):
        answers(both, [opening(100.0), opening(50.0, SHARE, after=1)])
    with pytest.raises(InvalidInput, match="none for XNAS:A"):
        answers(both, [opening(100.0)])
    with pytest.raises(InvalidInput, match="one opening"):
        answers(both[:1], [opening(100.0), opening(101.0)])


def test_what_is_held_in_parts_of_a_newer_lot_can_still_be_sold() -> None:
    """A listing that has since become coarser: 0.5 held, lots of 1; the kernel counts lots, the exact reckoning need not."""
    coarse = {SHARE.id: SHARE}
    (fill,) = fill_at_open(
        [order(Side.SELL, "0.5", SHARE)], [opening(100.0, SHARE)], coarse, cash=Decimal(0), held={SHARE.id: Decimal("0.5")},
        costs=CostModel(),
    )  # fmt: skip
    assert isinstance(fill, Fill)
    assert (fill.price, fill.fee) == (Decimal("99.98"), Decimal("0.01"))


def test_the_smallest_price_is_a_price() -> None:
    assert isinstance(answers([order(Side.BUY, "5")], [opening(1e-8)])[0], Fill)
