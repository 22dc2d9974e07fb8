"""The tear sheet: whole, offline, with every section that has something to show; marked where it has to be."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.evaluation import MemoryTrialLog
from fieldcast.market import STAMP, Instrument, Kind, sessions_between
from fieldcast.simulation.market import Market
from fieldcast.simulation.report import backtest_report, buy_and_hold, hit_list, next_open_returns
from fieldcast.simulation.settings import FillConvention, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.validation.economic import gate_economic
from fieldcast.validation.gate import GateOutcome
from fieldcast.workflows.backtest_page import render_tear_sheet, write_tear_sheet

pytestmark = pytest.mark.slow      # the venue's kernels take most of a minute to compile

ID = "XNYS:AAA"
SECTIONS = ("equity", "figures", "market", "trials", "months", "drawdowns", "trades", "sources", "costs", "calls", "run")


@pytest.fixture(scope="module")
def market() -> Market:
    calendar = sessions_between("XNYS", date(2018, 1, 2), date(2019, 6, 28))
    n = calendar.height
    rng = np.random.default_rng(2)
    close = np.round(50 * np.exp(np.cumsum(0.01 * rng.standard_normal(n))), 2)
    opened = np.round(np.concatenate(([50.0], close[:-1])) * 1.0005, 2)
    return Market.of_arrays(
        Instrument(ID, Kind.EQUITY, simulated=True), calendar["close"].dt.epoch("us").to_numpy(), opened,
        np.maximum(opened, close) + 0.2, np.minimum(opened, close) - 0.2, close, np.full(n, 1e6),
        open_ts=calendar["open"].dt.epoch("us").to_numpy(),
    )  # fmt: skip


def sides(market: Market) -> np.ndarray:
    return np.resize(np.repeat([1, 0, -1, 1, -1], 9), market.bars)


def test_the_page_holds_every_section_and_asks_nothing_of_a_network(market: Market, tmp_path: Path) -> None:
    run = run_targets(0.5 * sides(market), market)
    calls = pl.DataFrame({"ts": pl.Series(market.ts).cast(STAMP), "instrument": [ID] * market.bars, "predicted": sides(market)})
    closes = {ID: pl.DataFrame({"ts": pl.Series(market.ts).cast(STAMP), "close": market.close[0]})}
    held = buy_and_hold(closes, start=run.start_equity, days_per_year=252)
    report = backtest_report(
        run, name="<b>planted</b>", benchmark=held, benchmark_name="buy and hold", hits=hit_list(calls, run), draws=50
    )
    path = write_tear_sheet(run, report, tmp_path / "deep" / "tear.html")
    page = path.read_text()
    missing = [name for name in SECTIONS if f'id="{name}"' not in page]  # the page is long: what fails must not print it
    assert missing == []
    assert page.count("default-src 'none'") == 1
    assert page.count("<b>planted</b>") == 0
    assert page.count("&lt;b&gt;planted") == 2
    assert page.count("SIMULATED") >= 6  # at the top and on every figure
    assert page.count("Calls and trades agree.") == 1
    assert page.count("no record says how many other configurations were tried") == 1
    assert page.count('id="figure-1"') == 1


def test_fills_at_the_same_close_are_marked_and_a_run_without_trades_is_shown(market: Market) -> None:
    same = run_targets(0.5 * sides(market), market, VenueSettings(fill=FillConvention.SAME_CLOSE))
    page = render_tear_sheet(same, backtest_report(same, draws=50))
    assert page.count("SAME CLOSE") >= 1
    assert page.count("this run is no evidence") >= 1
    idle = run_targets(np.zeros(market.bars), market)
    shown = render_tear_sheet(idle, backtest_report(idle, draws=50))
    assert shown.count("No trade was closed") >= 1
    assert shown.count("the returns do not vary") >= 1


def test_a_refused_order_is_told_with_its_reason(market: Market) -> None:
    poor = run_targets(np.full(market.bars, 5.0), market, VenueSettings(cash={"USD": Decimal(1000)}), rebalance="every_bar")
    assert poor.rejections.height
    page = render_tear_sheet(poor, backtest_report(poor, draws=50))
    assert page.count("Refused orders, by reason") >= 1
    assert page.count("insufficient") >= 1


def test_the_economic_gate_takes_what_a_backtest_gives(market: Market) -> None:
    run = run_targets(0.5 * sides(market), market)
    returns = next_open_returns(run, market, ID, name="planted")
    log = MemoryTrialLog()
    found = gate_economic(returns, log=log, family="backtests", configuration=dict(run.settings), draws=50)
    assert found.outcome in (GateOutcome.FAIL, GateOutcome.CANNOT_JUDGE)
    assert found.simulated
    assert found.n == market.bars - 2
    assert len(log.trials("backtests")) == 1
