"""What a plan charges has to be meant for what it plays, and every amount in it is in a currency that is known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.ground import ConfigError, load_settings
from fieldcast.market import BARS, default_instrument, sessions_between
from fieldcast.simulation.event_table import EventKind
from fieldcast.simulation.financing import US_BORROW
from fieldcast.workflows.backtest_data import backtest_data
from fieldcast.workflows.backtest_financing import borrow_terms_of, days_a_year
from fieldcast.workflows.backtest_play import venue_settings
from fieldcast.workflows.backtest_settings import BacktestPlan, plan_of
from fieldcast.workflows.progress import silent

DAYS = sessions_between("XNYS", date(2023, 12, 1), date(2024, 3, 28))
MOMENTS = {
    "XNYS": DAYS["close"].to_list(),
    "24/7": [datetime(2023, 12, 2, tzinfo=UTC) + timedelta(days=n) for n in range(100)],
}
LISTED = (
    ("XNAS:US", "equity", "USD", "XNYS"), ("XPAR:EU", "equity", "EUR", "XNYS"), ("XTKS:JP", "equity", "JPY", "XNYS"),
    ("XLON:UK", "equity", "GBP", "XNYS"), ("BINANCE:COIN", "crypto", "USD", "24/7"), ("XCME:ES.2024H", "future", "USD", "XNYS"),
    ("XCME:ES.2024M", "future", "USD", "XNYS"), ("HYPERLIQUID:BTC-PERP", "future", "USD", "24/7"),
    ("OANDA:EURUSD", "fx", "USD", "XNYS"), ("OANDA:USDJPY", "fx", "JPY", "XNYS"), ("OANDA:GBPUSD", "fx", "USD", "XNYS"),
)  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    """Shares in four currencies, a coin and its perpetual, two contracts of a root, three pairs."""
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        for name, kind, currency, calendar in LISTED:
            save_instrument(opened.ledger, default_instrument(name, kind, currency=currency, calendar=calendar))
            ts = MOMENTS[calendar]
            prices = dict.fromkeys(("open", "high", "low", "close"), np.full(len(ts), 1.1 if kind == "fx" else 100.0))
            frame = pl.DataFrame({"instrument": [name] * len(ts), "ts": ts, "available_at": ts} | prices
                                 | {"volume": [1e6] * len(ts), "reasons": [None] * len(ts)})  # fmt: skip
            opened.store.append(frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items()),
                                Lineage("test", "test", opened.clock.now()))  # fmt: skip
        yield opened


def plan(*instruments: str, **parts: Any) -> BacktestPlan:
    data = {"instruments": instruments, "first": date(2023, 12, 6)}     # the pairs are known by then
    return plan_of({"data": data, "strategies": [{"name": "buy_and_hold"}]} | parts)


def read(workspace: fc.Workspace, found: BacktestPlan) -> Any:
    return backtest_data(workspace, found, until=None, progress=silent)


def said(workspace: fc.Workspace, found: BacktestPlan, words: str) -> list[str]:
    return [one for one in read(workspace, found).warnings if words in one]


# presets ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instrument", "preset", "words"),
    [
        ("XTKS:JP", "ibkr_fixed", "expected shares and funds in USD, .* found XTKS:JP of kind equity in JPY"),
        ("BINANCE:COIN", "alpaca", "found BINANCE:COIN of kind crypto in USD"),
        ("XNAS:US", "kraken", "expected coins and their futures, .* found XNAS:US of kind equity"),
        ("XNAS:US", "schwab_options", "expected options in USD, .* found XNAS:US"),
        ("XCME:ES.2024H", "binance_usd_margined", "found XCME:ES.2024H of kind future"),
    ],
)
def test_a_preset_for_something_else_is_refused_by_name(
    workspace: fc.Workspace, instrument: str, preset: str, words: str
) -> None:
    """100 shares at 2,800 yen paid one yen of commission, and 7.79 yen to the SEC."""
    found = plan(instrument, costs={"preset": preset})
    with pytest.raises(ConfigError, match=rf'costs\.preset = "{preset}": {words}' if "expected" in words else words):
        venue_settings(found, read(workspace, found))


@pytest.mark.parametrize(
    ("instrument", "preset"),
    [("XNAS:US", "ibkr_fixed"), ("BINANCE:COIN", "kraken"), ("HYPERLIQUID:BTC-PERP", "binance_usd_margined")],
)
def test_a_preset_for_what_is_played_is_charged(workspace: fc.Workspace, instrument: str, preset: str) -> None:
    found = plan(instrument, costs={"preset": preset}, financing={"funding": "none"})
    fees = venue_settings(found, read(workspace, found)).costs.fees
    assert fees is not None
    assert fees.name == preset


# borrow and interest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "days"),
    [(name, 365) for name in ("GBP", "AUD", "CAD", "NZD", "HKD", "SGD", "ZAR", "INR", "PLN", "THB", "KRW", "TWD")]
    + [(name, 360) for name in ("USD", "EUR", "CHF", "JPY", "SEK", "NOK", "DKK", "CNY", "MXN", "ILS")],
)
def test_a_year_of_a_money_market_has_the_days_of_its_currency(currency: str, days: int) -> None:
    assert days_a_year(currency) == days


def test_shares_in_dollars_are_lent_by_the_us_convention_and_others_without_its_step(workspace: fc.Workspace) -> None:
    """A share at 0.85 pounds was lent on a whole pound (15.3 % more), of a year of 360 days."""
    account = {"currency": "USD", "margin": "reg_t"}
    data = read(workspace, plan("XNAS:US", "XLON:UK", account=account, financing={"borrow": 0.05}))
    terms = borrow_terms_of(data.market)
    assert terms["XNAS:US"] == US_BORROW
    assert (terms["XLON:UK"].days_a_year, terms["XLON:UK"].collateral_step) == (365, Decimal(0))
    table = data.events
    for name, days, step in (("XNAS:US", 360, True), ("XLON:UK", 365, False)):
        rows = (table.kind == EventKind.BORROW) & (table.instrument == table.instruments.index(name))
        assert rows.any()
        assert set(table.c[rows].tolist()) == {days}
        assert bool(table.e[rows].any()) == step
        assert set((table.d[rows] / 1e8).tolist()) == {1.02}


def free_of(data: Any) -> dict[str, Decimal]:
    table = data.events
    rows = table.kind == EventKind.INTEREST
    amounts = zip(table.currency[rows], table.e[rows], strict=True)
    return {table.currencies[c]: Decimal(int(free)).scaleb(-8) for c, free in amounts}


def test_what_bears_no_credit_is_stated_by_currency(workspace: fc.Workspace) -> None:
    """10,000 dollars and 10,000 yen (65 dollars) were one key."""
    interest = {"USD": 0.03, "JPY": 0.01}
    two = plan("XNAS:US", "XTKS:JP", account={"currency": "USD"},
               financing={"interest": interest, "free_of_credit": {"USD": 10_000, "JPY": 1_500_000}})  # fmt: skip
    assert free_of(read(workspace, two)) == {"USD": 10_000, "JPY": 1_500_000}
    one = plan("XNAS:US", "XTKS:JP", account={"currency": "USD"},
               financing={"interest": interest, "free_of_credit": {"USD": 10_000}})  # fmt: skip
    assert free_of(read(workspace, one)) == {"USD": 10_000, "JPY": 0}
    assert not said(workspace, one, "free_of_credit")
    both = plan("XNAS:US", "XTKS:JP", account={"currency": "USD"}, financing={"interest": interest, "free_of_credit": 10_000})
    assert free_of(read(workspace, both)) == {"USD": 10_000, "JPY": 10_000}
    assert said(workspace, both, "free_of_credit: 10,000 of each of USD, JPY bear no credit")
    with pytest.raises(ConfigError, match=r"free_of_credit: expected currencies of interest \(USD\), found EUR"):
        plan("XNAS:US", financing={"interest": {"USD": 0.03}, "free_of_credit": {"EUR": 5}})


# keys that do nothing ---------------------------------------------------------------------------------------------------


def test_a_rate_of_currencies_that_the_run_has_not_is_named_and_not_taken(workspace: fc.Workspace) -> None:
    pairs = ["OANDA:EURUSD", "OANDA:USDJPY"]
    found = plan("XNAS:US", account={"currency": "EUR"}, fx={"pairs": pairs, "stated": {"USDT/USD": 1}})
    assert not said(workspace, found, "is taken for")
    assert said(workspace, found, "fx.stated USDT/USD changes nothing: the run is in EUR, USD")
    assert said(workspace, found, "fx.pairs OANDA:USDJPY changes nothing: the run is in EUR, USD")
    used = plan("XTKS:JP", account={"currency": "EUR"}, fx={"pairs": pairs})
    assert not said(workspace, used, "changes nothing")
    stated = plan("XTKS:JP", account={"currency": "USD"}, fx={"stated": {"JPY/USD": "0.01"}})
    assert said(workspace, stated, "1 JPY is taken for 0.01 USD throughout, as the plan states")


@pytest.mark.parametrize("part", [{"perpetual": True}, {"perpetual": False}, {"perpetual": True, "funding": 0.0001}])
def test_a_root_of_futures_pays_no_funding_and_says_so(workspace: fc.Workspace, part: dict[str, Any]) -> None:
    """It passed, and did nothing: funding is looked up by the contract's id."""
    with pytest.raises(ConfigError, match=r"instruments.XCME:ES: .* found perpetual.* of a root of futures"):
        read(workspace, plan("XCME:ES", futures={}, instruments={"XCME:ES": part}))


@pytest.mark.parametrize(("shortfall", "words"), [("cut", "own currency is cut to it"), ("reject", "own currency is refused")])
def test_what_becomes_of_an_order_beyond_the_cash_is_said_as_it_is(
    workspace: fc.Workspace, shortfall: str, words: str
) -> None:
    found = plan("XNAS:US", "XPAR:EU", account={"currency": "EUR"}, fx={"pairs": ["OANDA:EURUSD"]},
                 fills={"shortfall": shortfall})  # fmt: skip
    notes = said(workspace, found, "without margin")
    assert len(notes) == 1
    assert words in notes[0]


def test_a_borrow_rate_below_zero_is_no_plan() -> None:
    with pytest.raises(ConfigError, match=r"borrow: expected a rate of at least 0, found -0\.1"):
        plan("XNAS:US", instruments={"XNAS:US": {"borrow": -0.1}})


def test_a_stated_rate_of_funding_is_shown_whole(workspace: fc.Workspace) -> None:
    """0.0000125 an hour stood there as 0.0013%."""
    found = plan("HYPERLIQUID:BTC-PERP", financing={"funding": 0.0000125, "funding_hours": 1})
    assert said(workspace, found, "0.00125% is paid every hour, as the plan states")
    usual = plan("HYPERLIQUID:BTC-PERP", financing={"funding": 0.0001})
    assert said(workspace, usual, "0.0100% is paid every 8 hours, as the plan states")
