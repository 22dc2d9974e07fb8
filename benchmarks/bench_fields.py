"""All fields of one instrument from a day of minute bars and a chain of 20,000 contracts, warm, in one process.

Parts, medians in milliseconds on the wall and of the processor (all threads together, which a busy machine distorts less):

    dealer       the dealer field with the gamma profile at 201 spots
    session      the liquidity of a session of 390 minute bars
    elasticity   with its surface of 41 prices x 9 volatilities x 5 days, and without
    step         the newest row of the field table, all columns, from one new daily bar
    regime       its words and alarms
    table        the field table over 5,000 daily rows, whole
    price_chain  rows of the table `chains` to contracts that can be priced (European quotes)

`fields` is dealer + session + elasticity + step + regime, each with its reading, timed as one call. The chain is that of
bench_dealer, the bars are random walks; nothing real is needed.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from bench_dealer import AS_OF, made
from bench_field_steps import bars_of
from bench_liquidity import SPY, minute_bars

from fieldcast.fields import FieldMap, build_field_table
from fieldcast.fields.dealer import NAIVE, dealer_field, default_spots
from fieldcast.fields.elasticity import ElasticityParameters, elasticity_field
from fieldcast.fields.liquidity import session_liquidity
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.pricing_chain import price_chain
from fieldcast.fields.regime import regime_field
from fieldcast.fields.steps import KEPT, FieldStepper

COVERS = ("src/fieldcast/fields", "src/fieldcast/pricing")
CONTRACTS, SPOTS, ROUNDS, STEPS, SEED, DAILY_ROWS = 20_000, 201, 15, 200, 7, 5_000
WITHOUT_SURFACE = ElasticityParameters(grid=None)


class Instrument:
    """One instrument's history, ready for the next bar."""

    def __init__(self) -> None:
        self.rows = made(CONTRACTS)
        self.chain = price_chain(self.rows, AS_OF)
        self.spots = default_spots(self.chain.spot)
        self.minutes = minute_bars(date(2024, 3, 4), date(2024, 3, 4))
        self.minute = self.minutes["ts"][-1]
        self.daily = bars_of(DAILY_ROWS)
        history = bars_of(2 * KEPT + STEPS)
        self.stepper = FieldStepper(history.head(2 * KEPT))
        self.ahead = iter([history[2 * KEPT + k] for k in range(STEPS)])
        self.known = history.tail(KEPT)
        newest = FieldMap.at("XTST:WALK", self.known["ts"][-1] + timedelta(days=1), build_field_table(self.known))
        self.row = newest.regime

    def price(self) -> PricedChain:
        return price_chain(self.rows, AS_OF)

    def dealer(self, chain: PricedChain | None = None) -> None:
        dealer_field(chain or self.chain, spots=self.spots).reading()

    def elasticity(self, parameters: ElasticityParameters | None = None, chain: PricedChain | None = None) -> None:
        field = elasticity_field(chain or self.chain, NAIVE, daily_volume=1e6, parameters=parameters)
        field.reading()
        _ = field.surface       # computed when asked for

    def session(self) -> None:
        session_liquidity(self.minutes, SPY, self.minute).reading()

    def step(self) -> None:
        self.stepper.update(next(self.ahead))

    def regime(self) -> None:
        regime_field(self.row, self.known, self.known["ts"][-1], calendar="XNYS").reading()

    def fields(self, parameters: ElasticityParameters | None = None, chain: PricedChain | None = None) -> None:
        self.session()
        self.dealer(chain)
        self.elasticity(parameters, chain)
        self.step()
        self.regime()


def timed(work: Callable[[], Any], warm: int = 2) -> tuple[list[float], list[float]]:
    """Sorted milliseconds on the wall and of the processor, each of ROUNDS rounds after `warm`."""
    for _ in range(warm):
        work()
    wall, used = [], []
    for _ in range(ROUNDS):
        start, spent = time.perf_counter(), time.process_time()
        work()
        wall.append(1e3 * (time.perf_counter() - start))
        used.append(1e3 * (time.process_time() - spent))
    return sorted(wall), sorted(used)


if __name__ == "__main__":
    one = Instrument()
    assert one.spots.size == SPOTS
    assert one.minutes.height == 390
    parts: dict[str, Callable[[], Any]] = {
        "dealer": one.dealer,
        "session": one.session,
        "elasticity": one.elasticity,
        "elasticity_without_surface": lambda: one.elasticity(WITHOUT_SURFACE),
        "step": one.step,
        "regime": one.regime,
        "table": lambda: build_field_table(one.daily),
        "price_chain": one.price,
        "fields": one.fields,
        "fields_without_surface": lambda: one.fields(WITHOUT_SURFACE),
        "fields_and_price_chain": lambda: one.fields(chain=one.price()),
    }
    figures = {name: timed(work) for name, work in parts.items()}
    shown = {
        name: {
            "wall_ms": round(statistics.median(wall), 2),
            "least_ms": round(wall[0], 2),
            "cpu_ms": round(statistics.median(used), 2),
        }
        for name, (wall, used) in figures.items()
    }
    print(json.dumps({"processors": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 2), "figures": shown}))
    wall, used = figures["fields"]
    print(
        json.dumps(
            {
                "claim": (
                    f"processor milliseconds for all fields of one instrument from a day of minute bars and a priced chain of "
                    f"{len(one.chain):,} contracts (without the elasticity surface "
                    f"{shown['fields_without_surface']['cpu_ms']:.1f}; with price_chain "
                    f"{shown['fields_and_price_chain']['cpu_ms']:.1f}; the dealer field alone with {SPOTS} spots "
                    f"{shown['dealer']['cpu_ms']:.1f}; on the wall {statistics.median(wall):.1f})"
                ),
                "estimate": round(statistics.median(used), 3),
                "low": round(used[0], 3),
                "high": round(used[-1], 3),
                "n": ROUNDS,
                "seed": SEED,
                "figures": shown,
            }
        )
    )
