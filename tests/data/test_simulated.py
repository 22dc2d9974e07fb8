"""The simulated market: the truth it claims is the truth of its bars, and its label never comes off."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from fieldcast.data import MemoryStore, SimulatedMarket, bayes_auc, gap_report, quality, simulate
from fieldcast.data._content import content_sha256
from fieldcast.ground import InvalidInput
from fieldcast.market import DECISION_DELAY, has_reason

SEEDS = range(20)


@pytest.fixture(scope="module")
def planted():
    return [simulate(SimulatedMarket(seed=seed)) for seed in SEEDS]


@pytest.fixture(scope="module")
def martingales():
    return [simulate(SimulatedMarket(seed=seed, kind="martingale")) for seed in SEEDS]


def test_there_is_a_sound_bar_for_every_session(planted, martingales):
    for simulated in (planted[0], martingales[0]):
        bars = simulated.bars
        assert (bars.height, bars["ts"].dt.date()[0], bars["ts"].dt.date()[-1]) == (
            5031,
            date(1999, 1, 4),
            date(2018, 12, 31),
        )
        assert gap_report(bars, simulated.instrument).completeness == 100.0
        report = quality(bars, simulated.instrument, bars["ts"][-1] + DECISION_DELAY, window=None)
        assert report.score > 0.99
        prices = bars.select("open", "high", "low", "close").to_numpy()
        assert np.array_equal(prices, np.round(prices, 2))
        assert bars.select((pl.col("high") >= pl.max_horizontal("open", "close")).all()).item()
        assert bars.select((pl.col("low") <= pl.min_horizontal("open", "close")).all()).item()
        assert simulated.p_up.shape == simulated.sigma.shape == (5031,)


def test_the_label_is_on_every_row_the_instrument_and_the_lineage(planted, martingales):
    for simulated in (planted[0], martingales[0]):
        assert simulated.bars.select(has_reason("simulated").all()).item()
        assert simulated.instrument.simulated
        assert simulated.instrument.id == f"SIM:{simulated.market.kind.upper()}"
        assert simulated.lineage.simulated
        assert simulated.lineage.reasons == ("simulated",)
        store = MemoryStore()
        store.append(simulated.bars, simulated.lineage)
        assert store.datasets()["simulated"].to_list() == [True]


def test_planted_odds_follow_the_published_five_session_return(planted):
    for simulated in planted[:3]:
        close = simulated.bars["close"].to_numpy()
        r5 = close[5:] / close[:-5] - 1
        assert np.array_equal(simulated.p_up[5:][r5 > 0], np.full((r5 > 0).sum(), 0.6))
        assert np.array_equal(simulated.p_up[5:][r5 < 0], np.full((r5 < 0).sum(), 0.4))
        undirected = np.concatenate([np.ones(5, dtype=bool), r5 == 0])
        assert (np.abs(simulated.p_up[undirected] - 0.5) < 0.02).all()


def test_a_rise_comes_as_often_as_the_true_odds_say_whatever_the_volatility(planted):
    """Realised share of rises against p_up, in three classes of volatility: within 4 standard errors."""
    up = np.concatenate([np.diff(item.bars["close"].to_numpy()) > 0 for item in planted])
    p_up = np.concatenate([item.p_up[:-1] for item in planted])
    sigma = np.concatenate([item.sigma[:-1] for item in planted])
    terciles = np.digitize(sigma, np.quantile(sigma, [1 / 3, 2 / 3]))
    for tercile in range(3):
        for odds in (0.4, 0.6):
            here = (terciles == tercile) & (p_up == odds)
            assert here.sum() > 5000
            assert abs(up[here].mean() - odds) < 4 * np.sqrt(0.24 / here.sum())


def test_bayes_auc_of_the_planted_edge_is_point_sixty_on_average(planted):
    values = np.array([item.bayes_auc for item in planted])
    assert abs(values.mean() - 0.60) < 4 * values.std(ddof=1) / np.sqrt(values.size)
    assert values.std(ddof=1) < 0.015
    first = planted[0]
    change = np.diff(first.bars["close"].to_numpy())
    moved = change != 0
    oracle = roc_auc_score(change[moved] > 0, first.p_up[:-1][moved])
    assert first.bayes_auc == pytest.approx(oracle, abs=1e-12)


def test_the_martingale_has_no_drift_no_edge_and_no_leverage(martingales):
    growth, leverage, autocorrelation = [], [], []
    for item in martingales:
        close = item.bars["close"].to_numpy()
        simple = close[1:] / close[:-1] - 1
        growth.append(np.mean(simple / item.sigma[:-1]))
        leverage.append(np.corrcoef(simple[:-1], np.abs(simple[1:]))[0, 1])
        autocorrelation.append(np.corrcoef(simple[:-1], simple[1:])[0, 1])
    for figure in (growth, leverage, autocorrelation):
        assert abs(np.mean(figure)) < 4 * np.std(figure, ddof=1) / np.sqrt(len(figure))
    assert abs(np.mean([item.bayes_auc for item in martingales]) - 0.5) < 0.01


def test_martingale_odds_are_those_of_a_zero_mean_price(martingales):
    item = martingales[0]
    close = item.bars["close"].to_numpy()
    expected = norm.cdf((-(item.sigma**2) / 2 - np.log1p(0.005 / close)) / item.sigma)
    np.testing.assert_allclose(item.p_up, expected, rtol=1e-9)


def test_volatility_is_realistic(martingales):
    returns = [np.diff(np.log(item.bars["close"].to_numpy())) for item in martingales]
    annual = np.sqrt(np.mean([r.var() * 252 for r in returns]))
    assert annual == pytest.approx(0.18, rel=0.05)
    kurtosis = np.mean([((r - r.mean()) ** 4).mean() / r.var() ** 2 for r in returns])
    assert 4 < kurtosis < 10
    clustering = np.mean([np.corrcoef(np.abs(r[:-1]), np.abs(r[1:]))[0, 1] for r in returns])
    assert clustering > 0.1
    overnight, volume = [], []
    for item, r in zip(martingales, returns, strict=True):
        bars = item.bars
        night = np.log(bars["open"].to_numpy()[1:] / bars["close"].to_numpy()[:-1])
        overnight.append(night.var() / r.var())
        volume.append(np.corrcoef(np.log(bars["volume"].to_numpy()[1:]), np.abs(r))[0, 1])
    assert 0.20 < np.mean(overnight) < 0.25
    assert np.mean(volume) > 0.3


def test_the_same_seed_gives_the_same_bars_in_every_process():
    market = SimulatedMarket(seed=11)
    here = content_sha256(simulate(market).bars)
    code = (
        "from fieldcast.data import SimulatedMarket, simulate; from fieldcast.data._content import content_sha256; "
        "print(content_sha256(simulate(SimulatedMarket(seed=11)).bars))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there
    assert content_sha256(simulate(replace(market, seed=12)).bars) != here
    assert content_sha256(simulate(replace(market, kind="martingale", id="SIM:PLANTED")).bars) != here


def test_lineage_names_the_parameters_and_is_the_same_every_time():
    market = SimulatedMarket(seed=3, n_sessions=50)
    assert simulate(market).lineage == simulate(market).lineage
    assert simulate(market).lineage.source != simulate(replace(market, p_up=0.7)).lineage.source


def test_a_shorter_history_ends_on_the_same_session():
    bars = simulate(SimulatedMarket(seed=1, n_sessions=400)).bars
    assert (bars.height, bars["ts"].dt.date()[-1]) == (400, date(2018, 12, 31))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "lucky"},
        {"persistence": 1.0},
        {"p_up": 0.4},
        {"annual_volatility": 0.0},
        {"n_sessions": 0},
        {"seed": -1},
    ],
)
def test_impossible_parameters_are_refused(change):
    with pytest.raises(InvalidInput):
        SimulatedMarket(**({"seed": 0} | change))


def test_a_span_without_sessions_is_refused():
    with pytest.raises(InvalidInput, match="two sessions"):
        simulate(SimulatedMarket(seed=0, first=date(2018, 12, 29), last=date(2018, 12, 30)))


@given(data=st.lists(st.tuples(st.sampled_from([0.4, 0.45, 0.5, 0.6]), st.sampled_from([-1.0, 0.0, 1.0])), min_size=2))
@settings(max_examples=50)
def test_bayes_auc_equals_the_count_of_pairs(data):
    p_up, change = (np.array(column) for column in zip(*data, strict=True))
    rises, falls = p_up[change > 0], p_up[change < 0]
    if not (rises.size and falls.size):
        with pytest.raises(InvalidInput):
            bayes_auc(p_up, change)
        return
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in rises for b in falls]
    assert bayes_auc(p_up, change) == pytest.approx(np.mean(pairs), abs=1e-12)
