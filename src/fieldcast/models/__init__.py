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
from fieldcast.models.early_stop import LEAST_HELD_OUT, HeldOut
from fieldcast.models.exceedance import StrongAnchor, barrier_odds, implied_sigma, running_drift, sign_odds, strong_anchor
from fieldcast.models.forest import RandomForest
from fieldcast.models.garch import GarchNormal, GarchParameters, GarchPath, backcast, garch_variance
from fieldcast.models.log_har import LogHar, LogHarPath, daily_variance, qlike
from fieldcast.models.logistic import Logistic, VolatilityAnchor
from fieldcast.models.mlp import MultilayerPerceptron
from fieldcast.models.per_regime import PerRegime, strongest
from fieldcast.models.quantile_boosted import QuantileBoosted, QuantileModel, rearranged
from fieldcast.models.report import Question, baseline_odds, model_report
from fieldcast.models.store import load_model, load_quantile_model, model_kinds, save_model
from fieldcast.models.tasks import OutOfFold, Stacker, Task, TaskData, TaskModels, fit_tasks, out_of_fold
from fieldcast.models.xgboost_trees import XGBoostTrees

__all__ = [
    "LEAST_HELD_OUT",
    "REQUIRED_BASELINES",
    "BaseRate",
    "BaselineReport",
    "BoostedTrees",
    "GarchNormal",
    "GarchParameters",
    "GarchPath",
    "HeldOut",
    "LogHar",
    "LogHarPath",
    "Logistic",
    "MultilayerPerceptron",
    "OddsModel",
    "OutOfFold",
    "PerRegime",
    "QuantileBoosted",
    "QuantileModel",
    "Question",
    "RandomForest",
    "Score",
    "Stacker",
    "StrongAnchor",
    "Task",
    "TaskData",
    "TaskModels",
    "VolatilityAnchor",
    "XGBoostTrees",
    "backcast",
    "barrier_odds",
    "baseline_odds",
    "compare_with_baselines",
    "daily_variance",
    "exceedance_odds",
    "fit_tasks",
    "garch_variance",
    "implied_sigma",
    "load_model",
    "load_quantile_model",
    "model_kinds",
    "model_report",
    "out_of_fold",
    "qlike",
    "rearranged",
    "running_drift",
    "save_model",
    "sign_odds",
    "strong_anchor",
    "strongest",
]
