"""Priced chains made here: with known contracts, or a whole random one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from fieldcast.fields.priced_chain import PricedChain

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
DAY = 86_400_000_000


def build(
    strike: Sequence[float], is_call: Sequence[bool], years: Sequence[float] | float, sigma: Sequence[float] | float,
    open_interest: Sequence[float] | float = 1.0, *, spot: float = 100.0, rate: float = 0.0, carry: float = 0.0,
    multiplier: float = 100.0, simulated: bool = True,
) -> PricedChain:  # fmt: skip
    """A chain in the order of `PricedChain`."""
    n = len(strike)
    columns: dict[str, Any] = {
        "strike": np.asarray(strike, np.float64),
        "is_call": np.asarray(is_call, np.bool_),
        "years": np.broadcast_to(np.asarray(years, np.float64), n).copy(),
        "sigma": np.broadcast_to(np.asarray(sigma, np.float64), n).copy(),
        "open_interest": np.broadcast_to(np.asarray(open_interest, np.float64), n).copy(),
    }
    order = np.lexsort((columns["is_call"], columns["strike"], columns["years"]))
    columns = {name: column[order] for name, column in columns.items()}
    expiries, expiry = np.unique(columns["years"], return_inverse=True)
    stamps = (NOW.timestamp() * 1e6 + expiries * 365 * DAY).astype(np.int64)
    return PricedChain(
        underlying="XNYS:TEST", as_of=NOW, ts=NOW, spot=spot, contract_id=np.array([f"C{k}" for k in range(n)]),
        american=np.zeros(n, np.bool_), expiry=expiry.astype(np.int64), expiry_ts=stamps, rate=np.full(n, rate),
        carry=np.full(n, carry), multiplier=np.full(n, multiplier), volume=np.full(n, np.nan), day_count="ACT/365",
        dropped={}, simulated=simulated, **columns,
    )  # fmt: skip


def random_chain(seed: int = 0, *, expiries: int = 6, strikes: int = 30, spot: float = 100.0) -> PricedChain:
    """Puts and calls on a skewed smile, from one day to two years; open interest of every size."""
    random = np.random.default_rng(seed)
    years = np.repeat(np.geomspace(1 / 365, 2.0, expiries), 2 * strikes)
    strike = np.tile(np.repeat(np.round(spot * np.exp(np.linspace(-0.4, 0.3, strikes)), 2), 2), expiries)
    sigma = 0.2 - 0.1 * np.log(strike / spot) + 0.1 * np.log(strike / spot) ** 2
    interest = np.round(random.lognormal(5.0, 1.5, strike.size))
    return build(strike, np.tile([False, True], strike.size // 2), years, sigma, interest, spot=spot, rate=0.04, carry=0.02)


@pytest.fixture(scope="session")
def chain_of() -> Callable[..., PricedChain]:
    """`build`."""
    return build


@pytest.fixture(scope="session")
def random_chain_of() -> Callable[..., PricedChain]:
    """`random_chain`."""
    return random_chain
