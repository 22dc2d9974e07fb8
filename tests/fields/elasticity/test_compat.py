"""The reference system's products: every name, and the numbers of two cases worked by hand from its formulas."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from fieldcast.fields.elasticity.compat import (
    HEDGE_LABELS,
    HEDGE_VALUES,
    INTERPRETER_LABELS,
    INTERPRETER_VALUES,
    LegacyChain,
    energy_interpreter,
    fusion_weights,
    hedge_engine,
    legacy_chain,
    legacy_gamma_regime,
)
from fieldcast.fields.vocabulary import CharmRegime, EnergyRegime, GammaRegime, JumpRisk, PotentialShape, VannaRegime
from fieldcast.ground import Reason
from fieldcast.pricing import bsm_greeks


def two_lines(scale: float = 1.0, side: float = -1.0) -> LegacyChain:
    """A call above and a put below the spot, both held by dealers on one side."""
    interest = np.array([6_000.0, 4_000.0])
    return LegacyChain(
        100.0, np.array([95.0, 110.0]), np.array([False, True]), np.array([16.0, 48.0]), interest, side * interest,
        scale * np.array([0.02, 0.03]), scale * np.array([-0.5, 0.25]), scale * np.array([0.01, -0.02]),
    )  # fmt: skip


def test_the_hedge_engine_by_hand() -> None:
    found = hedge_engine(two_lines(), vix=35.0, vol_of_vol=0.75, amihud=0.2)
    w_put, w_call = exp(-0.05 * 0.05), exp(-0.05 * 0.10)
    net_gamma, net_vanna, net_charm = -(120.0 + 120.0), -(-3_000.0 + 1_000.0), -(60.0 - 80.0)
    absorber = 1.0 / 1.5
    p_up, p_down = 120.0 * w_call * 100.0, 120.0 * w_put * 100.0
    v_up, v_down = 1_000.0 * w_call * absorber, -3_000.0 * w_put * absorber
    decay = 32.0**-0.5
    elasticity = (
        (1.0 + 240.0 * 1e-7) * (1.0 + 2_000.0 * 1e-7 * 2_000.0 * 0.75) * (1.0 + 20.0 * 1e-7 * decay)
        * (1.0 + 2.0 * (0.36 + 0.16)) * 1.2
    )  # fmt: skip
    up, down = p_up + abs(v_up), p_down + abs(v_down)
    e_up, e_down = elasticity * (1.0 + up * 1e-8), elasticity * (1.0 + down * 1e-8)
    me_up, me_down = (up + 20.0) / e_up, down / e_down
    speed = min(1.0, 2.0 * (down - up) / (up + down) / (1.0 + 0.5 * (e_up + e_down)) * 1.5)
    expected = {
        "dealer_gamma_sign": 0.0, "net_gamma": net_gamma, "net_vanna": net_vanna, "net_charm": net_charm,
        "oi_weighted_strike": 101.0, "sign_confidence": 2 / 50 * 1.2, "gamma_pressure_up": p_up, "gamma_pressure_down": p_down,
        "vanna_pressure_up": v_up, "vanna_pressure_down": v_down, "shock_absorber": absorber, "decay_acceleration": decay,
        "elasticity": elasticity, "elasticity_up": e_up, "elasticity_down": e_down, "movement_energy_up": me_up,
        "movement_energy_down": me_down, "movement_energy": 0.5 * (me_up + me_down), "energy_net": me_up - me_down,
        "energy_asymmetry": me_up / me_down, "barrier_strength": 0.5 * (me_up + me_down), "acceleration_likelihood": speed,
        "jump_score": 2.0 * 0.35 + 0.25, "pin_zones": 1.0, "stability": min(1.0, elasticity / (0.5 * (me_up + me_down) + 1.0)),
        "confidence": 0.25,
    }  # fmt: skip
    for name, value in expected.items():
        assert found.values[name] == pytest.approx(value, rel=1e-12), name
    assert found.labels["gamma_regime"] is GammaRegime.LOW_GAMMA_EXPANSION
    assert found.labels["jump_risk_regime"] is JumpRisk.LOW
    assert found.labels["potential_shape"] is PotentialShape.QUADRATIC
    assert found.labels["primary_regime"] is GammaRegime.LOW_GAMMA_EXPANSION


def test_every_name_of_the_hedge_engine_is_there_with_or_without_its_inputs() -> None:
    for inputs in ({}, {"vix": 20.0}, {"vix": 20.0, "vol_of_vol": 0.3, "amihud": 0.0}):
        found = hedge_engine(two_lines(), **inputs)
        names = [*found.values, *found.labels, *found.reasons]
        assert sorted(names) == sorted([*HEDGE_VALUES, *HEDGE_LABELS])
        assert np.isfinite(list(found.values.values())).all()
    assert found.reasons == {"cross_asset_correlation": Reason.COVARIATE_MISSING}
    assert "elasticity" in hedge_engine(two_lines()).reasons


def test_every_name_of_the_interpreter_is_there_with_or_without_its_input() -> None:
    for vix in (None, 20.0):
        found = energy_interpreter(two_lines(), vix=vix)
        names = [*found.values, *found.labels, *found.reasons]
        assert sorted(names) == sorted([*INTERPRETER_VALUES, *INTERPRETER_LABELS])
    assert not found.reasons


def test_the_interpreters_forces_by_hand_and_both_of_its_energies_are_positive() -> None:
    found = energy_interpreter(two_lines(1e3), vix=30.0)
    gamma = -1e-6 * (30.0 * 4_000.0 * exp(-0.5) - 20.0 * 6_000.0 * exp(-0.25))
    vanna = -1e-6 * (250.0 * 4_000.0 * exp(-0.3) + 500.0 * 6_000.0 * exp(-0.15)) * 1.5
    charm = -1e-6 * (-20.0 * 4_000.0 * exp(-0.3) * exp(-48 / 30) - 10.0 * 6_000.0 * exp(-0.15) * exp(-16 / 30))
    assert found.values["gamma_force"] == pytest.approx(gamma, rel=1e-12)
    assert found.values["vanna_force"] == pytest.approx(vanna, rel=1e-12)
    assert found.values["charm_force"] == pytest.approx(charm, rel=1e-12)
    assert found.values["movement_energy_up"] > 0.0
    assert found.values["movement_energy_down"] > 0.0
    # the force hardly changes over 1 %: its integral is the force times the distance
    assert found.values["movement_energy"] == pytest.approx(abs(gamma + vanna + charm) * 1.0, rel=0.02)
    assert found.labels["energy_regime"] in set(EnergyRegime)


def test_the_loud_regimes_can_be_said() -> None:
    loud = hedge_engine(two_lines(1e5), vix=30.0, vol_of_vol=0.9, amihud=0.0)
    assert loud.labels["gamma_regime"] is GammaRegime.SHORT_GAMMA_SQUEEZE
    assert loud.labels["vanna_regime"] is VannaRegime.HIGH_VANNA_HIGH_VOL
    assert loud.labels["charm_regime"] is CharmRegime.CHARM_DECAY_DOMINANT
    assert loud.labels["potential_shape"] is PotentialShape.DOUBLE_WELL
    net = 240.0 * 1e5
    assert loud.values["gamma_factor"] == pytest.approx(1.0 / (1.0 + net * 1e-7))  # softer, because dealers are short
    assert loud.values["gamma_pressure_up"] == pytest.approx(-120.0 * 1e5 * exp(-0.005) * 100.0)
    long = hedge_engine(two_lines(1e5, side=1.0), vix=20.0, vol_of_vol=0.3, amihud=0.0)
    assert long.labels["gamma_regime"] is GammaRegime.LONG_GAMMA_COMPRESSION
    assert legacy_gamma_regime(0.0, 7e6) is GammaRegime.NEUTRAL
    soon = replace(two_lines(1e6), days=np.array([1.0, 1.0]))
    assert hedge_engine(soon).labels["charm_regime"] is CharmRegime.HIGH_CHARM_DECAY_ACCELERATION


def test_exposures_come_from_the_priced_chain_with_charm_by_the_day(chain_of) -> None:
    chain = chain_of([95.0, 105.0], [False, True], 0.2, 0.25, [10.0, 20.0], rate=0.03, carry=0.01)
    found = legacy_chain(chain, [-1.0, 1.0])
    greeks = bsm_greeks(100.0, chain.strike, 0.2, 0.03, 0.02, 0.25, chain.is_call)
    np.testing.assert_allclose(found.gamma, greeks.gamma)
    np.testing.assert_allclose(found.charm, greeks.charm / 365.0)
    np.testing.assert_array_equal(found.position, [-10.0, 20.0])


def test_fusion_weights_sum_to_one_and_fall_with_elasticity() -> None:
    weights = fusion_weights(np.array([1.0, 10.0]), np.array([0.9, 0.9]), np.array([0.0, 0.0]), 0.3)
    raw = np.array([0.4 / 1.1, 0.4 / 2.0]) + 0.6
    np.testing.assert_allclose(weights, raw / raw.sum())
