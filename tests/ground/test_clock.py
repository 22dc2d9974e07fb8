"""Time is an argument: it is in UTC, it has a zone, and a clock never runs backwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, ManualClock, SystemClock, utc

MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=9))]))


def test_the_system_clock_is_in_utc_and_goes_on() -> None:
    clock = SystemClock()
    first = clock.now()
    assert first.utcoffset() == timedelta(0)
    assert clock.now() >= first


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(datetime(2018, 12, 3, 21, 30, tzinfo=UTC))
    assert clock.now() == clock.now() == datetime(2018, 12, 3, 21, 30, tzinfo=UTC)
    clock.advance_to(datetime(2018, 12, 4, tzinfo=UTC))
    assert clock.now() == datetime(2018, 12, 4, tzinfo=UTC)


def test_a_manual_clock_refuses_to_run_backwards_and_keeps_its_time() -> None:
    clock = ManualClock(datetime(2018, 12, 3, 21, 30, tzinfo=UTC))
    with pytest.raises(InvalidInput, match=r"2018-12-03T21:30:00.*2018-12-03T21:29:59"):
        clock.advance_to(datetime(2018, 12, 3, 21, 29, 59, tzinfo=UTC))
    assert clock.now() == datetime(2018, 12, 3, 21, 30, tzinfo=UTC)


def test_a_naive_moment_is_refused_everywhere() -> None:
    naive = datetime(2018, 12, 3)  # noqa: DTZ001 - the point of the test
    with pytest.raises(InvalidInput, match="zone"):
        utc(naive)
    with pytest.raises(InvalidInput, match="zone"):
        ManualClock(naive)
    with pytest.raises(InvalidInput, match="zone"):
        ManualClock(datetime(2018, 1, 1, tzinfo=UTC)).advance_to(naive)


@given(MOMENTS)
def test_utc_keeps_the_moment_and_changes_the_spelling(moment: datetime) -> None:
    assert utc(moment) == moment
    assert utc(moment).tzinfo is UTC


@given(st.lists(MOMENTS, min_size=2, max_size=6))
def test_a_manual_clock_is_monotone(moments: list[datetime]) -> None:
    clock = ManualClock(min(moments))
    for moment in moments:
        before = clock.now()
        if moment >= before:
            clock.advance_to(moment)
        else:
            with pytest.raises(InvalidInput):
                clock.advance_to(moment)
        assert clock.now() == max(before, moment)
