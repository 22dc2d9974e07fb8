"""Odds of a high within a horizon: the label by its loop, causality, and what a known volatility is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fieldcast.evaluation import auc, log_loss
from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.market import sessions
from fieldcast.models import exceedance_odds
from fieldcast.models.events import TouchOdds, reached

FIRST = 700


@pytest.fixture(scope="module")
def known() -> tuple[Panel, np.ndarray]:
    """Three instruments of 1,200 sessions without nights whose true volatility is known in advance, and that volatility."""
    rng = np.random.default_rng(3)
    rows, n = 1200, 3
    session = sessions("XNYS")["session"].to_numpy().astype("datetime64[D]")
    session = session[session >= np.datetime64("2005-01-01")][:rows]
    sigma = 0.012 * np.exp(0.6 * np.sin(np.arange(rows)[:, None] / np.array([25.0, 40.0, 60.0])))
    moves = rng.standard_normal((30, rows, n)) / np.sqrt(30) * np.vstack([sigma[:1], sigma[:-1]])     # sigma[t] is of t + 1
    steps = np.cumsum(moves, axis=0)
    scale = np.vstack([sigma[:1], sigma[:-1]]) ** 2 / 30
    top = 0.5 * (2 * steps - moves + np.sqrt(moves**2 - 2 * scale * np.log(rng.random(moves.shape))))
    close = np.log(50.0) + np.cumsum(steps[-1], axis=0)
    opened = close - steps[-1]
    prices = {"open": opened, "high": opened + np.maximum(top.max(axis=0), 0), "low": opened + np.minimum(steps.min(axis=0), 0)}
    made = Panel(
        instruments=("A", "B", "C"),
        session=session,
        decision=session.astype("datetime64[us]") + np.timedelta64(1290, "m"),
        **{name: np.exp(values) for name, values in prices.items()},
        close=np.exp(close),
        volume=np.full(close.shape, 1e6),
        covariates={},
    )
    return made, sigma


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_label_is_the_highest_of_the_sessions_ahead(known: tuple[Panel, np.ndarray], horizon: int) -> None:
    given, _ = known
    holed = given.high.copy()
    holed[500, 1] = np.nan
    given = replace(given, high=holed)
    found = reached(given, horizon, 0.01)
    for t in (0, 400, 499, 500, 1200 - horizon - 1, 1200 - horizon):
        for i in range(3):
            ahead = given.high[t + 1 : t + 1 + horizon, i]
            if len(ahead) < horizon or np.isnan(ahead).any():
                assert np.isnan(found[t, i])
            else:
                assert found[t, i] == float(ahead.max() >= given.close[t, i] * 1.01)


def test_no_forecast_sees_past_its_row(known: tuple[Panel, np.ndarray]) -> None:
    given, sigma = known
    model = TouchOdds(rounds=10)
    whole = model.path(given, sigma, 2, FIRST)
    assert np.isnan(whole.average[:FIRST]).all()
    assert np.isfinite(whole.average[FIRST:]).all()
    for rows in (FIRST + 1, 880):
        cut = model.path(given.head(rows), sigma[:rows], 2, FIRST)
        for name in ("spline", "trees", "average"):
            np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name)[:rows])
    changed = given.high.copy()
    changed[900:] *= 1.5
    other = model.path(replace(given, high=changed), sigma, 2, FIRST)
    np.testing.assert_array_equal(other.trees[:900], whole.trees[:900])
    assert not np.array_equal(other.trees[900:], whole.trees[900:])


def test_the_spline_finds_the_reflection_principle(known: tuple[Panel, np.ndarray]) -> None:
    """A driftless path watched all the time: P = 2 (1 - Phi(z)), which nothing can better."""
    given, sigma = known
    happened = reached(given, 1, 0.01)
    path = TouchOdds(rounds=30).path(given, sigma, 1, FIRST)
    use = np.isfinite(happened) & np.isfinite(path.spline)
    truth = np.column_stack([exceedance_odds(sigma[:, i], 0.01) for i in range(3)])
    assert np.abs(path.spline - truth)[use].mean() < 0.03
    best = log_loss(truth[use], happened[use])
    assert log_loss(path.spline[use], happened[use]) < best + 0.01
    assert log_loss(path.average[use], happened[use]) < best + 0.02
    rate = np.nanmean(happened[:FIRST])
    assert log_loss(path.average[use], happened[use]) < 0.97 * log_loss(np.full(use.sum(), rate), happened[use])
    assert auc(path.spline[use], happened[use]) == pytest.approx(auc(truth[use], happened[use]), abs=0.02)


def test_the_scale_of_sigma_does_not_matter_and_its_shape_does(known: tuple[Panel, np.ndarray]) -> None:
    given, sigma = known
    model = TouchOdds(rounds=1)
    np.testing.assert_allclose(
        model.path(given, sigma, 1, FIRST).spline[FIRST:], model.path(given, 3.0 * sigma, 1, FIRST).spline[FIRST:], atol=1e-6
    )
    happened = reached(given, 1, 0.01)
    use = np.isfinite(happened)
    use[:FIRST] = False
    mixed = np.random.default_rng(1).permutation(sigma)
    shaped, shuffled = (log_loss(model.path(given, s, 1, FIRST).spline[use], happened[use]) for s in (sigma, mixed))
    assert shaped < shuffled - 0.01


def test_the_average_is_of_log_odds(known: tuple[Panel, np.ndarray]) -> None:
    given, sigma = known
    path = TouchOdds(rounds=5).path(given, sigma, 1, FIRST)
    logs = [np.log(p / (1 - p)) for p in (path.spline, path.trees)]
    np.testing.assert_allclose(path.average, 1 / (1 + np.exp(-0.5 * (logs[0] + logs[1]))), rtol=1e-9)


def test_what_has_no_odds_is_refused(known: tuple[Panel, np.ndarray]) -> None:
    given, sigma = known
    with pytest.raises(InvalidInput, match="above 0"):
        reached(given, 1, 0.0)
    with pytest.raises(InvalidInput, match="at least 1"):
        reached(given, 0, 0.01)
    with pytest.raises(InvalidInput, match="positive sigmas"):
        TouchOdds().path(given, -sigma, 1, FIRST)
    with pytest.raises(InvalidInput, match="first fit inside"):
        TouchOdds().path(given, sigma, 1, 5000)
