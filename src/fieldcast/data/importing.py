"""Vendors' files into the store: recognised, read in parts, cleaned, stored; what is not fit is counted and kept aside.

A file is read, judged and cleaned before its first byte is written; a file that is mostly unfit is refused, because then its
format, its calendar or its zone was misunderstood. Small files are stored together, about two million rows at a time, because
each append rewrites the years that it touches; a file larger than that is stored in parts. Importing a file again changes
nothing, so that an import that was cut short is completed by running it again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl

from fieldcast.data._tally import Failure, ImportReport, SourceReport, TableCount, Tally, refuse_unfit
from fieldcast.data.cleaning import clean_rows
from fieldcast.data.formats import Format, Options, Parsed, Source, format_of, recognise
from fieldcast.data.lineage import Lineage
from fieldcast.data.opens import flag_synthetic_opens
from fieldcast.data.rules import CleaningReport, clean, count_reasons
from fieldcast.data.store import Store
from fieldcast.ground import FieldcastError, InvalidInput, MissingData, Reason
from fieldcast.market import DAILY, Instrument, table_of

BATCH_ROWS = 2_000_000
Progress = Callable[[Path, int], None]
Describe = Callable[[tuple[Instrument, ...]], tuple[Instrument, ...]]


def import_source(
    path: Path | str,
    options: Options,
    *,
    store: Store,
    format: str | None = None,
    dataset: str | None = None,
    dry_run: bool = False,
) -> SourceReport:
    """Read, check, clean and store one file; see `import_sources`.

    Raises
    ------
    InvalidInput : the file, or more than half of its rows, are not what the format says; nothing of the part concerned is stored
    ConflictError : see `Store.append`
    """
    report = import_sources([(Path(path), options)], store=store, format=format, dataset=dataset, dry_run=dry_run, halt=True)
    return replace(report.files[0], tables=report.tables)


def import_sources(
    files: Iterable[tuple[Path, Options]],
    *,
    store: Store,
    format: str | None = None,
    dataset: str | None = None,
    dry_run: bool = False,
    halt: bool = False,
    batch_rows: int = BATCH_ROWS,
    progress: Progress = lambda path, rows: None,
    describe: Describe = lambda instruments: instruments,
    stored: Callable[[list[SourceReport]], None] = lambda reports: None,
) -> ImportReport:
    """Read, check, clean and store files.

    Parameters
    ----------
    format : name in `FORMATS`; none = each file is recognised by its name and first bytes
    dataset : where the rows belong; none = `Format.home`
    dry_run : do everything but store
    halt : raise at the first file that cannot be imported; otherwise it is reported and the others go on
    progress : told each file and the rows read so far
    describe : instruments as a file describes them → as they are known; see `catalogue.settled`
    stored : told the reports of the files whose last row has reached the store

    Raises
    ------
    ConflictError : another process is writing, or (with `halt`) see `Store.append`
    """
    batch = _Batch(store, dry_run, batch_rows, stored)
    done: list[SourceReport] = []
    failures: list[Failure] = []
    rows = 0
    for path, options in files:
        try:
            report = _import_one(Source(path), options, batch, format, dataset, describe, judge=halt)
        except FieldcastError as error:
            batch.drop()
            if halt:
                raise
            failures.append(Failure(path, str(error), error.exit_code))
            continue
        done.append(report)
        rows += report.rows_read
        progress(path, rows)
    batch.flush()
    return ImportReport(tuple(done), tuple(failures), batch.tables, dry_run)


def _import_one(
    source: Source,
    options: Options,
    batch: _Batch,
    format: str | None,
    dataset: str | None,
    describe: Describe,
    *,
    judge: bool,
) -> SourceReport:
    chosen = recognise(source) if format is None else format_of(format)
    dataset = chosen.home if dataset is None else dataset
    tally = Tally(source, chosen.name, dataset)
    for part in _some(chosen.read(source, options), source):
        parsed = replace(part, instruments=describe(part.instruments))
        kept, report = _cleaned(parsed, options, batch.store, dataset)
        refuse_unfit(source.name, chosen.name, parsed, report)
        tally.add(parsed, report)
        if judge:
            tally.judge(parsed, kept)
        batch.add(parsed.table, kept, _lineage(source, chosen, dataset, parsed, report, options))
    finished = tally.report()
    batch.finish(finished)
    return finished


def _some(parts: Iterator[Parsed], source: Source) -> Iterator[Parsed]:
    """The parts as they come; a reader that yields none has nothing to say about the file."""
    empty = True
    for part in parts:
        empty = False
        yield part
    if empty:
        raise InvalidInput(f"expected rows in {source.name}, found none")


def _cleaned(parsed: Parsed, options: Options, store: Store, dataset: str) -> tuple[pl.DataFrame, CleaningReport]:
    if parsed.table != DAILY:
        return clean_rows(parsed.rows, table_of(parsed.table), options.now, parsed.instruments)
    described = {instrument.id: instrument for instrument in parsed.instruments}
    kept, reports = [table_of(DAILY).empty()], []
    for (id,), rows in parsed.rows.group_by(["instrument"], maintain_order=True):
        instrument = described[str(id)]
        sound, report = clean(rows, instrument, options.now)
        kept.append(flag_synthetic_opens(sound, instrument.calendar, _history(store, instrument.id, dataset)))
        reports.append(report)
    removed: Counter[Reason] = Counter()
    for report in reports:
        removed.update(report.removed)
    whole = pl.concat(kept)
    quarantine = pl.concat([report.quarantine for report in reports]) if reports else pl.DataFrame()
    return whole, CleaningReport(parsed.rows.height, whole.height, removed, count_reasons(whole), quarantine)


def _history(store: Store, instrument: str, dataset: str) -> pl.DataFrame | None:
    try:
        return store.read(instrument, dataset=dataset)
    except MissingData:
        return None


def _lineage(
    source: Source, format: Format, dataset: str, parsed: Parsed, report: CleaningReport, options: Options
) -> Lineage:
    dropped = Counter({str(reason): count for reason, count in report.removed.items()})
    dropped.update(parsed.rejects["reason"].to_list())
    return Lineage(
        provider=format.name,
        dataset=dataset,
        fetched_at=options.now,
        adjustment=parsed.adjustment,
        available_at=parsed.available_at,
        source=f"{source.name} sha256:{source.sha256}",
        dropped=dropped,
    )


class _Batch:
    """Rows that wait to be stored, those of a file that is not read to its end apart from the others."""

    def __init__(
        self, store: Store, dry_run: bool, batch_rows: int, stored: Callable[[list[SourceReport]], None]
    ) -> None:
        self.store = store
        self.tables: dict[str, TableCount] = {}
        self._dry_run, self._batch_rows, self._stored = dry_run, batch_rows, stored
        self._waiting: list[tuple[str, pl.DataFrame, Lineage]] = []   # of whole files
        self._unfinished: list[tuple[str, pl.DataFrame, Lineage]] = []  # of the file being read
        self._spans: dict[tuple[str, str, str], datetime] = {}        # (table, dataset, instrument) → newest ts that waits
        self._whole: list[SourceReport] = []

    def add(self, table: str, rows: pl.DataFrame, lineage: Lineage) -> None:
        """Rows of the file being read; where they alone fill a batch, they are stored at once."""
        self._unfinished.append((table, rows, lineage))
        if sum(frame.height for _, frame, _ in self._unfinished) >= self._batch_rows:
            self.flush()
            self._append(self._unfinished)
            self._unfinished = []

    def drop(self) -> None:
        """Forget what a file that turned out unfit has left."""
        self._unfinished = []

    def finish(self, report: SourceReport) -> None:
        """The file being read is whole: its rows wait with the others'."""
        if any(self._meets(table, rows, lineage) for table, rows, lineage in self._unfinished):
            self.flush()
        for table, rows, lineage in self._unfinished:
            newest = rows.group_by("instrument").agg(pl.col("ts").max())
            for instrument, ts in newest.iter_rows():
                self._spans[table, lineage.dataset, instrument] = ts
        self._waiting += self._unfinished
        self._unfinished = []
        self._whole.append(report)
        if sum(frame.height for _, frame, _ in self._waiting) >= self._batch_rows:
            self.flush()

    def _meets(self, table: str, rows: pl.DataFrame, lineage: Lineage) -> bool:
        """True where rows overlap in time with waiting ones of the same instrument: one append takes each row once."""
        oldest = rows.group_by("instrument").agg(pl.col("ts").min())
        return any(
            (newest := self._spans.get((table, lineage.dataset, instrument))) is not None and ts <= newest
            for instrument, ts in oldest.iter_rows()
        )

    def flush(self) -> None:
        """Store what waits, and say which files are in the store now."""
        self._append(self._waiting)
        self._waiting, self._spans = [], {}
        whole, self._whole = self._whole, []
        if whole and not self._dry_run:
            self._stored(whole)

    def _append(self, parts: list[tuple[str, pl.DataFrame, Lineage]]) -> None:
        groups: dict[tuple[str, ...], list[tuple[pl.DataFrame, Lineage]]] = {}
        for table, rows, lineage in parts:
            if not rows.is_empty():
                key = (table, lineage.dataset, lineage.provider, lineage.adjustment, lineage.available_at)
                groups.setdefault(key, []).append((rows, lineage))
        for (table, *_), members in groups.items():
            rows = pl.concat([rows for rows, _ in members])
            count = TableCount(rows_kept=rows.height)
            if not self._dry_run:
                result = self.store.append(rows, _joined([lineage for _, lineage in members]), table=table)
                unchanged = result.rows_unchanged + result.rows_superseded
                count = replace(count, added=result.rows_added, restated=result.rows_restated, unchanged=unchanged)
            self.tables[table] = self.tables.get(table, TableCount()) + count


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
