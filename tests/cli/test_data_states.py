"""States of quality, and rows that are not there, on the command line."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from fieldcast.data.states import state_history
from fieldcast.ground import ManualClock
from fieldcast.workflows import open_workspace

PLANTED = "SIM:PLANTED"


def history(home) -> list[tuple[str, datetime, str]]:
    with open_workspace(home) as workspace:
        return state_history(workspace.ledger).select("state", "at", "reasons").rows()


@pytest.fixture
def clock(home, monkeypatch) -> ManualClock:
    with open_workspace(home) as workspace:
        newest = workspace.store.read(PLANTED)["ts"][-1]
    clock = ManualClock(newest + timedelta(hours=1))
    monkeypatch.setattr("fieldcast.workflows.workspace.SystemClock", lambda: clock)
    return clock


def test_states_are_recorded_retired_and_reinstated_now(run, home, clock) -> None:
    def state(*wish: str) -> str:
        ended = run("data", "check", PLANTED, *wish, "--home", home, "--json")
        assert ended.code == 0, ended.err
        return ended.json["state"]

    first = clock.now()
    assert state() == "quarantined"  # 700 sessions are too few
    assert history(home) == []
    assert state("--state", "record") == "quarantined"
    assert state("--state", "retire") == "retired"
    assert state("--state", "record") == "retired"
    second = first + timedelta(microseconds=1)
    assert [(name, at) for name, at, _ in history(home)] == [("quarantined", first), ("retired", second)]
    clock.advance_to(first + timedelta(days=6))
    assert state("--state", "reinstate") == "quarantined"
    clock.advance_to(first + timedelta(days=31))
    assert state() == "retired"
    assert state("--state", "record") == "retired"
    assert history(home)[-2:] == [
        ("quarantined", first + timedelta(days=6), "reinstated"),
        ("retired", first + timedelta(days=31), "few_rows,stale"),
    ]


def test_what_cannot_be_done_is_one_line(run, home, clock) -> None:
    assert "retired" in run("data", "check", PLANTED, "--state", "reinstate", "--home", home).refused(3)
    assert "record, retire or reinstate" in run("data", "check", PLANTED, "--state", "sell", "--home", home).refused()
    run("data", "check", PLANTED, "--state", "record", "--home", home)
    clock.at -= timedelta(minutes=1)
    assert "at or after" in run("data", "check", PLANTED, "--state", "retire", "--home", home).refused(3)


def test_rows_that_are_not_there_end_with_2_and_what_there_is(run, home) -> None:
    show = ("data", "show", PLANTED, "--home", home)
    assert "first at or before last" in run(*show, "--first", "2018-05-01", "--last", "2017-05-01").refused()
    assert "2018-12-31" in run(*show, "--first", "2020-01-01").refused()
    assert "corporate actions" in run(*show, "--adjust", "total").refused()
