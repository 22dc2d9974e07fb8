"""The contracts that a simulated market lists at a moment: arrays ordered by expiry, strike and right, puts first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.chains import osi_of
from fieldcast.data.simulated.listings import Expiry
from fieldcast.market import STAMP

Integers = NDArray[np.int64]
NEVER = np.iinfo(np.int64).min  # µs: not traded yet


@dataclass(frozen=True)
class ListedExpiries:
    """All expiries of a history, ascending by their last moment; m of them.

    Parameters
    ----------
    moment : (m,) µs since 1970, the true last moments
    clock : (m,) the same in sessions of business time from the start of the history
    last_session : (m,) number of the last session in which the contracts trade
    """

    items: tuple[Expiry, ...]
    roots: tuple[str, ...]
    moment: Integers
    clock: NDArray[np.float64]
    last_session: NDArray[np.float64]

    def alive(self, day: date) -> list[int]:
        """Those that trade in the session of a day."""
        return [
            place for place, item in enumerate(self.items)
            if item.listed <= day and (day <= item.day if item.settlement == "PM" else day < item.day)
        ]  # fmt: skip


class Board:
    """Contracts with customers' positions and their last trade; arrays (n,).

    Attributes
    ----------
    id : OSI symbols
    expiry : place among the `ListedExpiries`
    thousandths : strikes; `strike` in price units
    long, short : customers' positions in contracts
    volume : traded since the session's open, as last seen
    last, last_ts : price and time of the last trade seen
    """

    def __init__(self, listed: ListedExpiries) -> None:
        self.listed = listed
        self.id = np.empty(0, dtype="<U21")
        self.expiry, self.thousandths = np.empty(0, np.int64), np.empty(0, np.int64)
        self.is_call = np.empty(0, np.bool_)
        self.long, self.short = np.empty(0, np.int64), np.empty(0, np.int64)
        self.volume, self.last = np.empty(0), np.empty(0)
        self.last_ts = np.empty(0, np.int64)

    @property
    def strike(self) -> NDArray[np.float64]:
        return self.thousandths / 1000

    def add(self, alive: Sequence[int], ladders: Sequence[Integers]) -> NDArray[np.bool_]:
        """List what is not listed yet, in both rights; (n,) which contracts are new. Volume starts again from zero."""
        places, strikes = [], []
        edges = np.searchsorted(self.expiry, [*alive, *(place + 1 for place in alive)]).reshape(2, -1)
        for number, (place, wanted) in enumerate(zip(alive, ladders, strict=True)):
            held = self.thousandths[edges[0, number] : edges[1, number]]
            strikes.append(np.setdiff1d(wanted, held))
            places.append(np.full(strikes[-1].size, place, np.int64))
        expiry = np.repeat(np.concatenate(places), 2) if places else np.empty(0, np.int64)
        thousandths = np.repeat(np.concatenate(strikes), 2) if strikes else np.empty(0, np.int64)
        is_call = np.arange(expiry.size) % 2 == 1
        zero = np.zeros(expiry.size, np.int64)
        fresh = {
            "id": self._symbols(expiry, thousandths, is_call), "expiry": expiry, "thousandths": thousandths, "is_call": is_call,
            "long": zero, "short": zero, "volume": np.zeros(expiry.size), "last": np.full(expiry.size, np.nan),
            "last_ts": np.full(expiry.size, NEVER),
        }  # fmt: skip
        new = np.concatenate([np.zeros(self.expiry.size, np.bool_), np.ones(expiry.size, np.bool_)])
        for name, values in fresh.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))
        order = np.lexsort((self.is_call, self.thousandths, self.expiry))
        for name in fresh:
            setattr(self, name, getattr(self, name)[order])
        self.volume[:] = 0.0
        return np.asarray(new[order])

    def settle(self, long: Integers, short: Integers) -> None:
        """Customers' positions after trading."""
        self.long, self.short = long.astype(np.int64), short.astype(np.int64)

    def drop(self, moment: datetime) -> None:
        """Take away what has expired by then."""
        kept = self.listed.moment[self.expiry] > round(moment.timestamp() * 1e6)
        for name in ("id", "expiry", "thousandths", "is_call", "long", "short", "volume", "last", "last_ts"):
            setattr(self, name, getattr(self, name)[kept])

    def print(self, rows: Integers, volume: NDArray[np.float64], price: NDArray[np.float64], ts: int) -> None:
        """Trades since the last look, at these prices."""
        traded = rows[volume > self.volume[rows]]
        at = price[volume > self.volume[rows]]
        self.last[traded], self.last_ts[traded] = at, ts
        self.volume[rows] = volume

    def frame(self, rows: Integers) -> pl.DataFrame:
        """Identity and last trade of contracts."""
        of = self.expiry[rows]
        settlement, places = pl.Series([item.settlement for item in self.listed.items], dtype=pl.String), pl.Series(of)
        right = pl.Series(["put", "call"]).gather(pl.Series(self.is_call[rows].astype(np.int64)))
        never = self.last_ts[rows] == NEVER
        moments = {"expiry_ts": self.listed.moment[of], "last_ts": self.last_ts[rows]}
        return pl.DataFrame({
            "contract_id": self.id[rows],
            "root": pl.Series(self.listed.roots, dtype=pl.String).gather(places), "strike": self.strike[rows],
            "right": right, "settlement": settlement.gather(places), "last": self.last[rows],
            "never": never, **moments,
        }).with_columns(
            pl.col("expiry_ts").cast(STAMP),
            last=pl.when(~pl.col("never")).then("last"), last_ts=pl.when(~pl.col("never")).then("last_ts").cast(STAMP),
        )  # fmt: skip

    def _symbols(self, expiry: Integers, thousandths: Integers, is_call: NDArray[np.bool_]) -> NDArray[np.str_]:
        if not expiry.size:
            return np.empty(0, dtype="<U21")
        days = [self.listed.items[place].day for place in expiry]
        frame = pl.DataFrame({
            "root": [self.listed.roots[place] for place in expiry], "expiry": pl.Series(days, dtype=pl.Date),
            "right": np.where(is_call, "call", "put"), "strike": thousandths / 1000,
        })  # fmt: skip
        return osi_of(frame).to_numpy().astype("<U21")
