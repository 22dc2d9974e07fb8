"""F10, the elasticity engine and the universal energy interpreter on one shared physics core.

Done when: "Every legacy field name exists, producer and consumer share one regime enum, and the surface has no NaN over its
declared domain".

The legacy names are written out here once more, from the description of the reference system, so that a name which is lost in
the module is missed by the test.
"""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

import fieldcast
from fieldcast.fields import vocabulary
from fieldcast.fields.elasticity import (
    PROCESSORS,
    InstrumentElasticity,
    SurfaceGrid,
    cross_asset_friction,
    elasticity_field,
    elasticity_surface,
    fuse_timeframes,
    hedged_book,
)
from fieldcast.fields.elasticity.compat import energy_interpreter, hedge_engine, legacy_chain
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.readings import Reading
from fieldcast.ground import InvalidInput

pytestmark = pytest.mark.feature("F10")
OPEN_PARTS: tuple[str, ...] = ()

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)

LEGACY_HEDGE = (
    "pressure_up", "pressure_down", "pressure_net", "elasticity", "elasticity_up", "elasticity_down", "movement_energy",
    "movement_energy_up", "movement_energy_down", "energy_net", "energy_asymmetry", "barrier_strength",
    "acceleration_likelihood", "gamma_pressure", "gamma_pressure_up", "gamma_pressure_down", "vanna_pressure",
    "vanna_pressure_up", "vanna_pressure_down", "charm_pressure", "dealer_gamma_sign", "net_gamma", "net_vanna",
    "net_charm", "oi_weighted_strike", "pin_zones", "vol_sensitivity", "shock_absorber", "decay_acceleration",
    "gamma_factor", "vanna_factor", "charm_factor", "density_factor", "liquidity_factor", "jump_score", "confidence",
    "stability", "cross_asset_correlation", "gamma_regime", "vanna_regime", "charm_regime", "jump_risk_regime",
    "volatility_regime", "primary_regime", "potential_shape",
)  # fmt: skip
LEGACY_INTERPRETER = (
    "gamma_force", "vanna_force", "charm_force", "movement_energy", "movement_energy_up", "movement_energy_down",
    "energy_asymmetry", "elasticity", "elasticity_up", "elasticity_down", "energy_regime", "stability", "confidence",
)  # fmt: skip


def chain(expiries: int = 8, strikes: int = 60, spot: float = 5_000.0) -> PricedChain:
    """Puts and calls on a skew, from an hour to two years."""
    random = np.random.default_rng(10)
    years = np.repeat(np.geomspace(1 / 8_760, 2.0, expiries), 2 * strikes)
    strike = np.tile(np.repeat(spot * np.exp(np.linspace(-0.35, 0.25, strikes)), 2), expiries)
    n = strike.size
    return PricedChain(
        underlying="XCBO:SPX", as_of=NOW, ts=NOW, spot=spot, contract_id=np.array(["C"] * n), strike=strike,
        is_call=np.tile([False, True], n // 2), american=np.zeros(n, np.bool_), expiry=np.zeros(n, np.int64),
        expiry_ts=np.zeros(1, np.int64), years=years, rate=np.full(n, 0.04), carry=np.full(n, 0.025),
        sigma=0.16 - 0.2 * np.log(strike / spot), open_interest=np.round(random.lognormal(5.0, 1.5, n)),
        multiplier=np.full(n, 100.0), volume=np.full(n, np.nan), day_count="ACT/365", dropped={}, simulated=True,
    )  # fmt: skip


def naive(priced: PricedChain) -> np.ndarray:
    """Dealers long calls, short puts."""
    return np.where(priced.is_call, 1.0, -1.0)


def test_every_legacy_field_name_exists_with_a_value_a_word_or_a_reason() -> None:
    priced = chain()
    legacy = legacy_chain(priced, naive(priced))
    for inputs in ({}, {"vix": 22.0, "vol_of_vol": 0.8, "amihud": 0.1}):
        found = hedge_engine(legacy, **inputs)
        assert set(LEGACY_HEDGE) <= {*found.values, *found.labels, *found.reasons}
        assert np.isfinite(list(found.values.values())).all()
    assert found.reasons.keys() == {"cross_asset_correlation"}  # it was a constant there; nothing stands in for it
    for vix in (None, 22.0):
        read = energy_interpreter(legacy, vix=vix)
        assert set(LEGACY_INTERPRETER) <= {*read.values, *read.labels, *read.reasons}
    assert not read.reasons


def words(path: Path) -> set[str]:
    """Names of the StrEnum classes that a file defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return {node.name for node in classes if any(isinstance(base, ast.Name) and base.id == "StrEnum" for base in node.bases)}


def test_producer_and_consumer_share_one_regime_enum() -> None:
    """All words that the field says are members of the vocabulary; no other module has an enum of such a name, and no module
    spells such a word out; and what a consumer reads, a `Reading`, takes no plain text for a word."""
    priced = chain()
    shared = {name: one for name, one in vars(vocabulary).items() if isinstance(one, type) and issubclass(one, StrEnum)}
    del shared["StrEnum"]
    reading = elasticity_field(priced, naive(priced), daily_volume=1e7).reading()
    assert {"energy_regime", "elasticity_regime", "gamma_regime", "jump_risk", "potential_shape", "bias"} <= reading.labels.keys()
    assert all(type(word) in shared.values() for word in reading.labels.values())
    legacy = hedge_engine(legacy_chain(priced, naive(priced)), vix=22.0, vol_of_vol=0.8, amihud=0.1)
    assert all(type(word) in shared.values() for word in legacy.labels.values())
    telling = {str(word) for one in shared.values() for word in one if "_" in word}  # words that can be nothing else
    home = Path(vocabulary.__file__)
    for path in sorted(Path(fieldcast.__file__).parent.rglob("*.py")):
        if path == home:
            continue
        assert not words(path) & shared.keys(), path
        if "elasticity" in path.parts:
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            spelt = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            assert not telling & spelt, path
    with pytest.raises(InvalidInput, match="vocabulary"):
        Reading("elasticity", NOW, {}, labels={"energy_regime": "low_energy"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "grid",
    [
        SurfaceGrid(),
        SurfaceGrid(prices=3, reach=2.0, shifts=(-0.999, 0.0, 20.0), days=(0.0, 1e-3, 1.0, 800.0)),
        SurfaceGrid(prices=201, reach=0.005, shifts=(-0.9, 3.0), days=(0.0, 1 / 24, 1 / 24 + 1e-9)),
    ],
)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_surface_has_no_nan_over_its_declared_domain(grid: SurfaceGrid, side: float) -> None:
    priced = chain()
    surface = elasticity_surface(hedged_book(priced, side * naive(priced)), grid)
    shape = (len(grid.days), len(grid.shifts), grid.prices)
    for values in (surface.energy, surface.elasticity):
        assert values.shape == shape
        assert np.isfinite(values).all()
    assert (surface.energy[..., grid.prices // 2] == 0.0).all()


def test_one_core_gives_every_quantity_of_the_row() -> None:
    """Flow, work, directional elasticity, energy, asymmetry, barrier, surface, jump risk, shape, regime, fusion, friction."""
    assert len(PROCESSORS) == 8
    priced = chain()
    daily, weekly = (elasticity_field(priced, naive(priced), sigma_move=size, daily_volume=1e7) for size in (0.01, 0.022))
    reading = daily.reading()
    found = "flow_up_1sigma", "work_down_1sigma", "elasticity_up_1sigma", "energy_up_1pct", "asymmetry_1sigma", "barrier_up"
    for name in found:
        assert np.isfinite(reading.values[name])
    # one core: the curvature of the work is the elasticity, and its slope is the flow
    size = 1e-5  # a hundredth of a sigma of the nearest expiry, an hour: the rest is of the order of its square
    step = size * priced.spot
    small = elasticity_field(priced, naive(priced), sigma_move=size)
    work = small.energy["1sigma"]
    k = 0.5 * (small.elasticity["1sigma"].up.dealer + small.elasticity["1sigma"].down.dealer)
    assert (work.dealer_up.dollars + work.dealer_down.dollars) / step**2 == pytest.approx(k, rel=1e-6)
    assert k == pytest.approx(small.elasticity["1sigma"].local, rel=1e-6)
    assert small.flow.gamma[4] == pytest.approx(-small.elasticity["1sigma"].up.dealer * step)
    fused = fuse_timeframes({"1d": daily.horizon(), "1w": weekly.horizon()})
    assert fused.asymmetry is not None
    assert 0.0 <= fused.confidence <= 1.0
    k_local = daily.elasticity["1sigma"].local
    both = cross_asset_friction(
        {"SPX": InstrumentElasticity(5_000.0, k_local), "SPY": InstrumentElasticity(500.0, -100.0 * k_local)}, base="SPX"
    )
    assert both.friction == pytest.approx(1.0)
