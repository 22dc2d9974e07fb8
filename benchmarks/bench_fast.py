"""An SMA cross on one million one-minute bars: the fast engine beside vectorbt, backtesting.py and a bare sequential kernel.

Ours ends with an equity curve, every fill and all figures in whole cents and lots; the bare kernel with one number, and a second
one with the curve and the sums of the figures too. The market is made once before the clocks start, as the peers' data frames
are. Claimed is a run on a tape whose closes are whole numbers already. Beside it stand the first such run on a part of it, which
is held against the peers, and the first run on a market of which no tape was made: it turns closes into whole numbers too.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from _fast import COST, bare_cross, bare_cross_figures, best_of, claim, market_of, peak_mb, peer, prices, seconds

from fieldcast.simulation.fast import FastSettings, ParameterSets, Tape, arrays_of, run_fast, run_rule
from fieldcast.simulation.settings import Shortfall, VenueSettings
from fieldcast.strategy.catalogue import strategy
from fieldcast.trading import CostModel

COVERS = ("src/fieldcast/simulation/fast", "src/fieldcast/simulation/_kernels_fill.py")
BARS, ROUNDS, SEED, FAST, SLOW = 1_000_000, 9, 7, 100, 400
COSTS = CostModel(half_spread_bps=Decimal(0), slippage_bps=Decimal(0), commission_bps=Decimal(str(COST * 1e4)))
SETTINGS = FastSettings(venue=VenueSettings(shortfall=Shortfall.CUT, costs=COSTS), periods_per_year=98_280.0)
VECTORBT = """
import vectorbt as vbt, pandas as pd
index = pd.date_range("2020-01-01", periods=len(data["close"]), freq="1min")
close, opened = pd.Series(data["close"], index), pd.Series(data["open"], index)
def run(close, opened):
    above = (vbt.MA.run(close, FAST).ma > vbt.MA.run(close, SLOW).ma).shift(1, fill_value=False)
    book = vbt.Portfolio.from_signals(close, above, ~above, price=opened, fees=COST, init_cash=100_000.0, freq="1min")
    return book.value().iloc[-1], book.orders.count(), book.max_drawdown(), book.sharpe_ratio()
run(close[:1000], opened[:1000])
taken = []
for _ in range(5):
    started = time.process_time(); found = run(close, opened); taken.append(time.process_time() - started)
print(json.dumps({"seconds": sorted(taken), "value": float(found[0]), "orders": int(found[1])}))
"""
BACKTESTING = """
import pandas as pd, warnings
warnings.simplefilter("ignore")
from backtesting import Backtest, Strategy
index = pd.date_range("2020-01-01", periods=len(data["close"]), freq="1min")
frame = pd.DataFrame({name.capitalize(): data[name] for name in ("open", "high", "low", "close")}, index)
mean = lambda values, n: pd.Series(values).rolling(n).mean()
class Cross(Strategy):
    def init(self):
        self.quick, self.late = self.I(mean, self.data.Close, FAST), self.I(mean, self.data.Close, SLOW)
    def next(self):
        if self.quick[-1] > self.late[-1]:
            if not self.position:
                self.buy()
        elif self.position:
            self.position.close()
book = Backtest(frame, Cross, cash=100_000, commission=COST, finalize_trades=True)
started = time.process_time(); found = book.run(); taken = time.process_time() - started
print(json.dumps({"seconds": [taken], "value": float(found["Equity Final [$]"]), "trades": int(found["# Trades"])}))
"""


def filled(script: str) -> str:
    return script.replace("FAST", str(FAST)).replace("SLOW", str(SLOW)).replace("COST", str(COST))


if __name__ == "__main__":
    arrays = prices(BARS, SEED, sigma=0.0005)
    market = market_of(arrays)
    tape = Tape.of(market)
    rule = strategy("sma_cross", fast=FAST, slow=SLOW)
    view = arrays_of(tape)

    sets = ParameterSets.of("sma_cross", [{"fast": FAST, "slow": SLOW}])

    def ours(on: Tape = tape) -> float:
        """Averages, trades, equity curve and figures."""
        result = run_rule(sets, on, SETTINGS)
        result.equity_minor  # noqa: B018
        return float(result.figures["final_equity"])

    def first_run() -> float:
        """The same on a tape that has no sums yet."""
        return ours(tape.between(0, BARS))

    def new_tape() -> float:
        """The same on a tape of which nothing was made."""
        return ours(Tape(market, 0, tape.units, 0, BARS))

    targets = rule.targets(view)

    def kernel_alone() -> float:
        """The same from a target array that is there: what a strategy of one's own costs besides itself."""
        result = run_fast(targets, tape, SETTINGS)
        result.equity_minor  # noqa: B018
        return float(result.figures["final_equity"])

    bare = lambda: bare_cross(arrays["open"], arrays["close"], FAST, SLOW, COST)  # noqa: E731

    def bare_figures() -> float:
        return float(bare_cross_figures(arrays["open"], arrays["close"], FAST, SLOW, COST, np.empty(BARS), np.empty(7)))

    ours(), kernel_alone(), new_tape(), bare(), bare_figures()
    whole, firsts, news, alone, floors, full = [], [], [], [], [], []
    for _ in range(ROUNDS):
        floor = seconds(bare)
        floors.append(floor)
        whole.append(seconds(ours) / floor)
        firsts.append(seconds(first_run) / floor)
        news.append(seconds(new_tape) / floor)
        alone.append(seconds(kernel_alone) / floor)
        full.append(seconds(bare_figures) / floor)
    mine, first = best_of(ours, ROUNDS), best_of(first_run, ROUNDS)
    result = run_fast(targets, tape, SETTINGS)
    print(f"ours {first[0] * 1e3:.1f} ms best the first time and {mine[0] * 1e3:.1f} ms later ({result.figures['fills']} fills), "
          f"{np.median(news):.1f} times the bare kernel on a new tape; bare kernel {min(floors) * 1e3:.1f} ms, with curve and "
          f"figures {np.median(full):.1f} times that; final equity {ours():.2f}, bare {bare():.2f} and {bare_figures():.2f}; "
          f"{peak_mb():.0f} MB")  # fmt: skip
    vectorbt = peer(filled(VECTORBT), arrays)
    print(f"vectorbt {vectorbt['seconds'][0]:.3f} s, {vectorbt['orders']} orders, final {vectorbt['value']:.2f}")
    backtesting = peer(filled(BACKTESTING), arrays)
    print(f"backtesting.py {backtesting['seconds'][0]:.2f} s, {backtesting['trades']} trades, final {backtesting['value']:.2f}")
    middle = first[ROUNDS // 2]
    claim(
        "processor time of ours over the bare sequential kernel, SMA cross on 1 M bars (averages, "
        "fills, equity curve, figures)",
        whole, seed=SEED, first_run_over_bare=float(np.median(firsts)), from_targets_over_bare=float(np.median(alone)),
        bare_with_figures_over_bare=float(np.median(full)), over_vectorbt=vectorbt["seconds"][2] / middle,
        over_backtesting=backtesting["seconds"][0] / middle, seconds=mine[ROUNDS // 2],
        first_run_seconds=middle, new_tape_over_bare=float(np.median(news)),
        bare_seconds=float(np.median(floors)),
        vectorbt_seconds=vectorbt["seconds"][2], backtesting_seconds=backtesting["seconds"][0],
    )  # fmt: skip
