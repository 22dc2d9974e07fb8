"""The elasticity engine: how stiffly a market is held where it is, by those who hedge options and by the orders in its book.

One physics core (`positions`: a hedged book at any price, volatility and time) stands under eight processors and one interpreter,
`elasticity_field`. `compat` has the reference system's products under their own names. Why the definitions are what they are:
docs/explanation/elasticity.md.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fieldcast.fields.dealer.at_the_money import at_the_money
from fieldcast.fields.elasticity.field import ElasticityField, ElasticityParameters, elasticity_field
from fieldcast.fields.elasticity.flow import HedgeFlow, hedge_flow
from fieldcast.fields.elasticity.friction import CrossAssetFriction, InstrumentElasticity, cross_asset_friction
from fieldcast.fields.elasticity.fusion import FusedTimeframes, Horizon, fuse_timeframes
from fieldcast.fields.elasticity.positions import HedgedBook, PricingModel, hedged_book
from fieldcast.fields.elasticity.profile import EnergyProfile, RegimeReading, energy_profile, read_regimes
from fieldcast.fields.elasticity.regimes import Thresholds
from fieldcast.fields.elasticity.stiffness import DirectionalElasticity, directional_elasticity
from fieldcast.fields.elasticity.surface import ElasticitySurface, SurfaceGrid, elasticity_surface
from fieldcast.fields.elasticity.work import Asymmetry, MovementEnergy, Work, movement_energy, resisting_work, work_along

interpret = elasticity_field

PROCESSORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "HedgeFlow": hedge_flow,
        "ResistingWork": resisting_work,
        "DirectionalElasticity": directional_elasticity,
        "MovementEnergy": movement_energy,
        "ElasticitySurface": elasticity_surface,
        "EnergyRegime": read_regimes,
        "TimeframeFusion": fuse_timeframes,
        "CrossAssetFriction": cross_asset_friction,
    }
)

__all__ = [
    "PROCESSORS",
    "Asymmetry",
    "CrossAssetFriction",
    "DirectionalElasticity",
    "ElasticityField",
    "ElasticityParameters",
    "ElasticitySurface",
    "EnergyProfile",
    "FusedTimeframes",
    "HedgeFlow",
    "HedgedBook",
    "Horizon",
    "InstrumentElasticity",
    "MovementEnergy",
    "PricingModel",
    "RegimeReading",
    "SurfaceGrid",
    "Thresholds",
    "Work",
    "at_the_money",
    "cross_asset_friction",
    "directional_elasticity",
    "elasticity_field",
    "elasticity_surface",
    "energy_profile",
    "fuse_timeframes",
    "hedge_flow",
    "hedged_book",
    "interpret",
    "movement_energy",
    "read_regimes",
    "resisting_work",
    "work_along",
]
