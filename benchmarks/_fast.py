"""What the benchmarks of the fast engine share: the market, the bare kernels that are the floor, and peers in their environment.

Peers run in the Python that FIELDCAST_PEERS_PYTHON names (an environment with vectorbt, backtesting and backtrader), or in this
one where they are installed (the extra `peers`). Every peer warms up before its clock starts: what vectorbt compiles is named but
not counted.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fieldcast  # noqa: F401 - first: it says where kernels are kept, which numba reads as it loads; elsewhere they go stale

# isort: split
import numpy as np
from numba import njit, prange

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.market import Market

COST = 0.0005      # of the value, a side: what every engine here charges


def prices(bars: int, seed: int, sigma: float = 0.001) -> dict[str, np.ndarray]:
    """Open, high, low and close of a random walk on a grid of 0.01, from 100."""
    rng = np.random.default_rng(seed)
    close = np.round(np.maximum(100.0 * np.exp(np.cumsum(rng.normal(0.0, sigma, bars))), 1.0), 2)
    opened = np.round(np.concatenate((close[:1], close[:-1])) + rng.integers(-2, 3, bars) / 100.0, 2)
    high = np.round(np.maximum(opened, close) + rng.integers(0, 4, bars) / 100.0, 2)
    low = np.round(np.maximum(np.minimum(opened, close) - rng.integers(0, 4, bars) / 100.0, 0.01), 2)
    return {"open": opened, "high": high, "low": low, "close": close}


def market_of(arrays: dict[str, np.ndarray], step_us: int = 60_000_000) -> Market:
    ts = (1_600_000_000_000_000 + np.arange(1, arrays["close"].size + 1) * step_us).astype(np.int64)
    instrument = Instrument("XNAS:WALK", Kind.EQUITY, simulated=True)
    return Market.of_arrays(instrument, ts, arrays["open"], arrays["high"], arrays["low"], arrays["close"])


@njit(cache=True)
def bare_cross(opened, close, fast, slow, cost):  # type: ignore[no-untyped-def]
    """The floor for one run: running means, a fill at the next open, everything in or out; the last equity and nothing else."""
    cash, held, quick, late, wanted = 100_000.0, 0.0, 0.0, 0.0, False
    for t in range(close.shape[0]):
        if wanted and held == 0.0:
            held = cash / (opened[t] * (1.0 + cost))
            cash = 0.0
        elif not wanted and held > 0.0:
            cash = held * opened[t] * (1.0 - cost)
            held = 0.0
        quick += close[t]
        late += close[t]
        if t >= fast:
            quick -= close[t - fast]
        if t >= slow:
            late -= close[t - slow]
        wanted = t >= slow - 1 and quick * slow > late * fast
    return cash + held * close[-1]


@njit(cache=True)
def bare_cross_figures(opened, close, fast, slow, cost, curve, found):  # type: ignore[no-untyped-def]
    """The floor for all that ours yields but orders: fills into the equity at each close (T,), and the figures' sums (7,)."""
    cash, held, quick, late, wanted = 100_000.0, 0.0, 0.0, 0.0, False
    before = peak = cash
    deepest, total, squares, down, fees, exposed, fills = 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0
    for t in range(close.shape[0]):
        if wanted and held == 0.0:
            held = cash / (opened[t] * (1.0 + cost))
            fees += held * opened[t] * cost
            cash = 0.0
            fills += 1
        elif not wanted and held > 0.0:
            cash = held * opened[t] * (1.0 - cost)
            fees += held * opened[t] * cost
            held = 0.0
            fills += 1
        now = cash + held * close[t]
        curve[t] = now
        change = (now - before) / before
        total += change
        squares += change * change
        if change < 0.0:
            down += change * change
        if now > peak:
            peak = now
        elif peak - now > deepest * peak:
            deepest = (peak - now) / peak
        exposed += 1 if held > 0.0 else 0
        before = now
        quick += close[t]
        late += close[t]
        if t >= fast:
            quick -= close[t - fast]
        if t >= slow:
            late -= close[t - slow]
        wanted = t >= slow - 1 and quick * slow > late * fast
    found[0], found[1], found[2], found[3], found[4], found[5], found[6] = total, squares, down, deepest, fees, exposed, fills
    return before


@njit(cache=True, parallel=True)
def bare_sweep(opened, close, fast, slow, cost, out):  # type: ignore[no-untyped-def]
    """The floor for a sweep: the same for every pair on all cores, from prefix sums that all share."""
    sums = np.zeros(close.shape[0] + 1)
    for t in range(close.shape[0]):
        sums[t + 1] = sums[t] + close[t]
    for pair in prange(fast.shape[0]):
        f, s = fast[pair], slow[pair]
        cash, held, wanted = 100_000.0, 0.0, False
        for t in range(s - 1, close.shape[0]):
            if wanted and held == 0.0:
                held = cash / (opened[t] * (1.0 + cost))
                cash = 0.0
            elif not wanted and held > 0.0:
                cash = held * opened[t] * (1.0 - cost)
                held = 0.0
            wanted = (sums[t + 1] - sums[t + 1 - f]) * s > (sums[t + 1] - sums[t + 1 - s]) * f
        out[pair] = cash + held * close[-1]


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds, of all threads together: what else runs on a shared machine matters less for them than for the clock."""
    started = time.process_time()
    work()
    return time.process_time() - started


def best_of(work: Callable[[], object], rounds: int) -> list[float]:
    """Sorted processor seconds of `rounds` runs after one that does not count."""
    work()
    return sorted(seconds(work) for _ in range(rounds))


def peak_mb() -> float:
    """Most memory that this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def peer_python() -> str:
    return os.environ.get("FIELDCAST_PEERS_PYTHON", sys.executable)


def peer(script: str, arrays: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
    """Run a script of a peer; it finds the arrays in `data` and prints one line of JSON last."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, **(arrays or {}))
        head = f"import json, resource, time\nimport numpy as np\ndata = dict(np.load({str(path)!r}))\n"
        done = subprocess.run([peer_python(), "-c", head + script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the peer failed ({peer_python()}; set FIELDCAST_PEERS_PYTHON):\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def claim(text: str, ratios: list[float], *, seed: int, **further: Any) -> None:
    """The last line: median and range of the ratios, and what else was measured in the same run."""
    ordered = sorted(ratios)
    print(json.dumps({
        "claim": text, "estimate": ordered[len(ordered) // 2], "low": ordered[0], "high": ordered[-1], "n": len(ordered),
        "seed": seed, **further,
    }))
