"""The record of a watch: its packets with their outcomes, and the figures and trips that were written down.

Figures are computed from the recorded packets and the stored bars, persisted session by session as soon as the outcome of every
packet of the session is known, and never changed afterwards. An outcome that is still not there a week after it should be is
unknown (NaN): a series that ends holds nothing up.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from fieldcast.data import load_instrument
from fieldcast.features import labels
from fieldcast.ground import IntegrityError, Reason
from fieldcast.ledger import AuditRecord, AuditTrail, tables
from fieldcast.market import DECISION_DELAY, next_session
from fieldcast.projection import ProjectionPacket
from fieldcast.projection._rows import packet_of_row
from fieldcast.validation.watch import BAND, PaperRow, Watched
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.workspace import Workspace

WATCH = "paper"
HORIZON = "1d"
PATIENCE = timedelta(days=7)  # with an outcome that should be known


def paper_rows(workspace: Workspace, name: str = WATCH) -> list[PaperRow]:
    """Every recorded packet of a watch with its outcome, oldest first, up to the first session with an outcome to come.

    Raises
    ------
    IntegrityError : a packet is gone or was changed
    """
    with workspace.ledger.read() as session:
        stored = stored_packets(session, name)
        packets = _packets(session, name)
    gone = [row for row in stored if (row.instrument, row.as_of, row.digest) not in packets]
    if gone:
        raise IntegrityError(f"expected packet {gone[0].digest} of {gone[0].instrument} in the ledger, found none")
    now = workspace.clock.now()
    asked = {row.instrument: row.configuration_hash for row in stored}  # a watch goes by one experiment
    ends = {instrument: known_until(workspace, (instrument,), chosen, now) or now for instrument, chosen in asked.items()}
    calendars = {instrument: load_instrument(workspace.ledger, instrument).calendar for instrument in ends}
    returns = {instrument: _returns(workspace, instrument, until) for instrument, until in ends.items()}
    found: list[PaperRow] = []
    for row in stored:
        ret = returns[row.instrument].get(row.as_of)
        if ret is None and (ends[row.instrument] < now or now < _due(calendars[row.instrument], row.session) + PATIENCE):
            return [one for one in found if one.session < row.session]
        found.append(_paper_row(row, packets[row.instrument, row.as_of, row.digest], float("nan") if ret is None else ret))
    return found


def _paper_row(row: tables.PaperPacket, packet: ProjectionPacket, ret: float) -> PaperRow:
    horizon = packet.horizon(HORIZON)
    p_up = low = high = float("nan")
    if horizon.direction is not None and horizon.direction.up + horizon.direction.down > 0:
        p_up = horizon.direction.up / (horizon.direction.up + horizon.direction.down)
        low, high = horizon.band(BAND)
    return PaperRow(row.instrument, row.session, p_up, low, high, 1e4 * ret, row.regime)


def persist(workspace: Workspace, name: str, found: Watched) -> None:
    """Write sessions and trips that are new; what was written stays."""
    now = workspace.clock.now()
    with workspace.ledger.begin("watch") as session:
        days = set(session.scalars(select(tables.WatchDay.session).where(tables.WatchDay.watch == name)))
        rules = set(session.scalars(select(tables.WatchKill.rule).where(tables.WatchKill.watch == name)))
        for day in found.days:
            if day.session not in days:
                session.add(
                    tables.WatchDay(
                        watch=name,
                        session=day.session,
                        rows=day.rows,
                        auc=day.auc,
                        coverage=day.coverage,
                        ic=day.ic,
                        regime=dict(day.regime),
                        auc_run=day.auc_run,
                        ic_run=day.ic_run,
                        evidence=day.evidence,
                        recorded_at=now,
                    )
                )
        for kill in found.kills:
            if kill.rule not in rules:
                session.add(
                    tables.WatchKill(watch=name, rule=kill.rule, session=kill.session, figure=kill.figure, recorded_at=now)
                )
                record = AuditRecord(
                    None, None, now, "KILLED", reason_codes=(Reason.KILLED,),
                    metadata={"watch": name, "rule": kill.rule, "session": kill.session, "figure": kill.figure},
                )  # fmt: skip
                AuditTrail.append(session, record, entry_type="watch")


def stored_packets(session: Session, name: str) -> list[tables.PaperPacket]:
    """The rows of a watch's packets, by session and instrument."""
    t = tables.PaperPacket
    return list(session.scalars(select(t).where(t.watch == name).order_by(t.session, t.instrument)))


def _packets(session: Session, name: str) -> dict[tuple[str, datetime, str], ProjectionPacket]:
    """The packets of a watch, whole, by instrument, moment and digest."""
    t, mine = tables.Packet, tables.PaperPacket
    same = and_(t.instrument == mine.instrument, t.as_of == mine.as_of, t.digest == mine.digest)
    rows = session.scalars(select(t).join(mine, same).where(mine.watch == name))
    return {(row.instrument, row.as_of, row.digest): packet_of_row(row) for row in rows}


def _returns(workspace: Workspace, instrument: str, until: datetime) -> dict[datetime, float]:
    """Log return close to close by decision time, where it is known at a moment."""
    bars = workspace.store.read(instrument, as_of=until)
    if bars.is_empty():
        return {}
    rows = labels.sign(bars, 1).drop_nulls("ret")
    return dict(zip((rows["ts"] + DECISION_DELAY).to_list(), rows["ret"].to_list(), strict=True))


def _due(calendar: str, session: date) -> datetime:
    found = next_session(calendar, session)["as_of"]
    if not isinstance(found, datetime):
        raise IntegrityError(f"expected the decision time after {session} on the calendar {calendar}, found {found!r}")
    return found
