"""Runs on record as trials: the daily returns of every run are kept, and the family of them deflates each.

A sweep is as many trials as it has parameter sets. The series of its best set and of others along its ranking are stored, each
once, and `evaluation.POINTS` in the best one's configuration says how many sets there were: `evaluation.family_figures` counts
them all. The effective number rests on the stored series; a set between two stored ones is correlated with both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fieldcast.evaluation import Trial, TrialLog
from fieldcast.ground import MissingData, digest
from fieldcast.simulation.report import DailyReturns
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows.workspace import Workspace

LABEL = "net_return"
_MOST_NAMED = 4


def trial_log(workspace: Workspace) -> LedgerTrialLog:
    """The workspace's log of trials."""
    return LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)


def family_name(family: str, *, simulated: bool) -> str:
    """Trials on simulated markets never count for or against a real one."""
    return f"{family}/simulated" if simulated else family


def record_returns(
    log: TrialLog, family: str, configuration: Mapping[str, Any], instruments: Sequence[str], daily: DailyReturns
) -> Trial:
    """Put a run's daily returns on record.

    Raises
    ------
    MissingData : fewer than two days
    """
    if daily.n < 2:
        raise MissingData(f"expected at least two days for a trial, found {daily.n}")
    made = Trial(
        family=family,
        configuration=dict(configuration),
        instrument=_named(instruments),
        label=LABEL,
        horizon=1,
        span_start=daily.dates[0].item(),
        span_end=daily.dates[-1].item(),
        metric="net_mean",
        estimate=float(daily.returns.mean()),
        n=daily.n,
        dates=daily.dates,
        series=daily.returns,
    )
    moments = made.sharpe
    if moments is not None:
        made = replace(made, metric="net_sharpe", estimate=moments.sharpe)
    log.record(made)
    return made


def spread_over(ranking: Sequence[int], most: int) -> list[int]:
    """At most `most` of a ranking: the first, the last, and others at equal steps between them."""
    if len(ranking) <= most:
        return list(ranking)
    return [ranking[int(place)] for place in np.unique(np.linspace(0, len(ranking) - 1, most).round().astype(int))]


def _named(instruments: Sequence[str]) -> str:
    if len(instruments) <= _MOST_NAMED:
        return ",".join(instruments)
    return f"{len(instruments)} instruments {digest(sorted(instruments))[:16]}"
