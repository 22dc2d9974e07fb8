"""Q05, benchmark suite with CSV export and enforced targets: fetch 1,000 ms, prediction 10 ms, pipeline 5,000 ms, training of
100 epochs 5 min, hedge, liquidity and sentiment engines 100 ms each.

Done when: "CI fails beyond each target on stated hardware, and inputs are realistic chains and books"

The slow tests are part of the whole check, and the first of them runs the suite as `make targets` does: a missed target fails it.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from fieldcast.ground import Reason
from fieldcast.market import has_reason

pytestmark = [pytest.mark.feature("Q05"), pytest.mark.slow]
OPEN_PARTS: tuple[str, ...] = ()

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "targets.py"
# Milliseconds of the row, and below them those of the reference's table that the row does not name.
ENFORCED = {
    "fetch": 1_000.0, "prediction": 10.0, "pipeline": 5_000.0, "training": 300_000.0, "hedge": 100.0, "liquidity": 100.0,
    "sentiment": 100.0,
    "idea": 500.0, "monte_carlo": 200.0, "backtest": 5_000.0,
}  # fmt: skip


def _run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The suite, without any setting of ours in the environment but those given."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FIELDCAST_")}
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], env=inherited | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """The module of inputs."""
    spec = importlib.util.spec_from_file_location("_targets_inputs", ROOT / "benchmarks" / "_targets_inputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_target_is_met_and_the_figures_stand_in_the_csv_with_the_hardware(tmp_path: Path) -> None:
    home, ledger, file = tmp_path / "home", tmp_path / "user.db", tmp_path / "made" / "targets.csv"
    for _ in range(3):      # other tests run beside it; a target that cannot be met is missed three times
        done = _run("--csv", file, FIELDCAST_HOME=str(home), FIELDCAST_LEDGER_URL=f"sqlite:///{ledger}")
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout + done.stderr
    assert not home.exists(), "the suite has a home of its own, which goes away"
    assert not ledger.exists(), "and a ledger of its own"
    with file.open(encoding="utf-8", newline="") as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    assert {name: float(row["target_ms"]) for name, row in rows.items()} == ENFORCED
    for name, row in rows.items():
        own, least, median = (float(row[f"{which}_ms"]) for which in ("undisturbed", "least", "median"))
        assert 0.0 < own <= least <= median, name
        assert own <= ENFORCED[name], name
        assert row["met"] == "true", name
        assert int(row["n"]) == {"training": 1, "backtest": 3}.get(name, 7), name
        assert row["simulated"] == "true", name
        assert re.search(r", \d+ processors, \d+ GiB, Python 3\.\d+\.\d+, load \d", row["hardware"]), row["hardware"]
        assert re.search(rf"^{name} .* met$", done.stdout, re.MULTILINE), done.stdout
    assert len({row["hardware"] for row in rows.values()}) == 1


def test_a_target_that_cannot_be_met_ends_it_with_one_and_names_each_that_was_missed(tmp_path: Path) -> None:
    file = tmp_path / "targets.csv"
    done = _run("--only", "sentiment", "--only", "monte_carlo", "--scale", "0.0001", "--csv", file)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.findall(r"^targets: expected (\w+) within ([\d.]+) ms", done.stderr, re.MULTILINE) == [
        ("sentiment", "0.01"),
        ("monte_carlo", "0.02"),
    ]
    assert done.stdout.count("MISSED") == 2
    with file.open(encoding="utf-8", newline="") as stream:
        assert [(row["name"], row["met"]) for row in csv.DictReader(stream)] == [("sentiment", "false"), ("monte_carlo", "false")]


@pytest.mark.parametrize("arguments", [("--only", "nonsense"), ("--scale", "0"), ("--scale", "inf"), ("--scale", "nan")])
def test_wrong_use_is_no_verdict(arguments: tuple[str, str]) -> None:
    done = _run(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert arguments[0] in done.stderr


def test_the_chains_and_the_book_are_of_the_size_and_shape_of_real_ones(made: ModuleType) -> None:
    inputs = made.Inputs()
    assert len(inputs.chains) == 10
    for moment, rows in inputs.chains.items():
        assert rows.height >= 20_000
        assert rows["expiry_ts"].n_unique() >= 40
        assert rows["expiry_ts"].min() > moment
        both = rows.filter(pl.col("bid").is_not_null(), pl.col("ask").is_not_null())
        assert both.height > 0.9 * rows.height
        assert (both["bid"] < both["ask"]).all()
        assert (rows["open_interest"] > 0).mean() > 0.6
        assert rows["open_interest"].sum() > 500_000
        close = inputs.daily.filter(pl.col("ts") == moment)["close"][0]
        assert rows["underlying_price"].unique().to_list() == [pytest.approx(close, abs=0.01)]
    minutes = inputs.minutes
    assert minutes.height > 90_000
    assert minutes["ts"][-1] - minutes["ts"][0] > timedelta(days=360)
    year = inputs.daily.filter(pl.col("ts") >= minutes["ts"][0])
    assert year.height >= 249
    assert year["volume"].sum() == pytest.approx(minutes["volume"].sum())
    assert inputs.daily["ts"].is_sorted()
    assert inputs.daily["ts"].is_unique().all()
    book = inputs.book
    assert book["depth"].height > 800_000
    assert {"bid", "ask"} == set(book["depth"]["side"])
    assert book["trades"].height > 20_000
    assert inputs.texts["source"].n_unique() == 5
    for rows in (inputs.daily, minutes, *inputs.chains.values(), *book.values(), inputs.texts):
        assert rows.select(has_reason(Reason.SIMULATED).all()).item(), "nothing here can be taken for a market"


def test_the_book_is_that_of_a_whole_session_and_one_snapshot_begins_it(made: ModuleType) -> None:
    """No later snapshot spares the engine the rows before it; what it reads is what a replay of all of them ends in."""
    from fieldcast.data.books import book_at, replay
    from fieldcast.fields.books import book_field
    from fieldcast.market import sessions_between
    from fieldcast.workflows.fields import BOOK

    inputs = made.Inputs()
    depth = inputs.book["depth"]
    (session,) = sessions_between("XNYS", made.LAST_CHAIN, made.LAST_CHAIN).iter_rows(named=True)
    assert depth["available_at"][0] == session["open"]
    end = depth["available_at"][-1]
    assert timedelta(0) <= session["close"] - end < timedelta(seconds=10)
    snapshots = depth.filter("snapshot")["available_at"].unique()
    assert snapshots.to_list() == [session["open"]]
    found = book_field(depth, end, settings=BOOK)
    last = replay(depth, 1, at=pl.Series([end])).states.row(0, named=True)
    assert found.book is not None
    assert (found.book.bid_price[0], found.book.ask_price[0]) == (last["bid_1"], last["ask_1"])
    whole = book_at(depth, end)
    assert found.book.bid_size.tolist() == whole.bids["size"].to_list()
    assert found.book.ask_size.tolist() == whole.asks["size"].to_list()


def test_make_runs_the_suite_and_help_names_it() -> None:
    done = subprocess.run(["make", "--dry-run", "targets"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "benchmarks/targets.py --csv" in done.stdout
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make targets" in told.stdout
