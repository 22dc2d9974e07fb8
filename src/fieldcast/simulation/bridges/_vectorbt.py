"""vectorbt (Apache-2.0 with Commons Clause: an optional extra, imported here alone and only when asked for)."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import polars as pl

from fieldcast.ground import MissingData
from fieldcast.simulation.bridges.job import FILLS, TRADES, Job, PeerRun


def play(job: Job) -> PeerRun:
    """The job in vectorbt: orders of the change of target, one bar later, at the open.

    Raises
    ------
    MissingData : it is not installed
    """
    try:
        import vectorbt as vbt
    except ImportError:
        raise MissingData("expected vectorbt, found none: pip install 'fieldcast[peers]'") from None
    import pandas as pd

    index = pd.DatetimeIndex(job.dates.astype("datetime64[ns]"))
    change = np.diff(job.target, prepend=0).astype(np.float64)
    size = np.concatenate(([0.0], change[:-1]))
    book = vbt.Portfolio.from_orders(
        close=pd.Series(job.close, index=index), size=pd.Series(np.where(size == 0.0, np.nan, size), index=index),
        price=pd.Series(job.open, index=index), fees=float(job.fee_share), init_cash=float(job.cash), freq="1D",
    )  # fmt: skip
    orders, closed = book.orders.values, book.trades.values
    closed = closed[closed["status"] == 1]
    fills = {
        "bar": orders["idx"], "side": np.where(orders["side"] == 0, 1, -1), "quantity": orders["size"], "price": orders["price"],
        "fee": orders["fees"],
    }  # fmt: skip
    sides = np.where(closed["direction"] == 0, 1, -1)
    trades = {
        "direction": sides, "entry_bar": closed["entry_idx"], "exit_bar": closed["exit_idx"], "quantity": closed["size"],
        "entry_price": closed["entry_price"], "exit_price": closed["exit_price"],
        "profit": sides * closed["size"] * (closed["exit_price"] - closed["entry_price"]),
    }  # fmt: skip
    return PeerRun(
        peer="vectorbt",
        version=version("vectorbt"),
        fills=pl.DataFrame({name: pl.Series(values).cast(FILLS[name]) for name, values in fills.items()}),
        trades=pl.DataFrame({name: pl.Series(values).cast(TRADES[name]) for name, values in trades.items()}).sort(
            "exit_bar", "entry_bar"
        ),
        equity=book.value().to_numpy(dtype=np.float64),
        own_trades=True,
    )
