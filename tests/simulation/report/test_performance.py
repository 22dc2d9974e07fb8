"""Performance figures against loops, closed forms and known distributions; missing is missing and never zero."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.evaluation import Interval
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import STAMP, Instrument, Kind
from fieldcast.simulation.market import Market
from fieldcast.simulation.report.drawdowns import drawdown_curve, drawdown_table
from fieldcast.simulation.report.figures import Figure
from fieldcast.simulation.report.monthly import monthly_table
from fieldcast.simulation.report.performance import DailyReturns, daily_returns, days_per_year, performance

START = datetime(2020, 1, 1, 21, tzinfo=UTC)


def curve(values: list[float], step: timedelta = timedelta(days=1), first: datetime = START) -> pl.DataFrame:
    ts = [first + step * row for row in range(len(values))]
    return pl.DataFrame({"ts": pl.Series(ts, dtype=STAMP), "equity": values})


def of_returns(returns: np.ndarray, year: float = 252.0) -> DailyReturns:
    equity = 100.0 * np.cumprod(1.0 + returns)
    dates = np.datetime64("2015-01-01") + np.arange(returns.size)
    return DailyReturns(dates, equity, returns, 100.0, year)


def test_a_day_ends_with_its_last_bar_and_midnight_belongs_to_the_day_before() -> None:
    hourly = curve([100.0 + hour for hour in range(1, 49)], timedelta(hours=1), datetime(2021, 5, 1, 1, tzinfo=UTC))
    daily = daily_returns(hourly, start=100.0, days_per_year=365.0)
    assert daily.dates.astype(str).tolist() == ["2021-05-01", "2021-05-02"]  # the bar that ends at 00:00 is the last of its day
    np.testing.assert_allclose(daily.equity, [124.0, 148.0])
    np.testing.assert_allclose(daily.returns, [0.24, 148 / 124 - 1])


def test_each_figure_equals_its_definition() -> None:
    rng = np.random.default_rng(1)
    r = 0.0004 + 0.01 * rng.standard_normal(1000)
    found = performance(of_returns(r), cash_rate=0.02, draws=100)
    cash = 1.02 ** (1 / 252) - 1
    excess = [value - cash for value in r]
    mean = sum(excess) / 1000
    spread = math.sqrt(sum((value - mean) ** 2 for value in excess) / 999)
    down = math.sqrt(sum(min(value, 0.0) ** 2 for value in excess) / 1000)
    equity, peak, deepest = 1.0, 1.0, 0.0
    for value in r:
        equity *= 1 + value
        peak = max(peak, equity)
        deepest = max(deepest, 1 - equity / peak)
    cagr = equity ** (252 / 1000) - 1
    assert found.total_return.value == pytest.approx(equity - 1)
    assert found.cagr.value == pytest.approx(cagr)
    assert found.volatility.value == pytest.approx(spread * math.sqrt(252))
    assert found.sharpe.value == pytest.approx(mean / spread * math.sqrt(252))
    assert found.sortino.value == pytest.approx(mean / down * math.sqrt(252))
    assert found.max_drawdown.value == pytest.approx(deepest)
    assert found.calmar.value == pytest.approx(cagr / deepest)
    tail = sorted(r)[:50]
    assert found.value_at_risk.value == pytest.approx(-tail[-1])
    assert found.expected_shortfall.value == pytest.approx(-sum(tail) / 50)
    for name in ("cagr", "volatility", "sharpe", "sortino"):
        figure = getattr(found, name)
        assert figure.low < figure.value < figure.high, name
    assert found.max_drawdown.low < found.max_drawdown.high


def test_intervals_of_independent_normal_returns_are_those_of_theory() -> None:
    r = 0.01 * np.random.default_rng(3).standard_normal(4000) + 0.0005
    found = performance(of_returns(r), draws=500)
    by_theory = 1.96 * math.sqrt(252 / 4000)  # of a Sharpe ratio near zero: sqrt(A / n)
    assert found.sharpe.low is not None
    assert found.sharpe.high is not None
    assert (found.sharpe.high - found.sharpe.low) / 2 == pytest.approx(by_theory, rel=0.1)
    volatility = found.volatility
    assert volatility.low is not None
    assert volatility.high is not None
    assert volatility.value is not None
    assert (volatility.high - volatility.low) / 2 == pytest.approx(1.96 * volatility.value / math.sqrt(2 * 4000), rel=0.1)


def test_dependence_widens_the_interval() -> None:
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(3000)
    trending = noise.copy()
    for row in range(1, 3000):
        trending[row] = 0.6 * trending[row - 1] + noise[row]
    wide, narrow = (performance(of_returns(0.005 * x / x.std() + 0.0003), draws=1000).sharpe for x in (trending, noise))
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)  # type: ignore[operator]
    assert 1.5 < ratio < 2.6  # sqrt((1 + 0.6) / (1 - 0.6)) = 2


def test_what_does_not_exist_is_missing_with_its_reason() -> None:
    flat = performance(of_returns(np.zeros(50)))
    for figure in (flat.sharpe, flat.sortino, flat.calmar, flat.volatility, flat.psr):
        assert figure.value is None
        assert figure.reason is Reason.UNDEFINED
    assert flat.total_return.value == 0.0
    rising = performance(of_returns(np.full(50, 0.001) + 1e-5 * np.arange(50)))
    assert rising.sortino.value is None
    assert "no day fell" in rising.sortino.why
    assert rising.calmar.value is None
    short = performance(of_returns(np.array([0.01, -0.02, 0.01])))
    assert short.sharpe.value is not None
    assert short.sharpe.low is None
    assert "8 values" in short.sharpe.why
    assert short.value_at_risk.reason is Reason.FEW_ROWS
    losing = performance(of_returns(np.tile([0.01, -0.012], 30)))
    assert losing.min_track_record_days.value is None
    with pytest.raises(MissingData, match="above 0 throughout, found -5 on 2020-01-02"):
        daily_returns(curve([100.0, -5.0, 3.0]), start=100.0, days_per_year=252)
    with pytest.raises(MissingData, match="at least one row"):
        daily_returns(curve([]), start=100.0, days_per_year=252)


def test_a_figure_has_a_value_or_a_reason_and_never_a_nan() -> None:
    with pytest.raises(InvalidInput):
        Figure()
    with pytest.raises(InvalidInput):
        Figure(value=1.0, reason=Reason.UNDEFINED)
    with pytest.raises(InvalidInput):
        Figure(value=float("nan"))
    with pytest.raises(InvalidInput):
        Figure(value=1.0, low=0.0)
    assert Figure.of(float("inf")).reason is Reason.UNDEFINED
    with pytest.raises(MissingData, match="because"):
        _ = Figure.missing(Reason.UNDEFINED, "because").known

    def none() -> Interval:
        raise MissingData("too few")

    assert Figure.with_interval(2.0, none) == Figure(value=2.0, why="too few")


def test_the_busiest_calendar_counts_the_days() -> None:
    assert days_per_year({"XNYS"}) == 252
    assert days_per_year({"XNYS", "24/7"}) == 365
    assert days_per_year({"24/5"}) == 260


def test_drawdowns_by_hand() -> None:
    table = drawdown_table(curve([110.0, 99.0, 105.0, 110.0, 121.0, 60.5, 90.0]), start=100.0)
    rows = table.to_dicts()
    assert [row["depth"] for row in rows] == pytest.approx([0.5, 0.1])
    worst, mild = rows
    assert (worst["peak_ts"], worst["trough_ts"], worst["recovery_ts"]) == (START + timedelta(4), START + timedelta(5), None)
    assert (mild["peak_ts"], mild["trough_ts"], mild["recovery_ts"]) == (START, START + timedelta(1), START + timedelta(3))
    assert (mild["bars_down"], mild["bars_back"], worst["bars_back"]) == (1, 2, None)
    assert worst["amount"] == pytest.approx(60.5)
    at_once = drawdown_table(curve([90.0, 100.0]), start=100.0).row(0, named=True)
    assert at_once["depth"] == pytest.approx(0.1)
    assert at_once["recovery_ts"] == START + timedelta(1)
    assert drawdown_table(curve([100.0, 101.0]), start=100.0).is_empty()
    assert drawdown_table(curve([]), start=100.0).is_empty()


@settings(max_examples=60)
@given(st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=40), st.floats(1.0, 1000.0))
def test_the_table_covers_every_bar_below_the_peak_once(values: list[float], start: float) -> None:
    whole = curve(values)
    under = drawdown_curve(whole, start=start)["drawdown"].to_numpy()
    peak = np.maximum.accumulate([start, *values])[1:]
    np.testing.assert_allclose(under, 1 - np.array(values) / peak)
    table = drawdown_table(whole, start=start)
    assert table["depth"].max() == pytest.approx(under.max() if (under > 0).any() else None)
    covered = 0
    for row in table.to_dicts():
        open_end = row["bars_back"] is None
        last = whole["ts"].to_list().index(row["trough_ts"]) + (row["bars_back"] or 0)
        first = whole["ts"].to_list().index(row["trough_ts"]) - row["bars_down"] + 1
        covered += (len(values) if open_end else last) - first
    assert covered == int((under > 0).sum())


def test_months_compound_to_years_and_years_to_the_whole() -> None:
    r = 0.002 * np.random.default_rng(2).standard_normal(500)
    daily = of_returns(r)
    table = monthly_table(daily)
    months, years = table.filter(pl.col("month").is_not_null()), table.filter(pl.col("month").is_null())
    assert months["days"].sum() == years["days"].sum() == 500
    assert (1 + years["return"]).product() == pytest.approx(daily.equity[-1] / 100)
    january = (daily.dates >= np.datetime64("2016-01-01")) & (daily.dates < np.datetime64("2016-02-01"))
    row = months.filter((pl.col("year") == 2016) & (pl.col("month") == 1)).row(0, named=True)
    assert row["days"] == 31
    assert row["return"] == pytest.approx(np.prod(1 + r[january]) - 1)


def test_a_day_of_globex_begins_the_evening_before_in_chicago() -> None:
    """Hourly bars of a future through a week: as many daily returns as sessions, and Monday's holds Sunday's evening."""
    future = Instrument("XCME:ES", Kind.FUTURE, calendar="CMES")
    begin = datetime(2024, 1, 7, 23, tzinfo=UTC)        # Sunday, 17:00 in Chicago
    ends = [begin + timedelta(hours=n) for n in range(1, 119) if n % 24]     # each day's last hour is a pause
    ts = np.array([int(one.timestamp()) for one in ends], dtype=np.int64) * 1_000_000
    prices = 100.0 + np.arange(ts.size)
    market = Market.of_arrays(future, ts, prices, prices, prices, prices)
    hourly = pl.DataFrame({"ts": ends, "equity": prices}, schema_overrides={"ts": pl.Datetime("us", "UTC")})
    by_session = daily_returns(hourly, start=99.0, days_per_year=252.0, days=market.session)
    assert [str(day) for day in by_session.dates] == ["2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11", "2024-01-12"]
    assert by_session.equity[0] == prices[22]           # 23 hours from Sunday evening on
    assert daily_returns(hourly, start=99.0, days_per_year=252.0).n == 6      # UTC dates cut Sunday's last hour off
    with pytest.raises(InvalidInput, match="a trading day for each of 114 rows"):
        daily_returns(hourly, start=99.0, days_per_year=252.0, days=market.session[:5])
