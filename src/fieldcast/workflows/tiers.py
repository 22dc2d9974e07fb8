"""How sure the projections of one instrument are, as tiers that do not flicker, and what each tier was worth.

Thresholds are quantiles of the convictions that had been forecast before (`projection.tiers`); the hits of a tier are the called
sides that turned out right, over outcomes that have ended, with an interval by date blocks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.evaluation import mean_interval
from fieldcast.ground import MissingData, Shown
from fieldcast.projection.tiers import Tier, walk_tiers
from fieldcast.workflows.cycles import not_in_the_future, projections_of
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.workspace import Workspace

FEWEST = 60         # outcomes below which a tier's hit rate gets no interval


@dataclass(frozen=True)
class TierRow:
    """One tier over the out-of-sample sessions that it held.

    `hit_rate` is the share of called sides that were right (sessions without a move left out), `low` and `high` its 95 %
    interval; None below `FEWEST` outcomes. `said` is the mean conviction of those outcomes.
    """

    tier: Tier
    sessions: int
    outcomes: int
    hit_rate: float | None
    low: float | None
    high: float | None
    said: float | None


@dataclass(frozen=True)
class TiersRead(Shown):
    """The tier that holds, and the record of each.

    Parameters
    ----------
    tier, conviction, reliability : of the newest session; the tier None while too few convictions are known
    changes : how often the tier changed; `flicker` how often it would have without hysteresis
    """

    instrument: str
    as_of: datetime
    horizon: str
    tier: Tier | None
    conviction: float | None
    reliability: float | None
    rows: tuple[TierRow, ...]
    changes: int
    flicker: int
    simulated: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "instrument": self.instrument,
            "as_of": self.as_of.isoformat(),
            "horizon": self.horizon,
            "tier": self.tier,
            "conviction": self.conviction,
            "reliability": self.reliability,
            "rows": [asdict(row) for row in self.rows],
            "changes": self.changes,
            "flicker": self.flicker,
            "simulated": self.simulated,
        }


def read_tiers(
    workspace: Workspace,
    instrument: str,
    experiment: Experiment,
    *,
    horizon: str = "1d",
    as_of: datetime | None = None,
    vix: str | None = None,
    progress: Progress = silent,
) -> TiersRead:
    """Tiers of the out-of-sample projections known (at `as_of`); validates first where that has not been done on this data.

    Raises
    ------
    MissingData : unknown instrument or horizon, or too short a history
    """
    not_in_the_future(workspace, as_of)
    load_instrument(workspace.ledger, instrument)
    made = projections_of(workspace, instrument, experiment, as_of=as_of, vix=vix, progress=progress)
    table = made.table.filter(pl.col("horizon") == horizon).sort("as_of")
    if table.is_empty():
        has = ", ".join(made.table["horizon"].unique().sort())
        raise MissingData(f"expected projections of {instrument} over {horizon}, found none; there are those over {has}")
    newest = table["as_of"][-1]
    ended = made.outcomes.filter((pl.col("horizon") == horizon) & (pl.col("label_end_ts") <= newest)).select("as_of", "ret")
    table = table.join(ended, on="as_of", how="left", maintain_order="left")
    conviction = table["conviction"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    ahead = int(horizon.removesuffix("d"))
    tiers = walk_tiers(conviction)
    bare = walk_tiers(conviction, margin=0.0, scans=1)
    up = (table["p_up"] > table["p_down"]).to_numpy()
    ret = table["ret"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    called = np.isfinite(ret) & (ret != 0.0) & np.isfinite(conviction)
    hit = np.where(up, ret > 0.0, ret < 0.0).astype(np.float64)
    held = np.array(["" if tier is None else str(tier) for tier in tiers])
    days = table["as_of"].dt.date().to_numpy()
    return TiersRead(
        instrument=instrument,
        as_of=newest,
        horizon=horizon,
        tier=tiers[-1],
        conviction=table["conviction"][-1],
        reliability=table["reliability"][-1],
        rows=tuple(_row(tier, held == str(tier), called, hit, conviction, days, 21 * ahead) for tier in reversed(Tier)),
        changes=_changes(tiers),
        flicker=_changes(bare),
        simulated=bool(table["simulated"].any()),
    )


def _row(tier: Tier, held: Any, called: Any, hit: Any, conviction: Any, days: Any, block: int) -> TierRow:
    rows = np.flatnonzero(held & called)
    if rows.size < FEWEST:
        return TierRow(tier, int(held.sum()), rows.size, None, None, None, None)
    found = mean_interval(hit[rows], dates=days[rows], block=block)
    return TierRow(tier, int(held.sum()), rows.size, found.estimate, found.low, found.high, float(conviction[rows].mean()))


def _changes(tiers: list[Tier | None]) -> int:
    known = [tier for tier in tiers if tier is not None]
    return sum(one is not other for one, other in pairwise(known))


