"""Feature tiers beside TA-Lib's C library, side by side in one run: one million rows, and 225 instruments of 2,500.

The claims: the indicators of a20 as arrays against TA-Lib's calls of the same; the table of a20 (checks, masks, ratios, weekly
oscillators and nulls, which TA-Lib does not make) against the same calls, the 225 instruments at once (`features.compute_each`)
and one after another; and the time of every tier. All in the processor's time, whatever the number of threads; where polars has
two, the table's time on the clock beside TA-Lib's in one thread as well. Either side drops a result before it makes the next.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl
import talib

from fieldcast import features, indicators
from fieldcast.features import tiers
from fieldcast.market import BARS

COVERS = (
    "src/fieldcast/features/tiers",
    "src/fieldcast/features/_a20.py",
    "src/fieldcast/features/_compute.py",
    "src/fieldcast/features/_inputs.py",
    "src/fieldcast/features/_kernels_a20.py",
    "src/fieldcast/features/_kernels_a20_windows.py",
)
ROWS, INSTRUMENTS, LENGTH, ROUNDS, SEED = 1_000_000, 225, 2_500, 5, 7


def bars(n: int, seed: int) -> pl.DataFrame:
    """n minutes of a geometric random walk."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.001, n)))
    opened = close * np.exp(random.normal(0.0, 0.0003, n))
    high = np.maximum(opened, close) * np.exp(np.abs(random.normal(0.0, 0.0005, n)))
    low = np.minimum(opened, close) * np.exp(-np.abs(random.normal(0.0, 0.0005, n)))
    ts = pl.from_epoch(pl.Series(946_684_800 + 60 * np.arange(n)), "s").dt.replace_time_zone("UTC").cast(BARS["ts"])
    columns = [["X:SIM"] * n, ts, ts, opened, high, low, close, random.uniform(1e3, 1e5, n), [None] * n]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


def theirs(frame: pl.DataFrame) -> None:
    """TA-Lib's own calls of the a20 indicators that it has."""
    high, low, close, volume = (frame[name].to_numpy() for name in ("high", "low", "close", "volume"))
    for n in (9, 10, 20, 25, 90):
        talib.DEMA(close, n)
    for n in (12, 50, 100, 200):
        talib.SMA(close, n)
    talib.RSI(close, 14)
    talib.STOCHRSI(close, 14, 5, 3)
    talib.MACD(close, 12, 26, 9)
    talib.OBV(close, volume)
    talib.ADOSC(high, low, close, volume, 3, 10)
    talib.ATR(high, low, close, 14)
    talib.ADX(high, low, close, 14)
    talib.BBANDS(close, 20, 2.0, 2.0)
    talib.SUM(close * volume, 20) / talib.SUM(volume, 20)


def kernels(frame: pl.DataFrame) -> None:
    """The same indicators by this package."""
    high, low, close, volume = (frame[name].to_numpy() for name in ("high", "low", "close", "volume"))
    indicators.dema_lines(close, (9, 10, 20, 25, 90))
    for n in (12, 50, 100, 200):
        indicators.sma(close, n)
    indicators.wilder(high, low, close, 14)
    indicators.stochrsi(close, 14, 5, 3)
    indicators.macd(close, 12, 26, 9)
    indicators.flow(high, low, close, volume)
    indicators.bollinger_percent_b(close, 20, 2.0)
    indicators.vwap(close, volume, 20)


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    started = clock()  # of this process by default: the machine may be shared
    work()
    return clock() - started


def over(frames: list[pl.DataFrame], work: Callable[[pl.DataFrame], object]) -> Callable[[], None]:
    def all_of_them() -> None:
        for frame in frames:
            work(frame)

    return all_of_them


def claim(
    text: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int, clock: Callable[[], float] = time.process_time
) -> None:
    ratios = sorted(seconds(ours, clock) / seconds(peer, clock) for _ in range(rounds))
    print(
        json.dumps(
            {"claim": text, "estimate": ratios[rounds // 2], "low": ratios[0], "high": ratios[-1], "n": rounds, "seed": SEED}
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--instruments", type=int, default=INSTRUMENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    pl.thread_pool_size()
    long, many = [bars(given.rows, SEED)], [bars(LENGTH, SEED + k) for k in range(given.instruments)]
    for tier in tiers.tiers():
        features.compute(many[0], [tier])  # compile
    kernels(many[0])
    for title, frames in ((f"{given.rows:,} rows", long), (f"{given.instruments} x {LENGTH:,} rows", many)):
        claim(f"CPU time of the a20 kernels over TA-Lib's, {title}", over(frames, kernels), over(frames, theirs), given.rounds)
        stacked = pl.concat(frame.with_columns(instrument=pl.lit(f"X:S{k:03d}")) for k, frame in enumerate(frames)).rechunk()
        table = partial(features.compute_each, stacked, ["a20"])
        claim(f"CPU time of the a20 table over TA-Lib's calls, {title}", table, over(frames, theirs), given.rounds)
        if frames is many:
            single = over(frames, lambda frame: features.compute(frame, ["a20"]))
            claim(f"the same, {title}, one instrument after another", single, over(frames, theirs), given.rounds)
        if pl.thread_pool_size() > 1:
            text = f"time of the a20 table on two threads over TA-Lib's calls in one, {title}"
            claim(text, table, over(frames, theirs), given.rounds, time.perf_counter)
        for tier in ("a50", "a100", "a200", "a250", "a500"):
            if given.rows > 200_000 and tier == "a500" and frames is long:
                continue  # 4 GB of output
            times = sorted(seconds(over(frames, lambda frame, tier=tier: features.compute(frame, [tier]))) for _ in range(3))
            width = len(features.columns([tier]))
            cells = width * sum(frame.height for frame in frames)
            print(
                json.dumps(
                    {
                        "claim": f"CPU nanoseconds a value of {tier} ({width} columns), {title}",
                        "estimate": times[1] / cells * 1e9,
                        "low": times[0] / cells * 1e9,
                        "high": times[-1] / cells * 1e9,
                        "n": 3,
                        "seed": SEED,
                    }
                )
            )
