"""Walk-forward optimisation: parameters chosen on past bars, played on those that follow, chosen again.

What comes out is what the choosing itself was worth: no bar that counts was seen by the choice behind it. Every parameter set
is a trial of the family all the same, and so is the walk. Several instruments are walked one by one, each with an account of its
own and parameters chosen on its own past; what counts is all of them together.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcast import __version__
from fieldcast.evaluation import POINTS, MemoryTrialLog, family_figures
from fieldcast.ground import ConfigError, MissingData, Shown
from fieldcast.simulation.fast import RULES, ParameterSets, Windows
from fieldcast.simulation.fast import WalkForwardOptimisation as Walk
from fieldcast.simulation.fast import optimise_walk_forward as walk
from fieldcast.simulation.fast.walk_forward import OBJECTIVES
from fieldcast.simulation.report import DailyReturns, daily_returns, days_per_year, performance
from fieldcast.strategy import load_strategy, refuse_look_ahead
from fieldcast.workflows.backtest_data import BacktestData
from fieldcast.workflows.backtest_fast import fast_settings, summed_curve, summed_returns, tapes_of
from fieldcast.workflows.backtest_options import Grid
from fieldcast.workflows.backtest_records import ABOUT, FOLDER, put, run_id
from fieldcast.workflows.backtest_settings import BacktestPlan, StrategyPart
from fieldcast.workflows.backtest_trials import family_name, record_returns, spread_over, trial_log
from fieldcast.workflows.backtests import open_data
from fieldcast.workflows.progress import Progress, silent, stage_of
from fieldcast.workflows.sweeps import KEPT, one_strategy, with_settings
from fieldcast.workflows.workspace import Workspace

_STAGE = "Windows"


@dataclass(frozen=True, eq=False)
class WalkForwardOptimised(Shown):
    """What `optimise_walk_forward` gives.

    Parameters
    ----------
    choices : one row an instrument and window: `instrument`, `first` and `last` (stamps of the bars that were played), the
        parameters, `chosen` (the figure `by` of the chosen set on the bars that it was chosen on) and `came` (its figure on those
        that followed)
    total_return, sharpe, max_drawdown : of the walk: all played bars, the accounts of all instruments together; None where there
        is no such figure
    sharpe_interval : 95 % by the stationary bootstrap over the `days` played; None where they are too few
    points : parameter sets at each choice
    dsr : deflated Sharpe ratio of the walk among the family
    equity : ts and equity of the walk
    """

    id: str
    folder: Path
    title: str
    instruments: tuple[str, ...]
    simulated: bool
    by: str
    points: int
    choices: pl.DataFrame
    days: int
    total_return: float | None
    sharpe: float | None
    sharpe_interval: tuple[float, float] | None
    max_drawdown: float | None
    dsr: float | None
    family: str
    trials: int
    warnings: tuple[str, ...]
    seconds: float
    equity: pl.DataFrame = field(repr=False, default_factory=pl.DataFrame)

    def as_dict(self) -> dict[str, Any]:
        plain = ("id", "title", "simulated", "by", "points", "days", "total_return", "sharpe", "sharpe_interval", "max_drawdown",
                 "dsr", "family", "trials", "seconds")  # fmt: skip
        stamps = self.choices.with_columns(pl.col("first", "last").dt.to_string("iso"))
        return {name: getattr(self, name) for name in plain} | {
            "folder": str(self.folder),
            "instruments": list(self.instruments),
            "choices": stamps.to_dicts(),
            "warnings": list(self.warnings),
        }


def optimise_walk_forward(
    workspace: Workspace,
    plan: BacktestPlan,
    grid: Grid,
    *,
    by: str = "sharpe",
    train: int = 756,
    test: int = 252,
    expanding: bool = False,
    progress: Progress = silent,
) -> WalkForwardOptimised:
    """Choose parameters of the plan's one strategy, walk-forward; each instrument chooses its own, on an account of its own.

    Parameters
    ----------
    grid : from `parameter_grid`
    by : sharpe, sortino, total_return or return_over_drawdown
    train, test : bars on which a set is chosen, and bars that follow, on which it is played
    expanding : choose on all bars before, not on the last `train`

    Raises
    ------
    ConfigError : several strategies, a figure that is none, or something that the fast engine does not play
    ShortHistory : not even one window fits
    StrategyError : a strategy of one's own raises, gives no target, or looks ahead
    """
    started = time.perf_counter()
    part = one_strategy(plan)
    if by not in OBJECTIVES:
        raise ConfigError(f"expected a figure out of {', '.join(OBJECTIVES)}, found {by!r}")
    data = open_data(workspace, plan, progress)
    settings, left_out = fast_settings(plan, data)
    tapes, ids = tapes_of(data), [one.id for one in data.instruments]
    windows, workers = Windows(train, test, anchored=expanding), workspace.settings.workers
    walks: dict[str, Walk] = {}
    points = 1
    for row, (name, tape) in enumerate(zip(ids, tapes, strict=True)):
        memory, sets = MemoryTrialLog(), _sets(part, grid, data, row)
        compiled = isinstance(sets, ParameterSets)
        stage = stage_of(_STAGE, "_kernels_sweep.sweep_block" if compiled else "_kernels_account.play")
        progress(stage, row, len(ids))
        walks[name] = walk(sets, tape, settings, windows, log=memory, family=plan.family, objective=by,
                           workers=workers if compiled else 1)  # fmt: skip
    progress(stage, len(ids), len(ids))
    simulated = data.market.simulated
    family, log = family_name(plan.family, simulated=simulated), trial_log(workspace)
    shared = {key: value for key, value in plan.settings().items() if key not in ("strategies", "combine")}
    ranges = {key: list(values) for key, values in grid.items()}
    walked = {"train": train, "test": test, "expanding": expanding, "by": by, "grid": ranges, "strategy": part.identity()}
    for done, (name, found) in enumerate(walks.items()):
        progress("Trials", done, len(walks))
        tried = sorted((one for one in found.log.trials(plan.family) if one.id != found.trial_id), key=lambda one: -one.estimate)
        kept = [tried[place] for place in spread_over(range(len(tried)), max(KEPT // len(walks), 1))]
        points += len(tried) - len(kept)
        for one in kept:
            settings_of_set = part.identity() | {"settings": dict(part.settings) | dict(one.configuration["parameters"])}
            scored = {"sweep": settings_of_set, "scored": [one.span_start, one.span_end]}
            _record(log, family, shared | scored, [name], _daily(one, data))
    progress("Trials", len(walks), len(walks))
    curve, start, daily = _together(walks, data, plan, float(settings.cash))
    configuration = shared | {"walk_forward": walked, POINTS: points}
    recorded = _record(log, family, configuration, ids, daily)
    figures = family_figures(log, family)
    name = run_id(configuration, data.data_hash)
    sharpe, equity = performance(daily).sharpe, curve["equity"].to_numpy()
    peak = np.maximum.accumulate(np.concatenate(([start], equity)))[1:]
    made = WalkForwardOptimised(
        id=name,
        folder=workspace.home / FOLDER / name,
        title=part.title,
        instruments=tuple(ids),
        simulated=simulated,
        by=by,
        points=next(iter(walks.values())).sets.height,
        choices=pl.concat([_choices(found.windows, by, list(grid), name) for name, found in walks.items()]),
        days=daily.n,
        total_return=float(equity[-1] / start - 1.0),
        sharpe=sharpe.value,
        sharpe_interval=None if sharpe.low is None or sharpe.high is None else (sharpe.low, sharpe.high),
        max_drawdown=float((1.0 - equity / peak).max()),
        dsr=figures.of(recorded).dsr,
        family=family,
        trials=figures.n,
        warnings=(*data.warnings, *left_out),
        seconds=time.perf_counter() - started,
        equity=curve,
    )
    _keep(workspace, made, walks)
    return made


def _together(
    walks: Mapping[str, Walk], data: BacktestData, plan: BacktestPlan, cash: float
) -> tuple[pl.DataFrame, float, DailyReturns]:
    """ts and equity of all walks' accounts together, what they began with, and their returns by day."""
    if len(walks) == 1:
        (found,) = walks.values()
        (own,) = (one for one in found.log.trials(plan.family) if one.id == found.trial_id)
        curve, start = summed_curve({own.instrument: _curve(found)}, cash)
        return curve, start, _daily(own, data)
    curves = {name: _curve(found) for name, found in walks.items()}
    curve, start = summed_curve(curves, cash)
    return curve, start, summed_returns(curves, data, cash)


def _curve(found: Walk) -> tuple[Any, Any]:
    result = found.result
    return result.tape.market.ts[result.tape.bars[result.begin : result.stop]], result.equity_curve()


def _sets(part: StrategyPart, grid: Grid, data: BacktestData, row: int) -> Any:
    """Parameter sets of a rule of the catalogue, or a user's function with its own."""
    if part.name in RULES:
        return ParameterSets.grid(part.name, {name: (value,) for name, value in part.settings.items()} | dict(grid))
    if part.file is None:
        raise ConfigError(f"expected a strategy out of {', '.join(RULES)} or a file of your own for a walk, found {part.name}")
    rows = [dict(part.settings) | dict(zip(grid, one, strict=True)) for one in product(*grid.values())]
    file, code = part.file, part.code
    first = load_strategy(file, rows[0], name=code)
    if first.kind != "targets":
        raise ConfigError(f"expected a function targets(bars) for a walk, found {first.name} in {file.name}")
    refuse_look_ahead(first, data.signals[row])
    with_settings(part, rows[0])

    def targets(arrays: Any, **settings: Any) -> Any:
        return load_strategy(file, settings, name=code).targets(arrays)

    return targets, rows


def _record(log: Any, family: str, configuration: dict[str, Any], ids: list[str], daily: DailyReturns) -> str:
    """Put a set's or the walk's own series on record."""
    try:
        return record_returns(log, family, configuration, ids, daily).id
    except MissingData as error:
        raise MissingData(f"expected played bars on at least two days with an account above 0: {error}") from None


def _daily(one: Any, data: BacktestData) -> DailyReturns:
    """The series of a trial as an account that began with 1."""
    year = days_per_year(frozenset(instrument.calendar for instrument in data.instruments))
    grown = np.cumprod(1.0 + one.series)
    curve = pl.DataFrame({"ts": pl.Series(one.dates).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), "equity": grown})
    return daily_returns(curve.with_columns(pl.col("ts") + pl.duration(hours=12)), start=1.0, days_per_year=year)


def _choices(windows: pl.DataFrame, by: str, names: list[str], instrument: str) -> pl.DataFrame:
    came = (
        pl.col("test_total_return") / pl.when(pl.col("test_max_drawdown") > 0).then(pl.col("test_max_drawdown"))
        if by == "return_over_drawdown"
        else pl.col(f"test_{by}")
    )
    parameters = {name: f"parameter_{name}" for name in names}
    spans = {"first": "test_start_ts", "last": "test_end_ts"}
    return windows.select(instrument=pl.lit(instrument), **spans, **parameters, chosen="objective_train", came=came)


def _keep(workspace: Workspace, result: WalkForwardOptimised, walks: Mapping[str, Walk]) -> None:
    place = workspace.home / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=place, prefix=f".{result.id}."))
    try:
        parts = {
            part: pl.concat([_of(name, getattr(one, part)) for name, one in walks.items()])
            for part in ("windows", "sets")
        }
        for name, table in (parts | {"equity": result.equity}).items():
            table.write_parquet(made / f"{name}.parquet")
        about = {"kind": "walk_forward", "created_at": workspace.clock.now().isoformat(), "code_version": __version__}
        (made / ABOUT).write_text(json.dumps(about | result.as_dict(), default=str, allow_nan=False, indent=1), encoding="utf-8")
        put(made, result.folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _of(name: str, table: pl.DataFrame) -> pl.DataFrame:
    return table.select(pl.lit(name).alias("instrument"), pl.all())
