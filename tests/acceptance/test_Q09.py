"""Q09: Public Python API (`import fieldcast as fc`: data, fields, project, validate, backtest, run_cycle) with typed results that
show themselves in a notebook.

Done when: "The README's ten-line example runs in CI, and every command-line verb calls one public function"
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import fieldcast as fc
from fieldcast import workflows
from fieldcast.cli import (
    _app,
    _backtest,
    _costs,
    _data,
    _idea,
    _leaks,
    _models,
    _promotion,
    _research,
    _score,
    _seal,
    _train,
    _tune,
    _watch,
)

pytestmark = pytest.mark.feature("Q09")
OPEN_PARTS: tuple[str, ...] = ()

README = Path(__file__).resolve().parents[2] / "README.md"
MARKED = re.compile(r"^<!-- runs in CI -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What opens, loads or holds things for a verb, and is no verb itself.
HELPERS = {"open_workspace", "load_experiment", "backtest_plan", "parameter_grid"}
VERBS = {
    "version": None,                       # prints fieldcast.__version__, which is public
    "demo": "demo",
    "doctor": "doctor",
    "fields": "read_fields",
    "validate": "validate",
    "project": "project",
    "promote_check": "check_promotion",
    "tiers": "read_tiers",
    "agents": "read_agents",
    "data_import": "import_data",
    "data_formats": "list_formats",
    "data_ls": "list_data",
    "data_show": "show_data",
    "data_check": "check_data",
    "data_verify": "verify_data",
    "data_compact": "compact_data",
    "data_repair": "repair_data",
    "data_universe": "check_universe",
    "data_simulate": "simulate_data",
    "data_tickers": "import_tickers",
    "data_members": "import_members",
    "data_score": "score_texts",
    "train_headline": "train_headline",
    "train_odds": "train_odds",
    "tune": "tune",
    "train_regime": "fit_regime",
    "cycle_run": "run_cycle",
    "audit_verify": "verify_audit",
    "leaks": "leaks",
    "ablate": "ablate",
    "research": "research",
    "backtest": "backtest",
    "sweep": "sweep",
    "wfo": "optimise_walk_forward",
    "compare": "compare",
    "idea": "make_idea",
    "costs_recalibrate": "recalibrate_costs",
    "costs_show": "show_costs",
    "costs_restore": "restore_execution_costs",
    "seal_add": "seal_span",
    "seal_register": "register_experiment",
    "seal_open": "open_span",
    "seal_look": "declare_looked_at",
    "seal_ls": "list_seals",
    "models_ls": "list_models",
    "models_show": "show_model",
    "models_register": "register_model",
    "models_promote": "promote_model",
    "models_rollback": "rollback_model",
    "models_predict": "predict_models",
    "models_drift": "model_drift",
    "models_triggers": "model_triggers",
    "watch_run": "run_watch",
    "watch_show": "show_watch",
    "models_report": "report_runs",
}


# the example --------------------------------------------------------------------------------------------------------


def _example() -> str:
    found = MARKED.findall(README.read_text(encoding="utf-8"))
    assert len(found) == 1, "expected one marked example in README.md"
    return str(found[0])


def test_the_example_of_the_readme_has_ten_lines_and_names_only_the_public_api() -> None:
    source = _example()
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    tree = ast.parse(source)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "fieldcast" in imported
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    used = {node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fc"}  # fmt: skip
    assert used
    assert used <= set(workflows.__all__)


@pytest.mark.slow
def test_the_example_of_the_readme_runs_offline(tmp_path: Path) -> None:
    cut = "import socket\nsocket.socket.connect = socket.create_connection = socket.getaddrinfo = None\n"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FIELDCAST_")}
    done = subprocess.run([sys.executable, "-c", cut + _example()], cwd=tmp_path, env=environment | {"FIELDCAST_WORKERS": "1"},
                          capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert list(tmp_path.iterdir()) == []


# one verb, one function ---------------------------------------------------------------------------------------------


def _commands() -> Iterator[ast.FunctionDef]:
    """Functions of the command line with an `@…command(…)` above them."""
    modules = (
        _app, _backtest, _costs, _data, _idea, _leaks, _models, _promotion, _research, _score, _seal, _train, _tune, _watch
    )  # fmt: skip
    for node in (node for module in modules for node in ast.parse(inspect.getsource(module)).body):
        if isinstance(node, ast.FunctionDef) and any(
            isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == "command"
            for mark in node.decorator_list
        ):
            yield node


def _calls_of_workflows(function: ast.FunctionDef) -> list[str]:
    return [node.func.attr for node in ast.walk(function) if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "workflows"]  # fmt: skip


def test_every_verb_calls_exactly_one_public_function() -> None:
    found = {}
    for command in _commands():
        called = [name for name in _calls_of_workflows(command) if name not in HELPERS]
        assert len(called) <= 1, (command.name, called)
        found[command.name] = called[0] if called else None
        others = {node.module for node in ast.walk(command) if isinstance(node, ast.ImportFrom)} - {"fieldcast"}
        assert others <= {"fieldcast.cli", "fieldcast.ground"}, (command.name, others)      # no way around the API
    assert found == VERBS
    assert {name for name in found.values() if name} <= set(workflows.__all__)


def test_no_other_verb_is_registered_elsewhere() -> None:
    from typer.main import get_command

    def leaves(command: typing.Any) -> int:
        children = getattr(command, "commands", None)
        return 1 if children is None else sum(leaves(child) for child in children.values())

    assert leaves(get_command(_app.app)) == len(VERBS)


# the API ------------------------------------------------------------------------------------------------------------


def test_the_public_names_come_from_one_import_and_nothing_else_does() -> None:
    for name in workflows.__all__:
        assert getattr(fc, name) is getattr(workflows, name)
    for name in ("pl", "numpy", "StoredSource", "cycle_once"):
        with pytest.raises(AttributeError):
            getattr(fc, name)
    assert sorted(workflows.__all__) == sorted(workflows._HOMES)
    assert {"import_data", "field_map", "project", "validate", "run_cycle"} <= set(workflows.__all__)


@pytest.mark.parametrize("name", sorted(name for name in VERBS.values() if name))
def test_a_public_function_is_typed_and_documented(name: str) -> None:
    function = getattr(fc, name)
    assert inspect.getdoc(function)
    hints = typing.get_type_hints(function)
    assert set(inspect.signature(function).parameters) | {"return"} == set(hints)
    result = hints["return"]
    assert dataclasses.is_dataclass(result) or issubclass(result, BaseModel)


def test_import_fieldcast_loads_no_workflow() -> None:
    code = "import sys, fieldcast; print([n for n in sys.modules if n.startswith(('fieldcast.w', 'polars', 'numpy'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# in a notebook ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["demo", "doctor", "validate", "import_data", "list_data", "check_data", "verify_data",
                                  "gate_study", "holdout", "field_map", "project", "run_cycle", "verify_audit"])  # fmt: skip
def test_the_workflows_own_results_have_a_notebook_form(name: str) -> None:
    result = typing.get_type_hints(getattr(fc, name))["return"]
    assert callable(getattr(result, "_repr_html_", None)), result


def test_a_result_shows_what_it_holds_and_escapes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with fc.open_workspace(tmp_path / "home") as workspace:
        fc.import_bundled(workspace, "vix")
        listed, checked = fc.list_data(workspace)._repr_html_(), fc.check_data(workspace, "XCBO:VIX")._repr_html_()
        verified = fc.verify_data(workspace)._repr_html_()
        diagnosis = fc.doctor(workspace.settings)._repr_html_()
    for text, held in ((listed, "XCBO:VIX"), (checked, "completeness"), (verified, "files"), (diagnosis, "libgomp")):
        assert text.count("<table") == text.count("</table>") >= 1
        assert held in text
    from fieldcast.ground.shown import Shown

    class Odd(Shown):
        def as_dict(self) -> dict[str, object]:
            return {"a<b": "<script>", "rows": [{"x": 1.5, "y": None}, {"y": "&"}], "few": [1, 2], "deep": {"n": 3}}

    assert Odd()._repr_html_() == (
        "<table><tr><th>a&lt;b</th><td>&lt;script&gt;</td></tr><tr><th>rows</th><td><table><tr><th>x</th><th>y</th></tr>"
        "<tr><td>1.5</td><td></td></tr><tr><td></td><td>&amp;</td></tr></table></td></tr><tr><th>few</th><td>1, 2</td></tr>"
        "<tr><th>deep</th><td><table><tr><th>n</th><td>3</td></tr></table></td></tr></table>"
    )
