"""A simulated panel with what the forecasters look for: clustered volatility, nights, a common part, an implied index."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from fieldcast.features.panel import Panel
from fieldcast.market import sessions


def make_panel(rows: int = 1400, instruments: int = 3, seed: int = 0, *, steady: bool = False) -> Panel:
    """Simulated log-normal sessions of 40 steps and a night each, on the sessions of XNYS from 2001.

    Highs and lows are the extremes of the Brownian bridges between the steps, so that ranges are those of continuous paths.

    The log variance of each instrument is an own and a common AR(1) around 1 % a day, constant with `steady`; "vix" is the
    common part's volatility in per cent a year with noise.
    """
    rng = np.random.default_rng(seed)
    days = sessions("XNYS").filter(pl.col("session").dt.year() >= 2001)["session"][:rows]
    common, own = np.zeros(rows), np.zeros((rows, instruments))
    for t in range(1, rows):
        common[t] = 0.97 * common[t - 1] + 0.18 * rng.standard_normal()
        own[t] = 0.9 * own[t - 1] + 0.2 * rng.standard_normal(instruments)
    logs = np.zeros((rows, instruments)) if steady else common[:, None] + own
    sigma = 0.01 * np.exp(0.5 * logs)
    night = np.sqrt(0.3) * sigma * rng.standard_normal((rows, instruments))
    moves = rng.standard_normal((40, rows, instruments)) * np.sqrt(0.7 / 40) * sigma
    steps = np.cumsum(moves, axis=0)
    reach = [np.sqrt(moves**2 - 2.0 * (0.7 / 40) * sigma**2 * np.log(rng.random(moves.shape))) for _ in range(2)]
    top, bottom = (0.5 * (2.0 * steps - moves + side) for side in (reach[0], -reach[1]))
    close = np.log(100.0) + np.cumsum(night + steps[-1], axis=0)
    opened = close - steps[-1]
    session = days.to_numpy().astype("datetime64[D]")
    vix = 100.0 * np.sqrt(252.0) * 0.01 * np.exp(0.5 * (0.0 if steady else common)) * np.exp(0.05 * rng.standard_normal(rows))
    return Panel(
        instruments=tuple(f"XTST:S{i}" for i in range(instruments)),
        session=session,
        decision=session.astype("datetime64[us]") + np.timedelta64(21 * 60 + 30, "m"),
        open=np.exp(opened),
        high=np.exp(opened + top.max(axis=0)),
        low=np.exp(opened + bottom.min(axis=0)),
        close=np.exp(close),
        volume=1e6 * np.exp(0.3 * rng.standard_normal((rows, instruments))),
        covariates={"vix": vix * np.ones(rows)},
    )


@pytest.fixture(scope="session")
def panel_of() -> Callable[..., Panel]:
    return make_panel


@pytest.fixture(scope="session")
def simulated() -> Panel:
    return make_panel()
