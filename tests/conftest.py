"""What every test shares: the feature marker and its record, real data, a PostgreSQL database, Hypothesis profiles.

Every run records the outcome of each test, with the rows of the feature table that it proves, in
`.status/last_run.json`; `make status` reads it (tools/status.py). Under xdist only the controller writes.
"""

from __future__ import annotations

import fcntl
import fnmatch
import importlib.util
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
FEATURES = "fieldcast_features"
OPEN = "fieldcast_open_parts"

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def _load_status() -> ModuleType:
    """tools/status.py as a module: the one place that hashes code and names the results file."""
    spec = importlib.util.spec_from_file_location("fieldcast_status", ROOT / "tools" / "status.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


status = _load_status()


# fixtures -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real market data; the test skips where FIELDCAST_REALDATA names none."""
    value = os.environ.get("FIELDCAST_REALDATA")
    if not value:
        pytest.skip("FIELDCAST_REALDATA is not set: no real data on this machine")
    folder = Path(value).resolve()
    assert folder.is_dir(), f"expected FIELDCAST_REALDATA to name a folder, found {folder}"
    return folder


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL database of its own, dropped afterwards.

    The server is FIELDCAST_TEST_POSTGRES, else one on 127.0.0.1:5432 that lets the user `postgres` in; where there is
    none the test skips.
    """
    import sqlalchemy

    given = os.environ.get("FIELDCAST_TEST_POSTGRES")
    server = sqlalchemy.make_url(given or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    try:
        connection = engine.connect()
    except sqlalchemy.exc.OperationalError as error:
        engine.dispose()
        if given:
            raise
        pytest.skip(f"no PostgreSQL server on 127.0.0.1:5432 ({str(error.orig).splitlines()[0]})")
    name = f"fieldcast_test_{uuid.uuid4().hex}"
    try:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        connection.execute(sqlalchemy.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.close()
        engine.dispose()


# collection ---------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--forbid-skips",
        metavar="FILE",
        help="fail the run on a skip or expected failure that FILE does not allow (lines: test glob | reason glob)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs real data or a server; note which rows each test proves, for the record."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "realdata" in names:
            item.add_marker("realdata")
        if "postgres_url" in names:
            item.add_marker("server")
        features = []
        for mark in item.iter_markers("feature"):
            assert len(mark.args) == 1, f"expected feature(id, part=None) on {item.nodeid}, found {mark}"
            assert set(mark.kwargs) <= {"part"}, f"expected feature(id, part=None) on {item.nodeid}, found {mark}"
            features.append([str(mark.args[0]), mark.kwargs.get("part")])
        open_parts = getattr(getattr(item, "module", None), "OPEN_PARTS", ())
        item.user_properties.append((FEATURES, sorted(features, key=str)))
        item.user_properties.append((OPEN, [str(part) for part in open_parts]))


# the record ---------------------------------------------------------------------------------------------------------


class Recorder:
    """Collects the outcome of each test and merges it into the results file when the run ends."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.is_worker = hasattr(config, "workerinput")
        self.tests: dict[str, dict[str, Any]] = {}
        self.deselected: dict[str, dict[str, Any]] = {}
        self.not_run: list[tuple[str, str]] = []  # skips and expected failures, with their reasons
        self.code = "" if self.is_worker else status.code_hash(ROOT)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.deselected[item.nodeid] = _entry("not run", dict(item.user_properties), "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.is_worker:
            return
        outcome, reason = _outcome(report)
        before = self.tests.get(report.nodeid)
        if before is None or _RANK[outcome] > _RANK[before["outcome"]]:
            self.tests[report.nodeid] = _entry(outcome, dict(report.user_properties), reason)
        if outcome in {"skipped", "xfailed"}:
            self.not_run.append((report.nodeid, reason))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.is_worker:
            path = report.nodeid.split("::")[0]
            id = Path(path).stem.removeprefix("test_")
            self.tests[report.nodeid] = _entry("error", {FEATURES: [[id, None]]}, "collection failed")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.deselected.update(getattr(node, "workeroutput", {}).get("fieldcast_deselected", {}))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.is_worker:
            self.config.workeroutput["fieldcast_deselected"] = self.deselected  # type: ignore[attr-defined]
            return
        forbidden = self._forbidden_skips()
        if forbidden and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if not self.config.option.collectonly and (self.tests or self.deselected):
            self._write()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        forbidden = self._forbidden_skips()
        if forbidden:
            terminalreporter.section("skips that nothing allows", red=True)
            for node, reason in forbidden:
                terminalreporter.write_line(f"{node}: {reason}", red=True)

    def _forbidden_skips(self) -> list[tuple[str, str]]:
        path = self.config.option.forbid_skips
        if not path or self.is_worker:
            return []
        allowed = []
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                test, separator, reason = (part.strip() for part in line.partition("|"))
                assert separator, f"expected 'test glob | reason glob' in {path}, found {line!r}"
                allowed.append((test, reason))
        if not os.environ.get("FIELDCAST_REALDATA"):
            allowed.append(("*", "*FIELDCAST_REALDATA is not set*"))
        return [
            (node, reason)
            for node, reason in self.not_run
            if not any(fnmatch.fnmatch(node, test) and fnmatch.fnmatch(reason, why) for test, why in allowed)
        ]

    def _write(self) -> None:
        """Merge this run into the results: a newer outcome replaces an older one of the same test."""
        target = ROOT / status.RESULTS
        target.parent.mkdir(exist_ok=True)
        with (target.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            recorded: dict[str, Any] = {}
            if target.is_file():
                recorded = json.loads(target.read_text(encoding="utf-8"))["tests"]
            stamp = {"date": datetime.now(tz=UTC).isoformat(timespec="seconds"), "commit": _commit(), "code": self.code}
            hashes = {node: status.file_hash(ROOT / node.split("::")[0]) for node in [*self.tests, *self.deselected]}
            for node, entry in self.deselected.items():
                old = recorded.get(node)
                if old is None or old["code"] != self.code or old["test"] != hashes[node]:
                    recorded[node] = entry | stamp | {"test": hashes[node]}
            for node, entry in self.tests.items():
                recorded[node] = entry | stamp | {"test": hashes[node]}
            recorded = {node: recorded[node] for node in sorted(recorded) if self._still_there(node, recorded[node])}
            scratch = target.with_suffix(".tmp")
            scratch.write_text(json.dumps({"tests": recorded}, indent=1, ensure_ascii=False), encoding="utf-8")
            scratch.replace(target)

    def _still_there(self, node: str, entry: dict[str, Any]) -> bool:
        """Results of a file that is gone, or of an earlier text of a file that ran now, say nothing any more."""
        path = node.split("::")[0]
        ran_now = any(path == other.split("::")[0] for other in self.tests)
        return (ROOT / path).is_file() and not (ran_now and entry["test"] != status.file_hash(ROOT / path))


_RANK = {"not run": 0, "passed": 1, "skipped": 2, "xfailed": 3, "xpassed": 4, "error": 5, "failed": 6}


def _outcome(report: pytest.TestReport) -> tuple[str, str]:
    """Outcome of one phase of one test, and why where it did not simply pass or fail."""
    if hasattr(report, "wasxfail"):
        return ("xfailed" if report.skipped else "xpassed"), str(report.wasxfail)
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return "skipped", reason
    if report.failed:
        return ("failed" if report.when == "call" else "error"), ""
    return "passed", ""


def _entry(outcome: str, properties: dict[str, Any], reason: str) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "reason": reason,
        "features": properties.get(FEATURES, []),
        "open_parts": properties.get(OPEN, []),
    }


def _commit() -> str:
    """The commit that is checked out, with `+` where files differ from it; empty outside a git checkout."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(config), "fieldcast-recorder")
