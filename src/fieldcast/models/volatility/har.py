"""Heterogeneous autoregression: the variance ahead from the last day's, week's and month's.

    "ols"   V_{t,h} = b0 + b1 v_t + b2 mean_5(v) + b3 mean_22(v) + e          least squares
    "wls"   the same, each row weighted by 1 / f_t^2, f the fit by "ols": the variance of a variance goes as its square
    "log"   log V_{t,h} = b0 + b1 log v_t + b2 mean_5(log v) + b3 mean_22(log v) + c . log covariates_t + e,
            forecast k exp(fit), k = mean of V / exp(fit) over the training rows (the value of least QLIKE for a given shape)

    V_{t,h} = v_{t+1} + ... + v_{t+h},   v = squared night + Garman-Klass, see `volatility.contract`

One regression an instrument, renewed every 21 sessions on the newest 2,520 rows whose V had ended. In levels a forecast
outside the training targets' range is set to its nearer end (the "insanity filter" of Bollerslev, Patton and Quaedvlieg sets
it to the targets' mean).
Sources: Corsi 2009; Patton and Sheppard 2015 (WLS, there with weights 1 / f_t); Bollerslev, Patton and Quaedvlieg 2016.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.volatility.contract import (
    MINIMUM_ROWS,
    MONTHLY,
    WINDOW,
    VolatilityForecaster,
    ahead,
    checked_horizon,
    covariate,
    first_rows,
    realised_variance,
    trailing_mean,
)

WEEK, MONTH = 5, 22
LEAST_FIT = 250  # complete rows below which no regression is made
Form = Literal["ols", "wls", "log"]


class Har(VolatilityForecaster):
    """HAR in levels ("ols", "wls") or in logs ("log"), with covariates in the log form.

    Parameters
    ----------
    form : see the module
    covariates : names of covariates of the panel, in the log form only
    refit : sessions between fits
    window : newest rows to fit on
    """

    def __init__(
        self, form: Form = "log", covariates: tuple[str, ...] = (), *, refit: int = MONTHLY, window: int = WINDOW
    ) -> None:
        if form not in ("ols", "wls", "log"):
            raise InvalidInput(f"expected the form ols, wls or log, found {form!r}")
        if covariates and form != "log":
            raise InvalidInput("expected covariates with the log form only: in levels they would have to be variances")
        if refit < 1 or window < LEAST_FIT:
            raise InvalidInput(f"expected refit >= 1 and a window of at least {LEAST_FIT}, found {refit} and {window}")
        self.form, self.covariates, self.refit, self.window = form, tuple(covariates), int(refit), int(window)

    @property
    def name(self) -> str:
        base = {"ols": "har", "wls": "har_wls", "log": "log_har"}[self.form]
        return "+".join((base, *self.covariates))

    def path(self, panel: Panel, horizon: int, first: int | None = None) -> Floats:
        steps = checked_horizon(horizon)
        variance = realised_variance(panel)
        target = ahead(variance, steps)
        extra = [np.log(covariate(panel, name)) for name in self.covariates]
        out = np.full(variance.shape, np.nan)
        for i, start in enumerate(first_rows(variance, first, MINIMUM_ROWS)):
            design = self._design(variance[:, i], extra)
            known = np.isfinite(design).all(axis=1)
            learn = known & np.isfinite(target[:, i])
            for row in range(start, panel.rows, self.refit):
                end = row - steps + 1  # the last target that has ended by this row stands at row - steps
                begin = max(0, end - self.window)
                use = np.flatnonzero(learn[begin:end]) + begin
                if use.size < LEAST_FIT:
                    continue
                block = slice(row, row + self.refit)
                out[block, i] = np.sqrt(self._forecast(design[use], target[use, i], design[block]))
        return out

    def _design(self, variance: Floats, extra: list[Floats]) -> Floats:
        day = np.log(variance) if self.form == "log" else variance
        return np.column_stack([np.ones(len(day)), day, trailing_mean(day, WEEK), trailing_mean(day, MONTH), *extra])

    def _forecast(self, X: Floats, y: Floats, ahead_of: Floats) -> Floats:
        """Variances for the rows `ahead_of` from a fit on (X, y)."""
        if self.form == "log":
            weights = np.linalg.lstsq(X, np.log(y), rcond=None)[0]
            scale = np.mean(y * np.exp(-(X @ weights)))
            logs: Floats = scale * np.exp((ahead_of * weights).sum(axis=1))
            return logs
        unit = y.mean()  # variances are of order 1e-4: keep the solver away from its relative cut-off
        A, b, C = X.copy(), y / unit, ahead_of.copy()
        A[:, 1:] /= unit
        C[:, 1:] /= unit
        weights = np.linalg.lstsq(A, b, rcond=None)[0]
        low, high = b.min(), b.max()
        if self.form == "wls":
            root = 1.0 / np.clip(A @ weights, low, high)
            weights = np.linalg.lstsq(A * root[:, None], b * root, rcond=None)[0]
        levels: Floats = unit * np.clip((C * weights).sum(axis=1), low, high)
        return levels
