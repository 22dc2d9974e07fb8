"""The indicators of a20 by peers, in an interpreter that has them; asked line by line on the standard input.

    python _tiers_peers.py TABLE        the bars of all instruments, one Arrow file: instrument, high, low, close, volume

Each line asked names a peer, and what it took is answered as `{"wall": s, "processor": s}`:

    polars_talib    one expression of TA-Lib's C functions for all instruments, on as many threads as POLARS_MAX_THREADS says
    pandas_ta       one call an indicator and instrument (pandas-ta-classic without TA-Lib), in one thread

`null` answers where a peer is not installed. Neither makes the weekly oscillators, ratios or checks of tier a20.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable

import polars as pl

PACKAGES = {"polars_talib": "polars_talib", "pandas_ta": "pandas_ta_classic"}


def with_polars_talib(table: pl.DataFrame) -> Callable[[], object]:
    import polars_talib  # noqa: F401  (adds the namespace `ta`)

    close = pl.col("close").ta
    asked = [
        *(close.dema(n).alias(f"dema_{n}") for n in (9, 10, 20, 25, 90)),
        *(close.sma(n).alias(f"sma_{n}") for n in (12, 50, 100, 200)),
        close.rsi(14).alias("rsi"),
        close.stochrsi(14, 5, 3).alias("stochrsi"),
        close.macd(12, 26, 9).alias("macd"),
        close.obv().alias("obv"),
        close.adosc(fastperiod=3, slowperiod=10).alias("adosc"),
        close.atr(timeperiod=14).alias("atr"),
        close.adx(timeperiod=14).alias("adx"),
        close.bbands(20, 2.0, 2.0).alias("bbands"),
    ]
    several = table["instrument"].n_unique() > 1
    return lambda: table.select([one.over("instrument") for one in asked] if several else asked)


def with_pandas_ta(table: pl.DataFrame) -> Callable[[], object]:
    import pandas as pd
    import pandas_ta_classic as ta

    frames = [
        pd.DataFrame({name: part[name].to_numpy() for name in ("high", "low", "close", "volume")})
        for part in table.partition_by("instrument", maintain_order=True)
    ]

    def all_of_them() -> None:
        for frame in frames:
            high, low, close, volume = (frame[name] for name in ("high", "low", "close", "volume"))
            for n in (9, 10, 20, 25, 90):
                ta.dema(close, length=n, talib=False)
            for n in (12, 50, 100, 200):
                ta.sma(close, length=n, talib=False)
            ta.rsi(close, length=14, talib=False)
            ta.stochrsi(close, length=5, rsi_length=14, talib=False)
            ta.macd(close, fast=12, slow=26, signal=9, talib=False)
            ta.obv(close, volume, talib=False)
            ta.adosc(high, low, close, volume, fast=3, slow=10, talib=False)
            ta.atr(high, low, close, length=14, talib=False)
            ta.adx(high, low, close, length=14, talib=False)
            ta.bbands(close, length=20, std=2.0, talib=False)
            ta.vwma(close, volume, length=20)

    return all_of_them


if __name__ == "__main__":
    table = pl.read_ipc(sys.argv[1])
    makers = {"polars_talib": with_polars_talib, "pandas_ta": with_pandas_ta}
    ready: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        peer = line.strip()
        if importlib.util.find_spec(PACKAGES[peer]) is None:
            print("null", flush=True)
            continue
        if peer not in ready:
            ready[peer] = makers[peer](table)
            makers[peer](table.group_by("instrument", maintain_order=True).head(500))()  # load and warm
        wall, used = time.perf_counter(), time.process_time()
        ready[peer]()
        print(json.dumps({"wall": time.perf_counter() - wall, "processor": time.process_time() - used}), flush=True)
