"""Studies of the gate on markets whose truth is known: does it let a planted edge through, and a martingale not?

Everything here is simulated. The figures say how the gate behaves, never what a real market does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fieldcast.data import MemoryStore, SimulatedMarket, simulate
from fieldcast.data.simulated.market import MarketKind
from fieldcast.ground import Shown
from fieldcast.validation import GateOutcome, GateResult, SignForecast, gate_v04
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.parallel import run_jobs
from fieldcast.workflows.prepare import prepare
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.walks import odds_tasks


@dataclass(frozen=True)
class GateStudy(Shown):
    """What the gate said of each seed, in order; `bayes_auc` is the AUC of the true odds on each path."""

    kind: str
    seeds: tuple[int, ...]
    results: tuple[GateResult, ...]
    bayes_auc: tuple[float, ...]

    @property
    def passes(self) -> int:
        return sum(result.outcome is GateOutcome.PASS for result in self.results)

    def as_dict(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "n": len(self.seeds),
            "passes": self.passes,
            "pass_rate_upper_95": self.upper_bound(),
            "outcomes": {outcome.value: sum(r.outcome is outcome for r in self.results) for outcome in GateOutcome},
            "auc": [round(result.estimate, 4) for result in self.results],
            "bayes_auc": [round(value, 4) for value in self.bayes_auc],
        }

    def upper_bound(self) -> float:
        """One-sided 95 % Clopper-Pearson bound of the PASS rate."""
        from scipy.special import betaincinv

        k, n = self.passes, len(self.results)
        return 1.0 if k == n else float(betaincinv(k + 1, n - k, 0.95))


def gate_study(
    kind: MarketKind, seeds: Sequence[int], experiment: Experiment, *, workers: int = 2, progress: Progress = silent
) -> GateStudy:
    """Walk the nominated configuration on one simulated market a seed, and ask the gate; no seed is dropped."""
    jobs = [(kind, seed, experiment) for seed in seeds]
    found = run_jobs(_one, jobs, workers=workers, progress=progress, stage=f"Gate study: {kind}")
    return GateStudy(kind, tuple(seeds), tuple(result for result, _ in found), tuple(bayes for _, bayes in found))


def _one(job: tuple[MarketKind, int, Experiment]) -> tuple[GateResult, float]:
    import numpy as np

    from fieldcast.projection.walk_forward import walk_odds

    kind, seed, experiment = job
    made = simulate(SimulatedMarket(seed=seed, kind=kind))
    store = MemoryStore()
    store.append(made.bars, made.lineage)
    prepared = prepare(store, made.instrument, experiment)
    nominated = experiment.nominated
    key = (made.instrument.id, nominated.label, nominated.horizon, nominated.model)
    odds = walk_odds(next(task for task in odds_tasks(prepared, experiment) if task.key == key)).odds
    known = np.isfinite(odds) & np.isfinite(prepared.returns[1])
    settings = experiment.intervals
    forecast = SignForecast(made.instrument.id, prepared.decision[known].astype("datetime64[D]"), odds[known],
                            1.0 - odds[known], prepared.returns[1][known])
    gate = gate_v04([forecast], label=nominated.label, horizon=nominated.horizon, seed=settings.seed,
                    block=settings.block, draws=settings.draws)
    return gate, made.bayes_auc
