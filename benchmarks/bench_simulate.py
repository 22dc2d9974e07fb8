"""Simulated minute bars beside the bare random numbers that they need, side by side in one run. [SIMULATED]

100 shares with a common factor over one year are 9.8 million bars. The floor draws as many standard normals and exponentials as
the bars need (six and four for each bar) with numpy's generators and does nothing with them.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from datetime import date

import numpy as np

from fieldcast.data.simulated import BarMarket, equity, simulate_bars

COVERS = ("src/fieldcast/data/simulated",)
INSTRUMENTS, ROUNDS, SEED = 100, 5, 7
FIRST, LAST = date(2023, 1, 1), date(2023, 12, 31)
STEPS = 2
NORMALS, EXPONENTIALS = 3 + STEPS + 1, 2 * STEPS      # own shocks, sub-steps, volume; highs and lows


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    market = BarMarket(SEED, tuple(equity(f"S{k}", loadings=(0.6,)) for k in range(INSTRUMENTS)), FIRST, LAST, steps=STEPS)
    few = BarMarket(SEED, market.instruments[:1], FIRST, LAST, steps=STEPS)
    per_instrument = sum(made.bars.height for made in simulate_bars(few))     # compiles, and warms the calendar
    bars = per_instrument * INSTRUMENTS

    def ours() -> None:
        for made in simulate_bars(market):
            assert made.bars.height == per_instrument

    def floor() -> None:
        random = np.random.Generator(np.random.PCG64(SEED))
        for _ in range(INSTRUMENTS):
            random.standard_normal((per_instrument, NORMALS))
            random.standard_exponential((per_instrument, EXPONENTIALS))

    ours()
    times = [(seconds(ours), seconds(floor)) for _ in range(ROUNDS)]
    ratios = sorted(mine / bare for mine, bare in times)
    best = min(mine for mine, _ in times)
    print(json.dumps({
        "claim": f"time to simulate {bars:,} minute bars over drawing their random numbers alone (median and range of rounds)",
        "estimate": ratios[ROUNDS // 2],
        "low": ratios[0],
        "high": ratios[-1],
        "n": ROUNDS,
        "seed": SEED,
        "simulated": True,
        "detail": {
            "bars": bars,
            "seconds": [round(mine, 2) for mine, _ in times],
            "floor_seconds": [round(bare, 2) for _, bare in times],
            "bars_per_second": round(bars / best),
            "peak_resident_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
        },
    }))
