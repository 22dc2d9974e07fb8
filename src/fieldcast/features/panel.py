"""Several instruments on one line of sessions: arrays (T, N) with what was known at each decision time.

Row t is a session. Its decision time is the latest decision time (close + 30 minutes) of the instruments that traded in
it; a bar that became available only later is not in the panel (NaN), because at that decision it was not known. A
covariate, such as VIX, is joined as of the decision: its newest row with `available_at` not later than `decision[t]`, and
no older than `STALE`.

    log_return(h)[t, i] = log(close[t + h, i] / close[t, i])       NaN where i has no close in one of t..t+h
    overnight()[t, i]   = log(open[t, i] / close[t - 1, i])        NaN where one of them is unknown

Instruments of one calendar belong together: where one trades and another does not, the other is NaN and its returns over
that row are unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features._inputs import MICROSECOND, Array, Stamps, read_bars, stamps
from fieldcast.features._inputs import values as numbers
from fieldcast.ground import InvalidInput, utc

Times = npt.NDArray[np.datetime64]
STALE = timedelta(days=4)  # a covariate older than this (a long weekend) is not known
_PRICES = ("open", "high", "low", "close")
_COLUMNS = (*_PRICES, "volume")


@dataclass(frozen=True)
class Panel:
    """Bars of N instruments over T sessions, ascending; NaN where an instrument did not trade or a value is unknown."""

    instruments: tuple[str, ...]
    session: Times  # (T,) datetime64[D]
    decision: Times  # (T,) datetime64[us], UTC
    open: Array  # (T, N), all five; the open only where it is a real print
    high: Array
    low: Array
    close: Array
    volume: Array
    covariates: Mapping[str, Array]  # name -> (T,), known by the decision time
    late: int = 0  # bars left out because they became available after their decision

    @property
    def rows(self) -> int:
        """Number of sessions, T."""
        return len(self.session)

    def log_return(self, h: int = 1) -> Array:
        """(T, N) log return close(t) → close(t + h), as a fraction; NaN where a session between is missing, and at the end.

        Raises
        ------
        InvalidInput : h is below 1
        """
        if h < 1:
            raise InvalidInput(f"expected a horizon of at least 1 session, found {h}")
        logs = np.log(self.close)
        out = np.full(self.close.shape, np.nan)
        if h < self.rows:
            whole = np.isfinite(logs)
            between = np.lib.stride_tricks.sliding_window_view(whole, h + 1, axis=0).all(axis=-1)
            out[:-h] = np.where(between, logs[h:] - logs[:-h], np.nan)
        return out

    def overnight(self) -> Array:
        """(T, N) log return close(t - 1) → open(t); NaN in the first row and where one of the two is unknown."""
        out = np.full(self.close.shape, np.nan)
        out[1:] = np.log(self.open[1:]) - np.log(self.close[:-1])
        return out

    def cut(self, as_of: datetime) -> Panel:
        """The panel as it stood at `as_of`: the rows whose decision time is not later.

        Raises
        ------
        InvalidInput : `as_of` has no time zone
        """
        last = np.datetime64(utc(as_of).replace(tzinfo=None), "us")
        return self.head(int(np.searchsorted(self.decision, last, side="right")))

    def head(self, rows: int) -> Panel:
        """The first `rows` sessions."""
        return replace(
            self,
            session=self.session[:rows],
            decision=self.decision[:rows],
            open=self.open[:rows],
            high=self.high[:rows],
            low=self.low[:rows],
            close=self.close[:rows],
            volume=self.volume[:rows],
            covariates={name: column[:rows] for name, column in self.covariates.items()},
        )

    def column(self, instrument: str) -> int:
        """Place of an instrument among the columns.

        Raises
        ------
        InvalidInput : it is not in the panel
        """
        if instrument not in self.instruments:
            raise InvalidInput(f"expected an instrument out of {', '.join(self.instruments)}, found {instrument!r}")
        return self.instruments.index(instrument)


def panel(bars: Mapping[str, pl.DataFrame], covariates: Mapping[str, pl.DataFrame] | None = None) -> Panel:
    """Lay daily bars of several instruments beside each other.

    Parameters
    ----------
    bars : instrument -> daily bars, schema `market.BARS`, one instrument each, ascending ts
    covariates : name -> table with `ts`, `available_at` (UTC) and a positive `close`, ascending ts, such as VIX as "vix"

    Returns
    -------
    Panel over the union of the sessions. A bar's session is the UTC date just before its ts: a 24/7 bar that ends at
    midnight belongs to the day that it covers.

    Raises
    ------
    InvalidInput : no instrument, bars that `features` refuses (unsorted, NaN, prices not above zero), two bars of one
        instrument in one session, or a covariate without its columns, unsorted or not positive
    """
    if not bars:
        raise InvalidInput("expected bars of at least one instrument, found none")
    inputs = {name: read_bars(table) for name, table in bars.items()}
    dates = {name: _session(read.ts) for name, read in inputs.items()}
    for name, session in dates.items():
        if len(session) > 1 and not (np.diff(session.astype(np.int64)) > 0).all():
            raise InvalidInput(f"expected one daily bar a session of {name}, found two; resample to daily bars first")
    session = np.unique(np.concatenate(list(dates.values())))
    shape = (len(session), len(bars))
    places = {name: np.searchsorted(session, days) for name, days in dates.items()}
    decision = np.full(len(session), np.iinfo(np.int64).min)
    for name, read in inputs.items():
        np.maximum.at(decision, places[name], read.as_of)
    decision = np.maximum.accumulate(decision)
    arrays = {column: np.full(shape, np.nan) for column in _COLUMNS}
    late = 0
    for i, (name, read) in enumerate(inputs.items()):
        place = places[name]
        in_time = read.available_at <= decision[place]
        late += int((~in_time).sum())
        for column in _COLUMNS:
            known = read.known["high"] & read.known["low"] if column in ("high", "low") else read.known[column]
            arrays[column][place, i] = np.where(known & in_time, getattr(read, column), np.nan)
    joined = {name: _as_of(name, table, decision) for name, table in (covariates or {}).items()}
    return Panel(
        tuple(bars),
        session.astype("datetime64[D]"),
        decision.astype("datetime64[us]"),
        open=arrays["open"],
        high=arrays["high"],
        low=arrays["low"],
        close=arrays["close"],
        volume=arrays["volume"],
        covariates=joined,
        late=late,
    )


def _session(ts: Stamps) -> Times:
    """UTC date just before each stamp."""
    return (ts - 1).astype("datetime64[us]").astype("datetime64[D]")


def _as_of(name: str, table: pl.DataFrame, decision: Stamps) -> Array:
    """Close of the newest row known at each decision; NaN where there is none that is fresh enough."""
    missing = [column for column in ("ts", "available_at", "close") if column not in table.columns]
    if missing:
        raise InvalidInput(f"expected {name} with ts, available_at and close; missing {', '.join(missing)}")
    ts, available = stamps(table, "ts"), stamps(table, "available_at")
    close = numbers(table["close"], f"close of {name}")
    if len(ts) > 1 and not (np.diff(ts) > 0).all():
        raise InvalidInput(f"expected {name} in ascending order of ts, one row each, as a store reads it")
    if np.isnan(close).any() or (close <= 0).any():
        raise InvalidInput(f"expected a positive close in every row of {name}; drop rows without one")
    out = np.full(len(decision), np.nan)
    if len(ts) == 0:
        return out
    order = np.argsort(available, kind="stable")
    newest = np.maximum.accumulate(order)  # a row that arrives after a newer one never becomes the newest
    known = np.searchsorted(available[order], decision, side="right")
    row = newest[np.maximum(known - 1, 0)]
    fresh = (known > 0) & (decision - ts[row] <= STALE // MICROSECOND)
    out[fresh] = close[row[fresh]]
    return out
