"""The hash of a plan names its runs: it stays what it was, however the plan's classes are laid out."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fieldcast.workflows.backtest_settings import load_backtest_plan, plan_of

LEAST: dict[str, Any] = {"data": {"instruments": ["XNAS:AAA"]}, "strategies": [{"name": "buy_and_hold"}]}
MONEY = LEAST | {
    "family": "of money",
    "data": {"instruments": ["XNAS:AAA", "XPAR:BBB"], "first": date(2019, 1, 2), "last": date(2020, 1, 3), "signals": "raw"},
    "account": {"cash": {"EUR": 60_000, "USD": "10000.0"}, "currency": "EUR", "margin": {"initial": 0.3, "maintenance": 0.2},
                "pdt": True, "pdt_equity": 30_000},
    "costs": {"half_spread_bps": 2, "minimum_commission": 1, "regulatory": "by_date"},
    "fills": {"shortfall": "reject", "latency": 1.5, "volume_share": 0.1},
    "fx": {"pairs": ["OANDA:EURUSD"], "minimum_commission": 2,
           "conversions": [{"at": date(2019, 3, 1), "sold": "EUR", "bought": "USD", "amount": 5000}]},
    "financing": {"borrow": 0.01, "interest": {"USD": "FRED:DFF", "EUR": 0.02}, "free_of_credit": 10_000},
    "instruments": {"XNAS:AAA": {"lot": "0.1", "borrow": 0.05}},
    "benchmark": "XNAS:AAA",
}  # fmt: skip
VOTE = LEAST | {
    "strategies": [{"name": "sma_cross", "settings": {"fast": 10, "slow": 20}}, {"name": "rsi", "label": "r"}],
    "combine": {"rule": "weighted", "threshold": 0.4, "weights": [0.6, 0.4]},
    "exits": {"stop": 0.05, "target": 0.1}, "sizing": {"risk": {"share": 0.02}, "cap": 0.25},
}  # fmt: skip
OPTIONS = LEAST | {
    "account": {"margin": "reg_t"},
    "options": {"days": [20, 50], "contracts": 2, "shares": False, "preset": "schwab_options",
                "legs": [{"right": "put", "delta": 0.3}, {"right": "put", "side": "long", "width": -5}]},
}  # fmt: skip
FUTURES = LEAST | {"data": {"instruments": ["XCME:ES"], "calendar": "XNYS"}, "futures": {"roll": "volume"}}


@pytest.mark.parametrize(
    ("values", "hash"),
    [
        (LEAST, "bc4e1711a40d"),  # pragma: allowlist secret
        (MONEY, "0953682917f7"),  # pragma: allowlist secret
        (VOTE, "a5083bbf3ece"),  # pragma: allowlist secret
        (OPTIONS, "e31cc978eb66"),  # pragma: allowlist secret
        (FUTURES, "decc70b6869a"),  # pragma: allowlist secret
    ],
    ids=["least", "money", "vote", "options", "futures"],
)
def test_a_plan_keeps_its_hash(values: dict[str, Any], hash: str) -> None:
    assert plan_of(values).hash[:12] == hash


def test_a_free_balance_by_currency_names_another_run() -> None:
    part = {"interest": {"USD": 0.03}, "free_of_credit": 10_000}
    number = plan_of(LEAST | {"financing": part})
    table = plan_of(LEAST | {"financing": part | {"free_of_credit": {"USD": 10_000}}})
    again = plan_of(LEAST | {"financing": part | {"free_of_credit": {"USD": "10000.00"}}})
    assert number.hash != table.hash == again.hash


def test_a_file_means_what_its_values_mean(tmp_path: Any) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('[data]\ninstruments = ["XNAS:AAA"]\n[[strategies]]\nname = "buy_and_hold"\n', "utf-8")
    assert load_backtest_plan(path).hash == plan_of(LEAST).hash
