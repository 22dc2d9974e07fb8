"""Pooled LightGBM on the volatility's scale: one model for all instruments, renewed half-yearly on an expanding past.

    scale        v_t = E[ V_{t,h} / sigma_t^2 ],   V: Garman-Klass + overnight variance of t+1..t+h    gamma deviance = QLIKE
                 sigma'_t = sigma_t sqrt(k v_t),   k = mean of r^2 / (sigma^2 v) over the fit's rows
    quantile     q_t(tau) = sigma'_t (e_t(tau) + f_tau(x_t))                                                      pinball loss
                 e: the instrument's own empirical quantile of r / sigma', f: trees from 0, so that a level without anything to
                 learn stays at e

A fit at row k uses rows s with s + h <= k. Small trees, slow learning, large leaves: quantile trees of 12 leaves and 200 rows
each were tried first, and fitted noise (their bands covered 1 to 2 points too little).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, panel_values, rearranged, same_panel
from fieldcast.projection.cones._inputs import YEAR, full_variance, inputs
from fieldcast.projection.cones.trackers import window_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETTINGS: dict[str, Any] = {
    "num_leaves": 12,
    "learning_rate": 0.06,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.6,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
QUANTILE_SETTINGS = SETTINGS | {
    "objective": "quantile",
    "boost_from_average": False,
    "num_leaves": 6,
    "feature_fraction": 0.5,
    "max_bin": 31,
}
LEAF_ROWS = 600  # rows in a quantile's leaf, a session of the horizon: outcomes over h sessions overlap
LEAST_ROWS = 1000  # pooled rows below which nothing is fitted
SCORE_WINDOW, SCORE_MINIMUM = 1000, 250


class _Walk:
    """Rows of the refits and what each may learn from."""

    def __init__(self, first: int, refit: int, seed: int) -> None:
        if first < 1 or refit < 1:
            raise InvalidInput(f"expected first and refit of at least 1, found {first} and {refit}")
        self.first, self.refit, self.seed = int(first), int(refit), int(seed)

    def blocks(self, rows: int, horizon: int) -> list[tuple[int, int, int]]:
        """(end of the training rows, first and last + 1 forecast row) of each fit."""
        return [(k - horizon + 1, k, min(k + self.refit, rows)) for k in range(self.first, rows, self.refit)]


class BoostedScale(_Walk):
    """A better scale for a given sigma; see the module.

    Parameters
    ----------
    first : row of the first fit and forecast
    refit : rows between fits
    rounds : trees
    seed : of the column sampling
    """

    def __init__(self, first: int, refit: int = YEAR // 2, rounds: int = 120, seed: int = 0) -> None:
        super().__init__(first, refit, seed)
        self.rounds = int(rounds)

    def path(self, panel: Panel, sigma: ArrayLike, horizon: int) -> Floats:
        """(T, N) sigma of the log return over the horizon; NaN before the first fit and where sigma is.

        Raises
        ------
        InvalidInput : shapes differ, or a fit would have fewer than 1,000 pooled rows
        """
        import lightgbm

        scale = panel_values("sigma", sigma)
        ret = panel.log_return(horizon)
        same_panel(sigma=scale, outcome=ret)
        table = inputs(panel, scale, horizon)
        target = _ahead_mean(full_variance(panel), horizon) * horizon / scale**2
        result = np.full(scale.shape, np.nan)
        usable = np.isfinite(target) & np.isfinite(ret) & np.isfinite(scale)
        settings = {**SETTINGS, "objective": "gamma", "seed": self.seed}
        for end, begin, stop in self.blocks(len(scale), horizon):
            rows = _training(usable, end, begin)
            data = lightgbm.Dataset(table[:end][rows], label=np.maximum(target[:end][rows], 1e-6), params=settings)
            model = lightgbm.train(settings, data, num_boost_round=self.rounds)
            fitted = np.asarray(model.predict(table[:end][rows], num_threads=1))
            k = float(np.mean((ret / scale)[:end][rows] ** 2 / fitted))
            ahead = np.asarray(model.predict(table[begin:stop].reshape(-1, table.shape[2]), num_threads=1))
            result[begin:stop] = scale[begin:stop] * np.sqrt(k * ahead.reshape(stop - begin, -1))
        return result


class BoostedQuantiles(_Walk):
    """Pooled quantile trees around each instrument's own empirical quantiles.

    Parameters
    ----------
    first : row of the first fit and forecast
    refit : rows between fits
    rounds : trees a level
    seed : of the column sampling
    """

    def __init__(self, first: int, refit: int = YEAR // 2, rounds: int = 50, seed: int = 0) -> None:
        super().__init__(first, refit, seed)
        self.rounds = int(rounds)

    def quantiles(self, panel: Panel, sigma: ArrayLike, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Floats:
        """See `contract.QuantileForecaster`.

        Raises
        ------
        InvalidInput : shapes differ, or a fit would have fewer than 1,000 pooled rows
        """
        import lightgbm

        tau, scale = check_levels(levels), panel_values("sigma", sigma)
        ret = panel.log_return(horizon)
        same_panel(sigma=scale, outcome=ret)
        z = ret / scale
        table = inputs(panel, scale, horizon)
        base = window_quantiles(z, horizon, SCORE_WINDOW, SCORE_MINIMUM, tau)
        result = np.full((*scale.shape, tau.size), np.nan)
        usable = np.isfinite(z) & np.isfinite(base).all(axis=-1)
        for end, begin, stop in self.blocks(len(scale), horizon):
            rows = _training(usable, end, begin)
            start = base[:end][rows]
            fixed = QUANTILE_SETTINGS | {"min_data_in_leaf": min(LEAF_ROWS * horizon, len(start) // 4)}
            data = lightgbm.Dataset(table[:end][rows], label=z[:end][rows], params=fixed, free_raw_data=False)
            data.construct()
            ahead = table[begin:stop].reshape(-1, table.shape[2])
            for place, level in enumerate(tau):
                settings = fixed | {"alpha": float(level), "seed": self.seed + place}
                data.set_init_score(start[:, place])
                model = lightgbm.train(settings, data, num_boost_round=self.rounds)
                correction = np.asarray(model.predict(ahead, num_threads=1)).reshape(stop - begin, -1)
                result[begin:stop, :, place] = scale[begin:stop] * (base[begin:stop, :, place] + correction)
        return rearranged(result)


def _training(usable: NDArray[np.bool_], end: int, row: int) -> NDArray[np.bool_]:
    rows = usable[: max(end, 0)]
    if rows.sum() < LEAST_ROWS:
        raise InvalidInput(f"expected {LEAST_ROWS} ended outcomes by row {row}, found {int(rows.sum())}; begin later")
    return rows


def _ahead_mean(values: Floats, horizon: int) -> Floats:
    """Mean of rows t+1..t+h; NaN in the last h rows."""
    out = np.full_like(values, np.nan)
    if len(values) > horizon:
        out[:-horizon] = np.lib.stride_tricks.sliding_window_view(values[1:], horizon, axis=0).mean(axis=-1)
    return out
