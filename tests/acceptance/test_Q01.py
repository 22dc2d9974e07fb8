"""Q01, small pure-wheel core, optional extras, plain pip, environment verifier; Make targets, pre-commit, CI, secret
scan.

Done when: "A clean container installs the core with no compiler, CI is green on two Python versions, and a planted
key fails the scan"
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

pytestmark = pytest.mark.feature("Q01")
OPEN_PARTS: tuple[str, ...] = ()

ROOT = Path(__file__).resolve().parents[2]
FIELDCAST = Path(sysconfig.get_path("scripts")) / "fieldcast"


def _project() -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def test_the_core_names_no_torch_and_no_vendor_and_every_extra_is_there() -> None:
    core = " ".join(map(str, _project()["dependencies"])).lower()  # type: ignore[call-overload]
    for name in (
        "torch",
        "alpaca",
        "ccxt",
        "coinbase",
        "ib_async",
        "ray",
        "mlflow",
        "backtesting",
        "fastapi",
        "nicegui",
    ):
        assert not re.search(rf"\b{name}\b", core), name
    assert {"neural", "brokers", "web", "ray", "tracking", "peers", "dev"} <= set(_project()["optional-dependencies"])  # type: ignore[call-overload]


def test_importing_the_package_and_asking_for_help_loads_nothing_heavy() -> None:
    heavy = {"numba", "scipy", "sklearn", "lightgbm", "arch", "plotly", "pandas", "torch"}
    program = f"import sys, fieldcast, fieldcast.cli; print(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_installed_requirement_of_the_core_came_as_a_wheel_with_its_licence_known() -> None:
    """The extras apart, what pip resolved for the core is exactly what pyproject.toml names, and all of it imports."""
    core = [line for line in requires("fieldcast") or [] if "extra ==" not in line]
    assert len(core) == len(_project()["dependencies"])  # type: ignore[arg-type]
    modules = {"scikit-learn": "sklearn", "pydantic-settings": "pydantic_settings"}
    for line in core:
        name = re.split(r"[<>=!~ ;\[]", line)[0]
        assert importlib.util.find_spec(modules.get(name, name).replace("-", "_").lower()), name


def test_doctor_verifies_the_environment() -> None:
    done = subprocess.run([FIELDCAST, "doctor", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "libgomp" in done.stdout
    assert isinstance(json.loads(done.stdout), dict)


def test_make_offers_its_targets_and_each_can_be_planned(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    for target in ("demo", "test", "check", "bench", "evidence", "status", "docs", "clean"):
        done = subprocess.run([make, "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{target}: {done.stderr}"
        assert done.stdout.strip(), target


def test_the_commit_hooks_are_local_and_hold_the_four_checks() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (\S+)", text) == ["local"]
    assert {"ruff", "mypy", "bandit", "secrets"} <= set(re.findall(r"- id: (\w+)", text))
    assert "http" not in text


# Each is put together here, so that this file holds no key itself.
KEYS = {
    "AWS access key": "aws = '" + "AKIA" + "Q3EGRXV5TJZ2MNBP" + "'\n",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n",
    "password in code": "pass" + "word = 'tr4der-9f3kQ2xZ'\n",
    "GitHub token": "token = 'ghp" + "_R2mVx81kLqPz07NdTyWc5JsGbHf3UaEo94Xi'\n",
    "Telegram bot token": "bot = '" + "110201543" + ":AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw3'\n",
    "URL with a password": "ledger = 'postgresql://trader:" + "f4Kx9Qz2w@db.example.com/ledger'\n",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the baseline and the scanner of this one."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / ".secrets.baseline", folder)
    (folder / "clean.py").write_text("price = 101.25\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    return folder


def _scan(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "secret_scan.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KEYS)
def test_a_planted_key_fails_the_scan_and_is_not_shown(checkout: Path, kind: str) -> None:
    assert _scan(checkout).returncode == 0
    planted = checkout / "planted.py"
    planted.write_text(KEYS[kind], encoding="utf-8")
    try:
        done = _scan(checkout)
    finally:
        planted.unlink()
    assert done.returncode == 1
    assert "planted.py:1:" in done.stderr
    secret = KEYS[kind].split("'")[1] if "'" in KEYS[kind] else "MIIEpAIBAAKCAQEA"
    assert secret not in done.stdout + done.stderr


@pytest.mark.slow
def test_this_checkout_holds_no_secret() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: there is no list of files that are to be committed")
    done = _scan(ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_another_python_without_a_compiler_installs_the_core_and_runs_the_demo_and_the_tests() -> None:
    """The record that .ci/chroot leaves (`.ci/run` runs it first): made on this very code, on another Python."""
    path = ROOT / ".status" / "chroot.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    spec = importlib.util.spec_from_file_location("fieldcast_status_for_chroot", ROOT / "tools" / "status.py")
    assert spec is not None
    assert spec.loader is not None
    status = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = status
    spec.loader.exec_module(status)
    if record.get("code") != status.code_hash(ROOT):
        pytest.skip("no chroot job has run on this code (as root: .ci/chroot)")
    here = ".".join(map(str, sys.version_info[:2]))
    assert not record["python"].startswith(f"{here}."), "expected another Python than this one"
    assert record["compiler"] is False
    assert record["packages"] > len(_project()["dependencies"])  # type: ignore[arg-type]
    assert record["demo_seconds"] > 0
    assert record["tests_seconds"] is not None, "the fast tests were left out (CHROOT_TESTS=no)"


def _versions(lines: str) -> dict[str, str]:
    """Name → version out of `name==version` lines."""
    pairs = (line.split("==") for line in lines.lower().splitlines() if "==" in line and not line.startswith("#"))
    return {name.replace("_", "-"): version for name, version in pairs}


@pytest.mark.slow
def test_uv_installs_the_same_core_and_what_it_installed_verifies_itself(tmp_path: Path) -> None:
    """The same pinned versions as pip, in an environment that pip never touched."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    assert uv.exists(), "uv comes with the extra `dev`: make install-dev"
    home = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
    made = tmp_path / "environment"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, made], check=True, env=home)
    python = made / "bin" / "python"
    command = [uv, "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt", ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=home)
    if done.returncode and "error sending request" in done.stderr.lower():
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([uv, "pip", "freeze", "--python", python], capture_output=True, text=True, check=True, env=home)
    installed = _versions(listed.stdout)
    pinned = _versions((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert len(installed) > len(_project()["dependencies"])  # type: ignore[arg-type]
    assert {name: version for name, version in installed.items() if pinned[name] != version} == {}
    verified = subprocess.run([made / "bin" / "fieldcast", "doctor", "--json"], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert isinstance(json.loads(verified.stdout), dict)
