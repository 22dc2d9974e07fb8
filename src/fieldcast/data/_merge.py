"""What an append does to rows that are already stored.

A row is a *version* of the bar (instrument, ts); its `available_at` says from when the version could be known.

- a version that is stored already is unchanged (an append can be repeated without effect);
- the same values as the latest version: unchanged, whatever `available_at` it comes with;
- other values: a restatement, stored as a new version. It becomes known at its own `available_at` where that is later
  than the stored one, else when it was fetched. What was known before is never rewritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from fieldcast.data.lineage import Lineage
from fieldcast.ground import InvalidInput, Reason, reason_codes, utc
from fieldcast.market import BAR_KEY, BARS, PRICES, conform, has_reason

_BAR = ["instrument", "ts"]
_VALUES = ["open", "high", "low", "close", "volume", "reasons"]


@dataclass(frozen=True)
class Merged:
    """The rows to add (new bars and restatements) and the counts of what was found."""

    added: pl.DataFrame
    rows_added: int
    rows_restated: int
    rows_unchanged: int
    rows_superseded: int


def checked(bars: pl.DataFrame, lineage: Lineage) -> pl.DataFrame:
    """`bars` in schema and key order, or a refusal that names the first thing wrong with them.

    Raises
    ------
    InvalidInput : schema, key, a non-finite or missing value without its reason, an unregistered reason code, or a
        simulated label that rows and lineage do not share
    """
    rows = conform(bars, BARS).sort(BAR_KEY)
    if rows.is_empty():
        raise InvalidInput("expected at least one row to append, found none")
    for name in ("instrument", "ts", "available_at", "close"):
        _refuse(rows, pl.col(name).is_null(), f"expected a value of {name} in every row")
    for name in (*PRICES, "volume"):
        _refuse(rows, pl.col(name).is_not_null() & ~pl.col(name).is_finite(), f"expected {name} finite or null")
    for name in PRICES:
        _refuse(rows, pl.col(name) <= 0, f"expected {name} above zero")
    _refuse(rows, pl.col("high") < pl.col("low"), "expected high at or above low")
    _refuse(rows, pl.col("volume") < 0, "expected volume at or above zero")
    _refuse(rows, pl.col("available_at") < pl.col("ts"), "expected available_at at or after ts")
    bare = pl.any_horizontal(pl.col(name).is_null() for name in ("open", "high", "low"))
    _refuse(rows, bare & ~has_reason(Reason.CLOSE_ONLY), "expected open, high and low, or the reason close_only")
    silent = ~(has_reason(Reason.CLOSE_ONLY) | has_reason(Reason.VOLUME_NOT_REPORTED))
    _refuse(rows, pl.col("volume").is_null() & silent, "expected volume, or the reason volume_not_reported")
    _refuse(rows, rows.select(BAR_KEY).is_duplicated(), f"expected unique ({', '.join(BAR_KEY)})")
    labelled = has_reason(Reason.SIMULATED)
    _refuse(rows, ~labelled if lineage.simulated else labelled, "expected rows and lineage to agree on `simulated`")
    for text in rows["reasons"].drop_nulls().unique():
        reason_codes(text.split(","))
    return rows


def _refuse(rows: pl.DataFrame, where: pl.Expr | pl.Series, message: str) -> None:
    bad = rows.filter(where)
    if bad.height:
        row = bad.row(0, named=True)
        raise InvalidInput(
            f"{message}; found {bad.height} row(s) that break it, the first {row['instrument']} at {row['ts']}; "
            "clean the rows first (fieldcast.data.clean)"
        )


def merge(stored: pl.DataFrame, rows: pl.DataFrame, fetched_at: datetime) -> Merged:
    """What must be added to `stored` so that it also knows `rows` (both in schema; `rows` checked).

    Raises
    ------
    InvalidInput : a restatement is neither available nor fetched later than the version that it restates
    """
    added: list[pl.DataFrame] = []
    counts = dict.fromkeys(("added", "restated", "unchanged", "superseded"), 0)
    rank = pl.int_range(pl.len()).over(_BAR)
    for version in rows.with_columns(rank=rank).partition_by("rank", maintain_order=True, include_key=False):
        versions, tally = _merge_once(stored, version, fetched_at)
        added.append(versions)
        stored = pl.concat([stored, versions])
        for key, value in tally.items():
            counts[key] += value
    return Merged(
        pl.concat(added).sort(BAR_KEY),
        counts["added"],
        counts["restated"],
        counts["unchanged"],
        counts["superseded"],
    )


def _merge_once(stored: pl.DataFrame, rows: pl.DataFrame, fetched_at: datetime) -> tuple[pl.DataFrame, dict[str, int]]:
    """One version for each bar; see `merge`."""
    latest = stored.sort(BAR_KEY).unique(_BAR, keep="last", maintain_order=True)
    exact = rows.join(stored, on=[*BAR_KEY, *_VALUES], how="semi", nulls_equal=True)
    known = latest.select(*_BAR, *(pl.col(name).alias(f"known_{name}") for name in ("available_at", *_VALUES)))
    rest = rows.join(exact, on=list(BAR_KEY), how="anti").join(known, on=_BAR, how="left")
    is_new = pl.col("known_available_at").is_null()
    same = ~is_new & pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"known_{name}")) for name in _VALUES)
    new = rest.filter(is_new).select(list(BARS))
    fetched = pl.lit(fetched_at).cast(BARS["available_at"])
    restated = rest.filter(~is_new & ~same).with_columns(
        available_at=pl.when(pl.col("available_at") > pl.col("known_available_at"))
        .then(pl.col("available_at"))
        .otherwise(pl.max_horizontal("available_at", fetched))
    )
    late = restated.filter(pl.col("available_at") <= pl.col("known_available_at"))
    if late.height:
        row = late.row(0, named=True)
        raise InvalidInput(
            f"expected a restatement of {row['instrument']} at {row['ts']} to be available or fetched after "
            f"{row['known_available_at']}, when the stored version became known; found {row['available_at']}"
        )
    newest = exact.join(latest, on=list(BAR_KEY), how="semi").height
    tally = {
        "added": new.height,
        "restated": restated.height,
        "unchanged": rest.filter(same).height + newest,
        "superseded": exact.height - newest,
    }
    return pl.concat([new, restated.select(list(BARS))]), tally


def known_at(rows: pl.DataFrame, as_of: datetime | None) -> pl.DataFrame:
    """One row for each bar: the last version with `available_at` ≤ as_of (none = the newest); ascending ts."""
    if as_of is not None:
        rows = rows.filter(pl.col("available_at") <= utc(as_of))
    return rows.sort(BAR_KEY).unique(_BAR, keep="last", maintain_order=True)
