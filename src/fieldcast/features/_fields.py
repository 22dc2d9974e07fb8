"""Field blocks: the field map as a model may see it, one block for each namespace.

    fields.liquidity, fields.regime, fields.sentiment, ...     the columns that engine registers
    fields                                                     all of them

The columns are those of `fields.FIELD_REGISTRY` under their own names, as the registry stands: what an engine adds there is
here without further ado. Two kinds of column stay out:

    level       a price (POC, VWAP, a swing): its distance from the close is a column of its own, and that one is in
    own scale   a quantity in units of one instrument's turnover, which no split moves but which drifts by orders of magnitude
                over a history; the engines register its ratio to its own past beside it, and that one is in

Memberships that sum to 1 all enter. One of them follows from the others, which a plain regression could not bear; the logistic
has a ridge on every weight, so its minimum is unique all the same, and leaving one out would make the penalty, and with it the
forecast, depend on which one.

A value that the field map does not know (the reason stands in the field table) is null here, and a model that needs it does not
forecast that row. A column that is often undefined by its nature, such as the bars since an event, is left out of a fold rather
than let it cost the fold's rows (`projection.walk_forward`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcast.features._inputs import Array, Inputs, Mask
from fieldcast.features._registry import Column
from fieldcast.fields import FIELD_REGISTRY, FieldColumn, build_field_table

GROUP = "fields"
PREFIX = f"{GROUP}."
TURNOVER = "close × volume"
"""What the unit of a column names that is in units of the instrument's own turnover."""


def model_columns(fields: tuple[FieldColumn, ...]) -> tuple[Column, ...]:
    """The columns of a field registry that a model may see."""
    return tuple(
        Column(
            name=column.name,
            block=f"{PREFIX}{column.block}",
            inputs=column.inputs,
            warmup=column.warmup,
            unit=column.unit,
            formula=column.formula,
            source=column.source,
            low=column.low,
            high=column.high,
        )
        for column in fields
        if not column.level and TURNOVER not in column.unit
    )


COLUMNS: tuple[Column, ...] = model_columns(tuple(FIELD_REGISTRY.values()))


def values(bars: pl.DataFrame) -> dict[str, Array]:
    """Every column of the blocks, each (n,); NaN where the field map does not know it."""
    table = build_field_table(bars)
    return {column.name: table[column.name].fill_null(float("nan")).to_numpy().astype(np.float64) for column in COLUMNS}


def usable(inputs: Inputs, column: Column) -> Mask:
    """`Inputs.usable` for a field: what it reads beside prices and volume (such as the date) is always known."""
    return inputs.usable(tuple(name for name in column.inputs if name in inputs.known) or ("close",), column.warmup)
