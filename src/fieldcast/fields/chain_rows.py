"""One snapshot out of sources that give none: quotes written when they change, open interest in a table of its own."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from fieldcast.ground import InvalidInput, MissingData


def latest_rows(chain: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The last row of each contract known at `as_of`, as one snapshot at the newest of their moments.

    For minute files that hold a row only where a quote changed. A row keeps the time of its quote in `quote_ts` (its own `ts`
    where that is null), so that the rules of quotes can leave out what is too old.

    Parameters
    ----------
    chain : rows of the table `chains` of one underlying, any number of moments

    Raises
    ------
    InvalidInput : `as_of` without a time zone
    MissingData : no row is known then
    """
    if as_of.tzinfo is None:
        raise InvalidInput(f"expected as_of with a time zone, found {as_of}")
    known = chain.filter(pl.col("available_at") <= as_of)
    if known.is_empty():
        raise MissingData(f"expected a chain known at {as_of}, found none: {chain.height} rows came out later")
    quote = pl.coalesce("quote_ts", "ts") if "quote_ts" in chain.columns else pl.col("ts")
    rows = known.with_columns(quote_ts=quote).sort("ts", "available_at")
    rows = rows.unique(["instrument", "contract_id"], keep="last", maintain_order=True)
    return rows.with_columns(ts=pl.col("ts").max(), available_at=pl.col("available_at").max()).select(
        [*chain.columns, *([] if "quote_ts" in chain.columns else ["quote_ts"])]
    )


def with_open_interest(chain: pl.DataFrame, counts: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Rows of `chains` with each contract's newest open interest known at `as_of`; their own stays where they have one.

    Parameters
    ----------
    chain : rows of the table `chains`
    counts : rows of the table `open_interest`
    """
    known = counts.filter(pl.col("available_at") <= as_of).sort("ts", "available_at")
    newest = known.unique("contract_id", keep="last", maintain_order=True).select(
        "contract_id", _count="open_interest", _known="available_at"
    )
    own = pl.col("open_interest").is_not_null()
    joined = chain.join(newest, on="contract_id", how="left", maintain_order="left")
    return joined.with_columns(
        open_interest=pl.when(own).then("open_interest").otherwise("_count"),
        oi_available_at=pl.when(own).then("oi_available_at").otherwise("_known"),
    ).drop("_count", "_known")
