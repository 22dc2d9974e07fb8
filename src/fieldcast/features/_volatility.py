"""Volatility block: how much the price has moved, in logs, so that a unit is a factor of e.

    rv_w             1/2 log( mean_w r^2 + f^2 ),  r = log(C_t / C_{t-1})                       close to close
    parkinson_w      1/2 log( mean_w (log H/L)^2 / (4 log 2) + f^2 )                            range
    garman_klass_w   1/2 log( mean_w [ (log H/L)^2 / 2 - (2 log 2 - 1) (log C/O)^2 ] + f^2 )    range, open and close
    overnight_share  sum_22 (log O/C_{t-1})^2 / sum_22 [ (log O/C_{t-1})^2 + (log C/O)^2 ]
    log_atr_percent  log(100 ATR 14 / C)

Unit: log of a daily standard deviation (log_atr_percent: log of per cent). f is one basis point, added in quadrature: a
day without a move is then small and not minus infinity. What needs an open is null where opens are not real prints.
Source: Parkinson 1980; Garman and Klass 1980, J. Business 53, equations 2 and 20 without drift.
"""

from __future__ import annotations

import numpy as np

from fieldcast.features._inputs import Array, Inputs
from fieldcast.features._registry import Column, recursive_warmup

BLOCK = "volatility"
FLOOR = 1e-4  # one basis point
WINDOWS = (1, 5, 22)
SPLIT_ROWS = 22
WILDER = 14
_OHLC = ("open", "high", "low", "close")
_LEAST = float(np.log(FLOOR)) - 1e-9  # rounding of the logarithm
_UNIT = "log daily standard deviation"

COLUMNS: tuple[Column, ...] = (
    *(
        Column(
            f"rv_{w}",
            BLOCK,
            ("close",),
            w,
            _UNIT,
            f"log realised volatility, {w} rows, close to close",
            "module",
            _LEAST,
        )
        for w in WINDOWS
    ),
    *(
        Column(
            f"parkinson_{w}",
            BLOCK,
            ("high", "low"),
            w - 1,
            _UNIT,
            f"log range volatility, {w} rows",
            "Parkinson 1980",
            _LEAST,
        )
        for w in WINDOWS
    ),
    *(
        Column(
            f"garman_klass_{w}",
            BLOCK,
            _OHLC,
            w - 1,
            _UNIT,
            f"log volatility, {w} rows",
            "Garman and Klass 1980",
            _LEAST,
        )
        for w in WINDOWS
    ),
    Column(
        "overnight_share_22",
        BLOCK,
        ("open", "close"),
        SPLIT_ROWS,
        "fraction",
        "overnight part of squared moves, 22 rows",
        "module",
        0.0,
        1.0,
    ),
    Column(
        "log_atr_percent",
        BLOCK,
        ("high", "low", "close"),
        recursive_warmup(WILDER, (WILDER - 1) / WILDER, seed_error=10.0),
        "log per cent of price",
        "log(100 ATR 14 / close)",
        "TA-Lib 0.6",
    ),
)


def values(inputs: Inputs) -> dict[str, Array]:
    """Every column of the block, each (n,); NaN where not defined."""
    from fieldcast import indicators

    out: dict[str, Array] = {}
    price = np.log(inputs.close)
    squared = np.full(inputs.rows, np.nan)
    squared[1:] = np.diff(price) ** 2
    spread = np.log(inputs.high / inputs.low) ** 2
    body = (price - np.log(inputs.open)) ** 2
    parkinson = spread / (4.0 * np.log(2.0))
    garman_klass = np.maximum(spread / 2.0 - (2.0 * np.log(2.0) - 1.0) * body, 0.0)
    for w in WINDOWS:
        out[f"rv_{w}"] = _log_root(_mean(squared, w))
        out[f"parkinson_{w}"] = _log_root(_mean(parkinson, w))
        out[f"garman_klass_{w}"] = _log_root(_mean(garman_klass, w))

    overnight = np.full(inputs.rows, np.nan)
    overnight[1:] = (np.log(inputs.open[1:]) - price[:-1]) ** 2
    night, total = _mean(overnight, SPLIT_ROWS), _mean(overnight + body, SPLIT_ROWS)
    share = np.full(inputs.rows, np.nan)
    np.divide(night, total, out=share, where=total > FLOOR**2 / SPLIT_ROWS)
    out["overnight_share_22"] = share

    atr = indicators.atr(inputs.high, inputs.low, inputs.close, WILDER)
    relative = np.full(inputs.rows, np.nan)
    np.log(100.0 * atr / inputs.close, out=relative, where=atr > 0)
    out["log_atr_percent"] = relative
    return out


def _mean(daily: Array, rows: int) -> Array:
    """Mean of the last `rows` values, NaN where one of them is; (n,)."""
    out = np.full(daily.size, np.nan)
    if daily.size >= rows:
        out[rows - 1 :] = np.lib.stride_tricks.sliding_window_view(daily, rows).mean(axis=1)
    return out


def _log_root(variance: Array) -> Array:
    return 0.5 * np.log(variance + FLOOR**2)
