"""Every indicator equals TA-Lib on whole series, leading NaN included (oracle: the `ta-lib` wheel, C library 0.6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import talib

from fieldcast import indicators
from fieldcast.data import read_bundled
from fieldcast.ground import InvalidInput

Series = dict[str, np.ndarray]


def random_series(seed: int, n: int, *, volatility: float = 0.012, price: float = 100.0) -> Series:
    """A geometric random walk with clustered volatility, gaps and unchanged closes."""
    random = np.random.default_rng(seed)
    sigma = volatility * np.exp(0.5 * np.sin(np.arange(n) / 40.0))
    step = sigma * random.standard_normal(n)
    step[random.random(n) < 0.02] = 0.0
    close = price * np.exp(np.cumsum(step))
    opened = close * np.exp(-0.6 * step)
    high = np.maximum(opened, close) * np.exp(sigma * random.random(n))
    low = np.minimum(opened, close) * np.exp(-sigma * random.random(n))
    return {"high": high, "low": low, "close": close, "volume": 1e6 * np.exp(random.standard_normal(n))}


def bundled() -> Series:
    bars = read_bundled("nasdaq")[1]
    return {name: bars[name].to_numpy() for name in ("high", "low", "close", "volume")}


def percent_b(close: np.ndarray) -> np.ndarray:
    upper, _, lower = talib.BBANDS(close, 20, 2, 2)
    return (close - lower) / (upper - lower)


PAIRS: dict[str, tuple[Callable[[Series], np.ndarray], Callable[[Series], np.ndarray]]] = {
    **{
        f"dema_{p}": (lambda s, p=p: indicators.dema(s["close"], p), lambda s, p=p: talib.DEMA(s["close"], p))
        for p in (9, 10, 20, 25, 90)
    },
    **{
        f"sma_{p}": (lambda s, p=p: indicators.sma(s["close"], p), lambda s, p=p: talib.SMA(s["close"], p))
        for p in (12, 50, 100, 200)
    },
    "ema_20": (lambda s: indicators.ema(s["close"], 20), lambda s: talib.EMA(s["close"], 20)),
    "rsi_14": (lambda s: indicators.rsi(s["close"]), lambda s: talib.RSI(s["close"], 14)),
    "stochrsi": (lambda s: indicators.stochrsi(s["close"]), lambda s: talib.STOCHRSI(s["close"], 14, 5, 3, 0)[0]),
    "macd_line": (lambda s: indicators.macd(s["close"]).line, lambda s: talib.MACD(s["close"], 12, 26, 9)[0]),
    "macd_signal": (lambda s: indicators.macd(s["close"]).signal, lambda s: talib.MACD(s["close"], 12, 26, 9)[1]),
    "macd_histogram": (lambda s: indicators.macd(s["close"]).histogram, lambda s: talib.MACD(s["close"], 12, 26, 9)[2]),
    "obv": (lambda s: indicators.obv(s["close"], s["volume"]), lambda s: talib.OBV(s["close"], s["volume"])),
    "adosc": (
        lambda s: indicators.adosc(s["high"], s["low"], s["close"], s["volume"]),
        lambda s: talib.ADOSC(s["high"], s["low"], s["close"], s["volume"], 3, 10),
    ),
    "atr_14": (
        lambda s: indicators.atr(s["high"], s["low"], s["close"]),
        lambda s: talib.ATR(s["high"], s["low"], s["close"], 14),
    ),
    "adx_14": (
        lambda s: indicators.adx(s["high"], s["low"], s["close"]),
        lambda s: talib.ADX(s["high"], s["low"], s["close"], 14),
    ),
    "true_range": (
        lambda s: indicators.true_range(s["high"], s["low"], s["close"]),
        lambda s: talib.TRANGE(s["high"], s["low"], s["close"]),
    ),
    "percent_b": (lambda s: indicators.bollinger_percent_b(s["close"]), lambda s: percent_b(s["close"])),
}


@pytest.mark.parametrize("name", PAIRS)
def test_every_indicator_equals_talib_to_1e_6_on_random_series(name: str) -> None:
    ours, oracle = PAIRS[name]
    for seed, n, price in ((1, 3000, 100.0), (2, 700, 0.004), (3, 700, 5e6)):
        series = random_series(seed, n, price=price)
        # the absolute term: a value that is zero but for rounding, beside the series' own size
        expected = oracle(series)
        scale = np.nanmax(np.abs(expected))
        np.testing.assert_allclose(ours(series), expected, rtol=1e-6, atol=1e-9 * scale, equal_nan=True)


def test_every_indicator_equals_talib_to_1e_6_on_twenty_years_of_nasdaq() -> None:
    series = bundled()
    for name, (ours, oracle) in PAIRS.items():
        expected = oracle(series)
        scale = np.nanmax(np.abs(expected))
        np.testing.assert_allclose(ours(series), expected, rtol=1e-6, atol=1e-9 * scale, equal_nan=True, err_msg=name)


@pytest.mark.parametrize("name", PAIRS)
def test_a_series_shorter_than_the_lead_in_is_all_nan(name: str) -> None:
    ours, oracle = PAIRS[name]
    for n in (1, 2, 8, 15, 34):
        series = random_series(4, n)
        expected = np.isnan(oracle(series)) if n > 1 else np.array([name != "obv"])
        assert (np.isnan(ours(series)) == expected).all()


def test_rsi_equals_wilders_definition_worked_by_hand() -> None:
    # period 2, closes 10, 11, 10, 12: gains 1, 0, 2, losses 0, 1, 0; averages .5 and .5, then (.5 + 2) / 2 and .5 / 2
    np.testing.assert_allclose(indicators.rsi([10, 11, 10, 12], 2), [np.nan, np.nan, 50.0, 100 * 1.25 / 1.5])


def test_vwap_is_money_over_volume_of_its_window() -> None:
    series = random_series(5, 60)
    ours = indicators.vwap(series["close"], series["volume"], 20)
    for row in (19, 30, 59):
        window = slice(row - 19, row + 1)
        expected = np.average(series["close"][window], weights=series["volume"][window])
        assert ours[row] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(ours[:19]).all()
    assert np.isnan(indicators.vwap([1.0, 2.0], [0.0, 0.0], 2)).all()


def test_a_flat_market_has_no_place_in_its_bands_and_no_strength() -> None:
    flat = np.full(60, 7.0)
    assert np.isnan(indicators.bollinger_percent_b(flat)).all()
    np.testing.assert_array_equal(indicators.rsi(flat)[14:], talib.RSI(flat, 14)[14:])
    np.testing.assert_array_equal(indicators.stochrsi(flat)[20:], talib.STOCHRSI(flat, 14, 5, 3, 0)[0][20:])


@pytest.mark.parametrize(
    "call",
    [
        lambda: indicators.sma([1.0, np.nan], 2),
        lambda: indicators.sma([1.0, np.inf], 2),
        lambda: indicators.sma([[1.0, 2.0]], 2),
        lambda: indicators.sma([1.0, 2.0], 0),
        lambda: indicators.sma([1.0, 2.0], 2.5),  # type: ignore[arg-type]
        lambda: indicators.atr([1.0, 2.0], [1.0], [1.0, 2.0]),
        lambda: indicators.obv([1.0, 2.0], [1.0]),
        lambda: indicators.macd([1.0, 2.0], 26, 12),
        lambda: indicators.adosc([1.0], [1.0], [1.0], [1.0], 10, 3),
        lambda: indicators.bollinger_percent_b([1.0, 2.0], 2, 0.0),
    ],
)
def test_what_is_not_a_series_of_finite_numbers_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        call()
