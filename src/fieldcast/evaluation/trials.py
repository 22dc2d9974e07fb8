"""Trials: every configuration that was scored is on record, so the best of many can be judged as the best of many.

A trial is one configuration scored on one test span. Running it again is a look, not a trial: N is unchanged. Fits
inside the walk are its children and are only counted. The code version is no part of a trial's identity. Each trial
stores the daily series that it would have earned by following the called side,

    position(t) = mean over the last h rows of sign(forecast - threshold)
    series(t)   = position(t) * return(t -> t+1)

so that trials of different horizons h stand on one clock (a new h-day call is entered each day with 1/h of the
whole). These series give the correlations, and with them the effective number of trials. `TrialEvaluator` is the
only scorer of trials and cannot be built without a `TrialLog`.

A search that keeps the series of some of its configurations alone says in one of theirs how many it stands for (`POINTS`, itself
among them), and the family counts them all. The effective number rests on the stored series.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation._checks import Array, same_length
from fieldcast.evaluation.intervals import BLOCK, DRAWS, Interval, auc_interval
from fieldcast.evaluation.scores import brier, log_loss
from fieldcast.evaluation.sharpe import (
    SharpeMoments,
    deflated_sharpe,
    effective_trials,
    expected_best_sharpe,
    min_track_record,
    probabilistic_sharpe,
    sharpe_moments,
    trial_correlations,
)
from fieldcast.ground import InvalidInput, MissingData, digest

POINTS = "points"      # key of a configuration: how many that were scored it stands for


@dataclass(frozen=True, eq=False)
class Trial:
    """One configuration scored on one span.

    Parameters
    ----------
    family : the trials among which the best could have been picked; named in the experiment's TOML before the run
    configuration : what was run, as plain values; `points`, a whole number of at least 1, where it stands for others too
    instrument, label, horizon : what was forecast
    span_start, span_end : first and last scored date
    metric, estimate, n : the score and its rows
    dates, series : (m,) daily dates, and the return of following the called side on each
    children : fits inside the walk
    """

    family: str
    configuration: Mapping[str, Any]
    instrument: str
    label: str
    horizon: int
    span_start: date
    span_end: date
    metric: str
    estimate: float
    n: int
    dates: NDArray[np.datetime64]
    series: Array
    children: int = 0

    def __post_init__(self) -> None:
        points = self.configuration.get(POINTS, 1)
        if not isinstance(points, int) or isinstance(points, bool) or points < 1:
            raise InvalidInput(f"expected as {POINTS} of a configuration how many it stands for, at least 1, found {points!r}")
        dates = np.asarray(self.dates, dtype="datetime64[D]")
        series = np.asarray(self.series, dtype=np.float64)
        if not self.family or self.horizon < 1 or self.n < 1 or self.children < 0 or not math.isfinite(self.estimate):
            raise InvalidInput(
                f"expected a family, a horizon and n of at least 1 and a finite estimate, found {self.family!r}, "
                f"{self.horizon}, {self.n}, {self.estimate}"
            )
        if dates.ndim != 1 or dates.shape != series.shape or dates.size < 2:
            raise InvalidInput(f"expected a dated series of at least two rows, found {dates.shape} and {series.shape}")
        if np.isnat(dates).any() or (np.diff(dates) <= np.timedelta64(0, "D")).any() or not np.isfinite(series).all():
            raise InvalidInput("expected a series that is finite, on known and ascending dates")
        object.__setattr__(self, "dates", dates)
        object.__setattr__(self, "series", series)

    @property
    def configuration_hash(self) -> str:
        return digest(self.configuration)

    @property
    def span_hash(self) -> str:
        """What was forecast, and over which dates; the values themselves are no part of it: restated data is a look."""
        return digest([self.instrument, self.label, self.horizon, self.span_start, self.span_end])

    @property
    def id(self) -> str:
        return digest([self.family, self.configuration_hash, self.span_hash])

    @property
    def points(self) -> int:
        """How many configurations that were scored it stands for."""
        return int(self.configuration.get(POINTS, 1))

    @property
    def sharpe(self) -> SharpeMoments | None:
        """Per-day moments of the series; None where it does not vary."""
        try:
            return sharpe_moments(self.series)
        except MissingData:
            return None


class TrialLog(Protocol):
    """Where trials are kept. The ledger has one that outlives the process: `fieldcast.validation.LedgerTrialLog`."""

    def record(self, trial: Trial) -> None:
        """Add the trial; one that is known is refreshed and counted as a look."""

    def trials(self, family: str) -> tuple[Trial, ...]:
        """Every trial of the family, series included, in the order of their ids."""

    def looks(self, trial_id: str) -> int:
        """How often the trial was recorded; 0 where it is unknown."""


@dataclass
class MemoryTrialLog:
    """A log for one process: tests, notebooks."""

    _trials: dict[str, Trial] = field(default_factory=dict)
    _looks: dict[str, int] = field(default_factory=dict)

    def record(self, trial: Trial) -> None:
        self._trials[trial.id] = trial
        self._looks[trial.id] = self._looks.get(trial.id, 0) + 1

    def trials(self, family: str) -> tuple[Trial, ...]:
        return tuple(sorted((t for t in self._trials.values() if t.family == family), key=lambda t: t.id))

    def looks(self, trial_id: str) -> int:
        return self._looks.get(trial_id, 0)


@dataclass(frozen=True)
class TrialScore:
    """Scores of one trial; `auc` is the metric on record. `n` rows had both a forecast and an outcome."""

    trial: Trial
    auc: Interval
    brier: float
    log_loss: float
    n: int


@dataclass(frozen=True)
class DeflatedTrial:
    """Sharpe figures of one trial's series, per day, among its family.

    `dsr` counts every trial of the family, `dsr_effective` the effective number. All are None where the series does
    not vary; `min_track_record` (days, at 95 %) also where the Sharpe ratio is not above 0.
    """

    trial: Trial
    looks: int
    sharpe: float | None
    psr: float | None
    dsr: float | None
    dsr_effective: float | None
    min_track_record: float | None


@dataclass(frozen=True)
class FamilyFigures:
    """A family of trials: its size (every point of its searches), its effective size, and each trial deflated by both.

    `variance` is that of the trials' per-day Sharpe ratios; `best_of_n` and `best_of_effective` are what the best
    of so many worthless trials would show.
    """

    family: str
    n: int
    n_effective: float
    variance: float
    best_of_n: float
    best_of_effective: float
    trials: tuple[DeflatedTrial, ...]

    def of(self, trial_id: str) -> DeflatedTrial:
        for found in self.trials:
            if found.trial.id == trial_id:
                return found
        raise MissingData(f"expected a trial of the family {self.family!r}, found no {trial_id}")

    def describe(self, trial_id: str) -> str:
        """One line for people: the Sharpe ratio of the called side, and what is left of it after so many trials."""
        found = self.of(trial_id)
        if found.sharpe is None or found.psr is None or found.dsr is None or found.dsr_effective is None:
            return "Sharpe ratio of sign(score) x return: none, the series does not vary"
        return (
            f"Sharpe ratio of sign(score) x return {found.sharpe:.4f} a day; PSR(0) {found.psr:.4f}; DSR "
            f"{found.dsr:.4f} at N={self.n}, {found.dsr_effective:.4f} at effective N={self.n_effective:.2f}"
        )


class TrialEvaluator:
    """Scores out-of-sample forecasts and records each as a trial.

    Parameters
    ----------
    log : where trials are recorded; there is no default, on purpose
    family : family of every trial that this evaluator scores
    """

    def __init__(self, log: TrialLog, *, family: str) -> None:
        if not all(callable(getattr(log, name, None)) for name in ("record", "trials", "looks")):
            raise InvalidInput(f"expected a TrialLog, found {type(log).__name__}; a score off the record is refused")
        if not family:
            raise InvalidInput("expected the name of a family of trials, found none")
        self._log = log
        self.family = family

    def score(
        self,
        configuration: Mapping[str, Any],
        *,
        instrument: str,
        label: str,
        horizon: int,
        dates: NDArray[Any],
        forecast: ArrayLike,
        outcome: ArrayLike,
        returns: ArrayLike,
        threshold: ArrayLike = 0.5,
        children: int = 0,
        block: float = BLOCK,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> TrialScore:
        """Score one configuration on one span, and record it.

        Parameters
        ----------
        configuration : what was run, as plain values; its hash is the trial's identity
        instrument, label, horizon : what was forecast; horizon in rows
        dates : (n,) consecutive sessions, ascending
        forecast : (n,) probability that the outcome is 1; NaN where none was made
        outcome : (n,) 1, 0, or NaN where it is not known or is neither
        returns : (n,) log return of the next session, close(t) to close(t+1); NaN where it is not known
        threshold : scalar or (n,): the called side is up where the forecast is above it. 0.5 for the sign of a
            return; the base rate known at t for an event
        children : fits inside the walk
        block, draws, seed : of the bootstrap of the AUC; the mean block is at least the horizon

        Raises
        ------
        MissingData : no row has both forecast and outcome, or the outcomes are all of one class
        """
        stamps = np.asarray(dates, dtype="datetime64[D]")
        p, y, r, cut = (
            _rows(name, values, stamps.size)
            for name, values in (
                ("forecast", forecast), ("outcome", outcome), ("returns", returns), ("threshold", threshold)
            )
        )
        scored = np.isfinite(p) & np.isfinite(y)
        if not scored.any():
            raise MissingData("expected rows with a forecast and an outcome, found none")
        area = auc_interval(
            p[scored], y[scored], dates=stamps[scored], block=max(block, horizon), draws=draws, seed=seed
        )
        kept, series = call_series(p - cut, r, horizon)
        trial = Trial(
            family=self.family,
            configuration=dict(configuration),
            instrument=instrument,
            label=label,
            horizon=horizon,
            span_start=stamps[scored][0].item(),
            span_end=stamps[scored][-1].item(),
            metric="auc",
            estimate=area.estimate,
            n=area.n,
            dates=stamps[kept],
            series=series,
            children=children,
        )
        self._log.record(trial)
        return TrialScore(trial, area, brier(p[scored], y[scored]), log_loss(p[scored], y[scored]), area.n)

    def figures(self) -> FamilyFigures:
        """Deflated figures of the family as it stands in the log now.

        Raises
        ------
        MissingData : the family has no trial
        """
        return family_figures(self._log, self.family)


def call_series(margin: Array, returns: Array, horizon: int) -> tuple[NDArray[np.intp], Array]:
    """Daily return of following the called side with a ladder of `horizon` rungs.

    Parameters
    ----------
    margin : (n,) forecast minus threshold, consecutive sessions; NaN where no forecast was made (that rung stays empty)
    returns : (n,) return from each session's close to the next; NaN where unknown
    horizon : rows that each call lasts

    Returns
    -------
    Rows that have a return and come no earlier than the first forecast, and the series on them
    """
    if horizon < 1:
        raise InvalidInput(f"expected a horizon of at least 1, found {horizon}")
    called = np.isfinite(margin)
    side = np.where(called, np.sign(np.where(called, margin, 0.0)), 0.0)
    running = np.concatenate((np.zeros(horizon), np.cumsum(side)))
    position = (running[horizon:] - running[:-horizon]) / horizon
    started = np.maximum.accumulate(called)
    kept = np.flatnonzero(started & np.isfinite(returns))
    return kept, position[kept] * returns[kept]


def family_figures(log: TrialLog, family: str) -> FamilyFigures:
    """Size of a family, effective size, and each trial's deflated figures: the one count that gates and reports go by.

    Raises
    ------
    MissingData : the family has no trial
    """
    trials = log.trials(family)
    if not trials:
        raise MissingData(f"expected trials of the family {family!r}, found none")
    n = sum(one.points for one in trials)
    effective = effective_trials(trial_correlations([(t.dates, t.series) for t in trials]))
    moments = [t.sharpe for t in trials]
    variance = _variance(m.sharpe for m in moments if m is not None)
    deflated = tuple(
        DeflatedTrial(
            trial=trial,
            looks=log.looks(trial.id),
            sharpe=m.sharpe if m else None,
            psr=probabilistic_sharpe(m) if m else None,
            dsr=deflated_sharpe(m, variance, n) if m else None,
            dsr_effective=deflated_sharpe(m, variance, effective) if m else None,
            min_track_record=min_track_record(m) if m and m.sharpe > 0.0 else None,
        )
        for trial, m in zip(trials, moments, strict=True)
    )
    return FamilyFigures(
        family=family,
        n=n,
        n_effective=effective,
        variance=variance,
        best_of_n=expected_best_sharpe(variance, n),
        best_of_effective=expected_best_sharpe(variance, effective),
        trials=deflated,
    )


def _variance(sharpes: Iterable[float]) -> float:
    """Sample variance of the trials' Sharpe ratios; 0 for fewer than two."""
    values = np.array(list(sharpes))
    return float(values.var(ddof=1)) if values.size > 1 else 0.0


def _rows(name: str, values: ArrayLike, n: int) -> Array:
    """(n,) float64 with NaN where unknown; infinities are refused, a scalar is repeated."""
    array = np.asarray(values, dtype=np.float64)
    array = np.full(n, float(array)) if array.ndim == 0 else array
    same_length(dates=np.empty(n), **{name: array})
    if np.isinf(array).any():
        raise InvalidInput(f"expected finite {name} or NaN where it is unknown, found {np.isinf(array).sum()} infinite")
    return array
