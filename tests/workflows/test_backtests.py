"""Backtests from plan to folder: the venue equals the fast engine, runs are kept whole and counted, errors keep nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.ground import ConfigError, InvalidInput, MissingData, Reason, StrategyError, load_settings
from fieldcast.simulation.fast import run_fast
from fieldcast.workflows.backtest_data import backtest_data
from fieldcast.workflows.backtest_fast import fast_settings, tapes_of
from fieldcast.workflows.backtest_play import play_targets
from fieldcast.workflows.backtest_records import TABLES
from fieldcast.workflows.backtest_trials import spread_over, trial_log
from fieldcast.workflows.backtests import strategy_of, targets_of
from fieldcast.workflows.progress import silent

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
YEAR = {"first": date(2017, 1, 3), "last": date(2018, 6, 29)}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        fc.import_bundled(opened, "nasdaq")
        fc.import_bundled(opened, "sp500")
        fc.simulate_data(opened, ["ONE"], first=date(2017, 1, 3), last=date(2018, 6, 29), seed=4)
        yield opened


def run(workspace: fc.Workspace, strategies: Any, instruments: Any = "XNAS:COMP", **options: Any) -> fc.Backtest:
    return fc.backtest(workspace, fc.backtest_plan(instruments, strategies, **(YEAR | options)))


def shown(result: Any) -> str:
    """The result as a terminal shows it; as JSON and in a notebook it has to work too."""
    from rich.console import Console

    from fieldcast.cli._text import text_of

    json.dumps(result.as_dict(), default=str, allow_nan=False)
    html = result._repr_html_()
    assert html.count("<table") == html.count("</table>") >= 1
    console = Console(width=200, record=True)
    console.print(text_of(result))
    return console.export_text()


# one arithmetic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"stop": 0.02}, {"target": 0.02}, {"stop": 0.01, "target": 0.02}, {"trailing": 0.03}, {"trailing": 0.02, "target": 0.04},
     {"stop": 0.03, "margin": "reg_t", "weight": 1.5}, {"costs": "ibkr_fixed"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("text", ["sma_cross:fast=3,slow=8", "rsi:period=5,lower=45,upper=55", "momentum:period=3"])
def test_the_venue_equals_the_fast_engine_exits_included(workspace: fc.Workspace, text: str, options: dict[str, Any]) -> None:
    short = ":short=true" if ":" not in text else ",short=true"
    wanted = text + short if "margin" in options and "rsi" not in text else text
    plan = fc.backtest_plan("XNAS:COMP", wanted, **(YEAR | {"first": date(2010, 1, 4)} | options))
    data = backtest_data(workspace, plan, until=None, progress=silent)
    targets = targets_of(strategy_of(workspace, plan.strategies[0], plan, data), data)
    venue = play_targets(data, plan, targets)
    fast = run_fast(targets[0], tapes_of(data)[0], fast_settings(plan, data)[0])
    venue.verify()
    assert len(venue.fill_rows) == len(fast.fill_rows) > 20
    assert (venue.equity_minor() == fast.equity_minor).all()


# what is kept ---------------------------------------------------------------------------------------------------------


def test_a_run_is_kept_whole_and_again_in_the_same_folder(workspace: fc.Workspace) -> None:
    first, again = (run(workspace, "sma_cross", family="kept") for _ in range(2))
    (one,), (other,) = first.runs, again.runs
    assert one.folder == other.folder == workspace.home / "runs" / one.id
    assert first.trials == again.trials == 1, "the same run is a look, not a trial"
    tables = (f"{name}.parquet" for name in TABLES)
    assert {path.name for path in one.folder.iterdir()} == {"run.json", "report.html", "record", *tables}
    assert not [path for path in one.folder.parent.iterdir() if path.name.startswith(".")]
    about = json.loads((one.folder / "run.json").read_text())
    assert about["result_hash"] == one.result.result_hash
    assert about["fill_convention"] == "next_open"
    assert pl.read_parquet(one.folder / "fills.parquet").equals(one.result.fills)
    journal = pl.read_parquet(one.folder / "journal.parquet")
    assert journal.group_by("event_id", "currency").agg(pl.col("amount_minor").sum())["amount_minor"].to_list().count(0) == (
        journal["event_id"].n_unique()
    )
    assert first.as_dict()["runs"][0]["performance"]["sharpe"]["value"] == one.report.performance.sharpe.value
    assert "XNAS:COMP" in (one.folder / "report.html").read_text()


def test_every_strategy_is_a_trial_and_so_is_the_vote(workspace: fc.Workspace) -> None:
    many = run(workspace, ["sma_cross", "rsi:period=4,lower=45", "macd"], family="votes")
    assert [one.title for one in many.runs] == ["sma_cross", "rsi period=4 lower=45", "macd"]
    assert many.trials == 3
    voted = run(workspace, ["sma_cross", "rsi:period=4,lower=45", "macd"], combine="majority", family="votes")
    assert len(voted.runs) == 1
    assert voted.trials == 4
    assert voted.runs[0].report.deflation.trials == 4
    both = run(workspace, ["sma_cross", "momentum"], combine="unanimous", family="votes").runs[0].result
    held = both.equity["gross_exposure"].to_numpy() > 0
    for name in ("sma_cross", "momentum"):
        alone = run(workspace, name, family="votes").runs[0].result.equity["gross_exposure"].to_numpy() > 0
        assert (alone | ~held).all(), "what both want each wants"


def test_simulated_data_is_marked_and_its_trials_are_a_family_of_their_own(workspace: fc.Workspace) -> None:
    found = run(workspace, "momentum", "SIM:ONE", family="mixed")
    assert found.simulated
    assert found.family == "mixed/simulated"
    assert not trial_log(workspace).trials("mixed")
    assert "SIMULATED" in (found.runs[0].folder / "report.html").read_text().upper()
    assert "SIM:ONE [SIMULATED]" in shown(found)


def test_fills_at_the_same_close_are_marked(workspace: fc.Workspace) -> None:
    (one,) = run(workspace, "sma_cross", fill="same_close").runs
    assert one.result.fill_convention == "same_close"
    assert any("nobody can trade at that price" in said for said in one.report.warnings)
    assert set(one.result.fills["fill_convention"]) == {"same_close"}


def test_two_instruments_share_the_account(workspace: fc.Workspace) -> None:
    (one,) = run(workspace, "buy_and_hold", ["XNAS:COMP", "XCBO:SPX"]).runs
    value = one.result.positions["value"].to_numpy()
    assert value.size == 2
    assert (value < 75_000).all()
    assert one.result.equity["gross_exposure"].to_numpy()[5] > 80_000


# a strategy of one's own ----------------------------------------------------------------------------------------------


def test_the_examples_run(workspace: fc.Workspace) -> None:
    examples = ROOT / "examples"
    found = run(workspace, [f"{examples / 'my_strategy.py'}:window=10", f"{examples / 'my_orders.py'}:fall=0.005"])
    assert [one.result.fills.height > 0 for one in found.runs] == [True, True]
    assert (found.runs[1].result.orders["kind"] == "limit").any()


def test_a_class_that_raises_is_told_with_its_bar_and_nothing_is_kept(workspace: fc.Workspace, tmp_path: Path) -> None:
    text = "class Mine:\n    def on_bar(self, now):\n        if now.t == 30:\n            raise RuntimeError('no')\n"
    (tmp_path / "mine.py").write_text(text)
    before = sorted((workspace.home / "runs").glob("*"))
    with pytest.raises(StrategyError, match=r"bar 30 \(2017-02-15 21:00 UTC\)") as told:
        run(workspace, str(tmp_path / "mine.py"), family="none of it")
    assert told.value.bar == 30
    text = "import numpy as np\ndef targets(bars):\n    return np.append(np.diff(bars['close']) > 0, 0.0)\n"
    (tmp_path / "ahead.py").write_text(text)
    with pytest.raises(StrategyError, match=r"ahead.py looks ahead: its target of bar \d+ \(201\d-"):
        run(workspace, str(tmp_path / "ahead.py"), family="none of it")
    with pytest.raises(ConfigError, match="places its own orders"):
        run(workspace, [str(ROOT / "examples" / "my_orders.py"), "rsi"], combine="majority")
    assert sorted((workspace.home / "runs").glob("*")) == before
    assert not trial_log(workspace).trials("none of it")


def test_a_short_without_margin_is_rejected_on_record_and_said(workspace: fc.Workspace) -> None:
    found = run(workspace, "momentum:short=true")
    (one,) = found.runs
    refused = one.result.rejections.height
    assert refused
    said = f"{refused:,} orders of momentum short=True were refused: {Reason.NO_SHORTS.meaning} ({refused:,})"
    assert said in one.report.warnings
    assert said in " ".join(shown(found).split())
    assert said in json.loads((one.folder / "run.json").read_text())["warnings"]
    assert not any("refused" in text for text in run(workspace, "momentum:short=true", margin="reg_t").runs[0].report.warnings)
    assert (one.result.equity["net_exposure"] >= 0).all()
    with pytest.raises(ConfigError, match="without margin"):
        run(workspace, "momentum", weight=2.0)
    plan = fc.backtest_plan("XNAS:COMP", "momentum:short=true", family="swept short", **YEAR)
    swept = fc.sweep(workspace, plan, fc.parameter_grid(["period=15,20"]))
    orders = int(swept.table["rejected"].sum())
    assert orders > refused
    assert f"orders were refused in 2 of 2 parameter sets, {orders:,} in all" in swept.warnings


# sweeps, walks, comparisons -------------------------------------------------------------------------------------------


def test_a_sweep_counts_every_set_and_its_best_is_the_backtest_of_it(workspace: fc.Workspace) -> None:
    plan = fc.backtest_plan("XNAS:COMP", "sma_cross", family="swept", **YEAR)
    found = fc.sweep(workspace, plan, fc.parameter_grid(["fast=2:12:2", "slow=10:60:5"]), by="total_return")
    assert found.points == found.trials == sum(1 for fast in range(2, 13, 2) for slow in range(10, 61, 5) if fast < slow)
    assert len(trial_log(workspace).trials("swept")) == min(found.points, 32)
    best = found.ranking.row(0, named=True)
    assert found.ranking["total_return"].is_sorted(descending=True)
    (one,) = run(workspace, f"sma_cross:fast={best['fast']},slow={best['slow']}", family="beside").runs
    assert one.report.performance.total_return.value == pytest.approx(best["total_return"], abs=1e-12)
    assert one.report.trades.closed == best["trades"]
    assert found.deflated is not None
    assert found.deflated.dsr < found.deflated.psr
    assert pl.read_parquet(found.folder / "sweep.parquet").height == found.points
    assert f"best of {found.points:,} worthless trials" in shown(found)


def test_a_sweep_of_ones_own_function(workspace: fc.Workspace) -> None:
    plan = fc.backtest_plan("XNAS:COMP", str(ROOT / "examples" / "my_strategy.py"), family="own", **YEAR)
    found = fc.sweep(workspace, plan, fc.parameter_grid(["window=10,20,40"]))
    assert found.points == 3
    assert sorted(found.ranking["window"]) == [10, 20, 40]
    with pytest.raises(InvalidInput, match="expected two backtests, found the sweep"):
        fc.compare(workspace, "latest", found.id)
    with pytest.raises(InvalidInput, match="windows"):
        fc.sweep(workspace, plan, fc.parameter_grid(["windows=10,20"]))


def test_a_walk_chooses_on_the_past_alone(workspace: fc.Workspace) -> None:
    options = YEAR | {"first": date(2014, 1, 2)}
    grid = fc.parameter_grid(["fast=2:6:2", "slow=10:30:10"])
    short = options | {"last": date(2017, 6, 30)}
    plans = [fc.backtest_plan("XNAS:COMP", "sma_cross", family="walk", **span) for span in (options, short)]
    whole = fc.optimise_walk_forward(workspace, plans[0], grid, train=250, test=100)
    part = fc.optimise_walk_forward(workspace, plans[1], grid, train=250, test=100)
    assert whole.points == 9
    assert whole.choices.height > part.choices.height >= 4
    kept = part.choices.height - 1
    assert whole.choices.head(kept).equals(part.choices.head(kept)), "what came later changes no earlier choice"
    assert whole.trials == 10, "nine sets and the walk"
    assert whole.sharpe_interval is not None
    assert whole.sharpe_interval[0] < whole.sharpe < whole.sharpe_interval[1]
    assert whole.dsr is not None
    assert "9 parameter sets at each choice" in shown(whole)
    with pytest.raises(ConfigError, match="one strategy"):
        fc.optimise_walk_forward(workspace, fc.backtest_plan("XNAS:COMP", ["sma_cross", "macd"]), grid)


def test_a_comparison_explains_the_difference_to_the_last_unit(workspace: fc.Workspace) -> None:
    cheap, dear = (run(workspace, "sma_cross:fast=4,slow=9", commission_bps=bps).runs[0] for bps in (0.1, 5))
    found = fc.compare(workspace, cheap.id[:12], dear.id)
    assert found.settings == {"costs.commission_bps": ("0.1", "5")}
    assert found.same_data
    assert found.differences is not None
    assert found.differences.unexplained == 0
    assert found.differences.equity_difference < 0
    assert "cost" in {str(cause) for cause in found.differences.by_cause}
    assert "unexplained +0.00" in shown(found)
    returns = next(one for one in found.figures if one.name == "total_return")
    assert returns.difference == pytest.approx(
        dear.report.performance.total_return.known - cheap.report.performance.total_return.known
    )
    assert fc.compare(workspace, "latest", str(dear.folder)).first.id == dear.id
    with pytest.raises(MissingData, match="no-such"):
        fc.compare(workspace, "no-such", "latest")
    with pytest.raises(MissingData, match="ffffffffffff"):
        fc.compare(workspace, "ffffffffffff", "latest")


def test_a_ranking_is_spread_over_with_both_ends() -> None:
    assert spread_over(range(5), 10) == [0, 1, 2, 3, 4]
    chosen = spread_over(range(1000), 32)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 999, 32)
    assert (np.diff(chosen) > 0).all()
