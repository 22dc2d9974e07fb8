"""S05, sizing as the minimum of fixed, 1 % risk, fractional Kelly, volatility target, energy-aware (proportional to 1/movement
energy), quality haircut, 10 % cap.

Done when: "1,000 random cases never exceed any single rule, and zero stop distance gives zero size".
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import Reason
from fieldcast.strategy import (
    Cap,
    EnergyAware,
    FixedSize,
    FractionalKelly,
    Holding,
    QualityHaircut,
    RiskShare,
    VolatilityTarget,
    smallest_size,
)

pytestmark = pytest.mark.feature("S05")
OPEN_PARTS: tuple[str, ...] = ()


def exact(number: float | Decimal) -> Fraction:
    return Fraction(Decimal(repr(number)) if isinstance(number, float) else number)


def test_1000_random_cases_never_exceed_any_single_rule() -> None:
    """Every rule recomputed in fractions from its definition; the size is a whole number of lots and the largest that fits."""
    random = np.random.default_rng(20240301)
    bound_by: dict[Reason, int] = {}
    for _ in range(1000):
        draw = random.random
        nav = Decimal(round(10 ** random.uniform(3, 7), 2)).quantize(Decimal("0.01"))
        price = Decimal(round(10 ** random.uniform(-1, 3.5), 4)).quantize(Decimal("0.0001"))
        multiplier = Decimal(int(random.choice([1, 1, 1, 50, 100])))
        lot = Decimal(str(random.choice(["1", "1", "0.001", "10"])))
        fixed = Decimal(round(float(nav) * 10 ** random.uniform(-2.5, 0), 2)).quantize(Decimal("0.01"))
        stop = Decimal(round(float(price) * 10 ** random.uniform(-2.5, 0), 6)).quantize(Decimal("0.000001"))
        p, gain, loss = 0.05 + 0.75 * draw(), 10 ** random.uniform(-2, 1), 0.01 + 0.9 * draw()
        samples = int(random.integers(10, 200))
        sigma = float(10 ** random.uniform(-1.5, 0.5))
        energy = float(random.choice([-1, 1, 1, 1, 1, 1, 1])) * 10 ** random.uniform(4, 8)
        quality = float(random.choice([1.0, round(draw(), 3)]))
        rules = [
            FixedSize(fixed), RiskShare(stop), FractionalKelly(p, gain, loss, samples), VolatilityTarget(sigma),
            EnergyAware(energy, 1e6, 1e5), Cap(),
        ]  # fmt: skip
        found = smallest_size(Holding(nav, price, multiplier, lot), rules, QualityHaircut(quality))
        assert len(found.limits) == 7

        unit = exact(price) * exact(multiplier)
        edge = exact(p) * exact(gain) / exact(loss) - (1 - exact(p))
        kelly = Fraction(1, 4) * edge / exact(gain) if samples >= 20 and edge >= Fraction(1, 20) else Fraction(0)
        limits = [
            exact(fixed) / unit,
            exact(nav) / 100 / (exact(stop) * exact(multiplier)),
            exact(nav) * kelly / unit,
            exact(nav) * Fraction(15, 100) / exact(sigma) / unit,
            exact(nav) / 10 * 1_000_000 / max(exact(energy), 100_000) / unit if energy > 0 else Fraction(0),
            exact(nav) / 10 / unit,
        ]
        limits.append(min(limits) * exact(quality))
        held = exact(found.quantity)
        slack = 1 + Fraction(1, 10**12)  # the Kelly share and its quality are binary fractions
        assert all(held <= limit * slack for limit in limits), (found, [float(limit) for limit in limits])
        assert held % exact(lot) == 0
        assert held + exact(lot) > min(limits) / slack, "and no lot less than what they all allow"
        bound_by[found.reasons[0]] = bound_by.get(found.reasons[0], 0) + 1
    every = {
        Reason.SIZE_FIXED, Reason.SIZE_BY_RISK, Reason.SIZE_BY_KELLY, Reason.VOLATILITY_TARGET, Reason.SIZE_BY_ENERGY,
        Reason.SIZE_CAPPED, Reason.SIZE_BY_QUALITY, Reason.EDGE_MISSING, Reason.NOTHING_RESISTS, Reason.FEW_ROWS,
    }  # fmt: skip
    assert set(bound_by) == every, f"the cases have to reach each rule: {bound_by}"


@given(
    st.decimals("1000", "10000000", places=2),
    st.decimals("0.01", "5000", places=2),
    st.floats(0.01, 3.0),
    st.floats(1e3, 1e9),
    st.floats(0, 1),
)
def test_zero_stop_distance_gives_zero_size(nav: Decimal, price: Decimal, sigma: float, energy: float, quality: float) -> None:
    rules = [FixedSize(), Cap(), VolatilityTarget(sigma), EnergyAware(energy, 1e6, 1e5), RiskShare(Decimal(0))]
    for haircut in (None, QualityHaircut(quality)):
        found = smallest_size(Holding(nav, price), rules, haircut)
        assert found.quantity == 0
    assert smallest_size(Holding(nav, price), rules).reasons == (Reason.STOP_DISTANCE_ZERO,)


def test_energy_aware_size_is_in_proportion_to_one_over_energy_down_to_its_floor() -> None:
    holding = Holding(Decimal(1_000_000), Decimal(10))
    sizes = [smallest_size(holding, [EnergyAware(energy, 1e6, 2.5e5)]).quantity for energy in (4e6, 2e6, 1e6, 2.5e5, 1.0)]
    assert sizes == [2_500, 5_000, 10_000, 40_000, 40_000]
