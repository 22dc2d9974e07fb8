"""What shares the cash of a run in several currencies: the plan's instruments, not the contracts of a chain on one of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.data.chains import osi
from fieldcast.ground import load_settings
from fieldcast.market import BARS, default_instrument, sessions_between, table_of
from fieldcast.workflows.backtest_data import BacktestData, backtest_data
from fieldcast.workflows.backtest_settings import plan_of
from fieldcast.workflows.progress import silent

DAYS = sessions_between("XNYS", date(2024, 1, 2), date(2024, 2, 29))
EXPIRIES = (date(2024, 1, 19), date(2024, 2, 16), date(2024, 3, 15))


def chain() -> pl.DataFrame:
    """Calls on a share that stands at 100, at each close."""
    rows = []
    for day, close in DAYS.select("session", "close").iter_rows():
        for expiry in (one for one in EXPIRIES if one >= day):
            ends = DAYS.filter(pl.col("session") == expiry)["close"]
            for strike in (95.0, 100.0, 105.0):
                worth = max(100.0 - strike, 0.0) + 0.05 * (expiry - day).days + 0.1
                rows.append({
                    "instrument": "XNAS:US", "ts": close, "available_at": close, "root": "US", "strike": strike, "right": "call",
                    "contract_id": osi("US", expiry, "call", strike), "exercise_style": "american", "settlement": "PM",
                    "expiry_ts": ends[0] if len(ends) else datetime(2024, 3, 15, 20, tzinfo=UTC), "multiplier": 100.0,
                    "bid": worth - 0.05, "ask": worth + 0.05, "bid_size": 10.0, "ask_size": 10.0,
                })  # fmt: skip
    schema = table_of("chains").schema
    return pl.DataFrame(rows, schema_overrides={name: schema[name] for name in rows[0]}).match_to_schema(
        pl.Schema(schema), missing_columns="insert"
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    """A share in dollars with options on it, one in euros, and their pair."""
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        lineage = Lineage("test", "test", opened.clock.now())
        early = [datetime(2023, 12, 24, 22, tzinfo=UTC) + timedelta(days=n) for n in range(80)]
        for name, kind, currency, ts, price in (
            ("XNAS:US", "equity", "USD", DAYS["close"].to_list(), 100.0),
            ("XPAR:EU", "equity", "EUR", DAYS["close"].to_list(), 100.0),
            ("OANDA:EURUSD", "fx", "USD", early, 1.25),
        ):
            save_instrument(opened.ledger, default_instrument(name, kind, currency=currency))
            frame = pl.DataFrame({"instrument": [name] * len(ts), "ts": ts, "available_at": ts}
                                 | dict.fromkeys(("open", "high", "low", "close"), np.full(len(ts), price))
                                 | {"volume": [1e6] * len(ts), "reasons": [None] * len(ts)})  # fmt: skip
            opened.store.append(frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items()), lineage, table="bars/1d")
        opened.store.append(chain(), lineage, table="chains")
        yield opened


def read(workspace: fc.Workspace, **parts: Any) -> BacktestData:
    plan = plan_of({"data": {"instruments": ["XNAS:US", "XPAR:EU"]}, "strategies": [{"name": "buy_and_hold"}],
                    "account": {"cash": 10_000, "currency": "EUR"}} | parts)  # fmt: skip
    return backtest_data(workspace, plan, until=None, progress=silent)


CALLS = {"underlying": "XNAS:US", "days": [20, 50], "roll_days": 5, "contracts": 1}
LEGS = [{"right": "call", "side": "short", "moneyness": 1.05}, {"right": "call", "side": "long", "width": -5}]


@pytest.mark.parametrize("legs", [LEGS[:1], LEGS])
def test_contracts_of_a_chain_take_no_part_of_the_cash(workspace: fc.Workspace, legs: list[dict[str, Any]]) -> None:
    """Each contract counted as one of what shares the cash: of 10,000 euros 8,333.33 became dollars, not 5,000."""
    plain, found = read(workspace), read(workspace, options=CALLS | {"legs": legs})
    assert len(found.instruments) > len(plain.instruments) + 1
    words = "5,000.00 EUR become USD at the first open; later gains stay in their currency"
    assert words in plain.warnings
    assert words in found.warnings, found.warnings
