"""From the realised variance of sessions to the variance of the return over them.

A forecaster of squared nights plus Garman-Klass days is off, as a forecast of squared returns, by what ranges miss (prints are
not continuous) and by what sessions have in common (returns that follow or take back each other). The factor is learned:

    sigma_t -> sigma_t sqrt(k_t),   k_t = mean of  log(close_{s+h} / close_s)^2 / sigma_s^2  over s <= t - h

over the newest 2,520 rows of the instrument whose horizon had ended by t: the value of least QLIKE against squared returns.
Sources: Patton 2011; Hansen and Lunde 2005 (scaling of open-to-close measures).
"""

from __future__ import annotations

import numpy as np

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.volatility.contract import WINDOW, VolatilityForecaster, checked_horizon, first_rows, realised_variance

LEAST = 250  # ended outcomes without which there is no factor


class ReturnScaled(VolatilityForecaster):
    """A forecaster on the scale of close-to-close returns.

    Parameters
    ----------
    inner : the forecaster; it is asked from its earliest row on, so that outcomes are there when the first forecast is made
    window : newest outcomes that set the factor
    """

    def __init__(self, inner: VolatilityForecaster, *, window: int = WINDOW) -> None:
        if window < LEAST:
            raise InvalidInput(f"expected a window of at least {LEAST} outcomes, found {window}")
        self.inner, self.window = inner, int(window)

    @property
    def name(self) -> str:
        return f"{self.inner.name}_of_returns"

    def path(self, panel: Panel, horizon: int, first: int | None = None) -> Floats:
        steps = checked_horizon(horizon)
        begins = first_rows(realised_variance(panel), first)
        sigma = self.inner.path(panel, steps)
        ratio = panel.log_return(steps) ** 2 / sigma**2
        out = np.full(sigma.shape, np.nan)
        for i, begin in enumerate(begins):
            rows = np.flatnonzero(np.isfinite(ratio[:, i]))
            total = np.concatenate([[0.0], np.cumsum(ratio[rows, i])])
            asked = np.arange(begin, panel.rows)
            end = np.searchsorted(rows, asked - steps, side="right")  # outcomes that had ended by then
            start = np.maximum(end - self.window, 0)
            enough = end - start >= LEAST
            factor = (total[end[enough]] - total[start[enough]]) / (end - start)[enough]
            out[asked[enough], i] = sigma[asked[enough], i] * np.sqrt(factor)
        return np.where(out > 0.0, out, np.nan)
