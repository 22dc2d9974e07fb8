"""What each alpha agent expects of one instrument, how well founded that is, and their common view."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.ground import InvalidInput, MissingData, Shown
from fieldcast.projection.agents import AgentPath, Ensemble, combine, from_projection, null_agent, price_agents
from fieldcast.workflows.cycles import not_in_the_future
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.prepare import Prepared, prepare
from fieldcast.workflows.records import load_table
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.workspace import Workspace

PROJECTION = "projection"


@dataclass(frozen=True)
class AgentRow:
    """One agent now: log return over the horizon in basis points; all None where it has no view, and `note` says why."""

    name: str
    mu_bps: float | None
    sigma_bps: float | None
    confidence: float | None
    note: str


@dataclass(frozen=True)
class AgentsRead(Shown):
    """Every agent's view of the newest session known, and the ensemble's."""

    instrument: str
    as_of: datetime
    horizon: str
    agents: tuple[AgentRow, ...]
    ensemble: Ensemble
    simulated: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "instrument": self.instrument,
            "as_of": self.as_of.isoformat(),
            "horizon": self.horizon,
            "agents": [asdict(row) for row in self.agents],
            "ensemble": asdict(self.ensemble),
            "simulated": self.simulated,
        }


def read_agents(
    workspace: Workspace, instrument: str, experiment: Experiment, *, horizon: int = 1, as_of: datetime | None = None
) -> AgentsRead:
    """The agents at the newest session known (at `as_of`).

    The agent of the fitted models speaks where `validate` has been run with this experiment on the same data; nothing is
    validated here.

    Raises
    ------
    MissingData : unknown instrument, or no rows of it
    InvalidInput : a horizon that the experiment has no sign label for
    """
    not_in_the_future(workspace, as_of)
    until = known_until(workspace, (instrument,), experiment.hash, as_of)
    if horizon not in experiment.labels.sign:
        raise InvalidInput(f"expected a horizon out of labels.sign {list(experiment.labels.sign)}, found {horizon}")
    described = load_instrument(workspace.ledger, instrument)
    vix_free = experiment.model_copy(update={"features": experiment.features.model_copy(update={"blocks": ("volatility",)})})
    prepared = prepare(workspace.store, described, vix_free, as_of=until)
    paths = [*price_agents(prepared.bars, prepared.returns[horizon], horizon), _quality(prepared, horizon)]
    notes = {path.name: "fewer than 252 outcomes, or an input is not known" for path in paths}
    fitted, notes[PROJECTION] = _fitted(workspace, prepared, experiment, horizon)
    paths.append(fitted)
    rows = []
    for path in paths:
        view = path.at(-1)
        rows.append(
            AgentRow(path.name, None, None, None, notes[path.name])
            if view is None
            else AgentRow(path.name, 1e4 * view["mu"], 1e4 * view["sigma"], view["confidence"], "")
        )
    return AgentsRead(
        instrument=instrument,
        as_of=prepared.table["as_of"][-1],
        horizon=f"{horizon}d",
        agents=tuple(rows),
        ensemble=combine(paths, -1),
        simulated=described.simulated,
    )


def _quality(prepared: Prepared, horizon: int) -> AgentPath:
    """The quality of the data known now; earlier rows have no score here."""
    from fieldcast.projection.agents.price_agents import FAST, root_mean_square

    daily = np.concatenate([[np.nan], np.diff(np.log(prepared.bars["close"].to_numpy()))])
    score = np.full(prepared.rows, np.nan)
    score[-1] = prepared.quality.score
    return null_agent(score, root_mean_square(daily, FAST) * np.sqrt(horizon))


def _fitted(workspace: Workspace, prepared: Prepared, experiment: Experiment, horizon: int) -> tuple[AgentPath, str]:
    """The projections that stand, and why there are none."""
    lines = np.full((3, prepared.rows), np.nan)
    note = "no projection of this session: run fieldcast validate on this data first"
    try:
        table = load_table(workspace, experiment, prepared.instrument.id, "projections", data_hash=prepared.data_hash)
    except MissingData:
        return from_projection(*lines, name=PROJECTION), note
    newest = table.filter((pl.col("horizon") == f"{horizon}d") & (pl.col("as_of") == prepared.table["as_of"][-1]))
    if newest.height:
        row = newest.select("mean_bps", "sigma_horizon_bps", "reliability").row(0)
        lines[:, -1] = [np.nan if value is None else value for value in row]
    return from_projection(*lines, name=PROJECTION), note
