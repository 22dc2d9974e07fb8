"""Validate: walk forward, calibrate, compose, score, and put the nominated configuration to the gate."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.evaluation import FamilyFigures, family_figures
from fieldcast.ground import InvalidInput
from fieldcast.market import sessions_per_year
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.parallel import release, run_jobs
from fieldcast.workflows.prepare import prepare
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.records import save_validation
from fieldcast.workflows.results import FamilyCount, InstrumentValidation, Validation
from fieldcast.workflows.run_log import log_run
from fieldcast.workflows.sealing import known_until, may_start, spans_looked_at
from fieldcast.workflows.study import Study, family_of, judge_study, require_history
from fieldcast.workflows.walks import odds_tasks, run_walks, vix_anchor_tasks
from fieldcast.workflows.workspace import Workspace


def validate(
    workspace: Workspace,
    instruments: Sequence[str],
    experiment: Experiment,
    *,
    vix: str | None = None,
    rows: int | None = None,
    as_of: datetime | None = None,
    bayes_auc: dict[str, float] | None = None,
    report: Path | None = None,
    progress: Progress = silent,
) -> Validation:
    """Judge the experiment on each instrument, out of sample, and record every trial, projection and gate result.

    Parameters
    ----------
    instruments : ids in the store
    vix : id of a VIX series, a covariate of instruments that are not simulated
    rows : keep only the last so many sessions
    as_of : use only what was known at this moment
    bayes_auc : by instrument, the AUC of the true odds where a simulated market knows them
    report : file for the HTML report; none = no report

    Raises
    ------
    MissingData : an instrument is unknown, or its history is too short for a single out-of-sample row
    Halted : the experiment is a pre-registered one, and its minimum detectable effect is not on record
    """
    if not instruments or len(set(instruments)) != len(instruments):
        raise InvalidInput(f"expected each instrument once and at least one, found {list(instruments)}")
    started, began = time.perf_counter(), workspace.clock.now()
    described = [load_instrument(workspace.ledger, name) for name in instruments]
    may_start(workspace, instruments, experiment)
    as_of = known_until(workspace, (*instruments, vix), experiment.hash, as_of)
    prepared = []
    for done, instrument in enumerate(described):
        progress("Features and labels", done, len(instruments))
        covariate = None if instrument.simulated else vix
        prepared.append(prepare(workspace.store, instrument, experiment, vix=covariate, as_of=as_of, rows=rows))
    progress("Features and labels", len(instruments), len(instruments))
    for one in prepared:
        require_history(one, experiment)
    tasks = [task for one in prepared for task in odds_tasks(one, experiment)]
    extra = [task for one in prepared for task in vix_anchor_tasks(one, experiment)]
    walks = run_walks([*tasks, *extra], workers=workspace.settings.workers, progress=progress, stage="Walk-forward")
    studies = [
        Study(
            one,
            tuple(walk for walk in walks[: len(tasks)] if walk.instrument == one.instrument.id),
            tuple(walk for walk in walks[len(tasks) :] if walk.instrument == one.instrument.id),
            experiment,
            (bayes_auc or {}).get(one.instrument.id),
        )
        for one in prepared
    ]
    found = run_jobs(judge_study, studies, workers=workspace.settings.workers, progress=progress, stage="Cones, scores, gates")
    if workspace.settings.workers > 1:
        release()
    log = LedgerTrialLog(workspace.ledger, workspace.settings.data_dir / "trials", workspace.clock)
    for _, trials in found:
        for trial in trials:
            log.record(trial)
    families = {name: family_figures(log, name) for name in dict.fromkeys(t.family for _, trials in found for t in trials)}
    parts = tuple(_with_sharpe(part, families, experiment) for part, _ in found)
    counts = tuple(FamilyCount(name, family.n, family.n_effective) for name, family in families.items())
    result = Validation(
        experiment,
        parts,
        counts,
        time.perf_counter() - started,
        spans_looked_at(
            workspace,
            [part.instrument.id for part in parts if not part.instrument.simulated],
            min(date.fromisoformat(part.out_of_sample_from) for part in parts),
            max(date.fromisoformat(part.last_session) for part in parts),
        ),
    )
    save_validation(workspace, result)
    _log(workspace, result, began)
    if report is not None:
        from fieldcast.workflows.reports import ReportInput, write_html

        write_html(ReportInput(result), report)
    return result


def _log(workspace: Workspace, result: Validation, began: datetime) -> None:
    """One line of the run log for each instrument: the nominated configuration's scores and the gate's answer."""
    chosen = result.experiment.nominated
    for part in result.parts:
        mine = (pl.col("label") == chosen.label) & (pl.col("horizon") == chosen.horizon) & (pl.col("model") == chosen.model)
        rows = part.scores.filter(mine).select("metric", "estimate").iter_rows() if part.scores.height else ()
        metrics = {name: value if value is not None and np.isfinite(value) else None for name, value in rows}
        log_run(
            workspace,
            "validation",
            f"{result.experiment.family} {part.instrument.id}",
            configuration_hash=result.experiment.hash,
            data_hash=part.data_hash,
            metrics=metrics,
            artefacts={"packet": part.packet.digest},
            started_at=began,
            seconds=result.seconds,
            parameters={"model": chosen.model, "gate": part.verdict, "fits": sum(part.fits.values())},
            simulated=part.instrument.simulated,
        )


def _with_sharpe(
    part: InstrumentValidation, families: Mapping[str, FamilyFigures], experiment: Experiment
) -> InstrumentValidation:
    """Deflated Sharpe figures of the part's own trials, counted among the whole family."""
    family = families.get(family_of(part.instrument, experiment))
    if family is None:      # too short a span for a single score
        return part
    year = sessions_per_year(part.instrument.calendar)
    rows = [
        {
            "label": found.trial.label,
            "horizon": found.trial.horizon,
            "model": found.trial.configuration["model"],
            "sharpe_annual": None if found.sharpe is None else found.sharpe * float(np.sqrt(year)),
            "psr": found.psr,
            "dsr": found.dsr,
            "dsr_effective": found.dsr_effective,
            "n": len(found.trial.series),
        }
        for found in family.trials
        if found.trial.instrument == part.instrument.id and "rows" not in found.trial.configuration
    ]
    return replace(part, sharpe=pl.DataFrame(rows, infer_schema_length=None))
