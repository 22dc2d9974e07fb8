"""Returns from open to open of an account that holds a future: what settlement moves to cash is what the price has earned."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from fieldcast.market import Instrument, Kind, sessions_between
from fieldcast.simulation import _state as s
from fieldcast.simulation.derivatives import FutureTerms
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.report import next_open_returns
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel

FUTURE = Instrument("SIM:FUT", Kind.FUTURE, calendar="XNYS", simulated=True)
SHARE = Instrument("SIM:SHR", Kind.EQUITY, calendar="XNYS", simulated=True)
CALENDAR = sessions_between("XNYS", date(2024, 1, 2), date(2024, 4, 30))
BARS = CALENDAR.height
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))
TARGETS = np.array([0.3, -0.2, 0.0, 0.4])


def played(seed: int, expires: int | None) -> SimulationResult:
    """A future and a share; the future settles daily and expires at the close of bar `expires`, or never settles (None)."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(0.015 * rng.standard_normal((2, BARS)), axis=1)), 2)
    opened = np.round(np.hstack((np.full((2, 1), 100.0), close[:, :-1])) * np.exp(0.005 * rng.standard_normal((2, BARS))), 2)
    stamps, every = (CALENDAR[name].dt.epoch("us").to_numpy() for name in ("close", "open")), np.ones((2, BARS), dtype=np.bool_)
    market = Market(
        (FUTURE, SHARE), *stamps, opened, np.maximum(opened, close), np.minimum(opened, close), close, every * 1e6, every
    )
    terms = [] if expires is None else [FutureTerms(FUTURE.id, CALENDAR["close"][expires], Decimal(10), Decimal(5))]
    targets = np.repeat(rng.choice(TARGETS, (2, BARS // 5 + 1)), 5, axis=1)[:, :BARS]
    if expires is not None:
        targets[0, expires - 3 : expires], targets[0, expires:] = 0.3, 0.0      # held into its end
    return run_targets(
        targets, market, VenueSettings(cash={"USD": Decimal(1_000_000)}, costs=FREE), events=events_of(market, contracts=terms)
    )


def growth_by_hand(run: SimulationResult) -> np.ndarray:
    """(T - 2,) of the account from the open of bar 1 on: lots times the way to the next open, or to the close that ended them."""
    market, unit = run.market, 10.0**run.units.cash_decimals
    gain = np.zeros(BARS)      # of bar t from its open to the next one, before anything is traded there
    for n in range(2):
        factor = float(run.units.factor[n]) * float(run.units.price_scale[n])
        lots = 0
        for t in range(BARS - 1):
            own = run.fill_rows[(run.fill_rows[:, s.F_INSTRUMENT] == n) & (run.fill_rows[:, s.F_BAR] == t)]
            for fill in own[own[:, s.F_CONVENTION] == s.AT_OPEN]:
                lots += fill[s.F_SIDE] * fill[s.F_LOTS]
            ended = own[own[:, s.F_CONVENTION] == s.AT_EVENT]
            until = market.close[n, t] if len(ended) else market.open[n, t + 1]
            gain[t] += lots * (until - market.open[n, t]) * factor / unit
            for fill in ended:
                lots += fill[s.F_SIDE] * fill[s.F_LOTS]
    value = 1_000_000 + np.concatenate(([0.0], np.cumsum(gain)[:-1]))      # before each open
    return value[2:] / value[1:-1] - 1.0


@pytest.mark.parametrize("expires", [None, BARS - 2, BARS // 2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_future_is_settled_for_counts_once(seed: int, expires: int | None) -> None:
    """The variation that was paid counted beside the way of the price that it is paid for."""
    run = played(seed, expires)
    assert (run.fill_rows[:, s.F_INSTRUMENT] == 0).sum() > 3
    if expires is not None:
        assert (run.fill_rows[:, s.F_CONVENTION] == s.AT_EVENT).sum() == 1
        assert (run.journal_rows[:, s.J_ACCOUNT] == s.A_SETTLEMENT).sum() > 10
    found = next_open_returns(run, run.market, SHARE.id)
    np.testing.assert_allclose(found.net, growth_by_hand(run), atol=1e-9)
