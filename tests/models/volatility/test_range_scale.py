"""The scale of the next minutes from ranges: what is planted is found, and from the past alone."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.market import BARS
from fieldcast.models.volatility import RangeScale, minute_design
from fieldcast.models.volatility.range_scale import laplace_fit
from fieldcast.models.volatility.weekly_profile import PARKINSON, at, blocks, joined, week_profiles

DAY = 1440
START = datetime(2022, 1, 3, tzinfo=UTC)  # a Monday


def coin(days: int, seed: int, *, start: datetime = START, calm: float = 0.5, busy_hour: int | None = None) -> pl.DataFrame:
    """Minute bars around the clock whose level wanders, is calmer at weekends, and doubles in one hour of the day."""
    rng = np.random.default_rng(seed)
    n = days * DAY
    minute = np.arange(n)
    level = np.zeros(n)
    for t in range(1, n):
        level[t] = 0.999 * level[t - 1] + 0.02 * rng.standard_normal()
    day = (start.weekday() + minute // DAY) % 7
    sigma = 4e-4 * np.exp(level) * np.where(day >= 5, calm, 1.0)
    if busy_hour is not None:
        sigma = sigma * np.where(minute // 60 % 24 == busy_hour, 2.0, 1.0)
    steps = (sigma / 2.0)[:, None] * rng.standard_normal((n, 4))
    path = np.log(100.0) + np.cumsum(steps.ravel()).reshape(n, 4)
    opened = np.concatenate([[np.log(100.0)], path[:-1, -1]])
    inside = np.column_stack([opened, path])
    ends = np.datetime64(start.replace(tzinfo=None), "us") + (minute + 1) * np.timedelta64(1, "m")
    ts = pl.Series(ends).dt.replace_time_zone("UTC")
    made = {
        "instrument": ["SIM:COIN"] * n,
        "ts": ts,
        "available_at": ts,
        "open": np.exp(opened),
        "high": np.exp(inside.max(axis=1)),
        "low": np.exp(inside.min(axis=1)),
        "close": np.exp(path[:, -1]),
        "volume": np.ones(n),
        "reasons": [None] * n,
    }
    return pl.DataFrame(made, schema_overrides=dict(BARS)).select(list(BARS))


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return coin(20, 1, busy_hour=14)


def test_blocks_are_the_ranges_of_clock_aligned_spans_and_half_empty_ones_are_left_out(bars: pl.DataFrame) -> None:
    some = bars[: 3 * 60].filter((pl.int_range(pl.len()) < 60) | (pl.int_range(pl.len()) >= 95))  # of hour 1 only 25 minutes stay
    found = blocks(some, 60)
    first = int(START.timestamp()) // 60
    np.testing.assert_array_equal(found.end, [first + 60, first + 180])
    high, low = bars["high"][:60].max(), bars["low"][:60].min()
    assert found.size[0] == pytest.approx(np.log(high / low) / PARKINSON)  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="whole minutes"):
        blocks(bars.with_columns(ts=pl.col("ts") + pl.duration(seconds=1)), 60)


def test_hours_of_the_minutes_take_precedence_over_those_of_a_longer_history(bars: pl.DataFrame) -> None:
    long, own = blocks(bars[: 10 * 60], 60), blocks(bars[5 * 60 : 15 * 60], 60)
    both = joined(long, own)
    np.testing.assert_array_equal(both.end, blocks(bars[: 15 * 60], 60).end)
    np.testing.assert_array_equal(both.size, blocks(bars[: 15 * 60], 60).size)


def test_the_profile_of_the_week_has_the_busy_hour_and_the_calm_weekend() -> None:
    history = coin(70, 3, busy_hour=14)
    hours, quarters = blocks(history, 60), blocks(history, 15)
    day = (int(START.timestamp()) // 86400) + 70
    profile = week_profiles(hours, quarters, np.array([day]))[0].reshape(7, 24, 4).mean(axis=2)
    weekday = profile[:5]
    assert np.mean(weekday[:, 14]) - np.mean(np.delete(weekday, 14, axis=1)) == pytest.approx(np.log(2.0), abs=0.15)
    assert profile[5:].mean() - weekday.mean() == pytest.approx(np.log(0.5), abs=0.15)
    early = week_profiles(hours, quarters, np.array([day - 70 + 3]))[0].reshape(7, 24, 4)
    assert np.ptp(early.mean(axis=2)) < 1e-12  # nothing is known of a week before it has passed


def test_the_profile_in_force_on_a_day_is_made_of_hours_that_ended_before_it(bars: pl.DataFrame) -> None:
    hours, quarters = blocks(bars, 60), blocks(bars, 15)
    first = int(START.timestamp()) // 86400
    days = np.arange(first, first + 20)
    whole = week_profiles(hours, quarters, days)
    cut = week_profiles(blocks(bars[: 15 * DAY], 60), blocks(bars[: 15 * DAY], 15), days[:16])
    np.testing.assert_array_equal(cut, whole[:16])
    assert not np.array_equal(whole[19], whole[15])
    stamp = np.array([(first + 17) * DAY, (first + 17) * DAY + 1])  # the last bar of a day, and the first of the next
    slot = (stamp - 1) // 15 % 672 + 72 * 4  # 1970 began on a Thursday
    np.testing.assert_array_equal(at(whole, days, stamp), [whole[16, slot[0] % 672], whole[17, slot[1] % 672]])


def test_a_laplace_fit_is_the_least_of_its_loss() -> None:
    rng = np.random.default_rng(5)
    X = np.column_stack([np.ones(4000), rng.standard_normal((4000, 2))])
    true = np.array([-3.0, 0.4, -0.2])
    y = rng.laplace(size=4000) * np.exp(X @ true)
    weight = rng.uniform(0.5, 1.0, 4000)
    found = laplace_fit(X, y, weight)
    np.testing.assert_allclose(found, true, atol=0.06)
    slope = X.T @ (weight * (1.0 - np.abs(y) * np.exp(-X @ found))) / weight.sum()
    np.testing.assert_allclose(slope + 1e-4 * np.array([0.0, found[1], found[2]]), 0.0, atol=1e-4)
    np.testing.assert_allclose(laplace_fit(X, y, weight, true), found, atol=1e-4)
    with pytest.raises(InvalidInput, match="never moved"):
        laplace_fit(X, np.zeros(4000), weight)


@pytest.mark.parametrize("target", ["laplace", "range"])
def test_the_scale_of_a_row_is_that_of_the_bars_cut_there(bars: pl.DataFrame, target: str) -> None:
    model = RangeScale(target)  # type: ignore[arg-type]
    whole = model.path(bars, 15)
    assert np.isfinite(whole[3 * DAY :]).all()
    for rows in (5 * DAY + 1, 9 * DAY + 733, 16 * DAY):
        np.testing.assert_array_equal(model.path(bars[:rows], 15), whole[:rows])


@pytest.mark.parametrize("target", ["laplace", "range"])
def test_the_scale_follows_the_level_better_than_a_constant(target: str) -> None:
    bars = coin(16, 7, calm=0.4, busy_hour=14)
    sigma = RangeScale(target).path(bars, 15)  # type: ignore[arg-type]
    made = minute_design(bars, 15)
    rows = np.isfinite(sigma) & np.isfinite(made.reach)
    rows[: 10 * DAY] = False
    assert np.corrcoef(np.log(sigma[rows]), made.reach[rows])[0, 1] > 0.6


def test_hours_before_the_minutes_tell_the_first_days_what_time_it_is() -> None:
    history = coin(63, 11, busy_hour=14)
    minutes = history[56 * DAY :]
    alone, informed = minute_design(minutes, 15), minute_design(minutes, 15, hours=history)
    season = -1
    early = slice(DAY, 3 * DAY)
    assert np.ptp(alone.terms[early, season]) < 0.2  # but for what quarters of a day show
    minute = np.arange(DAY, 3 * DAY) % DAY
    busy, others = (minute >= 14 * 60) & (minute < 14 * 60 + 40), minute < 13 * 60
    gap = informed.terms[early][busy, season].mean() - informed.terms[early][others, season].mean()
    assert gap == pytest.approx(np.log(2.0), abs=0.25)


def test_earlier_spans_count_from_the_first_day_and_have_to_be_earlier(bars: pl.DataFrame) -> None:
    past = coin(12, 13, start=datetime(2021, 12, 1, tzinfo=UTC))
    alone, helped = RangeScale().path(bars, 15), RangeScale().path(bars, 15, earlier=[past])
    assert np.flatnonzero(np.isfinite(helped))[0] < np.flatnonzero(np.isfinite(alone))[0]
    assert not np.array_equal(alone[5 * DAY :], helped[5 * DAY :])
    with pytest.raises(InvalidInput, match="expected earlier spans to end before"):
        RangeScale().path(bars, 15, earlier=[bars])


def test_minutes_without_trades_leave_rows_and_their_outcomes_out(bars: pl.DataFrame) -> None:
    thin = bars.filter(pl.int_range(pl.len()) % 50 != 7)
    made = minute_design(thin, 15)
    whole = minute_design(bars, 15)
    place = np.searchsorted(whole.stamp, made.stamp)
    there = np.isfinite(made.outcome)
    np.testing.assert_array_equal(made.outcome[there], whole.outcome[place][there])
    gone = ~np.isin(made.stamp + 15, made.stamp)
    assert gone.any()
    np.testing.assert_array_equal(there, ~gone)
    assert np.isnan(made.reach[gone]).all()


def test_what_cannot_be_fitted_is_refused(bars: pl.DataFrame) -> None:
    with pytest.raises(InvalidInput, match="target laplace or range"):
        RangeScale("square")  # type: ignore[arg-type]
    for horizon in (0, 1441):
        with pytest.raises(InvalidInput, match="horizon of 1 to 1440"):
            RangeScale().path(bars, horizon)
