"""Measured profiles: figures, latency, samples, buckets, and the schedule over a clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import Instrument, Kind
from fieldcast.trading import CostModel
from fieldcast.trading.costs import (
    BUCKETS,
    CostDistribution,
    CostProfile,
    ExecutionCosts,
    SessionBucket,
    Statistic,
    Unmeasured,
    bucket_codes,
    bucket_of,
)

AT = datetime(2024, 3, 1, tzinfo=UTC)
SPY = Instrument("ARCX:SPY", Kind.ETF)
BTC = Instrument("BINANCE:BTCUSDT", Kind.CRYPTO, currency="USDT", calendar="24/7")
samples = st.lists(st.floats(-50, 500, allow_nan=False), min_size=1, max_size=60)


def micros(*moments: datetime) -> np.ndarray:
    return np.array([int(moment.timestamp() * 1e6) for moment in moments])


@pytest.mark.parametrize(
    ("moment", "bucket"),
    [
        ("2024-03-01T08:59:59", "overnight"),  # 03:59:59 in New York
        ("2024-03-01T09:00:00", "pre_market"),
        ("2024-03-01T14:29:59", "pre_market"),
        ("2024-03-01T14:30:00", "opening"),
        ("2024-03-01T14:59:59", "opening"),
        ("2024-03-01T15:00:00", "midday"),
        ("2024-03-01T20:29:59", "midday"),
        ("2024-03-01T20:30:00", "closing"),
        ("2024-03-01T21:00:00", "closing"),
        ("2024-03-01T21:00:01", "after_hours"),
        ("2024-03-02T00:59:59", "after_hours"),
        ("2024-03-02T01:00:00", "overnight"),
        ("2024-03-02T15:00:00", "overnight"),  # a Saturday
        ("2024-11-29T17:45:00", "closing"),  # the day after Thanksgiving ends at 13:00
        ("2024-11-29T18:30:00", "after_hours"),
    ],
)
def test_the_hours_of_a_us_exchange(moment: str, bucket: str) -> None:
    assert bucket_of("XNYS", datetime.fromisoformat(f"{moment}+00:00")) == bucket


def test_a_market_that_never_closes_has_three_desks() -> None:
    hours = [datetime(2024, 3, 2, hour, tzinfo=UTC) for hour in (0, 7, 8, 15, 16, 23)]
    found = [BUCKETS[code] for code in bucket_codes("24/7", micros(*hours))]
    assert found == ["tokyo", "tokyo", "london", "london", "new_york", "new_york"]


def test_other_exchanges_have_an_outside() -> None:
    assert bucket_of("XLON", datetime(2024, 3, 1, 7, 59, tzinfo=UTC)) is SessionBucket.OUTSIDE
    assert bucket_of("XLON", datetime(2024, 3, 1, 8, 0, tzinfo=UTC)) is SessionBucket.OPENING


@given(samples)
def test_a_distribution_is_what_numpy_says(values: list[float]) -> None:
    found = CostDistribution.of(np.array(values), AT)
    assert found.mean_bps == pytest.approx(float(np.mean(values)))
    assert found.p50_bps == pytest.approx(float(np.median(values)))
    assert found.p90_bps == pytest.approx(float(np.quantile(values, 0.9)))
    assert found.sample_count == len(values)


@given(samples, st.sampled_from(Statistic))
def test_latency_above_half_a_second_never_makes_it_cheaper(values: list[float], statistic: Statistic) -> None:
    found = CostDistribution.of(np.array(values), AT)
    calm = found.reading(statistic, latency_ms=500.0)
    late = found.reading(statistic, latency_ms=500.1)
    assert calm == found.reading(statistic)
    assert late >= calm
    assert late >= found.p90_bps
    assert late in (calm, found.p90_bps)


def test_p90_above_half_a_second_by_hand() -> None:
    found = CostDistribution.of(np.arange(101.0), AT)
    assert (found.reading(), found.reading(Statistic.P50), found.reading(Statistic.P90)) == (50.0, 50.0, 90.0)
    assert found.reading(latency_ms=501) == 90.0


def test_a_better_fill_than_expected_is_no_negative_cost() -> None:
    assert CostDistribution.of(np.full(10, -3.0), AT).reading() == 0.0


@given(samples)
def test_what_is_written_is_what_is_read(values: list[float]) -> None:
    found = CostDistribution.of(np.array(values), AT)
    costs = ExecutionCosts(AT.date(), {("ARCX:SPY", SessionBucket.OPENING): CostProfile(found, None)})
    assert ExecutionCosts.from_dict(costs.as_dict()).profiles == costs.profiles


@pytest.mark.parametrize("values", [{}, {"schema": 2}, {"schema": 1, "as_of": "x", "profiles": []}, {"schema": 1}])
def test_what_is_no_file_of_ours_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        ExecutionCosts.from_dict(values)


def model(**changes: object) -> CostModel:
    spread = CostDistribution.of(np.arange(2.0, 7.0), AT)
    slippage = CostDistribution.of(np.arange(5) / 4, AT)
    profiles = {
        ("ARCX:SPY", SessionBucket.OPENING): CostProfile(spread, slippage),
        ("ARCX:SPY", SessionBucket.MIDDAY): CostProfile(spread, None),
    }
    return CostModel(measured=ExecutionCosts(date(2024, 3, 1), profiles), **changes)  # type: ignore[arg-type]


OPEN, NOON = datetime(2024, 3, 4, 14, 30, tzinfo=UTC), datetime(2024, 3, 4, 17, tzinfo=UTC)


def test_a_bucket_without_a_profile_is_refused_by_name() -> None:
    with pytest.raises(MissingData, match=r"slippage of ARCX:SPY in the bucket midday"):
        model().parts(SPY, NOON)
    with pytest.raises(MissingData, match="BINANCE:BTCUSDT"):
        model().schedule([SPY, BTC], micros(OPEN))


def test_constants_stand_in_only_where_they_were_asked_for() -> None:
    told = model(unmeasured=Unmeasured.CONSTANTS, slippage_bps=Decimal(7), half_spread_bps=Decimal(9))
    assert told.parts(SPY, NOON).half_spread_bps == 2.0
    assert told.parts(SPY, NOON).slippage_bps == 7.0
    found = told.schedule([SPY, BTC], micros(OPEN, NOON))
    assert found.half_spread_bps.tolist() == [[2.0, 2.0], [9.0, 9.0]]
    assert found.slippage_bps.tolist() == [[0.5, 7.0], [7.0, 7.0]]
    assert found.measured.tolist() == [[True, False], [False, False]]


@given(st.sampled_from(Statistic), st.sampled_from([0.0, 800.0]))
def test_the_schedule_of_a_run_is_the_runtime_figure_of_each_moment(statistic: Statistic, latency: float) -> None:
    told = model(statistic=statistic)
    moments = [OPEN + timedelta(minutes=step) for step in range(0, 29, 7)]
    found = told.schedule([SPY], micros(*moments), latency_ms=latency)
    for place, moment in enumerate(moments):
        parts = told.parts(SPY, moment, latency_ms=latency)
        assert (found.half_spread_bps[0, place], found.slippage_bps[0, place]) == (parts.half_spread_bps, parts.slippage_bps)


def test_a_sample_depends_on_seed_instrument_and_moment_alone() -> None:
    told = model()
    moments = micros(*(OPEN + timedelta(seconds=step) for step in range(1000)))
    whole = told.schedule([SPY], moments, sample_seed=4)
    part = told.schedule([SPY], moments[500:], sample_seed=4)
    assert (whole.half_spread_bps[:, 500:] == part.half_spread_bps).all()
    assert (told.schedule([SPY], moments, sample_seed=5).half_spread_bps != whole.half_spread_bps).mean() > 0.99
    assert abs(np.corrcoef(whole.half_spread_bps[0], whole.slippage_bps[0])[0, 1]) < 0.12


def test_samples_follow_the_distribution() -> None:
    """Uniform between 2 and 6: half the spread has mean 2 and standard deviation 4 / sqrt(12) / 2."""
    moments = micros(OPEN) + np.arange(20_000) * 50_000
    drawn = model().schedule([SPY], moments, sample_seed=1).half_spread_bps[0]
    assert abs(drawn.mean() - 2.0) < 4 * (4 / 12**0.5 / 2) / 20_000**0.5
    assert np.quantile(drawn, 0.9) == pytest.approx(2.8, abs=0.02)


def test_constants_cannot_be_sampled() -> None:
    with pytest.raises(InvalidInput, match="recalibrate"):
        CostModel().schedule([SPY], micros(OPEN), sample_seed=1)


@pytest.mark.parametrize("latency", [-1.0, float("nan")])
def test_a_latency_that_is_no_time_is_refused(latency: float) -> None:
    with pytest.raises(InvalidInput, match="latency"):
        CostDistribution.of(np.ones(3), AT).reading(latency_ms=latency)
