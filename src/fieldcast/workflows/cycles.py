"""Paper cycles: what a cycle may know comes from stored bars and stored projections, as known at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl

from fieldcast import cycle
from fieldcast.cycle import CycleConfig, CycleResult, Snapshot
from fieldcast.data import Store, list_instruments, load_instrument, quality
from fieldcast.execution import PaperBroker
from fieldcast.ground import InvalidInput, ManualClock, MissingData, Reason, ShortHistory, utc
from fieldcast.market import DECISION_DELAY, Instrument, file_name, last_session
from fieldcast.projection import ProjectionPacket, packet_from_row
from fieldcast.validation import GateResult
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.judge import judge
from fieldcast.workflows.prepare import data_hash, history_hash, used_covariate
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.records import latest_table, load_table
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.study import running_hashes
from fieldcast.workflows.validation import validate
from fieldcast.workflows.workspace import Workspace

ACCOUNT = "paper"
SHOWN_BARS = 30          # the cycle looks at the newest bar; a few more tell it whether that one is stale


@dataclass(frozen=True)
class Projections:
    """One instrument's out-of-sample projections and what came of them."""

    table: pl.DataFrame
    outcomes: pl.DataFrame


class StoredSource:
    """A cycle's view of the workspace: nothing that became known after `as_of`.

    The gate is asked at each step of the walk (every 21 sessions in the demo), on outcomes that had ended by then; its answer
    stands until the next step.
    """

    def __init__(
        self,
        store: Store,
        projections: dict[str, Projections],
        experiment: Experiment,
        missing: dict[str, Reason],
        covariate: str | None = None,
    ) -> None:
        self._covariate = covariate
        self._store = store
        self._projections = projections
        self._experiment = experiment
        self._missing = missing
        self._gates: dict[tuple[str, datetime], GateResult] = {}

    def snapshot(self, instrument: Instrument, as_of: datetime) -> Snapshot:
        bars = self._store.read(instrument.id, as_of=as_of)
        if bars.is_empty():
            raise MissingData(f"expected rows of {instrument.id} known at {as_of.isoformat()}, found none")
        reasons: list[Reason] = []
        packet, gate = None, None
        if instrument.id in self._projections:
            packet = self._packet(instrument, as_of)
            try:
                gate = self._gate(instrument, as_of)
            except MissingData:
                reasons.append(Reason.SHORT_HISTORY)      # fewer outcomes than a gate needs
        else:
            reasons.append(self._missing.get(instrument.id, Reason.PROJECTION_MISSING))
        return Snapshot(
            bars=bars.tail(SHOWN_BARS),
            data_hash=data_hash(self._store, instrument.id, covariate=self._covariate, as_of=as_of),
            quality=quality(bars, instrument, as_of).score,
            packet=packet,
            gate=gate,
            reasons=tuple(reasons),
        )

    def _packet(self, instrument: Instrument, as_of: datetime) -> ProjectionPacket | None:
        session = last_session(instrument.calendar, as_of)
        try:
            return packet_from_row(self._projections[instrument.id].table, instrument.id, session["as_of"])  # type: ignore[arg-type]
        except MissingData:
            return None

    def _gate(self, instrument: Instrument, as_of: datetime) -> GateResult:
        known = self._projections[instrument.id]
        moments = known.table["as_of"].unique(maintain_order=True)
        past = moments.filter(moments <= as_of).len()
        if not past:
            raise MissingData(f"expected a projection of {instrument.id} by {as_of.isoformat()}, found none")
        step = self._experiment.walk_forward.step
        asked: datetime = moments[(past - 1) // step * step]
        if (instrument.id, asked) not in self._gates:
            self._gates[instrument.id, asked] = judge(instrument, known.table, known.outcomes, self._experiment, as_of=asked)
        return self._gates[instrument.id, asked]


def run_cycle(
    workspace: Workspace,
    instruments: Sequence[str],
    experiment: Experiment,
    *,
    as_of: datetime,
    portfolio: str = "paper",
    vix: str | None = None,
    revise: bool = False,
    progress: Progress = silent,
) -> CycleResult:
    """One governed paper cycle of the newest session at `as_of`.

    Projections are taken from the last validation of the same experiment on the same data; where there is none, the
    instruments are validated first.

    Raises
    ------
    InvalidInput : `as_of` lies in the future
    ConflictError : the slot was decided on other data or another configuration (exit code 3), unless `revise`
    Halted : broker and ledger disagree
    """
    not_in_the_future(workspace, as_of)
    projections, missing = {}, {}
    for name in instruments:
        try:
            projections[name] = projections_of(workspace, name, experiment, as_of=as_of, vix=vix, progress=progress)
        except ShortHistory:
            missing[name] = Reason.SHORT_HISTORY
    source = StoredSource(workspace.store, projections, experiment, missing, used_covariate(experiment, vix))
    universe = tuple(load_instrument(workspace.ledger, name) for name in instruments)
    return cycle_once(workspace, source, universe, experiment, portfolio=portfolio, as_of=as_of, revise=revise)


def not_in_the_future(workspace: Workspace, as_of: datetime | None) -> None:
    """Refuse a moment that the workspace's clock has not reached.

    Raises
    ------
    InvalidInput : it lies ahead
    """
    if as_of is not None and utc(as_of) > workspace.clock.now():
        raise InvalidInput(f"expected a moment that has come, found {as_of.isoformat()}; it lies in the future")


def cycle_once(
    workspace: Workspace,
    source: StoredSource,
    universe: Sequence[Instrument],
    experiment: Experiment,
    *,
    portfolio: str,
    as_of: datetime,
    revise: bool = False,
) -> CycleResult:
    """The cycle of `as_of` for one portfolio with the paper broker of that portfolio."""
    clock = ManualClock(utc(as_of))
    tradable_here = {i.id: i for i in (*list_instruments(workspace.ledger), *universe) if i.currency == universe[0].currency}
    config = CycleConfig(
        account=ACCOUNT,
        portfolio=portfolio,
        instruments=tuple(universe),
        starting_cash=experiment.cycle.nav,
        calendar=universe[0].calendar,
        horizon=f"{experiment.nominated.horizon}d",
        target_volatility=Decimal(str(experiment.cycle.volatility_target)),
        experiment=experiment.hash,
    )
    with PaperBroker(
        workspace.home / "brokers" / f"{file_name(portfolio)}.db",
        account=ACCOUNT,
        portfolio=portfolio,
        market=workspace.store,
        clock=clock,
        instruments=tuple(tradable_here.values()),
        cash=experiment.cycle.nav,
        actions=workspace.store,
    ) as broker:
        return cycle.run(clock, source, broker, workspace.ledger, config, revise=revise)


def validated_before(
    workspace: Workspace, instrument: str, experiment: Experiment, *, as_of: datetime | None = None, vix: str | None = None
) -> bool:
    """True where the experiment was validated on an earlier part of the history known at `as_of`, no bar of which has changed.

    Where the experiment reads a VIX series, that is part of the history: another series, or a bar of it that has changed since,
    is another history.
    """
    try:
        table = latest_table(workspace, experiment, instrument, "projections")
    except MissingData:
        return False
    covariate = used_covariate(experiment, vix)
    known = workspace.store.read(instrument, as_of=as_of)
    last = table["as_of"][-1]
    past = known.filter(pl.col("ts") + DECISION_DELAY <= last)
    if not past.height or running_hashes(past)[-1] != table["data_hashes"][-1][0]["sha256"]:
        return False
    if "vix" not in experiment.features.blocks:
        return True
    try:
        beside = None
        if covariate is not None:
            beside = covariate, workspace.store.read(covariate, as_of=as_of).filter(pl.col("ts") <= last)
        wanted = history_hash(past, beside)
        load_table(workspace, experiment, instrument, "projections", data_hash=wanted)
    except MissingData:
        return False
    return True


def projections_of(
    workspace: Workspace,
    instrument: str,
    experiment: Experiment,
    *,
    as_of: datetime | None = None,
    vix: str | None = None,
    progress: Progress = silent,
) -> Projections:
    """Stored projections of the same experiment and data; made now where there are none.

    An earlier `as_of` is answered from the rows up to it of a later validation, where the history up to it is the same (each
    row carries the hash of its history): projections are causal, so nothing has to be made again. Nothing is given of sessions
    that are sealed for this experiment, stored before the seal or not.
    """
    as_of = known_until(workspace, (instrument, vix), experiment.hash, as_of)
    stored = stored_projections(workspace, instrument, experiment, as_of=as_of, vix=vix)
    if stored is not None:
        return stored
    part = validate(workspace, [instrument], experiment, vix=vix, as_of=as_of, progress=progress)[instrument]
    return Projections(part.projections, part.outcomes)


def stored_projections(
    workspace: Workspace, instrument: str, experiment: Experiment, *, as_of: datetime | None, vix: str | None
) -> Projections | None:
    """As `projections_of`, where they are stored; None where they are not. `as_of` lies before whatever is sealed."""
    covariate = used_covariate(experiment, vix)
    for moment in dict.fromkeys((as_of, None)):
        wanted = data_hash(workspace.store, instrument, covariate=covariate, as_of=moment)
        try:
            table, outcomes = (load_table(workspace, experiment, instrument, name, data_hash=wanted)
                               for name in ("projections", "outcomes"))
        except MissingData:
            continue
        if as_of is None or moment == as_of:
            return Projections(table, outcomes)
        past = table.filter(pl.col("as_of") <= as_of)
        known = workspace.store.read(instrument, as_of=as_of)
        same = bool(past.height and known.height) and running_hashes(known)[-1] == past["data_hashes"][-1][0]["sha256"]
        if same and covariate is None:
            ended = pl.when(pl.col("label_end_ts") <= as_of)
            come = [ended.then(name).alias(name) for name in ("ret", "ret_open_to_close")]
            return Projections(past, outcomes.filter(pl.col("as_of") <= as_of).with_columns(come))
    return None
