"""Volatility forecasters of a panel: one contract, walk-forward inside, held to QLIKE.

The range-based ones (HAR, trees, implied) forecast the squared nights plus Garman-Klass days that they are held to; EWMA, GARCH
and GJR the squared return. `ReturnScaled` puts any of them on the scale of the close-to-close return, which a cone needs.
"""

from fieldcast.models.volatility.blend import Aggregate, Blend, aggregate
from fieldcast.models.volatility.boosted import PooledTrees
from fieldcast.models.volatility.contract import VolatilityForecaster, ahead, qlike_rows, realised_variance
from fieldcast.models.volatility.expected_move import CONVENTIONS, ExpectedMove, expected_move
from fieldcast.models.volatility.har import Har
from fieldcast.models.volatility.implied import Implied
from fieldcast.models.volatility.range_scale import MinuteDesign, RangeScale, minute_design
from fieldcast.models.volatility.recursive import Ewma, Garch
from fieldcast.models.volatility.reports import ReportTrees
from fieldcast.models.volatility.scaled import ReturnScaled
from fieldcast.models.volatility.seasonality import IntradayPath, TimeOfDay
from fieldcast.models.volatility.tree_scale import TreeDesign, TreeScale, tree_design

__all__ = [
    "CONVENTIONS",
    "Aggregate",
    "Blend",
    "Ewma",
    "ExpectedMove",
    "Garch",
    "Har",
    "Implied",
    "IntradayPath",
    "MinuteDesign",
    "PooledTrees",
    "RangeScale",
    "ReportTrees",
    "ReturnScaled",
    "TimeOfDay",
    "TreeDesign",
    "TreeScale",
    "VolatilityForecaster",
    "aggregate",
    "ahead",
    "expected_move",
    "minute_design",
    "qlike_rows",
    "realised_variance",
    "tree_design",
]
