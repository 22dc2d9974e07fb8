"""Functions from tables to Plotly figures: they draw what they are given, read nothing and decide nothing."""

from fieldcast.plots.bars import bar_chart
from fieldcast.plots.calibration import coverage_over_time, reliability_diagram
from fieldcast.plots.cones import BANDS, cone_history, levels, projection_cone
from fieldcast.plots.cycles import nav_timeline
from fieldcast.plots.skill import forest, loss_saved

__all__ = [
    "BANDS",
    "bar_chart",
    "cone_history",
    "coverage_over_time",
    "forest",
    "levels",
    "loss_saved",
    "nav_timeline",
    "projection_cone",
    "reliability_diagram",
]
