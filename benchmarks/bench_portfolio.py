"""500 symbols, ten years of days, rebalanced to equal weights each week with costs: the portfolio kernel beside two peers."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from _fast import COST, best_of, claim, peer

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.fast import FastSettings, run_portfolio
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Shortfall, VenueSettings
from fieldcast.trading import CostModel

COVERS = ("src/fieldcast/simulation/fast", "src/fieldcast/simulation/_kernels_fill.py")
SYMBOLS, DAYS, ROUNDS, SEED, DAY_US = 500, 2_520, 9, 7, 86_400_000_000
CASH = 10_000_000
COSTS = CostModel(half_spread_bps=Decimal(0), slippage_bps=Decimal(0), commission_bps=Decimal(str(COST * 1e4)))
VENUE = VenueSettings(cash={"USD": Decimal(CASH)}, shortfall=Shortfall.CUT, costs=COSTS)
VECTORBT = """
import vectorbt as vbt, pandas as pd
from vectorbt.portfolio.enums import SizeType
index = pd.date_range("2010-01-01", periods=data["close"].shape[1], freq="D")
close, opened = pd.DataFrame(data["close"].T, index), pd.DataFrame(data["open"].T, index)
size = np.full(close.shape, np.nan)
size[1:][data["weekly"][:-1]] = 0.98 / close.shape[1]
def run(close, opened, size):
    book = vbt.Portfolio.from_orders(close, size, size_type=SizeType.TargetPercent, price=opened, fees=COST, cash_sharing=True,
                                     group_by=True, call_seq="auto", init_cash=float(CASH), freq="D")
    return book.value().iloc[-1]
run(close.iloc[:20, :5], opened.iloc[:20, :5], size[:20, :5])
taken = []
for _ in range(3):
    started = time.process_time(); found = run(close, opened, size); taken.append(time.process_time() - started)
print(json.dumps({"seconds": sorted(taken), "value": float(found)}))
"""
BACKTRADER = """
import backtrader as bt, pandas as pd
index = pd.date_range("2010-01-01", periods=data["close"].shape[1], freq="D")
weekly = data["weekly"]
class Weekly(bt.Strategy):
    def next(self):
        if weekly[len(self) - 1]:
            for feed in self.datas:
                self.order_target_percent(feed, target=0.98 / len(self.datas))
engine = bt.Cerebro(stdstats=False)
engine.broker.setcash(float(CASH)); engine.broker.setcommission(commission=COST)
for n in range(data["close"].shape[0]):
    frame = pd.DataFrame({name: data[name][n] for name in ("open", "high", "low", "close")}, index).assign(volume=1.0)
    engine.adddata(bt.feeds.PandasData(dataname=frame))
engine.addstrategy(Weekly)
started = time.process_time(); engine.run(); taken = time.process_time() - started
print(json.dumps({"seconds": [taken], "value": float(engine.broker.getvalue())}))
"""


def panel() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(SEED)
    shape = (SYMBOLS, DAYS)
    close = np.round(np.maximum(50.0 * np.exp(np.cumsum(rng.normal(0.0002, 0.015, shape), axis=1)), 1.0), 2)
    opened = np.round(np.concatenate((close[:, :1], close[:, :-1]), axis=1) * (1.0 + rng.normal(0.0, 0.004, shape)), 2)
    return {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}


def filled(script: str) -> str:
    return script.replace("COST", str(COST)).replace("CASH", str(CASH))


if __name__ == "__main__":
    arrays = panel()
    weekly = np.arange(DAYS) % 5 == 4
    ts = (1_262_304_000_000_000 + np.arange(1, DAYS + 1) * DAY_US).astype(np.int64)
    names = tuple(Instrument(f"XNAS:S{n}", Kind.EQUITY, simulated=True) for n in range(SYMBOLS))
    market = Market(
        instruments=names, ts=ts, open_ts=ts - DAY_US, **arrays, volume=np.full((SYMBOLS, DAYS), np.nan),
        trusted_open=np.ones((SYMBOLS, DAYS), dtype=np.bool_),
    )  # fmt: skip
    table = np.full((SYMBOLS, DAYS), 0.98 / SYMBOLS)
    settings = FastSettings(venue=VENUE)
    result = run_portfolio(table, market, settings, rebalance=weekly)
    ours = best_of(lambda: run_portfolio(table, market, settings, rebalance=weekly).figures, ROUNDS)
    print(f"ours {ours[0] * 1e3:.1f} ms best, {result.figures['fills']} fills, final {result.figures['final_equity']:.2f}")
    vectorbt = peer(filled(VECTORBT), {**arrays, "weekly": weekly})
    print(f"vectorbt {vectorbt['seconds'][0]:.2f} s, final {vectorbt['value']:.2f}")
    backtrader = peer(filled(BACKTRADER), {**arrays, "weekly": weekly})
    print(f"backtrader {backtrader['seconds'][0]:.1f} s, final {backtrader['value']:.2f}")
    best = min(vectorbt["seconds"][0], backtrader["seconds"][0])
    claim(
        "processor time of the faster of vectorbt and backtrader over ours, 500 symbols x 2,520 days rebalanced weekly",
        [best / one for one in ours], seed=SEED, seconds=ours[ROUNDS // 2],
        vectorbt_seconds=vectorbt["seconds"][0], backtrader_seconds=backtrader["seconds"][0],
    )  # fmt: skip
