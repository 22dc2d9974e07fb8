"""A vendor's daily bars beside the minutes of the same sessions: a check, never a source.

The two need not agree: an official open and close are auction prints, and dailies count volume outside regular hours. What must
hold is that the daily range contains what was traded in the session, that prices stand in the same unit, and that no session is
a stranger's. The figures are differences in basis points of the vendor's price, and the ratio of the volumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from fieldcast.data.resample import session_bars
from fieldcast.ground import MissingData, Reason
from fieldcast.market import PRICES, STAMP, has_reason

TOLERANCE_BPS = 20.0  # of the price, on each of the four prices
COMPARED: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "ts": STAMP,  # close of the session
    **{f"{name}_bps": pl.Float64() for name in PRICES},  # minutes over vendor's
    "volume_ratio": pl.Float64(),  # regular minutes over vendor's; null where either gives none
    "whole": pl.Boolean(),  # every minute of the session is there
    "within": pl.Boolean(),  # all four prices within the tolerance
}


@dataclass(frozen=True)
class DailyCheck:
    """Sessions of a vendor's dailies compared with their minutes.

    Parameters
    ----------
    sessions : schema `COMPARED`; sessions that both have
    only_daily, only_minutes : sessions of the common span that one of them lacks
    """

    sessions: pl.DataFrame
    only_daily: int
    only_minutes: int
    tolerance_bps: float

    @property
    def agreeing(self) -> float:
        """Percentage of compared sessions whose four prices agree, 0 to 100."""
        return 100.0 * int(self.sessions["within"].sum()) / self.sessions.height

    def table(self) -> pl.DataFrame:
        """By price: median and largest absolute difference in basis points."""
        columns = [pl.col(f"{name}_bps").abs() for name in PRICES]
        return pl.DataFrame(
            {
                "price": PRICES,
                "median_bps": self.sessions.select(column.median() for column in columns).row(0),
                "largest_bps": self.sessions.select(column.max() for column in columns).row(0),
            }
        )


def check_daily(
    minutes: pl.DataFrame,
    daily: pl.DataFrame,
    calendar: str,
    *,
    source_minutes: int = 1,
    tolerance_bps: float = TOLERANCE_BPS,
) -> DailyCheck:
    """Compare daily bars with the regular minutes of the same sessions; both in raw prices.

    Raises
    ------
    MissingData : they have no session in common
    """
    own = session_bars(minutes, calendar, source_minutes=source_minutes).bars
    first, last = own["ts"].min(), own["ts"].max()
    vendor = daily.filter(pl.col("ts").is_between(first, last)) if own.height else daily.clear()
    values = [*PRICES, "volume"]
    theirs = vendor.select("instrument", "ts", *(pl.col(name).alias(f"v_{name}") for name in values))
    both = own.join(theirs, on=["instrument", "ts"])
    if both.is_empty():
        raise MissingData("expected sessions that have both minutes and a daily bar, found none")
    differences = [((pl.col(name) / pl.col(f"v_{name}") - 1) * 1e4).alias(f"{name}_bps") for name in PRICES]
    ratio = pl.when(pl.col("v_volume") > 0).then(pl.col("volume") / pl.col("v_volume"))
    compared = both.with_columns(*differences, volume_ratio=ratio, whole=~has_reason(Reason.MISSING_BARS)).with_columns(
        within=pl.all_horizontal((pl.col(f"{name}_bps").abs() <= tolerance_bps).fill_null(value=False) for name in PRICES)
    )
    shown = compared.select(list(COMPARED)).sort("instrument", "ts")
    return DailyCheck(shown, vendor.height - both.height, own.height - both.height, tolerance_bps)
