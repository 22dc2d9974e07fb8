"""Jobs to hold an engine to: three strategies on two simulated years of daily bars, and a ladder that scales in and out.

1,000 units at prices on the cent and a fee of 10 bps make fees of whole cents, so that an engine that rounds money to the cent
has nothing to round.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cache

import numpy as np

from fieldcast.market import Instrument, Kind, sessions_between
from fieldcast.simulation.bridges.job import Array, Job

UNITS = 1000
CASH = Decimal(1_000_000)
FEE_SHARE = Decimal("0.001")


@cache
def sample_jobs() -> dict[str, Job]:
    """Name -> job. Prices follow from a seed and are marked as simulated."""
    calendar = sessions_between("XNYS", date(2019, 1, 2), date(2020, 12, 31))
    n = calendar.height
    rng = np.random.default_rng(11)
    close = np.round(100 * np.exp(np.cumsum(0.012 * rng.standard_normal(n))), 2)
    opened = np.round(np.concatenate(([100.0], close[:-1])) * np.exp(0.004 * rng.standard_normal(n)), 2)
    high = np.round(np.maximum(opened, close) + 0.35, 2)
    low = np.round(np.minimum(opened, close) - 0.35, 2)

    def mean(window: int) -> Array:
        sums = np.concatenate(([0.0], np.cumsum(close)))
        return np.concatenate((np.full(window - 1, np.nan), (sums[window:] - sums[:-window]) / window))

    fast, slow = mean(10), mean(40)
    crossed = np.where(np.isnan(slow), 0, np.where(fast > slow, UNITS, -UNITS))
    past = np.concatenate((np.full(20, np.nan), close[20:] / close[:-20] - 1))
    momentum = np.where(np.nan_to_num(past) > 0.02, UNITS, 0)
    away = np.nan_to_num(close / mean(15) - 1)
    reversion = np.where(away < -0.03, UNITS, np.where(away > 0.03, -UNITS, 0))
    ladder = np.repeat(np.array([0, 1, 2, 3, 1, 0, -2, -1, 2, 0]) * UNITS, n // 10 + 1)[:n]
    made = {"sma_cross": crossed, "momentum": momentum, "mean_reversion": reversion, "scaling": ladder}
    for target in made.values():
        target[-1] = target[-2]  # what the last close wants could not be filled any more
    return {
        name: Job(Instrument("XNYS:PARITY", Kind.EQUITY, simulated=True), calendar["session"].to_numpy(), opened, high, low,
                  close, np.full(n, 1e7), target, CASH, FEE_SHARE)
        for name, target in made.items()
    }  # fmt: skip
