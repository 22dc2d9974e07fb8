"""Bars in, model columns out: one table, null wherever a value is not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcast.features import _a20, _fields, _set31, _vix, _volatility, tiers
from fieldcast.features._inputs import Inputs, Mask, read_bars
from fieldcast.features._registry import Column, of_blocks
from fieldcast.ground import InvalidInput


def compute(bars: pl.DataFrame, blocks: Sequence[str], vix: pl.DataFrame | None = None) -> pl.DataFrame:
    """The columns of `blocks` at the decision time of every bar.

    Parameters
    ----------
    bars : schema `market.BARS`, one instrument, ascending, one row each; n rows. Decisions about daily bars are made 30 minutes
        after the session, those about intraday bars a second after the bar (`market.decision_delay`)
    blocks : out of "a20", "vix", "volatility", "set31", "fields.…" (see `features.blocks`), "fields" for all of the last,
        or a tier ("a50" … "a500") for a20 and what the tiers up to it add
    vix : bars of VIX (ts, available_at and close are read); needed for the block "vix" alone

    Returns
    -------
    n rows: `ts`, then the registered columns (Float64). Never NaN, never infinite. Null: in the warm-up, where an input
    is null (or an open is not a real print) within the warm-up, where an input became available only after the row's
    decision time, and where the quantity is not defined.

    Raises
    ------
    InvalidInput : bars or VIX break their schema, an unknown block, or the block "vix" without VIX
    """
    chosen = of_blocks(blocks)
    wanted = {column.block for column in chosen}
    if _vix.BLOCK in wanted and vix is None:
        raise InvalidInput("expected bars of VIX for the block vix, found none; pass vix= or leave the block out")
    inputs = read_bars(bars)
    found: dict[str, np.ndarray] = {}
    if _a20.BLOCK in wanted:
        found |= _a20.values(inputs)
    if _volatility.BLOCK in wanted:
        found |= _volatility.values(inputs)
    if _set31.BLOCK in wanted:
        found |= _set31.values(inputs)
    if _vix.BLOCK in wanted and vix is not None:
        found |= _vix.values(inputs, vix)
    if any(name.startswith(_fields.PREFIX) for name in wanted):
        found |= _fields.values(bars)
    if asked := {column.name: column.formula for column in chosen if column.block in tiers.BLOCKS}:
        found |= tiers.values(inputs, asked)
    return _table(bars, inputs, chosen, found)


def compute_tier(bars: pl.DataFrame, tier: tiers.Tier) -> pl.DataFrame:
    """The columns of a tier, also of one that is not registered (`tiers.extend`, `tiers.derive`); as `compute`."""
    inputs = read_bars(bars)
    return _table(bars, inputs, tier.columns, _a20.values(inputs) | tiers.values(inputs, tier.formulas))


def _table(bars: pl.DataFrame, inputs: Inputs, chosen: Sequence[Column], found: dict[str, np.ndarray]) -> pl.DataFrame:
    """One column after another out of `found` into the table, null where it does not count; `found` is used up."""
    usable: dict[tuple[tuple[str, ...], int], Mask] = {}
    table: dict[str, pl.Series] = {"ts": bars["ts"]}
    whole = not (inputs.available_at > inputs.as_of).any()
    clean = {name for name, known in inputs.known.items() if whole and known.all()}
    for column in chosen:
        line = found.pop(column.name)
        if column.block != _vix.BLOCK:
            if clean.issuperset(column.inputs):  # nothing is unknown: only the first rows are without a value
                own = column.block in (_a20.BLOCK, *tiers.BLOCKS)  # another block may hand out one array twice
                line = line if own else line.copy()
                line[: column.warmup] = np.nan
            else:
                key = (column.inputs, column.warmup)
                if key not in usable:
                    usable[key] = _usable(inputs, column)
                line = np.where(usable[key], line, np.nan)
        if np.isinf(line).any():
            row = int(np.flatnonzero(np.isinf(line))[0])
            raise InvalidInput(f"expected finite {column.name}, found {line[row]} at {bars['ts'][row]}; check these bars")
        table[column.name] = pl.Series(column.name, line, nan_to_null=True)
    return pl.DataFrame(table)


def newest(inputs: Inputs, blocks: Sequence[str]) -> np.ndarray:
    """The last row of `compute`'s columns, (p,) and NaN where it has null; of blocks that read bars alone.

    Raises
    ------
    InvalidInput : the block "vix" or one of "fields.…", which read more than these arrays; or a value that is infinite
    """
    chosen = of_blocks(blocks)
    wanted = {column.block for column in chosen}
    if other := sorted(name for name in wanted if not reads_bars_alone(name)):
        raise InvalidInput(f"expected blocks that read bars alone, found {', '.join(other)}; use compute")
    found: dict[str, np.ndarray] = {}
    if _a20.BLOCK in wanted:
        found |= _a20.values(inputs)
    if _volatility.BLOCK in wanted:
        found |= _volatility.values(inputs)
    if _set31.BLOCK in wanted:
        found |= _set31.values(inputs)
    if asked := {column.name: column.formula for column in chosen if column.block in tiers.BLOCKS}:
        found |= tiers.values(inputs, asked)
    whole = not (inputs.available_at > inputs.as_of).any()
    clean = {name for name, known in inputs.known.items() if whole and known.all()}
    out = np.full(len(chosen), np.nan)
    usable: dict[tuple[tuple[str, ...], int], bool] = {}
    for place, column in enumerate(chosen):
        key = (column.inputs, column.warmup)
        if clean.issuperset(column.inputs):
            counts = inputs.rows > column.warmup
        elif column.block == _set31.BLOCK:
            counts = bool(_usable(inputs, column)[-1])
        else:
            if key not in usable:
                usable[key] = bool(inputs.usable(*key)[-1])
            counts = usable[key]
        if counts:
            out[place] = found[column.name][-1]
    if np.isinf(out).any():
        bad = [column.name for column, value in zip(chosen, out, strict=True) if np.isinf(value)]
        raise InvalidInput(f"expected finite {', '.join(bad)}, found an infinity in the newest row; check these bars")
    return out


def reads_bars_alone(block: str) -> bool:
    """True where a block's columns come from arrays of bars and from nothing else."""
    return block in (_a20.BLOCK, _volatility.BLOCK, _set31.BLOCK, *tiers.BLOCKS)


def _usable(inputs: Inputs, column: Column) -> Mask:
    if column.block.startswith(_fields.PREFIX) or column.block == _set31.BLOCK:
        return _fields.usable(inputs, column)
    return inputs.usable(column.inputs, column.warmup)
