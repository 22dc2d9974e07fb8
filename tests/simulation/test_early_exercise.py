"""American options before their expiry: the interest on a strike, who is assigned and who exercises, against a tree."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind, sessions_between
from fieldcast.simulation.derivatives import OptionTerms, put_gains
from fieldcast.simulation.event_table import EventKind, micros
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import OrderKind, Ticket

SHARE = Instrument("XNAS:AAPL", Kind.EQUITY)
PUT = Instrument("OPRA:P100", Kind.OPTION, multiplier=Decimal(100))
DAYS = sessions_between("XNYS", date(2024, 1, 4), date(2024, 1, 12))       # Thursday to Friday of the week after
END = datetime(2024, 1, 12, 21, tzinfo=UTC)
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))


def terms(**more: Any) -> OptionTerms:
    return OptionTerms(PUT.id, SHARE.id, "put", Decimal(100), END, **({"rate": Decimal("0.05")} | more))


def test_a_strike_earns_the_nights_to_the_next_close() -> None:
    """One night from Thursday to Friday, three over the weekend; none after the last session."""
    contract = terms()
    closes, gains = put_gains(contract, SHARE, int(DAYS["open"].dt.epoch("us")[0]), micros(END))
    assert closes.tolist() == DAYS["close"].dt.epoch("us").to_list()[:-1]
    nights = [1, 3, 1, 1, 1, 1]
    assert gains.tolist() == [round(100 * (1 - math.exp(-0.05 * count / 365)) * 1e8) for count in nights]


def test_without_a_rate_and_for_europeans_nothing_happens_before_the_end() -> None:
    market = world([80.0] * 7, [20.0] * 7)
    for contract in (terms(rate=None), terms(style="european")):
        kinds = events_of(market, contracts=[contract]).kind.tolist()
        assert kinds == [EventKind.EXPIRE_OPTION]
    with pytest.raises(InvalidInput, match="exercise at expiry of the European"):
        terms(style="european", exercise="early")
    with pytest.raises(InvalidInput, match="a rate in"):
        terms(rate=Decimal(1))


def world(shares: list[float], puts: list[float]) -> Market:
    table = np.array([shares, puts])
    ends, begins = (DAYS[name].dt.epoch("us").to_numpy() for name in ("close", "open"))
    many = np.full(table.shape, 1e6)
    return Market((SHARE, PUT), ends, begins, table, table, table, table, many, np.isfinite(table))


def play(lots: int, puts: list[float], contract: OptionTerms) -> tuple[Simulator, list[dict[str, Decimal]]]:
    market = world([80.0] * 7, puts)
    settings = VenueSettings(
        cash={"USD": Decimal(100_000)}, costs=FREE, margin=Margin(Decimal("0.5"), Decimal("0.25")), options=(contract,)
    )
    simulator = Simulator(market, settings, events=events_of(market, contracts=[contract]))
    simulator.advance()
    simulator.submit(Ticket(PUT.id, Side.BUY if lots > 0 else Side.SELL, Decimal(abs(lots)), OrderKind.MARKET))
    held = []
    for _ in range(6):
        simulator.advance()
        held.append(simulator.positions())
    simulator.result().verify()
    return simulator, held


# time values: above the interest of every night (0.0137, 0.0411 over the weekend), until Tuesday's, of 0.01
RICH = [20.05, 20.05, 20.05, 20.01, 20.05, 20.05, 20.0]


def test_a_short_put_is_assigned_at_the_close_at_which_waiting_costs_more_than_its_time_value() -> None:
    simulator, held = play(-2, RICH, terms())
    assert held[1] == {PUT.id: Decimal(-2)}     # Monday
    assert held[2] == {SHARE.id: Decimal(200)}  # Tuesday: two puts at 100 on a share at 80
    assert simulator.account().equity == 100_000 + 2 * 2_005 - 2 * 100 * 20
    journal = simulator.result().journal
    assert "assignment" in set(journal["kind"])


def test_a_long_put_is_exercised_then_only_where_its_terms_say_so() -> None:
    early, held = play(2, RICH, terms(exercise="early"))
    assert held[2] == {SHARE.id: Decimal(-200)}
    assert "exercise" in set(early.result().journal["kind"])
    _, kept = play(2, RICH, terms())
    assert kept[4] == {PUT.id: Decimal(2)}
    assert kept[5] == {SHARE.id: Decimal(-200)}      # at expiry


def test_a_weekend_asks_for_three_nights_of_time_value() -> None:
    """0.03 of time value is more than a night's interest and less than a weekend's: assigned on Friday, not on Thursday."""
    _, held = play(-1, [20.03, 20.03, 20.03, 20.03, 20.03, 20.03, 20.0], terms())
    assert held[0] == {SHARE.id: Decimal(100)}


def test_nothing_is_exercised_early_at_a_close_for_which_the_option_has_no_price() -> None:
    """An old price below what the put is worth by now would say so each night."""
    _, held = play(-1, [20.05, 20.05, *[math.nan] * 4, 20.0], terms())
    assert held[4] == {PUT.id: Decimal(-1)}
    assert held[5] == {SHARE.id: Decimal(100)}      # at expiry


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.10])
@pytest.mark.parametrize("sigma", [0.15, 0.30, 0.60])
@pytest.mark.parametrize("days", [5, 30])
def test_the_rule_exercises_wherever_the_tree_does_and_less_than_a_days_move_before(rate: float, sigma: float, days: int) -> None:
    """QuantLib's tree at its fair prices: the highest spot at which it exercises, and the highest at which the rule does.

    The rule's lies at or above the tree's, by less than one standard deviation of a night; what its holder gives up there is by
    its own definition less than a night's interest on the strike.
    """
    ql = pytest.importorskip("QuantLib")
    strike, night = 100.0, 100.0 * -math.expm1(-rate / 365)
    today = ql.Date(4, 1, 2024)
    ql.Settings.instance().evaluationDate = today
    day_count, quote = ql.Actual365Fixed(), ql.SimpleQuote(strike)
    flat = {value: ql.YieldTermStructureHandle(ql.FlatForward(today, value, day_count)) for value in (rate, 0.0)}
    calm = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), sigma, day_count))
    process = ql.BlackScholesMertonProcess(ql.QuoteHandle(quote), flat[0.0], flat[rate], calm)
    option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, strike), ql.AmericanExercise(today, today + days))
    option.setPricingEngine(ql.BinomialVanillaEngine(process, "crr", 400))

    def time_value(spot: float) -> float:
        quote.setValue(spot)
        return float(option.NPV()) - (strike - spot)

    def highest(asked: float) -> float:
        low, high = 20.0, strike
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if time_value(middle) < asked else (low, middle)
        return low

    tree, rule = highest(1e-9), highest(night)
    assert tree - 1e-6 <= rule
    assert rule - tree < strike * sigma * math.sqrt(1 / 365)
