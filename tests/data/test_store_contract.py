"""The contract of `Store`, run on every backend."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldcast.data import MemoryStore
from fieldcast.ground import ConflictError, InvalidInput, MissingData
from fieldcast.market import BARS, add_reason, empty_bars

pytestmark = pytest.mark.feature("D10", part="store contract on both backends")

LATER = datetime(2024, 3, 1, tzinfo=UTC)


def change_close(bars: pl.DataFrame, ts: datetime, close: float) -> pl.DataFrame:
    at = pl.col("ts") == ts
    return bars.with_columns(
        close=pl.when(at).then(close).otherwise("close"),
        high=pl.when(at).then(pl.max_horizontal("high", pl.lit(close))).otherwise("high"),
        low=pl.when(at).then(pl.min_horizontal("low", pl.lit(close))).otherwise("low"),
    )


def test_what_was_appended_is_read_back_in_order(store, make_bars, lineage):
    bars = make_bars()
    result = store.append(bars.sample(fraction=1.0, shuffle=True, seed=3), lineage)
    assert (result.rows_added, result.rows_restated, result.rows_unchanged) == (bars.height, 0, 0)
    read = store.read("ARCX:SPY")
    assert read.equals(bars)
    assert read.schema == pl.Schema(BARS)


def test_the_same_rows_again_change_nothing(store, make_bars, lineage, make_lineage):
    bars = make_bars()
    store.append(bars, lineage)
    before = store.content_hash("ARCX:SPY")
    again = store.append(bars, make_lineage(fetched_at=LATER))
    assert (again.rows_added, again.rows_restated, again.rows_unchanged) == (0, 0, bars.height)
    assert again.files == ()
    assert store.content_hash("ARCX:SPY") == before
    assert len(store.lineage("ARCX:SPY")) == 1


def test_new_sessions_extend_the_history(store, make_bars, lineage):
    bars = make_bars()
    store.append(bars.head(50), lineage)
    result = store.append(bars, lineage)
    assert (result.rows_added, result.rows_unchanged) == (bars.height - 50, 50)
    assert store.read("ARCX:SPY").equals(bars)


def test_a_restated_bar_is_a_new_row_that_only_later_reads_see(store, make_bars, lineage, make_lineage):
    bars = make_bars()
    store.append(bars, lineage)
    ts = bars["ts"][40]
    before = store.content_hash("ARCX:SPY", as_of=LATER - timedelta(microseconds=1))
    result = store.append(change_close(bars, ts, 123.45), make_lineage(fetched_at=LATER))
    assert (result.rows_added, result.rows_restated, result.rows_unchanged) == (0, 1, bars.height - 1)
    earlier = store.read("ARCX:SPY", as_of=LATER - timedelta(microseconds=1))
    assert earlier.equals(bars)
    assert store.content_hash("ARCX:SPY", as_of=LATER - timedelta(microseconds=1)) == before
    for as_of in (LATER, None):
        later = store.read("ARCX:SPY", as_of=as_of)
        assert later.height == bars.height
        row = later.row(40, named=True)
        assert (row["ts"], row["close"], row["available_at"]) == (ts, 123.45, LATER)
    assert store.content_hash("ARCX:SPY") != before
    assert store.datasets()["rows"].to_list() == [bars.height + 1]


def test_a_restatement_keeps_its_own_later_availability(store, make_bars, lineage):
    bars = make_bars()
    store.append(bars, lineage)
    ts = bars["ts"][10]
    told = ts + timedelta(days=3)
    row = (
        change_close(bars, ts, 99.0).filter(pl.col("ts") == ts).with_columns(available_at=pl.lit(told).cast(BARS["ts"]))
    )
    store.append(row, lineage)
    assert store.read("ARCX:SPY", as_of=told - timedelta(seconds=1)).row(10, named=True)["close"] == bars["close"][10]
    assert store.read("ARCX:SPY", as_of=told).row(10, named=True)["close"] == 99.0


def test_an_older_version_that_comes_again_is_counted_and_not_written(store, make_bars, lineage, make_lineage):
    bars = make_bars()
    store.append(bars, lineage)
    store.append(change_close(bars, bars["ts"][5], 101.0), make_lineage(fetched_at=LATER))
    again = store.append(bars, make_lineage(fetched_at=LATER + timedelta(days=1)))
    assert (again.rows_unchanged, again.rows_superseded, again.rows_restated) == (bars.height - 1, 1, 0)
    assert store.read("ARCX:SPY")["close"][5] == 101.0


def test_a_restatement_that_would_rewrite_the_past_is_refused(store, make_bars, lineage, make_lineage):
    bars = make_bars()
    store.append(bars, lineage)
    before = store.content_hash("ARCX:SPY")
    early = make_lineage(fetched_at=bars["ts"][5])
    with pytest.raises(InvalidInput, match="available or fetched after"):
        store.append(change_close(bars, bars["ts"][5], 101.0), early)
    assert store.content_hash("ARCX:SPY") == before


def test_a_gain_or_loss_of_a_reason_is_a_restatement(store, make_bars, lineage, make_lineage):
    bars = make_bars()
    store.append(bars, lineage)
    flagged = bars.with_columns(add_reason("large_move", pl.col("ts") == bars["ts"][7]))
    result = store.append(flagged, make_lineage(fetched_at=LATER))
    assert (result.rows_restated, result.rows_unchanged) == (1, bars.height - 1)
    assert store.read("ARCX:SPY")["reasons"][7] == "large_move"


def test_first_and_last_are_both_included(store, make_bars, lineage):
    bars = make_bars()
    store.append(bars, lineage)
    read = store.read("ARCX:SPY", first=date(2022, 12, 29), last=date(2023, 1, 4))
    days = [date(2022, 12, 29), date(2022, 12, 30), date(2023, 1, 3), date(2023, 1, 4)]
    assert read["ts"].dt.date().to_list() == days
    assert store.read("ARCX:SPY", first=date(2030, 1, 1)).equals(empty_bars())
    assert store.read("ARCX:SPY", as_of=datetime(2000, 1, 1, tzinfo=UTC)).equals(empty_bars())


def test_instruments_of_one_dataset_do_not_meet(store, make_bars, lineage):
    spy, odd = make_bars(), make_bars(id="CBOE:^VIX/X", seed=9)
    result = store.append(pl.concat([spy, odd]), lineage)
    assert result.rows_added == spy.height * 2
    assert store.read("ARCX:SPY").equals(spy)
    assert store.read("CBOE:^VIX/X").equals(odd)


def test_an_instrument_in_two_datasets_needs_the_name_of_one(store, make_bars, make_lineage):
    one, two = make_bars(), make_bars(seed=2)
    store.append(one, make_lineage("one"))
    store.append(two, make_lineage("two"))
    with pytest.raises(ConflictError, match="one, two"):
        store.read("ARCX:SPY")
    assert store.read("ARCX:SPY", dataset="two").equals(two)
    assert store.content_hash("ARCX:SPY", dataset="one") != store.content_hash("ARCX:SPY", dataset="two")


def test_an_unknown_instrument_is_missing_data(store, make_bars, lineage):
    store.append(make_bars(), lineage)
    with pytest.raises(MissingData, match="XNAS:NA"):
        store.read("XNAS:NA")
    with pytest.raises(MissingData, match="dataset other"):
        store.read("ARCX:SPY", dataset="other")


def test_datasets_say_what_is_stored(store, make_bars, make_lineage):
    assert store.datasets().is_empty()
    bars = make_bars()
    store.append(bars, make_lineage("adjusted", adjustment="adjusted_only"))
    simulated = make_bars(id="SIM:X").with_columns(reasons=pl.lit("simulated"))
    store.append(simulated, make_lineage("simulated", simulated=True))
    first, second = store.datasets().rows(named=True)
    assert first == {
        "table": "bars/1d",
        "instrument": "ARCX:SPY",
        "dataset": "adjusted",
        "provider": "test",
        "rows": bars.height,
        "first_ts": bars["ts"][0],
        "last_ts": bars["ts"][-1],
        "simulated": False,
        "adjustment": "adjusted_only",
    }
    assert (second["instrument"], second["simulated"], second["adjustment"]) == ("SIM:X", True, "raw")


def test_simulated_and_real_rows_never_share_an_instrument(store, make_bars, make_lineage):
    bars = make_bars()
    store.append(bars, make_lineage())
    labelled = bars.with_columns(reasons=pl.lit("simulated"))
    with pytest.raises(ConflictError, match="real rows"):
        store.append(labelled, make_lineage("simulated", simulated=True))
    with pytest.raises(InvalidInput, match="agree on `simulated`"):
        store.append(labelled, make_lineage())
    with pytest.raises(InvalidInput, match="agree on `simulated`"):
        store.append(bars, make_lineage("simulated", simulated=True))


def test_raw_and_adjusted_prices_never_share_a_dataset(store, make_bars, make_lineage):
    store.append(make_bars(), make_lineage())
    with pytest.raises(ConflictError, match="expected raw prices"):
        store.append(make_bars(), make_lineage(adjustment="adjusted_only"))


BAD = {
    "NaN": (pl.col("close") * np.nan, "close", "close finite"),
    "infinite": (pl.col("high") * np.inf, "high", "high finite"),
    "zero": (pl.col("low") * 0, "low", "low above zero"),
    "no close": (pl.lit(None, dtype=pl.Float64), "close", "a value of close"),
    "no open": (pl.lit(None, dtype=pl.Float64), "open", "close_only"),
    "no volume": (pl.lit(None, dtype=pl.Float64), "volume", "volume_not_reported"),
    "negative volume": (-pl.col("volume"), "volume", "volume at or above zero"),
    "high below low": (pl.col("low") - 1, "high", "high at or above low"),
    "known too early": (pl.col("ts") - pl.duration(minutes=1), "available_at", "available_at at or after ts"),
    "unknown reason": (pl.lit("because"), "reasons", "registered reason code"),
}


@pytest.mark.parametrize("fault", BAD)
def test_rows_that_are_not_fit_are_refused_whole(store, make_bars, lineage, fault):
    bars = make_bars()
    store.append(bars.head(30), lineage)
    before = store.content_hash("ARCX:SPY")
    value, column, message = BAD[fault]
    at = pl.col("ts") == bars["ts"][60]
    broken = bars.with_columns(pl.when(at).then(value).otherwise(pl.col(column)).alias(column))
    with pytest.raises(InvalidInput, match=message):
        store.append(broken, lineage)
    assert store.content_hash("ARCX:SPY") == before
    assert store.read("ARCX:SPY").height == 30


def test_no_rows_missing_columns_and_repeated_keys_are_refused(store, make_bars, lineage):
    bars = make_bars()
    with pytest.raises(InvalidInput, match="at least one row"):
        store.append(empty_bars(), lineage)
    with pytest.raises(InvalidInput, match="missing close"):
        store.append(bars.drop("close"), lineage)
    with pytest.raises(InvalidInput, match="unique"):
        store.append(pl.concat([bars, bars.head(1)]), lineage)


def test_a_whole_store_verifies_and_its_index_is_right(store, make_bars, lineage):
    assert store.verify().files_checked == 0
    store.append(make_bars(), lineage)
    report = store.verify()
    assert report.ok
    assert report.files_checked > 0
    assert store.rebuild_index().equal


def test_every_delivery_that_contributed_is_remembered(store, make_bars, make_lineage):
    bars = make_bars()
    store.append(bars.head(40), make_lineage(source="first"))
    store.append(bars, make_lineage(source="second", fetched_at=LATER))
    assert [item.source for item in store.lineage("ARCX:SPY")] == ["first", "second"]


def test_several_versions_in_one_append_stay_apart(store, make_bars, lineage):
    bars = make_bars()
    ts = bars["ts"][3]
    second = (
        change_close(bars, ts, 90.0)
        .filter(pl.col("ts") == ts)
        .with_columns(available_at=pl.col("ts") + pl.duration(days=1))
    )
    result = store.append(pl.concat([bars, second]), lineage)
    assert (result.rows_added, result.rows_restated) == (bars.height, 1)
    assert store.read("ARCX:SPY", as_of=ts).tail(1)["close"][0] == bars["close"][3]
    assert store.read("ARCX:SPY", as_of=ts + timedelta(days=1))["close"][3] == 90.0


def test_a_moment_without_a_zone_is_refused(store, make_bars, lineage):
    store.append(make_bars(), lineage)
    with pytest.raises(InvalidInput, match="with its zone"):
        store.read("ARCX:SPY", as_of=datetime(2023, 1, 1))  # noqa: DTZ001


deliveries = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 40), st.floats(50, 150).map(lambda x: round(x, 2))),
    min_size=1,
    max_size=12,
)


@given(deliveries=deliveries)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_known_at_a_moment_never_changes_afterwards(make_bars, make_lineage, deliveries):
    """Restatements come day by day; whatever is read as of a past day stays as it was on that day."""
    bars, store = make_bars().head(10), MemoryStore()
    store.append(bars, make_lineage())
    day, seen = LATER, {LATER: bars}
    for at, wait, close in deliveries:
        day += timedelta(days=1 + wait)
        row = change_close(bars, bars["ts"][at], close).slice(at, 1)
        store.append(row, make_lineage(fetched_at=day))
        seen[day] = store.read("ARCX:SPY", as_of=day)
        if close != bars["close"][at]:
            assert seen[day]["close"][at] == close
        for moment, known in seen.items():
            assert store.read("ARCX:SPY", as_of=moment).equals(known)
    assert store.read("ARCX:SPY").equals(seen[day])


@given(cuts=st.lists(st.tuples(st.integers(0, 80), st.integers(1, 40)), min_size=1, max_size=6))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_overlapping_deliveries_in_any_order_give_their_union(make_bars, lineage, cuts):
    bars, store = make_bars(), MemoryStore()
    seen: set[datetime] = set()
    for start, length in cuts:
        part = bars.slice(start % bars.height, length)
        result = store.append(part, lineage)
        new = set(part["ts"]) - seen
        assert (result.rows_added, result.rows_unchanged) == (len(new), part.height - len(new))
        seen |= new
    expected = bars.filter(pl.col("ts").is_in(sorted(seen)))
    assert store.read("ARCX:SPY").equals(expected)


@pytest.mark.parametrize("days", [0, 3, 40])
def test_what_had_become_known_before_a_moment_can_be_left_out(store, make_bars, make_lineage, days):
    """Of a row that was restated since, the restatement is read; the others that were known before are not."""
    bars = make_bars()
    store.append(bars, make_lineage())
    later = LATER + timedelta(days=30)
    store.append(change_close(bars, bars["ts"][4], 77.0).slice(4, 1), make_lineage(fetched_at=later))
    start = bars["available_at"][-1] - timedelta(days=days)
    whole = store.read("ARCX:SPY")
    assert store.read("ARCX:SPY", known_from=start).equals(whole.filter(pl.col("available_at") >= start))
    assert store.read("ARCX:SPY", known_from=later)["close"].to_list() == [77.0]
    assert store.read("ARCX:SPY", as_of=later - timedelta(seconds=1), known_from=later).is_empty()
