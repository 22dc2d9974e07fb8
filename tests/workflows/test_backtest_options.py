"""Plans of backtests from words and from TOML: what is given arrives, what is wrong is refused, the hash names the run."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import fieldcast
from fieldcast.ground import ConfigError, MissingData
from fieldcast.workflows.backtest_options import backtest_plan, parameter_grid, strategy_part
from fieldcast.workflows.backtest_settings import load_backtest_plan, plan_of

ROOT = Path(__file__).resolve().parents[2]
LEAST: dict[str, Any] = {"data": {"instruments": ["ARCX:SPY"]}, "strategies": [{"name": "sma_cross"}]}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("rsi", {"name": "rsi", "settings": {}}),
        ("rsi:period=5,lower=20.5", {"name": "rsi", "settings": {"period": 5, "lower": 20.5}}),
        ("sma_cross:short=true", {"name": "sma_cross", "settings": {"short": True}}),
        ("a/b.py:mode=fast,n=-3", {"file": "a/b.py", "settings": {"mode": "fast", "n": -3}}),
    ],
)
def test_a_strategy_in_words(text: str, part: dict[str, Any]) -> None:
    assert strategy_part(text) == part
    assert {key: type(value) for key, value in strategy_part(text)["settings"].items()} == {
        key: type(value) for key, value in part["settings"].items()
    }


@pytest.mark.parametrize("text", ["rsi:period", "rsi:=5", "rsi:period="])
def test_settings_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="key=value"):
        strategy_part(text)


def test_ranges_have_both_ends_and_keep_decimals_exact() -> None:
    assert parameter_grid(["fast=5:20:5", "width=0.1:0.3:0.1", "mode=a,b", "n=3:5"]) == {
        "fast": (5, 10, 15, 20), "width": (0.1, 0.2, 0.3), "mode": ("a", "b"), "n": (3, 4, 5),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        (["fast"], "name=low:high:step"),
        (["fast=5:1"], "low at or below high"),
        (["fast=1:5:0"], "step above 0"),
        (["fast=1:x"], "fast to be a number"),
        (["fast=1:2:3:4"], "name=low:high:step"),
        (["fast=1:5", "fast=1:9"], "fast twice"),
        (["fast=1:9999", "slow=1:9999"], "at most 1,000,000"),
        ([], "at least one range"),
    ],
)
def test_a_bad_range_is_refused(ranges: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parameter_grid(ranges)


def test_options_arrive_in_the_plan() -> None:
    plan = backtest_plan("ARCX:SPY", ["rsi:period=5", "macd"], combine="at_least", least=1, cash="2500.50", weight=1.5,
                         margin="reg_t", half_spread_bps=2, commission_bps=0.1, stop=0.05, fill="same_close",
                         family="mine")  # fmt: skip
    assert plan.data.instruments == ("ARCX:SPY",)
    assert [part.title for part in plan.strategies] == ["rsi period=5", "macd"]
    assert plan.combine is not None
    assert plan.combine.least == 1
    assert (plan.account.cash, plan.account.weight, plan.account.margin) == (Decimal("2500.50"), 1.5, "reg_t")
    assert (plan.costs.half_spread_bps, plan.costs.commission_bps) == (2, Decimal("0.1"))
    assert plan.exits.stop == 0.05
    assert (plan.fills.convention, plan.family) == ("same_close", "mine")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strategies": "sma"}, "'sma'"),
        ({"strategies": "rsi:period=1"}, "period"),
        ({"strategies": "rsi:depth=1"}, "depth"),
        ({"strategies": ["rsi", "rsi"]}, "give them labels"),
        ({"combine": "majority"}, "at least two strategies"),
        ({"strategies": ["rsi", "macd"], "combine": "loudest"}, "combine.rule"),
        ({"strategies": ["rsi", "macd"], "combine": "at_least", "least": 3}, "least"),
        ({"cash": 0}, "account.cash"),
        ({"cash": "much"}, "cash"),
        ({"weight": 0.0}, "account.weight"),
        ({"margin": "some"}, "account.margin"),
        ({"costs": "ibkr_fixed", "commission_bps": 1}, "the preset states the fees"),
        ({"half_spread_bps": -1}, "half_spread_bps"),
        ({"fill": "yesterday"}, "fills.convention"),
        ({"volume_share": 1.5}, "volume_share"),
        ({"stop": 1.0}, "exits.stop"),
        ({"stop": 0.1, "trailing": 0.1}, "found both"),
        ({"stop": 0.1, "rebalance": "every_bar"}, "rebalance"),
        ({"table": "chains"}, "table of bars"),
        ({"instruments": ["A:A", "A:A"]}, "each instrument once"),
        ({"instruments": []}, "an instrument and a strategy"),
        ({"plan": "run.toml"}, "found both"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        backtest_plan(**({"instruments": "XX:A", "strategies": "rsi"} | options))


def test_an_unknown_key_of_a_plan_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.instrument: "):
        plan_of(LEAST | {"data": {"instruments": ["XX:A"], "instrument": "XX:A"}})
    with pytest.raises(ConfigError, match="one of the two"):
        plan_of(LEAST | {"strategies": [{"settings": {}}]})


def test_the_hash_names_what_decides_the_run_and_nothing_else(tmp_path: Path) -> None:
    one = plan_of(LEAST)
    assert plan_of(LEAST | {"family": "other"}).hash == one.hash
    assert plan_of(LEAST | {"strategies": [{"name": "sma_cross", "settings": {"fast": 10}, "label": "mine"}]}).hash == one.hash
    assert plan_of(LEAST | {"strategies": [{"name": "sma_cross", "settings": {"fast": 11}}]}).hash != one.hash
    assert plan_of(LEAST | {"account": {"cash": 5}}).hash != one.hash
    for spelling in ("1", "1.0", "1.00", 1, 1.0):
        assert plan_of(LEAST | {"costs": {"half_spread_bps": spelling, "slippage_bps": spelling}}).hash == one.hash, spelling
    assert plan_of(LEAST | {"account": {"cash": "100000.00"}}).hash == one.hash
    assert plan_of(LEAST | {"costs": {"half_spread_bps": 1.5}}).hash != one.hash
    assert plan_of(LEAST | {"projections": {"vix": "XCBO:VIX"}}).hash == one.hash, "no strategy of it looks at projections"
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("def targets(bars): ...\n")
    followed = LEAST | {"strategies": [{"name": "projection"}]}
    demo = Path(fieldcast.__file__).parent / "workflows" / "demo.toml"
    named = [plan_of(followed | {"projections": {"experiment": path}}).hash for path in (None, str(demo))]
    assert named[0] == named[1], "an experiment is what stands in it"
    assert plan_of(followed | {"projections": {"vix": "XCBO:VIX"}}).hash != named[0]
    files = [plan_of(LEAST | {"strategies": [{"file": str(tmp_path / name)}]}) for name in ("a.py", "b.py")]
    assert files[0].hash == files[1].hash, "a file is what stands in it"
    (tmp_path / "b.py").write_text("def targets(bars): return None\n")
    assert files[0].hash != files[1].hash
    with pytest.raises(MissingData, match=r"none\.py"):
        _ = plan_of(LEAST | {"strategies": [{"file": str(tmp_path / "none.py")}]}).hash


def test_the_plan_of_the_guide_is_one_and_finds_the_file_beside_it(tmp_path: Path) -> None:
    import re

    guide = (ROOT / "docs" / "how-to" / "backtest-a-strategy.md").read_text("utf-8")
    text, *parts = re.findall(r"^```toml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    (tmp_path / "run.toml").write_text(text)
    (tmp_path / "my_strategy.py").write_text((ROOT / "examples" / "my_strategy.py").read_text())
    plan = load_backtest_plan(tmp_path / "run.toml")
    assert plan.strategies[1].file == tmp_path / "my_strategy.py"
    assert (plan.costs.preset, plan.exits.trailing, plan.account.cash) == ("ibkr_fixed", 0.1, 50_000)
    (code,) = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    assert code.strip() in (ROOT / "examples" / "my_strategy.py").read_text("utf-8")
    assert len(parts) >= 3
    for part in parts:      # each is a piece of a plan: with instruments and a strategy it is one
        values = LEAST | tomllib.loads(part)
        named = {"instruments": [*values.get("instruments", {}), "ARCX:SPY"]}
        assert plan_of(values | {"data": named | tomllib.loads(part).get("data", {})}).asked


@pytest.mark.parametrize("text", ["family = = 1", "x = 1"])
def test_a_bad_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ConfigError):
        load_backtest_plan(tmp_path / "run.toml")
    with pytest.raises(ConfigError, match="found none"):
        load_backtest_plan(tmp_path / "absent.toml")
