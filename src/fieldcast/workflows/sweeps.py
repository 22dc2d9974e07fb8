"""Sweep: a strategy played with every combination of parameters, and what is left of the best one after so many trials.

A set of parameters is as good as its figure on the mean over the instruments, each with an account of its own. Every set is a
trial of the family. The best of many looks better than it is: its deflated Sharpe ratio says how likely it is to be better than
the best of so many worthless ones, and `fieldcast wfo` says what choosing like this was worth on bars that it had not seen.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcast import __version__
from fieldcast.evaluation import POINTS, DeflatedTrial, family_figures
from fieldcast.ground import ConfigError, InvalidInput, MissingData, Shown
from fieldcast.simulation.fast import FIGURES, RULES, FastSettings, ParameterSets, Tape, run_fast
from fieldcast.simulation.fast import sweep as sweep_rule
from fieldcast.simulation.report import DailyReturns, daily_returns, days_per_year
from fieldcast.strategy import UserStrategy
from fieldcast.workflows.backtest_data import BacktestData
from fieldcast.workflows.backtest_fast import fast_settings, summed_curve, tapes_of
from fieldcast.workflows.backtest_options import Grid
from fieldcast.workflows.backtest_records import ABOUT, FOLDER, put, run_id
from fieldcast.workflows.backtest_settings import BacktestPlan, Setting, StrategyPart
from fieldcast.workflows.backtest_trials import family_name, record_returns, spread_over, trial_log
from fieldcast.workflows.backtests import open_data, strategy_of
from fieldcast.workflows.progress import Progress, silent, stage_of
from fieldcast.workflows.workspace import Workspace

KEPT = 32                # series of a sweep that are stored
RANKED = ("sharpe", "sortino", "total_return", "max_drawdown", "win_rate")
_DOWN = ("max_drawdown",)
_NOTHING = 1e-9          # of the cash paid in: what a spent account is worth, so that its returns exist
_STAGE = "Sweep"
_ROWS = 64               # sets of a user's own strategy between two words of progress


@dataclass(frozen=True, eq=False)
class Sweep(Shown):
    """What `sweep` gives.

    Parameters
    ----------
    points : parameter sets played on each instrument
    table : one row an instrument and set: `tape`, the parameters, and the figures of `simulation.fast.FIGURES`
    ranking : one row a set, the best first: the parameters and the figures' means over the instruments; the first `top`
    deflated : the best set's daily Sharpe ratio among the whole family; None where its returns do not vary or the span is one day
    family, trials : the family of trials, and how many it counts now
    """

    id: str
    folder: Path
    title: str
    instruments: tuple[str, ...]
    simulated: bool
    by: str
    points: int
    ranking: pl.DataFrame
    deflated: DeflatedTrial | None
    family: str
    trials: int
    effective_trials: float | None
    warnings: tuple[str, ...]
    seconds: float
    table: pl.DataFrame = field(repr=False, default_factory=pl.DataFrame)

    def as_dict(self) -> dict[str, Any]:
        best = self.deflated
        return {
            "id": self.id,
            "folder": str(self.folder),
            "strategy": self.title,
            "instruments": list(self.instruments),
            "simulated": self.simulated,
            "by": self.by,
            "points": self.points,
            "ranking": self.ranking.to_dicts(),
            "family": self.family,
            "trials": self.trials,
            "effective_trials": self.effective_trials,
            "best": None
            if best is None
            else {name: getattr(best, name) for name in ("sharpe", "psr", "dsr", "dsr_effective", "min_track_record")},
            "warnings": list(self.warnings),
            "seconds": self.seconds,
        }


def sweep(
    workspace: Workspace,
    plan: BacktestPlan,
    grid: Grid,
    *,
    by: str = "sharpe",
    top: int = 10,
    progress: Progress = silent,
) -> Sweep:
    """Play the plan's one strategy with every combination of `grid`.

    Parameters
    ----------
    grid : from `parameter_grid`; what is not in it stands as the plan has it
    by : sharpe, sortino, total_return, max_drawdown or win_rate
    top : rows of the ranking

    Raises
    ------
    ConfigError : several strategies, a vote, a figure that is none, or something that the fast engine does not play
    InvalidInput : a parameter that the strategy has not, or a value out of its bounds
    """
    started = time.perf_counter()
    part = one_strategy(plan)
    if by not in RANKED:
        raise ConfigError(f"expected a figure out of {', '.join(RANKED)}, found {by!r}")
    data = open_data(workspace, plan, progress)
    settings, left_out = fast_settings(plan, data)
    tapes = tapes_of(data)
    table = play_grid(workspace, plan, part, grid, data, tapes, settings, workers=workspace.settings.workers, progress=progress)
    names = parameter_names(table)
    ranking = ranked(table, names, by)
    family, log = family_name(plan.family, simulated=data.market.simulated), trial_log(workspace)
    shared = {key: value for key, value in plan.settings().items() if key not in ("strategies", "combine")}
    places = spread_over(range(ranking.height), KEPT)
    best = None
    for done, place in enumerate(places):
        progress("Trials", done, len(places))
        values = {name: ranking[name][place] for name in names}
        configuration = shared | {"sweep": part.identity() | {"settings": dict(part.settings) | values}}
        if place == 0:
            configuration[POINTS] = ranking.height - len(places) + 1
        curves = {}
        for one, tape in zip(data.instruments, tapes, strict=True):
            targets = _targets(workspace, plan, with_settings(part, values), data, one.id)
            curves[one.id] = (tape.market.ts[tape.bars], run_fast(targets, tape, settings).equity_curve())
        try:
            made = record_returns(log, family, configuration, [one.id for one in data.instruments],
                                  _returns(curves, data, float(settings.cash)))  # fmt: skip
        except MissingData:      # the whole span is one day: no set has returns to put on record
            break
        best = made if place == 0 else best
    progress("Trials", len(places), len(places))
    figures = None if best is None else family_figures(log, family)
    ranges = {key: list(values) for key, values in grid.items()}
    name = run_id(shared | {"sweep": part.identity(), "grid": ranges}, data.data_hash)
    result = Sweep(
        id=name,
        folder=workspace.home / FOLDER / name,
        title=part.title,
        instruments=tuple(one.id for one in data.instruments),
        simulated=data.market.simulated,
        by=by,
        points=ranking.height,
        ranking=ranking.select(name for name in ranking.columns if name not in names or name in grid).head(top),
        deflated=None if figures is None or best is None else figures.of(best.id),
        family=family,
        trials=0 if figures is None else figures.n,
        effective_trials=None if figures is None else figures.n_effective,
        warnings=(*data.warnings, *left_out, *_refusals(table, names, ranking.height)),
        seconds=time.perf_counter() - started,
        table=table,
    )
    _keep(workspace, result)
    return result


def one_strategy(plan: BacktestPlan) -> StrategyPart:
    """The plan's one strategy.

    Raises
    ------
    ConfigError : there are several, or they vote
    """
    if len(plan.strategies) != 1 or plan.combine is not None:
        raise ConfigError(f"expected one strategy, found {', '.join(part.title for part in plan.strategies)}")
    return plan.strategies[0]


def play_grid(
    workspace: Workspace,
    plan: BacktestPlan,
    part: StrategyPart,
    grid: Grid,
    data: BacktestData,
    tapes: Sequence[Tape],
    settings: FastSettings,
    *,
    workers: int,
    progress: Progress,
) -> pl.DataFrame:
    """One row an instrument and set of the grid: `tape`, the parameters, the figures."""
    stage = stage_of(_STAGE, "_kernels_sweep.sweep_block" if part.name in RULES else "_kernels_account.play")
    if part.name in RULES:
        ranges = {name: (value,) for name, value in part.settings.items()} | dict(grid)
        sets = ParameterSets.grid(part.name, ranges)
        tables = []
        for done, tape in enumerate(tapes):
            progress(stage, done * len(sets), len(tapes) * len(sets))
            tables.append(sweep_rule(sets, tape, settings, workers=workers))
        progress(stage, len(tapes) * len(sets), len(tapes) * len(sets))
        return pl.concat(tables)
    rows: list[dict[str, Any]] = []
    values = [dict(zip(grid, one, strict=True)) for one in product(*grid.values())]
    total = len(values) * len(tapes)
    for one, tape in zip(data.instruments, tapes, strict=True):
        for point in values:
            if len(rows) % _ROWS == 0:
                progress(stage, len(rows), total)
            found = run_fast(_targets(workspace, plan, with_settings(part, point), data, one.id), tape, settings).figures
            rows.append({"tape": one.id} | point | found)
    progress(stage, total, total)
    return pl.DataFrame(rows, infer_schema_length=None).cast(FIGURES)  # type: ignore[arg-type]


def parameter_names(table: pl.DataFrame) -> list[str]:
    """The columns of a sweep's table that are parameters."""
    return [name for name in table.columns if name != "tape" and name not in FIGURES]


def ranked(table: pl.DataFrame, names: Sequence[str], by: str) -> pl.DataFrame:
    """One row a set, the best first: means over the instruments; ties in the grid's order.

    A set without the figure is last, and after it those that left an account with nothing: what they made later cannot be.
    """
    figures = [name for name, dtype in FIGURES.items() if dtype.is_numeric() and name != "margin_call_bar"]
    grouped = table.group_by(names, maintain_order=True) if names else table.group_by(pl.lit(1).alias("set"))
    means = grouped.agg(pl.col(figures).mean(), pl.col("ruined").any())
    return means.sort("ruined", by, descending=[False, by not in _DOWN], nulls_last=True, maintain_order=True)


def _returns(curves: Mapping[str, tuple[Any, Any]], data: BacktestData, cash: float) -> DailyReturns:
    """Daily returns of the accounts taken together; one that is spent has lost everything on that day and earns nothing more.

    Raises
    ------
    MissingData : no bar
    """
    left = {name: (ts, np.where(np.logical_or.accumulate(equity <= 0.0), 0.0, equity)) for name, (ts, equity) in curves.items()}
    curve, start = summed_curve(left, cash)
    curve = curve.with_columns(pl.max_horizontal("equity", pl.lit(start * _NOTHING)))
    year = days_per_year(frozenset(one.calendar for one in data.instruments))
    return daily_returns(curve, start=start, days_per_year=year, days=data.market.days_at(curve["ts"].dt.epoch("us").to_numpy()))


def _targets(workspace: Workspace, plan: BacktestPlan, part: StrategyPart, data: BacktestData, instrument: str) -> Any:
    """(T_n,) targets of a part of the plan on one instrument's own bars."""
    code = strategy_of(workspace, part, plan, data)
    if isinstance(code, UserStrategy) and code.kind != "targets":
        raise ConfigError(f"expected a function targets(bars) for a sweep, found {code.name} in {code.path.name}")
    row = [one.id for one in data.instruments].index(instrument)
    own = code[instrument] if isinstance(code, Mapping) else code
    return own.targets(data.signals[row])


def with_settings(part: StrategyPart, values: Mapping[str, Setting]) -> StrategyPart:
    """The part with other settings; refused where the strategy does not take them."""
    try:
        return StrategyPart(name=part.name, file=part.file, code=part.code, settings=dict(part.settings) | dict(values))
    except ValueError as error:
        raise InvalidInput(f"expected settings that {part.title} takes, found {dict(values)}: {error}") from None


def _refusals(table: pl.DataFrame, names: list[str], points: int) -> list[str]:
    """What to say of refused orders: in how many sets, and how many over all instruments."""
    refused = table.filter(pl.col("rejected") > 0)
    if refused.is_empty():
        return []
    sets = refused.select(names).unique().height
    return [f"orders were refused in {sets:,} of {points:,} parameter sets, {int(refused['rejected'].sum()):,} in all"]


def _keep(workspace: Workspace, result: Sweep) -> None:
    """The whole table and what it says, in a folder of the run."""
    place = workspace.home / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=place, prefix=f".{result.id}."))
    try:
        result.table.write_parquet(made / "sweep.parquet")
        about = {"kind": "sweep", "created_at": workspace.clock.now().isoformat(), "code_version": __version__} | result.as_dict()
        (made / ABOUT).write_text(json.dumps(about, default=_plain, allow_nan=False, indent=1), encoding="utf-8")
        put(made, result.folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
