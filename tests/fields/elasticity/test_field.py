"""The interpreter: its figures are those of the processors, its stamps are there, and it holds on real chains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.fields.books.ladders import Ladders
from fieldcast.fields.elasticity import (
    PROCESSORS,
    ElasticityParameters,
    Horizon,
    PricingModel,
    at_the_money,
    elasticity_field,
    fuse_timeframes,
    interpret,
    resisting_work,
)
from fieldcast.fields.vocabulary import EnergyRegime, FieldBias
from fieldcast.ground import InvalidInput, MissingData, Reason


@pytest.fixture(scope="module")
def chain(random_chain_of):
    return random_chain_of(31)


@pytest.fixture(scope="module")
def signs(chain):
    return np.where(chain.is_call, 1.0, -1.0)


def test_there_are_eight_processors_and_one_interpreter() -> None:
    assert list(PROCESSORS) == [
        "HedgeFlow", "ResistingWork", "DirectionalElasticity", "MovementEnergy", "ElasticitySurface", "EnergyRegime",
        "TimeframeFusion", "CrossAssetFriction",
    ]  # fmt: skip
    assert interpret is elasticity_field


def test_the_reading_has_a_value_or_a_reason_for_every_quantity_and_every_stamp(chain, signs) -> None:
    bare = elasticity_field(chain, signs).reading()
    steps = 0.1 * np.arange(1, 400)
    depth = Ladders(100.0 - steps, np.full(399, 500.0), 100.0 + steps, np.full(399, 400.0))

    class Beta:
        points_per_percent, source = -0.8, "a test"

    whole = elasticity_field(chain, signs, depth=depth, daily_volume=1e6, beta=Beta()).reading()
    names = {*bare.values, *bare.labels, *bare.reasons}
    assert names == {*whole.values, *whole.labels, *whole.reasons}
    known = {"asymmetry_1pct", "energy_up_1sigma", "least_energy_1pct", "flow_up_1pct", "charm_flow", "elasticity"}
    assert known <= bare.values.keys()
    assert bare.reasons["energy_regime"] is Reason.VOLUME_NOT_REPORTED
    assert bare.reasons["book_cost_up_1pct"] is Reason.BOOK_UNKNOWN
    assert bare.reasons["vanna_flow_up_1pct"] is Reason.COVARIATE_MISSING
    assert whole.labels["energy_regime"] in set(EnergyRegime)
    for reading in (bare, whole):
        stamps = {"sign_policy", "units", "orientation", "re_pricing", "energy_of", "moves", "day_count"}
        assert stamps <= reading.conventions.keys()
        assert reading.simulated
    assert bare.conventions["energy_of"] == "dealers' hedging alone"
    assert whole.values["energy_up_1pct"] > bare.values["energy_up_1pct"]
    assert whole.values["work_up_1pct"] == bare.values["work_up_1pct"]


def test_the_figures_are_those_of_the_processors(chain, signs) -> None:
    field = elasticity_field(chain, signs, sigma_move=0.012)
    values = field.reading().values
    assert values["work_up_1sigma"] == resisting_work(field.book, 101.2).dollars
    assert values["flow_down_1pct"] == pytest.approx(-(field.book.at(99.0).delta - field.book.at(100.0).delta)[0, 0, 0])
    assert field.flow.prices.tolist() == pytest.approx([98.8, 99.0, 100.0, 101.0, 101.2])
    assert field.surface is not None
    assert field.surface.elasticity[0, 4, 20] == pytest.approx(values["elasticity"], rel=1e-10)


def test_one_sigma_of_a_day_is_that_of_the_chain_unless_given(chain, signs) -> None:
    field = elasticity_field(chain, signs)
    nearest = np.abs(chain.years * 365 - 30).argmin()
    implied = at_the_money(chain, 30.0)
    rows = chain.years == chain.years[nearest]
    around = chain.sigma[rows][np.argsort(np.abs(chain.strike[rows] - 100.0))[:4]]
    assert around.min() <= implied <= around.max()
    assert field.sigma_dollars == pytest.approx(100.0 * implied / np.sqrt(252.0))
    assert "implied" in field.conventions["moves"]
    assert "given" in elasticity_field(chain, signs, sigma_move=0.01).conventions["moves"]
    for wrong in (0.0, 1.0, np.nan):
        with pytest.raises(InvalidInput):
            elasticity_field(chain, signs, sigma_move=wrong)


def test_nothing_changes_when_the_price_is_quoted_in_other_units(chain, signs) -> None:
    """Ten times the price with a tenth of the units is the same market: dollars, shares of volume and words stay."""
    other = replace(chain, spot=1_000.0, strike=chain.strike * 10.0, multiplier=chain.multiplier / 10.0)
    one = elasticity_field(chain, signs, daily_volume=1e6).reading()
    ten = elasticity_field(other, signs, daily_volume=1e5).reading()
    assert one.labels == ten.labels
    for name, value in one.values.items():
        scale = 10.0 if name == "sigma_dollars" else 0.1 if "flow" in name else 0.01 if "elasticity" in name else 1.0
        assert ten.values[name] == pytest.approx(value * scale, rel=1e-7), name


def test_a_field_without_a_surface_is_quicker_and_says_the_same(chain, signs) -> None:
    bare = elasticity_field(chain, signs, parameters=ElasticityParameters(grid=None))
    assert bare.surface is None
    assert bare.reading() == elasticity_field(chain, signs).reading()


def test_contracts_whose_holder_is_unknown_lower_the_coverage(chain, signs) -> None:
    some = signs.copy()
    some[: len(chain) // 4] = np.nan
    field = elasticity_field(chain, some, daily_volume=1e6)
    assert field.coverage == 0.75
    horizon = field.horizon()
    assert isinstance(horizon, Horizon)
    assert horizon.coverage == 0.75


def test_contracts_that_could_not_be_priced_lower_the_coverage_and_expired_ones_do_not(chain, signs) -> None:
    """A snapshot of n priced, n dropped and 7 expired contracts, a quarter of the priced ones without a holder: 0.75 n / 2 n."""
    from fieldcast.fields.dealer import TradeFlow, dealer_field

    holed = replace(chain, dropped={Reason.FEW_ROWS: len(chain), Reason.EXPIRED: 7})
    some = signs.copy()
    some[: len(chain) // 4] = np.nan
    assert elasticity_field(holed, some).reading().values["coverage"] == 0.375
    assert dealer_field(holed, sign=TradeFlow(some)).reading().values["coverage"] == 0.375
    assert dealer_field(chain, sign=TradeFlow(signs)).reading().values["coverage"] == 1.0


def test_the_share_of_a_horizon_counts_both_sides_whichever_way_they_push(chain_of) -> None:
    """Long a strike above and short one below: e is positive up and negative down, and the dealers matter on both sides."""
    chain = chain_of([97.0, 103.0], [False, True], 0.05, 0.2, 1_000.0)
    field = elasticity_field(chain, [-1.0, 1.0], daily_volume=1e5, sigma_move=0.012)
    up, down = (field.regimes.values[f"energy_share_{side}"] for side in ("up", "down"))
    assert up > 0.0 > down
    horizon = field.horizon()
    assert isinstance(horizon, Horizon)
    assert horizon.share == pytest.approx(0.5 * (up - down))


def test_a_chain_without_strikes_around_the_forward_has_no_volatility_at_the_money(chain_of) -> None:
    """A put at 60 of a volatility of 85 % says nothing of the spot of 100, in whichever expiry it stands."""
    alone = chain_of([60.0], [False], 0.08, 0.85, 100.0)
    assert at_the_money(alone, 30.0) is None
    with pytest.raises(MissingData, match="give sigma_move"):
        elasticity_field(alone, [1.0])
    given = elasticity_field(alone, [1.0], sigma_move=0.012).reading()
    assert "volatility_level" not in given.labels
    assert given.reasons["volatility_level"] is Reason.FEW_ROWS
    # the next expiry that has both sides is asked instead: the nearer of 0.02 and 0.5 years to 30 days
    years = [0.02, 0.02, 0.08, 0.5, 0.5]
    more = chain_of([95.0, 105.0, 60.0, 95.0, 105.0], [False, True, False, False, True], years, [0.2, 0.2, 0.85, 0.3, 0.3])
    assert at_the_money(more, 30.0) == pytest.approx(0.2)


def test_volatility_at_the_money_is_that_of_the_dealer_engine(chain) -> None:
    """Both engines interpolate the same chain: total variance, linear in log-moneyness, at the forward."""
    from fieldcast.fields.dealer import dealer_sign, expected_move

    table = expected_move(dealer_sign(chain)).by_expiry
    row = int(np.argmin(np.abs(table["days"].to_numpy() - 30.0)))
    assert at_the_money(chain, 30.0) == pytest.approx(table["volatility"][row], rel=1e-14)


def test_a_book_that_ends_before_the_move_leaves_the_dealers_figures_and_their_bias(chain, signs) -> None:
    short = Ladders(np.array([99.99, 99.98]), np.full(2, 10.0), np.array([100.01, 100.02]), np.full(2, 10.0))
    bare = elasticity_field(chain, signs).reading()
    cut = elasticity_field(chain, signs, depth=short).reading()
    for size in ("1pct", "1sigma"):
        for side in ("up", "down"):
            for name in (f"elasticity_{side}_{size}", f"energy_{side}_{size}"):
                assert cut.reasons[name] is Reason.BEYOND_BOOK
            for name in (f"dealer_elasticity_{side}_{size}", f"work_{side}_{size}"):
                assert cut.values[name] == bare.values[name]
            assert bare.values[f"dealer_elasticity_{side}_{size}"] == bare.values[f"elasticity_{side}_{size}"]
    assert cut.labels["bias"] is bare.labels["bias"]
    assert cut.conventions["bias_of"] == "dealers' hedging alone"
    # a book that nobody hedges against on either side of it leans nowhere, and says why
    far = elasticity_field(replace(chain, strike=chain.strike * 20.0), signs, depth=short, sigma_move=1e-5).reading()
    assert "bias" in {*far.labels, *far.reasons}


def test_the_stamp_says_of_each_group_whether_the_book_is_in_it(chain, signs) -> None:
    """The profile, its barriers, the energy shares and the words are the dealers' alone even where a book is given."""
    steps = 0.1 * np.arange(1, 400)
    depth = Ladders(100.0 - steps, np.full(399, 500.0), 100.0 + steps, np.full(399, 400.0))
    bare, whole = (elasticity_field(chain, signs, depth=one, daily_volume=1e6).reading() for one in (None, depth))
    alone = "dealers' hedging alone"
    assert (bare.conventions["energy_of"], bare.conventions["profile_of"], bare.conventions["bias_of"]) == (alone,) * 3
    assert whole.conventions["profile_of"] == alone
    for part in ("energy_of", "bias_of"):
        assert "visible book" in whole.conventions[part]
    for name in ("barrier_up", "barrier_down", "energy_share_up", "energy_share_down"):
        assert whole.values[name] == bare.values[name]
    assert whole.labels["energy_regime"] is bare.labels["energy_regime"]
    # two words for two things: a barrier is at least 0, the least energy of both sides may be below it
    assert "barrier_1sigma" not in whole.values
    fed = elasticity_field(chain, -np.ones(len(chain))).reading().values
    assert fed["least_energy_1sigma"] < 0.0 == fed["barrier_up"]


def test_fields_of_several_horizons_fuse(chain, signs) -> None:
    sizes = {"1d": 0.01, "1w": 0.025}
    fields = {name: elasticity_field(chain, signs, sigma_move=size, daily_volume=1e6) for name, size in sizes.items()}
    found = fuse_timeframes({name: field.horizon() for name, field in fields.items()} | {"1mo": Reason.NO_DATA})
    assert found.asymmetry is not None
    low, high = sorted(field.energy["1sigma"].asymmetry.value for field in fields.values())  # type: ignore[type-var]
    assert low <= found.asymmetry <= high  # type: ignore[operator]
    assert elasticity_field(chain, signs).horizon() is Reason.VOLUME_NOT_REPORTED


def test_a_mirrored_book_leans_to_neither_side_in_the_twin(chain_of) -> None:
    chain = chain_of([95.0, 105.0], [False, True], 0.1, 0.2, 50.0)
    field = elasticity_field(chain, [1.0, 1.0], parameters=ElasticityParameters(model=PricingModel.BACHELIER))
    assert field.energy["1sigma"].asymmetry.value == 0.0
    assert field.labels["bias"] is FieldBias.NEITHER
    assert "Bachelier" in field.conventions["re_pricing"]


def test_the_interpreter_takes_the_sign_policies_of_the_dealer_engine(chain, signs) -> None:
    from fieldcast.fields.dealer.sign import ALL_SHORT, NAIVE

    naive = elasticity_field(chain, NAIVE)
    assert naive.reading().values == elasticity_field(chain, signs).reading().values
    assert naive.conventions["sign_policy"] == NAIVE.name
    assert elasticity_field(chain, ALL_SHORT).energy["1pct"].dealer_up.dollars < 0.0


@pytest.fixture
def real_chain(realdata: Path) -> Callable[[str], pl.DataFrame]:
    """A real snapshot by its name, taken as known when it was made."""

    def read(name: str) -> pl.DataFrame:
        from fieldcast.data.formats import cboe
        from fieldcast.data.formats.contract import Options
        from fieldcast.data.formats.source import Source

        options = Options(now=datetime(2026, 11, 1, tzinfo=UTC), venue="XNAS")
        parts = list(cboe.read(Source(realdata / "options" / "cboe_quotedata" / name), options))
        return pl.concat([part.rows for part in parts if part.table == "chains"]).with_columns(available_at=pl.col("ts"))

    return read


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spx_2023-09-14.csv.gz", "spx_2024-01-07.csv.gz"])
def test_a_real_chain_of_twenty_thousand_contracts_has_a_field(real_chain, name: str) -> None:
    from fieldcast.fields.dealer.sign import NAIVE
    from fieldcast.fields.pricing_chain import price_chain

    rows = real_chain(name)
    priced = price_chain(rows, rows["ts"][0])
    field = elasticity_field(priced, NAIVE)
    reading = field.reading()
    assert len(priced) > 19_000
    assert field.surface is not None
    assert np.isfinite(field.surface.energy).all()
    assert np.isfinite(field.surface.elasticity).all()
    assert 0.003 < field.sigma_dollars / priced.spot < 0.03
    # the same figure two ways: the field's gamma in dollars per 1 %, and the sum over contracts by `pricing`
    from fieldcast.pricing import bsm_greeks

    gamma = bsm_greeks(
        priced.spot, priced.strike, priced.years, priced.rate, priced.rate - priced.carry, priced.sigma, priced.is_call
    ).gamma
    exact = float((NAIVE.positions(priced) * priced.multiplier * gamma).sum()) * priced.spot**2 * 0.01
    assert reading.values["hedge_dollars_per_percent"] == pytest.approx(exact, rel=1e-9)
    assert not reading.simulated
