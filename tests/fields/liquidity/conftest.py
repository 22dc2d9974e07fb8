"""Intraday bars over the trading hours of real sessions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.market import BARS, segments


def minute_bars(calendar: str, first: date, last: date, seed: int = 0, minutes: int = 5) -> pl.DataFrame:
    """Bars of `minutes` over all trading hours of the sessions between two dates."""
    spans = segments(calendar).filter(pl.col("session").is_between(first, last))
    stamps: list[datetime] = []
    for start, end in spans.select("start", "end").rows():
        stamps += [start + timedelta(minutes=k) for k in range(minutes, int((end - start) / timedelta(minutes=1)) + 1, minutes)]
    random = np.random.default_rng(seed)
    n = len(stamps)
    close = np.round(100 * np.exp(np.cumsum(0.001 * random.standard_normal(n))), 2)
    reach = np.round(0.05 * random.random((2, n)), 2)
    ts = pl.Series(stamps).cast(BARS["ts"])
    columns = {"open": close, "high": close + reach[0], "low": close - reach[1], "close": close}
    volume = np.round(random.lognormal(8, 0.5, n))
    head = {"instrument": ["ARCX:SPY"] * n, "ts": ts, "available_at": ts}
    return pl.DataFrame(head | columns | {"volume": volume, "reasons": [None] * n}, schema=BARS)


@pytest.fixture(scope="session")
def minute_bars_of() -> Callable[..., pl.DataFrame]:
    return minute_bars
