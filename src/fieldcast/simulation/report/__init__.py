"""The report of a simulated run: figures with their doubt, where the money came from, what it cost, and beside the market."""

from fieldcast.simulation.report.attribution import Attribution, attribution
from fieldcast.simulation.report.base_currency import exchange, trades_in_base
from fieldcast.simulation.report.benchmark import Benchmark, beside, buy_and_hold
from fieldcast.simulation.report.costs import CostBreakdown, cost_breakdown
from fieldcast.simulation.report.drawdowns import drawdown_curve, drawdown_table
from fieldcast.simulation.report.economic import next_open_returns
from fieldcast.simulation.report.figures import Figure
from fieldcast.simulation.report.hits import HitList, hit_list
from fieldcast.simulation.report.monthly import monthly_table
from fieldcast.simulation.report.performance import DailyReturns, Performance, daily_returns, days_per_year, performance
from fieldcast.simulation.report.report import Activity, BacktestReport, Deflation, backtest_report
from fieldcast.simulation.report.trades import TradeFigures, trade_figures

__all__ = [
    "Activity",
    "Attribution",
    "BacktestReport",
    "Benchmark",
    "CostBreakdown",
    "DailyReturns",
    "Deflation",
    "Figure",
    "HitList",
    "Performance",
    "TradeFigures",
    "attribution",
    "backtest_report",
    "beside",
    "buy_and_hold",
    "cost_breakdown",
    "daily_returns",
    "days_per_year",
    "drawdown_curve",
    "drawdown_table",
    "exchange",
    "hit_list",
    "monthly_table",
    "next_open_returns",
    "performance",
    "trade_figures",
    "trades_in_base",
]
