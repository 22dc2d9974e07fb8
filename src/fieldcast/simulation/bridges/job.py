"""One job for every engine: bars, positions wanted after each bar, cash, a fee; and what an engine made of it.

The position wanted at the end of bar t is traded at the open of bar t+1, whole, at that open, for a fee of a share of the
value. That is the ground which all engines share; each bridge says in `Peer.convention` what had to be set for it to hold.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import IntegrityError, InvalidInput
from fieldcast.market import Instrument

Array = NDArray[np.float64]
FILLS: dict[str, pl.DataType] = {
    "bar": pl.Int64(),  # at whose open it was filled
    "side": pl.Int64(),  # 1 bought, -1 sold
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "fee": pl.Float64(),
}
TRADES: dict[str, pl.DataType] = {
    "direction": pl.Int64(),
    "entry_bar": pl.Int64(),
    "exit_bar": pl.Int64(),
    "quantity": pl.Float64(),
    "entry_price": pl.Float64(),
    "exit_price": pl.Float64(),
    "profit": pl.Float64(),  # before fees
}


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be played.

    Parameters
    ----------
    instrument : whose tick says how many decimals prices have
    dates : (T,) session of each bar, ascending
    open, high, low, close, volume : (T,)
    target : (T,) whole units wanted from the end of each bar on; 0 at the last, whose order could not fill
    cash : before the first bar
    fee_share : of the value of each fill

    Raises
    ------
    InvalidInput : shapes differ, or a number is not what it should be
    """

    instrument: Instrument
    dates: NDArray[np.datetime64]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    target: NDArray[np.int64]
    cash: Decimal
    fee_share: Decimal

    def __post_init__(self) -> None:
        dates = np.asarray(self.dates, dtype="datetime64[D]")
        object.__setattr__(self, "dates", dates)
        for name in ("open", "high", "low", "close", "volume"):
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            if values.shape != dates.shape or not np.isfinite(values).all() or not (values > 0.0).all():
                raise InvalidInput(
                    f"expected {dates.size} numbers above 0 for {name}, found shape {values.shape} or others among them"
                )
            object.__setattr__(self, name, values)
        target = np.asarray(self.target)
        if target.shape != dates.shape or not np.array_equal(target, np.trunc(target)):
            raise InvalidInput("expected whole units wanted after each bar")
        object.__setattr__(self, "target", target.astype(np.int64))
        if dates.size < 2 or (np.diff(dates) <= np.timedelta64(0, "D")).any():
            raise InvalidInput("expected at least two bars on ascending dates")
        if self.cash <= 0 or not 0 <= self.fee_share < 1:
            raise InvalidInput(f"expected cash above 0 and a fee share in [0, 1), found {self.cash} and {self.fee_share}")

    @property
    def bars(self) -> int:
        return self.dates.size

    @property
    def price_decimals(self) -> int:
        exponent = self.instrument.tick.normalize().as_tuple().exponent
        return max(-int(exponent), 0)

    def write(self, folder: Path) -> None:
        """`job.json` and `bars.csv`, as the runners of other environments read them."""
        plain = {"cash": float(self.cash), "fee_share": float(self.fee_share), "price_decimals": self.price_decimals}
        (folder / "job.json").write_text(json.dumps(plain))
        with (folder / "bars.csv").open("w", newline="") as handle:
            out = csv.writer(handle)
            out.writerow(("date", "open", "high", "low", "close", "volume", "target"))
            columns = (self.dates.astype(str), self.open, self.high, self.low, self.close, self.volume, self.target)
            out.writerows(zip(*(column.tolist() for column in columns), strict=True))


@dataclass(frozen=True, eq=False)
class PeerRun:
    """What an engine made of a job.

    Parameters
    ----------
    fills : columns of `FILLS`
    trades : closed round trips, columns of `TRADES`: the engine's own where it keeps them, else from its fills
    equity : (T,) at each close
    own_trades : whether `trades` are the engine's own
    """

    peer: str
    version: str
    fills: pl.DataFrame
    trades: pl.DataFrame
    equity: Array
    own_trades: bool


@dataclass(frozen=True)
class Peer:
    """An engine that can be asked.

    Parameters
    ----------
    distribution : its name on PyPI
    license : SPDX
    play : runs a job; raises `MissingData` where the engine is not there
    convention : what had to be set, or holds anyway, so that fills are at the next open
    fee_decimals : to which it rounds a fee; None = not at all
    """

    name: str
    distribution: str
    license: str
    play: Callable[[Job], PeerRun]
    convention: str
    fee_decimals: int | None = None


def round_trips(fills: pl.DataFrame) -> pl.DataFrame:
    """Closed round trips, first in first out, of the fills of one instrument in order; columns of `TRADES`, by exit.

    Pieces that open and close together with the same price are one trip.
    """
    queue: list[list[float]] = []  # side, bar, quantity left, price
    rows: list[dict[str, float]] = []
    for bar, side, quantity, price, _ in fills.select(list(FILLS)).iter_rows():
        left = float(quantity)
        while left > 0.0 and queue and queue[0][0] == -side:
            entry = queue[0]
            part = min(left, entry[2])
            same = {"entry_bar": entry[1], "exit_bar": bar, "entry_price": entry[3], "exit_price": price}
            profit = -side * part * (price - entry[3])
            if rows and all(rows[-1][name] == value for name, value in same.items()):
                rows[-1]["quantity"] += part
                rows[-1]["profit"] += profit
            else:
                rows.append({"direction": -side, "quantity": part, "profit": profit, **same})
            left -= part
            entry[2] -= part
            if entry[2] <= 0.0:
                queue.pop(0)
        if left > 0.0:
            queue.append([side, bar, left, price])
    return pl.DataFrame(rows, schema=TRADES)


def read_run(folder: Path, job: Job) -> PeerRun:
    """What a runner of another environment wrote.

    Raises
    ------
    IntegrityError : a date that is not of the job, or an equity that is missing
    """
    done = json.loads((folder / "done.json").read_text())
    place = {str(day): row for row, day in enumerate(job.dates.astype(str))}
    rows = []
    with (folder / "fills.csv").open() as handle:
        for row in csv.DictReader(handle):
            rows.append({"bar": _bar(place, row["date"]), "side": 1 if row["side"] == "BUY" else -1,
                         "quantity": float(row["quantity"]), "price": float(row["price"]), "fee": float(row["fee"])})  # fmt: skip
    equity = np.full(job.bars, np.nan)
    with (folder / "equity.csv").open() as handle:
        for row in csv.DictReader(handle):
            equity[_bar(place, row["date"])] = float(row["equity"])
    if np.isnan(equity).any():
        raise IntegrityError(
            f"expected the equity of {done['peer']} at every close, found none at {job.dates[int(np.isnan(equity).argmax())]}"
        )
    fills = pl.DataFrame(rows, schema=FILLS)
    return PeerRun(done["peer"], done["version"], fills, round_trips(fills), equity, own_trades=False)


def _bar(place: dict[str, int], day: str) -> int:
    if day not in place:
        raise IntegrityError(f"expected dates of the job, found {day}")
    return place[day]
