"""Chains with known answers: as rows of the table `chains`, and already priced; and real snapshots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.fields.priced_chain import PricedChain
from fieldcast.market.tables import CHAINS
from fieldcast.pricing import american_price, bsm_price

AS_OF = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, half an hour after the open
MICRO = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def priced(
    strike, sigma=0.2, days=30.0, is_call=True, open_interest=1000.0, *, spot=100.0, rate=0.0, carry=0.0, multiplier=100.0,
    as_of=AS_OF, american=False, simulated=False, volume=np.nan,
) -> PricedChain:  # fmt: skip
    """Contracts given directly; arguments broadcast, `days` is calendar days to expiry."""
    given = np.broadcast_arrays(strike, sigma, days, is_call, open_interest, rate, carry, multiplier, american, volume)
    strike, sigma, days, is_call, held, rate, carry, multiplier, american, volume = (np.atleast_1d(x).copy() for x in given)
    order = np.lexsort((is_call, strike, days))
    strike, sigma, days, is_call, held, rate, carry, multiplier, american, volume = (
        x[order] for x in (strike, sigma, days, is_call, held, rate, carry, multiplier, american, volume)
    )
    moments = (as_of - EPOCH) // MICRO + np.rint(days * 1440).astype(np.int64) * 60_000_000
    expiry_ts, expiry = np.unique(moments, return_inverse=True)
    n = strike.size
    return PricedChain(
        underlying="XNAS:TEST", as_of=as_of, ts=as_of, spot=float(spot),
        contract_id=np.array([f"T{i}" for i in range(n)]), strike=strike.astype(float), is_call=is_call.astype(bool),
        american=american.astype(bool), expiry=expiry.astype(np.int64), expiry_ts=expiry_ts, years=days / 365.0,
        rate=rate.astype(float), carry=carry.astype(float), sigma=sigma.astype(float), open_interest=held.astype(float),
        multiplier=multiplier.astype(float), volume=volume.astype(float), day_count="ACT/365", dropped={}, simulated=simulated,
        available_at=as_of,
    )  # fmt: skip


def smile(strike, spot):
    """A volatility that slopes down: known at every strike."""
    return 0.2 - 0.15 * np.log(strike / spot) + 0.3 * np.log(strike / spot) ** 2


def table(
    days=(7.0, 30.0, 90.0), *, spot=100.0, rate=0.04, dividend_yield=0.01, width=0.25, strikes=41, half_spread=0.005,
    american=False, ts=AS_OF, volatility=smile,
) -> pl.DataFrame:  # fmt: skip
    """Rows of `chains` around a known smile, calls and puts at each strike; open interest 10 + the row's place."""
    rows = []
    price = american_price if american else bsm_price
    for day in days:
        years = round(day * 1440) / 525_600
        strike = np.round(spot * np.exp(np.linspace(-1, 1, strikes) * width * min(1.0, max(0.05, (day / 30) ** 0.5))), 2)
        strike = np.unique(strike)
        for right in ("put", "call"):
            mid = price(spot, strike, years, rate, dividend_yield, volatility(strike, spot), right == "call")
            for k, value in zip(strike.tolist(), np.asarray(mid).tolist(), strict=True):
                rows.append((round(day * 1440), k, right, max(value - half_spread, 0.0), value + half_spread))
    frame = pl.DataFrame(rows, schema=["minutes", "strike", "right", "bid", "ask"], orient="row").with_row_index("place")
    frame = frame.with_columns(
        contract_id=pl.format("T{}", "place"), instrument=pl.lit("XNAS:TEST"), root=pl.lit("TEST"),
        expiry_ts=pl.lit(ts) + pl.duration(minutes=pl.col("minutes")), ts=pl.lit(ts), available_at=pl.lit(ts),
        quote_ts=pl.lit(ts),
        exercise_style=pl.lit("american" if american else "european"), settlement=pl.lit("PM"), multiplier=pl.lit(100.0),
        open_interest=10.0 + pl.col("place").cast(pl.Float64), oi_available_at=pl.lit(ts - timedelta(minutes=30)),
        underlying_price=pl.lit(spot), iv=pl.lit(None, pl.Float64), volume=pl.lit(5.0),
    )  # fmt: skip
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in CHAINS.schema.items()
    )


@pytest.fixture(scope="session")
def make_priced() -> Callable[..., PricedChain]:
    """`priced`."""
    return priced


@pytest.fixture(scope="session")
def make_table() -> Callable[..., pl.DataFrame]:
    """`table`."""
    return table


@pytest.fixture(scope="session")
def make_smile() -> Callable[..., np.ndarray]:
    """`smile`: the volatility behind `make_table`."""
    return smile


@pytest.fixture
def real_chain(realdata: Path) -> Callable[[str], pl.DataFrame]:
    """A real snapshot by its path under options/; taken as known when it was made (the file does not say when it arrived)."""

    def read(name: str) -> pl.DataFrame:
        from fieldcast.data.formats import cboe, yahoo_chain
        from fieldcast.data.formats.contract import Options
        from fieldcast.data.formats.source import Source

        reader = yahoo_chain if "yahoo" in name else cboe
        venue = "ARCX" if "SPY" in name or "spy" in name else "XNAS"
        options = Options(now=datetime(2026, 11, 1, tzinfo=UTC), venue=venue)
        parts = list(reader.read(Source(realdata / "options" / name), options))
        return pl.concat([part.rows for part in parts if part.table == "chains"]).with_columns(available_at=pl.col("ts"))

    return read
