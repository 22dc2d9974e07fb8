"""Simulated option chains beside bare pricing of their contracts, and a simulated book beside its random numbers. [SIMULATED]

A year of daily closes of an index chain (european): contracts priced, quoted, traded and counted a second, over Black alone on
the same contracts. Eight sessions of an american chain. A session of book events with all their tables.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from datetime import date

import numpy as np

from fieldcast.data.simulated import (
    INDEX_LISTINGS,
    BookMarket,
    BookProcess,
    ChainMarket,
    equity,
    index,
    simulate_book,
    simulate_chain,
)
from fieldcast.pricing import black76_price

COVERS = ("src/fieldcast/data/simulated",)
ROUNDS, SEED, FLOOR = 5, 7, 20  # the floor is short: it runs so often to be measured
YEAR = date(2023, 1, 3), date(2023, 12, 29)
DAY = date(2023, 3, 1)


def seconds(work: Callable[[], int]) -> tuple[float, int]:
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


def contracts(market: ChainMarket) -> int:
    return sum(snapshot.rows.height for snapshot in simulate_chain(market).snapshots())


def bare(market: ChainMarket) -> Callable[[], int]:
    """Black's formula on one snapshot's contracts, as often as the year has snapshots."""
    snapshots = list(simulate_chain(market).snapshots())
    rows, truth = snapshots[-1].rows, snapshots[-1].truth
    strike, sigma = rows["strike"].to_numpy(), truth.contracts["sigma"].to_numpy()
    terms = rows.select("expiry_ts", "root").join(truth.expiries, on=["expiry_ts", "root"], maintain_order="left")
    forward, years, discount = (terms[name].to_numpy() for name in ("forward", "years", "discount"))
    call = (rows["right"] == "call").to_numpy()
    times = FLOOR * round(sum(snapshot.rows.height for snapshot in snapshots) / rows.height)

    def work() -> int:
        return sum(black76_price(forward, strike, years, discount, sigma, call).size for _ in range(times))

    return work


if __name__ == "__main__":
    european = ChainMarket(SEED, index("IDX"), *YEAR, listings=INDEX_LISTINGS)
    american = ChainMarket(SEED, equity("SHR"), DAY, date(2023, 3, 10), style="american")
    floor = bare(european)
    contracts(american)
    times = [(*seconds(lambda: contracts(european)), *seconds(floor)) for _ in range(ROUNDS)]
    rates = sorted((mine / priced) / (base / count) for mine, priced, base, count in times)
    share_time, shares = seconds(lambda: contracts(american))
    market = BookMarket(SEED, equity("BOOK"), DAY, DAY, BookProcess())

    def events() -> int:
        return sum(session.events.height for session in simulate_book(market).sessions())

    events()
    books = [seconds(events) for _ in range(ROUNDS)]

    def draws() -> int:
        random, n = np.random.Generator(np.random.PCG64(SEED)), books[0][1]
        random.standard_exponential(n)
        random.random(3 * n)
        return n

    numbers = [seconds(draws) for _ in range(ROUNDS)]
    best = min(mine for mine, *_ in times)
    print(json.dumps({
        "claim": "time a contract of a simulated european chain over Black's formula alone (median and range of rounds)",
        "estimate": rates[ROUNDS // 2],
        "low": rates[0],
        "high": rates[-1],
        "n": ROUNDS,
        "seed": SEED,
        "simulated": True,
        "detail": {
            "contracts": times[0][1],
            "contracts_per_second": round(times[0][1] / best),
            "american_contracts_per_second": round(shares / share_time),
            "book_events": books[0][1],
            "book_events_per_second": round(books[0][1] / min(spent for spent, _ in books)),
            "book_over_its_random_numbers": round(
                float(np.median([mine / base for (mine, _), (base, _) in zip(books, numbers, strict=True)])), 1
            ),
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
    }, indent=2))  # fmt: skip
