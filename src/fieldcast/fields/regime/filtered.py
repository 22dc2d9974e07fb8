"""The fitted regime, filtered forward: odds of hidden states and of a recent change, from what was known by each row.

    states   p_t(j)  ∝  f_j(x_t) · Σ_i p_{t−1}(i) A_ij,      p_0 ∝ f_j(x_0) · π_j        f_j: product of normal densities
    runs     P(run_t = r + 1)  ∝  (1 − H) · P(run_{t−1} = r) · t(x_t | the stretch's last r observations)
             P(run_t = 1)      ∝  H · t(x_t | prior)

A run counts the observations of the present stretch, the newest included. Only the forward recursion runs here: a smoothed
state would know what came after it. Parameters arrive frozen; nothing is fitted. An observation that is unknown says nothing:
the states go on by A alone, the runs stand still.

The odds are those of a model, not of an event that can be scored; and they are no columns of the field registry, because
nothing has shown yet that they help (docs/explanation/earned-upgrades.md).

Sources: Hamilton, "A New Approach to the Economic Analysis of Nonstationary Time Series", Econometrica 57 (1989); Adams and
MacKay, "Bayesian Online Changepoint Detection", arXiv 0710.3742 (2007), here with the change before the observation that begins
the new stretch instead of after it, so that the newest observation already speaks for or against a change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.fields._rows import Floats, Rows
from fieldcast.fields.regime.parameters import RANGE, ChangePointParameters, HmmParameters
from fieldcast.ground import InvalidInput


def observations(rows: Rows, features: tuple[str, ...]) -> Floats:
    """What the models are fitted on and filter: (n, d), one column for each feature, NaN where unknown.

    `return` is the log return from the bar before in %, `range` the log of 100 · log(high / low). A bar that did not move has no
    log range.
    """
    columns = {"return": np.full(len(rows), np.nan)}
    columns["return"][1:] = 100.0 * np.diff(np.log(rows.close))
    if RANGE in features:
        with np.errstate(divide="ignore"):
            width = np.log(100.0 * np.log(rows.high / rows.low))
        columns[RANGE] = np.where(np.isfinite(width), width, np.nan)
    return np.column_stack([columns[name] for name in features])


def hmm_probabilities(values: ArrayLike, parameters: HmmParameters) -> Floats:
    """Odds of each hidden state after each row, from that row and those before it.

    Parameters
    ----------
    values : (n, d) from `observations` with the parameters' features, NaN where unknown

    Returns
    -------
    (n, k), each row summing to 1; NaN before the first row of which anything is known

    Raises
    ------
    InvalidInput : another number of features, or an infinite value
    """
    from fieldcast.fields.regime._kernels import hmm_filter

    table = _checked(values, len(parameters.features))
    result = np.empty((len(table), len(parameters.initial)))
    hmm_filter(table, *_arrays(parameters), result)
    return result


def hmm_log_likelihood(values: ArrayLike, parameters: HmmParameters) -> float:
    """Log likelihood of rows (n, d) under the parameters, each row given those before it."""
    from fieldcast.fields.regime._kernels import hmm_filter

    table = _checked(values, len(parameters.features))
    return float(hmm_filter(table, *_arrays(parameters), np.empty((len(table), len(parameters.initial)))))


class HmmFilter:
    """The same odds one row at a time; equal to the batch to the last bit."""

    def __init__(self, parameters: HmmParameters) -> None:
        self._arrays = _arrays(parameters)
        self._width, states = len(parameters.features), len(parameters.initial)
        self._odds, self._ahead = np.full(states, np.nan), np.empty(states)
        self._seen = False

    def update(self, row: ArrayLike) -> Floats:
        """Take one row (d,) and return the odds (k,) after it."""
        from fieldcast.fields.regime._kernels import hmm_step

        values = _checked(np.asarray(row, np.float64)[None], self._width)[0]
        if self._seen or np.isfinite(values).any():
            hmm_step(values, not self._seen, *self._arrays, self._odds, self._ahead)
            self._seen = True
        return self._odds.copy()


@dataclass(frozen=True, eq=False)
class ChangePoints:
    """What the run lengths say after each row; (n,) each, NaN before the first known return.

    Parameters
    ----------
    recent : odds that the present stretch is at most `parameters.recent` rows old
    run_length : its expected age in rows, itself included, at most `parameters.longest`
    """

    recent: Floats
    run_length: Floats


def change_point_odds(returns: ArrayLike, parameters: ChangePointParameters) -> ChangePoints:
    """Odds of a recent change and the expected run, after each row.

    Parameters
    ----------
    returns : (n,) log returns in %, NaN where unknown

    Raises
    ------
    InvalidInput : no vector, or an infinite value
    """
    from fieldcast.fields.regime._kernels import run_filter

    values = _checked(np.asarray(returns, np.float64)[..., None], 1)[:, 0]
    odds, length = np.empty(values.size), np.empty(values.size)
    run_filter(np.ascontiguousarray(values), parameters.hazard, _prior(parameters), parameters.longest, parameters.recent, odds,
               length)  # fmt: skip
    return ChangePoints(odds, length)


class ChangePointFilter:
    """The same one return at a time; a step costs at most `longest` run lengths, however long the history."""

    def __init__(self, parameters: ChangePointParameters) -> None:
        from fieldcast.fields.regime._kernels import RUN_ROWS

        self._parameters, self._prior = parameters, _prior(parameters)
        self._runs, self._count = np.zeros((RUN_ROWS, parameters.longest)), 0

    def update(self, value: float) -> tuple[float, float]:
        """Take one log return in % and return odds of a recent change and expected run; NaN before the first known one."""
        from fieldcast.fields.regime._kernels import run_figures, run_step

        value = float(_checked(np.array([[value]]), 1)[0, 0])
        if not np.isnan(value):
            self._count, _ = run_step(value, self._count, self._parameters.hazard, self._prior, self._runs)
        if not self._count:
            return float("nan"), float("nan")
        odds, length = run_figures(self._runs, self._count, self._parameters.recent)
        return float(odds), float(length)


def _checked(values: ArrayLike, width: int) -> Floats:
    table = np.ascontiguousarray(values, np.float64)
    if table.ndim != 2 or table.shape[1] != width or np.isinf(table).any():
        raise InvalidInput(f"expected observations of shape (n, {width}) without infinities, found {table.shape}")
    return table


def _arrays(parameters: HmmParameters) -> tuple[Floats, Floats, Floats, Floats]:
    tables = parameters.initial, parameters.transition, parameters.means, parameters.variances
    initial, transition, means, variances = (np.array(table, np.float64) for table in tables)
    return initial, transition, means, variances


def _prior(parameters: ChangePointParameters) -> Floats:
    return np.array([parameters.mean, parameters.weight, parameters.shape, parameters.scale])
