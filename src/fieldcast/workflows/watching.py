"""Daily paper projections and the watch over them.

`run_watch` is meant for every evening: it records the packet of the newest session of each instrument, once. A second run of the
same evening finds the packet there and leaves it. A packet counts only if it was written before the open that it speaks of; one
that would be late is not recorded, and the session is missing. Figures and trips are computed from the recorded packets and the
stored bars, persisted session by session as soon as the outcome of every packet of the session is known, and never changed
afterwards. An outcome that is still not there a week after it should be is unknown (NaN): a series that ends holds nothing up.
What is sealed for the experiment is neither recorded nor scored, and while it is, live stays locked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import select

from fieldcast import __version__
from fieldcast.data import load_instrument
from fieldcast.fields import regime
from fieldcast.fields._rows import rows_of
from fieldcast.ground import ConflictError, IntegrityError, InvalidInput, MissingData, Reason, ShortHistory, Shown
from fieldcast.ledger import tables
from fieldcast.market import last_session, next_session, sessions
from fieldcast.projection import ProjectionPacket, packet_from_row, record_packet
from fieldcast.projection.packet import Provenance, missing_packet
from fieldcast.validation.false_kills import FalseKills, false_kills
from fieldcast.validation.watch import Kill, Lock, PaperRow, Watched, lock, watch
from fieldcast.workflows.cycles import projections_of
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.watch_records import HORIZON, WATCH, paper_rows, persist, stored_packets
from fieldcast.workflows.workspace import Workspace

REGIME_ROWS = 700  # bars that a regime looks back on, and some more
RECORDED, KEPT = "recorded", "kept"
LEAST_FOR_CORRELATION = 60


@dataclass(frozen=True)
class WatchRun(Shown):
    """What a run recorded: instrument → `recorded`, `kept` (it stood there already), or the reason why nothing was."""

    watch: str
    sessions: Mapping[str, date]
    statuses: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        names = sorted(self.statuses)
        rows = [{"instrument": name, "session": self.sessions.get(name), "status": self.statuses[name]} for name in names]
        return {"watch": self.watch, "instruments": rows}


@dataclass(frozen=True)
class WatchShown(Shown):
    """The watch as it stands.

    Parameters
    ----------
    watched : figures and trips, from the recorded packets
    kills : trips as they were persisted; they stay
    lock : may live money follow
    false_kills : how often the rules kill a calibrated forecaster of this universe by chance (simulated)
    """

    watch: str
    instruments: tuple[str, ...]
    simulated: bool
    watched: Watched
    kills: tuple[Kill, ...]
    lock: Lock
    false_kills: FalseKills | None = field(default=None)

    def as_dict(self) -> dict[str, Any]:
        rates = None
        if self.false_kills is not None:
            rates = asdict(self.false_kills) | {"label": "simulated"}
        return {
            "watch": self.watch,
            "instruments": list(self.instruments),
            "simulated": self.simulated,
            "days": [asdict(day) for day in self.watched.days],
            "kills": [asdict(kill) for kill in self.kills],
            "lock": asdict(self.lock),
            "false_kills": rates,
        }


def run_watch(
    workspace: Workspace,
    instruments: Sequence[str],
    experiment: Experiment,
    *,
    name: str = WATCH,
    vix: str | None = None,
    progress: Progress = silent,
) -> WatchRun:
    """Record today's packet of each instrument, and bring the watch up to date.

    Raises
    ------
    ConflictError : the watch goes by another experiment; another experiment is another watch
    MissingData : an instrument is unknown
    InvalidInput : no instrument, or one twice
    """
    if not instruments or len(set(instruments)) != len(instruments):
        raise InvalidInput(f"expected each instrument once and at least one, found {list(instruments)}")
    _same_experiment(workspace, name, experiment)
    statuses: dict[str, str] = {}
    days: dict[str, date] = {}
    for instrument in instruments:
        described = load_instrument(workspace.ledger, instrument)
        now = workspace.clock.now()
        newest = last_session(described.calendar, now)
        session, as_of = newest["session"], newest["as_of"]
        if not isinstance(session, date) or not isinstance(as_of, datetime):
            raise IntegrityError(f"expected a session of the calendar {described.calendar}, found {newest}")
        days[instrument] = session
        if _recorded(workspace, name, instrument, session):
            statuses[instrument] = KEPT
            continue
        opens = _next_open(described.calendar, session)
        if now >= opens:
            statuses[instrument] = str(Reason.TOO_LATE)
            continue
        if known_until(workspace, (instrument, vix), experiment.hash, as_of) != as_of:
            statuses[instrument] = str(Reason.SEALED)
            continue
        if workspace.store.read(instrument, as_of=as_of, first=session).is_empty():
            statuses[instrument] = str(Reason.STALE)
            continue
        packet = _packet(workspace, instrument, experiment, as_of, vix, progress)
        bars = workspace.store.read(instrument, as_of=as_of).tail(REGIME_ROWS)
        regimes = _regime(bars)
        with workspace.ledger.begin("paper-packet") as ledger:
            written = workspace.clock.now()
            if ledger.get(tables.PaperPacket, (name, instrument, session)) is not None:  # another run was faster
                statuses[instrument] = KEPT
                continue
            if written >= opens:  # the projection took too long
                statuses[instrument] = str(Reason.TOO_LATE)
                continue
            record_packet(ledger, packet)
            row = tables.PaperPacket(
                watch=name,
                instrument=instrument,
                session=session,
                as_of=packet.as_of,
                digest=packet.digest,
                configuration_hash=experiment.hash,
                regime=regimes,
                recorded_at=written,
            )
            ledger.add(row)
        statuses[instrument] = RECORDED
    persist(workspace, name, watch(paper_rows(workspace, name)))
    return WatchRun(name, days, statuses)


def show_watch(workspace: Workspace, *, name: str = WATCH, rates: bool = True, runs: int = 400) -> WatchShown:
    """The watch as it stands: figures recomputed from the recorded packets, trips, lock, and false-kill rates.

    Parameters
    ----------
    rates : False leaves the simulation of the false-kill rates out
    runs : simulated eight-week runs

    A watch under whose name nothing has been recorded is empty, and locked.
    """
    rows = paper_rows(workspace, name)
    with workspace.ledger.read() as session:
        stored = stored_packets(session, name)
    watched = watch(rows)
    persist(workspace, name, watched)
    with workspace.ledger.read() as session:
        kept = session.scalars(select(tables.WatchKill).where(tables.WatchKill.watch == name).order_by(tables.WatchKill.session))
        kills = tuple(Kill(row.rule, row.session, row.figure) for row in kept)
    instruments = tuple(sorted({row.instrument for row in stored}))
    described = [load_instrument(workspace.ledger, instrument) for instrument in instruments]
    return WatchShown(
        watch=name,
        instruments=instruments,
        simulated=any(one.simulated for one in described),
        watched=watched,
        kills=kills,
        lock=live_lock(workspace, name=name),
        false_kills=false_kills(len(instruments), correlation=_correlation(rows), runs=runs) if rates and stored else None,
    )


def live_lock(workspace: Workspace, *, name: str = WATCH) -> Lock:
    """May live money follow the watch's forecasts at this moment? What would send a live order has to ask here first."""
    now = workspace.clock.now()
    with workspace.ledger.read() as session:
        stored = stored_packets(session, name)
        killed = session.scalars(select(tables.WatchKill.rule).where(tables.WatchKill.watch == name)).first() is not None
    if not stored:
        return lock(None, now, recorded=0, expected=0, killed=killed)
    counts = []
    for instrument in sorted({row.instrument for row in stored}):
        days = [row.session for row in stored if row.instrument == instrument]
        counts.append((len(days), _sessions(load_instrument(workspace.ledger, instrument).calendar, min(days), now)))
    recorded, expected = min(counts, key=lambda count: count[0] / max(count[1], 1))
    found = lock(min(row.recorded_at for row in stored), now, recorded=recorded, expected=expected, killed=killed)
    if known_until(workspace, {row.instrument for row in stored}, stored[-1].configuration_hash, now) != now:
        found = replace(found, locked=True, reasons=(*found.reasons, Reason.SEALED))
    return found


def _packet(
    workspace: Workspace, instrument: str, experiment: Experiment, as_of: datetime, vix: str | None, progress: Progress
) -> ProjectionPacket:
    """The packet of the session; a packet without figures, and the reason, where nothing can be projected."""
    try:
        table = projections_of(workspace, instrument, experiment, vix=vix, progress=progress).table
        return packet_from_row(table, instrument, as_of)
    except ShortHistory:
        reason = Reason.SHORT_HISTORY
    except MissingData:
        reason = Reason.PROJECTION_MISSING
    provenance = Provenance(
        data_hashes={instrument: workspace.store.content_hash(instrument, as_of=as_of)},
        model_id=experiment.nominated.model,
        code_version=__version__,
        simulated=load_instrument(workspace.ledger, instrument).simulated,
    )
    return missing_packet(instrument, as_of, reason, horizons=(HORIZON,), provenance=provenance)


def _same_experiment(workspace: Workspace, name: str, experiment: Experiment) -> None:
    t = tables.PaperPacket
    with workspace.ledger.read() as session:
        known = session.scalars(select(t.configuration_hash).where(t.watch == name).distinct()).first()
    if known is not None and known != experiment.hash:
        raise ConflictError(
            f"expected the watch {name!r} to go by experiment {known[:16]} as before, found {experiment.hash[:16]}; "
            "another experiment is another watch: give it another --name"
        )


def _recorded(workspace: Workspace, name: str, instrument: str, session_date: date) -> bool:
    with workspace.ledger.read() as session:
        return session.get(tables.PaperPacket, (name, instrument, session_date)) is not None


def _regime(bars: pl.DataFrame) -> dict[str, float]:
    """Soft probabilities of the regimes at the newest bar; empty where they are unknown."""
    columns = regime.compute(rows_of(bars))
    found = {name: float(columns[name][-1]) for name in regime.NAMES}
    return found if all(np.isfinite(value) for value in found.values()) else {}


def _correlation(rows: Sequence[PaperRow]) -> float:
    """Mean correlation of the instruments' returns over the recorded sessions, in [0, 1]; 0.5 while there are too few."""
    table = pl.DataFrame([{"session": r.session, "instrument": r.instrument, "ret": r.ret_bps} for r in rows])
    if table.is_empty() or table["session"].n_unique() < LEAST_FOR_CORRELATION or table["instrument"].n_unique() < 2:
        return 0.5
    wide = table.pivot(on="instrument", index="session", values="ret").drop("session").drop_nulls().to_numpy()
    if wide.shape[0] < LEAST_FOR_CORRELATION:
        return 0.5
    found = np.corrcoef(wide, rowvar=False)
    return float(np.clip(found[np.triu_indices(wide.shape[1], 1)].mean(), 0.0, 1.0))


def _next_open(calendar: str, session: date) -> datetime:
    found = next_session(calendar, session)["open"]
    if not isinstance(found, datetime):
        raise IntegrityError(f"expected the open after {session} on the calendar {calendar}, found {found!r}")
    return found


def _sessions(calendar: str, first: date, now: datetime) -> int:
    table = sessions(calendar)
    return int(table.filter((pl.col("session") >= first) & (pl.col("as_of") <= now)).height)
