"""Volatility by log-HAR: yesterday's, last week's and last month's log variance, by ordinary least squares.

    log v_{t,h} = b0 + b1 L_t + b2 mean(L_{t-4..t}) + b3 mean(L_{t-21..t}) + c . extra_t + e
    v_{t,h} = mean of the daily variances of t+1..t+h,   L = log of the daily variance
    sigma_{t,h} = sqrt( k exp(forecast) ),   k = mean over training rows of  r_{t,h}^2 / exp(forecast_t)

k turns the log forecast into the variance of the close-to-close log return over the horizon (Jensen's gap, the night
that a range does not see, and the h days, all at once); it is the value that minimises QLIKE for a given shape. sigma
has the unit of a log return over the horizon (0.01 = 1 %).

Daily variance, the best that a row allows: Garman-Klass where open, high, low and close are real prints, Parkinson
where the open is not, else the squared close-to-close return; never below (1 bp)^2.
Sources: Corsi 2009 (HAR-RV); Garman and Klass 1980; Parkinson 1980; Patton 2011 (QLIKE).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput, digest
from fieldcast.market import trusted_open
from fieldcast.models.contract import Floats, not_fitted

WEEK, MONTH = 5, 22  # sessions
WARMUP = MONTH  # rows before the first forecast
FLOOR = 1e-8  # (1 bp)^2, the least daily variance
MINIMUM_ROWS = 60  # training rows below which no fit is made


def daily_variance(bars: pl.DataFrame) -> pl.DataFrame:
    """Variance of each session's log return, from the best estimator that the row allows.

    Parameters
    ----------
    bars : schema `market.BARS`, one instrument, ascending ts; n rows

    Returns
    -------
    `ts`, `variance` (squared log return a day; null where nothing is known, as in a first row without range),
    `estimator`; n rows. Row t depends on rows t-1 and t alone.
    """
    opened, high, low, close = trusted_open(), pl.col("high"), pl.col("low"), pl.col("close")
    spread = (high / low).log().pow(2)
    body = (close / opened).log().pow(2)
    garman_klass = 0.5 * spread - (2.0 * np.log(2.0) - 1.0) * body
    parkinson = spread / (4.0 * np.log(2.0))
    squared = (close / close.shift(1)).log().pow(2)
    known = pl.when(garman_klass.is_not_null()).then(pl.lit("garman_klass"))
    return bars.select(
        "ts",
        variance=pl.coalesce(garman_klass, parkinson, squared).clip(lower_bound=FLOOR),
        estimator=known.when(parkinson.is_not_null())
        .then(pl.lit("parkinson"))
        .when(squared.is_not_null())
        .then(pl.lit("close_to_close")),
    )


def bar_variance(opened: float, high: float, low: float, close: float, before: float) -> float:
    """`daily_variance` of one row, to the last bit; NaN prices are not known, `before` is the close of the row before."""
    spread, body, moved = (math.log(one / other) for one, other in ((high, low), (close, opened), (close, before)))
    parkinson = spread * spread * (1.0 / (4.0 * math.log(2.0)))  # as polars divides by a constant
    garman_klass = 0.5 * (spread * spread) - (2.0 * math.log(2.0) - 1.0) * (body * body)
    for found in (garman_klass, parkinson, moved * moved):
        if not math.isnan(found):
            return max(found, FLOOR)
    return math.nan


def qlike(realised: ArrayLike, forecast: ArrayLike) -> float:
    """Mean QLIKE loss, x/f - log(x/f) - 1, of variance forecasts f against variances x; 0 is perfect.

    Raises
    ------
    InvalidInput : shapes differ, or a value is not positive and finite
    """
    x, f = np.asarray(realised, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if x.shape != f.shape or x.ndim != 1 or len(x) == 0:
        raise InvalidInput(f"expected two equal, non-empty vectors of variances, found {x.shape} and {f.shape}")
    if not (np.isfinite(x).all() and np.isfinite(f).all() and (x > 0).all() and (f > 0).all()):
        raise InvalidInput("expected positive finite variances; QLIKE has no value at zero: drop or floor those rows")
    ratio = x / f
    return float(np.mean(ratio - np.log(ratio) - 1.0))


@dataclass(frozen=True)
class LogHarPath:
    """Walk-forward volatility: `sigma` (n,), NaN where unknown; rows before `first` are fitted in sample."""

    sigma: Floats
    first: int  # the first row whose forecast is out of sample
    refits: tuple[int, ...]  # rows at which the coefficients were renewed
    parameters: tuple[dict[str, Any], ...]  # one for each refit


class LogHar:
    """Log-HAR volatility over one horizon.

    After `fit`, `predict` gives sigma over the horizon at every row from the rows up to it.
    """

    def __init__(self) -> None:
        self.horizon = 0
        self.weights: Floats | None = None  # intercept, day, week, month, extra columns
        self.scale = float("nan")  # k above
        self.rows = 0

    def fit(self, variance: ArrayLike, ret: ArrayLike, *, horizon: int = 1, extra: ArrayLike | None = None) -> Self:
        """Fit on all rows given: pass the rows up to the training end and no more.

        Parameters
        ----------
        variance : (n,) daily variances, NaN where unknown
        ret : (n,) daily close-to-close log returns, ret[t] = log(close_t / close_{t-1}), NaN where unknown
        horizon : sessions ahead, >= 1; only rows t with t + horizon inside the data are learned from
        extra : (n, k) further regressors known at row t, such as log VIX; NaN where unknown

        Raises
        ------
        InvalidInput : shapes differ, or fewer than 60 rows are complete
        """
        design, v, r = _design(variance, ret, horizon, extra)
        target, total = _targets(v, r, horizon)
        self._fit(design, target, total, horizon)
        return self

    def _fit(self, design: Floats, target: Floats, total: Floats, horizon: int) -> None:
        known = np.isfinite(target) & np.isfinite(total) & np.isfinite(design).all(axis=1)
        rows = int(known.sum())
        if rows < max(MINIMUM_ROWS, 2 * design.shape[1]):
            raise InvalidInput(f"expected at least {MINIMUM_ROWS} complete rows for a log-HAR fit, found {rows}")
        X, y = design[known], target[known]
        weights: Floats = np.linalg.lstsq(X, y, rcond=None)[0].astype(np.float64)
        self.weights = weights
        self.scale = float(np.mean(total[known] ** 2 * np.exp(-(X @ weights))))
        self.horizon, self.rows = horizon, rows
        if not self.scale > 0:
            raise InvalidInput("expected returns that move, found none different from zero: volatility has no value")

    def predict(self, variance: ArrayLike, *, extra: ArrayLike | None = None) -> Floats:
        """Sigma over the horizon at every row (n,); NaN in the first 21 rows and wherever an input is unknown."""
        if self.weights is None:
            raise not_fitted(self)
        design = _design(variance, None, self.horizon, extra)[0]
        if design.shape[1] != len(self.weights):
            raise InvalidInput(f"expected {len(self.weights) - 4} extra columns as in the fit, found another number")
        return self._sigma(design)

    def _sigma(self, design: Floats) -> Floats:
        assert self.weights is not None
        with np.errstate(invalid="ignore"):
            sigma: Floats = np.sqrt(self.scale * np.exp((design * self.weights).sum(axis=1)))
        return sigma

    def path(
        self,
        variance: ArrayLike,
        ret: ArrayLike,
        *,
        first: int,
        horizon: int = 1,
        refit: int = 21,
        extra: ArrayLike | None = None,
        window: int | None = None,
    ) -> LogHarPath:
        """Walk forward: coefficients renewed at rows first, first + refit, ... from rows whose horizon has ended.

        Row t in [k, k + refit) uses the fit made at row k: regressors at s <= k - horizon, targets up to row k. Rows
        before `first` get the first fit's values; they are in sample and serve only as a start for conformal scores.
        `window` limits the training rows to the newest ones; None = expanding. Leaves the last fit on the model.
        """
        design, v, r = _design(variance, ret, horizon, extra)
        target, total = _targets(v, r, horizon)
        n = len(v)
        if not 0 < first <= n or refit < 1:
            raise InvalidInput(f"expected 0 < first <= {n} and refit >= 1, found {first} and {refit}")
        sigma = np.full(n, np.nan)
        refits, parameters = [], []
        for k in range(first, n, refit):
            end = k - horizon + 1
            begin = 0 if window is None else max(0, end - window)
            self._fit(design[begin:end], target[begin:end], total[begin:end], horizon)
            start = 0 if k == first else k
            sigma[start : k + refit] = self._sigma(design[start : k + refit])
            refits.append(k)
            parameters.append(self.parameters())
        return LogHarPath(sigma, first, tuple(refits), tuple(parameters))

    def parameters(self) -> dict[str, Any]:
        """All that `predict` needs, as JSON types."""
        if self.weights is None:
            raise not_fitted(self)
        return {"horizon": self.horizon, "weights": self.weights.tolist(), "scale": self.scale, "rows": self.rows}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """The model that `parameters` describes."""
        model = cls()
        model.horizon, model.rows = int(parameters["horizon"]), int(parameters["rows"])
        model.weights = np.asarray(parameters["weights"], dtype=np.float64)
        model.scale = float(parameters["scale"])
        return model

    @property
    def hash(self) -> str:
        """SHA-256 of the parameters."""
        return digest({"kind": "log_har", "parameters": self.parameters()})


def _design(
    variance: ArrayLike, ret: ArrayLike | None, horizon: int, extra: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Regressors (n, 4 + k) with NaN where unknown, variances and returns as vectors."""
    v = np.asarray(variance, dtype=np.float64)
    if v.ndim != 1 or horizon < 1:
        raise InvalidInput(f"expected a vector of variances and horizon >= 1, found {v.shape} and {horizon}")
    if np.isinf(v).any() or (v <= 0).any():
        raise InvalidInput("expected daily variances above zero (NaN where unknown); see models.daily_variance")
    r = v if ret is None else np.asarray(ret, dtype=np.float64)
    if r.shape != v.shape or np.isinf(r).any():
        raise InvalidInput(f"expected {len(v)} finite returns (NaN where unknown), found shape {r.shape}")
    columns = [np.ones(len(v)), np.log(v), _trailing_mean(np.log(v), WEEK), _trailing_mean(np.log(v), MONTH)]
    design = np.column_stack(columns)
    if extra is not None:
        more = np.asarray(extra, dtype=np.float64)
        more = more[:, None] if more.ndim == 1 else more
        if more.ndim != 2 or len(more) != len(v) or np.isinf(more).any():
            raise InvalidInput(f"expected extra regressors of {len(v)} rows without infinities, found {more.shape}")
        design = np.column_stack([design, more])
    return design, v, r


def _targets(v: Floats, r: Floats, horizon: int) -> tuple[Floats, Floats]:
    """Log mean variance and summed return over t+1..t+h of every row; NaN in the last h rows."""
    n = len(v)
    target, total = np.full(n, np.nan), np.full(n, np.nan)
    if n > horizon:
        window = np.lib.stride_tricks.sliding_window_view
        target[: n - horizon] = np.log(window(v[1:], horizon).mean(axis=1))
        total[: n - horizon] = window(r[1:], horizon).sum(axis=1)
    return target, total


def _trailing_mean(x: Floats, length: int) -> Floats:
    """Mean of the last `length` values at each row; NaN until there are so many."""
    out = np.full(len(x), np.nan)
    if len(x) >= length:
        out[length - 1 :] = np.lib.stride_tricks.sliding_window_view(x, length).mean(axis=1)
    return out
