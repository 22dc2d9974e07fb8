"""Trading days and beginnings of bars are the exchange's, wherever midnight UTC falls."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.market import BARS, Instrument, Kind, sessions, sessions_between
from fieldcast.simulation.market import Market

MINUTE = 60_000_000
HOUR = 60 * MINUTE
FUTURE = Instrument("XCME:ESZ24", Kind.FUTURE, calendar="CMES")
PAIR = Instrument("FX:EURUSD", Kind.FX, calendar="24/5")
COIN = Instrument("CRYPTO:BTCUSD", Kind.CRYPTO, calendar="24/7")
SHARE = Instrument("XNAS:AAPL", Kind.EQUITY)
SYDNEY = Instrument("XASX:BHP", Kind.EQUITY, currency="AUD", calendar="XASX")


def micros(*moments: datetime) -> np.ndarray:
    return np.array([int(moment.timestamp()) * 1_000_000 for moment in moments], dtype=np.int64)


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def flat(instrument: Instrument, ts: np.ndarray, **more: Any) -> Market:
    row = np.full(ts.size, 100.0)
    return Market.of_arrays(instrument, ts, row, row, row, row, **more)


def frame(instrument: Instrument, ts: np.ndarray) -> pl.DataFrame:
    stamps = pl.Series(ts).cast(pl.Datetime("us", "UTC"))
    columns = {"instrument": [instrument.id] * ts.size, "ts": stamps, "available_at": stamps}
    columns |= {name: np.full(ts.size, 100.0) for name in ("open", "high", "low", "close", "volume")}  # type: ignore[misc]
    return pl.DataFrame(columns | {"reasons": pl.Series([None] * ts.size, dtype=pl.String)}).select(list(BARS))


def days(market: Market) -> list[date]:
    assert market.session is not None
    return [date(1970, 1, 1) + timedelta(days=int(day)) for day in market.session]


def opened(market: Market) -> list[datetime]:
    return [datetime.fromtimestamp(int(ts) / 1e6, tz=UTC) for ts in market.open_ts]


# -- trading days ------------------------------------------------------------------------------------------------------


def test_a_globex_session_is_one_day_from_sunday_evening_on() -> None:
    hours = np.arange(micros(at("2024-03-03T23:00"))[0] + HOUR, micros(at("2024-03-05T22:00"))[0] + 1, HOUR)
    market = Market.of({FUTURE.id: frame(FUTURE, hours)}, [FUTURE])
    evening = micros(at("2024-03-04T17:00", "America/Chicago"))[0]
    assert days(market) == [date(2024, 3, 4) if ts <= evening else date(2024, 3, 5) for ts in hours]


def test_a_day_of_the_currency_market_ends_at_17_new_york_and_the_weekend_is_mondays() -> None:
    friday, sunday = at("2024-03-08T17:00", "America/New_York"), at("2024-03-10T17:00", "America/New_York")  # clocks change
    ends = micros(friday - timedelta(hours=1), friday, sunday + timedelta(hours=1), sunday + timedelta(hours=24),
                  sunday + timedelta(hours=25))  # fmt: skip
    assert days(flat(PAIR, ends)) == [date(2024, 3, 8)] * 2 + [date(2024, 3, 11)] * 2 + [date(2024, 3, 12)]


def test_a_daily_bar_of_a_pair_has_its_own_date_whichever_midnight_it_ends_at() -> None:
    utc = micros(*(at(f"2024-03-{day:02d}T00:00") for day in (5, 6, 7, 8, 9, 12)))
    assert days(flat(PAIR, utc)) == [date(2024, 3, day) for day in (4, 5, 6, 7, 8, 11)]
    york = micros(*(at(f"2024-03-{day:02d}T17:00", "America/New_York") for day in (4, 5, 6, 7, 8, 11)))
    assert days(flat(PAIR, york)) == [date(2024, 3, day) for day in (4, 5, 6, 7, 8, 11)]


def test_coins_have_utc_days() -> None:
    ends = np.arange(micros(at("2024-03-02T01:00"))[0], micros(at("2024-03-04T00:00"))[0] + 1, HOUR)
    assert days(flat(COIN, ends)) == [date(2024, 3, 2)] * 24 + [date(2024, 3, 3)] * 24


def test_hours_after_the_close_stay_with_their_session_past_midnight_utc() -> None:
    ends = micros(at("2024-01-08T16:00", "America/New_York"), at("2024-01-08T19:30", "America/New_York"),
                  at("2024-01-08T20:00", "America/New_York"), at("2024-01-09T04:30", "America/New_York"))  # fmt: skip
    assert days(flat(SHARE, ends)) == [date(2024, 1, 8)] * 3 + [date(2024, 1, 9)]


def test_a_session_in_sydney_that_begins_before_midnight_utc_is_one_day() -> None:
    ends = micros(*(at(f"2024-01-09T{hour}:30", "Australia/Sydney") for hour in (10, 11, 12, 13, 14, 15)))
    assert ends[0] < micros(at("2024-01-09T00:00"))[0] < ends[1]
    assert days(flat(SYDNEY, ends)) == [date(2024, 1, 9)] * 6


def test_instruments_of_two_exchanges_keep_one_clock_where_their_days_agree() -> None:
    share = micros(at("2024-01-08T16:00", "America/New_York"), at("2024-01-09T16:00", "America/New_York"))
    coin = micros(at("2024-01-09T00:00"), at("2024-01-10T00:00"))
    market = Market.of({SHARE.id: frame(SHARE, share), COIN.id: frame(COIN, coin)}, [SHARE, COIN])
    assert days(market) == [date(2024, 1, 8)] * 2 + [date(2024, 1, 9)] * 2


def test_instruments_that_disagree_are_refused_until_one_calendar_is_named() -> None:
    ends = micros(at("2024-01-08T18:00", "America/New_York"), at("2024-01-08T19:00", "America/New_York"))
    tables = {SHARE.id: frame(SHARE, ends), FUTURE.id: frame(FUTURE, ends)}
    with pytest.raises(InvalidInput, match=r"found XNAS:AAPL on 2024-01-08 and XCME:ESZ24 on 2024-01-09"):
        Market.of(tables, [SHARE, FUTURE])
    assert days(Market.of(tables, [SHARE, FUTURE], calendar="XNYS")) == [date(2024, 1, 8)] * 2
    assert days(Market.of(tables, [SHARE, FUTURE], calendar="CMES")) == [date(2024, 1, 8), date(2024, 1, 9)]


def test_bars_outside_the_years_of_a_calendar_that_crosses_midnight_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"within the sessions of CMES, .* found one that ends at 2093-01-01 12:00 UTC"):
        flat(FUTURE, micros(at("2093-01-01T12:00"), at("2093-01-01T13:00")))


@settings(deadline=None, max_examples=60)
@given(
    first=st.dates(date(2005, 1, 1), date(2024, 1, 1)),
    step=st.sampled_from((1, 5, 15, 30, 60)),
    calendar=st.sampled_from(("CMES", "XNYS", "XASX", "XTKS", "XHKG", "us_futures")),
)
def test_bars_inside_a_session_have_its_date(first: date, step: int, calendar: str) -> None:
    instrument = Instrument("VENUE:ANY", Kind.FUTURE, calendar=calendar)
    table = sessions_between(calendar, first, first + timedelta(days=12))
    ends, wanted = [], []
    for session, begin, end in table.select("session", "open", "close").iter_rows():
        inside = np.arange(micros(begin)[0] + step * MINUTE, micros(end)[0] + 1, step * MINUTE)
        ends.append(inside)
        wanted += [session] * inside.size
    assert days(flat(instrument, np.concatenate(ends))) == wanted


# -- beginnings --------------------------------------------------------------------------------------------------------


def test_a_daily_bar_begins_with_its_session_and_not_with_fridays_close() -> None:
    table = sessions_between("XNYS", date(2024, 11, 25), date(2024, 12, 6))  # Thanksgiving, half a day after it, a weekend
    market = Market.of({SHARE.id: frame(SHARE, micros(*table["close"]))}, [SHARE])
    assert opened(market) == table["open"].to_list()
    assert flat(SHARE, micros(*table["close"])).open_ts.tolist() == market.open_ts.tolist()


def test_a_daily_bar_of_a_future_begins_the_evening_before() -> None:
    table = sessions_between("CMES", date(2024, 3, 6), date(2024, 3, 13))
    assert opened(flat(FUTURE, micros(*table["close"]))) == table["open"].to_list()


def test_a_weekly_bar_begins_with_the_first_session_of_its_week() -> None:
    fridays = sessions_between("XNYS", date(2024, 3, 1), date(2024, 4, 12)).filter(pl.col("session").dt.weekday() == 5)
    ends = sorted([*fridays["close"], *sessions_between("XNYS", date(2024, 3, 28), date(2024, 3, 28))["close"]])  # Good Friday
    found = opened(flat(SHARE, micros(*ends)))
    opens = sessions("XNYS")
    wanted = [opens.filter(pl.col("open").is_between(*week, closed="left"))["open"][0] for week in pairwise(ends)]
    assert found[1:] == wanted


def test_a_minute_after_a_weekend_begins_a_minute_before_its_end() -> None:
    ends = np.concatenate([micros(at(day, "America/New_York"))[0] + np.arange(1, 391) * MINUTE
                           for day in ("2024-03-01T09:30", "2024-03-04T09:30")])  # fmt: skip
    market = flat(SHARE, ends)
    assert (market.ts - market.open_ts == MINUTE).all()


def test_a_short_last_bar_of_a_given_length_begins_where_the_one_before_ended() -> None:
    ends = micros(*(at(f"2024-03-04T{time}", "America/New_York") for time in ("14:30", "15:30", "16:00")))
    market = Market.of({SHARE.id: frame(SHARE, ends)}, [SHARE], bar_length_us=HOUR)
    assert (market.ts - market.open_ts).tolist() == [HOUR, HOUR, HOUR // 2]


def test_bars_that_end_at_midnight_utc_are_of_whole_days() -> None:
    ends = micros(at("2024-03-01T00:00"), at("2024-03-02T00:00"), at("2024-03-05T00:00"), at("2024-03-06T00:00"))
    market = flat(SHARE, ends)
    assert (market.ts - market.open_ts == 24 * HOUR).all()
    assert days(market) == [date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 4), date(2024, 3, 5)]


# -- a part of a market ------------------------------------------------------------------------------------------------


def test_a_part_of_a_market_keeps_the_finer_bars_inside_it_alone() -> None:
    table = sessions_between("XNYS", date(2024, 3, 4), date(2024, 3, 8))
    minutes = np.concatenate([np.arange(micros(begin)[0] + MINUTE, micros(end)[0] + 1, MINUTE)
                              for begin, end in table.select("open", "close").iter_rows()])  # fmt: skip
    whole = flat(SHARE, micros(*table["close"]), finer=flat(SHARE, minutes))
    part = whole.between(1, 3)
    assert part.finer is not None
    assert part.finer.ts.tolist() == minutes[390 : 3 * 390].tolist()
    assert part.finer.session is not None
    assert set(part.finer.session.tolist()) == set(part.session.tolist())  # type: ignore[union-attr]
    assert flat(SHARE, micros(*table["close"]), finer=flat(SHARE, minutes[:390])).between(2, 4).finer is None
