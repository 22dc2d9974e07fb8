"""Tier a20: twenty technical indicators of daily bars, every price as a ratio.

The raw values are those of `fieldcast.indicators`, equal to TA-Lib's, in kernels that fill the whole table at once. What
grows with the price or with the length of history enters divided by the price or by volume: close against its averages as a
log ratio, OBV as its change over 20 rows divided by the volume of those rows, oscillators on [0, 1].

The weekly oscillators see a fixed window of the last 250 rows as 50 blocks of five, the newest ending at the row
itself. So they need no calendar week, look ahead nowhere, move every day and forget everything older than 250 rows.

Source: the a20 tier of the ts-scaling study, with ratios for its levels.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fieldcast.features._inputs import Array, Inputs, frozen
from fieldcast.features._lines import PARTS, Lines, parts_of, share_out, threads_for
from fieldcast.features._registry import Column, recursive_warmup
from fieldcast.ground import InvalidInput

DEMA_PERIODS = (9, 10, 20, 25, 90)
SMA_PERIODS = (12, 50, 100, 200)
BLOCK = "a20"
WEEKLY_ROWS = 250
WILDER = 14
LEAST_MOVE = 1e-8  # of the price: with less mean movement than this the RSI is not defined
LEAST_RANGE = 1e-6  # of the RSI's scale: in a narrower range its place is not defined
LEAST_PRICE, MOST = 1e-150, 1e150  # MOST of volumes too: beyond, squares and products leave the range of numbers

ROWS_TOGETHER = 10_000  # of 160 bytes each

IntArray = npt.NDArray[np.int64]
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
NAMES = tuple(column.name for column in COLUMNS)
INPUTS = (*_HLC, "volume")
_DEMA, _SMA = np.array(DEMA_PERIODS), np.array(SMA_PERIODS)
_WARMUPS = np.array([column.warmup for column in COLUMNS])


def lines(inputs: Inputs, bounds: IntArray | None = None, threads: int | None = None) -> Lines:
    """Every column of the tier in table order, (20, n); NaN where not defined and in the warm-up.

    Three kernels fill the lines. Work is shared out by a few instruments; where single ones are long, what a window alone decides
    is shared out by rows, so that they gain from a second thread too. The values are the same to the last bit on any number of
    threads.

    Parameters
    ----------
    bounds : where the rows are of several instruments, one after another: the first row of each, and the end; None: of one
    threads : see `threads_for`

    Raises
    ------
    InvalidInput : closes or volumes so small or large that their squares and products are no numbers
    """
    from fieldcast.features import _kernels_a20 as kernels

    filled = Lines.empty(len(COLUMNS), inputs.rows, threads_for(inputs.rows, threads))
    out = filled.padded
    high, low, close, volume = (frozen(line) for line in (inputs.high, inputs.low, inputs.close, inputs.volume))
    if inputs.rows:
        _require_range(close, volume)
    every = np.array([0, inputs.rows]) if bounds is None else bounds

    def averages(first: int, last: int) -> None:
        kernels.average_lines(close, every[first : last + 1], _DEMA, _WARMUPS, out)

    def bars(first: int, last: int) -> None:
        kernels.bar_lines(high, low, close, volume, every[first : last + 1], _WARMUPS, out, LEAST_MOVE, LEAST_RANGE)

    def windows(first: int, last: int) -> None:
        kernels.window_lines(close, every, first, last, _SMA, _WARMUPS, out, LEAST_MOVE, LEAST_RANGE)

    def instruments(first: int, last: int) -> None:
        averages(first, last)
        bars(first, last)
        windows(int(every[first]), int(every[last]))
        filled.mark(int(every[first]), int(every[last]))

    threads = filled.threads
    if every.size > 2 and (threads == 1 or int(np.diff(every).max()) * PARTS * threads <= inputs.rows):
        share_out([(instruments, *part) for part in _together(every)], threads)
    else:
        by_instrument, by_row = parts_of(every.size - 1, threads), parts_of(inputs.rows, threads)
        whole = [(fill, *part) for fill in (averages, bars) for part in by_instrument]
        share_out([*whole, *((windows, *part) for part in by_row)], threads)
    return filled


def _together(bounds: IntArray) -> list[tuple[int, int]]:
    """Instruments, first and end, whose lines stay in the cache together until they are marked."""
    place = np.searchsorted(bounds, np.arange(0, bounds[-1], ROWS_TOGETHER))
    edges = np.unique(np.append(place, bounds.size - 1)).tolist()
    return list(pairwise(edges))


def _require_range(close: Array, volume: Array) -> None:
    from fieldcast.features._kernels_table import extent

    (least, most), (_, traded) = (np.array(extent(line)).view(np.float64).tolist() for line in (close, volume))
    if least < LEAST_PRICE or most > MOST or traded > MOST:
        raise InvalidInput(
            f"expected closes of {LEAST_PRICE} to {MOST} and volumes up to {MOST}, found closes of {least} to {most} and a "
            f"volume of {traded}; state them in another unit"
        )


def values(inputs: Inputs) -> dict[str, Array]:
    """Every column of the tier by name, each (n,); NaN where not defined."""
    return dict(zip(NAMES, lines(inputs).values, strict=True))


def log_ratio(close: Array, other: Array) -> Array:
    """log(close / other), NaN where `other` is not positive or not known."""
    ratio = np.full(close.size, np.nan)
    np.divide(close, other, out=ratio, where=other > 0)
    np.log(ratio, out=ratio)
    return ratio
