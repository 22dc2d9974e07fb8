"""What a simulated run leaves behind: orders, fills, round trips, journal, equity; frozen, with where it came from.

The arrays of the run are kept as they are, in whole numbers; each table is made from them when it is first asked for. Columns
that end in `_minor` are exact minimal units, `lots` and `*_units` exact too; the floats beside them are for reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import IntegrityError, digest
from fieldcast.market.schemas import STAMP
from fieldcast.simulation import _state as s
from fieldcast.simulation.market import Market
from fieldcast.simulation.units import Units

ORDER_KINDS = ("market", "limit", "stop", "stop_limit", "trailing_stop", "market_on_open", "market_on_close")
TIFS = ("GTC", "DAY", "IOC", "FOK")
STATUSES = ("working", "waiting", "filled", "cancelled", "rejected", "expired", "replaced")

ORDERS: dict[str, pl.DataType] = {
    "order_id": pl.Int64(),
    "tag": pl.String(),  # the caller's own name for it
    "instrument": pl.String(),
    "created_ts": STAMP,
    "active_ts": STAMP,  # created + latency: it cannot act before
    "kind": pl.String(),
    "side": pl.String(),
    "lots": pl.Int64(),
    "quantity": pl.Float64(),
    "filled_lots": pl.Int64(),
    "limit": pl.Float64(),
    "stop": pl.Float64(),
    "tif": pl.String(),
    "status": pl.String(),
    "reasons": pl.String(),
    "updated_ts": STAMP,
    "parent": pl.Int64(),  # order whose fill it waits for; null = none
    "group": pl.Int64(),  # one cancels the other; null = none
    "replaces": pl.Int64(),
    "margin_call": pl.Boolean(),
}
FILLS: dict[str, pl.DataType] = {
    "fill_id": pl.Int64(),
    "order_id": pl.Int64(),
    "instrument": pl.String(),
    "ts": STAMP,
    "source_bar_ts": STAMP,
    "bar": pl.Int64(),  # number on the market's clock
    "side": pl.String(),
    "lots": pl.Int64(),
    "quantity": pl.Float64(),
    "price_units": pl.Int64(),
    "price": pl.Float64(),
    "reference_price": pl.Float64(),
    "fee": pl.Float64(),
    "spread_cost": pl.Float64(),
    "slippage_cost": pl.Float64(),
    "impact_cost": pl.Float64(),
    "realised": pl.Float64(),
    "fee_minor": pl.Int64(),
    "realised_minor": pl.Int64(),
    "event_id": pl.Int64(),
    "fill_convention": pl.String(),
}
TRADES: dict[str, pl.DataType] = {
    "trade_id": pl.Int64(),
    "instrument": pl.String(),
    "direction": pl.String(),
    "entry_ts": STAMP,
    "exit_ts": STAMP,
    "entry_bar": pl.Int64(),
    "exit_bar": pl.Int64(),
    "lots": pl.Int64(),
    "quantity": pl.Float64(),
    "entry_price": pl.Float64(),
    "exit_price": pl.Float64(),
    "gross": pl.Float64(),  # (exit - entry) * quantity * multiplier, the spread and slippage inside the prices included
    "costs": pl.Float64(),  # commissions of both sides, by lots
    "net": pl.Float64(),
    "mae": pl.Float64(),  # worst move against the entry price while held, as a share of it, <= 0
    "mfe": pl.Float64(),  # best move for it, >= 0
    "bars_held": pl.Int64(),
    "entry_order": pl.Int64(),
    "exit_order": pl.Int64(),
    "tag": pl.String(),  # of the entry's order
}
JOURNAL: dict[str, pl.DataType] = {
    "event_id": pl.Int64(),
    "ts": STAMP,
    "kind": pl.String(),
    "account": pl.String(),
    "instrument": pl.String(),
    "currency": pl.String(),
    "amount_minor": pl.Int64(),  # debit positive; sums to 0 in each event and currency
}
EQUITY: dict[str, pl.DataType] = {
    "ts": STAMP,
    "cash_minor": pl.Int64(),
    "positions_value_minor": pl.Int64(),
    "equity_minor": pl.Int64(),
    "cash": pl.Float64(),
    "positions_value": pl.Float64(),
    "equity": pl.Float64(),
    "gross_exposure": pl.Float64(),
    "net_exposure": pl.Float64(),
}
POSITIONS: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "lots": pl.Int64(),
    "quantity": pl.Float64(),
    "average_price": pl.Float64(),
    "mark": pl.Float64(),
    "value_minor": pl.Int64(),
    "value": pl.Float64(),
    "basis_minor": pl.Int64(),
    "realised": pl.Float64(),
    "fees": pl.Float64(),
}


@dataclass(frozen=True, eq=False)
class SimulationResult:
    """A run, whole. Money is in the base currency unless a column says otherwise; fills and positions in the instrument's own.

    Parameters
    ----------
    market, units, settings : what it ran on; settings as a canonical plain dict
    order_rows, fill_rows, journal_rows, position_rows : int64 tables, columns O_*, F_*, J_*, P_* of `_state`
    account_rows : (4, T) int64 base units at each close: cash, value of positions, gross, net; or the first two of one
        instrument that is paid in full, whose exposure is its value
    cash : currency -> minimal units at the end
    event_rows : events of money through time that have happened, columns EV_* of `_state`
    tags : order id -> the caller's name for it
    fill_convention : next_open, or same_close where that was asked for: such a result is no evidence of anything tradable
    warnings : what a reader has to know
    """

    market: Market
    units: Units
    settings: Mapping[str, Any]
    order_rows: NDArray[np.int64]
    fill_rows: NDArray[np.int64]
    journal_rows: NDArray[np.int64]
    position_rows: NDArray[np.int64]
    account_rows: NDArray[np.int64]
    cash: Mapping[str, int]
    start_minor: int
    fill_convention: str
    event_rows: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, s.EVENT_COLUMNS), dtype=np.int64))
    tags: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    # -- where it came from ------------------------------------------------------------------------------------------

    @property
    def data_hash(self) -> str:
        return self.market.data_hash

    @property
    def simulated(self) -> bool:
        """True where the prices come from a simulated market."""
        return self.market.simulated

    @property
    def settings_hash(self) -> str:
        return digest(self.settings)

    @property
    def currency(self) -> str:
        return self.units.currencies[0]

    @cached_property
    def result_hash(self) -> str:
        """SHA-256 of settings, data and every fill, posting and mark."""
        import hashlib

        whole = hashlib.sha256((self.settings_hash + self.data_hash).encode())
        for table in (self.order_rows, self.fill_rows, self.journal_rows, self.curve):
            whole.update(np.ascontiguousarray(table).tobytes())
        return whole.hexdigest()

    # -- curves ------------------------------------------------------------------------------------------------------

    @cached_property
    def curve(self) -> NDArray[np.int64]:
        """(4, T) base units at each close: cash, value of positions, gross, net."""
        if len(self.account_rows) > s.CURVE_MONEY:
            return self.account_rows
        cash, value = self.account_rows
        whole = np.stack((cash, value, np.abs(value), value))
        whole.flags.writeable = False
        return whole

    @property
    def ts(self) -> NDArray[np.int64]:
        """(T,) microseconds UTC."""
        return self.market.ts

    def equity_minor(self) -> NDArray[np.int64]:
        """(T,) exact minimal units of the base currency at each close."""
        total: NDArray[np.int64] = self.account_rows[0] + self.account_rows[1]
        return total

    def equity_curve(self) -> NDArray[np.float64]:
        """(T,) equity at each close in the base currency."""
        curve: NDArray[np.float64] = self.equity_minor() / 10.0**self.units.cash_decimals
        return curve

    @property
    def start_equity(self) -> float:
        """Equity before the first bar."""
        return float(self.start_minor / 10.0**self.units.cash_decimals)

    def returns(self) -> NDArray[np.float64]:
        """(T,) simple return of each bar; the first against the starting equity."""
        curve = np.concatenate(([self.start_equity], self.equity_curve()))
        result: NDArray[np.float64] = curve[1:] / curve[:-1] - 1.0
        return result

    # -- tables ------------------------------------------------------------------------------------------------------

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Every order, in order of creation; schema ORDERS."""
        rows = self.order_rows
        n = rows[:, s.O_INSTRUMENT]
        reasons = [None if reason is None else str(reason) for reason in s.REASONS]
        return pl.DataFrame(
            {
                "order_id": np.arange(len(rows)),
                "tag": self._tags(np.arange(len(rows))),
                "instrument": self._instruments(n),
                "created_ts": _stamps(rows[:, s.O_CREATED]),
                "active_ts": _stamps(rows[:, s.O_ACTIVE]),
                "kind": _names(ORDER_KINDS, rows[:, s.O_KIND]),
                "side": _sides(rows[:, s.O_SIDE]),
                "lots": rows[:, s.O_LOTS],
                "quantity": rows[:, s.O_LOTS] * self._lot[n],
                "filled_lots": rows[:, s.O_LOTS] - rows[:, s.O_LEFT] - rows[:, s.O_TAKEN],
                "limit": self._prices(n, rows[:, s.O_LIMIT]),
                "stop": self._prices(n, rows[:, s.O_STOP]),
                "tif": _names(TIFS, rows[:, s.O_TIF]),
                "status": _names(STATUSES, rows[:, s.O_STATUS]),
                "reasons": _names(reasons, rows[:, s.O_REASON]),
                "updated_ts": _stamps(rows[:, s.O_UPDATED]),
                "parent": _known(rows[:, s.O_PARENT]),
                "group": _known(rows[:, s.O_GROUP]),
                "replaces": _known(rows[:, s.O_REPLACES]),
                "margin_call": (rows[:, s.O_FLAGS] & s.LIQUIDATION) > 0,
            },
            schema=ORDERS,
        )

    @cached_property
    def rejections(self) -> pl.DataFrame:
        """Orders that were refused, with their reasons; schema ORDERS."""
        return self.orders.filter(pl.col("status") == "rejected")

    @cached_property
    def fills(self) -> pl.DataFrame:
        """Every fill, in the order in which they happened; schema FILLS."""
        rows = self.fill_rows
        n = rows[:, s.F_INSTRUMENT]
        return pl.DataFrame(
            {
                "fill_id": np.arange(len(rows)),
                "order_id": rows[:, s.F_ORDER],
                "instrument": self._instruments(n),
                "ts": _stamps(rows[:, s.F_TS]),
                "source_bar_ts": _stamps(rows[:, s.F_SOURCE]),
                "bar": rows[:, s.F_BAR],
                "side": _sides(rows[:, s.F_SIDE]),
                "lots": rows[:, s.F_LOTS],
                "quantity": rows[:, s.F_LOTS] * self._lot[n],
                "price_units": rows[:, s.F_PRICE],
                "price": self._prices(n, rows[:, s.F_PRICE]),
                "reference_price": self._prices(n, rows[:, s.F_REFERENCE]),
                "fee": self._money(rows[:, s.F_FEE]),
                "spread_cost": self._money(rows[:, s.F_SPREAD]),
                "slippage_cost": self._money(rows[:, s.F_SLIPPAGE]),
                "impact_cost": self._money(rows[:, s.F_IMPACT]),
                "realised": self._money(rows[:, s.F_REALISED]),
                "fee_minor": rows[:, s.F_FEE],
                "realised_minor": rows[:, s.F_REALISED],
                "event_id": rows[:, s.F_EVENT],
                "fill_convention": _names(s.CONVENTIONS, rows[:, s.F_CONVENTION]),
            },
            schema=FILLS,
        )

    @cached_property
    def trades(self) -> pl.DataFrame:
        """Round trips, first in first out, in order of exit; schema TRADES. A position still open is none."""
        from fieldcast.simulation._round_trips import round_trips

        return round_trips(self)

    @cached_property
    def journal(self) -> pl.DataFrame:
        """Every posting; schema JOURNAL."""
        rows = self.journal_rows
        return pl.DataFrame(
            {
                "event_id": rows[:, s.J_EVENT],
                "ts": _stamps(rows[:, s.J_TS]),
                "kind": _names(s.KINDS, rows[:, s.J_KIND]),
                "account": _names(s.ACCOUNTS, rows[:, s.J_ACCOUNT]),
                "instrument": self._instruments(rows[:, s.J_INSTRUMENT]),
                "currency": _names(self.units.currencies, rows[:, s.J_CURRENCY]),
                "amount_minor": rows[:, s.J_AMOUNT],
            },
            schema=JOURNAL,
        )

    @cached_property
    def equity(self) -> pl.DataFrame:
        """The account at each close; schema EQUITY."""
        cash, value, gross, net = self.curve
        return pl.DataFrame(
            {
                "ts": _stamps(self.market.ts),
                "cash_minor": cash,
                "positions_value_minor": value,
                "equity_minor": cash + value,
                "cash": self._money(cash),
                "positions_value": self._money(value),
                "equity": self._money(cash + value),
                "gross_exposure": self._money(gross),
                "net_exposure": self._money(net),
            },
            schema=EQUITY,
        )

    @cached_property
    def positions(self) -> pl.DataFrame:
        """What is held at the end, instruments without a position left out; schema POSITIONS."""
        n = np.flatnonzero(self.position_rows[:, s.P_LOTS])
        rows = self.position_rows[n]
        lots = rows[:, s.P_LOTS]
        factor = self.units.factor[n]
        return pl.DataFrame(
            {
                "instrument": self._instruments(n),
                "lots": lots,
                "quantity": lots * self._lot[n],
                "average_price": rows[:, s.P_BASIS] / lots / factor / self.units.price_scale[n],
                "mark": self._prices(n, rows[:, s.P_MARK]),
                "value_minor": rows[:, s.P_VALUE],
                "value": self._money(rows[:, s.P_VALUE]),
                "basis_minor": rows[:, s.P_BASIS],
                "realised": self._money(rows[:, s.P_REALISED]),
                "fees": self._money(rows[:, s.P_FEES]),
            },
            schema=POSITIONS,
        )

    # -- checks ------------------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise where a fill does not stem from the bar that it names, or an event of the journal does not balance.

        Raises
        ------
        IntegrityError : naming the fill or the event
        """
        from fieldcast.simulation._verify import verify_fills, verify_journal

        wrong = verify_fills(self) or verify_journal(self)
        if wrong:
            raise IntegrityError(wrong)

    # -- helpers -----------------------------------------------------------------------------------------------------

    @cached_property
    def _lot(self) -> NDArray[np.float64]:
        return np.array([float(lot) for lot in self.units.lot])

    def _money(self, minor: NDArray[np.int64]) -> NDArray[np.float64]:
        money: NDArray[np.float64] = minor / 10.0**self.units.cash_decimals
        return money

    def _prices(self, n: NDArray[np.int64], price: NDArray[np.int64]) -> pl.Series:
        values = price / self.units.price_scale[n]
        return pl.Series(np.where(price > 0, values, np.nan)).fill_nan(None)

    def _instruments(self, n: NDArray[np.int64]) -> pl.Series:
        return _names([one.id for one in self.market.instruments], n)

    def _tags(self, orders: NDArray[np.int64]) -> pl.Series:
        if not self.tags:
            return pl.Series([None] * len(orders), dtype=pl.String)
        return pl.Series([self.tags.get(int(order)) for order in orders], dtype=pl.String)


def _stamps(ts: NDArray[np.int64]) -> pl.Series:
    return pl.Series(ts, dtype=pl.Int64).cast(STAMP)


def _names(names: tuple[str, ...] | list[str] | list[str | None], codes: NDArray[np.int64]) -> pl.Series:
    """Names by number; null for a number below zero."""
    known = pl.Series(names, dtype=pl.String)
    at = pl.Series(codes, dtype=pl.Int64)
    return known.gather(at.set(at < 0, None))


def _sides(sides: NDArray[np.int64]) -> pl.Series:
    return _names(["SELL", "BUY"], (sides > 0).astype(np.int64))


def _known(rows: NDArray[np.int64]) -> pl.Series:
    series = pl.Series(rows, dtype=pl.Int64)
    return series.set(series < 0, None)
