"""The governed cycle: one decision path, whatever clock, source and broker it is given.

    1  reconcile     intents without an answer get one; what the broker filled is booked; ledger and broker must agree
    2  look          each instrument as it was known at the clock's now, and the hash of all of it
    3  slot          decided with the same hashes: nothing is added; with others: refused, unless revised on purpose
    4  decide        NAV, one decision an instrument, its intents, packets and audit entries: one transaction
    5  submit        each committed intent, sales first; the kill switch is asked before every purchase
    6  finish        the cycle's row is closed once no intent is open

Steps 1, 5 and 6 are the same functions, so what a crash leaves behind is finished by the next start. A slot is the date
of the newest session whose decision time has come, and the cycle's name. A clock that stands before the newest thing
recorded (history played again) changes nothing: recorded slots are only held against their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from fieldcast.cycle import _rows
from fieldcast.cycle._audit import decision_record, summary_record
from fieldcast.cycle._decide import Plan, decide
from fieldcast.cycle._look import Look, look
from fieldcast.cycle.config import CycleConfig
from fieldcast.cycle.result import CycleResult, CycleStatus
from fieldcast.cycle.source import CycleSource
from fieldcast.execution import (
    Broker,
    Desk,
    Settlement,
    book_outcomes,
    compare,
    intent_row,
    open_books,
    open_quantities,
    settle_intents,
)
from fieldcast.ground import Clock, ConflictError, Halted, digest, utc
from fieldcast.ledger import AuditTrail, Database, cash, positions, tables
from fieldcast.market import last_session
from fieldcast.projection import record_packet
from fieldcast.risk import KillSwitch
from fieldcast.trading import OrderState, exact_product, exact_sum

KILL_FILE = "KILL"


@dataclass(frozen=True)
class _Value:
    cash: Decimal
    positions: Decimal

    @property
    def nav(self) -> Decimal:
        return exact_sum(self.cash, self.positions)


def run(
    clock: Clock,
    source: CycleSource,
    broker: Broker,
    ledger: Database,
    config: CycleConfig,
    *,
    revise: bool = False,
    kill_switch: KillSwitch | None = None,
) -> CycleResult:
    """Run the slot that the clock stands in, for one portfolio.

    Parameters
    ----------
    clock : its now is the moment of everything that is recorded, and the limit of what may be known
    source : data, projections and gates
    broker : this portfolio's own
    ledger : opened with an audit folder
    revise : decide a slot again whose hashes have changed; the difference alone is ordered
    kill_switch : none = the file `KILL` beside the audit trail

    Raises
    ------
    ConflictError : the slot was decided with another configuration or other data, or lies before the newest one
    Halted : ledger and broker disagree, the broker does not answer, or a held position cannot be valued
    IntegrityError : the source shows what could not be known
    ConfigError : broker and configuration do not fit each other
    """
    now = utc(clock.now())
    slot = f"{last_session(config.calendar, now)['session']}/{config.name}"
    switch = kill_switch or _switch_of(ledger)
    desk = Desk(config.account, config.portfolio, config.instruments, broker, ledger, clock, switch)
    with ledger.read() as session:
        newest = _rows.newest_cycle(session, config.account, config.portfolio)
        newest_moment = _rows.newest_moment(session, config.account, config.portfolio)
        revisions = _rows.revisions(session, config.account, config.portfolio, slot)
    in_the_past = newest_moment is not None and newest_moment > now
    settled, booked = (Settlement(), ()) if in_the_past else _reconcile(desk, config)
    looks = tuple(look(source, instrument, now, config.horizon) for instrument in config.instruments)
    data_hash = digest({item.instrument.id: item.data_hash for item in looks})
    for recorded in revisions if in_the_past else revisions[:1]:
        if (recorded.configuration_hash, recorded.data_hash) == (config.hash, data_hash):
            return _result(desk, recorded, CycleStatus.UNCHANGED, settled, booked)
    if revisions and not revise:
        raise ConflictError(_conflict(slot, revisions[0], config.hash, data_hash))
    if newest is not None and (in_the_past or newest.slot.split("/")[0] > slot.split("/")[0]):
        raise ConflictError(
            f"expected a slot at or after the newest one of {config.account}/{config.portfolio}, {newest.slot}, found "
            f"{slot}; what was decided later rests on it, so it can no longer be decided or revised"
        )
    revision = revisions[0].revision + 1 if revisions else 0
    cycle = _commit(desk, looks, config, slot, revision, data_hash, now)
    settled = _joined(settled, settle_intents(desk))
    booked += book_outcomes(desk)
    _finish(desk)
    status = CycleStatus.REVISED if revision else CycleStatus.DECIDED
    return _result(desk, cycle, status, settled, booked)


def _switch_of(ledger: Database) -> KillSwitch:
    if ledger.audit_dir is None:
        raise Halted("expected a ledger that was opened with audit_dir, found none; no cycle runs without an audit")
    return KillSwitch(Path(ledger.audit_dir) / KILL_FILE)


def _reconcile(desk: Desk, config: CycleConfig) -> tuple[Settlement, tuple[OrderState, ...]]:
    open_books(desk, config.starting_cash)
    settled = settle_intents(desk)
    booked = book_outcomes(desk)
    _finish(desk)
    compare(desk)
    return settled, booked


def _commit(
    desk: Desk,
    looks: tuple[Look, ...],
    config: CycleConfig,
    slot: str,
    revision: int,
    data_hash: str,
    now: datetime,
) -> tables.CycleMeta:
    """Decide, and write all of it in one transaction."""
    frozen = desk.kill_switch.is_on(desk.ledger)
    with desk.ledger.begin(label=f"decide:{config.portfolio}:{slot}:{revision}") as session:
        held = positions(session, config.account, config.portfolio)
        for instrument in held:
            desk.instrument(instrument)
        working = open_quantities(session, config.account, config.portfolio)
        value = _value(cash(session, config.account, config.portfolio).get(config.currency, Decimal(0)), held, looks)
        history = _rows.nav_history(session, config.account, config.portfolio)
        plans = decide(
            looks,
            held=held,
            working=working,
            nav=value.nav,
            config=config,
            slot=slot,
            revision=revision,
            frozen=frozen,
            now=now,
        )
        _check_coverage(plans, config)
        cycle = tables.CycleMeta(
            id=_rows.cycle_id(config.account, config.portfolio, slot, revision),
            account=config.account,
            portfolio=config.portfolio,
            slot=slot,
            revision=revision,
            as_of=now,
            started_at=now,
            finished_at=None,
            configuration_hash=config.hash,
            data_hash=data_hash,
            nav=value.nav,
            drawdown=_rows.drawdown(value.nav, [config.starting_cash, *(row.nav for row in history)]),
            universe_size=len(plans),
            status=_rows.DECIDED,
        )
        session.add(cycle)
        session.merge(
            tables.NavSnapshot(
                account=config.account,
                portfolio=config.portfolio,
                slot=slot,
                as_of=now,
                currency=config.currency,
                cash=value.cash,
                positions_value=value.positions,
                nav=value.nav,
            )
        )
        session.flush()
        AuditTrail.append(session, summary_record(cycle, plans), entry_type="cycle")
        for plan in plans:
            if plan.look.snapshot is not None and plan.look.snapshot.packet is not None:
                record_packet(session, plan.look.snapshot.packet)
            row = _rows.decision_row(plan.decision, cycle.id)
            session.add(row)
            session.flush()
            if plan.intent is not None:
                session.add(intent_row(plan.intent, row.id))
            AuditTrail.append(session, decision_record(cycle.id, plan))
    return cycle


def _value(money: Decimal, held: dict[str, Decimal], looks: tuple[Look, ...]) -> _Value:
    """Cash and positions at the newest known closes.

    Raises
    ------
    Halted : something is held whose price is not known
    """
    by_id = {item.instrument.id: item for item in looks}
    worth = []
    for instrument, quantity in held.items():
        price = by_id[instrument].price
        if price is None:
            raise Halted(
                f"expected a price for {quantity} {instrument} that are held, found none; without it the portfolio has "
                "no net asset value: mend the data and run again"
            )
        worth.append(exact_product(price, quantity, by_id[instrument].instrument.multiplier))
    return _Value(money, exact_sum(*worth))


def _check_coverage(plans: tuple[Plan, ...], config: CycleConfig) -> None:
    decided = [plan.decision.instrument for plan in plans]
    if sorted(decided) != sorted(instrument.id for instrument in config.instruments):
        raise Halted(f"expected one decision for each of {len(config.instruments)} instruments, found {decided}")


def _finish(desk: Desk) -> None:
    """Close the rows of cycles of which no intent is open any more."""
    with desk.ledger.read() as session:
        waiting = _rows.unfinished_cycles(session, desk.account, desk.portfolio)
    if not waiting:
        return
    with desk.ledger.begin(label=f"finish:{desk.portfolio}:{waiting[-1].slot}:{waiting[-1].revision}") as session:
        for row in _rows.unfinished_cycles(session, desk.account, desk.portfolio):
            row.status = _rows.FINISHED
            row.finished_at = desk.now()


def _joined(first: Settlement, second: Settlement) -> Settlement:
    return Settlement(
        submitted=first.submitted + second.submitted,
        blocked=first.blocked + second.blocked,
        lapsed=first.lapsed + second.lapsed,
        unresolved=second.unresolved,
    )


def _conflict(slot: str, recorded: tables.CycleMeta, configuration_hash: str, data_hash: str) -> str:
    return (
        f"expected the configuration {recorded.configuration_hash} and data {recorded.data_hash} with which {slot} of "
        f"{recorded.account}/{recorded.portfolio} was decided, found configuration {configuration_hash} and data "
        f"{data_hash}; nothing was ordered: revise explicitly to decide it again"
    )


def _result(
    desk: Desk,
    cycle: tables.CycleMeta,
    status: CycleStatus,
    settled: Settlement,
    booked: tuple[OrderState, ...],
) -> CycleResult:
    with desk.ledger.read() as session:
        decisions = _rows.decisions_of(session, cycle.id)
        pending = _rows.pending_orders(session, desk.account, desk.portfolio)
        value = session.get_one(tables.NavSnapshot, (desk.account, desk.portfolio, cycle.slot))
        row = session.get_one(tables.CycleMeta, cycle.id)
        return CycleResult(
            account=cycle.account,
            portfolio=cycle.portfolio,
            slot=cycle.slot,
            revision=cycle.revision,
            status=status,
            as_of=cycle.as_of,
            configuration_hash=cycle.configuration_hash,
            data_hash=cycle.data_hash,
            decisions=decisions,
            submitted=settled.submitted,
            booked=booked,
            pending=pending,
            blocked=settled.blocked,
            lapsed=settled.lapsed,
            unresolved=settled.unresolved,
            currency=value.currency,
            cash=value.cash,
            positions_value=value.positions_value,
            nav=value.nav,
            drawdown=row.drawdown if row.drawdown is not None else 0.0,
        )
