"""Reports carry a position through a split: returns from open to open and calls, beside the same run without one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.market import STAMP, Instrument, Kind, sessions_between
from fieldcast.market.tables import ACTIONS
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.report import hit_list, next_open_returns
from fieldcast.simulation.report.splits import shares_through
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel

SHARE = Instrument("XNAS:SPLT", Kind.EQUITY, lot=Decimal("0.0001"), tick=Decimal("0.0001"))
CALENDAR = sessions_between("XNYS", date(2024, 1, 2), date(2024, 3, 28))
BARS = CALENDAR.height
SPLITS = {15: (4, 1), 30: (1, 2), 44: (3, 2)}  # bar at whose open it counts: new for old
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))


def prices(seed: int, gaps: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = np.round(240 * np.exp(np.cumsum(0.02 * rng.standard_normal(BARS))), 2)
    opened = np.round(np.concatenate(([240.0], close[:-1])) * np.exp(0.01 * rng.standard_normal(BARS)), 2)
    opened[list(gaps)] = np.nan
    return opened, close


def market_of(opened: np.ndarray, close: np.ndarray, shares: np.ndarray) -> Market:
    """The same share as it was quoted: prices over what one share has become."""
    opened, close = np.round(opened / shares, 6), np.round(close / shares, 6)
    return Market.of_arrays(
        SHARE, CALENDAR["close"].dt.epoch("us").to_numpy(), opened, np.fmax(opened, close), np.fmin(opened, close), close
    )


def actions(splits: dict[int, tuple[int, int]], dividends: dict[int, float]) -> pl.DataFrame:
    rows = []
    for kind, found in (("split", splits), ("dividend", dividends)):
        for bar, value in found.items():
            day = CALENDAR["session"][bar]
            moment = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
            told = moment - timedelta(days=9)
            rows.append({
                "instrument": SHARE.id, "ts": told, "available_at": told, "action": kind, "effective_at": moment,
                "ratio": value[0] / value[1] if kind == "split" else None,  # type: ignore[index]
                "amount": None if kind == "split" else value,
            })  # fmt: skip
    frame = pl.DataFrame(rows) if rows else ACTIONS.empty()
    for name, dtype in ACTIONS.schema.items():
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=dtype).alias(name))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in ACTIONS.schema.items())


def played(market: Market, targets: np.ndarray, table: pl.DataFrame, costs: CostModel = FREE) -> SimulationResult:
    return run_targets(targets, market, VenueSettings(costs=costs), events=events_of(market, actions=table))


def in_runs(seed: int, length: int = 6) -> np.ndarray:
    return np.repeat(np.random.default_rng(seed).integers(-1, 2, BARS // length + 1), length)[:BARS]


def become(splits: dict[int, tuple[int, int]]) -> np.ndarray:
    found = np.ones(BARS)
    for bar, (new, old) in splits.items():
        found[bar:] *= new / old
    return found


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000), gap=st.sampled_from(((), (15,), (30, 31), (43,))))
def test_returns_through_splits_are_those_of_the_run_without_them(seed: int, gap: tuple[int, ...]) -> None:
    opened, close = prices(seed, gap)
    targets = 0.5 * in_runs(seed)
    plain = played(market_of(opened, close, np.ones(BARS)), targets, actions({}, {}))
    quoted = played(market_of(opened, close, become(SPLITS)), targets, actions(SPLITS, {}))
    np.testing.assert_array_equal(shares_through(quoted, 0), become(SPLITS))
    wanted = next_open_returns(plain, plain.market, SHARE.id)
    found = next_open_returns(quoted, quoted.market, SHARE.id)
    np.testing.assert_allclose(found.benchmark, wanted.benchmark, atol=1e-6)
    np.testing.assert_allclose(found.net, wanted.net, atol=3e-6)  # prices to 1e-4 and lots of 1e-4 after the split
    assert found.net.any()


def test_returns_through_a_split_by_hand() -> None:
    """10,000 dollars, bought whole at 240 (41 shares); 4 for 1 overnight; the price opens at 61, so the account is at 10,164."""
    share = Instrument("XNAS:SPLT", Kind.EQUITY)
    row = np.array([240.0, 240.0, 61.0, 62.0, 60.0])
    market = Market.of_arrays(share, CALENDAR["close"][13:18].dt.epoch("us").to_numpy(), row, row, row, row)
    run = run_targets(
        np.full(5, 1.0), market, VenueSettings(cash={"USD": Decimal(10_000)}, costs=FREE), rebalance=np.arange(5) == 0,
        events=events_of(market, actions=actions({15: (4, 1)}, {})),
    )  # fmt: skip
    assert run.positions["quantity"].to_list() == [164.0]
    found = next_open_returns(run, market, SHARE.id)
    equity = [10_000, 160 + 164 * 61, 160 + 164 * 62, 160 + 164 * 60]
    np.testing.assert_allclose(found.net, np.array(equity[1:]) / equity[:-1] - 1, atol=1e-12)
    np.testing.assert_allclose(found.benchmark, [4 * 61 / 240 - 1, 62 / 61 - 1, 60 / 62 - 1], atol=1e-12)


def test_the_benchmark_has_its_dividends_put_back() -> None:
    opened, close = prices(3)
    dividends = {12: 1.5, 15: 2.0, 40: 0.25}
    market = market_of(opened, close, become(SPLITS))
    run = played(market, np.zeros(BARS), actions(SPLITS, dividends))
    found = next_open_returns(run, market, SHARE.id)
    shares, one = 1.0, market.open[0, 1]  # one share held from the open of bar 1, its dividends buying more at the open
    values = [one]
    for bar in range(2, BARS):
        paid = shares * dividends.get(bar, 0.0)
        new, old = SPLITS.get(bar, (1, 1))
        shares = shares * new / old
        shares += paid / market.open[0, bar]
        values.append(shares * market.open[0, bar])
    np.testing.assert_allclose(1 + found.benchmark, np.array(values[1:]) / values[:-1], rtol=1e-12)


@pytest.mark.parametrize("horizon", [1, 2, 5])
def test_calls_through_splits_are_judged_as_without_them(horizon: int) -> None:
    opened, close = prices(8)
    calls = in_runs(8)
    table = pl.DataFrame({"ts": CALENDAR["close"].cast(STAMP), "instrument": [SHARE.id] * BARS, "predicted": calls})
    plain = played(market_of(opened, close, np.ones(BARS)), 0.5 * calls, actions({}, {}))
    quoted = played(market_of(opened, close, become(SPLITS)), 0.5 * calls, actions(SPLITS, {}))
    wanted, found = (hit_list(table, one, horizon=horizon) for one in (plain, quoted))
    assert (found.hits, found.judged) == (wanted.hits, wanted.judged)
    np.testing.assert_allclose(
        found.table["realised"].drop_nulls().to_numpy(), wanted.table["realised"].drop_nulls().to_numpy(), atol=1e-6
    )
    assert found.reconciles
    assert wanted.reconciles


# -- calls of more than one bar ----------------------------------------------------------------------------------------


def hits_of(calls: np.ndarray, held: np.ndarray, horizon: int) -> tuple[object, SimulationResult]:
    opened, close = prices(21)
    market = market_of(opened, close, np.ones(BARS))
    run = played(market, 0.5 * held, actions({}, {}))
    table = pl.DataFrame({"ts": CALENDAR["close"].cast(STAMP), "instrument": [SHARE.id] * BARS, "predicted": calls})
    return hit_list(table, run, horizon=horizon), run


def test_a_call_every_third_bar_that_lasts_three_makes_up_its_trade() -> None:
    calls = np.zeros(BARS, dtype=np.int64)
    calls[3:30:3], calls[36:48:3] = 1, -1
    held = np.zeros(BARS)
    held[3:30], held[36:48] = 1, -1
    found, run = hits_of(calls, held, 3)
    assert run.trades.height == 2
    assert found.gaps.keys() == {0, 1}  # type: ignore[attr-defined]
    assert max(abs(gap) for gap in found.gaps.values()) < 1e-12  # type: ignore[attr-defined]
    assert found.reconciles  # type: ignore[attr-defined]


def test_a_trade_held_beyond_its_calls_does_not_reconcile() -> None:
    calls, held = np.zeros(BARS, dtype=np.int64), np.zeros(BARS)
    calls[3], held[3:10] = 1, 1
    found, run = hits_of(calls, held, 3)
    market = run.market
    begin, covered, end = market.open[0, 4], market.open[0, 7], market.open[0, 11]
    assert found.gaps[0] == pytest.approx((end - covered) / begin, rel=1e-12)  # type: ignore[attr-defined]
    assert not found.reconciles  # type: ignore[attr-defined]


def test_bars_after_the_exit_are_no_part_of_a_trade() -> None:
    calls, held = np.zeros(BARS, dtype=np.int64), np.zeros(BARS)
    calls[3], held[3:5] = 1, 1
    found, _ = hits_of(calls, held, 10)
    assert found.reconciles  # type: ignore[attr-defined]
    assert found.gaps[0] == pytest.approx(0.0, abs=1e-12)  # type: ignore[attr-defined]
