"""The store on disk: Parquet files, and an index in the ledger that says which of them count.

An append becomes visible in one ledger transaction. Until then readers see the old files; after it the superseded ones
are removed. Whatever a killed write leaves behind is taken away by the next one:

- a file that was announced but is not in the index, and every temporary file: the write did not reach its transaction;
- a file of an older generation than the indexed one of its year: it was superseded.

A file that is neither is not ours to remove: the index was lost, and `rebuild_index` makes it again from the footers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import polars as pl

from fieldcast.data import _files, _rows
from fieldcast.data._content import content_sha256
from fieldcast.data._files import StoredFile
from fieldcast.data._merge import Merged, checked, known_at, merge
from fieldcast.data.lineage import Lineage, with_delivery
from fieldcast.data.store import (
    DATASETS,
    AppendResult,
    Problem,
    RebuildReport,
    VerifyReport,
    between,
    choose_dataset,
    refuse_mixture,
)
from fieldcast.ground import Clock, IntegrityError, SystemClock
from fieldcast.ledger import Database
from fieldcast.ledger.faults import fail_point
from fieldcast.market import BAR_KEY, DAILY, empty_bars, table_of

_ATTEMPTS = 5  # a reader meets at most one replacement of its files for each append that runs meanwhile


class ParquetStore:
    """Bars under `data_dir`, indexed in the ledger; see `Store` for the contract.

    Parameters
    ----------
    data_dir : folder of the files; made when first written
    db : the ledger that holds the index
    clock : stamps `written_at`
    """

    def __init__(self, data_dir: Path, db: Database, clock: Clock | None = None) -> None:
        self.data_dir = Path(data_dir)
        self._db = db
        self._clock = clock or SystemClock()

    def index(self) -> dict[str, StoredFile]:
        """Every file that counts, by its path relative to the data folder."""
        with self._db.read() as session:
            return _rows.load_index(session)

    # writing --------------------------------------------------------------------------------------------------------

    def append(self, rows: pl.DataFrame, lineage: Lineage, *, table: str = DAILY) -> AppendResult:
        kind = table_of(table)
        rows = checked(rows, lineage, kind)
        with _files.writing(self.data_dir):
            index = self._recover()
            instruments = rows["instrument"].unique(maintain_order=True).to_list()
            refuse_mixture(lineage, instruments, _deliveries(index.values()))
            years = rows["ts"].dt.year().unique().to_list()
            touched = {
                file.year: file for file in index.values() if file.dataset == lineage.dataset and file.year in years
            }
            before = self._rows_of(touched.values())
            merged = merge(before.filter(pl.col("instrument").is_in(instruments)), rows, lineage.fetched_at, kind)
            if merged.added.is_empty():
                return _result(merged, ())
            new = self._encode(pl.concat([before, merged.added]), merged, lineage, touched)
            self._commit(new, [touched[file.year].path for _, file in new if file.year in touched])
        return _result(merged, tuple(file.path for _, file in new))

    def _encode(
        self, rows: pl.DataFrame, merged: Merged, lineage: Lineage, touched: dict[int, StoredFile]
    ) -> list[tuple[bytes, StoredFile]]:
        """The next generation of every year that has a new row."""
        written_at = self._clock.now()
        files = []
        for year in sorted(merged.added["ts"].dt.year().unique().to_list()):
            old = touched.get(year)
            deliveries = dict(old.lineage) if old else {}
            of_year = pl.col("ts").dt.year() == year
            for instrument in merged.added.filter(of_year)["instrument"].unique().to_list():
                deliveries[instrument] = with_delivery(deliveries.get(instrument, ()), lineage)
            files.append(
                _files.encode(
                    rows.filter(of_year).sort(BAR_KEY),
                    dataset=lineage.dataset,
                    year=year,
                    generation=old.generation + 1 if old else 1,
                    lineage=deliveries,
                    written_at=written_at,
                )
            )
        return files

    def _commit(self, new: list[tuple[bytes, StoredFile]], superseded: list[str]) -> None:
        """Files, then index, then the old files; a kill anywhere leaves either all of the append or nothing."""
        paths = [self.data_dir / file.path for _, file in new]
        _files.announce(self.data_dir, [file.path for _, file in new])
        for path, (data, _) in zip(paths, new, strict=True):
            _files.write_durably(path, data)
            fail_point("store:after:temporary")
        _files.publish(paths)
        fail_point("store:after:rename")
        with self._db.begin(label="store") as session:
            _rows.change_index(session, superseded, [file for _, file in new])
        _files.withdraw(self.data_dir)
        fail_point("store:before:remove")
        for name in superseded:
            (self.data_dir / name).unlink(missing_ok=True)

    def _recover(self) -> dict[str, StoredFile]:
        """Remove what a killed write left behind; the index as it stands.

        Raises
        ------
        IntegrityError : a file is on disk that the index should know and does not
        """
        index = self.index()
        self._roll_back(index)
        for path in self._unknown(index):
            (self.data_dir / path).unlink() if self._superseded(path, index) else _refuse_unknown(path)
        return index

    def _roll_back(self, index: dict[str, StoredFile]) -> None:
        """Undo a write that did not reach its transaction."""
        for path in _files.announced(self.data_dir):
            if path not in index:
                (self.data_dir / path).unlink(missing_ok=True)
        _files.withdraw(self.data_dir)
        for leftover in (self.data_dir / "bars").rglob("*.tmp"):
            leftover.unlink()

    def _unknown(self, index: dict[str, StoredFile]) -> list[str]:
        """Files on disk that are not in the index."""
        return [path for path in self._on_disk() if path not in index]

    def _on_disk(self) -> list[str]:
        found = (self.data_dir / "bars" / _files.TIMEFRAME).glob("*/*.parquet")
        return sorted(path.relative_to(self.data_dir).as_posix() for path in found)

    def _superseded(self, path: str, index: dict[str, StoredFile]) -> bool:
        """True for an older generation of a dataset and year than the index holds."""
        name = _files.parse_name(Path(path).name)
        return name is not None and any(
            file.dataset == Path(path).parent.name and file.year == name[0] and file.generation > name[1]
            for file in index.values()
        )

    # reading --------------------------------------------------------------------------------------------------------

    def _rows_of(self, files: Iterable[StoredFile], instrument: str | None = None) -> pl.DataFrame:
        paths = [file.path for file in files]
        wanted = None if instrument is None else [instrument]
        return _files.read_rows(self.data_dir, paths, wanted) if paths else empty_bars()

    def _select(self, instrument: str, dataset: str | None) -> list[StoredFile]:
        """The files that hold the instrument, oldest year first; one dataset."""
        files = [file for file in self.index().values() if instrument in file.instruments]
        chosen = choose_dataset(instrument, sorted({file.dataset for file in files}), dataset)
        return sorted((file for file in files if file.dataset == chosen), key=lambda file: file.year)

    def read(
        self,
        instrument: str,
        *,
        as_of: datetime | None = None,
        first: date | None = None,
        last: date | None = None,
        dataset: str | None = None,
    ) -> pl.DataFrame:
        attempt = 1
        while True:
            files = [
                file
                for file in self._select(instrument, dataset)
                if (first is None or file.year >= first.year) and (last is None or file.year <= last.year)
            ]
            try:
                return between(known_at(self._rows_of(files, instrument), as_of, table_of(DAILY)), first, last)
            except FileNotFoundError:
                gone = [file.path for file in files if not (self.data_dir / file.path).exists()]
                index = self.index()
                lost = [path for path in gone if path in index]  # a writer removes a file after it left the index
                if lost or attempt == _ATTEMPTS:
                    raise IntegrityError(
                        f"expected the files that the index names, found none at {', '.join(lost or gone)}; "
                        "restore them from a backup"
                    ) from None
                attempt += 1

    def lineage(self, instrument: str, *, dataset: str | None = None) -> tuple[Lineage, ...]:
        found: tuple[Lineage, ...] = ()
        for file in self._select(instrument, dataset):
            for item in file.lineage[instrument]:
                found = with_delivery(found, item)
        return tuple(sorted(found, key=lambda item: item.fetched_at))

    def datasets(self) -> pl.DataFrame:
        records = [
            {
                "table": DAILY,
                "instrument": instrument,
                "dataset": file.dataset,
                "year": file.year,
                "provider": [item.provider for item in file.lineage[instrument]],
                "rows": span["rows"],
                "first_ts": datetime.fromisoformat(span["first_ts"]),
                "last_ts": datetime.fromisoformat(span["last_ts"]),
                "simulated": file.lineage[instrument][0].simulated,
                "adjustment": file.lineage[instrument][0].adjustment,
            }
            for file in self.index().values()
            for instrument, span in file.instruments.items()
        ]
        schema: dict[str, pl.DataType] = {**DATASETS, "provider": pl.List(pl.String()), "year": pl.Int64()}
        return (
            pl.DataFrame(records, schema=schema)
            .sort("year")
            .group_by("table", "instrument", "dataset")
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

    def content_hash(self, instrument: str, *, as_of: datetime | None = None, dataset: str | None = None) -> str:
        return content_sha256(self.read(instrument, as_of=as_of, dataset=dataset))

    # trust ----------------------------------------------------------------------------------------------------------

    def verify(self) -> VerifyReport:
        with _files.writing(self.data_dir):
            index = self.index()
            problems: list[Problem] = []
            for path, kept in sorted(index.items()):
                try:
                    found, data = _files.inspect(self.data_dir, path)
                    problems += [Problem(path, message) for message in _differences(kept, found, data)]
                except IntegrityError as error:
                    problems.append(Problem(path, str(error)))
            pending = _files.announced(self.data_dir)
            for path in self._unknown(index):
                if path not in pending and not self._superseded(path, index):
                    problems.append(
                        Problem(path, "expected an index entry for this file, found none; rebuild the index")
                    )
        return VerifyReport(len(index), tuple(problems))

    def footers(self) -> dict[str, StoredFile]:
        """What the index should hold, as the files themselves say: the newest generation of each dataset and year.

        Raises
        ------
        IntegrityError : a file that counts is damaged
        """
        newest: dict[tuple[str, int], tuple[int, str]] = {}
        for path in self._on_disk():
            name = _files.parse_name(Path(path).name)
            if name is None:
                raise IntegrityError(f"expected only files of the store, found {path}; move it elsewhere")
            key = (Path(path).parent.name, name[0])
            newest[key] = max(newest.get(key, (0, "")), (name[1], path))
        found: dict[str, StoredFile] = {}
        for _, path in newest.values():
            file, data = _files.inspect(self.data_dir, path)
            for message in _differences(file, file, data):
                raise IntegrityError(message)
            found[path] = file
        return found

    def rebuild_index(self) -> RebuildReport:
        with _files.writing(self.data_dir):
            kept = self.index()
            self._roll_back(kept)
            found = self.footers()
            removed = sorted(kept.keys() - found.keys())
            added = sorted(found.keys() - kept.keys())
            changed = sorted(path for path in kept.keys() & found.keys() if kept[path] != found[path])
            if removed or added or changed:
                with self._db.begin(label="rebuild") as session:
                    _rows.change_index(session, [*removed, *changed], [found[path] for path in (*added, *changed)])
        return RebuildReport(len(found), tuple(added), tuple(removed), tuple(changed))


def _result(merged: Merged, files: tuple[str, ...]) -> AppendResult:
    return AppendResult(
        merged.rows_added, merged.rows_restated, merged.rows_unchanged, merged.rows_superseded, files=files
    )


def _deliveries(files: Iterable[StoredFile]) -> dict[str, list[Lineage]]:
    """Every delivery of each instrument."""
    found: dict[str, list[Lineage]] = {}
    for file in files:
        for instrument, items in file.lineage.items():
            found.setdefault(instrument, []).extend(items)
    return found


def _differences(kept: StoredFile, found: StoredFile, data: bytes) -> list[str]:
    """How a file differs from its index entry, and its values from the hash in its footer."""
    problems = []
    if found.sha256 != kept.sha256:
        problems.append(f"expected SHA-256 {kept.sha256} for {kept.path}, found {found.sha256}: its bytes changed")
    elif replace(found, sha256="") != replace(kept, sha256=""):
        problems.append(f"expected the index to agree with the footer of {kept.path}; rebuild the index")
    if content_sha256(pl.read_parquet(data)) != found.content_sha256:
        problems.append(f"expected the values of {kept.path} to have the hash in its footer, found another")
    return problems


def _refuse_unknown(path: str) -> None:
    raise IntegrityError(f"expected the index to know {path}, found no entry: the index was lost; rebuild it first")
