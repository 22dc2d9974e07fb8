"""Exits of the fast engine against brackets that work at the venue: the same fills, the same cents."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import pytest

from fieldcast.simulation.events_run import run_events
from fieldcast.simulation.fast import FastSettings, Size, run_fast
from fieldcast.simulation.settings import Intrabar, Margin, VenueSettings

QUANTITY = Decimal(200)
TICK = Decimal("0.01")


class Bracketed:
    """Trades changes of a target as the fast engine does, with a bracket around each entry."""

    def __init__(self, targets: np.ndarray, stop: Decimal | None, target: Decimal | None) -> None:
        self.targets, self.stop, self.target, self.last = targets, stop, target, 0.0

    def level(self, close: Decimal, part: Decimal | None, side: int) -> Decimal | None:
        if part is None:
            return None
        exact = close * (1 + side * part) / TICK
        return exact.to_integral_value(ROUND_CEILING if side > 0 else ROUND_FLOOR) * TICK

    def on_bar(self, now) -> None:
        wanted = float(self.targets[now.t])
        if wanted == self.last:
            return
        self.last = wanted
        for order in now.working():
            now.cancel(order)
        held = Decimal(str(now.position()))
        if held:      # out first, at the same open as the way in
            (now.sell if held > 0 else now.buy)(abs(held))
        if wanted:
            side, close = int(np.sign(wanted)), Decimal(repr(now.close()))
            levels = {"stop_loss": self.level(close, self.stop, -side), "take_profit": self.level(close, self.target, side)}
            (now.buy if side > 0 else now.sell)(QUANTITY, **{name: at for name, at in levels.items() if at is not None})


@pytest.mark.parametrize("intrabar", [Intrabar.WORST, Intrabar.OHLC])
@pytest.mark.parametrize(("stop", "target"), [("0.01", None), (None, "0.012"), ("0.008", "0.01")])
def test_exits_fill_where_a_bracket_at_the_venue_fills(one, intrabar: Intrabar, stop: str | None, target: str | None) -> None:
    stopped = 0
    for seed in range(6):
        market = one(100 + seed, bars=300, sigma=0.008)
        targets = np.repeat(np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], 60), 5)
        targets[np.flatnonzero(np.diff(targets) * targets[:-1] != 0)] = 0.0      # flat between turns: a turn is one order here
        venue = VenueSettings(intrabar=intrabar, margin=Margin(Decimal("0.5")))
        parts = [None if one_part is None else Decimal(one_part) for one_part in (stop, target)]
        settings = FastSettings(venue=venue, size=Size("units", QUANTITY), stop=parts[0], target=parts[1])
        fast = run_fast(targets, market, settings)
        slow = run_events(Bracketed(targets, *parts), market, venue)
        columns = ["bar", "side", "lots", "price_units", "fee_minor", "ts"]
        assert fast.fills.select(columns).equals(slow.fills.select(columns))
        assert np.array_equal(fast.equity_minor, slow.equity_minor())
        stopped += fast.figures["stopped"] + fast.figures["targets_hit"]
    assert stopped > 40
