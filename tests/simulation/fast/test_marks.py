"""What the kernels do sixty-four or more bars at a time, against the same bar by bar."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.fast import FastSettings, Tape, run_fast, run_portfolio
from fieldcast.simulation.fast import _layout as layout
from fieldcast.simulation.fast._kernels_account import next_opens
from fieldcast.simulation.fast._kernels_signals import changes
from fieldcast.simulation.fast._kernels_sweep import decisions
from fieldcast.simulation.fast.tape import terms_of, terms_table, units_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, Shortfall, VenueSettings
from fieldcast.trading import CostModel, FeeSchedule

DAY_US = 86_400_000_000


@pytest.mark.parametrize("bars", [3, 65, 66, 513, 514, 515, 578, 1_027, 4_000])
@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("sigma", [0.0005, 0.02])
def test_a_long_stretch_has_the_figures_of_its_equity(one, bars: int, side: float, sigma: float) -> None:
    market = one(bars, bars, sigma)
    rules = FastSettings(venue=VenueSettings(shorts=True, margin=Margin(Decimal("0.5")), costs=CostModel()))
    result = run_fast(np.full(bars, 0.3 * side), market, rules)
    equity = result.equity_curve()
    path = np.concatenate(([100_000.0], equity))
    found = result.figures
    r = path[1:] / path[:-1] - 1.0
    years = bars / 252.0
    peak = np.maximum.accumulate(path)
    close = Tape.of(market).close
    row = result.fill_rows[0]
    assert result.equity_minor[1:].tolist() == [
        int(row[layout.X_CASH]) + int(row[layout.X_POSITION]) * int(result.tape.units.factor[0]) * int(one) for one in close[1:]
    ]
    assert len(result.fill_rows) == 1
    assert found["max_drawdown"] == pytest.approx(((peak - path) / peak).max(), rel=1e-12, abs=1e-15)
    assert found["sharpe"] == pytest.approx(r.mean() / r.std(ddof=1) * np.sqrt(252.0), rel=1e-9)
    assert found["sortino"] == pytest.approx(r.mean() / np.sqrt((np.minimum(r, 0.0) ** 2).mean()) * np.sqrt(252.0), rel=1e-9)
    traded = float(row[layout.X_LOTS] * row[layout.X_PRICE]) / 100.0
    assert found["turnover"] == pytest.approx(traded / equity.mean() / years, rel=1e-12)
    assert found["exposure"] == (bars - 1) / bars


def test_a_ruin_inside_a_block_is_seen() -> None:
    close = np.full(700, 100.0)
    ts = np.arange(1, 701) * DAY_US
    venue = VenueSettings(shorts=True, margin=Margin(Decimal("0.5")), costs=CostModel(half_spread_bps=Decimal(0)))
    for last, ruined in ((201.0, True), (199.0, False)):      # short of the whole equity at 100: nothing is left above 200
        close[500] = last      # in the middle of a block
        market = Market.of_arrays(Instrument("XNAS:RUIN", Kind.EQUITY, simulated=True), ts, close, close, close, close)
        found = run_fast(np.full(700, -1.0), market, FastSettings(venue=venue)).figures
        assert found["ruined"] is ruined


def plain_changes(marks: list[int], latch: bool) -> list[tuple[int, int]]:
    found, last = [], 0
    for row, mark in enumerate(marks):
        if latch and mark == 0:
            continue
        wanted = int(mark == 1) if latch else mark
        if wanted != last:
            found.append((row, wanted))
            last = wanted
    return found


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.booleans(), st.sampled_from([0.0, 0.004, 0.05, 0.5]))
def test_changes_are_those_of_a_loop_over_every_bar(seed: int, bars: int, latch: bool, share: float) -> None:
    rng = np.random.default_rng(seed)
    news = rng.random(bars) < share
    values = rng.choice([0, 1, 2] if latch else [-1, 0, 1], bars)
    marks = np.where(news, values, 0) if latch else values[np.maximum.accumulate(np.where(news, np.arange(bars), 0))]
    marks = marks.astype(np.int8)
    at, codes = np.empty(bars, dtype=np.int64), np.empty(bars, dtype=np.int64)
    count = changes(marks, latch, np.int8(0), at, codes)
    assert list(zip(at[:count].tolist(), codes[:count].tolist(), strict=True)) == plain_changes(marks.tolist(), latch)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from([0.0, 0.004, 0.05]),
    st.sampled_from([None, np.nan, np.inf, -np.inf, 1e15]), st.booleans(),
)  # fmt: skip
def test_decisions_are_those_of_a_loop_over_every_bar(
    seed: int, bars: int, share: float, bad: float | None, planned: bool
) -> None:
    rng = np.random.default_rng(seed)
    news = rng.random(bars) < share
    values = rng.choice([0.0, -0.0, 0.5, 1.0], bars)
    targets = values[np.maximum.accumulate(np.where(news, np.arange(bars), 0))]
    where = int(rng.integers(bars))
    if bad is not None:
        targets[where:] = bad
    schedule = rng.random(bars) < 0.2 if planned else np.empty(0, dtype=np.bool_)
    at = np.empty(bars, dtype=np.int64)
    count = decisions(targets, schedule, at)
    if bad is not None:
        assert count == -1 - where
        return
    before = np.concatenate(([0.0], targets[:-1]))
    assert at[:count].tolist() == np.flatnonzero(schedule if planned else targets != before).tolist()


def test_the_next_open_of_the_last_bar_is_none() -> None:
    prints = np.full(3, -1, dtype=np.int64)
    next_opens(np.array([5, 6, 7], dtype=np.int64), np.array([0, 2, 1], dtype=np.int64), 2, prints)
    assert prints.tolist() == [6, 0, -1]


def test_one_table_of_terms_is_the_terms_of_each_instrument(many) -> None:
    market = many(5, 6, 40, gaps=False)
    lots = ("1", "0.5", "1", "0.001", "0.5", "1")
    names = tuple(replace(one, lot=Decimal(lot)) for one, lot in zip(market.instruments, lots, strict=True))
    arrays = {name: getattr(market, name) for name in ("ts", "open_ts", "open", "high", "low", "close", "volume", "trusted_open")}
    market = Market(instruments=names, **arrays)
    fees = FeeSchedule("own", per_unit=Decimal("0.0035"), minimum=Decimal("0.35"), activity_per_unit=Decimal("0.000166"))
    venue = VenueSettings(
        costs=CostModel(fees=fees), margin=Margin(Decimal("0.5"), Decimal("0.25")),
        margins={"XNAS:W2": Margin(Decimal("0.8"), Decimal("0.3"))},
    )  # fmt: skip
    rules = FastSettings(venue=venue)
    units = units_of(market, rules)
    found = terms_table(market, units, rules)
    assert found.tolist() == [terms_of(market, row, units, rules).tolist() for row in range(6)]
    assert len({tuple(one) for one in found.tolist()}) == 6


@pytest.mark.parametrize("maintenance", ["0.25", "0.4", "0.49"])
@pytest.mark.parametrize("seed", range(4))
def test_a_portfolios_margin_call_is_the_first_close_with_too_little_equity(many, seed: int, maintenance: str) -> None:
    market = many(seed, 4, 200)
    weights = np.random.default_rng(seed).choice([-0.45, 0.45], (4, 200))
    schedule = np.arange(200) % 40 == 0
    share = int(Decimal(maintenance) * 10**8)
    venue = VenueSettings(
        shorts=True, shortfall=Shortfall.CUT, margin=Margin(Decimal("0.5"), Decimal(maintenance)), costs=CostModel()
    )
    result = run_portfolio(weights, market, FastSettings(venue=venue), rebalance=schedule)
    held, mark, first = [0] * 4, [0] * 4, None
    rows = result.fill_rows.tolist()
    for t in range(200):
        for bar, n, side, lots, *_ in rows:
            if bar == t:
                held[n] += side * lots
        for n in range(4):
            if not np.isnan(market.close[n, t]):
                mark[n] = round(market.close[n, t] * 10 ** int(result.units.price_decimals[n]))
        worth = [abs(h * m * int(f)) for h, m, f in zip(held, mark, result.units.factor, strict=True)]
        if sum(-(-one * share // 10**8) for one in worth) > result.equity_minor[t]:
            first = t
            break
    assert result.figures["margin_call_bar"] == first
    if maintenance == "0.49":
        assert first is not None
