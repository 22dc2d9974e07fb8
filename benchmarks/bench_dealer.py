"""The dealer field of a chain of 20,000 contracts: from rows to prices, from prices to the field, and what each part costs.

The chain is made here: an index with 58 expiries, calls and puts, European, SVI-like smiles; nothing real is needed. Each
figure is the median and the least of `--repeat` runs after one to warm up, in one process, beside the processor time that the
median run took, which a busy machine distorts less.

    python benchmarks/bench_dealer.py [--contracts 20000] [--repeat 15] [--real PATH_TO_CBOE_CSV]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcast.fields.dealer import (
    charm_decay,
    charm_field,
    dealer_field,
    dealer_sign,
    default_spots,
    expected_move,
    gamma_field,
    greek_field_mapper,
    oi_distribution,
)
from fieldcast.fields.pricing_chain import price_chain
from fieldcast.market.tables import CHAINS
from fieldcast.pricing import black76_price, bsm_greeks

AS_OF = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)


def made(contracts: int) -> pl.DataFrame:
    """Rows of `chains` of about this many contracts."""
    random = np.random.default_rng(7)
    expiries, spot, rate, carry = 58, 5_000.0, 0.045, 0.032
    each = contracts // (2 * expiries)
    parts = []
    for place in range(expiries):
        minutes = round(1440 * (0.7 + place if place < 30 else 30 + 25 * (place - 29)))
        years = minutes / 525_600
        forward, discount = spot * np.exp(carry * years), np.exp(-rate * years)
        width = 4.5 * 0.16 * np.sqrt(years)
        strike = np.unique(np.round(forward * np.exp(np.linspace(-width, 0.7 * width, each)), 1))
        k = np.log(strike / forward)
        sigma = np.sqrt(0.16**2 * (1 + 0.5 * (-0.6 * k / width * 4 + np.sqrt((k / width * 4) ** 2 + 1) - 1)))
        for right in ("put", "call"):
            mid = np.asarray(black76_price(forward, strike, years, discount, sigma, right == "call"))
            half = 0.02 + 0.005 * mid
            held = np.rint(random.lognormal(4, 2, strike.size))
            parts.append(
                pl.DataFrame({"strike": strike, "bid": np.maximum(mid - half, 0.0), "ask": mid + half, "open_interest": held})
                .with_columns(right=pl.lit(right), expiry_ts=pl.lit(AS_OF + timedelta(minutes=minutes)))
            )  # fmt: skip
    frame = pl.concat(parts).with_row_index("place").with_columns(
        contract_id=pl.format("X{}", "place"), instrument=pl.lit("X:IDX"), root=pl.lit("IDX"), ts=pl.lit(AS_OF),
        available_at=pl.lit(AS_OF), quote_ts=pl.lit(AS_OF), exercise_style=pl.lit("european"), multiplier=pl.lit(100.0),
        oi_available_at=pl.lit(AS_OF), underlying_price=pl.lit(spot),
    )  # fmt: skip
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in CHAINS.schema.items()
    )


def real(path: Path) -> pl.DataFrame:
    """Rows of a CBOE chain, taken as known when they were made."""
    from fieldcast.data.formats import cboe
    from fieldcast.data.formats.contract import Options
    from fieldcast.data.formats.source import Source

    parts = list(cboe.read(Source(path), Options(now=datetime.now(UTC), venue="ARCX")))
    return pl.concat([part.rows for part in parts if part.table == "chains"]).with_columns(available_at=pl.col("ts"))


def timed(work: Callable[[], Any], repeat: int) -> dict[str, float]:
    """Median and least of milliseconds on the wall, and median of processor time, after one run to warm up."""
    work()
    found, used = [], []
    for _ in range(repeat):
        start, spent = time.perf_counter(), time.process_time()
        work()
        found.append(1e3 * (time.perf_counter() - start))
        used.append(1e3 * (time.process_time() - spent))
    return {
        "median_ms": round(statistics.median(found), 2),
        "least_ms": round(min(found), 2),
        "cpu_ms": round(statistics.median(used), 2),
    }


def one_by_one(chain: Any) -> None:
    """What the profile replaces: gamma of every contract at every spot by the general formula."""
    for spot in default_spots(chain.spot):
        gamma = bsm_greeks(
            spot, chain.strike, chain.years, chain.rate, chain.rate - chain.carry, chain.sigma, chain.is_call
        ).gamma
        float((gamma * chain.open_interest).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contracts", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--real", type=Path)
    given = parser.parse_args()
    rows = real(given.real) if given.real else made(given.contracts)
    as_of = rows["ts"][0]
    chain = price_chain(rows, as_of)
    book = dealer_sign(chain)
    near = chain.spot * np.linspace(0.9, 1.1, 21)
    parts: dict[str, Callable[[], Any]] = {
        "price_chain": lambda: price_chain(rows, as_of),
        "dealer_field": lambda: dealer_field(chain),
        "both": lambda: dealer_field(price_chain(rows, as_of)),
        "DealerSign": lambda: dealer_sign(chain),
        "DealerSign and exposures at the spot": lambda: dealer_sign(chain).exposures,
        "GammaField (201 spots, flips)": lambda: gamma_field(book),
        "OIDistribution": lambda: oi_distribution(book),
        "ExpectedMove": lambda: expected_move(book),
        "CharmDecay": lambda: charm_decay(book),
        "CharmField (by the minute)": lambda: charm_field(book),
        "GreekFieldMapper (21 spots, 5 shifts, 3 times)": lambda: greek_field_mapper(
            book, near, (-4, -2, 0, 2, 4), (0, 60, 1440)
        ),
    }
    figures = {name: timed(work, given.repeat) for name, work in parts.items()}
    figures["profile contract by contract"] = timed(lambda: one_by_one(chain), 2)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "chain": str(given.real.name) if given.real else "made",
        "rows": rows.height,
        "contracts": len(chain),
        "lines": len(book.lines),
        "processors": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "figures": figures,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
