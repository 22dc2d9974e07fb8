"""What an import has to say for itself: counts by table and by reason, and the first rows of each reason in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from fieldcast.data.formats import Parsed, Source
from fieldcast.data.gaps import GapReport, gap_report
from fieldcast.data.quality import QualityReport, quality
from fieldcast.data.rules import CleaningReport
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import DAILY, DECISION_DELAY, Instrument, table_of

MOST_UNFIT = 0.5
QUARANTINE: dict[str, pl.DataType] = {
    "table": pl.String(),
    "row": pl.Int64(),  # place in the part of the file, from 0
    "instrument": pl.String(),
    "reason": pl.String(),
    "text": pl.String(),  # the source's text, or the row as it was read
}
_SHOWN = 20  # rows of each reason that a report holds; all are counted


@dataclass(frozen=True)
class TableCount:
    """What became of the rows for one table; in a dry run, what would."""

    rows_kept: int = 0
    added: int = 0
    restated: int = 0
    unchanged: int = 0

    def __add__(self, other: TableCount) -> TableCount:
        return TableCount(
            self.rows_kept + other.rows_kept,
            self.added + other.added,
            self.restated + other.restated,
            self.unchanged + other.unchanged,
        )


@dataclass(frozen=True)
class SourceReport:
    """What a file held, and what was wrong with it.

    Parameters
    ----------
    tables : table → counts; of a file that was stored together with others, the rows kept alone
    removed : reason → rows that went to quarantine or could not be read
    flagged : reason → rows that were kept with this code
    quarantine : schema `QUARANTINE`; the first 20 rows of each reason
    quality, gaps : of the daily bars of one instrument, where the file was imported alone; at its newest row
    """

    path: Path
    sha256: str
    format: str
    dataset: str
    instruments: tuple[Instrument, ...]
    rows_read: int
    rows_kept: int
    tables: Mapping[str, TableCount]
    removed: Mapping[Reason, int]
    flagged: Mapping[Reason, int]
    quarantine: pl.DataFrame
    notes: tuple[str, ...]
    quality: QualityReport | None = None
    gaps: GapReport | None = None


@dataclass(frozen=True)
class Failure:
    """A file that was not imported, and why; `exit_code` is that of its error."""

    path: Path
    message: str
    exit_code: int


@dataclass(frozen=True)
class ImportReport:
    """Every file of an import, and the counts of all of them by table."""

    files: tuple[SourceReport, ...]
    failures: tuple[Failure, ...]
    tables: Mapping[str, TableCount]
    dry_run: bool


def refuse_unfit(report: SourceReport) -> None:
    """Refuse a file that is mostly unfit.

    Raises
    ------
    InvalidInput : more than half of its rows are unreadable or were removed, or there are none and its reader does not say why
    """
    unfit = report.rows_read - report.rows_kept
    if report.rows_read and unfit <= MOST_UNFIT * report.rows_read:
        return
    if not report.rows_read and report.notes:
        return
    counts = ", ".join(f"{reason} {count}" for reason, count in report.removed.items()) or "no rows at all"
    raise InvalidInput(
        f"expected most rows of {report.path.name} to be {', '.join(report.tables)} as {report.format} has them, "
        f"found {unfit} of {report.rows_read} unfit ({counts}); check format, calendar and zone"
    )


def _removed(parsed: Parsed, report: CleaningReport) -> Counter[Reason]:
    removed = Counter(report.removed)
    removed.update(Reason(code) for code in parsed.rejects["reason"])  # type: ignore[call-arg]
    return removed


class Tally:
    """The counts of one file as its parts come in."""

    def __init__(self, source: Source, format: str, dataset: str) -> None:
        self._source, self._format, self._dataset = source, format, dataset
        self._tables: dict[str, TableCount] = {}
        self._removed: Counter[Reason] = Counter()
        self._flagged: Counter[Reason] = Counter()
        self._instruments: dict[str, Instrument] = {}
        self._quarantine = pl.DataFrame(schema=QUARANTINE)
        self._notes: dict[str, None] = {}
        self._rows_read = 0
        self._daily: list[pl.DataFrame] = []

    def judge(self, parsed: Parsed, kept: pl.DataFrame) -> None:
        """Keep daily bars for a look at their quality when the file is read."""
        if parsed.table == DAILY:
            self._daily.append(kept)

    def add(self, parsed: Parsed, report: CleaningReport) -> None:
        """Count a part."""
        self._rows_read += parsed.rows.height + parsed.rejects.height
        self._tables[parsed.table] = self._tables.get(parsed.table, TableCount()) + TableCount(report.rows_out)
        self._removed.update(_removed(parsed, report))
        self._flagged.update(report.flagged)
        self._instruments |= {instrument.id: instrument for instrument in parsed.instruments}
        self._notes |= dict.fromkeys(parsed.notes)
        if parsed.rejects.is_empty() and report.quarantine.is_empty():
            return
        unread = parsed.rejects.select(
            pl.lit(parsed.table).alias("table"), "row", pl.lit(None, dtype=pl.String).alias("instrument"), "reason", "text"
        )
        found = pl.concat([self._quarantine, unread, _described(report.quarantine, parsed.table)])
        self._quarantine = found.filter(pl.int_range(pl.len()).over("table", "reason") < _SHOWN)

    def report(self, repeated: Mapping[Reason, int]) -> SourceReport:
        """What was found; `repeated` : rows that one part of the file repeats of another."""
        self._removed.update(repeated)
        score = holes = None
        if self._daily and len(self._instruments) == 1 and (bars := pl.concat(self._daily)).height:
            (instrument,) = self._instruments.values()
            newest: datetime = bars["ts"][bars["ts"].arg_max() or 0]
            score = quality(bars, instrument, newest + DECISION_DELAY)
            holes = gap_report(bars, instrument)
        return SourceReport(
            path=self._source.path,
            sha256=self._source.sha256,
            format=self._format,
            dataset=self._dataset,
            instruments=tuple(self._instruments.values()),
            rows_read=self._rows_read,
            rows_kept=sum(count.rows_kept for count in self._tables.values()) - sum(repeated.values()),
            tables=self._tables,
            removed=dict(self._removed),
            flagged=dict(self._flagged),
            quarantine=self._quarantine,
            notes=tuple(self._notes),
            quality=score,
            gaps=holes,
        )


def _described(quarantine: pl.DataFrame, table: str) -> pl.DataFrame:
    """Removed rows in the schema of `QUARANTINE`, their values as text."""
    if quarantine.is_empty():
        return pl.DataFrame(schema=QUARANTINE)
    values = [name for name in table_of(table).schema if name not in ("instrument", "available_at", "reasons")]
    shown = (pl.col(name).cast(pl.String).fill_null("") for name in values)
    text = pl.format(", ".join(f"{name}={{}}" for name in values), *shown)
    first = quarantine.filter(pl.int_range(pl.len()).over("reason") < _SHOWN).rechunk()  # polars' format panics on uneven chunks
    return first.select(
        pl.lit(table).alias("table"), pl.col("row").cast(pl.Int64), "instrument", "reason", text.str.slice(0, 200).alias("text")
    )
