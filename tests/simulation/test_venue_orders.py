"""Every kind of order on bars made by hand: which print, when, and why not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from fieldcast.ground import ConfigError, IntegrityError, InvalidInput, Reason
from fieldcast.market import Instrument, Kind
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.simulator import OrderView, Simulator
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import Bracket, OrderKind, Ticket, TimeInForce

AAA = Instrument("XNAS:AAA", Kind.EQUITY)
MINUTE = 60_000_000
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))
Row = tuple[float, float, float, float]
FLAT: Row = (100.0, 100.0, 100.0, 100.0)


def market(*rows: Row, volume: list[float] | None = None, session: list[int] | None = None, finer: Market | None = None,
           trusted: list[bool] | None = None, step: int = MINUTE) -> Market:  # fmt: skip
    """Bars of AAA: open, high, low, close of each."""
    table = np.array(rows, dtype=np.float64).T.reshape(4, 1, -1)
    bars = table.shape[2]
    ts = np.arange(1, bars + 1) * step
    flags = np.isfinite(table[0]) if trusted is None else np.array([trusted])
    return Market(
        (AAA,), ts, ts - step, *table, np.full((1, bars), np.nan) if volume is None else np.array([volume]), flags,
        session=None if session is None else np.array(session), finer=finer,
    )  # fmt: skip


def settings(**changes: object) -> VenueSettings:
    return VenueSettings(**{"cash": {"USD": Decimal(100_000)}, "costs": FREE, **changes})  # type: ignore[arg-type]


def ticket(side: str, quantity: float = 10, kind: str = "market", **terms: object) -> Ticket:
    given = ("limit", "stop", "trail", "trail_share")
    prices = {name: Decimal(str(value)) if name in given else value for name, value in terms.items()}
    return Ticket("XNAS:AAA", Side(side), Decimal(str(quantity)), OrderKind(kind), **prices)  # type: ignore[arg-type]


def after(
    bars: Market, order: Ticket | Bracket, first: int = 1, play: int | None = None, **changes: object
) -> tuple[Simulator, OrderView]:
    """The order sent at the end of bar first - 1, and what has become of it at the end."""
    simulator = Simulator(bars, settings(**changes))
    simulator.advance(first)
    number = simulator.submit(order)
    simulator.advance(bars.bars - first if play is None else play)
    return simulator, simulator.order(number)


def prints(simulator: Simulator) -> list[tuple[int, float]]:
    """(bar, price) of each fill."""
    fills = simulator.result().fills
    return list(zip(fills["bar"].to_list(), fills["price"].to_list(), strict=True))


# -- market orders -------------------------------------------------------------------------------------------------------


def test_a_market_order_fills_at_the_next_open_and_names_its_bar() -> None:
    simulator, order = after(market(FLAT, (101, 103, 99, 102)), ticket("BUY"))
    fill = simulator.result().fills.row(0, named=True)
    assert order.status == "filled"
    assert (fill["price"], fill["fill_convention"]) == (101.0, "next_open")
    assert fill["ts"] == datetime.fromtimestamp(60, UTC)
    assert fill["source_bar_ts"] == datetime.fromtimestamp(120, UTC)


def test_same_close_fills_at_the_close_of_the_decision_and_marks_everything() -> None:
    simulator, order = after(market(FLAT, (101, 103, 99, 102)), ticket("BUY"), play=0, fill="same_close")
    result = simulator.result()
    assert order.status == "filled"
    assert prints(simulator) == [(0, 100.0)]
    assert result.fill_convention == "same_close"
    assert result.fills["fill_convention"].to_list() == ["same_close"]
    assert any("no such price can be had" in warning for warning in result.warnings)
    result.verify()


def test_an_order_with_latency_misses_the_open_that_comes_too_soon() -> None:
    bars = market(FLAT, (101, 101, 101, 101), (102, 102, 102, 102), (103, 103, 103, 103))
    assert prints(after(bars, ticket("BUY"), latency_us=1)[0]) == [(2, 102.0)]
    assert prints(after(bars, ticket("BUY"), latency_us=MINUTE)[0]) == [(2, 102.0)]
    assert prints(after(bars, ticket("BUY"), latency_us=MINUTE + 1)[0]) == [(3, 103.0)]


def test_a_missing_or_untrusted_open_is_waited_out_or_refused_as_asked() -> None:
    nan = float("nan")
    gap = market(FLAT, (nan, 101, 99, 100), (102, 102, 102, 102))
    assert prints(after(gap, ticket("BUY"))[0]) == [(2, 102.0)]
    assert after(gap, ticket("BUY"), untrusted_open="reject")[1].reason is Reason.PRICE_MISSING
    copied = market(FLAT, FLAT, FLAT, trusted=[True, False, True])
    assert prints(after(copied, ticket("BUY"))[0]) == [(2, 100.0)]
    assert after(copied, ticket("BUY"), untrusted_open="reject")[1].reason is Reason.NEXT_OPEN_REFUSED


def test_costs_move_the_price_against_the_trader_and_stand_in_columns_of_their_own() -> None:
    costs = CostModel(Decimal(2), Decimal(3), Decimal(1))
    simulator, _ = after(market(FLAT, (101, 103, 99, 102)), ticket("BUY", 100), costs=costs)
    fill = simulator.result().fills.row(0, named=True)
    assert fill["price"] == 101.06
    assert fill["reference_price"] == 101.0
    assert fill["fee"] == 1.02  # 10106 * 0.0001 = 1.0106, up to the cent
    assert fill["spread_cost"] == pytest.approx(2.40)
    assert fill["slippage_cost"] == pytest.approx(3.60)
    assert fill["spread_cost"] + fill["slippage_cost"] + fill["impact_cost"] == pytest.approx(100 * 0.06)


def test_impact_grows_with_the_root_of_the_share_of_volume() -> None:
    costs = CostModel(Decimal(0), Decimal(0), Decimal(0), impact_bps=Decimal(100))
    bars = market(FLAT, FLAT, volume=[1e4, 1e4])
    small, large = (after(bars, ticket("BUY", q), costs=costs)[0].result().fills for q in (100, 400))
    assert small["price"].item() == 100.10
    assert large["price"].item() == 100.20
    assert large["impact_cost"].item() == pytest.approx(80.0)
    unknown = after(market(FLAT, FLAT), ticket("BUY"), costs=costs)[1]
    assert (unknown.status, unknown.reason) == ("rejected", Reason.VOLUME_NOT_REPORTED)


# -- limits and stops ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "limit", "bar", "touch", "price"),
    [
        ("BUY", 99, (100, 101, 98.99, 100), False, 99.0),  # traded through
        ("BUY", 99, (100, 101, 99, 100), False, None),  # touched
        ("BUY", 99, (100, 101, 99, 100), True, 99.0),
        ("BUY", 99, (98, 101, 97, 100), False, 98.0),  # a better open
        ("SELL", 101, (100, 101.01, 99, 100), False, 101.0),
        ("SELL", 101, (100, 101, 99, 100), False, None),
        ("SELL", 101, (102, 103, 99, 100), False, 102.0),
    ],
)
def test_limits(side: str, limit: float, bar: Row, touch: bool, price: float | None) -> None:
    simulator, order = after(market(FLAT, bar), ticket(side, kind="limit", limit=limit), limit_touch=touch)
    assert prints(simulator) == ([] if price is None else [(1, price)])
    assert order.status == ("working" if price is None else "filled")


@pytest.mark.parametrize(
    ("side", "stop", "bar", "price"),
    [
        ("SELL", 98, (100, 101, 98, 99), 98.0),  # a touch sets a stop off
        ("SELL", 98, (100, 101, 98.01, 99), None),
        ("SELL", 98, (95, 96, 94, 95), 95.0),  # gapped: at the open
        ("BUY", 102, (100, 102, 99, 101), 102.0),
        ("BUY", 102, (104, 105, 103, 104), 104.0),
        ("SELL", 98, (float("nan"), 101, 96, 99), 96.0),  # no open: the adverse extreme
    ],
)
def test_stops(side: str, stop: float, bar: Row, price: float | None) -> None:
    simulator, _ = after(market(FLAT, bar), ticket(side, kind="stop", stop=stop))
    assert prints(simulator) == ([] if price is None else [(1, price)])


def test_a_limit_at_its_price_pays_no_spread_and_a_marketable_one_never_more_than_its_limit() -> None:
    costs = CostModel(Decimal(50), Decimal(0), Decimal(0))
    assert prints(after(market(FLAT, (100, 101, 98, 100)), ticket("BUY", kind="limit", limit=99), costs=costs)[0]) == [(1, 99.0)]
    assert prints(after(market(FLAT, FLAT), ticket("BUY", kind="limit", limit=100.2), costs=costs)[0]) == [(1, 100.2)]
    assert prints(after(market(FLAT, FLAT), ticket("BUY", kind="limit", limit=101), costs=costs)[0]) == [(1, 100.5)]


def test_a_stop_limit_waits_at_its_limit_where_the_open_gapped_past_it() -> None:
    order = ticket("BUY", kind="stop_limit", stop=102, limit=103)
    assert prints(after(market(FLAT, (100, 102.5, 100, 102)), order)[0]) == [(1, 102.0)]
    simulator, view = after(market(FLAT, (105, 106, 104, 105), (105, 105, 102.5, 104)), order)
    assert prints(simulator) == [(2, 103.0)]
    assert view.status == "filled"


def test_a_trailing_stop_follows_the_high_and_fires_from_where_it_stood() -> None:
    bars = market(FLAT, (100, 105, 99, 104), (104, 104, 102.5, 103), (103, 103, 101, 102))
    simulator, _ = after(bars, ticket("SELL", kind="trailing_stop", trail=2))  # 98, then 103: fires in the third bar
    assert prints(simulator) == [(2, 103.0)]
    simulator, _ = after(bars, ticket("SELL", kind="trailing_stop", trail_share="0.03"))  # 97, then 105 - 3.15 = 101.85
    assert prints(simulator) == [(3, 101.85)]
    rising = market(FLAT, (100, 100, 95, 96), (96, 97.5, 96, 97))
    assert prints(after(rising, ticket("BUY", kind="trailing_stop", trail=2))[0]) == [(2, 97.0)]


def test_market_on_open_and_on_close_keep_to_the_ends_of_a_session() -> None:
    rows = tuple((100.0 + t, 100.5 + t, 99.5 + t, 100.2 + t) for t in range(6))
    bars = market(*rows, session=[0, 0, 0, 1, 1, 1])
    assert prints(after(bars, ticket("BUY", kind="market_on_open"))[0]) == [(3, 103.0)]
    assert prints(after(bars, ticket("BUY", kind="market_on_close"))[0]) == [(2, 102.2)]
    simulator, _ = after(bars, ticket("BUY", kind="market_on_close"), first=3)
    assert prints(simulator) == [(5, 105.2)]
    assert simulator.result().fills["fill_convention"].item() == "on_close"


# -- how long an order lives ---------------------------------------------------------------------------------------------


def test_an_order_for_the_day_ends_with_its_session() -> None:
    bars = market(*[FLAT] * 6, session=[0, 0, 0, 1, 1, 1])
    day = ticket("BUY", kind="limit", limit=90, time_in_force=TimeInForce.DAY)
    _, view = after(bars, day, play=2)
    assert (view.status, view.reason) == ("expired", Reason.DAY_OVER)
    assert after(bars, day, first=3, play=2)[1].status == "working"
    assert after(bars, ticket("BUY", kind="limit", limit=90))[1].status == "working"


def test_immediate_or_cancel_and_fill_or_kill_act_at_one_open() -> None:
    bars = market(FLAT, FLAT, FLAT, volume=[100.0] * 3)
    part = after(bars, ticket("BUY", 30, time_in_force=TimeInForce.IOC), volume_share=Decimal("0.1"))[1]
    assert (part.status, part.reason, part.filled) == ("cancelled", Reason.NOT_AT_ONCE, Decimal(10))
    none = after(bars, ticket("BUY", 30, time_in_force=TimeInForce.FOK), volume_share=Decimal("0.1"))[1]
    assert (none.status, none.reason, none.filled) == ("cancelled", Reason.NOT_AT_ONCE, Decimal(0))
    assert after(bars, ticket("BUY", 10, time_in_force=TimeInForce.FOK), volume_share=Decimal("0.1"))[1].status == "filled"
    away = after(bars, ticket("BUY", kind="limit", limit=99, time_in_force=TimeInForce.IOC))[1]
    assert (away.status, away.reason) == ("cancelled", Reason.NOT_AT_ONCE)


def test_partial_fills_take_their_share_of_each_bar_and_nothing_of_one_without_volume() -> None:
    bars = market(*[FLAT] * 5, volume=[100.0, 100.0, 0.0, float("nan"), 250.0])
    simulator, view = after(bars, ticket("BUY", 30), volume_share=Decimal("0.1"))
    fills = simulator.result().fills
    assert fills["bar"].to_list() == [1, 4]
    assert fills["quantity"].to_list() == [10.0, 20.0]
    assert view.status == "filled"
    two = Simulator(bars, settings(volume_share=Decimal("0.1")))
    two.advance()
    first, second = two.submit(ticket("BUY", 6)), two.submit(ticket("BUY", 6))
    two.advance()
    assert (two.order(first).filled, two.order(second).filled) == (Decimal(6), Decimal(4))


def test_cancel_and_replace_with_latency_leave_the_old_order_working_until_then() -> None:
    bars = market(*[FLAT] * 2, (100, 100, 94, 95), *[(95.0, 95.0, 95.0, 95.0)] * 3)
    simulator = Simulator(bars, settings(latency_us=MINUTE))
    simulator.advance()
    number = simulator.submit(ticket("BUY", kind="limit", limit=96))
    simulator.advance()
    simulator.cancel(number)  # acts from the end of bar 2, too late for its low
    simulator.advance()
    assert simulator.order(number).status == "filled"
    simulator = Simulator(bars, settings())
    simulator.advance()
    number = simulator.submit(ticket("BUY", kind="limit", limit=96))
    new = simulator.replace(number, limit=Decimal(90), quantity=Decimal(4))
    simulator.advance(5)
    assert (simulator.order(number).status, simulator.order(number).reason) == ("replaced", Reason.REPLACED)
    assert simulator.order(new).status == "working"
    assert simulator.result().orders["replaces"].to_list() == [None, number]
    with pytest.raises(InvalidInput, match="expected a working order"):
        simulator.replace(number, limit=Decimal(91))


# -- brackets and groups -------------------------------------------------------------------------------------------------


def bracket(side: str = "BUY", **terms: object) -> Bracket:
    prices = {name: Decimal(str(value)) for name, value in terms.items()}
    return Bracket(ticket(side, 10), **prices)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bar", "intrabar", "price"),
    [
        ((100, 106, 94, 100), "worst", 95.0),
        ((100, 106, 94, 99), "ohlc", 105.0),  # closes down: the high comes first
        ((100, 106, 94, 101), "ohlc", 95.0),  # closes up: the low comes first
        ((100, 106, 96, 100), "worst", 105.0),
        ((100, 104, 94, 100), "worst", 95.0),
    ],
)
def test_a_bar_that_reaches_stop_and_target_is_resolved_by_the_policy(bar: Row, intrabar: str, price: float) -> None:
    simulator, _ = after(market(FLAT, FLAT, bar), bracket(target=105, stop=95), intrabar=intrabar)
    assert prints(simulator) == [(1, 100.0), (2, price)]
    orders = simulator.result().orders
    assert sorted(orders["status"].to_list()) == ["cancelled", "filled", "filled"]
    assert orders.filter(orders["status"] == "cancelled")["reasons"].item() == "other_filled"


def test_a_bracket_entered_at_the_open_can_leave_in_the_same_bar() -> None:
    simulator, _ = after(market(FLAT, (100, 101, 94, 95)), bracket(target=105, stop=95))
    assert prints(simulator) == [(1, 100.0), (1, 95.0)]


def test_a_bracket_entered_inside_a_bar_may_lose_in_it_but_not_win() -> None:
    entry = Bracket(ticket("BUY", kind="limit", limit=98), target=Decimal(101), stop=Decimal(95))
    both = market(FLAT, (100, 102, 94, 100), FLAT)
    assert prints(after(both, entry)[0]) == [(1, 98.0), (1, 95.0)]
    simulator, _ = after(market(FLAT, (100, 102, 97, 100), (100, 102, 100, 101)), entry)
    assert prints(simulator) == [(1, 98.0), (2, 101.0)]


def test_finer_bars_say_what_came_first() -> None:
    ts = np.arange(1, 13) * (MINUTE // 4)
    fine = np.full((4, 1, 12), 100.0)
    fine[1, 0, 9], fine[2, 0, 10] = 106.0, 94.0  # in bar 2 the high comes before the low
    finer = Market((AAA,), ts, ts - MINUTE // 4, *fine, np.full((1, 12), np.nan), np.ones((1, 12), dtype=np.bool_))
    bars = market(FLAT, FLAT, (100, 106, 94, 100), finer=finer)
    simulator, _ = after(bars, bracket(target=105, stop=95), intrabar="finer")
    assert prints(simulator) == [(1, 100.0), (2, 105.0)]
    assert simulator.result().fills["source_bar_ts"][1] == datetime.fromtimestamp(150, UTC)
    simulator.result().verify()
    with pytest.raises(ConfigError, match="finer"):
        Simulator(market(FLAT, FLAT), settings(intrabar="finer"))


def test_a_partly_filled_entry_has_a_bracket_for_what_it_filled() -> None:
    bars = market(FLAT, FLAT, (100, 101, 90, 92), FLAT, volume=[40.0, 40.0, 400.0, 400.0])
    entry = Ticket("XNAS:AAA", Side.BUY, Decimal(10), time_in_force=TimeInForce.IOC)
    simulator, view = after(bars, Bracket(entry, target=Decimal(120), stop=Decimal(95)), volume_share=Decimal("0.1"))
    assert view.filled == 4
    assert simulator.positions() == {}
    assert simulator.result().fills["quantity"].to_list() == [4.0, 4.0]


def test_one_cancels_the_other_by_lots_and_an_entry_that_ends_takes_its_children_along() -> None:
    bars = market(FLAT, (100, 103, 99, 102), FLAT)
    simulator = Simulator(bars, settings())
    simulator.advance()
    up, down = simulator.one_cancels_other([ticket("BUY", kind="stop", stop=102), ticket("SELL", kind="stop", stop=98)])
    simulator.advance(2)
    assert (simulator.order(up).status, simulator.order(down).status) == ("filled", "cancelled")
    assert simulator.order(down).reason is Reason.OTHER_FILLED
    entry = Bracket(ticket("BUY", kind="limit", limit=50), target=Decimal(60), stop=Decimal(40))
    simulator = Simulator(bars, settings())
    simulator.advance()
    number = simulator.submit(entry)
    assert [simulator.order(number + k).status for k in (0, 1, 2)] == ["working", "waiting", "waiting"]
    simulator.cancel(number)
    assert simulator.result().orders["reasons"].to_list() == ["cancelled", "parent_ended", "parent_ended"]


# -- what is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [(0, Reason.QUANTITY_ZERO), (-5, Reason.QUANTITY_NEGATIVE), ("1e30", Reason.QUANTITY_TOO_LARGE), ("0.4", Reason.BELOW_LOT)],
)
def test_orders_of_no_negative_enormous_or_less_than_a_lots_size_are_refused_on_record(quantity: object, reason: Reason) -> None:
    simulator, view = after(market(FLAT, FLAT), ticket("BUY", quantity))  # type: ignore[arg-type]
    assert (view.status, view.reason) == ("rejected", reason)
    assert simulator.result().rejections["reasons"].to_list() == [str(reason)]
    assert not len(simulator.result().fills)


def test_an_account_without_the_cash_refuses_or_cuts_as_asked() -> None:
    bars = market(FLAT, (100, 100, 100, 100))
    costs = CostModel(Decimal(0), Decimal(0), Decimal(10))
    refused = after(bars, ticket("BUY", 1000), costs=costs)[1]
    assert (refused.status, refused.reason) == ("rejected", Reason.INSUFFICIENT_CASH)
    simulator, view = after(bars, ticket("BUY", 1000), costs=costs, shortfall="cut")
    assert view.filled == 999
    assert view.reason is Reason.CUT_TO_CASH
    assert simulator.account().cash == {"USD": Decimal("0.10")}


def test_shorts_need_permission_and_as_much_equity_as_they_are_worth() -> None:
    bars = market(FLAT, FLAT, (110, 110, 110, 110))
    assert after(bars, ticket("SELL"), shorts=False)[1].reason is Reason.NO_SHORTS
    assert after(bars, ticket("SELL", 1001))[1].reason is Reason.INSUFFICIENT_CASH
    simulator, view = after(bars, ticket("SELL", 1000))
    assert view.status == "filled"
    assert simulator.account().equity == Decimal(90_000)
    assert simulator.account().cash == {"USD": Decimal(200_000)}
    assert simulator.account().net == Decimal(-110_000)


def test_margin_lends_up_to_its_share_and_calls_when_equity_falls_below_the_maintenance() -> None:
    reg_t = Margin(Decimal("0.5"), Decimal("0.25"))
    bars = market(FLAT, FLAT, (70, 70, 66, 66), (65, 65, 65, 65))
    assert after(bars, ticket("BUY", 2001), margin=reg_t)[1].reason is Reason.INSUFFICIENT_MARGIN
    simulator, _ = after(bars, ticket("BUY", 2000), play=1, margin=reg_t)
    assert simulator.account().buying_power == 0
    assert simulator.account().cash == {"USD": Decimal(-100_000)}
    simulator.advance()  # equity 32 000 of 132 000: below a quarter
    simulator.advance()
    orders = simulator.result().orders
    assert orders["margin_call"].to_list() == [False, True]
    assert orders["reasons"][1] == "margin_call"
    assert simulator.positions() == {}
    assert simulator.account().equity == Decimal(30_000)
    assert "liquidation" in simulator.result().journal["kind"].to_list()


def test_the_fourth_day_trade_of_a_small_account_is_refused_and_its_exits_are_not() -> None:
    bars = market(*[FLAT] * 14, session=[0] * 14)
    changes = {"pattern_day_trader": True, "cash": {"USD": Decimal(20_000)}}
    simulator = Simulator(bars, settings(**changes))
    simulator.advance()
    for _ in range(3):
        simulator.submit(ticket("BUY"))
        simulator.advance()
        simulator.submit(ticket("SELL"))
        simulator.advance()
    number = simulator.submit(ticket("BUY"))
    simulator.advance()
    assert simulator.order(number).reason is Reason.PATTERN_DAY_TRADER
    rich = Simulator(bars, settings(**{**changes, "cash": {"USD": Decimal(25_000)}}))
    rich.advance()
    for side in ("BUY", "SELL") * 5:
        rich.submit(ticket(side))
        rich.advance()
    assert set(rich.result().orders["status"].to_list()) == {"filled"}


def test_a_reduce_only_order_stops_at_zero() -> None:
    simulator = Simulator(market(*[FLAT] * 5), settings())
    simulator.advance()
    simulator.submit(ticket("BUY", 5))
    simulator.advance()
    first = simulator.submit(ticket("SELL", 9, reduce_only=True))
    simulator.advance(2)
    assert simulator.positions() == {}
    assert simulator.order(first).reason is Reason.NOTHING_TO_REDUCE


@pytest.mark.parametrize(
    "terms",
    [
        {"kind": "limit"}, {"kind": "market", "limit": 5}, {"kind": "stop", "stop": -1}, {"kind": "trailing_stop"},
        {"kind": "trailing_stop", "trail": 1, "trail_share": "0.1"},
        {"kind": "stop", "stop": 5, "time_in_force": TimeInForce.FOK},
        {"kind": "limit", "limit": "NaN"}, {"kind": "trailing_stop", "trail_share": "1.5"},
    ],
)  # fmt: skip
def test_a_ticket_whose_prices_do_not_suit_its_kind_is_no_ticket(terms: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        ticket("BUY", **terms)  # type: ignore[arg-type]


def test_a_fill_planted_from_a_later_bar_stops_the_run() -> None:
    from fieldcast.simulation import _kernels_orders as kernels
    from fieldcast.simulation import _state as s

    bars = market(FLAT, FLAT, (120, 120, 120, 120))
    simulator = Simulator(bars, settings())
    simulator.advance()
    number = simulator.submit(ticket("BUY"))
    simulator.advance(1)
    simulator.submit(ticket("SELL"))
    run = simulator._run
    later = int(bars.ts[2])
    kernels.fill(run.state, number + 1, 1, 12_000, 0, 0.0, later, later, s.AT_OPEN, 0)
    with pytest.raises(IntegrityError, match="stem from the bar that is played"):
        run.check()
    assert len(simulator.result().fills) == 1, "and nothing was booked"
