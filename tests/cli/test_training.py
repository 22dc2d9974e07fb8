"""`train odds` and `tune` from the command line: JSON, text, what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from rich.console import Console

PLANTED = "SIM:PLANTED"
PLAN = """
family = "cli"
seed = 7
[features]
blocks = ["volatility"]
[[tasks]]
kind = "event"
horizon = 1
threshold = 0.01
[model]
kind = "boosted_trees"
settings = { min_rows_in_leaf = 30, rounds = 20 }
[walk_forward]
initial = 300
test = 400
step = 400
embargo = 2
"""
SEARCH = """
[study]
name = "s"
trials = 3
objectives = ["log_loss"]
extremes = 1
[space]
leaves = { low = 2, high = 9 }
"""


def test_train_odds_and_tune_print_what_they_did(run, home, tmp_path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "search.toml").write_text(PLAN + SEARCH)
    trained = run("train", "odds", "plan.toml", PLANTED, "--home", home, "--json").json
    assert [bundle["task_name"] for bundle in trained["bundles"]] == ["event-1pct-1d"]
    shown = run("train", "odds", "plan.toml", PLANTED, "--home", home)
    assert shown.code == 0
    assert f"{PLANTED} [SIMULATED] event-1pct-1d: boosted_trees" in shown.out
    assert "cannot be promoted: without implied_exceedance, strong_anchor" in shown.out
    found = run("tune", "search.toml", PLANTED, "--home", home, "--json").json
    assert len(found["trials"]) == 3
    text = run("tune", "search.toml", PLANTED, "--home", home)
    assert "3 different trials, 3 of them from before" in text.out
    assert "[SIMULATED]" in text.out
    assert "study" in run("train", "odds", "search.toml", PLANTED, "--home", home).refused()  # a search is no training
    assert "plan" in run("tune", "plan.toml", PLANTED, "--home", home).refused()


def test_a_model_that_loses_to_a_baseline_is_told_so() -> None:
    from fieldcast.cli._text_trained import trained_odds_text

    def shown(ours: float) -> str:
        scores = [{"name": name, "log_loss": loss, "brier": 0.2, "auc": None} for name, loss in (("ours", ours), ("anchor", 0.5))]
        report = {"n": 300, "scores": scores, "missing": [], "promotable": True}
        bundle = {"instrument": "XCBO:SPX", "simulated": False, "task_name": "direction-1d", "hash": "0" * 64, "report": report,
                  "architecture": {"kind": "logistic"}, "kept_rounds": {},
                  "span": {"rows": 900, "first": "2014-01-02", "last": "2018-12-28", "held_out": 0}}  # fmt: skip
        console = Console(width=160)
        with console.capture() as text:
            console.print(trained_odds_text(SimpleNamespace(folders=[Path("there")], bundles=[bundle])))
        return text.get()

    assert "anchor has the lowest log loss: the model has not beaten it" in shown(0.51)
    assert "has not beaten" not in shown(0.49)
