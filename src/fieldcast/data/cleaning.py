"""Cleaning of every table but daily bars (`data.rules`): which rows go, and under which reason.

The rules follow from the table itself (`market.Table`): what must be there, above zero, not negative, in order. A row is
removed under the first rule that it breaks, so that the counts add up. Rows that repeat a key with the same values are one
row; with other values, and the same `available_at`, none of them can be trusted.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from fieldcast.data.rules import RANGE_TOLERANCE, CleaningReport, count_reasons
from fieldcast.ground import Reason, utc
from fieldcast.market import Table, add_reason, conform


def clean_rows(rows: pl.DataFrame, table: Table, now: datetime) -> tuple[pl.DataFrame, CleaningReport]:
    """Rows fit to be stored, in key order, with their flags; and a report of every rule that fired.

    Parameters
    ----------
    rows : the table's schema; numbers may be null, NaN or anything else
    now : rows dated after it are from the future
    """
    floats = [name for name, dtype in table.schema.items() if dtype == pl.Float64]
    judged = conform(rows, dict(table.schema)).with_columns(pl.col(floats).fill_nan(None)).with_row_index("row")
    broken = {str(code): where.fill_null(value=False) for code, where in _removals(table, utc(now))}
    judged = judged.with_columns(reason=pl.coalesce(pl.when(where).then(pl.lit(code)) for code, where in broken.items()))
    judged = judged.with_columns(reason=pl.coalesce("reason", _repeated(judged, table)))
    quarantine = judged.filter(pl.col("reason").is_not_null())
    kept = judged.filter(pl.col("reason").is_null()).drop("row", "reason").sort(table.version_key)
    for code, where in _flags(table):
        kept = kept.with_columns(add_reason(code, where.fill_null(value=False)))
    removed = {
        Reason(code): int(count)  # type: ignore[call-arg]
        for code, count in quarantine["reason"].value_counts().sort("reason").iter_rows()
    }
    return kept, CleaningReport(rows.height, kept.height, removed, count_reasons(kept), quarantine)


def _removals(table: Table, now: datetime) -> list[tuple[Reason, pl.Expr]]:
    """Rules in the order in which they are tried, and the rows that break them."""
    floats = [name for name, dtype in table.schema.items() if dtype == pl.Float64]
    needed = [name for name in (*table.key, *table.required) if name != "ts"]
    if table.kind == "bars":      # a bar has all of its prices, or says that it is a close alone
        whole = ~pl.col("reasons").fill_null("").str.contains(Reason.CLOSE_ONLY)
        lacking = pl.any_horizontal(pl.col(name).is_null() for name in ("open", "high", "low")) & whole
    else:
        lacking = pl.lit(value=False)
    missing = pl.any_horizontal(pl.col(name).is_null() for name in needed) | lacking
    rules = [
        (Reason.STAMP_MISSING, pl.col("ts").is_null() | pl.col("available_at").is_null()),
        (Reason.FUTURE_STAMP, pl.col("ts") > now),
        (Reason.KNOWN_BEFORE_EVENT, pl.col("available_at") < pl.col("ts")),
        (Reason.VALUE_MISSING, missing),
        (Reason.VALUE_NOT_FINITE, pl.any_horizontal(pl.col(name).is_infinite() for name in floats)),
    ]
    if table.positive:
        rules.append((Reason.VALUE_NOT_POSITIVE, pl.any_horizontal(pl.col(name) <= 0 for name in table.positive)))
    if table.non_negative:
        rules.append((Reason.VALUE_NEGATIVE, pl.any_horizontal(pl.col(name) < 0 for name in table.non_negative)))
    if table.ordered:
        wrong = pl.any_horizontal(pl.col(low) > pl.col(high) for low, high in table.ordered)
        rules.append((Reason.VALUES_OUT_OF_ORDER, wrong))
    return rules


def _repeated(rows: pl.DataFrame, table: Table) -> pl.Series:
    """The reason where a sound row repeats a version: on all but the first where they agree, else on all of them."""
    key = [*table.version_key, "reason"]
    if not rows.select(key).is_duplicated().any():
        return pl.Series("repeated", [None] * rows.height, dtype=pl.String)
    values = [name for name in table.values if name != "reasons"]
    agree = pl.struct(values).n_unique().over(key) == 1 if values else pl.lit(value=True)
    first = pl.int_range(pl.len()).over(key) == 0
    wrong = (pl.len().over(key) > 1) & pl.col("reason").is_null() & ~(first & agree)
    return rows.select(pl.when(wrong).then(pl.lit(str(Reason.DUPLICATE_STAMP))).alias("repeated"))["repeated"]


def _flags(table: Table) -> list[tuple[Reason, pl.Expr]]:
    """What is unusual about a row that stays."""
    names = set(table.schema)
    flags: list[tuple[Reason, pl.Expr]] = []
    if table.kind == "bars":
        above, below = pl.col("high") * (1 + RANGE_TOLERANCE), pl.col("low") * (1 - RANGE_TOLERANCE)
        flags += [
            (Reason.OPEN_OUTSIDE_RANGE, (pl.col("open") > above) | (pl.col("open") < below)),
            (Reason.CLOSE_OUTSIDE_RANGE, (pl.col("close") > above) | (pl.col("close") < below)),
            (Reason.VOLUME_NOT_REPORTED, pl.col("volume").is_null()),
        ]
    if {"bid", "ask"} <= names:
        flags.append((Reason.QUOTE_CROSSED, pl.col("bid") > pl.col("ask")))
    if {"bid_close", "ask_close"} <= names:
        flags.append((Reason.QUOTE_CROSSED, pl.col("bid_close") > pl.col("ask_close")))
    return flags
