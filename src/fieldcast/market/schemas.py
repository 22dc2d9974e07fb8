"""Table schemas.

Every table has `ts` (when the row's event ended) and `available_at` ≥ `ts` (when it could first be known).
"""

from __future__ import annotations

import polars as pl

from fieldcast.ground import InvalidInput

STAMP = pl.Datetime("us", "UTC")

BARS: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "ts": STAMP,  # close of the session or bar
    "available_at": STAMP,  # when the row could first be known; a restatement is a new row with a later one
    "open": pl.Float64(),  # null where the source gives none
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),  # never null
    "volume": pl.Float64(),  # null, not zero, where none was reported
    "reasons": pl.String(),  # registered reason codes joined by commas, sorted; null where there is nothing to say
}
BAR_KEY = ("instrument", "ts", "available_at")
PRICES = ("open", "high", "low", "close")


def empty_bars() -> pl.DataFrame:
    """A table of bars without rows."""
    return pl.DataFrame(schema=BARS)


def conform(frame: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """`frame` with exactly the columns and types of `schema`, in its order.

    Raises
    ------
    InvalidInput : a column is missing, or a value does not fit its type
    """
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise InvalidInput(f"expected columns {', '.join(schema)}; missing {', '.join(missing)}")
    try:
        return frame.select(pl.col(name).cast(dtype, strict=True) for name, dtype in schema.items())
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"expected values that fit {schema}; {error}") from None


def has_reason(code: str) -> pl.Expr:
    """True where the row carries the reason code."""
    return pl.col("reasons").str.split(",").list.contains(code).fill_null(value=False)


def add_reason(code: str, where: pl.Expr) -> pl.Expr:
    """The `reasons` column with `code` added where `where` holds; codes stay sorted and unique."""
    joined = (
        pl.concat_list(pl.col("reasons").fill_null("").str.split(","), pl.lit([code], dtype=pl.List(pl.String)))
        .list.eval(pl.element().filter(pl.element() != ""))
        .list.unique()
        .list.sort()
        .list.join(",")
    )
    return pl.when(where).then(joined).otherwise(pl.col("reasons")).alias("reasons")


def trusted_open() -> pl.Expr:
    """The open where it is a real print, else null: what features and fills may use."""
    return pl.when(has_reason("open_synthetic")).then(None).otherwise(pl.col("open"))
