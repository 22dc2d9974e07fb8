"""The section of a tear sheet on options: every contract by name, when it was traded, and how it ended."""

from __future__ import annotations

import polars as pl

from fieldcast.data.chains import parse_osi
from fieldcast.ground import InvalidInput
from fieldcast.market.instrument import Kind
from fieldcast.simulation.result import SimulationResult
from fieldcast.workflows._report_markup import Html, day, join, number, table, tag

ENDS = {"expiry": "expired", "exercise": "exercised", "assignment": "assigned", "delisting": "delisted"}
TRADED = ("fill", "liquidation")
HEAD = ("contract", "moment, UTC", "what", "contracts", "price", "fee")


def contract_name(instrument: str) -> str:
    """`GOOG 2015-12-24 put 745` for `OPRA:GOOG151224P00745000`; an id that is no such symbol stays as it is."""
    try:
        root, expiry, right, strike = parse_osi(instrument.partition(":")[2])
    except InvalidInput:
        return instrument
    return f"{root} {expiry:%Y-%m-%d} {right} {strike:g}"


def option_record(result: SimulationResult) -> pl.DataFrame:
    """What was done with options and what came of them, in order of time.

    Returns
    -------
    contract, ts, what (bought, sold, closed by a margin call, expired, exercised, assigned), quantity, price, fee
    """
    names = [one.id for one in result.market.instruments if one.kind is Kind.OPTION]
    kinds = result.journal.select("event_id", "kind").unique("event_id")
    rows = result.fills.filter(pl.col("instrument").is_in(names)).join(kinds, on="event_id", how="left", maintain_order="left")
    side = pl.when(pl.col("side") == "BUY").then(pl.lit("bought")).otherwise(pl.lit("sold"))
    called = pl.col("kind") == "liquidation"
    what = pl.when(pl.col("order_id") >= 0).then(
        pl.when(called).then(pl.format("{} by a margin call", side)).otherwise(side)
    ).otherwise(pl.col("kind").replace(ENDS))  # fmt: skip
    return rows.select(
        pl.col("instrument").map_elements(contract_name, return_dtype=pl.String).alias("contract"),
        "ts", what.alias("what"), "quantity", pl.col("price").fill_null(0.0), "fee",  # it leaves for nothing: no price
    )  # fmt: skip


def options_of(result: SimulationResult) -> Html:
    """The table, and what is still held of options at the end."""
    rows = [
        (row["contract"], f"{row['ts']:%Y-%m-%d %H:%M}", row["what"], f"{row['quantity']:,.8g}", f"{row['price']:,.8g}",
         number(row["fee"]))
        for row in option_record(result).to_dicts()
    ]  # fmt: skip
    names = {one.id for one in result.market.instruments if one.kind is Kind.OPTION}
    left = [
        f"{quantity:+,.8g} {contract_name(name)}"
        for name, quantity in result.positions.select("instrument", "quantity").iter_rows() if name in names and quantity
    ]  # fmt: skip
    said = f"Held at the end: {', '.join(left)}." if left else f"None is held at the end, {day(result.equity['ts'][-1])}."
    return join([table(HEAD, rows, numeric=[3, 4, 5]), tag("p", said, class_="aside")])
