"""Intraday seasonality: a planted profile is found, from the past alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.market import BARS, conform
from fieldcast.models.volatility import TimeOfDay, qlike_rows


def minute_bars(days: int, seed: int, shape: np.ndarray, *, step: int = 1, start: datetime | None = None) -> pl.DataFrame:
    """`days` weekdays of bars from 9:30 New York whose variance follows `shape`; the level wanders from day to day."""
    rng = np.random.default_rng(seed)
    first = start or datetime(2025, 1, 6, 14, 30, tzinfo=UTC)
    ts, ret, log_level = [], [], 0.0
    for d in range(days):
        begin = first + timedelta(days=d + 2 * (d // 5))
        ts += [begin + timedelta(minutes=step * (k + 1)) for k in range(len(shape))]
        log_level = 0.9 * log_level + 0.15 * rng.standard_normal()
        ret.append(5e-4 * np.exp(log_level) * np.sqrt(shape) * rng.standard_normal(len(shape)))
    close = 100.0 * np.exp(np.cumsum(np.concatenate(ret)))
    frame = {
        "instrument": ["SIM:MINUTES"] * len(ts), "ts": ts, "available_at": ts, "open": close, "high": close, "low": close,
        "close": close, "volume": np.ones(len(ts)), "reasons": pl.Series([None] * len(ts), dtype=pl.String),
    }  # fmt: skip
    return conform(pl.DataFrame(frame), BARS)


def smile(minutes: int = 390) -> np.ndarray:
    """Very high at the open, low at noon, high at the close; mean 1."""
    x = np.linspace(-1.0, 1.0, minutes)
    shape = 0.4 + 0.9 * x**2 + 4.0 * np.exp(-8.0 * (x + 1.0))
    return shape / shape.mean()


def test_the_planted_profile_is_found() -> None:
    shape = smile()
    found = TimeOfDay().path(minute_bars(25, 1, shape), 15)
    last = found.day == 24
    np.testing.assert_array_equal(found.slot[last], 570 + np.arange(390))
    body = slice(15, -15)      # the centred mean is one-sided at the ends
    error = found.profile[last][body] / shape[body] - 1.0
    assert np.sqrt(np.mean(error**2)) < 0.10
    assert np.nanmean(found.profile[last]) == pytest.approx(1.0)


def test_the_profile_of_a_day_is_that_of_the_loop_over_the_days_before_it() -> None:
    shape = smile(60)
    bars = minute_bars(6, 2, shape)
    found = TimeOfDay(smooth=3).path(bars, 5)
    square = np.diff(np.log(bars["close"].to_numpy()), prepend=np.nan) ** 2
    square = square.reshape(6, 60)
    square[:, 0] = np.nan       # the night
    d, wanted = 5, []
    for m in range(1, 60):
        logs = []
        for past in range(d):
            near = [square[past, k] for k in (m - 1, m, m + 1) if 0 <= k < 60 and np.isfinite(square[past, k])]
            logs.append(np.log(np.mean(near) / np.nanmean(square[past])))
        wanted.append(np.exp(np.mean(logs)))
    np.testing.assert_allclose(found.profile[found.day == d][1:], np.array(wanted) / np.mean(wanted), rtol=1e-9)


def test_the_outcome_is_the_sum_of_squares_within_the_session() -> None:
    bars = minute_bars(4, 3, smile(60))
    found = TimeOfDay().path(bars, 10)
    r = np.diff(np.log(bars["close"].to_numpy()))
    t = 60 + 20
    assert found.realised[t] == pytest.approx(np.sum(r[t : t + 10] ** 2), rel=1e-9)
    inside = found.slot - found.slot[0] <= 60 - 1 - 10
    np.testing.assert_array_equal(np.isfinite(found.realised), inside)
    assert np.isnan(found.sigma[~inside]).all()   # nothing is said past the close


@pytest.mark.parametrize("seasonal", [True, False])
def test_bars_cut_anywhere_give_the_same_forecasts(seasonal: bool) -> None:
    bars = minute_bars(24, 4, smile(200)).filter(pl.int_range(pl.len()) % 97 != 50)       # some minutes without a trade
    model = TimeOfDay(seasonal=seasonal)
    whole = model.path(bars, 15)
    assert np.isfinite(whole.sigma[:3400]).sum() > 10
    for rows in (3400, 3501, 4000, bars.height - 1):
        cut = model.path(bars[:rows], 15)
        np.testing.assert_array_equal(cut.sigma, whole.sigma[:rows])
        np.testing.assert_array_equal(cut.profile, whole.profile[:rows])


def test_forecasts_are_better_with_the_time_of_day_and_right_on_average() -> None:
    bars = minute_bars(30, 5, smile())
    with_it, without = (TimeOfDay(seasonal=flag).path(bars, 15) for flag in (True, False))
    use = np.isfinite(with_it.sigma) & np.isfinite(without.sigma) & np.isfinite(with_it.realised)
    loss = [qlike_rows(path.realised[use], path.sigma[use]).mean() for path in (with_it, without)]
    assert use.sum() > 7000
    assert loss[0] < 0.9 * loss[1]
    assert np.mean(with_it.realised[use] / with_it.sigma[use] ** 2) == pytest.approx(1.0, abs=0.05)


def test_where_there_is_no_time_of_day_none_is_invented() -> None:
    found = TimeOfDay().path(minute_bars(25, 6, np.ones(390)), 15)
    last = found.profile[found.day == 24][15:-15]
    assert np.abs(last - 1.0).max() < 0.35
    assert np.sqrt(np.mean((last - 1.0) ** 2)) < 0.12


def test_summer_time_moves_nothing() -> None:
    """US clocks went forward on 9 March 2025: 9:30 New York is 14:30 UTC before and 13:30 UTC after."""
    before = minute_bars(10, 7, smile(), start=datetime(2025, 2, 24, 14, 30, tzinfo=UTC))
    after = minute_bars(5, 8, smile(), start=datetime(2025, 3, 10, 13, 30, tzinfo=UTC))
    ratio = before["close"][-1] / after["close"][0]
    prices = {name: pl.col(name) * ratio for name in ("open", "high", "low", "close")}
    found = TimeOfDay().path(pl.concat([before, after.with_columns(**prices)]), 15)
    assert set(found.slot.tolist()) == set(range(570, 960))
    assert np.isfinite(found.sigma[found.day == 10]).sum() == 390 - 15


@pytest.mark.parametrize("step", [5, 15])
def test_longer_bars_have_fewer_places(step: int) -> None:
    shape = smile(390 // step)
    bars = minute_bars(60, 9, shape, step=step, start=datetime(2025, 4, 7, 13, 30, tzinfo=UTC))
    found = TimeOfDay(bar=step, smooth=step).path(bars, 2)
    last = found.profile[found.day == 59][1:]
    assert np.corrcoef(last, shape[1:])[0, 1] > 0.75
    assert found.slot.max() == (570 + 390) // step - 1


def test_what_has_no_profile_is_refused() -> None:
    bars = minute_bars(3, 10, smile(60))
    with pytest.raises(InvalidInput, match="horizon of 1 to 1440"):
        TimeOfDay().path(bars, 0)
    with pytest.raises(InvalidInput, match="whole 5 minutes"):
        TimeOfDay(bar=5).path(bars, 1)
    with pytest.raises(InvalidInput, match="no two that follow"):
        TimeOfDay().path(bars.gather_every(2), 1)
    with pytest.raises(InvalidInput, match="divide a day"):
        TimeOfDay(bar=7)
    with pytest.raises(InvalidInput, match="least_sessions"):
        TimeOfDay(least_sessions=30)
