"""The run log, and the trackers beside it.

One training, tuning or validation run is one line of JSON, appended and fsynced before the run's result is shown. Each line
holds the SHA-256 of the line before it, so that a line that was changed or taken out of the middle is noticed (lines taken off
the end are not: the ledger's audit trail is what guards decisions). A line that a crash cut off is set aside and counted when
the log is read, and ended before the next one is written. The log alone rebuilds the report (`RunLog.report`).

MLflow and Weights & Biases are copies for people who look there. Whatever happens to them (nothing listens, an error, no answer
in time) does not end a run: the outage is one warning in the log, and the tracker is asked no more by this log. MLflow is
spoken to over its REST API 2.0 (mlflow.org/docs/latest/rest-api.html: experiments/get-by-name, experiments/create, runs/create,
runs/log-batch, runs/update), with nothing to install; Weights & Biases through its own package, imported when first used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Protocol

from fieldcast.ground import IntegrityError, InvalidInput, canonical_json, utc

Kind = Literal["training", "tuning", "validation"]
FIRST = "0" * 64
TIMEOUT = 5.0  # seconds a tracker may take for one run
_MOST_METRICS, _MOST_PARAMS = 900, 100  # of one call of MLflow's runs/log-batch, which takes 1,000 entries in all
_USER = re.compile(r"[^/\s]*@")  # what stands before the host: a name and a password


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Parameters
    ----------
    kind : training, tuning or validation
    name : what was run
    configuration_hash, data_hash : what it was run with, and on
    metrics : name → figure; None where it is unknown
    artefacts : name → path or hash
    parameters : name → plain value, for whoever reads it
    seconds : that it took

    Raises
    ------
    InvalidInput : a figure that is not finite
    """

    kind: Kind
    name: str
    configuration_hash: str
    data_hash: str
    metrics: Mapping[str, float | None]
    artefacts: Mapping[str, str]
    started_at: datetime
    seconds: float
    parameters: Mapping[str, Any] = field(default_factory=dict)
    simulated: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "started_at", utc(self.started_at))
        bad = [name for name, value in self.metrics.items() if value is not None and not isfinite(value)]
        if bad or not isfinite(self.seconds):
            raise InvalidInput(
                f"expected finite metrics, or None where one is unknown, found others in {', '.join(bad) or 'seconds'}"
            )


@dataclass(frozen=True)
class RunReport:
    """What the log holds: runs and warnings, oldest first; `torn` counts lines that a crash had cut off."""

    runs: tuple[dict[str, Any], ...]
    warnings: tuple[dict[str, Any], ...]
    torn: int

    def as_dict(self) -> dict[str, Any]:
        return {"runs": list(self.runs), "warnings": list(self.warnings), "torn_lines": self.torn}


class Tracker(Protocol):
    """A copy of the run log elsewhere."""

    @property
    def name(self) -> str: ...

    def log(self, record: RunRecord) -> None:
        """Write one run; anything that it raises counts as an outage."""


class RunLog:
    """The append-only log of a workspace and its trackers.

    Parameters
    ----------
    path : of the JSON-lines file; made when first needed
    trackers : copies
    timeout : seconds that a tracker may take for one run
    """

    def __init__(self, path: Path, trackers: Sequence[Tracker] = (), *, timeout: float = TIMEOUT) -> None:
        self.path = path
        self._trackers = list(trackers)
        self._timeout = timeout

    def record(self, record: RunRecord) -> None:
        """Append the run, durably; then hand it to the trackers, none of which can fail it.

        Raises
        ------
        IntegrityError : the log was changed
        OSError : the log cannot be written; a run that cannot be recorded has not succeeded
        """
        self._append("run", asdict(record))
        for tracker in list(self._trackers):
            problem = _attempt(tracker, record, self._timeout)
            if problem is not None:
                self._trackers.remove(tracker)
                self._append(
                    "warning", {"tracker": tracker.name, "problem": problem, "run": record.name, "at": record.started_at}
                )

    def report(self) -> RunReport:
        """Every run and warning, from the file alone.

        Raises
        ------
        IntegrityError : a line was changed, taken out or put in
        """
        if not self.path.exists():
            return RunReport((), (), 0)
        entries, torn, _ = _read(self.path.read_bytes(), self.path)
        bodies = {kind: tuple(entry["body"] for entry in entries if entry["entry"] == kind) for kind in ("run", "warning")}
        return RunReport(bodies["run"], bodies["warning"], torn)

    def _append(self, entry: str, body: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # two runs at once: one line after the other
            handle.seek(0)
            content = handle.read()
            _, _, previous = _read(content, self.path)
            line = canonical_json({"entry": entry, "body": dict(body), "previous": previous}).encode() + b"\n"
            handle.write(line if not content or content.endswith(b"\n") else b"\n" + line)
            handle.flush()
            os.fsync(handle.fileno())


@dataclass(frozen=True)
class MlflowTracker:
    """Copies runs to an MLflow server over its REST API.

    Parameters
    ----------
    url : of the server, such as http://127.0.0.1:5000; `user:password@` before the host is sent as HTTP basic authentication, and
        never shown
    experiment : its name on the server, made where it is not there
    timeout : seconds for one request
    """

    url: str = field(repr=False)
    experiment: str = "fieldcast"
    timeout: float = TIMEOUT
    name: str = "mlflow"

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            shown = _USER.sub("", self.url)
            raise InvalidInput(f"expected the URL of an MLflow server, such as http://127.0.0.1:5000, found {shown!r}")

    def log(self, record: RunRecord) -> None:
        start = int(record.started_at.timestamp() * 1000)
        tags = {
            "mlflow.runName": record.name,
            "kind": record.kind,
            "simulated": str(record.simulated).lower(),
            **record.artefacts,
        }
        params = {"configuration_hash": record.configuration_hash, "data_hash": record.data_hash, **record.parameters}
        made = self._call("POST", "runs/create", {
            "experiment_id": self._experiment(), "run_name": record.name, "start_time": start,
            "tags": [{"key": key, "value": str(value)} for key, value in tags.items()],
        })  # fmt: skip
        run = made["run"]["info"]["run_id"]
        known = [(key, value) for key, value in record.metrics.items() if value is not None]
        named = [(key, str(value)[:500]) for key, value in params.items()]
        for place in range(0, max(len(known), 1), _MOST_METRICS):
            batch = known[place : place + _MOST_METRICS]
            self._call("POST", "runs/log-batch", {
                "run_id": run,
                "metrics": [{"key": key, "value": value, "timestamp": start, "step": 0} for key, value in batch],
                "params": [{"key": key, "value": value} for key, value in named[:_MOST_PARAMS]] if place == 0 else [],
            })  # fmt: skip
        end = start + int(record.seconds * 1000)
        self._call("POST", "runs/update", {"run_id": run, "status": "FINISHED", "end_time": end})

    def _experiment(self) -> str:
        from urllib.error import HTTPError
        from urllib.parse import quote

        try:
            found = self._call("GET", f"experiments/get-by-name?experiment_name={quote(self.experiment)}", None)
            return str(found["experiment"]["experiment_id"])
        except HTTPError as error:
            if error.code != 404:  # RESOURCE_DOES_NOT_EXIST
                raise
            return str(self._call("POST", "experiments/create", {"name": self.experiment})["experiment_id"])

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        from base64 import b64encode
        from urllib.parse import unquote, urlsplit
        from urllib.request import Request, urlopen

        data = None if body is None else json.dumps(body, allow_nan=False, default=str).encode()
        headers = {"Content-Type": "application/json"}
        parts = urlsplit(self.url)
        user, _, host = parts.netloc.rpartition("@")
        if user:
            headers["Authorization"] = f"Basic {b64encode(unquote(user).encode()).decode()}"
        server = parts._replace(netloc=host).geturl().rstrip("/")
        # the scheme was checked when the tracker was made
        request = Request(f"{server}/api/2.0/mlflow/{path}", data=data, method=method, headers=headers)
        with urlopen(request, timeout=self.timeout) as answer:  # nosec B310
            found = json.loads(answer.read() or b"{}")
        if not isinstance(found, dict):
            raise InvalidInput(f"expected a JSON object from {path}, found {type(found).__name__}")
        return found


@dataclass(frozen=True)
class WandbTracker:
    """Copies runs to Weights & Biases through its package: `wandb.init`, `run.log`, `run.finish`."""

    project: str = "fieldcast"
    name: str = "wandb"

    def log(self, record: RunRecord) -> None:
        from importlib import import_module

        config = {"configuration_hash": record.configuration_hash, "data_hash": record.data_hash, **record.parameters}
        run = import_module("wandb").init(
            project=self.project, name=record.name, job_type=record.kind, config=config, reinit=True
        )
        try:
            run.log({key: value for key, value in record.metrics.items() if value is not None})
        finally:
            run.finish()


def _attempt(tracker: Tracker, record: RunRecord, timeout: float) -> str | None:
    """What went wrong, or None. A tracker that does not answer in time is left behind in its own daemon thread."""
    found: list[BaseException] = []

    def attempt() -> None:
        try:
            tracker.log(record)
        except BaseException as error:  # noqa: BLE001  whatever a tracker raises must not end a run; it is recorded
            found.append(error)

    thread = threading.Thread(target=attempt, name=f"tracker-{tracker.name}", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        return f"no answer within {timeout:g} s"
    return _USER.sub("", f"{type(found[0]).__name__}: {found[0]}") if found else None


def _read(content: bytes, path: Path) -> tuple[list[dict[str, Any]], int, str]:
    """Entries, cut-off lines, and the hash that the next line has to hold.

    A line that is no JSON was cut off by a crash: it is no entry, and the chain goes round it. Anything else that does not
    continue the chain was changed.
    """
    entries: list[dict[str, Any]] = []
    torn, previous = 0, FIRST
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line:
            continue
        try:
            found = json.loads(line)
        except ValueError:
            torn += 1
            continue
        if not isinstance(found, dict) or found.get("previous") != previous:
            raise IntegrityError(
                f"expected line {number} of {path} to continue the one before, found other content; it was changed"
            )
        entries.append(found)
        previous = hashlib.sha256(line).hexdigest()
    return entries, torn, previous
