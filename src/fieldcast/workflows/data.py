"""Data in, looked at and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import polars as pl

from fieldcast.data import (
    GapReport,
    ImportReport,
    QualityReport,
    VerifyReport,
    gap_report,
    import_file,
    load_instrument,
    quality,
    read_bundled,
    save_instrument,
)
from fieldcast.ground import ConflictError, InvalidInput, MissingData
from fieldcast.market import DECISION_DELAY, Instrument, default_instrument
from fieldcast.workflows.shown import Shown
from fieldcast.workflows.workspace import Workspace


@dataclass(frozen=True)
class Imported(Shown):
    """What an import read, refused and stored."""

    report: ImportReport

    def as_dict(self) -> dict[str, Any]:
        report = self.report
        return {
            "instrument": report.instrument.id,
            "file": report.path.name,
            "sha256": report.sha256,
            "columns": dict(report.columns),
            "rows_read": report.rows_read,
            "rows_kept": report.rows_kept,
            "unsorted": report.unsorted,
            "removed": {str(code): n for code, n in report.removed.items()},
            "flagged": {str(code): n for code, n in report.flagged.items()},
            "quality": report.quality.score,
            "completeness": report.gaps.completeness,
            "added": None if report.result is None else report.result.rows_added,
            "restated": None if report.result is None else report.result.rows_restated,
            "unchanged": None if report.result is None else report.result.rows_unchanged,
        }


@dataclass(frozen=True)
class DataList:
    """What is in the store."""

    datasets: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        return {"datasets": self.datasets.with_columns(pl.col("first_ts", "last_ts").cast(pl.String)).to_dicts()}

    def _repr_html_(self) -> str:
        return self.datasets._repr_html_()


@dataclass(frozen=True)
class DataCheck(Shown):
    """Quality over the last year of sessions; gaps and flagged rows over the whole history."""

    instrument: Instrument
    quality: QualityReport
    gaps: GapReport
    flags: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        return {
            "instrument": self.instrument.id,
            "score": self.quality.score,
            "reasons": {str(code): n for code, n in self.quality.reasons.items()},
            "costs": {str(code): cost for code, cost in self.quality.costs.items()},
            "completeness": self.gaps.completeness,
            "flags": dict(self.flags),
            "gaps": self.gaps.gaps.with_columns(pl.all().cast(pl.String)).to_dicts(),
        }


@dataclass(frozen=True)
class Verified(Shown):
    """Result of hashing the whole store again."""

    report: VerifyReport

    @property
    def ok(self) -> bool:
        return self.report.ok

    def as_dict(self) -> dict[str, Any]:
        return {"files": self.report.files_checked, "ok": self.ok, "problems": [vars(p) for p in self.report.problems]}


def import_data(
    workspace: Workspace,
    file: Path | str,
    instrument: str,
    *,
    kind: str | None = None,
    columns: str | Mapping[str, str] | None = None,
    calendar: str | None = None,
    currency: str | None = None,
    tick: str | None = None,
    adjusted: bool = False,
    dry_run: bool = False,
) -> Imported:
    """Check a file of daily bars and add it to the store; nothing is stored where the file is refused.

    Parameters
    ----------
    instrument : id
    kind : equity, etf, index, fx or crypto; none = the catalogue's, or equity where the id is new there
    columns : `ts=Date,close=Last`, or a mapping from our names to the file's

    Raises
    ------
    InvalidInput : the file, a column, or most of the rows are not what was expected
    ConflictError : the catalogue has the id with another kind, calendar or currency
    """
    if instrument.startswith("SIM:"):
        raise InvalidInput(f"expected the id of a real instrument, found {instrument}; SIM: is for simulated markets")
    described = _described(workspace, instrument, kind, calendar, currency, _decimal(tick))
    report = import_file(
        Path(file),
        described,
        store=workspace.store,
        columns=_mapping(columns),
        adjustment="adjusted_only" if adjusted else "raw",
        clock=workspace.clock,
        dry_run=dry_run,
    )
    if not dry_run:
        save_instrument(workspace.ledger, described)      # last, so that a refused file leaves nothing behind
    return Imported(report)


def import_bundled(workspace: Workspace, name: str) -> Instrument:
    """Bring in a series that an installed package ships: `nasdaq`, `sp500` or `vix`; again changes nothing.

    Raises
    ------
    InvalidInput : another name
    """
    instrument, bars, lineage = read_bundled(name, workspace.clock)
    save_instrument(workspace.ledger, instrument)
    workspace.store.append(bars, lineage)
    return instrument


def list_data(workspace: Workspace) -> DataList:
    """Every dataset of the store."""
    return DataList(workspace.store.datasets())


def check_data(workspace: Workspace, instrument: str) -> DataCheck:
    """Quality and gaps of one instrument, judged at its newest row."""
    described = load_instrument(workspace.ledger, instrument)
    bars = workspace.store.read(instrument)
    flags = bars.select(pl.col("reasons").str.split(",").explode().drop_nulls()).to_series().value_counts(sort=True)
    return DataCheck(
        described,
        quality(bars, described, bars["ts"][-1] + DECISION_DELAY),
        gap_report(bars, described),
        dict(flags.iter_rows()),
    )


def verify_data(workspace: Workspace) -> Verified:
    """Hash every file of the store again."""
    return Verified(workspace.store.verify())


def _described(
    workspace: Workspace, id: str, kind: str | None, calendar: str | None, currency: str | None, tick: Decimal | None
) -> Instrument:
    """The instrument as the catalogue knows it, or a new one of that kind; an id is assigned once."""
    try:
        known = load_instrument(workspace.ledger, id)
    except MissingData:
        return default_instrument(id, kind or "equity", calendar=calendar, currency=currency, tick=tick)
    for name, given in (("kind", kind), ("calendar", calendar), ("currency", currency)):
        if given is not None and given != getattr(known, name):
            raise ConflictError(
                f"expected {id} with {name} {getattr(known, name)}, as in the catalogue, found {given}; choose another id"
            )
    return known if tick is None else replace(known, tick=tick)


def _mapping(columns: str | Mapping[str, str] | None) -> Mapping[str, str] | None:
    if columns is None or not isinstance(columns, str):
        return columns
    pairs = [pair.split("=", 1) for pair in columns.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise InvalidInput(f"expected columns such as ts=Date,close=Last, found {columns!r}")
    return {ours.strip(): theirs.strip() for ours, theirs in pairs}


def _decimal(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f"expected a tick such as 0.01, found {text!r}") from None
