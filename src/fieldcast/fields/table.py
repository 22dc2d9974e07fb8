"""The field table: every registered column at every bar, or the reason why there is none.

Row t is a function of rows ≤ t. A column is null while it warms up (again after each unknown input), and where its
quantity does not exist; `reasons` then says why, as `column:code` joined by commas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType

import numpy as np
import polars as pl

from fieldcast.fields import liquidity, regime, sentiment
from fieldcast.fields._rows import Flags, Floats, Rows, known_run, rows_of
from fieldcast.fields.columns import FieldColumn
from fieldcast.ground import InvalidInput, Reason, digest, reason_codes
from fieldcast.market import STAMP

FORMULAS = 1  # raised whenever a formula changes, so that what was recorded knows its columns
ENGINES = {"liquidity": liquidity, "regime": regime, "sentiment": sentiment}

FIELD_REGISTRY: Mapping[str, FieldColumn] = MappingProxyType(
    {column.name: column for engine in ENGINES.values() for column in engine.COLUMNS}
)
"""Every numeric column of the field table, in its order."""

TIMES = ("liquidity.swing_high_confirmed_at", "liquidity.swing_low_confirmed_at")
"""Stamps that stand beside them: ts of the bar at which the last swing was first known."""

_INPUTS = {column.inputs for column in FIELD_REGISTRY.values()}
_MISSING = {
    "volume": Reason.VOLUME_NOT_REPORTED,
    "high": Reason.CLOSE_ONLY,
    "low": Reason.CLOSE_ONLY,
    "open": Reason.CLOSE_ONLY,
    "synthetic_open": Reason.OPEN_SYNTHETIC,
}  # why a column is null where one of the rows it reads lacks this; the later ones prevail
_CODES = (Reason.UNDEFINED, Reason.WARMING_UP, *dict.fromkeys(_MISSING.values()))
_UNDEFINED, _WARMING_UP = 0, 1

WARMUP = max(column.warmup for column in FIELD_REGISTRY.values())


def registry_hash() -> str:
    """SHA-256 over the declarations of all columns: it changes when one does."""
    return digest({"formulas": FORMULAS, "columns": [asdict(column) for column in FIELD_REGISTRY.values()]})


def build_field_table(bars: pl.DataFrame, *, instrument: str | None = None) -> pl.DataFrame:
    """Every field at every bar.

    Parameters
    ----------
    bars : schema `market.BARS`, ascending; one instrument, or those of `instrument` are taken
    instrument : id of the instrument to take out of `bars`

    Returns
    -------
    (n rows) `ts`, `available_at` (when everything that the row reads could first be known), `close`, the columns of
    FIELD_REGISTRY (float64), those of TIMES, and `reasons` (null where every column has a value)

    Raises
    ------
    InvalidInput : the bars break the schema (see `market.BARS`), or are of several instruments
    """
    if instrument is not None:
        if "instrument" not in bars.columns:
            raise InvalidInput("expected a column named instrument in the bars, found none")
        bars = bars.filter(pl.col("instrument") == instrument)
    rows = rows_of(bars)
    values: dict[str, pl.Series] = {}
    why = _Reasons(rows)
    runs = {inputs: known_run(*(getattr(rows, item) for item in inputs)) for inputs in _INPUTS}
    for block, engine in ENGINES.items():
        found = engine.compute(rows) if len(rows) else {}
        for column in engine.COLUMNS:
            name = column.name.removeprefix(f"{block}.")
            warm = runs[column.inputs] > column.warmup
            array = np.where(warm, found[name], np.nan) if name in found else np.full(len(rows), np.nan)
            if np.isinf(array).any():
                row = int(np.flatnonzero(np.isinf(array))[0])
                raise InvalidInput(f"expected finite {column.name}, found infinity at {rows.ts[row]}; check these bars")
            unknown = np.isnan(array)
            values[column.name] = pl.Series(column.name, array, dtype=pl.Float64, nan_to_null=True)
            if unknown.any():
                why.add(column, unknown, warm)
    stamps = {name: _confirmed_at(rows, values[name.replace("confirmed_at", "age")]) for name in TIMES}
    known_at = rows.available_at.to_physical().cast(pl.Int64)
    known_at = known_at.rolling_max(WARMUP + 1, min_samples=1).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    head = {"ts": rows.ts, "available_at": known_at, "close": pl.Series(rows.close, dtype=pl.Float64)}
    return pl.DataFrame(head | values | stamps | {"reasons": why.text()})


def reasons_of(text: str | None) -> dict[str, Reason]:
    """The `reasons` of one row: column → code."""
    if not text:
        return {}
    pairs = [item.split(":") for item in text.split(",")]
    return {name: reason_codes([code])[0] for name, code in pairs}


class _Reasons:
    """Collects `column:code` of every null: what was missing among the rows the column reads, else why it has no value.

    Text is made for rows with a null alone, and nulls are few after the warm-up.
    """

    def __init__(self, rows: Rows) -> None:
        self.flags = {item: np.isnan(getattr(rows, item)) for item in ("volume", "high", "low", "open")}
        self.flags["synthetic_open"] = rows.synthetic_open
        self.seen: dict[tuple[str, int], Flags] = {}
        self.parts: list[list[str]] = [[] for _ in range(len(rows))]

    def add(self, column: FieldColumn, unknown: Flags, warm: Flags) -> None:
        place = np.flatnonzero(unknown)
        code = np.where(warm[place], _UNDEFINED, _WARMING_UP)
        for item, reason in _MISSING.items():
            if item.removeprefix("synthetic_") in column.inputs and self.flags[item].any():
                code[self._seen(item, column.warmup)[place]] = _CODES.index(reason)
        texts = [f"{column.name}:{reason.value}" for reason in _CODES]
        for row, chosen in zip(place.tolist(), code.tolist(), strict=True):
            self.parts[row].append(texts[chosen])

    def _seen(self, item: str, back: int) -> Flags:
        """Whether any of the last back + 1 rows is flagged."""
        if (item, back) not in self.seen:
            flags = self.flags[item]
            rows = np.arange(flags.size)
            last = np.maximum.accumulate(np.where(flags, rows, -back - 1))
            self.seen[item, back] = rows - last <= back
        return self.seen[item, back]

    def text(self) -> pl.Series:
        """(n,) the reasons of each row, joined by commas; null where there are none."""
        return pl.Series("reasons", [",".join(part) or None for part in self.parts], dtype=pl.String)


def _confirmed_at(rows: Rows, age: pl.Series) -> pl.Series:
    """Stamp of the bar that confirmed a swing of this age."""
    values: Floats = age.to_numpy()
    known = np.flatnonzero(np.isfinite(values))
    at = np.full(len(rows), -1, dtype=np.int64)
    at[known] = known - values[known].astype(np.int64) + liquidity.SWING
    return rows.ts.gather(pl.Series(at).replace(-1, None)).cast(STAMP)
