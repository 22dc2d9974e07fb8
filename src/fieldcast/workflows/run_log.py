"""The run log of a workspace: `runs.jsonl` in its folder, and the trackers that the environment names.

MLFLOW_TRACKING_URI (http or https) and WANDB_PROJECT are those tools' own variables; where neither is set, the local log stands
alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fieldcast.ground import Shown
from fieldcast.models.tracking import Kind, MlflowTracker, RunLog, RunRecord, RunReport, Tracker, WandbTracker
from fieldcast.workflows.workspace import Workspace

FILE = "runs.jsonl"


@dataclass(frozen=True)
class RunsReported(Shown):
    """Every run on record, rebuilt from the local log alone."""

    report: RunReport

    def as_dict(self) -> dict[str, Any]:
        return self.report.as_dict()


def run_log(workspace: Workspace) -> RunLog:
    """The log with its trackers."""
    trackers: list[Tracker] = []
    url, project = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("WANDB_PROJECT", "")
    if url.startswith(("http://", "https://")):
        trackers.append(MlflowTracker(url))
    if project:
        trackers.append(WandbTracker(project))
    return RunLog(workspace.home / FILE, trackers)


def log_run(
    workspace: Workspace,
    kind: Kind,
    name: str,
    *,
    configuration_hash: str,
    data_hash: str,
    metrics: Mapping[str, float | None],
    artefacts: Mapping[str, str],
    started_at: datetime,
    seconds: float,
    parameters: Mapping[str, Any] | None = None,
    simulated: bool = False,
) -> None:
    """Write one run down; a tracker's outage is a warning in the log and ends nothing."""
    record = RunRecord(
        kind=kind,
        name=name,
        configuration_hash=configuration_hash,
        data_hash=data_hash,
        metrics=metrics,
        artefacts=artefacts,
        started_at=started_at,
        seconds=seconds,
        parameters=parameters or {},
        simulated=simulated,
    )
    run_log(workspace).record(record)


def report_runs(workspace: Workspace) -> RunsReported:
    """Every training, tuning and validation run, from the local log.

    Raises
    ------
    IntegrityError : the log was changed
    """
    return RunsReported(RunLog(workspace.home / FILE).report())
