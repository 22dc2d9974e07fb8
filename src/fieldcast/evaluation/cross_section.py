"""Cross-sectional research: does a factor order instruments by what they do next?

Everything is an array over (T dates, N instruments); NaN is an instrument that is not there, or a value that is not known.

    forward return    f_{t,i}(h) = P_{t+1+h,i} / P_{t+1,i} − 1: the factor of date t is traded at date t + 1, h dates long
    rank IC           Spearman correlation over i of factor_t and f_t(h), at dates with enough instruments
    decay             the mean IC over dates for each h
    quantile          instruments by rank of the factor, q = floor(Q (rank − ½) / n_t); returns are equal-weighted, of h = 1
    long-short        top less bottom quantile
    turnover          ½ Σ_i |w_t,i − w_{t−1,i}| of the long-short weights (each leg sums to 1: 2 is all of both legs)
    capacity          the largest account whose trades stay below a share of the dollar volume:
                      min over traded i of  share · ADV_t,i / |w_t,i − w_{t−1,i}|;  its median and 10 % quantile over dates
    neutralisation    least-squares residual of the factor's normal ranks on group dummies and exposures, date by date

Intervals are stationary-bootstrap intervals over dates (`evaluation.intervals`), with a mean block of at least the horizon:
forward returns overlap. An instrument that ends (its last price lies before the panel's end) has no forward return across its end
unless a final return is given: that is counted and told, because leaving out what failed flatters a factor.

Source: Grinold and Kahn (2000), Active Portfolio Management, for the IC and its decay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation.intervals import BLOCK, DRAWS, Interval, mean_interval
from fieldcast.ground import InvalidInput, MissingData

Array = NDArray[np.float64]
HORIZONS = (1, 2, 5, 10, 21)
QUANTILES = 5
LEAST_NAMES = 10  # instruments that a date needs
SHARE = 0.01  # of the dollar volume that a trade may be
ADV_WINDOW = 21


@dataclass(frozen=True)
class Panel:
    """Prices and a factor of N instruments on T dates.

    Parameters
    ----------
    dates : (T,) ascending
    names : (N,) instruments
    price : (T, N) at which positions are taken, NaN where the instrument is not there
    factor : (T, N) known at each date, NaN where it is not
    dollar_volume : (T, N) traded value, NaN where unknown; None = no capacity is computed
    final_return : (N,) return from the last price of an instrument that ends, such as −1; NaN or None = not known

    Raises
    ------
    InvalidInput : shapes that differ, dates that do not ascend, prices that are not above 0, or an infinity
    """

    dates: NDArray[Any]
    names: tuple[str, ...]
    price: Array
    factor: Array
    dollar_volume: Array | None = None
    final_return: Array | None = None

    def __post_init__(self) -> None:
        shape = (np.asarray(self.dates).size, len(self.names))
        tables = {"price": self.price, "factor": self.factor} | (
            {} if self.dollar_volume is None else {"dollar_volume": self.dollar_volume}
        )
        for name, table in tables.items():
            if table.shape != shape or np.isinf(table).any():
                raise InvalidInput(f"expected finite {name} of {shape[0]} dates × {shape[1]} instruments, found {table.shape}")
        if (np.diff(np.asarray(self.dates)) <= np.timedelta64(0)).any() or len(set(self.names)) != len(self.names):
            raise InvalidInput("expected ascending dates and each instrument once")
        if (self.price <= 0).any():
            raise InvalidInput(f"expected prices above 0, found {np.nanmin(self.price):g}")
        if self.final_return is not None and (self.final_return.shape != (shape[1],) or (self.final_return < -1).any()):
            raise InvalidInput(f"expected one final return of at least -1 an instrument, found {self.final_return.shape}")

    @property
    def last(self) -> NDArray[np.intp]:
        """(N,) place of each instrument's last price; −1 where it has none."""
        known = np.isfinite(self.price)
        place = self.price.shape[0] - 1 - np.argmax(known[::-1], axis=0)
        return np.where(known.any(axis=0), place, -1)

    @property
    def ended(self) -> tuple[str, ...]:
        """Instruments whose prices end before the panel does."""
        return tuple(name for name, last in zip(self.names, self.last, strict=True) if 0 <= last < self.price.shape[0] - 1)


@dataclass(frozen=True)
class RankIC:
    """Rank IC over one horizon: its mean with its interval, its deviation over dates, and the series."""

    horizon: int
    mean: Interval
    deviation: float
    names: float  # instruments a date, on average
    series: Array  # (T,) NaN where a date has too few instruments


@dataclass(frozen=True)
class Quantiles:
    """Equal-weighted returns by quantile of the factor, a date after another.

    Parameters
    ----------
    returns : (T, Q) from date t + 1 to t + 2, NaN where the date has too few instruments
    mean : a quantile's mean return with its interval
    spread : top less bottom; `spread_series` (T,)
    turnover : (T,) of the long-short portfolio, NaN up to the date that first buys it; `mean_turnover` with its interval
    weights : (T, N) of the long-short portfolio
    """

    returns: Array
    mean: tuple[Interval, ...]
    spread: Interval
    spread_series: Array
    turnover: Array
    mean_turnover: Interval
    weights: Array


@dataclass(frozen=True)
class Capacity:
    """Largest account, in the currency of the dollar volume, whose trades stay below `share` of it: median and 10 % quantile."""

    share: float
    median: float
    low: float
    dates: int


def forward_returns(panel: Panel, horizon: int) -> Array:
    """(T, N) P_{t+1+h} / P_{t+1} − 1; NaN where a price is not known.

    An instrument that ends inside the horizon gets its last price times 1 + `final_return`, where that is known.
    """
    rows = panel.price.shape[0]
    out = np.full(panel.price.shape, np.nan)
    if horizon < 1:
        raise InvalidInput(f"expected a horizon of at least 1, found {horizon}")
    if rows > horizon + 1:
        out[: rows - 1 - horizon] = panel.price[1 + horizon :] / panel.price[1:-horizon] - 1.0
    if panel.final_return is not None:
        for place in np.flatnonzero(np.isfinite(panel.final_return) & (panel.last >= 0) & (panel.last < rows - 1)):
            last = int(panel.last[place])
            first = max(0, last - horizon)
            entry = panel.price[first + 1 : last + 1, place]
            out[first:last, place] = panel.price[last, place] * (1.0 + panel.final_return[place]) / entry - 1.0
    return out


def ranks(values: Array) -> Array:
    """(T, N) ranks 1 … n_t within each date, ties at their mean; NaN stays NaN."""
    known = np.isfinite(values)
    filled = np.where(known, values, np.inf)
    order = np.argsort(filled, axis=1)
    ordered = np.take_along_axis(filled, order, axis=1)
    columns = np.arange(values.shape[1], dtype=np.int32)
    fresh = np.ones(values.shape, dtype=np.bool_)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    start = np.maximum.accumulate(np.where(fresh, columns, 0), axis=1)
    last = np.ones(values.shape, dtype=np.bool_)
    last[:, :-1] = fresh[:, 1:]
    stop = np.minimum.accumulate(np.where(last, columns, values.shape[1])[:, ::-1], axis=1)[:, ::-1]
    out = np.empty(values.shape)
    np.put_along_axis(out, order, (start + stop) / 2.0 + 1.0, axis=1)
    out[~known] = np.nan
    return out


def rank_ic(factor: Array, forward: Array, *, least: int = LEAST_NAMES) -> tuple[Array, NDArray[np.intp]]:
    """Spearman correlation of each date over the instruments that have both.

    Returns
    -------
    (T,) correlations, NaN where fewer than `least` instruments have both or one of them does not vary; (T,) instruments
    """
    both = np.isfinite(factor) & np.isfinite(forward)
    count = both.sum(axis=1)
    middle = (np.maximum(count, 1)[:, None] + 1) / 2.0
    a, b = (np.where(both, ranks(np.where(both, table, np.nan)) - middle, 0.0) for table in (factor, forward))
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where((count >= least) & (scale > 0), (a * b).sum(axis=1) / scale, np.nan)
    return found, count


def decay(
    panel: Panel,
    horizons: tuple[int, ...] = HORIZONS,
    *,
    least: int = LEAST_NAMES,
    block: int = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[RankIC, ...]:
    """Mean rank IC over each horizon, with its interval.

    Raises
    ------
    MissingData : too few dates with enough instruments for an interval
    """
    found = []
    for horizon in horizons:
        series, count = rank_ic(panel.factor, forward_returns(panel, horizon), least=least)
        known = np.isfinite(series)
        interval = _mean(series, panel.dates, max(block, horizon), draws, seed, f"the rank IC over {horizon}")
        found.append(RankIC(horizon, interval, float(series[known].std(ddof=1)), float(count[known].mean()), series))
    return tuple(found)


def quantile_places(factor: Array, quantiles: int = QUANTILES, *, least: int = LEAST_NAMES) -> NDArray[np.int64]:
    """(T, N) quantile 0 … Q − 1 of each instrument on each date; −1 where it has none."""
    if quantiles < 2:
        raise InvalidInput(f"expected at least two quantiles, found {quantiles}")
    known = np.isfinite(factor)
    count = known.sum(axis=1, keepdims=True)
    place = np.floor(quantiles * (np.nan_to_num(ranks(factor), nan=1.0) - 0.5) / np.maximum(count, 1)).astype(np.int64)
    return np.where(known & (count >= max(least, quantiles)), np.clip(place, 0, quantiles - 1), -1)


def quantile_portfolios(
    panel: Panel,
    quantiles: int = QUANTILES,
    *,
    least: int = LEAST_NAMES,
    block: int = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
) -> Quantiles:
    """Equal-weighted portfolios by quantile, formed each date and held to the next.

    Instruments whose return is not known are left out of their quantile's mean (the survivorship that `Panel.ended` tells of).

    Raises
    ------
    MissingData : too few dates with enough instruments for an interval
    """
    forward = forward_returns(panel, 1)
    places = quantile_places(panel.factor, quantiles, least=least)
    returns = np.full((panel.price.shape[0], quantiles), np.nan)
    for place in range(quantiles):
        inside = (places == place) & np.isfinite(forward)
        count = inside.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            returns[:, place] = np.where(count > 0, np.where(inside, forward, 0.0).sum(axis=1) / count, np.nan)
    weights = long_short(places, quantiles)
    spread = returns[:, -1] - returns[:, 0]
    turnover = traded(weights).sum(axis=1) / 2.0
    turnover[: _formed(weights) + 1] = np.nan
    turnover[(places < 0).all(axis=1)] = np.nan
    return Quantiles(
        returns=returns,
        mean=tuple(_mean(returns[:, q], panel.dates, block, draws, seed, f"quantile {q + 1}") for q in range(quantiles)),
        spread=_mean(spread, panel.dates, block, draws, seed, "the long-short return"),
        spread_series=spread,
        turnover=turnover,
        mean_turnover=_mean(turnover, panel.dates, block, draws, seed, "turnover"),
        weights=weights,
    )


def long_short(places: NDArray[np.int64], quantiles: int) -> Array:
    """(T, N) weights: the top quantile sums to 1, the bottom one to −1; 0 elsewhere."""
    top, bottom = places == quantiles - 1, places == 0
    up, down = (np.maximum(side.sum(axis=1, keepdims=True), 1) for side in (top, bottom))
    weights: Array = np.where(top, 1.0 / up, 0.0) - np.where(bottom, 1.0 / down, 0.0)
    return weights


def _formed(weights: Array) -> int:
    """The first date with weights; the last one where there is none."""
    some = (weights != 0).any(axis=1)
    return int(np.argmax(some)) if some.any() else weights.shape[0] - 1


def traded(weights: Array) -> Array:
    """(T, N) |w_t − w_{t−1}|, from nothing at the first date."""
    return np.abs(np.diff(weights, axis=0, prepend=np.zeros((1, weights.shape[1]))))


def capacity(panel: Panel, weights: Array, *, share: float = SHARE, window: int = ADV_WINDOW) -> Capacity:
    """How large an account the dollar volume carries; see the module.

    ADV is the mean dollar volume of the `window` dates up to t, of those that are known; a traded instrument without one makes
    its date unknown. The first date with weights, at which everything is bought at once, does not count.

    Raises
    ------
    MissingData : no dollar volume, or none on any date that trades
    """
    if panel.dollar_volume is None:
        raise MissingData("expected dollar volume for the capacity, found none")
    if not 0.0 < share <= 1.0 or window < 1:
        raise InvalidInput(f"expected a share in (0, 1] and a window of at least one date, found {share} and {window}")
    known = np.isfinite(panel.dollar_volume)
    sums, counts = (np.cumsum(table, axis=0) for table in (np.where(known, panel.dollar_volume, 0.0), known.astype(np.float64)))
    for table in (sums, counts):
        table[window:] -= table[:-window].copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        volume = np.where(counts > 0, sums / counts, np.nan)
        trades = traded(weights)
        carried = np.where(trades > 1e-12, share * volume / trades, np.inf)
    carried[: _formed(weights) + 1] = np.nan
    least = carried.min(axis=1)  # a NaN among them makes the date unknown
    dated = least[np.isfinite(least)]
    if not dated.size:
        raise MissingData("expected dollar volume on dates that trade, found none")
    return Capacity(share, float(np.median(dated)), float(np.quantile(dated, 0.1)), int(dated.size))


def neutralise(factor: Array, *, groups: ArrayLike | None = None, exposures: tuple[Array, ...] = ()) -> Array:
    """(T, N) what is left of a factor's normal ranks after groups and exposures, date by date.

    Parameters
    ----------
    groups : (N,) or (T, N) labels; their means are removed
    exposures : (T, N) each; NaN where unknown, and the factor then is too

    Raises
    ------
    InvalidInput : neither groups nor exposures, or shapes that differ
    """
    if groups is None and not exposures:
        raise InvalidInput("expected groups or exposures to neutralise to, found neither")
    labels = None if groups is None else np.broadcast_to(np.asarray(groups), factor.shape)
    if any(table.shape != factor.shape for table in exposures):
        raise InvalidInput(f"expected exposures of shape {factor.shape}, found {[table.shape for table in exposures]}")
    known = np.isfinite(factor)
    for table in exposures:
        known &= np.isfinite(table)
    scores = normal_scores(np.where(known, factor, np.nan))
    out = np.full(factor.shape, np.nan)
    for t in np.flatnonzero(known.any(axis=1)):
        here = known[t]
        parts = [_centred(table[t, here]) for table in exposures]  # groups, or the constant, span what is taken off
        if labels is None:
            parts.append(np.ones(int(here.sum())))
        else:
            kinds, place = np.unique(labels[t, here], return_inverse=True)
            parts += list(np.eye(kinds.size)[place].T)
        design = np.column_stack(parts)
        out[t, here] = scores[t, here] - design @ np.linalg.lstsq(design, scores[t, here], rcond=None)[0]
    return np.where(np.abs(out) < 1e-12, 0.0, out)


def _centred(values: Array) -> Array:
    """(n,) deviations in units of their root mean square, so that one in billions hides no other; 0 if it does not vary."""
    off = values - values.mean()
    scale = float(np.sqrt((off * off).mean()))
    return off / scale if scale > 1e-12 * float(np.abs(values).max(initial=0.0)) else np.zeros_like(values)


def normal_scores(values: Array) -> Array:
    """(T, N) normal quantile of (rank − ½) / n_t."""
    from scipy.special import ndtri

    count = np.maximum(np.isfinite(values).sum(axis=1, keepdims=True), 1)
    scores: Array = ndtri((ranks(values) - 0.5) / count)
    return scores


def _mean(series: Array, dates: NDArray[Any], block: int, draws: int, seed: int, what: str) -> Interval:
    known = np.isfinite(series)
    if known.sum() < 2 * block:
        raise MissingData(f"expected at least {2 * block} dates with {what}, found {int(known.sum())}")
    return mean_interval(series[known], dates=np.asarray(dates)[known], block=block, draws=draws, seed=seed)
