"""Orders that are being changed, are partly filled, or are not one's own: no lot is traded twice, no entry loses its stop."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from fieldcast.ground import ConfigError, InvalidInput, Reason
from fieldcast.market import Instrument, Kind
from fieldcast.simulation.events_run import run_events
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import Bracket, OrderKind, Ticket, TimeInForce

MINUTE = 60_000_000
ID = "XNAS:AAA"
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))
FLAT = (100.0, 100.0, 100.0, 100.0)


def market(*rows: tuple[float, float, float, float], volume: float = np.nan) -> Market:
    table = np.array(rows).T
    ts = np.arange(1, len(rows) + 1) * MINUTE
    return Market.of_arrays(Instrument(ID, Kind.EQUITY), ts, *table, np.full(len(rows), volume))


def venue(bars: Market, **changes: object) -> Simulator:
    simulator = Simulator(bars, VenueSettings(**{"cash": {"USD": Decimal(10_000)}, "costs": FREE, **changes}))
    simulator.advance()
    return simulator


def limit(side: Side, price: int, quantity: int = 10) -> Ticket:
    return Ticket(ID, side, Decimal(quantity), OrderKind.LIMIT, limit=Decimal(price))


# -- another order in place of one ---------------------------------------------------------------------------------------


def test_what_fills_while_its_replacement_is_on_the_way_is_not_bought_again() -> None:
    """10 lots wait at 96; the change to 97 needs a minute; the low of 94 fills the old order, and nothing is left of the new."""
    simulator = venue(market(FLAT, FLAT, FLAT, (100, 100, 94, 95), (95, 95, 90, 95), FLAT), latency_us=MINUTE)
    old = simulator.submit(limit(Side.BUY, 96))
    simulator.advance(2)
    new = simulator.replace(old, limit=Decimal(97))
    simulator.advance(3)
    assert simulator.order(old).status == "filled"
    assert (simulator.order(new).status, simulator.order(new).reason) == ("cancelled", Reason.OTHER_FILLED)
    assert simulator.position(ID) == 10


def test_an_order_whose_end_is_on_the_way_cannot_be_replaced() -> None:
    """Twice replaced it would be there twice; withdrawn it would come back."""
    for first in ("replace", "cancel"):
        simulator = venue(market(*[FLAT] * 4), latency_us=MINUTE)
        number = simulator.submit(limit(Side.BUY, 96))
        if first == "replace":
            simulator.replace(number, limit=Decimal(95))
        else:
            simulator.cancel(number)
        with pytest.raises(InvalidInput, match="expected an order that is not being replaced or withdrawn"):
            simulator.replace(number, limit=Decimal(94))


def test_an_entry_does_not_lose_its_stop_by_being_replaced() -> None:
    simulator = venue(market(*[FLAT] * 4))
    number = simulator.submit(Bracket(limit(Side.BUY, 96), stop=Decimal(90)))
    with pytest.raises(InvalidInput, match="its target or stop hang on"):
        simulator.replace(number, limit=Decimal(97))
    assert simulator.order(number).status == "working"
    assert simulator.order(number + 1).status == "waiting"
    assert simulator.replace(number + 1, stop=Decimal(91)) == number + 2


def test_a_withdrawal_takes_back_the_replacement_that_is_on_the_way_too() -> None:
    """A change sent at the end of bar 1 and a withdrawal at the end of bar 2 arrive one after the other, a minute each later."""
    dip = (100.0, 100.0, 94.0, 100.0)
    for pause, left in ((0, "cancelled"), (1, "cancelled")):
        simulator = venue(market(FLAT, FLAT, FLAT, FLAT, dip, FLAT), latency_us=MINUTE)
        old = simulator.submit(limit(Side.BUY, 96))
        simulator.advance()
        new = simulator.replace(old, limit=Decimal(97))
        simulator.advance(pause)
        simulator.cancel(old)
        simulator.advance(4 - pause)
        assert (simulator.order(old).status, simulator.order(new).status) == ("replaced", left)
        assert simulator.order(new).reason is Reason.CANCELLED
        assert simulator.working() == ()
        assert simulator.position(ID) == 0


def test_what_replaces_a_replacement_is_withdrawn_by_its_own_id_or_the_first() -> None:
    for by in ("first", "own"):
        simulator = venue(market(*[FLAT] * 6), latency_us=MINUTE)
        old = simulator.submit(limit(Side.BUY, 96))
        new = simulator.replace(old, limit=Decimal(97))
        simulator.cancel(old if by == "first" else new)
        simulator.advance(3)
        assert (simulator.order(old).status, simulator.order(new).status) == ("replaced", "cancelled")


@pytest.mark.parametrize("latency_us", [0, MINUTE])
def test_an_order_goes_on_working_where_its_replacement_is_refused(latency_us: int) -> None:
    """A refused change leaves the order as it was: less than a lot is no order."""
    simulator = venue(market(FLAT, FLAT, FLAT, FLAT, (100.0, 100.0, 94.0, 100.0)), latency_us=latency_us)
    old = simulator.submit(limit(Side.BUY, 96))
    simulator.advance()
    new = simulator.replace(old, quantity=Decimal("0.5"))
    assert (simulator.order(new).status, simulator.order(new).reason) == ("rejected", Reason.BELOW_LOT)
    simulator.advance(3)
    assert (simulator.order(old).status, simulator.position(ID)) == ("filled", 10)
    assert simulator.result().orders["group"].to_list() == [None, None]


@pytest.mark.parametrize("latency_us", [0, MINUTE])
def test_an_order_whose_change_was_refused_can_be_changed_again(latency_us: int) -> None:
    simulator = venue(market(*[FLAT] * 4), latency_us=latency_us)
    old = simulator.submit(limit(Side.BUY, 96))
    simulator.replace(old, quantity=Decimal(0))
    new = simulator.replace(old, limit=Decimal(95))
    simulator.advance(2)
    assert (simulator.order(old).status, simulator.order(new).status) == ("replaced", "working")


# -- shares of the volume over finer bars ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_open", "whole"), [(True, 100.0), (False, 100.0), (False, 70.0)])
def test_a_bar_gives_no_more_than_its_share_over_all_its_finer_bars(at_open: bool, whole: float) -> None:
    """Ten finer bars of 10 inside a bar of `whole`: a half of what the bar reports at most, and a half of each finer one."""
    finer_ts = np.concatenate((np.arange(1, 11) * MINUTE, np.arange(11, 21) * MINUTE))
    row = np.full(20, 100.0)
    low = np.where(finer_ts > 10 * MINUTE, 94.0, 100.0)
    finer = Market.of_arrays(Instrument(ID, Kind.EQUITY), finer_ts, row, row, low, row, np.full(20, 10.0))
    two, ts = np.full(2, 100.0), np.array([10, 20]) * MINUTE
    bars = Market.of_arrays(
        Instrument(ID, Kind.EQUITY), ts, two, two, np.array([100.0, 94.0]), two, np.array([100.0, whole]),
        open_ts=np.array([0, 10]) * MINUTE, finer=finer,
    )  # fmt: skip
    simulator = venue(bars, intrabar="finer", volume_share=Decimal("0.5"), cash={"USD": Decimal(1_000_000)})
    if at_open:
        simulator.submit(Ticket(ID, Side.BUY, Decimal(30)))
    simulator.submit(limit(Side.BUY, 96, 1000))
    simulator.advance()
    fills = simulator.result().fills
    assert fills["lots"].sum() == whole / 2
    assert fills.filter(fill_convention="intrabar")["lots"].max() == 5


# -- partly filled -------------------------------------------------------------------------------------------------------


def test_a_stop_that_went_off_stays_for_what_its_entry_still_buys() -> None:
    """The entry buys 40 of 100 at 98; the stop sells them at 90 and waits; the entry buys 40 more, which go at the next open."""
    fall = (98.5, 98.5, 89.0, 92.0)
    simulator = venue(
        market(FLAT, (99, 99, 97, 98.5), fall, (99, 99, 99, 99), (99, 99, 97, 99), (99, 99, 99, 99), volume=80.0),
        volume_share=Decimal("0.5"),
    )
    entry = simulator.submit(Bracket(limit(Side.BUY, 98, 100), stop=Decimal(90)))
    simulator.advance(2)
    assert simulator.position(ID) == 0
    simulator.advance(2)
    assert simulator.position(ID) == 40
    simulator.advance()
    assert simulator.position(ID) == 0
    fills = simulator.result().fills.select("bar", "side", "lots", "price").rows()
    assert fills == [(1, "BUY", 40, 98.0), (2, "SELL", 40, 90.0), (4, "BUY", 40, 98.0), (5, "SELL", 40, 99.0)]
    assert simulator.order(entry).left == 20


def test_what_an_order_for_at_once_does_not_get_at_the_same_close_is_cancelled() -> None:
    simulator = venue(market(*[FLAT] * 3, volume=8.0), fill="same_close", volume_share=Decimal("0.5"))
    number = simulator.submit(Ticket(ID, Side.BUY, Decimal(10), time_in_force=TimeInForce.IOC))
    order = simulator.order(number)
    assert (order.status, order.reason, order.filled) == ("cancelled", Reason.NOT_AT_ONCE, 4)


# -- orders of a margin call ---------------------------------------------------------------------------------------------


def called() -> Simulator:
    """A short of 60 at 100 that 300 a share leaves without equity: the venue sends its own order at the end of bar 2."""
    simulator = venue(market(FLAT, FLAT, (300, 300, 300, 300), (300, 300, 300, 300)))
    simulator.submit(Ticket(ID, Side.SELL, Decimal(60)))
    simulator.advance(2)
    return simulator


def test_an_order_of_a_margin_call_is_not_ones_own() -> None:
    simulator = called()
    assert simulator.working() == ()
    with pytest.raises(InvalidInput, match="margin call"):
        simulator.order(1)
    with pytest.raises(InvalidInput, match="margin call"):
        simulator.replace(1, quantity=Decimal(1))


def test_a_margin_call_cannot_be_cancelled() -> None:
    simulator = called()
    with pytest.raises(InvalidInput, match="margin call"):
        simulator.cancel(1)
    simulator.advance()
    assert simulator.position(ID) == 0


def test_a_strategy_that_cancels_all_its_orders_at_each_bar_is_liquidated_all_the_same() -> None:
    class Clears:
        def on_bar(self, now) -> None:
            for number in now.working():
                now.cancel(number)
            if now.t == 0:
                now.sell(60)

    result = run_events(
        Clears(), called().market, VenueSettings(cash={"USD": Decimal(10_000)}, costs=FREE)
    )
    assert result.fills["side"].to_list() == ["SELL", "BUY"]


# -- settings that are no numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda nan: Margin(nan), lambda nan: Margin(Decimal(1), nan), lambda nan: VenueSettings(volume_share=nan),
        lambda nan: VenueSettings(pattern_equity=nan),
    ],
)  # fmt: skip
def test_a_setting_that_is_no_number_is_refused_by_name(make) -> None:
    with pytest.raises(ConfigError, match="expected"):
        make(Decimal("NaN"))
