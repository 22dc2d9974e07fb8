"""Cleaning of every table but daily bars (`data.rules`): which rows go, which stay and are flagged, and under which reason.

The rules follow from the table itself (`market.Table`): what must be there, above zero, not negative, in order, and which words
it knows. A row is removed under the first rule that it breaks, so that the counts add up. Rows that repeat a key with the same
values are one row; with other values, and the same `available_at`, none of them can be trusted.

Intraday bars of known instruments are flagged besides: outside the regular hours of their calendar (where it has any), without
volume, unfinished when they were fetched, or after a large move for their asset class. A flagged row stays: a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
import polars as pl

from fieldcast.data.rules import LARGE_MOVE, RANGE_TOLERANCE, CleaningReport, Severity, count_reasons
from fieldcast.ground import Reason, utc
from fieldcast.market import PRICES, STAMP, Instrument, Layout, Table, add_reason, conform, segments

INTRADAY_SHARE = 0.5  # of the daily limit of the asset class: what counts as a large move from one intraday bar to the next
POSSIBLE = (datetime(1700, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC))
WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # table → column → what may stand there
    "trades": {"side": ("buy", "sell")},
    "depth": {"side": ("bid", "ask")},
    "chains": {"right": ("call", "put")},
    "actions": {"action": ("split", "dividend")},
}
SEVERITIES: Mapping[Reason, Severity] = {
    Reason.STAMP_MISSING: Severity.ERROR,
    Reason.STAMP_IMPOSSIBLE: Severity.ERROR,
    Reason.FUTURE_STAMP: Severity.ERROR,
    Reason.KNOWN_BEFORE_EVENT: Severity.ERROR,
    Reason.VALUE_MISSING: Severity.ERROR,
    Reason.VALUE_NOT_FINITE: Severity.ERROR,
    Reason.VALUE_NOT_POSITIVE: Severity.ERROR,
    Reason.VALUE_NEGATIVE: Severity.ERROR,
    Reason.VALUES_OUT_OF_ORDER: Severity.ERROR,
    Reason.VALUE_NOT_ALLOWED: Severity.ERROR,
    Reason.DUPLICATE_STAMP: Severity.ERROR,
    Reason.OPEN_OUTSIDE_RANGE: Severity.WARNING,
    Reason.CLOSE_OUTSIDE_RANGE: Severity.WARNING,
    Reason.QUOTE_CROSSED: Severity.WARNING,
    Reason.LARGE_MOVE: Severity.WARNING,
    Reason.STUB_BAR: Severity.WARNING,
    Reason.OUTSIDE_HOURS: Severity.NOTE,
    Reason.VOLUME_ZERO: Severity.NOTE,
    Reason.VOLUME_NOT_REPORTED: Severity.NOTE,
}


def rules_of(table: Table, *, hours: bool = True) -> dict[Reason, Severity]:
    """The rules that can fire on a table; `hours` where its instruments are known."""
    tried = [code for code, _ in _removals(table, datetime.max.replace(tzinfo=UTC))]
    tried += [Reason.DUPLICATE_STAMP, *(code for code, _ in _flags(table))]
    if hours and _has_hours(table):
        tried += [Reason.OUTSIDE_HOURS]
        if table.kind == "bars":
            tried += [Reason.LARGE_MOVE]
    return {code: severity for code, severity in SEVERITIES.items() if code in tried}


def clean_rows(
    rows: pl.DataFrame, table: Table, now: datetime, instruments: Iterable[Instrument] = ()
) -> tuple[pl.DataFrame, CleaningReport]:
    """Rows fit to be stored, in key order, with their flags; and a report of every rule that was tried.

    Parameters
    ----------
    rows : the table's schema; numbers may be null, NaN or anything else
    now : rows dated after it are from the future
    instruments : those of `rows` whose hours and asset class are known; the others are not judged by any
    """
    floats = [name for name, dtype in table.schema.items() if dtype == pl.Float64]
    judged = conform(rows, dict(table.schema)).with_columns(pl.col(floats).fill_nan(None)).with_row_index("row")
    judged = judged.with_columns(reason=_broken(judged, table, utc(now)))
    in_order = _strictly_ascending(judged)
    if not in_order:  # else each row has a time of its own
        judged = judged.with_columns(reason=pl.coalesce("reason", _repeated(judged, table)))
    quarantine = judged.filter(pl.col("reason").is_not_null())
    kept = judged.filter(pl.col("reason").is_null()).drop("row", "reason")
    kept = kept if in_order else kept.sort(table.version_key)
    for code, where in _flags(table):
        if code is not Reason.STUB_BAR or (kept["volume"] == 0).any():
            kept = _flagged(kept, code, kept.select(where.fill_null(value=False)).to_series())
    known = {instrument.id: instrument for instrument in instruments}
    if known and _has_hours(table):
        kept = _flagged(kept, Reason.OUTSIDE_HOURS, outside_hours(kept, known))
        if table.kind == "bars":
            kept = _flagged(kept, Reason.LARGE_MOVE, _large_moves(kept, known))
    removed = {
        Reason(code): int(count)  # type: ignore[call-arg]
        for code, count in quarantine["reason"].value_counts().sort("reason").iter_rows()
    }
    report = CleaningReport(
        rows.height, kept.height, removed, count_reasons(kept), quarantine, rules_of(table, hours=bool(known))
    )
    return kept, report


def _broken(rows: pl.DataFrame, table: Table, now: datetime) -> pl.Series:
    """The first rule that each row breaks; null where it breaks none."""
    broken = {str(code): where.fill_null(value=False) for code, where in _removals(table, now)}
    if not rows.select(pl.any_horizontal(broken.values()).any()).item():
        return pl.Series("reason", [None], dtype=pl.String).new_from_index(0, rows.height)
    return rows.select(pl.coalesce(pl.when(where).then(pl.lit(code)) for code, where in broken.items()).alias("reason"))["reason"]


def _strictly_ascending(rows: pl.DataFrame) -> bool:
    """True where the rows stand by instrument and ts, and no two share both."""
    if rows["instrument"].null_count() or rows["ts"].null_count():
        return False
    id, ts = pl.col("instrument"), pl.col("ts")
    later = (id > id.shift(1)) | ((id == id.shift(1)) & (ts > ts.shift(1)))
    return bool(rows.select(later.fill_null(value=True).all()).item())


def _has_hours(table: Table) -> bool:
    return table.layout is Layout.INTRADAY and table.kind in ("bars", "quote_bars")


def _removals(table: Table, now: datetime) -> list[tuple[Reason, pl.Expr]]:
    """Rules in the order in which they are tried, and the rows that break them."""
    floats = [name for name, dtype in table.schema.items() if dtype == pl.Float64]
    stamps = [name for name, dtype in table.schema.items() if dtype == STAMP]
    rules = [
        (Reason.STAMP_MISSING, pl.col("ts").is_null() | pl.col("available_at").is_null()),
        (Reason.STAMP_IMPOSSIBLE, pl.any_horizontal(~pl.col(name).is_between(*POSSIBLE) for name in stamps)),
        (Reason.FUTURE_STAMP, pl.col("ts") > now),
        (Reason.KNOWN_BEFORE_EVENT, pl.col("available_at") < pl.col("ts")),
        (Reason.VALUE_MISSING, _lacking(table)),
    ]
    if floats:
        rules.append((Reason.VALUE_NOT_FINITE, pl.any_horizontal(pl.col(name).is_infinite() for name in floats)))
    if table.positive:
        rules.append((Reason.VALUE_NOT_POSITIVE, pl.any_horizontal(pl.col(name) <= 0 for name in table.positive)))
    if table.non_negative:
        rules.append((Reason.VALUE_NEGATIVE, pl.any_horizontal(pl.col(name) < 0 for name in table.non_negative)))
    if table.ordered:
        wrong = pl.any_horizontal(pl.col(low) > pl.col(high) for low, high in table.ordered)
        rules.append((Reason.VALUES_OUT_OF_ORDER, wrong))
    if table.kind in WORDS:
        words = WORDS[table.kind].items()
        rules.append((Reason.VALUE_NOT_ALLOWED, pl.any_horizontal(~pl.col(name).is_in(list(allowed)) for name, allowed in words)))
    return rules


def _lacking(table: Table) -> pl.Expr:
    """Where a value is null that the row cannot do without."""
    needed = [name for name in (*table.key, *table.required) if name != "ts"]
    missing = pl.any_horizontal(pl.col(name).is_null() for name in needed)
    if table.kind == "bars":      # a bar has all of its prices, or says that it is a close alone
        bare = pl.any_horizontal(pl.col(name).is_null() for name in ("open", "high", "low"))
        return missing | (bare & ~pl.col("reasons").fill_null("").str.contains(Reason.CLOSE_ONLY, literal=True))
    if table.kind == "quotes":    # one side at least
        return missing | (pl.col("bid").is_null() & pl.col("ask").is_null())
    if table.kind == "quote_bars":
        return missing | (pl.col("bid_close").is_null() & pl.col("ask_close").is_null())
    if table.kind == "actions":
        split, dividend = pl.col("action") == "split", pl.col("action") == "dividend"
        return missing | (split & pl.col("ratio").is_null()) | (dividend & pl.col("amount").is_null())
    return missing


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


# what is unusual about a row that stays -----------------------------------------------------------------------------


def _flags(table: Table) -> list[tuple[Reason, pl.Expr]]:
    """What the row itself shows."""
    names = set(table.schema)
    flags: list[tuple[Reason, pl.Expr]] = []
    if table.kind == "bars":
        above, below = pl.col("high") * (1 + RANGE_TOLERANCE), pl.col("low") * (1 - RANGE_TOLERANCE)
        flags += [
            (Reason.OPEN_OUTSIDE_RANGE, (pl.col("open") > above) | (pl.col("open") < below)),
            (Reason.CLOSE_OUTSIDE_RANGE, (pl.col("close") > above) | (pl.col("close") < below)),
            (Reason.VOLUME_NOT_REPORTED, pl.col("volume").is_null()),
        ]
        if table.layout is Layout.INTRADAY:
            flags += [(Reason.VOLUME_ZERO, pl.col("volume") == 0), (Reason.STUB_BAR, _stub())]
    if {"bid", "ask"} <= names:
        flags.append((Reason.QUOTE_CROSSED, pl.col("bid") > pl.col("ask")))
    if {"bid_close", "ask_close"} <= names:
        flags.append((Reason.QUOTE_CROSSED, pl.col("bid_close") > pl.col("ask_close")))
    return flags


def _stub() -> pl.Expr:
    """The newest bar of an instrument where it alone has one price and no volume."""
    last = pl.col("ts") == pl.col("ts").max().over("instrument")
    empty = pl.all_horizontal(pl.col(name) == pl.col("close") for name in PRICES) & (pl.col("volume") == 0)
    return last & empty & (empty.sum().over("instrument") == 1) & (pl.len().over("instrument") > 1)


def _flagged(rows: pl.DataFrame, code: Reason, where: pl.Series) -> pl.DataFrame:
    """`rows` with the code where `where` holds; the cost goes with the rows that are flagged."""
    if not where.any():
        return rows
    if rows["reasons"].null_count() == rows.height:
        return rows.with_columns(pl.when(where).then(pl.lit(str(code))).alias("reasons"))
    changed = rows.select("reasons").filter(where).with_columns(add_reason(code, pl.lit(value=True)))["reasons"]
    return rows.with_columns(reasons=rows["reasons"].scatter(where.arg_true(), changed))


def outside_hours(rows: pl.DataFrame, instruments: Mapping[str, Instrument]) -> pl.Series:
    """Where a bar ends outside every session of its instrument's calendar; never where the instrument is not known."""
    outside = np.zeros(rows.height, dtype=bool)
    calendar = _of_each(rows, {id: item.calendar for id, item in instruments.items()}, pl.String())
    ts = rows["ts"].to_physical().to_numpy()
    for name in calendar.drop_nulls().unique().to_list():
        spans = segments(name)
        start, end = (spans[side].to_physical().to_numpy() for side in ("start", "end"))
        own = (calendar == name).fill_null(value=False).to_numpy()
        at = np.searchsorted(start, ts[own], side="left") - 1
        outside[own] = (at < 0) | (ts[own] > end[at])
    return pl.Series("outside", outside)


def _of_each(rows: pl.DataFrame, values: Mapping[str, object], dtype: pl.DataType) -> pl.Series:
    """The value of each row's instrument; null where it has none. Looked up once for each run of rows."""
    runs = rows["instrument"].rle().struct
    found = runs.field("value").replace_strict(dict(values), default=None, return_dtype=dtype)
    return found.gather(np.repeat(np.arange(found.len()), runs.field("len").to_numpy()))


def _large_moves(rows: pl.DataFrame, instruments: Mapping[str, Instrument]) -> pl.Series:
    """|log return| from the bar before above the share of its asset class's daily limit; things not for holding have none."""
    limits = {
        id: LARGE_MOVE[item.kind] * INTRADAY_SHARE for id, item in instruments.items() if item.tradable or item.notional
    }
    limit = _of_each(rows, limits, pl.Float64())
    same = pl.col("instrument") == pl.col("instrument").shift(1)  # rows stand by instrument
    move = pl.when(same).then((pl.col("close") / pl.col("close").shift(1)).log().abs())
    return rows.select((move > limit).fill_null(value=False).alias("large"))["large"]
