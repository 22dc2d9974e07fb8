"""Tier a20 beside TA-Lib's C library, polars-talib and pandas-ta, side by side in one run; and the time of every tier.

Two shapes: one instrument of a million rows, and 225 instruments of 2,500 rows. `ratios` has, for each,

    kernels             the indicators of a20 as arrays over TA-Lib's calls of the same; processor time, one thread each
    table               the table of a20 (checks, masks, ratios, weekly oscillators, nulls: TA-Lib makes none) over the same
                        calls, one thread each; the 225 instruments at once, `features.compute_each`; processor time
    one_by_one          the same, a `features.compute` for each of the 225
    two_threads         the table on two threads over TA-Lib's calls in one, on the clock
    two_over_one        the table on two threads over the table on one, on the clock
    polars_talib        the table on two threads over polars-talib on two threads, on the clock
    pandas_ta           pandas-ta-classic, which knows one thread, over the table on one thread, processor time

each as the median of rounds (in a round everything is timed once, in turn), with the range. Every side ends with all of its
results in hand: calls whose arrays are dropped one by one would write into the same memory again and again. Where others work on
the machine, figures on the clock say little: `busy` is the processor time of the two threads over twice what the clock says. The
tables of one and of two threads are equal to the last bit, or the run ends. Peers run in the interpreter that
FIELDCAST_PEERS_PYTHON names, with polars-talib and pandas-ta-classic; where it lacks one, that ratio is left out. The estimate is
`two_threads`, long table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

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
    "src/fieldcast/features/_lines.py",
    "src/fieldcast/features/_kernels_a20.py",
    "src/fieldcast/features/_kernels_a20_windows.py",
    "src/fieldcast/features/_kernels_table.py",
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


def theirs(frame: pl.DataFrame) -> list[object]:
    """TA-Lib's own calls of the a20 indicators that it has."""
    high, low, close, volume = (frame[name].to_numpy() for name in ("high", "low", "close", "volume"))
    return [
        *(talib.DEMA(close, n) for n in (9, 10, 20, 25, 90)),
        *(talib.SMA(close, n) for n in (12, 50, 100, 200)),
        talib.RSI(close, 14),
        talib.STOCHRSI(close, 14, 5, 3),
        talib.MACD(close, 12, 26, 9),
        talib.OBV(close, volume),
        talib.ADOSC(high, low, close, volume, 3, 10),
        talib.ATR(high, low, close, 14),
        talib.ADX(high, low, close, 14),
        talib.BBANDS(close, 20, 2.0, 2.0),
        talib.SUM(close * volume, 20) / talib.SUM(volume, 20),
    ]


def kernels(frame: pl.DataFrame) -> list[object]:
    """The same indicators by this package."""
    high, low, close, volume = (frame[name].to_numpy() for name in ("high", "low", "close", "volume"))
    return [
        indicators.dema_lines(close, (9, 10, 20, 25, 90)),
        *(indicators.sma(close, n) for n in (12, 50, 100, 200)),
        indicators.wilder(high, low, close, 14),
        indicators.stochrsi(close, 14, 5, 3),
        indicators.macd(close, 12, 26, 9),
        indicators.flow(high, low, close, volume),
        indicators.bollinger_percent_b(close, 20, 2.0),
        indicators.vwap(close, volume, 20),
    ]


def over(frames: list[pl.DataFrame], work: Callable[[pl.DataFrame], object]) -> Callable[[], list[object]]:
    """The work on each frame, all that it gave in hand at the end."""
    return lambda: [work(frame) for frame in frames]


class Peers:
    """The interpreter of the peers, one table of bars in hand."""

    def __init__(self, table: pl.DataFrame, folder: Path) -> None:
        file = folder / "bars.arrow"
        table.select("instrument", "high", "low", "close", "volume").write_ipc(file)
        command = [
            os.environ.get("FIELDCAST_PEERS_PYTHON", sys.executable),
            str(Path(__file__).with_name("_tiers_peers.py")),
            file,
        ]
        threads = os.environ | {"POLARS_MAX_THREADS": "2"}
        self._asked = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=threads)

    def seconds(self, peer: str) -> dict[str, float] | None:
        """What a peer took on the clock and of the processor; None where it is not installed."""
        assert self._asked.stdin is not None
        assert self._asked.stdout is not None
        self._asked.stdin.write(f"{peer}\n")
        self._asked.stdin.flush()
        answer = self._asked.stdout.readline()
        if not answer:
            raise SystemExit(f"expected what {peer} took, found its interpreter ended with {self._asked.wait()}; see above")
        found: dict[str, float] | None = json.loads(answer)
        return found

    def close(self) -> None:
        self._asked.communicate()


def both(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of the processor until the results are in hand."""
    wall, used = time.perf_counter(), time.process_time()
    results = work()
    taken = time.perf_counter() - wall, time.process_time() - used
    del results
    return taken


def one_round(frames: list[pl.DataFrame], stacked: pl.DataFrame, peers: Peers) -> dict[str, float]:
    """Every ratio once; see the module."""
    talib_wall, talib_used = both(over(frames, theirs))
    _, arrays = both(over(frames, kernels))
    one_wall, one_used = both(partial(features.compute_each, stacked, ["a20"], threads=1))
    two_wall, two_used = both(partial(features.compute_each, stacked, ["a20"], threads=2))
    found = {
        "kernels": arrays / talib_used,
        "table": one_used / talib_used,
        "two_threads": two_wall / talib_wall,
        "two_over_one": two_wall / one_wall,
        "busy": two_used / (2.0 * two_wall),
        "seconds_talib": talib_wall,
        "seconds_table_one": one_wall,
        "seconds_table_two": two_wall,
    }
    if len(frames) > 1:
        found["one_by_one"] = both(over(frames, lambda frame: features.compute(frame, ["a20"], threads=1)))[1] / talib_used
    if (polars := peers.seconds("polars_talib")) is not None:
        found["polars_talib"] = two_wall / polars["wall"]
    if (pandas := peers.seconds("pandas_ta")) is not None:
        found["pandas_ta"] = pandas["processor"] / one_used
    return found


def compared(frames: list[pl.DataFrame], rounds: int) -> dict[str, list[float]]:
    """Median, least and greatest of every ratio."""
    stacked = pl.concat(frame.with_columns(instrument=pl.lit(f"X:S{k:03d}")) for k, frame in enumerate(frames)).rechunk()
    one, two = (features.compute_each(stacked, ["a20"], threads=threads) for threads in (1, 2))
    assert two.equals(one), "two threads make the table that one makes, or this compares two different things"
    del one, two
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(stacked, Path(folder))
        try:
            found = [one_round(frames, stacked, peers) for _ in range(rounds)]
        finally:
            peers.close()
    return {name: summary([each[name] for each in found]) for name in found[0]}


def summary(values: list[float]) -> list[float]:
    """Median, least, greatest."""
    return [float(np.median(values)), min(values), max(values)]


def tier_times(frames: list[pl.DataFrame], *, widest: bool) -> dict[str, float]:
    """Processor nanoseconds a value of every tier beyond a20, the median of three; `widest`: a500 too."""
    found = {}
    for tier in ("a50", "a100", "a200", "a250", *(("a500",) if widest else ())):
        times = [both(over(frames, lambda frame, tier=tier: features.compute(frame, [tier], threads=1)))[1] for _ in range(3)]
        cells = len(features.columns([tier])) * sum(frame.height for frame in frames)
        found[tier] = float(np.median(times)) / cells * 1e9
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--instruments", type=int, default=INSTRUMENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--a20", action="store_true", help="leave the wider tiers out")
    given = parser.parse_args()
    long, many = [bars(given.rows, SEED)], [bars(LENGTH, SEED + k) for k in range(given.instruments)]
    for tier in ("a20",) if given.a20 else tiers.tiers():
        features.compute(many[0], [tier])  # compile
    kernels(many[0])
    ratios = {"rows": compared(long, given.rounds), "instruments": compared(many, given.rounds)}
    nanoseconds = {}
    if not given.a20:  # a500 of a million rows would be 4 GB
        nanoseconds = {
            "rows": tier_times(long, widest=given.rows <= 200_000),
            "instruments": tier_times(many, widest=True),
        }
    estimate, low, high = ratios["rows"]["two_threads"]
    print(
        json.dumps(
            {
                "claim": f"time of the a20 table on two threads over TA-Lib's calls in one, {given.rows:,} rows, on the clock",
                "estimate": estimate,
                "low": low,
                "high": high,
                "n": given.rounds,
                "seed": SEED,
                "rows": given.rows,
                "instruments": [given.instruments, LENGTH],
                "ratios": ratios,
                "nanoseconds_a_value": nanoseconds,
                "met": {
                    "table": max(ratios[shape]["table"][0] for shape in ratios) <= 1.0,
                    "one_by_one": ratios["instruments"]["one_by_one"][0] <= 1.0,
                    "two_threads": max(ratios[shape]["two_threads"][0] for shape in ratios) < 1.0,
                    "two_over_one": max(ratios[shape]["two_over_one"][0] for shape in ratios) < 1.0,
                },
            }
        )
    )
