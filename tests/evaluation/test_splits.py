"""Walk-forward splits: dates by hand, purge by label end, embargo."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.evaluation import DAILY, INTRADAY, TradingDayWalkForward, WalkForward
from fieldcast.ground import InvalidInput
from fieldcast.market import sessions_between

DAY = np.timedelta64(1, "D")


def _rows(n: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Daily decisions, half an hour after each close; labels end at the close `horizon` rows on, NaT past the end."""
    close = (np.datetime64("2010-01-01T21:00") + np.arange(n) * DAY).astype("datetime64[us]")
    end = np.full(n, np.datetime64("NaT"), dtype="datetime64[us]")
    end[: n - horizon] = close[horizon:]
    return close + np.timedelta64(30, "m"), end


def _sessions(first: date, last: date) -> np.ndarray:
    return sessions_between("XNYS", first, last)["session"].to_numpy().astype("datetime64[D]")


def test_rows_of_a_small_walk_equal_a_hand_table() -> None:
    decision, end = _rows(12, 2)
    folds = list(WalkForward(initial=5, test=3, step=3, embargo=0).split(decision, end, first_usable=1))
    # first test row 6: the label of row 5 ends at close 7, after decision 6, and is purged; that of row 4 is just known
    assert [(f.train.tolist(), f.test.tolist()) for f in folds] == [
        ([1, 2, 3, 4], [6, 7, 8]),
        ([1, 2, 3, 4, 5, 6, 7], [9, 10, 11]),
    ]
    rolling = list(WalkForward(initial=5, test=3, step=3, embargo=1, expanding=False).split(decision, end, 1))
    assert [(f.train.tolist(), f.test.tolist()) for f in rolling] == [
        ([1, 2, 3], [6, 7, 8]),
        ([4, 5, 6], [9, 10, 11]),
    ]


def test_the_newest_row_is_tested_and_a_label_without_an_end_is_never_trained_on() -> None:
    decision, end = _rows(31, 1)
    end[10] = np.datetime64("NaT")
    folds = list(WalkForward(initial=20, test=4, step=4).split(decision, end))
    assert folds[-1].test.tolist() == [28, 29, 30]
    assert all(10 not in fold.train for fold in folds)
    tested = np.concatenate([fold.test for fold in folds])
    assert tested.tolist() == list(range(20, 31))


@given(
    n=st.integers(30, 200), horizon=st.integers(1, 10), initial=st.integers(5, 60), test=st.integers(1, 30),
    gap=st.integers(0, 5), embargo=st.integers(0, 4), warm_up=st.integers(0, 20), expanding=st.booleans(),
)
def test_no_training_label_ends_inside_the_embargo_or_the_test_span(
    n: int, horizon: int, initial: int, test: int, gap: int, embargo: int, warm_up: int, expanding: bool
) -> None:
    decision, end = _rows(n, horizon)
    walk = WalkForward(initial=initial, test=test, step=test + gap, embargo=embargo, expanding=expanding)
    for fold in walk.split(decision, end, warm_up):
        first = int(fold.test[0])
        allowed = [
            row for row in range(warm_up if expanding else first - initial, first)
            if not np.isnat(end[row]) and end[row] <= decision[first - embargo]
        ]
        assert fold.train.tolist() == allowed
        assert fold.test.tolist() == list(range(first, min(first + test, n)))
        assert fold.train.size == 0 or fold.train[-1] < first


def test_trading_day_folds_hold_whole_sessions_of_minute_rows() -> None:
    days = _sessions(date(2023, 11, 1), date(2023, 12, 29))
    session = np.repeat(days, 3)
    decision = (session + np.tile([15, 17, 20], days.size).astype("timedelta64[h]")).astype("datetime64[us]")
    end = np.append(decision[1:], np.datetime64("NaT"))
    folds = list(TradingDayWalkForward(train=10, test=5, step=5).split(decision, end, session))
    first = folds[0]
    # the 10 sessions from 1 to 14 November, then 15 to 21; Thanksgiving (23rd) lies in the next test span
    assert np.unique(session[first.train]).tolist() == days[:10].tolist()
    assert first.train.size == 30      # the last label ends just when the first test row is decided
    assert np.unique(session[first.test]).tolist() == days[10:15].tolist()
    held = next(TradingDayWalkForward(train=10, test=5, step=5, embargo=1).split(decision, end, session))
    # one session kept back: labels must have ended by the first decision of the 14th
    assert end[held.train].max() == decision[session == days[9]][0]


def test_a_session_without_rows_still_counts_as_a_day() -> None:
    days = _sessions(date(2023, 1, 3), date(2023, 6, 30))
    missing = 40
    kept = np.delete(days, missing)
    decision = (kept + np.timedelta64(21, "h")).astype("datetime64[us]")
    end = np.append(decision[1:], np.datetime64("NaT"))
    walk = TradingDayWalkForward(train=30, test=10, step=10)
    folds = list(walk.split(decision, end, kept))
    windows = walk.windows(days[0].item(), days[-1].item())
    assert len(folds) == len(windows)
    for fold, window in zip(folds, windows, strict=True):
        assert kept[fold.test[0]].item() >= window.test_first
        assert kept[fold.test[-1]].item() == window.test_last
    assert [f.test.size for f in folds].count(10) == len(folds) - 2      # one lacks a row, the last one is short


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"initial": 0}, "initial"), ({"test": 0}, "test"), ({"test": 5, "step": 4}, "scored twice"),
        ({"embargo": -1}, "embargo"), ({"initial": 10, "embargo": 10}, "embargo"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, int], found: str) -> None:
    with pytest.raises(InvalidInput, match=found):
        WalkForward(**settings)


def test_bad_rows_are_refused_at_once_and_not_when_iterated() -> None:
    decision, end = _rows(30, 1)
    walk = WalkForward(initial=10, test=5, step=5)
    with pytest.raises(InvalidInput, match="ascending"):
        walk.split(decision[::-1], end)
    with pytest.raises(InvalidInput, match="every row"):
        walk.split(decision, end[1:])
    with pytest.raises(InvalidInput, match="after their decision"):
        walk.split(decision, decision - DAY)
    with pytest.raises(InvalidInput, match="first_usable"):
        walk.split(decision, end, 31)


def test_rows_on_a_holiday_are_refused_by_the_calendar() -> None:
    session = np.array(["2023-11-22", "2023-11-23", "2023-11-24"], dtype="datetime64[D]")
    decision = (session + np.timedelta64(21, "h")).astype("datetime64[us]")
    end = decision + DAY
    with pytest.raises(InvalidInput, match="2023-11-23"):
        TradingDayWalkForward(train=1, test=1, step=1).split(decision, end, session)


def test_presets_are_those_of_the_feature_table() -> None:
    assert (INTRADAY.train, INTRADAY.test, INTRADAY.step) == (63, 10, 10)
    assert (DAILY.train, DAILY.test, DAILY.step) == (126, 21, 21)
