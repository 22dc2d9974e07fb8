"""Many instruments into the catalogue at once, and which files were imported before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from fieldcast.data._rows import _columns, _instrument
from fieldcast.data._tally import SourceReport
from fieldcast.ground import ConflictError, canonical_json
from fieldcast.ledger import Database, tables
from fieldcast.market import Instrument

_MANY = 500  # ids in one query


def known_instruments(db: Database, ids: Iterable[str]) -> dict[str, Instrument]:
    """Those of the ids that the catalogue has."""
    wanted = sorted(set(ids))
    found: dict[str, Instrument] = {}
    with db.read() as session:
        for start in range(0, len(wanted), _MANY):
            rows = session.scalars(select(tables.Instrument).where(tables.Instrument.id.in_(wanted[start : start + _MANY])))
            found |= {row.id: _instrument(row) for row in rows}
    return found


def settled(
    db: Database, instruments: Sequence[Instrument], seen: Mapping[str, Instrument] | None = None
) -> tuple[Instrument, ...]:
    """Instruments as the catalogue describes them; those that it does not have as they were `seen` before, or as they are.

    A file can only guess what kind of thing a ticker is; the catalogue was told.

    Raises
    ------
    ConflictError : one is in the catalogue with another calendar, currency or simulated flag, so that its rows would mean
        something else
    """
    before = seen or {}
    known = known_instruments(db, [instrument.id for instrument in instruments if instrument.id not in before])
    known |= {instrument.id: before[instrument.id] for instrument in instruments if instrument.id in before}
    for instrument in instruments:
        for name in ("calendar", "currency", "simulated") if instrument.id in known else ():
            stored, found = getattr(known[instrument.id], name), getattr(instrument, name)
            if stored != found:
                raise ConflictError(
                    f"expected {instrument.id} with {name} {stored}, as in the catalogue, found {found}; "
                    "an id is assigned once, choose another"
                )
    return tuple(known.get(instrument.id, instrument) for instrument in instruments)


def save_instruments(db: Database, instruments: Sequence[Instrument]) -> None:
    """Write instruments that the catalogue does not have yet, in one transaction; those that it has stay as they are.

    Raises
    ------
    ConflictError : see `settled`; nothing was written
    """
    described = {instrument.id: instrument for instrument in settled(db, instruments)}
    known = known_instruments(db, described)
    new = [instrument for id, instrument in described.items() if id not in known]
    if new:
        with db.begin(label="instruments") as session:
            session.add_all([tables.Instrument(**_columns(instrument)) for instrument in new])


def imported_before(db: Database, sha256: str, options: str) -> str | None:
    """The dataset of a file with these bytes that was imported to its end with the same options; none if none was."""
    with db.read() as session:
        row = session.get(tables.ImportLog, (sha256, options))
        return None if row is None else row.dataset


def log_imports(db: Database, reports: Sequence[tuple[SourceReport, str]], at: datetime) -> None:
    """Write down that files are in the store, to their end; each with the digest of its options."""
    with db.begin(label="imported") as session:
        for report, options in reports:
            summary = {
                "instruments": len(report.instruments),
                "removed": {str(code): n for code, n in report.removed.items()},
                "flagged": {str(code): n for code, n in report.flagged.items()},
                "tables": {name: count.rows_kept for name, count in report.tables.items()},
            }
            session.merge(
                tables.ImportLog(
                    sha256=report.sha256,
                    options=options,
                    dataset=report.dataset,
                    name=report.path.name,
                    format=report.format,
                    rows_read=report.rows_read,
                    rows_kept=report.rows_kept,
                    at=at,
                    summary=canonical_json(summary),
                )
            )
