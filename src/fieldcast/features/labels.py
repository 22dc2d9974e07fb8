"""What a projection is asked: labels over the next H rows, each with the time at which its answer is known.

For row t with close C, high H and log return r = log(C_{t+H} / C_t):

    sign           y = 1 if r > 0, 0 if r < 0, null if r = 0
    three_way      direction = 0 if |r| <= k sigma_t, else the sign of r
    magnitude      class = number of cut points below |r| / sigma_t
    volatility     log of the root mean squared daily log return over t+1 .. t+H
    high_reaches   y = 1 if max(H_{t+1} .. H_{t+H}) >= C_t (1 + theta)
    open_to_close  log(C_{t+H} / O_{t+1}), what an order at the next open can earn
    minutes_ahead  sign of the return to the bar exactly so many minutes later

The last H rows have no answer and no `label_end_ts`. A row is null wherever any price of its window is unknown, also
where the others would already decide it: otherwise the known rows would be a biased sample.

Cut points (`flat_band_k`, `magnitude_cuts`) are fitted on training rows and handed over as numbers. The threshold
families (high up, low down, close) live in `fieldcast.features.thresholds`; those in units of the row's own volatility and
the triple barrier in `fieldcast.features.barriers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import Array, read_bars
from fieldcast.features._inputs import values as numbers
from fieldcast.ground import InvalidInput, utc
from fieldcast.market import STAMP

DAILY_FLOOR = 1e-4  # one basis point in quadrature, as in the volatility block


def sign(bars: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Direction of the close over `horizon` rows.

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `ret` (log), `y` (1 up, 0 down, null where ret is 0 or unknown)
    """
    table = _returns(bars, horizon)
    y = pl.when(pl.col("ret") > 0).then(1).when(pl.col("ret") < 0).then(0).cast(pl.Int8)
    return table.with_columns(y=y)


def three_way(bars: pl.DataFrame, horizon: int, sigma: npt.ArrayLike | pl.Series, k: float) -> pl.DataFrame:
    """Up, flat or down with the flat band `k` times `sigma`, both ends included.

    Parameters
    ----------
    sigma : (n,) scale of the return at each row, known at that row (null, or NaN in an array, while unknown)
    k : width of the band in units of sigma, from `flat_band_k` on training rows

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `ret` (log), `direction` (-1, 0, 1)
    """
    if not (np.isfinite(k) and k >= 0):
        raise InvalidInput(f"expected a flat band of k >= 0, found {k}")
    table = _returns(bars, horizon)
    band = pl.Series("band", k * _scale(sigma, table.height)).fill_nan(None)
    flat = pl.col("ret").abs() <= band
    direction = pl.when(flat).then(0).when(~flat).then(pl.col("ret").sign()).cast(pl.Int8)
    return table.with_columns(direction=direction)


def flat_band_k(ret: npt.ArrayLike, sigma: npt.ArrayLike, share: float = 1 / 3) -> float:
    """The k at which `share` of these rows is flat: the smallest one with at least that share inside the band.

    Parameters
    ----------
    ret, sigma : (n,) log returns and their scales, of training rows only; rows where either is NaN do not count
    share : wanted share of flat rows, in (0, 1)

    Raises
    ------
    InvalidInput : fewer than 30 known rows, lengths differ, or a share outside (0, 1)
    """
    if not 0 < share < 1:
        raise InvalidInput(f"expected a share inside (0, 1), found {share}")
    return float(np.quantile(_scaled_moves(ret, sigma), share, method="inverted_cdf"))


def magnitude_cuts(ret: npt.ArrayLike, sigma: npt.ArrayLike, classes: int = 3) -> tuple[float, ...]:
    """Cut points of |ret| / sigma that split these training rows into equally large classes; see `flat_band_k`."""
    if not 2 <= classes <= 20:
        raise InvalidInput(f"expected 2 to 20 classes, found {classes}")
    shares = np.arange(1, classes) / classes
    return tuple(float(cut) for cut in np.quantile(_scaled_moves(ret, sigma), shares, method="inverted_cdf"))


def magnitude(bars: pl.DataFrame, horizon: int, sigma: npt.ArrayLike | pl.Series, cuts: Sequence[float]) -> pl.DataFrame:
    """Class of the size of the move, whatever its sign: how many of the ascending `cuts` lie below |ret| / sigma.

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `ret` (log), `magnitude` (0 .. len(cuts))
    """
    edges = np.asarray(cuts, dtype=np.float64)
    if edges.ndim != 1 or not edges.size or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise InvalidInput(f"expected ascending finite cut points, found {list(cuts)}")
    table = _returns(bars, horizon)
    ret = table["ret"].fill_null(float("nan")).to_numpy()
    size = np.abs(ret) / _scale(sigma, table.height)
    known = np.isfinite(size)
    classes = pl.Series("magnitude", np.searchsorted(edges, np.where(known, size, 0.0), side="left"), dtype=pl.Int8)
    return table.with_columns(pl.when(pl.Series(known)).then(classes).alias("magnitude"))


def volatility(bars: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Volatility over the next `horizon` rows, close to close.

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `log_sigma` = 1/2 log(mean of squared log returns + 1 bp^2), of one row
    """
    h = _horizon(horizon)
    inputs = read_bars(bars)
    squared = np.diff(np.log(inputs.close)) ** 2
    out = np.full(inputs.rows, np.nan)
    if squared.size >= h:
        ahead = np.lib.stride_tricks.sliding_window_view(squared, h).mean(axis=1)
        out[: ahead.size] = 0.5 * np.log(ahead + DAILY_FLOOR**2)
    return _ends(bars, h).with_columns(pl.Series("log_sigma", out).fill_nan(None))


def high_reaches(bars: pl.DataFrame, horizon: int, theta: float = 0.01) -> pl.DataFrame:
    """Whether the high reaches `theta` above the close of row t within `horizon` rows.

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `y` (1 or 0; null where a high of the window is unknown)
    """
    from fieldcast.features.thresholds import Family, threshold

    return threshold(bars, Family.HIGH_UP, theta, _horizon(horizon))


def open_to_close(bars: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Return from the next open to the close `horizon` rows ahead.

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `ret` = log(C_{t+H} / O_{t+1}), null where that open is not a real print
    """
    h = _horizon(horizon)
    inputs = read_bars(bars)
    out = np.full(inputs.rows, np.nan)
    if inputs.rows > h:
        opened = np.where(inputs.known["open"], inputs.open, np.nan)
        out[:-h] = np.log(inputs.close[h:] / opened[1 : inputs.rows - h + 1])
    return _ends(bars, h).with_columns(pl.Series("ret", out).fill_nan(None))


def minutes_ahead(bars: pl.DataFrame, minutes: int = 15) -> pl.DataFrame:
    """Direction of the close to the bar that ends exactly `minutes` later; null where there is no such bar.

    Unlike a horizon in rows this stays right where minutes without trades are absent.

    Returns
    -------
    n rows: `ts`, `label_end_ts`, `ret` (log), `y` (1, 0, null)
    """
    if minutes < 1:
        raise InvalidInput(f"expected at least one minute ahead, found {minutes}")
    read_bars(bars)
    later = bars.select(ts=pl.col("ts").dt.offset_by(f"-{minutes}m"), label_end_ts="ts", later="close")
    table = bars.select("ts", "close").join(later, on="ts", how="left", maintain_order="left")
    table = table.with_columns(ret=(pl.col("later") / pl.col("close")).log())
    y = pl.when(pl.col("ret") > 0).then(1).when(pl.col("ret") < 0).then(0).cast(pl.Int8)
    return table.select("ts", pl.col("label_end_ts").cast(STAMP), "ret", y=y)


def training_rows(table: pl.DataFrame, before: datetime) -> npt.NDArray[np.int64]:
    """Rows whose answer was known by `before`: the only ones that cut points may be fitted on; indices, ascending."""
    return table.select((pl.col("label_end_ts") <= utc(before)).fill_null(value=False).arg_true()).to_series().to_numpy()


def balance(table: pl.DataFrame, label: str, by: str | None = None) -> pl.DataFrame:
    """How often each class of a label occurs.

    Parameters
    ----------
    label : column of classes, such as `y` or `direction`
    by : "year" counts each calendar year (UTC) of `ts` apart

    Returns
    -------
    `year` (if asked), `label`, `value`, `rows`, `share` of the known rows, `unknown` rows; sorted
    """
    if label not in table.columns:
        raise InvalidInput(f"expected a label out of {', '.join(table.columns)}, found {label!r}")
    if by not in (None, "year"):
        raise InvalidInput(f'expected by to be None or "year", found {by!r}')
    groups = [] if by is None else ["year"]
    named = table.select(pl.col("ts").dt.year().alias("year"), value=pl.col(label).cast(pl.Int64))
    over = named.with_columns(
        known=pl.col("value").count().over(groups) if groups else pl.col("value").count(),
        unknown=pl.col("value").null_count().over(groups) if groups else pl.col("value").null_count(),
    )
    return (
        over.drop_nulls("value")
        .group_by(*groups, "value")
        .agg(rows=pl.len(), share=pl.len() / pl.col("known").first(), unknown=pl.col("unknown").first())
        .select(*groups, pl.lit(label).alias("label"), "value", "rows", "share", "unknown")
        .sort(*groups, "value")
    )


def _horizon(horizon: int) -> int:
    if not isinstance(horizon, int | np.integer) or isinstance(horizon, bool) or horizon < 1:
        raise InvalidInput(f"expected a horizon of at least one row, found {horizon!r}")
    return int(horizon)


def _ends(bars: pl.DataFrame, horizon: int) -> pl.DataFrame:
    return bars.select(pl.col("ts").cast(STAMP), label_end_ts=pl.col("ts").cast(STAMP).shift(-horizon))


def _returns(bars: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """`ts`, `label_end_ts` and the log return of the close over `horizon` rows."""
    h = _horizon(horizon)
    close = read_bars(bars).close
    out = np.full(close.size, np.nan)
    if close.size > h:
        out[:-h] = np.log(close[h:] / close[:-h])
    return _ends(bars, h).with_columns(pl.Series("ret", out).fill_nan(None))


def _scale(sigma: npt.ArrayLike | pl.Series, rows: int) -> Array:
    """(rows,) positive scales, NaN where unknown."""
    array = numbers(sigma, "sigma") if isinstance(sigma, pl.Series) else np.asarray(sigma, dtype=np.float64)
    if array.shape != (rows,):
        raise InvalidInput(f"expected {rows} values of sigma, one a bar, found shape {array.shape}")
    if np.isinf(array).any() or (array <= 0).any():
        raise InvalidInput("expected positive finite values of sigma (unknown: null, or NaN in an array)")
    return array


def _scaled_moves(ret: npt.ArrayLike, sigma: npt.ArrayLike) -> Array:
    moves = np.asarray(ret, dtype=np.float64)
    if moves.ndim != 1 or np.isinf(moves).any():
        raise InvalidInput(f"expected one series of finite returns, found shape {moves.shape}")
    size = np.abs(moves) / _scale(sigma, moves.size)
    size = size[~np.isnan(size)]
    if size.size < 30:
        raise InvalidInput(f"expected at least 30 training rows with a return and a sigma, found {size.size}")
    return size
