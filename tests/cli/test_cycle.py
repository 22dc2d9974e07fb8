"""`cycle run` on the command line: paper only, a slot once, another clock's data refused with exit code 3 unless revised."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from fieldcast.ground import load_settings
from fieldcast.market import STAMP
from fieldcast.workflows import open_workspace

PLANTED = "SIM:PLANTED"
CLOSE = datetime.fromisoformat("2018-12-31T21:00+00:00")
DECIDED = CLOSE + timedelta(minutes=30)


def restate_last_bar(home: Path, known: datetime) -> None:
    """The newest bar's close is another, which became known at `known`."""
    with open_workspace(settings=load_settings(home=home)) as workspace:
        bars = workspace.store.read(PLANTED).tail(1)
        assert bars["ts"][0] == CLOSE
        close = pl.col("close") * 1.01
        changed = bars.with_columns(
            close=close, high=pl.max_horizontal("high", close), available_at=pl.lit(known, dtype=STAMP)
        )
        lineage = replace(workspace.store.lineage(PLANTED)[-1], fetched_at=known)
        assert workspace.store.append(changed, lineage).rows_restated == 1


def test_a_slot_on_the_command_line(run, home, experiment) -> None:
    def cycle(at: datetime, *more: str):
        return run("cycle", "run", PLANTED, "--paper", "--portfolio", "simulated", "--experiment", experiment,
                   "--as-of", at.isoformat(), "--home", home, *more)  # fmt: skip

    decided = cycle(DECIDED, "--json").json
    assert (decided["status"], decided["revision"]) == ("decided", 0)
    assert len(decided["decisions"]) == 1
    again = cycle(DECIDED, "--json").json
    assert again["status"] == "unchanged"
    assert again["decisions"] == decided["decisions"]
    restate_last_bar(home, DECIDED + timedelta(minutes=15))
    assert cycle(DECIDED, "--json").json["decisions"] == decided["decisions"]      # what came later is not known then
    refused = cycle(DECIDED + timedelta(hours=1), "--json")
    assert refused.code == 3
    assert refused.out == ""
    assert "revise" in refused.err.strip().splitlines()[-1]
    revised = cycle(DECIDED + timedelta(hours=1), "--revise", "--json").json
    assert (revised["status"], revised["revision"]) == ("revised", 1)
    assert "revised" in revised["decisions"][0]["reasons"]
    audit = run("audit", "verify", "--home", home, "--json").json
    assert (audit["ok"], audit["entries"]) == (True, 4)                            # a summary and a decision, twice


def test_without_paper_nothing_is_even_opened(run, experiment, tmp_path) -> None:
    line = run("cycle", "run", PLANTED, "--experiment", experiment, "--home", tmp_path / "none").refused()
    assert "--paper" in line
    assert not (tmp_path / "none").exists()
