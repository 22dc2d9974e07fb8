"""No order stops a paper account, none knows what has not happened, and when it is asked decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore
from fieldcast.execution import PaperBroker, _paper_books
from fieldcast.ground import Halted, InvalidInput, ManualClock, MissingData, Reason
from fieldcast.ledger import tables
from fieldcast.market import BARS, Instrument, Kind, default_instrument
from fieldcast.market.tables import ACTIONS
from fieldcast.simulation import fill_at_open
from fieldcast.trading import CostModel, Fill, NotFound, Order, OrderState, OrderStatus, Side, client_id

COIN = default_instrument("KRAKEN:BTCUSD", "crypto")
SHARE, OTHER = Instrument("XNAS:A", Kind.EQUITY), Instrument("XNAS:B", Kind.EQUITY)
DAY = date(2024, 1, 3)  # the coin opens at 00:00 and is known at 24:00, the shares at 14:30 and 21:00
EVENING = datetime(2024, 1, 2, 22, tzinfo=UTC)
SHARES_KNOWN, ALL_KNOWN = datetime(2024, 1, 3, 21, 30, tzinfo=UTC), datetime(2024, 1, 4, 1, tzinfo=UTC)
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))


def bar(instrument: Instrument, ended: datetime, price: float) -> pl.DataFrame:
    row = {"instrument": instrument.id, "ts": ended, "available_at": ended, "volume": 1e6, "reasons": None}
    row |= dict.fromkeys(("open", "high", "low", "close"), price)
    return pl.DataFrame([row]).select(pl.col(name).cast(dtype) for name, dtype in BARS.items())


class Bars:
    """Stored bars and corporate actions, as they were known."""

    def __init__(self) -> None:
        self.frames = {
            COIN.id: bar(COIN, datetime(2024, 1, 4, tzinfo=UTC), 900.0),
            SHARE.id: bar(SHARE, datetime(2024, 1, 3, 21, tzinfo=UTC), 100.0),
            OTHER.id: bar(OTHER, datetime(2024, 1, 3, 21, tzinfo=UTC), 100.0),
        }
        self.actions: dict[str, pl.DataFrame] = {}
        self.adjustment: Literal["raw", "adjusted_only"] = "raw"

    def read(
        self, instrument: str, *, table: str = "bars_1d", as_of: datetime | None = None, first: date | None = None,
        last: date | None = None, dataset: str | None = None,
    ) -> pl.DataFrame:  # fmt: skip
        frames = self.actions if table == ACTIONS.name else self.frames
        if instrument not in frames:
            raise MissingData(f"nothing of {instrument}")
        frame = frames[instrument]
        if as_of is not None:
            frame = frame.filter(pl.col("available_at") <= as_of)
        return frame if first is None else frame.filter(pl.col("ts").dt.date() >= first)

    def lineage(self, instrument: str) -> tuple[Lineage, ...]:
        return (Lineage("file", "d", EVENING, adjustment=self.adjustment),)

    def add(self, instrument: Instrument, ended: datetime, price: float) -> None:
        self.frames[instrument.id] = pl.concat([self.frames[instrument.id], bar(instrument, ended, price)])


class Desk:
    """A broker, its clock and its market; opened anew by `open`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bars, self.clock = folder, Bars(), ManualClock(EVENING)
        self.open()

    def open(self, *, instruments: Sequence[Instrument] = (COIN, SHARE, OTHER), cash: str = "1000", **more: Any) -> PaperBroker:
        if hasattr(self, "broker"):
            self.broker.close()
        self.broker = PaperBroker(
            self.folder / "paper.db", account="a", portfolio="p", market=self.bars, clock=self.clock,
            instruments=instruments, cash=Decimal(cash), costs=FREE, actions=self.bars, **more,
        )  # fmt: skip
        return self.broker

    def send(self, instrument: Instrument, quantity: str, day: date = DAY, side: Side = Side.BUY, number: int = 1) -> str:
        id = client_id("a", "p", str(day), instrument.id, "main", number)
        self.broker.submit(Order(id, instrument.id, side, Decimal(quantity), day))
        return id

    def at(self, moment: datetime) -> PaperBroker:
        self.clock.at = moment
        return self.broker

    def state(self, id: str) -> OrderState:
        state = self.broker.order(id)
        assert isinstance(state, OrderState)
        return state


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.broker.close()


# -- what is asked when ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked", [[ALL_KNOWN], [SHARES_KNOWN, ALL_KNOWN], [SHARES_KNOWN, SHARES_KNOWN + timedelta(hours=1), ALL_KNOWN]]
)
def test_opens_are_played_as_they_happened_whenever_it_is_asked(desk: Desk, asked: list[datetime]) -> None:
    """900 for a coin at 00:00 leave nothing for shares at 14:30, though the shares' bar is known hours before the coin's."""
    coin, shares = desk.send(COIN, "1"), desk.send(SHARE, "9")
    for moment in asked:
        desk.at(moment).order(coin)
    assert desk.state(coin).status is OrderStatus.FILLED
    assert desk.state(shares).reasons == (Reason.INSUFFICIENT_CASH,)


def test_orders_of_one_open_wait_for_those_before_them(desk: Desk) -> None:
    """Of two shares at 14:30 the second to arrive has its bar first: it still has only the cash that the first leaves."""
    first, second = desk.send(SHARE, "9"), desk.send(OTHER, "9")
    desk.bars.frames[SHARE.id] = desk.bars.frames[SHARE.id].with_columns(
        available_at=pl.lit(ALL_KNOWN).cast(pl.Datetime("us", "UTC"))
    )
    desk.at(SHARES_KNOWN)
    assert desk.state(second).status is OrderStatus.ACCEPTED
    desk.at(ALL_KNOWN)
    assert (desk.state(first).status, desk.state(second).status) == (OrderStatus.FILLED, OrderStatus.REJECTED)


def test_a_bar_that_never_comes_holds_the_others_for_one_session(desk: Desk) -> None:
    """The coin's next decision time is 2024-01-05 00:30; from then on nothing waits for its open of the 3rd."""
    desk.bars.frames[COIN.id] = desk.bars.frames[COIN.id].clear()
    coin, shares = desk.send(COIN, "1"), desk.send(SHARE, "9")
    desk.at(datetime(2024, 1, 5, 0, 29, tzinfo=UTC))
    assert desk.state(shares).status is OrderStatus.ACCEPTED
    desk.at(datetime(2024, 1, 5, 0, 30, tzinfo=UTC))
    assert (desk.state(coin).status, desk.state(shares).status) == (OrderStatus.ACCEPTED, OrderStatus.FILLED)
    assert desk.broker.cancel(coin).status is OrderStatus.CANCELLED  # type: ignore[union-attr]


# -- what stops nothing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [42280.234375, 0.08945])
def test_a_coin_of_many_decimals_fills_in_the_account_of_the_demo(tmp_path: Path, price: float) -> None:
    desk = Desk(tmp_path / "large")
    desk.folder = tmp_path / "larger"
    broker = desk.open(cash="1000000")
    desk.bars.frames[COIN.id] = bar(COIN, datetime(2024, 1, 4, tzinfo=UTC), price)
    id = desk.send(COIN, "2.36521347")
    desk.at(ALL_KNOWN)
    assert desk.state(id).status is OrderStatus.FILLED
    (fill,) = broker.fills()
    assert broker.account().cash == Decimal(1_000_000) - fill.price * fill.quantity - fill.fee
    before = (broker.account(), broker.positions(), broker.fills())
    again = desk.open(cash="1000000")
    assert (again.account(), again.positions(), again.fills()) == before
    again.close()


def test_an_order_for_a_day_without_a_session_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="a session of XNYS"):
        desk.send(SHARE, "1", date(2024, 1, 6))
    assert desk.at(ALL_KNOWN).account().cash == 1000


def test_an_order_of_old_for_a_day_without_a_session_expires(desk: Desk) -> None:
    id = client_id("a", "p", "old", SHARE.id, "main", 1)
    state = desk.broker._books.submit(Order(id, SHARE.id, Side.BUY, Decimal(1), date(2024, 1, 6)), EVENING)
    desk.broker._store.write([state], (), EVENING, "old")
    desk.at(SHARES_KNOWN)
    assert (desk.state(id).status, desk.state(id).reasons) == (OrderStatus.EXPIRED, (Reason.NO_DATA,))


@pytest.mark.parametrize("price", [float("nan"), -37.0, float("inf")])
def test_an_open_that_is_no_price_refuses_the_order(desk: Desk, price: float) -> None:
    desk.bars.frames[SHARE.id] = bar(SHARE, datetime(2024, 1, 3, 21, tzinfo=UTC), price)
    id = desk.send(SHARE, "1")
    desk.at(SHARES_KNOWN)
    assert desk.state(id).reasons == (Reason.PRICE_MISSING,)


def test_an_order_of_what_is_listed_no_longer_waits_and_can_be_taken_back(desk: Desk) -> None:
    gone, there = desk.send(OTHER, "1"), desk.send(SHARE, "1")
    desk.open(instruments=(COIN, SHARE))
    desk.at(SHARES_KNOWN)
    assert (desk.state(gone).status, desk.state(there).status) == (OrderStatus.ACCEPTED, OrderStatus.FILLED)
    assert desk.broker.cancel(gone).status is OrderStatus.CANCELLED  # type: ignore[union-attr]


def test_a_catching_up_that_fails_half_way_has_not_been(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second open raises: what was booked of the first is forgotten with it, and comes again when the cause is gone."""

    def fails(orders: Sequence[Order], *given: Any, **more: Any) -> tuple[Fill | Reason, ...]:
        if orders[0].instrument == SHARE.id:
            raise OSError("no room")
        return fill_at_open(orders, *given, **more)

    coin, shares = desk.send(COIN, "0.5"), desk.send(SHARE, "1")
    desk.at(ALL_KNOWN)
    with monkeypatch.context() as patched:
        patched.setattr(_paper_books, "fill_at_open", fails)
        with pytest.raises(OSError, match="no room"):
            desk.broker.order(coin)
        assert (len(desk.broker._books.fills()), len(desk.broker._store.fills())) == (0, 0)
    states = (desk.state(coin).status, desk.state(shares).status)
    assert states == (OrderStatus.FILLED, OrderStatus.FILLED)
    answers = (desk.broker.fills(), desk.broker.account(), desk.broker.positions())
    desk.open()
    assert (desk.broker.fills(), desk.broker.account(), desk.broker.positions()) == answers
    assert len(answers[0]) == 2


# -- what a cancel can know --------------------------------------------------------------------------------------------


def test_what_may_have_traded_is_not_taken_back(desk: Desk) -> None:
    id = desk.send(SHARE, "1")
    desk.at(datetime(2024, 1, 3, 14, 30, tzinfo=UTC))  # its open
    assert desk.broker.cancel(id).status is OrderStatus.ACCEPTED  # type: ignore[union-attr]
    desk.at(datetime(2024, 1, 3, 20, tzinfo=UTC))
    assert desk.broker.cancel(id).status is OrderStatus.ACCEPTED  # type: ignore[union-attr]
    desk.at(SHARES_KNOWN)
    assert desk.state(id).status is OrderStatus.FILLED


def test_until_its_open_an_order_is_taken_back(desk: Desk) -> None:
    id = desk.send(SHARE, "1")
    desk.at(datetime(2024, 1, 3, 14, 29, tzinfo=UTC))
    assert desk.broker.cancel(id).status is OrderStatus.CANCELLED  # type: ignore[union-attr]


def test_a_cancel_with_the_clock_set_back_knows_no_more_than_the_question(desk: Desk) -> None:
    id = desk.send(SHARE, "1")
    assert desk.at(SHARES_KNOWN).fills()
    desk.at(EVENING + timedelta(hours=1))
    answer = desk.broker.cancel(id)
    assert answer == desk.broker.order(id)
    assert (answer.status, answer.filled_quantity) == (OrderStatus.ACCEPTED, 0)  # type: ignore[union-attr]
    desk.at(EVENING - timedelta(hours=1))
    assert desk.broker.cancel(id) == NotFound(id)
    desk.at(SHARES_KNOWN)
    assert desk.state(id).status is OrderStatus.FILLED


def test_an_order_sent_again_is_not_written_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    id = desk.send(SHARE, "1")

    def never(*_: object) -> None:
        raise AssertionError("written")

    monkeypatch.setattr(desk.broker._store, "write", never)
    assert desk.send(SHARE, "1") == id


# -- splits ------------------------------------------------------------------------------------------------------------

EX_DATE = datetime(2024, 1, 4, 5, tzinfo=UTC)  # midnight in New York
NEXT = date(2024, 1, 4)
NEXT_KNOWN = datetime(2024, 1, 4, 21, 30, tzinfo=UTC)


def split(instrument: Instrument, effective_at: datetime = EX_DATE, known: datetime | None = None) -> pl.DataFrame:
    row = dict.fromkeys(ACTIONS.empty().columns) | {
        "instrument": instrument.id, "ts": known or effective_at, "available_at": known or effective_at,
        "effective_at": effective_at, "action": "split", "ratio": 10.0,
    }  # fmt: skip
    return pl.DataFrame([row], schema=ACTIONS.empty().schema)


def test_a_holding_across_a_stored_split_is_refused_by_name(desk: Desk) -> None:
    """10 at 100.00 are 100 at 10.00 from the 4th on; the account has booked no split, so it has no true position to give."""
    desk.send(SHARE, "5")
    desk.bars.actions[SHARE.id] = split(SHARE, known=EVENING)
    desk.bars.add(SHARE, datetime(2024, 1, 4, 21, tzinfo=UTC), 10.0)
    assert [one.quantity for one in desk.at(SHARES_KNOWN).positions()] == [5]
    desk.at(NEXT_KNOWN)
    with pytest.raises(Halted, match=r"5 XNAS:A.*10 for 1.*2024-01-04"):
        desk.broker.positions()
    with pytest.raises(Halted, match=r"XNAS:A.*books no splits"):
        desk.send(SHARE, "1", date(2024, 1, 5))
    assert desk.send(OTHER, "1", date(2024, 1, 5))
    assert [one.quantity for one in desk.at(SHARES_KNOWN).positions()] == [5]  # the past stands as it was


def test_an_order_across_a_stored_split_does_not_trade(desk: Desk) -> None:
    """The sale of 5 old shares at the price of new ones would lose nine tenths of them."""
    desk.send(SHARE, "5")
    desk.at(SHARES_KNOWN)
    sale = desk.send(SHARE, "5", NEXT, Side.SELL)
    purchase = desk.send(OTHER, "1", NEXT)
    desk.bars.actions |= {SHARE.id: split(SHARE), OTHER.id: split(OTHER)}
    for one in (SHARE, OTHER):
        desk.bars.add(one, datetime(2024, 1, 4, 21, tzinfo=UTC), 10.0)
    desk.at(NEXT_KNOWN)
    assert desk.state(sale).reasons == (Reason.SPLIT_NOT_BOOKED,)
    assert desk.state(purchase).reasons == (Reason.SPLIT_NOT_BOOKED,)
    assert [fill.quantity for fill in desk.broker.fills()] == [5]


def test_a_split_before_the_purchase_or_after_the_sale_is_nothing(desk: Desk) -> None:
    desk.bars.actions[SHARE.id] = pl.concat(
        [split(SHARE, datetime(2024, 1, 2, 5, tzinfo=UTC)), split(SHARE, datetime(2024, 1, 5, 5, tzinfo=UTC))]
    )
    desk.bars.add(SHARE, datetime(2024, 1, 4, 21, tzinfo=UTC), 100.0)
    desk.send(SHARE, "5")
    desk.at(SHARES_KNOWN)
    desk.send(SHARE, "5", NEXT, Side.SELL)
    desk.at(datetime(2024, 1, 5, 21, 30, tzinfo=UTC))
    assert desk.broker.positions() == ()
    assert len(desk.broker.fills()) == 2


def test_back_adjusted_prices_have_no_step_at_a_split_until_they_are_told_anew(desk: Desk) -> None:
    """5 at 100 stay 5 at 100 where the source carries its prices through; where it restates them to 10, the holding is false."""
    desk.bars.adjustment = "adjusted_only"
    desk.bars.actions[SHARE.id] = split(SHARE)
    desk.send(SHARE, "5")
    desk.at(NEXT_KNOWN)
    assert [one.quantity for one in desk.broker.positions()] == [5]
    desk.bars.frames[SHARE.id] = bar(SHARE, datetime(2024, 1, 3, 21, tzinfo=UTC), 10.0)
    with pytest.raises(Halted, match="5 XNAS:A"):
        desk.broker.positions()


def test_a_store_tells_of_its_splits(tmp_path: Path) -> None:
    """The account asks a real store: bars and actions of one delivery, the split known from its ex-date on."""
    store, clock, bars = MemoryStore(), ManualClock(EVENING), Bars()
    bars.add(SHARE, datetime(2024, 1, 4, 21, tzinfo=UTC), 10.0)
    lineage = Lineage("file", "made", EVENING, available_at="reported")
    store.append(bars.frames[SHARE.id], lineage)
    store.append(split(SHARE), lineage, table=ACTIONS.name)
    broker = PaperBroker(
        tmp_path / "paper.db", account="a", portfolio="p", market=store, clock=clock, instruments=[SHARE],
        cash=Decimal(1000), costs=FREE, actions=store,
    )  # fmt: skip
    broker.submit(Order(client_id("a", "p", "s", SHARE.id, "main", 1), SHARE.id, Side.BUY, Decimal(5), DAY))
    clock.at = SHARES_KNOWN
    assert [one.quantity for one in broker.positions()] == [5]
    clock.at = NEXT_KNOWN
    with pytest.raises(Halted, match="10 for 1 on 2024-01-04"):
        broker.positions()
    broker.close()


def test_a_cycle_halts_at_a_split_before_a_false_value_is_written(world: Any, worlds: Any, tmp_path: Path) -> None:
    stored = Bars()
    broker = PaperBroker(
        tmp_path / "split.broker", account="test", portfolio="paper", market=world.market, clock=world.clock,
        instruments=worlds.UNIVERSE, cash=worlds.CASH, actions=stored,
    )  # fmt: skip
    monday, tuesday, thursday = worlds.days(3)
    for day in (monday, tuesday):
        world.at(day).run(broker=broker)
    (held, *_) = [one for one in broker.positions() if one.instrument == worlds.SHARE.id]
    ex_date = datetime(2018, 12, 6, 5, tzinfo=UTC)
    stored.actions[worlds.SHARE.id] = split(worlds.SHARE, ex_date)
    with pytest.raises(Halted, match=rf"{held.quantity} {worlds.SHARE.id}.*split of 10 for 1 on 2018-12-06"):
        world.at(thursday).run(broker=broker)
    with world.ledger.read() as session:
        slots = {row.slot for row in session.query(tables.NavSnapshot)}
    assert slots == {f"{day}/daily" for day in (monday, tuesday)}
    broker.close()
