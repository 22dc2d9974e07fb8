"""The economic gate (V16) asked of a backtest: is what it earned still there after its costs, and is it more than the market's?

The gate judges the account from open to open (`simulation.report.economic`), after the run is on record as a trial. Its rule says
what passes and when a span is too short to tell (`validation.economic`). Where the run cannot be put to it, the answer is
CANNOT_JUDGE with the cause. The span has to be one that nothing was chosen on; nobody but the user knows whether it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fieldcast.evaluation import Trial, TrialLog
from fieldcast.ground import ConfigError, InvalidInput, MissingData
from fieldcast.simulation.report import next_open_returns
from fieldcast.simulation.result import SimulationResult
from fieldcast.validation import EconomicResult, gate_economic
from fieldcast.validation.economic import GATE
from fieldcast.validation.gate import GateOutcome
from fieldcast.workflows.backtest_data import BacktestData
from fieldcast.workflows.backtest_settings import BacktestPlan
from fieldcast.workflows.run_log import log_run
from fieldcast.workflows.workspace import Workspace

EXIT_CODES = {GateOutcome.PASS: 0, GateOutcome.FAIL: 1, GateOutcome.CANNOT_JUDGE: 4}


@dataclass(frozen=True)
class RunGate:
    """What the gate said of a run; `result` is None where the run could not be put to it, and `why` says the cause."""

    outcome: GateOutcome
    why: str
    result: EconomicResult | None

    @property
    def text(self) -> str:
        """One line with its figures."""
        return f"gate {GATE}: {self.outcome}: {self.why}" if self.result is None else f"gate {GATE}: {self.result.text}"

    def as_dict(self) -> dict[str, Any]:
        plain = {"gate": GATE, "outcome": str(self.outcome), "why": self.why}
        return plain if self.result is None else plain | dict(self.result.as_dict())


class _Standing:
    """The log in which the gate's own series stands for the run's trial, which is on record already: it counts once."""

    def __init__(self, log: TrialLog, family: str, trial: str) -> None:
        self._log, self._run = log, trial
        self._others = [one for one in log.trials(family) if one.id != trial]
        self._own: list[Trial] = []

    def record(self, trial: Trial) -> None:
        self._own = [trial]

    def trials(self, family: str) -> tuple[Trial, ...]:
        return tuple(sorted((one for one in (*self._others, *self._own) if one.family == family), key=lambda one: one.id))

    def looks(self, trial_id: str) -> int:
        """The run's for its own series, each other trial's for itself."""
        return self._log.looks(self._run if any(one.id == trial_id for one in self._own) else trial_id)


def market_of(plan: BacktestPlan, instruments: Sequence[str], *, roots: Sequence[str] = ()) -> str:
    """The instrument that stands for the market: the plan's benchmark, or the run's only one.

    Raises
    ------
    ConfigError : several instruments, and no benchmark among them, or one that is a root of futures
    """
    found = plan.benchmark if plan.benchmark in instruments else None
    if len(instruments) == 1 and plan.benchmark is None:
        found = instruments[0]
    if found in roots:
        raise ConfigError(
            f"expected an instrument that is held all the time as the gate's market, found the root {found}, whose contracts "
            "change; play one beside it and name it as the benchmark, or leave out --gate"
        )
    if found is not None:
        return found
    raise ConfigError(
        f"expected one of the run's instruments ({', '.join(instruments[:5])}) as the benchmark of the gate, found "
        f"{plan.benchmark or 'none'}: the gate needs its opens; name one with --benchmark, or as benchmark in the plan"
    )


def judge_run(
    log: TrialLog,
    family: str,
    configuration: Mapping[str, Any],
    plan: BacktestPlan,
    data: BacktestData,
    result: SimulationResult,
    trial: str | None,
    *,
    first: date | None = None,
) -> RunGate:
    """Put a run to the gate.

    Parameters
    ----------
    trial : the run's, on record; None where it was too short for one
    first : session from which on it is judged; None = the first after a decision
    """
    market = market_of(plan, [one.id for one in data.heads], roots=tuple(data.roots.values()))
    if trial is None:
        return RunGate(GateOutcome.CANNOT_JUDGE, "the run is too short, or its account was spent: it is no trial on record", None)
    try:
        returns = next_open_returns(result, data.market, market, first=first)
    except (MissingData, InvalidInput) as error:
        return RunGate(GateOutcome.CANNOT_JUDGE, str(error), None)
    found = gate_economic(returns, log=_Standing(log, family, trial), family=family, configuration=configuration)
    return RunGate(found.outcome, found.why, found)


def file_verdict(
    workspace: Workspace, gate: RunGate, *, name: str, run: str, plan_hash: str, data_hash: str, began: datetime, seconds: float,
    simulated: bool,
) -> None:  # fmt: skip
    """A line of the run log, where the verdicts of the other gates stand."""
    found = gate.result
    metrics: dict[str, float | None] = {} if found is None else {
        "net_mean": found.gross_mean - found.cost_mean,
        "cost_mean": found.cost_mean,
        "psr": found.psr,
        "dsr": found.deflated.dsr,
        "sessions": float(found.n),
    }
    log_run(
        workspace,
        "validation",
        name,
        configuration_hash=plan_hash,
        data_hash=data_hash,
        metrics=metrics,
        artefacts={"run": run},
        started_at=began,
        seconds=seconds,
        parameters={"gate": str(gate.outcome), "row": GATE, "why": gate.why},
        simulated=simulated,
    )
