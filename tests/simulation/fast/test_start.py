"""What a new process loads for one run of a strategy, and what it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fieldcast.ground
import fieldcast.simulation
import fieldcast.simulation.fast
import fieldcast.strategy

RUN = """
import sys
import numpy as np
from fieldcast.market import Instrument, Kind
from fieldcast.simulation.market import Market
from fieldcast.simulation.fast import FastSettings, Tape, arrays_of, run_fast
from fieldcast.strategy.catalogue import strategy
close = np.round(100.0 + 5.0 * np.sin(np.arange(400) / 20.0), 2)
market = Market.of_arrays(Instrument("XNAS:WAVE", Kind.EQUITY, simulated=True), np.arange(1, 401) * 60_000_000, close, close,
                          close, close)
tape = Tape.of(market)
result = run_fast(strategy("sma_cross", fast=5, slow=20).targets(arrays_of(tape)), tape, FastSettings())
assert result.figures["fills"] > 5
print(*sorted(sys.modules))
"""
NOT_NEEDED = (
    "pydantic", "pydantic_settings", "exchange_calendars", "pandas", "sklearn", "lightgbm", "arch", "joblib", "scipy.stats",
    "scipy.linalg", "fieldcast.simulation._kernels_run", "fieldcast.simulation._state",
    "sqlalchemy", "fieldcast.strategy.idea", "fieldcast.strategy.exits", "fieldcast.strategy.monte_carlo", "fieldcast.fields",
    "fieldcast.projection", "fieldcast.models", "fieldcast.evaluation", "fieldcast.workflows", "fieldcast.simulation.openings",
    "fieldcast.simulation.fast.walk_forward", "fieldcast.ground.config",
)  # fmt: skip


def test_one_run_loads_nothing_that_it_does_not_need() -> None:
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = set(done.stdout.split())
    assert {"numpy", "polars", "numba", "fieldcast.simulation.fast.engine"} <= loaded
    assert loaded & set(NOT_NEEDED) == set()


@pytest.mark.parametrize("package", [fieldcast.ground, fieldcast.simulation, fieldcast.simulation.fast, fieldcast.strategy])
def test_every_name_of_a_package_that_loads_late_is_there(package) -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018
