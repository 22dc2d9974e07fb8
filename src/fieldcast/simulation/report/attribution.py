"""Who earned it: the profit of a run shared among the signals that asked for each trade.

    profit = sum over closed trades of net + what open positions have made so far + financing

The net of a trade is shared among the signals by their shares at its entry, however it was closed; without shares each trade
belongs to its tag. What an open position has made is shared by the entries that it still consists of (first in, first out: the
newest). Financing cannot be laid at a signal's door and stands by itself, account by account. The rows sum to the profit;
`unexplained` is what is left over, 0 but for the rounding of floats.

In a run of several currencies amounts are in the base currency: a trade at the rate of its exit, an open position at the last
one. What is then left of the profit is what the rates did to balances (and to fees between entry and exit), and a row of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP
from fieldcast.simulation import _state as s
from fieldcast.simulation.report.base_currency import BaseRates, trades_in_base
from fieldcast.simulation.report.costs import financing
from fieldcast.simulation.result import SimulationResult

SHARES: dict[str, pl.DataType] = {
    "ts": STAMP,  # of the decision: the order's `created_ts`
    "instrument": pl.String(),
    "signal": pl.String(),
    "share": pl.Float64(),  # at least 0; the shares of one decision sum to 1
}
ROWS: dict[str, pl.DataType] = {
    "source": pl.String(),
    "kind": pl.String(),  # signal, tag, event, financing, corporate or currency
    "closed": pl.Float64(),
    "open": pl.Float64(),
    "amount": pl.Float64(),
    "trades": pl.Float64(),  # by shares
}
UNTAGGED = "untagged"
MOVED = "rolled or delivered"  # entries that no order asked for: the later contract of a roll, shares that an option became
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Attribution:
    """Profit by source: columns as in `ROWS`, the largest first; money in the base currency."""

    table: pl.DataFrame
    profit: float

    @property
    def unexplained(self) -> float:
        """Profit less the rows; 0 but for rounding."""
        return math.fsum([self.profit, *(-value for value in self.table["amount"].to_list())])

    def as_dict(self) -> dict[str, Any]:
        return {"profit": self.profit, "unexplained": self.unexplained, "sources": self.table.to_dicts()}


def attribution(result: SimulationResult, shares: pl.DataFrame | None = None) -> Attribution:
    """Share the profit of a run among its signals.

    Parameters
    ----------
    shares : columns of `SHARES`: which signals asked for each entry; None: by the tags of the orders. An entry that the table
        does not name falls to its tag

    Raises
    ------
    InvalidInput : shares that are negative, or do not sum to 1 for a decision
    """
    unit = 10.0**result.units.cash_decimals
    several = len(result.units.currencies) > 1
    asked = _by_order(result, shares)
    closed = [(order, net) for order, net in trades_in_base(result).select("entry_order", "net").iter_rows()]
    parts: dict[tuple[str, str], dict[str, list[float]]] = {}

    def add(order: int, amount: float, column: str, trades: float) -> None:
        left = amount
        owners = asked.get(order, [("event", MOVED, 1.0)])
        for place, (kind, source, share) in enumerate(owners):
            mine = left if place == len(owners) - 1 else amount * share
            left -= mine
            row = parts.setdefault((kind, source), {"closed": [], "open": [], "trades": []})
            row[column].append(mine)
            row["trades"].append(trades * share)

    for order, net in closed:
        add(order, net, "closed", 1.0)
    for order, amount in _open_profit(result, unit):
        add(order, amount, "open", 0.0)
    rows: list[dict[str, Any]] = [
        {"source": source, "kind": kind, "closed": math.fsum(row["closed"]), "open": math.fsum(row["open"]),
         "amount": math.fsum([*row["closed"], *row["open"]]), "trades": math.fsum(row["trades"])}
        for (kind, source), row in parts.items()
    ]  # fmt: skip
    rows += [
        {"source": name, "kind": "financing", "closed": 0.0, "open": 0.0, "amount": amount, "trades": 0.0}
        for name, amount in financing(result).items()
    ]
    changed = _unpaired_profit(result, unit)
    if changed:
        row = {"source": "corporate actions", "kind": "corporate", "closed": changed, "open": 0.0, "amount": changed}
        rows.append(row | {"trades": 0.0})
    profit = float(int(result.equity_minor()[-1]) - result.start_minor) / unit
    if several:
        left = profit - math.fsum(row["amount"] for row in rows)
        row = {"source": "exchange rates", "kind": "currency", "closed": left, "open": 0.0, "amount": left, "trades": 0.0}
        rows.append(row)
    table = pl.DataFrame(rows, schema=ROWS).sort("amount", descending=True, maintain_order=True)
    return Attribution(table, profit)


def _by_order(result: SimulationResult, shares: pl.DataFrame | None) -> dict[int, list[tuple[str, str, float]]]:
    """For each order: kind, source and share of those who asked for it."""
    orders = result.orders.select("order_id", "tag", "created_ts", "instrument")
    found = {int(order): [("tag", tag or UNTAGGED, 1.0)] for order, tag in orders.select("order_id", "tag").iter_rows()}
    if shares is None:
        return found
    absent = [name for name in SHARES if name not in shares.columns]
    if absent:
        raise InvalidInput(f"expected columns {', '.join(SHARES)}, missing {', '.join(absent)}")
    table = shares.select(pl.col(name).cast(dtype) for name, dtype in SHARES.items())
    sums = table.group_by("ts", "instrument").agg(pl.col("share").sum(), least=pl.col("share").min())
    wrong = sums.filter(~((pl.col("share") - 1.0).abs() <= _TOLERANCE) | ~(pl.col("least") >= 0.0))
    if wrong.height:
        ts, name, total, _ = wrong.row(0)
        raise InvalidInput(f"expected shares of at least 0 that sum to 1 for each decision, found {total} for {name} at {ts}")
    named = orders.join(table, left_on=["created_ts", "instrument"], right_on=["ts", "instrument"], how="inner")
    given: dict[int, list[tuple[str, str, float]]] = {}
    for order, signal, share in named.sort("order_id", "signal").select("order_id", "signal", "share").iter_rows():
        if share > 0.0:
            given.setdefault(int(order), []).append(("signal", signal, share))
    return found | given


def _open_profit(result: SimulationResult, unit: float) -> list[tuple[int, float]]:
    """Order and profit so far of each entry that an open position still consists of."""
    traded = dict(result.trades.group_by("instrument").agg(pl.col("net").sum()).iter_rows())
    found: list[tuple[int, float]] = []
    rates = BaseRates.of(result)
    for n in np.flatnonzero(result.position_rows[:, s.P_LOTS]).tolist():
        row, rate = result.position_rows[n], rates.last(int(result.units.currency[n]))
        instrument = result.market.instruments[n].id
        unrealised = int(row[s.P_VALUE]) - (int(row[s.P_BASIS]) if row[s.P_VALUE] == row[s.P_NOTIONAL] else 0)
        made = (int(row[s.P_REALISED]) - int(row[s.P_FEES]) + unrealised) / unit - traded.get(instrument, 0.0)
        entries = _entries(result, n)
        own = [(order, (side * lots * (int(row[s.P_MARK]) - price) * int(result.units.factor[n]) - fee) / unit)
               for order, side, lots, price, fee in entries]  # fmt: skip
        if abs(math.fsum(amount for _, amount in own) - made) <= 1e-6 * max(1.0, abs(made)):
            rest = made - math.fsum(amount for _, amount in own)
            own[-1] = (own[-1][0], own[-1][1] + rest)
            found += [(order, amount * rate) for order, amount in own]
        else:  # a split or a roll has changed what a lot is: by lots
            whole = sum(lots for _, _, lots, _, _ in entries)
            found += [(order, rate * made * lots / whole) for order, _, lots, _, _ in entries]
    return found


def _unpaired_profit(result: SimulationResult, unit: float) -> float:
    """Profit of instruments without a position that their round trips do not hold: of lots that a split or a roll has changed."""
    traded = dict(result.trades.group_by("instrument").agg(pl.col("net").sum()).iter_rows())
    gaps, rates = [], BaseRates.of(result)
    for n in np.flatnonzero(result.position_rows[:, s.P_LOTS] == 0).tolist():
        row = result.position_rows[n]
        made = (int(row[s.P_REALISED]) - int(row[s.P_FEES])) / unit - traded.get(result.market.instruments[n].id, 0.0)
        gaps += [made * rates.last(int(result.units.currency[n]))] if abs(made) > 1e-6 else []
    return math.fsum(gaps)


def oldest_entry(result: SimulationResult, n: int) -> int:
    """Moment (microseconds) of the oldest fill that the open position of an instrument still consists of."""
    orders = [order for order, *_ in _entries(result, n)]
    fills = result.fill_rows
    mine = (fills[:, s.F_INSTRUMENT] == n) & (fills[:, s.F_ORDER] == orders[-1])
    return int(fills[mine, s.F_TS].min())


def _entries(result: SimulationResult, n: int) -> list[tuple[int, int, int, int, float]]:
    """Order, side, lots, price and fee (minimal units, by lots) of the newest entries that make up the position."""
    held = int(result.position_rows[n, s.P_LOTS])
    side, left = (1 if held > 0 else -1), abs(held)
    rows = result.fill_rows[(result.fill_rows[:, s.F_INSTRUMENT] == n) & (result.fill_rows[:, s.F_SIDE] == side)]
    found = []
    for fill in rows[::-1]:
        if left <= 0:
            break
        lots = min(left, int(fill[s.F_LOTS]))
        left -= lots
        fee = float(fill[s.F_FEE]) * lots / int(fill[s.F_LOTS])
        found.append((int(fill[s.F_ORDER]), side, lots, int(fill[s.F_PRICE]), fee))
    return found
