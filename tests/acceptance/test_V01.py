"""V01: Walk-forward harness: intraday 63/10/10 and daily 126/21/21 trading days, expanding or rolling, purge by label
end and embargo.

Done when: "Window dates equal a hand table across a holiday week, and 0 training labels overlap a test span in 1,000
random settings"
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from fieldcast.evaluation import DAILY, INTRADAY, Fold, TradingDayWalkForward, WalkForward, Window
from fieldcast.market import sessions_between

pytestmark = pytest.mark.feature("V01")
OPEN_PARTS: tuple[str, ...] = ()


def test_intraday_windows_across_thanksgiving_christmas_and_new_year() -> None:
    # by hand from the NYSE calendar: closed on Labor Day (4 September), Thanksgiving (23 November), Christmas and
    # New Year; 21 August + 62 sessions = 16 November 2023
    windows = INTRADAY.windows(date(2023, 8, 21), date(2024, 1, 2))
    assert windows == (
        Window(date(2023, 8, 21), date(2023, 11, 16), date(2023, 11, 17), date(2023, 12, 1)),
        Window(date(2023, 9, 5), date(2023, 12, 1), date(2023, 12, 4), date(2023, 12, 15)),
        Window(date(2023, 9, 19), date(2023, 12, 15), date(2023, 12, 18), date(2024, 1, 2)),
    )


def test_daily_windows_across_christmas_new_year_and_martin_luther_king_day() -> None:
    # 20 June + 125 sessions = 15 December 2023 (closed on 4 July, 4 September, 23 November)
    rolling = DAILY.windows(date(2023, 6, 20), date(2024, 2, 16))
    assert rolling == (
        Window(date(2023, 6, 20), date(2023, 12, 15), date(2023, 12, 18), date(2024, 1, 18)),
        Window(date(2023, 7, 20), date(2024, 1, 18), date(2024, 1, 19), date(2024, 2, 16)),
    )
    expanding = replace(DAILY, expanding=True).windows(date(2023, 6, 20), date(2024, 2, 16))
    assert [(w.train_first, w.test_first, w.test_last) for w in expanding] == [
        (date(2023, 6, 20), w.test_first, w.test_last) for w in rolling
    ]


def test_the_last_test_span_ends_with_the_data() -> None:
    windows = INTRADAY.windows(date(2023, 8, 21), date(2023, 12, 20))
    assert windows[-1] == Window(date(2023, 9, 19), date(2023, 12, 15), date(2023, 12, 18), date(2023, 12, 20))


def _overlaps(fold: Fold, decision: np.ndarray, end: np.ndarray) -> int:
    """Training labels, as spans (decision, end], that touch the test span or do not end at all."""
    test_from = decision[fold.test[0]]
    known = end[fold.test][~np.isnat(end[fold.test])]
    test_to = max(decision[fold.test[-1]], known.max()) if known.size else decision[fold.test[-1]]
    ends = end[fold.train]
    return int(np.count_nonzero(np.isnat(ends) | ((ends > test_from) & (decision[fold.train] < test_to))))


def _labels(rng: np.random.Generator, decision: np.ndarray, longest: int) -> np.ndarray:
    """Label ends of varying horizon: some rows ahead, half an hour before that row's decision, or NaT past the end."""
    n = decision.size
    ahead = np.arange(n) + rng.integers(1, longest + 1, n)
    end = decision[np.minimum(ahead, n - 1)] - np.timedelta64(30, "m")
    end[ahead >= n] = np.datetime64("NaT")
    return end


def test_no_training_label_overlaps_a_test_span_in_1000_random_settings() -> None:
    rng = np.random.default_rng(20181231)
    days = sessions_between("XNYS", date(2016, 1, 4), date(2018, 12, 31))["session"].to_numpy().astype("datetime64[D]")
    folds = overlapping = purged = expected = 0
    for setting in range(1000):
        expanding, test = bool(rng.random() < 0.5), int(rng.integers(1, 25))
        step, embargo = test + int(rng.integers(0, 5)), int(rng.integers(0, 5))
        train = int(rng.integers(6, 80))
        first = int(rng.integers(0, 500))
        span = days[first : first + int(rng.integers(train + 2, 250))]
        if setting % 2:      # daily rows, counted in rows
            decision = (span + np.timedelta64(21, "h")).astype("datetime64[us]") + np.timedelta64(30, "m")
            end = _labels(rng, decision, int(rng.integers(1, 12)))
            warm_up = int(rng.integers(0, 10))
            walk = WalkForward(train, test, step, embargo, expanding)
            found = list(walk.split(decision, end, warm_up))
            expected += len(range(warm_up + train, decision.size, step))
        else:      # some rows a session, counted in trading days
            each = int(rng.integers(1, 4))
            session = np.repeat(span, each)
            hours = np.tile(15 + 2 * np.arange(each), span.size).astype("timedelta64[h]")
            decision = (session + hours).astype("datetime64[us]")
            end = _labels(rng, decision, int(rng.integers(1, 12)))
            days_walk = TradingDayWalkForward(train, test, step, embargo, expanding)
            found = list(days_walk.split(decision, end, session))
            expected += len(range(train, span.size, step))
        for fold in found:
            folds += 1
            overlapping += _overlaps(fold, decision, end)
            before = np.arange(0 if expanding else fold.train[0] if fold.train.size else fold.test[0], fold.test[0])
            purged += before.size - fold.train.size
            assert fold.train.size == 0 or fold.train[-1] < fold.test[0]
    assert overlapping == 0
    assert folds == expected      # and no fold was left out to get there
    assert purged > 10_000      # and there was something to purge


def test_the_counter_of_overlaps_sees_an_unpurged_split() -> None:
    decision = (np.datetime64("2020-01-01T21:30") + np.arange(40) * np.timedelta64(1, "D")).astype("datetime64[us]")
    end = np.append(decision[5:], np.full(5, np.datetime64("NaT"), dtype="datetime64[us]"))
    assert _overlaps(Fold(0, np.arange(20), np.arange(20, 30)), decision, end) == 4


@pytest.mark.parametrize("embargo", [0, 1, 5])
def test_the_embargo_keeps_so_many_rows_between_the_last_label_and_the_test(embargo: int) -> None:
    close = (np.datetime64("2020-01-01T21:00") + np.arange(100) * np.timedelta64(1, "D")).astype("datetime64[us]")
    decision, end = close + np.timedelta64(30, "m"), np.append(close[1:], np.datetime64("NaT"))
    for fold in WalkForward(initial=30, test=10, step=10, embargo=embargo).split(decision, end):
        last_known = np.flatnonzero(close == end[fold.train].max())[0]
        assert fold.test[0] - last_known == embargo
