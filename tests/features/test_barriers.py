"""Scaled thresholds and the triple barrier: against loops, with gaps, holes, and rows that nobody can decide."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from fieldcast.data import read_bundled
from fieldcast.features import labels
from fieldcast.features.barriers import HALF_SIGMA, scaled_threshold, triple_barrier
from fieldcast.features.thresholds import Family, threshold
from fieldcast.ground import InvalidInput

Bars = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def market(bars_of: Bars) -> tuple[pl.DataFrame, np.ndarray]:
    """Bars, and a trailing sigma that is unknown in its first 20 rows."""
    bars = bars_of(400, seed=55, volatility=0.02)
    return bars, trailing(bars)


def trailing(bars: pl.DataFrame, horizon: int = 1) -> np.ndarray:
    returns = np.diff(np.log(bars["close"].to_numpy()))
    sigma = np.full(bars.height, np.nan)
    sigma[20:] = [returns[row - 20 : row].std() for row in range(20, bars.height)]
    return sigma * math.sqrt(horizon)


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("k", [0.5, 1.0])
def test_scaled_thresholds_equal_a_loop(market: tuple[pl.DataFrame, np.ndarray], horizon: int, k: float) -> None:
    bars, sigma = market
    high, low, close = (bars[name].to_list() for name in ("high", "low", "close"))
    for family in Family:
        table = scaled_threshold(bars, family, horizon, sigma, k)
        for t in range(bars.height):
            if t + horizon >= bars.height or math.isnan(sigma[t]):
                assert table["y"][t] is None
                continue
            ahead = slice(t + 1, t + horizon + 1)
            up, down = close[t] * math.exp(k * sigma[t]), close[t] * math.exp(-k * sigma[t])
            if family is Family.LOW_DOWN:
                expected = min(low[ahead]) <= down
            else:
                expected = max((high if family is Family.HIGH_UP else close)[ahead]) >= up
            assert table["y"][t] == int(expected)
            assert table["label_end_ts"][t] == bars["ts"][t + horizon]
        assert table["y"].drop_nulls().n_unique() == 2


def test_half_a_sigma_is_as_frequent_in_calm_as_in_wild_times_where_one_per_cent_is_not() -> None:
    bars = read_bundled("nasdaq")[1].filter(pl.col("ts").dt.year().is_between(1999, 2018))
    sigma = trailing(bars)
    wild = pl.Series(sigma > np.nanmedian(sigma))
    assert HALF_SIGMA == 0.5

    def gap(y: pl.Series) -> float:
        table = pl.DataFrame({"y": y, "wild": wild, "known": np.isfinite(sigma)}).filter("known").drop_nulls()
        rates = table.group_by("wild").agg(pl.col("y").mean()).sort("wild")["y"]
        return float(rates[1] - rates[0])

    fixed = gap(threshold(bars, Family.HIGH_UP, 0.01, 1)["y"])
    scaled = gap(scaled_threshold(bars, Family.HIGH_UP, 1, sigma)["y"])
    assert fixed > 0.15
    assert abs(scaled) < 0.06


@pytest.mark.parametrize(("up", "down"), [(1.0, 1.0), (2.0, 0.7)])
def test_the_triple_barrier_equals_a_loop(market: tuple[pl.DataFrame, np.ndarray], up: float, down: float) -> None:
    bars, sigma = market
    horizon = 6
    opened, high, low, close = (bars[name].to_list() for name in ("open", "high", "low", "close"))
    table = triple_barrier(bars, horizon, sigma, up=up, down=down)
    seen = set()
    for t in range(bars.height):
        if t + horizon >= bars.height or math.isnan(sigma[t]):
            assert table["barrier"][t] is None
            assert table["touched_ts"][t] is None
            continue
        upper, lower = close[t] * math.exp(up * sigma[t]), close[t] * math.exp(-down * sigma[t])
        side: int | None = 0
        at = t + horizon
        for row in range(t + 1, t + horizon + 1):
            above, below = high[row] >= upper, low[row] <= lower
            if above or below:
                at = row
                side = (
                    1 if not below else -1 if not above else 1 if opened[row] >= upper else -1 if opened[row] <= lower else None
                )
                break
        assert table["barrier"][t] == side
        assert table["label_end_ts"][t] == bars["ts"][t + horizon]
        if side is None:
            assert table["touched_ts"][t] is None
            assert table["ret"][t] is None
        else:
            assert table["touched_ts"][t] == bars["ts"][at]
            expected = up * sigma[t] if side == 1 else -down * sigma[t] if side == -1 else math.log(close[at] / close[t])
            assert table["ret"][t] == pytest.approx(expected, rel=1e-12)
        seen.add(side)
    assert seen >= {1, 0, -1}


def test_a_row_that_reaches_both_barriers_is_decided_by_its_open_or_by_nobody(bars_of: Bars) -> None:
    bars = bars_of(3).with_columns(
        open=pl.Series([100.0, 100.0, 100.0]), high=pl.Series([100.5, 110.0, 101.0]), low=pl.Series([99.5, 90.0, 99.0]),
        close=pl.Series([100.0, 100.0, 100.0]),
    )  # fmt: skip
    sigma = np.full(3, 0.02)
    assert triple_barrier(bars, 1, sigma)["barrier"].to_list() == [None, 0, None]
    for opened, side in ((103.0, 1), (97.0, -1)):
        gapped = bars.with_columns(open=pl.Series([100.0, opened, 100.0]))
        assert triple_barrier(gapped, 1, sigma)["barrier"][0] == side


def test_a_barrier_that_was_reached_early_is_no_label_before_the_window_is_over(market: tuple[pl.DataFrame, np.ndarray]) -> None:
    bars, sigma = market
    whole = triple_barrier(bars, 10, sigma, up=0.5, down=0.5)
    cut = triple_barrier(bars.head(300), 10, sigma[:300], up=0.5, down=0.5)
    assert cut["barrier"][:290].equals(whole["barrier"][:290])
    assert cut["barrier"][290:].null_count() == 10
    assert (whole["touched_ts"][280:290] < bars["ts"][299]).any()
    before = bars["ts"][299]
    assert labels.training_rows(whole, before).max() == 289


def test_a_hole_in_the_window_and_wrong_arguments(market: tuple[pl.DataFrame, np.ndarray]) -> None:
    bars, sigma = market
    holed = bars.with_columns(high=pl.when(pl.int_range(pl.len()) == 100).then(None).otherwise(pl.col("high")))
    for table, name in ((triple_barrier(holed, 4, sigma), "barrier"), (scaled_threshold(holed, "high_up", 4, sigma), "y")):
        assert table[name][96:100].null_count() == 4
    assert scaled_threshold(holed, "close", 4, sigma)["y"][96:100].null_count() == 0
    with pytest.raises(InvalidInput, match="out of high_up"):
        scaled_threshold(bars, "high", 1, sigma)
    with pytest.raises(InvalidInput, match="k as a number of sigmas"):
        scaled_threshold(bars, "close", 1, sigma, 0.0)
    with pytest.raises(InvalidInput, match="one row"):
        triple_barrier(bars, 0, sigma)
    with pytest.raises(InvalidInput, match="positive finite values of sigma"):
        triple_barrier(bars, 1, sigma[:-1])
