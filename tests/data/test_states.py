"""States of instruments: every transition in both directions, and what is written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.data.freshness import freshness
from fieldcast.data.quality import QualityReport
from fieldcast.data.states import (
    ACTIVE_ROWS,
    DEGRADED_ROWS,
    DWELL,
    RETIRE_AFTER,
    State,
    StateChange,
    active,
    judge,
    record_state,
    reinstate,
    retire,
    size_multiplier,
    state_history,
    state_of,
)
from fieldcast.ground import ConflictError, InvalidInput, MissingData, Reason
from fieldcast.market import Instrument, Kind

AT = datetime(2024, 1, 2, 21, 30, tzinfo=UTC)
ID = "ARCX:SPY"


def report(score: float, at: datetime = AT, **costs: float) -> QualityReport:
    found = {Reason(name): 1 for name in costs}
    return QualityReport(ID, at, score, found, {Reason(name): cost for name, cost in costs.items()}, 100.0, pl.DataFrame(), 252)


def before(state: State, days: float = 30) -> StateChange:
    return StateChange(ID, AT - timedelta(days=days), state, 0.5, ())


@pytest.mark.parametrize(
    ("score", "rows", "expected"),
    [
        (1.0, 1260, State.ACTIVE),
        (0.9, 1260, State.ACTIVE),
        (0.899, 1260, State.DEGRADED),
        (1.0, 1259, State.DEGRADED),
        (0.6, 1000, State.DEGRADED),
        (0.599, 5000, State.QUARANTINED),
        (1.0, 999, State.QUARANTINED),
        (0.0, 0, State.QUARANTINED),
    ],
)
def test_a_first_judgement_follows_from_score_and_length(score, rows, expected):
    assert judge(None, score, rows, AT) is expected


# old state, score, sessions, new state: each pair of neighbours down and up
DOWN = [
    (State.ACTIVE, 0.89, 2000, State.DEGRADED),
    (State.ACTIVE, 0.59, 2000, State.QUARANTINED),
    (State.DEGRADED, 0.59, 2000, State.QUARANTINED),
    (State.ACTIVE, 1.0, 1100, State.DEGRADED),
]
UP = [
    (State.DEGRADED, 0.93, 2000, State.ACTIVE),
    (State.QUARANTINED, 0.63, 2000, State.DEGRADED),
    (State.QUARANTINED, 0.93, 2000, State.ACTIVE),
    (State.QUARANTINED, 1.0, 1100, State.DEGRADED),
]


@pytest.mark.parametrize(("old", "score", "rows", "new"), DOWN)
def test_a_state_falls_at_once(old, score, rows, new):
    assert judge(before(old, days=0.01), score, rows, AT) is new


@pytest.mark.parametrize(("old", "score", "rows", "new"), UP)
def test_a_state_rises_after_five_days_and_only_with_a_margin(old, score, rows, new):
    assert judge(before(old), score, rows, AT) is new
    assert judge(before(old, days=DWELL.days), score, rows, AT) is new
    assert judge(before(old, days=DWELL.days - 0.01), score, rows, AT) is old
    if rows == 2000:
        assert judge(before(old), score - 0.02, rows, AT) is not new


@pytest.mark.parametrize("old", [None, State.ACTIVE, State.DEGRADED, State.QUARANTINED])
def test_no_data_for_thirty_days_or_delisting_retires(old):
    was = None if old is None else before(old)
    assert judge(was, 1.0, 2000, AT, newest=AT - RETIRE_AFTER) is not State.RETIRED
    assert judge(was, 1.0, 2000, AT, newest=AT - RETIRE_AFTER - timedelta(seconds=1)) is State.RETIRED
    assert judge(was, 1.0, 2000, AT, newest=AT, delisted=True) is State.RETIRED


def test_no_score_brings_an_instrument_back_from_retirement():
    assert judge(before(State.RETIRED, days=3000), 1.0, 9000, AT, newest=AT) is State.RETIRED


def test_a_score_on_the_border_does_not_flicker():
    state, changes = State.ACTIVE, 0
    last = AT
    for day in range(60):
        score = 0.91 if day % 2 else 0.89
        now = AT + timedelta(days=day)
        new = judge(StateChange(ID, last, state, score, ()), score, 2000, now)
        if new is not state:
            state, last, changes = new, now, changes + 1
    assert changes == 1


@given(old=st.sampled_from([None, *State]), score=st.floats(0, 1), rows=st.integers(0, 3000), days=st.floats(0, 100))
def test_nothing_rises_above_what_its_figures_allow(old, score, rows, days):
    was = None if old is None else before(old, days)
    state = judge(was, score, rows, AT)
    if state is State.ACTIVE:
        assert score >= 0.899
        assert rows >= ACTIVE_ROWS
    if state.may_trade:
        assert score >= 0.599
        assert rows >= DEGRADED_ROWS
        assert old is not State.RETIRED


def test_the_ledger_keeps_every_change_and_nothing_else(db):
    assert state_of(db, ID) is None
    for day, (score, costs) in enumerate([(1.0, {}), (0.95, {}), (0.7, {"missing_session": 0.3}), (0.5, {"flash_spike": 0.5})]):
        record_state(db, report(score, AT + timedelta(days=day), **costs), 2000)
    history = state_history(db)
    assert history["state"].to_list() == ["active", "degraded", "quarantined"]
    assert history["reasons"].to_list() == ["", "missing_session", "flash_spike"]
    assert history["at"].to_list() == [AT, AT + timedelta(days=2), AT + timedelta(days=3)]
    assert state_of(db, ID, AT + timedelta(days=2, hours=1)).state is State.DEGRADED
    assert state_of(db, ID, AT - timedelta(seconds=1)) is None
    with pytest.raises(ConflictError, match="at or after"):
        record_state(db, report(1.0, AT), 2000)


def test_retirement_and_return_are_written_down(db):
    record_state(db, report(1.0), 2000)
    late = AT + timedelta(days=40)
    assert record_state(db, report(0.0, late, no_data=1.0), 2000, newest=AT).state is State.RETIRED
    assert record_state(db, report(1.0, late + timedelta(days=60)), 2000).state is State.RETIRED
    assert active(db) == ()
    with pytest.raises(ConflictError, match="retired, found it never judged"):
        reinstate(db, "ARCX:QQQ", late)
    back = late + timedelta(days=61)
    assert reinstate(db, ID, back).state is State.QUARANTINED
    with pytest.raises(ConflictError, match="found it quarantined"):
        reinstate(db, ID, back + timedelta(days=1))
    assert record_state(db, report(1.0, back + DWELL), 2000).state is State.ACTIVE
    assert state_history(db)["state"].to_list() == ["active", "retired", "quarantined", "active"]
    assert state_history(db)["reasons"].to_list() == ["", "no_data,stale", "reinstated", ""]
    assert active(db) == (ID,)
    assert active(db, late) == ()
    assert retire(db, ID, back + timedelta(days=9)).reasons == (Reason.DELISTED,)
    assert retire(db, ID, back + timedelta(days=10)).at == back + timedelta(days=9)


def test_what_makes_no_sense_is_refused(db):
    with pytest.raises(MissingData, match="judged instruments"):
        active(db)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        judge(None, 1.5, 2000, AT)


def test_the_size_is_cut_by_the_worse_of_state_and_freshness():
    spy = Instrument(id=ID, kind=Kind.ETF)
    fresh = freshness(datetime(2024, 1, 2, 21, tzinfo=UTC), spy, AT)
    late = freshness(datetime(2023, 12, 29, 21, tzinfo=UTC), spy, AT)
    assert [size_multiplier(state, fresh) for state in State] == [1.0, 0.5, 0.0, 0.0]
    assert [size_multiplier(state, late) for state in State] == [0.25, 0.25, 0.0, 0.0]
