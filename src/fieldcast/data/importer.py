"""A user's own CSV or Parquet file of daily bars, into the store.

Everything is read, judged and cleaned before the first byte is written; then one append stores it, or nothing is
stored. What is not fit goes to quarantine and is counted; a file that is mostly unfit is refused, because then the
calendar, the columns or the dates were misunderstood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcast.data._reading import as_number, match_columns, read_table
from fieldcast.data._stamps import session_dates
from fieldcast.data.gaps import GapReport, gap_report
from fieldcast.data.lineage import Adjustment, Lineage
from fieldcast.data.opens import flag_synthetic_opens
from fieldcast.data.quality import QualityReport, quality
from fieldcast.data.rules import CleaningReport, clean, count_reasons
from fieldcast.data.store import AppendResult, Store
from fieldcast.ground import Clock, InvalidInput, MissingData, Reason, SystemClock
from fieldcast.market import BARS, DECISION_DELAY, Instrument, add_reason, sessions

DATASET = "files"
MOST_QUARANTINED = 0.5
_NUMBERS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class ImportReport:
    """What was read, what was wrong with it, and what was stored.

    Parameters
    ----------
    columns : our column → the file's
    unsorted : rows that stood before an earlier one; they were sorted
    removed : reason → rows that went to quarantine
    flagged : reason → rows that were kept with this code
    quarantine : those rows, with `row` (place in the file, from 0) and `reason`
    result : what the append did; none for a dry run
    """

    instrument: Instrument
    path: Path
    sha256: str
    columns: Mapping[str, str]
    rows_read: int
    rows_kept: int
    unsorted: int
    removed: Mapping[Reason, int]
    flagged: Mapping[Reason, int]
    quarantine: pl.DataFrame
    gaps: GapReport
    quality: QualityReport
    lineage: Lineage
    result: AppendResult | None


def import_file(
    path: Path | str,
    instrument: Instrument,
    *,
    store: Store,
    columns: Mapping[str, str] | None = None,
    adjustment: Adjustment = "raw",
    dataset: str = DATASET,
    date_format: str | None = None,
    clock: Clock | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Read, check, clean and store a file of daily bars of one instrument.

    Parameters
    ----------
    path : CSV or Parquet, either of them gzipped or not
    columns : our name (ts, open, high, low, close, volume) → the file's, where it is not a usual one
    adjustment : `raw`, or `adjusted_only` where the prices are back-adjusted and raw ones are not to be had
    date_format : strptime format, where dates could be read in two ways
    clock : says what is in the future; none = the machine's
    dry_run : do everything but store

    Raises
    ------
    InvalidInput : the file, its columns, its times, or more than half of its rows are not fit; nothing was stored
    ConflictError : see `Store.append`; nothing was stored
    """
    if instrument.simulated:
        raise InvalidInput(f"expected an instrument of a real market, found {instrument.id}, a simulated one")
    path = Path(path)
    now = (clock or SystemClock()).now()
    table, sha256 = read_table(path)
    names = match_columns(table.columns, columns, path.name)
    rows, unsorted = _rows(table, names, instrument, date_format, path.name)
    kept, report = clean(rows, instrument, now)
    _refuse_unfit(report, instrument, path.name)
    kept = flag_synthetic_opens(kept, instrument.calendar, _history(store, instrument, dataset))
    lineage = Lineage(
        provider="file",
        dataset=dataset,
        fetched_at=now,
        adjustment=adjustment,
        source=f"{path.name} sha256:{sha256}",
        dropped={str(reason): count for reason, count in report.removed.items()},
    )
    return ImportReport(
        instrument=instrument,
        path=path,
        sha256=sha256,
        columns=names,
        rows_read=table.height,
        rows_kept=kept.height,
        unsorted=unsorted,
        removed=report.removed,
        flagged=count_reasons(kept),
        quarantine=report.quarantine,
        gaps=gap_report(kept, instrument),
        quality=quality(kept, instrument, kept["ts"][-1] + DECISION_DELAY),
        lineage=lineage,
        result=None if dry_run else store.append(kept, lineage),
    )


def _rows(
    table: pl.DataFrame, names: Mapping[str, str], instrument: Instrument, date_format: str | None, file: str
) -> tuple[pl.DataFrame, int]:
    """The file's rows in the schema of bars, in its order, and how many stand before an earlier one."""
    day = session_dates(table[names["ts"]], instrument.calendar, date_format, file)
    numbers = {
        name: as_number(table[names[name]]) if name in names else pl.Series([None] * table.height, dtype=pl.Float64)
        for name in _NUMBERS
    }
    volume = numbers["volume"].fill_nan(None)
    if volume.drop_nulls().is_empty() or (volume.drop_nulls() == 0).all():
        numbers["volume"] = pl.Series([None] * table.height, dtype=pl.Float64)
    closes = sessions(instrument.calendar).select("session", session_close="close")
    noon = pl.col("session").cast(BARS["ts"]) + pl.duration(hours=12)  # a day without a session keeps its date
    rows = (
        pl.DataFrame({"session": day, **numbers})
        .join(closes, on="session", how="left", maintain_order="left")
        .with_columns(
            instrument=pl.lit(instrument.id),
            ts=pl.coalesce("session_close", noon),
            reasons=pl.lit(None, dtype=pl.String),
        )
        .with_columns(available_at="ts")
        .select(pl.col(name).cast(dtype) for name, dtype in BARS.items())
    )
    if "open" not in names:
        rows = rows.with_columns(add_reason(Reason.CLOSE_ONLY, pl.lit(value=True)))
    return rows, int((rows["ts"].drop_nulls().diff().dt.total_microseconds() < 0).sum())


def _refuse_unfit(report: CleaningReport, instrument: Instrument, file: str) -> None:
    if report.rows_out and report.rows_in - report.rows_out <= MOST_QUARANTINED * report.rows_in:
        return
    counts = ", ".join(f"{reason} {count}" for reason, count in report.removed.items())
    raise InvalidInput(
        f"expected most rows of {file} to be daily bars of {instrument.id} on {instrument.calendar}, found "
        f"{report.rows_in - report.rows_out} of {report.rows_in} unfit ({counts}); check calendar, columns and dates"
    )


def _history(store: Store, instrument: Instrument, dataset: str) -> pl.DataFrame | None:
    try:
        return store.read(instrument.id, dataset=dataset)
    except MissingData:
        return None
