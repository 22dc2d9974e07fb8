"""The packet of one row, out of the paths of its horizons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fieldcast import __version__
from fieldcast.ground import Reason, digest
from fieldcast.market import sessions_per_year
from fieldcast.projection import ProjectionPacket
from fieldcast.projection.composer import HorizonPath
from fieldcast.projection.figures import horizon_figures
from fieldcast.projection.packet import PACKET_SCHEMA_VERSION
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.projector_calendar import moment
from fieldcast.workflows.projector_history import History
from fieldcast.workflows.study import configuration


def packet_of(
    history: History,
    experiment: Experiment,
    named: str,
    place: int,
    paths: Sequence[HorizonPath],
    events: Mapping[int, float],
) -> ProjectionPacket:
    """The packet of the newest row.

    Parameters
    ----------
    named : `model_id` of the experiment
    place : its session's in the calendar
    paths : hold that row alone
    events : odds of the event by horizon, in sessions
    """
    calendar, instrument = history.calendar, history.instrument
    horizons = []
    for path in paths:
        target = calendar.close[place + path.horizon]
        times = {
            "entry_ts": moment(calendar.opened[place + 1]),
            "target_ts": moment(target),
            "valid_until": moment(min(target, calendar.as_of[place + 1])),
        }
        horizons.append(_horizon(history, experiment, path, events.get(path.horizon)) | times)
    return ProjectionPacket.model_validate(
        {
            "schema_version": PACKET_SCHEMA_VERSION,
            "instrument": instrument.id,
            "as_of": moment(calendar.as_of[place]),
            "provenance": {
                "data_hashes": {instrument.id: history.hash},
                "model_id": named,
                "code_version": __version__,
                "simulated": instrument.simulated,
            },
            "warnings": [Reason.SIMULATED.value] if instrument.simulated else [],
            "horizons": horizons,
        }
    )


def _horizon(history: History, experiment: Experiment, path: HorizonPath, event: float | None) -> dict[str, Any]:
    """The figures of a horizon, or why there are none."""
    periods = sessions_per_year(history.instrument.calendar) / path.horizon
    found = horizon_figures(path, 0, f"{path.horizon}d", history.newest_close, periods)
    if found["status"] == "ok" and event is not None and np.isfinite(event):
        found["events"] = {f"high >= +{100 * experiment.labels.event_threshold:g} %": event}
    return found


def last_row(path: HorizonPath) -> HorizonPath:
    """The path's last row alone."""
    parts = replace(path.reliability, **{name: getattr(path.reliability, name)[-1:] for name in vars(path.reliability)})
    rows: dict[str, Any] = {name: value[-1:] for name, value in vars(path).items() if isinstance(value, np.ndarray)}
    return replace(path, reliability=parts, **rows)


def model_id(experiment: Experiment) -> str:
    """Names the nominated model of an experiment by all that decides its forecasts."""
    chosen = experiment.nominated
    found = configuration(experiment, chosen.label, chosen.horizon, chosen.model)
    return f"{chosen.model}-{digest(found)[:16]}"
