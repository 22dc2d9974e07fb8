"""A vendor's file into the store: recognised, read in parts, cleaned, stored; what is not fit is counted and kept aside.

Each part of a file is read, judged and cleaned before its first byte is written. A file that is mostly unfit is refused: its
format, its calendar or its zone was misunderstood. Importing a file again changes nothing, so that an import that was cut short
is completed by running it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcast.data.cleaning import clean_rows
from fieldcast.data.formats import Format, Options, Parsed, Source, format_of, recognise
from fieldcast.data.lineage import Lineage
from fieldcast.data.opens import flag_synthetic_opens
from fieldcast.data.rules import CleaningReport, clean, count_reasons
from fieldcast.data.store import AppendResult, Store
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import DAILY, Instrument, table_of

MOST_UNFIT = 0.5
QUARANTINE: dict[str, pl.DataType] = {
    "table": pl.String(),
    "row": pl.Int64(),  # place in the part of the file, from 0
    "instrument": pl.String(),
    "reason": pl.String(),
    "text": pl.String(),  # the source's text, or the row as it was read
}
_SHOWN = 20  # quarantined rows of each reason that a report holds in words; all are counted


@dataclass(frozen=True)
class TableCount:
    """What became of the rows for one table."""

    rows_read: int = 0
    rows_kept: int = 0
    added: int = 0
    restated: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class SourceReport:
    """What a file held, what was wrong with it, and what was stored.

    Parameters
    ----------
    tables : table → counts; added, restated and unchanged are 0 in a dry run
    removed : reason → rows that went to quarantine or could not be read
    flagged : reason → rows that were kept with this code
    quarantine : schema `QUARANTINE`; the first rows of each reason
    """

    path: Path
    sha256: str
    format: str
    dataset: str
    instruments: tuple[Instrument, ...]
    tables: Mapping[str, TableCount]
    removed: Mapping[Reason, int]
    flagged: Mapping[Reason, int]
    quarantine: pl.DataFrame
    notes: tuple[str, ...]
    dry_run: bool

    @property
    def rows_read(self) -> int:
        return sum(count.rows_read for count in self.tables.values())

    @property
    def rows_kept(self) -> int:
        return sum(count.rows_kept for count in self.tables.values())


def import_source(
    path: Path | str,
    options: Options,
    *,
    store: Store,
    format: str | None = None,
    dataset: str | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> SourceReport:
    """Read, check, clean and store a file.

    Parameters
    ----------
    format : name in `FORMATS`; none = recognised by the file's name and first bytes
    dataset : where the rows belong; none = the format's vendor, the part of its name before the first dash
    dry_run : do everything but store
    progress : told the rows read so far

    Raises
    ------
    InvalidInput : the file, or more than half of its rows, are not what the format says; of the part concerned nothing is stored
    ConflictError : see `Store.append`
    """
    source = Source(path)
    chosen = recognise(source) if format is None else format_of(format)
    dataset = chosen.name.split("-", 1)[0] if dataset is None else dataset
    tally = _Tally(source, chosen, dataset, dry_run)
    for parsed in _in_memory(chosen.read(source, options)):
        kept, report = _cleaned(parsed, options, store, dataset)
        tally.judge(parsed, report)
        result = None
        if not dry_run and not kept.is_empty():
            result = store.append(kept, _lineage(source, chosen, dataset, parsed, report, options), table=parsed.table)
        tally.add(parsed, kept, result)
        progress(tally.rows_read)
    return tally.report()


def _in_memory(parts: Iterator[Parsed]) -> Iterator[Parsed]:
    """The parts as they come; a format that yields none has misread its file."""
    empty = True
    for part in parts:
        empty = False
        yield part
    if empty:
        raise InvalidInput("expected rows in the file, found none")


def _cleaned(parsed: Parsed, options: Options, store: Store, dataset: str) -> tuple[pl.DataFrame, CleaningReport]:
    if parsed.table != DAILY:
        return clean_rows(parsed.rows, table_of(parsed.table), options.now)
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


class _Tally:
    """The counts of one import as its parts come in."""

    def __init__(self, source: Source, format: Format, dataset: str, dry_run: bool) -> None:
        self._source, self._format, self._dataset, self._dry_run = source, format, dataset, dry_run
        self._tables: dict[str, TableCount] = {}
        self._removed: Counter[Reason] = Counter()
        self._flagged: Counter[Reason] = Counter()
        self._instruments: dict[str, Instrument] = {}
        self._quarantine = [pl.DataFrame(schema=QUARANTINE)]
        self._notes: dict[str, None] = {}
        self.rows_read = 0

    def judge(self, parsed: Parsed, report: CleaningReport) -> None:
        """Refuse a part that is mostly unfit, before anything of it is stored."""
        read = parsed.rows.height + parsed.rejects.height
        unfit = read - report.rows_out
        if read == 0 or unfit > MOST_UNFIT * read:
            removed = Counter(report.removed)
            removed.update(Reason(code) for code in parsed.rejects["reason"])  # type: ignore[call-arg]
            counts = ", ".join(f"{reason} {count}" for reason, count in removed.items()) or "no rows at all"
            raise InvalidInput(
                f"expected most rows of {self._source.name} to be {parsed.table} as {self._format.name} has them, found "
                f"{unfit} of {read} unfit ({counts}); check format, calendar and zone"
            )
        self._removed.update(report.removed)
        self._removed.update(Reason(code) for code in parsed.rejects["reason"])  # type: ignore[call-arg]
        self._flagged.update(report.flagged)
        self._quarantine += [
            parsed.rejects.select(
                pl.lit(parsed.table).alias("table"), "row", pl.lit(None, dtype=pl.String).alias("instrument"), "reason", "text"
            ),
            _described(report.quarantine, parsed.table),
        ]

    def add(self, parsed: Parsed, kept: pl.DataFrame, result: AppendResult | None) -> None:
        """Count a part."""
        read = parsed.rows.height + parsed.rejects.height
        self.rows_read += read
        old = self._tables.get(parsed.table, TableCount())
        self._tables[parsed.table] = TableCount(
            old.rows_read + read,
            old.rows_kept + kept.height,
            old.added + (result.rows_added if result else 0),
            old.restated + (result.rows_restated if result else 0),
            old.unchanged + (result.rows_unchanged + result.rows_superseded if result else 0),
        )
        self._instruments |= {instrument.id: instrument for instrument in parsed.instruments}
        self._notes |= dict.fromkeys(parsed.notes)

    def report(self) -> SourceReport:
        shown = pl.concat(self._quarantine).filter(pl.int_range(pl.len()).over("table", "reason") < _SHOWN)
        return SourceReport(
            path=self._source.path,
            sha256=self._source.sha256,
            format=self._format.name,
            dataset=self._dataset,
            instruments=tuple(self._instruments.values()),
            tables=self._tables,
            removed=dict(self._removed),
            flagged=dict(self._flagged),
            quarantine=shown,
            notes=tuple(self._notes),
            dry_run=self._dry_run,
        )


def _described(quarantine: pl.DataFrame, table: str) -> pl.DataFrame:
    """Removed rows in the schema of `QUARANTINE`, their values as text."""
    if quarantine.is_empty():
        return pl.DataFrame(schema=QUARANTINE)
    values = [name for name in table_of(table).schema if name not in ("instrument", "available_at", "reasons")]
    shown = (pl.col(name).cast(pl.String).fill_null("") for name in values)
    text = pl.format(", ".join(f"{name}={{}}" for name in values), *shown)
    return quarantine.select(
        pl.lit(table).alias("table"), pl.col("row").cast(pl.Int64), "instrument", "reason", text.str.slice(0, 200).alias("text")
    )
