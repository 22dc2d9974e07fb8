"""The projection packet of one instrument at one moment, and the check of the audit trail."""

from __future__ import annotations

from datetime import datetime

from fieldcast.data import load_instrument
from fieldcast.ground import InvalidInput
from fieldcast.ledger import AuditReport, verify
from fieldcast.projection import ProjectionPacket, packet_from_row
from fieldcast.workflows.cycles import not_in_the_future, projections_of, stored_projections, validated_before
from fieldcast.workflows.experiment import Experiment, load_experiment
from fieldcast.workflows.minute_projection import MinuteConeKind, MinuteSettings, project_minutes
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.projector import Projector
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.workspace import Workspace


def project(
    workspace: Workspace,
    instrument: str,
    experiment: Experiment | None = None,
    *,
    as_of: datetime | None = None,
    vix: str | None = None,
    minutes: bool = False,
    cones: MinuteConeKind | None = None,
    progress: Progress = silent,
) -> ProjectionPacket:
    """The packet of the newest session known (at `as_of`), or of the newest minute bar.

    Where the experiment was validated on an earlier part of this very history, the nominated model alone is walked over what came
    since: the packet is the one that a new validation would give, and nothing is scored again. That walk goes on from the state
    that the last one kept in the workspace (see `Projector.open`). Where the history is another, it is validated first. To follow
    an instrument bar by bar, keep a `Projector`.

    Parameters
    ----------
    experiment : none = the built-in one
    minutes : from stored minute bars alone, horizons 1m to 1h; see `project_minutes`, which takes settings
    cones : of the minutes, see `MinuteSettings`; none = their default

    Raises
    ------
    InvalidInput : an experiment or a VIX series beside `minutes`, or `cones` without it
    MissingData : unknown instrument, or too short a history for an out-of-sample projection
    """
    if minutes:
        if experiment is not None or vix is not None:
            raise InvalidInput("expected no experiment and no VIX series beside minutes, which reads minute bars alone")
        return project_minutes(workspace, instrument, as_of=as_of, settings=MinuteSettings(cones=cones or "conformal"))
    if cones is not None:
        raise InvalidInput("expected cones beside minutes alone; those of daily bars are the experiment's (cones.forecaster)")
    not_in_the_future(workspace, as_of)
    load_instrument(workspace.ledger, instrument)
    experiment = load_experiment() if experiment is None else experiment
    until = known_until(workspace, (instrument, vix), experiment.hash, as_of)
    stored = stored_projections(workspace, instrument, experiment, as_of=until, vix=vix)
    if stored is None and validated_before(workspace, instrument, experiment, as_of=until, vix=vix):
        return Projector.open(workspace, instrument, experiment, as_of=as_of, vix=vix).packet
    table = projections_of(workspace, instrument, experiment, as_of=as_of, vix=vix, progress=progress).table
    return packet_from_row(table, instrument, table["as_of"][-1])


def verify_audit(workspace: Workspace) -> AuditReport:
    """Check the audit chain in the ledger against its twin and its anchor."""
    return verify(workspace.ledger, workspace.home)
