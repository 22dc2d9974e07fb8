"""What the underlying of an option chain cost at the chain's moment, where the chain does not say.

The minute files of LEAN hold quotes of contracts and no price of the share. In this order, and each only as far as it was
known at the moment of the decision:

    stated    the chain's own price, wherever it has one
    stored    the newest row of the underlying's own quotes, quote bars or bars that ended by the chain's moment and at most five
              minutes before it: the mid of a sound quote, the close of a bar. Raw prices alone, since strikes are raw
    parity    without such a row: where the forwards of the nearest expiries point at time 0 (`ChainRules.spot`). That is for
              European options; the parity of American ones is an inequality, and the chain is refused with what was looked for

A later price is never taken, however near: the quotes of the contracts do not know it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from fieldcast.fields.pricing_chain import ChainRules
from fieldcast.ground import MissingData, utc
from fieldcast.market import Instrument
from fieldcast.market.tables import INTERVALS
from fieldcast.workflows.workspace import Workspace

OLDEST = timedelta(minutes=5)
_FINEST_FIRST = INTERVALS[::-1]
PRICES = ("quotes", *(f"{kind}/{interval}" for interval in _FINEST_FIRST for kind in ("quote_bars", "bars")))


@dataclass(frozen=True)
class ChainSpot:
    """Where a chain's spot comes from.

    Parameters
    ----------
    price : in place of the one in the rows; None where the rows state it or the rules find it
    rules : the rules to price with, changed where only parity is left
    source : `stated`, `parity`, or the table of the store
    ts : of the row of that table
    """

    price: float | None
    rules: ChainRules
    source: str
    ts: datetime | None = None

    @property
    def words(self) -> str:
        """Where it comes from, for whoever reads a result."""
        if self.source == "parity":
            return "by put-call parity: neither the chain nor the store states one"
        if self.rules.spot == "parity":
            return "by put-call parity: a stated index is often older than the quotes"
        if self.ts is not None:
            return f"from {self.source} of the store at {self.ts:%Y-%m-%d %H:%M:%S} UTC: the chain states none"
        return "as the chain states it"


def chain_spot(workspace: Workspace, instrument: Instrument, rows: pl.DataFrame, as_of: datetime, rules: ChainRules) -> ChainSpot:
    """Where the spot of one snapshot comes from.

    Parameters
    ----------
    instrument : the underlying
    rows : one snapshot of the table `chains`, known at `as_of`
    as_of : moment of the decision
    rules : how the chain would be priced if it stated its spot

    Raises
    ------
    MissingData : nothing states it, and the options are American
    """
    if rows["underlying_price"].count():
        return ChainSpot(None, rules, "stated")
    moment = utc(rows["ts"].max())  # type: ignore[arg-type]
    found = stored_price(workspace, instrument.id, moment, as_of)
    if found is not None:
        ts, price, table = found
        return ChainSpot(price, rules, table, ts)
    if (rows["exercise_style"] == "american").any():
        raise MissingData(
            f"expected a price of {instrument.id} out of its quotes or bars, five minutes old at most at "
            f"{moment:%Y-%m-%d %H:%M} UTC and known at {as_of:%Y-%m-%d %H:%M} UTC, for a chain that states none, "
            "found none, and parity gives none of American options; import its minute bars or quotes"
        )
    return ChainSpot(None, replace(rules, spot="parity"), "parity")


def stored_price(workspace: Workspace, instrument: str, moment: datetime, as_of: datetime) -> tuple[datetime, float, str] | None:
    """The newest price of an instrument that ended in the five minutes up to a moment and was known at `as_of`.

    Returns
    -------
    its `ts`, the price, and its table: of several rows of the same time the first of `PRICES`; None where there is none
    """
    first, known = utc(moment) - OLDEST, utc(as_of)
    held = workspace.store.datasets().filter(
        (pl.col("instrument") == instrument) & (pl.col("adjustment") == "raw") & pl.col("table").is_in(PRICES)
        & (pl.col("first_ts") <= moment) & (pl.col("last_ts") >= first)
    )  # fmt: skip
    best: tuple[datetime, float, str] | None = None
    for table, dataset in sorted(held.select("table", "dataset").iter_rows(), key=lambda one: (PRICES.index(one[0]), one[1])):
        rows = workspace.store.read(
            instrument, table=table, dataset=dataset, as_of=known, first=first.date(), last=utc(moment).date()
        )
        near = rows.filter(pl.col("ts").is_between(first, moment))
        priced = near.select("ts", price=_price(table)).drop_nulls().sort("ts", maintain_order=True)
        if priced.height and (best is None or priced["ts"][-1] > best[0]):
            best = priced["ts"][-1], float(priced["price"][-1]), table
    return best


def _price(table: str) -> pl.Expr:
    """The price of a row; null where it has none: a quote with one side, or crossed."""
    if table.startswith("bars/"):
        return pl.when(pl.col("close") > 0).then("close")
    ending = "" if table == "quotes" else "_close"
    bid, ask = pl.col(f"bid{ending}"), pl.col(f"ask{ending}")
    return pl.when((bid > 0) & (bid < ask)).then((bid + ask) / 2)
