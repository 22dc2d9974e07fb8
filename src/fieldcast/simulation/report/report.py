"""Everything that a finished run has to say for itself, from its tables alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import polars as pl

from fieldcast.evaluation import DeflatedTrial, FamilyFigures
from fieldcast.evaluation.intervals import DRAWS
from fieldcast.ground import MissingData, Reason, Shown
from fieldcast.simulation.derivatives import OptionTerms
from fieldcast.simulation.option_margin import margin_warning
from fieldcast.simulation.report.attribution import Attribution, attribution
from fieldcast.simulation.report.base_currency import trades_in_base
from fieldcast.simulation.report.benchmark import Benchmark, beside
from fieldcast.simulation.report.costs import CostBreakdown, cost_breakdown, traded_value
from fieldcast.simulation.report.drawdowns import drawdown_curve, drawdown_table
from fieldcast.simulation.report.figures import Figure, attempted
from fieldcast.simulation.report.hits import HitList
from fieldcast.simulation.report.monthly import SCHEMA as MONTHS
from fieldcast.simulation.report.monthly import monthly_table
from fieldcast.simulation.report.performance import (
    YEAR_SECONDS,
    DailyReturns,
    Performance,
    daily_returns,
    days_per_year,
    performance,
)
from fieldcast.simulation.report.trades import TradeFigures, trade_figures
from fieldcast.simulation.result import SimulationResult

MOST_DRAWDOWNS = 10
_Section = TypeVar("_Section")


@dataclass(frozen=True)
class Activity:
    """How much was held and traded; exposures as shares of the equity at each close, turnover by the year."""

    mean_exposure: Figure
    mean_net_exposure: Figure
    largest_exposure: Figure
    bars_in_market: Figure
    turnover: Figure
    orders: int
    fills: int
    rejected: int

    def as_dict(self) -> dict[str, Any]:
        return {name: value.as_dict() if isinstance(value, Figure) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Deflation:
    """What is left of the Sharpe ratio after so many trials; ratios by the day, as the trial log keeps them.

    `dsr` counts every trial of the family, `dsr_effective` the number that their correlations leave.
    """

    psr: Figure
    dsr: Figure
    dsr_effective: Figure
    best_of_worthless: Figure
    min_track_record_days: Figure
    family: str | None
    trials: int | None
    effective_trials: float | None
    looks: int | None

    @classmethod
    def unknown(cls) -> Deflation:
        """No record of trials was given."""
        missing = Figure.missing(Reason.TRIALS_UNKNOWN)
        return cls(missing, missing, missing, missing, missing, None, None, None, None)

    @classmethod
    def of(cls, family: FamilyFigures, trial_id: str) -> Deflation:
        """From the family as it stands on record.

        Raises
        ------
        MissingData : the trial is not among the family
        """
        found: DeflatedTrial = family.of(trial_id)
        still = "the returns do not vary"

        def known(value: float | None, why: str = still) -> Figure:
            return Figure.missing(Reason.UNDEFINED, why) if value is None else Figure.of(value, why=why)

        return cls(
            psr=known(found.psr),
            dsr=known(found.dsr),
            dsr_effective=known(found.dsr_effective),
            best_of_worthless=known(family.best_of_n),
            min_track_record_days=known(found.min_track_record, "the mean return is not above 0: no record is long enough"),
            family=family.family,
            trials=family.n,
            effective_trials=family.n_effective,
            looks=found.looks,
        )

    def as_dict(self) -> dict[str, Any]:
        return {name: value.as_dict() if isinstance(value, Figure) else value for name, value in vars(self).items()}


@dataclass(frozen=True, eq=False)
class BacktestReport(Shown):
    """A run in figures; what could not be computed is a missing figure, or None with its reason in `absent`.

    Parameters
    ----------
    performance : of the account; `daily` is the series behind it
    drawdowns : the deepest, schema of `drawdowns.SCHEMA`; `underwater` is the share below the peak at every bar
    absent : name of a section that is None -> why
    """

    name: str
    currency: str
    simulated: bool
    fill_convention: str
    data_hash: str
    settings_hash: str
    start: datetime
    end: datetime
    bars: int
    start_equity: float
    end_equity: float
    performance: Performance
    deflation: Deflation
    activity: Activity
    trades: TradeFigures
    drawdowns: pl.DataFrame
    underwater: pl.DataFrame
    monthly: pl.DataFrame
    daily: DailyReturns | None
    costs: CostBreakdown | None
    attribution: Attribution | None
    benchmark: Benchmark | None
    hits: HitList | None
    absent: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def profit(self) -> float:
        return self.end_equity - self.start_equity

    def as_dict(self) -> Mapping[str, Any]:
        plain = ("name", "currency", "simulated", "fill_convention", "data_hash", "settings_hash", "start", "end", "bars",
                 "start_equity", "end_equity", "profit")  # fmt: skip
        sections = ("performance", "deflation", "activity", "trades", "costs", "attribution", "benchmark", "hits")
        found: dict[str, Any] = {name: getattr(self, name) for name in plain}
        for name in sections:
            section = getattr(self, name)
            found[name] = {"missing": self.absent.get(name, "not asked for")} if section is None else section.as_dict()
        found["drawdowns"] = self.drawdowns.to_dicts()
        found["monthly"] = self.monthly.to_dicts()
        found["warnings"] = list(self.warnings)
        return found


def backtest_report(
    result: SimulationResult,
    *,
    name: str = "",
    shares: pl.DataFrame | None = None,
    benchmark: DailyReturns | None = None,
    benchmark_name: str = "benchmark",
    family: FamilyFigures | None = None,
    trial_id: str | None = None,
    hits: HitList | None = None,
    contracts: Iterable[OptionTerms] = (),
    cash_rate: float = 0.0,
    draws: int = DRAWS,
    seed: int = 0,
) -> BacktestReport:
    """Report a run.

    Parameters
    ----------
    shares : who asked for each entry, columns of `attribution.SHARES`; None: by tag
    benchmark : from `benchmark.buy_and_hold`, say
    family, trial_id : the run's family as the trial log has it, and the run's own trial in it; both or neither
    hits : of a classifier's calls, from `hits.hit_list`
    contracts : terms of the options of the run; a warning says where a broker would have asked for more (`option_margin`)
    cash_rate : by the year
    draws, seed : of the bootstrap
    """
    absent: dict[str, str] = {}
    calendars = frozenset(instrument.calendar for instrument in result.market.instruments)
    curve = result.equity
    daily: DailyReturns | None = None
    try:
        daily = daily_returns(
            curve, start=result.start_equity, days_per_year=days_per_year(calendars), days=result.market.session
        )
        figures = performance(daily, cash_rate=cash_rate, draws=draws, seed=seed)
    except MissingData as error:
        absent["performance"] = str(error)
        figures = Performance.unknown(Reason.UNDEFINED, str(error))
    costs = _or_why(absent, "costs", lambda: cost_breakdown(result))
    shared = _or_why(absent, "attribution", lambda: attribution(result, shares))
    market: Benchmark | None = None
    if benchmark is None:
        absent["benchmark"] = "no benchmark was given"
    elif daily is None:
        absent["benchmark"] = absent["performance"]
    else:
        account, other = daily, benchmark
        market = _or_why(
            absent, "benchmark",
            lambda: beside(account, other, name=benchmark_name, cash_rate=cash_rate, draws=draws, seed=seed),
        )  # fmt: skip
    if hits is None:
        absent["hits"] = "the run is of no classifier's calls"
    return BacktestReport(
        name=name or ", ".join(one.id for one in result.market.instruments[:4]),
        currency=result.currency,
        simulated=result.simulated,
        fill_convention=result.fill_convention,
        data_hash=result.data_hash,
        settings_hash=result.settings_hash,
        start=curve["ts"][0],
        end=curve["ts"][-1],
        bars=curve.height,
        start_equity=result.start_equity,
        end_equity=float(curve["equity"][-1]),
        performance=figures,
        deflation=Deflation.of(family, trial_id) if family is not None and trial_id is not None else Deflation.unknown(),
        activity=_activity(result),
        trades=trade_figures(trades_in_base(result), start=result.start_equity, open_positions=result.positions.height),
        drawdowns=drawdown_table(curve, start=result.start_equity, most=MOST_DRAWDOWNS),
        underwater=drawdown_curve(curve, start=result.start_equity),
        monthly=pl.DataFrame(schema=MONTHS) if daily is None else monthly_table(daily),
        daily=daily,
        costs=costs,
        attribution=shared,
        benchmark=market,
        hits=hits,
        absent=absent,
        warnings=(*result.warnings, *margin_warning(result, contracts)),
    )


def _or_why(absent: dict[str, str], name: str, make: Callable[[], _Section]) -> _Section | None:
    """The section; None where its data is lacking, and `absent` then says why."""
    try:
        return make()
    except MissingData as error:
        absent[name] = str(error)
        return None


def _activity(result: SimulationResult) -> Activity:
    equity = result.equity_curve()
    gross, net = (result.equity[name].to_numpy() for name in ("gross_exposure", "net_exposure"))
    spent = "the equity falls to 0 or below"
    sound = bool((equity > 0.0).all())

    def share(values: Any) -> Figure:
        return Figure.of(float(values)) if sound else Figure.missing(Reason.UNDEFINED, spent)

    years = float(result.ts[-1] - result.market.open_ts[0]) / 1e6 / YEAR_SECONDS
    return Activity(
        mean_exposure=share((gross / equity).mean() if sound else 0.0),
        mean_net_exposure=share((net / equity).mean() if sound else 0.0),
        largest_exposure=share((gross / equity).max() if sound else 0.0),
        bars_in_market=Figure.of(float((gross > 0.0).mean())),
        turnover=attempted(lambda: _turnover(result, float(equity.mean()), years))
        if sound
        else Figure.missing(Reason.UNDEFINED, spent),
        orders=len(result.order_rows),
        fills=len(result.fill_rows),
        rejected=result.rejections.height,
    )


def _turnover(result: SimulationResult, mean_equity: float, years: float) -> Figure:
    """Value bought and sold by the year, in multiples of the mean equity."""
    return Figure.of(traded_value(result) / mean_equity / years)
