"""The whole elasticity field of 20,000 contracts, with a surface of 41 prices × 9 volatilities × 5 days.

Side by side in every round: the interpreter as it runs, the surface by its series alone, and the surface summed contract by
contract at every node with the same vectorised kernel, which is what the series saves. Threads as on this machine. The estimate
is the median of the interpreter; `ratio` is the median of direct / series, taken round by round.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from fieldcast.fields.elasticity import ElasticityParameters, SurfaceGrid, elasticity_field, elasticity_surface, hedged_book
from fieldcast.fields.priced_chain import PricedChain

COVERS = ("src/fieldcast/fields/elasticity",)
EXPIRIES, STRIKES, ROUNDS, SEED, SPOT = 40, 250, 11, 7, 5_000.0


def snapshot() -> PricedChain:
    """20,000 contracts of an index: daily expiries for a month, then out to two and a half years, on a skew."""
    random = np.random.default_rng(SEED)
    days = np.concatenate((np.arange(1, 21), np.geomspace(25, 900, EXPIRIES - 20)))
    strike, years = [], []
    for one in days / 365:
        width = min(0.6, max(0.05, 1.2 * np.sqrt(one)))
        strike.append(np.repeat(SPOT * np.exp(np.linspace(-width, 0.6 * width, STRIKES)), 2))
        years.append(np.full(2 * STRIKES, one))
    k, t = np.concatenate(strike), np.concatenate(years)
    z = np.log(k / SPOT) / np.sqrt(t)
    n = k.size
    now = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
    return PricedChain(
        underlying="XCBO:SPX", as_of=now, ts=now, spot=SPOT, contract_id=np.array(["C"] * n), strike=k,
        is_call=np.tile([False, True], n // 2), american=np.zeros(n, np.bool_), expiry=np.zeros(n, np.int64),
        expiry_ts=np.zeros(1, np.int64), years=t, rate=np.full(n, 0.04), carry=np.full(n, 0.03),
        sigma=np.maximum(0.18 - 0.03 * np.clip(z, -3, 3) + 0.002 * z**2, 0.08),
        open_interest=np.round(random.lognormal(5.0, 1.5, n)), multiplier=np.full(n, 100.0), volume=np.full(n, np.nan),
        day_count="ACT/365", dropped={}, simulated=True,
    )  # fmt: skip


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """(wall time, processor time of all threads)."""
    started, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - worked


if __name__ == "__main__":
    chain = snapshot()
    signs = np.where(chain.is_call, 1.0, -1.0)
    book, grid = hedged_book(chain, signs), SurfaceGrid()
    prices = SPOT * np.exp(np.linspace(-grid.reach, grid.reach, grid.prices))
    works: dict[str, Callable[[], object]] = {
        "field": lambda: elasticity_field(chain, signs, daily_volume=1e6),
        "without_surface": lambda: elasticity_field(chain, signs, daily_volume=1e6, parameters=ElasticityParameters(grid=None)),
        "surface": lambda: elasticity_surface(book, grid),
        "surface_direct": lambda: book.at(prices, grid.shifts, grid.days),
    }
    series, direct = elasticity_surface(book, grid), book.at(prices, grid.shifts, grid.days)  # compiles both
    worst = float(np.max(np.abs(series.elasticity - direct.gamma) / np.abs(direct.gamma).max(axis=-1, keepdims=True)))
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(ROUNDS):
        for name, work in works.items():
            taken[name].append(seconds(work))
    for name, rounds in taken.items():
        wall, processor = (np.median([one[k] for one in rounds]) * 1e3 for k in (0, 1))
        print(f"{name}: median {wall:.1f} ms, best {min(one[0] for one in rounds) * 1e3:.1f} ms, processor {processor:.1f} ms")
    ratios = [slow[1] / quick[1] for slow, quick in zip(taken["surface_direct"], taken["surface"], strict=True)]
    walls = sorted(one[0] for one in taken["field"])
    print(json.dumps({
        "claim": f"seconds for the elasticity field of {len(chain)} contracts with a 41 x 9 x 5 surface (median, range)",
        "estimate": round(walls[ROUNDS // 2], 4),
        "low": round(walls[0], 4),
        "high": round(walls[-1], 4),
        "n": ROUNDS,
        "seed": SEED,
        "lines": len(book),
        "ratio": round(statistics.median(ratios), 2),
        "largest_relative_difference": worst,
    }))
