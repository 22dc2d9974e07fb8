"""Features of higher timeframes on the bars of a lower one, each from the moment its own bar was over and known.

A row of the lower timeframe with end ts and moment d (its own `available_at`, at the latest its decision time) takes of each
higher timeframe the newest bar that had ended by ts and was known, with all bars that its features read, by d. Inside a higher
bar the value is therefore that of the bar before, and it never changes once it stands.

How far the timeframes agree, with w_i the declared weight of timeframe i (the lower one included), T_i its log distance from
SMA 21 and A_i its ATR over the close:

    direction = sum w_i sign(T_i) / sum w_i             in [-1, 1]
    score     = |direction|                             1 where all point one way
    strength  = sum w_i T_i / A_i / sum w_i             in average true ranges, signed

All three are unknown while one of the timeframes is, the lower one included: a bar of its own that was published late is not
there before. Whether a timeframe is worth its columns is judged out of sample, by
`models.uplift`.

Source: crpbot, multi-timeframe V2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from fieldcast.features._compute import compute
from fieldcast.features._inputs import MICROSECOND, Array, Inputs, Stamps, read_bars, stamps
from fieldcast.features._known import Places, newest_known
from fieldcast.features._registry import of_blocks
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP

SET31 = ("set31",)
TREND, STRIDE = "set31.close_to_sma_21", "set31.atr_to_close"
BASE = "base"
ALIGNMENT = ("alignment.direction", "alignment.score", "alignment.strength")


def higher_timeframes(
    bars: pl.DataFrame, calendar: str, minutes: Sequence[int] = (5, 15, 60), *, source_minutes: int = 1
) -> dict[str, pl.DataFrame]:
    """Bars of longer intervals out of minute bars, by name (`5m`, `15m`, `60m`); only those that are over.

    Parameters
    ----------
    bars : schema `market.BARS`, one instrument, bars of `source_minutes` on the sessions of `calendar`
    minutes : length of each higher timeframe, ascending, above `source_minutes`
    """
    from fieldcast.data.resample import to_minutes  # brings the store with it

    if not minutes or sorted(set(minutes)) != list(minutes) or minutes[0] <= source_minutes:
        raise InvalidInput(f"expected ascending minutes above {source_minutes}, found {list(minutes)}; sort them")
    return {f"{m}m": to_minutes(bars, calendar, m, source_minutes=source_minutes).bars for m in minutes}


def join_timeframes(
    bars: pl.DataFrame,
    higher: Mapping[str, pl.DataFrame],
    blocks: Sequence[str] = SET31,
    *,
    oldest: timedelta | None = None,
) -> pl.DataFrame:
    """The columns of `blocks` of every higher timeframe on the rows of `bars`.

    Parameters
    ----------
    bars : the lower timeframe, schema `market.BARS`, one instrument, ascending; n rows
    higher : name → bars of that timeframe, same schema and instrument
    blocks : registered blocks that need bars alone
    oldest : a higher bar that ended longer before the row than this is not taken; None = any age will do

    Returns
    -------
    n rows: `ts`, and for each timeframe `<name>.<column>` and `<name>.bar_ts` (end of the bar taken); null where none was known

    Raises
    ------
    InvalidInput : bars break their schema, another instrument, no timeframe, or one named `base`
    """
    inputs = read_bars(bars)
    if not higher or BASE in higher:
        raise InvalidInput(f"expected higher timeframes under names other than {BASE}, found {list(higher)}")
    table: dict[str, pl.Series] = {"ts": bars["ts"]}
    for name, frame in higher.items():
        if frame.height and bars.height and frame["instrument"][0] != bars["instrument"][0]:
            raise InvalidInput(f"expected {name} bars of {bars['instrument'][0]}, found {frame['instrument'][0]}")
        made = compute(frame, blocks)
        ended = stamps(frame, "ts")
        place = newest_known(ended, known_since(frame, blocks), _moments(inputs), inputs.ts)
        if oldest is not None:
            age = inputs.ts - ended[np.maximum(place, 0)] if ended.size else np.zeros(inputs.rows, np.int64)
            place = np.where(age <= oldest // MICROSECOND, place, -1)
        for column in made.columns[1:]:
            table[f"{name}.{column}"] = _taken(made[column], place).alias(f"{name}.{column}")
        table[f"{name}.bar_ts"] = _taken(frame["ts"].cast(STAMP), place).alias(f"{name}.bar_ts")
    return pl.DataFrame(table)


def _moments(inputs: Inputs) -> Stamps:
    """(n,) d of each row, microseconds: when it was known, and never after its decision."""
    return np.minimum(inputs.available_at, inputs.as_of)


def known_since(frame: pl.DataFrame, blocks: Sequence[str]) -> Stamps:
    """(m,) when everything that each row's columns read could first be known, in microseconds."""
    longest = max(column.warmup for column in of_blocks(blocks))
    since = pl.Series(stamps(frame, "available_at")).rolling_max(longest + 1, min_samples=1)
    return since.to_numpy().astype(np.int64)


def _taken(values: pl.Series, place: Places) -> pl.Series:
    """`values` at each place, null where there is none."""
    return values.gather(pl.Series(place).replace(-1, None).cast(pl.UInt32))


def alignment(
    bars: pl.DataFrame, joined: pl.DataFrame, names: Sequence[str], weights: Mapping[str, float] | None = None
) -> pl.DataFrame:
    """How far the timeframes point one way; see the module.

    Parameters
    ----------
    bars : the lower timeframe, which counts under the name `base`
    joined : from `join_timeframes` with the block `set31`
    names : timeframes of `joined` that count
    weights : name → weight above zero; None = all alike, because nothing has shown which deserves more

    Returns
    -------
    n rows: `ts`, `alignment.direction`, `alignment.score`, `alignment.strength`

    Raises
    ------
    InvalidInput : no timeframe, other weights than those of the timeframes, or a table that was not joined to these bars
    """
    everyone = (BASE, *names)
    weight = dict.fromkeys(everyone, 1.0) if weights is None else dict(weights)
    if not names or set(weight) != set(everyone) or not all(np.isfinite(w) and w > 0 for w in weight.values()):
        raise InvalidInput(f"expected a weight above zero for each of {', '.join(everyone)}, found {weight}")
    absent = [f"{name}.{column}" for name in names for column in (TREND, STRIDE) if f"{name}.{column}" not in joined.columns]
    if absent or not joined["ts"].equals(bars["ts"]):
        raise InvalidInput(
            f"expected the joined set31 of these bars, found it without {', '.join(absent) or 'their times'}; join them first"
        )
    own = compute(bars, SET31)
    unread = known_since(bars, SET31) > _moments(read_bars(bars))  # an earlier bar of its own came later than the row
    total = sum(weight.values())
    direction, strength = np.zeros(bars.height), np.zeros(bars.height)
    for name in everyone:
        source, prefix = (own, "") if name == BASE else (joined, f"{name}.")
        trend, stride = _numbers(source[f"{prefix}{TREND}"]), _numbers(source[f"{prefix}{STRIDE}"])
        paces = np.full(trend.size, np.nan)
        np.divide(trend, stride, out=paces, where=(stride > 0) & ~unread if name == BASE else stride > 0)
        direction += weight[name] * np.where(np.isnan(paces), np.nan, np.sign(trend))
        strength += weight[name] * paces
    direction, strength = direction / total, strength / total
    found = zip(ALIGNMENT, (direction, np.abs(direction), strength), strict=True)
    return pl.DataFrame({"ts": bars["ts"], **{name: pl.Series(name, line, nan_to_null=True) for name, line in found}})


def _numbers(column: pl.Series) -> Array:
    return column.fill_null(float("nan")).to_numpy().astype(np.float64)
