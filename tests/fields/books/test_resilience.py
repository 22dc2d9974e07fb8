"""Resilience: a hand-made dip, the watch's rules, Kaplan and Meier beside scipy, and the recorded streams."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from fieldcast.data.books import replay
from fieldcast.fields.books import ResilienceSettings, resilience, spread_elasticity
from fieldcast.fields.books.resilience import median_time
from fieldcast.ground import InvalidInput, Reason

TOP = [("bid", 99.0, 100.0), ("ask", 101.0, 50.0)]
SETTINGS = ResilienceSettings(levels=1, horizons_seconds=(1.0,), horizons_messages=(1,), watch_seconds=5.0, least_events=1)


def bid(at: int, size: float) -> tuple[int, bool, list[tuple[str, float, float]]]:
    return at, False, [("bid", 99.0, size)]


def test_a_dip_worked_by_hand(make_depth):
    """100 → 20 at 1 s; 40 at 1.5 s is a quarter back, 60 at 3 s half of the 80 that went: half-life 2 s, R(1 s) = 20/80."""
    rows = make_depth([(0, True, TOP), bid(1000, 20), bid(1500, 40), bid(3000, 60), bid(4000, 90)])
    found = resilience(replay(rows, 1).states, SETTINGS)
    assert found.events.height == 1
    event = found.events.row(0, named=True)
    assert (event["side"], event["before"], event["after"]) == ("bid", 100.0, 20.0)
    assert (event["half_seconds"], event["recovered_1s"], event["recovered_1m"]) == (2.0, 0.25, 0.25)
    assert event["known_at"] - event["available_at"] == timedelta(seconds=2)
    assert found.half_life_seconds == 2.0
    assert found.recovered == {"1s": 0.25, "1m": 0.25}


def test_a_recovery_that_never_comes_has_no_half_life(make_depth):
    rows = make_depth([(0, True, TOP), bid(1000, 20), bid(1500, 30), bid(9000, 95)])
    found = resilience(replay(rows, 1).states, SETTINGS)
    assert found.events["half_seconds"].to_list() == [None]
    assert found.half_life_seconds is None
    assert found.reasons["half_life_seconds"] is Reason.UNRESOLVED


def test_what_rows_do_not_reach_is_unknown_and_a_torn_book_ends_the_watch(make_depth):
    rows = make_depth([(0, True, TOP), bid(1000, 20), bid(1400, 30), (1600, False, [("bid", 99.0, 90.0)]), bid(3000, 95)],
                      reasons={3: "book_gap"})  # fmt: skip
    event = resilience(replay(rows, 1).states, SETTINGS).events.row(0, named=True)
    assert (event["half_seconds"], event["watched_seconds"]) == (None, 0.4)
    assert (event["recovered_1m"], event["recovered_1s"]) == (0.125, None)
    short = resilience(replay(make_depth([(0, True, TOP), bid(1000, 20)]), 1).states, SETTINGS)
    assert short.events.select("recovered_1s", "recovered_1m").row(0) == (None, None)


def test_what_a_new_snapshot_shows_after_a_tear_is_no_recovery(make_depth):
    messages = [(0, True, TOP), bid(1000, 20), bid(1400, 30), bid(1600, 35), (1800, True, TOP), bid(2500, 99)]
    event = resilience(replay(make_depth(messages, reasons={3: "book_gap"}), 1).states, SETTINGS).events.row(0, named=True)
    assert (event["half_seconds"], event["recovered_1s"]) == (None, None)


def test_small_falls_and_few_events_say_nothing(make_depth):
    rows = make_depth([(0, True, TOP), bid(1000, 60), bid(1500, 100), bid(2000, 50), bid(2500, 100)])
    found = resilience(replay(rows, 1).states, ResilienceSettings(levels=1))
    assert found.events.height == 1  # 100 → 60 takes less than half, 100 → 50 just half
    assert found.half_life_seconds is None
    assert found.reasons["half_life_seconds"] is Reason.FEW_ROWS


@given(
    times=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    random=st.randoms(use_true_random=False),
)
def test_the_median_time_is_that_of_scipys_survival_function(times, random):
    happened = np.array([random.random() < 0.6 for _ in times])
    moments = np.array(times, float)
    found = median_time(moments, happened)
    curve = ecdf(CensoredData(uncensored=moments[happened], right=moments[~happened])).sf if happened.any() else None
    reached = [] if curve is None else curve.quantiles[curve.probabilities <= 0.5 + 1e-12]
    assert found == (pytest.approx(float(reached[0])) if len(reached) else None)


def test_spread_elasticity_comes_back_from_a_book_made_with_it(make_depth):
    """Depth 1000 · spread^−1.5 at spreads of 1 … 40 cents: 1.5."""
    messages = []
    for place in range(60):
        spread = 0.01 * (1 + (7 * place) % 40)
        size = 500 * spread**-1.5
        messages.append((place, True, [("bid", 100.0, size), ("ask", 100.0 + spread, size)]))
    assert spread_elasticity(replay(make_depth(messages), 1).states, 1) == pytest.approx(1.5, abs=1e-6)
    still = [(at, True, [("bid", 100.0, 5.0 + at), ("ask", 101.0, 5.0)]) for at in range(60)]
    assert spread_elasticity(replay(make_depth(still), 1).states, 1) is Reason.UNDEFINED
    assert spread_elasticity(replay(make_depth(still[:10]), 1).states, 1) is Reason.FEW_ROWS


def test_wrong_use_is_refused(make_depth):
    states = replay(make_depth([(0, True, TOP)]), 1).states
    for ask in (lambda: resilience(states), lambda: spread_elasticity(states), lambda: ResilienceSettings(fall=0.0)):
        with pytest.raises(InvalidInput, match="expected"):
            ask()


# recorded books ------------------------------------------------------------------------------------------------------


def test_recorded_falls_are_those_of_a_plain_loop(recorded):
    """The first event of each side, and no event that takes less than half."""
    states = recorded.states(5)
    events = resilience(states).events
    for side in ("bid", "ask"):
        depth = states.select(pl.sum_horizontal(f"{side}_size_{n}" for n in range(1, 6))).to_series().to_numpy()
        known = states["reasons"].is_null().to_numpy()
        falls = [i for i in range(1, len(depth)) if known[i] and known[i - 1] and depth[i] <= 0.5 * depth[i - 1]]
        found = events.filter(pl.col("side") == side)
        assert (found.height > 0) == bool(falls)
        if falls:
            assert found["available_at"][0] == states["available_at"][falls[0]]
    assert (events["after"] <= 0.5 * events["before"]).all()


def test_recorded_recoveries_need_no_later_message(recorded):
    """A stretch cut at the moment when an event's recovery was known holds the same half-life for it."""
    states = recorded.states(5)
    events = resilience(states).events.drop_nulls("half_seconds")
    for event in events[:: max(events.height // 4, 1)].iter_rows(named=True):
        part = resilience(states.filter(pl.col("available_at") <= event["known_at"])).events
        same = part.filter((pl.col("available_at") == event["available_at"]) & (pl.col("side") == event["side"]))
        assert same["half_seconds"].to_list() == [event["half_seconds"]]


def test_the_recorded_binance_book_refills_within_seconds(binance):
    found = resilience(binance.states(5))
    assert found.events.height > 100
    assert 0.1 < found.half_life_seconds < 10
    assert found.recovered["1m"] < found.recovered["10m"] < found.recovered["100m"]
