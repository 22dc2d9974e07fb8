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
    """Rows of `chains` with each contract's newest open interest known at `as_of`; a row's own stays where it was out by then.

    A row's own count that came out later gives way to an older one. Where there is none it stays as it is, with its moment, so
    that whoever reads the row can tell that it was not known yet.

    Parameters
    ----------
    chain : rows of the table `chains`
    counts : rows of the table `open_interest`
    """
    known = counts.filter(pl.col("available_at") <= as_of).sort("ts", "available_at")
    newest = known.unique("contract_id", keep="last", maintain_order=True).select(
        "contract_id", _count="open_interest", _known="available_at"
    )
    own = pl.col("open_interest").is_not_null() & (pl.coalesce("oi_available_at", "available_at") <= as_of)
    none_known = pl.col("_count").is_null()
    joined = chain.join(newest, on="contract_id", how="left", maintain_order="left")
    return joined.with_columns(
        open_interest=pl.when(own | none_known).then("open_interest").otherwise("_count"),
        oi_available_at=pl.when(own | none_known).then("oi_available_at").otherwise("_known"),
    ).drop("_count", "_known")


WHOLE = 0.5  # share of a day's contracts from which on the rows of one moment are a snapshot, and not the few that changed


def newest_snapshot(chain: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The newest snapshot known at `as_of`, of sources that give the whole chain at a time and of those that give changes.

    The rows of the newest moment are the snapshot where they hold at least half of the contracts of the last 24 hours; else each
    contract's last row of those hours is (see `latest_rows`): a dozen late rows are not the market.

    Raises
    ------
    MissingData : no row is known then
    """
    known = chain.filter(pl.col("available_at") <= as_of)
    if known.is_empty():
        raise MissingData(f"expected a chain known at {as_of}, found none: {chain.height} rows came out later")
    newest = pl.col("ts").max()
    day = known.filter(pl.col("ts") > newest - pl.duration(hours=24))
    rows = day.filter(pl.col("ts") == newest)
    whole = rows["contract_id"].n_unique() >= WHOLE * day["contract_id"].n_unique()
    return rows if whole else latest_rows(day, as_of)
