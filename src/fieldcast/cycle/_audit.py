"""The audit entries of a cycle: one about the whole, one about each decision, fifteen fields each."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcast.cycle._decide import Plan
from fieldcast.ledger import AuditRecord, tables


def summary_record(cycle: tables.CycleMeta, plans: Sequence[Plan]) -> AuditRecord:
    """What was run, on which hashes, with which NAV."""
    return AuditRecord(
        cycle_id=cycle.id,
        symbol=None,
        timestamp=cycle.as_of,
        final_decision="decided",
        metadata={
            "account": cycle.account,
            "portfolio": cycle.portfolio,
            "slot": cycle.slot,
            "revision": cycle.revision,
            "configuration_hash": cycle.configuration_hash,
            "data_hash": cycle.data_hash,
            "nav": cycle.nav,
            "drawdown": cycle.drawdown,
            "instruments": [plan.decision.instrument for plan in plans],
        },
    )


def decision_record(cycle_id: str, plan: Plan) -> AuditRecord:
    """One decision, with the projection, the verdict and the intent behind it.

    `stop_loss`, `provider_confidence` and `agent_results` are empty: there are no stops, rated providers or agents.
    """
    decision, outlook = plan.decision, plan.look.outlook
    return AuditRecord(
        cycle_id=cycle_id,
        symbol=decision.instrument,
        timestamp=decision.decided_at,
        final_decision=decision.action.value,
        position_size=decision.target_position,
        reason_codes=decision.reasons,
        mu_hat=None if outlook is None else outlook.mean_bps,
        sigma_hat=None if outlook is None else outlook.sigma_bps,
        conviction=None if outlook is None else outlook.conviction,
        data_quality_score=plan.look.quality,
        risk_checks={
            "verdict": plan.verdict.kind,
            "factor": plan.verdict.factor,
            "reasons": list(plan.verdict.reasons),
            "figures": dict(plan.verdict.figures),
        },
        metadata={
            "slot": decision.slot,
            "revision": decision.revision,
            "current_position": decision.current_position,
            "reduce_only": decision.reduce_only,
            "packet_digest": decision.packet_digest,
            "gate_result": decision.gate_result,
            "data_hash": plan.look.data_hash,
            "sizing": dict(decision.sizing),
            "intent": None if plan.intent is None else plan.intent.client_id,
        },
    )
