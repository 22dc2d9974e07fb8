"""Bars in, model columns out: one table, null wherever a value is not known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from fieldcast.features import _a20, _fields, _set31, _vix, _volatility, tiers
from fieldcast.features._inputs import Inputs, Mask, read_bars, read_each
from fieldcast.features._lines import Lines
from fieldcast.features._registry import Column, of_blocks
from fieldcast.ground import InvalidInput


def compute(
    bars: pl.DataFrame, blocks: Sequence[str], vix: pl.DataFrame | None = None, *, threads: int | None = None
) -> pl.DataFrame:
    """The columns of `blocks` at the decision time of every bar.

    Parameters
    ----------
    bars : schema `market.BARS`, one instrument, ascending, one row each; n rows. Decisions about daily bars are made 30 minutes
        after the session, those about intraday bars a second after the bar (`market.decision_delay`)
    blocks : out of "a20", "vix", "volatility", "set31", "fields.…" (see `features.blocks`), "fields" for all of the last,
        or a tier ("a50" … "a500") for a20 and what the tiers up to it add
    vix : bars of VIX (ts, available_at and close are read); needed for the block "vix" alone
    threads : that fill tier a20, the same values on any number; None: as many as polars has, from 100,000 rows on

    Returns
    -------
    n rows: `ts`, then the registered columns (Float64). Never NaN, never infinite. Null: in the warm-up, where an input
    is null (or an open is not a real print) within the warm-up, where an input became available only after the row's
    decision time, and where the quantity is not defined.

    Raises
    ------
    InvalidInput : bars or VIX break their schema, an unknown block, the block "vix" without VIX, or fewer threads than one
    """
    chosen = of_blocks(blocks)
    wanted = {column.block for column in chosen}
    if _vix.BLOCK in wanted and vix is None:
        raise InvalidInput("expected bars of VIX for the block vix, found none; pass vix= or leave the block out")
    inputs = read_bars(bars, copy=wanted != {_a20.BLOCK})
    together = _a20.lines(inputs, threads=threads) if _a20.BLOCK in wanted else None
    if together is not None and wanted == {_a20.BLOCK}:
        return _only_a20(bars, inputs, together)
    found: dict[str, np.ndarray] = {}
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
    return _table(bars, inputs, chosen, found, together)


def compute_each(
    bars: pl.DataFrame, blocks: Sequence[str], vix: pl.DataFrame | None = None, *, threads: int | None = None
) -> pl.DataFrame:
    """`compute` for bars of several instruments that stand one after another: `instrument`, `ts`, then the columns.

    Every instrument's rows are what `compute` makes of them alone. Tier a20 of bars without a gap goes through in one piece, its
    instruments shared out among the threads.

    Raises
    ------
    InvalidInput : as `compute`; or the rows of an instrument stand apart
    """
    chosen = of_blocks(blocks)
    inputs, bounds = read_each(bars)
    if {column.block for column in chosen} == {_a20.BLOCK} and inputs.clean().issuperset(_a20.INPUTS):
        made = _a20.lines(inputs, bounds, threads).columns(_a20.NAMES)
        if made is not None:
            return bars.select("instrument", "ts").hstack(made)
    tables = [compute(bars[first:last], blocks, vix, threads=threads).drop("ts") for first, last in pairwise(bounds)]
    return bars.select("instrument", "ts").hstack(pl.concat(tables, rechunk=True))


def compute_tier(bars: pl.DataFrame, tier: tiers.Tier) -> pl.DataFrame:
    """The columns of a tier, also of one that is not registered (`tiers.extend`, `tiers.derive`); as `compute`."""
    inputs = read_bars(bars)
    together = _a20.lines(inputs)
    return _table(bars, inputs, tier.columns, tiers.values(inputs, tier.formulas), together)


def _only_a20(bars: pl.DataFrame, inputs: Inputs, together: Lines) -> pl.DataFrame:
    """The table of tier a20 alone."""
    return bars["ts"].to_frame().hstack(_columns_of(bars, inputs, together, inputs.clean(), {}))


def _columns_of(
    bars: pl.DataFrame, inputs: Inputs, together: Lines, clean: set[str], usable: dict[tuple[tuple[str, ...], int], Mask]
) -> list[pl.Series]:
    """The columns of a20 out of its lines, null where they do not count; `usable` as in `_blank`."""
    if not clean.issuperset(_a20.INPUTS):
        for column, line in zip(_a20.COLUMNS, together.values, strict=True):
            _blank(line, column, inputs, clean, usable)
    made = together.columns(_a20.NAMES)
    if made is None:
        for name, line in zip(_a20.NAMES, together.values, strict=True):
            _check_finite(line, name, bars)
        raise AssertionError("a column of a20 has an infinite value that none of its lines has")
    return made


def _table(
    bars: pl.DataFrame,
    inputs: Inputs,
    chosen: Sequence[Column],
    found: dict[str, np.ndarray],
    together: Lines | None,
) -> pl.DataFrame:
    """One column after another into the table, null where it does not count.

    Parameters
    ----------
    found : lines by name, used up
    together : the lines of a20, where it is among the columns; used up too
    """
    usable: dict[tuple[tuple[str, ...], int], Mask] = {}
    clean = inputs.clean()
    made: dict[str, pl.Series] = {}
    if together is not None:
        made = {line.name: line for line in _columns_of(bars, inputs, together, clean, usable)}
    for column in chosen:
        if column.name in made:
            continue
        line = found.pop(column.name)
        if column.block != _vix.BLOCK:
            if column.block not in tiers.BLOCKS:
                line = line.copy()  # the block may hand out one array twice
            _blank(line, column, inputs, clean, usable)
        _check_finite(line, column.name, bars)
        made[column.name] = pl.Series(column.name, line, nan_to_null=True)
    return bars["ts"].to_frame().hstack([made[column.name] for column in chosen])


def _blank(
    line: np.ndarray, column: Column, inputs: Inputs, clean: set[str], usable: dict[tuple[tuple[str, ...], int], Mask]
) -> None:
    """NaN where a value does not count; `usable` keeps the masks that are made."""
    if clean.issuperset(column.inputs):  # nothing is unknown: only the first rows are without a value
        line[: column.warmup] = np.nan
        return
    key = (column.inputs, column.warmup)
    if key not in usable:
        usable[key] = _usable(inputs, column)
    line[~usable[key]] = np.nan


def _check_finite(line: np.ndarray, name: str, bars: pl.DataFrame) -> None:
    if np.isinf(line).any():
        row = int(np.flatnonzero(np.isinf(line))[0])
        raise InvalidInput(f"expected finite {name}, found {line[row]} at {bars['ts'][row]}; check these bars")


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
    clean = inputs.clean()
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
