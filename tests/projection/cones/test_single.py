"""Cones of one instrument: causal, capped, ordered, honest, and in the composer's place."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.projection import BANDS, AdaptiveConformal, ConePath
from fieldcast.projection.cones import AdaptiveScores, DtAci, ExpertCones, cone_forecaster

KINDS = ("adaptive", "experts")


def market(rows: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns whose volatility moves, and a forecast of it that is half right."""
    rng = np.random.default_rng(seed)
    level = np.zeros(rows)
    for t in range(1, rows):
        level[t] = 0.97 * level[t - 1] + 0.2 * rng.normal()
    sigma = 0.01 * np.exp(0.5 * level)
    ret = sigma * rng.standard_t(5, rows) / np.sqrt(5 / 3)
    guess = 0.01 * np.exp(0.25 * level)
    guess[:30] = np.nan
    return ret, guess


def over(ret: np.ndarray, horizon: int) -> np.ndarray:
    out = np.full(len(ret), np.nan)
    out[:-horizon] = np.lib.stride_tricks.sliding_window_view(ret[1:], horizon).sum(axis=1)
    return out


@pytest.fixture(scope="module")
def paths() -> dict[tuple[str, int], ConePath]:
    ret, sigma = market()
    return {(kind, h): cone_forecaster(kind).run(over(ret, h), sigma * np.sqrt(h), horizon=h) for kind in KINDS for h in (1, 5)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("horizon", [1, 5])
def test_cones_are_finite_ascending_and_cover(paths: dict[tuple[str, int], ConePath], kind: str, horizon: int) -> None:
    path, outcome = paths[kind, horizon], 1e4 * over(market()[0], horizon)
    known = np.isfinite(path.quantiles_bps).all(axis=1)
    assert known.sum() > 1300
    assert np.isnan(path.quantiles_bps[~known]).all()
    assert (np.diff(path.quantiles_bps[known], axis=1) > 0.0).all()
    assert path.saturated.dtype == np.bool_
    assert (path.scores[known] >= 100).all()
    use = known & np.isfinite(outcome)
    for share in BANDS:
        low, high = path.band(share)
        assert ((outcome[use] >= low[use]) & (outcome[use] <= high[use])).mean() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("horizon", [1, 5])
def test_a_cut_changes_no_cone_before_it(paths: dict[tuple[str, int], ConePath], kind: str, horizon: int) -> None:
    ret, sigma = market()
    cut = 700
    part = cone_forecaster(kind).run(over(ret[:cut], horizon), sigma[:cut] * np.sqrt(horizon), horizon=horizon)
    if kind == "adaptive":
        np.testing.assert_array_equal(part.quantiles_bps, paths[kind, horizon].quantiles_bps[:cut])
    else:
        np.testing.assert_allclose(part.quantiles_bps, paths[kind, horizon].quantiles_bps[:cut], rtol=1e-12)
    np.testing.assert_array_equal(part.saturated, paths[kind, horizon].saturated[:cut])


def test_experts_beat_the_plain_cone_where_sigma_says_nothing() -> None:
    """Their own weighted sigma and the short windows take over: the aggregation finds that out by itself."""
    ret, flat = market()[0], np.full(1500, 0.01)
    outcome, plain = over(ret, 1), AdaptiveConformal().run(over(ret, 1), flat, horizon=1)
    ours = cone_forecaster("experts").run(outcome, flat, horizon=1)
    use = np.isfinite(ours.quantiles_bps[:, 0]) & np.isfinite(plain.quantiles_bps[:, 0]) & np.isfinite(outcome)

    def score(path: ConePath) -> float:
        low, high = path.band(0.9)
        x = 1e4 * outcome
        miss = np.maximum(low - x, 0) + np.maximum(x - high, 0)
        return float((high - low + 20 * miss)[use].mean())

    assert score(ours) < 0.98 * score(plain)


def test_first_rows_get_no_cone_and_names_make_their_forecasters() -> None:
    ret, sigma = market(400)
    for kind in KINDS:
        path = cone_forecaster(kind).run(over(ret, 1), sigma, horizon=1, first=300)
        assert np.isnan(path.quantiles_bps[:300]).all()
        assert np.isfinite(path.quantiles_bps[300:]).all()
    assert isinstance(cone_forecaster("conformal"), AdaptiveConformal)
    assert isinstance(cone_forecaster("adaptive"), AdaptiveScores)
    with pytest.raises(InvalidInput, match="equal vectors"):
        AdaptiveScores(DtAci()).run(ret, sigma[:-1], horizon=1)
    with pytest.raises(InvalidInput, match="20 or more"):
        ExpertCones(10)
