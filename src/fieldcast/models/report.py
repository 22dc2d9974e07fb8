"""The report of a model: its out-of-sample odds beside every baseline, all fitted on the same folds, on equal n.

    base_rate            share of ones in the fold's training rows
    volatility_anchor    logistic on log trailing variance, and on log implied volatility where there is one
    har_exceedance       log-HAR sigma        through the odds of `exceedance`, nothing fitted to the label
    garch_exceedance     GARCH(1,1) sigma     the same
    implied_exceedance   implied volatility   the same
    strong_anchor        log-HAR + implied, its log-odds recalibrated by a logistic on the fold's training rows
    random_forest, mlp   on the model's own columns

Every number at row t comes from rows whose labels had ended before t's fold was fitted; volatility paths at t use rows
up to t. `REQUIRED_BASELINES` names what has to stand beside a model: `compare_with_baselines` keeps the rows on which
all speak, and a report without one of them, or without a common row, promotes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation import Fold
from fieldcast.ground import InvalidInput
from fieldcast.models.base_rate import BaseRate
from fieldcast.models.baselines import REQUIRED_BASELINES, BaselineReport, compare_with_baselines
from fieldcast.models.contract import Floats, OddsModel
from fieldcast.models.exceedance import barrier_odds, implied_sigma, running_drift, sign_odds, strong_anchor
from fieldcast.models.forest import RandomForest
from fieldcast.models.garch import MINIMUM_ROWS as GARCH_ROWS
from fieldcast.models.garch import GarchNormal
from fieldcast.models.log_har import MINIMUM_ROWS as HAR_ROWS
from fieldcast.models.log_har import MONTH, LogHar
from fieldcast.models.logistic import Logistic, VolatilityAnchor
from fieldcast.models.mlp import MultilayerPerceptron

ANCHOR_ROWS = 14  # of the trailing variance, as in ATR(14)
ANCHOR_L2 = 1e-3
LEAST_ROWS = 60  # training rows below which a fold fits nothing


@dataclass(frozen=True, eq=False)
class Question:
    """What is forecast, and all that a baseline may know of it.

    Parameters
    ----------
    label : `event` (the high reaches +threshold) or `sign` (the return is above 0)
    horizon : sessions
    threshold : of the event; None of the sign
    features : (n, p) the model's own columns, NaN where not known
    y : (n,) 1, 0, or NaN where not known
    variance, ret : (n,) daily variances and log returns up to each row, see `log_har`
    implied_percent : (n,) implied volatility known at each row's decision; None where the instrument has none
    """

    label: Literal["event", "sign"]
    horizon: int
    threshold: float | None
    features: Floats
    y: Floats
    variance: Floats
    ret: Floats
    implied_percent: Floats | None = None

    def __post_init__(self) -> None:
        if (self.label == "event") != (self.threshold is not None):
            raise InvalidInput(f"expected a threshold for an event and for nothing else, found {self.threshold} for {self.label}")

    @property
    def text(self) -> str:
        over = f"in {self.horizon} session{'s' if self.horizon > 1 else ''}"
        return f"close rises {over}" if self.threshold is None else f"high reaches +{100 * self.threshold:g} % {over}"

    def odds(self, sigma: Floats, drift: Floats) -> Floats:
        """Odds of this question from a volatility over the horizon. Of the event without drift: a day's is not felt."""
        return sign_odds(sigma, drift) if self.threshold is None else barrier_odds(sigma, self.threshold)


def model_report(model: str, odds: ArrayLike, question: Question, folds: Sequence[Fold], *, seed: int = 0) -> BaselineReport:
    """The report of a model.

    Parameters
    ----------
    model : its name
    odds : (n,) its out-of-sample odds, NaN where it gave none
    folds : the walk that it was scored on, in time order
    seed : of the random forest and the mlp

    Raises
    ------
    InvalidInput : there is no fold, or shapes differ
    """
    if model.split("[", 1)[0] in REQUIRED_BASELINES:
        raise InvalidInput(f"expected a model that is no baseline, found {model}; report another one")
    forecasts = baseline_odds(question, folds, seed=seed)
    return compare_with_baselines(model, question.y, {model: np.asarray(odds), **forecasts}, label=question.text)


def baseline_odds(question: Question, folds: Sequence[Fold], *, seed: int = 0) -> dict[str, Floats]:
    """Out-of-sample odds of every baseline: name → (n,), NaN where it has none. Without implied volatility, those that
    need it are left out, and the report says that they are missing."""
    q = question
    n = len(q.y)
    if not folds or not len(folds[0].train):
        raise InvalidInput("expected at least one fold with training rows, found none; take a longer history")
    if any(part.shape != (n,) for part in (q.variance, q.ret)) or q.features.shape[:1] != (n,):
        raise InvalidInput(f"expected features, variances and returns of {n} rows, found other lengths")
    rows = folds[0].train
    first = min(int(rows[0]) + max(len(rows) // 2, HAR_ROWS + MONTH + q.horizon), n)
    drift = running_drift(q.ret, q.horizon)
    columns, names = [_trailing(q.variance)], ["log_variance_14"]
    found: dict[str, Floats] = {}
    found["har_exceedance"] = q.odds(_har(q, first), drift)
    found["garch_exceedance"] = q.odds(_garch(q, first), drift)
    if q.implied_percent is not None:
        found["implied_exceedance"] = q.odds(implied_sigma(q.implied_percent, q.horizon), drift)
        columns.append(np.log(q.implied_percent))
        names.append("log_implied")
        anchor = strong_anchor(q.variance, q.ret, q.implied_percent, first=first, horizon=q.horizon, threshold=q.threshold)
        p = anchor.event if q.label == "event" else anchor.sign
        logit = np.log(p / (1.0 - p))[:, None]
        found["strong_anchor"] = walk(lambda: Logistic(ANCHOR_L2), logit, q.y, folds)
    anchored = VolatilityAnchor(tuple(names), ANCHOR_L2)
    fitted: Mapping[str, tuple[Callable[[], OddsModel], Floats]] = {
        "base_rate": (BaseRate, np.empty((n, 0))),
        anchored.name: (lambda: VolatilityAnchor(tuple(names), ANCHOR_L2), np.column_stack(columns)),
        "random_forest": (lambda: RandomForest(seed=seed), q.features),
        "mlp": (lambda: MultilayerPerceptron(seed=seed), q.features),
    }
    tested = np.zeros(n, dtype=np.bool_)
    for fold in folds:
        tested[fold.test] = True
    found |= {name: walk(make, X, q.y, folds) for name, (make, X) in fitted.items()}
    return {name: np.where(tested, odds, np.nan) for name, odds in found.items()}


def walk(make: Callable[[], OddsModel], X: Floats, y: Floats, folds: Sequence[Fold]) -> Floats:
    """Odds (n,) of a new model for each fold on its test rows; NaN where an input is unknown, or where the fold has
    fewer than 60 complete training rows or one class among them."""
    odds = np.full(len(y), np.nan)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(X).all(axis=1), dtype=np.bool_)
    for fold in folds:
        train = fold.train[known[fold.train] & np.isfinite(y[fold.train])]
        test = fold.test[known[fold.test]]
        if len(train) >= LEAST_ROWS and len(test) and np.ptp(y[train]) > 0.0:
            odds[test] = make().fit(X[train], y[train]).predict(X[test])
    return odds


def _har(q: Question, first: int) -> Floats:
    sigma = np.full(len(q.y), np.nan)
    if first < len(q.y):
        sigma[first:] = LogHar().path(q.variance, q.ret, first=first, horizon=q.horizon).sigma[first:]
    return sigma


def _garch(q: Question, first: int) -> Floats:
    known = np.flatnonzero(np.isfinite(q.ret))
    begin = max(first, int(known[0]) + GARCH_ROWS - 1) if known.size else len(q.y)
    if begin >= len(q.y):
        return np.full(len(q.y), np.nan)
    return GarchNormal().path(q.ret, first=begin, horizons=(q.horizon,)).sigma[:, 0]


def _trailing(variance: Floats) -> Floats:
    """Log of the mean daily variance of the last 14 rows; NaN until there are so many, or where one is unknown."""
    out = np.full(len(variance), np.nan)
    if len(variance) >= ANCHOR_ROWS:
        out[ANCHOR_ROWS - 1 :] = np.lib.stride_tricks.sliding_window_view(variance, ANCHOR_ROWS).mean(axis=1)
    logged: Floats = np.log(out)
    return logged
