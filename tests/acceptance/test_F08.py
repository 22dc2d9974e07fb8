"""F08, hedge engine v1 to v3.

Done when: "The S=520 two-option vector gives net -8.788 M per 1 %, and each sign policy has its own vector".

The vector's gammas (call .0080 on 10,000 contracts, put .0075 on 15,000) are met by strikes solved for them, so that the whole
engine is run, not its formula alone.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.optimize import brentq

from fieldcast.fields.dealer import (
    ALL_LONG,
    ALL_SHORT,
    NAIVE,
    REVERSED,
    SpotVolBeta,
    TradeFlow,
    charm_field,
    dealer_field,
    gamma_exposure,
)
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.pricing import bsm_greeks

pytestmark = pytest.mark.feature("F08")
OPEN_PARTS: tuple[str, ...] = ()

AS_OF = datetime(2026, 3, 2, 15, tzinfo=UTC)
CALL, PUT = 21.632, -30.420  # millions per 1 %: γ × contracts × 100 × 520² × .01


def two_options() -> PricedChain:
    """Put and call of the vector, 30 days, r = q = 0."""

    def strike(sigma: float, gamma: float, low: float, high: float) -> float:
        def gap(k: float) -> float:
            return float(bsm_greeks(520.0, k, 30 / 365, 0.0, 0.0, sigma, True).gamma) - gamma

        return float(brentq(gap, low, high, xtol=1e-12))

    zero, moment = np.zeros(2), int(AS_OF.timestamp() * 1e6) + 30 * 86_400_000_000
    return PricedChain(
        underlying="X", as_of=AS_OF, ts=AS_OF, spot=520.0, contract_id=np.array(["P", "C"]),
        strike=np.array([strike(0.18, 0.0075, 420.0, 518.0), strike(0.15, 0.0080, 522.0, 620.0)]),
        is_call=np.array([False, True]),
        american=np.array([False, False]), expiry=np.zeros(2, np.int64), expiry_ts=np.array([moment]), years=np.full(2, 30 / 365),
        rate=zero, carry=zero, sigma=np.array([0.18, 0.15]), open_interest=np.array([15_000.0, 10_000.0]),
        multiplier=np.array([100.0, 100.0]), volume=np.full(2, np.nan), day_count="ACT/365", dropped={}, simulated=False,
    )  # fmt: skip


def test_the_two_option_vector() -> None:
    found = dealer_field(two_options())
    assert found.gex / 1e6 == pytest.approx(-8.788, abs=5e-6)
    assert found.gamma.calls / 1e6 == pytest.approx(CALL, abs=5e-6)
    assert found.gamma.puts / 1e6 == pytest.approx(PUT, abs=5e-6)
    assert float(gamma_exposure([0.0080, 0.0075], [1e6, -1.5e6], 520.0).sum()) / 1e6 == pytest.approx(-8.788, abs=5e-7)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (NAIVE, CALL + PUT), (REVERSED, -CALL - PUT), (ALL_SHORT, PUT - CALL), (ALL_LONG, CALL - PUT),
        (TradeFlow(np.array([3_000.0, -2_500.0])), PUT / 5 + CALL / 4),
        (TradeFlow(np.array([3_000.0, -2_500.0]), basis="open_interest"), PUT + CALL),
        (TradeFlow(np.array([-1.0, 9.0]), basis="open_interest"), -PUT - CALL),
    ],
)  # fmt: skip
def test_each_sign_policy_has_its_own_vector(policy, expected: float) -> None:
    found = dealer_field(two_options(), sign=policy)
    assert found.gex / 1e6 == pytest.approx(expected, abs=1e-5)
    assert found.conventions.sign_policy == policy.name


def test_gex_vex_dex_and_chex_by_strike_and_expiry() -> None:
    chain = two_options()
    found = dealer_field(chain)
    greeks = bsm_greeks(520.0, chain.strike, 30 / 365, 0.0, 0.0, chain.sigma, chain.is_call)
    units = np.array([-1.5e6, 1e6])
    expected = {
        "gex": units * greeks.gamma * 520**2 * 0.01, "dex": units * greeks.delta * 520,
        "vex": units * greeks.vanna * 520 * 0.01, "chex": units * greeks.charm * 520 / 365,
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(found.by_strike[name].to_numpy(), values, rtol=1e-10)
        np.testing.assert_allclose(found.by_line[name].to_numpy(), values, rtol=1e-10)
        assert found.by_expiry[name].to_list() == pytest.approx([values.sum()], rel=1e-10)
        assert getattr(found, name) == pytest.approx(values.sum(), rel=1e-10)


def test_the_vanna_field_has_its_shock_absorber_and_the_charm_field_its_path() -> None:
    found = dealer_field(two_options(), beta=SpotVolBeta(-0.8, "declared for this test"))
    assert found.vanna.absorber == pytest.approx(0.8 * found.vex / found.gex)
    assert found.vanna.gamma_part[5] == pytest.approx(0.0, abs=1e-6)  # no move, no shock
    assert found.vanna.vanna_part[5] == pytest.approx(0.0, abs=1e-6)
    path = charm_field(found.book)
    assert path.minutes[-1] == 360
    assert path.drift[-1] == pytest.approx(found.chex * 0.25, rel=0.01)  # six of 24 hours, thirty days before expiry
    doubled = dealer_field(replace(two_options(), open_interest=2 * two_options().open_interest))
    assert doubled.chex == pytest.approx(2 * found.chex)
