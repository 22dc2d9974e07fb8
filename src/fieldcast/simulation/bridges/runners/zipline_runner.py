"""Play a job in zipline-reloaded; run by the Python of an environment that has it: `python zipline_runner.py FOLDER`.

Reads FOLDER/job.json and FOLDER/bars.csv, writes FOLDER/fills.csv, FOLDER/equity.csv and FOLDER/done.json. Zipline calls a
daily strategy at the close and fills its orders in the next session, by default at that session's close; the slippage model
here fills them at its open.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any


def play(folder: Path) -> None:
    os.environ["ZIPLINE_ROOT"] = str(folder / "zipline")
    import pandas as pd
    import zipline
    from zipline import run_algorithm
    from zipline.api import get_datetime, order, set_commission, set_slippage, symbol
    from zipline.data import bundles
    from zipline.finance.commission import PerDollar
    from zipline.finance.slippage import SlippageModel
    from zipline.utils.calendar_utils import get_calendar

    job = json.loads((folder / "job.json").read_text())
    rows = list(csv.DictReader((folder / "bars.csv").open()))
    frame = pd.DataFrame({name: [float(row[name]) for row in rows] for name in ("open", "high", "low", "close", "volume")})
    frame.index = pd.DatetimeIndex([row["date"] for row in rows])
    first, last = frame.index[0], frame.index[-1]
    wanted = {row["date"]: int(row["target"]) for row in rows}

    def ingest(environ: Any, asset_db_writer: Any, minute_bar_writer: Any, daily_bar_writer: Any, adjustment_writer: Any,
               calendar: Any, start_session: Any, end_session: Any, cache: Any, show_progress: Any,
               output_dir: Any) -> None:  # fmt: skip
        listed = {"symbol": ["SYMBOL"], "asset_name": ["SYMBOL"], "start_date": [first], "end_date": [last], "exchange": ["NYSE"],
                  "auto_close_date": [last + pd.Timedelta(days=1)]}  # fmt: skip
        exchanges = pd.DataFrame({"exchange": ["NYSE"], "canonical_name": ["NYSE"], "country_code": ["US"]})
        asset_db_writer.write(equities=pd.DataFrame(listed), exchanges=exchanges)
        daily_bar_writer.write([(0, frame)], show_progress=False)
        adjustment_writer.write()

    class NextOpen(SlippageModel):  # type: ignore[misc]
        """The whole order at the open of the session."""

        def process_order(self, data: Any, order: Any) -> tuple[float, int]:
            return float(data.current(order.asset, "open")), order.amount - order.filled

    def initialize(context: Any) -> None:
        context.held = 0
        set_slippage(us_equities=NextOpen())
        set_commission(us_equities=PerDollar(cost=job["fee_share"]))

    def handle_data(context: Any, data: Any) -> None:
        change = wanted[f"{get_datetime():%Y-%m-%d}"] - context.held
        if change:
            order(symbol("SYMBOL"), change)
            context.held += change

    bundles.register("job", ingest, calendar_name="XNYS", start_session=first, end_session=last)
    bundles.ingest("job", show_progress=False)
    found = run_algorithm(
        start=first,
        end=last,
        initialize=initialize,
        handle_data=handle_data,
        capital_base=job["cash"],
        data_frequency="daily",
        bundle="job",
        benchmark_returns=pd.Series(0.0, index=frame.index),
        trading_calendar=get_calendar("XNYS"),
    )
    done = [one for day in found["transactions"] for one in day]
    paid = {one["id"]: float(one["commission"]) for day in found["orders"] for one in day}
    fills = [
        {"date": f"{one['dt']:%Y-%m-%d}", "side": "BUY" if one["amount"] > 0 else "SELL", "quantity": abs(one["amount"]),
         "price": one["price"], "fee": paid[one["order_id"]]}
        for one in done
    ]  # fmt: skip
    _write(folder / "fills.csv", ("date", "side", "quantity", "price", "fee"), fills)
    equity = [{"date": f"{when:%Y-%m-%d}", "equity": value} for when, value in found["portfolio_value"].items()]
    _write(folder / "equity.csv", ("date", "equity"), equity)
    (folder / "done.json").write_text(json.dumps({"peer": "zipline-reloaded", "version": zipline.__version__}))


def _write(path: Path, names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    play(Path(sys.argv[1]).resolve())
