"""Play a job in LumiBot; run by the Python of an environment that has it: `python lumibot_runner.py FOLDER`.

Reads FOLDER/job.json and FOLDER/bars.csv, writes FOLDER/fills.csv, FOLDER/equity.csv and FOLDER/done.json. LumiBot iterates
once a day at the open, and fills a market order at the open of that day's bar: what was decided at the close before is sent
there. No vendor variable is read: every one of them is taken out of the environment before LumiBot is imported.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

VENDORS = ("ALPACA", "ALPHAVANTAGE", "BINANCE", "COINBASE", "DATABENTO", "IBKR", "INTERACTIVE_BROKERS", "KRAKEN", "POLYGON",
           "SCHWAB", "THETADATA", "TRADIER", "DATADOWNLOADER", "LUMIWEALTH", "TRADOVATE", "PROJECTX", "BITUNIX", "TRADING_BROKER",
           "DATA_SOURCE")  # fmt: skip


def play(folder: Path) -> None:
    for name in list(os.environ):
        if name.startswith(VENDORS):
            del os.environ[name]
    os.environ.update(IS_BACKTESTING="true", LUMIBOT_DISABLE_DOTENV="1", BACKTESTING_QUIET_LOGS="true")
    os.chdir(folder)
    import lumibot
    import pandas as pd
    from lumibot.backtesting import BacktestingBroker, PandasDataBacktesting
    from lumibot.entities import Asset, Data, TradingFee
    from lumibot.strategies import Strategy
    from lumibot.traders import Trader

    job = json.loads((folder / "job.json").read_text())
    rows = list(csv.DictReader((folder / "bars.csv").open()))
    frame = pd.DataFrame({name: [float(row[name]) for row in rows] for name in ("open", "high", "low", "close", "volume")})
    frame.index = pd.DatetimeIndex([row["date"] for row in rows]).tz_localize("America/New_York")
    wanted = {row["date"]: int(last["target"]) for last, row in pairwise(rows)}
    before = {row["date"]: last["date"] for last, row in pairwise(rows)}
    asset = Asset(symbol="SYMBOL", asset_type="stock")
    sent: dict[str, str] = {}
    fills: list[dict[str, Any]] = []
    equity: list[dict[str, Any]] = []

    class Targets(Strategy):  # type: ignore[misc]
        def initialize(self) -> None:
            self.sleeptime = "1D"
            self.set_market("NYSE")

        def on_trading_iteration(self) -> None:
            today = f"{self.get_datetime():%Y-%m-%d}"
            self.note(today)
            position = self.get_position(asset)
            change = wanted.get(today, 0) - (0 if position is None else int(position.quantity))
            if today in wanted and change:
                order = self.create_order(asset, abs(change), "buy" if change > 0 else "sell")
                sent[order.identifier] = today  # the fill is told a day later, by a clock that has moved on
                self.submit_order(order)

        def on_filled_order(self, position: Any, order: Any, price: Any, quantity: Any, multiplier: Any) -> None:
            side = "BUY" if str(order.side).lower().startswith("buy") else "SELL"
            fee = float(price) * float(quantity) * job["fee_share"] if order.trade_cost is None else float(order.trade_cost)
            when = sent[order.identifier]
            fills.append({"date": when, "side": side, "quantity": float(quantity), "price": float(price), "fee": fee})

        def note(self, today: str) -> None:
            """What was held at the close before, before anything is sent today."""
            position = self.get_position(asset)
            if today in before:
                held = 0.0 if position is None else float(position.quantity)
                equity.append({"date": before[today], "cash": float(self.cash), "quantity": held})

        def on_strategy_end(self) -> None:
            position = self.get_position(asset)
            held = 0.0 if position is None else float(position.quantity)
            equity.append({"date": rows[-1]["date"], "cash": float(self.cash), "quantity": held})

    fee = TradingFee(percent_fee=job["fee_share"])
    source = PandasDataBacktesting(
        pandas_data={asset: Data(asset, frame, timestep="day")},
        datetime_start=frame.index[0].to_pydatetime(),
        datetime_end=(frame.index[-1] + pd.Timedelta(days=1)).to_pydatetime(),
    )
    strategy = Targets(
        broker=BacktestingBroker(source),
        budget=job["cash"],
        buy_trading_fees=[fee],
        sell_trading_fees=[fee],
        benchmark_asset=None,
        analyze_backtest=False,
        risk_free_rate=0.0,
    )
    trader = Trader(backtest=True)
    trader.add_strategy(strategy)
    trader.run_all(show_plot=False, show_tearsheet=False, show_indicators=False, save_tearsheet=False)
    close = {row["date"]: float(row["close"]) for row in rows}
    _write(folder / "fills.csv", ("date", "side", "quantity", "price", "fee"), fills)
    worth = [{"date": row["date"], "equity": row["cash"] + row["quantity"] * close[row["date"]]} for row in equity]
    _write(folder / "equity.csv", ("date", "equity"), worth)
    (folder / "done.json").write_text(json.dumps({"peer": "lumibot", "version": getattr(lumibot, "__version__", "unknown")}))


def _write(path: Path, names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    play(Path(sys.argv[1]).resolve())
