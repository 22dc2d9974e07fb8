"""Functions from tables to Plotly figures: they draw what they are given, read nothing and decide nothing."""

from fieldcast.plots.backtest import (
    contribution_bars,
    cost_waterfall,
    equity_chart,
    excursion_scatter,
    monthly_heat_map,
    sweep_heat_map,
    trade_chart,
    window_chart,
)
from fieldcast.plots.bars import bar_chart
from fieldcast.plots.calibration import coverage_over_time, reliability_diagram
from fieldcast.plots.cones import BANDS, cone_history, levels, projection_cone
from fieldcast.plots.cross_section import ic_decay_chart, quantile_equity_chart
from fieldcast.plots.cycles import nav_timeline
from fieldcast.plots.dealer import gamma_profile_chart, strike_chart
from fieldcast.plots.elasticity import elasticity_surface_chart, energy_chart
from fieldcast.plots.liquidity import profile_chart, slippage_chart
from fieldcast.plots.regime import regime_ribbon
from fieldcast.plots.skill import forest, loss_saved

__all__ = [
    "BANDS",
    "bar_chart",
    "cone_history",
    "contribution_bars",
    "cost_waterfall",
    "coverage_over_time",
    "elasticity_surface_chart",
    "energy_chart",
    "equity_chart",
    "excursion_scatter",
    "forest",
    "gamma_profile_chart",
    "ic_decay_chart",
    "levels",
    "loss_saved",
    "monthly_heat_map",
    "nav_timeline",
    "profile_chart",
    "projection_cone",
    "quantile_equity_chart",
    "regime_ribbon",
    "reliability_diagram",
    "slippage_chart",
    "strike_chart",
    "sweep_heat_map",
    "trade_chart",
    "window_chart",
]
