"""States of quality through the workflow: judged, written down and changed at the workspace's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.data.states import State, state_history, state_of
from fieldcast.ground import ConflictError, ManualClock, Reason, Settings
from fieldcast.workflows import Workspace, check_data, open_workspace

MADE = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=1400, last=datetime(2018, 12, 31, tzinfo=UTC).date()))
ID, NEWEST = MADE.instrument.id, MADE.bars["ts"][-1]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NEWEST + timedelta(hours=2))


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock):
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=clock) as opened:
        save_instrument(opened.ledger, MADE.instrument)
        opened.store.append(MADE.bars, MADE.lineage)
        yield opened


def test_a_state_is_written_down_at_the_clock_and_a_look_writes_nothing(workspace: Workspace, clock: ManualClock) -> None:
    assert check_data(workspace, ID).state is State.ACTIVE
    assert state_history(workspace.ledger).is_empty()
    assert check_data(workspace, ID, state="record").state is State.ACTIVE
    assert state_of(workspace.ledger, ID).at == clock.now()


def test_a_history_without_a_new_row_for_thirty_days_is_retired(workspace: Workspace, clock: ManualClock) -> None:
    check_data(workspace, ID, state="record")
    clock.advance_to(NEWEST + timedelta(days=30))
    assert check_data(workspace, ID, state="record").state is State.ACTIVE
    clock.advance_to(NEWEST + timedelta(days=30, seconds=1))
    assert check_data(workspace, ID).state is State.RETIRED
    assert state_of(workspace.ledger, ID).state is State.ACTIVE
    found = check_data(workspace, ID, state="record")
    assert found.state is State.RETIRED
    assert found.quality.score > 0.9  # of its rows; that they ended is the state's to say
    change = state_of(workspace.ledger, ID)
    assert (change.at, change.reasons) == (clock.now(), (Reason.STALE,))


def test_a_person_s_word_counts_from_when_it_was_given(workspace: Workspace, clock: ManualClock) -> None:
    check_data(workspace, ID, state="record")
    clock.advance_to(NEWEST + timedelta(days=3))
    check_data(workspace, ID, state="retire")
    assert state_of(workspace.ledger, ID, NEWEST + timedelta(days=2)).state is State.ACTIVE
    assert state_of(workspace.ledger, ID).at == clock.now()
    clock.advance_to(NEWEST + timedelta(days=4))
    check_data(workspace, ID, state="reinstate")
    assert state_of(workspace.ledger, ID).at == clock.now()


def test_changes_of_the_same_moment_stand_in_their_order(workspace: Workspace, clock: ManualClock) -> None:
    for wish in ("record", "retire", "reinstate", "retire"):
        check_data(workspace, ID, state=wish)
    history = state_history(workspace.ledger)
    assert history["state"].to_list() == ["active", "retired", "quarantined", "retired"]
    assert history["at"].to_list() == [clock.now() + timedelta(microseconds=k) for k in range(4)]


def test_a_change_before_the_newest_one_is_refused(workspace: Workspace, clock: ManualClock) -> None:
    check_data(workspace, ID, state="record")
    clock.at -= timedelta(minutes=1)
    for wish in ("record", "retire"):
        with pytest.raises(ConflictError, match="at or after"):
            check_data(workspace, ID, state=wish)
    assert state_history(workspace.ledger).height == 1
