"""Fits a hidden Markov model of daily returns and ranges: how many states, what each looks like, how they follow each other.

    x_t | state j ~ N(mean_j, diag(variance_j)),      P(state_{t+1} = j | state_t = i) = A_ij

Maximum likelihood by expectation and maximisation from several seeded starts; the best of them counts. With fewer states the
likelihood is lower and there is less to learn: of 2, 3 and 4 states the one with the lowest

    BIC = −2 log L + p log n,      p = (k − 1) + k (k − 1) + 2 k d

is kept. No variance may fall below a hundredth of the feature's own, so that no state shrinks onto a few rows. States are
ordered by the variance of the return, calmest first. What comes out is frozen (`HmmParameters`); `fields.regime.filtered`
applies it forward.

Sources: Rabiner, Proc. IEEE 77 (1989); Schwarz, "Estimating the Dimension of a Model", Annals of Statistics 6 (1978). A BIC
with too many states for heavy-tailed returns is known: states then split the tail (Ryden, Terasvirta and Asbrink, J. Appl.
Econometrics 13, 1998), and that is one more reason why the ablation, not the likelihood, decides about use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from fieldcast.fields.regime.parameters import FEATURES, STATE_NAMES, HmmParameters
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.models.contract import Floats

LEAST_ROWS = 500  # two years: fewer hold one or two stretches of a state, and say nothing of how often it comes


@dataclass(frozen=True)
class HmmRules:
    """How the fit is made.

    Parameters
    ----------
    states : numbers of states to try
    starts, seed : random starts for each, and of what generator
    most : passes a start at most
    tolerance : gain of log L a row below which a start has arrived
    floor : least variance as a share of the feature's own
    """

    states: tuple[int, ...] = (2, 3, 4)
    starts: int = 6
    seed: int = 0
    most: int = 500
    tolerance: float = 1e-8
    floor: float = 0.01

    def __post_init__(self) -> None:
        if not self.states or any(count not in STATE_NAMES for count in self.states) or self.starts < 1 or self.most < 1:
            raise InvalidInput(f"expected 2 to 4 states, a start and a pass at least, found {self}")
        if not (0 < self.floor < 1 and self.tolerance > 0):
            raise InvalidInput(f"expected a floor between 0 and 1 and a positive tolerance, found {self}")


def fit_hmm(
    values: Floats,
    features: Sequence[str],
    *,
    instrument: str,
    fitted_until: datetime,
    simulated: bool = False,
    rules: HmmRules | None = None,
) -> HmmParameters:
    """The most likely hidden Markov model of the rows, the number of states chosen by BIC.

    Parameters
    ----------
    values : (n, d) from `fields.regime.observations`; rows of which a feature is unknown are left out, and rows on either side
        count as neighbours
    features : names of the columns
    instrument, fitted_until, simulated : stamped on the result: whose rows, when the newest was known, whether simulated

    Raises
    ------
    MissingData : fewer than 500 rows are known
    InvalidInput : another shape, an infinite value, or a feature that never moves
    """
    rules, names = rules or HmmRules(), tuple(features)
    rows = np.asarray(values, np.float64)
    if names not in FEATURES or rows.ndim != 2 or rows.shape[1] != len(names) or np.isinf(rows).any():
        raise InvalidInput(f"expected rows of return, or return and range, without infinities, found {rows.shape} of {names}")
    rows = np.ascontiguousarray(rows[np.isfinite(rows).all(axis=1)])
    if len(rows) < LEAST_ROWS:
        raise MissingData(f"expected at least {LEAST_ROWS} known rows to fit a hidden Markov model, found {len(rows)}")
    if not (rows.std(axis=0) > 0).all():
        raise InvalidInput("expected features that move, found a constant one: there is no state to tell")
    fits = [_best(rows, count, rules) for count in rules.states]
    best = min(fits, key=lambda fit: fit.bic(rows))
    order = np.argsort(best.variances[:, 0], kind="stable")
    return HmmParameters(
        instrument=instrument,
        fitted_until=fitted_until,
        rows=len(rows),
        simulated=simulated,
        features=names,
        initial=_sums_to_one(best.initial[order]),
        transition=tuple(_sums_to_one(row) for row in best.transition[order][:, order]),
        means=tuple(tuple(row) for row in best.means[order].tolist()),
        variances=tuple(tuple(row) for row in best.variances[order].tolist()),
        log_likelihood=best.likelihood,
        bic=best.bic(rows),
        iterations=best.passes,
        converged=best.converged,
    )


def _sums_to_one(odds: Floats) -> tuple[float, ...]:
    return tuple((odds / odds.sum()).tolist())


@dataclass(frozen=True, eq=False)
class _Fit:
    initial: Floats
    transition: Floats
    means: Floats
    variances: Floats
    likelihood: float
    passes: int
    converged: bool

    def bic(self, rows: Floats) -> float:
        count, width = self.means.shape
        free = (count - 1) + count * (count - 1) + 2 * count * width
        return float(-2.0 * self.likelihood + free * np.log(len(rows)))


def _best(rows: Floats, count: int, rules: HmmRules) -> _Fit:
    """The likeliest of the starts; each has its own generator, so that more starts never change the earlier ones."""
    fits = [_from(rows, _start(rows, count, start, rules.seed), rules) for start in range(rules.starts)]
    return max(fits, key=lambda fit: fit.likelihood)


def _from(rows: Floats, start: tuple[Floats, Floats, Floats, Floats], rules: HmmRules) -> _Fit:
    from fieldcast.models._kernels_hmm import climb

    likelihood, passes, arrived = climb(rows, rules.floor * rows.var(axis=0), *start, rules.most, rules.tolerance)
    return _Fit(*start, float(likelihood), int(passes), bool(arrived))


def _start(rows: Floats, count: int, start: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Start 0 cuts the rows by the size of the return into equal parts; the others draw means and widths about the rows' own."""
    generator = np.random.default_rng([seed, count, start])
    stay = 0.95 if start == 0 else generator.uniform(0.7, 0.98)
    transition = np.full((count, count), (1.0 - stay) / (count - 1))
    np.fill_diagonal(transition, stay)
    if start == 0:
        size = np.abs(rows[:, 0] - rows[:, 0].mean())
        parts = np.array_split(np.argsort(size, kind="stable"), count)
        means = np.array([rows[part].mean(axis=0) for part in parts])
        variances = np.array([np.maximum(rows[part].var(axis=0), 0.05 * rows.var(axis=0)) for part in parts])
    else:
        means = rows[generator.choice(len(rows), count, replace=False)]
        variances = rows.var(axis=0) * np.exp(generator.normal(0.0, 1.0, (count, rows.shape[1])))
    return np.full(count, 1.0 / count), transition, means, variances
