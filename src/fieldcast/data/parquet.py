"""The store in Parquet files, in a folder or on S3, and an index in the ledger that says which of them count.

An append becomes visible in one ledger transaction. Until then readers see the old files; after it the superseded ones
are removed. Readers take no lock: one that meets a file which was replaced a moment ago looks into the index again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import reduce
from operator import and_
from pathlib import Path

import polars as pl

from fieldcast.data import _verify
from fieldcast.data._content import content_sha256
from fieldcast.data._footer import StoredFile, micros
from fieldcast.data._index import Entry, Index
from fieldcast.data._merge import known_at
from fieldcast.data._objects import files_at
from fieldcast.data._scan import read_rows
from fieldcast.data._writer import Writer
from fieldcast.data.lineage import Lineage
from fieldcast.data.store import (
    DATASETS,
    AppendResult,
    CompactReport,
    RebuildReport,
    VerifyReport,
    choose_dataset,
    chosen,
    named,
    refuse_unknown_columns,
)
from fieldcast.ground import Clock, ConflictError, IntegrityError, SystemClock, utc
from fieldcast.ledger import Database
from fieldcast.market import DAILY, STAMP, Layout, Table, table_of

_ATTEMPTS = 50  # a reader meets at most one replacement of its files for each append that runs meanwhile
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.002, 0.05
_LAST_YEAR = 9998  # later rows are refused, so that the end of a day can always be named


class ParquetStore:
    """Rows of every table in files, indexed in the ledger; see `Store` for the contract.

    Parameters
    ----------
    place : folder of the files, made when first written; or `s3://bucket/prefix` (needs the extra `s3`)
    db : the ledger that holds the index
    clock : stamps `written_at`

    Raises
    ------
    ConfigError : the address is not understood, or obstore is not installed
    """

    def __init__(self, place: Path | str, db: Database, clock: Clock | None = None) -> None:
        self._files = files_at(place)
        self.data_dir = Path(place) if "://" not in str(place) else Path()
        self._db = db
        self._clock = clock or SystemClock()
        self._index = Index(db)
        self._writer = Writer(self._files, self._index, db, self._clock)

    def index(self) -> dict[str, StoredFile]:
        """Every file that counts, by its path relative to the store's root."""
        return self._index.everything()

    # writing --------------------------------------------------------------------------------------------------------

    def append(self, rows: pl.DataFrame, lineage: Lineage, *, table: str = DAILY) -> AppendResult:
        return self._writer.append(rows, lineage, table_of(table))

    def compact(self) -> CompactReport:
        return self._writer.compact()

    # reading --------------------------------------------------------------------------------------------------------

    def read(
        self,
        instrument: str,
        *,
        table: str = DAILY,
        as_of: datetime | None = None,
        first: date | None = None,
        last: date | None = None,
        known_from: datetime | None = None,
        dataset: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        kind = table_of(table)
        refuse_unknown_columns(columns, table)
        low = None if first is None else _midnight(_first_day(first))
        day = None if last is None else _last_day(last)
        high = None if day is None or day.year > _LAST_YEAR else _midnight(day) + timedelta(days=1) - timedelta(microseconds=1)

        def find() -> list[Entry]:
            return _overlapping(self._entries(instrument, table, dataset), low, high)

        where = [] if kind.layout is Layout.INTRADAY else [pl.col("instrument") == instrument]
        if known_from is not None:
            where.append(pl.col("available_at") >= utc(known_from))
        rows = self._rows(find, kind, where, low, high, columns)
        return chosen(known_at(rows, as_of, kind), columns, table)

    def cross_section(
        self,
        first: datetime,
        last: datetime,
        *,
        table: str = DAILY,
        as_of: datetime | None = None,
        dataset: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        kind = table_of(table)
        refuse_unknown_columns(columns, table)
        low, high = utc(first), utc(last)

        def find() -> list[Entry]:
            entries = self._index.of_table(table)
            one = choose_dataset(table, sorted({entry.unit.dataset for entry in entries}), dataset)
            return _overlapping([entry for entry in entries if entry.unit.dataset == one], low, high)

        return chosen(known_at(self._rows(find, kind, [], low, high, columns), as_of, kind), columns, table)

    def _entries(self, instrument: str, table: str, dataset: str | None) -> list[Entry]:
        """The files that hold the instrument, oldest rows first; one dataset."""
        table_of(table)
        entries = self._index.of_instrument(table, instrument)
        one = choose_dataset(named(instrument, table), sorted({entry.unit.dataset for entry in entries}), dataset)
        return [entry for entry in entries if entry.unit.dataset == one]

    def _rows(
        self,
        find: Callable[[], list[Entry]],
        kind: Table,
        where: Sequence[pl.Expr],
        low: datetime | None,
        high: datetime | None,
        columns: Sequence[str] | None,
    ) -> pl.DataFrame:
        """Rows of the files that `find` names, of a span of time; found again where a writer replaced them meanwhile."""
        wanted = None if columns is None else list(dict.fromkeys((*kind.version_key, *columns)))
        attempt = 1
        while True:
            entries = find()
            paths = [entry.path for entry in entries]
            conditions = [*where, *_within(entries, low, high)]
            try:
                return read_rows(self._files, paths, kind, reduce(and_, conditions) if conditions else None, wanted)
            except FileNotFoundError:
                gone = [path for path in paths if not self._files.exists(path)]
                # a writer removes a file after it left the index, and puts one there before it enters it
                lost = sorted(path for path in self._index.known(gone) if not self._files.exists(path))
                if lost:
                    raise IntegrityError(
                        f"expected the files that the index names, found none at {', '.join(lost)}; restore them from a backup"
                    ) from None
                if attempt == _ATTEMPTS:
                    raise ConflictError(
                        f"expected {kind.name} to stand still for a moment, found it being rewritten at each of {_ATTEMPTS} "
                        "attempts; try again"
                    ) from None
                time.sleep(min(_PAUSE_SECONDS * attempt, _LONGEST_PAUSE_SECONDS))
                attempt += 1

    def lineage(self, instrument: str, *, table: str = DAILY, dataset: str | None = None) -> tuple[Lineage, ...]:
        entries = self._entries(instrument, table, dataset)
        ids = list(dict.fromkeys(id for entry in entries if entry.span for id in entry.span.deliveries))
        known = self._index.lineages(ids)
        return tuple(sorted((known[id] for id in ids), key=lambda item: item.fetched_at))

    def datasets(self) -> pl.DataFrame:
        spans = self._index.spans()
        lineages = self._index.lineages({id for text in {span[7] for span in spans} for id in text.split(",")})
        providers = {text: [lineages[id].provider for id in text.split(",")] for text in {span[7] for span in spans}}
        newest = {text: lineages[text.split(",", 1)[0]] for text in providers}
        return (
            pl.DataFrame(
                [
                    (table, instrument, dataset, providers[ids], rows, first, last, newest[ids].simulated, newest[ids].adjustment)
                    for table, dataset, _, instrument, rows, first, last, ids in spans
                ],
                schema={**DATASETS, "provider": pl.List(pl.String()), "first_ts": pl.Int64(), "last_ts": pl.Int64()},
                orient="row",
            )
            .group_by("table", "instrument", "dataset", maintain_order=True)
            .agg(
                pl.col("provider").explode().unique(maintain_order=True).str.join(","),
                pl.col("rows").sum(),
                pl.col("first_ts").min(),
                pl.col("last_ts").max(),
                pl.col("simulated", "adjustment").first(),
            )
            .select(pl.col(name).cast(dtype) for name, dtype in DATASETS.items())
            .sort("table", "instrument", "dataset")
        )

    def content_hash(
        self, instrument: str, *, table: str = DAILY, as_of: datetime | None = None, dataset: str | None = None
    ) -> str:
        return content_sha256(self.read(instrument, table=table, as_of=as_of, dataset=dataset), table_of(table))

    # trust ----------------------------------------------------------------------------------------------------------

    def verify(self) -> VerifyReport:
        return _verify.verify(self._files, self._index)

    def footers(self) -> dict[str, StoredFile]:
        """What the index should hold, as the files themselves say (see `rebuild_index`)."""
        return _verify.footers(self._files)

    def rebuild_index(self) -> RebuildReport:
        return _verify.rebuild(self._files, self._index, self._db)


def _first_day(first: date) -> date:
    """The first UTC day that begins at or after it."""
    if not isinstance(first, datetime):
        return first
    moment = first if first.tzinfo is None else utc(first)
    begins = datetime(moment.year, moment.month, moment.day, tzinfo=moment.tzinfo) == moment
    return moment.date() if begins or moment.date() == date.max else moment.date() + timedelta(days=1)


def _last_day(last: date) -> date:
    """The last UTC day that begins at or before it."""
    if not isinstance(last, datetime):
        return last
    return (last if last.tzinfo is None else utc(last)).date()


def _midnight(day: date) -> datetime:
    return utc(datetime.fromisoformat(f"{day.isoformat()}T00:00:00+00:00"))


def _within(entries: Sequence[Entry], low: datetime | None, high: datetime | None) -> list[pl.Expr]:
    """Conditions on `ts`, where the files hold rows outside the span."""
    found = []
    if low is not None and any(entry.first_us < micros(low) for entry in entries):
        found.append(pl.col("ts") >= pl.lit(low, dtype=STAMP))
    if high is not None and any(entry.last_us > micros(high) for entry in entries):
        found.append(pl.col("ts") <= pl.lit(high, dtype=STAMP))
    return found


def _overlapping(entries: Sequence[Entry], low: datetime | None, high: datetime | None) -> list[Entry]:
    """Files whose rows can lie between two moments."""
    first, last = (None if moment is None else micros(moment) for moment in (low, high))
    return [
        entry
        for entry in entries
        if (first is None or entry.last_us >= first) and (last is None or entry.first_us <= last)
    ]
