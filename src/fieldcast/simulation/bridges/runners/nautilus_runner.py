"""Play a job in NautilusTrader; run by the Python of an environment that has it: `python nautilus_runner.py FOLDER`.

Reads FOLDER/job.json and FOLDER/bars.csv, writes FOLDER/fills.csv, FOLDER/equity.csv and FOLDER/done.json. Fed with bars alone,
Nautilus fills a market order at the close of the bar that it was decided on, and splits one above a quarter of the bar's
volume; fed with a quote at each open and each close, it fills at the open that follows the decision, whole.
"""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

OPEN_HOUR, CLOSE_HOUR = 14, 21  # UTC hours that stand for a session's open and close


def play(folder: Path) -> None:
    import nautilus_trader
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.data import QuoteTick
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.trading.strategy import Strategy

    job = json.loads((folder / "job.json").read_text())
    rows = list(csv.DictReader((folder / "bars.csv").open()))
    places = int(job["price_decimals"])
    venue = Venue("SIM")
    instrument = Equity(
        instrument_id=InstrumentId(Symbol("SYMBOL"), venue), raw_symbol=Symbol("SYMBOL"), currency=USD, price_precision=places,
        price_increment=Price(Decimal(1).scaleb(-places), places), lot_size=Quantity.from_int(1), ts_event=0, ts_init=0,
        maker_fee=Decimal(str(job["fee_share"])), taker_fee=Decimal(str(job["fee_share"])),
    )  # fmt: skip
    plenty = Quantity.from_int(1_000_000_000)
    quotes: list[Any] = []
    opens: dict[int, tuple[str, int]] = {}
    closes: dict[int, tuple[str, int]] = {}
    target = 0
    for row in rows:
        day = datetime.fromisoformat(row["date"]).replace(tzinfo=UTC)
        for hour, name, moments in ((OPEN_HOUR, "open", opens), (CLOSE_HOUR, "close", closes)):
            stamp = int(day.replace(hour=hour).timestamp()) * 1_000_000_000
            price = Price(float(row[name]), places)
            quotes.append(QuoteTick(instrument.id, price, price, plenty, plenty, stamp, stamp))
            moments[stamp] = (row["date"], target)
        target = int(row["target"])
    fills: list[dict[str, Any]] = []
    equity: list[dict[str, Any]] = []

    class Targets(Strategy):  # type: ignore[misc]
        def on_start(self) -> None:
            self.subscribe_quote_ticks(instrument.id)

        def on_quote_tick(self, tick: Any) -> None:
            if tick.ts_event in opens:
                change = opens[tick.ts_event][1] - int(self.portfolio.net_position(instrument.id))
                if change:
                    side = OrderSide.BUY if change > 0 else OrderSide.SELL
                    self.submit_order(self.order_factory.market(instrument.id, side, Quantity.from_int(abs(change))))
                return
            made = self.portfolio.unrealized_pnl(instrument.id)
            total = self.portfolio.account(venue).balance_total(USD).as_double()
            equity.append({"date": closes[tick.ts_event][0], "equity": total + (0.0 if made is None else made.as_double())})

        def on_order_filled(self, event: Any) -> None:
            side = "BUY" if event.order_side == OrderSide.BUY else "SELL"
            fills.append({
                "date": opens[event.ts_event][0], "side": side, "quantity": event.last_qty.as_double(),
                "price": event.last_px.as_double(), "fee": event.commission.as_double(),
            })  # fmt: skip

    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=venue, oms_type=OmsType.NETTING, account_type=AccountType.MARGIN, base_currency=USD,
        starting_balances=[Money(job["cash"], USD)],
    )  # fmt: skip
    engine.add_instrument(instrument)
    engine.add_data(quotes)
    engine.add_strategy(Targets())
    engine.run()
    engine.dispose()
    _write(folder / "fills.csv", ("date", "side", "quantity", "price", "fee"), fills)
    _write(folder / "equity.csv", ("date", "equity"), equity)
    (folder / "done.json").write_text(json.dumps({"peer": "nautilus_trader", "version": nautilus_trader.__version__}))


def _write(path: Path, names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    play(Path(sys.argv[1]).resolve())
