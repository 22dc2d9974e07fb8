"""Which engines earn their place: the full set of columns against the same set without one engine, on identical rows.

An engine is one namespace of the field map, or one feature block. It is kept where one of two clauses holds:

    sharper     AUC(with) − AUC(without) > 0.02, and its paired interval lies above 0
    covering    |c(without) − 0.75| − |c(with) − 0.75|, c the share of returns inside the 75 % cone, has its paired interval
                above 0, and the mean log loss of the odds is not worse with it

Intervals are 90 %, from the stationary bootstrap over dates with the same draws for both sides, so that each end is a one-sided
95 % bound. Rows on which either side has no odds (no cone), or whose return is 0 or unknown, are left out of both: an engine
cannot gain by being silent. An engine that the cone does not read moves it by nothing: its gain in coverage is 0 and the second
clause cannot hold. Each engine is dropped from the full set, not added to an empty one: what another engine says as well earns
nothing twice.

Source of the rule: the phi-nance ablation (AUC gain of more than .02, or 75 % coverage nearer to 75 % with AUC not lower), to
which the intervals are added, and in which the log loss stands in for the AUC because it also sees odds that are ordered well
and wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation import Interval, auc_difference_interval, diff_interval, log_loss_rows, stationary_bootstrap
from fieldcast.evaluation.intervals import summarise
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.validation.evidence import EvidenceRow, Span

AUC_GAIN, COVERAGE = 0.02, 0.75
ALPHA, BLOCK, DRAWS = 0.10, 21, 1000
VALID_FOR = timedelta(days=365)
_LEAST_ODDS = 1e-6
Array = NDArray[np.float64]


class Clause(StrEnum):
    """Why an engine is kept."""

    SHARPER = "sharper"
    COVERING = "covering"


@dataclass(frozen=True)
class Side:
    """One walk, with or without the engine.

    Parameters
    ----------
    odds : (n,) out-of-sample P(return > 0), NaN where not forecast
    low, high : (n,) edges of the 75 % cone as log returns, NaN where there is none
    """

    odds: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class EngineVerdict:
    """What dropping one engine showed.

    Parameters
    ----------
    engine, columns : what was dropped
    clauses : those that hold; empty where the engine is dropped
    auc : gain in AUC of the sign
    log_loss : gain in mean log loss, nats
    coverage : gain in nearness of the 75 % coverage to 75 %; None where no row has a cone
    coverage_with, coverage_without : share of returns inside the cone
    """

    engine: str
    columns: tuple[str, ...]
    clauses: tuple[Clause, ...]
    auc: Interval
    log_loss: Interval
    coverage: Interval | None
    coverage_with: float | None
    coverage_without: float | None

    @property
    def kept(self) -> bool:
        return bool(self.clauses)

    def evidence(
        self, *, instrument: str, span: Span, configuration_hash: str, command: str, recorded_at: datetime
    ) -> tuple[EvidenceRow, ...]:
        """Rows for the ledger: `engine.NAME.auc`, `.log_loss` and, where there is one, `.coverage`."""
        found = {"auc": self.auc, "log_loss": self.log_loss} | ({"coverage": self.coverage} if self.coverage else {})
        return tuple(
            EvidenceRow(
                claim=f"engine.{self.engine}.{measure}",
                configuration_hash=configuration_hash,
                span=span,
                estimate=interval.estimate,
                low=interval.low,
                high=interval.high,
                n=interval.n,
                command=command,
                recorded_at=recorded_at,
                expires_at=recorded_at + VALID_FOR,
            )
            for measure, interval in found.items()
        )


def judge_engine(
    engine: str,
    columns: tuple[str, ...],
    *,
    with_it: Side,
    without: Side,
    returns: ArrayLike,
    dates: NDArray[Any],
    block: int = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
) -> EngineVerdict:
    """Keep an engine or drop it; see the module for the rule.

    Parameters
    ----------
    returns : (n,) log return over the horizon from each row, NaN where unknown
    dates : (n,) sessions
    block, draws, seed : of the bootstrap; blocks of at least 21 sessions

    Raises
    ------
    InvalidInput : shapes that differ, or shorter blocks
    MissingData : fewer than two blocks of rows with an outcome and odds on both sides, or outcomes of one sign
    """
    moved, days = np.asarray(returns, dtype=np.float64), np.asarray(dates).astype("datetime64[D]")
    shapes = {np.shape(x) for side in (with_it, without) for x in (side.odds, side.low, side.high)} | {moved.shape, days.shape}
    if len(shapes) != 1 or moved.ndim != 1 or block < BLOCK:
        raise InvalidInput(f"expected vectors of one length and blocks of at least {BLOCK} sessions, found {shapes} and {block}")
    rows = np.isfinite(with_it.odds) & np.isfinite(without.odds) & np.isfinite(moved) & (moved != 0)
    if rows.sum() < 2 * block:
        raise MissingData(f"expected at least {2 * block} rows with an outcome and odds on both sides, found {int(rows.sum())}")
    settings: dict[str, Any] = {"dates": days[rows], "block": block, "draws": draws, "seed": seed, "alpha": ALPHA}
    up = moved[rows] > 0
    auc = auc_difference_interval(with_it.odds[rows], without.odds[rows], up, **settings)
    losses = (log_loss_rows(np.clip(side.odds[rows], _LEAST_ODDS, 1 - _LEAST_ODDS), up) for side in (without, with_it))
    log_loss = diff_interval(*losses, **settings)
    coned = rows & np.isfinite(with_it.low) & np.isfinite(without.low) & np.isfinite(with_it.high) & np.isfinite(without.high)
    coverage: Interval | None = None
    on = off = None
    if coned.sum() >= 2 * block:
        inside = [(side.low[coned] <= moved[coned]) & (moved[coned] <= side.high[coned]) for side in (with_it, without)]
        on, off = float(inside[0].mean()), float(inside[1].mean())
        coverage = coverage_gain(*inside, dates=days[coned], block=block, draws=draws, seed=seed)
    clauses = []
    if auc.estimate > AUC_GAIN and auc.low > 0:
        clauses.append(Clause.SHARPER)
    if coverage is not None and coverage.low > 0 and log_loss.estimate >= 0:
        clauses.append(Clause.COVERING)
    return EngineVerdict(engine, columns, tuple(clauses), auc, log_loss, coverage, on, off)


def coverage_gain(
    inside: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    *,
    dates: NDArray[Any],
    level: float = COVERAGE,
    block: int = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """|c(reference) − level| − |c(inside) − level| on identical rows, both re-weighted by the same draws of dates.

    Parameters
    ----------
    inside, reference : (n,) True where the return fell inside the cone
    dates : (n,) sessions; rows of one travel together
    """
    days, place = np.unique(dates, return_inverse=True)
    sums = np.column_stack([np.bincount(place, weights=x, minlength=days.size) for x in (inside, reference, np.ones(place.size))])
    ours, theirs, rows = (stationary_bootstrap(days.size, block=block, draws=draws, seed=seed) @ sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.abs(theirs / rows - level) - np.abs(ours / rows - level)
    estimate = abs(float(reference.mean()) - level) - abs(float(inside.mean()) - level)
    return summarise(estimate, drawn, n=place.size, dates=days.size, block=block, alpha=ALPHA, bounds=(-1.0, 1.0))
