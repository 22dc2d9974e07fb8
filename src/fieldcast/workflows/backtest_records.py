"""What a backtest leaves in the workspace: one folder a run, written whole or not at all.

    home/runs/<id>/run.json          plan, hashes, figures, warnings
                   orders.parquet    and fills, trades, journal, equity, positions: the result's tables
                   record/           exact orders, fills, cash flows, equity and the bars, by which runs are compared
                   report.html       the tear sheet

The id is the first 16 digits of the hash of everything that decides the run (its plan, the strategy's code, the data), so that
the same run is written to the same folder.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from fieldcast.data import load_instrument
from fieldcast.ground import InvalidInput, MissingData, digest
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.trading_record import TradingRecord
from fieldcast.workflows.workspace import Workspace

FOLDER = "runs"
TABLES = ("orders", "fills", "trades", "journal", "equity", "positions")
RECORD = ("orders", "fills", "flows", "equity", "accounts")      # of `simulation.trading_record`, exact, in the folder `record`
ABOUT, REPORT = "run.json", "report.html"
_TERMS = ("tick", "lot", "multiplier")               # as the plan had them, which the catalogue need not have
_DIGITS = 16
_BY_AGE = ("latest", "previous")


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A run as it stands in its folder; `about` is its run.json."""

    id: str
    folder: Path
    about: Mapping[str, Any]

    def table(self, name: str) -> pl.DataFrame:
        """One of `TABLES`.

        Raises
        ------
        MissingData : the folder has no such table
        """
        file = self.folder / f"{name}.parquet"
        if name not in TABLES or not file.is_file():
            raise MissingData(f"expected the table {name} of run {self.id} in {self.folder}, found none; run the backtest again")
        return pl.read_parquet(file)


def record_tables(record: TradingRecord) -> dict[str, pl.DataFrame]:
    """The exact tables of a run, and the bars that it saw, for its folder."""
    bars = pl.concat([table.select("ts", "open", "close", "available_at", instrument=pl.lit(name))
                      for name, table in record.bars.items()])  # fmt: skip
    terms = [{"instrument": one.id} | {name: str(getattr(one, name)) for name in _TERMS} for one in record.instruments.values()]
    return {part: getattr(record, part) for part in RECORD} | {"bars": bars, "terms": pl.DataFrame(terms)}


def read_record(workspace: Workspace, run: StoredRun) -> TradingRecord:
    """The exact tables of a stored run.

    Raises
    ------
    MissingData : the run has none: contracts were exercised, assigned or delivered, or its folder is not whole
    """
    tables = {}
    for part in (*RECORD, "bars", "terms"):
        file = run.folder / "record" / f"{part}.parquet"
        if not file.is_file():
            raise MissingData(
                f"expected the exact tables of run {run.id} in {file.parent}, found no {part}: runs in which contracts were "
                "exercised, assigned or delivered have none; any other was written by an earlier version: run it again"
            )
        tables[part] = pl.read_parquet(file)
    grouped = tables.pop("bars").group_by("instrument", maintain_order=True)
    bars = {str(name): table.drop("instrument") for (name,), table in grouped}
    instruments = {}
    for row in tables["terms"].iter_rows(named=True):
        terms: dict[str, Any] = {name: Decimal(row[name]) for name in _TERMS}
        instruments[row["instrument"]] = replace(load_instrument(workspace.ledger, row["instrument"]), **terms)
    return TradingRecord(
        name=run.id, bars=bars, instruments=instruments, start=Decimal(str(run.about["start"])),
        orders=tables["orders"], fills=tables["fills"], equity=tables["equity"], flows=tables["flows"],
        accounts=tables["accounts"],
    )  # fmt: skip


def run_id(configuration: Mapping[str, Any], data_hash: str) -> str:
    """The name of a run: the same plan on the same data is the same run."""
    return digest([configuration, data_hash])[:_DIGITS]


def save_run(
    workspace: Workspace,
    name: str,
    result: SimulationResult,
    about: Mapping[str, Any],
    report: Callable[[Path], object],
    *,
    record: Mapping[str, pl.DataFrame] | None = None,
) -> Path:
    """Write a run's folder; an older one of the same name gives way when the new one is whole.

    Parameters
    ----------
    about : plain values for run.json
    report : writes the tear sheet to the path that it is given
    record : exact tables by which runs are compared, with the bars; None where the run can have none

    Raises
    ------
    OSError : the folder cannot be written; an older one stands
    """
    place = workspace.home / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=place, prefix=f".{name}."))
    try:
        for table in TABLES:
            getattr(result, table).write_parquet(made / f"{table}.parquet")
        for part, frame in (record or {}).items():
            (made / "record").mkdir(exist_ok=True)
            frame.write_parquet(made / "record" / f"{part}.parquet")
        report(made / REPORT)
        (made / ABOUT).write_text(json.dumps(about, default=str, allow_nan=False, indent=1), encoding="utf-8")
        return put(made, place / name)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def put(made: Path, target: Path) -> Path:
    """Give the finished folder its name; a folder cannot replace one that holds files, so that one steps aside first."""
    for file in made.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    made.chmod(0o755)
    if not target.exists():
        made.rename(target)
        return target
    aside = made.with_name(f"{made.name}.old")
    target.rename(aside)
    made.rename(target)
    shutil.rmtree(aside)
    return target


def load_run(workspace: Workspace, wanted: str) -> StoredRun:
    """A run by its id, the first digits of it, its folder, or as `latest` or `previous`.

    Raises
    ------
    MissingData : there is none
    InvalidInput : several begin like that
    """
    if wanted in _BY_AGE:
        held, age = list_runs(workspace), _BY_AGE.index(wanted)
        if len(held) <= age:
            raise MissingData(f"expected a {wanted} run in {workspace.home / FOLDER}, found {len(held)} in all")
        return held[age]
    folder = Path(wanted)
    if not (folder / ABOUT).is_file():
        place = workspace.home / FOLDER
        found = sorted(one for one in place.glob(f"{wanted}*") if (one / ABOUT).is_file()) if _plain(wanted) else []
        if not found:
            there = ", ".join(one.id for one in list_runs(workspace)[:5]) or "no run at all"
            raise MissingData(f"expected a run {wanted} in {place}, found none; there is {there}")
        if len(found) > 1:
            raise InvalidInput(f"expected one run that begins with {wanted}, found {', '.join(one.name for one in found[:5])}")
        folder = found[0]
    return _read(folder)


def list_runs(workspace: Workspace) -> list[StoredRun]:
    """Every run of the workspace, the newest first."""
    found = [_read(file.parent) for file in (workspace.home / FOLDER).glob(f"[!.]*/{ABOUT}")]
    found = [run for run in found if run.about.get("kind") == "backtest"]
    return sorted(found, key=lambda run: str(run.about.get("created_at", "")), reverse=True)


def _read(folder: Path) -> StoredRun:
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    return StoredRun(str(about["id"]), folder, about)


def _plain(text: str) -> bool:
    return bool(text) and text.isalnum()
