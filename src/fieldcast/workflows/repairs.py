"""A vendor's errors in one instrument's bars: found, proposed, and applied where a person says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from fieldcast.data import AppendResult
from fieldcast.data.repair import Proposal, apply_repair, propose
from fieldcast.data.store import Store
from fieldcast.data.vendor_faults import FaultReport, find_faults
from fieldcast.ground import InvalidInput, MissingData, Shown
from fieldcast.market import DAILY
from fieldcast.workflows.workspace import Workspace

ACTIONS = "actions"


@dataclass(frozen=True)
class Repair(Shown):
    """The faults, the values that would change, and (where it was applied) what was stored."""

    faults: FaultReport
    proposal: Proposal
    applied: AppendResult | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "instrument": self.proposal.instrument,
            "faults": _plain(self.faults.faults),
            "changes": _plain(self.proposal.changes),
            "counts": {str(code): n for code, n in self.proposal.counts.items()},
            "left": {str(code): n for code, n in self.proposal.left.items()},
            "applied": None if self.applied is None else self.applied.rows_restated,
        }


def repair_data(
    workspace: Workspace,
    instrument: str,
    *,
    table: str = DAILY,
    dataset: str | None = None,
    apply: bool = False,
    by: str = "",
) -> Repair:
    """Look for a vendor's errors and propose their repair; nothing changes unless `apply` says so.

    Parameters
    ----------
    apply : store the repaired values as restatements; what was known before stays readable as of earlier moments
    by : who answers for it, needed with `apply`

    Raises
    ------
    InvalidInput : a table without bars, `apply` without `by`, or nothing to apply
    ConflictError : the rows changed meanwhile
    """
    if not table.startswith("bars/"):
        raise InvalidInput(f"expected a table of bars to repair, such as bars/1d, found {table}")
    bars = workspace.store.read(instrument, table=table, dataset=dataset)
    lineage = workspace.store.lineage(instrument, table=table, dataset=dataset)[-1]
    actions = known_actions(workspace.store, instrument, lineage.dataset)
    adjusted = lineage.adjustment == "adjusted_only"
    faults = find_faults(bars, actions, split_adjusted=adjusted)
    proposal = propose(bars, actions, split_adjusted=adjusted, report=faults)
    applied = None
    if apply:
        applied = apply_repair(
            workspace.store,
            proposal,
            dataset=lineage.dataset,
            by=by,
            now=workspace.clock.now(),
            table=table,
            adjustment=lineage.adjustment,
        )
    return Repair(faults, proposal, applied)


def known_actions(store: Store, instrument: str, dataset: str) -> pl.DataFrame | None:
    """Corporate actions of the same delivery; none where it brought none."""
    try:
        return store.read(instrument, table=ACTIONS, dataset=dataset)
    except MissingData:
        return None


def _plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    stamps = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    return frame.with_columns(pl.col(stamps).dt.to_string("iso")).to_dicts()
