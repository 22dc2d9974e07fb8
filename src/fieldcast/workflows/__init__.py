"""One function a verb, a config in and a typed result out: the public Python API, which `import fieldcast as fc` shows.

Everything is imported on first use, so that asking for one verb does not load the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldcast.workflows.ablations import Ablation, ablate_regime
    from fieldcast.workflows.cycles import run_cycle
    from fieldcast.workflows.data import check_data, compact_data, list_data, list_formats, show_data, verify_data
    from fieldcast.workflows.demonstration import Demo, demo
    from fieldcast.workflows.diagnosis import Diagnosis, doctor
    from fieldcast.workflows.experiment import Experiment, load_experiment
    from fieldcast.workflows.fields import FieldsRead, field_map, read_fields, usable_fields
    from fieldcast.workflows.holdouts import holdout
    from fieldcast.workflows.imports import import_bundled, import_data
    from fieldcast.workflows.look import project, verify_audit
    from fieldcast.workflows.reference import import_members, import_tickers
    from fieldcast.workflows.repairs import repair_data
    from fieldcast.workflows.reports import ReportInput, write_html
    from fieldcast.workflows.results import InstrumentValidation, Validation
    from fieldcast.workflows.simulations import simulate_data
    from fieldcast.workflows.studies import gate_study
    from fieldcast.workflows.text_scores import TextsScored, score_texts
    from fieldcast.workflows.training import HeadlineTrained, train_headline
    from fieldcast.workflows.universes import check_universe
    from fieldcast.workflows.upgrades import RegimeTrained, fit_regime
    from fieldcast.workflows.validation import validate
    from fieldcast.workflows.workspace import Workspace, open_workspace

_HOMES = {
    "Ablation": "ablations",
    "Demo": "demonstration",
    "Diagnosis": "diagnosis",
    "Experiment": "experiment",
    "FieldsRead": "fields",
    "HeadlineTrained": "training",
    "InstrumentValidation": "results",
    "RegimeTrained": "upgrades",
    "ReportInput": "reports",
    "TextsScored": "text_scores",
    "Validation": "results",
    "Workspace": "workspace",
    "ablate_regime": "ablations",
    "check_data": "data",
    "check_universe": "universes",
    "compact_data": "data",
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
    "list_data": "data",
    "list_formats": "data",
    "load_experiment": "experiment",
    "open_workspace": "workspace",
    "project": "look",
    "read_fields": "fields",
    "repair_data": "repairs",
    "run_cycle": "cycles",
    "score_texts": "text_scores",
    "show_data": "data",
    "simulate_data": "simulations",
    "train_headline": "training",
    "usable_fields": "fields",
    "validate": "validation",
    "verify_audit": "look",
    "verify_data": "data",
    "write_html": "reports",
}

__all__ = [
    "Ablation",
    "Demo",
    "Diagnosis",
    "Experiment",
    "FieldsRead",
    "HeadlineTrained",
    "InstrumentValidation",
    "RegimeTrained",
    "ReportInput",
    "TextsScored",
    "Validation",
    "Workspace",
    "ablate_regime",
    "check_data",
    "check_universe",
    "compact_data",
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
    "list_data",
    "list_formats",
    "load_experiment",
    "open_workspace",
    "project",
    "read_fields",
    "repair_data",
    "run_cycle",
    "score_texts",
    "show_data",
    "simulate_data",
    "train_headline",
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
