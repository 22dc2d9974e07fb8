"""Cleaning: each rule removes or flags what it is for, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldcast.data import MemoryStore, Severity, clean
from fieldcast.data.rules import SEVERITY
from fieldcast.ground import Reason
from fieldcast.market import Instrument, Kind, has_reason

NOW = datetime(2023, 3, 1, tzinfo=UTC)
AT = 30

REMOVED = {
    Reason.STAMP_MISSING: ("ts", pl.lit(None, dtype=pl.Datetime("us", "UTC"))),
    Reason.PRICE_MISSING: ("close", pl.lit(np.nan)),
    Reason.PRICE_NOT_FINITE: ("high", pl.lit(np.inf)),
    Reason.PRICE_NOT_POSITIVE: ("low", pl.lit(0.0)),
    Reason.HIGH_BELOW_LOW: ("high", pl.col("low") * 0.9),
    Reason.VOLUME_NEGATIVE: ("volume", pl.lit(-1.0)),
    Reason.FUTURE_STAMP: ("ts", pl.lit(NOW + timedelta(days=1)).cast(pl.Datetime("us", "UTC"))),
    Reason.NOT_A_SESSION: ("ts", pl.col("ts") + pl.duration(minutes=1)),
}
FLAGGED = {
    Reason.OPEN_OUTSIDE_RANGE: ("open", pl.col("high") * 1.01),
    Reason.CLOSE_OUTSIDE_RANGE: ("low", pl.col("close") * 1.001),
    Reason.VOLUME_NOT_REPORTED: ("volume", pl.lit(np.nan)),
}


def plant(bars: pl.DataFrame, column: str, value: pl.Expr, at: int = AT) -> pl.DataFrame:
    return bars.with_columns(pl.when(pl.int_range(pl.len()) == at).then(value).otherwise(pl.col(column)).alias(column))


def test_sound_rows_pass_untouched(make_bars, spy):
    bars = make_bars()
    kept, report = clean(bars, spy, NOW)
    assert kept.equals(bars)
    assert (report.rows_in, report.rows_out, report.removed, report.flagged) == (bars.height, bars.height, {}, {})
    assert report.quarantine.is_empty()


def test_rows_in_uneven_pieces_leave_cleaning_whole(make_bars, spy):
    """Readers yield columns in pieces of unlike number, over which polars' string functions panic."""
    whole = make_bars()
    pieces = pl.concat([whole["close"].slice(at, 20) for at in range(0, whole.height, 20)], rechunk=False)
    bars = whole.with_columns(pieces)
    assert len(set(bars.n_chunks("all"))) > 1
    kept, report = clean(bars, spy, NOW)
    assert kept.equals(whole)
    assert set(kept.n_chunks("all")) == {1}
    broken = plant(whole, *REMOVED[Reason.NOT_A_SESSION])
    kept, report = clean(broken.with_columns(pieces), spy, NOW)
    assert set(kept.n_chunks("all")) == set(report.quarantine.n_chunks("all")) == {1}


@pytest.mark.parametrize("reason", REMOVED)
def test_a_broken_row_is_removed_and_kept_in_quarantine(make_bars, spy, reason):
    bars = plant(make_bars(), *REMOVED[reason])
    kept, report = clean(bars, spy, NOW)
    assert report.removed == {reason: 1}
    assert kept.height == bars.height - 1
    assert report.quarantine.select("row", "reason").rows() == [(AT, str(reason))]
    assert SEVERITY[reason] is Severity.ERROR


def test_a_row_that_breaks_several_rules_counts_once_under_the_first(make_bars, spy):
    """The rules on the stamp come first: a price of a day without a session says nothing about prices."""
    tried = [
        Reason.STAMP_MISSING, Reason.FUTURE_STAMP, Reason.NOT_A_SESSION, Reason.PRICE_MISSING, Reason.PRICE_NOT_FINITE,
        Reason.PRICE_NOT_POSITIVE, Reason.HIGH_BELOW_LOW, Reason.VOLUME_NEGATIVE,
    ]  # fmt: skip
    for place, first in enumerate(tried):
        bars = make_bars()
        for reason in reversed(tried[place:]):  # the first is planted last, so that no other overwrites it
            bars = plant(bars, *REMOVED[reason])
        assert clean(bars, spy, NOW)[1].removed == {first: 1}


def test_codes_join_those_that_a_row_already_has(make_bars, spy):
    bars = plant(plant(make_bars(), *FLAGGED[Reason.OPEN_OUTSIDE_RANGE]), *FLAGGED[Reason.VOLUME_NOT_REPORTED])
    both = "open_outside_range,volume_not_reported"
    assert clean(bars, spy, NOW)[0]["reasons"].to_list() == [both if at == AT else None for at in range(bars.height)]
    said = plant(bars, "reasons", pl.lit("simulated"))
    kept, report = clean(said, spy, NOW)
    assert kept["reasons"][AT] == "open_outside_range,simulated,volume_not_reported"
    assert report.flagged == {Reason.OPEN_OUTSIDE_RANGE: 1, Reason.SIMULATED: 1, Reason.VOLUME_NOT_REPORTED: 1}


@pytest.mark.parametrize("reason", FLAGGED)
def test_an_odd_row_is_kept_and_flagged(make_bars, spy, reason):
    column, value = FLAGGED[reason]
    bars = plant(make_bars(), column, value)
    if reason is Reason.CLOSE_OUTSIDE_RANGE:  # keep the open inside, so that one rule alone fires
        bars = plant(bars, "open", pl.col("high"))
    kept, report = clean(bars, spy, NOW)
    assert report.flagged == {reason: 1}
    assert report.removed == {}
    assert kept.with_row_index().filter(has_reason(reason))["index"].to_list() == [AT]


def test_a_repeated_row_goes_once(make_bars, spy):
    bars = make_bars()
    kept, report = clean(pl.concat([bars, bars.slice(AT, 1)]), spy, NOW)
    assert kept.equals(bars)
    assert report.removed == {Reason.DUPLICATE_STAMP: 1}
    assert report.quarantine["row"].to_list() == [bars.height]


def test_rows_that_contradict_each_other_all_go(make_bars, spy):
    bars = make_bars()
    other = bars.slice(AT, 1).with_columns(volume=pl.col("volume") + 1)
    kept, report = clean(pl.concat([bars, other]), spy, NOW)
    assert report.removed == {Reason.DUPLICATE_STAMP: 2}
    assert bars["ts"][AT] not in kept["ts"]
    assert kept.height == bars.height - 1


def test_a_broken_row_does_not_make_its_sound_twin_a_duplicate(make_bars, spy):
    bars = make_bars()
    broken = bars.slice(AT, 1).with_columns(close=pl.lit(None, dtype=pl.Float64))
    kept, report = clean(pl.concat([bars, broken]), spy, NOW)
    assert kept.equals(bars)
    assert report.removed == {Reason.PRICE_MISSING: 1}


def test_rows_come_back_in_order(make_bars, spy):
    bars = make_bars()
    kept, _ = clean(bars.reverse(), spy, NOW)
    assert kept.equals(bars)


def scaled_after(bars: pl.DataFrame, at: int, factor: float) -> pl.DataFrame:
    """From row `at` on, prices times `factor`: one large move."""
    times = pl.when(pl.int_range(pl.len()) >= at).then(factor).otherwise(1.0)
    return bars.with_columns((pl.col(name) * times).alias(name) for name in ("open", "high", "low", "close"))


@pytest.mark.parametrize("at", [1, 40, 78])
def test_a_crash_is_kept_and_flagged_wherever_it_stands(make_bars, spy, at):
    bars = scaled_after(make_bars(), at, 0.85)
    kept, report = clean(bars, spy, NOW)
    assert kept.height == bars.height
    assert report.flagged == {Reason.LARGE_MOVE: 1}
    assert kept.with_row_index().filter(has_reason("large_move"))["index"].to_list() == [at]


def test_a_covariate_is_judged_by_its_own_volatility(make_bars):
    """VIX moves by 15 % in a usual month; only ten robust sigmas are unusual for it."""
    vix = Instrument(id="XCBO:VIX", kind=Kind.INDEX, tradable=False)
    random = np.random.default_rng(4)
    close = 20 * np.exp(np.cumsum(random.normal(0, 0.07, 81)))
    bars = make_bars()
    bars = bars.with_columns(pl.Series(name, close) for name in ("open", "high", "low", "close"))
    assert np.abs(np.diff(np.log(close))).max() > 0.14
    assert clean(bars, vix, NOW)[1].flagged == {}
    assert clean(scaled_after(bars, 50, 3.0), vix, NOW)[1].flagged == {Reason.LARGE_MOVE: 1}


def test_float_noise_of_adjusted_prices_is_no_fault(make_bars, spy):
    bars = plant(make_bars(), "open", pl.col("high") * (1 + 1e-9))
    assert clean(bars, spy, NOW)[1].flagged == {}


def test_the_report_names_every_rule_with_its_severity(make_bars, spy):
    table = clean(plant(make_bars(), *REMOVED[Reason.PRICE_MISSING]), spy, NOW)[1].table()
    assert table.height == len(SEVERITY)
    row = table.row(by_predicate=pl.col("reason") == "price_missing", named=True)
    assert (row["severity"], row["action"], row["rows"]) == ("error", "removed", 1)
    assert table.filter(pl.col("rows") > 0).height == 1


number = st.one_of(
    st.none(), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0]), st.floats(1.0, 200.0, allow_nan=False)
)


@given(
    faults=st.lists(
        st.tuples(st.integers(0, 80), st.sampled_from(["open", "high", "low", "close", "volume"]), number), max_size=20
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_in_what_goes_out_is_fit_to_be_stored(make_bars, spy, lineage, faults):
    bars = make_bars()
    for at, column, value in faults:
        bars = plant(bars, column, pl.lit(value, dtype=pl.Float64), at)
    kept, report = clean(bars, spy, NOW)
    assert report.rows_in == bars.height
    assert report.rows_out == kept.height == bars.height - sum(report.removed.values())
    assert report.quarantine.height == bars.height - kept.height
    if kept.height:
        MemoryStore().append(kept, lineage)
    again, second = clean(kept, spy, NOW)
    assert again.select("ts", "close").equals(kept.select("ts", "close"))
    assert second.removed == {}
