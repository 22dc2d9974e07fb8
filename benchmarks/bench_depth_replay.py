"""Replay of an order book beside a plain-dict Python replay: ten levels of both sides after every message, in one run.

The dict replay is also the oracle of tests/data/test_books.py. It is given its messages ready-made; ours starts from the rows.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from fieldcast.data.books import replay
from fieldcast.market import table_of

COVERS = ("src/fieldcast/data/books.py", "src/fieldcast/data/_kernels.py")
MESSAGES, LEVELS, ROUNDS, SEED = 30_000, 10, 5, 7
Top = list[tuple[float, float]]


@dataclass
class Message:
    """Changes that came together; numbers are none where the venue has none."""

    snapshot: bool
    first: int | None
    last: int | None
    changes: list[tuple[str, float, float]]     # side, price, size


@dataclass
class DictBook:
    """A book as anybody would write it: one dict a side, and the venue's rules of numbering."""

    sides: dict[str, dict[float, float]] = field(default_factory=lambda: {"bid": {}, "ask": {}})
    status: str = "book_unknown"
    newest: int | None = None
    before: list[Message] = field(default_factory=list)     # since the last snapshot

    def take(self, message: Message) -> None:
        if message.snapshot:
            self.sides = {"bid": {}, "ask": {}}
            self.status, self.newest = "ok", message.last
            self._apply(message)
            waiting = self.before if message.last is not None and message.first is None else []
            self.before = []
            for earlier in waiting:
                self._follow(earlier)
            return
        self.before.append(message)
        self._follow(message)

    def _follow(self, message: Message) -> None:
        if self.status != "ok":
            return
        if message.last is not None and self.newest is not None:
            if message.last <= self.newest:
                return
            if message.first is not None and message.first > self.newest + 1:
                self.status = "book_gap"
                return
        self._apply(message)
        if message.last is not None:
            self.newest = message.last

    def _apply(self, message: Message) -> None:
        for side, price, size in message.changes:
            if size == 0.0:
                self.sides[side].pop(price, None)
            else:
                self.sides[side][price] = size

    def top(self, levels: int) -> tuple[Top, Top]:
        bids, asks = self.sides["bid"], self.sides["ask"]
        return (
            [(price, bids[price]) for price in heapq.nlargest(levels, bids)],
            [(price, asks[price]) for price in heapq.nsmallest(levels, asks)],
        )


def dict_replay(messages: list[Message], levels: int) -> list[tuple[str, Top, Top]]:
    """Status and best levels after each message."""
    book, states = DictBook(), []
    for message in messages:
        book.take(message)
        states.append((book.status, *(book.top(levels) if book.status == "ok" else ([], []))))
    return states


def depth_rows(messages: list[Message], start: datetime = datetime(2024, 1, 2, tzinfo=UTC)) -> pl.DataFrame:
    """The messages, a millisecond apart, as rows of `depth`."""

    def rows() -> Iterator[tuple[object, ...]]:
        sequence = 0
        for place, message in enumerate(messages):
            at = start + timedelta(milliseconds=place)
            for side, price, size in message.changes:
                yield "BINANCE:TEST", at, sequence, message.first, message.last, message.snapshot, side, price, size
                sequence += 1

    names = ["instrument", "ts", "sequence", "first_update", "last_update", "snapshot", "side", "price", "size"]
    schema = dict(table_of("depth").schema)
    frame = pl.DataFrame(list(rows()), schema={name: schema[name] for name in names}, orient="row")
    others = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in (*names, "available_at")]
    return frame.with_columns(*others, available_at=pl.col("ts")).select(list(schema))


def market(count: int, seed: int, width: int = 1500, changes: int = 36) -> list[Message]:
    """A snapshot and changes around a price that walks at random; never crossed."""
    random = np.random.default_rng(seed)
    middle, tick = 600_000, 0.01
    levels = {"bid": range(middle - width, middle), "ask": range(middle + 1, middle + width + 1)}
    opening = [(side, round(at * tick, 2), float(random.integers(1, 999))) for side, span in levels.items() for at in span]
    messages, number = [Message(True, None, 1000, opening)], 1000
    for _ in range(count):
        step = int(random.integers(-2, 3))
        passed = range(min(middle, middle + step), max(middle, middle + step) + 1)
        middle += step
        found = [(side, round(at * tick, 2), 0.0) for at in passed for side in ("bid", "ask")]
        away = np.minimum(random.geometric(0.02, changes), width)
        for side, distance, size in zip(random.random(changes) < 0.5, away, random.integers(-300, 700, changes), strict=True):
            at = middle - int(distance) if side else middle + int(distance)
            found.append(("bid" if side else "ask", round(at * tick, 2), float(max(size, 0))))
        messages.append(Message(False, number + 1, number + 5, found))
        number += 5
    return messages


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def same(states: pl.DataFrame, expected: list[tuple[str, Top, Top]], levels: int) -> bool:
    """True where a replay gives what the dict replay gives."""
    for row, (status, *sides) in zip(states.iter_rows(named=True), expected, strict=True):
        crossed = status == "ok" and bool(sides[0]) and bool(sides[1]) and sides[0][0][0] >= sides[1][0][0]
        reason = "quote_crossed" if crossed else (None if status == "ok" else status)
        found = [
            [(row[f"{side}_{n}"], row[f"{side}_size_{n}"]) for n in range(1, levels + 1) if row[f"{side}_{n}"] is not None]
            for side in ("bid", "ask")
        ]
        if row["reasons"] != reason or found != sides:
            return False
    return states.height == len(expected)


if __name__ == "__main__":
    messages = market(MESSAGES, SEED)
    rows = depth_rows(messages)
    few = messages[:2_000]
    assert same(replay(depth_rows(few), LEVELS).states, dict_replay(few, LEVELS), LEVELS)     # and compiles
    ours = [seconds(lambda: replay(rows, LEVELS)) for _ in range(ROUNDS)]
    dicts = [seconds(lambda: dict_replay(messages, LEVELS)) for _ in range(ROUNDS)]
    best_only = seconds(lambda: dict_replay(messages, 1)) / min(seconds(lambda: replay(rows, 1)) for _ in range(ROUNDS))
    ratios = sorted(theirs / mine for theirs, mine in zip(dicts, ours, strict=True))
    updates = rows.height / np.median(ours)
    assert updates >= 1e6, f"expected 1 M level updates a second, found {updates:.0f}"
    assert ratios[ROUNDS // 2] >= 20, f"expected 20 times the dict replay, found {ratios[ROUNDS // 2]:.1f}"
    print(json.dumps({
        "claim": (
            f"speed of the depth replay over a plain-dict Python replay, ten levels a side after each of {MESSAGES} messages "
            f"({rows.height} level updates; {updates / 1e6:.1f} M a second; best level alone: {best_only:.0f} times)"
        ),
        "estimate": ratios[ROUNDS // 2],
        "low": ratios[0],
        "high": ratios[-1],
        "n": ROUNDS,
        "seed": SEED,
    }))
