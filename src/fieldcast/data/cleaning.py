"""Cleaning of every table but daily bars (`data.rules`): which rows go, which stay and are flagged, and under which reason.

The rules follow from the table itself (`market.Table`): what must be there, above zero, not negative, in order, and which words
it knows. A row is removed under the first rule that it breaks, so that the counts add up. Rows that repeat a key with the same
values are one row; with other values, and the same `available_at`, none of them can be trusted.

Intraday bars of known instruments are flagged besides: outside the regular hours of their calendar (where it has any), without
volume, unfinished when they were fetched, or after a large move for their asset class. A flagged row stays: a person decides.

Most files are small and sound, so that an import costs what asking costs, whatever the rows: the rules of a table are made into
expressions once (`_Plan`), one evaluation counts what all of them find, and only what was found is looked at row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.gaps import microseconds
from fieldcast.data.rules import LARGE_MOVE, RANGE_TOLERANCE, CleaningReport, Severity, count_reasons, counts, with_codes
from fieldcast.ground import Reason, utc
from fieldcast.market import PRICES, STAMP, Instrument, Layout, Table, conform, segments

INTRADAY_SHARE = 0.5  # of the daily limit of the asset class: what counts as a large move from one intraday bar to the next
POSSIBLE = (datetime(1700, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # table → column → what may stand there
    "trades": {"side": ("buy", "sell")},
    "option_trades": {"side": ("buy", "sell"), "right": ("call", "put")},
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


@dataclass(frozen=True)
class _Plan:
    """The rules of one table as expressions.

    Parameters
    ----------
    removals : rule → rows that break it; the one that asks the clock is made for each import
    flags : rule → rows that show it
    sums : over all rows: the `newest` ts in microseconds, whether any is `broken`, whether they stand `ascending`, and how often
        each flag is found
    quarantine : no removed rows
    """

    table: Table
    schema: pl.Schema
    floats: tuple[str, ...]
    removals: Mapping[Reason, pl.Expr]
    flags: Mapping[Reason, pl.Expr]
    sums: tuple[pl.Expr, ...]
    quarantine: pl.DataFrame


_PLANS: dict[str, _Plan] = {}


def _plan(table: Table) -> _Plan:
    """The plan of a table, made when it is first asked for."""
    known = _PLANS.get(table.name)
    if known is None or known.table is not table:
        known = _PLANS[table.name] = _planned(table)
    return known


def _planned(table: Table) -> _Plan:
    removals = {code: where.fill_null(value=False) for code, where in _removals(table)}
    flags = {code: where.fill_null(value=False) for code, where in _flags(table)}
    sums = (
        pl.col("ts").max().cast(pl.Int64).alias("newest"),
        pl.any_horizontal(where.any() for where in removals.values()).alias("broken"),
        _strictly_ascending().alias("ascending"),
        *(where.sum().alias(code) for code, where in flags.items() if code is not Reason.STUB_BAR),
    )
    floats = tuple(name for name, dtype in table.schema.items() if dtype == pl.Float64)
    quarantine = table.empty().with_row_index("row").with_columns(reason=pl.lit(None, dtype=pl.String))
    return _Plan(table, pl.Schema(table.schema), floats, removals, flags, sums, quarantine)


def rules_of(table: Table, *, hours: bool = True) -> dict[Reason, Severity]:
    """The rules that can fire on a table; `hours` where its instruments are known."""
    plan = _plan(table)
    tried = {Reason.FUTURE_STAMP, Reason.DUPLICATE_STAMP, *plan.removals, *plan.flags}
    if hours and _has_hours(table):
        tried |= {Reason.OUTSIDE_HOURS, Reason.LARGE_MOVE} if table.kind == "bars" else {Reason.OUTSIDE_HOURS}
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
    plan, now = _plan(table), utc(now)
    described = {instrument.id: instrument for instrument in instruments}
    known = described if _has_hours(table) else {}
    kept = (rows if rows.schema == plan.schema else conform(rows, dict(table.schema))).rechunk()
    kept = kept.with_columns(pl.col(plan.floats).fill_nan(None)) if plan.floats else kept
    seen = _seen(kept, plan, known)
    broken = seen["broken"] or (seen["newest"] is not None and seen["newest"] > (now - _EPOCH) // timedelta(microseconds=1))
    quarantine = plan.quarantine
    if broken or not seen["ascending"]:
        kept, quarantine = _parted(kept, plan, now, broken=broken, ascending=seen["ascending"])
        seen = _seen(kept, plan, known)
    found = _found(kept, plan, known, seen)
    bare = kept["reasons"].null_count() == kept.height
    kept = with_codes(kept, found)
    flagged = {code: int(found[code].sum()) for code in sorted(found)} if bare else count_reasons(kept)
    rules = rules_of(table, hours=bool(described))
    return kept, CleaningReport(rows.height, kept.height, counts(quarantine["reason"]), flagged, quarantine, rules)


def _seen(rows: pl.DataFrame, plan: _Plan, known: Mapping[str, Instrument]) -> dict[str, Any]:
    """`_Plan.sums`, and how many large moves there are where the rows, ascending, are of one known instrument."""
    only = known.get(_only(rows)) if known and plan.table.kind == "bars" else None
    if only is None or not (only.tradable or only.notional):
        return rows.select(plan.sums).row(0, named=True)
    large = (_move() > LARGE_MOVE[only.kind] * INTRADAY_SHARE).sum().alias(Reason.LARGE_MOVE)
    return rows.select(*plan.sums, large).row(0, named=True)


def _only(rows: pl.DataFrame) -> str:
    """The one instrument of rows that stand by instrument; nothing where there are several or none."""
    ids = rows["instrument"]
    return str(ids[0]) if rows.height and ids[0] == ids[-1] else ""


def _parted(
    rows: pl.DataFrame, plan: _Plan, now: datetime, *, broken: bool, ascending: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The sound rows in key order; the others with their place in the input and the first rule that each breaks."""
    rules = {**plan.removals, Reason.FUTURE_STAMP: pl.col("ts") > now} if broken else {}
    tried = (pl.when(rules[code]).then(pl.lit(str(code))) for code in SEVERITIES if code in rules)
    first = pl.coalesce(pl.lit(None, pl.String), *tried)
    judged = rows.with_row_index("row").with_columns(reason=first)
    if not ascending:  # else each row has a time of its own
        judged = judged.with_columns(reason=pl.coalesce("reason", _repeated(judged, plan.table)))
    kept = judged.filter(pl.col("reason").is_null()).drop("row", "reason")
    return (kept if ascending else kept.sort(plan.table.version_key)), judged.filter(pl.col("reason").is_not_null())


def _strictly_ascending() -> pl.Expr:
    """True where the rows stand by instrument and ts, and no two share both."""
    id, ts = pl.col("instrument"), pl.col("ts")
    later = (id > id.shift(1)) | ((id == id.shift(1)) & (ts > ts.shift(1)))
    return (id.null_count() == 0) & (ts.null_count() == 0) & later.fill_null(value=True).all()


def _has_hours(table: Table) -> bool:
    return table.layout is Layout.INTRADAY and table.kind in ("bars", "quote_bars")


def _removals(table: Table) -> list[tuple[Reason, pl.Expr]]:
    """Rules and the rows that break them; they are tried in the order of `SEVERITIES`."""
    floats = [name for name, dtype in table.schema.items() if dtype == pl.Float64]
    stamps = [name for name, dtype in table.schema.items() if dtype == STAMP]
    rules = [
        (Reason.STAMP_MISSING, pl.col("ts").is_null() | pl.col("available_at").is_null()),
        (Reason.STAMP_IMPOSSIBLE, pl.any_horizontal(~pl.col(name).is_between(*POSSIBLE) for name in stamps)),
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


def _found(
    rows: pl.DataFrame, plan: _Plan, known: Mapping[str, Instrument], seen: Mapping[str, Any]
) -> dict[Reason, pl.Series]:
    """Flag → the rows, ascending, that show it; those alone that any row shows."""
    wanted = {code: where for code, where in plan.flags.items() if seen.get(code)}
    if Reason.STUB_BAR in plan.flags and Reason.VOLUME_ZERO in wanted:
        wanted[Reason.STUB_BAR] = plan.flags[Reason.STUB_BAR]
    if seen.get(Reason.LARGE_MOVE):
        limit = LARGE_MOVE[known[_only(rows)].kind] * INTRADAY_SHARE
        wanted[Reason.LARGE_MOVE] = (_move() > limit).fill_null(value=False)
    masks = rows.select(where.alias(code) for code, where in wanted.items()) if wanted else rows.select()
    found = {code: masks[code] for code in wanted}
    if known:
        found[Reason.OUTSIDE_HOURS] = outside_hours(rows, known)
        if plan.table.kind == "bars" and not _only(rows):
            found[Reason.LARGE_MOVE] = _large_moves(rows, known)
    return {code: where for code, where in found.items() if where.any()}


def outside_hours(rows: pl.DataFrame, instruments: Mapping[str, Instrument]) -> pl.Series:
    """Where a bar ends outside every session of its instrument's calendar; never where the instrument is not known."""
    outside = np.zeros(rows.height, dtype=bool)
    ts = microseconds(rows["ts"])
    if rows["instrument"].n_unique() == 1:
        only = instruments.get(rows["instrument"][0])
        return pl.Series("outside", outside if only is None else _outside(ts, only.calendar))
    calendar = _of_each(rows, {id: item.calendar for id, item in instruments.items()}, pl.String())
    for name in calendar.drop_nulls().unique().to_list():
        own = (calendar == name).fill_null(value=False).to_numpy()
        outside[own] = _outside(ts[own], name)
    return pl.Series("outside", outside)


def _outside(ts: NDArray[np.int64], calendar: str) -> NDArray[np.bool_]:
    start, end = _spans(calendar)
    at = np.searchsorted(start, ts, side="left") - 1
    return (at < 0) | (ts > end[at])


@lru_cache(maxsize=16)
def _spans(calendar: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end of every stretch of trading, in microseconds."""
    spans = segments(calendar)
    return microseconds(spans["start"]), microseconds(spans["end"])


def _of_each(rows: pl.DataFrame, values: Mapping[str, object], dtype: pl.DataType) -> pl.Series:
    """The value of each row's instrument; null where it has none. Looked up once for each run of rows."""
    runs = rows["instrument"].rle().struct
    found = runs.field("value").replace_strict(dict(values), default=None, return_dtype=dtype)
    return found.gather(np.repeat(np.arange(found.len()), runs.field("len").to_numpy()))


def _move() -> pl.Expr:
    """|log return| from the bar before; rows stand by instrument."""
    same = pl.col("instrument") == pl.col("instrument").shift(1)
    return pl.when(same).then((pl.col("close") / pl.col("close").shift(1)).log().abs())


def _large_moves(rows: pl.DataFrame, instruments: Mapping[str, Instrument]) -> pl.Series:
    """|log return| from the bar before above the share of its asset class's daily limit; things not for holding have none."""
    limits = {
        id: LARGE_MOVE[item.kind] * INTRADAY_SHARE for id, item in instruments.items() if item.tradable or item.notional
    }
    limit = _of_each(rows, limits, pl.Float64())
    return rows.select((_move() > limit).fill_null(value=False).alias("large"))["large"]
