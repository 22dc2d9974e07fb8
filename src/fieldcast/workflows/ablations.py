"""The ablation of the fitted regime: the experiment's nominated walk with and without its columns, recorded as evidence.

Every `REFIT` rows, from row `FIRST` on, hidden states and change points are fitted on the rows before; their columns up to the
next fit come from those parameters, filtered forward. So each column at a row rests on nothing later, in the walk's training
rows too:

    hmm_calm, hmm_turbulent      odds of the calmest and of the wildest state
    hmm_log_variance, hmm_mean   log variance and mean of the return over the states, by their odds
    change_odds, log_run_length  odds of a recent change, and the log of the present stretch's expected age

The numbers of states may differ from fit to fit; these six have the same meaning whatever it is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.fields._rows import rows_of
from fieldcast.fields.regime import change_point_odds, hmm_probabilities, observations
from fieldcast.ground import InvalidInput, MissingData, Reason, Shown
from fieldcast.models.change_points import fit_change_points
from fieldcast.models.hmm import fit_hmm
from fieldcast.projection.walk_forward import OddsTask
from fieldcast.validation import (
    HMM_REGIME,
    EvidenceRow,
    Upgrade,
    UpgradeOutcome,
    UpgradeVerdict,
    ablation_evidence,
    earned,
    save_evidence,
)
from fieldcast.validation.upgrades import LEAST_ROWS
from fieldcast.workflows.experiment import Experiment, load_experiment
from fieldcast.workflows.prepare import Array, Prepared, prepare
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.sealing import known_until, may_start
from fieldcast.workflows.walks import odds_tasks, run_walks
from fieldcast.workflows.workspace import Workspace

FIRST, REFIT = 756, 252
FEATURES = ("return", "range")
COLUMNS = ("hmm_calm", "hmm_turbulent", "hmm_log_variance", "hmm_mean", "change_odds", "log_run_length")
_STAGE = "Ablation of the regime"


CANNOT_JUDGE = "cannot_judge"


@dataclass(frozen=True)
class Ablation(Shown):
    """What the ablation found.

    Parameters
    ----------
    evidence : gain in AUC of the sign, and in log loss, as recorded; empty where hardly a row was forecast
    verdict : whether they meet the gate
    rows : on which both sides were known, training rows among them
    forecast : of them, those with odds of both walks and an outcome
    notes : why other rows are not among them
    """

    evidence: tuple[EvidenceRow, ...]
    verdict: UpgradeVerdict
    rows: int
    forecast: int
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """`enabled`, `disabled`, or `cannot_judge` where there were too few rows to say."""
        return CANNOT_JUDGE if Reason.FEW_ROWS in self.verdict.reasons else str(self.verdict.outcome)

    def as_dict(self) -> dict[str, Any]:
        rows = [asdict(row) | {"span": str(row.span)} for row in self.evidence]
        return {
            "upgrade": self.verdict.upgrade.name,
            "instrument": self.verdict.instrument,
            "evidence": rows,
            "outcome": self.outcome,
            "reasons": [str(reason) for reason in self.verdict.reasons],
            "rows": self.rows,
            "forecast": self.forecast,
            "needed": LEAST_ROWS,
            "notes": list(self.notes),
        }


def nominated_task(prepared: Prepared, experiment: Experiment) -> OddsTask:
    """The nominated model's walk.

    Raises
    ------
    InvalidInput : what is nominated is not the sign of the next session's return, or has no features
    """
    what = experiment.nominated
    wanted = (prepared.instrument.id, what.label, what.horizon, what.model)
    base = next((task for task in odds_tasks(prepared, experiment) if task.key == wanted), None)
    if base is None or not base.columns or (what.label, what.horizon) != ("sign", 1):
        raise InvalidInput(
            f"expected a model with features nominated on the sign at 1 session, found {what.model} on {what.label}"
        )
    return base


def recorded(
    workspace: Workspace,
    upgrade: Upgrade,
    instrument: str,
    experiment: Experiment,
    *,
    with_odds: Array,
    without_odds: Array,
    returns: Array,
    dates: np.ndarray,
    simulated: bool,
    rows: int,
    command: str,
    notes: tuple[str, ...] = (),
) -> Ablation:
    """Put the evidence of two walks on record, and judge it; nothing is recorded where hardly a row was forecast.

    Parameters
    ----------
    with_odds, without_odds, returns, dates : (n,) of the same rows; see `validation.ablation_evidence`
    rows : on which both sides were known
    """
    intervals, now = experiment.intervals, workspace.clock.now()
    forecast = int((np.isfinite(with_odds) & np.isfinite(without_odds) & np.isfinite(returns) & (returns != 0)).sum())
    if forecast < 2 * intervals.block:
        verdict = UpgradeVerdict(upgrade, instrument, now, UpgradeOutcome.DISABLED, (Reason.FEW_ROWS,))
        return Ablation((), verdict, rows, forecast, notes)
    evidence = ablation_evidence(
        upgrade,
        instrument=instrument,
        with_odds=with_odds,
        without_odds=without_odds,
        returns=returns,
        dates=dates,
        simulated=simulated,
        command=command,
        recorded_at=now,
        block=intervals.block,
        draws=intervals.draws,
        seed=intervals.seed,
    )
    with workspace.ledger.begin("ablation") as session:
        save_evidence(session, evidence)
    return Ablation(evidence, earned(upgrade, evidence, workspace.clock.now(), instrument=instrument), rows, forecast, notes)


def regime_columns(
    bars: pl.DataFrame, *, simulated: bool, first: int = FIRST, refit: int = REFIT, progress: Progress = silent
) -> Array:
    """COLUMNS of the fitted regime at every bar, (n, 6); NaN before row `first`.

    Parameters
    ----------
    bars : daily bars of one instrument, ascending, with ranges
    first, refit : row of the first fit, and rows between fits

    Raises
    ------
    MissingData : no row is left to fill, or too few to fit on
    """
    values, known, name = observations(rows_of(bars), FEATURES), bars["available_at"], str(bars["instrument"][0])
    if len(values) <= first:
        raise MissingData(f"expected more than {first} bars of {name}, found {len(values)}")
    result = np.full((len(values), len(COLUMNS)), np.nan)
    starts = range(first, len(values), refit)
    for done, start in enumerate(starts):
        progress(_STAGE, done, len(starts))
        stamp: dict[str, Any] = {"instrument": name, "fitted_until": known[:start].max(), "simulated": simulated}
        hmm, change = fit_hmm(values[:start], FEATURES, **stamp), fit_change_points(values[:start, 0], **stamp)
        block = slice(start, min(start + refit, len(values)))
        odds = hmm_probabilities(values[: block.stop], hmm)[block]
        runs = change_point_odds(values[: block.stop, 0], change)
        means, variances = np.array(hmm.means)[:, 0], np.array(hmm.variances)[:, 0]
        mean = odds @ means
        spread = odds @ (variances + means**2) - mean**2
        result[block] = np.column_stack(
            [odds[:, 0], odds[:, -1], np.log(spread), mean, runs.recent[block], np.log(runs.run_length[block])]
        )
    progress(_STAGE, len(starts), len(starts))
    return result


def ablate_regime(
    workspace: Workspace, instrument: str, experiment: Experiment | None = None, *, progress: Progress = silent
) -> Ablation:
    """Walk the experiment's nominated configuration with and without the fitted regime, and record what that shows.

    Parameters
    ----------
    experiment : None = the demo's

    Raises
    ------
    MissingData : too few bars
    InvalidInput : what is nominated is not the sign of the next session's return, or has no features
    Halted : the experiment is a pre-registered one without its effect size on record
    """
    experiment = experiment or load_experiment()
    may_start(workspace, [instrument], experiment)
    until = known_until(workspace, (instrument,), experiment.hash)
    prepared = prepare(workspace.store, load_instrument(workspace.ledger, instrument), experiment, as_of=until)
    base = nominated_task(prepared, experiment)
    held = workspace.store.datasets().filter((pl.col("instrument") == instrument) & (pl.col("table") == "bars/1d"))
    simulated = prepared.instrument.simulated or bool(held["simulated"].any())
    columns = regime_columns(prepared.bars, simulated=simulated, progress=progress)
    without = replace(base, first_usable=max(base.first_usable, FIRST))
    wide = replace(without, columns=(*base.columns, *COLUMNS), features=np.column_stack([base.features, columns]))
    off, on = run_walks([without, wide], workers=workspace.settings.workers, progress=progress, stage=_STAGE)
    return recorded(
        workspace,
        HMM_REGIME,
        instrument,
        experiment,
        with_odds=on.odds,
        without_odds=off.odds,
        returns=prepared.returns[1],
        dates=prepared.decision,
        simulated=simulated,
        rows=prepared.rows - without.first_usable,
        command=f"workflows.ablate_regime({instrument!r}), experiment {experiment.hash[:16]}, data {prepared.data_hash[:16]}",
    )
