"""One word each: that every word can be said, by what, and that the thresholds are where they are declared."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.fields.elasticity import energy_profile, hedged_book, read_regimes, resisting_work
from fieldcast.fields.elasticity.regimes import (
    Thresholds,
    bias_of,
    elasticity_regime,
    energy_regime,
    energy_share,
    gamma_regime,
    giving_way,
    jump_risk,
    potential_shape,
    volatility_level,
)
from fieldcast.fields.vocabulary import (
    ElasticityRegime,
    EnergyRegime,
    FieldBias,
    GammaRegime,
    JumpRisk,
    PotentialShape,
    VixLevel,
)
from fieldcast.ground import InvalidInput, Reason

Z = np.linspace(-3.0, 3.0, 61)


def test_the_share_of_a_straight_spring_is_the_share_of_the_volume_it_trades() -> None:
    k, sigma, volume = 2_000.0, 1.5, 1e6
    assert energy_share(0.5 * k * sigma**2, sigma, volume) == pytest.approx(k * sigma / volume)


@pytest.mark.parametrize(
    ("up", "down", "energy", "gamma"),
    [
        (0.009, -0.009, EnergyRegime.LOW, GammaRegime.LOW_GAMMA_EXPANSION),
        (0.02, 0.02, EnergyRegime.MEDIUM, GammaRegime.NEUTRAL),
        (-0.02, -0.02, EnergyRegime.MEDIUM, GammaRegime.NEUTRAL),
        (0.2, 0.05, EnergyRegime.HIGH, GammaRegime.LONG_GAMMA_COMPRESSION),
        (0.2, -0.05, EnergyRegime.CRITICAL, GammaRegime.LONG_GAMMA_COMPRESSION),
        (-0.3, -0.05, EnergyRegime.CRITICAL, GammaRegime.SHORT_GAMMA_SQUEEZE),
    ],
)
def test_energy_and_gamma_regime(up: float, down: float, energy: EnergyRegime, gamma: GammaRegime) -> None:
    assert (energy_regime(up, down), gamma_regime(up, down)) == (energy, gamma)


@pytest.mark.parametrize(
    ("elasticity", "word"),
    [
        (1.0 + 0.0 * Z, ElasticityRegime.ELASTIC),
        (np.where(np.abs(Z) > 1.05, -1.0, 1.0), ElasticityRegime.ELASTIC),  # beyond a sigma it does not count
        (-1.0 + 0.0 * Z, ElasticityRegime.PLASTIC),
        (np.where(Z > 0.5, -1.0, 1.0), ElasticityRegime.BRITTLE),
        (np.sin(12.0 * Z), ElasticityRegime.CHAOTIC),
    ],
)
def test_elasticity_regime(elasticity, word: ElasticityRegime) -> None:
    assert elasticity_regime(Z, elasticity) is word


@pytest.mark.parametrize(
    ("energy", "word"),
    [
        (Z**2, PotentialShape.QUADRATIC),
        (Z**2 + 0.1 * Z**3, PotentialShape.QUADRATIC),
        (Z**2 + 0.4 * Z**3, PotentialShape.CUBIC),
        (0.02 * Z**2 + Z**4, PotentialShape.QUARTIC),
        (Z**4 - 6.0 * Z**2, PotentialShape.DOUBLE_WELL),
        (-(Z**2), PotentialShape.INVERTED),
        (Z**2 - 0.2 * Z**4, PotentialShape.INVERTED),  # resists at first, and gives way before three sigmas
        (0.0 * Z, None),
    ],
)
def test_potential_shape(energy, word: PotentialShape | None) -> None:
    assert potential_shape(Z, energy) is word
    if word is not None:
        assert potential_shape(Z, 1e9 * energy) is word  # a shape has no size


def test_jump_risk_is_the_nearest_price_at_which_dealers_give_way() -> None:
    elasticity = np.where(Z > 1.45, -1.0, 1.0)
    assert (giving_way(Z, elasticity, 1), giving_way(Z, elasticity, -1)) == (pytest.approx(1.5), None)
    found = jump_risk(None, None), jump_risk(1.5, None), jump_risk(1.5, 1.0)
    assert found == (JumpRisk.LOW, JumpRisk.MODERATE, JumpRisk.HIGH)


def test_the_volatility_level_changes_at_its_cuts() -> None:
    levels = [VixLevel.LOW, VixLevel.NORMAL, VixLevel.ELEVATED, VixLevel.ELEVATED, VixLevel.CRISIS]
    assert [volatility_level(x) for x in (14.99, 15.0, 20.0, 29.99, 30.0)] == levels


def test_bias_begins_where_re_pricing_alone_ends() -> None:
    assert [bias_of(x) for x in (0.049, 0.05, -0.2)] == [FieldBias.NEITHER, FieldBias.UP, FieldBias.DOWN]


def test_a_profile_is_the_work_along_the_move_and_its_barrier_the_highest_point(chain_of) -> None:
    # long gamma near the spot, much more short gamma above: dealers resist at first and feed the move beyond
    chain = chain_of([100.0, 106.0], [True, True], 5 / 365, 0.2, [100.0, 400.0])
    book = hedged_book(chain, [1.0, -1.0])
    profile = energy_profile(book, 2.0, sigmas=4.0, prices=81)
    assert profile.energy[60] == pytest.approx(resisting_work(book, float(profile.prices[60])).dollars, rel=1e-9)
    energy, price = profile.barrier(1)
    assert price is not None
    assert 100.0 < price < 108.0
    assert energy == pytest.approx(profile.energy[40:].max())
    assert profile.barrier(-1)[1] is None  # still rising at the edge: no barrier was passed
    below = energy_profile(
        hedged_book(chain_of([100.0, 94.0], [True, False], 5 / 365, 0.2, [100.0, 400.0]), [-1.0, 1.0]), 2.0, sigmas=4.0, prices=81
    )
    energy, price = below.barrier(-1)
    assert price is not None
    assert 92.0 < price < 100.0
    assert energy == pytest.approx(below.energy[:41].max())


def test_what_rests_on_the_volume_is_unknown_without_it(chain_of) -> None:
    book = hedged_book(chain_of([100.0], [True], 5 / 365, 0.2, 100.0), [1.0])
    found = read_regimes(energy_profile(book, 1.0))
    assert found.reasons["energy_regime"] is Reason.VOLUME_NOT_REPORTED
    assert "energy_regime" not in found.labels
    known = read_regimes(energy_profile(book, 1.0), daily_volume=1e5)
    exact = energy_share(resisting_work(book, 101.0).dollars, 1.0, 1e5)
    assert known.values["energy_share_up"] == pytest.approx(exact, rel=1e-6)


def test_thresholds_out_of_order_are_refused() -> None:
    for wrong in ({"low_share": 0.1}, {"near_sigmas": 3.0}, {"bias": 0.0}, {"volatility_points": (20.0, 15.0, 30.0)}):
        with pytest.raises(InvalidInput):
            Thresholds(**wrong)
