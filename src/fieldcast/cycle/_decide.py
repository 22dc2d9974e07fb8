"""From what is known to decisions: wish, verdict, target, action.

    wish      0 where something is held and the gate does not say PASS; else the strategy's size; None where unknown
    target    what risk's verdict permits of the way from `current` to the wish; `current` where there is no wish
    action    REJECT where an increase was refused or no wish could be formed; else sign(target - current)

`current` is what is held plus what working orders may still add, so an order is never placed twice; between two daily
cycles nothing is at work and it is simply what is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from fieldcast.cycle._look import Look
from fieldcast.cycle.config import CycleConfig
from fieldcast.ground import Reason
from fieldcast.risk import Proposal, check_limits
from fieldcast.strategy import SizedTarget, volatility_target
from fieldcast.trading import Action, Decision, DecisionStatus, Intent, Side, Verdict, VerdictKind, client_id, exact_sum

LEG = "main"  # a decision has one leg until there are pairs and option structures


@dataclass(frozen=True)
class Plan:
    """A decision, the verdict behind it, and its intent where it has one."""

    look: Look
    decision: Decision
    verdict: Verdict
    intent: Intent | None


@dataclass(frozen=True)
class _Wish:
    quantity: Decimal | None
    reasons: tuple[Reason, ...]
    figures: Mapping[str, Any]


def decide(
    looks: Sequence[Look],
    *,
    held: Mapping[str, Decimal],
    working: Mapping[str, Decimal],
    nav: Decimal,
    config: CycleConfig,
    slot: str,
    revision: int,
    frozen: bool,
    now: datetime,
) -> tuple[Plan, ...]:
    """One plan for each instrument, by id."""
    nothing = Decimal(0)
    current = {
        item.instrument.id: exact_sum(held.get(item.instrument.id, nothing), working.get(item.instrument.id, nothing))
        for item in looks
    }
    wishes = {item.instrument.id: _wish(item, current[item.instrument.id], nav, config) for item in looks}
    proposals = [_proposal(item, current[item.instrument.id], wishes[item.instrument.id]) for item in looks]
    verdicts = check_limits(proposals, nav=nav, limits=config.limits, frozen=frozen)
    plans = []
    for item in sorted(looks, key=lambda item: item.instrument.id):
        id = item.instrument.id
        figures = {"held": held.get(id, nothing), "working": working.get(id, nothing)}
        decision = _decision(item, wishes[id], verdicts[id], current[id], figures, config, slot, revision, now)
        plans.append(Plan(item, decision, verdicts[id], _intent(decision, config, now)))
    return tuple(plans)


def _wish(item: Look, current: Decimal, nav: Decimal, config: CycleConfig) -> _Wish:
    if current > 0 and item.snapshot is not None and item.gate != "PASS":
        return _Wish(Decimal(0), (), {"exit": "the gate does not say PASS"})
    if item.outlook is None or item.price is None:
        return _Wish(None, (), {})
    sized: SizedTarget = volatility_target(
        p_up=item.outlook.p_up,
        p_down=item.outlook.p_down,
        sigma_annual=item.outlook.sigma_annual,
        nav=nav,
        price=item.price,
        current=current,
        n_instruments=len(config.instruments),
        lot=item.instrument.lot,
        multiplier=item.instrument.multiplier,
        target_volatility=config.target_volatility,
        dead_band=config.dead_band,
    )
    return _Wish(sized.quantity, sized.reasons, sized.figures)


def _proposal(item: Look, current: Decimal, wish: _Wish) -> Proposal:
    return Proposal(
        instrument=item.instrument,
        current=current,
        wanted=wish.quantity,
        price=item.price,
        quality=item.quality,
        gate=item.gate,
        has_projection=item.outlook is not None,
        next_open_trusted=item.next_open_trusted,
        faults=item.faults,
    )


def _decision(
    item: Look,
    wish: _Wish,
    verdict: Verdict,
    current: Decimal,
    figures: Mapping[str, Any],
    config: CycleConfig,
    slot: str,
    revision: int,
    now: datetime,
) -> Decision:
    refused = verdict.kind in (VerdictKind.REJECT, VerdictKind.FREEZE)
    if wish.quantity is None:
        target = current
    else:
        target = verdict.permitted(current, wish.quantity, item.instrument.lot)
    if target == current and refused and (wish.quantity is None or wish.quantity != current):
        action = Action.REJECT
    else:
        action = Action.BUY if target > current else Action.SELL if target < current else Action.HOLD
    reasons = [*wish.reasons, *verdict.reasons, *item.notes]
    if action is Action.HOLD:
        reasons.append(Reason.UNCHANGED if wish.quantity == target else Reason.BELOW_LOT)
    if item.gate == "PASS":
        reasons.append(Reason.GATE_PASSED)
    if item.instrument.simulated:
        reasons.append(Reason.SIMULATED)
    if revision:
        reasons.append(Reason.REVISED)
    packet = None if item.snapshot is None else item.snapshot.packet
    return Decision(
        account=config.account,
        portfolio=config.portfolio,
        slot=slot,
        instrument=item.instrument.id,
        revision=revision,
        action=action,
        current_position=current,
        target_position=target,
        reduce_only=refused,
        status=DecisionStatus.NO_ORDER if target == current else DecisionStatus.ORDERED,
        reasons=tuple(dict.fromkeys(reasons)),
        decided_at=now,
        packet_digest=None if packet is None else packet.digest,
        gate_result=item.gate,
        sizing={
            **wish.figures,
            **figures,
            "verdict": verdict.kind,
            "factor": verdict.factor,
            "risk": dict(verdict.figures),
        },
        reference_price=item.price,
    )


def _intent(decision: Decision, config: CycleConfig, now: datetime) -> Intent | None:
    change = exact_sum(decision.target_position, -decision.current_position)
    if change == 0:
        return None
    attempt = decision.revision + 1
    key = (config.account, config.portfolio, decision.slot, decision.instrument, LEG)
    return Intent(
        client_id(*key, attempt),
        *key,
        attempt=attempt,
        side=Side.BUY if change > 0 else Side.SELL,
        quantity=abs(change),
        created_at=now,
    )
