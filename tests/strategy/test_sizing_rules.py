"""The smallest of the rules: each by hand, and what each refuses."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from fieldcast.ground import InvalidInput, Reason
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

HOLDING = Holding(nav=Decimal(100_000), price=Decimal(50))


@pytest.mark.parametrize(
    ("rule", "units", "reason"),
    [
        (FixedSize(Decimal(10_000)), "200", Reason.SIZE_FIXED),
        (RiskShare(Decimal("2.50")), "400", Reason.SIZE_BY_RISK),  # 1 % of 100 000 over 2.50
        (VolatilityTarget(0.30), "1000", Reason.VOLATILITY_TARGET),  # half of NAV at 50
        (EnergyAware(4e6, 1e6, 5e5), "50", Reason.SIZE_BY_ENERGY),  # 10 % of NAV times 1/4
        (EnergyAware(1.0, 1e6, 5e5), "400", Reason.SIZE_BY_ENERGY),  # the floor: 10 % of NAV times 2
        (Cap(), "200", Reason.SIZE_CAPPED),
        (FractionalKelly(0.5, 0.06, 0.02, 100), "8333", Reason.SIZE_BY_KELLY),  # (.03 - .01) / (.06 * .02) / 4 of NAV
    ],
)
def test_each_rule_by_hand(rule: object, units: str, reason: Reason) -> None:
    found = smallest_size(HOLDING, [rule])  # type: ignore[list-item]
    assert found.quantity == Decimal(units)
    assert found.reasons == (reason,)


@given(st.floats(0.35, 0.95), st.floats(0.01, 0.3), st.floats(0.01, 0.3))
def test_the_whole_kelly_share_maximises_the_expected_logarithm(p: float, gain: float, loss: float) -> None:
    """scipy finds the same share of wealth, where there is an edge and the share stays below ruin."""
    rule = FractionalKelly(p, gain, loss, 100, fraction=1.0, least_edge=0.0)
    if rule.edge <= 0.01:
        return
    growth = minimize_scalar(
        lambda share: -(p * np.log1p(share * gain) + (1 - p) * np.log1p(-share * loss)),
        bounds=(0, 0.999999 / loss),
        method="bounded",
    )
    limit = rule.limit(Holding(Decimal(1), Decimal(1))).units
    assert float(limit) == pytest.approx(growth.x, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (RiskShare(Decimal(0)), Reason.STOP_DISTANCE_ZERO),
        (FractionalKelly(0.5, 0.06, 0.02, 19), Reason.FEW_ROWS),
        (FractionalKelly(0.25, 0.06, 0.02, 100), Reason.EDGE_MISSING),
        (FractionalKelly(0.26, 0.06, 0.02, 100), Reason.EDGE_MISSING),  # an edge of 4 %, below the 5 asked for
        (EnergyAware(-1e6, 1e6, 5e5), Reason.NOTHING_RESISTS),
        (EnergyAware(0.0, 1e6, 5e5), Reason.NOTHING_RESISTS),
    ],
)
def test_a_rule_that_cannot_be_met_gives_nothing_and_says_why(rule: object, reason: Reason) -> None:
    found = smallest_size(HOLDING, [Cap(), rule])  # type: ignore[list-item]
    assert found.quantity == 0
    assert found.reasons == (reason,)


@given(st.floats(1e5, 1e9), st.floats(1.0, 100.0))
def test_size_is_in_proportion_to_one_over_energy(energy: float, times: float) -> None:
    one = EnergyAware(energy, 1e6, 1.0).limit(HOLDING).units
    other = EnergyAware(energy * times, 1e6, 1.0).limit(HOLDING).units
    assert float(one) == pytest.approx(float(other) * times, rel=1e-9)


def test_the_haircut_cuts_the_smallest_of_the_others() -> None:
    found = smallest_size(HOLDING, [FixedSize(Decimal(10_000)), RiskShare(Decimal("2.50"))], QualityHaircut(0.75))
    assert found.quantity == 150
    assert found.reasons == (Reason.SIZE_BY_QUALITY,)
    assert smallest_size(HOLDING, [Cap()], QualityHaircut(0.0)).quantity == 0


def test_less_than_a_lot_is_nothing_and_says_so() -> None:
    found = smallest_size(Holding(Decimal(400), Decimal(50)), [Cap()])
    assert (found.quantity, found.reasons) == (0, (Reason.SIZE_CAPPED, Reason.BELOW_LOT))


def test_a_portfolio_under_water_gets_nothing() -> None:
    assert smallest_size(Holding(Decimal(-5), Decimal(50)), [Cap(), RiskShare(Decimal(1))]).quantity == 0


@pytest.mark.parametrize("rules", [[], [Cap(), Cap()]])
def test_no_rule_or_one_kind_twice_is_refused(rules: list[Cap]) -> None:
    with pytest.raises(InvalidInput, match="each kind once"):
        smallest_size(HOLDING, rules)


@pytest.mark.parametrize(
    "made",
    [
        lambda: FixedSize(Decimal(-1)),
        lambda: RiskShare(Decimal("NaN")),
        lambda: FractionalKelly(1.1, 0.1, 0.1, 50),
        lambda: FractionalKelly(0.5, 0.0, 0.1, 50),
        lambda: VolatilityTarget(0.0),
        lambda: VolatilityTarget(float("nan")),
        lambda: EnergyAware(float("inf"), 1.0, 1.0),
        lambda: EnergyAware(1.0, 1.0, 0.0),
        lambda: QualityHaircut(1.5),
        lambda: Holding(Decimal(1), Decimal(0)),
    ],
)
def test_impossible_figures_are_refused(made) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput):
        made()
