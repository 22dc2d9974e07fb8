"""Cones of the next minutes in a market that never closes: scales from ranges and trees, symmetric shapes, aggregated online.

    laplace    `RangeScale` fitted to the absolute return
    pair       geometric mean of that and of `RangeScale` fitted to the range to come
    blend      geometric mean of both, of `TimeOfDay` with and without its profile, and of an exponential mean of squares
               (half-life 60 minutes)
    trees      `TreeScale` over the blend
    shape      quantiles of |r| / sigma over the newest days, mirrored; the median is 0

Five experts: laplace, pair, blend and trees with shapes of 5 days, trees with one of 1 day, mixed by Bernstein online
aggregation. Over a quarter of an hour the law of returns is nearly symmetric, and a mirrored sample is worth two. Scales that err
in different ways are better averaged than chosen from, and trees add to their average what no regression on ranges can say: that,
the members and the windows were settled on Bitfinex's minutes of 2019-01 to 2019-04 and Binance's hours of 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.models.volatility import MinuteDesign, RangeScale, TimeOfDay, TreeScale, minute_design, tree_design
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, panel_values
from fieldcast.projection.cones.aggregate import Experts
from fieldcast.projection.cones.single import cone_path
from fieldcast.projection.cones.trackers import window_quantiles
from fieldcast.projection.conformal import QUANTILE_LEVELS, ConePath

DAY = 1440  # bars
MEMBERS = (("laplace", 5), ("pair", 5), ("blend", 5), ("trees", 5), ("trees", 1))  # scale, days of scores
HALF_LIFE = 60.0  # bars, of the exponential mean


def minute_scales(
    bars: pl.DataFrame, horizon: int, *, hours: pl.DataFrame | None = None, earlier: Sequence[pl.DataFrame] = ()
) -> dict[str, Floats]:
    """The scales (n,) of the module by name, walk-forward; parameters and errors as in `models.volatility.RangeScale.path`."""
    own = minute_design(bars, horizon, hours=hours)
    before = [minute_design(span, horizon) for span in earlier]
    plain = _averages(bars, own, horizon, before)
    spans = [
        tree_design(span, design, _averages(span, design, horizon)["blend"]) for span, design in zip(earlier, before, strict=True)
    ]
    return plain | {"trees": TreeScale().fitted(tree_design(bars, own, plain["blend"]), horizon, spans)}


def _averages(bars: pl.DataFrame, own: MinuteDesign, horizon: int, before: Sequence[MinuteDesign] = ()) -> dict[str, Floats]:
    """The scales (n,) without trees."""
    laplace, reach = (RangeScale(target).fitted(own, horizon, before) for target in ("laplace", "range"))
    others = [TimeOfDay("UTC", around_the_clock=True, seasonal=flag).path(bars, horizon).sigma for flag in (True, False)]
    return {
        "laplace": laplace,
        "pair": _geometric(laplace, reach),
        "blend": _geometric(laplace, reach, *others, _exponential(bars, horizon)),
    }


def mirrored(ret: ArrayLike, sigma: ArrayLike, horizon: int, window: int, minimum: int, levels: Sequence[float]) -> Floats:
    """(n, L) quantiles sigma (-a, 0, a), a: interpolated quantiles of the newest known |r| / sigma; NaN before `minimum` are.

    Raises
    ------
    InvalidInput : levels that are not symmetric about a median
    """
    tau = check_levels(levels)
    half = tau.size // 2
    if tau.size % 2 == 0 or not np.allclose(tau + tau[::-1], 1.0):
        raise InvalidInput(f"expected levels symmetric about 0.5 and with it, found {tau.tolist()}")
    r, s = np.asarray(ret, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    side = window_quantiles(np.abs(r / s)[:, None], horizon, window, minimum, 2.0 * tau[half + 1 :] - 1.0)[:, 0]
    centre = np.where(np.isfinite(side[:, :1]), 0.0, np.nan)
    out: Floats = s[:, None] * np.concatenate([-side[:, ::-1], centre, side], axis=1)
    return out


class MinuteExperts:
    """Aggregated experts over scales that are at hand.

    Parameters
    ----------
    scales : (n,) each, by the names of `minute_scales`
    minimum : known scores below which an expert says nothing
    """

    def __init__(self, scales: Mapping[str, ArrayLike], minimum: int = 500) -> None:
        wanted = {name for name, _ in MEMBERS}
        if missing := sorted(wanted - set(scales)):
            raise InvalidInput(f"expected the scales {', '.join(sorted(wanted))}, missing {', '.join(missing)}")
        if not 20 <= minimum <= DAY:
            raise InvalidInput(f"expected a minimum of 20 to {DAY} scores, found {minimum}")
        self.scales = {name: np.asarray(scales[name], dtype=np.float64) for name in sorted(wanted)}
        self.minimum = int(minimum)

    def quantiles(self, ret: ArrayLike, *, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """(n, L) quantiles of the return over the horizon, strictly online; NaN where an expert says nothing.

        Raises
        ------
        InvalidInput : shapes differ, an infinity, or levels that are not symmetric about a median
        """
        r = np.asarray(ret, dtype=np.float64)
        if any(one.shape != r.shape for one in self.scales.values()) or r.ndim != 1:
            raise InvalidInput(f"expected returns and scales of one length, found {r.shape} and {self._shapes()}")
        panel_values("returns", r[:, None])
        made = [mirrored(r, self.scales[name], horizon, days * DAY, self.minimum, levels) for name, days in MEMBERS]
        ready = np.all([np.isfinite(one).all(axis=1) for one in made], axis=0)
        scale = np.where(ready, self.scales["blend"], np.nan)
        experts = [np.where(ready[:, None], one, np.nan)[:, None] for one in made]
        return Experts(smooth=1.0).combine(experts, r[:, None], scale[:, None], horizon=horizon, levels=levels).quantiles[:, 0]

    def run(self, ret: ArrayLike, sigma: ArrayLike, *, horizon: int, first: int = 0) -> ConePath:
        """Cones at rows first..n-1, see `projection.AdaptiveConformal.run`; the members bring scales of their own.

        Raises
        ------
        InvalidInput : as `quantiles`, or `first` below 0
        """
        r, s = np.asarray(ret, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
        if s.shape != r.shape or first < 0:
            raise InvalidInput(f"expected two equal vectors and first >= 0, found {r.shape}, {s.shape} and {first}")
        found = self.quantiles(r, horizon=horizon, levels=QUANTILE_LEVELS)
        ended = np.isfinite(r / self.scales["blend"])
        count = np.concatenate([np.zeros(min(horizon, len(r)), dtype=np.int64), np.cumsum(ended)[:-horizon]])
        known = np.minimum(count, max(days for _, days in MEMBERS) * DAY)
        asked = np.broadcast_to(np.array(QUANTILE_LEVELS), found.shape).copy()
        return cone_path(found, asked, np.zeros(len(r), dtype=np.bool_), known, horizon, first)

    def _shapes(self) -> list[tuple[int, ...]]:
        return [one.shape for one in self.scales.values()]


def _geometric(*scales: Floats) -> Floats:
    found: Floats = np.exp(np.mean(np.log(np.stack(scales)), axis=0))
    return found


def _exponential(bars: pl.DataFrame, horizon: int) -> Floats:
    """(n,) root of the exponential mean of the squared one-minute returns known up to each row, on the horizon's scale.

    Minutes after a gap are passed over; nothing is said in the first day, whose mean it starts from.
    """
    ts, price = bars["ts"].dt.timestamp("us").to_numpy(), np.log(bars["close"].to_numpy().astype(np.float64))
    out = np.full(len(ts), np.nan)
    if len(ts) <= DAY:
        return out
    square = np.where(np.diff(ts, prepend=ts[0]) == 60_000_000, np.diff(price, prepend=price[0]) ** 2, np.nan)
    first = square[:DAY]
    if not np.isfinite(first).any():
        return out
    keep, level = 0.5 ** (1.0 / HALF_LIFE), float(np.nanmean(first))
    for row, value in enumerate(square.tolist()):
        if value == value:
            level = keep * level + (1.0 - keep) * value
        out[row] = level
    out[:DAY] = np.nan
    found: Floats = np.sqrt(horizon * np.where(out > 0.0, out, np.nan))
    return found
