"""When a model has to be fitted again: five triggers, each with its figure, its threshold and its n.

    schedule      the last label of the fit is older than `max_age_days`
    decay         log loss less the base rate's, on recent outcomes, is worse than when the model was accepted: the one-sided
                  95 % bound (stationary bootstrap over dates) of the worsening is above `decay_margin` nats
    calibration   debiased ECE above `calibration_limit`, and the plug-in ECE above what chance gives a calibrated forecast
    drift         a feature has drifted from the training sample (`models.drift`)
    command       a person has asked, after the newest version was registered

Decay is measured against the base rate of the fit, because the log loss of an event moves with how rare the event is. A trigger
that cannot be judged (too few outcomes, no sample) does not fire, and says why. Source of the rules: crpbot's plan (weekly, decay
of accuracy, calibration error above 7 %, KS drift, /retrain).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation import ece, log_loss_rows, mean_interval
from fieldcast.ground import MissingData, Reason, utc
from fieldcast.models.drift import PSI_MAJOR, DriftReport


@dataclass(frozen=True)
class TriggerRules:
    """Thresholds of the triggers."""

    max_age_days: float = 28.0
    decay_margin: float = 0.005  # nats
    calibration_limit: float = 0.07
    least_rows: int = 100
    block: int = 21
    draws: int = 500
    seed: int = 0


@dataclass(frozen=True)
class Trigger:
    """One trigger's answer; `figure` is None, and `fired` False, where it cannot be judged."""

    name: str
    fired: bool
    figure: float | None
    threshold: float
    n: int
    reason: Reason | None
    text: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Recent:
    """Recent predictions of a model with what came of them.

    Parameters
    ----------
    p, y : (n,) odds and outcomes 0 or 1, in time order
    dates : (n,) session of each
    base_rate : the odds that the training sample's base rate gives every row
    accepted_gain : log loss of the model less that of the base rate when it was accepted (negative: better)
    """

    p: NDArray[np.float64]
    y: NDArray[np.float64]
    dates: NDArray[Any]
    base_rate: float
    accepted_gain: float


def schedule(trained_until: datetime, now: datetime, rules: TriggerRules) -> Trigger:
    """Has the model served its time?"""
    age = (utc(now) - utc(trained_until)).total_seconds() / 86_400.0
    fired = age >= rules.max_age_days
    text = f"fitted on labels until {trained_until:%Y-%m-%d}, {age:.1f} days ago"
    return Trigger("schedule", fired, age, rules.max_age_days, 1, Reason.SCHEDULED if fired else None, text)


def decay(recent: Recent | None, rules: TriggerRules) -> Trigger:
    """Does it score worse than when it was accepted?"""
    n = 0 if recent is None else int(recent.y.size)
    if recent is None or n < rules.least_rows:
        return _unknown("decay", rules.decay_margin, n, rules.least_rows)
    gain = log_loss_rows(recent.p, recent.y) - log_loss_rows(np.full(n, recent.base_rate), recent.y)
    try:
        found = mean_interval(
            gain - recent.accepted_gain, dates=recent.dates, block=rules.block, draws=rules.draws, seed=rules.seed
        )
    except MissingData as error:
        return Trigger("decay", False, None, rules.decay_margin, n, Reason.FEW_ROWS, str(error))
    fired = found.lower_one_sided > rules.decay_margin
    text = f"log loss against the base rate is {found.estimate:+.4f} nats worse than accepted, bound {found.lower_one_sided:+.4f}"
    return Trigger("decay", fired, found.lower_one_sided, rules.decay_margin, n, Reason.SCORE_DECAYED if fired else None, text)


def calibration(p: ArrayLike, y: ArrayLike, rules: TriggerRules) -> Trigger:
    """Do the odds still mean what they say?"""
    odds, outcome = np.asarray(p, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if outcome.size < rules.least_rows:
        return _unknown("calibration", rules.calibration_limit, int(outcome.size), rules.least_rows)
    found = ece(odds, outcome, draws=rules.draws, seed=rules.seed)
    fired = found.debiased > rules.calibration_limit and not found.within_null
    reason = Reason.CALIBRATION_LOST if fired else None
    return Trigger("calibration", fired, found.debiased, rules.calibration_limit, found.n, reason, str(found))


def drifted(report: DriftReport | None) -> Trigger:
    """Has a feature moved away from the training sample?"""
    if report is None:
        return Trigger("drift", False, None, PSI_MAJOR, 0, Reason.NO_DATA, "no training sample or no recent rows to compare")
    names = report.drifted
    worst = max((one.psi for one in report.features if one.psi is not None), default=None)
    n = max(one.n_recent for one in report.features)
    text = f"drifted: {', '.join(names)}" if names else "no feature has drifted"
    return Trigger("drift", bool(names), worst, report.psi_threshold, n, Reason.DRIFTED if names else None, text)


def command(requested_at: datetime | None, registered_at: datetime) -> Trigger:
    """Has a person asked for a new fit since the newest version?"""
    fired = requested_at is not None and utc(requested_at) > utc(registered_at)
    text = f"asked for on {requested_at:%Y-%m-%d %H:%M} UTC" if requested_at is not None and fired else "nobody has asked"
    return Trigger("command", fired, None, 0.0, 0, Reason.COMMANDED if fired else None, text)


def _unknown(name: str, threshold: float, n: int, least: int) -> Trigger:
    text = f"{n} recent outcomes, and {least} are needed to judge"
    return Trigger(name, False, None, threshold, n, Reason.FEW_ROWS, text)
