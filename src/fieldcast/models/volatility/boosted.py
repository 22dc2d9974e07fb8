"""Gradient-boosted trees over all instruments at once, on the ratio of what came to what log-HAR said.

    x = V_{t,h} / f_t,   f_t = log-HAR's (with its covariates) variance over the horizon, made at t by its own walk-forward

    "log"     trees g minimise the squares of log x - g;  forecast  f k exp(g),  k = mean of x / exp(g) over every 4th
              training row
    "gamma"   trees g minimise the gamma deviance of x, that is x exp(-g) + g: QLIKE itself;  forecast  f exp(g)

The rows of all instruments are pooled; a fit is made at `first` and every 126 sessions from all rows whose V had ended by
then, on an expanding window. Columns: `volatility._inputs`. Where a covariate is unknown the base falls back to log-HAR
without covariates, and the trees see NaN. Several seeds are averaged in logs.

One thread and `deterministic`: equal seeds give equal models. Settings chosen on outcomes up to 2022.
Sources: Ke et al. 2017 (LightGBM); Patton 2011 (QLIKE).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.volatility._inputs import inputs
from fieldcast.models.volatility.contract import (
    HALF_YEARLY,
    VolatilityForecaster,
    ahead,
    checked_horizon,
    first_rows,
    realised_variance,
)
from fieldcast.models.volatility.har import Har

Loss = Literal["log", "gamma"]
LEAST_FIT = 1000  # pooled rows below which no trees are grown
THIN = 4  # every so many training rows set the level of the log form
SETTINGS: dict[str, Any] = {
    "learning_rate": 0.06,
    "num_leaves": 16,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.25,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 31,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class PooledTrees(VolatilityForecaster):
    """LightGBM on the pooled rows of a panel.

    Parameters
    ----------
    loss : "log" or "gamma"
    rounds : trees
    seeds : one model each, averaged in logs
    vix : covariate with implied volatility, used where the panel has it
    calendar : exchange calendar of the sessions to come
    refit : sessions between fits
    settings : LightGBM parameters in place of the module's
    """

    def __init__(
        self,
        loss: Loss = "gamma",
        *,
        rounds: int = 150,
        seeds: Sequence[int] = (0,),
        vix: str = "vix",
        calendar: str = "XNYS",
        refit: int = HALF_YEARLY,
        settings: dict[str, Any] | None = None,
    ) -> None:
        if loss not in ("log", "gamma"):
            raise InvalidInput(f"expected the loss log or gamma, found {loss!r}")
        if rounds < 1 or refit < 1 or not seeds:
            raise InvalidInput(f"expected rounds >= 1, refit >= 1 and a seed, found {rounds}, {refit} and {seeds}")
        self.loss, self.rounds, self.seeds = loss, int(rounds), tuple(int(seed) for seed in seeds)
        self.vix, self.calendar, self.refit = vix, calendar, int(refit)
        self.settings = SETTINGS | (settings or {})

    @property
    def name(self) -> str:
        return f"trees_{self.loss}"

    def base(self, panel: Panel, horizon: int) -> Floats:
        """(T, N) sigma of log-HAR with the covariate, and without it where that is unknown."""
        plain = Har("log").path(panel, horizon)
        if self.vix not in panel.covariates:
            return plain
        wide = Har("log", (self.vix,)).path(panel, horizon)
        return np.where(np.isfinite(wide), wide, plain)

    def columns(self, panel: Panel, base: Floats, horizon: int) -> Floats:
        """What the trees see, (T, N, F), NaN where unknown; row t rests on rows up to t."""
        return inputs(panel, base, horizon, calendar=self.calendar, vix=self.vix)[1]

    def path(self, panel: Panel, horizon: int, first: int | None = None) -> Floats:
        steps = checked_horizon(horizon)
        variance, base = realised_variance(panel), self.base(panel, steps)
        columns, ratio = self.columns(panel, base, steps), ahead(variance, steps) / base**2
        out = np.full(variance.shape, np.nan)
        begins = first_rows(variance, first)
        for row in range(min(begins), panel.rows, self.refit):
            end, block = max(row - steps + 1, 0), slice(row, row + self.refit)
            learn, ask = np.isfinite(ratio[:end]), np.isfinite(base[block])
            if learn.sum() < LEAST_FIT or not ask.any():
                continue
            correction = self._correction(columns[:end][learn], ratio[:end][learn], columns[block][ask])
            out[block][ask] = base[block][ask] * np.exp(0.5 * correction)
        for place, begin in enumerate(begins):
            out[:begin, place] = np.nan
        return out

    def _correction(self, X: Floats, y: Floats, ask: Floats) -> Floats:
        """Log of the variance ratio for the rows `ask`, the mean over the seeds."""
        import lightgbm

        label = y if self.loss == "gamma" else np.log(y)
        objective = {"objective": "gamma" if self.loss == "gamma" else "regression"}
        total = np.zeros(len(ask))
        data = lightgbm.Dataset(X, label=label, params=self.settings, free_raw_data=False)
        for seed in self.seeds:
            booster = lightgbm.train(self.settings | objective | {"seed": seed}, data, num_boost_round=self.rounds)
            found = np.asarray(booster.predict(ask, raw_score=True, num_threads=1), dtype=np.float64)
            if self.loss == "log":
                fitted = np.asarray(booster.predict(X[::THIN], raw_score=True, num_threads=1), dtype=np.float64)
                found = found + np.log(np.mean(y[::THIN] * np.exp(-fitted)))
            total += found
        return total / len(self.seeds)
