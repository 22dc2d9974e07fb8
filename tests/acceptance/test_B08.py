"""B08: Report: attribution by engine, MAE and MFE, full metrics; classifier-signal backtest with hit list then P&L after costs
and benchmark.

Done when: "Attribution sums to total P&L to 1e-9, and the hit list reconciles with trades"
"""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from fieldcast.evaluation import MemoryTrialLog, Trial, family_figures
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import STAMP, Instrument, Kind, sessions_between
from fieldcast.simulation.market import Market
from fieldcast.simulation.report import attribution, backtest_report, buy_and_hold, hit_list, next_open_returns
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import FillConvention, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel

pytestmark = [pytest.mark.feature("B08"), pytest.mark.slow]     # the venue's kernels take most of a minute to compile
OPEN_PARTS: tuple[str, ...] = ()

NAMES = ("XNYS:AAA", "XNYS:BBB")
SIGNALS = ("dealer", "liquidity", "regime")


def simulated(names: tuple[str, ...] = NAMES, seed: int = 5) -> Market:
    calendar = sessions_between("XNYS", date(2018, 1, 2), date(2019, 12, 31))
    n, rows = calendar.height, len(names)
    rng = np.random.default_rng(seed)
    close = np.round(80 * np.exp(np.cumsum(0.0003 + 0.012 * rng.standard_normal((rows, n)), axis=1)), 2)
    opened = np.round(np.hstack((np.full((rows, 1), 80.0), close[:, :-1])) * np.exp(0.004 * rng.standard_normal((rows, n))), 2)
    return Market(
        tuple(Instrument(name, Kind.EQUITY, simulated=True) for name in names),
        calendar["close"].dt.epoch("us").to_numpy(), calendar["open"].dt.epoch("us").to_numpy(),
        opened, np.maximum(opened, close) + 0.3, np.minimum(opened, close) - 0.3, close, np.full((rows, n), 1e6),
        np.ones((rows, n), dtype=np.bool_),
    )  # fmt: skip


def called(market: Market, seed: int = 6) -> np.ndarray:
    """A classifier's calls that come in runs: -1, 0 or 1 for each instrument and bar."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(-1, 2, (len(market.instruments), market.bars // 7 + 1)), 7, axis=1)[:, : market.bars]


def as_table(calls: np.ndarray, market: Market) -> pl.DataFrame:
    ts = pl.Series(np.tile(market.ts, len(market.instruments))).cast(STAMP)
    names = np.repeat([one.id for one in market.instruments], market.bars)
    return pl.DataFrame({"ts": ts, "instrument": names, "predicted": calls.ravel(), "probability": np.full(calls.size, 0.56)})


@pytest.fixture(scope="module")
def market() -> Market:
    return simulated()


@pytest.fixture(scope="module")
def run(market: Market) -> SimulationResult:
    costs = CostModel(Decimal(2), Decimal(1), Decimal(1), Decimal(1))
    return run_targets(0.4 * called(market), market, VenueSettings(costs=costs))


def shares_of(run: SimulationResult, seed: int = 0) -> pl.DataFrame:
    """Random shares of three engines in every decision."""
    rng = np.random.default_rng(seed)
    parts = rng.dirichlet(np.ones(len(SIGNALS)), run.orders.height)
    rows = [
        {"ts": ts, "instrument": name, "signal": signal, "share": part}
        for (ts, name), split in zip(run.orders.select("created_ts", "instrument").iter_rows(), parts, strict=True)
        for signal, part in zip(SIGNALS, split, strict=True)
    ]
    return pl.DataFrame(rows).with_columns(pl.col("ts").cast(STAMP))


# -- attribution ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_attribution_by_engine_sums_to_the_profit(run: SimulationResult, seed: int) -> None:
    found = attribution(run, shares_of(run, seed))
    profit = run.equity_curve()[-1] - run.start_equity
    assert found.profit == pytest.approx(profit, abs=1e-9)
    assert abs(math.fsum(found.table["amount"]) - profit) <= 1e-9
    assert abs(found.unexplained) <= 1e-9
    assert set(found.table["source"]) == set(SIGNALS)
    assert found.table["trades"].sum() == pytest.approx(run.trades.height)


def test_each_trades_profit_is_shared_by_the_shares_at_its_entry(run: SimulationResult) -> None:
    shares = shares_of(run, 3)
    entry = run.orders.select("order_id", "created_ts", "instrument")
    parts = run.trades.join(entry, left_on="entry_order", right_on="order_id", suffix="_order").join(
        shares, left_on=["created_ts", "instrument"], right_on=["ts", "instrument"]
    )
    by_hand = dict(parts.group_by("signal").agg((pl.col("net") * pl.col("share")).sum()).iter_rows())
    found = attribution(run, shares)
    for row in found.table.to_dicts():
        assert row["closed"] == pytest.approx(by_hand[row["source"]], abs=1e-8)


def test_without_shares_a_trade_belongs_to_its_tag_and_wrong_shares_are_refused(run: SimulationResult) -> None:
    assert attribution(run).table["source"].to_list() == ["untagged"]
    shares = shares_of(run)
    for wrong in (shares.with_columns(share=pl.col("share") * 1.001), shares.with_columns(share=pl.col("share") - 1.0)):
        with pytest.raises(InvalidInput, match="sum to 1"):
            attribution(run, wrong)


# -- the classifier's calls ----------------------------------------------------------------------------------------------


def test_the_hit_list_reconciles_with_the_trades(market: Market, run: SimulationResult) -> None:
    calls = called(market)
    found = hit_list(as_table(calls, market), run)
    assert found.reconciles
    assert found.uncalled == ()
    assert found.table.height == calls.size == found.traded + sum(found.untraded.values())
    # each closed trade: its calls are of its side, one a bar held, and their moves are its way from open to open
    for number, trade in enumerate(run.trades.iter_rows(named=True)):
        mine = found.table.filter(pl.col("trade") == number)
        side = 1 if trade["direction"] == "long" else -1
        assert mine.height == trade["bars_held"]
        assert (mine["predicted"] == side).all()
        row = market.row(trade["instrument"])
        way = market.open[row, trade["exit_bar"]] / market.open[row, trade["entry_bar"]]
        assert (1 + mine["realised"]).product() == pytest.approx(way, rel=1e-12)


def test_each_call_is_judged_by_what_came_after_it(market: Market, run: SimulationResult) -> None:
    calls = called(market)
    found = hit_list(as_table(calls, market), run, horizon=3)
    hits = judged = rises = 0
    for row in range(2):
        for t in range(market.bars - 4):
            came = market.open[row, t + 4] / market.open[row, t + 1] - 1
            if calls[row, t] and came:
                judged += 1
                hits += (came > 0) == (calls[row, t] > 0)
                rises += came > 0
    assert (found.judged, found.hits) == (judged, hits)
    assert found.hit_rate.value == hits / judged
    assert found.base_rate.value == rises / judged
    assert found.unknown == int((calls[:, -4:] != 0).sum())
    assert found.hit_rate.low is not None
    assert found.hit_rate.low < hits / judged


def test_calls_that_were_not_acted_on_say_why(market: Market) -> None:
    calls = called(market)
    poor = run_targets(0.4 * calls, market, VenueSettings(shorts=False))
    found = hit_list(as_table(calls, market), poor)
    assert found.untraded[str(Reason.NO_SHORTS)] > 0
    assert found.untraded[str(Reason.DIRECTION_NONE)] == int((calls == 0).sum())
    assert found.table.filter(pl.col("trade").is_null())["reason"].null_count() == 0
    other = hit_list(as_table(np.ones_like(calls), market), poor)  # calls that are not those which were traded
    assert other.untraded[str(Reason.NOT_ACTED_ON)] > 0
    assert not other.reconciles


def test_the_list_refuses_what_is_no_call(market: Market, run: SimulationResult) -> None:
    table = as_table(called(market), market)
    for wrong, words in (
        (table.with_columns(predicted=pl.lit(2)), "sides out of"),
        (pl.concat([table, table.head(1)]), "one call a bar"),
        (table.with_columns(pl.col("ts") + pl.duration(seconds=1)), "ends of bars"),
        (table.with_columns(probability=pl.lit(1.5)), "probabilities from 0 to 1"),
        (table.drop("predicted"), "missing predicted"),
    ):
        with pytest.raises(InvalidInput, match=words):
            hit_list(wrong, run)
    same = run_targets(0.4 * called(market), market, VenueSettings(fill=FillConvention.SAME_CLOSE))
    with pytest.raises(InvalidInput, match="next open, found same_close"):
        hit_list(table, same)


# -- the report ----------------------------------------------------------------------------------------------------------


def test_profit_after_costs_and_beside_the_benchmark(market: Market, run: SimulationResult) -> None:
    closes = {
        one.id: pl.DataFrame({"ts": pl.Series(market.ts).cast(STAMP), "close": market.close[row]})
        for row, one in enumerate(market.instruments)
    }
    held = buy_and_hold(closes, start=run.start_equity, days_per_year=252)
    hits = hit_list(as_table(called(market), market), run)
    report = backtest_report(run, name="calls", benchmark=held, benchmark_name="buy and hold", hits=hits, draws=200)
    assert report.hits is hits
    profit = run.equity_curve()[-1] - run.start_equity
    assert report.simulated
    assert report.profit == pytest.approx(profit)
    costs = report.costs
    assert costs is not None
    fills = run.fills
    assert costs.commissions == pytest.approx(fills["fee"].sum())
    exact = (fills["price"] - fills["reference_price"]).abs() * fills["quantity"]
    assert costs.spread + costs.slippage + costs.impact == pytest.approx(exact.sum(), abs=0.01)
    assert costs.before_costs - costs.total == pytest.approx(profit)
    assert math.fsum(amount for _, amount in costs.steps) == pytest.approx(profit)
    beside = report.benchmark
    assert beside is not None
    growth = np.mean(market.close[:, -1] / market.close[:, 0])
    assert beside.own.total_return.value == pytest.approx(growth - 1)
    r, m = report.daily.returns, held.returns  # type: ignore[union-attr]
    slope, _ = np.polyfit(m, r, 1)
    assert beside.beta.value == pytest.approx(slope)
    assert beside.alpha.value == pytest.approx(252 * (r.mean() - slope * m.mean()))
    assert beside.excess_at_equal_volatility.value == pytest.approx(252 * (r.mean() - r.std() / m.std() * m.mean()))
    for figure in (beside.beta, beside.alpha, beside.excess_at_equal_volatility):
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < figure.value < figure.high  # type: ignore[operator]


def test_trades_have_their_excursions_and_figures(market: Market, run: SimulationResult) -> None:
    trades = run.trades
    found = backtest_report(run, draws=50).trades
    won, lost = trades.filter(pl.col("net") > 0)["net"].sum(), trades.filter(pl.col("net") < 0)["net"].sum()
    assert found.closed == trades.height
    assert found.win_rate.value == (trades["net"] > 0).mean()
    assert found.profit_factor.value == pytest.approx(won / -lost)
    assert found.expectancy.value == pytest.approx(trades["net"].mean())
    for row in trades.sample(20, seed=1).iter_rows(named=True):  # worst and best price between entry and exit, by a loop
        place, side = market.row(row["instrument"]), 1 if row["direction"] == "long" else -1
        held = slice(row["entry_bar"], row["exit_bar"])
        best = (market.high if side > 0 else market.low)[place, held]
        worst = (market.low if side > 0 else market.high)[place, held]
        for name, prices, pick in (("mfe", best, max), ("mae", worst, min)):
            ends = (market.open[place, row["exit_bar"]], row["exit_price"])
            moves = [side * (price / row["entry_price"] - 1) for price in (*prices, *ends)]
            assert row[name] == pytest.approx(pick([0.0, *moves]), abs=1e-12), name
    assert found.mean_mae.value == pytest.approx(trades["mae"].mean())
    assert found.mean_mfe.value == pytest.approx(trades["mfe"].mean())
    assert found.by_direction["n"].sum() == trades.height


def test_the_registry_deflates_and_without_one_it_is_unknown(run: SimulationResult) -> None:
    report = backtest_report(run, draws=50)
    assert report.deflation.dsr.value is None
    assert report.deflation.dsr.reason is Reason.TRIALS_UNKNOWN
    assert report.absent["benchmark"] == "no benchmark was given"
    daily = report.daily
    assert daily is not None
    log, rng = MemoryTrialLog(), np.random.default_rng(1)
    for number in range(20):
        series = daily.returns if number == 0 else 0.01 * rng.standard_normal(daily.n)
        log.record(Trial("sweep", {"run": number}, "all", "net_return", 1, daily.dates[0].item(), daily.dates[-1].item(),
                         "net_sharpe", 0.0, daily.n, daily.dates, series))  # fmt: skip
    family = family_figures(log, "sweep")
    mine = next(one.trial.id for one in family.trials if one.trial.configuration["run"] == 0)
    found = backtest_report(run, family=family, trial_id=mine, draws=50).deflation
    assert (found.trials, found.dsr.value) == (20, family.of(mine).dsr)
    assert found.dsr.known < found.psr.known


def test_a_run_without_a_trade_is_reported_and_nothing_is_zero_that_is_unknown(market: Market) -> None:
    idle = run_targets(np.zeros((2, market.bars)), market, VenueSettings())
    report = backtest_report(idle, draws=50)
    assert report.trades.closed == 0
    for figure in (report.performance.sharpe, report.performance.calmar, report.trades.win_rate, report.trades.profit_factor):
        assert figure.value is None
        assert figure.why
    assert report.performance.total_return.value == 0.0
    assert report.drawdowns.is_empty()
    assert report.attribution is not None
    assert report.attribution.table.is_empty()
    assert report.attribution.unexplained == 0.0
    assert report.as_dict()["benchmark"] == {"missing": "no benchmark was given"}


# -- what the economic gate takes (V16) ----------------------------------------------------------------------------------


def test_returns_from_open_to_open_chain_to_the_account(market: Market, run: SimulationResult) -> None:
    found = next_open_returns(run, market, NAMES[0])
    fills = run.fill_rows
    cash, lots = run.start_equity, np.zeros(2)
    before = np.zeros(market.bars)  # the account just before each open, by a loop over bars and fills
    for t in range(market.bars):
        before[t] = cash + lots @ market.open[:, t]
        for fill in run.fills.filter(pl.col("bar") == t).iter_rows(named=True):
            sign = 1 if fill["side"] == "BUY" else -1
            lots[market.row(fill["instrument"])] += sign * fill["quantity"]
            cash -= sign * fill["quantity"] * fill["price"] + fill["fee"]
    assert len(fills)
    np.testing.assert_allclose(found.net, before[2:] / before[1:-1] - 1, atol=1e-12)
    np.testing.assert_allclose(found.benchmark, market.open[0, 2:] / market.open[0, 1:-1] - 1, atol=1e-12)
    assert (found.cost >= 0).all()
    assert found.simulated
    assert (found.filled_at > found.decided_at).all()
    part = next_open_returns(run, market, NAMES[0], first=date(2019, 1, 1), last=date(2019, 6, 28))
    assert str(part.sessions[0]) == "2019-01-02"
    assert str(part.sessions[-1]) == "2019-06-28"
    np.testing.assert_array_equal(part.net, found.net[np.isin(found.sessions, part.sessions)])


def test_a_run_at_the_same_close_cannot_be_offered(market: Market) -> None:
    same = run_targets(0.4 * called(market), market, VenueSettings(fill=FillConvention.SAME_CLOSE))
    with pytest.raises(InvalidInput, match="fills at the next open, found 'same_close'"):
        next_open_returns(same, market, NAMES[0])
    with pytest.raises(InvalidInput, match="the market of the run"):
        next_open_returns(run_targets(called(market) * 0.1, market), simulated(seed=9), NAMES[0])
