"""The index of the store's files in the ledger: which files count, and what each holds of which instrument.

A read needs the files of one instrument: they are found by one query and kept, until the count of changes, which a write
raises in the transaction that changes the index, says that they may be others. What the index holds can be made again
from the footers of the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.orm import Session

from fieldcast.data._footer import Span, StoredFile, micros
from fieldcast.data._layout import Unit
from fieldcast.data.lineage import Lineage
from fieldcast.ground import ConflictError, IntegrityError
from fieldcast.ledger import Database
from fieldcast.ledger.tables import StoreChange, StoreDelivery, StoreFile, StoreSpan

_MANY = 400  # names in one query
_CHANGE = f"SELECT number FROM {StoreChange.__tablename__}"  # asked on every read: as bare as can be
_FILE = (
    StoreFile.path, StoreFile.unit, StoreFile.table, StoreFile.dataset, StoreFile.instrument, StoreFile.period,
    StoreFile.generation, StoreFile.rows, StoreFile.first_ts, StoreFile.last_ts,
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A file that counts, as far as reading needs to know it; moments in microseconds since 1970.

    `span` : what it holds of the instrument that was asked for; none where none was
    """

    path: str
    unit: Unit
    generation: int
    rows: int
    first_us: int
    last_us: int
    span: Span | None = None


@dataclass(frozen=True)
class Change:
    """A unit's new file (none = the unit is no more), in place of the path that stood there (none = the unit is new).

    `instruments` : those whose spans differ from the old file's
    """

    unit: Unit
    old: str | None
    new: StoredFile | None
    instruments: tuple[str, ...]


class Index:
    """The index in a ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: dict[tuple[str, str], tuple[int, tuple[Entry, ...]]] = {}  # with the count of changes when it was read
        self._deliveries: dict[str, Lineage] = {}  # never change: an id follows from the delivery

    # reading --------------------------------------------------------------------------------------------------------

    def of_instrument(self, table: str, instrument: str) -> tuple[Entry, ...]:
        """The files that hold the instrument, oldest rows first."""
        with self._db.read() as session:
            number = session.connection().exec_driver_sql(_CHANGE).scalar_one()
            kept = self._kept.get((table, instrument))
            if kept is None or kept[0] != number:
                query = _spans().where(StoreSpan.instrument == instrument, StoreFile.table == table)
                kept = self._keep((table, instrument), number, _entries(session, query))
        return kept[1]

    def of_table(self, table: str) -> tuple[Entry, ...]:
        """The files of a table, oldest rows first."""
        with self._db.read() as session:
            number = session.connection().exec_driver_sql(_CHANGE).scalar_one()
            kept = self._kept.get((table, ""))
            if kept is None or kept[0] != number:
                rows = session.execute(select(*_FILE).where(StoreFile.table == table))
                kept = self._keep((table, ""), number, (_entry(row, None) for row in rows))
        return kept[1]

    def _keep(self, key: tuple[str, str], number: int, entries: Iterator[Entry]) -> tuple[int, tuple[Entry, ...]]:
        kept = (number, tuple(sorted(entries, key=_by_time)))
        self._kept[key] = kept
        return kept

    def of_units(self, units: Sequence[Unit]) -> dict[Unit, StoredFile]:
        """The whole description of those of the units that have a file."""
        found: dict[Unit, StoredFile] = {}
        with self._db.read() as session:
            for names in _parts([unit.text for unit in units]):
                found |= {file.unit: file for file in self._whole(session, StoreFile.unit.in_(names), StoreSpan.unit.in_(names))}
        return found

    def of_folders(self, table: str, dataset: str, instruments: Sequence[str]) -> dict[str, list[Entry]]:
        """The files of each instrument of a dataset that has files of its own (see `Layout.INTRADAY`), oldest rows first."""
        found: dict[str, list[Entry]] = {id: [] for id in instruments}
        with self._db.read() as session:
            for names in _parts(instruments):
                query = _spans().where(
                    StoreFile.table == table, StoreFile.dataset == dataset, StoreFile.instrument.in_(names)
                )
                for entry in _entries(session, query):
                    found[entry.unit.instrument].append(entry)
        return {id: sorted(entries, key=_by_time) for id, entries in found.items()}

    def known(self, paths: Iterable[str]) -> set[str]:
        """Those of the paths that count."""
        found: set[str] = set()
        with self._db.read() as session:
            for names in _parts(list(paths)):
                found.update(session.scalars(select(StoreFile.path).where(StoreFile.path.in_(names))))
        return found

    def number(self) -> int:
        """How often the index was changed."""
        with self._db.read() as session:
            return int(session.connection().exec_driver_sql(_CHANGE).scalar_one())

    def is_empty(self) -> bool:
        with self._db.read() as session:
            return session.execute(select(StoreFile.path).limit(1)).first() is None

    def everything(self) -> dict[str, StoredFile]:
        """Every file that counts, by path."""
        return self.sealed()[0]

    def sealed(self) -> tuple[dict[str, StoredFile], dict[str, str]]:
        """Every file that counts, and the hash over its entry that was written with it, of one moment; by path."""
        with self._db.read() as session:
            found = list(self._sealed(session))
        return {file.path: file for file, _ in found}, {file.path: seal for file, seal in found}

    def _whole(self, session: Session, *conditions: Any) -> Iterator[StoredFile]:
        """Files with their spans and deliveries; `conditions` : on files and on spans, or none."""
        return (file for file, _ in self._sealed(session, *conditions))

    def _sealed(self, session: Session, *conditions: Any) -> Iterator[tuple[StoredFile, str]]:
        """As `_whole`, each with the hash over its entry that was written with it."""
        of_file, of_span = conditions or (True, True)
        columns = (StoreSpan.unit, StoreSpan.instrument, StoreSpan.rows, StoreSpan.first_us, StoreSpan.last_us)
        spans: dict[str, dict[str, Span]] = {}
        split: dict[str, tuple[str, ...]] = {}
        order = select(*columns, StoreSpan.deliveries).where(of_span).order_by(StoreSpan.unit, StoreSpan.instrument)
        for unit, instrument, rows, first, last, text in session.execute(order):
            ids = split.setdefault(text, tuple(text.split(",")))
            spans.setdefault(unit, {})[instrument] = Span(rows, first, last, ids)
        lineages = self._lineages(session, {id for ids in split.values() for id in ids})
        for row in session.execute(select(StoreFile.__table__).where(of_file)):     # plain rows: entities take longer
            held = spans.get(row.unit, {})
            file = StoredFile(
                path=row.path,
                unit=Unit(row.table, row.dataset, row.instrument, row.period),
                generation=row.generation,
                sha256=row.sha256,
                content_sha256=row.content_sha256,
                rows=row.rows,
                first_ts=row.first_ts,
                last_ts=row.last_ts,
                simulated=row.simulated,
                written_at=row.written_at,
                spans=held,
                deliveries={id: lineages[id] for ids in {span.deliveries for span in held.values()} for id in ids},
            )
            yield file, row.entry_sha256

    def lineages(self, ids: Iterable[str]) -> dict[str, Lineage]:
        """Deliveries by id."""
        wanted = set(ids)
        if wanted <= self._deliveries.keys():
            return {id: self._deliveries[id] for id in wanted}
        with self._db.read() as session:
            return self._lineages(session, wanted)

    def _lineages(self, session: Session, wanted: set[str]) -> dict[str, Lineage]:
        for names in _parts(sorted(wanted - self._deliveries.keys())):
            query = select(StoreDelivery.id, StoreDelivery.lineage).where(StoreDelivery.id.in_(names))
            for id, text in session.execute(query):
                self._deliveries[id] = Lineage.from_json(json.loads(text))
        lost = sorted(wanted - self._deliveries.keys())
        if lost:
            raise IntegrityError(f"expected the delivery {lost[0]} in the index, found none; rebuild the index")
        return {id: self._deliveries[id] for id in wanted}

    def deliveries_of(self, instruments: Sequence[str]) -> dict[str, list[Lineage]]:
        """Every delivery of each instrument, over all tables and datasets."""
        sets: dict[str, set[str]] = {}
        with self._db.read() as session:
            for names in _parts(instruments):
                query = select(StoreSpan.instrument, StoreSpan.deliveries).where(StoreSpan.instrument.in_(names)).distinct()
                for instrument, text in session.execute(query):
                    sets.setdefault(instrument, set()).update(text.split(","))
            known = self._lineages(session, set().union(*sets.values()))
        return {instrument: [known[id] for id in sorted(ids)] for instrument, ids in sets.items()}

    def spans(self) -> list[tuple[str, str, str, str, int, int, int, str]]:
        """(table, dataset, period, instrument, rows, first, last, deliveries) of every span, oldest rows first."""
        query = (
            select(
                StoreFile.table, StoreFile.dataset, StoreFile.period, StoreSpan.instrument, StoreSpan.rows,
                StoreSpan.first_us, StoreSpan.last_us, StoreSpan.deliveries,
            )
            .join(StoreFile, StoreFile.unit == StoreSpan.unit)
            .order_by(StoreSpan.first_us)
        )  # fmt: skip
        with self._db.read() as session:
            return [cast(tuple[str, str, str, str, int, int, int, str], tuple(row)) for row in session.execute(query)]

    # writing --------------------------------------------------------------------------------------------------------

    def change(self, session: Session, changes: Sequence[Change]) -> None:
        """Put new files in the place of old ones; part of the caller's transaction.

        Raises
        ------
        ConflictError : another writer changed one of the units since they were read; nothing may be committed
        """
        session.execute(update(StoreChange).values(number=StoreChange.number + 1))  # other writers wait here
        self._refuse_changed(session, changes)
        for names in _parts([change.old for change in changes if change.old is not None]):
            session.execute(delete(StoreFile).where(StoreFile.path.in_(names)))
        for change in changes:
            for names in _parts(change.instruments if change.old is not None else ()):
                session.execute(delete(StoreSpan).where(StoreSpan.unit == change.unit.text, StoreSpan.instrument.in_(names)))
        added = [change for change in changes if change.new is not None]
        if added:
            session.execute(insert(StoreFile), [_file_row(change.new) for change in added if change.new is not None])
            session.execute(insert(StoreSpan), [row for change in added for row in _span_rows(change)])
        self._add_deliveries(session, {id: item for c in added if c.new is not None for id, item in c.new.deliveries.items()})

    def _refuse_changed(self, session: Session, changes: Sequence[Change]) -> None:
        stands: dict[str, str] = {}
        for names in _parts([change.unit.text for change in changes]):
            query = select(StoreFile.unit, StoreFile.path).where(StoreFile.unit.in_(names))
            stands |= {row.unit: row.path for row in session.execute(query)}
        for change in changes:
            found = stands.get(change.unit.text)
            if found != change.old:
                raise ConflictError(
                    f"expected {change.old or 'no file'} in the index for {change.unit.text}, found {found or 'none'}: another "
                    "writer was faster; nothing of this write is kept, run it again"
                )

    def _add_deliveries(self, session: Session, deliveries: dict[str, Lineage]) -> None:
        known: set[str] = set()
        for names in _parts(list(deliveries)):
            known.update(session.scalars(select(StoreDelivery.id).where(StoreDelivery.id.in_(names))))
        new = [{"id": id, "lineage": lineage_text(item)} for id, item in deliveries.items() if id not in known]
        if new:
            session.execute(insert(StoreDelivery), new)


def lineage_text(lineage: Lineage) -> str:
    return json.dumps(lineage.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _spans() -> Select[*tuple[Any, ...]]:
    columns = (StoreSpan.rows.label("held"), StoreSpan.first_us, StoreSpan.last_us, StoreSpan.deliveries)
    return select(*_FILE, *columns).join(StoreSpan, StoreSpan.unit == StoreFile.unit)


def _entries(session: Session, query: Select[*tuple[Any, ...]]) -> Iterator[Entry]:
    for row in session.execute(query):
        yield _entry(row, Span(row.held, row.first_us, row.last_us, tuple(row.deliveries.split(","))))


def _entry(row: Any, span: Span | None) -> Entry:
    unit = Unit(row.table, row.dataset, row.instrument, row.period)
    first, last = (micros(row.first_ts), micros(row.last_ts)) if span is None else (span.first_us, span.last_us)
    return Entry(row.path, unit, row.generation, row.rows, first, last, span)


def _by_time(entry: Entry) -> tuple[int, str]:
    return entry.first_us, entry.path


def _file_row(file: StoredFile) -> dict[str, Any]:
    place = {name: getattr(file.unit, name) for name in ("table", "dataset", "instrument", "period")}
    names = (
        "path", "generation", "sha256", "content_sha256", "rows", "first_ts", "last_ts", "simulated", "written_at", "entry_sha256"
    )  # fmt: skip
    return place | {name: getattr(file, name) for name in names} | {"unit": file.unit.text}


def _span_rows(change: Change) -> list[dict[str, Any]]:
    assert change.new is not None
    held = change.new.spans
    return [
        {
            "unit": change.unit.text,
            "instrument": id,
            "rows": held[id].rows,
            "first_us": held[id].first_us,
            "last_us": held[id].last_us,
            "deliveries": ",".join(held[id].deliveries),
        }
        for id in (change.instruments if change.old is not None else held)
    ]


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Names in lots that fit into one query."""
    for start in range(0, len(names), _MANY):
        yield names[start : start + _MANY]
