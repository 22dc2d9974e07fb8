"""From the start of a process to the figures of 10,000 bars, kernels compiled before: a strategy of the catalogue."""

from __future__ import annotations

import subprocess
import sys
import time

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
"""


def seconds(python: str, script: str) -> float:
    started = time.perf_counter()
    subprocess.run([python, "-c", script.replace("BARS", str(BARS)).replace("SEED", str(SEED))], check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    seconds(sys.executable, OURS)      # compiles what was never compiled here
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(sys.executable, OURS))
        theirs.append(seconds(peer_python(), BACKTESTING))
    imports = sorted(seconds(sys.executable, "import numba, polars") for _ in range(ROUNDS))
    print(f"ours {min(ours):.2f} s best; backtesting.py {min(theirs):.2f} s best; imports of numba and polars alone "
          f"{imports[0]:.2f} s")  # fmt: skip
    claim(
        "seconds from process start to a finished 10,000-bar run of a catalogue strategy, warm cache", ours, seed=SEED,
        over_backtesting=sorted(ours)[ROUNDS // 2] / sorted(theirs)[ROUNDS // 2], best=min(ours),
        imports_alone=imports[ROUNDS // 2],
        backtesting_seconds=sorted(theirs)[ROUNDS // 2],
    )  # fmt: skip
