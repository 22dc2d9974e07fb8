"""Short options beside the exchanges' minimum: Cboe's own examples, properties of the pairing, a run that would be called."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import Instrument, Kind, sessions_between
from fieldcast.simulation.derivatives import OptionTerms
from fieldcast.simulation.market import Market
from fieldcast.simulation.option_margin import (
    INDEX_RATE,
    Leg,
    margin_warning,
    naked_requirement,
    option_margins,
    requirement,
)
from fieldcast.simulation.report import backtest_report
from fieldcast.simulation.settings import Margin, TargetUnit, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel

IBM, SPX = 97.73, 1451.19  # prices behind Cboe's "Margin Requirement Examples for Sample Options-based Positions"
SOON, LATER = 10, 20


def leg(right: str, strike: float, units: float, premium: float, ends: int = SOON) -> Leg:
    return Leg(right, strike, ends, units, premium)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("right", "strike", "premium", "spot", "rate", "stated"),
    [
        ("call", 100, 1.68, IBM, 0.20, 172_760),  # Cboe: short 100 IBM April 100 calls at 1.68
        ("put", 100, 3.18, IBM, 0.20, 195_460),  # short 100 IBM April 100 puts at 3.18, in the money
        ("call", 1460, 21.66, SPX, INDEX_RATE, 2_088_685),  # short 100 SPX April 1460 calls at 21.66
        ("put", 1460, 22.55, SPX, INDEX_RATE, 2_176_785),  # short 100 SPX April 1460 puts at 22.55
    ],
)
def test_naked_shorts_of_cboes_examples(
    right: str, strike: float, premium: float, spot: float, rate: float, stated: float
) -> None:
    """Golden: 100 contracts of 100; Cboe states the requirement less the premium that was received."""
    found = requirement(spot, 0.0, [leg(right, strike, -10_000, premium)], rate=rate)
    assert found.total - 10_000 * premium == pytest.approx(stated, abs=0.5)
    assert found.naked == found.total


def test_a_covered_call_of_cboes_examples_asks_for_the_shares_alone() -> None:
    """Long 10,000 IBM at 97.73, short 100 April 100 calls at 1.68: 471,850 = half the shares less the premium."""
    found = requirement(IBM, 10_000, [leg("call", 100, -10_000, 1.68)])
    assert (found.total, found.covered) == (0.0, 10_000)
    assert 0.5 * 10_000 * IBM + found.total - 10_000 * 1.68 == pytest.approx(471_850, abs=0.5)


def test_a_risk_reversal_of_cboes_examples() -> None:
    """Long 100 April 95 puts at 1.02, short 100 April 105 calls at 0.40: 132,960, the put paid, the call's premium received."""
    found = requirement(IBM, 0, [leg("put", 95, 10_000, 1.02), leg("call", 105, -10_000, 0.40)])
    assert found.total - 10_000 * 0.40 + 10_000 * 1.02 == pytest.approx(132_960, abs=0.5)


def test_verticals_ask_for_their_most_loss() -> None:
    """Cboe: long 95 call at 4.53, short 105 call at 0.40: 41,300 is what was paid. A credit spread: the strikes' distance."""
    debit = requirement(IBM, 0, [leg("call", 95, 10_000, 4.53), leg("call", 105, -10_000, 0.40)])
    assert debit.total == 0.0
    paid = 10_000 * (4.53 - 0.40)
    assert paid == pytest.approx(41_300)
    credit = requirement(130.0, 0, [leg("put", 125, -100, 1.24), leg("put", 120, 100, 0.80)])
    assert credit.total == 500.0
    calendar = requirement(130.0, 0, [leg("put", 125, -100, 1.24, LATER), leg("put", 120, 100, 0.80, SOON)])
    assert calendar.naked == calendar.total == 100 * (1.24 + 0.2 * 130 - 5)


def test_ten_percent_is_the_least_for_a_call_far_out_of_the_money_and_of_the_strike_for_a_put() -> None:
    assert naked_requirement(leg("call", 200, -1, 0.05), 100.0) == pytest.approx(0.05 + 10.0)
    assert naked_requirement(leg("put", 50, -1, 0.05), 100.0) == pytest.approx(0.05 + 5.0)


def test_what_shares_and_longs_do_not_reach_is_naked() -> None:
    """300 shares cover three of five calls, 2.00 in the money; a long call one more; the last one is naked."""
    legs = [leg("call", 100, -500, 4.0), leg("call", 110, 100, 1.0)]
    found = requirement(102.0, 300, legs)
    assert found.covered == 300
    assert found.naked == pytest.approx(100 * (4.0 + 0.2 * 102))
    assert found.total == pytest.approx(found.naked + 100 * 10.0 + 300 * 2.0)


def test_a_straddle_asks_for_its_larger_side_and_the_premium_of_the_other() -> None:
    """Cboe: short put and short call: the greater of the two requirements, and the other side's option price."""
    call, put = leg("call", 100, -200, 3.0), leg("put", 95, -100, 1.0)
    found = requirement(100.0, 0.0, [call, put])
    assert found.total == pytest.approx(100 * (3.0 + 20.0 + 1.0) + 100 * (3.0 + 20.0))
    assert found.naked == found.total


def test_in_a_cash_account_a_put_by_itself_asks_for_its_strike() -> None:
    """12 CFR 220.8: cash of the exercise price, beside another put too (FINRA 4210(f)(2) excepts European index spreads)."""
    assert requirement(100.0, 0.0, [leg("put", 95, -100, 1.0)], secured=True).total == 9_500.0
    assert requirement(100.0, 0.0, [leg("put", 95, -100, 1.0), leg("put", 90, 100, 0.5)], secured=True).total == 9_500.0


LEGS = st.lists(
    st.builds(
        leg, st.sampled_from(("call", "put")), st.integers(80, 120).map(float), st.sampled_from((-100.0, 100.0)),
        st.floats(0.05, 20.0), st.sampled_from((SOON, LATER)),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


def pairings(spot: float, shares: float, legs: list[Leg], right: str) -> list[tuple[float, tuple[Leg, ...]]]:
    """(asked, what stays naked) of every way to give each short of a right a cover of shares, a long, or nothing."""
    shorts = [one for one in legs if one.right == right and one.units < 0]
    longs: list[Leg | str | None] = [one for one in legs if one.right == right and one.units > 0]
    longs += ["shares"] * int(max(shares if right == "call" else -shares, 0) // 100) + [None] * len(shorts)
    found = []
    for chosen in set(permutations(range(len(longs)), len(shorts))):
        cost, alone = 0.0, []
        for short, place in zip(shorts, chosen, strict=True):
            cover = longs[place]
            if cover is None:
                alone.append(short)
            elif isinstance(cover, Leg):
                apart = cover.strike - short.strike if right == "call" else short.strike - cover.strike
                cost += 100 * max(apart, 0.0) if cover.ends >= short.ends else float("inf")
            else:
                cost += 100 * max(spot - short.strike if right == "call" else short.strike - spot, 0.0)
        found.append((cost, tuple(alone)))
    return found


def least_of_all_pairings(spot: float, shares: float, legs: list[Leg]) -> float:
    """Every way to cover the shorts, and every way to make straddles of what is left; legs of 100 units each."""
    best = float("inf")
    for call_cost, calls in pairings(spot, shares, legs, "call"):
        for put_cost, puts in pairings(spot, shares, legs, "put"):
            few, many = sorted((calls, puts), key=len)
            for chosen in permutations(many, len(few)):
                cost = call_cost + put_cost
                for one, other in zip(few, chosen, strict=True):
                    asked = sorted((naked_requirement(leg, spot), leg.premium) for leg in (one, other))
                    cost += 100 * (asked[1][0] + asked[0][1])
                rest = [leg for leg in many if not any(leg is other for other in chosen)]
                best = min(best, cost + sum(100 * naked_requirement(leg, spot) for leg in rest))
    return best


@settings(deadline=None, max_examples=60)
@given(legs=LEGS, shares=st.sampled_from((-200.0, 0.0, 100.0)), spot=st.floats(85.0, 115.0))
def test_never_below_the_least_of_all_pairings_and_never_above_everything_naked(
    legs: list[Leg], shares: float, spot: float
) -> None:
    found = requirement(spot, shares, legs)
    inside = {"call": lambda strike: spot - strike, "put": lambda strike: strike - spot}  # a premium may be below this here
    alone = sum(100 * max(naked_requirement(one, spot), inside[one.right](one.strike)) for one in legs if one.units < 0)
    assert least_of_all_pairings(spot, shares, legs) - 1e-6 <= found.total <= alone + 1e-6
    assert 0 <= found.naked <= found.total


# -- beside a run --------------------------------------------------------------------------------------------------------

SHARE = Instrument("XNAS:AAPL", Kind.EQUITY)
CALL = Instrument("OPRA:A100", Kind.OPTION, multiplier=Decimal(100))
WEEK = sessions_between("XNYS", date(2024, 1, 16), date(2024, 1, 19))
TERMS = OptionTerms(CALL.id, SHARE.id, "call", Decimal(100), datetime(2024, 2, 16, 21, tzinfo=UTC))


def world(shares: list[float], calls: list[float]) -> Market:
    table, (ends, begins) = np.array([shares, calls]), (WEEK[name].dt.epoch("us").to_numpy() for name in ("close", "open"))
    many = np.full(table.shape, 1e6)
    return Market((SHARE, CALL), ends, begins, table, table, table, table, many, np.isfinite(table))


def sold(held: float) -> tuple[object, Market]:
    """5 calls short at the second open, beside `held` shares; the share then rises from 100 to 120."""
    market = world([100.0, 100.0, 110.0, 120.0], [4.0, 4.0, 11.0, 20.5])
    run = run_targets(
        np.array([[held] * 4, [-5.0] * 4]), market,
        VenueSettings(
            cash={"USD": Decimal(65_000)}, size=TargetUnit.UNITS, margin=Margin(Decimal("0.5"), Decimal("0.25")),
            costs=CostModel(Decimal(0), Decimal(0), Decimal(0)),
        ),
    )  # fmt: skip
    return run, market


@pytest.mark.slow
def test_a_naked_call_is_called_where_a_covered_one_is_not() -> None:
    """
    65,000; 5 calls sold at 4.00 (2,000 received). At 100: 500 * (4 + 20) = 12,000 asked, excess 67,000 - 12,000. At 120:
    500 * (20.50 + 24) = 22,250, excess 44,750. With 500 shares bought at 100 (50,000) nothing is asked for the calls: cash
    17,000, shares 60,000 less 25 %; they count for no more than the strike.
    """
    naked, _ = sold(0.0)
    table = option_margins(naked, [TERMS])  # type: ignore[arg-type]
    assert table["required"].to_list() == pytest.approx([12_000, 500 * (11 + 22), 22_250])
    assert table["excess"].to_list() == pytest.approx([55_000, 67_000 - 16_500, 44_750])
    assert (table["naked"] == table["required"]).all()
    covered, _ = sold(500.0)
    table = option_margins(covered, [TERMS])  # type: ignore[arg-type]
    assert table["required"].to_list() == [0.0, 5_000.0, 10_000.0]
    assert table["excess"][-1] == pytest.approx(17_000 + 0.75 * 60_000 - 10_000)
    assert margin_warning(covered, [TERMS]) == ()  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_report_says_where_a_broker_would_have_called() -> None:
    market = world([100.0, 100.0, 110.0, 120.0], [4.0, 4.0, 11.0, 20.5])
    settings_ = VenueSettings(
        cash={"USD": Decimal(30_000)}, size=TargetUnit.UNITS, margin=Margin(Decimal("0.5"), Decimal("0.25")),
        costs=CostModel(Decimal(0), Decimal(0), Decimal(0)),
    )  # fmt: skip
    run = run_targets(np.array([[0.0] * 4, [-10.0] * 4]), market, settings_)
    assert run.positions["quantity"].to_list() == [-10.0]  # the run itself carries it on half the option's value
    said = backtest_report(run, contracts=[TERMS], draws=20).warnings
    assert len([one for one in said if "a broker would have called" in one and "2024-01-19" in one]) == 1
    assert "at 1 of 3 closes" in said[-1]
    assert "by up to 10,500.00 USD" in said[-1]  # 34,000 - 1,000 * 44.50
    assert backtest_report(run, draws=20).warnings == run.warnings


@pytest.mark.slow
def test_an_option_that_the_run_does_not_know_or_an_underlying_without_a_price_is_refused() -> None:
    run, _ = sold(0.0)
    with pytest.raises(InvalidInput, match="an instrument of this market"):
        option_margins(run, [OptionTerms("OPRA:B1", SHARE.id, "put", Decimal(90), TERMS.expires_at)])  # type: ignore[arg-type]
    late = world([np.nan, np.nan, 110.0, 120.0], [4.0, 4.0, 11.0, 20.5])
    run = run_targets(np.array([[0.0] * 4, [-1.0] * 4]), late, VenueSettings(size=TargetUnit.UNITS))
    with pytest.raises(MissingData, match="a price of XNAS:AAPL"):
        option_margins(run, [TERMS])  # type: ignore[arg-type]
    assert option_margins(run, []).is_empty()  # type: ignore[arg-type]
    assert isinstance(option_margins(run, []), pl.DataFrame)  # type: ignore[arg-type]
