"""Trials and gate results as rows of the ledger, and back.

A trial's daily series is a Parquet file (`date`, `value`) in a folder beside the ledger, named by the trial and the
SHA-256 of its values; the row holds the name. Reading checks that hash. Files are written, flushed to disk and
renamed before the row that names them is committed: a crash leaves at worst a file that no row names.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.evaluation import Trial
from fieldcast.ground import Clock, IntegrityError, InvalidInput, MissingData, reason_codes, utc
from fieldcast.ledger import Database, tables
from fieldcast.validation.gate import GATE, GateOutcome, GateResult


class LedgerTrialLog:
    """The trial log that outlives the process: rows in the ledger, series in `folder`.

    Parameters
    ----------
    database : an open ledger
    folder : where the series files are kept; created when first needed
    clock : tells when a trial was first and last seen
    """

    def __init__(self, database: Database, folder: Path, clock: Clock) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock

    def record(self, trial: Trial) -> None:
        """Add the trial, or refresh it and count one more look."""
        name = self._write_series(trial)
        now = self._clock.now()
        with self._database.begin(label="trial") as session:
            row = session.get(tables.Trial, trial.id)
            before = None if row is None else row.series_path
            if row is None:
                session.add(_trial_row(trial, name, now))
            else:
                row.estimate, row.n, row.metric = trial.estimate, trial.n, trial.metric
                row.series_path, row.last_seen, row.looks = name, max(now, row.last_seen), row.looks + 1
        if before is not None and before != name:
            (self._folder / before).unlink(missing_ok=True)

    def trials(self, family: str) -> tuple[Trial, ...]:
        """Every trial of the family, in the order of their ids.

        Raises
        ------
        IntegrityError : a series file is missing or was changed
        """
        with self._database.read() as session:
            rows = session.scalars(
                select(tables.Trial).where(tables.Trial.family == family).order_by(tables.Trial.id)
            ).all()
            return tuple(self._trial(row) for row in rows)

    def looks(self, trial_id: str) -> int:
        """How often the trial was recorded; 0 where it is unknown."""
        with self._database.read() as session:
            row = session.get(tables.Trial, trial_id)
            return 0 if row is None else row.looks

    def _write_series(self, trial: Trial) -> str:
        name = f"{trial.id[:32]}-{_series_hash(trial.dates, trial.series, trial.children)[:16]}.parquet"
        target = self._folder / name
        if self._intact(name):
            return name
        self._folder.mkdir(parents=True, exist_ok=True)
        frame = pl.DataFrame({"date": trial.dates, "value": trial.series})
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".tmp", delete=False) as handle:
            temporary = Path(handle.name)
            try:
                frame.write_parquet(handle, metadata={"children": str(trial.children)})
                handle.flush()
                os.fsync(handle.fileno())
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return name

    def _intact(self, name: str) -> bool:
        """True where the file stands and holds what its name says; a damaged one is written again."""
        if not (self._folder / name).exists():
            return False
        try:
            self._read_series(name)
        except IntegrityError:
            return False
        return True

    def _trial(self, row: tables.Trial) -> Trial:
        if row.series_path is None or row.estimate is None:
            raise IntegrityError(f"expected trial {row.id} to have a score and a series, found none; score it again")
        dates, series, children = self._read_series(row.series_path)
        trial = Trial(
            family=row.family,
            configuration=row.configuration,
            instrument=row.instrument,
            label=row.label,
            horizon=row.horizon,
            span_start=row.span_start.date(),
            span_end=row.span_end.date(),
            metric=row.metric,
            estimate=row.estimate,
            n=row.n,
            dates=dates,
            series=series,
            children=children,
        )
        if trial.id != row.id:
            raise IntegrityError(f"expected trial {row.id} to keep its identity, found {trial.id}; its row was changed")
        return trial

    def _read_series(self, name: str) -> tuple[NDArray[np.datetime64], NDArray[np.float64], int]:
        path = self._folder / name
        try:
            frame = pl.read_parquet(path)
            children = int(pl.read_parquet_metadata(path)["children"])
        except (OSError, pl.exceptions.PolarsError, KeyError, ValueError) as error:
            raise IntegrityError(f"expected the trial series {path}, found {error}; score the trial again") from error
        dates = frame["date"].to_numpy().astype("datetime64[D]")
        series = frame["value"].to_numpy().astype(np.float64)
        if _series_hash(dates, series, children)[:16] != path.stem.rsplit("-", 1)[-1]:
            raise IntegrityError(
                f"expected {path} to have the hash in its name, found other values; score the trial again"
            )
        return dates, series, children


def save_gate_result(
    session: Session,
    result: GateResult,
    *,
    instrument: str,
    as_of: datetime,
    configuration_hash: str,
    data_hash: str,
    recorded_at: datetime,
) -> None:
    """Write what the gate said, in the caller's transaction; the same answer again changes nothing.

    Raises
    ------
    IntegrityError : the same configuration on the same data at the same time was answered differently before
    """
    key = {
        "instrument": instrument,
        "gate": result.gate,
        "as_of": utc(as_of),
        "configuration_hash": configuration_hash,
        "data_hash": data_hash,
    }
    known = session.scalars(select(tables.GateResultRow).filter_by(**key)).one_or_none()
    if known is None:
        session.add(
            tables.GateResultRow(
                **key,
                result=result.outcome.value,
                estimate=result.estimate,
                standard_error=result.standard_error,
                lower_bound=result.lower_bound,
                n=result.n,
                reasons=list(result.reasons),
                recorded_at=utc(recorded_at),
            )
        )
    elif known.result != result.outcome.value or known.n != result.n:
        raise IntegrityError(
            f"expected gate {result.gate} of {instrument} at {as_of.isoformat()} to answer {known.result} "
            f"(n={known.n}) as before on the same data and configuration, found {result.outcome} (n={result.n})"
        )


def load_gate_result(
    session: Session, instrument: str, *, as_of: datetime, gate: str = GATE, configuration_hash: str | None = None
) -> GateResult:
    """The newest answer of a gate that was known at `as_of`, of one configuration where its hash is given.

    Raises
    ------
    MissingData : the gate has not judged this instrument by then
    """
    row = tables.GateResultRow
    query = select(row).where(row.instrument == instrument, row.gate == gate, row.as_of <= utc(as_of))
    if configuration_hash is not None:
        query = query.where(row.configuration_hash == configuration_hash)
    found = session.scalars(query.order_by(row.as_of.desc(), row.recorded_at.desc(), row.id)).first()
    if found is None:
        raise MissingData(f"expected an answer of gate {gate} for {instrument} by {as_of.isoformat()}, found none")
    if found.estimate is None or found.standard_error is None or found.lower_bound is None:
        raise IntegrityError(f"expected figures with the answer of gate {gate} for {instrument}, found none")
    return GateResult(
        outcome=GateOutcome(found.result),
        estimate=found.estimate,
        standard_error=found.standard_error,
        lower_bound=found.lower_bound,
        n=found.n,
        dates=None,
        reasons=reason_codes(found.reasons),
        gate=found.gate,
    )


def _trial_row(trial: Trial, series_path: str, now: datetime) -> tables.Trial:
    return tables.Trial(
        id=trial.id,
        family=trial.family,
        configuration=dict(trial.configuration),
        configuration_hash=trial.configuration_hash,
        instrument=trial.instrument,
        label=trial.label,
        horizon=trial.horizon,
        span_start=_midnight(trial.span_start),
        span_end=_midnight(trial.span_end),
        metric=trial.metric,
        estimate=trial.estimate,
        n=trial.n,
        series_path=series_path,
        looks=1,
        first_seen=now,
        last_seen=now,
    )


def _midnight(day: date) -> datetime:
    if isinstance(day, datetime):
        raise InvalidInput(f"expected a date, found the time {day.isoformat()}")
    return datetime.combine(day, time(), tzinfo=UTC)


def _series_hash(dates: NDArray[np.datetime64], series: NDArray[np.float64], children: int) -> str:
    content = hashlib.sha256(dates.astype("datetime64[D]").astype("<i8").tobytes())
    content.update((series + 0.0).astype("<f8").tobytes())
    content.update(str(children).encode())
    return content.hexdigest()
