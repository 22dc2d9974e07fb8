"""The words of the formulas against TA-Lib's C library, pandas and scipy: kernels and definitions alike."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import talib

from fieldcast.features import tiers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "features"))
from tier_bars import tier_bars

BARS = tier_bars(450)
O, H, L, C, V = (BARS[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))  # noqa: E741
LEAVES = {"O": O, "H": H, "L": L, "C": C, "V": V}
R = np.concatenate([[np.nan], np.diff(np.log(C))])
TP = (H + L + C) / 3
PRICE, RETURN = pd.Series(C), pd.Series(R)

TALIB: dict[str, Callable[[], np.ndarray]] = {
    "mean(C, 50)": lambda: talib.SMA(C, 50),
    "ema(C, 26)": lambda: talib.EMA(C, 26),
    "dema(C, 20)": lambda: talib.DEMA(C, 20),
    "tema(C, 20)": lambda: talib.TEMA(C, 20),
    "wma(C, 50)": lambda: talib.WMA(C, 50),
    "std(C, 20)": lambda: talib.STDDEV(C, 20),
    "max(H, 20)": lambda: talib.MAX(H, 20),
    "min(L, 20)": lambda: talib.MIN(L, 20),
    "sum(V, 20)": lambda: talib.SUM(V, 20),
    "corr(H, L, 20)": lambda: talib.CORREL(H, L, 20),
    "slope(C, 20)": lambda: talib.LINEARREG_SLOPE(C, 20),
    "C - off_line(C, 20)": lambda: talib.LINEARREG(C, 20),
    "rsi(C, 14)": lambda: talib.RSI(C, 14) / 100,
    "atr(14)": lambda: talib.ATR(H, L, C, 14),
    "adx(14)": lambda: talib.ADX(H, L, C, 14) / 100,
    "plus_di(14)": lambda: talib.PLUS_DI(H, L, C, 14) / 100,
    "minus_di(14)": lambda: talib.MINUS_DI(H, L, C, 14) / 100,
    "lag(C, 7)": lambda: C - talib.MOM(C, 7),
    "mean_distance(C, 14)": lambda: np.array([np.nan] * 13 + [np.abs(w - w.mean()).mean()
                                                              for w in np.lib.stride_tricks.sliding_window_view(C, 14)]),
    "(TP - mean(TP, 14)) / (0.015 * mean_distance(TP, 14))": lambda: talib.CCI(H, L, C, 14),
    "within(C, min(L, 14), max(H, 14)) - 1": lambda: talib.WILLR(H, L, C, 14) / 100,
    "(age_of_min(L, 26) - age_of_max(H, 26)) / 25": lambda: talib.AROONOSC(H, L, 25) / 100,
    "mean(within(C, min(L, 14), max(H, 14)), 3)": lambda: talib.STOCH(H, L, C, 14, 3, 0, 3, 0)[0] / 100,
    "sum(AD, 20)": lambda: talib.AD(H, L, C, V) - np.concatenate([np.full(20, np.nan), talib.AD(H, L, C, V)[:-20]]),
    "TR": lambda: talib.TRANGE(H, L, C),
}  # fmt: skip

PANDAS: dict[str, Callable[[], np.ndarray]] = {
    "skew(R, 60)": lambda: RETURN.rolling(60).apply(lambda w: scipy.stats.skew(w), raw=True).to_numpy(),
    "kurtosis(R, 60)": lambda: RETURN.rolling(60).apply(lambda w: scipy.stats.kurtosis(w), raw=True).to_numpy(),
    "quantile(R, 20, 0.05)": lambda: RETURN.rolling(20).quantile(0.05).to_numpy(),
    "quantile(R, 60, 0.5)": lambda: RETURN.rolling(60).median().to_numpy(),
    "rank(C, 60)": lambda: ((PRICE.rolling(60).rank() - 1) / 59).to_numpy(),
    "r_squared(C, 20)": lambda: PRICE.rolling(20).apply(
        lambda w: scipy.stats.linregress(np.arange(20), w).rvalue ** 2, raw=True).to_numpy(),
    "corr(R, lag(R, 1), 60)": lambda: RETURN.rolling(60).corr(RETURN.shift(1)).to_numpy(),
    "age_of_max(H, 20)": lambda: pd.Series(H).rolling(20).apply(lambda w: 19 - np.argmax(w), raw=True).to_numpy(),
    "xma(C, 50, 120)": lambda: PRICE.rolling(120).apply(
        lambda w: pd.Series(w).ewm(span=50, adjust=True).mean().iloc[-1], raw=True).to_numpy(),
    "mean_apart(C, 4, 5)": lambda: sum(PRICE.shift(5 * k) for k in range(4)).to_numpy() / 4,
    "tail(R, 20, 0.1)": lambda: RETURN.rolling(20).apply(lambda w: np.sort(w)[:2].mean(), raw=True).to_numpy(),
}  # fmt: skip


@pytest.mark.parametrize("formula", [*TALIB, *PANDAS])
def test_a_word_equals_talib_pandas_or_scipy_in_both_of_its_forms(formula: str) -> None:
    expected = {**TALIB, **PANDAS}[formula]()
    start = max(np.flatnonzero(~np.isnan(expected))[0], 300 if "ema" in formula else 0)
    tolerance = {"rtol": 1e-7, "atol": 1e-9 * float(np.nanmax(np.abs(expected)))}
    for found in (tiers.run({"x": formula}, LEAVES)["x"], tiers.rederive(formula, LEAVES)):
        np.testing.assert_allclose(found[start:], expected[start:], **tolerance)


def test_kaufmans_average_over_a_window_is_talibs_on_that_window_alone() -> None:
    found = tiers.run({"x": "kama(C, 10, 100)"}, LEAVES)["x"]
    for row in (109, 300, 449):
        part = np.ascontiguousarray(C[row - 109 : row + 1])
        assert found[row] == pytest.approx(talib.KAMA(part, 10)[-1], rel=1e-9)


def test_the_supertrend_lies_below_the_close_in_an_up_trend_and_turns_when_it_is_crossed() -> None:
    line = tiers.run({"x": "supertrend(10, 3, 60)"}, LEAVES)["x"]
    side = np.sign(C - line)
    known = ~np.isnan(line)
    assert {-1.0, 1.0} == set(side[known])
    turns = np.flatnonzero(known[1:] & known[:-1] & (side[1:] != side[:-1])) + 1
    assert 3 < turns.size < known.sum() / 10


def test_entropies_and_exponents_tell_order_from_noise() -> None:
    n, random = 4000, np.random.default_rng(7)
    noise = 100 * np.exp(np.cumsum(random.normal(0, 0.01, n)))
    wave = 100 * np.exp(0.1 * np.sin(np.arange(n) / 5.0))
    trend = 100 * np.exp(np.arange(n) * 0.001 + 0.00001 * random.standard_normal(n))

    def mean(formula: str, close: np.ndarray) -> float:
        return float(np.nanmean(tiers.run({"x": formula}, {"C": close})["x"]))

    for entropy in ("permutation_entropy(R, 60, 3)", "spectral_entropy(R, 32)", "sample_entropy(R, 30)"):
        assert mean(entropy, wave) < 0.7 * mean(entropy, noise), entropy
    assert mean("permutation_entropy(R, 60, 3)", noise) > 0.95
    assert mean("katz(C, 60)", trend) == pytest.approx(1.0, abs=0.01)
    assert mean("katz(C, 60)", noise) > 1.3
    assert mean("fluctuation(R, 64, 2)", noise) == pytest.approx(0.5, abs=0.12)
    persistent = 100 * np.exp(np.cumsum(np.convolve(random.normal(0, 0.01, n + 40), np.ones(40) / 40, "valid")[:n]))
    assert mean("fluctuation(R, 64, 2)", persistent) > 0.9
    shares = [mean(f"octave_share(R, 32, {k})", noise) for k in range(5)]
    assert sum(shares) == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(shares, [16 / 31, 8 / 31, 4 / 31, 2 / 31, 1 / 31], atol=0.02)


def test_counters_know_when_they_do_not_know() -> None:
    flags = np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0, np.nan, 1.0, 0.0, 1.0])
    leaves = {"weekday": flags}
    run = tiers.run({"x": "run(weekday > 0.5, 2)"}, leaves)["x"]
    since = tiers.run({"x": "since(weekday > 0.5, 3)"}, leaves)["x"]
    np.testing.assert_array_equal(run, [np.nan, 2, 0, 1, 2, 2, np.nan, np.nan, 0, 1])
    np.testing.assert_array_equal(since, [0, 0, 1, 0, 0, 0, np.nan, 0, 1, 0])
