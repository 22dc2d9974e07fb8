"""One function a verb, a config in and a typed result out: the public Python API, which `import fieldcast as fc` shows.

Everything is imported on first use, so that asking for one verb does not load the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldcast.workflows.cycles import run_cycle
    from fieldcast.workflows.data import check_data, import_bundled, import_data, list_data, verify_data
    from fieldcast.workflows.demonstration import Demo, demo
    from fieldcast.workflows.diagnosis import Diagnosis, doctor
    from fieldcast.workflows.experiment import Experiment, load_experiment
    from fieldcast.workflows.holdouts import holdout
    from fieldcast.workflows.look import field_map, project, verify_audit
    from fieldcast.workflows.reports import ReportInput, write_html
    from fieldcast.workflows.results import InstrumentValidation, Validation
    from fieldcast.workflows.studies import gate_study
    from fieldcast.workflows.validation import validate
    from fieldcast.workflows.workspace import Workspace, open_workspace

_HOMES = {
    "Demo": "demonstration",
    "Diagnosis": "diagnosis",
    "Experiment": "experiment",
    "InstrumentValidation": "results",
    "ReportInput": "reports",
    "Validation": "results",
    "Workspace": "workspace",
    "check_data": "data",
    "demo": "demonstration",
    "doctor": "diagnosis",
    "field_map": "look",
    "gate_study": "studies",
    "holdout": "holdouts",
    "import_bundled": "data",
    "import_data": "data",
    "list_data": "data",
    "load_experiment": "experiment",
    "open_workspace": "workspace",
    "project": "look",
    "run_cycle": "cycles",
    "validate": "validation",
    "verify_audit": "look",
    "verify_data": "data",
    "write_html": "reports",
}

__all__ = [
    "Demo",
    "Diagnosis",
    "Experiment",
    "InstrumentValidation",
    "ReportInput",
    "Validation",
    "Workspace",
    "check_data",
    "demo",
    "doctor",
    "field_map",
    "gate_study",
    "holdout",
    "import_bundled",
    "import_data",
    "list_data",
    "load_experiment",
    "open_workspace",
    "project",
    "run_cycle",
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
