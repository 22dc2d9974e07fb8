"""B03, execution-cost model per symbol and trading-hours bucket (mean, p50, p90; p90 above 500 ms latency), slippage from
liquidity state and energy; nightly recalibration with dated files and restore.

Done when: "Backtest and runtime call one function, cost never falls when depth falls, and a bucket below 10 samples is
unchanged".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fieldcast
from fieldcast.market import Instrument, Kind
from fieldcast.trading import CostModel, CostParts, Side
from fieldcast.trading.costs import (
    CostDistribution,
    CostProfile,
    ExecutionCosts,
    LiquidityState,
    SessionBucket,
    Statistic,
    liquidity_slippage,
)
from fieldcast.trading.costs._kernels import NO_PRICE, shift_hundredths, total_shift_bps
from fieldcast.trading.costs.calibration import recalibrated
from fieldcast.workflows import Workspace, import_data, open_workspace, recalibrate_costs, restore_execution_costs, show_costs

pytestmark = pytest.mark.feature("B03")
OPEN_PARTS: tuple[str, ...] = ()

SOURCE = Path(fieldcast.__file__).parent
SPY = Instrument("ARCX:SPY", Kind.ETF)
NOW = datetime(2024, 3, 5, tzinfo=UTC)
OPEN = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
figures = st.floats(0, 300)


# one function ---------------------------------------------------------------------------------------------------------


def test_the_simulated_venue_the_fast_engine_and_the_runtime_call_one_function() -> None:
    """It is defined once, and who fills an order imports it from there."""
    texts = {path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}
    assert [name for name, text in texts.items() if "def total_shift_bps(" in text] == ["trading/costs/_kernels.py"]
    callers = {
        name
        for name, text in texts.items()
        if "from fieldcast.trading.costs._kernels import" in text and "total_shift_bps(" in text
    }
    assert callers >= {"trading/costs/model.py", "simulation/_kernels_account.py", "simulation/fast/_kernels_account.py"}


@given(figures, figures, figures, st.integers(1, 10**6), st.integers(1, 10**8), st.sampled_from(Side))
def test_the_runtime_charges_exactly_what_the_function_says(
    half: float, slip: float, impact: float, quantity: int, volume: int, side: Side
) -> None:
    """`fill_price`, which the paper broker calls, is the print shifted by that number of hundredths of a basis point."""
    hundredths = shift_hundredths(total_shift_bps(half, slip, impact, float(quantity), float(volume)))
    if hundredths == NO_PRICE:
        return
    price = CostModel().fill_price(
        side, Decimal("500"), Decimal("0.000001"), parts=CostParts(half, slip, impact), quantity=Decimal(quantity),
        volume=float(volume),
    )  # fmt: skip
    assert abs(price - 500 * (1 + side.sign * Decimal(hundredths) / 1_000_000)) <= Decimal("0.000001")


@pytest.mark.parametrize("latency", [0.0, 500.0, 501.0])
def test_a_backtests_schedule_is_what_runtime_says_at_each_moment(latency: float) -> None:
    spread, slippage = (CostDistribution.of(np.arange(top, dtype=float), NOW) for top in (21, 11))
    costs = ExecutionCosts(NOW.date(), {(SPY.id, bucket): CostProfile(spread, slippage) for bucket in SessionBucket})
    model = CostModel(measured=costs, impact_bps=Decimal(12))
    moments = [OPEN + timedelta(hours=hour) for hour in range(24)]
    micros = np.array([int(moment.timestamp() * 1e6) for moment in moments])
    found = model.schedule([SPY], micros, latency_ms=latency)
    for place, moment in enumerate(moments):
        parts = model.parts(SPY, moment, latency_ms=latency)
        backtest = total_shift_bps(
            found.half_spread_bps[0, place], found.slippage_bps[0, place], found.impact_bps[0], 100.0, 10_000.0
        )
        assert backtest == parts.total_bps(100.0, 10_000.0)
    assert parts.half_spread_bps == (9.0 if latency > 500 else 5.0), "half of the mean 10, or of the 90 % point 18"
    assert parts.slippage_bps == (9.0 if latency > 500 else 5.0)


def test_mean_median_and_ninety_per_cent_point() -> None:
    found = CostDistribution.of(np.array([0.0] * 6 + [1.0] * 3 + [11.0] * 2), NOW)
    assert [found.reading(one) for one in Statistic] == pytest.approx([25 / 11, 0.0, 11.0])


# depth ------------------------------------------------------------------------------------------------------------------


@given(
    st.floats(1, 1e9),
    st.floats(1, 1e12),
    st.none() | st.floats(0, 5),
    st.none() | st.floats(1, 1e12),
    st.floats(1, 1e6),
    figures,
    figures,
)
def test_cost_never_falls_when_depth_falls(
    notional: float, depth: float, amihud: float | None, energy: float | None, times: float, half: float, impact: float
) -> None:
    """Of the whole cost: slippage from the book, from illiquidity and from energy, and impact on the volume that goes with it."""

    def cost(thinner: float) -> float:
        state = LiquidityState(
            depth_notional=depth / thinner,
            depth_bps=10.0,
            amihud=amihud,
            energy_dollars=None if energy is None else energy / thinner,
            energy_move_bps=None if energy is None else 100.0,
        )
        slippage = liquidity_slippage(notional, state).bps
        return float(total_shift_bps(half, slippage, impact, notional, 1e9 / thinner))

    assert cost(times) >= cost(1.0)


# recalibration --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [*range(13)])
def test_a_bucket_below_ten_samples_is_unchanged(count: int) -> None:
    known = CostProfile(CostDistribution.of(np.full(40, 3.0), NOW - timedelta(days=30)), None)
    earlier = ExecutionCosts(NOW.date() - timedelta(days=30), {(SPY.id, SessionBucket.OPENING): known})
    moments = [OPEN + timedelta(minutes=minute) for minute in range(count)]
    table = pl.DataFrame(
        {"ts": moments, "available_at": moments, "bid": [99.9] * count, "ask": [100.1] * count},
        schema={"ts": pl.Datetime("us", "UTC"), "available_at": pl.Datetime("us", "UTC"), "bid": pl.Float64, "ask": pl.Float64},
    )
    found = recalibrated(earlier, as_of=NOW, instruments={SPY.id: SPY}, quotes={SPY.id: table})
    profile = found.costs.get(SPY.id, SessionBucket.OPENING)
    assert (profile == known) is (count < 10)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A store with two days of quotes of a pair: 1 bp of spread on the first day, 3 bp on the second."""
    folder = tmp_path_factory.mktemp("costs")
    rows = ["timestamp,bid,ask"]
    for day, spread in ((2, 0.0001), (3, 0.0003)):
        start = datetime(2024, 1, day, tzinfo=UTC)
        rows += [f"{start + timedelta(minutes=5 * k):%Y-%m-%d %H:%M:%S.000},1.0,{1.0 + spread}" for k in range(288)]
    (folder / "eurusd.csv").write_text("\n".join(rows) + "\n")
    with open_workspace(folder) as opened:
        import_data(opened, [folder / "eurusd.csv"], format="truefx-quotes")
        yield opened


def test_dated_files_and_a_restore(workspace: Workspace) -> None:
    first = recalibrate_costs(workspace, as_of=datetime(2024, 1, 3, tzinfo=UTC), days=1)
    second = recalibrate_costs(workspace, as_of=datetime(2024, 1, 4, tzinfo=UTC), days=1)
    assert [first.path, second.path] == ["execution_costs/2024-01-03.json", "execution_costs/2024-01-04.json"]
    assert set(second.buckets["status"]) == {"updated"}

    def london() -> float:
        shown = show_costs(workspace)
        assert shown.costs is not None
        spread = shown.costs.get("TRUEFX:EURUSD", SessionBucket.LONDON).spread
        assert spread is not None
        return spread.p50_bps

    assert london() == pytest.approx(3.0, abs=0.01)
    restored = restore_execution_costs(workspace, date(2024, 1, 3))
    assert str(restored.pointed_at) == "2024-01-03"
    assert len(restored.dates) == 2, "nothing is deleted"
    assert london() == pytest.approx(1.0, abs=0.01)


def test_a_night_without_quotes_changes_nothing(workspace: Workspace) -> None:
    before = show_costs(workspace).costs
    again = recalibrate_costs(workspace, as_of=datetime(2024, 2, 1, tzinfo=UTC))
    assert before is not None
    assert again.costs.profiles == before.profiles
    assert set(again.buckets["status"]) == {"unchanged"}


@pytest.mark.slow
@pytest.mark.realdata
def test_real_quotes_of_shares_by_the_hour(realdata: Path, tmp_path: Path) -> None:
    """LEAN's minute quotes of AAPL (2014-06-05 and 06) and SPY (2013-10-04 to 10): one numpy pass over the raw rows agrees."""
    folder = realdata / "intraday" / "lean_equity_minute"
    files = [*sorted((folder / "aapl").glob("*_quote.zip")), *sorted((folder / "spy").glob("*_quote.zip"))]
    with open_workspace(tmp_path) as workspace:
        import_data(workspace, files)
        names = workspace.store.datasets()["instrument"].unique().to_list()
        found = {
            name: recalibrate_costs(workspace, [name], as_of=as_of)
            for name in names
            for as_of in [datetime(2014, 6, 7, tzinfo=UTC) if "AAPL" in name else datetime(2013, 10, 11, tzinfo=UTC)]
        }
        assert len(found) == 2
        for name, result in found.items():
            spreads = {bucket: result.costs.get(name, bucket).spread for bucket in SessionBucket}
            opening, midday = spreads[SessionBucket.OPENING], spreads[SessionBucket.MIDDAY]
            assert opening is not None
            assert midday is not None
            assert midday.sample_count >= 600
            if "AAPL" in name:
                assert opening.mean_bps > 1.2 * midday.mean_bps
            else:
                assert 0.55 < midday.p50_bps < 0.65, "SPY at 165 to 170 is quoted one cent wide, at any hour"
            rows = workspace.store.read(name, table="quote_bars/1m").drop_nulls(["bid_close", "ask_close"])
            minutes = rows["ts"].dt.convert_time_zone("America/New_York")
            clock = (minutes.dt.hour().cast(pl.Int32) * 60 + minutes.dt.minute()).to_numpy()
            bid, ask = rows["bid_close"].to_numpy(), rows["ask_close"].to_numpy()
            noon = (clock > 600) & (clock <= 930) & (ask >= bid)  # bars that end after 10:00 and by 15:30
            by_hand = 2e4 * (ask - bid)[noon] / (ask + bid)[noon]
            assert midday.sample_count == noon.sum()
            assert midday.mean_bps == pytest.approx(by_hand.mean())
            assert midday.p90_bps == pytest.approx(np.quantile(by_hand, 0.9))
