"""Learners of odds and of volatility: one contract, causal by construction, saved without pickle.

Odds models map a table of features (n, p) to P(y = 1). Volatility models map past returns and ranges to the standard
deviation of the log return over the horizon.
"""

from fieldcast.models.base_rate import BaseRate
from fieldcast.models.baselines import (
    REQUIRED_BASELINES,
    BaselineReport,
    Score,
    compare_with_baselines,
    exceedance_odds,
)
from fieldcast.models.boosted import BoostedTrees
from fieldcast.models.contract import OddsModel
from fieldcast.models.garch import GarchNormal, GarchParameters, GarchPath, backcast, garch_variance
from fieldcast.models.log_har import LogHar, LogHarPath, daily_variance, qlike
from fieldcast.models.logistic import Logistic, VolatilityAnchor
from fieldcast.models.store import load_model, save_model
from fieldcast.models.tasks import OutOfFold, Stacker, Task, TaskData, TaskModels, fit_tasks, out_of_fold

__all__ = [
    "REQUIRED_BASELINES",
    "BaseRate",
    "BaselineReport",
    "BoostedTrees",
    "GarchNormal",
    "GarchParameters",
    "GarchPath",
    "LogHar",
    "LogHarPath",
    "Logistic",
    "OddsModel",
    "OutOfFold",
    "Score",
    "Stacker",
    "Task",
    "TaskData",
    "TaskModels",
    "VolatilityAnchor",
    "backcast",
    "compare_with_baselines",
    "daily_variance",
    "exceedance_odds",
    "fit_tasks",
    "garch_variance",
    "load_model",
    "out_of_fold",
    "qlike",
    "save_model",
]
