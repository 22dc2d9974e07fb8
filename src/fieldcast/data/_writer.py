"""Writing: which units an append touches, and how all of them change at once or not at all.

Daily tables are written year by year, intraday ones instrument by instrument, so that no more than one file's rows (of a
wide daily file one month's) are held at a time. An intraday append whose rows are all of the newest stored UTC day or later
goes into small segments, one a day, so that a live bar rewrites only its day; `compact` moves them into the years.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import polars as pl

from fieldcast.data import _pending
from fieldcast.data._encoding import encode, ordered, whole
from fieldcast.data._footer import Span, StoredFile, micros, moment
from fieldcast.data._index import Change, Entry, Index
from fieldcast.data._layout import Unit, parse_path
from fieldcast.data._lease import Lease, leased
from fieldcast.data._merge import Merged, checked, merge
from fieldcast.data._objects import Files, LocalFiles
from fieldcast.data._pending import Note
from fieldcast.data._placing import placed
from fieldcast.data._scan import read_rows
from fieldcast.data.lineage import Lineage
from fieldcast.data.store import AppendResult, CompactReport, refuse_mixture
from fieldcast.ground import Clock, ConflictError, IntegrityError, InvalidInput
from fieldcast.ledger import Database
from fieldcast.ledger.faults import fail_point
from fieldcast.market import TABLES, Layout, Table, file_name

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NAME_BYTES = 200  # file systems take 255
_FIRST_US, _AFTER_US = micros(datetime(1, 1, 1, tzinfo=UTC)), micros(datetime(9999, 1, 1, tzinfo=UTC))
_THREADS = (os.cpu_count() or 1) + 1  # one more than cores: a thread that waits for the disk leaves none idle


@dataclass(frozen=True)
class _Part:
    """The rows of an append that go into one unit, and what stands there now."""

    unit: Unit
    old: Entry | None
    rows: pl.DataFrame


_Job = Callable[[], tuple[bytes, Change]]


class Writer:
    """Changes the files and the index of a store together."""

    def __init__(self, files: Files, index: Index, db: Database, clock: Clock) -> None:
        self._files, self._index, self._db, self._clock = files, index, db, clock
        self._lease: Lease | None = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """As the one writer, after what killed ones left behind is settled."""
        with _pending.writing(self._files), leased(self._files, self._db) as self._lease:
            _pending.settle(self._files, self._index)
            yield

    def append(self, rows: pl.DataFrame, lineage: Lineage, kind: Table) -> AppendResult:
        """See `Store.append`."""
        rows, starts = checked(rows, lineage, kind)
        instruments = rows["instrument"].gather(starts).to_list()
        _refuse_names(instruments)
        _refuse_years(rows)
        with self._alone():
            refuse_mixture(lineage, instruments, self._index.deliveries_of(instruments))
            daily = kind.layout is Layout.DAILY
            if daily:
                counts, parts = self._daily(rows, instruments, lineage, kind)
            else:
                pieces = [rows.slice(at, after - at) for at, after in pairwise((*starts.tolist(), rows.height))]
                counts, parts = self._intraday(pieces, instruments, lineage, kind)
            if not parts:
                return _result(counts, ())
            written_at = self._clock.now()
            known = self._index.of_units([part.unit for part in parts if part.old is not None])
            _refuse_replaced(parts, known)
            new = self._write(
                [self._job(part, known.get(part.unit), lineage, written_at, kind) for part in parts],
                [_stem(part.unit, part.old.generation if part.old else 0) for part in parts],
                [part.old.path for part in parts if part.old],
                [],
                written_at,
                threads=1 if daily else _THREADS,  # a daily file is large: one at a time
            )
        return _result(counts, new)

    # what an append adds --------------------------------------------------------------------------------------------

    def _daily(
        self, rows: pl.DataFrame, instruments: list[str], lineage: Lineage, kind: Table
    ) -> tuple[list[Merged], list[_Part]]:
        counts, parts = [], []
        year = rows["ts"].dt.year()
        years = year.unique().sort().to_list()
        entries = {entry.unit.period: entry for entry in self._index.of_table(kind.name) if entry.unit.dataset == lineage.dataset}
        self._refuse_unknown([Unit(kind.name, lineage.dataset, "", "0000").folder])
        for number in years:
            unit = Unit(kind.name, lineage.dataset, "", f"{number:04}")
            of_year = rows.filter(year == number) if len(years) > 1 else rows
            old = entries.get(unit.period)
            where = pl.col("instrument").is_in(instruments)
            before = self._rows([old], kind, where) if old else kind.empty()
            merged = merge(before, of_year, lineage.fetched_at, kind, reported=lineage.is_reported)
            counts.append(merged)
            if not merged.added.is_empty():
                parts.append(_Part(unit, old, merged.added))
        return counts, parts

    def _intraday(
        self, pieces: Sequence[pl.DataFrame], instruments: list[str], lineage: Lineage, kind: Table
    ) -> tuple[list[Merged], list[_Part]]:
        counts: list[Merged] = []
        parts: list[_Part] = []
        stored = self._index.of_folders(kind.name, lineage.dataset, instruments)
        self._refuse_unknown([Unit(kind.name, lineage.dataset, id, "0000").folder for id in instruments])
        for id, of_instrument in zip(instruments, pieces, strict=True):
            merged = self._merged(of_instrument, stored[id], lineage, kind)
            counts.append(merged)
            if not merged.added.is_empty():
                parts += _parts(merged.added, stored[id], Unit(kind.name, lineage.dataset, id, ""))
        return counts, parts

    def _merged(self, rows: pl.DataFrame, entries: Sequence[Entry], lineage: Lineage, kind: Table) -> Merged:
        """New rows of one instrument beside what is stored of the same time."""
        stamps = rows["ts"].cast(pl.Int64)
        first, last = int(stamps.min()), int(stamps.max())  # type: ignore[arg-type]
        met = [entry for entry in entries if entry.first_us <= last and entry.last_us >= first]
        before = self._rows(met, kind, pl.col("ts").is_between(rows["ts"].min(), rows["ts"].max())) if met else kind.empty()
        return merge(before, rows, lineage.fetched_at, kind, reported=lineage.is_reported)

    def _rows(self, entries: Sequence[Entry], kind: Table, where: pl.Expr | None = None) -> pl.DataFrame:
        try:
            return read_rows(self._files, [entry.path for entry in entries], kind, where)
        except FileNotFoundError:
            gone = [entry.path for entry in entries if not self._files.exists(entry.path)]
            lost = sorted(self._index.known(gone))
            if lost:
                raise IntegrityError(
                    f"expected the files that the index names, found none at {', '.join(lost)}; restore them from a backup"
                ) from None
            raise ConflictError(
                f"expected {', '.join(gone)} to stay while it is rewritten, found it gone: another writer was faster; nothing "
                "of this write is kept, run it again"
            ) from None

    def _refuse_unknown(self, folders: Sequence[str]) -> None:
        """Files where this write will put its own, and the index does not know them: they are not ours to pass over."""
        found = [name for folder in folders for name in self._files.list(folder) if name.endswith(".parquet")]
        unknown = sorted(set(found) - self._index.known(found))
        if not unknown:
            return
        if not isinstance(self._files, LocalFiles):  # they may be of a writer that lost its lease and has not seen it yet
            noted = {path for note in _pending.notes(self._files) for path in _pending.leftovers(self._files, note)}
            unknown = [path for path in unknown if path not in noted] if self._index.is_empty() else []
        for path in unknown:
            if not self._superseded(path):
                raise IntegrityError(f"expected the index to know {path}, found no entry: the index was lost; rebuild it first")
            self._files.delete(path)

    def _superseded(self, path: str) -> bool:
        """True for an older generation of a unit than the index holds."""
        parsed = parse_path(path)
        held = {} if parsed is None else self._index.of_units([parsed[0]])
        return parsed is not None and parsed[0] in held and held[parsed[0]].generation > parsed[1]

    def _job(self, part: _Part, old: StoredFile | None, lineage: Lineage, written_at: datetime, kind: Table) -> _Job:
        """How the next generation of a unit is made."""

        def read_old(where: pl.Expr | None) -> pl.DataFrame:
            assert part.old is not None
            return self._rows([part.old], kind, where)

        def make() -> tuple[bytes, Change]:
            data, new = encode(part.rows, read_old if old else None, old, part.unit, lineage, written_at, kind)
            touched = part.rows["instrument"].unique().to_list() if kind.layout is Layout.DAILY else [part.unit.instrument]
            return data, Change(part.unit, old.path if old else None, new, tuple(touched))

        return make

    # compaction -----------------------------------------------------------------------------------------------------

    def compact(self) -> CompactReport:
        """See `Store.compact`; one instrument after the other, each all or nothing."""
        segments, files = 0, 0
        with self._alone():
            for name, kind in TABLES.items():
                grouped: dict[tuple[str, str], list[Entry]] = {}
                for entry in self._index.of_table(name) if kind.layout is Layout.INTRADAY else ():
                    grouped.setdefault((entry.unit.dataset, entry.unit.instrument), []).append(entry)
                for entries in grouped.values():
                    gone = [entry for entry in entries if entry.unit.is_segment]
                    if gone:
                        files += self._compact(entries, kind)
                        segments += len(gone)
        return CompactReport(segments, files)

    def _compact(self, entries: Sequence[Entry], kind: Table) -> int:
        """The segments of one instrument into its years."""
        known = self._index.of_units([entry.unit for entry in entries])
        written_at = self._clock.now()
        years: dict[Unit, list[Entry]] = {}
        for entry in entries:
            years.setdefault(replace(entry.unit, period=entry.unit.period[:4]), []).append(entry)
        touched = {unit: held for unit, held in years.items() if any(entry.unit.is_segment for entry in held)}
        jobs = [self._merging(unit, [known[entry.unit] for entry in held], written_at, kind) for unit, held in touched.items()]
        gone = [entry for held in touched.values() for entry in held if entry.unit.is_segment]
        removals = [Change(entry.unit, entry.path, None, (entry.unit.instrument,)) for entry in gone]
        stems = [_stem(unit, known[unit].generation if unit in known else 0) for unit in touched]
        removed = [entry.path for held in touched.values() for entry in held]
        self._write(jobs, stems, removed, removals, written_at, threads=1)
        return len(jobs)

    def _merging(self, unit: Unit, held: Sequence[StoredFile], written_at: datetime, kind: Table) -> _Job:
        """How a year and its segments become one file."""

        def make() -> tuple[bytes, Change]:
            year = next((file for file in held if file.unit == unit), None)
            spans = [file.spans[unit.instrument] for file in sorted(held, key=lambda file: (file.unit.is_segment, file.first_ts))]
            ids = tuple(dict.fromkeys(id for span in spans for id in span.deliveries))
            span = Span(
                sum(span.rows for span in spans), min(span.first_us for span in spans), max(span.last_us for span in spans), ids
            )
            described = StoredFile(
                path="", unit=unit, generation=year.generation + 1 if year else 1, sha256="", content_sha256="", rows=span.rows,
                first_ts=moment(span.first_us), last_ts=moment(span.last_us), simulated=any(file.simulated for file in held),
                written_at=written_at, spans={unit.instrument: span},
                deliveries={id: item for file in held for id, item in file.deliveries.items()},
            )  # fmt: skip
            rows = read_rows(self._files, [file.path for file in sorted(held, key=lambda file: file.first_ts)], kind)
            data, new = whole(ordered(rows, kind), described, kind)
            return data, Change(unit, year.path if year else None, new, (unit.instrument,))

        return make

    # files, then index, then the old files --------------------------------------------------------------------------

    def _write(
        self,
        jobs: Sequence[_Job],
        stems: Sequence[str],
        removed: Sequence[str],
        removals: Sequence[Change],
        written_at: datetime,
        *,
        threads: int,
    ) -> list[StoredFile]:
        """Make and stage every file, give them their names, change the index, take the old ones away.

        A kill anywhere leaves either all of it or nothing; what is left lying is named in the note.
        """
        note = _pending.open_note(self._files, written_at, stems, removed, self._index.number())
        try:
            changes = self._staged(jobs, threads)
        except BaseException:
            self._undo(note)
            raise
        new = [change.new for change in changes if change.new is not None]
        self._files.publish([file.path for file in new])
        fail_point("store:after:rename")
        try:
            with self._db.begin(label="store") as session:
                if self._lease is not None:
                    self._lease.confirm(session)
                self._index.change(session, [*changes, *removals])
        except ConflictError:
            self._undo(note)
            raise
        fail_point("store:before:remove")
        for path in removed:
            self._files.delete(path)
        self._files.delete(note.name)
        return new

    def _undo(self, note: Note) -> None:
        """Take away what was staged; a writer that lost its lease leaves that to the one that has it now."""
        try:
            if self._lease is not None:
                self._lease.renew()
        except ConflictError:
            return
        _pending.undo(self._files, self._index, note)

    def _staged(self, jobs: Sequence[_Job], threads: int) -> list[Change]:
        """Every file where `publish` gives it its name."""

        def stage(job: _Job) -> Change:
            data, change = job()
            assert change.new is not None
            self._files.stage(change.new.path, data)
            fail_point("store:after:temporary")
            return change

        if threads == 1 or len(jobs) == 1:
            return [stage(job) for job in jobs]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(stage, jobs))


def _refuse_replaced(parts: Sequence[_Part], known: Mapping[Unit, StoredFile]) -> None:
    """What is to be merged with must be what was compared with."""
    for part in parts:
        found = known[part.unit].path if part.unit in known else None
        if part.old is not None and found != part.old.path:
            raise ConflictError(
                f"expected {part.old.path} to stay while it is rewritten, found {found or 'none'} in the index: another writer "
                "was faster; nothing of this write is kept, run it again"
            )


def _refuse_names(instruments: Sequence[str]) -> None:
    """Ids that cannot stand as the name of a folder."""
    for id in instruments:
        if id in ("", ".", ".."):
            raise InvalidInput(f"expected instrument ids such as XNAS:AAPL, found {id!r}")
        if _CONTROL.search(id):
            raise InvalidInput(f"expected instrument ids without control characters, found {id!r}")
        if len(file_name(id)) > _NAME_BYTES:
            raise InvalidInput(
                f"expected instrument ids of at most {_NAME_BYTES} bytes once percent-encoded, found {len(file_name(id))} in "
                f"{id[:40]!r}…; shorten the id"
            )


def _refuse_years(rows: pl.DataFrame) -> None:
    """Moments that files could hold and dates of Python could not."""
    for column in ("ts", "available_at"):
        first, last = rows[column].cast(pl.Int64).min(), rows[column].cast(pl.Int64).max()
        if first is not None and (int(first) < _FIRST_US or int(last) >= _AFTER_US):  # type: ignore[arg-type]
            raise InvalidInput(f"expected {column} in the years 1 to 9998, found a moment outside them")


def _stem(unit: Unit, generation: int) -> str:
    """Unit and next generation: how the name of its new file begins."""
    return f"{unit.text}-g{generation + 1}"


def _parts(rows: pl.DataFrame, entries: Sequence[Entry], place: Unit) -> list[_Part]:
    """New rows of one instrument, by the unit that each belongs to."""
    held = {entry.unit.period: entry for entry in entries}
    return [_Part(replace(place, period=period), held.get(period), of_unit) for period, of_unit in placed(rows, entries)]


def _result(counts: Sequence[Merged], files: Sequence[StoredFile]) -> AppendResult:
    return AppendResult(
        rows_added=sum(merged.rows_added for merged in counts),
        rows_restated=sum(merged.rows_restated for merged in counts),
        rows_unchanged=sum(merged.rows_unchanged for merged in counts),
        rows_superseded=sum(merged.rows_superseded for merged in counts),
        files=tuple(file.path for file in files),
    )
