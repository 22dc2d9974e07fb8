"""SMA cross on 1 M one-minute bars with fees and next-open fills: the full venue beside vectorbt, backtesting.py and
the bare kernel.

Ours keeps every order, fill, posting of the journal and point of the curve, in whole lots and cents; averages are sums of whole
cents, so that ties are exact. The claim is on a market made before, as the peers' frames are; beside it stands ours from raw
arrays, which checks the bars and finds their units too. vectorbt and backtesting.py run in an environment of their own (see
`_fast.py`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from _fast import COST, bare_cross, best_of, claim, market_of, peak_mb, peer, prices, seconds
from numba import njit

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.events_run import Now, run_events
from fieldcast.simulation.market import Market
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import Shortfall, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel

COVERS = ("src/fieldcast/simulation",)
BARS, FAST, SLOW, ROUNDS, SEED = 1_000_000, 20, 50, 7, 7
FEES = CostModel(half_spread_bps=Decimal(0), slippage_bps=Decimal(0), commission_bps=Decimal(str(COST * 1e4)))
WALK = Instrument("XNAS:WALK", Kind.EQUITY, simulated=True)
SETTINGS = VenueSettings(cash={"USD": Decimal(1_000_000_000)}, costs=FEES, shortfall=Shortfall.CUT)
VECTORBT = """
import vectorbt as vbt, pandas as pd
close, opened = pd.Series(data["close"]), pd.Series(data["open"])
def run(close, opened):
    above = vbt.MA.run(close, FAST).ma.values > vbt.MA.run(close, SLOW).ma.values
    entries, exits = np.zeros(len(close), bool), np.zeros(len(close), bool)
    entries[1:], exits[1:] = above[:-1], ~above[:-1]
    book = vbt.Portfolio.from_signals(close, entries, exits, price=opened, fees=COST, init_cash=1e9, freq="1min")
    return book.value().values[-1], len(book.orders.records)
started = time.perf_counter(); run(close[:5000], opened[:5000]); compiled = time.perf_counter() - started
taken = []
for _ in range(ROUNDS):
    started = time.perf_counter(); value, orders = run(close, opened); taken.append(time.perf_counter() - started)
print(json.dumps({"seconds": sorted(taken), "compile": compiled, "orders": orders, "value": float(value)}))
"""
BACKTESTING = """
import pandas as pd
from backtesting import Backtest, Strategy
class Cross(Strategy):
    def init(self):
        mean = lambda values, n: pd.Series(values).rolling(n).mean().to_numpy()
        self.fast = self.I(mean, self.data.Close, FAST)
        self.slow = self.I(mean, self.data.Close, SLOW)
    def next(self):
        if self.fast[-1] > self.slow[-1]:
            if not self.position: self.buy()
        elif self.position: self.position.close()
frame = pd.DataFrame({"Open": data["open"], "High": data["high"], "Low": data["low"], "Close": data["close"]},
                     index=pd.date_range("2020-01-01", periods=len(data["open"]), freq="1min"))
test = Backtest(frame, Cross, cash=1e9, commission=COST)
started = time.perf_counter(); found = test.run(); taken = time.perf_counter() - started
print(json.dumps({"seconds": [taken], "trades": int(found["# Trades"]), "value": float(found["Equity Final [$]"])}))
"""


@njit(cache=True)
def above(close: np.ndarray) -> np.ndarray:
    """1.0 where the fast mean lies above the slow one, in exact arithmetic on cents."""
    found, quick, late = np.zeros(close.size), 0, 0
    for t in range(close.size):
        cents = int(round(close[t] * 100.0))  # noqa: RUF046 - compiled, round gives a float
        quick, late = quick + cents, late + cents
        if t >= FAST:
            quick -= int(round(close[t - FAST] * 100.0))  # noqa: RUF046
        if t >= SLOW:
            late -= int(round(close[t - SLOW] * 100.0))  # noqa: RUF046
        if t >= SLOW - 1 and quick * SLOW > late * FAST:
            found[t] = 1.0
    return found


def filled(script: str) -> str:
    """A peer's script with this benchmark's figures."""
    for name, value in {"FAST": FAST, "SLOW": SLOW, "COST": COST, "ROUNDS": ROUNDS}.items():
        script = script.replace(name, str(value))
    return script


def targets(arrays: dict[str, np.ndarray], ts: np.ndarray) -> SimulationResult:
    """From arrays to the result: market, scales and averages included."""
    market = Market.of_arrays(WALK, ts, *(arrays[name] for name in ("open", "high", "low", "close")))
    return run_targets(above(arrays["close"]), market, SETTINGS)


class Cross:
    """The same as an event strategy that holds a fixed number of shares."""

    held = False

    def indicators(self, bars: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"above": above(bars["close"])}

    def on_bar(self, now: Now) -> None:
        wanted = now["above"] > 0.0
        if wanted and not now.position():
            if not self.held:
                now.buy(1000)
            self.held = True
        elif not wanted and self.held:
            now.sell(1000)
            self.held = False


def events(market: Market) -> SimulationResult:
    return run_events(Cross(), market, SETTINGS)


if __name__ == "__main__":
    arrays: dict[str, Any] = prices(BARS, SEED)
    market = market_of(arrays)
    ts = market.ts
    result = targets(arrays, ts)
    events(market.between(0, 5_000))
    bare = lambda: bare_cross(arrays["open"], arrays["close"], FAST, SLOW, COST)  # noqa: E731
    bare()
    ours = best_of(lambda: targets(arrays, ts), ROUNDS)
    kernel = best_of(lambda: run_targets(above(arrays["close"]), market, SETTINGS), ROUNDS)
    floor, evented = best_of(bare, ROUNDS), best_of(lambda: events(market), 3)
    tables = seconds(lambda: (result.orders, result.fills, result.journal, result.trades, result.equity))
    theirs, slower = peer(filled(VECTORBT), arrays), peer(filled(BACKTESTING), arrays)
    middle = ours[ROUNDS // 2]
    print(f"ours {middle * 1e3:.1f} ms from arrays, {kernel[ROUNDS // 2] * 1e3:.1f} ms on a market made before, "
          f"{len(result.fill_rows)} fills, {len(result.journal_rows)} postings; all tables {tables * 1e3:.0f} ms; on_bar "
          f"{evented[1]:.2f} s")  # fmt: skip
    print(f"vectorbt {theirs['seconds'][ROUNDS // 2]:.3f} s ({theirs['orders']} orders), backtesting.py "
          f"{slower['seconds'][0]:.1f} s ({slower['trades']} trades), bare kernel {floor[ROUNDS // 2] * 1e3:.1f} ms")  # fmt: skip
    made = kernel[ROUNDS // 2]
    claim(
        "time of vectorbt over ours, SMA cross, 1 M bars, full orders, fills and journal, on bars that each engine has in its "
        "own form before the clock starts", [
            one / two for one, two in zip(theirs["seconds"], kernel, strict=True)
        ], seed=SEED, ours_seconds=made, from_arrays_seconds=middle,
        vectorbt_seconds=theirs["seconds"][ROUNDS // 2],
        vectorbt_compile_seconds=theirs["compile"], backtesting_seconds=slower["seconds"][0],
        backtesting_over_ours=slower["seconds"][0] / made,
        vectorbt_over_ours_from_arrays=float(np.median([one / two for one, two in zip(theirs["seconds"], ours, strict=True)])),
        backtesting_over_ours_from_arrays=slower["seconds"][0] / middle, on_bar_seconds=evented[1],
        backtesting_over_on_bar=slower["seconds"][0] / evented[1], over_bare_kernel=made / floor[ROUNDS // 2],
        peak_mb=peak_mb(),
        fills=len(result.fill_rows),
    )  # fmt: skip
