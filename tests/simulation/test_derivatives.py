"""Futures and options over time, worked by hand: settlement, roll, expiry, exercise, assignment."""

from __future__ import annotations

import importlib.util
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data.actions import action_rows
from fieldcast.data.contracts import contract
from fieldcast.data.futures import Roll
from fieldcast.ground import InvalidInput
from fieldcast.market import BARS, Instrument, Kind
from fieldcast.market.sessions import sessions_between
from fieldcast.simulation import _state as s
from fieldcast.simulation.derivatives import SETTLEMENTS, FutureTerms, OptionTerms, future_terms
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market

_spec = importlib.util.spec_from_file_location("fieldcast_test_ledger", Path(__file__).with_name("ledger.py"))
ledger = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ledger)

OLD, NEW = (
    Instrument(f"XCME:ES.2024{letter}", Kind.FUTURE, calendar="CMES", tick=Decimal("0.25"), multiplier=Decimal(50))
    for letter in "MU"
)
DAYS = sessions_between("CMES", date(2024, 6, 12), date(2024, 6, 28))


def bars(id: str, days: pl.DataFrame, closes: list[float]) -> pl.DataFrame:
    rows = [(id, ts, ts, close, close, close, close, 1000.0, None) for ts, close in zip(days["close"], closes, strict=False)]
    return pl.DataFrame(rows, schema=BARS, orient="row")


def es(old: list[float], new: list[float]) -> Market:
    return Market.of({OLD.id: bars(OLD.id, DAYS, old), NEW.id: bars(NEW.id, DAYS, new)}, [OLD, NEW])


def terms(instrument: Instrument, final: str | None = None) -> FutureTerms:
    return future_terms(
        contract(instrument.id), instrument, Decimal(12_000), Decimal(11_000), None if final is None else Decimal(final)
    )


def test_a_future_is_settled_each_day_and_rolled_with_the_costs_of_both_legs():
    """
    Two ES bought at 5,000.25 (cash does not move). Settled at 5,010.00: (9.75) * 2 * 50 = +975.00; at 5,002.50: -750.00.
    Rolled there with half a basis point and 1 bp of fee: sold at 5,002.50 * 0.99995 = 5,002.249..., down to 5,002.00: -50.00 and
    a fee of 500,200 * 0.0001 = 50.02; bought at 5,060.25 * 1.00005 = 5,060.503..., up to 5,060.75: fee 506,075 * 0.0001 =
    50.6075, up 50.61. Next day the new contract settles at 5,070.00: (5,070.00 - 5,060.75) * 100 = +925.00.
    """
    market = es([5010.0, 5002.5, 5003.0], [5065.0, 5060.25, 5070.0])
    close = DAYS["close"][1]
    roll = Roll(contract(OLD.id), contract(NEW.id), close, close - timedelta(days=1), close, 5002.5, 5060.25)
    table = events_of(market, contracts=[terms(OLD), terms(NEW)], rolls=[roll])
    book = ledger.Ledger(market, table, {"USD": "100000"}, half_spread_bps=0.5, fee_share_e8=10_000)
    book.play(lambda t: book.trade(OLD.id, "2", "5000.25") if t == 0 else None)
    assert book.moved(s.K_SETTLEMENT) == [Decimal("975.00"), Decimal("-750.00"), Decimal("925.00")]
    assert book.moved(s.K_ROLL) == [Decimal("-50.00") - Decimal("50.02"), Decimal("-50.61")]
    assert (book.held(OLD.id), book.held(NEW.id)) == (Decimal(0), Decimal(2))
    assert book.equity() == Decimal(100_000) + 975 - 750 - 50 - Decimal("50.02") - Decimal("50.61") + 925
    legs = book.fills()[:, [s.F_INSTRUMENT, s.F_SIDE, s.F_LOTS, s.F_PRICE, s.F_REFERENCE]].tolist()
    assert legs == [[0, -1, 2, 500200, 500250], [1, 1, 2, 506075, 506025]]


def test_a_short_is_rolled_the_other_way_round_and_orders_of_the_old_contract_end():
    market = es([5010.0, 5002.5, 5003.0], [5065.0, 5060.25, 5070.0])
    close = DAYS["close"][1]
    roll = Roll(contract(OLD.id), contract(NEW.id), close, close - timedelta(days=1), close, 5002.5, 5060.25)
    book = ledger.Ledger(market, events_of(market, contracts=[terms(OLD), terms(NEW)], rolls=[roll]), {"USD": "100000"})
    row = book.state.orders[0]
    row[[s.O_PARENT, s.O_GROUP]] = -1
    row[[s.O_SIDE, s.O_LOTS, s.O_LEFT, s.O_LIMIT, s.O_KIND]] = 1, 1, 1, 400000, s.LIMIT
    book.state.counters[s.N_WORKING] = book.state.counters[s.N_ORDERS] = 1
    book.play(lambda t: book.trade(OLD.id, "-3", "5000.25") if t == 0 else None)
    assert (book.held(OLD.id), book.held(NEW.id)) == (Decimal(0), Decimal(-3))
    assert book.equity() == Decimal(100_000) - 150 * (Decimal("2.25") + Decimal("9.75"))
    assert row[[s.O_STATUS, s.O_REASON]].tolist() == [s.CANCELLED, s.W_ROLLED]


def test_a_roll_at_a_price_that_no_bar_had_or_decided_too_late_is_refused():
    market = es([5010.0, 5002.5, 5003.0], [5065.0, 5060.25, 5070.0])
    close = DAYS["close"][1]
    wrong = Roll(contract(OLD.id), contract(NEW.id), close, close - timedelta(days=1), close, 5001.0, 5060.25)
    with pytest.raises(InvalidInput, match=r"found 5001\.0"):
        events_of(market, rolls=[wrong])
    hour, day = timedelta(hours=1), timedelta(days=1)
    between = Roll(contract(OLD.id), contract(NEW.id), close - hour, close - day, close, 5002.5, 5060.25)
    with pytest.raises(InvalidInput, match="expected the roll"):
        events_of(market, rolls=[between])
    late = Roll(contract(OLD.id), contract(NEW.id), close, close + timedelta(days=1), close, 5002.5, 5060.25)
    with pytest.raises(InvalidInput, match="decided by its close"):
        events_of(market, rolls=[late])


def test_a_future_expires_at_its_final_price_and_stated_settlements_come_before_last_prices():
    """Bought at 5,000.00; settled at a stated 5,011.25 (+562.50), expired on 21 June at 5,464.62 (final), 5,464.62 - 5,011.25."""
    end = DAYS.filter(pl.col("session") <= date(2024, 6, 21))
    market = Market.of({OLD.id: bars(OLD.id, end, [5010.0, 5012.0, 5013.0, 5014.0, 5015.0, 5016.0, 5017.0, 5464.75])}, [OLD])
    stated = pl.DataFrame([(OLD.id, ts, 5011.25) for ts in end["close"][:-1]], schema=SETTLEMENTS, orient="row")
    table = events_of(market, contracts=[terms(OLD, "5464.62")], settlements=stated)
    book = ledger.Ledger(market, table, {"USD": "100000"})
    book.play(lambda t: book.trade(OLD.id, "1", "5000.00") if t == 0 else None)
    assert book.moved(s.K_SETTLEMENT) == [Decimal("562.50")]
    assert book.moved(s.K_EXPIRY) == [Decimal("22668.50")]      # 453.37 * 50
    assert (book.held(OLD.id), book.equity()) == (Decimal(0), Decimal(100_000) + 50 * Decimal("464.62"))
    assert book.fills()[0, [s.F_ORDER, s.F_SIDE, s.F_PRICE]].tolist() == [-1, -1, 546462]


# options ------------------------------------------------------------------------------------------------------------

SPX = Instrument("XCBO:SPX", Kind.INDEX, tradable=False)
SHARE = Instrument("XNAS:AAPL", Kind.EQUITY)
WEEK = sessions_between("XNYS", date(2024, 1, 17), date(2024, 1, 22))


def option(id: str) -> Instrument:
    return Instrument(id, Kind.OPTION, multiplier=Decimal(100))


def world(underlying: Instrument, closes: list[float], options: dict[str, list[float]]) -> Market:
    frames = {underlying.id: bars(underlying.id, WEEK, closes)}
    frames |= {id: bars(id, WEEK, prices) for id, prices in options.items()}
    return Market.of(frames, [underlying, *(option(id) for id in options)])


def test_a_cash_settled_am_option_pays_its_value_at_the_opening():
    """
    SPX calls of 4,700 and puts of 4,750 settle on Friday's opening value of 4,712.34, not on a close: 3 calls long receive
    12.34 * 300 = 3,702.00, 2 puts short pay 37.66 * 200 = 7,532.00; a call of 4,800 ends at nothing.
    """
    prices = {"OPRA:C4700": [60.0, 85.0], "OPRA:P4750": [20.0, 10.0], "OPRA:C4800": [5.0, 9.0]}
    market = world(SPX, [4740.0, 4780.0, 4839.0], prices)
    friday = WEEK["open"][2]
    common = {"style": "european", "delivery": "cash", "settlement": "AM", "settlement_value": Decimal("4712.34")}
    contracts = [
        OptionTerms(id, SPX.id, right, Decimal(strike), friday, **common)
        for id, right, strike in (("OPRA:C4700", "call", 4700), ("OPRA:P4750", "put", 4750), ("OPRA:C4800", "call", 4800))
    ]
    book = ledger.Ledger(market, events_of(market, contracts=contracts), {"USD": "100000"})

    def trades(t: int) -> None:
        if t == 0:
            book.trade("OPRA:C4700", "3", "60.00")
            book.trade("OPRA:P4750", "-2", "20.00")
            book.trade("OPRA:C4800", "1", "5.00")

    book.play(trades)
    assert sorted(book.moved(s.K_EXPIRY)) == [Decimal("-7532.00"), Decimal("3702.00")]
    assert book.equity() == book.cash() == Decimal(100_000) - 18_000 + 4_000 - 500 + 3_702 - 7_532
    assert all(book.held(id) == 0 for id in ("OPRA:C4700", "OPRA:P4750", "OPRA:C4800"))
    assert sorted(book.state.position[:, s.P_REALISED].tolist()) == sorted([0, 370200 - 1800000, -753200 + 400000, -50000])


@pytest.mark.parametrize(
    ("right", "quantity", "shares", "cash"),
    [("call", "2", "200", "-36000.00"), ("call", "-2", "-200", "36000.00"), ("put", "2", "-200", "36000.00"),
     ("put", "-2", "200", "-36000.00")],
)  # fmt: skip
def test_a_physical_option_in_the_money_becomes_shares_at_the_strike(right, quantity, shares, cash):
    """Strike 180.00; the share closes at 190.25 (call) or 170.00 (put) at expiry; cash moves by the strike alone."""
    spot = 190.25 if right == "call" else 170.0
    market = world(SHARE, [183.0, 186.0, spot], {"OPRA:A180": [6.0, 8.0, 10.0]})
    contracts = [OptionTerms("OPRA:A180", SHARE.id, right, Decimal(180), WEEK["close"][2])]
    book = ledger.Ledger(market, events_of(market, contracts=contracts), {"USD": "100000"})
    book.play(lambda t: book.trade("OPRA:A180", quantity, "6.00") if t == 0 else None, last=2)
    premium = -Decimal(quantity) * 600
    kind = s.K_EXERCISE if Decimal(quantity) > 0 else s.K_ASSIGNMENT
    assert (book.held(SHARE.id), book.held("OPRA:A180")) == (Decimal(shares), Decimal(0))
    assert sum(book.moved(kind)) == Decimal(cash)
    assert book.cash() == Decimal(100_000) + premium + Decimal(cash)
    assert book.equity() == book.cash() + Decimal(shares) * Decimal(str(spot))
    gain = Decimal(quantity) * 100 * abs(Decimal(str(spot)) - 180)
    assert book.state.position[1, s.P_REALISED] == int((gain + premium) * 100)


@pytest.mark.parametrize(("close", "exercised"), [(180.01, True), (180.0, False), (179.99, False)])
def test_exercise_by_exception_begins_at_one_hundredth(close, exercised):
    market = world(SHARE, [183.0, 186.0, close], {"OPRA:A180": [6.0, 8.0, 0.05]})
    contracts = [OptionTerms("OPRA:A180", SHARE.id, "call", Decimal(180), WEEK["close"][2])]
    book = ledger.Ledger(market, events_of(market, contracts=contracts), {"USD": "100000"})
    book.play(lambda t: book.trade("OPRA:A180", "1", "6.00") if t == 0 else None)
    assert (book.held(SHARE.id), book.held("OPRA:A180")) == (Decimal(100 if exercised else 0), Decimal(0))


@pytest.mark.parametrize(("dividend", "quantity", "assigned"), [(1.2, "-1", True), (0.3, "-1", False), (1.2, "1", False)])
def test_a_short_american_call_is_assigned_before_a_dividend_above_its_time_value(dividend, quantity, assigned):
    """Share 190.00, strike 180.00, call 10.30: 0.30 of time value. A dividend of 1.20 is worth more, one of 0.30 is not."""
    market = world(SHARE, [189.0, 190.0, 189.0, 189.5], {"OPRA:A180": [9.5, 10.30, 9.4, 9.9]})
    contracts = [OptionTerms("OPRA:A180", SHARE.id, "call", Decimal(180), WEEK["close"][3])]
    actions = action_rows(SHARE.id, [date(2024, 1, 19)], None, [dividend])
    book = ledger.Ledger(market, events_of(market, actions=actions, contracts=contracts), {"USD": "100000"})
    book.play(lambda t: book.trade("OPRA:A180", quantity, "9.50") if t == 0 else None, last=2)
    assert book.held(SHARE.id) == Decimal(-100 if assigned else 0)
    assert sum(book.moved(s.K_ASSIGNMENT)) == Decimal(18_000 if assigned else 0)
    assert book.moved(s.K_DIVIDEND) == ([Decimal("-120.00")] if assigned else [])      # short over the ex-date: it pays


def test_contracts_that_make_no_sense_are_refused():
    end = WEEK["close"][2]
    with pytest.raises(InvalidInput, match="opening value"):
        OptionTerms("OPRA:C", SPX.id, "call", Decimal(1), end, settlement="AM")
    with pytest.raises(InvalidInput, match="call or put"):
        OptionTerms("OPRA:C", SPX.id, "straddle", Decimal(1), end)
    with pytest.raises(InvalidInput, match="strike above 0"):
        OptionTerms("OPRA:C", SPX.id, "call", Decimal(0), end)
    with pytest.raises(InvalidInput, match="maintenance margin up to"):
        FutureTerms("XCME:ES", end, Decimal(1), Decimal(2))
    market = world(SHARE, [183.0], {"OPRA:A180": [6.0]})
    with pytest.raises(InvalidInput, match="XNAS:MSFT"):
        events_of(market, contracts=[OptionTerms("OPRA:A180", "XNAS:MSFT", "call", Decimal(180), end)])
    with pytest.raises(InvalidInput, match="terms of a future"):
        events_of(market, contracts=[FutureTerms(SHARE.id, end, Decimal(2), Decimal(1))])
    split = action_rows(SHARE.id, [date(2024, 1, 18)], [2.0])
    with pytest.raises(InvalidInput, match="adjusted contract"):
        events_of(market, actions=split, contracts=[OptionTerms("OPRA:A180", SHARE.id, "call", Decimal(180), end)])
    naive = datetime(2024, 1, 19)  # noqa: DTZ001
    with pytest.raises(InvalidInput):
        OptionTerms("OPRA:C", SPX.id, "call", Decimal(1), naive)


def test_the_last_moment_of_a_dated_contract_is_the_close_of_its_last_session():
    assert terms(OLD).expires_at == DAYS.filter(pl.col("session") == date(2024, 6, 21))["close"][0]
    assert terms(OLD).expires_at.tzinfo is not None
    assert np.isfinite(terms(OLD).expires_at.astimezone(UTC).timestamp())
