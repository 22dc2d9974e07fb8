"""Rows of files that wait to be stored: together where they are few, from the disk where a file is large.

A file's rows are stored only when the file is read to its end. Several files go into one append; where the store refuses it, each
file is tried by itself, so that one that contradicts what is stored does not take the others with it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from fieldcast.data._preview import preview
from fieldcast.data._tally import Failure, SourceReport, TableCount
from fieldcast.data.lineage import Lineage
from fieldcast.data.opens import settle_opens
from fieldcast.data.store import Store
from fieldcast.ground import FieldcastError, Reason
from fieldcast.market import DAILY, Instrument, Table, table_of


@dataclass(frozen=True)
class Hooks:
    """Who is told before and after the rows of whole files are stored."""

    storing: Callable[[list[SourceReport]], None]
    stored: Callable[[list[SourceReport]], None]


@dataclass(frozen=True)
class _Part:
    """Rows of one table out of one file; `path` where they wait on the disk."""

    table: str
    rows: pl.DataFrame
    lineage: Lineage
    path: Path | None = None

    def read(self) -> pl.DataFrame:
        return self.rows if self.path is None else pl.read_parquet(self.path)

    @property
    def key(self) -> tuple[str, ...]:
        """What rows of one append share."""
        item = self.lineage
        return self.table, item.dataset, item.provider, item.adjustment, item.available_at


@dataclass(frozen=True)
class _File:
    report: SourceReport
    parts: tuple[_Part, ...]


class Batch:
    """See the module; `done`, `failures` and `tables` tell what became of the files."""

    def __init__(self, store: Store, batch_rows: int, hooks: Hooks, *, dry_run: bool, halt: bool) -> None:
        self.store = store
        self.done: list[SourceReport] = []
        self.failures: list[Failure] = []
        self.tables: dict[str, TableCount] = {}
        self._batch_rows, self._hooks, self._dry_run, self._halt = batch_rows, hooks, dry_run, halt
        self._waiting: list[_File] = []
        self._rows = 0                          # of the files that wait
        self._spans: dict[tuple[str, str, str], tuple[datetime, datetime]] = {}
        self._parts: list[_Part] = []           # of the file being read
        self._spool: tempfile.TemporaryDirectory[str] | None = None

    # the file being read ---------------------------------------------------------------------------------------------

    def add(self, table: str, rows: pl.DataFrame, lineage: Lineage) -> None:
        """Rows of the file being read; from about `batch_rows` on they wait on the disk."""
        if rows.is_empty():
            return
        self._parts.append(_Part(table, rows, lineage))
        if sum(part.rows.height for part in self._parts) >= self._batch_rows:
            self._spool = self._spool or tempfile.TemporaryDirectory(prefix="fieldcast-import-")
            for place, part in enumerate(self._parts):
                if part.path is None:
                    path = Path(self._spool.name) / f"{place}.parquet"
                    part.rows.write_parquet(path, compression="lz4")
                    self._parts[place] = replace(part, rows=part.rows.clear(), path=path)

    def without_repeats(self) -> dict[Reason, int]:
        """Take out rows that one part of the file repeats of another: reason → rows taken."""
        tables = [part.table for part in self._parts]
        if len(set(tables)) == len(tables) or any(part.path for part in self._parts):
            return {}       # parts on the disk are appended one after the other: what repeats is unchanged, or restated
        taken = 0
        merged = []
        for name in dict.fromkeys(tables):
            parts = [part for part in self._parts if part.table == name]
            rows, n = _single(pl.concat([part.rows for part in parts]), table_of(name))
            merged.append(_Part(name, rows, _joined([part.lineage for part in parts])))
            taken += n
        self._parts = merged
        return {Reason.DUPLICATE_STAMP: taken} if taken else {}

    def drop(self) -> None:
        """Forget what a file that turned out unfit has left."""
        self._parts = []
        self._forget_spool()

    def finish(self, report: SourceReport) -> None:
        """The file being read is whole: its rows wait with the others', or are stored now where they are many."""
        file = _File(report, tuple(self._parts))
        if self._spool is not None:
            self.flush()
            self._store([file])
            self.drop()
            return
        ranges = [reach for part in file.parts for reach in self._ranges(part)]
        if any(self._meets(*reach) for reach in ranges):
            self.flush()
        for key, first, last in ranges:
            known = self._spans.get(key, (first, last))
            self._spans[key] = min(first, known[0]), max(last, known[1])
        self._waiting.append(file)
        self._rows += sum(part.rows.height for part in file.parts)
        self._parts = []
        if self._rows >= self._batch_rows:
            self.flush()

    def _forget_spool(self) -> None:
        if self._spool is not None:
            self._spool.cleanup()
            self._spool = None

    def _ranges(self, part: _Part) -> list[tuple[tuple[str, str, str], datetime, datetime]]:
        table, dataset = part.table, part.lineage.dataset
        ids, ts = part.rows["instrument"], part.rows["ts"]
        if ids.n_unique() == 1:
            return [((table, dataset, ids[0]), ts[ts.arg_min() or 0], ts[ts.arg_max() or 0])]
        spans = part.rows.group_by("instrument").agg(pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last"))
        return [((table, dataset, id), first, last) for id, first, last in spans.iter_rows()]

    def _meets(self, key: tuple[str, str, str], first: datetime, last: datetime) -> bool:
        """True where rows overlap in time with waiting ones of the same instrument: one append takes each row once."""
        return key in self._spans and first <= self._spans[key][1] and last >= self._spans[key][0]

    # storing ---------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Store what waits."""
        waiting, self._waiting, self._spans, self._rows = self._waiting, [], {}, 0
        self._store(waiting)

    def _store(self, files: list[_File]) -> None:
        if not files:
            return
        if not self._dry_run:
            self._hooks.storing([file.report for file in files])
        refused: dict[Path, FieldcastError] = {}
        groups: dict[tuple[str, ...], list[tuple[_File, _Part]]] = {}
        for file in files:
            for place, part in enumerate(file.parts):
                key = (*part.key, str(place), str(file.report.path)) if part.path else part.key
                groups.setdefault(key, []).append((file, part))
        for members in groups.values():
            self._store_group(members, refused)
        whole = [file.report for file in files if file.report.path not in refused]
        if not self._dry_run:
            self._settle([file for file in files if file.report.path not in refused])
        self.done += whole
        self.failures += [Failure(path, str(error), error.exit_code) for path, error in refused.items()]
        if whole and not self._dry_run:
            self._hooks.stored(whole)

    def _settle(self, files: list[_File]) -> None:
        """Judge the opens of daily bars again, over the whole years that the new rows belong to."""
        held: dict[str, dict[str, Instrument]] = {}
        newest: dict[str, datetime] = {}
        for report, part in ((file.report, part) for file in files for part in file.parts if part.table == DAILY):
            described = {instrument.id: instrument for instrument in report.instruments}
            ids = part.read()["instrument"].unique()
            dataset, fetched_at = part.lineage.dataset, part.lineage.fetched_at
            held.setdefault(dataset, {}).update({id: described[id] for id in ids})
            newest[dataset] = max(newest.get(dataset, fetched_at), fetched_at)
        for dataset, instruments in held.items():
            settle_opens(self.store, instruments.values(), dataset, newest[dataset])

    def _store_group(self, members: list[tuple[_File, _Part]], refused: dict[Path, FieldcastError]) -> None:
        """Store parts that fit into one append; where they are refused, those of each file by themselves."""
        try:
            self._append([part for _, part in members])
        except FieldcastError as error:
            if self._halt:
                raise
            if len(members) == 1:
                refused.setdefault(members[0][0].report.path, error)
                return
            for member in members:
                self._store_group([member], refused)

    def _append(self, parts: list[_Part]) -> None:
        rows = pl.concat([part.read() for part in parts])
        lineage = _joined([part.lineage for part in parts])
        table = parts[0].table
        if self._dry_run:
            result = preview(self.store, rows, lineage, table=table)
        else:
            result = self.store.append(rows, lineage, table=table)
        count = TableCount(
            rows.height, result.rows_added, result.rows_restated, result.rows_unchanged + result.rows_superseded
        )
        self.tables[table] = self.tables.get(table, TableCount()) + count


def _single(rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, int]:
    """Rows of several parts with each version once, and how many were taken out.

    Of repeated rows that agree one is kept; where they differ, none can be trusted.
    """
    key = list(table.version_key)
    if not rows.select(key).is_duplicated().any():
        return rows, 0
    agree = pl.struct(table.values).n_unique().over(key) == 1
    first = pl.int_range(pl.len()).over(key) == 0
    kept = rows.filter(first & agree)
    return kept, rows.height - kept.height


def _joined(lineages: list[Lineage]) -> Lineage:
    """One record for rows that are stored together: that of their file, or the digest of their files' records."""
    sources = list(dict.fromkeys(item.source for item in lineages))
    dropped: Counter[str] = Counter()
    for item in lineages:
        dropped.update(item.dropped)
    if len(sources) == 1:
        return replace(lineages[0], dropped=dropped)
    together = hashlib.sha256("\n".join(sources).encode()).hexdigest()
    newest = max(item.fetched_at for item in lineages)
    return replace(lineages[0], fetched_at=newest, dropped=dropped, source=f"{len(sources)} files sha256:{together}")
