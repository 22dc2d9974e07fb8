"""Vendors' files into the store: recognised, read in parts, cleaned, stored; what is not fit is counted and kept aside.

A file is read to its end, judged and cleaned before its first row is stored; one that is mostly unfit is refused whole, because
then its format, its calendar or its zone was misunderstood. Small files are stored together, about two million rows at a time,
because each append rewrites the years that it touches; of a larger one the parts wait on the disk. Importing a file again changes
nothing, so that an import that was cut short is completed by running it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from fieldcast.data._batch import Batch, Hooks
from fieldcast.data._tally import Failure, ImportReport, SourceReport, Tally, refuse_unfit
from fieldcast.data.cleaning import clean_rows
from fieldcast.data.formats import Format, Options, Parsed, Source, format_of, recognise
from fieldcast.data.formats.lean_maps import look_again
from fieldcast.data.lineage import Lineage
from fieldcast.data.opens import FEWEST, flag_synthetic_opens
from fieldcast.data.proven_steps import overruled_steps, with_proven_steps
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
    InvalidInput : the file, or more than half of its rows, are not what the format says; nothing was stored
    ConflictError : see `Store.append`
    """
    report = import_sources([(Path(path), options)], store=store, format=format, dataset=dataset, dry_run=dry_run, halt=True)
    return replace(report.files[0], tables=report.tables)


def import_sources(
    files: Iterable[tuple[Path, Options | Callable[[], Options]]],
    *,
    store: Store,
    format: str | None = None,
    dataset: str | None = None,
    dry_run: bool = False,
    halt: bool = False,
    batch_rows: int = BATCH_ROWS,
    progress: Progress = lambda path, rows: None,
    describe: Describe = lambda instruments: instruments,
    storing: Callable[[list[SourceReport]], None] = lambda reports: None,
    stored: Callable[[list[SourceReport]], None] = lambda reports: None,
) -> ImportReport:
    """Read, check, clean and store files.

    Parameters
    ----------
    files : each with what was said about it, or with how that is found out (an error there concerns that file alone)
    format : name in `FORMATS`; none = each file is recognised by its name and first bytes
    dataset : where the rows belong; none = `Format.home`
    dry_run : do everything but store; the counts are those that storing would give
    halt : raise at the first file that cannot be imported; otherwise it is reported and the others go on
    progress : told each file and the rows read so far
    describe : instruments as a file describes them → as they are known; see `catalogue.settled`
    storing : told the reports of files whose rows are about to be stored
    stored : told the reports of the files whose last row has reached the store

    Raises
    ------
    FieldcastError : with `halt`, what is wrong with the first file
    """
    look_again()
    batch = Batch(store, batch_rows, Hooks(storing, stored), dry_run=dry_run, halt=halt)
    failures: list[Failure] = []
    rows = 0
    for path, options in files:
        try:
            said = options() if callable(options) else options
            rows += _read_one(Source(path), said, batch, format, dataset, describe, judge=halt)
        except FieldcastError as error:
            batch.drop()
            if halt:
                raise
            failures.append(Failure(path, str(error), error.exit_code))
        progress(path, rows)
    batch.flush()
    return ImportReport(tuple(batch.done), (*failures, *batch.failures), batch.tables, dry_run)


def _read_one(
    source: Source,
    options: Options,
    batch: Batch,
    format: str | None,
    dataset: str | None,
    describe: Describe,
    *,
    judge: bool,
) -> int:
    """Read a file to its end into the batch; the rows read."""
    chosen = recognise(source) if format is None else format_of(format)
    dataset = chosen.home if dataset is None else dataset
    tally = Tally(source, chosen.name, dataset)
    for part in _some(chosen.read(source, options), source):
        found = with_proven_steps(part.instruments, part.rows)
        known = describe(found)
        notes = overruled_steps(found, known, told=None if options.instrument is None else options.instrument.tick)
        parsed = replace(part, instruments=known, notes=(*part.notes, *notes))
        kept, report = _cleaned(parsed, options, batch.store, dataset)
        tally.add(parsed, report)
        if judge:
            tally.judge(parsed, kept)
        batch.add(parsed.table, kept, _lineage(source, chosen, dataset, parsed, report, options))
    repeated = batch.without_repeats()
    finished = tally.report(repeated)
    refuse_unfit(finished)
    batch.finish(finished)
    return finished.rows_read


def _some(parts: Iterator[Parsed], source: Source) -> Iterator[Parsed]:
    """The parts as they come; a reader that yields none has nothing to say about the file."""
    empty = True
    for part in parts:
        empty = False
        yield part
    if empty:
        raise InvalidInput(f"expected rows in {source.name}, found none")


def _cleaned(parsed: Parsed, options: Options, store: Store, dataset: str) -> tuple[pl.DataFrame, CleaningReport]:
    described = {instrument.id: instrument for instrument in parsed.instruments}
    if parsed.table != DAILY:
        return clean_rows(parsed.rows, table_of(parsed.table), options.now, parsed.instruments)
    kept, reports = [table_of(DAILY).empty()], []
    for id, rows in _by_instrument(parsed.rows):
        instrument = described[id]
        sound, report = clean(rows, instrument, options.now)
        history = _history(store, instrument.id, dataset)
        if sound.height + (0 if history is None else history.height) >= FEWEST:  # else no year can be judged
            sound = flag_synthetic_opens(sound, instrument.calendar, history)
        kept.append(sound)
        reports.append(report)
    removed: Counter[Reason] = Counter()
    for report in reports:
        removed.update(report.removed)
    whole = pl.concat(kept)
    quarantine = pl.concat([report.quarantine for report in reports]) if reports else pl.DataFrame()
    return whole, CleaningReport(parsed.rows.height, whole.height, removed, count_reasons(whole), quarantine)


def _by_instrument(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of each instrument, in the order in which they come; most files are of one."""
    if rows["instrument"].n_unique() == 1:
        yield str(rows["instrument"][0]), rows
        return
    for (id,), own in rows.group_by(["instrument"], maintain_order=True):
        yield str(id), own


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
