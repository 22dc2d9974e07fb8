"""One function a verb, a config in and a typed result out: the public Python API, which `import fieldcast as fc` shows.

Everything is imported on first use, so that asking for one verb does not load the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldcast.workflows.ablations import Ablation, ablate_regime
    from fieldcast.workflows.agents import AgentsRead, read_agents
    from fieldcast.workflows.backtest_options import backtest_plan, parameter_grid
    from fieldcast.workflows.backtest_settings import BacktestPlan
    from fieldcast.workflows.backtests import Backtest, backtest
    from fieldcast.workflows.chain_ablations import ablate_intraday_dealer, ablate_print_stream
    from fieldcast.workflows.comparisons import Comparison, compare
    from fieldcast.workflows.cross_sections import Research, research
    from fieldcast.workflows.cycles import run_cycle
    from fieldcast.workflows.data import check_data, compact_data, list_data, list_formats, show_data, verify_data
    from fieldcast.workflows.demonstration import Demo, demo
    from fieldcast.workflows.diagnosis import Diagnosis, doctor
    from fieldcast.workflows.engine_ablations import EngineAblations, ablate
    from fieldcast.workflows.execution_costs import (
        CostsRecalibrated,
        CostsShown,
        recalibrate_costs,
        restore_execution_costs,
        show_costs,
    )
    from fieldcast.workflows.experiment import Experiment, load_experiment
    from fieldcast.workflows.fields import FieldsRead, field_map, read_fields, usable_fields
    from fieldcast.workflows.holdouts import holdout
    from fieldcast.workflows.ideas import IdeaMade, make_idea
    from fieldcast.workflows.imports import import_bundled, import_data
    from fieldcast.workflows.leak_tests import leaks
    from fieldcast.workflows.look import project, verify_audit
    from fieldcast.workflows.minute_projection import project_minutes
    from fieldcast.workflows.odds_training import OddsTrained, load_trained, train_odds
    from fieldcast.workflows.projector import Projector
    from fieldcast.workflows.promotions import PromotionCheck, check_promotion
    from fieldcast.workflows.reference import import_members, import_tickers
    from fieldcast.workflows.registered_models import (
        ModelDrift,
        ModelShown,
        ModelsListed,
        ModelTriggers,
        list_models,
        model_drift,
        model_triggers,
        predict_models,
        promote_model,
        register_model,
        rollback_model,
        show_model,
    )
    from fieldcast.workflows.repairs import repair_data
    from fieldcast.workflows.reports import ReportInput, write_html
    from fieldcast.workflows.results import InstrumentValidation, Validation
    from fieldcast.workflows.run_log import RunsReported, report_runs
    from fieldcast.workflows.sealing import (
        ExperimentRegistered,
        SealsListed,
        SpanSealed,
        declare_looked_at,
        list_seals,
        open_span,
        register_experiment,
        seal_span,
    )
    from fieldcast.workflows.simulations import simulate_data
    from fieldcast.workflows.studies import gate_study
    from fieldcast.workflows.sweeps import Sweep, sweep
    from fieldcast.workflows.text_scores import TextsScored, score_texts
    from fieldcast.workflows.tiers import TiersRead, read_tiers
    from fieldcast.workflows.training import HeadlineTrained, train_headline
    from fieldcast.workflows.tuning import Tuned, tune
    from fieldcast.workflows.universes import check_universe
    from fieldcast.workflows.upgrades import RegimeTrained, fit_regime
    from fieldcast.workflows.validation import validate
    from fieldcast.workflows.walk_forward_optimisations import WalkForwardOptimised, optimise_walk_forward
    from fieldcast.workflows.watching import WatchRun, WatchShown, run_watch, show_watch
    from fieldcast.workflows.workspace import Workspace, open_workspace

_HOMES = {
    "Ablation": "ablations",
    "AgentsRead": "agents",
    "Backtest": "backtests",
    "BacktestPlan": "backtest_settings",
    "Comparison": "comparisons",
    "CostsRecalibrated": "execution_costs",
    "CostsShown": "execution_costs",
    "Demo": "demonstration",
    "Diagnosis": "diagnosis",
    "EngineAblations": "engine_ablations",
    "Experiment": "experiment",
    "ExperimentRegistered": "sealing",
    "FieldsRead": "fields",
    "HeadlineTrained": "training",
    "IdeaMade": "ideas",
    "InstrumentValidation": "results",
    "ModelDrift": "registered_models",
    "ModelShown": "registered_models",
    "ModelTriggers": "registered_models",
    "ModelsListed": "registered_models",
    "OddsTrained": "odds_training",
    "Projector": "projector",
    "PromotionCheck": "promotions",
    "RegimeTrained": "upgrades",
    "ReportInput": "reports",
    "Research": "cross_sections",
    "RunsReported": "run_log",
    "SealsListed": "sealing",
    "SpanSealed": "sealing",
    "Sweep": "sweeps",
    "TextsScored": "text_scores",
    "TiersRead": "tiers",
    "Tuned": "tuning",
    "Validation": "results",
    "WalkForwardOptimised": "walk_forward_optimisations",
    "WatchRun": "watching",
    "WatchShown": "watching",
    "Workspace": "workspace",
    "ablate": "engine_ablations",
    "ablate_intraday_dealer": "chain_ablations",
    "ablate_print_stream": "chain_ablations",
    "ablate_regime": "ablations",
    "backtest": "backtests",
    "backtest_plan": "backtest_options",
    "check_data": "data",
    "check_promotion": "promotions",
    "check_universe": "universes",
    "compact_data": "data",
    "compare": "comparisons",
    "declare_looked_at": "sealing",
    "demo": "demonstration",
    "doctor": "diagnosis",
    "field_map": "fields",
    "fit_regime": "upgrades",
    "gate_study": "studies",
    "holdout": "holdouts",
    "import_bundled": "imports",
    "import_data": "imports",
    "import_members": "reference",
    "import_tickers": "reference",
    "leaks": "leak_tests",
    "list_data": "data",
    "list_formats": "data",
    "list_models": "registered_models",
    "list_seals": "sealing",
    "load_experiment": "experiment",
    "load_trained": "odds_training",
    "make_idea": "ideas",
    "model_drift": "registered_models",
    "model_triggers": "registered_models",
    "open_span": "sealing",
    "open_workspace": "workspace",
    "optimise_walk_forward": "walk_forward_optimisations",
    "parameter_grid": "backtest_options",
    "predict_models": "registered_models",
    "project": "look",
    "project_minutes": "minute_projection",
    "promote_model": "registered_models",
    "read_agents": "agents",
    "read_fields": "fields",
    "read_tiers": "tiers",
    "recalibrate_costs": "execution_costs",
    "register_experiment": "sealing",
    "register_model": "registered_models",
    "repair_data": "repairs",
    "report_runs": "run_log",
    "research": "cross_sections",
    "restore_execution_costs": "execution_costs",
    "rollback_model": "registered_models",
    "run_cycle": "cycles",
    "run_watch": "watching",
    "score_texts": "text_scores",
    "seal_span": "sealing",
    "show_costs": "execution_costs",
    "show_data": "data",
    "show_model": "registered_models",
    "show_watch": "watching",
    "simulate_data": "simulations",
    "sweep": "sweeps",
    "train_headline": "training",
    "train_odds": "odds_training",
    "tune": "tuning",
    "usable_fields": "fields",
    "validate": "validation",
    "verify_audit": "look",
    "verify_data": "data",
    "write_html": "reports",
}

__all__ = [
    "Ablation",
    "AgentsRead",
    "Backtest",
    "BacktestPlan",
    "Comparison",
    "CostsRecalibrated",
    "CostsShown",
    "Demo",
    "Diagnosis",
    "EngineAblations",
    "Experiment",
    "ExperimentRegistered",
    "FieldsRead",
    "HeadlineTrained",
    "IdeaMade",
    "InstrumentValidation",
    "ModelDrift",
    "ModelShown",
    "ModelTriggers",
    "ModelsListed",
    "OddsTrained",
    "Projector",
    "PromotionCheck",
    "RegimeTrained",
    "ReportInput",
    "Research",
    "RunsReported",
    "SealsListed",
    "SpanSealed",
    "Sweep",
    "TextsScored",
    "TiersRead",
    "Tuned",
    "Validation",
    "WalkForwardOptimised",
    "WatchRun",
    "WatchShown",
    "Workspace",
    "ablate",
    "ablate_intraday_dealer",
    "ablate_print_stream",
    "ablate_regime",
    "backtest",
    "backtest_plan",
    "check_data",
    "check_promotion",
    "check_universe",
    "compact_data",
    "compare",
    "declare_looked_at",
    "demo",
    "doctor",
    "field_map",
    "fit_regime",
    "gate_study",
    "holdout",
    "import_bundled",
    "import_data",
    "import_members",
    "import_tickers",
    "leaks",
    "list_data",
    "list_formats",
    "list_models",
    "list_seals",
    "load_experiment",
    "load_trained",
    "make_idea",
    "model_drift",
    "model_triggers",
    "open_span",
    "open_workspace",
    "optimise_walk_forward",
    "parameter_grid",
    "predict_models",
    "project",
    "project_minutes",
    "promote_model",
    "read_agents",
    "read_fields",
    "read_tiers",
    "recalibrate_costs",
    "register_experiment",
    "register_model",
    "repair_data",
    "report_runs",
    "research",
    "restore_execution_costs",
    "rollback_model",
    "run_cycle",
    "run_watch",
    "score_texts",
    "seal_span",
    "show_costs",
    "show_data",
    "show_model",
    "show_watch",
    "simulate_data",
    "sweep",
    "train_headline",
    "train_odds",
    "tune",
    "usable_fields",
    "validate",
    "verify_audit",
    "verify_data",
    "write_html",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = getattr(import_module(f"fieldcast.workflows.{_HOMES[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'fieldcast.workflows' has no attribute {name!r}")
