"""Series of the table `macro` that a run reads: rates a year, and values that sizes are reckoned from, as they were known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.ground import ConfigError, MissingData
from fieldcast.market import STAMP
from fieldcast.market.tables import MACRO
from fieldcast.simulation.market import Market
from fieldcast.workflows.backtest_money import RateOrSeries
from fieldcast.workflows.workspace import Workspace

_UNITS = {"percent": 0.01, "fraction": 1.0, "fraction a year": 1.0}


def yearly(workspace: Workspace, rate: RateOrSeries, market: Market, until: datetime | None, what: str) -> pl.DataFrame:
    """ts, available_at, rate (a share a year): one row of a stated rate, or a series of the store."""
    if not isinstance(rate, str):
        begin = moment_of(int(market.open_ts[0])) - timedelta(days=1)
        return pl.DataFrame({"ts": [begin], "available_at": [begin], "rate": [float(rate)]}).with_columns(
            pl.col("ts", "available_at").cast(STAMP)
        )
    rows = series_of(workspace, rate, until=until)
    units = rows["unit"].drop_nulls().unique().to_list()
    if len(units) != 1 or units[0] not in _UNITS:
        raise ConfigError(
            f"expected a series in percent or as a fraction a year for the {what}, found {rate} in "
            f"{', '.join(units) or 'no unit'}"
        )
    return rows.select("ts", "available_at", rate=pl.col("value") * _UNITS[units[0]])


def series_of(workspace: Workspace, series: str, *, until: datetime | None) -> pl.DataFrame:
    """A series of the table `macro`; a value that was revised counts from its revision on.

    Raises
    ------
    MissingData : the store has none of this id
    """
    try:
        return workspace.store.read(series, table=MACRO.name, as_of=until)
    except MissingData as error:
        raise MissingData(
            f"expected the series {series} in the table macro, found none; import it, or state a number: {error}"
        ) from None


class KnownSeries:
    """The newest value of a series that was known at a moment (microseconds); None where there was none."""

    def __init__(self, rows: pl.DataFrame) -> None:
        held = rows.sort("available_at", "ts")
        periods = held["ts"].dt.epoch("us").to_numpy()
        newest = np.maximum.accumulate(periods) == periods      # a late revision of an older period is not the newest value
        self._known: npt.NDArray[np.int64] = held["available_at"].dt.epoch("us").to_numpy()[newest]
        self._values: npt.NDArray[np.float64] = held["value"].to_numpy()[newest]

    @property
    def plain(self) -> list[list[float]]:
        """Everything in it as plain values, for a hash."""
        return [self._known.tolist(), self._values.tolist()]

    def __call__(self, moment: int) -> float | None:
        place = int(np.searchsorted(self._known, moment, side="right")) - 1
        return float(self._values[place]) if place >= 0 else None


def moment_of(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
