"""Threshold labels: whether the path of the next H rows reaches a level, in three families that are never mixed.

    high_up    max(High_{t+1} .. High_{t+H})   >= Close_t (1 + theta)
    low_down   min(Low_{t+1} .. Low_{t+H})     <= Close_t (1 - theta)
    close      max(Close_{t+1} .. Close_{t+H}) >= Close_t (1 + theta)

theta is a fraction of the price. H is a number of rows or "weekly": up to the last session of the calendar week (Monday
to Sunday, UTC) that holds row t+1. At the last session of a week that is the whole next week, which is the label of
weekly bars; at any other session it is the rest of the current one. A week counts as over when a row of a later week
exists; until then its rows are unknown.

Threshold labels measure volatility skill (they occur when the market moves), not direction, and never open a gate.
Source: the labels of the ts-scaling study; its close family and its high family gave results that were later mixed up,
hence the check of `LabelRun`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import Array, Mask, Stamps, read_bars
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP

Horizon = int | Literal["weekly"]

THETAS = (0.005, 0.01, 0.02, 0.03, 0.05)
HORIZONS: tuple[Horizon, ...] = (1, 2, 3, 5, "weekly")
_DAY = 86_400_000_000  # microseconds
_MONDAY = 4  # 1970-01-01 was a Thursday: day 4 begins the first week


class Family(StrEnum):
    """Which price has to reach the level."""

    HIGH_UP = "high_up"
    LOW_DOWN = "low_down"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Threshold:
    """One cell of the matrix of threshold labels; its `name` is like `high_up_1%_5` or `close_0.5%_weekly`."""

    family: Family
    theta: float
    horizon: Horizon

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "family", Family(self.family))
        except ValueError:
            raise InvalidInput(f"expected a family out of {', '.join(Family)}, found {self.family!r}") from None
        if not (isinstance(self.theta, float) and 0 < self.theta < 1):
            raise InvalidInput(f"expected theta as a fraction in (0, 1) such as 0.01, found {self.theta!r}")
        whole = isinstance(self.horizon, int) and not isinstance(self.horizon, bool) and self.horizon >= 1
        if not whole and self.horizon != "weekly":
            raise InvalidInput(f'expected a horizon of at least one row, or "weekly", found {self.horizon!r}')

    @property
    def name(self) -> str:
        return f"{self.family}_{100 * self.theta:g}%_{self.horizon}"


CELLS: tuple[Threshold, ...] = tuple(
    Threshold(family, theta, horizon) for family in Family for theta in THETAS for horizon in HORIZONS
)


@dataclass(frozen=True, slots=True)
class LabelRun:
    """The threshold labels of one run: all of one family, none twice.

    Raises
    ------
    InvalidInput : no label, one twice, or labels of different families
    """

    labels: tuple[Threshold, ...]

    def __post_init__(self) -> None:
        families = sorted({label.family for label in self.labels})
        if not families or len(set(self.labels)) != len(self.labels):
            raise InvalidInput(f"expected threshold labels without repeats, found {[label.name for label in self.labels]}")
        if len(families) > 1:
            raise InvalidInput(
                f"expected threshold labels of one family in a run, found {' and '.join(families)}; "
                "figures of different families do not compare, run them apart"
            )

    @property
    def family(self) -> Family:
        return self.labels[0].family

    def table(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Long table of every label: `label`, `ts`, `label_end_ts`, `y`."""
        return pl.concat(
            threshold(bars, label.family, label.theta, label.horizon).select(
                pl.lit(label.name).alias("label"), "ts", "label_end_ts", "y"
            )
            for label in self.labels
        )


def threshold(bars: pl.DataFrame, family: Family | str, theta: float, horizon: Horizon) -> pl.DataFrame:
    """One threshold label.

    Returns
    -------
    n rows: `ts`, `label_end_ts` (of the window's last row; null while it is not complete), `y` (1 or 0; null where the
    window is not complete or one of its prices is unknown)
    """
    cell = Threshold(Family(family) if family in set(Family) else family, theta, horizon)  # type: ignore[arg-type]
    inputs = read_bars(bars)
    last = _week_end(inputs.ts) if cell.horizon == "weekly" else rows_ahead(inputs.rows, cell.horizon)
    match cell.family:
        case Family.HIGH_UP:
            reached = extreme(inputs.high, last, highest=True) >= inputs.close * (1 + cell.theta)
            known = all_known(inputs.known["high"], last)
        case Family.LOW_DOWN:
            reached = extreme(inputs.low, last, highest=False) <= inputs.close * (1 - cell.theta)
            known = all_known(inputs.known["low"], last)
        case Family.CLOSE:
            reached = extreme(inputs.close, last, highest=True) >= inputs.close * (1 + cell.theta)
            known = all_known(inputs.known["close"], last)
    ended = pl.Series("label_end_ts", inputs.ts[last]).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return bars.select(pl.col("ts").cast(STAMP)).with_columns(
        pl.when(pl.Series(last >= 0)).then(ended).alias("label_end_ts"),
        pl.when(pl.Series(known)).then(pl.Series(reached).cast(pl.Int8)).alias("y"),
    )


def rows_ahead(rows: int, horizon: int) -> npt.NDArray[np.int64]:
    """(n,) place of the last row of each window, -1 where it lies past the end."""
    last = np.arange(rows) + horizon
    return np.where(last < rows, last, -1)


def _week_end(ts: Stamps) -> npt.NDArray[np.int64]:
    """As `rows_ahead`, for the last row of the week that holds the next row; -1 while that week is not over."""
    session = ts - 1  # a session that closes at midnight belongs to the day before
    week = (session // _DAY - _MONDAY) // 7
    final = np.searchsorted(week, week, side="right") - 1  # last row of each row's own week
    last = np.full(ts.size, -1)
    last[:-1] = final[1:]
    return np.where((last >= 0) & (last < ts.size - 1), last, -1)


def extreme(price: Array, last: npt.NDArray[np.int64], *, highest: bool) -> Array:
    """Highest or lowest price of rows t+1 .. last_t, whatever the length of the windows; (n,), the row's own without
    one."""
    best, pick = price.copy(), np.maximum if highest else np.minimum
    start = np.arange(price.size)
    open_rows = np.flatnonzero(last > start)
    best[open_rows] = price[open_rows + 1]
    ahead = 2
    while open_rows.size:
        open_rows = open_rows[last[open_rows] >= open_rows + ahead]
        best[open_rows] = pick(best[open_rows], price[open_rows + ahead])
        ahead += 1
    return best


def all_known(known: Mask, last: npt.NDArray[np.int64]) -> Mask:
    """(n,) True where the window is complete and every price in it known."""
    unknown = np.concatenate([[0], np.cumsum(~known)])
    inside: Mask = (last >= 0) & (unknown[np.maximum(last, 0) + 1] == unknown[1:])
    return inside
