"""Pooled LightGBM on the shape of the scores: one model for all instruments, renewed half-yearly on an expanding past.

    quantile     q_t(tau) = sigma_t (e_t(tau) + f_tau(x_t))                                                       pinball loss
                 e: the instrument's own empirical quantile of r / sigma, f: trees from 0, so that a level without anything to
                 learn stays at e

sigma is any forecast of the volatility (`models.volatility`): the better it is, the less is left for the shape. A fit at row k
uses rows s with s + h <= k. Small trees, slow learning, large leaves: quantile trees of 12 leaves and 200 rows each were tried
first, and fitted noise (their bands covered 1 to 2 points too little).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, panel_values, rearranged, same_panel
from fieldcast.projection.cones._inputs import YEAR, inputs
from fieldcast.projection.cones.trackers import window_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETTINGS: dict[str, Any] = {
    "objective": "quantile",
    "boost_from_average": False,
    "num_leaves": 6,
    "learning_rate": 0.06,
    "feature_fraction": 0.5,
    "lambda_l2": 10.0,
    "max_bin": 31,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
LEAF_ROWS = 600  # rows in a quantile's leaf, a session of the horizon: outcomes over h sessions overlap
LEAST_ROWS = 1000  # pooled rows below which nothing is fitted
SCORE_WINDOW, SCORE_MINIMUM = 1000, 250


class BoostedQuantiles:
    """Pooled quantile trees around each instrument's own empirical quantiles.

    Parameters
    ----------
    first : row of the first fit and forecast
    refit : rows between fits
    rounds : trees a level
    seed : of the column sampling
    """

    def __init__(self, first: int, refit: int = YEAR // 2, rounds: int = 50, seed: int = 0) -> None:
        if first < 1 or refit < 1:
            raise InvalidInput(f"expected first and refit of at least 1, found {first} and {refit}")
        self.first, self.refit, self.rounds, self.seed = int(first), int(refit), int(rounds), int(seed)

    def _blocks(self, rows: int, horizon: int) -> list[tuple[int, int, int]]:
        """(end of the training rows, first and last + 1 forecast row) of each fit."""
        return [(k - horizon + 1, k, min(k + self.refit, rows)) for k in range(self.first, rows, self.refit)]

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
        for end, begin, stop in self._blocks(len(scale), horizon):
            rows = _training(usable, end, begin)
            start = base[:end][rows]
            fixed = SETTINGS | {"min_data_in_leaf": min(LEAF_ROWS * horizon, len(start) // 4)}
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
