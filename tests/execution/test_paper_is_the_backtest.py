"""The same orders over the same bars, at the paper broker and in the simulator: fills, fees, refusals and cash are equal.

The simulator is given no events here. A backtest of shares books splits and dividends besides; a paper account books neither
(`docs/limits.md`), and what it does at a split is in `test_paper_goes_on.py`.
"""

from __future__ import annotations

import gzip
import io
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.execution import PaperBroker
from fieldcast.ground import ManualClock, MissingData, Reason
from fieldcast.market import BARS, Instrument, Kind, default_instrument, sessions_between
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, Shortfall, UntrustedOpen, VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.trading import CostModel, Order, OrderState, Side, client_id, fee_schedule
from fieldcast.trading.order_kinds import Ticket

FIRST, LAST = date(2024, 4, 1), date(2025, 3, 31)
CASH = Decimal(60_000)
NAMES = ("MSFT", "SPY")
COSTS = {
    "bare": CostModel(),
    "impact_and_fees": CostModel(impact_bps=Decimal(40), fees=fee_schedule("ibkr_fixed")),
}


class RealBars:
    """Raw daily bars of Tiingo, known from the session's `as_of` on."""

    def __init__(self, folder: Path) -> None:
        self.days = sessions_between("XNYS", FIRST, LAST)
        self.frames = {f"XNYS:{name}": self._frame(folder / f"{name}_1d.csv.gz", f"XNYS:{name}") for name in NAMES}

    def _frame(self, path: Path, id: str) -> pl.DataFrame:
        raw = pl.read_csv(io.BytesIO(gzip.decompress(path.read_bytes()))).with_columns(
            session=pl.col("date").str.slice(0, 10).str.to_date()
        )
        rows = self.days.join(raw, on="session")
        assert rows.height == self.days.height
        return pl.DataFrame(
            {
                "instrument": [id] * rows.height, "ts": rows["close"], "available_at": rows["as_of"], "open": rows["Open"],
                "high": rows["High"], "low": rows["Low"], "close": rows["Close"], "volume": rows["Volume"].cast(pl.Float64),
                "reasons": [Reason.OPEN_SYNTHETIC.value if at % 40 == 17 else None for at in range(rows.height)],
            },
            schema=BARS,
        )  # fmt: skip

    def read(
        self, instrument: str, *, as_of: datetime | None = None, first: date | None = None, last: date | None = None
    ) -> pl.DataFrame:
        if instrument not in self.frames:
            raise MissingData(f"expected a known instrument, found {instrument}")
        frame = self.frames[instrument]
        if as_of is not None:
            frame = frame.filter(pl.col("available_at") <= as_of)
        if first is not None:
            frame = frame.filter(pl.col("ts").dt.date() >= first)
        return frame if last is None else frame.filter(pl.col("ts").dt.date() <= last)


def orders(days: pl.DataFrame) -> list[list[tuple[str, Side, Decimal]]]:
    """Up to three orders after each session but the last; some cannot be paid, some sell what is not held."""
    rng = np.random.default_rng(20240401)
    made = []
    for _ in range(days.height - 1):
        today = []
        for _ in range(int(rng.integers(0, 4))):
            side = Side.BUY if rng.random() < 0.55 else Side.SELL
            today.append((f"XNYS:{NAMES[int(rng.integers(2))]}", side, Decimal(int(rng.integers(1, 120)))))
        made.append(today)
    return made


@pytest.mark.parametrize("costs", COSTS)
def test_paper_fills_what_the_simulator_fills_to_the_minor_unit(realdata: Path, tmp_path: Path, costs: str) -> None:
    bars = RealBars(realdata / "daily" / "tiingo_raw_and_adj")
    listed = tuple(Instrument(id, Kind.EQUITY, calendar="XNYS") for id in bars.frames)
    wanted = orders(bars.days)
    moments = bars.days["as_of"].to_list()
    sessions = bars.days["session"].to_list()

    settings = VenueSettings(
        cash={"USD": CASH}, costs=COSTS[costs], shortfall=Shortfall.REJECT, untrusted_open=UntrustedOpen.REJECT, shorts=False,
        margin=Margin(),
    )  # fmt: skip
    simulator = Simulator(Market.of(bars.frames, listed), settings)
    tickets = []
    for today in [*wanted, []]:
        simulator.advance()
        tickets += [simulator.submit(Ticket(id, side, quantity)) for id, side, quantity in today]
    tested = simulator.result()

    clock = ManualClock(moments[0])
    sent: list[str] = []
    broker = PaperBroker(
        tmp_path / "paper.db", account="a", portfolio="p", market=bars, clock=clock, instruments=listed, cash=CASH,
        costs=COSTS[costs],
    )  # fmt: skip
    for at, today in enumerate(wanted):
        clock.at = moments[at]
        for number, (id, side, quantity) in enumerate(today, start=1):
            sent.append(client_id("a", "p", str(sessions[at]), id, "main", number))
            broker.submit(Order(sent[-1], id, side, quantity, sessions[at + 1]))
        if at == 100:  # as after a crash: the books come back from their file
            broker.close()
            broker = PaperBroker(
                tmp_path / "paper.db", account="a", portfolio="p", market=bars, clock=clock, instruments=listed, cash=CASH,
                costs=COSTS[costs],
            )  # fmt: skip
    clock.at = moments[-1]
    states = [broker.order(id) for id in sent]
    assert all(isinstance(state, OrderState) for state in states)
    views = [simulator.order(number) for number in tickets]
    ends = [(str(state.status), *state.reasons) for state in states]  # type: ignore[union-attr]
    assert ends == [(view.status, *(() if view.reason is None else (view.reason,))) for view in views]
    kinds = {end[-1] for end in ends}
    assert kinds == {"filled", Reason.INSUFFICIENT_CASH, Reason.NO_SHORTS, Reason.NEXT_OPEN_REFUSED}

    scale = dict(zip(bars.frames, tested.units.price_decimals.tolist(), strict=True))
    expected = [
        (row["instrument"], row["side"], Decimal(row["price_units"]).scaleb(-scale[row["instrument"]]),
         tested.units.money(row["fee_minor"]), row["ts"])
        for row in tested.fills.iter_rows(named=True)
    ]  # fmt: skip
    found = [(fill.instrument, str(fill.side), fill.price, fill.fee, fill.ts) for fill in broker.fills()]
    assert found == expected
    assert len(found) > 100
    assert broker.account().cash == simulator.account().cash["USD"]
    assert {one.instrument: one.quantity for one in broker.positions()} == simulator.positions()
    broker.close()


COIN = default_instrument("KRAKEN:COINUSD", "crypto")
COINS_FROM, COINS_TO = date(2024, 3, 1), date(2024, 5, 30)


class Coins(RealBars):
    """Made daily bars of a coin, around the clock, at a price with so many decimals; some opens are no real prints."""

    def __init__(self, decimals: int, *, late: bool) -> None:
        self.days = sessions_between("24/7", COINS_FROM, COINS_TO)
        rng = np.random.default_rng([20240301, decimals])
        count = self.days.height
        opened = np.round(42_000.0 * 10.0 ** -(decimals - 2) * np.exp(np.cumsum(rng.normal(0.0, 0.03, count))), decimals)
        known = self.days["as_of"]
        if late:  # every third bar comes out ten hours after its day
            known = known + pl.Series([timedelta(hours=10 if at % 3 == 0 else 0) for at in range(count)])
        self.frames = {
            COIN.id: pl.DataFrame(
                {
                    "instrument": [COIN.id] * count, "ts": self.days["close"], "available_at": known, "open": opened,
                    "high": opened, "low": opened, "close": opened, "volume": rng.uniform(1e3, 1e6, count),
                    "reasons": [Reason.OPEN_SYNTHETIC.value if at % 20 == 7 else None for at in range(count)],
                },
                schema=BARS,
            )
        }  # fmt: skip


@pytest.mark.parametrize("late", [False, True], ids=["on_time", "late"])
@pytest.mark.parametrize("fees", [None, "kraken"])
@pytest.mark.parametrize(("decimals", "cash"), [(2, "1000000"), (4, "100000"), (5, "50000"), (6, "5000")])
def test_a_coin_of_any_decimals_costs_on_paper_what_it_costs_in_the_simulator(
    tmp_path: Path, decimals: int, cash: str, fees: str | None, late: bool
) -> None:
    """In accounts small enough for a backtest of such prices. Paper knows some bars late, which changes nothing."""
    bars, costs = Coins(decimals, late=late), CostModel(impact_bps=Decimal(30), fees=None if fees is None else fee_schedule(fees))
    rng = np.random.default_rng(decimals)
    days = bars.days.height
    worth = Decimal(cash) / Decimal(repr(float(bars.frames[COIN.id]["open"][0])))
    wanted = [
        (Side.BUY if rng.random() < 0.6 else Side.SELL, (worth * Decimal(repr(rng.uniform(0.01, 0.4)))).quantize(COIN.lot))
        for _ in range(days - 1)
    ]
    settings = VenueSettings(
        cash={"USD": Decimal(cash)}, costs=costs, shortfall=Shortfall.REJECT, untrusted_open=UntrustedOpen.REJECT, shorts=False,
        margin=Margin(),
    )  # fmt: skip
    simulator = Simulator(Market.of(bars.frames, [COIN]), settings)
    clock = ManualClock(bars.days["close"][0])
    broker = PaperBroker(
        tmp_path / "paper.db", account="a", portfolio="p", market=bars, clock=clock, instruments=[COIN], cash=Decimal(cash),
        costs=costs,
    )  # fmt: skip
    tickets, sent = [], []
    for at, (side, quantity) in enumerate(wanted):
        simulator.advance()
        tickets.append(simulator.submit(Ticket(COIN.id, side, quantity)))
        day = bars.days["session"][at + 1]
        clock.at = bars.days["open"][at + 1] - timedelta(minutes=1)
        sent.append(client_id("a", "p", str(day), COIN.id, "main", 1))
        broker.submit(Order(sent[-1], COIN.id, side, quantity, day))
    simulator.advance()
    clock.at = bars.days["as_of"][-1] + timedelta(days=1)
    views, states = [simulator.order(number) for number in tickets], [broker.order(id) for id in sent]
    ends = [(str(state.status), *state.reasons) for state in states]  # type: ignore[union-attr]
    assert ends == [(view.status, *(() if view.reason is None else (view.reason,))) for view in views]
    assert {end[-1] for end in ends} >= {"filled", Reason.INSUFFICIENT_CASH, Reason.NEXT_OPEN_REFUSED}
    assert broker.account().cash == simulator.account().cash["USD"]
    assert {one.instrument: one.quantity for one in broker.positions()} == simulator.positions()
    tested = simulator.result()
    scale = int(tested.units.price_decimals[0])
    expected = [
        (Decimal(row["price_units"]).scaleb(-scale), tested.units.money(row["fee_minor"]), row["ts"])
        for row in tested.fills.iter_rows(named=True)
    ]
    assert [(fill.price, fill.fee, fill.ts) for fill in broker.fills()] == expected
    broker.close()
