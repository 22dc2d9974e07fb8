"""What trading has cost: measured again from stored quotes and real fills, shown, and an older measurement restored.

The job is meant for every night. Fills of the simulated venue are left aside: their slippage is the model's own assumption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import select

from fieldcast.data import load_instrument
from fieldcast.ground import MissingData, Shown, utc
from fieldcast.ledger import tables
from fieldcast.trading import Side
from fieldcast.trading.costs.calibration import LEAST_SAMPLES, LOOK_BACK, MeasuredFill, recalibrated
from fieldcast.trading.costs.files import FOLDER, dates, pointed_at, read_costs, restore_costs, write_costs
from fieldcast.trading.costs.profiles import ExecutionCosts
from fieldcast.workflows.workspace import Workspace

QUOTE_TABLES = ("quotes", *(f"quote_bars/{step}" for step in ("1s", "1m", "5m", "15m", "30m", "1h")))
"""Where quotes are looked for, the finest first."""


@dataclass(frozen=True)
class CostsRecalibrated(Shown):
    """What a recalibration found.

    Parameters
    ----------
    as_of : the moment that it speaks of
    path : the dated file, relative to the home
    tables : instrument → table and dataset of its quotes
    buckets : instrument, bucket, kind, samples, status (updated or unchanged)
    costs : the profiles from now on
    counts : quotes, one_sided, crossed, fills, fills_without_spread, simulated_fills
    """

    as_of: datetime
    path: str
    tables: Mapping[str, str]
    buckets: pl.DataFrame
    costs: ExecutionCosts
    counts: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        return {
            "as_of": self.as_of.isoformat(),
            "path": self.path,
            "tables": dict(self.tables),
            "buckets": self.buckets.to_dicts(),
            "counts": dict(self.counts),
            "costs": self.costs.as_dict(),
        }


@dataclass(frozen=True)
class CostsShown(Shown):
    """The calibrations that there are, the one that counts, and the one that was asked for."""

    dates: tuple[date, ...]
    pointed_at: date | None
    costs: ExecutionCosts | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "dates": [day.isoformat() for day in self.dates],
            "pointed_at": None if self.pointed_at is None else self.pointed_at.isoformat(),
            "costs": None if self.costs is None else self.costs.as_dict(),
        }


def costs_folder(workspace: Workspace) -> Path:
    """Where the dated files are."""
    return workspace.home / FOLDER


def recalibrate_costs(
    workspace: Workspace,
    instruments: Sequence[str] = (),
    *,
    as_of: datetime | None = None,
    days: int = LOOK_BACK.days,
    least: int = LEAST_SAMPLES,
    datasets: Mapping[str, str] | None = None,
) -> CostsRecalibrated:
    """Measure spread and slippage of the last days by instrument and session bucket, and write the dated file.

    Parameters
    ----------
    instruments : ids; none = every one with quotes in the store
    as_of : None = now
    days, least : how far back, and how many samples a bucket needs to be changed
    datasets : table → dataset, where an instrument's quotes stand in several

    Raises
    ------
    MissingData : an instrument has no quotes, or none has any
    ConflictError : an instrument's quotes stand in several datasets, and none was named
    InvalidInput : days or least below 1
    """
    moment = workspace.clock.now() if as_of is None else utc(as_of)
    homes = _homes(workspace, instruments)
    span = timedelta(days=days)
    quotes: dict[str, pl.DataFrame] = {}
    described = {}
    for name, table in homes.items():
        described[name] = load_instrument(workspace.ledger, name)
        quotes[name] = workspace.store.read(
            name, table=table, as_of=moment, first=(moment - span).date(), last=moment.date(),
            dataset=(datasets or {}).get(table),
        )  # fmt: skip
    fills, simulated = _fills(workspace, tuple(homes), moment - span, moment)
    folder = costs_folder(workspace)
    found = recalibrated(
        read_costs(folder), as_of=moment, instruments=described, quotes=quotes, fills=fills, look_back=span, least=least
    )
    path = write_costs(folder, found.costs)
    counts = {name: getattr(found, name) for name in ("quotes", "one_sided", "crossed", "fills", "fills_without_spread")}
    return CostsRecalibrated(
        moment, str(path.relative_to(workspace.home)), homes, found.buckets, found.costs, counts | {"simulated_fills": simulated}
    )


def show_costs(workspace: Workspace, *, day: date | None = None) -> CostsShown:
    """The profiles that count, or those of a day.

    Raises
    ------
    MissingData : there is no file of that day
    IntegrityError : the file is damaged
    """
    folder = costs_folder(workspace)
    return CostsShown(dates(folder), pointed_at(folder), read_costs(folder, day))


def restore_execution_costs(workspace: Workspace, day: date) -> CostsShown:
    """Let the profiles of an earlier day count again.

    Raises
    ------
    MissingData : there is no file of that day
    IntegrityError : the file is damaged; what counted counts on
    """
    restore_costs(costs_folder(workspace), day)
    return show_costs(workspace)


def _homes(workspace: Workspace, instruments: Sequence[str]) -> dict[str, str]:
    """The finest table of quotes of each instrument."""
    listed = workspace.store.datasets().filter(pl.col("table").is_in(QUOTE_TABLES)).select("instrument", "table").rows()
    found: dict[str, str] = {}
    for name, table in listed:
        if name not in found or QUOTE_TABLES.index(table) < QUOTE_TABLES.index(found[name]):
            found[name] = table
    if not instruments:
        if not found:
            raise MissingData("expected quotes or quote bars in the store, found none; import some first")
        return dict(sorted(found.items()))
    missing = sorted(set(instruments) - found.keys())
    if missing:
        raise MissingData(f"expected quotes of {', '.join(missing)} in the store, found none; import some first")
    return {name: found[name] for name in sorted(set(instruments))}


def _fills(
    workspace: Workspace, instruments: tuple[str, ...], first: datetime, last: datetime
) -> tuple[list[MeasuredFill], int]:
    """Real fills of the span that name the price they are measured against; how many simulated ones were left aside."""
    with workspace.ledger.read() as session:
        rows = list(
            session.scalars(
                select(tables.Fill)
                .where(tables.Fill.instrument.in_(instruments), tables.Fill.ts > first, tables.Fill.ts <= last)
                .order_by(tables.Fill.ts)
            )
        )
        real = [
            MeasuredFill(row.instrument, Side(row.side), row.price, row.reference_price, row.ts)
            for row in rows
            if row.source_bar_ts is None and row.reference_price is not None
        ]
        return real, sum(row.source_bar_ts is not None for row in rows)
