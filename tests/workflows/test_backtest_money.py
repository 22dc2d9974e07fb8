"""Money in a plan: currencies and their rates, borrow, interest, funding, margin, and what is refused of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.data.actions import action_rows
from fieldcast.ground import ConfigError, ConflictError, InvalidInput, MissingData, load_settings
from fieldcast.market import BARS, default_instrument, sessions_between
from fieldcast.market.tables import FUNDING, MACRO
from fieldcast.simulation.financing import nights
from fieldcast.workflows.backtest_settings import plan_of
from fieldcast.workflows.backtests import returns_of

pytestmark = pytest.mark.slow      # the venue's kernels take most of a minute to compile

DAYS = sessions_between("XNYS", date(2019, 1, 2), date(2019, 3, 29))
N = DAYS.height
FREE = {"half_spread_bps": 0, "slippage_bps": 0, "commission_bps": 0}
HOURS = [datetime(2019, 1, 2, tzinfo=UTC) + timedelta(hours=n) for n in range(1, 241)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    """Shares at a constant 100 in dollars and in euros, a pair that rises from 1.10 to 1.20, a perpetual future, series."""
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        flat = np.full(N, 100.0)
        _store(opened, "XNAS:US", "equity", DAYS["close"].to_list(), flat)
        _store(opened, "XNAS:PAYER", "equity", DAYS["close"].to_list(), flat)
        late = sessions_between("XNYS", date(2025, 5, 1), date(2025, 6, 30))["close"].to_list()
        _store(opened, "XNAS:LATE", "equity", late, np.full(len(late), 100.0))
        dividend = action_rows("XNAS:PAYER", [date(2019, 2, 20)], [None], [0.5])
        opened.store.append(dividend, Lineage("test", "test", opened.clock.now()), table="actions")
        _store(opened, "XPAR:EU", "equity", DAYS["close"].to_list(), flat, currency="EUR")
        _store(opened, "XTKS:JP", "equity", DAYS["close"].to_list(), flat, currency="JPY")
        early = [datetime(2018, 12, 24, 22, tzinfo=UTC) + timedelta(days=n) for n in range(100)]
        rates = np.round(np.where(np.arange(100) < 40, 1.10, 1.20), 5)
        _store(opened, "OANDA:EURUSD", "fx", early, rates, dataset="oanda")
        _store(opened, "HYPERLIQUID:COIN-PERP", "future", HOURS, np.full(240, 50.0), table="bars/1h", calendar="24/7")
        paid = pl.DataFrame({"instrument": "HYPERLIQUID:COIN-PERP", "ts": HOURS[7::8], "available_at": HOURS[7::8], "rate": 0.001,
                             "mark": 50.0, "reasons": None})  # fmt: skip
        lineage = Lineage("test", "test", opened.clock.now())
        opened.store.append(paid.select(pl.col(k).cast(v) for k, v in FUNDING.schema.items()), lineage, table="funding")
        for name, unit in (("FED:FUNDS", "percent"), ("FED:MONEY", "billions of dollars")):
            rows = pl.DataFrame({"instrument": name, "ts": [early[0], early[50]], "available_at": [early[1], early[51]],
                                 "value": [2.0, 3.0], "unit": unit, "reasons": None})  # fmt: skip
            opened.store.append(rows.select(pl.col(k).cast(v) for k, v in MACRO.schema.items()), lineage, table="macro")
        yield opened


def _store(
    workspace: fc.Workspace, name: str, kind: str, ts: Sequence[datetime], close: Any, *, currency: str = "USD",
    table: str = "bars/1d", dataset: str = "test", calendar: str | None = None,
) -> None:  # fmt: skip
    save_instrument(workspace.ledger, default_instrument(name, kind, currency=currency, calendar=calendar))
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    frame = pl.DataFrame({"instrument": [name] * len(close), "ts": ts, "available_at": ts} | prices
                         | {"volume": [1e6] * len(close), "reasons": [None] * len(close)})  # fmt: skip
    lineage = Lineage(dataset, dataset, workspace.clock.now())
    workspace.store.append(frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items()), lineage, table=table)


def run(workspace: fc.Workspace, *instruments: str, strategy: str = "buy_and_hold", **parts: Any) -> Any:
    plan = plan_of(
        {"data": {"instruments": instruments} | parts.pop("data", {}), "strategies": [{"name": strategy, **parts.pop("own", {})}],
         "costs": FREE, "family": "money"} | parts
    )  # fmt: skip
    return fc.backtest(workspace, plan).runs[0]


# currencies -----------------------------------------------------------------------------------------------------------


def test_an_account_in_euros_converts_holds_and_is_worth_what_the_rates_say(workspace: fc.Workspace) -> None:
    found = run(workspace, "XNAS:US", account={"cash": 11_000, "currency": "EUR"},
                fx={"half_spread_bps": 10, "commission_bps": 20, "at_start": "convert"})  # fmt: skip
    received = Decimal(11_000) * Decimal("1.10") * Decimal("0.999")
    dollars = received - (received * Decimal("0.002")).quantize(Decimal("0.01"), "ROUND_CEILING")
    assert found.result.positions["quantity"][0] == dollars // 100
    last = found.result.equity["equity"][-1]
    assert last == pytest.approx(float(dollars) / 1.20, abs=0.03)       # the shares stand at 100 all the time
    costs = found.report.costs
    assert costs.other_fees == pytest.approx(float(received) * 0.002 / 1.10, abs=0.02)
    assert costs.financing["conversion"] == pytest.approx(-11.0, abs=0.02)      # half the spread, 10 bps of 11,000
    assert costs.exchange == pytest.approx(float(dollars) * (1 / 1.20 - 1 / 1.10), abs=0.05)
    assert sum(amount for _, amount in costs.steps) == pytest.approx(costs.profit, abs=1e-6)
    assert found.report.attribution.unexplained == pytest.approx(0.0, abs=1e-6)
    page = (found.folder / "report.html").read_text()
    assert "exchange rates" in page
    assert "become USD at the first open" in page
    found.result.verify()


def test_the_least_of_a_conversion_is_of_what_it_buys_and_that_of_an_order_of_its_instrument(workspace: fc.Workspace) -> None:
    """11,000 euros at 1.10 are 12,100 dollars, of which 100 dollars are taken; the order pays 300 of its own currency."""
    found = run(workspace, "XNAS:US", account={"cash": 11_000, "currency": "EUR"},
                fx={"pairs": ["OANDA:EURUSD"], "half_spread_bps": 0, "commission_bps": 0, "minimum_commission": 100},
                costs=FREE | {"minimum_commission": 300})  # fmt: skip
    moved = found.result.journal.filter((pl.col("kind") == "conversion") & (pl.col("account") == "cash"))
    amounts = dict(moved.group_by("currency").agg(pl.col("amount_minor").sum()).iter_rows())
    unit = 10**found.result.units.cash_decimals
    assert amounts == {"EUR": -11_000 * unit, "USD": 12_000 * unit}
    assert found.result.positions["quantity"][0] == 117
    assert found.result.cash["USD"] == 0
    yen = run(workspace, "XTKS:JP", account={"cash": 100_000, "currency": "JPY"}, costs=FREE | {"minimum_commission": 2})
    assert yen.result.fills["fee"].to_list() == [2.0]


def test_in_one_currency_there_is_no_exchange_and_the_figures_are_as_they_were(workspace: fc.Workspace) -> None:
    found = run(workspace, "XNAS:US", costs={"half_spread_bps": 5})
    assert found.report.costs.exchange == 0.0
    assert dict(found.report.costs.steps).keys() == {"before costs", "spread", "slippage", "commissions"}


def test_shares_in_two_currencies_get_their_parts_and_both_are_in_every_sum(workspace: fc.Workspace) -> None:
    found = run(workspace, "XNAS:US", "XPAR:EU", account={"cash": 20_000, "currency": "EUR"},
                fx={"half_spread_bps": 0, "commission_bps": 0}, costs=FREE | {"commission_bps": 10})  # fmt: skip
    fills = {row["instrument"]: row for row in found.result.fills.to_dicts()}
    assert fills["XPAR:EU"]["quantity"] == pytest.approx(100, abs=1)
    assert fills["XNAS:US"]["quantity"] == pytest.approx(110, abs=1)
    traded = sum(row["quantity"] * 100 / (1.10 if name == "XNAS:US" else 1.0) for name, row in fills.items())
    assert found.report.costs.traded_value == pytest.approx(traded, rel=1e-6)
    assert found.report.costs.commissions == pytest.approx(traded * 0.001, abs=0.03)
    assert found.report.activity.turnover.value is not None


def test_stated_cash_is_left_as_it_is_and_conversions_happen_when_they_are_asked_for(workspace: fc.Workspace) -> None:
    when = {"at": date(2019, 1, 10), "sold": "EUR", "bought": "USD", "amount": 100}
    found = run(workspace, "XNAS:US", account={"cash": {"EUR": 1_000, "USD": 500}, "currency": "EUR"},
                fx={"half_spread_bps": 0, "commission_bps": 0, "conversions": [when]})  # fmt: skip
    assert found.result.start_equity == pytest.approx(1_000 + 500 / 1.10, abs=0.01)
    assert found.result.positions["quantity"][0] == 5       # cut to the dollars that there are
    moved = found.result.journal.filter((pl.col("kind") == "conversion") & (pl.col("account") == "cash"))
    assert moved["ts"].dt.date().unique().to_list() == [date(2019, 1, 10)]
    assert found.result.cash["EUR"] == 900 * 10**found.result.units.cash_decimals


def test_a_stated_rate_is_named_on_the_report(workspace: fc.Workspace) -> None:
    found = run(workspace, "XTKS:JP", account={"cash": 1_000, "currency": "USD"}, fx={"stated": {"JPY/USD": "0.01"}})
    assert found.report.costs.exchange == 0.0
    assert "1 JPY is taken for 0.01 USD throughout, as the plan states" in found.report.warnings


@pytest.mark.parametrize(
    ("instruments", "parts", "kind", "said"),
    [
        (["XNAS:US", "XPAR:EU"], {}, ConfigError, 'currency = "USD"'),
        (["XTKS:JP"], {"account": {"currency": "USD"}}, MissingData, 'stated = { "JPY/USD" = 1.0 }'),
        (["XNAS:US"], {"account": {"currency": "EUR"}, "data": {"first": date(2019, 1, 2)}, "fx": {"longest_age_hours": 1}},
         MissingData, "at most 1 hours old"),
        (["XNAS:US"], {"financing": {"interest": {"CHF": 0.01}}}, ConfigError, "currencies of the run"),
        (["XNAS:US"], {"financing": {"interest": {"USD": "FED:MONEY"}}}, ConfigError, "in percent"),
        (["XNAS:US"], {"financing": {"interest": {"USD": "FED:NONE"}}}, MissingData, "FED:NONE in the table macro"),
        (["XNAS:US"], {"account": {"cash": {"EUR": 5, "USD": 5}}}, ConfigError, "currency"),
        (["XNAS:US"], {"account": {"cash": {"USD": 0}}}, ConfigError, "above 0"),
        (["XNAS:US"], {"account": {"margin": "some"}}, ConfigError, "none or reg_t"),
        (["XNAS:US"], {"account": {"margin": {"initial": 0.1, "maintenance": 0.5}}}, ConfigError, "maintenance margin"),
        (["XNAS:US"], {"instruments": {"XNAS:EU": {}}}, ConfigError, "XNAS:EU"),
        (["XNAS:US"], {"financing": {"borrow": -0.1}}, ConfigError, "at least 0"),
        (["XNAS:US"], {"financing": {"funding_hours": 7}}, ConfigError, "part of a day"),
        (["XNAS:US"], {"fx": {"stated": {"USD": 1}}}, ConfigError, "USDT/USD"),
        (["XNAS:US"], {"fills": {"intrabar": "finer"}}, ConfigError, "finer"),
        (["XNAS:US"], {"fills": {"intrabar": "finer", "finer": "bars/1d"}}, ConfigError, "finer than bars/1d"),
        (["XNAS:US"], {"fills": {"intrabar": "finer", "finer": "bars/1h"}}, MissingData, "XNAS:US"),
        (["XNAS:US"], {"fills": {"latency": 1, "convention": "same_close"}}, ConfigError, "late and at once"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_refused_with_what_to_do(
    workspace: fc.Workspace, instruments: list[str], parts: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said.replace("(", r"\(").replace("{", r"\{").replace("}", r"\}")):
        run(workspace, *instruments, **parts)


def test_two_pairs_of_the_same_currencies_have_to_be_told_apart(workspace: fc.Workspace) -> None:
    _store(workspace, "OTHER:EURUSD", "fx", [DAYS["close"][0], DAYS["close"][1]], np.array([1.1, 1.1]), dataset="other")
    with pytest.raises(ConflictError, match=r"fx\.pairs"):
        run(workspace, "XNAS:US", account={"currency": "EUR"})
    found = run(workspace, "XNAS:US", account={"currency": "EUR"}, fx={"pairs": ["OANDA:EURUSD"]})
    assert found.report.currency == "EUR"


# financing ------------------------------------------------------------------------------------------------------------


def test_a_short_pays_borrow_and_a_balance_earns_by_a_series_as_it_was_known(workspace: fc.Workspace, tmp_path: Any) -> None:
    """50 shares short at 100 from the second bar on; their proceeds earn nothing, so the balance is the 10,000 that were paid in.

    Each night: 10,000 at the rate known then, down to the cent; 50 shares on 102 each at 5 %, up to it.
    """
    (tmp_path / "short.py").write_text("def targets(bars):\n    return 0 * bars['close'] - 0.5\n")
    found = fc.backtest(workspace, plan_of({
        "data": {"instruments": ["XNAS:US"]}, "strategies": [{"file": str(tmp_path / "short.py")}], "costs": FREE,
        "account": {"cash": 10_000, "margin": {"initial": 0.5, "maintenance": 0.25}},
        "financing": {"borrow": 0.05, "interest": {"USD": "FED:FUNDS"}, "credit_spread": 0.005},
    })).runs[0]  # fmt: skip
    assert found.result.positions["quantity"][0] == -50
    market, cents = found.result.market, 10**found.result.units.cash_decimals
    closes, days = nights("XNYS", int(market.open_ts[0]), int(market.ts[-1]))
    since = int(datetime(2019, 2, 13, 22, tzinfo=UTC).timestamp() * 1e6)     # when the second value became known
    cash, earned, lent = Decimal(10_000), Decimal(0), Decimal(0)
    for close, n in zip(closes, days, strict=True):
        rate = (Decimal("0.02") if close < since else Decimal("0.03")) - Decimal("0.005")
        fee = (50 * 102 * Decimal("0.05") * int(n) / 360).quantize(Decimal("0.01"), "ROUND_CEILING")
        fee = fee if close >= int(market.ts[1]) else Decimal(0)     # it is short from the second bar on
        credit = ((cash - fee) * rate * int(n) / 360).quantize(Decimal("0.01"), "ROUND_FLOOR")
        earned, lent, cash = earned + credit, lent + fee, cash + credit - fee
    booked = {name: -found.result.journal.filter(pl.col("account") == name)["amount_minor"].sum() / cents
              for name in ("interest", "borrow")}  # fmt: skip
    assert booked["interest"] == pytest.approx(float(earned), abs=1e-9)
    assert booked["borrow"] == pytest.approx(-float(lent), abs=1e-9)
    assert not any("lent for nothing" in said for said in found.report.warnings)


def test_borrow_is_charged_on_what_is_short_and_its_lack_is_said(workspace: fc.Workspace, tmp_path: Any) -> None:
    (tmp_path / "short.py").write_text("def targets(bars):\n    return 0 * bars['close'] - 0.5\n")
    parts: dict[str, Any] = {"account": {"cash": 10_000, "margin": "reg_t"}}
    values = {"data": {"instruments": ["XNAS:US"]}, "strategies": [{"file": str(tmp_path / "short.py")}], "costs": FREE} | parts
    free = fc.backtest(workspace, plan_of(values)).runs[0]
    paid = fc.backtest(workspace, plan_of(values | {"financing": {"borrow": 0.036}})).runs[0]
    own = fc.backtest(workspace, plan_of(values | {"instruments": {"XNAS:US": {"borrow": 0.072}}})).runs[0]
    assert any("lent for nothing" in said for said in free.report.warnings)
    assert "borrow" not in free.report.costs.financing
    market = paid.result.market
    closes, days = nights("XNYS", int(market.open_ts[0]), int(market.ts[-1]))
    held = days[closes >= int(market.ts[1])].sum()
    fee = 50 * 102 * 0.036 * held / 360     # 102 % of the price, whole dollars
    assert paid.report.costs.financing["borrow"] == pytest.approx(-fee, abs=0.01 * len(days))
    assert own.report.costs.financing["borrow"] == pytest.approx(-2 * fee, abs=0.01 * len(days))
    assert paid.id != free.id


def test_a_perpetual_pays_what_is_stored_or_stated_and_says_what_it_lacks(workspace: fc.Workspace) -> None:
    where: dict[str, Any] = {
        "data": {"table": "bars/1h"},
        "instruments": {"HYPERLIQUID:COIN-PERP": {"lot": "0.1", "margin": {"initial": 0.2, "maintenance": 0.1}}},
    }
    stored = run(workspace, "HYPERLIQUID:COIN-PERP", **where)
    held = stored.result.positions["quantity"][0]
    assert held == pytest.approx(2_000, abs=1)
    assert stored.result.journal.filter(pl.col("account") == "funding").height == 30
    assert stored.report.costs.financing["funding"] == pytest.approx(-held * 50 * 0.001 * 30, abs=0.01 * 30)
    stated = run(workspace, "HYPERLIQUID:COIN-PERP", **where, financing={"funding": -0.002})
    assert stated.report.costs.financing["funding"] == pytest.approx(held * 50 * 0.002 * 30, abs=0.01 * 30)
    assert any("is paid every 8 hours, as the plan states" in said for said in stated.report.warnings)
    none = run(workspace, "HYPERLIQUID:COIN-PERP", **where, financing={"funding": "none"})
    assert "funding" not in none.report.costs.financing
    assert none.report.warnings[0] == "HYPERLIQUID:COIN-PERP: no funding is paid, as the plan states"


# margin ---------------------------------------------------------------------------------------------------------------


def test_an_instruments_own_margin_bounds_it_and_the_accounts_the_others(workspace: fc.Workspace) -> None:
    twice = run(workspace, "XNAS:US", account={"cash": 10_000, "weight": 2, "margin": {"initial": 0.4, "maintenance": 0.2}})
    assert twice.result.positions["quantity"][0] == 200
    own = run(workspace, "XNAS:US", account={"cash": 10_000, "weight": 2},
              instruments={"XNAS:US": {"margin": {"initial": 0.5, "maintenance": 0.2}}})  # fmt: skip
    assert own.result.positions["quantity"][0] == 200
    by_contract = {"HYPERLIQUID:COIN-PERP": {"margin": {"initial_per_contract": 40, "maintenance_per_contract": 20}}}
    found = run(workspace, "HYPERLIQUID:COIN-PERP", data={"table": "bars/1h"}, account={"cash": 10_000, "weight": 2},
                instruments=by_contract, financing={"funding": "none"})  # fmt: skip
    assert found.result.positions["quantity"][0] == 250      # 10,000 / 40 a contract, of the 400 that were asked for
    with pytest.raises(ConfigError, match="reg_t"):
        run(workspace, "XNAS:US", account={"cash": 10_000, "weight": 2})


def test_the_settings_of_the_venue_stand_in_the_run(workspace: fc.Workspace) -> None:
    found = run(workspace, "XNAS:US", account={"pdt": True, "pdt_equity": 30_000, "shorts": False, "margin": "reg_t"},
                fills={"latency": 1.5, "limit_touch": True, "untrusted_open": "reject"})  # fmt: skip
    told = json.loads((found.folder / "run.json").read_text())["configuration"]
    assert told["account"]["pdt"] is True
    settings = found.result.settings
    assert (settings["pattern_day_trader"], settings["pattern_equity"], settings["shorts"]) == (True, "30000", False)
    assert (settings["latency_us"], settings["limit_touch"], settings["untrusted_open"]) == (1_500_000, True, "reject")
    assert "latency" in (found.folder / "report.html").read_text()


def test_a_share_of_a_dividend_is_withheld(workspace: fc.Workspace) -> None:
    """100 shares at 100, 0.50 each: 50.00, of which 15 % is 7.50; an instrument's own share comes before the run's."""
    def equity(**parts: Any) -> float:
        found = run(workspace, "XNAS:PAYER", account={"cash": 10_000}, **parts)
        return float(found.result.equity["equity"][-1])

    own = {"XNAS:PAYER": {"withholding": 0.3}}
    assert equity() == 10_050.0
    assert equity(financing={"withholding": 0.15}) == 10_042.5
    assert equity(financing={"withholding": 0.15}, instruments=own) == 10_035.0


def test_fees_of_the_day_are_charged_or_refused(workspace: fc.Workspace) -> None:
    dated = {**FREE, "regulatory": "by_date"}
    with pytest.raises(MissingData, match="trading activity fee on record"):
        run(workspace, "XNAS:US", costs=dated)
    plan = plan_of({"data": {"instruments": ["XTKS:JP"]}, "strategies": [{"name": "buy_and_hold"}], "costs": dated})
    assert fc.backtest(workspace, plan).runs[0].result.fills["fee"].to_list() == [0.0]      # they are taken of US shares alone


# what cannot play it --------------------------------------------------------------------------------------------------


def test_a_sweep_refuses_currencies_and_says_that_it_pays_no_financing(workspace: fc.Workspace) -> None:
    grid = fc.parameter_grid(["fast=2:3", "slow=5:6"])
    several = plan_of({"data": {"instruments": ["XNAS:US"]}, "strategies": [{"name": "sma_cross"}],
                       "account": {"currency": "EUR"}, "fx": {"pairs": ["OANDA:EURUSD"]}})  # fmt: skip
    with pytest.raises(ConfigError, match="one currency"):
        fc.sweep(workspace, several, grid)
    paid = plan_of({"data": {"instruments": ["XNAS:US"]}, "strategies": [{"name": "sma_cross"}],
                    "financing": {"interest": {"USD": 0.02}}})  # fmt: skip
    assert any("interest left out" in said for said in fc.sweep(workspace, paid, grid).warnings)
    dated = plan_of({"data": {"instruments": ["XNAS:LATE"]}, "strategies": [{"name": "sma_cross"}],
                     "costs": {"regulatory": "by_date"}})  # fmt: skip
    with pytest.raises(ConfigError, match="by_date"):
        fc.sweep(workspace, dated, grid)
    sized = plan_of({"data": {"instruments": ["XNAS:US"]}, "strategies": [{"name": "sma_cross"}], "sizing": {"cap": 0.5}})
    with pytest.raises(ConfigError, match="sizing"):
        fc.sweep(workspace, sized, grid)


def test_a_sealed_pair_gives_no_rate(workspace: fc.Workspace) -> None:
    days = [datetime(2018, 12, 24, 22, tzinfo=UTC) + timedelta(days=n) for n in range(100)]
    _store(workspace, "OANDA:GBPUSD", "fx", days, np.full(100, 1.3), dataset="oanda")
    fc.seal_span(workspace, "pair", ["OANDA:GBPUSD"], first=date(2019, 3, 1), last=date(2019, 3, 29))
    with pytest.raises(MissingData, match="OANDA:GBPUSD"):      # found among the stored pairs
        run(workspace, "XNAS:US", account={"currency": "GBP"}, data={"last": date(2019, 3, 20)})
    named = run(workspace, "XNAS:US", account={"currency": "GBP"}, fx={"pairs": ["OANDA:GBPUSD"]})
    assert named.report.end.date() < date(2019, 3, 1)


# the gate, and days that begin the evening before ---------------------------------------------------------------------


def test_a_run_in_two_currencies_is_put_to_the_gate(workspace: fc.Workspace) -> None:
    """It was refused. Prices stand still, so what the account earns before costs is what the euro did to its half."""
    plan = plan_of({"data": {"instruments": ("XNAS:US", "XPAR:EU")}, "strategies": [{"name": "buy_and_hold"}], "costs": FREE,
                    "family": "gate in two currencies", "benchmark": "XNAS:US", "fx": {"pairs": ["OANDA:EURUSD"]},
                    "account": {"cash": 20_000, "currency": "USD"}})  # fmt: skip
    found = fc.backtest(workspace, plan, gate=True).runs[0]
    judged = found.gate.result
    assert judged is not None
    assert judged.n == N - 2
    growth = (judged.gross_mean - judged.cost_mean) * judged.n
    last, first = (float(found.result.equity["equity"][row]) for row in (-1, 1))
    assert growth == pytest.approx(last / first - 1.0, abs=2e-4)        # one step of the rate, so the sum is the product
    assert growth > 0.03


def test_the_days_of_a_run_on_globex_are_its_sessions_also_beside_a_coin(workspace: fc.Workspace) -> None:
    begin = datetime(2019, 2, 4, 0, tzinfo=UTC)       # Sunday, 18:00 in Chicago
    hours = [begin + timedelta(hours=n) for n in range(117) if n % 24 != 23]
    _store(workspace, "XCME:GX", "future", hours, np.linspace(100.0, 111.0, len(hours)), table="bars/1h", calendar="CMES")
    _store(workspace, "KRAKEN:COIN", "crypto", hours, np.full(len(hours), 50.0), table="bars/1h", calendar="24/7")
    one = run(workspace, "XCME:GX", data={"table": "bars/1h"})
    days = [date(2019, 2, day) for day in range(4, 9)]
    assert returns_of(one.result).dates.tolist() == days
    with pytest.raises(InvalidInput, match="calendar"):
        run(workspace, "XCME:GX", "KRAKEN:COIN", data={"table": "bars/1h"})
    both = run(workspace, "XCME:GX", "KRAKEN:COIN", data={"table": "bars/1h", "calendar": "CMES"})
    assert returns_of(both.result).dates.tolist() == days
    assert both.result.positions.height == 2


# two runs beside each other -------------------------------------------------------------------------------------------


def test_runs_in_two_currencies_are_compared_order_by_order(workspace: fc.Workspace) -> None:
    """Golden: half is in each share; 5 bps of commission on 5,000 dollars and on 4,500 euros, which end at 1.20."""
    where: dict[str, Any] = {"account": {"cash": 10_000, "currency": "USD"}, "fx": {"pairs": ["OANDA:EURUSD"]}}
    free = run(workspace, "XNAS:US", "XPAR:EU", **where)
    paid = run(workspace, "XNAS:US", "XPAR:EU", **where, costs=FREE | {"commission_bps": 5})
    found = fc.compare(workspace, free.id, paid.id).differences
    assert found is not None
    assert abs(float(found.unexplained)) < 0.02          # cents of the conversion of each position
    amounts: dict[str, float] = {}
    for one in found.differences:
        if str(one.cause) == "cost":
            amounts[one.instrument] = amounts.get(one.instrument, 0.0) + float(one.amount)
    fees = {row["instrument"]: row["fee"] for row in paid.result.fills.iter_rows(named=True)}
    assert amounts["XPAR:EU"] == pytest.approx(-fees["XPAR:EU"] * 1.2)
    assert amounts["XNAS:US"] == pytest.approx(-fees["XNAS:US"])
    assert min(fees.values()) > 1.0


def test_another_last_rate_is_a_cause_of_its_own(workspace: fc.Workspace) -> None:
    """Cash in euros alone; the second run states a rate."""
    where: dict[str, Any] = {"account": {"cash": {"USD": 10_000, "EUR": 5_000}, "currency": "USD"}}
    first = run(workspace, "XNAS:US", **where, fx={"pairs": ["OANDA:EURUSD"]})
    second = run(workspace, "XNAS:US", **where, fx={"stated": {"EUR/USD": "1.5"}})
    found = fc.compare(workspace, first.id, second.id).differences
    assert found is not None
    assert float(found.by_cause["rate"][1]) == pytest.approx(5_000 * (1.5 - 1.2))  # type: ignore[index]
    assert abs(float(found.unexplained)) < 0.02


def test_a_future_that_is_paid_in_its_coin_is_refused_by_name(workspace: fc.Workspace) -> None:
    """COIN-M: gains are in the coin and not linear in the price; a future against USD of another venue is linear."""
    for name in ("BINANCE:BTCUSD-PERP", "HYPERLIQUID:BTC-PERP"):
        _store(workspace, name, "future", HOURS, np.full(240, 50.0), table="bars/1h", calendar="24/7")
    where: dict[str, Any] = {"data": {"table": "bars/1h"}, "financing": {"funding": "none"}}
    with pytest.raises(InvalidInput, match=r"BINANCE:BTCUSD-PERP: a coin's future against USD is paid in the coin"):
        run(workspace, "BINANCE:BTCUSD-PERP", **where)
    assert run(workspace, "HYPERLIQUID:BTC-PERP", **where).result.fills.height == 1
