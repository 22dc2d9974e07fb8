"""The bars that a run is played on: one clock, frozen arrays, a hash.

The clock is the union of the bars' ends: `ts[t]` is when bar t is complete, `open_ts[t]` when it began. Row n of every
array is one instrument; NaN says that it has no bar, or no such price, at that time. Nothing here can be written to.
What `trading_days` says of days and beginnings holds wherever they are not given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, digest
from fieldcast.market import Instrument
from fieldcast.simulation.trading_days import begins, trading_days

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
PRICES = ("open", "high", "low", "close")
MOST_DECIMALS = 8
SCALES = np.array([10.0**place for place in range(MOST_DECIMALS + 1)])
_NO_SESSIONS = np.empty(0, dtype=np.int64)
_NO_SESSIONS.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Market:
    """T bars of N instruments.

    Parameters
    ----------
    instruments : (N,)
    ts, open_ts : (T,) int64 microseconds UTC, end and start of each bar; ts ascends strictly, ts[t-1] <= open_ts[t] <= ts[t]
    open, high, low, close, volume : (N, T) float64, NaN = none, prices above zero; volume >= 0
    trusted_open : (N, T) True where the open is a real print
    session : (T,) int64 trading day of each bar, days since 1970-01-01, ascending; None: those of the instruments' calendars
    simulated : True where the prices come from a simulated market
    given_hash : what `data_hash` says of them; empty: SHA-256 of the arrays and the instruments, made when first asked for
    finer : bars of the same instruments on a finer clock inside these, for the intrabar policy `finer`

    Raises
    ------
    InvalidInput : shapes, stamps or prices do not fit; the message names the instrument and the bar
    """

    instruments: tuple[Instrument, ...]
    ts: Integers
    open_ts: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    trusted_open: Flags
    session: Integers | None = None
    simulated: bool = False
    given_hash: str = ""
    finer: Market | None = None
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        shape = (len(self.instruments), len(self.ts))
        ids = [instrument.id for instrument in self.instruments]
        if not ids or len(set(ids)) != len(ids):
            raise InvalidInput(f"expected instruments, each once, found {', '.join(ids) or 'none'}")
        if inverse := [one.id for one in self.instruments if one.inverse]:
            raise InvalidInput(
                f"expected contracts that are paid in the currency of their price, found {', '.join(inverse)}: a coin's future "
                "against USD is paid in the coin there (an inverse contract, COIN-M), whose gains are not linear in the price; "
                "take the future against USDT or USDC"
            )
        for name in ("ts", "open_ts", *(() if self.session is None else ("session",))):
            put(name, _frozen(getattr(self, name), np.int64, (shape[1],), name))
        voiceless = _is_one_nan(self.volume)
        for name in (*PRICES, "volume"):
            put(name, _frozen(getattr(self, name), np.float64, shape, name))
        put("trusted_open", _frozen(self.trusted_open, np.bool_, shape, "trusted_open"))
        shortest = self._check_clock()
        known = self._surveyed(voiceless)
        if self.session is None:
            days = trading_days(self.instruments, self.ts, None if known else np.isfinite(self.close), shortest=shortest)
            put("session", _frozen(days, np.int64, (shape[1],), "session"))
        if not known:
            self._check_prices()
        if self.finer is not None and [one.id for one in self.finer.instruments] != ids:
            others = ", ".join(one.id for one in self.finer.instruments)
            raise InvalidInput(f"expected finer bars of {', '.join(ids)}, found {others}")
        put("simulated", self.simulated or any(instrument.simulated for instrument in self.instruments))

    # -- what it is made of ------------------------------------------------------------------------------------------

    @classmethod
    def of(
        cls,
        frames: Mapping[str, pl.DataFrame],
        instruments: Mapping[str, Instrument] | Sequence[Instrument],
        *,
        bar_length_us: int | None = None,
        calendar: str | None = None,
        data_hash: str = "",
        finer: Market | None = None,
    ) -> Market:
        """The market of tables of the schema `market.BARS`, one an instrument id, on the union of their stamps.

        Parameters
        ----------
        frames : instrument id -> bars; of several rows of one stamp the one known first counts (what one knew then)
        instruments : for each id
        bar_length_us : a bar begins this long before its end; None: see `trading_days`
        calendar : whose trading days count for all bars, such as `XNYS`; needed where instruments keep different days

        Raises
        ------
        InvalidInput : a table without an instrument, no bar, or instruments that disagree on the trading day of a bar
        """
        by_id = dict(instruments) if isinstance(instruments, Mapping) else {one.id: one for one in instruments}
        missing = [name for name in frames if name not in by_id]
        if missing or not frames:
            raise InvalidInput(f"expected tables of bars, each with an instrument, found none for {', '.join(missing) or 'any'}")
        tables = {name: _one_row_each(frame) for name, frame in frames.items()}
        stamps = {name: frame["ts"].dt.epoch("us").to_numpy() for name, frame in tables.items()}
        first = next(iter(stamps.values()))
        same = all(len(one) == len(first) and np.array_equal(one, first) for one in stamps.values())
        ts = first if same else np.unique(np.concatenate(list(stamps.values())))
        if not len(ts):
            raise InvalidInput("expected at least one bar, found none")
        shape = (len(tables), len(ts))
        arrays: dict[str, Any] = {name: np.full(shape, np.nan) for name in (*PRICES, "volume")}
        trusted = np.zeros(shape, dtype=np.bool_)
        for row, (name, frame) in enumerate(tables.items()):
            at = slice(None) if same else np.searchsorted(ts, stamps[name])
            for column, array in arrays.items():
                array[row, at] = frame[column].cast(pl.Float64).to_numpy()
            synthetic = _synthetic_open(frame)
            trusted[row, at] = np.isfinite(arrays["open"][row, at]) & ~synthetic
        listed = tuple(by_id[name] for name in tables)
        open_ts = ts.copy()
        for name, instrument in zip(tables, listed, strict=True):
            at = slice(None) if same else np.searchsorted(ts, stamps[name])
            open_ts[at] = np.minimum(open_ts[at], begins(instrument, stamps[name], bar_length_us))
        open_ts[1:] = np.maximum(open_ts[1:], ts[:-1])
        return cls(
            instruments=listed, ts=ts, open_ts=open_ts, **arrays, trusted_open=trusted, given_hash=data_hash, finer=finer,
            session=None if calendar is None else trading_days(listed, ts, np.isfinite(arrays["close"]), calendar),
        )  # fmt: skip

    @classmethod
    def of_arrays(
        cls,
        instrument: Instrument,
        ts: Integers,
        open: Floats,
        high: Floats,
        low: Floats,
        close: Floats,
        volume: Floats | None = None,
        *,
        open_ts: Integers | None = None,
        finer: Market | None = None,
        session: Integers | None = None,
    ) -> Market:
        """The market of one instrument from (T,) arrays; for `open_ts` and `session` None see `trading_days`."""
        if open_ts is None:
            stamps = np.asarray(ts, dtype=np.int64)
            open_ts = begins(instrument, stamps)

        def row(one: Floats) -> Floats:
            return np.asarray(one, dtype=np.float64).reshape(1, -1)

        opened = row(open)
        return cls(
            instruments=(instrument,), ts=ts, open_ts=open_ts, open=opened, high=row(high), low=row(low), close=row(close),
            volume=np.broadcast_to(np.nan, opened.shape) if volume is None else row(volume), trusted_open=np.isfinite(opened),
            finer=finer, session=session,
        )  # fmt: skip

    # -- what it answers ---------------------------------------------------------------------------------------------

    @property
    def data_hash(self) -> str:
        """What names these bars."""
        if "hash" not in self._cache:
            self._cache["hash"] = self.given_hash or self._hash()
        return str(self._cache["hash"])

    @property
    def bars(self) -> int:
        """T."""
        return len(self.ts)

    def row(self, instrument: str) -> int:
        """The row of an instrument id."""
        rows: dict[str, int] = self._cache.setdefault("rows", {one.id: n for n, one in enumerate(self.instruments)})
        try:
            return rows[instrument]
        except KeyError:
            raise InvalidInput(f"expected an instrument of this market ({', '.join(rows)}), found {instrument!r}") from None

    def days_at(self, moments: Integers) -> Integers:
        """(n,) trading days of (n,) moments, microseconds: that of the bar that each lies in or ends; the last one's after it."""
        assert self.session is not None
        found: Integers = self.session[np.minimum(np.searchsorted(self.ts, moments, side="left"), self.bars - 1)]
        return found

    def has_every_price(self, row: int) -> bool:
        """Whether an instrument has four prices in every bar."""
        return bool(self._cache["survey"][0][row])

    def highest(self, row: int) -> float:
        """The highest price of an instrument that has all of them."""
        return float(self._cache["survey"][2][row])

    def between(self, start: int, stop: int) -> Market:
        """Bars start..stop-1 (numbers on the clock), with the finer bars that lie inside them."""
        finer = None if self.finer is None else self.finer._inside(int(self.open_ts[start]), int(self.ts[stop - 1]))
        cut = {name: getattr(self, name)[:, start:stop] for name in (*PRICES, "volume", "trusted_open")}
        assert self.session is not None
        return Market(
            instruments=self.instruments, ts=self.ts[start:stop], open_ts=self.open_ts[start:stop],
            session=self.session[start:stop], simulated=self.simulated, finer=finer, **cut,
        )  # fmt: skip

    def _inside(self, first: int, last: int) -> Market | None:
        """The bars that end in (first, last]; None where there is none."""
        start, stop = (int(np.searchsorted(self.ts, moment, side="right")) for moment in (first, last))
        return self.between(start, stop) if stop > start else None

    # -- checks ------------------------------------------------------------------------------------------------------

    def _check_clock(self) -> int:
        """The shortest step between ends; the largest number for a single bar."""
        ts, open_ts = self.ts, self.open_ts
        if not len(ts):
            raise InvalidInput("expected at least one bar, found none")
        from fieldcast.simulation._kernels_market import out_of_order  # numba loads only when a market is made

        bad, shortest = out_of_order(ts, open_ts, _NO_SESSIONS if self.session is None else self.session)
        if not bad:
            return int(shortest)
        bad = np.flatnonzero(np.diff(ts) <= 0)
        if len(bad):
            raise InvalidInput(f"expected ascending stamps, found {ts[bad[0] + 1]} after {ts[bad[0]]} at bar {bad[0] + 1}")
        bad = np.flatnonzero(open_ts > ts)
        if len(bad):
            raise InvalidInput(
                f"expected each bar to begin before its end, found {open_ts[bad[0]]} and {ts[bad[0]]} at bar {bad[0]}"
            )
        bad = np.flatnonzero(open_ts[1:] < ts[:-1])
        if len(bad):
            raise InvalidInput(
                f"expected bars that do not overlap, found bar {bad[0] + 1} to begin at {open_ts[bad[0] + 1]} before {ts[bad[0]]}"
            )
        raise InvalidInput("expected ascending sessions, found one that goes back")

    def _surveyed(self, voiceless: bool) -> bool:
        """Whether every instrument has every price of every bar, and all can be; what their units need is kept then.

        voiceless : no volume is known
        """
        from fieldcast.simulation._kernels_market import survey

        count = len(self.instruments)
        plain, places, tops = np.empty(count, np.bool_), np.empty(count, np.int64), np.empty(count)
        volume = _frozen(np.empty((count, 0)), np.float64, (count, 0), "volume") if voiceless else self.volume
        survey(self.open, self.high, self.low, self.close, volume, SCALES, plain, places, tops)
        self._cache["survey"] = plain, places, tops
        return bool(plain.all())

    def _check_prices(self) -> None:
        from fieldcast.simulation._kernels_market import first_bad_bar

        n, t, what = first_bad_bar(self.open, self.high, self.low, self.close, self.volume)
        if what:
            meaning = (
                "",
                "prices above zero",
                "the high to be the highest price and the low the lowest",
                "a volume of at least 0",
                "a close wherever there is another price",
            )[what]
            found = {name: float(getattr(self, name)[n, t]) for name in (*PRICES, "volume")}
            raise InvalidInput(f"expected {meaning} for {self.instruments[n].id} at bar {t} ({self.ts[t]}), found {found}")

    def _hash(self) -> str:
        whole = hashlib.sha256(digest([_named(instrument) for instrument in self.instruments]).encode())
        for name in ("ts", "open_ts", "session", *PRICES, "volume", "trusted_open"):
            whole.update(memoryview(getattr(self, name)).cast("B"))
        if self.finer is not None:
            whole.update(self.finer.data_hash.encode())
        return whole.hexdigest()


def _named(instrument: Instrument) -> dict[str, str]:
    return {name: str(getattr(instrument, name)) for name in ("id", "kind", "currency", "tick", "lot", "multiplier")}


def _frozen(value: Any, dtype: Any, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    array = np.ascontiguousarray(value, dtype=dtype)
    if array.shape != shape:
        raise InvalidInput(f"expected {name} of shape {shape}, found {array.shape}")
    if array is value and array.flags.writeable:
        array = array.view()
    array.flags.writeable = False
    return array


def _is_one_nan(array: Floats) -> bool:
    """True for an array that is NaN throughout because all of it is one number in memory."""
    return bool(np.size(array) and not any(np.asarray(array).strides) and np.isnan(np.asarray(array).flat[0]))


def _one_row_each(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.sort("ts", "available_at") if "available_at" in frame.columns else frame.sort("ts")
    return frame.unique("ts", keep="first", maintain_order=True)


def _synthetic_open(frame: pl.DataFrame) -> Flags:
    if "reasons" not in frame.columns:
        return np.zeros(frame.height, dtype=np.bool_)
    found = frame.select(pl.col("reasons").cast(pl.String).str.split(",").list.contains("open_synthetic").fill_null(value=False))
    return found.to_series().to_numpy().astype(np.bool_)
