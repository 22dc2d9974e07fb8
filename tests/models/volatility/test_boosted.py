"""Pooled trees: they find what log-HAR cannot say, and their columns are what their names promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.volatility import Har, PooledTrees, ahead, qlike_rows, realised_variance
from fieldcast.models.volatility._inputs import calendar_columns, correlation, following, inputs, window_max

QUICK = {"min_data_in_leaf": 50, "feature_fraction": 0.6}


def planted(given: Panel) -> Panel:
    """Fridays three times as wild as other days: log-HAR looks back and cannot know, the calendar does."""
    friday = (given.session.astype(np.int64) + 3) % 7 == 4
    scale = np.where(friday, 3.0, 1.0)[:, None]
    logs = {name: np.log(getattr(given, name)) for name in ("open", "high", "low", "close")}
    before = np.vstack([logs["close"][:1], logs["close"][:-1]])
    moved = {name: (values - before) * scale for name, values in logs.items()}
    base = np.vstack([np.zeros((1, 3)), np.cumsum(moved["close"], axis=0)[:-1]])
    return replace(given, **{name: 100.0 * np.exp(base + values) for name, values in moved.items()})


@pytest.mark.parametrize("loss", ["gamma", "log"])
def test_a_planted_weekday_is_found(simulated: Panel, loss: str) -> None:
    given = planted(simulated)
    realised = ahead(realised_variance(given), 1)
    base = Har("log", ("vix",)).path(given, 1, 1000)
    trees = PooledTrees(loss, rounds=60, settings=QUICK).path(given, 1, 1000)  # type: ignore[arg-type]
    use = np.isfinite(base) & np.isfinite(trees) & np.isfinite(realised)
    ours, theirs = (qlike_rows(realised, sigma)[use].mean() for sigma in (trees, base))
    assert ours < 0.75 * theirs
    friday_next = (following(given.session, 1, "XNYS")[0][:, 0].astype(np.int64) + 3) % 7 == 4
    ratio = np.nanmean((trees / base)[friday_next]) / np.nanmean((trees / base)[~friday_next])
    assert ratio > 1.6


@pytest.mark.parametrize("loss", ["gamma", "log"])
def test_the_level_is_right_on_average(simulated: Panel, loss: str) -> None:
    sigma = PooledTrees(loss, rounds=20, settings=QUICK).path(simulated, 5, 1000)  # type: ignore[arg-type]
    realised = ahead(realised_variance(simulated), 5)
    assert np.nanmean(realised / sigma**2) == pytest.approx(1.0, abs=0.1)


def test_equal_seeds_are_equal_and_seeds_are_averaged_in_logs(simulated: Panel) -> None:
    def path(*seeds: int) -> np.ndarray:
        return PooledTrees(rounds=8, seeds=seeds, settings=QUICK).path(simulated, 1, 1300)

    one, again, other, both = path(1), path(1), path(2), path(1, 2)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one[1300:], other[1300:])
    np.testing.assert_allclose(both[1300:], np.sqrt(one * other)[1300:], rtol=1e-9)


def test_without_the_covariate_the_plain_log_har_is_the_base(simulated: Panel) -> None:
    bare = replace(simulated, covariates={})
    trees = PooledTrees(rounds=8, settings=QUICK)
    np.testing.assert_array_equal(trees.base(bare, 1), Har("log").path(bare, 1))
    names, values = inputs(bare, trees.base(bare, 1), 1, calendar="XNYS", vix="vix")
    assert np.isnan(values[..., names.index("vix")]).all()
    assert np.isfinite(trees.path(bare, 1, 1300)[1300:]).all()


def test_the_published_calendar_is_known_in_advance() -> None:
    dates = [date(2024, 7, 2), date(2024, 7, 3), date(2024, 11, 27), date(2024, 11, 29), date(2024, 8, 1)]
    days = np.array(dates, dtype="datetime64[D]")
    found, early = following(days, 2, "XNYS")
    assert found[0].tolist() == [date(2024, 7, 3), date(2024, 7, 5)]      # the fourth is a holiday
    assert early[0].tolist() == [1.0, 0.0]                                # the third ends at 13:00
    assert found[2].tolist() == [date(2024, 11, 29), date(2024, 12, 2)]
    assert early[2].tolist() == [1.0, 0.0]
    columns = calendar_columns(days, 1, "XNYS")
    assert columns["weekday"].tolist() == [2.0, 4.0, 4.0, 0.0, 4.0]
    assert columns["wait"].tolist() == [1.0, 2.0, 2.0, 3.0, 1.0]
    assert columns["first_friday"].tolist() == [0.0, 1.0, 0.0, 0.0, 1.0]
    with pytest.raises(InvalidInput, match="found fewer"):
        following(np.array([date(2999, 1, 4)], dtype="datetime64[D]"), 1, "XNYS")


def test_a_night_that_stands_out_is_seen_a_quarter_later(panel_of) -> None:
    given = panel_of(700, 2, 3)
    opened, close = np.log(given.open), np.log(given.close)
    jump = 400
    lift = np.zeros((700, 2))
    lift[jump:, 1] = 0.15
    moved = {"open": opened + lift, "close": close + lift, "high": np.log(given.high) + lift, "low": np.log(given.low) + lift}
    given = replace(given, **{name: np.exp(values) for name, values in moved.items()})
    base = np.full(given.close.shape, 0.01)
    names, values = inputs(given, base, 1, calendar="XNYS", vix="vix")
    seen = values[:, 1, names.index("report_91")]
    report = given.session[jump]
    forecast_for = following(given.session, 1, "XNYS")[0][:, 0]
    distance = np.abs((forecast_for - report).astype(np.int64) - 91)
    assert (seen[distance <= 3] > 5.0).all()
    assert (seen[(distance > 3) & np.isfinite(seen)] < 5.0).all()
    since = values[:, 1, names.index("since_jump")]
    days = (given.session - report).astype(np.int64)
    assert since[jump] == 0.0
    np.testing.assert_array_equal(since[jump : jump + 3], days[jump : jump + 3])


def test_a_quarter_before_a_long_horizon_ends_where_the_past_does(panel_of) -> None:
    """91 days before the end of 70 sessions is still ahead: nothing of it may be seen."""
    given = panel_of(700, 2, 3)
    base = np.full(given.close.shape, 0.08)
    whole = inputs(given, base, 70, calendar="XNYS", vix="vix")[1]
    for rows in (640, 690):
        cut = inputs(given.head(rows), base[:rows], 70, calendar="XNYS", vix="vix")[1]
        np.testing.assert_array_equal(cut, whole[:rows])
    shaken = replace(given, open=np.where(np.arange(700)[:, None] >= 640, 1.3 * given.open, given.open))
    np.testing.assert_array_equal(inputs(shaken, base, 70, calendar="XNYS", vix="vix")[1][:640], whole[:640])


def test_window_maximum_and_correlation_are_their_loops() -> None:
    rng = np.random.default_rng(1)
    x, common = rng.standard_normal((80, 2)), rng.standard_normal(80)
    low, high = np.arange(80) - 10, np.arange(80) - 4
    low, high = np.maximum(low, 0), np.maximum(high, 0)
    found = window_max(x, low, high)
    for t in range(80):
        if low[t] > 0:
            np.testing.assert_array_equal(found[t], x[low[t] : high[t]].max(axis=0))
        else:
            assert np.isnan(found[t]).all()
    x[:40, 1] = np.nan      # not listed yet: no night is known, which is not a quiet one
    found = window_max(x, low, high)
    assert np.isnan(found[30, 1])
    assert found[46, 1] == np.nanmax(x[36:42, 1])
    x[:40, 1] = 0.0
    joint = correlation(x, common, 20)
    for t in (19, 50, 79):
        assert joint[t, 0] == pytest.approx(np.corrcoef(x[t - 19 : t + 1, 0], common[t - 19 : t + 1])[0, 1], rel=1e-9)


def test_what_is_no_forecaster_is_refused() -> None:
    with pytest.raises(InvalidInput, match="log or gamma"):
        PooledTrees("absolute")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="a seed"):
        PooledTrees(seeds=())
