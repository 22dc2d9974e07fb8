"""Backtest: strategies played on stored bars, each run reported, kept in its folder, and counted as a trial of its family."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast import __version__
from fieldcast.data import load_instrument
from fieldcast.data.actions import adjust
from fieldcast.evaluation import family_figures
from fieldcast.ground import ConfigError, MissingData, Shown, write_whole
from fieldcast.simulation.market import Market
from fieldcast.simulation.report import BacktestReport, DailyReturns, backtest_report, buy_and_hold, daily_returns, days_per_year
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.trading_record import TradingRecord, is_recordable
from fieldcast.strategy import Projection, UserStrategy, load_strategy, refuse_look_ahead, strategy
from fieldcast.trading import Side, price_from_bar
from fieldcast.validation.sealed import LookedSpan
from fieldcast.workflows.backtest_currencies import held_in
from fieldcast.workflows.backtest_data import BacktestData, backtest_data
from fieldcast.workflows.backtest_futures import contracts_of
from fieldcast.workflows.backtest_gate import EXIT_CODES, RunGate, file_verdict, judge_run, market_of
from fieldcast.workflows.backtest_money import FinancingPart
from fieldcast.workflows.backtest_play import cost_model, play_events, play_targets, with_refusals
from fieldcast.workflows.backtest_records import REPORT, record_tables, run_id, save_run
from fieldcast.workflows.backtest_settings import BacktestPlan, FillsPart, StrategyPart, load_backtest_plan
from fieldcast.workflows.backtest_trials import family_name, record_returns, trial_log
from fieldcast.workflows.progress import Progress, silent, stage_of
from fieldcast.workflows.sealing import known_until, may_run, spans_looked_at
from fieldcast.workflows.workspace import Workspace

Array = npt.NDArray[np.float64]
_WHOLE_PRICE_BPS = 10_000.0
HELD = "the same instruments, held"
_STAGE = "Strategies"


@dataclass(frozen=True, eq=False)
class BacktestRun(Shown):
    """One strategy's run.

    Parameters
    ----------
    id, folder : where it stands in the workspace
    title : of the strategy, or of the vote
    report : its figures
    result : orders, fills, trades, journal, equity, positions
    trial : id of the trial on record; None where the span was too short for one
    gate : what the economic gate said; None where it was not asked
    """

    id: str
    folder: Path
    title: str
    report: BacktestReport
    result: SimulationResult = field(repr=False)
    trial: str | None = None
    gate: RunGate | None = None

    def as_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"id": self.id, "title": self.title, "folder": str(self.folder), "trial": self.trial}
        if self.gate is not None:
            plain["gate"] = self.gate.as_dict()
        return plain | dict(self.report.as_dict())


@dataclass(frozen=True, eq=False)
class Backtest(Shown):
    """What `backtest` gives: one run a strategy, or one for the vote.

    Parameters
    ----------
    family, trials : the family of trials, and how many are on record in it, these among them
    looked : what had been seen before of the real instruments' span: figures on it are no fresh test
    """

    instruments: tuple[str, ...]
    simulated: bool
    plan_hash: str
    benchmark: str
    family: str
    trials: int
    runs: tuple[BacktestRun, ...]
    looked: tuple[LookedSpan, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0; where the gate was asked 1 if it failed a run, else 4 if it could not judge one."""
        codes = {EXIT_CODES[run.gate.outcome] for run in self.runs if run.gate is not None}
        return 1 if 1 in codes else max(codes, default=0)

    def __getitem__(self, title: str) -> BacktestRun:
        return next(run for run in self.runs if run.title == title)

    def as_dict(self) -> dict[str, Any]:
        return {
            "instruments": list(self.instruments),
            "simulated": self.simulated,
            "plan": self.plan_hash,
            "benchmark": self.benchmark,
            "family": self.family,
            "trials": self.trials,
            "looked_at": [vars(one) for one in self.looked],
            "runs": [run.as_dict() for run in self.runs],
        }


def backtest(
    workspace: Workspace,
    plan: BacktestPlan | Path | str,
    *,
    report: Path | None = None,
    gate: bool = False,
    gate_from: date | None = None,
    progress: Progress = silent,
) -> Backtest:
    """Play a plan's strategies on stored bars.

    Parameters
    ----------
    plan : from `backtest_plan`, or a TOML file
    report : write the (first) run's tear sheet to this HTML file too
    gate : put each run to the economic gate, from the session `gate_from` on (None = all of it)

    Raises
    ------
    MissingData : an instrument is unknown, or has fewer than two bars in the span
    StrategyError : a strategy raises, gives no target, or looks ahead; the bar is named, and nothing is kept
    ConfigError : the plan is not valid, or the gate cannot be asked of it
    Halted : the family is pre-registered, and this plan's effect size is not on record
    """
    started, began = time.perf_counter(), workspace.clock.now()
    chosen = plan if isinstance(plan, BacktestPlan) else load_backtest_plan(plan)
    if gate_from is not None and not gate:
        raise ConfigError(f"expected gate_from ({gate_from}) together with the gate, found it alone; ask the gate too (--gate)")
    if gate:
        market_of(chosen, chosen.data.instruments)      # refused before anything is read or played
    data = open_data(workspace, chosen, progress)
    ids = [one.id for one in data.heads]
    if gate:
        market_of(chosen, ids, roots=tuple(data.roots.values()))
    played = _play(workspace, chosen, data, progress)
    market, named = benchmark_of(workspace, chosen, data, played[0][2].start_equity)
    family, log = family_name(chosen.family, simulated=data.market.simulated), trial_log(workspace)
    trials: list[str | None] = []
    for configuration, _, result in played:
        try:
            daily = returns_of(result)
            trials.append(record_returns(log, family, configuration, ids, daily).id)
        except MissingData:      # one day, or an account that is spent: the report says which
            trials.append(None)
    figures = family_figures(log, family) if any(trials) else None
    runs = []
    for done, ((configuration, title, result), trial) in enumerate(zip(played, trials, strict=True)):
        progress("Reports", done, len(played))
        made = backtest_report(result, name=f"{title}, {_short(ids)}", benchmark=market, benchmark_name=named,
                               family=None if trial is None else figures, trial_id=trial)  # fmt: skip
        judged = judge_run(log, family, configuration, chosen, data, result, trial, first=gate_from) if gate else None
        runs.append(_keep(workspace, chosen, configuration, title, data, result, made, trial, judged))
        if judged is not None:
            file_verdict(workspace, judged, name=f"{family} {title}, {_short(ids)}", run=runs[-1].id, plan_hash=chosen.hash,
                         data_hash=data.data_hash, began=began, seconds=time.perf_counter() - started,
                         simulated=data.market.simulated)  # fmt: skip
    progress("Reports", len(played), len(played))
    if report is not None:
        write_whole(report, (runs[0].folder / REPORT).read_bytes())
    return Backtest(
        instruments=tuple(ids),
        simulated=data.market.simulated,
        plan_hash=chosen.hash,
        benchmark=named,
        family=family,
        trials=0 if figures is None else figures.n,
        runs=tuple(runs),
        looked=_looked(workspace, data),
        seconds=time.perf_counter() - started,
    )


def open_data(workspace: Workspace, plan: BacktestPlan, progress: Progress) -> BacktestData:
    """The plan's bars, as far as nothing is sealed for it.

    Raises
    ------
    Halted : the family is pre-registered, and this plan's effect size is not on record
    """
    part = plan.data
    contracts = () if plan.futures is None else [
        one.id for name in part.instruments for one in contracts_of(workspace, name, part.table, plan.futures)
    ]
    ids = (*part.instruments, *contracts)
    may_run(workspace, ids, plan.family, plan.hash)
    until = known_until(workspace, (*ids, plan.benchmark, plan.projections.vix, *plan.series), plan.hash)
    return backtest_data(workspace, plan, until=until, progress=progress)


def returns_of(result: SimulationResult) -> DailyReturns:
    """The account's returns by day."""
    calendars = frozenset(instrument.calendar for instrument in result.market.instruments)
    year = days_per_year(calendars)
    return daily_returns(result.equity, start=result.start_equity, days_per_year=year, days=result.market.session)


def benchmark_of(
    workspace: Workspace, plan: BacktestPlan, data: BacktestData, start: float
) -> tuple[DailyReturns | None, str]:
    """What the runs are put beside: the plan's benchmark, or the run's own instruments, bought at the first close and held.

    They are bought once, at the run's costs, impact included. Stored dividends are reinvested, where prices are raw and the runs
    book them.
    Prices in other currencies are in the run's own at the rates of their times.

    Parameters
    ----------
    start : equity that the runs begin with
    """
    market = data.market
    year = days_per_year(frozenset(one.calendar for one in data.instruments))
    if plan.benchmark is None:
        closes = {one.id: _held_closes(data, row) for row, one in enumerate(data.heads)}
        entry = {one.id: entry_cost(plan, data, row, start / len(closes)) for row, one in enumerate(data.heads)}
        return _bought(closes, entry, start, year, market, HELD)
    described = load_instrument(workspace.ledger, plan.benchmark)
    first, last = _day(int(market.ts[0])), _day(int(market.ts[-1]))
    span = plan.data.model_copy(update={"instruments": (described.id,), "first": first, "last": last})
    own = {name: part for name, part in plan.instruments.items() if name == described.id}
    account = plan.account.model_copy(update={"currency": data.purse.base, "cash": Decimal(1)})
    alone = {"data": span, "instruments": own, "account": account, "fills": FillsPart(), "financing": FinancingPart(),
             "sizing": None, "futures": None, "options": None, "fx": plan.fx.model_copy(update={"conversions": ()})}  # fmt: skip
    other_plan = plan.model_copy(update=alone)
    until = known_until(workspace, (described.id,), plan.hash)
    other = backtest_data(workspace, other_plan, until=until, progress=silent, asked_by=plan.hash)
    entry = {described.id: entry_cost(plan, other, 0, start)}
    closes = {described.id: _held_closes(other, 0)}
    return _bought(closes, entry, start, year, other.market, described.id)


def _bought(
    closes: Mapping[str, pl.DataFrame], entry: Mapping[str, tuple[float, bool]], start: float, year: float, market: Market,
    name: str,
) -> tuple[DailyReturns, str]:  # fmt: skip
    """Bought and held after what the entry cost; the name says which impact could not be reckoned."""
    shares = {one: share for one, (share, _) in entry.items()}
    held = buy_and_hold(closes, start=start, days_per_year=year, entry=shares, market=market)
    without = [one for one, (_, whole) in entry.items() if not whole]
    said = f" (bought without the impact of {_short(without)}: too little volume in its first bar, or none)" if without else ""
    return held, name + said


def _raw_closes(data: BacktestData, row: int) -> Array:
    """(T_n,) closes of a head as they were; those of a root of futures are joined so that they show the contracts' returns."""
    if data.heads[row].id in data.roots.values():
        joined: Array = data.signals[row]["close"]
        return joined
    raw: Array = data.market.close[data.holding[row][0], data.places[row]]
    return raw


def entry_cost(plan: BacktestPlan, data: BacktestData, row: int, amount: float) -> tuple[float, bool]:
    """What buying one instrument for an amount of the base currency at its first close costs: a share of what is paid.

    Spread, slippage, impact and fees, as the runs pay them. The impact is that of the units that the amount buys at the close, in
    the volume of that bar; it is left out, and the second answer is False, where no volume is reported or where it would be the
    whole price.
    """
    instrument, place = data.heads[row], int(data.places[row][0])
    close, costs = price_from_bar(float(data.signals[row]["close"][0])), cost_model(plan)
    rate = held_in(data.fx, (instrument.currency,), data.purse.base, data.market.ts)[instrument.currency][place]
    cash, volume = Decimal(repr(amount / float(rate))), float(data.signals[row]["volume"][0])
    wanted = cash / (close * instrument.multiplier)
    whole = not costs.impact_bps or costs.parts().total_bps(float(wanted), volume) < _WHOLE_PRICE_BPS
    if not whole:
        costs = replace(costs, impact_bps=Decimal(0))
    price = costs.fill_price(Side.BUY, close, instrument.tick, quantity=wanted, volume=volume)
    quantity = cash / (price * instrument.multiplier)
    paid = price * quantity * instrument.multiplier
    fee = costs.commission(price, quantity, instrument.multiplier, side=Side.BUY)
    return float((paid + fee - close * quantity * instrument.multiplier) / paid), whole


def _held_closes(data: BacktestData, row: int) -> pl.DataFrame:
    """ts and close of one instrument with its splits and dividends in them."""
    market, name = data.market, data.heads[row].id
    places = data.places[row]
    ts = pl.Series(market.ts[places]).cast(pl.Datetime("us", "UTC"))
    closes = pl.DataFrame({"instrument": [name] * len(places), "ts": ts, "close": _raw_closes(data, row)})
    own = data.actions.filter(pl.col("instrument") == name)
    if own.height:
        newest = own.select(pl.max_horizontal("effective_at", "available_at").max()).item()
        closes = adjust(closes, own, newest, "total")
    currency = data.heads[row].currency
    rates = held_in(data.fx, (currency,), data.purse.base, market.ts)[currency][places]
    return closes.select("ts", pl.col("close") * pl.Series(rates))


# playing --------------------------------------------------------------------------------------------------------------

Played = tuple[dict[str, Any], str, SimulationResult]


def _play(workspace: Workspace, plan: BacktestPlan, data: BacktestData, progress: Progress) -> list[Played]:
    """(configuration, title, result) of each strategy, or of their vote."""
    shared = {key: value for key, value in plan.settings().items() if key not in ("strategies", "combine")}
    stage = stage_of(_STAGE, "_kernels_run.play_targets")
    targets: list[Array] = []
    played: list[Played] = []
    for done, part in enumerate(plan.strategies):
        progress(stage, done, len(plan.strategies))
        code = strategy_of(workspace, part, plan, data)
        alone = shared | {"strategies": [part.identity()], "combine": None}
        if isinstance(code, UserStrategy) and code.kind == "events":
            _refuse_vote(plan, part)
            played.append((alone, part.title, play_events(data, plan, code)))
            continue
        found = targets_of(code, data)
        if plan.combine is None:
            played.append((alone, part.title, play_targets(data, plan, found)))
        targets.append(found)
    progress(stage, len(plan.strategies), len(plan.strategies))
    if plan.combine is not None:
        vote = plan.combine.combination()
        configuration = shared | {"strategies": [part.identity() for part in plan.strategies], "combine": vote.settings}
        title = f"{vote.rule} of {', '.join(part.title for part in plan.strategies)}"
        played.append((configuration, title, play_targets(data, plan, vote.combine(targets))))
    return [(configuration, title, with_refusals(result, title)) for configuration, title, result in played]


def strategy_of(workspace: Workspace, part: StrategyPart, plan: BacktestPlan, data: BacktestData) -> Any:
    """The strategy of a part of the plan, with its packets where it follows projections: a mapping of one an instrument."""
    if part.file is not None:
        return load_strategy(part.file, part.settings, name=part.code)
    assert part.name is not None
    made = strategy(part.name, **part.settings)
    if not isinstance(made, Projection):
        return made
    from fieldcast.workflows.cycles import projections_of  # with all of the features: most strategies need none of it
    from fieldcast.workflows.experiment import load_experiment

    experiment = load_experiment(plan.projections.experiment)
    found = {}
    for one in data.heads:
        as_of = known_until(workspace, (one.id, plan.projections.vix), plan.hash)
        vix = None if one.simulated else plan.projections.vix
        found[one.id] = made.on(projections_of(workspace, one.id, experiment, as_of=as_of, vix=vix).table)
    return found


def targets_of(code: Any, data: BacktestData) -> Array:
    """(N, T) targets on the market's clock; a user's own are put to the look-ahead test first.

    Raises
    ------
    StrategyError : it raises, gives no target, or looks ahead
    """
    if isinstance(code, UserStrategy) and code.kind == "portfolio_targets":
        wide = data.wide()
        refuse_look_ahead(code, wide)
        return code.targets(wide)
    found = []
    for one, arrays in zip(data.heads, data.signals, strict=True):
        own = code[one.id] if isinstance(code, Mapping) else code
        if isinstance(own, UserStrategy):
            refuse_look_ahead(own, arrays)
        found.append(own.targets(arrays))
    return data.spread(found)


def _refuse_vote(plan: BacktestPlan, part: StrategyPart) -> None:
    if plan.combine is not None:
        raise ConfigError(f"expected strategies with targets to combine, found {part.title}, which places its own orders")


# keeping --------------------------------------------------------------------------------------------------------------


def _keep(
    workspace: Workspace,
    plan: BacktestPlan,
    configuration: Mapping[str, Any],
    title: str,
    data: BacktestData,
    result: SimulationResult,
    made: BacktestReport,
    trial: str | None,
    gate: RunGate | None,
) -> BacktestRun:
    from fieldcast.workflows.backtest_page import write_tear_sheet

    name = run_id(configuration, data.data_hash)
    about = {
        "kind": "backtest",
        "id": name,
        "title": title,
        "instruments": [one.id for one in data.heads],
        "table": plan.data.table,
        "family": plan.family,
        "configuration": dict(configuration),
        "data_hash": data.data_hash,
        "result_hash": result.result_hash,
        "simulated": result.simulated,
        "fill_convention": result.fill_convention,
        "currency": result.currency,
        "start": str(result.units.money(result.start_minor)),
        "trial": trial,
        "created_at": workspace.clock.now().isoformat(),
        "code_version": __version__,
        "warnings": list(made.warnings),
        "gate": None if gate is None else gate.as_dict(),
        "report": made.as_dict(),
    }
    tables = None
    if is_recordable(result):
        tables = record_tables(TradingRecord.of_result(result, name=name))

    def page(path: Path) -> Path:
        return write_tear_sheet(result, made, path, gate=gate, asked=plan.asked)

    folder = save_run(workspace, name, result, about, page, record=tables)
    return BacktestRun(name, folder, title, made, result, trial, gate)


def _looked(workspace: Workspace, data: BacktestData) -> tuple[LookedSpan, ...]:
    real = [one.id for one in data.instruments if not one.simulated]
    first, last = (_day(int(ts)) for ts in (data.market.ts[0], data.market.ts[-1]))
    return spans_looked_at(workspace, real, first, last)


def _day(ts: int) -> date:
    found: date = np.datetime64(ts, "us").astype("datetime64[D]").item()
    return found


def _short(ids: list[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
