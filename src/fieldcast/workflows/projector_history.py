"""The bars of a projector: arrays that grow by a row, the newest row of the features, and the hash of what was read."""

from __future__ import annotations

import hashlib
from datetime import datetime

import numpy as np
import polars as pl

from fieldcast.features import Inputs, columns, compute, newest, of_blocks, read_bars, reads_bars_alone
from fieldcast.ground import ConflictError
from fieldcast.market import Instrument
from fieldcast.models.log_har import bar_variance
from fieldcast.projection.growing import Growing
from fieldcast.workflows.bars_hash import BarsHash, microseconds, packed
from fieldcast.workflows.prepare import Array
from fieldcast.workflows.projector_calendar import moment, session_times

_OF_PACKET = ("ts",)  # times that the packet's hash covers, beside the prices
_ARRAYS = ("ts", "as_of", "available_at", "open", "high", "low", "close", "volume")


class History:
    """The bars of one instrument up to its newest.

    Parameters
    ----------
    bars : schema `market.BARS`, ascending
    blocks : whose columns are asked for

    Raises
    ------
    InvalidInput : bars that break their schema
    """

    def __init__(self, bars: pl.DataFrame, instrument: Instrument, blocks: tuple[str, ...]) -> None:
        self.instrument, self.blocks = instrument, blocks
        self.calendar = session_times(instrument.calendar)
        self._alone = all(reads_bars_alone(column.block) for column in of_blocks(blocks))
        self._frames = [bars]
        inputs = read_bars(bars, copy=False)
        self._series = {name: Growing(getattr(inputs, name)) for name in _ARRAYS}
        self._known = {name: Growing(known) for name, known in inputs.known.items()}
        self._hash, self._content = hashlib.sha256(packed(bars, _OF_PACKET)), BarsHash(bars)

    @property
    def hash(self) -> str:
        """SHA-256 of the bars, as it stands in the packet: of times and prices."""
        return self._hash.hexdigest()

    @property
    def content(self) -> str:
        """SHA-256 of the bars, all their columns."""
        return self._content.hexdigest()

    @property
    def newest_row(self) -> int:
        """Place of the newest bar."""
        return len(self._series["ts"]) - 1

    @property
    def newest_ts(self) -> int:
        """When the newest bar ended, microseconds since 1970."""
        return int(self._series["ts"].rows[-1])

    @property
    def newest_close(self) -> float:
        return float(self._series["close"].rows[-1])

    @property
    def newest_bar(self) -> pl.DataFrame:
        """The newest bar as a table of one row."""
        return self._frames[-1].tail(1)

    @property
    def decided(self) -> datetime:
        """When the newest bar's decision was made."""
        return moment(self._series["as_of"].rows[-1])

    @property
    def span(self) -> tuple[datetime, datetime]:
        """`ts` of the first and of the newest bar."""
        return self._frames[0]["ts"][0], self._frames[-1]["ts"][-1]

    def bars(self) -> pl.DataFrame:
        """The whole history as one table; kept, so that the next call has less to put together."""
        if len(self._frames) > 1:
            self._frames = [pl.concat(self._frames)]
        return self._frames[0]

    def add(self, bar: pl.DataFrame, inputs: Inputs, place: int) -> None:
        """One bar more: a table of one row, and where it stands in the arrays."""
        for name in _ARRAYS:
            self._series[name].add(getattr(inputs, name)[place])
        for name, known in inputs.known.items():
            self._known[name].add(known[place])
        self._frames.append(bar)
        self._hash.update(packed(bar, _OF_PACKET))
        self._content.add(bar)

    def features(self, covariate: pl.DataFrame | None) -> Array:
        """(p,) the newest row of the columns, NaN where a value is not known."""
        blocks = list(self.blocks)
        if self._alone:
            found: Array = newest(self._inputs(), blocks)
            return found
        table = compute(self.bars(), blocks, vix=covariate)[-1:]
        return np.array([np.nan if (value := table[name][0]) is None else value for name in columns(blocks)])

    def _inputs(self) -> Inputs:
        return Inputs(
            **{name: series.rows for name, series in self._series.items()},
            known={name: series.rows for name, series in self._known.items()},
        )

    def ended(self, horizon: int) -> float:
        """Log return over the horizon that ends at the newest row, NaN where a session is missing or a bar came late."""
        row = self.newest_row
        first = row - horizon
        if first < 0:
            return np.nan
        ts = self._series["ts"].rows
        places = np.searchsorted(self.calendar.close, ts[[first, row]])
        late = (self._series["available_at"].rows[first : row + 1] > self._series["as_of"].rows[first : row + 1]).any()
        if places[1] - places[0] != horizon or late:
            return np.nan
        close = self._series["close"].rows
        return float(np.log(close[row : row + 1] / close[first : first + 1])[0])

    def variance(self) -> float:
        """Daily variance of the newest row."""
        bar = self.newest_bar
        opened, high, low, close = (_number(bar[name][0]) for name in ("open", "high", "low", "close"))
        if not self._known["open"].rows[-1]:
            opened = np.nan  # an open that is no real print says nothing
        return bar_variance(opened, high, low, close, float(self._series["close"].rows[-2]))

    def in_time(self, rows: int) -> bool:
        """True where each of the last bars was known by the newest decision."""
        return bool(self._series["available_at"].rows[-rows:].max() <= self._series["as_of"].rows[-1])

    def require_the_same(self, seen: pl.DataFrame) -> None:
        """Refuse bars that are others than those of this state: a version that came later has a later `available_at`.

        Raises
        ------
        ConflictError : more or fewer bars than were read, or one of another moment or version
        """
        for name in ("ts", "available_at"):
            now, then = microseconds(seen[name]), self._series[name].rows
            if len(now) != len(then):
                raise ConflictError(
                    f"expected the {len(then):,} bars of {self.instrument.id} that were read, found {len(now):,}; open anew"
                )
            if (now != then).any():
                at = moment(self._series["ts"].rows[int(np.flatnonzero(now != then)[0])])
                raise ConflictError(
                    f"expected the bars of {self.instrument.id} as they were read, found one restated, the first at "
                    f"{at:%Y-%m-%d %H:%M} UTC; open anew"
                )


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
