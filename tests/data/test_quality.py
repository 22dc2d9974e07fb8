"""The quality score: what costs how much, and what no longer does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldcast.data import quality
from fieldcast.data.quality import COSTS, STALE_COST
from fieldcast.ground import Reason
from fieldcast.market import DECISION_DELAY, add_reason, empty_bars

pytestmark = pytest.mark.feature("D13", part="score 0 to 1 with reason codes")


def year(make_bars):
    return make_bars(first=date(2021, 6, 1), last=date(2023, 2, 28))


def last_decision(bars: pl.DataFrame) -> datetime:
    return bars["ts"][-1] + DECISION_DELAY


def test_a_whole_fresh_history_scores_one(make_bars, spy):
    bars = year(make_bars)
    report = quality(bars, spy, last_decision(bars))
    assert (report.score, report.reasons, report.costs, report.completeness) == (1.0, {}, {}, 100.0)
    assert (report.rows, report.gaps.height) == (252, 0)


def test_no_row_scores_zero(spy):
    report = quality(empty_bars(), spy, datetime(2023, 3, 1, tzinfo=UTC))
    assert (report.score, report.reasons, report.completeness) == (0.0, {Reason.NO_DATA: 1}, 0.0)


def test_every_missing_session_costs_and_is_listed(make_bars, spy):
    bars = year(make_bars)
    gone = bars.filter(~pl.int_range(pl.len()).is_in([bars.height - 20, bars.height - 21, bars.height - 50]))
    report = quality(gone, spy, last_decision(bars))
    assert report.reasons == {Reason.MISSING_SESSION: 3}
    assert report.score == pytest.approx(1 - 5 * 3 / 252)
    assert report.completeness == pytest.approx(100 * 249 / 252)
    assert report.gaps["bars"].to_list() == [1, 2]


def test_an_old_hole_does_not_cost_for_ever(make_bars, spy):
    bars = year(make_bars)
    gone = bars.filter(~pl.int_range(pl.len()).is_between(50, 70))
    assert quality(gone, spy, last_decision(bars)).score == 1.0
    assert quality(gone, spy, last_decision(bars), window=None).score < 1.0


@pytest.mark.parametrize("late", [1, 2, 3])
def test_each_session_of_delay_costs_a_quarter(make_bars, spy, late):
    bars = year(make_bars)
    report = quality(bars.head(bars.height - late), spy, last_decision(bars))
    assert report.reasons == {Reason.STALE: late}
    assert report.score == pytest.approx(1 - STALE_COST * late)
    assert (report.score < 0.6) == (late >= 2)


def test_a_session_counts_as_late_only_once_its_decision_time_has_come(make_bars, spy):
    bars = year(make_bars)
    assert quality(bars.head(bars.height - 1), spy, last_decision(bars) - timedelta(seconds=1)).score == 1.0


def test_rows_of_the_future_are_found(make_bars, spy):
    bars = year(make_bars)
    report = quality(bars, spy, last_decision(bars.head(bars.height - 4)))
    assert report.reasons == {Reason.FUTURE_STAMP: 4}


def test_notes_cost_little_and_simulated_nothing(make_bars, spy):
    bars = year(make_bars)
    noted = bars.with_columns(add_reason("open_synthetic", pl.lit(value=True)))
    assert quality(noted, spy, last_decision(bars)).score == pytest.approx(0.95)
    simulated = bars.with_columns(add_reason("simulated", pl.lit(value=True)))
    report = quality(simulated, spy, last_decision(bars))
    assert (report.score, report.reasons) == (1.0, {Reason.SIMULATED: 252})


def test_broken_rows_cost_five_times_their_share(make_bars, spy):
    bars = year(make_bars)
    at = pl.int_range(pl.len()) >= bars.height - 5
    broken = bars.with_columns(close=pl.when(at).then(np.nan).otherwise("close"))
    report = quality(broken, spy, last_decision(bars))
    assert report.reasons == {Reason.PRICE_MISSING: 5, Reason.STALE: 5}
    assert report.costs[Reason.PRICE_MISSING] == pytest.approx(5 * 5 / 252)
    assert report.score == 0.0


@given(gone=st.sets(st.integers(0, 250)), late=st.integers(0, 5))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_score_stays_in_range_and_falls_as_rows_go(make_bars, spy, gone, late):
    bars = make_bars(first=date(2022, 2, 1), last=date(2023, 2, 28))
    as_of = last_decision(bars)
    kept = bars.head(bars.height - late).filter(~pl.int_range(pl.len()).is_in(sorted(gone)))
    report = quality(kept, spy, as_of)
    assert 0.0 <= report.score <= 1.0
    assert 0.0 <= report.completeness <= 100.0
    assert quality(kept.head(kept.height - 1), spy, as_of).score <= report.score + 1e-12
    assert all(cost <= COSTS[reason][1] for reason, cost in report.costs.items() if reason in COSTS)
