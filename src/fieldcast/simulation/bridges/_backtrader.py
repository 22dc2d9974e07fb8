"""backtrader (GPL-3.0: an optional extra, imported here alone and only when asked for)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.simulation.bridges.job import FILLS, TRADES, Job, PeerRun


def play(job: Job) -> PeerRun:
    """The job in backtrader.

    Raises
    ------
    MissingData : it is not installed
    """
    try:
        import backtrader as bt
    except ImportError:
        raise MissingData("expected backtrader, found none: pip install 'fieldcast[peers]'") from None
    import pandas as pd

    frame = pd.DataFrame({"open": job.open, "high": job.high, "low": job.low, "close": job.close, "volume": job.volume},
                         index=pd.DatetimeIndex(job.dates.astype("datetime64[ns]")))  # fmt: skip
    fills: list[dict[str, Any]] = []
    trades: list[dict[str, Any]] = []
    equity = np.full(job.bars, np.nan)

    class Targets(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.wanted = 0

        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed:
                done = order.executed
                bar = len(self.data) - 1
                fills.append(
                    {
                        "bar": bar,
                        "side": 1 if done.size > 0 else -1,
                        "quantity": abs(done.size),
                        "price": done.price,
                        "fee": done.comm,
                    }
                )
            elif order.status in (order.Margin, order.Rejected):
                raise InvalidInput(
                    f"expected cash enough for every order of the job, found one refused at bar {len(self.data) - 1}"
                )

        def notify_trade(self, trade: Any) -> None:
            if trade.isclosed:
                size = trade.history[0].event.size
                entry, leave = trade.history[0].event.price, trade.history[-1].event.price
                trades.append({
                    "direction": 1 if size > 0 else -1, "entry_bar": trade.baropen - 1, "exit_bar": trade.barclose - 1,
                    "quantity": abs(size), "entry_price": entry, "exit_price": leave, "profit": trade.pnl,
                })  # fmt: skip

        def next(self) -> None:
            bar = len(self.data) - 1
            equity[bar] = self.broker.getvalue()
            change = int(job.target[bar]) - self.wanted
            if change > 0:
                self.buy(size=change)
            elif change < 0:
                self.sell(size=-change)
            self.wanted += change

    engine = bt.Cerebro(stdstats=False, tradehistory=True)
    engine.adddata(bt.feeds.PandasData(dataname=frame))
    engine.broker.setcash(float(job.cash))
    engine.broker.setcommission(commission=float(job.fee_share), leverage=50.0)
    engine.addstrategy(Targets)
    engine.run()
    return PeerRun(
        peer="backtrader",
        version=version("backtrader"),
        fills=pl.DataFrame(fills, schema=FILLS),
        trades=pl.DataFrame(trades, schema=TRADES),
        equity=equity,
        own_trades=True,
    )
