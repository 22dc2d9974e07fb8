"""Cost of one order-book event: the step that keeps its state, and the whole way from depth rows, at 100 to 1,000,000 events.

A step is O(1) when its cost does not grow with the events that came before it. Both ways end in the same table; a loop in plain
Python over the same states stands beside them, and has to agree.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl

from fieldcast.data.books import replay
from fieldcast.fields.books import BookStep, ImbalanceSettings, order_book_imbalance
from fieldcast.fields.books.ladders import level_arrays
from fieldcast.market import STAMP, table_of

COVERS = ("src/fieldcast/fields/books/imbalance.py", "src/fieldcast/fields/books/_kernels.py")
COUNTS, ROUNDS, SEED, LEVELS = (100, 1_000, 10_000, 100_000, 1_000_000), 7, 7, 10
PIECE = 10_000  # events a call: as large as a batch gets before memory, not the step, is what is measured
WIDTH, TICK = 40, 0.01
SETTINGS = ImbalanceSettings()


def rows_of(events: int, seed: int = SEED) -> pl.DataFrame:
    """A snapshot of 40 levels a side and one change an event, around a price that stands: rows of `depth`."""
    random = np.random.default_rng(seed)
    opening = np.concatenate((-np.arange(1, WIDTH + 1), np.arange(1, WIDTH + 1)))
    moved = random.integers(1, WIDTH + 1, events - 1) * random.choice([-1, 1], events - 1)
    tick = np.concatenate((opening, moved))
    n = tick.size
    size = np.round(random.lognormal(1, 1, n), 3) + 0.001
    message = np.concatenate((np.zeros(opening.size, np.int64), np.arange(1, events)))
    start = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp()) * 1_000_000
    frame = pl.DataFrame(
        {
            "instrument": pl.repeat("XTST:BOOK", n, eager=True),
            "ts": pl.Series(start + 1000 * message).cast(STAMP),
            "sequence": np.arange(n),
            "snapshot": message == 0,
            "side": np.where(tick < 0, "bid", "ask"),
            "price": np.round(60_000 + tick * TICK, 2),
            "size": size,
        }
    )
    schema = dict(table_of("depth").schema)
    there = {*frame.columns, "available_at"}
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in there]
    return frame.with_columns(*absent, available_at=pl.col("ts")).select(list(schema))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process alone: the step runs in one thread, and what else the machine does is none of its cost."""
    started = time.process_time()
    work()
    return time.process_time() - started


def plain_flow(bid: np.ndarray, bid_size: np.ndarray, ask: np.ndarray, ask_size: np.ndarray) -> list[float]:
    """Order flow at the best level, as anybody would write it."""
    rows = [part[:, 0].tolist() for part in (bid, bid_size, ask, ask_size)]
    found = [float("nan")]
    for i in range(1, len(rows[0])):
        flow = 0.0
        if rows[0][i] >= rows[0][i - 1]:
            flow += rows[1][i]
        if rows[0][i] <= rows[0][i - 1]:
            flow -= rows[1][i - 1]
        if rows[2][i] <= rows[2][i - 1]:
            flow -= rows[3][i]
        if rows[2][i] >= rows[2][i - 1]:
            flow += rows[3][i - 1]
        found.append(flow)
    return found


if __name__ == "__main__":
    few = replay(rows_of(2_000), LEVELS).states
    sides = level_arrays(few, LEVELS)
    mine = order_book_imbalance(few)["ofi_1"].to_numpy()  # and compiles
    assert np.array_equal(mine, plain_flow(*sides), equal_nan=True)

    step_ns, whole_ns = {}, {}
    for count in COUNTS:
        depth = rows_of(count)
        states = replay(depth, LEVELS).states
        assert states.height == count
        sides, known = level_arrays(states, LEVELS), np.ones(count, np.bool_)
        repeats = max(1, 100_000 // count)

        def steps(sides=sides, known=known, repeats=repeats) -> None:  # type: ignore[no-untyped-def]
            for _ in range(repeats):
                step = BookStep(SETTINGS)
                for first in range(0, known.size, PIECE):
                    step.advance(*(part[first : first + PIECE] for part in sides), known[first : first + PIECE])

        def whole(depth=depth) -> None:  # type: ignore[no-untyped-def]
            order_book_imbalance(replay(depth, LEVELS).states)

        step_ns[count] = [1e9 * cpu_seconds(steps) / count / repeats for _ in range(ROUNDS)]
        whole_ns[count] = [1e9 * seconds(whole) / count for _ in range(ROUNDS)]

    # a call has a fixed cost, which a hundred events cannot hide: the claim is that a later event is no dearer
    middle = {count: float(np.median(values)) for count, values in step_ns.items()}
    growth = sorted(many / few for many, few in zip(step_ns[COUNTS[-1]], step_ns[PIECE], strict=True))
    events = 1e9 / middle[COUNTS[-1]]
    rows = {count: round(float(np.median(values))) for count, values in whole_ns.items()}
    step = BookStep(SETTINGS)
    live = [(60_000.0 - k * TICK, 1.0) for k in range(1, 11)], [(60_000.0 + k * TICK, 1.0) for k in range(1, 11)]
    one = np.median([seconds(lambda: step.update(*live)) for _ in range(2_000)]) * 1e6
    print(json.dumps({"step_ns": {count: round(value) for count, value in middle.items()}, "from_rows_ns": rows}))
    print(
        json.dumps(
            {
                "claim": (
                    "cost of an order-book event over 1,000,000 events against that over 10,000 (ten levels a side, all "
                    f"quantities: {middle[COUNTS[-1]]:.0f} ns, {events / 1e6:.1f} M a second; from depth rows through the replay "
                    f"{rows[COUNTS[-1]]} ns; one live call from Python {one:.0f} µs)"
                ),
                "estimate": growth[ROUNDS // 2],
                "low": growth[0],
                "high": growth[-1],
                "n": ROUNDS,
                "seed": SEED,
            }
        )
    )
