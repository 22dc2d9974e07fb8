"""What an append does to rows that are already stored.

A row is a *version* of what its key names (a bar: instrument, ts); its `available_at` says from when the version could be known.

- a version that is stored already is unchanged (an append can be repeated without effect);
- the same values as the latest version: unchanged, whatever `available_at` it comes with;
- other values: a restatement, stored as a new version. It becomes known at its own `available_at` where that is later
  than the stored one, else when it was fetched. What was known before is never rewritten.

Where the source states when each version came out (lineage `available_at="reported"`), versions may come in any order: each is
stored at its own `available_at`, an older one behind those that are stored, and one with the values of its neighbours too, since
another may come between them. Only where that `available_at` is stored with other values is it a restatement, known when it was
fetched; an older version of a delivery that states a later one too is history, and never becomes the newest value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import inf

import polars as pl

from fieldcast.data._order import Places, is_ascending, rises, run_starts
from fieldcast.data.lineage import Lineage
from fieldcast.ground import InvalidInput, Reason, reason_codes, utc
from fieldcast.market import Table, conform, has_reason


@dataclass(frozen=True)
class Merged:
    """The rows to add (new bars and restatements) and the counts of what was found."""

    added: pl.DataFrame
    rows_added: int
    rows_restated: int
    rows_unchanged: int
    rows_superseded: int


def checked(rows: pl.DataFrame, lineage: Lineage, table: Table) -> tuple[pl.DataFrame, Places]:
    """`rows` in the table's schema and order, or a refusal that names the first thing wrong with them.

    Returns
    -------
    tuple : the rows; where each instrument's begin

    Raises
    ------
    InvalidInput : schema, key, a non-finite or missing value without its reason, an unregistered reason code, or a
        simulated label that rows and lineage do not share
    """
    rows = conform(rows, dict(table.schema))
    if rows.is_empty():
        raise InvalidInput("expected at least one row to append, found none")
    starts = run_starts(rows["instrument"])
    ascending = is_ascending(rows, starts)
    if not ascending:
        rows = rows.sort(table.version_key)
        starts = run_starts(rows["instrument"])
    rules = [*_table_rules(table), *_bar_rules(rows, table)]
    if any(rows.select(where.any().alias(str(place)) for place, (where, _) in enumerate(rules)).row(0)):
        for where, message in rules:
            _refuse(rows, where, message)
    if not ascending:
        _refuse(rows, rows.select(table.version_key).is_duplicated(), f"expected unique ({', '.join(table.version_key)})")
    _check_reasons(rows, lineage)
    return rows, starts


def _check_reasons(rows: pl.DataFrame, lineage: Lineage) -> None:
    """Each distinct text is looked at once."""
    reasons = rows["reasons"]
    texts = reasons.gather(run_starts(reasons)).unique().to_list()
    codes = {text: () if text is None else tuple(text.split(",")) for text in texts}
    wrong = [text for text, of_text in codes.items() if (Reason.SIMULATED in of_text) != lineage.simulated]
    if wrong:
        where = pl.col("reasons").is_in(wrong, nulls_equal=True)
        _refuse(rows, where, "expected rows and lineage to agree on `simulated`")
    for of_text in codes.values():
        reason_codes(of_text)


def _table_rules(table: Table) -> list[tuple[pl.Expr, str]]:
    """What no row of the table may be, and how that is said."""
    rules = []
    for name in dict.fromkeys((*table.version_key, *table.required)):
        rules.append((pl.col(name).is_null(), f"expected a value of {name} in every row"))
    for name, dtype in table.schema.items():
        if dtype == pl.Float64:
            unbounded = (pl.col(name) >= inf) | (pl.col(name) <= -inf)  # NaN too: polars orders it above every number
            rules.append((unbounded, f"expected {name} finite or null"))
    rules += [(pl.col(name) <= 0, f"expected {name} above zero") for name in table.positive]
    rules += [(pl.col(name) < 0, f"expected {name} at or above zero") for name in table.non_negative]
    rules += [(pl.col(low) > pl.col(high), f"expected {high} at or above {low}") for low, high in table.ordered]
    rules.append((pl.col("available_at") < pl.col("ts"), "expected available_at at or after ts"))
    return rules


def _bar_rules(rows: pl.DataFrame, table: Table) -> list[tuple[pl.Expr, str]]:
    """A bar says why it lacks a price or a volume."""
    lacking = [name for name in ("open", "high", "low", "volume") if table.kind == "bars" and rows[name].null_count()]
    if not lacking:
        return []
    bare = pl.any_horizontal(pl.col(name).is_null() for name in ("open", "high", "low"))
    silent = ~(has_reason(Reason.CLOSE_ONLY) | has_reason(Reason.VOLUME_NOT_REPORTED))
    return [
        (bare & ~has_reason(Reason.CLOSE_ONLY), "expected open, high and low, or the reason close_only"),
        (pl.col("volume").is_null() & silent, "expected volume, or the reason volume_not_reported"),
    ]


def _refuse(rows: pl.DataFrame, where: pl.Expr | pl.Series, message: str) -> None:
    bad = rows.filter(where)
    if bad.height:
        row = bad.row(0, named=True)
        raise InvalidInput(
            f"{message}; found {bad.height} row(s) that break it, the first {row['instrument']} at {row['ts']}; "
            "clean the rows first (fieldcast.data.clean)"
        )


def merge(stored: pl.DataFrame, rows: pl.DataFrame, fetched_at: datetime, table: Table, *, reported: bool) -> Merged:
    """What must be added to `stored` so that it also knows `rows` (both in the table's schema; `rows` checked).

    Parameters
    ----------
    reported : the source states `available_at`, so that a version may be older than those that are stored

    Raises
    ------
    InvalidInput : a restatement is neither available nor fetched later than the version that it restates
    """
    added: list[pl.DataFrame] = []
    counts = dict.fromkeys(("added", "restated", "unchanged", "superseded"), 0)
    key = list(table.key)
    repeated = not rises(rows["ts"]) and not is_ascending(rows) and rows.select(key).is_duplicated().any()
    if not repeated and stored.is_empty():
        return Merged(rows, rows.height, 0, 0, 0)
    if reported:
        return _merge_reported(stored, rows, fetched_at, table)
    rank = pl.int_range(pl.len()).over(key) if repeated else pl.lit(0)
    for version in rows.with_columns(rank=rank).partition_by("rank", maintain_order=True, include_key=False):
        versions, tally = _merge_once(stored, version, fetched_at, table)
        added.append(versions)
        stored = pl.concat([stored, versions])
        for name, value in tally.items():
            counts[name] += value
    return Merged(
        pl.concat(added).sort(table.version_key),
        counts["added"],
        counts["restated"],
        counts["unchanged"],
        counts["superseded"],
    )


def _merge_once(
    stored: pl.DataFrame, rows: pl.DataFrame, fetched_at: datetime, table: Table
) -> tuple[pl.DataFrame, dict[str, int]]:
    """One version for each row; see `merge`."""
    if stored.is_empty():
        return rows, {"added": rows.height, "restated": 0, "unchanged": 0, "superseded": 0}
    exact, rest, newest = _found(stored, rows, table)
    is_new = pl.col("known_available_at").is_null()
    same = ~is_new & _same(table)
    new = rest.filter(is_new).select(list(table.schema))
    restated = _restated(rest.filter(~is_new & ~same), fetched_at, table)
    tally = {
        "added": new.height,
        "restated": restated.height,
        "unchanged": rest.filter(same).height + newest,
        "superseded": exact.height - newest,
    }
    return pl.concat([new, restated]), tally


def _merge_reported(stored: pl.DataFrame, rows: pl.DataFrame, fetched_at: datetime, table: Table) -> Merged:
    """Every version at the moment that the source states for it; see the module."""
    exact, rest, newest = _found(stored, rows, table)
    inserted = rest.join(stored, on=list(table.version_key), how="anti")
    other = rest.join(stored, on=list(table.version_key), how="semi")
    last = rows.group_by(list(table.key)).agg(stated=pl.col("available_at").max())
    told = other.join(last, on=list(table.key), how="left").filter(pl.col("available_at") == pl.col("stated"))
    restated = _restated(told.filter(~_same(table)), fetched_at, table)
    added = inserted.filter(pl.col("known_available_at").is_null()).select(pl.struct(table.key).n_unique()).item()
    return Merged(
        pl.concat([inserted.select(list(table.schema)), restated]).sort(table.version_key),
        added,
        inserted.height - added + restated.height,
        newest + told.height - restated.height,
        exact.height - newest + other.height - told.height,
    )


def _found(stored: pl.DataFrame, rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """The rows that are stored as they are; the others beside the latest version of their key; how many of the first are that."""
    key, version_key, values = list(table.key), list(table.version_key), table.values
    latest = stored.sort(version_key).unique(key, keep="last", maintain_order=True)
    exact = rows.join(stored, on=[*version_key, *values], how="semi", nulls_equal=True)
    known = latest.select(*key, *(pl.col(name).alias(f"known_{name}") for name in ("available_at", *values)))
    rest = rows.join(exact, on=version_key, how="anti").join(known, on=key, how="left")
    return exact, rest, exact.join(latest, on=version_key, how="semi").height


def _same(table: Table) -> pl.Expr:
    """The values are those of the latest version."""
    return pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"known_{name}")) for name in table.values)


def _restated(rows: pl.DataFrame, fetched_at: datetime, table: Table) -> pl.DataFrame:
    """Rows beside the latest version, which they restate: as versions that become known after it."""
    fetched = pl.lit(fetched_at).cast(table.schema["available_at"])
    restated = rows.with_columns(
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
    return restated.select(list(table.schema))


def known_at(rows: pl.DataFrame, as_of: datetime | None, table: Table) -> pl.DataFrame:
    """One row for each key: the last version with `available_at` ≤ as_of (none = the newest); in key order."""
    if as_of is not None:
        rows = rows.filter(pl.col("available_at") <= utc(as_of))
    if is_ascending(rows):
        return rows
    return rows.sort(*table.key, "available_at").unique(list(table.key), keep="last", maintain_order=True)
