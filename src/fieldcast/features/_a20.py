"""Tier a20: twenty technical indicators of daily bars, every price as a ratio.

The raw values are those of `fieldcast.indicators`, equal to TA-Lib's. What grows with the price or with the length of
history enters divided by the price or by volume: close against its averages as a log ratio, OBV as its change over 20
rows divided by the volume of those rows, oscillators on [0, 1].

The weekly oscillators see a fixed window of the last 250 rows as 50 blocks of five, the newest ending at the row
itself. So they need no calendar week, look ahead nowhere, move every day and forget everything older than 250 rows.

Source: the a20 tier of the ts-scaling study, with ratios for its levels.
"""

from __future__ import annotations

import numpy as np

from fieldcast.features._inputs import Array, Inputs
from fieldcast.features._registry import Column, recursive_warmup

DEMA_PERIODS = (9, 10, 20, 25, 90)
SMA_PERIODS = (12, 50, 100, 200)
BLOCK = "a20"
BLOCK_ROWS, WEEKLY_ROWS = 5, 250
WILDER = 14
LEAST_MOVE = 1e-8  # of the price: with less mean movement than this the RSI is not defined
LEAST_RANGE = 1e-6  # of the RSI's scale: in a narrower range its place is not defined

_TALIB = "TA-Lib 0.6"
_KEEP = (WILDER - 1) / WILDER
_HLC = ("high", "low", "close")
# A Wilder average may be seeded in weather ten times as rough as today's; StochRSI divides by a range of RSI that may
# be 0.001.
_WILDER_WARMUP = recursive_warmup(WILDER, _KEEP, seed_error=10.0)
_STOCHRSI_WARMUP = recursive_warmup(WILDER + 4, _KEEP, seed_error=1e4)
_ADX_WARMUP = recursive_warmup(WILDER, _KEEP, stages=2, seed_error=10.0)


def _column(
    name: str, inputs: tuple[str, ...], warmup: int, unit: str, formula: str, low: float | None, high: float | None
) -> Column:
    return Column(name, BLOCK, inputs, warmup, unit, formula, _TALIB, low, high)


COLUMNS: tuple[Column, ...] = (
    *(
        _column(
            f"close_to_dema_{period}",
            ("close",),
            recursive_warmup(period - 1, (period - 1) / (period + 1), stages=2),
            "log ratio",
            f"log(close / DEMA {period}); null where the DEMA is not positive",
            None,
            None,
        )
        for period in DEMA_PERIODS
    ),
    *(
        _column(
            f"close_to_sma_{period}",
            ("close",),
            period - 1,
            "log ratio",
            f"log(close / SMA {period})",
            None,
            np.log(period),
        )
        for period in SMA_PERIODS
    ),
    _column("rsi_14", ("close",), _WILDER_WARMUP, "fraction", "RSI 14 / 100; null where the close hardly moved", 0.0, 1.0),
    _column("rsi_weekly", ("close",), WEEKLY_ROWS - 1, "fraction", "RSI 14 / 100 of 50 five-row blocks", 0.0, 1.0),
    _column(
        "stochrsi_14",
        ("close",),
        _STOCHRSI_WARMUP,
        "fraction",
        "fast %K over 5 rows of RSI 14; null in no range",
        0.0,
        1.0,
    ),
    _column("stochrsi_weekly", ("close",), WEEKLY_ROWS - 1, "fraction", "fast %K over 5 values of the weekly RSI", 0.0, 1.0),
    _column(
        "macd_to_close",
        ("close",),
        recursive_warmup(33, 25 / 27),
        "fraction of price",
        "MACD line (12, 26) / close",
        None,
        None,
    ),
    _column("obv_20", ("close", "volume"), 20, "fraction", "20-row change of OBV / volume of those rows", -1.0, 1.0),
    _column(
        "adosc_to_volume",
        (*_HLC, "volume"),
        recursive_warmup(19, 9 / 11, seed_error=100.0),
        "rows of mean volume",
        "Chaikin oscillator (3, 10) / mean volume of 20 rows",
        None,
        None,
    ),
    _column("atr_to_close", _HLC, _WILDER_WARMUP, "fraction of price", "ATR 14 / close", 0.0, None),
    _column("adx_14", _HLC, _ADX_WARMUP, "fraction", "ADX 14 / 100", 0.0, 1.0),
    _column("percent_b_20", ("close",), 19, "fraction of band width", "Bollinger %B (20, 2)", None, None),
    _column("close_to_vwap_20", ("close", "volume"), 19, "log ratio", "log(close / VWAP 20)", None, None),
)


def values(inputs: Inputs) -> dict[str, Array]:
    """Every column of the tier, each (n,); NaN where not defined."""
    from fieldcast import indicators

    close, volume = inputs.close, inputs.volume
    out: dict[str, Array] = {}
    for period, line in zip(DEMA_PERIODS, indicators.dema_lines(close, DEMA_PERIODS), strict=True):
        out[f"close_to_dema_{period}"] = log_ratio(close, line)
    for period in SMA_PERIODS:
        out[f"close_to_sma_{period}"] = log_ratio(close, indicators.sma(close, period))

    wilder = indicators.wilder(inputs.high, inputs.low, close, WILDER)
    strength = np.where(wilder.move > LEAST_MOVE * close, wilder.rsi / 100.0, np.nan)
    out["rsi_14"] = strength
    out["rsi_weekly"], out["stochrsi_weekly"] = weekly_strength(close)
    out["stochrsi_14"] = np.full(close.size, np.nan)
    if close.size >= 5:
        out["stochrsi_14"][4:] = indicators.position_in_range(strength, 5, LEAST_RANGE, otherwise=np.nan)
    out["macd_to_close"] = indicators.macd(close).line / close

    flow = indicators.flow(inputs.high, inputs.low, close, volume)
    traded = 20.0 * indicators.sma(volume, 20)
    out["obv_20"], out["adosc_to_volume"] = np.full(close.size, np.nan), np.full(close.size, np.nan)
    np.divide(flow.obv[20:] - flow.obv[:-20], traded[20:], out=out["obv_20"][20:], where=traded[20:] > 0)
    np.clip(out["obv_20"], -1.0, 1.0, out=out["obv_20"])  # rounding of the cumulative sum
    np.divide(20.0 * flow.adosc, traded, out=out["adosc_to_volume"], where=traded > 0)

    out["atr_to_close"] = wilder.atr / close
    out["adx_14"] = wilder.adx / 100.0
    out["percent_b_20"] = indicators.bollinger_percent_b(close, 20, 2.0)
    out["close_to_vwap_20"] = log_ratio(close, indicators.vwap(close, volume, 20))
    return out


def log_ratio(close: Array, other: Array) -> Array:
    """log(close / other), NaN where `other` is not positive or not known."""
    ratio = np.full(close.size, np.nan)
    np.divide(close, other, out=ratio, where=other > 0)
    np.log(ratio, out=ratio)
    return ratio


def weekly_strength(close: Array) -> tuple[Array, Array]:
    """RSI 14 of the last 250 rows' 50 block closes, and the fast %K over its last five values; each (n,) in [0, 1]."""
    from fieldcast.indicators import block_strength

    return block_strength(close, WILDER, BLOCK_ROWS, WEEKLY_ROWS // BLOCK_ROWS, 5, LEAST_MOVE, LEAST_RANGE)
