"""Rules of a plan through the verbs: sizes, finer bars, latency, the economic gate, walks over several instruments, options."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.ground import ConfigError, MissingData, Reason, load_settings
from fieldcast.market import BARS, default_instrument
from fieldcast.market.tables import MACRO
from fieldcast.workflows.backtest_settings import plan_of
from fieldcast.workflows.walk_forward_optimisations import optimise_walk_forward

pytestmark = pytest.mark.slow      # the venue's kernels take most of a minute to compile

FREE = {"half_spread_bps": 0, "slippage_bps": 0, "commission_bps": 0}
FIRST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    """A coin by the day and the hour, two simulated markets, the S&P 500, and two series."""
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        hours = [FIRST + timedelta(hours=n + 1) for n in range(24 * 40)]
        rng = np.random.default_rng(5)
        close = np.round(100 * np.exp(np.cumsum(0.004 * rng.standard_normal(len(hours)))), 2)
        begun = np.concatenate(([100.0], close[:-1]))
        high, low = np.maximum(begun, close) + 0.05, np.minimum(begun, close) - 0.05
        _store(opened, "BINANCE:COIN", hours, (begun, high, low, close), "bars/1h")
        by_day = [one.reshape(-1, 24) for one in (begun, high, low, close)]
        daily = (by_day[0][:, 0], by_day[1].max(axis=1), by_day[2].min(axis=1), by_day[3][:, -1])
        _store(opened, "BINANCE:COIN", hours[23::24], daily, "bars/1d")
        lineage = Lineage("test", "test", opened.clock.now())
        for name, value in (("OWN:ENERGY", 4e9), ("OWN:QUALITY", 0.5)):
            rows = pl.DataFrame({"instrument": name, "ts": [FIRST], "available_at": [FIRST], "value": [value], "unit": "dollars",
                                 "reasons": None})  # fmt: skip
            opened.store.append(rows.select(pl.col(k).cast(v) for k, v in MACRO.schema.items()), lineage, table="macro")
        fc.simulate_data(opened, ["ONE", "TWO"], first=date(2016, 1, 4), last=date(2018, 6, 29), seed=4)
        fc.import_bundled(opened, "sp500")
        yield opened


def _store(workspace: fc.Workspace, name: str, ts: Sequence[datetime], prices: Sequence[Any], table: str) -> None:
    save_instrument(workspace.ledger, default_instrument(name, "crypto"))
    named = dict(zip(("open", "high", "low", "close"), prices, strict=True))
    frame = pl.DataFrame({"instrument": [name] * len(ts), "ts": ts, "available_at": ts} | named
                         | {"volume": [1e6] * len(ts), "reasons": [None] * len(ts)})  # fmt: skip
    lineage = Lineage("test", "test", workspace.clock.now())
    workspace.store.append(frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items()), lineage, table=table)


def run(workspace: fc.Workspace, instrument: str = "BINANCE:COIN", strategy: str = "buy_and_hold", **parts: Any) -> Any:
    data = {"instruments": [instrument]} | parts.pop("data", {})
    own = parts.pop("own", {})
    plan = plan_of({"data": data, "strategies": [{"name": strategy, "settings": own}], "costs": FREE, "family": "rules"} | parts)
    return fc.backtest(workspace, plan).runs[0]


# sizes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        ({"fixed": 2_500}, 2_500, Reason.SIZE_FIXED),
        ({"cap": 0.25}, 25_000, Reason.SIZE_CAPPED),
        ({"risk": {"share": 0.01}}, 20_000, Reason.SIZE_BY_RISK),             # 1 % lost at a stop 5 % away
        ({"risk": {"share": 0.01, "distance": 0.1}}, 10_000, Reason.SIZE_BY_RISK),
        ({"kelly": {"p_win": 0.6, "samples": 50}}, 0.25 * (0.6 * 2 - 0.4) / 0.10 * 100_000, Reason.SIZE_CAPPED),
        ({"kelly": {"p_win": 0.4, "samples": 50, "fraction": 0.1, "gain": 0.2, "loss": 0.1}},
         0.1 * (0.4 * 2 - 0.6) / 0.2 * 100_000, Reason.SIZE_BY_KELLY),
        ({"kelly": {"p_win": 0.6, "samples": 5}}, 0, Reason.FEW_ROWS),
        ({"kelly": {"p_win": 0.1, "samples": 50}}, 0, Reason.EDGE_MISSING),
        ({"energy": {"series": "OWN:ENERGY", "reference_dollars": 2e9, "floor_dollars": 1e9, "share": 0.3}}, 15_000,
         Reason.SIZE_BY_ENERGY),
        ({"cap": 0.5, "quality": 0.5}, 25_000, Reason.SIZE_CAPPED),
        ({"cap": 0.5, "quality": "OWN:QUALITY"}, 25_000, Reason.SIZE_CAPPED),
        ({"cap": 0.5, "fixed": 1_000, "risk": {"share": 0.5}}, 1_000, Reason.SIZE_FIXED),
    ],
    ids=str,
)  # fmt: skip
def test_a_position_is_as_large_as_its_rule_allows(
    workspace: fc.Workspace, rule: dict[str, Any], value: float, reason: Reason
) -> None:
    found = run(workspace, sizing=rule, exits={"stop": 0.05, "target": 0.10})
    close = found.result.market.close[0, 0]
    wanted = min(value, 100_000) / close
    entry = found.result.orders.filter((pl.col("kind") == "market") & (pl.col("side") == "BUY"))
    if value == 0:
        assert entry.is_empty()
    else:
        assert entry["quantity"][0] == pytest.approx(wanted, rel=1e-7)
        assert entry["tag"][0] == reason.meaning
    assert found.report.warnings.count(f"what bound the sizes: {reason.meaning} (1)") == 1


def test_the_volatility_rule_waits_for_its_window_and_then_knows_no_later_bar(workspace: fc.Workspace) -> None:
    found = run(workspace, sizing={"volatility": {"target": 0.1, "window": 10}})
    close = found.result.market.close[0]
    sigma = np.diff(np.log(close[:11])).std(ddof=1) * np.sqrt(365.0)
    entry = found.result.orders.row(0, named=True)
    assert entry["created_ts"] == FIRST + timedelta(days=11)
    assert entry["quantity"] == pytest.approx(100_000 * 0.1 / sigma / close[10], rel=0.01)
    assert found.result.orders.height == 1


def test_sizes_follow_the_accounts_equity_and_the_side_of_the_target(workspace: fc.Workspace) -> None:
    found = run(workspace, "SIM:ONE", "momentum", own={"period": 5, "short": True}, sizing={"cap": 0.3},
                account={"margin": "reg_t"})  # fmt: skip
    equity = dict(found.result.equity.select("ts", "equity").iter_rows())
    close = dict(zip(found.result.equity["ts"], found.result.market.close[0], strict=True))
    held, checked = 0.0, 0
    for order in found.result.orders.sort("order_id").to_dicts():
        if order["status"] != "filled":
            continue
        held += order["quantity"] if order["side"] == "BUY" else -order["quantity"]
        if held:
            ts = order["created_ts"]
            assert abs(held) == np.floor(0.3 * equity[ts] / close[ts])
            checked += 1
    assert checked > 20
    assert found.result.trades["direction"].n_unique() == 2


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"sizing": {}}, "a rule out of fixed"),
        ({"sizing": {"risk": {}}}, "stop in"),
        ({"sizing": {"kelly": {"p_win": 0.5, "samples": 1}}}, "gain"),
        ({"sizing": {"kelly": {"p_win": 1.5, "samples": 1, "gain": 1, "loss": 1}}}, "p_win"),
        ({"sizing": {"cap": 0.5, "quality": 2}}, "share from 0 to 1"),
        ({"sizing": {"cap": 0.5}, "fills": {"rebalance": "every_bar"}}, "rebalance on_change"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(workspace: fc.Workspace, parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run(workspace, **parts)


def test_a_series_that_a_size_needs_has_to_be_known(workspace: fc.Workspace) -> None:
    with pytest.raises(MissingData, match="OWN:NONE"):
        run(workspace, sizing={"cap": 1, "quality": "OWN:NONE"})


# fills ----------------------------------------------------------------------------------------------------------------


def test_finer_bars_say_which_exit_came_first(workspace: fc.Workspace) -> None:
    parts: dict[str, Any] = {"exits": {"stop": 0.01, "target": 0.01}, "strategy": "momentum", "own": {"period": 1}}
    worst = run(workspace, **parts)
    finer = run(workspace, **parts, fills={"intrabar": "finer", "finer": "bars/1h"})
    hours = workspace.store.read("BINANCE:COIN", table="bars/1h")
    compared = 0
    for trade in finer.result.trades.to_dicts():
        inside = hours.filter((pl.col("ts") > trade["entry_ts"]) & (pl.col("ts") <= trade["exit_ts"]))
        if inside.is_empty():
            continue
        decided = finer.result.orders.row(int(trade["entry_order"]), named=True)["created_ts"]
        close = finer.result.market.close[0][np.searchsorted(finer.result.market.ts, int(decided.timestamp() * 1e6))]
        stop, target = round(np.floor(close * 0.99 * 100) / 100, 2), round(np.ceil(close * 1.01 * 100) / 100, 2)
        before = inside.head(inside.height - 1)
        assert before.filter((pl.col("low") <= stop) | (pl.col("high") > target)).is_empty(), "no earlier hour reached a level"
        compared += 1
    assert compared > 5
    wins = [one.report.trades.win_rate.value for one in (worst, finer)]
    assert wins[1] > wins[0], "the worst path takes the stop wherever both lie in a day"
    finer.result.verify()
    assert (finer.folder / "record" / "fills.parquet").is_file()


def test_an_order_that_is_late_waits_for_the_next_open(workspace: fc.Workspace) -> None:
    at_once = run(workspace, data={"table": "bars/1h"})
    late = run(workspace, data={"table": "bars/1h"}, fills={"latency": "0.25"})
    first, second = at_once.result.fills["ts"][0], late.result.fills["ts"][0]
    assert second - first == timedelta(hours=1)


# the gate -------------------------------------------------------------------------------------------------------------


def test_the_gate_is_asked_shown_and_filed_and_adds_no_trial(workspace: fc.Workspace) -> None:
    plan = fc.backtest_plan("SIM:ONE", ["sma_cross", "momentum"], family="gated")
    plain = fc.backtest(workspace, plan)
    judged = fc.backtest(workspace, plan, gate=True)
    assert plain.exit_code == 0
    assert plain.runs[0].gate is None
    assert plain.trials == judged.trials == 2
    assert [one.gate.outcome for one in judged.runs if one.gate is not None] != []
    for one in judged.runs:
        assert one.gate is not None
        assert one.gate.result is not None
        assert one.gate.result.family_size == 2
        assert one.gate.text.startswith(f"gate V16: {one.gate.outcome}: SIMULATED SIM:ONE")
        assert json.loads((one.folder / "run.json").read_text())["gate"]["outcome"] == str(one.gate.outcome)
        assert 'id="gate"' in (one.folder / "report.html").read_text()
    lines = [json.loads(line)["body"] for line in (workspace.home / "runs.jsonl").read_text().splitlines()]
    assert [line["parameters"]["row"] for line in lines if "gated" in line["name"]] == ["V16", "V16"]
    assert judged.exit_code in (1, 4)


def test_the_gate_says_why_it_cannot_judge_and_which_market_it_needs(workspace: fc.Workspace) -> None:
    short = fc.backtest(workspace, fc.backtest_plan("BINANCE:COIN", "buy_and_hold"), gate=True)
    assert short.exit_code == 4
    same = fc.backtest(workspace, fc.backtest_plan("SIM:ONE", "momentum", fill="same_close"), gate=True)
    assert same.runs[0].gate is not None
    assert "expected fills at the next open" in same.runs[0].gate.why
    with pytest.raises(ConfigError, match="--benchmark"):
        fc.backtest(workspace, fc.backtest_plan(["SIM:ONE", "SIM:TWO"], "momentum"), gate=True)
    named = fc.backtest(workspace, fc.backtest_plan(["SIM:ONE", "SIM:TWO"], "momentum", benchmark="SIM:TWO"), gate=True)
    assert named.runs[0].gate is not None
    assert named.runs[0].gate.result is not None
    late = fc.backtest(workspace, fc.backtest_plan("SIM:ONE", "momentum"), gate=True, gate_from=date(2018, 1, 2))
    assert late.runs[0].gate is not None
    assert late.runs[0].gate.result is not None
    assert late.runs[0].gate.result.n < 130


# beside the market, walks ---------------------------------------------------------------------------------------------


def test_what_is_held_beside_a_run_pays_for_its_entry(workspace: fc.Workspace) -> None:
    costs = {"half_spread_bps": 40, "slippage_bps": 10, "commission_bps": 30}
    free, paid = run(workspace), run(workspace, costs=costs)
    one, other = (found.report.benchmark.own.total_return.value for found in (free, paid))
    close = Decimal(str(paid.result.market.close[0, 0]))
    price = (close * Decimal("1.005")).quantize(Decimal("0.01"), "ROUND_CEILING")
    kept = close / price - Decimal("0.003")
    assert (1 + other) / (1 + one) == pytest.approx(float(kept), abs=2e-6)
    assert "bought once, at the first close and at this run" in (paid.folder / "report.html").read_text()


def test_a_walk_over_several_instruments_is_their_walks_together(workspace: fc.Workspace) -> None:
    grid = fc.parameter_grid(["fast=3:9:3", "slow=15,30"])
    walks = {}
    for names in (["SIM:ONE"], ["SIM:TWO"], ["SIM:ONE", "SIM:TWO"]):
        plan = fc.backtest_plan(names, "sma_cross", family=f"walk {len(names)} {names[0]}")
        walks[tuple(names)] = optimise_walk_forward(workspace, plan, grid, train=120, test=60)
    one, two, both = walks.values()
    curve = one.equity.join(two.equity, on="ts", suffix="_two").select("ts", equity=pl.col("equity") + pl.col("equity_two"))
    assert both.equity["equity"].to_list() == pytest.approx(curve["equity"].to_list(), abs=1e-9)
    assert both.choices.drop("instrument").equals(pl.concat([one.choices, two.choices]).drop("instrument"))
    assert both.total_return == pytest.approx(curve["equity"][-1] / 200_000 - 1, abs=1e-12)
    assert both.trials == one.trials + two.trials - 1
    assert pl.read_parquet(both.folder / "windows.parquet")["instrument"].unique().sort().to_list() == ["SIM:ONE", "SIM:TWO"]


# the command line -----------------------------------------------------------------------------------------------------


def test_options_of_the_command_line_arrive(workspace: fc.Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from fieldcast.workflows.backtest_options import backtest_plan

    plan = backtest_plan("X:Y", "rsi", cash="EUR=60000,USD=10000", currency="EUR", borrow="0.01", finer="bars/1h", latency=0.5)
    assert plan.account.cash == {"EUR": 60_000, "USD": 10_000}
    assert (plan.account.currency, plan.financing.borrow) == ("EUR", 0.01)
    assert (plan.fills.intrabar, plan.fills.finer, plan.fills.latency) == ("finer", "bars/1h", Decimal("0.5"))
    assert backtest_plan("X:Y", "rsi", borrow="LEND:RATE").financing.borrow == "LEND:RATE"
    for wrong in ("EUR=1,EUR=2", "EUR=", "=5"):
        with pytest.raises(ConfigError, match="each currency once"):
            backtest_plan("X:Y", "rsi", cash=wrong)
    (tmp_path / "run.toml").write_text('[data]\ninstruments = ["X:Y"]\n[[strategies]]\nname = "rsi"\n')
    with pytest.raises(ConfigError, match="found both: weight"):
        backtest_plan(plan=tmp_path / "run.toml", weight=0.5)


def test_the_shared_options_stand_once_and_every_verb_has_them(workspace: fc.Workspace) -> None:
    import inspect

    from typer.main import get_command

    from fieldcast.cli._backtest import history
    from fieldcast.cli._backtest_options import run_options

    shared = set(inspect.signature(run_options).parameters)
    commands = get_command(history).commands  # type: ignore[attr-defined]
    for verb in ("backtest", "sweep", "wfo"):
        named = [one.name for one in commands[verb].params]
        assert shared <= set(named)
        assert len(set(named)) == len(named)
        assert "run" not in named


def test_the_command_ends_as_the_gate_says_and_plans_reach_every_verb(
    workspace: fc.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from fieldcast.cli._app import app

    monkeypatch.setenv("FIELDCAST_HOME", str(workspace.home))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> Any:
        return CliRunner().invoke(app, list(words))

    judged = call("backtest", "SIM:ONE", "--strategy", "momentum", "--gate")
    assert judged.exit_code in (1, 4), judged.output
    assert "gate V16: FAIL" in judged.output or "gate V16: CANNOT_JUDGE" in judged.output
    assert call("backtest", "SIM:ONE", "--strategy", "momentum", "--gate", "--exit-zero").exit_code == 0
    plan = tmp_path / "run.toml"
    plan.write_text('[data]\ninstruments = ["SIM:ONE"]\n[[strategies]]\nname = "sma_cross"\n[costs]\ncommission_bps = 7\n')
    for words in (("sweep",), ("wfo", "--train", "120", "--test", "60")):
        done = call(*words, "--plan", str(plan), "--range", "fast=3:5", "--range", "slow=15,30", "--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["instruments"] == ["SIM:ONE"]
        assert found["points"] == 6
    both = call("sweep", "--plan", str(plan), "--range", "fast=3:5", "--weight", "0.5")
    assert both.exit_code != 0
