"""Exposures re-priced over spot, volatility and time; charm that stays finite to the last minute and knows nights from days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.dealer import Clock, charm_decay, charm_field, dealer_field, dealer_sign, greek_field_mapper
from fieldcast.fields.dealer.clock import next_close, next_open, session_minutes
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.pricing import bsm_greeks

NAMES = ("gex", "dex", "vex", "chex")
FRIDAY = datetime(2026, 3, 6, 20, 0, tzinfo=UTC)  # an hour before the close; New York is at UTC − 5


def a_book(make_priced, n=60, seed=3, **changes):
    random = np.random.default_rng(seed)
    return dealer_sign(
        make_priced(
            random.uniform(80, 120, n).round(0), random.uniform(0.1, 0.6, n), random.choice([1.25, 7.0, 45.0], n),
            random.random(n) < 0.5, random.integers(0, 3_000, n), rate=0.05, carry=0.02, **changes,
        )
    )  # fmt: skip


def test_the_value_at_the_spot_without_shift_and_now_is_the_direct_value(make_priced):
    book = a_book(make_priced)
    grid = greek_field_mapper(book, [90.0, 100.0, 110.0], [-5.0, 0.0, 5.0], [0.0, 390.0])
    for name in NAMES:
        lines = getattr(book.exposures, name)
        assert getattr(grid, name)[1, 1, 0] == pytest.approx(lines.sum(), abs=1e-10 * np.abs(lines).sum()), name


def test_every_cell_is_the_chain_priced_there_by_the_general_formula(make_priced):
    book = a_book(make_priced)
    spots, shifts, minutes = np.array([85.0, 100.0, 118.0]), np.array([-3.0, 0.0, 10.0]), np.array([0.0, 720.0, 2_000.0])
    grid = greek_field_mapper(book, spots, shifts, minutes)
    chain = book.chain
    units = np.where(chain.is_call, 1, -1) * chain.open_interest * 100
    for i, spot in enumerate(spots):
        for j, shift in enumerate(shifts):
            for k, minute in enumerate(minutes):
                left = chain.years - minute / 525_600
                live = left > 1e-12
                sigma = chain.sigma[live] + shift / 100
                one = bsm_greeks(spot, chain.strike[live], left[live], 0.05, 0.03, sigma, chain.is_call[live])
                held = units[live]
                expected = {
                    "gex": (held * one.gamma).sum() * spot**2 * 0.01, "dex": (held * one.delta).sum() * spot,
                    "vex": (held * one.vanna).sum() * spot * 0.01, "chex": (held * one.charm).sum() * spot / 365,
                }  # fmt: skip
                for name, value in expected.items():
                    assert getattr(grid, name)[i, j, k] == pytest.approx(value, rel=1e-9, abs=1e-3), (name, i, j, k)


def test_a_settled_line_is_gone_or_keeps_the_delta_of_its_payoff(make_priced):
    book = dealer_sign(make_priced([90.0, 110.0, 100.0], 0.2, 0.5, [True, True, False], [10.0, 20.0, 40.0]))
    gone = greek_field_mapper(book, [95.0, 100.0], minutes=[720.0])
    assert all((getattr(gone, name) == 0).all() for name in NAMES)
    kept = greek_field_mapper(book, [95.0, 100.0], minutes=[720.0], settled="delta")
    # dealers: long 10 calls at 90 (delta 1), short 40 puts at 100 (delta −1 below, −½ at it)
    np.testing.assert_allclose(kept.dex[:, 0, 0], [(1_000 + 4_000) * 95.0, (1_000 + 2_000) * 100.0])
    assert (kept.gex == 0).all()


def test_no_shift_takes_volatility_below_half_a_point(make_priced):
    grid = greek_field_mapper(a_book(make_priced), [99.0, 100.5], [-90.0, -95.0])
    for name in NAMES:
        assert np.isfinite(getattr(grid, name)).all()
        np.testing.assert_array_equal(getattr(grid, name)[:, 0], getattr(grid, name)[:, 1])


def test_a_grid_that_makes_no_sense_is_refused(make_priced):
    book = a_book(make_priced)
    with pytest.raises(InvalidInput, match="at or after as_of"):
        greek_field_mapper(book, minutes=[-1.0])
    with pytest.raises(InvalidInput, match="shifts"):
        greek_field_mapper(book, shifts=[np.nan])
    with pytest.raises(InvalidInput, match="gone or delta"):
        greek_field_mapper(book, settled="kept")  # type: ignore[arg-type]


def test_charm_of_a_short_time_is_the_difference_of_delta(make_priced):
    book = dealer_sign(make_priced([92.0, 97.0, 104.0], 0.25, [30.0, 60.0, 60.0], [True, False, True], rate=0.05, carry=0.02))
    now, later = (greek_field_mapper(book, [99.0, 100.0], minutes=[m]).dex[1, 0, 0] for m in (0.0, 1.0))
    assert (later - now) * 1440 == pytest.approx(float(book.exposures.chex.sum()), rel=2e-3)


@given(minute=st.integers(1, 390), strike=st.floats(99.0, 101.0), sigma=st.floats(0.05, 1.0), call=st.booleans())
def test_charm_is_finite_to_the_last_minute(make_priced, minute, strike, sigma, call):
    book = dealer_sign(make_priced(strike, sigma, minute / 1440, call))
    found = charm_field(book, book.chain.as_of + timedelta(minutes=minute))
    assert found.minutes[-1] == minute
    assert np.isfinite(found.drift).all()
    assert np.isfinite(found.rate).all()
    assert found.rate[-1] == 0.0  # settled: nothing is left to drift
    left = found.minutes < minute
    assert left.sum() == minute
    # the payoff's delta is what the drift ends at
    delta = float(book.exposures.dex.sum()) / 100.0
    sign = 1.0 if call else -1.0
    ended = (1.0 if sign * (100.0 - strike) > 0 else 0.5 if strike == 100.0 else 0.0) * 1e5  # naive: short puts are long delta
    assert found.drift[-1] / 100.0 == pytest.approx(ended - delta, abs=1e-6)


def test_the_path_to_the_close_goes_by_the_minute_and_agrees_with_the_grid(make_priced):
    book = a_book(make_priced)
    path = charm_field(book)
    assert path.until == datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
    assert path.minutes.size == 361  # 15:00 to 21:00
    grid = greek_field_mapper(book, [99.0, 100.0], minutes=[0.0, 90.0, 360.0], settled="delta")
    np.testing.assert_allclose(path.drift[[0, 90, 360]], grid.dex[1, 0] - grid.dex[1, 0, 0], rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(path.rate[[0, 90, 360]], grid.chex[1, 0], rtol=1e-9, atol=1e-3)
    assert path.net == pytest.approx(path.above + path.below)
    with pytest.raises(InvalidInput, match="an end after"):
        charm_field(book, book.chain.as_of)


def test_outside_hours_the_path_starts_with_the_session(make_priced):
    sunday = datetime(2026, 3, 8, 15, 0, tzinfo=UTC)
    path = charm_field(dealer_sign(make_priced([99.0, 101.0], days=10.0, as_of=sunday)))
    assert path.until == datetime(2026, 3, 9, 20, 0, tzinfo=UTC)  # summer time has begun
    assert path.minutes[0] == (13.5 + 9) * 60
    assert path.minutes.size == 391


def test_buckets_share_the_book_and_the_weekend_lies_between_close_and_open(make_priced):
    book = a_book(make_priced, as_of=FRIDAY)
    found = charm_decay(book)
    assert (found.close, found.reopen) == (datetime(2026, 3, 6, 21, tzinfo=UTC), datetime(2026, 3, 9, 13, 30, tzinfo=UTC))
    assert found.closed_hours == 64.5
    assert found.by_bucket["lines"].sum() == len(book.lines)
    assert found.by_bucket["chex"].sum() == pytest.approx(float(book.exposures.chex.sum()))
    grid = greek_field_mapper(book, [99.0, 100.0], minutes=[0.0, 60.0], settled="delta")
    assert found.to_close == pytest.approx(grid.dex[1, 0, 1] - grid.dex[1, 0, 0], abs=1e-4)
    monday = charm_decay(a_book(make_priced))
    assert monday.closed_hours == 17.5


def test_zero_dte_is_what_ends_by_the_close(make_priced):
    days = np.array([60.0, 65.5 * 60.0, 3 * 1440.0]) / 1440  # the close, Monday's open, Monday afternoon
    found = charm_decay(dealer_sign(make_priced([100.0, 100.0, 100.0], 0.2, days, as_of=FRIDAY))).by_bucket
    assert found.select("bucket", "lines").rows() == [("0DTE", 1), ("to 7 d", 2)]
    assert found["overnight"][0] == 0.0


def test_under_the_session_clock_nothing_drifts_while_the_exchange_is_closed(make_priced):
    book = a_book(make_priced, as_of=FRIDAY)
    book = dealer_sign(make_priced([95.0, 100.0, 105.0], 0.2, [7.0, 14.0, 30.0], as_of=FRIDAY))
    calendar, session = charm_decay(book), charm_decay(book, Clock.SESSIONS)
    assert session.overnight == pytest.approx(0.0, abs=1e-6)
    assert abs(calendar.overnight) > 1e3
    # what the nights lose, the sessions gain: the hour to the close takes a larger share of the time that is left
    assert abs(session.to_close) > abs(calendar.to_close)


def test_session_minutes_count_half_days_and_no_holidays():
    def at(*when):
        return (datetime(*when, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    # Thanksgiving 2025: closed on Thursday 27 November, until 13:00 on Friday
    whole = session_minutes(np.array([at(2025, 11, 26, 14, 30), at(2025, 11, 29, 0, 0)]))
    assert np.diff(whole) == 390 + 210
    assert next_close(datetime(2025, 11, 27, 15, tzinfo=UTC)) == datetime(2025, 11, 28, 18, tzinfo=UTC)
    assert next_open(datetime(2025, 11, 26, 22, tzinfo=UTC)) == datetime(2025, 11, 28, 14, 30, tzinfo=UTC)
    with pytest.raises(MissingData, match="found none"):
        next_open(datetime(2290, 1, 1, tzinfo=UTC))


def test_after_the_close_the_night_comes_first_and_then_the_next_session(make_priced):
    """Friday 21:30, the hour at which the daily decision is made: the weekend, then Monday from its open to its close."""
    friday = FRIDAY + timedelta(minutes=90)
    book = a_book(make_priced, as_of=friday)
    found = charm_decay(book)
    opens, closes = datetime(2026, 3, 9, 13, 30, tzinfo=UTC), datetime(2026, 3, 9, 20, tzinfo=UTC)
    assert (found.reopen, found.close, found.session_on) == (opens, closes, False)
    assert found.closed_hours == 64.0
    later = [(moment - friday) / timedelta(minutes=1) for moment in (opens, closes)]
    dex = greek_field_mapper(book, [99.0, 100.0], minutes=[0.0, *later], settled="delta").dex[1, 0]
    assert found.overnight == pytest.approx(dex[1] - dex[0], abs=1e-3)
    # what had ended before the open (1.25 days) is settled by then and does not drift on
    assert found.to_close == pytest.approx(dex[2] - dex[1], abs=1e-3)
    assert charm_field(book).drift[-1] == pytest.approx(found.overnight + found.to_close, rel=1e-9)


def test_zero_dte_is_of_the_session_that_is_on_and_of_none_while_it_is_closed(make_priced):
    def buckets(as_of, moment, **more):
        days = (moment - as_of) / timedelta(days=1)
        return charm_decay(dealer_sign(make_priced(100.0, 0.2, days, as_of=as_of), **more)).by_bucket["bucket"].to_list()

    monday_close = datetime(2026, 3, 9, 20, tzinfo=UTC)
    assert buckets(FRIDAY + timedelta(minutes=90), monday_close) == ["to 7 d"]  # the next session's is not today's
    assert buckets(monday_close - timedelta(hours=1), monday_close) == ["0DTE"]
    assert buckets(monday_close - timedelta(hours=1), monday_close + timedelta(minutes=15)) == ["0DTE"]  # it trades on to 16:15
    assert buckets(FRIDAY, datetime(2026, 3, 9, 13, 30, tzinfo=UTC)) == ["to 7 d"]  # AM-settled at the next open
    assert buckets(monday_close, monday_close + timedelta(hours=24)) == ["to 7 d"]  # the close itself: closed


def test_the_calendar_of_the_sessions_is_a_convention(make_priced):
    """A crypto chain on a Saturday: its session is the UTC day, which neither opens nor closes."""
    saturday = datetime(2026, 3, 7, 6, tzinfo=UTC)
    chain = make_priced([100.0, 100.0, 100.0], 0.6, [2 / 24, 18 / 24, 26 / 24], as_of=saturday)  # 08:00, midnight, 08:00
    book = dealer_sign(chain, calendar="24/7")
    found = charm_decay(book)
    assert found.by_bucket.select("bucket", "lines").rows() == [("0DTE", 2), ("to 7 d", 1)]
    assert found.close == found.reopen == datetime(2026, 3, 8, tzinfo=UTC)
    assert (found.closed_hours, found.overnight) == (0.0, 0.0)
    assert found.conventions.calendar == "24/7"
    path = charm_field(book)
    assert (path.minutes[0], path.minutes[-1]) == (0.0, 18 * 60.0)
    sessions, calendar = (charm_decay(book, clock).to_close for clock in (Clock.SESSIONS, Clock.CALENDAR))
    assert sessions == pytest.approx(calendar, rel=1e-9)  # a market that never closes has one clock
    field = dealer_field(chain, calendar="24/7")
    assert field.reading().conventions["calendar"] == "24/7"
    assert field.reading().values["zero_dte_share"] > 0.0
    assert dealer_field(chain).reading().values["zero_dte_share"] == 0.0  # New York is closed
    with pytest.raises(InvalidInput, match="known calendar"):
        dealer_field(chain, calendar="NOPE")
