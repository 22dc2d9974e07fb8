"""Boosted trees on the absolute return of the next minutes over another scale: what its regression cannot say.

    y_t        |r_{t,h}| / base_t over its mean,   base: a scale that was itself made walk-forward
    trees      g = sum of small trees at `columns`, least mean of  y e^{-g} + g     (Laplace likelihood of r: LightGBM's "gamma")
    scale      sigma_t = base_t e^{g_t};  base_t itself as long as too few rows are known

    columns    the nine terms of `MinuteDesign`; the minute of the hour
               |r| of the last minute, r of the last 5 to 2,880 bars, and the ways to the high and the low of 240 and 1,440 bars,
                   each over s sqrt(bars)
               over s, in logs: mean |r| and the widest minute of the last 15 and 60 bars, the range of the last minute
               log of the mean volume of the last 1 to 240 bars over that of 1,440
    s          mean one-minute range of the last 240 bars under the week's profile, times the season ahead

A fit is made at the first bar of each UTC day from rows whose horizon had ended, every fifth of them, with as many trees as were
settled beforehand. Earlier spans count for ten days together, as with `RangeScale`. No column has a unit but the terms, which are
logs of a return's scale; an unknown value is missing, which a tree has a branch for. One thread and `deterministic`: equal bars
give equal scales, and row t rests on rows up to t.
Sources: Ke et al. 2017 (LightGBM); Black 1976 (falls raise volatility more than rises do); Jones, Kaul and Lipson 1994 (volume).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import read_bars
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.volatility.range_scale import (
    MINUTES,
    THIN,
    MinuteDesign,
    Whole,
    days_of,
    earlier_share,
    require_earlier,
)
from fieldcast.models.volatility.weekly_profile import DAY, HOUR, NARROWEST

ROUNDS = 75
LEAST_ROWS = 2000  # fitted rows, earlier ones at their weight, below which nothing is corrected
LEAST_VOLUME = 1e-3  # of the day's mean, below which volumes are alike
MOVES = (5, 15, 60, 240, 720, 1440, 2880)  # bars
EXTREMES = (240, 1440)  # bars
ROUGH = (15, 60)  # bars
VOLUMES = (1, 5, 15, 60, 240)  # bars
SETTINGS: dict[str, Any] = {
    "objective": "gamma",
    "metric": "None",
    "boost_from_average": False,
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 300,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 0,
    "verbosity": -1,
}


@dataclass(frozen=True)
class TreeDesign:
    """What the trees see of each row of one span and what came of it; n rows.

    columns : (n, F) of the module; NaN where unknown
    base : (n,) scale of the log return over the horizon, above 0; NaN where unknown
    outcome : (n,) log return over the horizon; NaN where unknown
    stamp : (n,) end of the bar, minutes since 1970
    """

    columns: Floats
    base: Floats
    outcome: Floats
    stamp: Whole


@dataclass(frozen=True)
class TreeScale:
    """Walk-forward correction of a scale of the return over the next minutes.

    Parameters
    ----------
    rounds : trees in each fit, 1 or more
    """

    rounds: int = ROUNDS

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InvalidInput(f"expected one round or more, found {self.rounds}")

    def fitted(self, own: TreeDesign, horizon: int, earlier: Sequence[TreeDesign] = ()) -> Floats:
        """(n,) sigma of the log return close(t) → close(t + horizon minutes), up to a factor; NaN where the base is.

        Parameters
        ----------
        own : what `tree_design` makes of minute bars of one instrument that trades around the clock
        horizon : minutes, that of the design's outcome, 1 to 1,440
        earlier : of spans that end before `own` begins

        Raises
        ------
        InvalidInput : a horizon outside its range, a span that is not earlier, or rows to learn from whose price never moved
        """
        if not 1 <= horizon <= DAY:
            raise InvalidInput(f"expected a horizon of 1 to {DAY} minutes, found {horizon}")
        require_earlier(own.stamp, [span.stamp for span in earlier])
        before = [_labelled(span, _usable(span)) for span in earlier]
        table = np.concatenate([np.empty((0, own.columns.shape[1])), *(part[0] for part in before)])
        sizes = np.concatenate([np.empty(0), *(part[1] for part in before)])
        share = earlier_share(len(sizes))
        usable = _usable(own)
        out = own.base.copy()
        for begin, stop in days_of(own.stamp):
            ended = usable[: np.searchsorted(usable, begin)]
            ended = ended[own.stamp[ended] + horizon < own.stamp[begin]]
            if len(ended) + share * len(sizes) < LEAST_ROWS:
                continue
            now, size = _labelled(own, ended)
            weight = np.concatenate([np.full(len(sizes), share), np.ones(len(size))])
            found = self._trees(np.concatenate([table, now]), np.concatenate([sizes, size]), weight, own.columns[begin:stop])
            out[begin:stop] *= np.exp(found)
        return out

    def _trees(self, X: Floats, y: Floats, weight: Floats, ask: Floats) -> Floats:
        """Log of the correction at the rows `ask`."""
        import lightgbm

        data = lightgbm.Dataset(X, label=y, weight=weight, params=SETTINGS)
        grown = lightgbm.train(SETTINGS, data, num_boost_round=self.rounds)
        return np.asarray(grown.predict(ask, raw_score=True, num_threads=1), dtype=np.float64)


def tree_design(bars: pl.DataFrame, design: MinuteDesign, base: npt.ArrayLike) -> TreeDesign:
    """Columns of every row of minute bars.

    Parameters
    ----------
    bars : (n) minute bars that `minute_design` made `design` of
    base : (n,) the scale to be corrected, made walk-forward; NaN where unknown

    Raises
    ------
    InvalidInput : bars, design and base that differ in length, or a base that is not above 0
    """
    read, scale = read_bars(bars), np.asarray(base, dtype=np.float64)
    if not scale.shape == design.stamp.shape == (read.rows,):
        raise InvalidInput(f"expected bars, design and base of one length, found {read.rows}, {len(design.stamp)}, {scale.shape}")
    if (scale <= 0.0).any() or np.isinf(scale).any():
        raise InvalidInput("expected a base above 0 and finite or NaN, found others")
    price, high, low = np.log(read.close), np.log(read.high), np.log(read.low)
    usual = design.terms[:, len(MINUTES)]  # log of the mean range of the last 240 bars under the profile
    size = np.exp(usual + design.terms[:, -1])
    columns = [*design.terms[:, 1:].T, (design.stamp % HOUR).astype(np.float64), np.abs(_move(price, 1)) / size]
    columns += [_move(price, bars_back) / size / np.sqrt(bars_back) for bars_back in MOVES]
    for length in EXTREMES:
        unit = size * np.sqrt(length)
        columns += [(_highest(high, length) - price) / unit, (price + _highest(-low, length)) / unit]
    step, width = np.abs(np.diff(price, prepend=price[:1])), high - low
    rough = [width, *(column for length in ROUGH for column in (_mean(step, length), _highest(width, length)))]
    columns += [np.log(np.maximum(column, NARROWEST)) - usual for column in rough]
    volume = np.where(read.known["volume"], read.volume, np.nan)
    whole = _mean(volume, DAY)
    whole = np.where(whole > 0.0, whole, np.nan)
    columns += [np.log(np.maximum(_mean(volume, length) / whole, LEAST_VOLUME)) for length in VOLUMES]
    return TreeDesign(np.column_stack(columns), scale, design.outcome, design.stamp)


def _usable(span: TreeDesign) -> npt.NDArray[np.intp]:
    """Every fifth of the rows (by the clock) where base and outcome are known."""
    return np.flatnonzero((span.stamp % THIN == 0) & np.isfinite(span.base) & np.isfinite(span.outcome))


def _labelled(span: TreeDesign, rows: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Columns of the rows, and their absolute outcome over the base, whose mean is 1."""
    size = np.abs(span.outcome[rows]) / span.base[rows]
    if len(size) and not size.any():
        raise InvalidInput("expected outcomes that are not all zero, found none; the price never moved")
    return span.columns[rows], size / size.mean() if len(size) else size


def _move(price: Floats, length: int) -> Floats:
    out = np.full(len(price), np.nan)
    out[length:] = price[length:] - price[:-length]
    return out


def _mean(values: Floats, length: int) -> Floats:
    """Mean of the last `length` rows, each window summed by itself; NaN in the first ones."""
    out = np.full(len(values), np.nan)
    if len(values) >= length:
        out[length - 1 :] = np.lib.stride_tricks.sliding_window_view(values, length).mean(axis=1)
    return out


def _highest(values: Floats, length: int) -> Floats:
    out = np.full(len(values), np.nan)
    if len(values) >= length:
        out[length - 1 :] = np.lib.stride_tricks.sliding_window_view(values, length).max(axis=1)
    return out
