"""Short and off-exchange pressure from the table `short_volume`.

    short ratio         short volume / total volume reported                           0 … 1
    z                   (ratio − mean of the 20 sessions before) / their standard deviation
    off-exchange share  total volume reported / volume of the bar                      0 … 1

FINRA's file counts trades reported off the exchanges (dark pools and brokers who fill from their own book), so that its total
over the consolidated volume of the session is the share done there. That needs a bar whose volume is consolidated, in the same
units: a share above 1 says that it is not, and is refused. Market makers sell short to fill buyers, so that the ratio stands
near one half when nothing happens: only its distance from its own past says something, and it is no short interest.

A row of this table is known when both the file and the bar were: at 17:00 New York the file of the day is not there yet.

Source: FINRA, Daily Short Sale Volume Files (the columns); the ratio's reading in Boehmer, Jones & Zhang, Which shorts are
informed?, Journal of Finance 63 (2008) 491-527.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from fieldcast.fields._rows import Floats
from fieldcast.fields.readings import Reading
from fieldcast.ground import InvalidInput, Reason, utc
from fieldcast.market import BARS, conform, table_of

PAST = 20
NAMESPACE = "liquidity"
VALUES = ("short_ratio", "short_ratio_z", "off_exchange_share")


@dataclass(frozen=True, eq=False)
class ShortPressure:
    """Short and off-exchange pressure as known at one moment.

    Parameters
    ----------
    as_of : the moment of the decision, UTC
    table : one row a session: `ts`, `available_at`, `short_volume`, `total_volume`, `short_ratio`, `short_ratio_z`,
        `off_exchange_share`; null where unknown
    values, reasons : of the newest row
    """

    as_of: datetime
    table: pl.DataFrame
    values: Mapping[str, float]
    reasons: Mapping[str, Reason]
    simulated: bool = False

    def reading(self) -> Reading:
        """The short form for the field map."""
        return Reading(NAMESPACE, self.as_of, self.values, reasons=self.reasons, simulated=self.simulated)


def short_pressure(
    short_volume: pl.DataFrame,
    bars: pl.DataFrame | None,
    as_of: datetime,
    *,
    past: int = PAST,
    simulated: bool = False,
) -> ShortPressure:
    """Short ratio, its standing against its own past, and the share of volume off the exchanges.

    Parameters
    ----------
    short_volume : table `short_volume` of one instrument; its markets are added up, unless one row says that it is of several
        (a market such as `B,Q,N`): that row is the sum already
    bars : daily bars of it with consolidated volume, schema `market.BARS`; none = the off-exchange share stays unknown
    as_of : time with its zone; rows known later are not read
    past : sessions that the ratio is compared with
    simulated : whether any of it came out of a simulation

    Raises
    ------
    InvalidInput : rows of several instruments, or fewer than 3 sessions to compare with
    """
    as_of = utc(as_of)
    if past < 3:
        raise InvalidInput(f"expected at least 3 sessions to compare with, found {past}")
    reported = _reported(short_volume, as_of)
    table = reported.join(_traded(bars, as_of), on="ts", how="left").with_columns(
        available_at=pl.max_horizontal("available_at", pl.col("bar_available_at").fill_null(pl.col("available_at"))),
        short_ratio=pl.when(pl.col("total_volume") > 0).then(pl.col("short_volume") / pl.col("total_volume")),
        share=pl.when(pl.col("volume") > 0).then(pl.col("total_volume") / pl.col("volume")),
    )
    ratio = table["short_ratio"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    table = table.with_columns(
        short_ratio_z=pl.Series(_standing(ratio, past)).fill_nan(None),
        off_exchange_share=pl.when(pl.col("share") <= 1).then("share"),
    )
    values, reasons = _newest(table, past)
    columns = ("ts", "available_at", "short_volume", "total_volume", *VALUES[:2], VALUES[2])
    return ShortPressure(as_of, table.select(columns), values, reasons, simulated)


def _reported(short_volume: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The newest known version of each row, added up over the markets of a session."""
    table = conform(short_volume, dict(table_of("short_volume").schema)).filter(pl.col("available_at") <= as_of)
    if table["instrument"].n_unique() > 1:
        raise InvalidInput(f"expected short volume of one instrument, found {table['instrument'].n_unique()}; filter it first")
    newest = table.sort("ts", "market", "available_at").unique(["ts", "market"], keep="last", maintain_order=True)
    several = pl.col("market").str.contains(",", literal=True)
    kept = newest.filter(several | ~several.any().over("ts"))
    return (
        kept.group_by("ts", maintain_order=True)
        .agg(pl.col("available_at").max(), pl.col("short_volume", "total_volume").sum())
        .sort("ts")
    )


def _traded(bars: pl.DataFrame | None, as_of: datetime) -> pl.DataFrame:
    """Volume of each known session."""
    table = pl.DataFrame(schema=BARS) if bars is None else conform(bars, BARS)
    known = table.filter(pl.col("available_at") <= as_of).sort("ts", "available_at")
    return known.unique("ts", keep="last", maintain_order=True).select("ts", "volume", bar_available_at="available_at")


def _standing(ratio: Floats, past: int) -> Floats:
    """(ratio − mean) / standard deviation of the `past` values before it; NaN where one is unknown or they do not vary."""
    result = np.full(ratio.size, np.nan)
    if ratio.size > past:
        before = sliding_window_view(ratio, past)[:-1]
        spread = before.std(axis=1)
        varies = spread > 1e-9
        result[past:][varies] = (ratio[past:] - before.mean(axis=1))[varies] / spread[varies]
    return result


def _newest(table: pl.DataFrame, past: int) -> tuple[dict[str, float], dict[str, Reason]]:
    if table.is_empty():
        return {}, dict.fromkeys(VALUES, Reason.NO_DATA)
    row = table.row(-1, named=True)
    values = {name: float(row[name]) for name in VALUES if row[name] is not None}
    reasons: dict[str, Reason] = {}
    if "short_ratio" not in values:
        reasons["short_ratio"] = Reason.UNDEFINED
    if "short_ratio_z" not in values:
        reasons["short_ratio_z"] = Reason.WARMING_UP if table.height <= past else Reason.UNDEFINED
    if "off_exchange_share" not in values:
        reasons["off_exchange_share"] = Reason.VALUES_OUT_OF_ORDER if row["share"] is not None else Reason.VOLUME_NOT_REPORTED
    return values, reasons
