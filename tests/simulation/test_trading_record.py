"""The same orders in a backtest and in paper books leave records that do not differ; what is no record is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from fieldcast.execution._paper_books import PaperBooks
from fieldcast.ground import IntegrityError, InvalidInput
from fieldcast.market import Instrument, Kind
from fieldcast.simulation import OpeningPrint
from fieldcast.simulation.difference_report import Cause
from fieldcast.simulation.differences import compare_runs
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import TargetUnit, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.simulation.trading_record import TradingRecord, intent_keys
from fieldcast.trading import CostModel, Order, Side, client_id

ID = "XNYS:AAA"
N = 20
CLOSED = [datetime(2021, 3, 1, 21, tzinfo=UTC) + timedelta(days=row) for row in range(N)]
OPENED = [moment - timedelta(hours=6.5) for moment in CLOSED]
COSTS = CostModel(Decimal(1), Decimal(1), Decimal("0.5"), Decimal(0))
CASH = Decimal(100_000)


def instrument() -> Instrument:
    return Instrument(ID, Kind.EQUITY, simulated=True)


def market() -> Market:
    close = np.round(50 + np.cumsum(np.cos(np.arange(N))), 2)
    opened = np.round(np.concatenate(([50.0], close[:-1])) + 0.07, 2)
    stamps = [np.array([int(one.timestamp() * 1e6) for one in moments]) for moments in (CLOSED, OPENED)]
    return Market.of_arrays(
        instrument(), stamps[0], opened, np.maximum(opened, close) + 0.2, np.minimum(opened, close) - 0.2, close,
        np.full(N, 1e5), open_ts=stamps[1],
    )  # fmt: skip


def on_paper(target: np.ndarray, prices: Market, *, costs: CostModel = COSTS, submitted_late: int | None = None) -> TradingRecord:
    """The targets in paper books: an order for the change of target, sent after the close, filled at the next open."""
    venue = PaperBooks(cash=CASH, costs=costs, instruments=[instrument()])
    held, decided, equity = 0, {}, []
    for bar in range(N):
        price = float(prices.open[0, bar])
        venue.match([OpeningPrint(ID, CLOSED[bar].date(), OPENED[bar], CLOSED[bar], price, trusted=True)], CLOSED[bar])
        worth = venue.cash + venue.positions().get(ID, Decimal(0)) * Decimal(repr(float(prices.close[0, bar])))
        equity.append((CLOSED[bar], worth))
        change = int(target[bar]) - held
        if change and bar + 1 < N:
            key = client_id("a", "p", str(CLOSED[bar].date()), ID, "main", 1)
            side = Side.BUY if change > 0 else Side.SELL
            late = timedelta(hours=18) if bar == submitted_late else timedelta(minutes=30)  # after the next open, or before it
            venue.submit(Order(key, ID, side, Decimal(abs(change)), CLOSED[bar + 1].date()), CLOSED[bar] + late)
            decided[key] = CLOSED[bar]
            held += change
    table = pl.DataFrame({"ts": CLOSED, "available_at": CLOSED, "open": prices.open[0], "close": prices.close[0]})
    return TradingRecord.of_broker(
        venue.states(), venue.fills(), name="paper", decided=decided, equity=equity, bars={ID: table},
        instruments={ID: instrument()}, start=CASH,
    )  # fmt: skip


def targets() -> np.ndarray:
    return np.repeat([0, 40, 90, 10, 0], 4)


def backtest(prices: Market) -> TradingRecord:
    settings = VenueSettings(cash={"USD": CASH}, costs=COSTS, size=TargetUnit.UNITS)
    return TradingRecord.of_result(run_targets(targets().astype(float), prices, settings))


def test_backtest_and_paper_agree_to_the_last_digit() -> None:
    prices = market()
    seen = backtest(prices).bars[ID].select("ts", "available_at", "open", "close")
    tested = replace(backtest(prices), bars={ID: seen})
    report = compare_runs(tested, on_paper(targets(), prices))
    assert report.shared_intents == report.equal_intents == 4
    assert report.differences == ()
    assert report.equity_difference == report.unexplained == 0
    assert report.equity.height == N
    assert report.equity["difference"].abs().max() == 0.0
    assert report.simulated


def test_dearer_paper_and_a_late_order_are_named() -> None:
    prices = market()
    tested = backtest(prices)
    tested = replace(tested, bars={ID: tested.bars[ID].select("ts", "available_at", "open", "close")})
    dear = compare_runs(tested, on_paper(targets(), prices, costs=replace(COSTS, half_spread_bps=Decimal(9))))
    assert {one.cause for one in dear.differences} == {Cause.COST}
    assert dear.unexplained == 0
    assert dear.equity_difference < 0
    late = compare_runs(tested, on_paper(targets(), prices, submitted_late=4))
    assert late.unexplained == 0
    first = late.differences[0]
    assert first.cause is Cause.NOT_FILLED
    assert "expired (too_late) in paper" in first.found


def test_orders_of_one_decision_are_numbered() -> None:
    orders = pl.DataFrame({"instrument": ["A", "A", "B"], "decided_ts": [CLOSED[0]] * 3}).with_columns(
        pl.col("decided_ts").dt.cast_time_unit("us")
    )
    assert intent_keys(orders).to_list() == [
        "A @ 2021-03-01T21:00:00.000000Z", "A @ 2021-03-01T21:00:00.000000Z #2", "B @ 2021-03-01T21:00:00.000000Z"
    ]  # fmt: skip


def test_what_is_no_record_is_refused() -> None:
    record = backtest(market())
    with pytest.raises(InvalidInput, match="missing fee"):
        replace(record, fills=record.fills.drop("fee"))
    with pytest.raises(InvalidInput, match="each intent of backtest once"):
        replace(record, orders=pl.concat([record.orders, record.orders.head(1)]))
    with pytest.raises(IntegrityError, match="an order behind each fill"):
        replace(record, orders=record.orders.slice(1))
    with pytest.raises(InvalidInput, match="equity of backtest at least once"):
        replace(record, equity=record.equity.clear())
