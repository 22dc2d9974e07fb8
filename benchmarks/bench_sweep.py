"""10,000 pairs of an SMA cross on 10,000 bars: the fused sweep beside vectorbt and beside a bare parallel kernel, in one run.

Ours gives return, drawdown, Sharpe, Sortino, trades, win rate, exposure, turnover and costs of every pair, in whole cents and
lots; vectorbt and the bare kernel the final value alone, which favours them.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
from _fast import COST, bare_sweep, best_of, claim, market_of, peak_mb, peer, prices, seconds

from fieldcast.simulation.fast import FastSettings, ParameterSets, Size, Tape, sweep
from fieldcast.simulation.settings import Shortfall, VenueSettings
from fieldcast.trading import CostModel

COVERS = ("src/fieldcast/simulation/fast", "src/fieldcast/simulation/_kernels_fill.py")
BARS, ROUNDS, SEED = 10_000, 7, 7
FAST, SLOW = range(2, 102), range(110, 310, 2)
COSTS = CostModel(half_spread_bps=Decimal(0), slippage_bps=Decimal(0), commission_bps=Decimal(str(COST * 1e4)))
SETTINGS = FastSettings(venue=VenueSettings(shortfall=Shortfall.CUT, costs=COSTS))
FULL = replace(
    SETTINGS, size=Size("volatility", Decimal("0.2"), window=50), stop=Decimal("0.02"), target=Decimal("0.04"),
    trail=Decimal("0.03"), periods_per_year=98_280.0,
)  # fmt: skip
VECTORBT = """
import vectorbt as vbt, pandas as pd
close, opened = pd.Series(data["close"]), pd.Series(data["open"])
def run(fast, slow):
    quick = vbt.MA.run(close, fast, short_name="fast").ma.values
    late = vbt.MA.run(close, slow, short_name="slow").ma.values
    entries = np.zeros(quick.shape, bool); exits = np.zeros(quick.shape, bool)
    above = quick > late
    entries[1:], exits[1:] = above[:-1], ~above[:-1]                 # next open
    book = vbt.Portfolio.from_signals(close.to_frame(), entries, exits, price=opened.to_frame(), fees=COST,
                                      init_cash=100_000.0, freq="1min")
    return book.final_value()
fast, slow = data["fast"], data["slow"]
started = time.process_time(); run(fast[:2], slow[:2]); compiled = time.process_time() - started
taken = []
for _ in range(ROUNDS):
    started = time.process_time(); found = run(fast, slow); taken.append(time.process_time() - started)
print(json.dumps({"seconds": sorted(taken), "compile": compiled, "median_value": float(np.median(found)),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
""".replace("COST", str(COST))

if __name__ == "__main__":
    arrays = prices(BARS, SEED)
    sets = ParameterSets.grid("sma_cross", {"fast": FAST, "slow": SLOW})
    fast, slow = (np.array([row[name] for row in sets.rows]) for name in ("fast", "slow"))
    before = peak_mb()
    tape = Tape.of(market_of(arrays))
    found = sweep(sets, tape, SETTINGS)
    ours = best_of(lambda: sweep(sets, tape, SETTINGS), ROUNDS)
    memory = peak_mb()
    out = np.empty(len(sets))
    bare = lambda: bare_sweep(arrays["open"], arrays["close"], fast, slow, COST, out)  # noqa: E731
    bare()
    against_bare, with_exits = [], []
    sweep(sets, tape, FULL)
    for _ in range(ROUNDS):
        floor, mine, full = seconds(bare), seconds(lambda: sweep(sets, tape, SETTINGS)), seconds(lambda: sweep(sets, tape, FULL))
        against_bare.append(mine / floor)
        with_exits.append(full / mine)
    far = float(np.abs(found["final_equity"].to_numpy() / out - 1.0).max())
    print(f"ours {ours[0]:.3f} s best, {memory:.0f} MB peak ({before:.0f} MB before any bar); largest distance of a final value "
          f"from the bare kernel's {far:.2e} (whole shares, whole cents)")  # fmt: skip
    tenth = slice(0, len(sets), 10)
    small = peer(VECTORBT.replace("ROUNDS", "2"), {**arrays, "fast": fast[tenth], "slow": slow[tenth]})
    theirs = peer(VECTORBT.replace("ROUNDS", "1"), {**arrays, "fast": fast, "slow": slow})
    print(f"vectorbt: 1,000 pairs {small['seconds'][0]:.2f} s, 10,000 pairs {theirs['seconds'][0]:.2f} s, "
          f"{theirs['peak_mb']:.0f} MB; its compilation, {theirs['compile']:.1f} s in every process, is left out")  # fmt: skip
    claim(
        "processor time of vectorbt over ours, 10,000 SMA pairs x 10,000 bars, ours with all figures (ours: range of rounds)",
        [theirs["seconds"][0] / one for one in ours], seed=SEED,
        over_bare_parallel_kernel=sorted(against_bare)[ROUNDS // 2],
        with_exits_and_sizing_over_plain=sorted(with_exits)[ROUNDS // 2],
        seconds=ours[ROUNDS // 2], peak_mb=memory, vectorbt_seconds=theirs["seconds"][0], vectorbt_peak_mb=theirs["peak_mb"],
        vectorbt_compile_seconds=theirs["compile"],
    )  # fmt: skip
