"""Is the history of a universe there, and what is missing of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from fieldcast.data.universe import load_universe
from fieldcast.data.universe_check import UniverseReport, plan_repairs, plan_update, verify_universe
from fieldcast.ground import InvalidInput, Shown
from fieldcast.workflows.workspace import Workspace

PLANS = {"repair": plan_repairs, "update": plan_update}


@dataclass(frozen=True)
class UniverseCheck(Shown):
    """What is there, and (where it was asked for) the ranges that have to be fetched and imported."""

    report: UniverseReport
    plan: pl.DataFrame | None

    @property
    def ok(self) -> bool:
        return self.report.ok

    def as_dict(self) -> dict[str, Any]:
        plan = None
        if self.plan is not None:
            plan = self.plan.with_columns(pl.col("first", "last").dt.to_string("iso")).to_dicts()
        return {**self.report.to_json(), "plan": plan}


def check_universe(
    workspace: Workspace,
    file: Path | str | None = None,
    *,
    group: str | None = None,
    dataset: str | None = None,
    as_of: datetime | None = None,
    strict: bool = False,
    plan: str | None = None,
) -> UniverseCheck:
    """Count the rows of each member of a universe, 1,260 sessions unless its file says otherwise.

    Parameters
    ----------
    file : a universe in TOML; none = the 225 instruments that ship with Fieldcast
    group : of the universe; none = all of them
    as_of : none = now
    strict : every hole and every late session fails; otherwise five of them pass in a history that is long enough
    plan : `repair` = every missing range, `update` = those newer than what is stored

    Raises
    ------
    InvalidInput : the file, the group or the plan is not what was expected
    """
    universe = load_universe(file)
    if group is not None:
        universe = universe.only(group=group)
    if plan is not None and plan not in PLANS:
        raise InvalidInput(f"expected a plan out of {', '.join(PLANS)}, found {plan!r}")
    moment = as_of or workspace.clock.now()
    report = verify_universe(workspace.store, universe, moment, dataset=dataset, strict=strict)
    return UniverseCheck(report, None if plan is None else PLANS[plan](workspace.store, universe, moment, dataset=dataset))
