"""Cost of one new bar in the step form of the field table, after 100 to 1,000,000 bars of history.

A step is O(1) when its cost does not grow with what came before it. Its row is held to the last one of the batch; what the batch
would cost for the same answer stands beside it.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import numpy as np
import polars as pl

from fieldcast.fields import FIELD_REGISTRY, build_field_table
from fieldcast.fields.steps import KEPT, FieldStepper
from fieldcast.market import BARS

COVERS = (
    "src/fieldcast/fields/steps.py",
    "src/fieldcast/fields/_parts.py",
    "src/fieldcast/fields/liquidity",
    "src/fieldcast/fields/regime",
)
COUNTS, BARS_TIMED, ROUNDS, SEED = (100, 1_000, 10_000, 100_000, 1_000_000), 40, 7, 7
WARM = 10_000  # history from which on every column has a value, and the kept rows are full


def bars_of(n: int) -> pl.DataFrame:
    """A random walk of minute bars with ranges and volume."""
    random = np.random.default_rng(SEED)
    close = 100.0 * np.exp(np.cumsum(0.001 * random.standard_normal(n)))
    reach = np.exp(0.0005 * np.abs(random.standard_normal((2, n))))
    start = int(datetime(2000, 1, 3, tzinfo=UTC).timestamp()) * 1_000_000
    ts = pl.Series(start + 60_000_000 * np.arange(n)).cast(BARS["ts"])
    head = {"instrument": pl.repeat("XTST:WALK", n, eager=True), "ts": ts, "available_at": ts}
    prices = {"open": close / reach[0], "high": close * reach[0], "low": close / reach[0] / reach[1], "close": close}
    return pl.DataFrame(
        head | prices | {"volume": random.lognormal(8, 0.5, n), "reasons": pl.Series([None] * n, dtype=pl.String)}, schema=BARS
    )


def check(stepper: FieldStepper, bars: pl.DataFrame) -> None:
    """The next step is the last row of the batch over twice as many bars as are kept."""
    got = stepper.update(bars[-1])
    expected = build_field_table(bars.tail(2 * KEPT)).row(-1, named=True)
    for name in FIELD_REGISTRY:
        a, b = got[name], expected[name]
        assert (a is None) == (b is None), name
        assert a is None or abs(a - b) <= 1e-9 * max(1.0, abs(b)), name


if __name__ == "__main__":
    everything = bars_of(COUNTS[-1] + BARS_TIMED * ROUNDS + 1)
    steps: dict[int, list[float]] = {count: [] for count in COUNTS}
    live = {count: FieldStepper(everything.head(count)) for count in COUNTS}
    check(FieldStepper(everything.head(50_000)), everything.head(50_001))  # and compiles
    for round_ in range(ROUNDS):  # side by side: each round times every length
        for count in COUNTS:
            first = count + round_ * BARS_TIMED
            rows = [everything[row] for row in range(first, first + BARS_TIMED)]
            started = time.process_time()
            for row in rows:
                live[count].update(row)
            steps[count].append(1e3 * (time.process_time() - started) / BARS_TIMED)
    batch = everything.head(WARM)
    started = time.process_time()
    build_field_table(batch)
    whole = 1e3 * (time.process_time() - started)
    middle = {count: round(float(np.median(values)), 2) for count, values in steps.items()}
    growth = sorted(many / few for many, few in zip(steps[COUNTS[-1]], steps[WARM], strict=True))
    print(json.dumps({"step_ms": middle, f"batch_of_{WARM}_ms": round(whole, 1)}))
    print(
        json.dumps(
            {
                "claim": (
                    f"processor time of a new bar after 1,000,000 bars against that after {WARM:,} "
                    f"({len(FIELD_REGISTRY)} columns: {middle[COUNTS[-1]]} ms; the batch over {WARM:,} bars {whole:.0f} ms)"
                ),
                "estimate": growth[ROUNDS // 2],
                "low": growth[0],
                "high": growth[-1],
                "n": ROUNDS,
                "seed": SEED,
            }
        )
    )
