"""Several instruments and covariates in one dataset.

    combine(bars, tables)    other instruments' features and macro series beside a table, each as known at the row's decision
    pool(datasets)           windows of several instruments, one after another; none crosses from one to the next

Source: ts-scaling study, 2.1 and 2.4 (SPY, DIA, QQQ, VIX, stocks, FRED).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import MICROSECOND, Array, Stamps, read_bars, stamps
from fieldcast.features._known import newest_known
from fieldcast.features.windows import Windows, frozen
from fieldcast.ground import InvalidInput
from fieldcast.market import DECISION_DELAY


def combine(
    bars: pl.DataFrame,
    tables: Mapping[str, pl.DataFrame],
    *,
    delay: timedelta = DECISION_DELAY,
    oldest: timedelta | Mapping[str, timedelta] = timedelta(days=7),
) -> pl.DataFrame:
    """Columns of other instruments and of macro series on the rows of `bars`, as known at each row's decision time.

    Parameters
    ----------
    bars : of the instrument that is forecast, schema `market.BARS`; n rows
    tables : name → rows with `ts`, `available_at` and numeric columns: features of another instrument with its bars'
        `available_at`, closes of VIX, or the table `macro` of one series (every version of it; the one known then counts)
    delay : from a row's end to its decision
    oldest : a row that ended longer before the decision than this is not taken; by name where they differ, such as for a series
        of months

    Returns
    -------
    n rows: `ts` and `<name>.<column>`; null where nothing was known, or only what is too old

    Raises
    ------
    InvalidInput : no tables, or one without times or without a numeric column
    """
    inputs = read_bars(bars)
    if not tables:
        raise InvalidInput("expected tables to combine, found none")
    decision = inputs.ts + delay // MICROSECOND
    out: dict[str, pl.Series] = {"ts": bars["ts"]}
    for name, table in tables.items():
        limit = oldest if isinstance(oldest, timedelta) else oldest.get(name)
        columns = [column for column in table.columns if table[column].dtype.is_numeric()]
        if not columns or not {"ts", "available_at"} <= set(table.columns) or limit is None:
            raise InvalidInput(
                f"expected {name} with ts, available_at, numeric columns and a limit of age, found {table.columns}"
            )
        ended = stamps(table, "ts")
        place = newest_known(ended, stamps(table, "available_at"), decision)
        age = decision - ended[np.maximum(place, 0)] if ended.size else np.zeros(decision.size, np.int64)
        taken = pl.Series(np.where(age <= limit // MICROSECOND, place, -1)).replace(-1, None).cast(pl.UInt32)
        for column in columns:
            out[f"{name}.{column}"] = table[column].gather(taken).alias(f"{name}.{column}")
    return pl.DataFrame(out)


@dataclass(frozen=True, eq=False)
class Pool:
    """Windows of several instruments, one after another.

    Parameters
    ----------
    parts : of one context, one horizon and the same columns
    offsets : (parts + 1,) where each begins
    """

    parts: tuple[Windows, ...]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def __getitem__(self, place: int) -> tuple[Array, float]:
        if not 0 <= place < len(self):
            raise IndexError(f"expected a window out of 0 to {len(self) - 1}, found {place}")
        part = int(np.searchsorted(self.offsets, place, side="right")) - 1
        return self.parts[part][place - int(self.offsets[part])]

    @property
    def instruments(self) -> npt.NDArray[Any]:
        """(n,) whose each window is."""
        return np.repeat([part.prices.instrument for part in self.parts], np.diff(self.offsets))

    @property
    def y(self) -> Array:
        """(n,) labels."""
        return np.concatenate([part.y for part in self.parts])

    @property
    def label_end(self) -> Stamps:
        return np.concatenate([part.label_end for part in self.parts])

    @property
    def as_of(self) -> Stamps:
        return np.concatenate([part.as_of for part in self.parts])

    def training(self, before: datetime) -> npt.NDArray[np.int64]:
        """As `Windows.training`, over all instruments."""
        return np.concatenate([start + part.training(before) for start, part in zip(self.offsets, self.parts, strict=False)])


def pool(parts: Sequence[Windows]) -> Pool:
    """Several instruments together.

    Raises
    ------
    InvalidInput : none, an instrument twice, or other columns, contexts, horizons or normalisers
    """
    kinds = {(part.columns, part.context, part.horizon, part.inputs_hash) for part in parts}
    names = [part.prices.instrument for part in parts]
    if len(kinds) != 1 or len(set(names)) != len(names):
        raise InvalidInput(f"expected windows of distinct instruments with the same columns, context and horizon, found {names}")
    return Pool(tuple(parts), frozen(np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)))
