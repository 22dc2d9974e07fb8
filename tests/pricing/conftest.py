"""Chains made here, with a known answer, and real snapshots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from fieldcast.pricing.quotes import ChainQuotes

AS_OF = int(datetime(2026, 3, 2, 15, 0, tzinfo=UTC).timestamp()) * 1_000_000
MINUTE = 60_000_000


def ssvi_variance(k, years, level=0.2, rho=-0.6, eta=1.2):
    """Total variance of Gatheral and Jacquier's SSVI, free of arbitrage where eta (1 + |rho|) ≤ 2."""
    theta = level**2 * years
    phi = eta / np.sqrt(theta * (1 + theta))
    return theta / 2 * (1 + rho * phi * k + np.sqrt((phi * k + rho) ** 2 + 1 - rho**2))


def black(forward, strike, deviation, discount, is_call):
    """Black's price from a library's normal distribution, for tests alone."""
    d1 = np.log(forward / strike) / deviation + deviation / 2
    sign = np.where(is_call, 1.0, -1.0)
    return discount * sign * (forward * norm.cdf(sign * d1) - strike * norm.cdf(sign * (d1 - deviation)))


def build(
    days=(7.0, 30.0, 90.0, 365.0), spot=100.0, rate=0.04, dividend_yield=0.01, strikes=61, width=4.0, half_spread=0.01,
    noise=0.0, variance=ssvi_variance, seed=1, price=None, american=False,
):
    """A chain around a known surface; `price(forward, strike, deviation, discount, is_call, years)` replaces Black's."""
    random = np.random.default_rng(seed)
    columns: dict[str, list] = {name: [] for name in ("strike", "bid", "ask", "is_call", "expiry", "series")}
    for series, day in enumerate(days):
        expiry = AS_OF + round(day * 1440) * MINUTE
        years = round(day * 1440) / 525_600
        forward, discount = spot * np.exp((rate - dividend_yield) * years), np.exp(-rate * years)
        at_money = np.sqrt(variance(np.array(0.0), years))
        k = np.linspace(-width, 0.6 * width, strikes) * at_money
        strike = np.round(forward * np.exp(k), 4)
        deviation = np.sqrt(variance(np.log(strike / forward), years))
        for is_call in (True, False):
            given = forward, strike, deviation, discount, is_call
            value = price(*given, years) if price else black(*given)
            mid = value + noise * random.standard_normal(strikes)
            columns["strike"].append(strike)
            columns["bid"].append(np.maximum(mid - half_spread, 0.0))
            columns["ask"].append(np.maximum(mid - half_spread, 0.0) + 2 * half_spread)
            columns["is_call"].append(np.full(strikes, is_call))
            columns["expiry"].append(np.full(strikes, expiry, np.int64))
            columns["series"].append(np.full(strikes, series, np.int64))
    data = {name: np.concatenate(parts) for name, parts in columns.items()}
    n = len(data["strike"])
    return ChainQuotes(
        as_of=AS_OF, spot=spot, american=np.full(n, american), quote_time=np.full(n, AS_OF), vendor_iv=np.full(n, np.nan),
        roots=("XYZ",) * len(days), **data,
    )


@pytest.fixture
def make_chain() -> Callable[..., ChainQuotes]:
    """A chain with a known surface: `build`."""
    return build


@pytest.fixture
def surface_variance() -> Callable[..., np.ndarray]:
    """Total variance of the surface behind `make_chain`."""
    return ssvi_variance


@pytest.fixture
def real_chain(realdata: Path) -> Callable[[str], pl.DataFrame]:
    """A real snapshot by its path under options/, as rows of the table `chains`."""

    def read(name: str) -> pl.DataFrame:
        from fieldcast.data.formats import cboe, yahoo_chain
        from fieldcast.data.formats.contract import Options
        from fieldcast.data.formats.source import Source

        reader = yahoo_chain if "yahoo" in name else cboe
        venue = "ARCX" if "SPY" in name or "spy" in name else "XNAS"
        options = Options(now=datetime(2026, 11, 1, tzinfo=UTC), venue=venue)
        parts = list(reader.read(Source(realdata / "options" / name), options))
        return pl.concat([part.rows for part in parts if part.table == "chains"])

    return read
