"""Cones of a panel: conformal trackers, quantile forecasters of one contract, their online aggregation and recalibration."""

from fieldcast.projection.cones._checks import CONE_LEVELS
from fieldcast.projection.cones.aggregate import Aggregated, Experts
from fieldcast.projection.cones.boosted import BoostedQuantiles
from fieldcast.projection.cones.contract import QuantileForecaster
from fieldcast.projection.cones.filtered import GjrFit, GjrQuantiles, fit_gjr, skewt_quantile
from fieldcast.projection.cones.finish import PanelCones, packet_cones
from fieldcast.projection.cones.layers import Layered, conformalise
from fieldcast.projection.cones.minutes import MinuteExperts, minute_scales, mirrored
from fieldcast.projection.cones.path_bands import PathBand, path_band
from fieldcast.projection.cones.recalibrate import BandScale, band_edges
from fieldcast.projection.cones.shapes import Normal, PooledEmpirical, Rolling, ScaledEmpirical, TrackedScores
from fieldcast.projection.cones.single import AdaptiveScores, ExpertCones, cone_forecaster
from fieldcast.projection.cones.trackers import Aci, DtAci, Pid, Tracked, Tracker, split, window_quantiles

__all__ = [
    "CONE_LEVELS",
    "Aci",
    "AdaptiveScores",
    "Aggregated",
    "BandScale",
    "BoostedQuantiles",
    "DtAci",
    "ExpertCones",
    "Experts",
    "GjrFit",
    "GjrQuantiles",
    "Layered",
    "MinuteExperts",
    "Normal",
    "PanelCones",
    "PathBand",
    "Pid",
    "PooledEmpirical",
    "QuantileForecaster",
    "Rolling",
    "ScaledEmpirical",
    "Tracked",
    "TrackedScores",
    "Tracker",
    "band_edges",
    "cone_forecaster",
    "conformalise",
    "fit_gjr",
    "minute_scales",
    "mirrored",
    "packet_cones",
    "path_band",
    "skewt_quantile",
    "split",
    "window_quantiles",
]
