"""A run in several currencies in one: amounts at the rate of their moment, and what the rates did to balances.

    amount in base     amount * rate at its moment (the newest that the run had booked by then); 1 for the base currency
    exchange           profit of the account - every amount that was earned or paid, each at its own moment
                       - what open positions have gained, at the last rate

The last is what holding balances in other currencies brought or took: 0 in a run of one currency. Fills and trades are at their
own moments (a trade at that of its exit).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.simulation import _state as s
from fieldcast.simulation.event_table import EventKind
from fieldcast.simulation.result import SimulationResult

BALANCES = ("cash", "position", "capital")      # accounts of the journal that hold; all others earn or pay
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BaseRates:
    """Units of the base currency for one of each currency, through time.

    Parameters
    ----------
    moments, rates : by number of the currency, ascending (microseconds), and the rate from each on
    """

    moments: tuple[Integers, ...]
    rates: tuple[Floats, ...]

    @classmethod
    def of(cls, result: SimulationResult) -> BaseRates:
        """As the run booked them."""
        rows = result.event_rows[result.event_rows[:, s.EV_KIND] == EventKind.RATE]
        moments, rates = [], []
        for currency in range(len(result.units.currencies)):
            own = rows[rows[:, s.EV_CURRENCY] == currency]
            moments.append(own[:, s.EV_TS] if currency else np.zeros(1, dtype=np.int64))
            rates.append(own[:, s.EV_A] / own[:, s.EV_B] if currency else np.ones(1))
        return cls(tuple(moments), tuple(rates))

    def at(self, currency: Integers, ts: Integers) -> Floats:
        """(n,) rates of (n,) currencies at (n,) moments."""
        found = np.ones(len(ts))
        for number in range(1, len(self.moments)):
            mine = currency == number
            place = np.searchsorted(self.moments[number], ts[mine], side="right") - 1
            found[mine] = self.rates[number][np.maximum(place, 0)]
        return found

    def last(self, currency: int) -> float:
        """The rate at the end of the run."""
        return float(self.rates[currency][-1])


def fill_rates(result: SimulationResult) -> Floats:
    """(F,) rate of each fill's currency at the fill."""
    rows = result.fill_rows
    return BaseRates.of(result).at(result.units.currency[rows[:, s.F_INSTRUMENT]], rows[:, s.F_TS])


def trades_in_base(result: SimulationResult) -> pl.DataFrame:
    """The round trips with their amounts in the base currency at the rate of the exit."""
    trades = result.trades
    if len(result.units.currencies) == 1 or trades.is_empty():
        return trades
    own = {one.id: int(number) for one, number in zip(result.market.instruments, result.units.currency, strict=True)}
    currency = np.array([own[name] for name in trades["instrument"]], dtype=np.int64)
    rate = pl.Series(BaseRates.of(result).at(currency, trades["exit_ts"].dt.epoch("us").to_numpy()))
    return trades.with_columns(pl.col("gross", "costs", "net") * rate)


def posted_in_base(result: SimulationResult) -> dict[str, float]:
    """What each account of the journal that is no balance brought (above 0) or took, in the base currency."""
    rows = result.journal_rows
    rate = BaseRates.of(result).at(rows[:, s.J_CURRENCY], rows[:, s.J_TS])
    amounts = -rows[:, s.J_AMOUNT] * rate / 10.0**result.units.cash_decimals
    found: dict[str, float] = {}
    for number in np.unique(rows[:, s.J_ACCOUNT]).tolist():
        name = str(s.ACCOUNTS[number])
        if name not in BALANCES:
            found[name] = float(amounts[rows[:, s.J_ACCOUNT] == number].sum())
    return found


def unrealised(result: SimulationResult) -> Integers:
    """(N,) what open positions have gained since their basis, minimal units of their own currencies."""
    rows = result.position_rows
    paid = rows[:, s.P_VALUE] == rows[:, s.P_NOTIONAL]
    found: Integers = np.where(rows[:, s.P_LOTS] != 0, rows[:, s.P_VALUE] - np.where(paid, rows[:, s.P_BASIS], 0), 0)
    return found


def exchange(result: SimulationResult) -> float:
    """What the rates did to balances in other currencies, in the base currency; 0 in a run of one."""
    if len(result.units.currencies) == 1:
        return 0.0
    rates = BaseRates.of(result)
    unit = 10.0**result.units.cash_decimals
    gains = zip(unrealised(result).tolist(), result.units.currency.tolist(), strict=True)
    open_gain = sum(gain / unit * rates.last(currency) for gain, currency in gains)
    profit = float(int(result.equity_minor()[-1]) - result.start_minor) / unit
    found: float = profit - open_gain - sum(posted_in_base(result).values())
    return found if abs(found) > 1e-9 * max(1.0, abs(profit), result.start_equity) else 0.0
