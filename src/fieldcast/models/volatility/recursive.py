"""Volatility from past returns alone: exponential smoothing, GARCH and GJR.

    EWMA        s_{t+1}^2 = lambda s_t^2 + (1 - lambda) r_t^2                            h sessions: h s^2
    GARCH, GJR  s_{t+1}^2 = omega + (alpha + gamma 1{e_t < 0}) e_t^2 + beta s_t^2,   e_t = r_t - mu,   gamma = 0 for GARCH
                E_t s_{t+k+1}^2 = omega + (alpha + gamma / 2 + beta) E_t s_{t+k}^2                h sessions: the sum over k

Maximum likelihood with normal innovations by `arch`, renewed every 63 sessions on the newest 2,520 returns; between refits the
parameters stand still and the recursion filters on. A fit that does not converge leaves the last one in force; before the
first that does there is no forecast. EWMA starts from the mean square of its first 22 returns.
Sources: J.P. Morgan/Reuters 1996 (RiskMetrics, lambda 0.94); Bollerslev 1986; Glosten, Jagannathan and Runkle 1993.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.garch import backcast
from fieldcast.models.volatility.contract import (
    FLOOR,
    MINIMUM_ROWS,
    QUARTERLY,
    WINDOW,
    VolatilityForecaster,
    checked_horizon,
    first_rows,
)

_PERCENT = 100.0  # arch's optimiser is at ease with returns near 1
START_ROWS = 22


def past_returns(panel: Panel) -> Floats:
    """(T, N) log return close(t - 1) → close(t); NaN where one is unknown."""
    out = np.full(panel.close.shape, np.nan)
    out[1:] = panel.log_return(1)[:-1]
    return out


class Ewma(VolatilityForecaster):
    """Exponentially weighted variance of close-to-close returns.

    Parameters
    ----------
    decay : lambda, in (0, 1)
    """

    def __init__(self, decay: float = 0.94) -> None:
        if not 0.0 < decay < 1.0:
            raise InvalidInput(f"expected a decay between 0 and 1, found {decay}")
        self.decay = float(decay)

    @property
    def name(self) -> str:
        return "ewma"

    def path(self, panel: Panel, horizon: int, first: int | None = None) -> Floats:
        steps = checked_horizon(horizon)
        ret = past_returns(panel)
        out = np.full(ret.shape, np.nan)
        for i, start in enumerate(first_rows(ret, first)):
            known = np.flatnonzero(np.isfinite(ret[:, i]))
            if start >= panel.rows:
                continue
            squares = ret[known, i] ** 2
            value = float(squares[:START_ROWS].mean())
            for row, square in zip(known.tolist(), squares.tolist(), strict=True):
                value = self.decay * value + (1.0 - self.decay) * square
                if row >= start:
                    out[row, i] = np.sqrt(steps * max(value, FLOOR))
        return out


@dataclass(frozen=True)
class _Fit:
    """One maximum-likelihood fit, in log-return units."""

    mu: float
    omega: float
    alpha: float
    gamma: float
    beta: float

    def ahead(self, returns: Floats, before: float) -> Floats:
        """Variances of the recursion: (n + 1,), the last one the forecast for the session after the data."""
        e = returns - self.mu
        shocks = (self.omega + (self.alpha + self.gamma * (e < 0.0)) * e**2).tolist()
        value = self.omega + (self.alpha + 0.5 * self.gamma + self.beta) * before
        out = [value]
        for shock in shocks:
            value = shock + self.beta * value
            out.append(value)
        return np.array(out)


class Garch(VolatilityForecaster):
    """GARCH(1,1), or GJR-GARCH(1,1,1) with `asymmetric`, normal innovations.

    Parameters
    ----------
    asymmetric : falls may raise the variance more than rises
    refit : sessions between fits
    window : newest returns to fit on
    """

    def __init__(self, *, asymmetric: bool = False, refit: int = QUARTERLY, window: int = WINDOW) -> None:
        if refit < 1 or window < MINIMUM_ROWS:
            raise InvalidInput(f"expected refit >= 1 and a window of at least {MINIMUM_ROWS}, found {refit} and {window}")
        self.asymmetric, self.refit, self.window = bool(asymmetric), int(refit), int(window)
        self._memory: dict[tuple[bytes, int], _Fit | None] = {}

    @property
    def name(self) -> str:
        return "gjr" if self.asymmetric else "garch"

    def path(self, panel: Panel, horizon: int, first: int | None = None) -> Floats:
        steps = checked_horizon(horizon)
        ret = past_returns(panel)
        out = np.full(ret.shape, np.nan)
        for i, start in enumerate(first_rows(ret, first)):
            known = np.flatnonzero(np.isfinite(ret[:, i]))
            r = ret[known, i]
            fit: _Fit | None = None
            for row in range(start, panel.rows, self.refit):
                end = int(np.searchsorted(known, row, side="right"))  # returns known by this row
                stop = int(np.searchsorted(known, row + self.refit))
                if stop <= end - 1:
                    continue
                sample = r[max(0, end - self.window) : end]
                fit = self._fit(sample, fit)
                if fit is None:
                    continue
                begin = max(0, end - self.window)
                path = fit.ahead(r[begin:stop], backcast(sample))[end - begin :]  # after returns end - 1, end, ...
                rows = known[end - 1 : stop]
                total, value = np.zeros(len(path)), path
                for _ in range(steps):
                    total = total + value
                    value = fit.omega + (fit.alpha + 0.5 * fit.gamma + fit.beta) * value
                use = rows >= row
                out[rows[use], i] = np.sqrt(np.maximum(total[use], FLOOR))
        return out

    def _fit(self, returns: Floats, previous: _Fit | None) -> _Fit | None:
        key = (returns.tobytes(), hash(previous))
        if key in self._memory:  # the same fit serves every horizon
            return self._memory[key]
        fit = self._estimate(returns, previous)
        self._memory[key] = fit
        return fit

    def _estimate(self, returns: Floats, previous: _Fit | None) -> _Fit | None:
        from arch.univariate import GARCH, ConstantMean, Normal

        scaled = _PERCENT * returns
        if not scaled.std() > 0:
            raise InvalidInput("expected returns that move, found a constant series: GARCH has no fit")
        order = 1 if self.asymmetric else 0
        model = ConstantMean(scaled, volatility=GARCH(1, order, 1), distribution=Normal(), rescale=False)
        start = None if previous is None else self._start(previous)
        result = model.fit(disp="off", show_warning=False, starting_values=start)
        if result.convergence_flag != 0 and start is not None:  # once more from arch's own grid
            result = model.fit(disp="off", show_warning=False)
        found = [float(value) for value in np.asarray(result.params)]
        mu, omega, alpha = found[:3]
        gamma, beta = (found[3] if self.asymmetric else 0.0), found[-1]
        usable = bool(np.isfinite(found).all()) and omega > 0 and alpha >= 0 and alpha + gamma >= 0 and beta >= 0
        if result.convergence_flag == 0 and usable:
            return _Fit(mu / _PERCENT, omega / _PERCENT**2, alpha, gamma, beta)
        return previous

    def _start(self, previous: _Fit) -> Floats:
        """The last fit as starting values, moved off the edges of arch's region."""
        alpha, beta = max(previous.alpha, 1e-3), max(previous.beta, 1e-3)
        gamma = max(previous.gamma, 1e-3) if self.asymmetric else 0.0
        inside = min(1.0, 0.998 / (alpha + 0.5 * gamma + beta))
        head = [previous.mu * _PERCENT, max(previous.omega, 1e-12) * _PERCENT**2, alpha * inside]
        return np.array([*head, *([gamma * inside] if self.asymmetric else []), beta * inside])
