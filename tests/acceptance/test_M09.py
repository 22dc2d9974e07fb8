"""M09: Tracking: append-only local run log, optional W&B and MLflow, generated report.

Done when: "The local log alone rebuilds the report, and a tracker outage does not end a run"

MLflow's server is a loopback HTTP server that speaks the documented REST calls (evidence class B); W&B's package a stand-in with
the documented `init`, `log` and `finish`.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fieldcast import workflows
from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import IntegrityError, InvalidInput, load_settings
from fieldcast.models.tracking import MlflowTracker, RunLog, RunRecord, WandbTracker
from fieldcast.workflows import load_experiment, open_workspace

from .conftest import SMALL_EXPERIMENT

pytestmark = pytest.mark.feature("M09")
OPEN_PARTS: tuple[str, ...] = ()

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def record(name: str = "one", **changed: Any) -> RunRecord:
    values: dict[str, Any] = {
        "kind": "training", "name": name, "configuration_hash": "c" * 64, "data_hash": "d" * 64,
        "metrics": {"log_loss": 0.69, "auc": None}, "artefacts": {"model": "m" * 64}, "started_at": NOW, "seconds": 1.5,
        "parameters": {"l2": 10.0},
    }  # fmt: skip
    return RunRecord(**(values | changed))


class Mlflow(BaseHTTPRequestHandler):
    """The five documented calls; `server.seen` is what was asked."""

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.path, None))
        if "get-by-name" in self.path and server.experiments:
            self._answer(200, {"experiment": {"experiment_id": "7", "name": "fieldcast"}})
        else:
            self._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})

    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.seen.append((self.path, body))
        server.authorization = self.headers["Authorization"]
        if server.fault == "error":
            self._answer(500, {"error_code": "INTERNAL_ERROR"})
        elif server.fault == "slow":
            time.sleep(3)
        elif self.path.endswith("experiments/create"):
            server.experiments.append(body["name"])
            self._answer(200, {"experiment_id": "7"})
        elif self.path.endswith("runs/create"):
            self._answer(200, {"run": {"info": {"run_id": f"r{len(server.seen)}"}}})
        else:
            self._answer(200, {})

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def mlflow() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Mlflow)
    server.seen, server.experiments, server.fault = [], [], ""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def url_of(server: Any) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_the_local_log_alone_rebuilds_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A validation and two trainings; then everything but the log is taken away, and the report is the same."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    toml = tmp_path / "e.toml"
    toml.write_text(SMALL_EXPERIMENT)
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1)) as workspace:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=500, last=date(2018, 12, 31)))
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(made.bars, made.lineage)
        experiment = load_experiment(toml)
        validated = workflows.validate(workspace, ["SIM:PLANTED"], experiment)["SIM:PLANTED"]
        registered = workflows.register_model(workspace, "SIM:PLANTED", experiment).version
        before = workflows.report_runs(workspace).as_dict()
    assert [(run["kind"], run["name"]) for run in before["runs"]] == [
        ("validation", "small SIM:PLANTED"), ("training", "sim-planted 1.0.0")]  # fmt: skip
    first, second = before["runs"]
    assert first["configuration_hash"] == second["configuration_hash"] == experiment.hash
    assert first["data_hash"] == second["data_hash"] == validated.data_hash
    assert first["simulated"] is True
    assert first["artefacts"] == {"packet": validated.packet.digest}
    scores = {row["metric"]: row["estimate"] for row in validated.scores.to_dicts() if row["model"] == "logistic"}
    assert first["metrics"]["auc"] == pytest.approx(scores["auc"], rel=1e-11)  # twelve digits are kept
    assert second["artefacts"]["sha256"] == registered.sha256
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "home" / "runs.jsonl", tmp_path / "other" / "runs.jsonl")
    with open_workspace(settings=load_settings(home=tmp_path / "other", workers=1)) as elsewhere:
        assert workflows.report_runs(elsewhere).as_dict() == before


@pytest.mark.parametrize("fault", ["refused", "error", "slow", "raises", "not installed"])
def test_a_tracker_outage_does_not_end_a_run_and_is_one_warning(tmp_path: Path, mlflow: Any, fault: str) -> None:
    class Broken:
        name = "broken"
        asked = 0

        def log(self, one: RunRecord) -> None:
            Broken.asked += 1
            raise SystemExit(f"no {one.name} here")

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    mlflow.fault = fault
    tracker: Any = {"refused": MlflowTracker(nobody, timeout=1.0), "raises": Broken(), "not installed": WandbTracker()}.get(
        fault, MlflowTracker(url_of(mlflow)))  # fmt: skip
    if fault == "not installed":
        sys.modules["wandb"] = None  # type: ignore[assignment]
    log = RunLog(tmp_path / "runs.jsonl", [tracker], timeout=0.5)
    try:
        for name in ("one", "two", "three"):
            log.record(record(name))
    finally:
        if fault == "not installed":
            del sys.modules["wandb"]
    report = RunLog(tmp_path / "runs.jsonl").report()
    assert [run["name"] for run in report.runs] == ["one", "two", "three"]
    assert len(report.warnings) == 1  # asked once, and not waited for again
    told = {
        "refused": "refused",
        "error": "500",
        "slow": "no answer within 0.5 s",
        "raises": "SystemExit",
        "not installed": "wandb",
    }
    assert told[fault] in report.warnings[0]["problem"]
    assert Broken.asked == (fault == "raises")


def test_a_healthy_tracker_stays_when_another_is_out(tmp_path: Path, mlflow: Any) -> None:
    log = RunLog(tmp_path / "runs.jsonl", [WandbTracker(project=""), MlflowTracker(url_of(mlflow))])
    log.record(record())
    assert [warning["tracker"] for warning in log.report().warnings] == ["wandb"]
    assert any(path.endswith("runs/update") for path, _ in mlflow.seen)


@pytest.mark.parametrize("where", ["127.0.0.1:1", "127.0.0.1:port", "no such host"])
def test_a_password_is_sent_and_never_shown(tmp_path: Path, mlflow: Any, where: str) -> None:
    good = MlflowTracker(url_of(mlflow).replace("//", "//me:s3cr%40t@"))
    RunLog(tmp_path / "good.jsonl", [good]).record(record())
    assert mlflow.authorization == "Basic bWU6czNjckB0"  # me:s3cr@t
    path = tmp_path / "runs.jsonl"
    RunLog(path, [MlflowTracker(f"http://me:s3cr%40t@{where}", timeout=1.0)]).record(record())  # pragma: allowlist secret
    assert len(RunLog(path).report().warnings) == 1
    with pytest.raises(InvalidInput) as told:
        MlflowTracker(f"me:s3cr%40t@{where}")
    assert "s3cr" not in path.read_text() + (tmp_path / "good.jsonl").read_text() + repr(good) + str(told.value)


def test_mlflow_is_told_what_the_log_holds(tmp_path: Path, mlflow: Any) -> None:
    log = RunLog(tmp_path / "runs.jsonl", [MlflowTracker(url_of(mlflow))])
    log.record(record())
    log.record(record("two", metrics={f"m{k}": float(k) for k in range(1500)}))
    assert log.report().warnings == ()
    calls = [path.split("/mlflow/")[1].split("?")[0] for path, _ in mlflow.seen]
    first = ["experiments/get-by-name", "experiments/create", "runs/create", "runs/log-batch", "runs/update"]
    assert calls == [*first, "experiments/get-by-name", "runs/create", "runs/log-batch", "runs/log-batch", "runs/update"]
    created, batch, update = (body for _, body in mlflow.seen[2:5])
    start = int(NOW.timestamp() * 1000)
    assert created["experiment_id"] == "7"
    assert created["start_time"] == start
    assert {"key": "model", "value": "m" * 64} in created["tags"]
    assert batch["metrics"] == [{"key": "log_loss", "value": 0.69, "timestamp": start, "step": 0}]
    assert {"key": "l2", "value": "10.0"} in batch["params"]
    assert update == {"run_id": batch["run_id"], "status": "FINISHED", "end_time": start + 1500}


def test_wandb_is_told_what_the_log_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Run:
        def log(self, figures: dict[str, float]) -> None:
            told.append(("log", figures))

        def finish(self) -> None:
            told.append(("finish",))

    def init(**named: Any) -> Run:
        told.append(("init", named["project"], named["name"], named["job_type"], named["config"]["l2"]))
        return Run()

    stand_in = types.ModuleType("wandb")
    stand_in.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    log = RunLog(tmp_path / "runs.jsonl", [WandbTracker("mine")])
    log.record(record())
    assert told == [("init", "mine", "one", "training", 10.0), ("log", {"log_loss": 0.69}), ("finish",)]
    assert log.report().warnings == ()


# the log itself -----------------------------------------------------------------------------------------------------------


def test_a_changed_line_is_noticed_and_a_line_cut_off_by_a_crash_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    log = RunLog(path)
    for name in ("one", "two", "three"):
        log.record(record(name))
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for damaged in (whole.replace(b'"two"', b'"TWO"'), lines[0] + lines[2], lines[1] + lines[2], lines[0] + lines[2] + lines[1]):
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="line"):
            log.report()
        with pytest.raises(IntegrityError):
            log.record(record("four"))
        assert path.read_bytes() == damaged
    for cut in sorted({1, 40, len(lines[2]) - 1, *range(2, len(lines[2]), 7)}):
        path.write_bytes(lines[0] + lines[1] + lines[2][:cut])
        found = log.report()
        whole_line = cut == len(lines[2]) - 1  # only the newline is missing
        assert ([run["name"] for run in found.runs], found.torn) == (["one", "two"] + ["three"] * whole_line, int(not whole_line))
        if cut in (1, 40, len(lines[2]) - 1):
            log.record(record("four"))
            assert [run["name"] for run in log.report().runs][-1] == "four"


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from fieldcast.models.tracking import RunLog, RunRecord\n"
        "for k in range(20):\n"
        "    one = RunRecord('tuning', f'{sys.argv[2]}-{k}', 'c', 'd', {}, {}, datetime.now(tz=UTC), 0.1)\n"
        "    RunLog(Path(sys.argv[1])).record(one)\n"
    )
    path = tmp_path / "runs.jsonl"
    children = [subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    found = RunLog(path).report()
    assert len({run["name"] for run in found.runs}) == len(found.runs) == 40


def test_an_empty_log_is_an_empty_report_and_figures_have_to_be_finite(tmp_path: Path) -> None:
    assert RunLog(tmp_path / "none.jsonl").report().as_dict() == {"runs": [], "warnings": [], "torn_lines": 0}
    with pytest.raises(InvalidInput, match="finite"):
        record(metrics={"auc": float("nan")})
    with pytest.raises(InvalidInput, match="MLflow"):
        MlflowTracker("file:///x")
