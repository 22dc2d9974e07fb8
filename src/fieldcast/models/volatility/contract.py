"""What every volatility forecaster is given and gives, and how it is scored.

    path(panel, horizon, first) -> (T, N) sigma

Row t of `path` holds the standard deviation of the log return close(t) → close(t + h) of N instruments, made at the decision
time of session t from rows up to t; everything fitted is fitted inside, on outcomes that had ended when the fit was made, so
that a panel cut at t gives the same row t. NaN before `first` and wherever an input is not known. The unit is a log return
over the whole horizon (0.01 = 1 %), never annual.

What a forecast is held against is the realised variance of the sessions t+1..t+h,

    v_t = log(open_t / close_{t-1})^2 + 0.5 log(high_t / low_t)^2 - (2 log 2 - 1) log(close_t / open_t)^2,

the squared night and Garman and Klass's estimate of the day, each session at least (1 bp)^2; the squared close-to-close return
where the open or the range is not known. The loss is QLIKE, x / f - log(x / f) - 1 with f = sigma^2, which ranks variance
forecasts correctly for any unbiased proxy x.
Sources: Garman and Klass 1980; Patton 2011 (QLIKE).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats

FLOOR = 1e-8  # (1 bp)^2, the least daily variance
MINIMUM_ROWS = 500  # known sessions of an instrument before its first forecast
WINDOW = 2520  # sessions that a windowed model is fitted on: ten years
MONTHLY, QUARTERLY, HALF_YEARLY = 21, 63, 126  # sessions between refits


class VolatilityForecaster(ABC):
    """One way to forecast the volatility of a panel's returns."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What reports call this forecaster."""

    @abstractmethod
    def path(self, panel: Panel, horizon: int, first: int | None = None) -> Floats:
        """Walk-forward sigma over the horizon.

        Parameters
        ----------
        panel : T sessions of N instruments
        horizon : sessions ahead, at least 1
        first : row of the first forecast and the first fit; None = as early as `MINIMUM_ROWS` sessions of an instrument allow.
            The refits stand at first, first + refit, ...: equal `first` on a longer panel gives equal rows

        Returns
        -------
        (T, N) standard deviation of the log return close(t) → close(t + horizon); NaN where unknown

        Raises
        ------
        InvalidInput : a horizon below 1, `first` outside the panel, or a covariate that the panel does not have
        """


def realised_variance(panel: Panel) -> Floats:
    """(T, N) realised variance of each session, v above; NaN where the session or the one before it is unknown."""
    opened, high, low, close = (np.log(column) for column in (panel.open, panel.high, panel.low, panel.close))
    day = 0.5 * (high - low) ** 2 - (2.0 * np.log(2.0) - 1.0) * (close - opened) ** 2
    past = np.full(close.shape, np.nan)
    past[1:] = close[1:] - close[:-1]
    full = np.maximum(day, 0.0) + panel.overnight() ** 2
    known: Floats = np.maximum(np.where(np.isfinite(full), full, past**2), FLOOR)
    return known


def ahead(variance: Floats, horizon: int) -> Floats:
    """(T, N) sum of the variances of sessions t+1..t+h; NaN where one is unknown, and in the last h rows.

    The value of row t is known at row t + h and not before.
    """
    if horizon < 1:
        raise InvalidInput(f"expected a horizon of at least 1 session, found {horizon}")
    out = np.full(variance.shape, np.nan)
    if horizon < len(variance):
        out[:-horizon] = np.lib.stride_tricks.sliding_window_view(variance[1:], horizon, axis=0).sum(axis=-1)
    return out


def qlike_rows(realised: ArrayLike, sigma: ArrayLike) -> Floats:
    """QLIKE of every forecast, x / sigma^2 - log(x / sigma^2) - 1, in the shape of its arguments; NaN where one is unknown.

    Raises
    ------
    InvalidInput : shapes differ, or a known value is not positive and finite
    """
    x, s = np.asarray(realised, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    if x.shape != s.shape:
        raise InvalidInput(f"expected variances and sigmas of one shape, found {x.shape} and {s.shape}")
    if (x <= 0).any() or (s <= 0).any() or np.isinf(x).any() or np.isinf(s).any():
        raise InvalidInput("expected positive finite variances and sigmas (NaN where unknown): floor the variances first")
    ratio = x / s**2
    loss: Floats = ratio - np.log(ratio) - 1.0
    return loss


def first_rows(variance: Floats, first: int | None, minimum: int = MINIMUM_ROWS) -> list[int]:
    """Row of each instrument's first forecast: `first`, or later where its `minimum` known sessions end later; T if never."""
    rows = len(variance)
    if first is not None and not 0 <= first < rows:
        raise InvalidInput(f"expected the first forecast inside the {rows} sessions of the panel, found row {first}")
    count = np.isfinite(variance).cumsum(axis=0) >= minimum
    own = np.where(count.any(axis=0), count.argmax(axis=0), rows)
    return [max(int(row), first or 0) for row in own]


def checked_horizon(horizon: int) -> int:
    """The horizon, if it is at least one session."""
    if horizon < 1:
        raise InvalidInput(f"expected a horizon of at least 1 session, found {horizon}")
    return int(horizon)


def covariate(panel: Panel, name: str) -> Floats:
    """A covariate of the panel, (T,).

    Raises
    ------
    InvalidInput : the panel does not have it, or a value is not positive
    """
    if name not in panel.covariates:
        have = ", ".join(panel.covariates) or "none"
        raise InvalidInput(f"expected the covariate {name!r} in the panel, found {have}; give it to `panel`")
    values = np.asarray(panel.covariates[name], dtype=np.float64)
    if (values <= 0).any():
        raise InvalidInput(f"expected positive values of the covariate {name!r} (NaN where unknown)")
    return values


def trailing_mean(values: Floats, length: int) -> Floats:
    """Mean of the last `length` rows along the first axis; NaN until there are so many and where one of them is unknown."""
    out = np.full(values.shape, np.nan)
    if len(values) >= length:
        out[length - 1 :] = np.lib.stride_tricks.sliding_window_view(values, length, axis=0).mean(axis=-1)
    return out
