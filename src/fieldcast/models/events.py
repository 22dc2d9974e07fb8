"""Odds that the high of the next sessions reaches a threshold, from a volatility forecast and what stands beside it.

    event    max( high_{t+1}, ..., high_{t+h} ) >= close_t (1 + theta)
    z        log(1 + theta) / sigma_t: the distance in forecast standard deviations of the horizon

    "spline"   logit P = b0 + sum_j b_j max(log z - q_j, 0) + b log z,   q_j the 10, 30, 50, 70, 90 % quantiles of the training
               rows' log z; one ridge logistic regression over all instruments
    "trees"    logit P = the spline's + g, g gradient-boosted trees (log loss) on log z and the columns of `volatility._inputs`
    "average"  the mean of the two log odds

Fitted at `first` and every 126 sessions, on an expanding window over all instruments, from rows whose horizon had ended by
then. sigma is any walk-forward path of `models.volatility`; how right its scale is does not matter, its shape does.

One thread and `deterministic`: equal seeds give equal models.
Sources: Feller 1971 (the reflection principle: a high is reached with odds that depend on z alone); Ke et al. 2017 (LightGBM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.logistic import Logistic
from fieldcast.models.volatility._inputs import inputs
from fieldcast.models.volatility.contract import HALF_YEARLY

KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)
LEAST_FIT = 1000  # pooled rows below which no fit is made
EDGE = 1e-6
SETTINGS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 300,
    "feature_fraction": 0.25,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 20.0,
    "max_bin": 31,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def reached(panel: Panel, horizon: int, threshold: float) -> Floats:
    """(T, N) 1 where the high of sessions t+1..t+h is at least close_t (1 + threshold), else 0.

    NaN where a high or the close is unknown, and in the last h rows: the value of row t is known at row t + h.

    Raises
    ------
    InvalidInput : a horizon below 1 or a threshold that is not above 0
    """
    _checked(horizon, threshold)
    top = np.full(panel.close.shape, np.nan)
    if horizon < panel.rows:
        top[:-horizon] = np.lib.stride_tricks.sliding_window_view(panel.high[1:], horizon, axis=0).max(axis=-1)
    level = panel.close * (1.0 + threshold)
    return np.where(np.isfinite(top) & np.isfinite(level), (top >= level).astype(np.float64), np.nan)


@dataclass(frozen=True)
class TouchPath:
    """Walk-forward odds (T, N), NaN where unknown and before the first fit."""

    spline: Floats
    trees: Floats
    average: Floats


@dataclass(frozen=True)
class TouchOdds:
    """Forecaster of `reached`.

    Parameters
    ----------
    threshold : theta, such as 0.01
    rounds : trees
    seed : of the sampling of rows and columns
    vix : covariate with implied volatility, used where the panel has it
    calendar : exchange calendar of the sessions to come
    refit : sessions between fits
    """

    threshold: float = 0.01
    rounds: int = 150
    seed: int = 0
    vix: str = "vix"
    calendar: str = "XNYS"
    refit: int = HALF_YEARLY

    def path(self, panel: Panel, sigma: Floats, horizon: int, first: int) -> TouchPath:
        """Odds of the event at every row from `first` on.

        Parameters
        ----------
        panel : T sessions of N instruments
        sigma : (T, N) walk-forward volatility of the log return over the horizon; NaN where unknown. Rows before `first` are
            what is learned from
        horizon : sessions ahead
        first : row of the first fit

        Raises
        ------
        InvalidInput : shapes differ, a sigma is not positive, or `first` lies outside the panel
        """
        _checked(horizon, self.threshold)
        if sigma.shape != panel.close.shape or (sigma <= 0).any() or np.isinf(sigma).any():
            raise InvalidInput(
                f"expected positive sigmas of the shape {panel.close.shape} (NaN where unknown), found {sigma.shape}"
            )
        if not 0 <= first < panel.rows or self.refit < 1 or self.rounds < 1:
            raise InvalidInput(f"expected the first fit inside the {panel.rows} sessions, refit and rounds of at least 1")
        happened = reached(panel, horizon, self.threshold)
        distance = np.log(np.log1p(self.threshold) / sigma)
        _, columns = inputs(panel, sigma, horizon, calendar=self.calendar, vix=self.vix)
        columns = np.concatenate([distance[..., None], columns], axis=-1)
        spline, trees = np.full(sigma.shape, np.nan), np.full(sigma.shape, np.nan)
        known = np.isfinite(distance)
        for row in range(first, panel.rows, self.refit):
            end = max(row - horizon + 1, 0)
            learn = known[:end] & np.isfinite(happened[:end])
            y = happened[:end][learn]
            if y.size < LEAST_FIT or y.min() == y.max():
                continue
            block = slice(row, row + self.refit)
            ask = known[block]
            x, asked = distance[:end][learn], distance[block][ask]
            base, told = _spline(x, y, asked)
            spline[block][ask] = told
            trees[block][ask] = told + self._boost(columns[:end][learn], y, base, columns[block][ask])
        return TouchPath(_odds(spline), _odds(trees), _odds(0.5 * (spline + trees)))

    def _boost(self, X: Floats, y: Floats, base: Floats, ask: Floats) -> Floats:
        """What the trees add to the log odds `base` of the training rows, for the rows `ask`."""
        import lightgbm

        data = lightgbm.Dataset(X, label=y, init_score=base, params=SETTINGS)
        booster = lightgbm.train(SETTINGS | {"seed": self.seed}, data, num_boost_round=self.rounds)
        added: Floats = np.asarray(booster.predict(ask, raw_score=True, num_threads=1), dtype=np.float64)
        return added


def _spline(x: Floats, y: Floats, ask: Floats) -> tuple[Floats, Floats]:
    """Log odds of the linear spline, for the training rows and the rows asked."""
    knots = np.quantile(x, KNOTS)

    def basis(values: Floats) -> Floats:
        return np.column_stack([values, *(np.maximum(values - knot, 0.0) for knot in knots)])

    model = Logistic(l2=1.0).fit(basis(x), y)
    return _log_odds(model.predict(basis(x))), _log_odds(model.predict(basis(ask)))


def _log_odds(p: Floats) -> Floats:
    clipped = np.clip(p, EDGE, 1.0 - EDGE)
    logs: Floats = np.log(clipped) - np.log1p(-clipped)
    return logs


def _odds(logs: Floats) -> Floats:
    return np.clip(0.5 * (1.0 + np.tanh(0.5 * logs)), EDGE, 1.0 - EDGE)


def _checked(horizon: int, threshold: float) -> None:
    if horizon < 1:
        raise InvalidInput(f"expected a horizon of at least 1 session, found {horizon}")
    if not (np.isfinite(threshold) and threshold > 0.0):
        raise InvalidInput(f"expected a threshold above 0, such as 0.01 for +1 %, found {threshold}")
