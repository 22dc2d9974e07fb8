"""The state of an instrument: what may be done with it, from the quality and length of its history.

    ACTIVE        score ≥ 0.9 and at least 1,260 sessions       full size
    DEGRADED      score ≥ 0.6 and at least 1,000 sessions       half of it
    QUARANTINED   anything else                                 nothing
    RETIRED       delisted, or no new row for 30 days           nothing, until a person brings it back

1,260 and 1,000 sessions, the threshold 0.6 and the 30 days are mini-quant-fund's (reference 2.9), as are 0.9 and the half (2.7,
its state machine). A state falls at once. It rises only when it has held for five days and the score stands 0.03 above the
border, so that a series on the border does not flicker. From RETIRED nothing leads back but `reinstate`, which a person calls
and which ends in QUARANTINED: the next judgement then decides, as for any other.

Every change is a row of the ledger's `instrument_state`; the rows of an instrument are its history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl
from sqlalchemy import select

from fieldcast.data.freshness import Freshness
from fieldcast.data.quality import THRESHOLD, QualityReport
from fieldcast.ground import ConflictError, InvalidInput, MissingData, Reason, reason_codes, utc
from fieldcast.ledger import Database, tables
from fieldcast.market import STAMP

ACTIVE_SCORE = 0.9
ACTIVE_ROWS = 1260
DEGRADED_ROWS = 1000
MARGIN = 0.03
DWELL = timedelta(days=5)
SAME_MOMENT = timedelta(milliseconds=1)  # changes this close are of one moment: the later one is written a microsecond after
RETIRE_AFTER = timedelta(days=30)
_FLOAT_NOISE = 1e-9

HISTORY: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "at": STAMP,
    "state": pl.String(),
    "score": pl.Float64(),
    "reasons": pl.String(),  # joined by commas
}


class State(StrEnum):
    """States from best to worst."""

    ACTIVE = "active"
    DEGRADED = "degraded"
    QUARANTINED = "quarantined"
    RETIRED = "retired"

    @property
    def multiplier(self) -> float:
        """What it leaves of a position's size."""
        return {State.ACTIVE: 1.0, State.DEGRADED: 0.5}.get(self, 0.0)

    @property
    def may_trade(self) -> bool:
        return self.multiplier > 0


_ORDER = list(State)


@dataclass(frozen=True)
class StateChange:
    """A state that an instrument entered, and the figures that led to it."""

    instrument: str
    at: datetime
    state: State
    score: float
    reasons: tuple[Reason, ...]


def size_multiplier(state: State, fresh: Freshness) -> float:
    """The smaller of the state's and the freshness's multiplier: in the reference the two exclude each other."""
    return min(state.multiplier, fresh.multiplier)


def judge(
    before: StateChange | None,
    score: float,
    sessions: int,
    at: datetime,
    *,
    newest: datetime | None = None,
    delisted: bool = False,
) -> State:
    """The state that follows from the figures and from the state before.

    Parameters
    ----------
    before : the newest change; none = the instrument was never judged
    score : `QualityReport.score`
    sessions : sessions of history
    at : now
    newest : ts of its newest row
    """
    if not 0.0 <= score <= 1.0:
        raise InvalidInput(f"expected a score between 0 and 1, found {score}")
    if before is not None and before.state is State.RETIRED:
        return State.RETIRED
    if delisted or (newest is not None and utc(at) - utc(newest) > RETIRE_AFTER):
        return State.RETIRED
    reached = _level(score, sessions)
    if before is None or _ORDER.index(reached) >= _ORDER.index(before.state):
        return reached
    if utc(at) - before.at < DWELL:
        return before.state
    safely = _level(score - MARGIN, sessions)
    return min(safely, before.state, key=_ORDER.index)


def _level(score: float, sessions: int) -> State:
    if score >= ACTIVE_SCORE - _FLOAT_NOISE and sessions >= ACTIVE_ROWS:
        return State.ACTIVE
    if score >= THRESHOLD - _FLOAT_NOISE and sessions >= DEGRADED_ROWS:
        return State.DEGRADED
    return State.QUARANTINED


# the ledger ---------------------------------------------------------------------------------------------------------


def record_state(
    db: Database,
    report: QualityReport,
    sessions: int,
    *,
    at: datetime | None = None,
    newest: datetime | None = None,
    delisted: bool = False,
) -> StateChange:
    """Judge an instrument and write the state down where it changed; gives the state that holds.

    Parameters
    ----------
    at : now, at which the age of the newest row counts; none = the moment at which the report was made

    Raises
    ------
    ConflictError : the instrument was judged at a later moment already
    """
    before = state_of(db, report.instrument)
    moment = _after(before, report.instrument, report.as_of if at is None else utc(at))
    state = judge(before, report.score, sessions, moment, newest=newest, delisted=delisted)
    if before is not None and before.state is state:
        return before
    reasons = [reason for reason, cost in report.costs.items() if cost > 0]
    if sessions < ACTIVE_ROWS:
        reasons.append(Reason.FEW_ROWS)
    if delisted:
        reasons.append(Reason.DELISTED)
    if state is State.RETIRED and not delisted:
        reasons.append(Reason.STALE)
    return _write(db, StateChange(report.instrument, moment, state, report.score, reason_codes(reasons)))


def retire(db: Database, instrument: str, at: datetime) -> StateChange:
    """A person says at `at` that trading in the instrument has ended; doing it again changes nothing.

    Raises
    ------
    ConflictError : the instrument was judged at a later moment already
    """
    before = state_of(db, instrument)
    if before is not None and before.state is State.RETIRED:
        return before
    score = 0.0 if before is None else before.score
    return _write(db, StateChange(instrument, _after(before, instrument, at), State.RETIRED, score, (Reason.DELISTED,)))


def reinstate(db: Database, instrument: str, at: datetime) -> StateChange:
    """A person brings a retired instrument back into quarantine, from where it is judged like any other.

    Raises
    ------
    ConflictError : it is not retired, or was retired at a later moment
    """
    before = state_of(db, instrument)
    if before is None or before.state is not State.RETIRED:
        found = "never judged" if before is None else str(before.state)
        raise ConflictError(f"expected {instrument} to be retired, found it {found}")
    moment = _after(before, instrument, at)
    return _write(db, StateChange(instrument, moment, State.QUARANTINED, before.score, (Reason.REINSTATED,)))


def state_of(db: Database, instrument: str, as_of: datetime | None = None) -> StateChange | None:
    """The state that held at `as_of` (none = now); none where the instrument had not been judged."""
    query = select(tables.InstrumentState).where(tables.InstrumentState.instrument == instrument)
    if as_of is not None:
        query = query.where(tables.InstrumentState.at <= utc(as_of))
    with db.read() as session:
        row = session.scalars(query.order_by(tables.InstrumentState.at.desc()).limit(1)).first()
        return None if row is None else _change(row)


def state_history(db: Database, instruments: Iterable[str] | None = None) -> pl.DataFrame:
    """Every change (of the instruments named, or of all), by instrument and time; schema `HISTORY`."""
    query = select(tables.InstrumentState).order_by(tables.InstrumentState.instrument, tables.InstrumentState.at)
    if instruments is not None:
        query = query.where(tables.InstrumentState.instrument.in_(list(instruments)))
    with db.read() as session:
        changes = [_change(row) for row in session.scalars(query)]
    return pl.DataFrame(
        [
            {
                "instrument": change.instrument,
                "at": change.at,
                "state": str(change.state),
                "score": change.score,
                "reasons": ",".join(change.reasons),
            }
            for change in changes
        ],
        schema=HISTORY,
    )


def active(db: Database, as_of: datetime | None = None) -> tuple[str, ...]:
    """Instruments that may be traded, by id.

    Raises
    ------
    MissingData : no instrument was ever judged
    """
    history = state_history(db)
    if as_of is not None:
        history = history.filter(pl.col("at") <= utc(as_of))
    if history.is_empty():
        raise MissingData("expected judged instruments, found none; run a quality check first")
    last = history.group_by("instrument", maintain_order=True).last()
    return tuple(last.filter(pl.col("state").is_in([str(state) for state in State if state.may_trade]))["instrument"])


def _after(before: StateChange | None, instrument: str, at: datetime) -> datetime:
    """When a change at `at` is written down: after the one before it, also where both are of the same moment."""
    at = utc(at)
    if before is None or at > before.at:
        return at
    if before.at - at < SAME_MOMENT:
        return before.at + timedelta(microseconds=1)
    raise ConflictError(
        f"expected to judge {instrument} at or after {before.at.isoformat()}, its newest change, found {at.isoformat()}"
    )


def _write(db: Database, change: StateChange) -> StateChange:
    with db.begin(label="instrument-state") as session:
        if session.get(tables.InstrumentState, (change.instrument, change.at)) is not None:
            raise ConflictError(f"expected no change of {change.instrument} at {change.at.isoformat()} yet, found one")
        session.add(
            tables.InstrumentState(
                instrument=change.instrument,
                at=change.at,
                state=str(change.state),
                score=change.score,
                reasons=[str(reason) for reason in change.reasons],
            )
        )
    return change


def _change(row: tables.InstrumentState) -> StateChange:
    return StateChange(row.instrument, row.at, State(row.state), row.score, reason_codes(row.reasons))
