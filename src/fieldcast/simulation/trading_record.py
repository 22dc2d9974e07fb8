"""What a run did, in one form for a backtest, paper and live: orders, fills, cash flows, equity, and the bars it saw.

The same intent carries the same key in every run: `Instrument @ decision time`, numbered where one decision gave several orders.
What fills of a future without an order, a leg of a roll or its last day, is an intent of its own: `Instrument @ time roll side`.
A fill is in the currency of its instrument; what accounts in several currencies come to is said at the last rates.
A fill names the bar that its price came from; one that cannot have come from there is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import polars as pl

from fieldcast.ground import IntegrityError, InvalidInput
from fieldcast.market import BARS, STAMP, Instrument, Kind
from fieldcast.simulation import _state as s
from fieldcast.simulation.event_table import EventKind
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
FLOWS: dict[str, pl.DataType] = {"kind": pl.String(), "amount": pl.String(), "currency": pl.String()}  # null: the only one
ACCOUNTS: dict[str, pl.DataType] = {
    "currency": pl.String(),
    "rate": pl.String(),  # units of the base currency for one at the end of the run, as an exact fraction such as 11/10
    "opening": pl.String(),  # balance before the first fill
}
EQUITY: dict[str, pl.DataType] = {"ts": STAMP, "equity": pl.String()}


@dataclass(frozen=True, eq=False)
class TradingRecord:
    """One run of one account.

    Parameters
    ----------
    name : `backtest`, `paper`, `live` …
    orders, fills, flows, equity : columns of `ORDERS`, `FILLS`, `FLOWS`, `EQUITY`; amounts are exact decimals as text. Flows
        are everything that moved the account and was no fill
    bars : by instrument, as the run saw them: columns of `market.BARS`, at least `ts`, `available_at`, `open` and `close`
    instruments : by id
    start : equity before the first fill
    tolerance : by which a fill may lie outside the bar that it names
    accounts : columns of `ACCOUNTS`, one row a currency; empty = everything is in one

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
    accounts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ACCOUNTS))

    def __post_init__(self) -> None:
        tables = (("orders", ORDERS), ("fills", FILLS), ("flows", FLOWS), ("equity", EQUITY), ("accounts", ACCOUNTS))
        for label, schema in tables:
            table: pl.DataFrame = getattr(self, label)
            if label == "flows" and "currency" not in table.columns:
                table = table.with_columns(currency=pl.lit(None, dtype=pl.String))
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
        traded = {self.instruments[name].currency for name in self.orders["instrument"].unique()}
        if (not self.rates and len(traded) > 1) or (self.rates and traded - set(self.rates)):
            raise InvalidInput(
                f"expected accounts of {self.name} in every currency that it trades in, found {', '.join(self.rates) or 'none'} "
                f"for {', '.join(sorted(traded))}"
            )
        self._refuse_unfounded()

    @property
    def rates(self) -> dict[str, Fraction]:
        """Currency -> units of the base currency for one at the end; empty in a run of one currency."""
        return {currency: Fraction(rate) for currency, rate in self.accounts.select("currency", "rate").iter_rows()}

    @property
    def openings(self) -> dict[str, Fraction]:
        """Currency -> balance before the first fill; of a run in one currency its `start` under an empty name."""
        found = {currency: Fraction(Decimal(held)) for currency, held in self.accounts.select("currency", "opening").iter_rows()}
        return found or {"": Fraction(self.start)}

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
        """A simulated run whose fills are of orders, and of futures that rolled or ended.

        Parameters
        ----------
        bars : as `market.BARS`, to say when each was available; None: the run's own market, each bar available at its end

        Raises
        ------
        InvalidInput : see `is_recordable`
        """
        if not is_recordable(result):
            raise InvalidInput(
                "expected fills of orders, and of futures that rolled or ended, found exercised, assigned or delivered contracts"
            )
        market, decimals = result.market, result.units.cash_decimals
        orders = result.orders.select(
            "order_id", "instrument", "side", "kind", "quantity", "limit", "status", "reasons",
            decided_ts="created_ts", sent_ts="active_ts",
        )  # fmt: skip
        named = orders.with_columns(intent=intent_keys(orders))
        events = _without_orders(result)
        exact = dict(zip((one.id for one in market.instruments), result.units.lot, strict=True))
        scales = dict(zip((one.id for one in market.instruments), result.units.price_decimals.tolist(), strict=True))
        asked = pl.concat([table.select("instrument", "lots") for table in (result.orders, events)])
        quantities = [str(exact[name] * lots) for name, lots in asked.iter_rows()]
        own = set(result.equity["ts"])      # a fill from a finer bar names none of these: the bar that holds it counts
        fills = result.fills.join(named.select("order_id", "intent"), on="order_id", how="left", maintain_order="left")
        legs = events.select("fill_id", leg="intent")
        fills = fills.join(legs, on="fill_id", how="left", maintain_order="left").with_columns(pl.coalesce("intent", "leg"))
        rows = [
            {"intent": row["intent"], "instrument": row["instrument"], "side": row["side"],
             "quantity": str(exact[row["instrument"]] * row["lots"]),
             "price": str(Decimal(row["price_units"]).scaleb(-scales[row["instrument"]])),
             "reference_price": repr(row["reference_price"]), "fee": str(Decimal(row["fee_minor"]).scaleb(-decimals)),
             "ts": row["ts"], "source_bar_ts": row["source_bar_ts"] if row["source_bar_ts"] in own else None}
            for row in fills.iter_rows(named=True)
        ]  # fmt: skip
        income = result.journal.filter(~pl.col("account").is_in(["cash", "position", "capital", "realised", "settlement"]))
        outside = income.filter(~pl.col("event_id").is_in(result.fills["event_id"].implode()))
        flows = [
            {"kind": str(kind), "currency": currency, "amount": str(Decimal(-amount).scaleb(-decimals))}
            for kind, currency, amount in outside.group_by("account", "currency").agg(pl.col("amount_minor").sum())
            .sort("account", "currency").iter_rows()
        ]
        equity = [str(Decimal(value).scaleb(-decimals)) for value in result.equity_minor().tolist()]
        return cls(
            name=name,
            orders=pl.concat([named.select(_COMMON), events.select(_COMMON)], how="vertical_relaxed").with_columns(
                quantity=pl.Series(quantities, dtype=pl.String)
            ),
            fills=pl.DataFrame(rows, schema=FILLS),
            flows=pl.DataFrame(flows, schema=FLOWS),
            equity=pl.DataFrame({"ts": result.equity["ts"], "equity": pl.Series(equity, dtype=pl.String)}),
            bars=bars if bars is not None else {one.id: _bars(result, place) for place, one in enumerate(market.instruments)},
            instruments={one.id: one for one in market.instruments},
            start=Decimal(result.start_minor).scaleb(-decimals),
            accounts=_accounts(result),
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


_COMMON = [name for name in ORDERS if name != "quantity"]


def is_recordable(result: SimulationResult) -> bool:
    """Whether every fill is of an order, or of a future that rolled or ended: an exercise or assignment is no decision."""
    without = result.fills.filter(pl.col("order_id") < 0)
    kinds = {one.id: one.kind for one in result.market.instruments}
    filled = {kinds[name] for name in without["instrument"].unique()}
    return not filled or (filled == {Kind.FUTURE} and Kind.OPTION not in kinds.values())


def _without_orders(result: SimulationResult) -> pl.DataFrame:
    """Fills of events as orders that were filled when decided; `fill_id`, `lots` and the columns of `ORDERS` but quantity."""
    own = result.fills.filter(pl.col("order_id") < 0)
    own = own.with_columns(kind=pl.when(pl.len().over("event_id") > 1).then(pl.lit("roll")).otherwise(pl.lit("expiry")))
    stamp = pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return own.select(
        "fill_id", "lots", "instrument", "side", "kind", limit=pl.lit(None, dtype=pl.Float64), decided_ts="ts", sent_ts="ts",
        status=pl.lit("filled"), reasons=pl.lit(None, dtype=pl.String),
        intent=pl.col("instrument") + " @ " + stamp + " " + pl.col("kind") + " " + pl.col("side"),
    )  # fmt: skip


def _accounts(result: SimulationResult) -> pl.DataFrame:
    """The run's currencies, the base one first, with the last rate that it booked; empty where there is but one."""
    names, decimals = result.units.currencies, result.units.cash_decimals
    if len(names) == 1:
        return pl.DataFrame(schema=ACCOUNTS)
    held = result.journal.filter(pl.col("account") == "capital").group_by("currency").agg(pl.col("amount_minor").sum())
    opening = dict(held.iter_rows())
    booked = result.event_rows[result.event_rows[:, s.EV_KIND] == EventKind.RATE]
    rows = []
    for number, name in enumerate(names):
        own = booked[booked[:, s.EV_CURRENCY] == number]
        rate = Fraction(int(own[-1, s.EV_A]), int(own[-1, s.EV_B])) if number else Fraction(1)
        rows.append({"currency": name, "rate": str(rate), "opening": str(Decimal(-opening.get(name, 0)).scaleb(-decimals))})
    return pl.DataFrame(rows, schema=ACCOUNTS)


def _bars(result: SimulationResult, row: int) -> pl.DataFrame:
    market = result.market
    ts = pl.Series(market.ts).cast(STAMP)
    columns = {name: pl.Series(getattr(market, name)[row]).fill_nan(None) for name in ("open", "high", "low", "close", "volume")}
    frame = pl.DataFrame({"ts": ts, "available_at": ts, **columns})
    return frame.filter(pl.col("close").is_not_null()).select(name for name in BARS if name in frame.columns)
