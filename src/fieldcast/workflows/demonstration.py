"""The demo: the whole job on real daily data, offline, in a folder of its own.

Stages: data in and checked; fields; walk-forward validation with gates; governed paper cycles of the last sessions in two
portfolios that are never summed; a report. Each stage leaves whole files and committed rows: killed at any moment and run
again, the demo goes on and ends with the same tables.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from fieldcast.cycle import CycleResult
from fieldcast.data import BUNDLED, SimulatedMarket, save_instrument, simulate
from fieldcast.fields import FieldMap, build_field_table
from fieldcast.ground import InvalidInput, Shown, load_settings
from fieldcast.ledger import AuditReport, verify
from fieldcast.market import Instrument
from fieldcast.workflows.cycles import Projections, StoredSource, cycle_once
from fieldcast.workflows.data import DataCheck, check_data
from fieldcast.workflows.experiment import Experiment, load_experiment
from fieldcast.workflows.imports import import_bundled
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.reports import ReportInput, write_html
from fieldcast.workflows.results import Validation
from fieldcast.workflows.validation import validate
from fieldcast.workflows.workspace import Workspace, open_workspace

T = TypeVar("T")
VIX = "XCBO:VIX"
MARKER = ".fieldcast-demo"
REAL, SIMULATED = "paper", "simulated"


@dataclass(frozen=True)
class DemoData:
    """What the demo works on; `bayes_auc` is the AUC of the true odds on the planted path.

    `checks` has quality, gaps over the whole history and flagged rows of each instrument.
    """

    real: tuple[Instrument, ...]
    simulated: tuple[Instrument, ...]
    covariate: Instrument
    bayes_auc: dict[str, float]
    datasets: pl.DataFrame
    checks: tuple[DataCheck, ...]


@dataclass(frozen=True)
class Demo(Shown):
    """Everything that the demo did; `timings` are seconds a stage."""

    home: Path
    data: DemoData
    field_maps: dict[str, FieldMap]
    validation: Validation
    cycles: tuple[CycleResult, ...]
    audit: AuditReport
    report: Path
    timings: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "home": str(self.home),
            "report": str(self.report),
            "data": self.data.datasets.with_columns(pl.col("first_ts", "last_ts").cast(pl.String)).to_dicts(),
            "checks": [check.as_dict() for check in self.data.checks],
            "validation": self.validation.as_dict(),
            "cycles": [result.as_dict() for result in self.cycles],
            "audit_ok": self.audit.ok,
            "seconds": self.timings,
        }


def demo(
    home: Path | str = "fieldcast-demo",
    *,
    fresh: bool = False,
    rows: int | None = None,
    experiment: Path | Experiment | None = None,
    progress: Progress = silent,
) -> Demo:
    """Do the whole job in `home`.

    Parameters
    ----------
    home : a new or empty folder, or an earlier demo's
    fresh : remove the earlier demo first
    rows : only the last so many sessions of each instrument
    experiment : a TOML file or a loaded experiment; none = the demo's

    Raises
    ------
    InvalidInput : the folder holds something that no demo has made
    """
    home = Path(home)
    settings = load_settings(home=home, ledger_url=None)
    setting = experiment if isinstance(experiment, Experiment) else load_experiment(experiment)
    _claim(home, fresh=fresh)
    timings: dict[str, float] = {}
    with open_workspace(settings=settings) as workspace:
        data = _timed(timings, "data", lambda: _bring_in(workspace, setting, progress))
        maps = _timed(timings, "fields", lambda: _field_maps(workspace, data, rows, progress))
        names = [instrument.id for instrument in (*data.real, *data.simulated)]
        validation = _timed(timings, "validation", lambda: validate(
            workspace, names, setting, vix=VIX, rows=rows, bayes_auc=data.bayes_auc, progress=progress
        ))
        cycles = _timed(timings, "cycles", lambda: _cycles(workspace, data, validation, setting, progress))
        audit = verify(workspace.ledger, workspace.home)
        inputs = ReportInput(validation, cycles, maps, data.datasets, audit)
        report = _timed(timings, "report", lambda: write_html(inputs, home / "report.html"))
    return Demo(home, data, maps, validation, cycles, audit, report, timings)


def _timed(timings: dict[str, float], name: str, stage: Callable[[], T]) -> T:
    started = time.perf_counter()
    found = stage()
    timings[name] = time.perf_counter() - started
    return found


def _claim(home: Path, *, fresh: bool) -> None:
    """Make the folder the demo's: a new or empty one gets the marker, one with it is taken, any other is refused.

    What `fresh` removes is first moved aside, so that a kill in between leaves no half a demo.
    """
    aside = home.absolute().with_name(f".{home.absolute().name}.removing")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        if home.exists() and not (home / MARKER).exists() and any(home.iterdir()):
            raise InvalidInput(f"expected {home} to be new, empty or a demo's, found files and no {MARKER}; choose another")
        if fresh and home.exists():
            home.rename(aside)
            shutil.rmtree(aside)
        home.mkdir(parents=True, exist_ok=True)
        (home / MARKER).touch()
    except OSError as error:
        raise InvalidInput(f"expected a folder that can be made at {home}, found: {error.strerror}; choose another") from None


def _bring_in(workspace: Workspace, experiment: Experiment, progress: Progress) -> DemoData:
    stage, total = "Data into the store", len(BUNDLED) + 2
    instruments: list[Instrument] = []
    bayes: dict[str, float] = {}
    for done, name in enumerate(BUNDLED):
        progress(stage, done, total)
        instruments.append(import_bundled(workspace, name))
    markets = (
        SimulatedMarket(seed=experiment.simulated.planted_seed, kind="planted"),
        SimulatedMarket(seed=experiment.simulated.martingale_seed, kind="martingale"),
    )
    simulated = []
    for done, market in enumerate(markets, start=len(BUNDLED)):
        progress(stage, done, total)
        made = simulate(market)
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(made.bars, made.lineage)
        simulated.append(made.instrument)
        if market.kind == "planted":
            bayes[made.instrument.id] = made.bayes_auc
    progress(stage, total, total)
    return DemoData(
        real=tuple(i for i in instruments if i.id != VIX),
        simulated=tuple(simulated),
        covariate=next(i for i in instruments if i.id == VIX),
        bayes_auc=bayes,
        datasets=workspace.store.datasets(),
        checks=tuple(check_data(workspace, instrument.id) for instrument in (*instruments, *simulated)),
    )


def _field_maps(workspace: Workspace, data: DemoData, rows: int | None, progress: Progress) -> dict[str, FieldMap]:
    """The newest field map of each instrument."""
    found = {}
    universe = (*data.real, *data.simulated)
    for done, instrument in enumerate(universe):
        progress("Fields", done, len(universe))
        bars = workspace.store.read(instrument.id)
        bars = bars if rows is None else bars.tail(rows)
        found[instrument.id] = newest_field_map(bars, instrument)
    progress("Fields", len(universe), len(universe))
    return found


def newest_field_map(bars: pl.DataFrame, instrument: Instrument) -> FieldMap:
    """The field map of the last row of `bars`."""
    from fieldcast.market import DECISION_DELAY

    table = build_field_table(bars)
    newest: datetime = bars["ts"][-1]
    return FieldMap.at(instrument.id, newest + DECISION_DELAY, table)


def _cycles(
    workspace: Workspace, data: DemoData, validation: Validation, experiment: Experiment, progress: Progress
) -> tuple[CycleResult, ...]:
    """The last sessions, one after the other, in two portfolios."""
    projections = {part.instrument.id: Projections(part.projections, part.outcomes) for part in validation.parts}
    source = StoredSource(workspace.store, projections, experiment, {})
    moments = validation.parts[0].projections["as_of"].unique(maintain_order=True).tail(experiment.cycle.sessions)
    results = []
    for done, moment in enumerate(moments):
        progress("Governed paper cycles", done, moments.len())
        for portfolio, universe in ((REAL, data.real), (SIMULATED, data.simulated)):
            results.append(cycle_once(workspace, source, universe, experiment, portfolio=portfolio, as_of=moment))
    progress("Governed paper cycles", moments.len(), moments.len())
    return tuple(results)
