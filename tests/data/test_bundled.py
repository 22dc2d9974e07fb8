"""The bundled series: what is in them, and what is said about them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from fieldcast.data import BUNDLED, bundled, flag_synthetic_opens, gap_report, read_bundled, synthetic_years
from fieldcast.data.opens import open_copies
from fieldcast.ground import InvalidInput, ManualClock, MissingData
from fieldcast.market import BARS, has_reason, sessions_between, trusted_open

CLOCK = ManualClock(datetime(2026, 1, 2, tzinfo=UTC))
SYNTHETIC = [*range(1999, 2008), 2011, 2012, 2013]


@pytest.mark.parametrize("name", BUNDLED)
def test_every_session_has_its_row_and_no_other_day_has_one(name):
    instrument, bars, lineage = read_bundled(name, CLOCK)
    assert bars.schema == pl.Schema(BARS)
    report = gap_report(bars, instrument)
    assert (report.completeness, report.outside, report.gaps.height) == (100.0, 0, 0)
    assert not instrument.tradable
    assert not instrument.simulated
    assert lineage.available_at == "assumed"
    assert lineage.adjustment == "raw"
    assert lineage.fetched_at == CLOCK.now()
    assert f"arch/data/{name}" in lineage.source


def test_the_indices_hold_twenty_years_of_ohlcv_as_shipped():
    for name, id, first in (("nasdaq", "XNAS:COMP", 2208.050049), ("sp500", "XCBO:SPX", 1228.099976)):
        instrument, bars, _ = read_bundled(name, CLOCK)
        assert (instrument.id, instrument.notional) == (id, True)
        span = bars["ts"].dt.date()
        assert (bars.height, span[0], span[-1]) == (5031, date(1999, 1, 4), date(2018, 12, 31))
        assert bars["close"][0] == first  # the file's first line
        assert bars.select("open", "high", "low", "close", "volume").null_count().sum_horizontal()[0] == 0
        assert bars["available_at"].equals(bars["ts"].alias("available_at"))


def test_sp500_opens_are_refused_in_exactly_the_years_that_copy_the_previous_close():
    _, bars, _ = read_bundled("sp500", CLOCK)
    flagged = bars.filter(has_reason("open_synthetic"))
    assert sorted(flagged["ts"].dt.year().unique()) == SYNTHETIC
    of_years = bars.filter(pl.col("ts").dt.year().is_in(SYNTHETIC))
    assert flagged.height == of_years.height == 3016
    assert bars.select(trusted_open()).to_series().null_count() == 3016
    share = dict(open_copies(bars, "XNYS").select("year", "share").iter_rows())
    assert min(share[year] for year in range(1999, 2006)) > 0.95
    assert share[2006] == pytest.approx(0.78, abs=0.005)
    assert share[2007] == pytest.approx(0.56, abs=0.005)
    assert max(share[year] for year in share if year not in SYNTHETIC) < 0.20


def test_nasdaq_opens_are_real_in_every_year():
    _, bars, _ = read_bundled("nasdaq", CLOCK)
    assert synthetic_years(bars, "XNYS") == []
    assert open_copies(bars, "XNYS")["share"].max() < 0.05


def test_vix_is_a_close_that_is_known_a_quarter_of_an_hour_after_the_session():
    instrument, bars, lineage = read_bundled("vix", CLOCK)
    assert (instrument.id, instrument.tradable, instrument.notional) == ("XCBO:VIX", False, False)
    assert bars.select("open", "high", "low", "volume").null_count().row(0) == (1259,) * 4
    assert bars["close"].null_count() == 0
    assert bars.select(has_reason("close_only").all()).item()
    assert (bars["available_at"] - bars["ts"]).unique().to_list() == [timedelta(minutes=15)]
    assert lineage.dropped == {"not_a_session": 46}
    days = bars["ts"].dt.date()
    assert (days[0], days[-1]) == (date(2014, 1, 3), date(2019, 1, 3))
    assert days.to_list() == sessions_between("XNYS", date(2014, 1, 3), date(2019, 1, 3))["session"].to_list()


def test_the_crashes_of_the_span_are_kept_and_flagged():
    _, bars, _ = read_bundled("nasdaq", CLOCK)
    flagged = bars.filter(has_reason("large_move"))["ts"].dt.date().to_list()
    assert flagged == [date(2000, 4, 14), date(2001, 1, 3), date(2008, 10, 13)]  # -10.2 %, +13.3 %, +11.2 % in log


def test_reading_needs_neither_arch_nor_a_network():
    code = (
        "import sys; from fieldcast.data import read_bundled; read_bundled('nasdaq'); "
        "sys.exit(bool({'arch', 'pandas_datareader', 'requests'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_names_and_a_missing_package_are_typed_errors(monkeypatch):
    with pytest.raises(InvalidInput, match="nasdaq, sp500, vix"):
        read_bundled("dow")
    monkeypatch.setattr(bundled, "find_spec", lambda _: None)
    with pytest.raises(MissingData, match="pip install arch"):
        read_bundled("nasdaq")


def test_the_rule_counts_sessions_after_a_pause_only(make_bars):
    """On a calendar that never pauses, an open equals the previous close by nature."""
    bars = make_bars(calendar="24/7")
    copied = bars.with_columns(open=pl.col("close").shift(1).fill_null(pl.col("open")))
    assert synthetic_years(copied, "24/7") == []
    stock = make_bars()
    copied = stock.with_columns(open=pl.col("close").shift(1).fill_null(pl.col("open")))
    assert synthetic_years(copied, "XNYS") == [2022, 2023]


def test_the_rule_fires_above_a_fifth_and_needs_twenty_sessions(make_bars):
    bars = make_bars(first=date(2022, 1, 3), last=date(2022, 12, 30))  # 251 sessions, 250 compared

    def with_copies(n: int) -> pl.DataFrame:
        copied = pl.when(pl.int_range(pl.len()).is_between(1, n)).then(pl.col("close").shift(1)).otherwise("open")
        return bars.with_columns(open=copied)

    assert synthetic_years(with_copies(0), "XNYS") == []
    own = int((open_copies(bars, "XNYS")["share"] * 250).round()[0])
    assert synthetic_years(with_copies(50 - own), "XNYS") == []
    assert synthetic_years(with_copies(56), "XNYS") == [2022]
    assert synthetic_years(with_copies(56).head(20), "XNYS") == []
    assert synthetic_years(with_copies(56).head(21), "XNYS") == [2022]


def test_known_history_helps_to_judge_a_short_delivery(make_bars):
    bars = make_bars(first=date(2022, 1, 3), last=date(2022, 12, 30))
    copied = bars.with_columns(open=pl.col("close").shift(1).fill_null(pl.col("open")))
    alone = flag_synthetic_opens(copied.tail(5), "XNYS")
    assert alone["reasons"].null_count() == 5
    helped = flag_synthetic_opens(copied.tail(5), "XNYS", copied.head(246))
    assert helped["reasons"].to_list() == ["open_synthetic"] * 5
