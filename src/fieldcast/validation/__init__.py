"""Verdicts: the gate to paper, the causality check of every registered column, and what the ledger keeps of both."""

from fieldcast.validation._rows import LedgerTrialLog, load_gate_result, save_gate_result
from fieldcast.validation.causality import CausalityReport, Violation, check_causality, check_steps
from fieldcast.validation.gate import GateOutcome, GateResult, InstrumentFigure, SignForecast, decide, gate_v04

__all__ = [
    "CausalityReport",
    "GateOutcome",
    "GateResult",
    "InstrumentFigure",
    "LedgerTrialLog",
    "SignForecast",
    "Violation",
    "check_causality",
    "check_steps",
    "decide",
    "gate_v04",
    "load_gate_result",
    "save_gate_result",
]
