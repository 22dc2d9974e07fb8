"""Verdicts: the gate to paper, earned upgrades, the causality check of every registered column, and what the ledger keeps."""

from fieldcast.validation._rows import LedgerTrialLog, load_gate_result, save_gate_result
from fieldcast.validation.ablation import ablation_evidence
from fieldcast.validation.causality import CausalityReport, Violation, check_causality, check_steps
from fieldcast.validation.evidence import EvidenceRow, Span, load_evidence, save_evidence
from fieldcast.validation.gate import GateOutcome, GateResult, InstrumentFigure, SignForecast, decide, gate_v04
from fieldcast.validation.upgrades import (
    HMM_REGIME,
    INTRADAY_DEALER,
    PRINT_STREAM,
    UPGRADES,
    Measure,
    Upgrade,
    UpgradeOutcome,
    UpgradeVerdict,
    earned,
    load_verdicts,
)

__all__ = [
    "HMM_REGIME",
    "INTRADAY_DEALER",
    "PRINT_STREAM",
    "UPGRADES",
    "CausalityReport",
    "EvidenceRow",
    "GateOutcome",
    "GateResult",
    "InstrumentFigure",
    "LedgerTrialLog",
    "Measure",
    "SignForecast",
    "Span",
    "Upgrade",
    "UpgradeOutcome",
    "UpgradeVerdict",
    "Violation",
    "ablation_evidence",
    "check_causality",
    "check_steps",
    "decide",
    "earned",
    "gate_v04",
    "load_evidence",
    "load_gate_result",
    "load_verdicts",
    "save_evidence",
    "save_gate_result",
]
