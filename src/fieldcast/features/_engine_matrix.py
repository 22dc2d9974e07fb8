"""The engine matrix: one row for each field map, 141 named columns, and why any of them is null.

What a map does not know stays null, with the reason that the map itself gives; where it says nothing at all (no chain, no
book, no text was read), the reason is `no_data`. A null is never filled and never zero: no chain is not a flat chain. A map
holds only what was known at its `as_of`; technical columns and the usual turnover are those of the map's own bar, and stand only
where every bar that they read was known by then. So a row never changes as history grows.

The names and their order are the schema, version 1; `matrix_hash` changes with either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise
from math import isfinite, log

import numpy as np
import polars as pl

from fieldcast.features._compute import compute
from fieldcast.features._engine_columns import COLUMNS, FEATURES, GROUPS, SIZE, EngineColumn, How
from fieldcast.features._registry import registry
from fieldcast.fields import FIELD_REGISTRY, FieldMap
from fieldcast.ground import InvalidInput, Reason, digest
from fieldcast.market import STAMP

VERSION = 1
USUAL_ROWS = 20
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
SCHEMA: Mapping[str, pl.DataType] = {
    "instrument": pl.String(),
    "ts": STAMP,
    "as_of": STAMP,
    "simulated": pl.Boolean(),
    **dict.fromkeys(NAMES, pl.Float64()),
    "reasons": pl.String(),
}
_TURNOVER = "turnover"
Known = dict[str, float]
Unknown = dict[str, Reason]


def matrix_hash() -> str:
    """SHA-256 over the version and the declaration of every column."""
    return digest({"version": VERSION, "columns": [asdict(column) for column in COLUMNS]})


def engine_matrix(maps: Sequence[FieldMap], bars: pl.DataFrame | None) -> pl.DataFrame:
    """The matrix of one instrument.

    Parameters
    ----------
    maps : of one instrument, `as_of` ascending; k maps
    bars : its daily bars, schema `market.BARS`, history included; None where it has none (technical columns are null then)

    Returns
    -------
    k rows, schema SCHEMA: `reasons` holds `column:code`, joined by commas, for every null of its row

    Raises
    ------
    InvalidInput : no maps, several instruments, maps out of order, or a map whose bar is not among `bars`
    """
    if not maps or len({one.instrument for one in maps}) != 1:
        raise InvalidInput(f"expected field maps of one instrument, found {sorted({one.instrument for one in maps})}")
    if any(later.as_of <= sooner.as_of for sooner, later in pairwise(maps)):
        raise InvalidInput("expected field maps in strictly ascending order of as_of, found others; sort them")
    beside = _Beside(bars, maps[0].instrument)
    rows = []
    for one in maps:
        known, unknown = beside.at(one)
        row: dict[str, object] = {"instrument": one.instrument, "ts": one.ts, "as_of": one.as_of, "simulated": one.simulated}
        why: list[str] = []
        for column in COLUMNS:
            value = _value(column, one, known, unknown)
            row[column.name] = None if isinstance(value, Reason) else value
            if isinstance(value, Reason):
                why.append(f"{column.name}:{value.value}")
        rows.append(row | {"reasons": ",".join(why) or None})
    return pl.DataFrame(rows, schema=dict(SCHEMA), orient="row")


class _Beside:
    """Technical columns and the usual turnover at each bar."""

    def __init__(self, bars: pl.DataFrame | None, instrument: str) -> None:
        self.place: dict[object, int] = {}
        self.table = pl.DataFrame()
        self.turnover: list[float | None] = []
        self.known_by: dict[str, list[datetime]] = {}
        self.volumes_known: list[bool] = []
        if bars is None:
            return
        if bars.height and bars["instrument"][0] != instrument:
            raise InvalidInput(f"expected bars of {instrument}, found {bars['instrument'][0]}")
        blocks = tuple(dict.fromkeys(registry()[name].block for name in FEATURES))
        self.table = compute(bars, blocks)
        money = bars.select(money=pl.col("close") * pl.col("volume"))["money"]
        self.turnover = money.rolling_mean(USUAL_ROWS).to_list()
        self.volumes_known = (money.is_null().cast(pl.Int64).rolling_sum(USUAL_ROWS, min_samples=1) == 0).to_list()
        read = {f"technical.{name}": registry()[name].warmup + 1 for name in FEATURES} | {_TURNOVER: USUAL_ROWS}
        available = bars["available_at"].to_physical()
        since = {rows: available.rolling_max(rows, min_samples=1).cast(bars["available_at"].dtype) for rows in set(read.values())}
        self.known_by = {name: since[rows].to_list() for name, rows in read.items()}
        self.place = {ts: row for row, ts in enumerate(bars["ts"].to_list())}

    def at(self, one: FieldMap) -> tuple[Known, Unknown]:
        """What stands beside a map, and why the rest does not."""
        if not self.place:
            return {}, dict.fromkeys((*(f"technical.{name}" for name in FEATURES), _TURNOVER), Reason.NO_DATA)
        row = self.place.get(one.ts)
        if row is None:
            raise InvalidInput(f"expected the bar of {one.ts.isoformat()} among the bars, found none; pass its whole history")
        known: Known = {}
        unknown: Unknown = {}
        late = {name: since[row] > one.as_of for name, since in self.known_by.items()}
        for name in FEATURES:
            value = self.table[name][row]
            if value is not None and not late[f"technical.{name}"]:
                known[f"technical.{name}"] = float(value)
            elif row < registry()[name].warmup:
                unknown[f"technical.{name}"] = Reason.WARMING_UP
            else:
                unknown[f"technical.{name}"] = Reason.NO_DATA if late[f"technical.{name}"] else Reason.UNDEFINED
        money = self.turnover[row]
        if late[_TURNOVER]:
            unknown[_TURNOVER] = Reason.NO_DATA
        elif money is not None and np.isfinite(money) and money > 0:
            known[_TURNOVER] = money
        elif not self.volumes_known[row]:
            unknown[_TURNOVER] = Reason.VOLUME_NOT_REPORTED
        else:
            unknown[_TURNOVER] = Reason.WARMING_UP if money is None else Reason.VOLUME_ZERO
        return known, unknown


def _value(column: EngineColumn, one: FieldMap, known: Known, unknown: Unknown) -> float | Reason:
    """A column of a map, or why there is none."""
    if column.how in (How.RANK, How.FLAG):
        word = one.labels.get(column.parts[0])
        if word is None:
            return _why(one, column.parts[0])
        return float(column.words.index(word)) if column.how is How.RANK else float(word in column.words)
    parts: list[float] = []
    for part in column.parts:
        found = _part(column.how, part, one, known, unknown)
        if isinstance(found, Reason):
            return found
        parts.append(found)
    if column.how in (How.TURNOVER, How.STIFFNESS):
        if _TURNOVER not in known:
            return unknown[_TURNOVER]
        parts.append(known[_TURNOVER])
    value = _combined(column.how, parts, one.close)
    return Reason.UNDEFINED if value is None or not isfinite(value) else value


def _part(how: How, part: str, one: FieldMap, known: Known, unknown: Unknown) -> float | Reason:
    namespace, _, quantity = part.partition(".")
    if how is How.FEATURE:
        return known[part] if part in known else unknown[part]
    if how is How.DISTANCE:
        mark = one.landmarks.get(quantity)
        return _why(one, part) if mark is None else mark.price
    value = getattr(one, namespace).get(quantity)
    return _why(one, part) if value is None else float(value)


def _combined(how: How, parts: list[float], close: float) -> float | None:
    """None where the quantity does not exist for these parts."""
    first, *others = parts
    match how:
        case How.RATIO | How.TURNOVER:
            return first / others[0] if others[0] else None
        case How.LOG_RATIO:
            return log(first / others[0]) if first > 0 and others[0] > 0 else None
        case How.TILT:
            whole = first + others[0]
            return (first - others[0]) / whole if whole else None
        case How.STIFFNESS:
            return first * close**2 / 100.0 / others[0]
        case How.PRICE:
            return first / close
        case How.DISTANCE:
            return log(first / close) if first > 0 else None
        case _:
            return first


def _why(one: FieldMap, part: str) -> Reason:
    """The reason that the map gives for a quantity, for its namespace, or that nothing was read."""
    namespace = part.partition(".")[0]
    of_bars = (f"{namespace}.daily",) if part in FIELD_REGISTRY else ()
    for name in (part, namespace, *of_bars):
        if name in one.reasons:
            return one.reasons[name]
    return Reason.NO_DATA


if len(set(NAMES)) != SIZE or {group: sum(c.group == group for c in COLUMNS) for group in GROUPS} != GROUPS:
    raise InvalidInput(f"expected {SIZE} distinct columns in groups of {GROUPS}, found {len(set(NAMES))}")
