"""Implied volatility as a forecast: what option prices say, over the horizon.

    raw        sigma = level / 100 sqrt(h / 252)
    scaled     sigma = level / 100 sqrt(k h / 252),   k = mean of V / (level^2 h / (252 * 10^4)) over the training rows

An index such as VIX speaks of 30 days and holds a premium over what comes; k, the value of least QLIKE, takes the premium off.
It is renewed every 21 sessions on the newest 2,520 rows whose V had ended. An instrument without an implied series, or a
session where it is unknown, has no forecast and a reason.
Sources: Cboe 2019 (VIX in per cent a year); Carr and Wu 2009 (the premium).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.ground.reasons import Reason
from fieldcast.models.contract import Floats
from fieldcast.models.volatility.contract import (
    MONTHLY,
    WINDOW,
    VolatilityForecaster,
    ahead,
    checked_horizon,
    covariate,
    first_rows,
    realised_variance,
)

SESSIONS_A_YEAR = 252
LEAST_FIT = 250


class Implied(VolatilityForecaster):
    """Implied volatility of each instrument that has one.

    Parameters
    ----------
    series : instrument -> covariate of the panel in per cent a year, such as {"ARCX:SPY": "vix"}
    scaled : take the premium off, as in the module
    """

    def __init__(self, series: Mapping[str, str], *, scaled: bool = True, refit: int = MONTHLY, window: int = WINDOW) -> None:
        if not series:
            raise InvalidInput("expected the implied series of at least one instrument, found none")
        if refit < 1 or window < LEAST_FIT:
            raise InvalidInput(f"expected refit >= 1 and a window of at least {LEAST_FIT}, found {refit} and {window}")
        self.series, self.scaled, self.refit, self.window = dict(series), bool(scaled), int(refit), int(window)

    @property
    def name(self) -> str:
        return "implied" if self.scaled else "implied_raw"

    def path(self, panel: Panel, horizon: int, first: int | None = None) -> Floats:
        steps = checked_horizon(horizon)
        variance = realised_variance(panel)
        target = ahead(variance, steps)
        out = np.full(variance.shape, np.nan)
        begins = first_rows(variance, first, LEAST_FIT + steps if self.scaled else 1)
        for instrument, name in self.series.items():
            i = panel.column(instrument)
            said = (covariate(panel, name) / 100.0) ** 2 * steps / SESSIONS_A_YEAR
            said = np.where(np.isfinite(panel.close[:, i]), said, np.nan)
            if not self.scaled:
                out[begins[i] :, i] = np.sqrt(said[begins[i] :])
                continue
            ratio = target[:, i] / said
            for row in range(begins[i], panel.rows, self.refit):
                end = row - steps + 1
                past = ratio[max(0, end - self.window) : end]
                past = past[np.isfinite(past)]
                if past.size >= LEAST_FIT:
                    out[row : row + self.refit, i] = np.sqrt(said[row : row + self.refit] * past.mean())
        return out

    def missing(self, panel: Panel) -> dict[str, Reason | None]:
        """Instrument -> why its newest session has no forecast; None where it has one."""
        sigma = self.path(panel, 1)
        out: dict[str, Reason | None] = {}
        for i, instrument in enumerate(panel.instruments):
            name = self.series.get(instrument)
            if name is None or name not in panel.covariates or not np.isfinite(panel.covariates[name][-1]):
                out[instrument] = Reason.COVARIATE_MISSING
            elif not np.isfinite(panel.close[-1, i]):
                out[instrument] = Reason.NO_DATA
            else:
                out[instrument] = None if np.isfinite(sigma[-1, i]) else Reason.SHORT_HISTORY
        return out
