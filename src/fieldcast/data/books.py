"""Order books out of the rows of `depth`: the state after each message, at chosen times, or as of one moment.

Rows are taken in the order in which they became known (`available_at`, then `sequence`); rows that agree on their times, numbers
and kind are one message, and a book is looked at after whole messages only. A book that no snapshot has begun is unknown, and so
is one that misses a message: such states have null prices and the reason `book_unknown` or `book_gap`, never the last good ones.
That a message is missing follows from the venue's numbers, or from a row that carries the reason `book_gap`.

A venue that numbers its messages is replayed by its numbers: the snapshot of number L, and after it each change that ends after
L, also those received before the snapshot. The change in which L lies has to be among them, or the book stays crossed for good.
Source: Binance, "How to manage a local order book correctly" (developers.binance.com).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data import _kernels
from fieldcast.ground import InvalidInput, MissingData, Reason, utc
from fieldcast.market import STAMP, conform, has_reason, table_of

_ACTIONS = {"add": _kernels.ADD, "cancel": _kernels.CANCEL, "modify": _kernels.MODIFY, "reset": _kernels.RESET}
_REASONS = {_kernels.UNKNOWN: Reason.BOOK_UNKNOWN, _kernels.GAP: Reason.BOOK_GAP}
MOST_LEVELS = 1000
WIDEST_LADDER = 1 << 23     # ticks between the lowest and the highest price that are laid out in one array


@dataclass(frozen=True)
class BookStates:
    """What a replay found.

    Parameters
    ----------
    states : one row a message (or a chosen time): instrument, ts, available_at, `bid_1`, `bid_size_1`, `ask_1`, `ask_size_1` …
        down to the last level asked for, null where a side has no such level; `reasons`
    messages, updates : how many messages and level changes were replayed
    crossed : messages after which the best bid stood at or above the best ask
    unknown : messages after which the book was unknown
    """

    states: pl.DataFrame
    messages: int
    updates: int
    crossed: int
    unknown: int


@dataclass(frozen=True)
class Book:
    """A whole book at a moment: `bids` and `asks` with `price` and `size`, best first; `available_at` of its last message."""

    instrument: str
    available_at: datetime
    bids: pl.DataFrame
    asks: pl.DataFrame


@dataclass(frozen=True)
class BookStretch:
    """The end of a replay.

    Parameters
    ----------
    states : as in `BookStates`, the first row that of the last message known by `since` (where there was one)
    book : the whole book after the last message; None where it is unknown. A crossed one is given
    reason : why it is unknown
    """

    states: pl.DataFrame
    book: Book | None
    reason: Reason | None


def replay(depth: pl.DataFrame, levels: int = 1, at: pl.Series | None = None) -> BookStates:
    """The states of a book.

    Parameters
    ----------
    depth : rows of `depth` of one instrument, in any order
    levels : how many of each side, 1 to 1000
    at : times in UTC; each is answered with the last state that was known by then. None = the state after each message

    Returns
    -------
    BookStates; with `at`, `states.ts` are those times, in their order

    Raises
    ------
    InvalidInput : rows of several instruments, none at all, or of feeds by price level and by order mixed
    """
    if not 1 <= levels <= MOST_LEVELS:
        raise InvalidInput(f"expected 1 to {MOST_LEVELS} levels, found {levels}")
    if at is not None and (not isinstance(at.dtype, pl.Datetime) or at.dtype.time_zone is None or at.null_count()):
        raise InvalidInput(f"expected times with their zone to look at the book, found {at.dtype} with {at.null_count()} null")
    run = _Run(depth)
    wanted = np.arange(run.messages) if at is None else np.full(run.messages, -1, np.int64)
    place = None
    if at is not None:
        place = np.searchsorted(run.known, _micros(at), side="right") - 1       # last message known by then
        asked = np.unique(place[place >= 0])
        wanted[asked] = np.arange(asked.size)
    outputs = run.messages if at is None else int((wanted >= 0).sum())
    rungs, sizes = run.play(wanted, outputs, levels)
    states = run.frame() if at is None or place is None else run.frame_at(at, place)
    index = wanted if place is None else np.where(place >= 0, wanted[np.maximum(place, 0)], -1)
    code = run.states if place is None else np.where(place >= 0, run.states[np.maximum(place, 0)], _kernels.UNKNOWN)
    crossed = run.crossed if place is None else np.where(place >= 0, run.crossed[np.maximum(place, 0)], False)
    table = _table(states, run.prices, (rungs, sizes, index), code, crossed)
    return BookStates(
        table, run.messages, run.rows, int(run.crossed.sum()), int((run.states != _kernels.OK).sum())
    )


def replay_since(depth: pl.DataFrame, since: datetime, levels: int = 1) -> BookStretch:
    """The end of a replay: the states since a moment, and the whole book after the last message.

    The same figures as `replay` of all rows, at a fraction of its cost: before the snapshot that the stretch rests on no row is
    looked at, and between the two a level is written and nothing else. A gap in the numbers there is still found. A feed by
    order is replayed from its last reset.

    Parameters
    ----------
    depth : rows of `depth` of one instrument, in any order
    since : the states of later messages are given, and that of the last message known by then
    levels : how many of each side, 1 to 1000

    Raises
    ------
    InvalidInput : see `replay`; rows that are not looked at are not checked either
    """
    if not 1 <= levels <= MOST_LEVELS:
        raise InvalidInput(f"expected 1 to {MOST_LEVELS} levels, found {levels}")
    moment = utc(since)
    run = _Run(_needed(depth, moment))
    first = max(int(np.searchsorted(run.known, _micros(pl.Series([moment]))[0], side="right")) - 1, 0)
    wanted = np.full(run.messages, -1, np.int64)
    index = wanted[first:] = np.arange(run.messages - first)
    rungs, sizes = run.play(wanted, index.size, levels, first)
    states = _table(run.frame(first), run.prices, (rungs, sizes, index), run.states[first:], run.crossed[first:])
    last = int(run.states[-1])
    return BookStretch(states, run.book() if last == _kernels.OK else None, _REASONS.get(last))


def book_at(depth: pl.DataFrame, as_of: datetime) -> Book:
    """The whole book as it was known at a moment.

    Raises
    ------
    InvalidInput : see `replay`
    MissingData : nothing was known by then, or the book was unknown; the message says why
    """
    known = depth.filter(pl.col("available_at") <= utc(as_of))
    if known.is_empty():
        raise MissingData(f"expected messages of the book by {as_of.isoformat()}, found none")
    run = _Run(known)
    run.play(np.full(run.messages, -1, np.int64), 0, 1)
    last = int(run.states[-1])
    if last != _kernels.OK:
        reason = _REASONS[last]
        raise MissingData(f"expected a known book of {run.instrument} at {as_of.isoformat()}, found {reason}: {reason.meaning}")
    return run.book()


class _Run:
    """The rows of one instrument as arrays for the kernels, and the state that they leave."""

    def __init__(self, depth: pl.DataFrame) -> None:
        names = _instruments(depth)
        if len(names) != 1:
            raise InvalidInput(f"expected depth rows of one instrument, found {', '.join(map(str, names)) or 'none'}")
        self.instrument = str(names[0])
        rows = conform(depth, dict(table_of("depth").schema))
        order = ["available_at", "sequence"]
        if not _ascending(rows):
            rows = rows.sort(order)
        self.by_order = _by_order(rows)
        self.rows = rows.height
        number = {name: rows[name].fill_null(-1).to_numpy() for name in ("first_update", "last_update")}
        known, ts = _micros(rows["available_at"]), _micros(rows["ts"])
        snapshot = rows["snapshot"].to_numpy()
        self.starts = _kernels.message_starts(known, ts, snapshot, number["first_update"], number["last_update"])
        heads = self.starts[:-1]
        self.messages = heads.size
        self.known, self.ts, self.snapshot = known[heads], ts[heads], snapshot[heads]
        self.first, self.last = number["first_update"][heads], number["last_update"][heads]
        self._torn = np.zeros(self.messages, np.bool_)
        if any_reason(rows, Reason.BOOK_GAP):
            broken = rows.select(has_reason(Reason.BOOK_GAP)).to_series().to_numpy()
            self._torn = np.logical_or.reduceat(broken, heads)
        self.prices, self._rung = _ladder(rows["price"].to_numpy())
        self._side = _side_codes(rows)
        self._size = rows["size"].to_numpy()
        self._orders: tuple[Any, ...] = ()
        if self.by_order:
            ids, order_of = np.unique(rows["order_id"].to_numpy(), return_inverse=True)
            actions = rows["action"].replace_strict(_ACTIONS, return_dtype=pl.Int64).to_numpy()
            self._orders = (order_of.astype(np.int64), actions, ids.size)
        self.sizes = np.zeros((2, self.prices.size))
        self.states = np.zeros(self.messages, np.int8)
        self.crossed = np.zeros(self.messages, np.bool_)

    def play(self, wanted: Any, outputs: int, levels: int, since: int = 0) -> tuple[Any, Any]:
        """Run the kernel: rungs and sizes (outputs, 2, levels) of the wanted messages; `states`, `crossed`, `sizes` fill up.

        since : the first message that is looked at; `states` and `crossed` say nothing of those before
        """
        best, used = np.full(2, -1, np.int64), np.zeros(2, np.int64)
        rungs = np.full((outputs, 2, levels), -1, np.int64)
        sizes = np.zeros((outputs, 2, levels))
        shared = (wanted.astype(np.int64, copy=False), self.sizes, best, used)
        results = (self.states, self.crossed, rungs, sizes)
        if not self.by_order:
            changes = (self.first, self.last, self._side, self._rung, self._size)
            _kernels.replay_levels(self.starts, self.snapshot, self._torn, *changes, since, *shared, *results)
            return rungs, sizes
        order, action, orders = self._orders
        changes = (order, action, self._side, self._rung, self._size)
        resting, count = np.zeros((orders, 3)), np.zeros(self.sizes.shape, np.int64)
        _kernels.replay_orders(self.starts, self.snapshot, self._torn, *changes, *shared, resting, count, *results)
        return rungs, sizes

    def book(self) -> Book:
        """What the last message left; `play` first, and look at `states`."""
        used = [np.flatnonzero(self.sizes[side])[::-1] for side in (0, 1)]
        place = (used[0], self.prices.size - 1 - used[1])
        bids, asks = (
            pl.DataFrame({"price": self.prices[place[side]], "size": self.sizes[side][used[side]]}) for side in (0, 1)
        )
        return Book(self.instrument, pl.Series(self.known[-1:]).cast(STAMP)[0], bids, asks)

    def frame(self, since: int = 0) -> pl.DataFrame:
        """The head of the states: one row a message from the message `since` on."""
        return pl.DataFrame({"ts": self.ts[since:], "available_at": self.known[since:]}).select(
            pl.lit(self.instrument).alias("instrument"), pl.col("ts", "available_at").cast(STAMP)
        )

    def frame_at(self, at: pl.Series, place: Any) -> pl.DataFrame:
        """The head of the states: one row a chosen time, with the `available_at` of the message that it shows."""
        known = np.where(place >= 0, self.known[np.maximum(place, 0)], -1)
        return pl.DataFrame({"ts": at.cast(STAMP), "known": known}).select(
            pl.lit(self.instrument).alias("instrument"), "ts",
            pl.when(pl.col("known") >= 0).then(pl.col("known")).cast(STAMP).alias("available_at"),
        )


def _ladder(prices: Any) -> tuple[Any, Any]:
    """The prices that occur, ascending, and the rung of each row among them: by integer ticks where they are decimals."""
    ticks = np.empty(prices.size, np.int64)
    for decimals in range(10):
        scale = float(10**decimals)
        if _kernels.decimal_ticks(prices, scale, ticks):
            lowest, highest = int(ticks.min()), int(ticks.max())
            if highest - lowest < WIDEST_LADDER:
                rung, used = _kernels.ranks(ticks, lowest, highest - lowest + 1)
                return used / scale, rung
            break
    return np.unique(prices, return_inverse=True)


def _needed(depth: pl.DataFrame, since: datetime) -> pl.DataFrame:
    """The rows that the states since a moment rest on.

    By level: from the snapshot before the last one known by then (what came between the two may belong to the last one). By
    order: from the last reset, since a snapshot there removes no order.
    """
    if not {"action", "snapshot", "available_at"} <= set(depth.columns) or depth.is_empty():
        return depth        # refused by name elsewhere
    begins = _begins(depth, since)
    return depth if begins is None else depth.filter(pl.col("available_at") >= begins)


def _begins(depth: pl.DataFrame, since: datetime) -> datetime | None:
    """The moment from which on the rows are needed (see `_needed`); None where that is all of them."""
    by_level = depth["action"].null_count() == depth.height
    begins = pl.col("snapshot") if by_level else pl.col("action") == "reset"
    times = depth.filter(begins & (pl.col("available_at") <= since))["available_at"].unique().sort()
    found: datetime | None = times[-1 - by_level] if times.len() >= 1 + by_level else None
    return found


def rests_within(depth: pl.DataFrame, since: datetime) -> bool:
    """Whether the states since a moment rest on these rows alone, whatever came before them.

    Parameters
    ----------
    depth : the end of the rows of `depth` of one instrument: all that became known from some moment on
    """
    return not depth.is_empty() and _begins(depth, utc(since)) is not None


def any_reason(rows: pl.DataFrame, code: Reason) -> bool:
    """True where a row carries the reason code: the few texts that occur are looked at, and not each row's."""
    return bool(pl.DataFrame({"reasons": _texts(rows["reasons"])}).select(has_reason(code).any()).item())


def _instruments(depth: pl.DataFrame) -> list[Any]:
    """Which instruments the rows are of."""
    return _texts(depth["instrument"]).sort().to_list() if "instrument" in depth.columns else []


def _texts(column: pl.Series) -> pl.Series:
    """The texts that occur; often one in all rows, which is found much faster than by sorting out."""
    return column[:1] if column.eq_missing(column[:1]).all() else column.unique()


def _micros(times: pl.Series) -> Any:
    return times.cast(STAMP).to_physical().to_numpy()


def _ascending(rows: pl.DataFrame) -> bool:
    """True where the rows stand in the order of their receipt already."""
    at, place = pl.col("available_at"), pl.col("sequence")
    later = (at > at.shift(1)) | ((at == at.shift(1)) & (place >= place.shift(1)))
    return bool(rows.select(later.fill_null(value=True).all()).item())


def _by_order(rows: pl.DataFrame) -> bool:
    acted = rows["action"].null_count()
    if acted == rows.height:
        return False
    if acted or rows["order_id"].null_count() or not rows["action"].is_in(list(_ACTIONS)).all():
        raise InvalidInput(
            f"expected every row of a feed by order with an order_id and an action out of {', '.join(_ACTIONS)}, found others"
        )
    return True


def _side_codes(rows: pl.DataFrame) -> Any:
    side = rows["side"]
    ask = side == "ask"
    if side.null_count() or not (ask | (side == "bid")).all():
        raise InvalidInput(f"expected sides bid and ask, found {', '.join(map(str, side.unique().sort().to_list()))}")
    return ask.cast(pl.Int64).to_numpy()


def _table(head: pl.DataFrame, prices: Any, found: tuple[Any, Any, Any], code: Any, crossed: Any) -> pl.DataFrame:
    """States out of what a kernel left: `found` is rungs, sizes (k, 2, levels) and each row's place among them."""
    rungs, sizes, index = found
    reasons = pl.Series("reasons", code.astype(np.int8)).replace_strict(
        {key: str(value) for key, value in _REASONS.items()}, default=None, return_dtype=pl.String
    )
    reasons = pl.select(
        pl.when(pl.Series(crossed.astype(bool))).then(pl.lit(str(Reason.QUOTE_CROSSED))).otherwise(reasons).alias("reasons")
    )["reasons"]
    return head.with_columns(*_prices(prices, rungs, sizes, index, code == _kernels.OK, rungs.shape[2]), reasons)


def _prices(prices: Any, rungs: Any, sizes: Any, index: Any, known: Any, levels: int) -> list[pl.Series]:
    """Columns `bid_1, bid_size_1, …, ask_1, …`; null where the state is unknown or the side has no such level."""
    columns = []
    chosen = np.where(known & (index >= 0), index, 0)
    for side, name in enumerate(("bid", "ask")):
        for level in range(levels):
            rung = rungs[chosen, side, level] if rungs.shape[0] else np.full(index.size, -1)
            there = known & (index >= 0) & (rung >= 0)
            size = sizes[chosen, side, level] if sizes.shape[0] else np.zeros(index.size)
            for label, values in ((name, prices[np.maximum(rung, 0)]), (f"{name}_size", size)):
                columns.append(pl.Series(f"{label}_{level + 1}", np.where(there, values, np.nan), nan_to_null=True))
    return columns
