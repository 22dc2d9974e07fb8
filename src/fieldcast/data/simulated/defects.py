"""Faults planted in a simulated chain, so that what filters find can be held against what is there.

`spoil` gives each chosen row one fault, at random, and says which row has which. The faults are those of real feeds:

    stale       the quote of an earlier snapshot with its own time, or, without one, an older time alone
    crossed     bid and ask changed places; where they are equal, the bid a cent above
    zero_bid    nobody bids
    no_quote    neither bid nor ask
    no_count    open interest and the time since which it is known are missing

Rows keep the reason `simulated`; the faults carry none, as in a vendor's file: finding them is the filter's work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcast.data.simulated.bars import stream
from fieldcast.ground import InvalidInput

FAULTS = ("stale", "crossed", "zero_bid", "no_quote", "no_count")


@dataclass(frozen=True)
class Defects:
    """Share of the rows with each fault, and the age in minutes of a stale quote where no earlier snapshot is given."""

    stale: float = 0.0
    crossed: float = 0.0
    zero_bid: float = 0.0
    no_quote: float = 0.0
    no_count: float = 0.0
    stale_minutes: int = 60

    def __post_init__(self) -> None:
        shares = self.shares
        if min(shares) < 0 or sum(shares) > 1 or self.stale_minutes < 1:
            raise InvalidInput(f"expected shares from 0 that sum to at most 1, and a minute or more, found {self}")

    @property
    def shares(self) -> tuple[float, ...]:
        """In the order of `FAULTS`."""
        return tuple(float(getattr(self, name)) for name in FAULTS)


@dataclass(frozen=True)
class Spoiled:
    """Rows with faults, and for each of them `contract_id` and `fault` (null: none)."""

    rows: pl.DataFrame
    faults: pl.DataFrame


def spoil(rows: pl.DataFrame, defects: Defects, seed: int, *, earlier: pl.DataFrame | None = None) -> Spoiled:
    """Plant faults in one snapshot.

    Parameters
    ----------
    rows : of one snapshot, schema `chains`
    earlier : an earlier snapshot, whose quotes stale rows show; a contract that it lacks shows its own with an older time

    Raises
    ------
    InvalidInput : rows of several moments, or `earlier` is not earlier
    """
    if rows["ts"].n_unique() != 1 or (earlier is not None and not earlier["ts"].max() < rows["ts"][0]):
        raise InvalidInput("expected rows of one snapshot, and an earlier one that is earlier")
    bounds = np.cumsum(defects.shares)
    purpose = f"{rows['instrument'][0]} defects {rows['ts'].dt.epoch('us')[0]}"
    drawn = np.searchsorted(bounds, stream(seed, purpose).random(rows.height), side="right")
    fault = pl.Series("fault", [*FAULTS, None], dtype=pl.String).gather(drawn)
    table = rows.with_columns(fault)
    old = pl.col("quote_ts") - pl.duration(minutes=defects.stale_minutes)
    quote = ("bid", "ask", "bid_size", "ask_size", "quote_ts")
    if earlier is None:
        table = table.with_columns(*(pl.col(name).alias(f"{name}_old") for name in quote[:4]), quote_ts_old=old)
    else:
        past = earlier.select("contract_id", *(pl.col(name).alias(f"{name}_old") for name in quote), there=pl.lit(value=True))
        table = table.join(past, on="contract_id", how="left", maintain_order="left").with_columns(
            *(pl.when("there").then(f"{name}_old").otherwise(name).alias(f"{name}_old") for name in quote[:4]),
            quote_ts_old=pl.when("there").then("quote_ts_old").otherwise(old),
        )  # fmt: skip
    of = pl.col("fault")
    table = table.with_columns(pl.when(of == "stale").then(f"{name}_old").otherwise(name).alias(name) for name in quote)
    crossed, unquoted, uncounted = of == "crossed", of == "no_quote", of == "no_count"
    lifted = pl.when(pl.col("ask") > pl.col("bid")).then("ask").otherwise(pl.col("bid") + 0.01)
    table = table.with_columns(
        bid=pl.when(crossed).then(lifted).when(of == "zero_bid").then(0.0).when(~unquoted | of.is_null()).then("bid"),
        ask=pl.when(crossed).then("bid").when(~unquoted | of.is_null()).then("ask"),
        bid_size=pl.when(of == "zero_bid").then(0.0).when(~unquoted | of.is_null()).then("bid_size"),
        ask_size=pl.when(~unquoted | of.is_null()).then("ask_size"),
        quote_ts=pl.when(~unquoted | of.is_null()).then("quote_ts"),
        open_interest=pl.when(~uncounted | of.is_null()).then("open_interest"),
        oi_available_at=pl.when(~uncounted | of.is_null()).then("oi_available_at"),
    )
    return Spoiled(table.select(rows.columns), table.select("contract_id", "fault"))
