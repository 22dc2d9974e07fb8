"""Cost of the liquidity engine: a day of minute bars read whole, the registered columns, and the EDGE spread beside plain numpy.

The numpy twin of EDGE is the paper's estimator as its authors' package writes it, window by window; the kernel has to agree.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl

from fieldcast.fields import liquidity
from fieldcast.fields._rows import rows_of
from fieldcast.market import BARS, Instrument, Kind, segments

COVERS = ("src/fieldcast/fields/liquidity",)
ROUNDS, SEED, ROWS, WINDOW = 15, 7, 5_000, 20
SPY = Instrument(id="ARCX:SPY", kind=Kind.ETF)


def minute_bars(first: date, last: date) -> pl.DataFrame:
    spans = segments("XNYS").filter(pl.col("session").is_between(first, last)).select("start", "end").rows()
    stamps = [start + timedelta(minutes=k + 1) for start, end in spans for k in range(int((end - start) / timedelta(minutes=1)))]
    return walk(pl.Series(stamps).cast(BARS["ts"]))


def walk(ts: pl.Series) -> pl.DataFrame:
    """A random walk of bars with ranges and volume, in cents."""
    n = ts.len()
    random = np.random.default_rng(SEED)
    close = 100.0 * np.exp(np.cumsum(0.0005 * random.standard_normal(n)))
    opened = close * np.exp(0.0002 * random.standard_normal(n))
    high = np.maximum(opened, close) * np.exp(0.0003 * np.abs(random.standard_normal(n)))
    low = np.minimum(opened, close) * np.exp(-0.0003 * np.abs(random.standard_normal(n)))
    prices = {name: np.round(x, 2) for name, x in (("open", opened), ("high", high), ("low", low), ("close", close))}
    head = {"instrument": pl.repeat(SPY.id, n, eager=True), "ts": ts, "available_at": ts}
    return pl.DataFrame(
        head | prices | {"volume": random.lognormal(10, 0.5, n), "reasons": pl.Series([None] * n, dtype=pl.String)}, schema=BARS
    )


def plain_edge(opened: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> float:
    """One window, in numpy; signed."""
    o, h, l, c = (np.log(item) for item in (opened, high, low, close))  # noqa: E741
    m = (h + l) / 2
    h1, l1, c1, m1, o, h, l, m = h[:-1], l[:-1], c[:-1], m[:-1], o[1:], h[1:], l[1:], m[1:]  # noqa: E741
    r1, r2, r3, r4, r5 = m - o, o - m1, m - c1, c1 - m1, o - c1
    tau = (h != l) | (l != c1)
    po = (tau * (o != h)).mean() + (tau * (o != l)).mean()
    pc = (tau * (c1 != h1)).mean() + (tau * (c1 != l1)).mean()
    if tau.sum() < 2 or po == 0 or pc == 0:
        return float("nan")
    d1, d3, d5 = (r - r.mean() / tau.mean() * tau for r in (r1, r3, r5))
    x1, x2 = -4 / po * d1 * r2 - 4 / pc * d3 * r4, -4 / po * d1 * r5 - 4 / pc * d5 * r4
    e1, e2, v1, v2 = x1.mean(), x2.mean(), x1.var(), x2.var()
    squared = (v2 * e1 + v1 * e2) / (v1 + v2) if v1 + v2 > 0 else (e1 + e2) / 2
    return float(np.sign(squared) * np.sqrt(abs(squared)))


def milliseconds(work: Callable[[], object]) -> list[float]:
    """Processor time of each round, all threads together; the first call compiles and is not counted."""
    work()
    spent = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        spent.append(1e3 * (time.process_time() - started))
    return sorted(spent)


if __name__ == "__main__":
    day, month = minute_bars(date(2025, 12, 3), date(2025, 12, 3)), minute_bars(date(2025, 11, 3), date(2025, 12, 3))
    alone = milliseconds(lambda: liquidity.session_liquidity(day, SPY, day["ts"][-1]))
    with_past = milliseconds(lambda: liquidity.session_liquidity(month, SPY, month["ts"][-1]))

    rows = rows_of(month.head(ROWS))
    columns = milliseconds(lambda: liquidity.compute(rows))
    parts = {}
    for part in liquidity.PARTS:
        names = ", ".join(list(part.values(rows))[:2])
        parts[names] = round(milliseconds(lambda part=part: part.values(rows))[ROUNDS // 2], 2)

    prices = [rows.open, rows.high, rows.low, rows.close]
    kernel = liquidity.edge(*prices, WINDOW, sign=True)
    began = time.process_time()
    twin = [plain_edge(*(item[row - WINDOW : row + 1] for item in prices)) for row in range(WINDOW, ROWS)]
    plain = 1e3 * (time.process_time() - began)
    np.testing.assert_allclose(kernel[WINDOW:], twin, rtol=1e-6, atol=1e-9)
    ours = milliseconds(lambda: liquidity.edge(*prices, WINDOW, sign=True))[ROUNDS // 2]

    print(json.dumps({
        "session_of_390_ms": round(alone[ROUNDS // 2], 2),
        "with_21_sessions_of_past_ms": round(with_past[ROUNDS // 2], 2),
        f"columns_of_{ROWS}_rows_ms": round(columns[ROUNDS // 2], 2),
        "parts_ms": parts,
        "edge_ms": round(ours, 2),
        "edge_in_numpy_ms": round(plain, 1),
    }))
    print(json.dumps({
        "claim": (
            "processor milliseconds to read the liquidity of a session of 390 minute bars (profile, composite, bands, developing "
            f"values; with a month of past {with_past[ROUNDS // 2]:.1f}; all {len(liquidity.COLUMNS)} daily columns of {ROWS:,} "
            f"rows {columns[ROUNDS // 2]:.0f}; EDGE {plain / ours:.0f} times as fast as in numpy)"
        ),
        "estimate": alone[ROUNDS // 2],
        "low": alone[0],
        "high": alone[-1],
        "n": ROUNDS,
        "seed": SEED,
    }))
