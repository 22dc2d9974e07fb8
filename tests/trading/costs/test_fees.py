"""Fees: the venues' own examples, the order of bounds, sales, and days whose rates are on record."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import ConfigError, InvalidInput, MissingData
from fieldcast.trading import CostModel, FeeSchedule, Side, fee_schedule
from fieldcast.trading.costs import VENUES, FeeParts, section_31_rate, trading_activity_fee
from fieldcast.trading.costs.regulatory import ACTIVITY_FEE, OPTION_ACTIVITY_FEE, SECTION_31

ONE = Decimal(1)


@pytest.mark.parametrize(("shares", "price", "commission"), [(100, "25", "1.00"), (1000, "25", "5.00"), (1000, "0.25", "2.50")])
def test_interactive_brokers_own_examples_of_the_fixed_plan(shares: int, price: str, commission: str) -> None:
    """interactivebrokers.co.uk, Commissions Stocks, `Fixed Examples`."""
    parts = fee_schedule("ibkr_fixed").parts(Decimal(price), Decimal(shares), ONE, side=Side.BUY)
    assert parts.commission == Decimal(commission)


def test_binance_own_example() -> None:
    """binance.com, What is Binance Spot Trading Fee: 10 ETH sold at 3452.55 USDT pay 34.5255 USDT."""
    assert fee_schedule("binance_spot").total(Decimal("3452.55"), Decimal(10), ONE, side=Side.SELL) == Decimal("34.5255")


def test_alpaca_rounds_each_part_up_and_charges_sales() -> None:
    """alpaca.markets: activity fee 0.000166 a share, up to the cent, at most 8.30; purchases pay the CAT fee alone."""
    alpaca = fee_schedule("alpaca")
    assert alpaca.parts(Decimal(50), Decimal(100), ONE, side=Side.SELL).activity_fee == Decimal("0.02")
    assert alpaca.parts(Decimal(50), Decimal(60_000), ONE, side=Side.SELL).activity_fee == Decimal("8.30")
    assert alpaca.total(Decimal(50), Decimal(100), ONE, side=Side.BUY) == Decimal("0.01")


def test_coinbase_takes_less_from_those_who_give_liquidity() -> None:
    coinbase = fee_schedule("coinbase_exchange")
    assert coinbase.total(Decimal(40_000), Decimal("0.25"), ONE) == Decimal(60)
    assert coinbase.total(Decimal(40_000), Decimal("0.25"), ONE, maker=True) == Decimal(40)


def test_section_31_of_a_sale_by_hand() -> None:
    """27.80 a million of 1 234 567 is 34.32096…, up to 34.33."""
    parts = fee_schedule("ibkr_fixed").parts(Decimal("1234.567"), Decimal(1000), ONE, side=Side.SELL)
    assert parts.section_31 == Decimal("34.33")


def test_a_sale_needs_its_side() -> None:
    with pytest.raises(InvalidInput, match="side"):
        fee_schedule("alpaca").total(Decimal(50), Decimal(100), ONE)


@given(
    st.decimals("0.01", "5000", places=2),
    st.integers(1, 10**6),
    st.decimals(0, 1, places=4),
    st.decimals(0, 50, places=1),
    st.decimals(0, 20, places=2),
    st.none() | st.decimals(0, "0.05", places=3),
)
def test_a_commission_lies_within_its_bounds(
    price: Decimal, quantity: int, unit: Decimal, bps: Decimal, minimum: Decimal, most: Decimal | None
) -> None:
    """Recomputed in fractions: the bounds, then up to the cent, and never more than a cent above."""
    fees = FeeSchedule("own", per_unit=unit, value_bps=bps, minimum=minimum, maximum_share=most)
    value = Fraction(price) * quantity
    exact = max(value * Fraction(bps) / 10_000 + quantity * Fraction(unit), Fraction(minimum))
    exact = exact if most is None else min(exact, value * Fraction(most))
    assert 0 <= Fraction(fees.total(price, Decimal(quantity), ONE)) - exact < Fraction(1, 100)


@pytest.mark.parametrize("name", VENUES)
def test_every_preset_names_its_source_and_its_time(name: str) -> None:
    preset = VENUES[name]
    assert preset.source.startswith("https://")
    assert preset.published
    assert preset.note
    assert preset.total(Decimal(100), Decimal(10), ONE, side=Side.SELL) >= 0


def test_a_venue_that_could_not_be_seen_has_no_preset() -> None:
    with pytest.raises(MissingData, match="FeeSchedule of your own"):
        fee_schedule("robinhood")


@pytest.mark.parametrize(
    ("name", "taker", "maker"),
    [("kraken", "8.00", "4.00"), ("kraken_from_2015_08", "2.60", "1.60"),
     ("binance_usd_margined", "0.50", "0.20"), ("binance_usd_margined_2022", "0.40", "0.20")],
)  # fmt: skip
def test_what_a_thousand_dollars_of_a_coin_cost(name: str, taker: str, maker: str) -> None:
    """Golden: the venues' own percentages, as read at the preset's time, of 1,000 dollars."""
    preset = fee_schedule(name)
    assert preset.total(Decimal(50_000), Decimal("0.02"), ONE) == Decimal(taker)
    assert preset.total(Decimal(50_000), Decimal("0.02"), ONE, maker=True) == Decimal(maker)


@pytest.mark.parametrize(
    ("name", "cost"),
    [("tradier", "0"), ("tradier_lite_options", "3.50"), ("tradier_pro_options", "0"), ("tradier_pro_index_options", "3.50"),
     ("tradier_pro_plus_index_options", "1.00")],
)  # fmt: skip
def test_what_ten_contracts_cost_at_tradier(name: str, cost: str) -> None:
    """Golden: plans Lite, Pro and Pro Plus in Benzinga's article of 2024-12-05; stocks in QuantConnect/Lean#6085."""
    assert fee_schedule(name).total(Decimal("2.50"), Decimal(10), Decimal(100), side=Side.BUY) == Decimal(cost)


def test_shares_at_tradier_pay_the_regulators() -> None:
    """27.80 a million of 100,000 sold and 0.000166 for each of 1,000 shares, each up to the cent."""
    parts = fee_schedule("tradier").with_regulatory_on(date(2025, 2, 3)).parts(Decimal(100), Decimal(1000), ONE, side=Side.SELL)
    assert (parts.commission, parts.section_31, parts.activity_fee) == (Decimal(0), Decimal("2.78"), Decimal("0.17"))


@pytest.mark.parametrize(
    ("name", "commission", "section_31", "activity"),
    [("schwab_options", "6.50", "0.07", "0.03"), ("tradier_pro_options", "0", "0.07", "0.03"),
     ("tradier_pro_index_options", "3.50", "0", "0.03")],
)  # fmt: skip
def test_contracts_pay_the_regulators_as_contracts(name: str, commission: str, section_31: str, activity: str) -> None:
    """Golden: 27.80 a million of a premium of 2,500 sold is 0.0695, 0.00279 for each of ten contracts 0.0279, up to the cent."""
    dated = fee_schedule(name).with_regulatory_on(date(2025, 2, 3))
    sold = dated.parts(Decimal("2.50"), Decimal(10), Decimal(100), side=Side.SELL)
    assert sold == FeeParts(Decimal(commission), Decimal(section_31), Decimal(activity))
    bought = dated.parts(Decimal("2.50"), Decimal(10), Decimal(100), side=Side.BUY)
    assert (bought.section_31, bought.activity_fee) == (0, 0)


def test_contracts_on_a_day_not_on_record_are_refused() -> None:
    """2012-01-03 has the rate of shares on record and not that of options."""
    with pytest.raises(MissingData, match="trading activity fee of options"):
        fee_schedule("schwab_options").with_regulatory_on(date(2012, 1, 3))


@pytest.mark.parametrize("name", ["kraken", "binance_spot", "binance_usd_margined", "coinbase_exchange"])
def test_the_regulators_of_shares_take_nothing_of_coins(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}, of coins"):
        fee_schedule(name).with_regulatory_on(date(2025, 2, 3))


@pytest.mark.parametrize(
    ("day", "rate"),
    [("2018-05-21", "0.0000231"), ("2018-05-22", "0.0000130"), ("2019-04-15", "0.0000130"), ("2019-04-16", "0.0000207"),
     ("2020-02-17", "0.0000207"), ("2020-02-18", "0.0000221"), ("2021-02-24", "0.0000221"), ("2021-02-25", "0.0000051"),
     ("2022-05-13", "0.0000051"), ("2022-05-14", "0.0000229"), ("2023-02-26", "0.0000229"), ("2023-02-27", "0.0000080"),
     ("2024-05-21", "0.0000080"), ("2024-05-22", "0.0000278"), ("2025-05-13", "0.0000278"), ("2025-05-14", "0")],
)  # fmt: skip
def test_the_day_on_which_section_31_changed(day: str, rate: str) -> None:
    """Golden: notices of FINRA, the SEC and MEMX, named in `SECTION_31`."""
    assert section_31_rate(date.fromisoformat(day)) == Decimal(rate)


@pytest.mark.parametrize("day", ["2017-01-03", "2026-03-04"])
def test_a_day_that_is_not_on_record_is_refused(day: str) -> None:
    with pytest.raises(MissingData, match="without_regulatory"):
        section_31_rate(date.fromisoformat(day))
    with pytest.raises(MissingData, match="trading activity fee"):
        fee_schedule("schwab").with_regulatory_on(date.fromisoformat(day))


def test_a_plan_takes_the_rates_of_a_day() -> None:
    schwab = fee_schedule("schwab").with_regulatory_on(date(2025, 2, 3))
    assert schwab.parts(Decimal(100), Decimal(1000), ONE, side=Side.SELL).total == Decimal("2.78") + Decimal("0.17")
    assert schwab.without_regulatory().total(Decimal(100), Decimal(1000), ONE) == 0
    assert trading_activity_fee(date(2012, 2, 29)) == (Decimal("0.000090"), Decimal("4.50"))


@pytest.mark.parametrize("known", [SECTION_31, ACTIVITY_FEE, OPTION_ACTIVITY_FEE])
def test_spans_on_record_do_not_overlap(known: tuple[object, ...]) -> None:
    spans = [(one.first, one.last) for one in known]  # type: ignore[attr-defined]
    assert all(first <= last for first, last in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_the_model_hands_fees_on() -> None:
    costs = CostModel(fees=fee_schedule("ibkr_fixed"))
    assert costs.commission(Decimal(25), Decimal(1000), ONE, side=Side.BUY) == Decimal("5.08")
    with pytest.raises(InvalidInput, match="side"):
        costs.commission(Decimal(25), Decimal(1000), ONE)


@pytest.mark.parametrize("wrong", [{"per_unit": Decimal(-1)}, {"value_bps": Decimal("NaN")}, {"step": Decimal(0)}])
def test_impossible_fees_are_refused(wrong: dict[str, Decimal]) -> None:
    with pytest.raises(ConfigError, match="own"):
        FeeSchedule("own", **wrong)  # type: ignore[arg-type]
