"""backtesting.py (AGPL-3.0: an optional extra, imported here alone and only when asked for)."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
import polars as pl

from fieldcast.ground import MissingData
from fieldcast.simulation.bridges.job import FILLS, TRADES, Job, PeerRun


def play(job: Job) -> PeerRun:
    """The job in backtesting.py.

    Raises
    ------
    MissingData : it is not installed
    """
    try:
        from backtesting import Backtest, Strategy
    except ImportError:
        raise MissingData("expected backtesting.py, found none: pip install 'fieldcast[peers]' (it is under the AGPL)") from None
    import pandas as pd

    frame = pd.DataFrame({"Open": job.open, "High": job.high, "Low": job.low, "Close": job.close, "Volume": job.volume},
                         index=pd.DatetimeIndex(job.dates.astype("datetime64[ns]")))  # fmt: skip
    target = job.target

    class Targets(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.wanted = 0

        def next(self) -> None:
            change = int(target[len(self.data) - 1]) - self.wanted
            if change > 0:
                self.buy(size=change)
            elif change < 0:
                self.sell(size=-change)
            self.wanted += change

    # 0.02 of margin only lifts the limit on what a position may be worth: whether an order is affordable is not compared here
    share = float(job.fee_share)
    backtest = Backtest(
        frame, Targets, cash=float(job.cash), commission=share, margin=0.02, trade_on_close=False, exclusive_orders=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        stats = backtest.run()
    closed = stats["_trades"]
    rows = [
        {"direction": int(np.sign(row.Size)), "entry_bar": int(row.EntryBar), "exit_bar": int(row.ExitBar),
         "quantity": float(abs(row.Size)), "entry_price": float(row.EntryPrice), "exit_price": float(row.ExitPrice),
         "profit": float(row.Size * (row.ExitPrice - row.EntryPrice))}
        for row in closed.itertuples()
    ]  # fmt: skip
    held = stats["_strategy"].trades
    legs = [(int(row.EntryBar), float(row.Size), float(row.EntryPrice)) for row in closed.itertuples()]
    legs += [(int(row.ExitBar), -float(row.Size), float(row.ExitPrice)) for row in closed.itertuples()]
    legs += [(int(trade.entry_bar), float(trade.size), float(trade.entry_price)) for trade in held]
    fills: dict[tuple[int, float], float] = {}  # its trades are halves of fills: those of one bar and price belong together
    for bar, size, price in legs:
        fills[bar, price] = fills.get((bar, price), 0.0) + size
    done = [
        {"bar": bar, "side": 1 if size > 0 else -1, "quantity": abs(size), "price": price, "fee": abs(size) * price * share}
        for (bar, price), size in sorted(fills.items()) if size
    ]  # fmt: skip
    return PeerRun(
        peer="backtesting.py",
        version=version("backtesting"),
        fills=pl.DataFrame(done, schema=FILLS),
        trades=pl.DataFrame(rows, schema=TRADES).sort("exit_bar", "entry_bar"),
        equity=stats["_equity_curve"]["Equity"].to_numpy(dtype=np.float64),
        own_trades=True,
    )
