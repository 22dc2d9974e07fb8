"""A new process that runs a strategy of the catalogue on 10,000 bars; kernels and Python's bytecode were compiled before.

Two moments count: when the figures are there, and when the process has ended. In between the interpreter frees what libraries
hold, a million objects of numba's among them. What cannot be less is measured beside: a process that loads polars and calls one
compiled kernel that adds up an array.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _fast import claim, peer_python

COVERS = ("src/fieldcast/simulation/fast", "src/fieldcast/simulation/_kernels_fill.py")
BARS, ROUNDS, SEED = 10_000, 11, 7
OURS = """
import numpy as np
from fieldcast.market import Instrument, Kind
from fieldcast.simulation.market import Market
from fieldcast.simulation.fast import FastSettings, Tape, arrays_of, run_fast
from fieldcast.strategy.catalogue import strategy
rng = np.random.default_rng(SEED)
close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, BARS))), 2)
opened = np.concatenate((close[:1], close[:-1]))
market = Market.of_arrays(Instrument("XNAS:WALK", Kind.EQUITY, simulated=True), np.arange(1, BARS + 1) * 60_000_000, opened,
                          np.maximum(opened, close), np.minimum(opened, close), close)
tape = Tape.of(market)
found = run_fast(strategy("sma_cross", fast=20, slow=50).targets(arrays_of(tape)), tape, FastSettings()).figures
assert found["fills"] > 100
print(found["final_equity"], flush=True)
"""
BACKTESTING = """
import numpy as np, pandas as pd, warnings
warnings.simplefilter("ignore")
from backtesting import Backtest, Strategy
rng = np.random.default_rng(SEED)
close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, BARS))), 2)
opened = np.concatenate((close[:1], close[:-1]))
frame = pd.DataFrame({"Open": opened, "High": np.maximum(opened, close), "Low": np.minimum(opened, close), "Close": close},
                     pd.date_range("2020-01-01", periods=BARS, freq="1min"))
mean = lambda values, n: pd.Series(values).rolling(n).mean()
class Cross(Strategy):
    def init(self):
        self.quick, self.late = self.I(mean, self.data.Close, 20), self.I(mean, self.data.Close, 50)
    def next(self):
        if self.quick[-1] > self.late[-1]:
            if not self.position:
                self.buy()
        elif self.position:
            self.position.close()
Backtest(frame, Cross, cash=100_000, commission=0.0005, finalize_trades=True).run()
print("done", flush=True)
"""
FLOOR = """
import sys
sys.path.insert(0, "FOLDER")
import numpy as np, polars
from floor_kernel import total
print(total(np.ones(10)), flush=True)
"""
KERNEL = """
from numba import njit
@njit(cache=True)
def total(values):
    found = 0.0
    for i in range(values.shape[0]):
        found += values[i]
    return found
"""


def seconds(python: str, script: str) -> tuple[float, float]:
    """From the start of the process until it has printed its line, and until it has ended."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    code = script.replace("BARS", str(BARS)).replace("SEED", str(SEED))
    with subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=kept) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        there = time.perf_counter() - started
        _, complaint = process.communicate()
        ended = time.perf_counter() - started
    if process.returncode or not line:
        raise SystemExit(f"{python} failed:\n{complaint.decode()[-2000:]}")
    return there, ended


def middle(found: list[tuple[float, float]], which: int) -> float:
    return sorted(one[which] for one in found)[len(found) // 2]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "floor_kernel.py").write_text(KERNEL, encoding="utf-8")
        floor = FLOOR.replace("FOLDER", folder)
        ours, theirs, least = [], [], []
        for number in range(ROUNDS + 1):
            found = seconds(sys.executable, OURS), seconds(peer_python(), BACKTESTING), seconds(sys.executable, floor)
            if number:      # the first one compiles what was never compiled here
                for times, one in zip((ours, theirs, least), found, strict=True):
                    times.append(one)
    for name, times in (("ours", ours), ("backtesting.py", theirs), ("polars and one compiled kernel alone", least)):
        print(f"{name}: figures after {min(one[0] for one in times):.2f} s best, {middle(times, 0):.2f} median; ended after "
              f"{min(one[1] for one in times):.2f} s best, {middle(times, 1):.2f} median")  # fmt: skip
    claim(
        "seconds from process start to its end, a 10,000-bar run of a catalogue strategy with a warm cache",
        [one[1] for one in ours], seed=SEED, over_backtesting=middle(ours, 1) / middle(theirs, 1),
        best=min(one[1] for one in ours), until_figures=middle(ours, 0), until_figures_over_backtesting=middle(ours, 0) /
        middle(theirs, 0), one_kernel_and_polars_alone=middle(least, 1), backtesting_seconds=middle(theirs, 1),
    )  # fmt: skip
