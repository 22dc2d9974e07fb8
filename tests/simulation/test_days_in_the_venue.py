"""What hangs on the trading day and on a bar's beginning: orders for the day, at the open and at the close, latency."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from fieldcast.market import Instrument, Kind, sessions_between
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import OrderKind, Ticket, TimeInForce

HOUR = 3_600_000_000
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))
FUTURE = Instrument("XCME:ESH24", Kind.FUTURE, calendar="CMES", tick=Decimal("0.25"), multiplier=Decimal(50))
SHARE = Instrument("XNAS:AAPL", Kind.EQUITY)
FOR_THE_DAY = Ticket(FUTURE.id, Side.BUY, Decimal(1), OrderKind.LIMIT, limit=Decimal(4000), time_in_force=TimeInForce.DAY)


def micros(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def globex() -> Market:
    """Hours of the sessions of Monday 4 and Tuesday 5 March 2024, each from 17:00 Chicago of the evening before to 16:00."""
    eves = (micros(eve, "America/Chicago") for eve in ("2024-03-03T17:00", "2024-03-04T17:00"))
    ends = np.concatenate([eve + np.arange(1, 24) * HOUR for eve in eves])
    row = 5000.0 + np.arange(ends.size) % 7
    return Market.of_arrays(FUTURE, ends, row, row + 1, row - 1, row)


def hour_of(market: Market, text: str) -> int:
    return int(np.searchsorted(market.ts, micros(text, "America/Chicago")))


def simulator(market: Market, **settings: object) -> Simulator:
    margins = {FUTURE.id: Margin.per_contract(Decimal(12_000), Decimal(11_000))}
    known = {name: one for name, one in margins.items() if name in {other.id for other in market.instruments}}
    return Simulator(market, VenueSettings(costs=FREE, margins=known, **settings))  # type: ignore[arg-type]


def test_an_order_for_the_day_outlives_midnight_utc_and_ends_with_its_globex_session() -> None:
    market = globex()
    venue = simulator(market)
    venue.advance(hour_of(market, "2024-03-04T10:00") + 1)
    order = venue.submit(FOR_THE_DAY)
    venue.advance(hour_of(market, "2024-03-04T15:00") - venue.t)
    assert venue.order(order).status == "working"
    venue.advance()
    assert venue.order(order).status == "expired"
    evening = venue.submit(FOR_THE_DAY)
    venue.advance(hour_of(market, "2024-03-04T20:00") - venue.t)  # 02:00 UTC of Tuesday
    assert venue.order(evening).status == "working"


@pytest.mark.parametrize(
    ("kind", "filled"),
    [(OrderKind.MARKET_ON_CLOSE, "2024-03-04T16:00"), (OrderKind.MARKET_ON_OPEN, "2024-03-04T17:00")],
)
def test_orders_at_the_open_and_the_close_wait_for_the_exchanges_own(kind: OrderKind, filled: str) -> None:
    market = globex()
    venue = simulator(market)
    venue.advance(hour_of(market, "2024-03-04T10:00") + 1)
    venue.submit(Ticket(FUTURE.id, Side.BUY, Decimal(1), kind))
    venue.advance(market.bars - 1 - venue.t)
    fills = venue.result().fills
    assert [int(ts.timestamp()) * 1_000_000 for ts in fills["ts"]] == [micros(filled, "America/Chicago")]


def test_a_late_order_fills_at_mondays_open_and_not_a_day_later() -> None:
    """Decided at Friday's close, on its way for two seconds; Monday's bar begins at 09:30 New York, not at Friday's close."""
    table = sessions_between("XNYS", date(2024, 3, 7), date(2024, 3, 12))
    row = np.array([170.0, 171.0, 172.0, 173.0])
    market = Market.of_arrays(SHARE, table["close"].dt.epoch("us").to_numpy(), row, row, row, row)
    venue = simulator(market, latency_us=2_000_000)
    venue.advance(2)
    venue.submit(Ticket(SHARE.id, Side.BUY, Decimal(10), OrderKind.MARKET))
    venue.advance(2)
    fills = venue.result().fills
    assert fills["price"].to_list() == [172.0]
    assert int(fills["ts"][0].timestamp()) * 1_000_000 == micros("2024-03-11T09:30", "America/New_York")
