"""Options in the venue: the group's margin against the reference in fractions, refusals, margin calls, exact books."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground import MissingData, Reason
from fieldcast.market import Instrument, Kind, sessions_between
from fieldcast.simulation import _state as s
from fieldcast.simulation._kernels_option_margin import group_margin
from fieldcast.simulation._option_table import option_rows
from fieldcast.simulation.derivatives import OptionTerms
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.option_margin import Leg, requirement
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.simulation.units import Units
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import OrderKind, Ticket, TimeInForce

SHARE = Instrument("XNAS:AAPL", Kind.EQUITY)
INDEX = Instrument("XCBO:SPX", Kind.INDEX)
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))
REG_T = Margin(Decimal("0.5"), Decimal("0.25"))
DAYS = sessions_between("XNYS", date(2024, 1, 16), date(2024, 2, 16))
EXPIRY = datetime(2024, 2, 16, 21, tzinfo=UTC)
LATER = datetime(2024, 3, 15, 20, tzinfo=UTC)


def option(name: str) -> Instrument:
    return Instrument(f"OPRA:{name}", Kind.OPTION, multiplier=Decimal(100))


def terms(name: str, right: Any, strike: str, *, share: Instrument = SHARE, ends: datetime = EXPIRY, **more: Any) -> OptionTerms:
    return OptionTerms(f"OPRA:{name}", share.id, right, Decimal(strike), ends, **more)


def world(prices: dict[Instrument, list[float]]) -> Market:
    """Bars of the first sessions, each at one price; of an option without a spread."""
    table = np.array(list(prices.values()))
    ends, begins = (DAYS[name].dt.epoch("us").to_numpy()[: table.shape[1]] for name in ("close", "open"))
    many = np.full(table.shape, 1e6)
    return Market(tuple(prices), ends, begins, table, table, table, table, many, np.isfinite(table))


# -- the twin ------------------------------------------------------------------------------------------------------------

LEGS = st.lists(
    st.tuples(
        st.sampled_from(("call", "put")), st.integers(70, 130), st.integers(-4, 4), st.integers(1, 4_000), st.booleans()
    ),
    min_size=1, max_size=7,
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(
    legs=LEGS, shares=st.integers(-350, 350), cents=st.integers(6_000, 14_000), secured=st.booleans(), index=st.booleans()
)  # fmt: skip
def test_a_groups_margin_is_the_reference_exactly(
    legs: list[tuple[Any, int, int, int, bool]], shares: int, cents: int, secured: bool, index: bool
) -> None:
    """Prices are cents, amounts the run's minimal units: the reference in fractions, each part rounded up, is the same number."""
    under = INDEX if index else SHARE
    instruments = {under: [cents / 100.0]} | {option(f"O{k}"): [leg[3] / 100.0] for k, leg in enumerate(legs)}
    market = world(instruments)
    contracts = tuple(
        terms(f"O{k}", right, str(strike), share=under, ends=LATER if late else EXPIRY)
        for k, (right, strike, _, _, late) in enumerate(legs)
    )
    venue = VenueSettings(options=contracts)
    units = Units.of(market)
    rows = option_rows(market, venue, units)
    lots = np.array([shares, *(leg[2] for leg in legs)], dtype=np.int64)
    marks = np.array([units.price_units(n, Decimal(str(price[0]))) for n, price in enumerate(instruments.values())])
    asked, value, naked_calls, fits = group_margin(rows, lots, marks, 0, -1, 0, 0, secured)
    minor = 10**units.cash_decimals
    reference = requirement(
        Fraction(cents, 100), shares,  # type: ignore[arg-type]
        [
            Leg(right, Fraction(strike), int(late), 100 * held, Fraction(premium, 100))  # type: ignore[arg-type]
            for right, strike, held, premium, late in legs
        ],
        rate=Fraction(15 if index else 20, 100), secured=secured,  # type: ignore[arg-type]
        rounded=lambda part: math.ceil(part * minor),
    )  # fmt: skip
    assert fits
    assert asked == reference.total
    assert value == sum(minor * held * premium for _, _, held, premium, _ in legs)
    long_calls = sum(100 * held for right, _, held, _, _ in legs if right == "call" and held > 0)
    short_calls = -sum(100 * held for right, _, held, _, _ in legs if right == "call" and held < 0)
    assert naked_calls >= short_calls - long_calls - max(shares, 0)
    assert 0 <= naked_calls <= short_calls


def test_another_holding_of_one_leg_is_as_if_it_were_held() -> None:
    market = world({SHARE: [100.0], option("A"): [3.0], option("B"): [1.0]})
    venue = VenueSettings(options=(terms("A", "put", "100"), terms("B", "put", "95")))
    rows = option_rows(market, venue, Units.of(market))
    marks = np.array([100, 3, 1], dtype=np.int64) * 10 ** Units.of(market).price_decimals
    for n, lots in ((0, 40), (1, -2), (2, 2)):
        held = np.array([-100, -1, 1], dtype=np.int64)
        there = held.copy()
        there[n] = lots
        as_if = group_margin(rows, held, marks, 0, n, lots, int(marks[n]), False)
        assert as_if == group_margin(rows, there, marks, 0, -1, 0, 0, False)


# -- orders ----------------------------------------------------------------------------------------------------------------


def venue(market: Market, cash: int, margin: Margin = REG_T, *contracts: OptionTerms, **more: Any) -> Simulator:
    given = VenueSettings(cash={"USD": Decimal(cash)}, costs=FREE, margin=margin, options=contracts, **more)
    return Simulator(market, given, events=events_of(market, contracts=contracts))


def send(simulator: Simulator, name: str, lots: int) -> int:
    side = Side.BUY if lots > 0 else Side.SELL
    return simulator.submit(Ticket(name, side, Decimal(abs(lots)), OrderKind.MARKET))


def exact(result: SimulationResult) -> bool:
    """Each event of the journal sums to zero in each currency, and cash is what was posted to it."""
    rows = result.journal_rows
    sums: dict[tuple[int, int], int] = {}
    for row in rows:
        key = int(row[s.J_EVENT]), int(row[s.J_CURRENCY])
        sums[key] = sums.get(key, 0) + int(row[s.J_AMOUNT])
    cash = int(rows[rows[:, s.J_ACCOUNT] == s.A_CASH, s.J_AMOUNT].sum())
    return not any(sums.values()) and cash == result.cash["USD"]


PUT, LOW_PUT, CALL = option("P100"), option("P95"), option("C100")


def test_a_naked_put_beyond_the_account_is_refused_with_its_reason_and_within_it_is_not() -> None:
    """100 * (2 + 20) asked for one put at 2.00 on a share at 100; 200 are received: 2,000 of one's own is enough for one."""
    contract = terms("P100", "put", "100")
    simulator = venue(world({SHARE: [100.0] * 3, PUT: [2.0] * 3}), 2_000, REG_T, contract)
    simulator.advance()
    one, two = send(simulator, PUT.id, -1), send(simulator, PUT.id, -1)
    simulator.advance(2)
    assert simulator.order(one).reason is None
    assert simulator.order(two).reason is Reason.INSUFFICIENT_MARGIN
    assert simulator.position(PUT.id) == -1
    account = simulator.account()
    assert (account.initial_margin, account.equity) == (Decimal(2_000), Decimal(2_000))  # 2,200 asked, 200 of it is owed
    result = simulator.result()
    assert result.rejections["reasons"].to_list() == [str(Reason.INSUFFICIENT_MARGIN)]
    assert exact(result)


def test_a_spread_asks_for_its_width_and_the_long_leg_cannot_be_sold_alone() -> None:
    contracts = terms("P100", "put", "100"), terms("P95", "put", "95")
    simulator = venue(world({SHARE: [100.0] * 4, PUT: [2.0] * 4, LOW_PUT: [1.0] * 4}), 600, REG_T, *contracts)
    simulator.advance()
    send(simulator, LOW_PUT.id, 1)
    send(simulator, PUT.id, -1)
    simulator.advance()
    assert (simulator.position(PUT.id), simulator.position(LOW_PUT.id)) == (Decimal(-1), Decimal(1))
    assert simulator.account().initial_margin == 500 - 100  # the width, less what both are worth: -200 + 100
    alone = send(simulator, LOW_PUT.id, -1)
    simulator.advance()
    assert simulator.order(alone).reason is Reason.INSUFFICIENT_MARGIN  # a put by itself asks for 2,200
    back = send(simulator, PUT.id, 1)
    simulator.advance()
    assert simulator.order(back).reason is None
    assert simulator.position(PUT.id) == 0
    assert exact(simulator.result())


def test_a_cash_account_sells_covered_calls_and_secured_puts_and_nothing_else() -> None:
    contracts = terms("P100", "put", "100"), terms("C100", "call", "100")
    market = world({SHARE: [100.0] * 5, PUT: [2.0] * 5, CALL: [3.0] * 5})
    simulator = venue(market, 20_000, Margin(), *contracts, shorts=False)
    simulator.advance()
    naked = send(simulator, CALL.id, -1)
    simulator.advance()
    assert simulator.order(naked).reason is Reason.NO_SHORTS
    send(simulator, SHARE.id, 100)
    simulator.advance()
    covered, second, secured, beyond = (send(simulator, name, -1) for name in (CALL.id, CALL.id, PUT.id, PUT.id))
    simulator.advance()
    assert [simulator.order(one).reason for one in (covered, second, secured, beyond)] == [
        None, Reason.NO_SHORTS, None, Reason.INSUFFICIENT_CASH,  # 10,300 of cash secure one put at 100
    ]  # fmt: skip
    away = send(simulator, SHARE.id, -100)
    simulator.advance()
    assert simulator.order(away).reason is Reason.NO_SHORTS  # it would leave the call naked
    assert exact(simulator.result())


def test_in_a_cash_account_a_long_option_covers_no_short_one() -> None:
    """A call spread has a naked call there, and a put spread secures its whole strike."""
    contracts = terms("P100", "put", "100"), terms("P95", "put", "95"), terms("C100", "call", "100"), terms("C105", "call", "105")
    high_call = option("C105")
    prices = {SHARE: [100.0] * 4, PUT: [2.0] * 4, LOW_PUT: [1.0] * 4, CALL: [3.0] * 4, high_call: [1.0] * 4}
    simulator = venue(world(prices), 5_000, Margin(), *contracts, shorts=False)
    simulator.advance()
    longs = [send(simulator, name, 1) for name in (LOW_PUT.id, high_call.id)]
    simulator.advance()
    assert [simulator.order(one).reason for one in longs] == [None, None]
    shorts = [send(simulator, name, -1) for name in (PUT.id, CALL.id)]
    simulator.advance()
    assert [simulator.order(one).reason for one in shorts] == [Reason.INSUFFICIENT_CASH, Reason.NO_SHORTS]


def test_an_option_fills_at_its_quote_and_is_stamped_with_it() -> None:
    """The share fills at the open, the option at the end of the bar, whose quote it is; so does a margin call's order."""
    market = world({SHARE: [100.0, 100.0, 120.0, 121.0], CALL: [3.0, 3.0, 21.0, 22.0]})
    simulator = venue(market, 2_500, REG_T, terms("C100", "call", "100"))
    simulator.advance()
    send(simulator, SHARE.id, 1)
    send(simulator, CALL.id, -1)
    simulator.advance(3)
    fills = simulator.result().fill_rows
    assert fills[:, s.F_INSTRUMENT].tolist() == [0, 1, 0, 1]
    for at in (s.F_TS, s.F_SOURCE):
        assert fills[1::2, at].tolist() == [market.ts[1], market.ts[3]]
    assert fills[::2, s.F_TS].tolist() == [market.open_ts[1], market.open_ts[3]]


def test_an_order_for_an_option_that_must_act_at_once_ends_at_the_first_quote() -> None:
    market = world({SHARE: [100.0] * 4, PUT: [2.0, math.nan, 2.0, 2.0]})
    simulator = venue(market, 50_000, REG_T, terms("P100", "put", "100"), volume_share=Decimal("0.000001"))
    simulator.advance()
    some = simulator.submit(Ticket(PUT.id, Side.SELL, Decimal(3), OrderKind.MARKET, time_in_force=TimeInForce.IOC))
    away = Ticket(PUT.id, Side.SELL, Decimal(1), OrderKind.LIMIT, limit=Decimal(9), time_in_force=TimeInForce.IOC)
    none = simulator.submit(away)
    simulator.advance()
    assert simulator.position(PUT.id) == 0
    simulator.advance()
    assert simulator.position(PUT.id) == -1  # a millionth of 1e6
    assert [simulator.order(one).reason for one in (some, none)] == [Reason.NOT_AT_ONCE, Reason.NOT_AT_ONCE]


def test_an_expiry_without_a_price_of_its_session_stops_a_run_that_holds_the_option() -> None:
    prices = [100.0] * 22 + [math.nan, math.nan]
    for lots in (1, 0):
        simulator = venue(world({SHARE: prices, CALL: [3.0] * 24}), 20_000, REG_T, terms("C100", "call", "100"))
        simulator.advance()
        if not lots:
            simulator.advance(23)
            continue
        send(simulator, CALL.id, lots)
        with pytest.raises(MissingData, match="expected a price of XNAS:AAPL of the session in which OPRA:C100 expires"):
            simulator.advance(23)
    stated = terms("C100", "call", "100", settlement_value=Decimal(110))
    simulator = venue(world({SHARE: prices, CALL: [3.0] * 24}), 20_000, REG_T, stated)
    simulator.advance()
    send(simulator, CALL.id, 1)
    simulator.advance(23)
    assert simulator.position(CALL.id) == 0


def test_a_short_straddle_asks_for_its_larger_side_and_the_other_premium() -> None:
    contracts = terms("P100", "put", "100"), terms("C100", "call", "100")
    simulator = venue(world({SHARE: [100.0] * 3, PUT: [2.0] * 3, CALL: [3.0] * 3}), 2_000, REG_T, *contracts)
    simulator.advance()
    for name in (PUT.id, CALL.id):
        send(simulator, name, -1)
    simulator.advance()
    assert simulator.account().initial_margin == 100 * (3 + 20 + 2) - 500
    assert (simulator.position(PUT.id), simulator.position(CALL.id)) == (Decimal(-1), Decimal(-1))


def test_what_runs_against_a_naked_call_is_called_and_the_whole_group_goes() -> None:
    """2,500 beside a call sold at 3.00: at 120 the call at 21.00 asks for 4,500, and 2,800 are there."""
    contract = terms("C100", "call", "100")
    market = world({SHARE: [100.0, 100.0, 120.0, 121.0], CALL: [3.0, 3.0, 21.0, 22.0]})
    simulator = venue(market, 2_500, REG_T, contract)
    simulator.advance()
    send(simulator, CALL.id, -1)
    simulator.advance(3)
    assert simulator.position(CALL.id) == 0
    result = simulator.result()
    assert result.orders["reasons"].to_list() == [None, str(Reason.MARGIN_CALL)]
    assert "1 positions were closed by margin calls" in result.warnings
    assert result.cash["USD"] / 10**result.units.cash_decimals == 2_500 + 300 - 2_200
    assert exact(result)


def test_a_covered_call_is_assigned_and_the_shares_go_at_the_strike() -> None:
    market = world({SHARE: [100.0] * 23 + [110.0], CALL: [3.0] * 23 + [10.0]})
    simulator = venue(market, 20_000, Margin(), terms("C100", "call", "100"), shorts=False)
    simulator.advance()
    send(simulator, SHARE.id, 100)
    send(simulator, CALL.id, -1)
    simulator.advance(23)
    assert simulator.positions() == {}
    assert simulator.account().equity == 20_300
    assert simulator.account().initial_margin == 0
    assert exact(simulator.result())


def test_half_of_what_lies_between_bid_and_offer_is_paid_for_an_option() -> None:
    """Bid 1.90, offer 2.10: sold at 1.90; the share has no costs."""
    market = world({SHARE: [100.0] * 3, PUT: [2.0] * 3})
    high, low = market.high.copy(), market.low.copy()
    high[1], low[1] = 2.10, 1.90
    from dataclasses import replace

    quoted = replace(market, high=high, low=low, instruments=(SHARE, Instrument(PUT.id, Kind.OPTION, multiplier=Decimal(100),
                     tick=Decimal("0.0001"))), _cache={})  # fmt: skip
    simulator = venue(quoted, 10_000, REG_T, terms("P100", "put", "100"))
    simulator.advance()
    send(simulator, PUT.id, -1)
    simulator.advance()
    assert simulator.account().cash == {"USD": Decimal("10190.0000")}
