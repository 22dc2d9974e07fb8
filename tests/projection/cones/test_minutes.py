"""Experts of the next minutes: mirrored shapes, averaged scales, and nothing from later than the row."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.market import BARS
from fieldcast.projection.cones import CONE_LEVELS, MinuteExperts, minute_scales, mirrored
from fieldcast.projection.conformal import QUANTILE_LEVELS

DAY = 1440
START = datetime(2022, 1, 3, tzinfo=UTC)


def coin(days: int, seed: int) -> pl.DataFrame:
    """Minute bars around the clock: a wandering level, fat tails, calm weekends."""
    rng = np.random.default_rng(seed)
    n = days * DAY
    level = np.zeros(n)
    for t in range(1, n):
        level[t] = 0.998 * level[t - 1] + 0.03 * rng.standard_normal()
    sigma = 4e-4 * np.exp(level) * np.where(np.arange(n) // DAY % 7 >= 5, 0.5, 1.0)
    price = np.log(100.0) + np.cumsum(sigma * rng.standard_t(5, n) / np.sqrt(5.0 / 3.0))
    opened = np.concatenate([[np.log(100.0)], price[:-1]])
    reach = np.abs(0.3 * sigma * rng.standard_normal((2, n)))
    ends = np.datetime64(START.replace(tzinfo=None), "us") + (np.arange(n) + 1) * np.timedelta64(1, "m")
    ts = pl.Series(ends).dt.replace_time_zone("UTC")
    made = {
        "instrument": ["SIM:COIN"] * n,
        "ts": ts,
        "available_at": ts,
        "open": np.exp(opened),
        "high": np.exp(np.maximum(opened, price) + reach[0]),
        "low": np.exp(np.minimum(opened, price) - reach[1]),
        "close": np.exp(price),
        "volume": np.ones(n),
        "reasons": [None] * n,
    }
    return pl.DataFrame(made, schema_overrides=dict(BARS)).select(list(BARS))


def ahead(bars: pl.DataFrame, horizon: int) -> np.ndarray:
    price = np.log(bars["close"].to_numpy())
    out = np.full(len(price), np.nan)
    out[:-horizon] = price[horizon:] - price[:-horizon]
    return out


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return coin(16, 1)


@pytest.fixture(scope="module")
def scales(bars: pl.DataFrame) -> dict[str, np.ndarray]:
    return minute_scales(bars, 15)


@pytest.fixture(scope="module")
def found(bars: pl.DataFrame, scales: dict[str, np.ndarray]) -> np.ndarray:
    return MinuteExperts(scales).quantiles(ahead(bars, 15), horizon=15)


def test_a_mirrored_shape_is_the_quantiles_of_the_scores_and_their_negatives() -> None:
    rng = np.random.default_rng(2)
    sigma, z = rng.uniform(1.0, 2.0, 400), rng.standard_t(4, 400)
    made = mirrored(z * sigma, sigma, 3, 100, 50, CONE_LEVELS)
    row = 350
    size = np.abs(z[row - 3 - 99 : row - 3 + 1])  # the newest hundred that had ended
    wanted = sigma[row] * np.quantile(size, [2 * level - 1 for level in CONE_LEVELS if level > 0.5])
    np.testing.assert_allclose(made[row, 5:], wanted)
    np.testing.assert_array_equal(made[row, :4], -made[row, :4:-1])
    assert made[row, 4] == 0.0
    assert np.isnan(made[:52]).all()
    with pytest.raises(InvalidInput, match=r"symmetric about 0\.5"):
        mirrored(z, sigma, 3, 100, 50, [0.1, 0.5, 0.8])


def test_the_scales_are_means_of_logarithms(bars: pl.DataFrame, scales: dict[str, np.ndarray]) -> None:
    assert set(scales) == {"laplace", "pair", "blend", "trees"}
    known = np.isfinite(scales["blend"])
    assert known[5 * DAY :].all()
    assert not known[:DAY].any()
    for one in scales.values():
        assert (one[known] > 0.0).all()
    again = minute_scales(bars, 15, hours=bars)  # hours of the very minutes are what is taken without them
    for name, one in scales.items():
        np.testing.assert_array_equal(again[name], one)


def test_trees_correct_the_blend_once_they_have_seen_enough(bars: pl.DataFrame, scales: dict[str, np.ndarray]) -> None:
    known = np.isfinite(scales["blend"])
    np.testing.assert_array_equal(np.isfinite(scales["trees"]), known)
    same = scales["trees"] == scales["blend"]
    first = int(np.flatnonzero(known & ~same)[0])
    assert first % DAY == 0  # fits are made where a day begins
    assert same[known][: first - int(np.flatnonzero(known)[0])].all()
    gap = np.log(scales["trees"] / scales["blend"])[first:]
    assert 0.01 < gap.std() < 0.3
    past = coin(9, 5)[:-1].with_columns(pl.col("ts", "available_at") - pl.duration(days=20))
    helped = minute_scales(bars, 15, earlier=[past])
    taught = int(np.flatnonzero(np.isfinite(helped["trees"]) & (helped["trees"] != helped["blend"]))[0])
    assert taught < first


@pytest.mark.parametrize("rows", [9 * DAY + 1, 11 * DAY + 777])
def test_the_cone_of_a_row_is_that_of_the_bars_cut_there(bars: pl.DataFrame, found: np.ndarray, rows: int) -> None:
    cut = bars[:rows]
    alone = MinuteExperts(minute_scales(cut, 15)).quantiles(ahead(cut, 15), horizon=15)
    assert np.isfinite(alone[-1]).all()
    np.testing.assert_array_equal(alone, found[:rows])


def test_the_bands_hold_what_they_promise_and_are_sharper_than_the_last_days_quantiles(
    bars: pl.DataFrame, found: np.ndarray
) -> None:
    from fieldcast.evaluation import interval_score
    from fieldcast.projection.cones import window_quantiles

    ret = ahead(bars, 15)
    base = window_quantiles(ret[:, None], 15, DAY, 500, CONE_LEVELS)[:, 0]
    rows = np.isfinite(found).all(axis=1) & np.isfinite(ret) & np.isfinite(base).all(axis=1)
    assert rows.sum() > 8 * DAY
    q, y = found[rows], ret[rows]
    assert (np.diff(q, axis=1) >= 0.0).all()
    for edge, share in ((0, 0.90), (1, 0.75), (2, 0.50)):
        assert ((y >= q[:, edge]) & (y <= q[:, -1 - edge])).mean() == pytest.approx(share, abs=0.04)
    ours, theirs = (interval_score(one[rows][:, 0], one[rows][:, -1], y, 0.90).mean() for one in (found, base))
    assert ours < 0.93 * theirs


def test_a_composer_gets_cones_that_a_packet_can_take(bars: pl.DataFrame, scales: dict[str, np.ndarray]) -> None:
    ret = ahead(bars, 15)
    path = MinuteExperts(scales, 100).run(ret, scales["blend"], horizon=15, first=8 * DAY)
    assert np.isnan(path.quantiles_bps[: 8 * DAY]).all()
    later = path.quantiles_bps[8 * DAY :]
    assert np.isfinite(later).all()
    assert (np.diff(later, axis=1) > 0.0).all()
    assert later.shape[1] == len(QUANTILE_LEVELS)
    row = 9 * DAY
    known = np.isfinite(ret[: row - 14] / scales["blend"][: row - 14]).sum()
    assert path.scores[row] == min(known, 5 * DAY)
    assert not path.saturated.any()


def test_what_does_not_fit_together_is_refused(scales: dict[str, np.ndarray]) -> None:
    with pytest.raises(InvalidInput, match=r"missing blend, trees"):
        MinuteExperts({"laplace": scales["laplace"], "pair": scales["pair"]})
    with pytest.raises(InvalidInput, match="minimum of 20 to 1440"):
        MinuteExperts(scales, 5)
    with pytest.raises(InvalidInput, match="of one length"):
        MinuteExperts(scales).quantiles(np.zeros(10), horizon=15)
    with pytest.raises(InvalidInput, match="first >= 0"):
        MinuteExperts(scales).run(np.zeros(10), np.ones(10), horizon=15, first=-1)
