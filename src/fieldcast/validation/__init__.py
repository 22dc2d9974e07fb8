"""Verdicts: the gate to paper, earned upgrades, the causality check of every registered column, and what the ledger keeps."""

from fieldcast.validation._rows import LedgerTrialLog, load_gate_result, save_gate_result
from fieldcast.validation.ablation import ablation_evidence
from fieldcast.validation.causality import check_causality
from fieldcast.validation.causality_report import CausalityReport, Violation
from fieldcast.validation.economic import EconomicResult, NextOpenReturns, gate_economic
from fieldcast.validation.engines import EngineVerdict, judge_engine
from fieldcast.validation.evidence import EvidenceRow, Span, load_evidence, save_evidence
from fieldcast.validation.gate import GateOutcome, GateResult, InstrumentFigure, SignForecast, decide, gate_v04
from fieldcast.validation.leakage import (
    LeakageReport,
    LeakCheck,
    LeakFound,
    LeakKind,
    feature_leaks,
    label_leaks,
    scaler_leaks,
    split_leaks,
    threshold_leaks,
)
from fieldcast.validation.promotion import PromotionResult, SymbolCalls, exit_code, promotion
from fieldcast.validation.steps import check_steps
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
    "EconomicResult",
    "EngineVerdict",
    "EvidenceRow",
    "GateOutcome",
    "GateResult",
    "InstrumentFigure",
    "LeakCheck",
    "LeakFound",
    "LeakKind",
    "LeakageReport",
    "LedgerTrialLog",
    "Measure",
    "NextOpenReturns",
    "PromotionResult",
    "SignForecast",
    "Span",
    "SymbolCalls",
    "Upgrade",
    "UpgradeOutcome",
    "UpgradeVerdict",
    "Violation",
    "ablation_evidence",
    "check_causality",
    "check_steps",
    "decide",
    "earned",
    "exit_code",
    "feature_leaks",
    "gate_economic",
    "gate_v04",
    "judge_engine",
    "label_leaks",
    "load_evidence",
    "load_gate_result",
    "load_verdicts",
    "promotion",
    "save_evidence",
    "save_gate_result",
    "scaler_leaks",
    "split_leaks",
    "threshold_leaks",
]
