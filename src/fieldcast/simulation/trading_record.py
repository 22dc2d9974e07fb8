"""What a run did, in one form for a backtest, paper and live: orders, fills, cash flows, equity, and the bars it saw.

The same intent carries the same key in every run: `Instrument @ decision time`, numbered where one decision gave several orders.
A fill names the bar that its price came from; one that cannot have come from there is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl

from fieldcast.ground import IntegrityError, InvalidInput
from fieldcast.market import BARS, STAMP, Instrument
from fieldcast.simulation.result import SimulationResult
from fieldcast.trading import Fill, OrderState

ORDERS: dict[str, pl.DataType] = {
    "intent": pl.String(),
    "instrument": pl.String(),
    "side": pl.String(),  # BUY or SELL
    "kind": pl.String(),  # market, limit, stop …
    "quantity": pl.String(),  # exact decimals, above 0
    "limit": pl.Float64(),
    "decided_ts": STAMP,  # end of the newest bar that the decision used
    "sent_ts": STAMP,
    "status": pl.String(),  # filled, rejected, cancelled, expired, working …
    "reasons": pl.String(),
}
FILLS: dict[str, pl.DataType] = {
    "intent": pl.String(),
    "instrument": pl.String(),
    "side": pl.String(),
    "quantity": pl.String(),
    "price": pl.String(),
    "reference_price": pl.String(),  # the bare print; null where the venue does not tell
    "fee": pl.String(),
    "ts": STAMP,
    "source_bar_ts": STAMP,  # null where the venue gives no bar: then the bar that holds `ts` counts
}
FLOWS: dict[str, pl.DataType] = {"kind": pl.String(), "amount": pl.String()}
EQUITY: dict[str, pl.DataType] = {"ts": STAMP, "equity": pl.String()}


@dataclass(frozen=True, eq=False)
class TradingRecord:
    """One run of one account in one currency.

    Parameters
    ----------
    name : `backtest`, `paper`, `live` …
    orders, fills, flows, equity : columns of `ORDERS`, `FILLS`, `FLOWS`, `EQUITY`; amounts are exact decimals as text. Flows
        are everything that moved the account and was no fill
    bars : by instrument, as the run saw them: columns of `market.BARS`, at least `ts`, `available_at`, `open` and `close`
    instruments : by id
    start : equity before the first fill
    tolerance : by which a fill may lie outside the bar that it names

    Raises
    ------
    InvalidInput : a column is missing, or an order stands twice
    IntegrityError : a fill belongs to no order, or cannot have come from the bar that it names
    """

    name: str
    orders: pl.DataFrame
    fills: pl.DataFrame
    equity: pl.DataFrame
    bars: Mapping[str, pl.DataFrame]
    instruments: Mapping[str, Instrument]
    start: Decimal
    flows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FLOWS))
    tolerance: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        for label, schema in (("orders", ORDERS), ("fills", FILLS), ("flows", FLOWS), ("equity", EQUITY)):
            table: pl.DataFrame = getattr(self, label)
            absent = [name for name in schema if name not in table.columns]
            if absent:
                raise InvalidInput(
                    f"expected columns {', '.join(schema)} in the {label} of {self.name}, missing {', '.join(absent)}"
                )
            object.__setattr__(self, label, table.select(pl.col(name).cast(dtype) for name, dtype in schema.items()))
        if self.equity.is_empty():
            raise InvalidInput(f"expected the equity of {self.name} at least once, found no row")
        twice = self.orders.filter(pl.col("intent").is_duplicated())
        if twice.height:
            raise InvalidInput(f"expected each intent of {self.name} once, found {twice['intent'][0]} {twice.height} times")
        strange = self.fills.join(self.orders, on="intent", how="anti")
        if strange.height:
            raise IntegrityError(f"expected an order behind each fill of {self.name}, found none for {strange['intent'][0]}")
        unknown = sorted(set(self.orders["instrument"].unique()) - set(self.instruments) | set(self.instruments) - set(self.bars))
        if unknown:
            raise InvalidInput(f"expected instruments and bars of {self.name} for every order, missing {', '.join(unknown)}")
        self._refuse_unfounded()

    def _refuse_unfounded(self) -> None:
        """Every fill lies within the bar that it names, or that holds it."""
        for (name,), fills in self.fills.group_by("instrument"):
            bars = self.bars[str(name)].select("ts").unique().sort("ts").with_columns(begins=pl.col("ts").shift(1))
            held = fills.sort("ts").join_asof(
                bars.select(holds=pl.col("ts"), ts=pl.col("ts") - self.tolerance), on="ts", strategy="forward"
            )
            named = held.with_columns(source=pl.coalesce("source_bar_ts", "holds")).join(
                bars, left_on="source", right_on="ts", how="left"
            )
            early = pl.col("begins").is_not_null() & (pl.col("ts") < pl.col("begins") - self.tolerance)
            late = pl.col("ts") > pl.col("source") + self.tolerance
            known = pl.col("source").is_in(bars["ts"].implode())
            wrong = named.filter(pl.col("source").is_null() | ~known | early | late)
            if wrong.height:
                row = wrong.row(0, named=True)
                raise IntegrityError(
                    f"expected each fill of {self.name} within the bar that it names, found the fill of {row['intent']} at "
                    f"{row['ts']} from the bar that ends at {row['source_bar_ts']}"
                )

    # -- where it comes from -----------------------------------------------------------------------------------------

    @classmethod
    def of_result(
        cls, result: SimulationResult, *, name: str = "backtest", bars: Mapping[str, pl.DataFrame] | None = None
    ) -> TradingRecord:
        """A simulated run in one currency.

        Parameters
        ----------
        bars : as `market.BARS`, to say when each was available; None: the run's own market, each bar available at its end
        """
        from fieldcast.simulation.report.costs import one_currency

        one_currency(result)
        market, decimals = result.market, result.units.cash_decimals
        orders = result.orders.select(
            "order_id", "instrument", "side", "kind", "quantity", "limit", "status", "reasons",
            decided_ts="created_ts", sent_ts="active_ts",
        )  # fmt: skip
        named = orders.with_columns(intent=intent_keys(orders))
        exact = dict(zip((one.id for one in market.instruments), result.units.lot, strict=True))
        scales = dict(zip((one.id for one in market.instruments), result.units.price_decimals.tolist(), strict=True))
        quantities = [str(exact[name] * lots) for name, lots in result.orders.select("instrument", "lots").iter_rows()]
        own = set(result.equity["ts"])      # a fill from a finer bar names none of these: the bar that holds it counts
        fills = result.fills.join(named.select("order_id", "intent"), on="order_id", how="left", maintain_order="left")
        rows = [
            {"intent": row["intent"], "instrument": row["instrument"], "side": row["side"],
             "quantity": str(exact[row["instrument"]] * row["lots"]),
             "price": str(Decimal(row["price_units"]).scaleb(-scales[row["instrument"]])),
             "reference_price": repr(row["reference_price"]), "fee": str(Decimal(row["fee_minor"]).scaleb(-decimals)),
             "ts": row["ts"], "source_bar_ts": row["source_bar_ts"] if row["source_bar_ts"] in own else None}
            for row in fills.iter_rows(named=True)
        ]  # fmt: skip
        income = result.journal.filter(~pl.col("account").is_in(["cash", "position", "capital", "realised"]))
        outside = income.filter(~pl.col("event_id").is_in(result.fills["event_id"].implode()))
        flows = [
            {"kind": str(kind), "amount": str(Decimal(-amount).scaleb(-decimals))}
            for kind, amount in outside.group_by("account").agg(pl.col("amount_minor").sum()).sort("account").iter_rows()
        ]
        equity = [str(Decimal(value).scaleb(-decimals)) for value in result.equity_minor().tolist()]
        return cls(
            name=name,
            orders=named.with_columns(quantity=pl.Series(quantities, dtype=pl.String)),
            fills=pl.DataFrame(rows, schema=FILLS),
            flows=pl.DataFrame(flows, schema=FLOWS),
            equity=pl.DataFrame({"ts": result.equity["ts"], "equity": pl.Series(equity, dtype=pl.String)}),
            bars=bars if bars is not None else {one.id: _bars(result, place) for place, one in enumerate(market.instruments)},
            instruments={one.id: one for one in market.instruments},
            start=Decimal(result.start_minor).scaleb(-decimals),
        )

    @classmethod
    def of_broker(
        cls,
        states: Iterable[OrderState],
        fills: Iterable[Fill],
        *,
        name: str,
        decided: Mapping[str, datetime],
        equity: Sequence[tuple[datetime, Decimal]],
        bars: Mapping[str, pl.DataFrame],
        instruments: Mapping[str, Instrument],
        start: Decimal,
        tolerance: timedelta = timedelta(0),
    ) -> TradingRecord:
        """What a broker, on paper or live, says that it did.

        Parameters
        ----------
        decided : client id -> end of the newest bar that the decision used (the intent's)
        """
        rows = [
            {"client_id": state.client_id, "instrument": state.order.instrument, "side": str(state.order.side), "kind": "market",
             "quantity": str(state.order.quantity), "limit": None, "decided_ts": decided[state.client_id],
             "sent_ts": state.submitted_at, "status": str(state.status), "reasons": ",".join(map(str, state.reasons)) or None}
            for state in states
        ]  # fmt: skip
        schema = {"client_id": pl.String(), **{key: dtype for key, dtype in ORDERS.items() if key != "intent"}}
        orders = pl.DataFrame(rows, schema=schema)
        orders = orders.with_columns(intent=intent_keys(orders))
        keys = dict(orders.select("client_id", "intent").iter_rows())
        done = [
            {"intent": keys.get(fill.client_id, fill.client_id), "instrument": fill.instrument, "side": str(fill.side),
             "quantity": str(fill.quantity), "price": str(fill.price), "reference_price": str(fill.reference_price),
             "fee": str(fill.fee), "ts": fill.ts, "source_bar_ts": fill.source_bar_ts}
            for fill in fills
        ]  # fmt: skip
        curve = [{"ts": ts, "equity": str(value)} for ts, value in equity]
        return cls(
            name=name, orders=orders, fills=pl.DataFrame(done, schema=FILLS), equity=pl.DataFrame(curve, schema=EQUITY),
            bars=bars, instruments=instruments, start=start, tolerance=tolerance,
        )  # fmt: skip


def intent_keys(orders: pl.DataFrame) -> pl.Series:
    """`instrument @ decision`, and a number where one decision gave several orders: the same in every run of a strategy."""
    place = orders.select(pl.int_range(pl.len()).over("instrument", "decided_ts")).to_series()
    stamp = orders["decided_ts"].dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    key = orders["instrument"] + " @ " + stamp
    return (
        pl.select(pl.when(place == 0).then(key).otherwise(key + " #" + (place + 1).cast(pl.String))).to_series().alias("intent")
    )


def _bars(result: SimulationResult, row: int) -> pl.DataFrame:
    market = result.market
    ts = pl.Series(market.ts).cast(STAMP)
    columns = {name: pl.Series(getattr(market, name)[row]).fill_nan(None) for name in ("open", "high", "low", "close", "volume")}
    frame = pl.DataFrame({"ts": ts, "available_at": ts, **columns})
    return frame.filter(pl.col("close").is_not_null()).select(name for name in BARS if name in frame.columns)
