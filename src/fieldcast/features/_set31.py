"""The set of 31: market hours, range, volume, trend, oscillators and the volatility regime of one timeframe.

The columns of the reference system in its groups (5, 4, 3, 8, 8, 3). Its prices and volumes stand here as ratios, because a
level moves with every split and never enters a model:

    range     H - L as log of itself over its mean of 50 rows, and over the close; ATR over the close; H - L over the ATR.
              ATR is the plain mean of 14 true ranges. This is the bar's range, not the spread between bid and ask
    volume    mean of 20 rows over that of 100, in logs; volume over its mean of 20; slope of a straight line through the
              last 20 volumes over their mean, a row
    trend     log C / SMA_w, and the SMA's own way log SMA_w(t) / SMA_w(t - w), w = 7, 14, 21, 50
    regime    the ATR against the 33rd and 67th percentile of its own last 20 values: low below the one, high from the other
              on, medium between; one of the three is 1

The hours are those of the bar's last moment in UTC: Tokyo 0-8, London 8-16, New York 16-24; Monday is 0. On daily bars they do
not vary; the set is made for bars within the day.

Source: crpbot reference system, its 31 inputs; TA-Lib 0.6 for RSI and MACD, with population deviations in the bands.
"""

from __future__ import annotations

import numpy as np

from fieldcast.features._a20 import LEAST_MOVE, WILDER, log_ratio
from fieldcast.features._inputs import Array, Inputs
from fieldcast.features._registry import Column, recursive_warmup

BLOCK = "set31"
SMA_PERIODS = (7, 14, 21, 50)
RANGE_ROWS, ATR_ROWS, REGIME_ROWS = 50, 14, 20
VOLUME_ROWS, VOLUME_LONG = 20, 100
BAND_ROWS, BAND_WIDTH = 20, 2.0
LOW_SHARE, HIGH_SHARE = 0.33, 0.67
DESK_HOURS = 8
_HOUR, _DAY = 3_600_000_000, 86_400_000_000  # microseconds
_THURSDAY = 3  # 1970-01-01
_ROUNDING = 1e-12  # a tie with a percentile stays one when prices are scaled
_HLC = ("high", "low", "close")
_SOURCE = "crpbot"
_KEEP = (WILDER - 1) / WILDER


def _column(
    name: str, inputs: tuple[str, ...], warmup: int, unit: str, formula: str, low: float | None = None, high: float | None = None
) -> Column:
    return Column(f"{BLOCK}.{name}", BLOCK, inputs, warmup, unit, formula, _SOURCE, low, high)


_MACD = recursive_warmup(33, 25 / 27)
_SIGNAL = recursive_warmup(33 + 8, 25 / 27, seed_error=3.0)

COLUMNS: tuple[Column, ...] = (
    _column("tokyo", ("ts",), 0, "flag", "the bar ends between 0 and 8 UTC", 0.0, 1.0),
    _column("london", ("ts",), 0, "flag", "the bar ends between 8 and 16 UTC", 0.0, 1.0),
    _column("new_york", ("ts",), 0, "flag", "the bar ends between 16 and 24 UTC", 0.0, 1.0),
    _column("day_of_week", ("ts",), 0, "day, Monday 0", "weekday of the bar's end, UTC", 0.0, 6.0),
    _column("weekend", ("ts",), 0, "flag", "Saturday or Sunday, UTC", 0.0, 1.0),
    _column("range_to_mean", ("high", "low"), RANGE_ROWS - 1, "log ratio", "log((H - L) / mean of 50)", None, float(np.log(50))),
    _column("range_to_close", _HLC, 0, "fraction of price", "(H - L) / C", 0.0),
    _column("atr_to_close", _HLC, ATR_ROWS, "fraction of price", "mean of 14 true ranges / C", 0.0),
    _column("range_to_atr", _HLC, ATR_ROWS, "ratio", "(H - L) / mean of 14 true ranges", 0.0, 14.0 + 1e-9),
    _column("volume_mean_20_100", ("volume",), VOLUME_LONG - 1, "log ratio", "log(mean of 20 / of 100)", None, float(np.log(5))),
    _column("volume_ratio", ("volume",), VOLUME_ROWS - 1, "ratio", "volume / mean of 20", 0.0, 20.0 + 1e-9),
    _column("volume_trend", ("volume",), VOLUME_ROWS - 1, "share of the mean a row", "slope of 20 rows / their mean", -0.5, 0.5),
    *(
        _column(f"close_to_sma_{w}", ("close",), w - 1, "log ratio", f"log(C / SMA {w})", None, float(np.log(w)))
        for w in SMA_PERIODS
    ),
    *(_column(f"sma_{w}_way", ("close",), 2 * w - 1, "log ratio", f"log(SMA {w} / itself {w} rows before)") for w in SMA_PERIODS),
    _column(
        "rsi_14", ("close",), recursive_warmup(WILDER, _KEEP, seed_error=10.0), "fraction",
        "RSI 14 / 100; null where the close hardly moved", 0.0, 1.0,
    ),
    _column("macd", ("close",), _MACD, "fraction of price", "MACD line (12, 26) / C"),
    _column("macd_signal", ("close",), _SIGNAL, "fraction of price", "its EMA 9 / C"),
    _column("macd_difference", ("close",), _SIGNAL, "fraction of price", "(line - signal) / C"),
    _column("band_high", ("close",), BAND_ROWS - 1, "fraction of price", "(upper band - C) / C"),
    _column("band_low", ("close",), BAND_ROWS - 1, "fraction of price", "(C - lower band) / C"),
    _column("band_width", ("close",), BAND_ROWS - 1, "fraction of the mean", "(upper - lower) / SMA 20", 0.0),
    _column("band_position", ("close",), BAND_ROWS - 1, "fraction of band width", "(C - lower) / (upper - lower)"),
    _column("volatility_low", _HLC, ATR_ROWS + REGIME_ROWS - 1, "flag", "ATR below the 33rd percentile", 0.0, 1.0),
    _column("volatility_medium", _HLC, ATR_ROWS + REGIME_ROWS - 1, "flag", "neither low nor high", 0.0, 1.0),
    _column("volatility_high", _HLC, ATR_ROWS + REGIME_ROWS - 1, "flag", "ATR from the 67th percentile on", 0.0, 1.0),
)  # fmt: skip


def values(inputs: Inputs) -> dict[str, Array]:
    """Every column of the set, each (n,); NaN where not defined."""
    found = _hours(inputs) | _ranges(inputs) | _volumes(inputs) | _trend(inputs.close) | _oscillators(inputs.close)
    return {f"{BLOCK}.{name}": line for name, line in found.items()}


def _hours(inputs: Inputs) -> dict[str, Array]:
    inside = inputs.ts - 1  # a bar that ends at 8:00 is Tokyo's
    desk, day = inside % _DAY // (DESK_HOURS * _HOUR), (inside // _DAY + _THURSDAY) % 7
    out = {name: (desk == place).astype(np.float64) for place, name in enumerate(("tokyo", "london", "new_york"))}
    return out | {"day_of_week": day.astype(np.float64), "weekend": (day >= 5).astype(np.float64)}


def _ranges(inputs: Inputs) -> dict[str, Array]:
    high, low, close = inputs.high, inputs.low, inputs.close
    span = high - low
    true = np.full(close.size, np.nan)
    true[1:] = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    atr = _mean(true, ATR_ROWS)
    moved = _divided(span, atr)
    logged = np.full(close.size, np.nan)
    relative = _divided(span, _mean(span, RANGE_ROWS))
    np.log(relative, out=logged, where=relative > 0)
    out = {"range_to_mean": logged, "range_to_close": span / close, "atr_to_close": atr / close, "range_to_atr": moved}
    past = _windows(atr, REGIME_ROWS)
    regime = {name: np.full(close.size, np.nan) for name in ("low", "medium", "high")}
    if past.size:
        now = past[:, -1]
        below, above = np.quantile(past, (LOW_SHARE, HIGH_SHARE), axis=1)  # NaN where an ATR is
        known = ~np.isnan(below)
        is_high = known & (now >= above * (1.0 - _ROUNDING))
        is_low = known & ~is_high & (now < below * (1.0 - _ROUNDING))
        flags = (("low", is_low), ("medium", known & ~is_low & ~is_high), ("high", is_high))
        for name, flag in flags:
            regime[name][REGIME_ROWS - 1 :] = np.where(known, flag, np.nan)
    return out | {f"volatility_{name}": line for name, line in regime.items()}


def _volumes(inputs: Inputs) -> dict[str, Array]:
    volume = inputs.volume
    mean, long = _mean(volume, VOLUME_ROWS), _mean(volume, VOLUME_LONG)
    against = _divided(mean, long)
    logged = np.full(volume.size, np.nan)
    np.log(against, out=logged, where=against > 0)
    slope = np.full(volume.size, np.nan)
    past = _windows(volume, VOLUME_ROWS)
    if past.size:
        steps = np.arange(VOLUME_ROWS) - (VOLUME_ROWS - 1) / 2.0
        slope[VOLUME_ROWS - 1 :] = past @ (steps / (steps**2).sum())
    return {"volume_mean_20_100": logged, "volume_ratio": _divided(volume, mean), "volume_trend": _divided(slope, mean)}


def _trend(close: Array) -> dict[str, Array]:
    out: dict[str, Array] = {}
    for w in SMA_PERIODS:
        line = _mean(close, w)
        out[f"close_to_sma_{w}"] = log_ratio(close, line)
        way = np.full(close.size, np.nan)
        way[w:] = np.log(line[w:] / line[:-w])
        out[f"sma_{w}_way"] = way
    return out


def _oscillators(close: Array) -> dict[str, Array]:
    from fieldcast import indicators

    wilder = indicators.wilder(close, close, close, WILDER)
    macd = indicators.macd(close)
    mean = _mean(close, BAND_ROWS)
    deviation = np.full(close.size, np.nan)
    past = _windows(close, BAND_ROWS)
    if past.size:
        deviation[BAND_ROWS - 1 :] = past.std(axis=1)
    upper, lower = mean + BAND_WIDTH * deviation, mean - BAND_WIDTH * deviation
    return {
        "rsi_14": np.where(wilder.move > LEAST_MOVE * close, wilder.rsi / 100.0, np.nan),
        "macd": macd.line / close,
        "macd_signal": macd.signal / close,
        "macd_difference": macd.histogram / close,
        "band_high": (upper - close) / close,
        "band_low": (close - lower) / close,
        "band_width": (upper - lower) / mean,
        "band_position": indicators.bollinger_percent_b(close, BAND_ROWS, BAND_WIDTH),
    }


def _windows(line: Array, rows: int) -> Array:
    """(n - rows + 1, rows) the last `rows` values at each row; empty where there are fewer."""
    if line.size < rows:
        return np.empty((0, rows))
    return np.lib.stride_tricks.sliding_window_view(line, rows)


def _mean(line: Array, rows: int) -> Array:
    """Mean of the last `rows` values from whole windows, NaN before; (n,)."""
    out = np.full(line.size, np.nan)
    past = _windows(line, rows)
    if past.size:
        out[rows - 1 :] = past.mean(axis=1)
    return out


def _divided(above: Array, below: Array) -> Array:
    """above / below, NaN where there is nothing to divide by."""
    out = np.full(above.size, np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out
