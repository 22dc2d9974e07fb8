"""A plan with [options] on the venue: the shares by the strategies' targets, the structures by their schedule.

At the end of a bar, in this order: a target that changed sends the order for what is missing to it; what is due to be closed is
ordered back, short legs first; what is due to be opened is ordered, long legs first, so that they cover the short ones. Covered
structures wait until there are shares. Shares that cover one are sold once it has been bought back, which is at a later quote.
What the venue refuses is on record and is not sent again. An order that never filled, and a structure that was never ordered, are
named among the notes of the result, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.market import STAMP, Instrument
from fieldcast.simulation.events_run import Now, run_events
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import VenueSettings
from fieldcast.trading import Side
from fieldcast.workflows._option_sections import contract_name
from fieldcast.workflows.backtest_chain import ChainRun, Held
from fieldcast.workflows.backtest_data import BacktestData

Array = npt.NDArray[np.float64]
MOST_NAMED = 6      # orders in the notes of a result
_ENDED = {"cancelled": "was withdrawn", "expired": "expired", "replaced": "was replaced"}


class OptionPlay:
    """What `run_events` calls.

    Parameters
    ----------
    wanted : (N, T) targets of the market's instruments, as shares of the equity
    every_bar : a target is held at its share after every bar; else it is acted on when it changes
    """

    def __init__(self, data: BacktestData, chain: ChainRun, wanted: Array, *, every_bar: bool) -> None:
        market = data.market
        self._market, self._chain, self._wanted, self._every_bar = market, chain, wanted, every_bar
        options = {one.id for one in chain.instruments}
        self._rows = [n for n, one in enumerate(market.instruments) if one.id not in options]
        if not chain.part.shares:
            self._rows.remove(market.row(chain.underlying))
        self._last = np.zeros(len(market.instruments))
        at = {int(ts): t for t, ts in enumerate(market.ts)}
        self._opens: Mapping[int, Held] = {at[int(chain.ts[held.opened])]: held for held in chain.schedule}
        self._closes: Mapping[int, Held] = {
            at[int(chain.ts[held.closed])]: held for held in chain.schedule if held.closed is not None
        }
        self._waiting: Held | None = None
        self._open: Held | None = None
        self._unordered: dict[int, tuple[Held, str]] = {}  # by the bar at which it was found: why it has not been ordered

    def on_bar(self, now: Now) -> None:
        """Act on what is known at the end of a bar."""
        expected = self._trade_targets(now)
        due = self._closes.get(now.t)
        if due is not None:
            self._close(now, due)
        self._waiting = self._opens.get(now.t, None if due is not None else self._waiting)
        held = self._waiting
        if held is None:
            return
        if now.ts >= held.expires_at.timestamp() * 1e6:
            self._waiting = None
            return
        count = self._count(now, held, expected)
        if count < 1:
            covered = self._chain.part.covered
            why = "too few shares were held to cover one" if covered else "one is more than that share of the equity"
            self._unordered[held.opened] = held, why
            if not covered:
                self._waiting = None
            return
        self._unordered.pop(held.opened, None)
        for name, ratio in sorted(held.legs, key=lambda leg: -leg[1]):
            now.order(Side.BUY if ratio > 0 else Side.SELL, abs(ratio) * count, name)
        self._waiting, self._open = None, held

    # -- the shares --------------------------------------------------------------------------------------------------

    def _trade_targets(self, now: Now) -> float:
        """Order what is missing to the targets; the units of the underlying that will then be held."""
        under, later = self._market.row(self._chain.underlying), 0.0
        for n in self._rows:
            close, target = float(self._market.close[n, now.t]), float(self._wanted[n, now.t])
            if not close > 0.0 or (target == self._last[n] and not (self._every_bar and target)):
                continue
            one = self._market.instruments[n]
            lot = float(one.lot)
            lots = math.trunc(target * now.equity / (close * float(one.multiplier) * lot))
            missing = lots - round((now.position(one.id) + self._pending(now, one.id)) / lot)
            if n == under and missing < 0 and self._uncovers(now, now.position(one.id) + missing * lot):
                later = missing * lot
                continue  # asked again at the next bar
            self._last[n] = target
            if missing == 0:
                continue
            now.order(Side.BUY if missing > 0 else Side.SELL, one.lot * abs(missing), one.id)
        name = self._chain.underlying
        return now.position(name) + self._pending(now, name) + later

    def _uncovers(self, now: Now, shares: float) -> bool:
        """True while so many shares would not cover the short calls, which are then ordered back: until then the shares stay."""
        if not self._chain.part.covered:
            return False
        calls = {term.instrument for term in self._chain.terms if term.right == "call"}
        lots = {one: now.position(one.id) for one in self._chain.instruments if one.id in calls}
        coming = {one: held + self._pending(now, one.id) for one, held in lots.items()}
        if self._open is not None and shares < self._needed(coming):
            self._close(now, self._open)
        return shares < self._needed(lots)

    @staticmethod
    def _needed(lots: Mapping[Instrument, float]) -> float:
        """Shares that cover short calls."""
        return sum(max(-held, 0.0) * float(one.multiplier) for one, held in lots.items())

    def _pending(self, now: Now, name: str) -> float:
        """Units that working orders of an instrument are for."""
        views = [now.order_state(number) for number in now.working()]
        return sum(
            float(one.left) * (1 if one.ticket.side is Side.BUY else -1) for one in views if one.ticket.instrument == name
        )

    # -- the structures ----------------------------------------------------------------------------------------------

    def _count(self, now: Now, held: Held, expected: float) -> int:
        """How many of the structure are opened."""
        part = self._chain.part
        if part.contracts is not None:
            return part.contracts
        if part.notional is not None:
            return math.floor(part.notional * now.equity / (held.strike * held.multiplier))
        calls = -sum(min(ratio, 0) for (_, ratio), leg in zip(held.legs, part.legs, strict=True) if leg.right == "call")
        return math.floor(expected / (held.multiplier * calls))

    def _close(self, now: Now, held: Held) -> None:
        """Withdraw what still works of a structure and order back what is held of it, short legs first."""
        names = [name for name, _ in held.legs]
        for number in now.working():
            if now.order_state(number).ticket.instrument in names:
                now.cancel(number)
        for name, position in sorted(((name, now.position(name)) for name in names), key=lambda one: one[1]):
            if position:
                now.order(Side.SELL if position > 0 else Side.BUY, abs(position), name)
        self._open = None


    def unordered(self) -> list[str]:
        """The structures that were found and never ordered, with the reason."""
        return [
            f"{' and '.join(contract_name(name) for name, _ in held.legs)}: found at {_moment(int(self._chain.ts[held.opened]))} "
            f"and never ordered, for {why}"
            for held, why in self._unordered.values()
        ]


def play_chain(
    data: BacktestData, chain: ChainRun, wanted: Array, settings: VenueSettings, *, every_bar: bool
) -> SimulationResult:
    """Play shares and options together; arguments as in `OptionPlay`."""
    play = OptionPlay(data, chain, wanted, every_bar=every_bar)
    found = run_events(play, data.market, settings, events=data.events)
    return replace(found, warnings=(*found.warnings, *_shortened(play.unordered()), *_shortened(unfilled(chain, found))))


def unfilled(chain: ChainRun, result: SimulationResult) -> list[str]:
    """The orders for contracts of which nothing filled, by contract, leg and moment, with the reason; without refused ones."""
    legs = {name: ratio for held in chain.schedule for name, ratio in held.legs}
    quotes = {str(frame["instrument"][0]): frame["ts"] for frame in chain.frames}
    orders = result.orders.filter(
        pl.col("instrument").is_in(list(legs)) & (pl.col("filled_lots") == 0) & (pl.col("status") != "rejected")
    )
    said = []
    for row in orders.to_dicts():
        name, ended = row["instrument"], _ENDED.get(row["status"])
        seen = quotes[name].filter(quotes[name] > row["created_ts"])
        seen = seen if ended is None else seen.filter(seen <= row["updated_ts"])
        end = f"before it {ended} at {row['updated_ts']:%Y-%m-%d %H:%M} UTC"
        if seen.is_empty():
            why = f"no quote of it came {'afterwards' if ended is None else end}"
        else:
            why = f"it waited through {len(seen)} of its quotes {'and waits still' if ended is None else end}"
        long = legs[name] > 0
        back = "" if (row["side"] == "BUY") == long else " back"
        said.append(
            f"{contract_name(name)} ({'long' if long else 'short'} leg): ordered{back} at {row['created_ts']:%Y-%m-%d %H:%M} UTC "
            f"and never filled, for {why}"
        )
    return said


def _shortened(said: list[str]) -> list[str]:
    more = len(said) - MOST_NAMED
    return said if more <= 0 else [*said[:MOST_NAMED], f"… and {more:,} more of options that were never ordered or filled"]


def _moment(micros: int) -> str:
    moment: datetime = pl.Series([micros]).cast(STAMP)[0]
    return f"{moment:%Y-%m-%d %H:%M} UTC"
