"""A simulated order book as the tables `depth`, `quotes` and `trades`, which agree, and the truth behind every event.

Each session opens with a snapshot and goes on with numbered changes of price levels, so that `data.books.replay` gives the book
again, never crossed: bids stand below the reference price and asks above it, always. A message holds the changes of one event; an
event that moves the reference price changes several levels: the farthest of one side leaves the view (size 0), another comes in.
A trade has the number of the message that took it off the book, and hits the best price that stood before.

The book is a history of its own: it shares the tick and the first price of an instrument's simulated bars, not their path. The
store therefore holds a book under another name than bars and chains (`workflows.simulate_data`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.lineage import Lineage
from fieldcast.data.simulated.bars import DATASET, stream
from fieldcast.data.simulated.book_process import BookProcess
from fieldcast.data.simulated.grid import usual_length
from fieldcast.data.simulated.parameters import SESSION, SimulatedInstrument
from fieldcast.ground import InvalidInput, Reason, digest
from fieldcast.market import DECISION_DELAY, Instrument, sessions_between, table_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_CHUNK = 1 << 15
_KINDS, _SIDES, _AGGRESSORS = ("limit", "cancel", "market"), ("bid", "ask"), ("sell", "buy")
_LABEL = str(Reason.SIMULATED)


@dataclass(frozen=True)
class BookMarket:
    """A simulated book: the same seed gives the same rows in every process, and a later `last` only appends."""

    seed: int
    instrument: SimulatedInstrument
    first: date
    last: date
    process: BookProcess = field(default_factory=BookProcess)

    def __post_init__(self) -> None:
        if self.seed < 0 or self.first > self.last:
            raise InvalidInput(f"expected a seed of at least 0 and first at or before last, found {self}")

    @property
    def described(self) -> Instrument:
        """The instrument as the catalogue holds it."""
        return self.instrument.described(self.seed)

    @property
    def source(self) -> str:
        """What the lineage says: equal where, and only where, everything that the rows depend on is equal.

        `last` is no part of it: a later one only appends.
        """
        identity = {name: value for name, value in asdict(self).items() if name != "last"}
        return f"BarMarket seed {self.seed}, book, parameters {digest(identity)}"


@dataclass(frozen=True)
class BookSession:
    """One session of a book; every row carries the reason `simulated`.

    Parameters
    ----------
    depth, quotes, trades : rows of those tables
    events : the truth, one row an event: `update` (its number), `ts`, `kind` (limit, cancel, market), `side` (of the queue),
        `queue` (1 = nearest to the reference), `size_before` (units), `rate` and `total_rate` (events a second at the mean pace,
        before it: its own and of all)
    """

    session: date
    depth: pl.DataFrame
    quotes: pl.DataFrame
    trades: pl.DataFrame
    events: pl.DataFrame


@dataclass(frozen=True)
class SimulatedBook:
    """A simulated book and where its rows come from."""

    market: BookMarket
    instrument: Instrument
    lineage: Lineage

    def sessions(self) -> Iterator[BookSession]:
        """Session by session; each call begins anew and gives the same."""
        market = self.market
        price = round(market.instrument.first_price / float(self.instrument.tick))
        number = 0
        for row in sessions_between(self.instrument.calendar, market.first, market.last).iter_rows(named=True):
            one = _Session(market, self.instrument, row, price, number)
            yield one.result()
            price, number = one.price, one.number


def simulate_book(market: BookMarket) -> SimulatedBook:
    """A simulated order book.

    Raises
    ------
    InvalidInput : the calendar has no session in the span
    """
    instrument = market.described
    days = sessions_between(instrument.calendar, market.first, market.last)
    if days.is_empty():
        raise InvalidInput(f"expected a session of {instrument.calendar} in the span, found none")
    lineage = Lineage(
        provider="simulated", dataset=DATASET, fetched_at=days["close"][-1] + DECISION_DELAY, simulated=True, source=market.source
    )
    return SimulatedBook(market, instrument, lineage)


class _Session:
    """One session: the kernel run in chunks, its outputs as tables."""

    def __init__(self, market: BookMarket, instrument: Instrument, row: dict[str, Any], price: int, number: int) -> None:
        self.market, self.instrument, self.session, self.base = market, instrument, row["session"], number
        self.open: datetime = row["open"]
        process = market.process
        self.rates = process.rates.table()
        law = np.cumsum(process.rates.invariant(), axis=1)
        self.cdf = law / law[:, -1:]
        purpose = f"{instrument.id} book {self.session}"
        self.random = {name: stream(market.seed, f"{purpose} {name}") for name in ("start", "waits", "choices", "pool")}
        start = self.random["start"]
        step = round(float(start.standard_normal()) * process.gap_ticks) if number else 0
        self.place = np.array([max(price + step, 2 * process.rates.levels)], np.int64)
        draws = start.random((2, process.rates.levels))
        self.sizes = np.array(
            [[int(np.searchsorted(self.cdf[q], draws[s, q])) for q in range(process.rates.levels)] for s in (0, 1)], np.int64
        )
        self.first_sizes, self.first_place = self.sizes.copy(), int(self.place[0])
        self.real, self.business = self._clock(row)
        self.events, self.rows = self._run()
        self.price = int(self.place[0])
        self.number = number + 1 + self.events["times"].size

    def _clock(self, row: dict[str, Any]) -> tuple[Floats, Floats]:
        """Seconds since the open, and how many seconds at the mean pace have passed by then."""
        season, levels = self.market.instrument.season, self.market.instrument.season.volume_levels()
        length = round((row["close"] - row["open"]).total_seconds())
        minutes = np.arange(0, length, 60)
        if season.clock == SESSION:
            bins = minutes * levels.size // usual_length(self.instrument.calendar)
        else:
            local = row["open"].astimezone(ZoneInfo(season.clock))
            bins = (minutes + local.hour * 3600 + local.minute * 60) % 86_400 * levels.size // 86_400
        ends = np.append(minutes[1:], length)
        spent = np.cumsum((ends - minutes) * levels[np.minimum(bins, levels.size - 1)] * self.market.process.pace)
        return np.append(0.0, ends), np.append(0.0, spent)

    def _run(self) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        from fieldcast.data.simulated import _kernels_book as kernels

        levels = self.sizes.shape[1]
        chances = np.array([self.market.process.move, self.market.process.redraw])
        clock, offset, reached = np.zeros(1), 0, 0
        parts: list[tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]] = []
        while not reached:
            room = 4 * _CHUNK + 8 * levels
            rows: dict[str, NDArray[Any]] = {
                "event": np.empty(room, np.int64), "side": np.empty(room, np.int8),
                "price": np.empty(room, np.int64), "size": np.empty(room, np.int64),
            }  # fmt: skip
            events: dict[str, NDArray[Any]] = {
                "times": np.empty(_CHUNK), "kinds": np.empty(_CHUNK, np.int8), "sides": np.empty(_CHUNK, np.int8),
                "queues": np.empty(_CHUNK, np.int16), "before": np.empty(_CHUNK, np.int64), "total_rate": np.empty(_CHUNK),
                "own_rate": np.empty(_CHUNK), "best": np.empty((_CHUNK, 4), np.int64),
            }  # fmt: skip
            done, filled, _, reached = kernels.run(
                self.rates, self.cdf, chances, self.sizes, self.place, clock, self.business[-1],
                self.random["waits"].standard_exponential(_CHUNK), self.random["choices"].random(_CHUNK),
                self.random["pool"].random(2 * _CHUNK), *rows.values(), *events.values(),
            )  # fmt: skip
            rows["event"] += offset
            offset += done
            parts.append((
                {name: values[:done].copy() for name, values in events.items()},
                {name: values[:filled].copy() for name, values in rows.items()},
            ))  # fmt: skip
        return _joined([found for found, _ in parts]), _joined([changes for _, changes in parts])

    def result(self) -> BookSession:
        """The tables of the session."""
        opened = round(self.open.timestamp() * 1e6)
        seconds = np.interp(self.events["times"], self.business, self.real)
        self.ts = opened + np.floor(seconds * 1e6).astype(np.int64)
        update = self.base + 1 + np.arange(self.ts.size)
        events = pl.DataFrame({
            "update": update, "ts": _stamps(self.ts), "kind": _words(_KINDS, self.events["kinds"]),
            "side": _words(_SIDES, self.events["sides"]), "queue": self.events["queues"] + 1,
            "size_before": self.events["before"], "rate": self.events["own_rate"], "total_rate": self.events["total_rate"],
        })  # fmt: skip
        depth, quotes, trades = self._depth(opened, update), self._quotes(opened, update), self._trades(update)
        return BookSession(self.session, depth, quotes, trades, events)

    def _depth(self, opened: int, update: Integers) -> pl.DataFrame:
        """The snapshot at the open and every change after it."""
        levels = np.arange(self.sizes.shape[1])
        prices = np.concatenate([self.first_place - levels, self.first_place + 1 + levels])
        sizes = self.first_sizes.ravel()
        kept = sizes > 0
        head, of = int(kept.sum()), self.rows["event"]
        last = np.concatenate([np.full(head, self.base), update[of]])
        side = np.concatenate([np.repeat([0, 1], levels.size)[kept], self.rows["side"]])
        frame = pl.DataFrame({
            "ts": _stamps(np.concatenate([np.full(head, opened), self.ts[of]])), "last_update": last,
            "snapshot": np.arange(last.size) < head, "sequence": np.arange(last.size),
            "side": _words(_SIDES, side), "price": self._price(np.concatenate([prices[kept], self.rows["price"]])),
            "size": np.concatenate([sizes[kept], self.rows["size"]]) * self.market.process.lot,
        }).with_columns(first_update=pl.when(~pl.col("snapshot")).then("last_update"))  # fmt: skip
        return self._labelled(frame, "depth")

    def _quotes(self, opened: int, update: Integers) -> pl.DataFrame:
        """A row whenever the best price or size of a side has changed."""
        from fieldcast.data.simulated import _kernels_book as kernels

        start = []
        for side in (0, 1):
            near = int(kernels.first_used(self.first_sizes, side))
            there = near < self.first_sizes.shape[1]
            price = self.first_place - near if side == 0 else self.first_place + 1 + near
            start += [price if there else kernels.NONE, self.first_sizes[side, near] if there else 0]
        best = np.vstack([np.array([start], np.int64), self.events["best"]])
        changed = np.append(True, (best[1:] != best[:-1]).any(axis=1))
        ts, number = np.append(opened, self.ts)[changed], np.append(self.base, update)[changed]
        best = best[changed]
        frame = pl.DataFrame({
            "ts": _stamps(ts), "sequence": number, "bid": self._price(best[:, 0]), "ask": self._price(best[:, 2]),
            "bid_size": best[:, 1] * self.market.process.lot, "ask_size": best[:, 3] * self.market.process.lot,
        }).with_columns(
            pl.when(pl.col(f"{side}_size") > 0).then(name).alias(name) for side in _SIDES for name in (side, f"{side}_size")
        )  # fmt: skip
        return self._labelled(frame, "quotes")

    def _trades(self, update: Integers) -> pl.DataFrame:
        """Market orders, one unit each, at the best price that stood."""
        from fieldcast.data.simulated import _kernels_book as kernels

        at = np.flatnonzero(self.events["kinds"] == kernels.MARKET)
        ask = self.events["sides"][at] == 1
        frame = pl.DataFrame({
            "ts": _stamps(self.ts[at]), "sequence": update[at], "price": self._price(self._hit(at, ask)),
            "size": np.full(at.size, self.market.process.lot), "side": _words(_AGGRESSORS, ask),
            "trade_id": pl.Series(update[at]).cast(pl.String),
        })  # fmt: skip
        return self._labelled(frame, "trades")

    def _hit(self, at: Integers, ask: NDArray[np.bool_]) -> Integers:
        """The best price of the side that each of these events hit, as it stood before the event."""
        before = np.vstack([np.zeros((1, 4), np.int64), self.events["best"]])[at]
        levels = np.arange(self.first_sizes.shape[1])
        if at.size and at[0] == 0:
            side = int(ask[0])
            near = int(levels[self.first_sizes[side] > 0][0])
            before[0, 2 * side] = self.first_place - near if side == 0 else self.first_place + 1 + near
        return np.where(ask, before[:, 2], before[:, 0])

    def _price(self, ticks: Integers) -> Floats:
        """Whole ticks as the floats nearest to their decimal prices."""
        tick = self.instrument.tick
        per_unit = 1 / tick
        whole = per_unit == per_unit.to_integral_value()
        return np.asarray(ticks / float(per_unit) if whole else ticks * float(tick))

    def _labelled(self, frame: pl.DataFrame, table: str) -> pl.DataFrame:
        schema = table_of(table).schema
        named = frame.with_columns(instrument=pl.lit(self.instrument.id), available_at=pl.col("ts"), reasons=pl.lit(_LABEL))
        return named.select(
            (pl.col(name) if name in named.columns else pl.lit(None)).cast(dtype).alias(name) for name, dtype in schema.items()
        )


def _joined(parts: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _words(words: tuple[str, ...], codes: NDArray[Any]) -> pl.Series:
    return pl.Series(words, dtype=pl.String).gather(pl.Series(codes.astype(np.uint32)))


def _stamps(micros: Integers) -> pl.Series:
    return pl.Series(micros).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
