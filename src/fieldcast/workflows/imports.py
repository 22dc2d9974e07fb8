"""Files and folders of files into the store."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

from fieldcast.data import (
    FORMATS,
    ImportReport,
    Options,
    Source,
    SourceReport,
    import_sources,
    load_instrument,
    read_bundled,
    save_instrument,
)
from fieldcast.data.catalogue import imported_before, log_imports, save_instruments, settled
from fieldcast.ground import ConflictError, InvalidInput, MissingData, Shown, digest, utc
from fieldcast.ledger import Database
from fieldcast.market import Instrument, Kind, default_instrument
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.workspace import Workspace

FROM_NAME = "{name}"
_STAGE = "Files into the store"


@dataclass(frozen=True)
class Imported(Shown):
    """What an import read, refused and stored.

    Parameters
    ----------
    passed_over : files that were imported before with the same options, by their SHA-256
    unknown : files of a folder that no format recognises
    """

    report: ImportReport
    passed_over: tuple[Path, ...]
    unknown: tuple[Path, ...]

    @property
    def exit_code(self) -> int:
        """0, or that of the first file that was not imported."""
        return self.report.failures[0].exit_code if self.report.failures else 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "files": [_file(report) for report in self.report.files],
            "tables": {name: vars(count) for name, count in self.report.tables.items()},
            "failures": [{"file": str(item.path), "error": item.message} for item in self.report.failures],
            "passed_over": [str(path) for path in self.passed_over],
            "unknown": [str(path) for path in self.unknown],
            "dry_run": self.report.dry_run,
        }


def _file(report: SourceReport) -> dict[str, Any]:
    return {
        "file": str(report.path),
        "sha256": report.sha256,
        "format": report.format,
        "dataset": report.dataset,
        "instruments": [instrument.id for instrument in report.instruments],
        "rows_read": report.rows_read,
        "rows_kept": report.rows_kept,
        "tables": {name: count.rows_kept for name, count in report.tables.items()},
        "removed": {str(code): n for code, n in report.removed.items()},
        "flagged": {str(code): n for code, n in report.flagged.items()},
        "quarantine": report.quarantine.to_dicts(),
        "notes": list(report.notes),
    }


def import_data(
    workspace: Workspace,
    files: Path | str | Sequence[Path | str],
    instrument: str | None = None,
    *,
    format: str | None = None,
    dataset: str | None = None,
    venue: str | None = None,
    kind: str | None = None,
    columns: str | Mapping[str, str] | None = None,
    interval: str | None = None,
    zone: str | None = None,
    stamp: str | None = None,
    date_format: str | None = None,
    map_files: Path | str | None = None,
    calendar: str | None = None,
    currency: str | None = None,
    tick: str | None = None,
    adjusted: bool = False,
    received: datetime | None = None,
    dry_run: bool = False,
    again: bool = False,
    progress: Progress = silent,
) -> Imported:
    """Check files and add them to the store; what is not fit is quarantined and counted.

    A folder stands for every file in it whose format is recognised. Files that were imported before are passed over, so that an
    import that was cut short goes on where it was. One bad file does not stop the others: see `Imported.report.failures`.

    Parameters
    ----------
    instrument : id, for files about one instrument that do not name it; `XNAS:{name}` takes the ticker from each file's name, up
        to its first `_` or `.`
    format : name in `data.formats.FORMATS`; none = recognised, or `table` where columns are mapped
    venue : prefix of the ids of files with tickers alone, such as `XNAS`
    kind : equity, etf, index, fx, crypto, future or rate; none = the catalogue's, or the format's guess for a new id
    columns : `ts=Date,close=Last`, or a mapping from our names to the file's
    interval, zone, stamp, date_format : of times that the file leaves open; see `data.formats.Options`
    map_files : folder of LEAN map files, where they do not stand beside the data
    received : when the files reached you, where that was earlier than now: what a file does not date was known then
    again : import also what was imported before

    Raises
    ------
    InvalidInput : an option, or (where a single file is named) the file is not what was expected
    ConflictError : the catalogue has an id with another kind, calendar or currency, or (a single file) the store refused it
    """
    if columns and format is None:
        format = "table"     # whoever maps columns says that it is a table of bars
    named = [Path(files)] if isinstance(files, (str, Path)) else [Path(file) for file in files]
    step, now = _decimal(tick), workspace.clock.now()
    if received is not None and utc(received) > now:
        raise InvalidInput(f"expected files that were received by {now.isoformat()}, found {utc(received).isoformat()}")

    def about(path: Path) -> Options:
        """What was said, with the instrument of this file."""
        id = None if instrument is None else instrument.replace(FROM_NAME, _ticker(path))
        return replace(options, instrument=_described(workspace, id, kind, calendar, currency, step))

    options = Options(
        now=now if received is None else utc(received),
        venue=venue,
        kind=None if kind is None else _kind(kind),
        columns=_mapping(columns),
        interval=interval,
        zone=zone,
        stamp=stamp,
        date_format=date_format,
        adjusted=adjusted,
        map_files=None if map_files is None else Path(map_files),
    )
    said = _said(options, format=format, instrument=instrument, calendar=calendar, currency=currency, tick=tick, dataset=dataset,
                 **({} if received is None else {"received": utc(received).isoformat()}))
    paths, unknown = _expanded(named, format)
    held = set(workspace.store.datasets()["dataset"])       # a log of files whose rows were lost since counts for nothing
    fresh = [path for path in paths if again or _home(workspace, path, said) not in held]
    describe = _Described(workspace.ledger, None if kind is None else _kind(kind))

    def storing(reports: list[SourceReport]) -> None:
        save_instruments(workspace.ledger, [item for report in reports for item in report.instruments])

    def stored(reports: list[SourceReport]) -> None:
        log_imports(workspace.ledger, [(report, _place(report.path, said)) for report in reports], now)

    report = import_sources(
        ((path, partial(about, path)) for path in _watched(fresh, progress)),
        store=workspace.store,
        format=format,
        dataset=dataset,
        dry_run=dry_run,
        halt=len(named) == 1 and not named[0].is_dir(),
        describe=describe,
        storing=storing,
        stored=stored,
    )
    read = set(fresh)
    return Imported(report, tuple(path for path in paths if path not in read), unknown)


class _Described:
    """Instruments as a file describes them → as the catalogue and the files before it have them."""

    def __init__(self, ledger: Database, kind: Kind | None) -> None:
        self._ledger, self._kind = ledger, kind
        self._seen: dict[str, Instrument] = {}

    def __call__(self, instruments: tuple[Instrument, ...]) -> tuple[Instrument, ...]:
        known = settled(self._ledger, instruments, self._seen)
        for instrument in known if self._kind is not None else ():
            if instrument.kind is not self._kind:
                raise ConflictError(
                    f"expected {instrument.id} with kind {instrument.kind}, as in the catalogue, found {self._kind}; "
                    "leave the kind out, or choose another id"
                )
        self._seen |= {instrument.id: instrument for instrument in known}
        return known


def _expanded(named: Sequence[Path], format: str | None) -> tuple[list[Path], tuple[Path, ...]]:
    """Files as named, folders as the files in them that a format recognises; and the files that none does.

    A file that cannot be read stays among the first, for the import to refuse.

    Raises
    ------
    InvalidInput : a folder without files
    """
    paths: list[Path] = []
    unknown: list[Path] = []
    for path in named:
        if not path.is_dir():
            paths.append(path)
            continue
        files = _files_of(path)
        if not files:
            raise InvalidInput(f"expected files in {path}, found none")
        for file in files:
            (paths if format is not None or _may_be_known(file) else unknown).append(file)
    return list(dict.fromkeys(paths)), tuple(unknown)


def _files_of(folder: Path) -> list[Path]:
    """Every file below a folder whose name does not begin with a dot, linked folders included, each folder once."""
    found: list[Path] = []
    visited: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place) / name for name in names if not name.startswith(".")]
    return sorted(file for file in found if file.is_file())


def _may_be_known(path: Path) -> bool:
    try:
        sample = Source(path).sample()
    except InvalidInput:
        return True
    return any(format.recognises(sample) for format in FORMATS.values())


def _home(workspace: Workspace, path: Path, said: str) -> str | None:
    """The dataset that this file was imported to before; one that cannot be read is left for the import to refuse."""
    return imported_before(workspace.ledger, Source(path).sha256, _place(path, said)) if path.is_file() else None


def _place(path: Path, said: str) -> str:
    """What an import of these bytes depends on beside them: what was said, and the names that some formats read."""
    return digest({"said": said, "place": list(path.absolute().parts[-5:])})


def _watched(paths: Sequence[Path], progress: Progress) -> Iterator[Path]:
    for done, path in enumerate(paths):
        progress(_STAGE, done, len(paths))
        yield path
    progress(_STAGE, len(paths), len(paths))


def _ticker(path: Path) -> str:
    """The ticker that a file's name begins with."""
    return re.split(r"[_.]", path.name, maxsplit=1)[0].upper()


def _said(options: Options, **others: str | None) -> str:
    """Digest of everything that was said about the files, the moment aside."""
    said = {name: value for name, value in vars(options).items() if name not in ("now", "instrument")} | others
    maps = None if options.map_files is None else str(options.map_files.absolute())
    return digest({**said, "columns": dict(options.columns), "map_files": maps})


def _described(
    workspace: Workspace,
    id: str | None,
    kind: str | None,
    calendar: str | None,
    currency: str | None,
    tick: Decimal | None,
) -> Instrument | None:
    """The instrument as the catalogue knows it, or a new one of that kind; an id is assigned once."""
    if id is None:
        return None
    if id.startswith("SIM:"):
        raise InvalidInput(f"expected the id of a real instrument, found {id}; SIM: is for simulated markets")
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


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError:
        raise InvalidInput(f"expected a kind out of {', '.join(Kind)}, found {text!r}") from None


def _mapping(columns: str | Mapping[str, str] | None) -> Mapping[str, str]:
    if columns is None or not isinstance(columns, str):
        return columns or {}
    pairs = [pair.split("=", 1) for pair in columns.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise InvalidInput(f"expected columns such as ts=Date,close=Last, found {columns!r}")
    found = {ours.strip(): theirs.strip() for ours, theirs in pairs}
    if len(found) < len(pairs):
        raise InvalidInput(f"expected each of our columns once, found {columns!r}")
    return found


def _decimal(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f"expected a tick such as 0.01, found {text!r}") from None


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
