"""The columns that name a report's day: against a plain loop, cut at a date, and on a panel that reports every 13 weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from tests.projection.cones.conftest import make_panel

from fieldcast.features.panel import Panel
from fieldcast.models.volatility import PooledTrees, ReportTrees, ahead, realised_variance
from fieldcast.models.volatility._inputs import following
from fieldcast.models.volatility.reports import report_columns

EVERY = 65  # weekdays in 91 days


def cut(given: Panel, rows: int) -> Panel:
    columns = {name: getattr(given, name)[:rows] for name in ("session", "decision", "open", "high", "low", "close", "volume")}
    return replace(given, **columns, covariates={name: values[:rows] for name, values in given.covariates.items()})


def reporting(rows: int = 1200, width: int = 6, seed: int = 3) -> tuple[Panel, np.ndarray]:
    """A panel of which every instrument but the last two opens 6 sigma away every 91 days, and the rows (T, N) where it does."""
    rng = np.random.default_rng(seed)
    when = np.zeros((rows, width), dtype=bool)
    for place in range(width - 2):
        when[5 + 11 * place :: EVERY, place] = True
    daily = 0.01 * rng.normal(size=(2, rows, width))
    night = np.where(when, 0.06 * rng.choice([-1.0, 1.0], size=when.shape), 0.3 * daily[0])
    opened = np.log(100.0) + np.cumsum(night + daily[1], axis=0) - daily[1]
    close = opened + daily[1]
    reach = 0.003 * np.abs(rng.normal(size=(2, rows, width)))
    volume = 1e6 * np.exp(0.2 * rng.normal(size=when.shape)) * np.where(when, 4.0, 1.0)
    session = np.busday_offset(np.datetime64("2010-01-04"), np.arange(rows))
    decision = session.astype("datetime64[us]") + np.timedelta64(1290, "m")
    high, low = np.maximum(opened, close) + reach[0], np.minimum(opened, close) - reach[1]
    prices = (np.exp(opened), np.exp(high), np.exp(low), np.exp(close))
    return Panel(tuple(f"S{k}" for k in range(width)), session, decision, *prices, volume, {}), when


def plain(given: Panel, row: int, place: int, horizon: int) -> list[float]:
    """The columns of one row, from dates."""
    days = [date.fromisoformat(str(day)) for day in given.session]
    variance = realised_variance(given)[:, place]
    size, score = np.full(len(days), np.nan), np.full(len(days), np.nan)
    for t in range(row + 1):
        if t < 66 or np.isnan(variance[t - 66 : t + 1]).any():
            continue
        usual = np.sqrt(np.mean(variance[t - 66 : t]))
        size[t] = abs(np.log(given.open[t, place] / given.close[t - 1, place])) / usual
        factor = np.log(given.volume[t, place]) - np.log(given.volume[t - 22 : t, place]).mean()
        score[t] = np.sqrt(variance[t]) / usual * np.exp(min(max(factor, -1.0), 2.0))
    ends = following(given.session[row : row + 1], horizon, "XNYS")[0][0]
    first, last = date.fromisoformat(str(ends[0])), date.fromisoformat(str(ends[-1]))

    def most(values: np.ndarray, back: int, low: int, high: int) -> float:
        low_day, high_day = first + timedelta(low - back), last + timedelta(high - back)
        inside = [t for t in range(row + 1) if low_day <= days[t] <= high_day]
        if not inside or inside[0] == 0 or low_day <= days[0]:
            return np.nan
        found = [values[t] for t in inside if not np.isnan(values[t])]
        return max(found) if found else np.nan

    quarters = (91, 182, 273, 364)
    out = [most(values, back, -slack, slack) for values in (size, score) for slack in (0, 1) for back in quarters]
    for values, slack in ((size, 0), (score, 4)):
        four = [most(values, back, -slack, slack) for back in quarters]
        known = [value for value in four if not np.isnan(value)]
        out += [np.sort(four)[1], np.mean(known) if known else np.nan]
    out += [most(score, back, -15, -1) for back in (0, 91, 364)] + [most(score, back, 1, 12) for back in (91, 364)]
    news = [t for t in range(row + 1) if score[t] >= 6.0]
    return [*out, min((days[row] - days[news[-1]]).days, 100.0) if news else 100.0]


@pytest.mark.parametrize("horizon", [1, 5])
def test_columns_are_their_plain_loop(horizon: int) -> None:
    given, _ = reporting(rows=500, width=3)
    found = report_columns(given, horizon)
    assert found.shape == (500, 3, 26)
    for row in (0, 40, 90, 200, 331, 420, 499):
        for place in range(3):
            np.testing.assert_allclose(found[row, place], plain(given, row, place, horizon), rtol=1e-9, err_msg=f"{row} {place}")


@pytest.mark.parametrize("horizon", [1, 5, 80])
def test_a_panel_cut_at_a_date_gives_the_same_columns(horizon: int) -> None:
    given = make_panel(700)
    whole = report_columns(given, horizon)
    for rows in (333, 512, 600):
        np.testing.assert_array_equal(report_columns(cut(given, rows), horizon), whole[:rows])


def test_an_unknown_volume_leaves_the_nights() -> None:
    given, _ = reporting(rows=500, width=3)
    found = report_columns(replace(given, volume=np.full_like(given.volume, np.nan)), 1)
    assert np.isnan(found[..., 8:16]).all()
    np.testing.assert_array_equal(found[..., :8], report_columns(given, 1)[..., :8])


@pytest.fixture(scope="module")
def paths() -> tuple[Panel, np.ndarray, np.ndarray, np.ndarray]:
    given, when = reporting()
    small = {"min_data_in_leaf": 20}
    plain_trees = PooledTrees(rounds=60, settings=small).path(given, 1, 800)
    return given, when, plain_trees, ReportTrees(rounds=60, settings=small).path(given, 1, 800)


def test_sigma_is_wide_on_the_eve_of_a_report_and_not_in_its_week(
    paths: tuple[Panel, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, when, other, ours = paths
    eve = np.zeros_like(when)
    eve[:-1] = when[1:]
    week = np.zeros_like(when)
    for gap in (2, 3):  # the week before, not the day
        week[:-gap] |= when[gap:]
    rows, reports = slice(800, None), slice(0, 4)

    def typical(sigma: np.ndarray, where: np.ndarray) -> float:
        return float(np.median(sigma[rows, reports][where[rows, reports]]))

    assert typical(ours, eve) > 3.0 * typical(ours, week)
    assert typical(ours, eve) > 1.2 * typical(other, eve)


def test_qlike_falls_where_there_are_reports_and_stays_where_there_are_none(
    paths: tuple[Panel, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    given, _, other, ours = paths
    outcome = ahead(realised_variance(given), 1)

    def loss(sigma: np.ndarray, places: slice) -> float:
        ratio = outcome[800:-1, places] / sigma[800:-1, places] ** 2
        return float((ratio - np.log(ratio) - 1.0).mean())

    assert loss(ours, slice(0, 4)) < 0.9 * loss(other, slice(0, 4))
    assert loss(ours, slice(4, 6)) == pytest.approx(loss(other, slice(4, 6)), rel=0.1)


def test_a_panel_cut_at_a_date_gives_the_same_sigma() -> None:
    given = make_panel(840, width=10)
    trees = ReportTrees(rounds=5)
    whole = trees.path(given, 5, 700)
    np.testing.assert_array_equal(trees.path(cut(given, 830), 5, 700), whole[:830])
    assert np.isnan(whole[:700]).all()
    assert np.isfinite(whole[700:, :-1]).all()
    assert trees.name == "trees_gamma_reports"
