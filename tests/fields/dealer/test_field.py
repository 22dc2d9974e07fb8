"""The interpreter: exposures that add up and scale, vanna with its shock, expected moves by name, and a stamp on everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fieldcast.fields import dealer
from fieldcast.fields.dealer import (
    ALL_SHORT,
    NAIVE,
    REVERSED,
    Conventions,
    Move,
    SpotVolBeta,
    Stamped,
    charm_exposure,
    dealer_field,
    dealer_sign,
    delta_exposure,
    expected_move,
    gamma_exposure,
    vanna_exposure,
    vanna_field,
)
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.pricing_chain import price_chain
from fieldcast.fields.readings import Reading
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.pricing import bsm_greeks

EXPOSURES = ("gex", "dex", "vex", "chex")
ROWS = (
    "contract_id", "strike", "is_call", "american", "expiry", "years", "rate", "carry", "sigma", "open_interest", "multiplier",
    "volume",
)  # fmt: skip


def a_chain(make_priced, n=80, seed=1, **changes):
    random = np.random.default_rng(seed)
    return make_priced(
        random.uniform(80, 120, n).round(0), random.choice([0.15, 0.2, 0.3], n), random.choice([3.0, 30.0, 90.0], n),
        random.random(n) < 0.5, random.integers(0, 3_000, n), rate=0.05, carry=0.02,
        multiplier=random.choice([10.0, 100.0], n), **changes,
    )  # fmt: skip


def take(chain: PricedChain, rows) -> PricedChain:
    return replace(chain, **{name: getattr(chain, name)[rows] for name in ROWS})


def figures(found):
    return np.array([getattr(found, name) for name in EXPOSURES])


# exposures ----------------------------------------------------------------------------------------------------------


def test_each_exposure_is_the_sum_over_contracts_priced_one_by_one(make_priced):
    chain = a_chain(make_priced)
    found = dealer_field(chain)
    one = bsm_greeks(100.0, chain.strike, chain.years, 0.05, 0.03, chain.sigma, chain.is_call)
    units = np.where(chain.is_call, 1, -1) * chain.open_interest * chain.multiplier
    expected = [
        gamma_exposure(one.gamma, units, 100.0).sum(), delta_exposure(one.delta, units, 100.0).sum(),
        vanna_exposure(one.vanna, units, 100.0).sum(), charm_exposure(one.charm, units, 100.0).sum(),
    ]  # fmt: skip
    np.testing.assert_allclose(figures(found), expected, rtol=1e-10)
    assert len(found.book.lines) < len(chain)  # what shares strike, expiry and volatility is one line


def test_units_follow_from_the_formulas():
    # γ = .02, 1,000 units, S = 50: a 1 % move is 0.5, delta moves by .01 × 1,000 units = 10, at 50 that is $500
    assert gamma_exposure(0.02, 1_000, 50.0) == pytest.approx(500.0)
    assert delta_exposure(0.5, 1_000, 50.0) == pytest.approx(25_000.0)
    assert vanna_exposure(0.4, 1_000, 50.0) == pytest.approx(200.0)
    assert charm_exposure(-0.73, 1_000, 50.0) == pytest.approx(-100.0)


def test_tables_by_strike_expiry_and_line_add_up(make_priced):
    found = dealer_field(a_chain(make_priced))
    for name in EXPOSURES:
        total = getattr(found, name)
        for table in (found.by_strike, found.by_expiry, found.by_line):
            assert table[name].sum() == pytest.approx(total, rel=1e-9), name
    assert found.by_strike["call_oi"].sum() + found.by_strike["put_oi"].sum() == found.book.chain.open_interest.sum()
    assert found.by_strike["strike"].is_sorted()
    assert found.by_expiry.height == 3
    assert found.by_expiry["share"].sum() == pytest.approx(1.0)
    assert found.by_expiry["left"][-1] == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([2.0, 4.0, 0.5]))
def test_exposures_scale_with_open_interest_and_flips_do_not_move(make_priced, seed, factor):
    chain = a_chain(make_priced, 30, seed)
    one, more = dealer_field(chain), dealer_field(replace(chain, open_interest=factor * chain.open_interest))
    np.testing.assert_allclose(figures(more), factor * figures(one), rtol=1e-12)
    np.testing.assert_allclose(more.gamma.gex, factor * one.gamma.gex, rtol=1e-12)
    np.testing.assert_allclose(more.flips, one.flips, rtol=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_the_opposite_policy_gives_the_opposite_field(make_priced, seed):
    chain = a_chain(make_priced, 30, seed)
    one, other = dealer_field(chain, sign=NAIVE), dealer_field(chain, sign=REVERSED)
    np.testing.assert_allclose(figures(other), -figures(one), rtol=1e-12)
    np.testing.assert_allclose(other.flips, one.flips, rtol=1e-9)
    assert other.gamma.rising == tuple(not up for up in one.gamma.rising)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.9))
def test_exposures_of_two_parts_of_a_chain_add_up(make_priced, seed, share):
    chain = a_chain(make_priced, 40, seed)
    first = np.random.default_rng(seed).random(len(chain)) < share
    if first.all() or not first.any():
        return
    parts = [dealer_field(take(chain, rows)) for rows in (first, ~first)]
    whole = dealer_field(chain)
    scale = np.abs(figures(parts[0])) + np.abs(figures(parts[1])) + 1.0
    assert (np.abs(figures(parts[0]) + figures(parts[1]) - figures(whole)) < 1e-11 * scale).all()
    np.testing.assert_allclose(parts[0].gamma.gex + parts[1].gamma.gex, whole.gamma.gex, rtol=1e-9, atol=1e-3)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_contracts_does_not_matter(make_priced, seed):
    chain = a_chain(make_priced, 40, seed)
    mixed = dealer_field(take(chain, np.random.default_rng(seed).permutation(len(chain))))
    one = dealer_field(chain)
    np.testing.assert_allclose(figures(mixed), figures(one), rtol=1e-10)
    assert mixed.by_strike.select("strike", "call_oi", "put_oi").equals(one.by_strike.select("strike", "call_oi", "put_oi"))
    assert mixed.open_interest.max_pain == one.open_interest.max_pain


# vanna --------------------------------------------------------------------------------------------------------------


def test_the_shock_absorber_is_what_vanna_takes_back_of_a_small_move(make_priced):
    book = dealer_sign(a_chain(make_priced))
    found = vanna_field(book, SpotVolBeta(-1.2, "test"), [99.999, 100.001])
    by_move = -found.vanna_part[1] / found.gamma_part[1]
    assert found.absorber == pytest.approx(by_move, rel=1e-3)
    assert found.absorber == pytest.approx(1.2 * found.net / float(book.exposures.gex.sum()))
    assert found.net == pytest.approx(found.above + found.below)


def test_without_a_beta_the_absorber_is_unknown_not_zero(make_priced):
    found = vanna_field(dealer_sign(a_chain(make_priced)))
    assert found.absorber is None
    assert found.reasons["absorber"] == Reason.COVARIATE_MISSING
    reading = dealer_field(a_chain(make_priced)).reading()
    assert "vanna_absorber" not in reading.values
    assert reading.reasons["vanna_absorber"] == Reason.COVARIATE_MISSING
    with_beta = dealer_field(a_chain(make_priced), beta=SpotVolBeta(-1.0, "test")).reading()
    assert "vanna_absorber" in with_beta.values
    with pytest.raises(InvalidInput, match="its source"):
        SpotVolBeta(-1.0, "")


# expected moves -----------------------------------------------------------------------------------------------------


def test_expected_moves_have_names_and_known_coverage(make_priced):
    chain = make_priced([95.0, 100.0, 105.0], [0.22, 0.2, 0.19], 30.0)
    found = expected_move(dealer_sign(chain))
    sd = 100 * 0.2 * np.sqrt(30 / 365)
    row = found.by_expiry.row(0, named=True)
    assert row["sd"] == pytest.approx(sd, rel=1e-12)
    assert row["straddle"] == pytest.approx(np.sqrt(2 / np.pi) * sd, rel=2e-4)
    assert row["straddle_085"] / row["straddle"] == pytest.approx(0.85)
    assert row["straddle_125"] == pytest.approx(sd, rel=3e-3)
    for name, coverage in (("straddle", 0.57), ("straddle_085", 0.50), ("straddle_125", 0.68)):
        assert 2 * norm.cdf(row[name] / sd) - 1 == pytest.approx(coverage, abs=6e-3)
    assert found.nearest(Move.SD) == row["sd"]


def test_the_straddle_is_the_price_of_call_and_put_at_the_forward(make_priced):
    forward = 100 * np.exp(0.02 * 30 / 365)
    chain = make_priced([95.0, forward, 105.0], [0.22, 0.2, 0.19], 30.0, rate=0.05, carry=0.02)
    both = [float(bsm_greeks(100.0, forward, 30 / 365, 0.05, 0.03, 0.2, call).price) for call in (True, False)]
    assert expected_move(dealer_sign(chain)).nearest(Move.STRADDLE) == pytest.approx(sum(both), rel=1e-10)


def test_volatility_at_the_money_is_between_its_neighbours_or_unknown(make_priced):
    between = expected_move(dealer_sign(make_priced([98.0, 102.0], [0.3, 0.2], 30.0))).by_expiry["volatility"][0]
    k = np.log([0.98, 1.02])
    assert between**2 == pytest.approx(0.3**2 + (0.2**2 - 0.3**2) * (0 - k[0]) / (k[1] - k[0]))
    one_sided = expected_move(dealer_sign(make_priced([101.0, 102.0], [0.3, 0.2], 30.0)))
    assert one_sided.by_expiry["sd"][0] is None
    assert list(one_sided.reasons.values()) == [Reason.FEW_ROWS]
    assert one_sided.nearest() is None


# the stamp ----------------------------------------------------------------------------------------------------------


def test_every_output_carries_the_same_stamp(make_priced):
    found = dealer_field(a_chain(make_priced), sign=ALL_SHORT)
    for part in (found, found.book, found.gamma, found.vanna, found.open_interest, found.decay, found.moves,
                 dealer.charm_field(found.book), dealer.greek_field_mapper(found.book, [99.0, 101.0])):  # fmt: skip
        assert isinstance(part, Stamped)
        assert part.conventions == found.conventions
    assert found.conventions.sign_policy == ALL_SHORT.name
    assert found.reading().conventions["stickiness"].startswith("sticky strike")


def test_american_contracts_say_what_their_greeks_leave_out(make_priced):
    assert "early exercise left out" in dealer_field(a_chain(make_priced, american=True)).conventions.greeks_model
    assert "early exercise" not in dealer_field(a_chain(make_priced)).conventions.greeks_model


@pytest.mark.parametrize("part", ["gamma", "open_interest", "moves", "decay", "vanna", "book"])
@pytest.mark.parametrize("stamp", [None, "naive", {}])
def test_an_output_without_its_stamp_is_rejected(make_priced, part, stamp):
    found = dealer_field(a_chain(make_priced))
    with pytest.raises(InvalidInput, match="can be read in several ways"):
        replace(getattr(found, part), conventions=stamp)
    with pytest.raises(InvalidInput, match="can be read in several ways"):
        replace(found, conventions=stamp)
    with pytest.raises(TypeError, match="conventions"):
        type(getattr(found, part))()


def test_a_stamp_with_an_empty_part_is_none():
    with pytest.raises(InvalidInput, match="sign_policy"):
        Conventions(sign_policy="", day_count="ACT/365", iv_source="given")
    with pytest.raises(InvalidInput, match="unit"):
        Conventions(sign_policy="naive", day_count="ACT/365", iv_source="given", unit=" ")


# the reading --------------------------------------------------------------------------------------------------------


def test_the_reading_has_figures_landmarks_and_reasons(make_priced):
    chain = a_chain(make_priced, 200)
    found = dealer_field(chain)
    reading = found.reading()
    assert isinstance(reading, Reading)
    assert reading.namespace == "dealer"
    assert {"gex", "dex", "vex", "chex", "oi_hhi", "epp", "expected_move_sd"} <= reading.values.keys()
    assert {"call_wall", "put_wall", "absolute_gamma_strike", "max_pain"} <= reading.landmarks.keys()
    assert reading.landmarks["call_wall"].known_since == chain.as_of
    assert ("flip" in reading.landmarks) != ("flip" in reading.reasons)
    assert reading.values["contracts"] == 200
    assert not reading.simulated
    assert dealer_field(replace(chain, simulated=True)).reading().simulated


def test_the_reading_of_a_chain_without_open_interest_has_reasons_instead(make_priced):
    reading = dealer_field(make_priced([95.0, 105.0], open_interest=0.0)).reading()
    assert reading.values["gex"] == 0.0
    for name in ("call_wall", "put_wall", "flip", "max_pain", "oi_hhi", "epp", "dealer_long_share"):
        assert reading.reasons[name] == Reason.UNDEFINED
        assert name not in reading.values
        assert name not in reading.landmarks


def test_a_field_out_of_a_table_counts_what_it_left_out(make_table):
    chain = make_table().with_columns(open_interest=pl.when(pl.col("strike") > 108).then(None).otherwise("open_interest"))
    found = dealer_field(price_chain(chain, chain["ts"][0]))
    assert found.dropped == {Reason.OPEN_INTEREST_UNKNOWN: chain.filter(pl.col("strike") > 108).height}
    assert found.reading().values["contracts_dropped"] == sum(found.dropped.values())
    assert "out-of-the-money" in found.conventions.iv_source


def test_what_ends_today_is_unknown_where_it_may_have_been_dropped(make_priced):
    chain = make_priced([95.0, 105.0], days=[0.1, 30.0])
    assert 0 < dealer_field(chain).reading().values["zero_dte_share"] < 1
    later = make_priced([95.0, 105.0], days=30.0)
    assert dealer_field(later).reading().values["zero_dte_share"] == 0.0
    holed = dealer_field(replace(later, dropped={Reason.FEW_ROWS: 20})).reading()
    assert holed.reasons["zero_dte_share"] == Reason.UNRESOLVED
    assert "zero_dte_share" not in holed.values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": np.array([0.2, np.nan])}, "sigma"), ({"years": np.array([0.1, 0.0])}, "years"),
        ({"open_interest": np.array([1.0, -1.0])}, "open interest"),
        ({"open_interest": np.array([1.0, np.nan])}, "open_interest"),
        ({"spot": float("nan")}, "spot"), ({"day_count": "30/360"}, "day count"), ({"carry": np.array([0.0, np.inf])}, "carry"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_priced_are_refused(make_priced, change, message):
    with pytest.raises(InvalidInput, match=message):
        dealer_field(replace(make_priced([95.0, 105.0]), **change))


def test_an_empty_chain_is_no_field(make_priced):
    with pytest.raises(MissingData, match="found none"):
        dealer_field(take(make_priced([95.0, 105.0]), np.zeros(2, bool)))


def test_there_are_eight_processors_and_one_interpreter():
    assert list(dealer.PROCESSORS) == [
        "DealerSign", "GammaField", "VannaField", "CharmField", "OIDistribution", "GreekFieldMapper", "CharmDecay",
        "ExpectedMove",
    ]  # fmt: skip
    assert dealer.interpret is dealer_field
