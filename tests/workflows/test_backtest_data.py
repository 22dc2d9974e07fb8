"""What a backtest reads: splits carried forward and never back, decision times, no bar of a sealed span."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, save_instrument
from fieldcast.data.actions import action_rows
from fieldcast.ground import InvalidInput, MissingData, load_settings
from fieldcast.market import BARS, default_instrument, sessions_between
from fieldcast.workflows import Workspace, open_workspace, seal_span
from fieldcast.workflows.backtest_data import backtest_data
from fieldcast.workflows.backtest_options import backtest_plan
from fieldcast.workflows.backtests import open_data
from fieldcast.workflows.progress import silent

pytestmark = pytest.mark.slow

DAYS = sessions_between("XNYS", date(2019, 1, 2), date(2019, 3, 29))
EX = date(2019, 2, 5)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A share at 100 with a split of 4 for 1 on 2019-02-05 and a dividend, a coin, and a rate."""
    with open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        close = np.where(DAYS["session"].to_numpy() < np.datetime64(EX), 100.0, 25.0) + np.arange(DAYS.height) * 0.01
        _store(opened, "XNAS:ONE", "equity", DAYS["close"], close)
        moments = pl.Series([datetime(2019, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(1, 60)])
        _store(opened, "BINANCE:COIN", "crypto", moments, 50.0 + np.arange(59.0))
        _store(opened, "FRED:RATE", "rate", DAYS["close"], np.full(DAYS.height, 2.0))
        actions = action_rows("XNAS:ONE", [EX, date(2019, 2, 20)], [4.0, None], [None, 0.5])
        opened.store.append(actions, Lineage("test", "test", opened.clock.now()), table="actions")
        yield opened


def _store(workspace: Workspace, name: str, kind: str, ts: Any, close: Any) -> None:
    instrument = default_instrument(name, kind)
    save_instrument(workspace.ledger, instrument)
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    frame = pl.DataFrame({"instrument": [name] * len(close), "ts": ts, "available_at": ts} | prices
                         | {"volume": [1e6] * len(close), "reasons": [None] * len(close)})  # fmt: skip
    lineage = Lineage("test", "test", workspace.clock.now())
    workspace.store.append(frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items()), lineage)


def read(workspace: Workspace, *names: str, **options: Any) -> Any:
    return backtest_data(workspace, backtest_plan(list(names), "rsi", **options), until=None, progress=silent)


def test_strategies_see_prices_that_run_on_through_a_split_and_orders_the_raw_ones(workspace: Workspace) -> None:
    data = read(workspace, "XNAS:ONE")
    raw, seen = data.market.close[0], data.signals[0]["close"]
    before = DAYS["session"].to_numpy() < np.datetime64(EX)
    assert np.allclose(raw[before][-1], 100.22)
    assert np.allclose(raw[~before][0], 25.23)
    assert (seen[before] == raw[before]).all(), "nothing that came later moves an earlier price"
    assert np.allclose(seen[~before], 4 * raw[~before])
    assert np.allclose(data.signals[0]["volume"][~before], 250_000)
    assert data.actions["action"].to_list() == ["split", "dividend"]
    cut = read(workspace, "XNAS:ONE", last=date(2019, 2, 4))
    assert (cut.signals[0]["close"] == seen[: cut.market.bars]).all()
    assert cut.actions.is_empty()


def test_a_run_on_raw_prices_and_one_without_actions(workspace: Workspace) -> None:
    plan = backtest_plan("XNAS:ONE", "rsi")
    raw = plan.model_copy(update={"data": plan.data.model_copy(update={"signals": "raw", "actions": "none"})})
    data = backtest_data(workspace, raw, until=None, progress=silent)
    assert (data.signals[0]["close"] == data.market.close[0]).all()
    assert data.actions.is_empty()
    assert data.data_hash != read(workspace, "XNAS:ONE").data_hash


def test_daily_decisions_come_half_an_hour_after_the_close_unless_the_market_is_open_by_then(workspace: Workspace) -> None:
    share, coin = read(workspace, "XNAS:ONE"), read(workspace, "BINANCE:COIN")
    half_an_hour = 1_800_000_000
    assert (share.signals[0]["decided_ts"] - share.market.ts == half_an_hour).all()
    assert (share.market.open_ts[1:] - share.market.ts[:-1] > half_an_hour).all(), "sessions open in the morning"
    assert (coin.signals[0]["decided_ts"][:-1] == coin.market.ts[:-1]).all()
    assert (coin.market.open_ts[1:] == coin.market.ts[:-1]).all()


def test_two_calendars_share_one_clock(workspace: Workspace) -> None:
    data = read(workspace, "XNAS:ONE", "BINANCE:COIN")
    assert data.market.bars == np.unique(np.concatenate([arrays["ts"] for arrays in data.signals])).size
    spread = data.spread([np.arange(1.0, len(arrays["ts"]) + 1) for arrays in data.signals])
    for row, places in enumerate(data.places):
        assert (spread[row, places] == np.arange(1.0, places.size + 1)).all()
        assert (spread[row, : places[0]] == 0).all(), "flat before its first bar"
        assert (np.diff(spread[row]) >= 0).all(), "the last target stands where there is no bar"
    wide = data.wide()
    assert wide["close"].shape == (2, data.market.bars)
    assert np.isnan(wide["close"]).any()
    assert wide["instruments"] == ["XNAS:ONE", "BINANCE:COIN"]


def test_what_is_only_watched_or_not_there_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InvalidInput, match="FRED:RATE, which is only watched"):
        read(workspace, "FRED:RATE")
    with pytest.raises(MissingData, match="XNAS:NONE"):
        read(workspace, "XNAS:NONE")
    with pytest.raises(MissingData, match="found 0; the store has 2019-01-02 to 2019-03-29"):
        read(workspace, "XNAS:ONE", first=date(2020, 1, 1))


def test_a_share_without_stored_actions_is_played_without_and_the_run_says_so(workspace: Workspace) -> None:
    _store(workspace, "XNAS:BARE", "equity", DAYS["close"], np.full(DAYS.height, 10.0))
    assert any("no splits or dividends are stored" in said for said in read(workspace, "XNAS:BARE").warnings)
    assert not read(workspace, "XNAS:ONE").warnings


def test_a_sealed_span_is_not_read(workspace: Workspace) -> None:
    _store(workspace, "XNAS:KEPT", "equity", DAYS["close"], np.full(DAYS.height, 10.0))
    seal_span(workspace, "later", ["XNAS:KEPT"], first=date(2019, 3, 1), last=date(2019, 3, 29))
    data = open_data(workspace, backtest_plan("XNAS:KEPT", "rsi"), silent)
    assert data.market.ts[-1] < datetime(2019, 3, 1, tzinfo=UTC).timestamp() * 1e6
    with pytest.raises(MissingData, match="sealed or unknown from"):
        open_data(workspace, backtest_plan("XNAS:KEPT", "rsi", first=date(2019, 3, 4)), silent)


def test_rounding_in_the_last_digit_of_adjusted_prices_is_no_obstacle(workspace: Workspace) -> None:
    close = np.full(DAYS.height, 23.96905518)
    close[3] = 23.969055181781246
    name = "XNAS:ADJ"
    save_instrument(workspace.ledger, default_instrument(name, "equity"))
    frame = pl.DataFrame({"instrument": [name] * DAYS.height, "ts": DAYS["close"], "available_at": DAYS["close"], "open": close,
                          "high": np.nextafter(close, 0.0), "low": close - 1, "close": close, "volume": [1.0] * DAYS.height,
                          "reasons": [None] * DAYS.height})  # fmt: skip
    lineage = Lineage("test", "other", workspace.clock.now())
    workspace.store.append(frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items()), lineage)
    assert read(workspace, name).market.bars == DAYS.height
