"""Labels in units of the row's own volatility: scaled thresholds and the triple barrier.

With close C, and s_t the scale of the log return over H rows as it was known at row t (a forecast, or trailing volatility × √H):

    scaled threshold   high_up   y = 1 if max(High_{t+1} .. High_{t+H})   >= C_t exp(k s_t)
                       low_down  y = 1 if min(Low_{t+1} .. Low_{t+H})     <= C_t exp(-k s_t)
                       close     y = 1 if max(Close_{t+1} .. Close_{t+H}) >= C_t exp(k s_t)
    triple barrier     1 if C_t exp(up s_t) is reached first, -1 if C_t exp(-down s_t) is, 0 if neither within H rows

A fixed threshold occurs when the market moves, whichever way, and a model of volatility alone forecasts it; a scaled one is about
as frequent in calm as in wild times, so what is left to forecast is direction and shape.

Where one row's range reaches both barriers its open tells which came first if it lies beyond one of them; otherwise nobody knows,
and the label is null. A window that is not complete has no label even where a barrier was reached already: else rows that were
decided quickly would be known sooner than others, and a training set cut at a moment would hold too many of them. For the same
reason `label_end_ts` is the end of the window; `touched_ts` says when the barrier was reached.

`ret` is the distance to the barrier, also where a row opens beyond it: an order would have filled at that open, which is the
business of a simulation of fills and not of a label.

Source: Lopez de Prado, Advances in Financial Machine Learning (2018), ch. 3.2; forecast anchors of the project for k = 0.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import Array, read_bars
from fieldcast.features._inputs import values as numbers
from fieldcast.features.thresholds import Family, all_known, extreme, rows_ahead
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP

HALF_SIGMA = 0.5


def scaled_threshold(
    bars: pl.DataFrame, family: Family | str, horizon: int, sigma: npt.ArrayLike | pl.Series, k: float = HALF_SIGMA
) -> pl.DataFrame:
    """Whether the path of the next `horizon` rows reaches `k` of the row's own sigma.

    Parameters
    ----------
    family : high_up, low_down or close; as with fixed thresholds, families are never mixed
    sigma : (n,) scale of the log return over `horizon` rows, known at each row (null, or NaN in an array, while unknown)
    k : above zero

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `y` (1 or 0; null where the window is not complete, or a price of it or sigma is unknown)
    """
    inputs = read_bars(bars)
    chosen, scale = _family(family), _scale(sigma, inputs.rows)
    _checked(horizon, k=k)
    last = rows_ahead(inputs.rows, horizon)
    name = {Family.HIGH_UP: "high", Family.LOW_DOWN: "low", Family.CLOSE: "close"}[chosen]
    path: Array = getattr(inputs, name)
    if chosen is Family.LOW_DOWN:
        reached = extreme(path, last, highest=False) <= inputs.close * np.exp(-k * scale)
    else:
        reached = extreme(path, last, highest=True) >= inputs.close * np.exp(k * scale)
    known = all_known(inputs.known[name], last) & np.isfinite(scale)
    return _ends(bars, horizon).with_columns(
        y=pl.when(pl.Series(known)).then(pl.Series(np.where(known, reached, False)).cast(pl.Int8))
    )


def triple_barrier(
    bars: pl.DataFrame, horizon: int, sigma: npt.ArrayLike | pl.Series, *, up: float = 1.0, down: float = 1.0
) -> pl.DataFrame:
    """Which of two barriers the price reaches first within `horizon` rows.

    Parameters
    ----------
    sigma : as in `scaled_threshold`
    up, down : distance of the barriers in units of sigma, above zero

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `touched_ts` (of the row that reached a barrier; of the window's last where none did), `ret`
    (log return to the barrier that was reached, or to the window's last close), `barrier` (1, 0, -1); null where unknown
    """
    inputs = read_bars(bars)
    scale = _scale(sigma, inputs.rows)
    _checked(horizon, up=up, down=down)
    last = rows_ahead(inputs.rows, horizon)
    upper, lower = inputs.close * np.exp(up * scale), inputs.close * np.exp(-down * scale)
    known = all_known(inputs.known["high"] & inputs.known["low"], last) & np.isfinite(scale)
    side = np.zeros(inputs.rows)
    at = np.where(known, last, -1)
    open_rows = np.flatnonzero(known)
    for ahead in range(1, horizon + 1):
        row = open_rows + ahead
        high, low = inputs.high[row] >= upper[open_rows], inputs.low[row] <= lower[open_rows]
        first = np.where(high & ~low, 1.0, np.where(low & ~high, -1.0, np.where(high & low, np.nan, 0.0)))
        opened = np.where(inputs.known["open"][row], inputs.open[row], np.nan)
        both = high & low
        first = np.where(both & (opened >= upper[open_rows]), 1.0, np.where(both & (opened <= lower[open_rows]), -1.0, first))
        hit = high | low
        side[open_rows[hit]], at[open_rows[hit]] = first[hit], row[hit]
        open_rows = open_rows[~hit]
    side[~known] = np.nan
    ret = np.where(side > 0, up * scale, np.where(side < 0, -down * scale, np.nan))
    none = side == 0
    ret[none] = np.log(inputs.close[at[none]] / inputs.close[none])
    decided = ~np.isnan(side)
    touched = pl.Series(inputs.ts[np.maximum(at, 0)]).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return _ends(bars, horizon).with_columns(
        touched_ts=pl.when(pl.Series(decided)).then(touched),
        ret=pl.Series(ret).fill_nan(None),
        barrier=pl.Series(side).fill_nan(None).cast(pl.Int8),
    )


def _ends(bars: pl.DataFrame, horizon: int) -> pl.DataFrame:
    return bars.select(pl.col("ts").cast(STAMP), label_end_ts=pl.col("ts").cast(STAMP).shift(-horizon))


def _family(family: Family | str) -> Family:
    try:
        return Family(family)
    except ValueError:
        raise InvalidInput(f"expected a family out of {', '.join(Family)}, found {family!r}") from None


def _checked(horizon: int, **distances: float) -> None:
    if not isinstance(horizon, int | np.integer) or isinstance(horizon, bool) or horizon < 1:
        raise InvalidInput(f"expected a horizon of at least one row, found {horizon!r}")
    for name, value in distances.items():
        if not (np.isfinite(value) and value > 0):
            raise InvalidInput(f"expected {name} as a number of sigmas above zero, found {value}")


def _scale(sigma: npt.ArrayLike | pl.Series, rows: int) -> Array:
    """(rows,) positive scales, NaN where unknown."""
    array = numbers(sigma, "sigma") if isinstance(sigma, pl.Series) else np.asarray(sigma, dtype=np.float64)
    if array.shape != (rows,) or np.isinf(array).any() or (array <= 0).any():
        raise InvalidInput(f"expected {rows} positive finite values of sigma (unknown: null, or NaN in an array)")
    return array
