"""The small scripts of the repository: what an install needs, constraints, the measure, the filing of evidence."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fieldcast_tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_missing_libgomp_is_told_with_the_one_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    preflight = _tool("preflight")
    assert preflight.problems() == []

    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda tool: "/usr/bin/apt-get" if tool == "apt-get" else None)
    (problem,) = preflight.problems()
    assert problem.endswith("run: sudo apt-get install -y libgomp1")


def test_an_old_python_is_told_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    preflight = _tool("preflight")
    monkeypatch.setattr(preflight, "OLDEST", (4, 0))
    (problem,) = preflight.problems()
    assert problem.startswith(f"expected Python 4.0 or newer, found {sys.version.split()[0]}")


def test_a_constraint_stands_for_every_dependency_of_core_and_dev() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    for requirement in wanted:
        name = "".join(c if c.isalnum() or c in "-_." else " " for c in requirement).split()[0]
        if name != "fieldcast":
            assert name.lower().replace("_", "-") in pinned, f"{name} is not in constraints.txt"
    assert not any("fieldcast" in line or " @ " in line for line in pinned)


def test_a_command_within_its_limits_passes_and_one_beyond_them_does_not() -> None:
    def measured(*limits: str, program: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "tools" / "measure.py"), *limits, "--", sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=False,
        )

    hungry = "import time; held = b'x' * 300_000_000; time.sleep(0.6)"
    fine = measured("--seconds", "30", "--gigabytes", "1", program=hungry)
    assert fine.returncode == 0, fine.stderr
    assert float(fine.stderr.split(", ")[1].split(" GB")[0]) >= 0.3
    assert measured("--gigabytes", "0.2", program=hungry).returncode == 1
    assert measured("--seconds", "0.5", program=hungry).returncode == 1
    assert measured("--seconds", "30", program="raise SystemExit(3)").returncode == 3


def test_a_study_is_filed_with_its_code_and_goes_stale_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = _tool("evidence")
    for name, value in {"ROOT": tmp_path, "SCRIPTS": tmp_path / "benchmarks", "FILED": tmp_path / "evidence"}.items():
        monkeypatch.setattr(tool, name, value)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text("one = 1\n")
    script = tmp_path / "benchmarks" / "evidence_rate.py"
    script.write_text(
        'import json\nCOVERS = ("src",)\nprint("working")\n'
        'print(json.dumps({"claim": "rate below 8 %", "estimate": 0.03, "low": 0.01, "high": 0.06,'
        ' "n": 300, "seed": 1}))\n'
    )
    assert tool.main(["evidence"]) == 0
    (filed,) = (json.loads(path.read_text()) for path in (tmp_path / "evidence").glob("evidence_rate-*.json"))
    assert filed["command"] == "python benchmarks/evidence_rate.py"
    assert {"commit", "recorded_at", "seconds", "machine", "covered_sha256"} <= set(filed)
    capsys.readouterr()
    tool.main(["evidence", "--list"])
    assert capsys.readouterr().out.startswith("fresh rate below 8 %: 0.03 [0.01, 0.06], n=300")
    (tmp_path / "src" / "code.py").write_text("one = 2\n")
    tool.main(["evidence", "--list"])
    assert capsys.readouterr().out.startswith("stale rate below 8 %")
    script.write_text('COVERS = ("src",)\nprint("no figures")\n')
    assert tool.main(["evidence"]) == 1
    assert tool.main(["bench"]) == 2, "nothing to run is not a success"
