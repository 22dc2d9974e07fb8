"""The projection packet of one instrument at one moment, and the check of the audit trail."""

from __future__ import annotations

from datetime import datetime

from fieldcast.data import load_instrument
from fieldcast.ledger import AuditReport, verify
from fieldcast.projection import ProjectionPacket, packet_from_row
from fieldcast.workflows.cycles import not_in_the_future, projections_of
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.workspace import Workspace


def project(
    workspace: Workspace,
    instrument: str,
    experiment: Experiment,
    *,
    as_of: datetime | None = None,
    vix: str | None = None,
    progress: Progress = silent,
) -> ProjectionPacket:
    """The packet of the newest session known (at `as_of`); validates first where that has not been done on this data.

    Raises
    ------
    MissingData : unknown instrument, or too short a history for an out-of-sample projection
    """
    not_in_the_future(workspace, as_of)
    load_instrument(workspace.ledger, instrument)
    table = projections_of(workspace, instrument, experiment, as_of=as_of, vix=vix, progress=progress).table
    return packet_from_row(table, instrument, table["as_of"][-1])


def verify_audit(workspace: Workspace) -> AuditReport:
    """Check the audit chain in the ledger against its twin and its anchor."""
    return verify(workspace.ledger, workspace.home)
