"""The watch against brute force: rolling figures, exact trip days, NaN as failure, the sequential test's guarantee, the clock."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from fieldcast.ground import InvalidInput
from fieldcast.validation.false_kills import calibrated_runs
from fieldcast.validation.watch import (
    CLOCK_DAYS,
    KILL_AT,
    PaperRow,
    e_process,
    lock,
    trips,
    watch,
)

START = date(2024, 1, 1)


def row(day: int, p: float, ret: float, *, name: str = "A", band: float = 100.0) -> PaperRow:
    return PaperRow(name, START + timedelta(days=day), p, -band, band, ret, {})


def rows_of(p: np.ndarray, ret: np.ndarray, inside: np.ndarray) -> list[PaperRow]:
    """(sessions, instruments) as rows; a row inside has a band as wide as its return."""
    return [
        row(t, float(p[t, i]), float(ret[t, i]), name=f"I{i}", band=math.nan if np.isnan(inside[t, i]) else
            (abs(ret[t, i]) * (1.1 if inside[t, i] else 0.9)))
        for t in range(p.shape[0]) for i in range(p.shape[1])
    ]  # fmt: skip


def test_the_rolling_figures_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    p, ret, inside = (x[0] for x in calibrated_runs(rng, 1, 45, 3, auc=0.6, correlation=0.3))
    p[3, 1], ret[7, 0] = np.nan, 0.0
    found = watch(rows_of(p, ret, inside)).days
    assert len(found) == 45
    assert all(day.auc is None and not day.judged for day in found[:19])
    for t in range(19, 45):
        part = slice(t - 19, t + 1)
        wins = pairs = 0.0
        for i in range(3):
            known = np.isfinite(p[part, i]) & (ret[part, i] != 0)
            y = ret[part, i][known] > 0
            wins += roc_auc_score(y, p[part, i][known]) * y.sum() * (~y).sum()
            pairs += y.sum() * (~y).sum()
        held = inside[part].copy()
        flat_p, flat_r = p[part].ravel(), ret[part].ravel()
        known = np.isfinite(flat_p)
        assert found[t].auc == pytest.approx(wins / pairs, abs=1e-12)
        assert found[t].ic == pytest.approx(stats.pearsonr(flat_p[known], flat_r[known]).statistic, abs=1e-12)
        held[ret[part] == 0] = 1.0  # a return of nothing lies inside its own band of no width
        assert found[t].coverage == pytest.approx(held.mean(), abs=1e-12)


def figures(days: int, **changed: dict[int, float]) -> dict[str, np.ndarray]:
    """Figures that break no rule, but for what is changed; NaN before the 20th session."""
    found = {name: np.full((1, days), value) for name, value in (("auc", 0.55), ("coverage", 0.75), ("ic", 0.05))}
    for name, at in changed.items():
        for day, value in at.items():
            found[name][0, day] = value
    for name in found:
        found[name][:, :19] = np.nan
    return found


NOTHING = np.ones((1, 60))


@pytest.mark.parametrize(("rule", "bad"), [("auc", 0.499), ("ic", -0.001), ("auc", np.nan), ("ic", np.nan)])
def test_a_run_of_ten_trips_on_its_tenth_day_and_nine_do_not(rule: str, bad: float) -> None:
    nine = trips(figures(60, **{rule: dict.fromkeys(range(25, 34), bad)}), NOTHING)
    assert nine[rule][0] == -1
    ten = trips(figures(60, **{rule: dict.fromkeys(range(25, 35), bad)}), NOTHING)
    assert ten[rule][0] == 34
    broken = trips(figures(60, **{rule: {day: bad for day in range(25, 45) if day != 34}}), NOTHING)
    assert broken[rule][0] == 44
    assert {name: int(at[0]) for name, at in ten.items() if name != rule} == {
        name: -1 for name in ("auc", "coverage", "ic", "sequential") if name != rule}  # fmt: skip


@pytest.mark.parametrize(("value", "trip"), [(0.59, True), (0.60, False), (0.90, False), (0.91, True), (np.nan, True)])
def test_coverage_trips_on_the_day_itself(value: float, trip: bool) -> None:
    assert trips(figures(60, coverage={30: value}), NOTHING)["coverage"][0] == (30 if trip else -1)


def test_a_figure_at_its_limit_is_no_failure() -> None:
    for rule, value in (("auc", 0.5), ("ic", 0.0)):
        assert trips(figures(60, **{rule: dict.fromkeys(range(20, 60), value)}), NOTHING)[rule][0] == -1


def test_the_window_has_to_be_full_before_anything_is_judged() -> None:
    """Worst possible forecasts: the band fails on the 20th session, AUC and IC on the 29th."""
    p, ret = np.where(np.arange(40) % 2 == 0, 0.4, 0.6)[:, None], np.where(np.arange(40) % 2 == 0, 50.0, -50.0)[:, None]
    found = watch(rows_of(p, ret, np.zeros((40, 1))))
    assert {kill.rule: kill.session for kill in found.kills} == {
        "coverage": START + timedelta(days=19), "auc": START + timedelta(days=28), "ic": START + timedelta(days=28),
        "sequential": next(day.session for day in found.days if day.evidence >= KILL_AT)}  # fmt: skip


def test_unknown_projections_are_a_failure() -> None:
    """From the 11th session on nothing is projected: the window of the 30th has nothing left, and the tenth such day kills."""
    rng = np.random.default_rng(1)
    p, ret, inside = (x[0] for x in calibrated_runs(rng, 1, 50, 1, auc=0.9, correlation=0.0))
    p[10:], inside[10:] = np.nan, np.nan
    found = watch(rows_of(p, ret, inside))
    assert found.days[30].auc is None
    assert {kill.rule: (kill.session - START).days for kill in found.kills}["coverage"] <= 29
    first = next(t for t in range(19, 50) if found.days[t].auc is None)
    assert found.days[first + 9].auc_run >= 10


def test_a_constant_forecast_has_no_ic_and_that_is_a_failure() -> None:
    rng = np.random.default_rng(2)
    ret = rng.standard_normal((40, 2))
    found = watch(rows_of(np.full((40, 2), 0.5), ret, np.ones((40, 2))))
    assert found.days[25].ic is None
    assert found.days[25].auc == 0.5
    assert {kill.rule: (kill.session - START).days for kill in found.kills}["ic"] == 28


def test_rows_are_one_an_instrument_and_session() -> None:
    assert watch([]).days == ()
    with pytest.raises(InvalidInput, match="one packet"):
        watch([row(0, 0.5, 1.0), row(0, 0.6, 1.0)])


def test_what_came_later_changes_no_earlier_day() -> None:
    rng = np.random.default_rng(3)
    rows = rows_of(*(x[0] for x in calibrated_runs(rng, 1, 60, 2, auc=0.55, correlation=0.2)))
    whole, cut = watch(rows), watch([one for one in rows if one.session < START + timedelta(days=37)])
    assert whole.days[:37] == cut.days


# the sequential test ----------------------------------------------------------------------------------------------------------


def test_the_e_process_is_its_definition() -> None:
    p, ret, inside = (
        np.array([[[0.6, 0.3], [0.5, 0.5]]]),
        np.array([[[1.0, -2.0], [3.0, 0.0]]]),
        np.array([[[1.0, 0.0], [1.0, np.nan]]]),
    )
    odds = []
    for q in (lambda x: 0.5, lambda x: 1 - x, lambda x: x - 0.1, lambda x: x + 0.1):
        first = ((q(0.6) / 0.6) + (1 - q(0.3)) / 0.7) / 2
        odds.append((first, first * q(0.5) / 0.5))
    bands = []
    for c in (0.5, 0.6, 0.85, 0.95):
        first = (c / 0.75 + (1 - c) / 0.25) / 2
        bands.append((first, first * c / 0.75))
    expected = [np.mean([one[k] for one in (*odds, *bands)]) for k in (0, 1)]
    assert e_process(p, ret, inside)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("instruments", "correlation"), [(1, 0.0), (5, 0.5), (5, 1.0)])
def test_its_mean_is_one_under_calibration(instruments: int, correlation: float) -> None:
    rng = np.random.default_rng(4)
    e = e_process(*calibrated_runs(rng, 20_000, 5, instruments, auc=0.6, correlation=correlation))[:, -1]
    assert abs(e.mean() - 1.0) < 4 * e.std() / np.sqrt(e.size)


def test_it_kills_what_is_wrong() -> None:
    """Forecasts that claim much more than they know, and bands that hold half of what they say: killed in nearly every run."""
    rng = np.random.default_rng(5)
    p, ret, inside = calibrated_runs(rng, 200, 40, 5, auc=0.8, correlation=0.2)
    noise = rng.permuted(p, axis=1)
    assert (e_process(noise, ret, inside).max(axis=1) >= KILL_AT).mean() > 0.95
    half = (rng.random(inside.shape) < 0.5).astype(float)
    assert (e_process(p, ret, half).max(axis=1) >= KILL_AT).mean() > 0.95


# the clock --------------------------------------------------------------------------------------------------------------------


def test_live_stays_locked_on_day_55_and_opens_on_day_56() -> None:
    began = datetime(2026, 1, 5, 22, tzinfo=UTC)
    for day, locked in ((0, True), (55, True), (CLOCK_DAYS, False), (80, False)):
        found = lock(began, began + timedelta(days=day), recorded=38, expected=38, killed=False)
        assert (found.locked, found.day) == (locked, day)
    assert lock(None, began, recorded=0, expected=0, killed=False).reasons == ("clock_running",)
    assert lock(began, began + timedelta(days=80), recorded=38, expected=38, killed=True).reasons == ("killed",)
    assert lock(began, began + timedelta(days=80), recorded=49, expected=55, killed=False).locked  # sessions were missed
