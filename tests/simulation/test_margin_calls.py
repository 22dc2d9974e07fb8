"""A margin call comes at the same bar however the bars are played: one by one, at once, or when a strategy looks."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.events_run import run_events
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import Ticket

DAY = 86_400_000_000
ID = "XNAS:AAPL"
CLOSES = [100.0, 100.0, 150.0, 205.0, 205.0, 150.0, 100.0, 100.0]
FREE = CostModel(half_spread_bps=Decimal(0), slippage_bps=Decimal(0), commission_bps=Decimal(0))
SETTINGS = VenueSettings(cash={"USD": Decimal(10_000)}, costs=FREE)


def market() -> Market:
    row = np.array(CLOSES)
    return Market.of_arrays(Instrument(ID, Kind.EQUITY), np.arange(1, len(row) + 1) * DAY, row, row, row, row)


def short(steps: list[int]) -> Simulator:
    """100 shares are sold short at the open of bar 1, then the rest is played in steps."""
    venue = Simulator(market(), SETTINGS)
    venue.advance()
    venue.submit(Ticket(ID, Side.SELL, Decimal(100)))
    for step in steps:
        venue.advance(step)
    return venue


@pytest.mark.parametrize("steps", [[7], [1] * 7, [3, 4], [2, 5]])
def test_a_short_that_has_lost_more_than_all_is_closed_at_the_next_open(steps):
    """Equity 20,000 - 100 * 205 = -500 at the close of bar 3: bought back at the open of bar 4, 205.00, however it is played."""
    result = short(steps).result()
    assert result.fills.select("bar", "side", "price").rows() == [(1, "SELL", 100.0), (4, "BUY", 205.0)]
    assert result.equity["equity"].to_list()[3:] == [-500.0] * 5


def test_a_strategy_that_looks_sees_its_short_closed():
    class Watch:
        seen: list[float]

        def __init__(self) -> None:
            self.seen = []

        def on_bar(self, now) -> None:
            if now.t == 0:
                now.sell(100)
            self.seen.append(now.position())

    watch = Watch()
    run_events(watch, market(), SETTINGS)
    assert watch.seen == [0.0, -100.0, -100.0, -100.0, 0.0, 0.0, 0.0, 0.0]
