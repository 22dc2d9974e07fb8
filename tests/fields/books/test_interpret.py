"""`book_field` and `book_events`: one moment, nothing later, and a reason for every figure that is not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data.books import BookStretch, book_at, replay
from fieldcast.fields.books import (
    PROCESSORS,
    BookSettings,
    ImbalanceSettings,
    ResilienceSettings,
    book_events,
    book_field,
    depth_profile,
    ladders,
    ladders_of_state,
    order_book_imbalance,
    slippage_field,
)
from fieldcast.ground import InvalidInput, MissingData, Reason

START = datetime(2024, 1, 2, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TOP = [("bid", 99.0, 30.0), ("bid", 98.0, 10.0), ("ask", 101.0, 10.0), ("ask", 102.0, 50.0)]
SMALL = BookSettings(
    imbalance=ImbalanceSettings(levels=(1, 2)), resilience=ResilienceSettings(levels=2), distances_bps=(100.0, 150.0),
    notionals=(1000.0, 5000.0), window_seconds=5.0,
)  # fmt: skip
FIVE = replace(BookSettings(), imbalance=ImbalanceSettings(levels=(1, 5)))


def times(*seconds: float) -> pl.Series:
    return pl.Series([START + SECOND * s for s in seconds], dtype=pl.Datetime("us", "UTC"))


def settings_of(recorded) -> BookSettings:
    return FIVE if "snapshot_5" in recorded.name else BookSettings()


def test_the_processors_have_the_names_of_the_feature_table():
    assert list(PROCESSORS) == ["OrderBookImbalance", "DepthProfile", "SlippageField"]
    assert list(PROCESSORS.values()) == [order_book_imbalance, depth_profile, slippage_field]


def test_a_moment_of_a_hand_built_book(make_depth):
    """A bid of 5 more at 8 s; asked at 10 s: flow 5 in the last five seconds, imbalance 25/45, cost 200 bps: frozen."""
    rows = make_depth([(0, True, TOP), (8000, False, [("bid", 99.0, 35.0)])])
    found = book_field(rows, START + 10 * SECOND, settings=SMALL)
    reading = found.reading()
    assert reading.namespace == "liquidity"
    assert reading.values["book_ofi_1"] == 5.0
    assert reading.values["book_imbalance_1"] == pytest.approx(25 / 45)
    assert reading.values["book_depth_bid_100bps"] == 35 * 99.0
    assert reading.values["book_slippage_buy_1000"] == pytest.approx(100.0)
    assert reading.values["book_age_seconds"] == 2.0
    assert reading.labels["book_regime"] == "frozen"
    assert reading.landmarks["book_mid"].price == 100.0
    assert reading.landmarks["book_mid"].known_since == START + 8 * SECOND
    assert reading.reasons["book_half_life_seconds"] is Reason.FEW_ROWS
    assert reading.reasons["book_kyle_lambda"] is Reason.NO_DATA
    assert not found.simulated


def test_what_is_not_known_has_a_reason_and_no_value(make_depth):
    rows = make_depth([(0, True, TOP), (1000, False, [("bid", 99.0, 35.0)])], reasons={1: "book_gap"})
    whole = set(book_field(rows, START, settings=SMALL).figures) | set(book_field(rows, START, settings=SMALL).reasons)
    for moment, expected in ((START - SECOND, Reason.BOOK_UNKNOWN), (START + 2 * SECOND, Reason.BOOK_GAP)):
        found = book_field(rows, moment, settings=SMALL)
        assert set(found.figures) <= {"age_seconds"}
        assert whole - set(found.reasons) <= {"age_seconds"}
        lost = ("mid", "imbalance_1", "depth_bid_100bps", "cost_bps", "regime", "ofi_1")
        assert {found.reasons[name] for name in lost} == {expected}
        assert found.regime is None
        assert found.reading().landmarks == {}
    with pytest.raises(InvalidInput, match="one instrument"):
        book_field(rows.clear(), START)


def test_an_old_book_is_stale_where_an_age_is_given(make_depth):
    rows = make_depth([(0, True, TOP)])
    fresh = replace(SMALL, oldest_seconds=3.0)
    assert book_field(rows, START + 3 * SECOND, settings=fresh).figures["mid"] == 100.0
    assert book_field(rows, START + 4 * SECOND, settings=fresh).reasons["mid"] is Reason.STALE
    assert book_field(rows, START + 4 * SECOND, settings=SMALL).figures["mid"] == 100.0


def test_one_side_and_crossed_books_have_no_middle(make_depth):
    one = make_depth([(0, True, [("bid", 99.0, 1.0)])])
    assert book_field(one, START, settings=SMALL).reasons["mid"] is Reason.BOOK_ONE_SIDED
    crossed = make_depth([(0, True, [("bid", 99.0, 1.0), ("ask", 98.0, 1.0)])])
    assert book_field(crossed, START, settings=SMALL).reasons["mid"] is Reason.QUOTE_CROSSED


def test_simulated_rows_label_what_is_read_from_them(make_depth):
    rows = make_depth([(0, True, TOP)], reasons={0: "simulated"})
    assert book_field(rows, START, settings=SMALL).reading().simulated


def test_flow_at_chosen_times_is_the_sum_since_the_time_before(make_depth):
    rows = make_depth([
        (0, True, TOP), (1500, False, [("bid", 99.0, 35.0)]), (2000, False, [("ask", 101.0, 4.0)]),
        (3500, False, [("bid", 99.0, 30.0)]),
    ])  # fmt: skip
    table = book_events(rows, times(-1, 1, 2, 3, 4), ImbalanceSettings(levels=(1,)))
    assert table["ofi_1"].to_list() == [None, None, 11.0, 0.0, -5.0]
    assert table["reasons"].to_list() == ["book_unknown,warming_up", "warming_up", None, None, None]
    assert table["imbalance_1"].to_list()[1:] == [0.5, 31 / 39, 31 / 39, 26 / 34]
    assert table["age_seconds"].to_list() == [None, 1.0, 0.0, 1.0, 0.5]


def test_times_out_of_order_are_refused(make_depth):
    rows = make_depth([(0, True, TOP)])
    for at in (times(2, 1), times(1, 1), pl.Series([START.replace(tzinfo=None)])):
        with pytest.raises(InvalidInput, match="expected times"):
            book_events(rows, at, ImbalanceSettings(levels=(1,)))


def whole_replay(monkeypatch):
    """`book_field` on a replay of all rows: what its short one has to agree with."""

    def twin(depth: pl.DataFrame, since: datetime, levels: int) -> BookStretch:
        states = replay(depth, levels).states
        last = states["reasons"][-1]
        unknown = last in ("book_unknown", "book_gap")
        book = None if unknown else book_at(depth, states["available_at"][-1])
        return BookStretch(states, book, Reason(last) if unknown else None)

    monkeypatch.setattr("fieldcast.data.books.replay_since", twin)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 9), st.sampled_from(["bid", "ask"]), st.integers(1, 8), st.floats(0, 50, allow_subnormal=False),
            st.sampled_from([None, None, None, None, None, "book_gap", "simulated"]),
        ),
        min_size=1, max_size=60,
    ),
    cut=st.integers(0, 60), window=st.sampled_from([0.5, 3.0, 20.0]),
)  # fmt: skip
def test_a_field_is_that_of_the_whole_replay_at_any_cut(make_depth, steps, cut, window):
    """Snapshots, gaps, crossed and one-sided books among random changes, every half second."""
    messages = [
        (500 * n, kind == 0, TOP if kind == 0 else [(side, (100 - tick if side == "bid" else 99 + tick) + 0.0, size)])
        for n, (kind, side, tick, size, _) in enumerate(steps)
    ]
    rows = make_depth(messages, reasons={n: why for n, (*_, why) in enumerate(steps) if why})
    moment, chosen = START + 0.5 * cut * SECOND, replace(SMALL, window_seconds=window)
    found = book_field(rows, moment, settings=chosen)
    with pytest.MonkeyPatch.context() as patch:
        whole_replay(patch)
        expected = book_field(rows, moment, settings=chosen)
    assert (found.figures, found.reasons, found.regime, found.simulated) == (
        expected.figures, expected.reasons, expected.regime, expected.simulated,
    )  # fmt: skip


# recorded books ------------------------------------------------------------------------------------------------------


def test_a_recorded_moment_needs_nothing_later(recorded):
    for moment in recorded.moments()[:-1]:
        part = recorded.depth.filter(pl.col("available_at") <= moment)
        one, two = (book_field(rows, moment, settings=settings_of(recorded)) for rows in (recorded.depth, part))
        assert one.figures == two.figures
        assert one.reasons == two.reasons


def test_a_recorded_moment_is_that_of_the_whole_replay(recorded, monkeypatch):
    fields = [book_field(recorded.depth, moment, settings=settings_of(recorded)) for moment in recorded.moments()]
    whole_replay(monkeypatch)
    for found in fields:
        expected = book_field(recorded.depth, found.as_of, settings=settings_of(recorded))
        assert (found.figures, found.reasons, found.regime) == (expected.figures, expected.reasons, expected.regime)


def test_every_figure_of_a_recorded_moment_is_a_number_or_has_a_reason(recorded):
    known = set()
    for moment in recorded.moments():
        found = book_field(recorded.depth, moment, settings=settings_of(recorded))
        reading = found.reading()
        assert all(np.isfinite(value) for value in reading.values.values())
        assert not set(found.figures) & set(found.reasons)
        known.add(frozenset(found.figures) | frozenset(found.reasons))
        bid, micro, ask = (reading.landmarks[f"book_{name}"].price for name in ("bid", "microprice", "ask"))
        assert bid < micro < ask
    assert len(known) == 1  # the same names at every moment, whatever is known


def test_the_book_of_a_recorded_state_is_the_top_of_the_whole_book(recorded):
    moment = recorded.moments()[-1]
    whole = ladders(book_at(recorded.depth, moment))
    known = recorded.states().filter((pl.col("available_at") <= moment) & pl.col("reasons").is_null())
    top = ladders_of_state(known)
    assert np.array_equal(top.bid_price, whole.bid_price[:10])
    assert np.array_equal(top.ask_size, whole.ask_size[:10])


def test_flow_at_chosen_times_adds_up_over_a_recorded_stream(recorded):
    chosen = settings_of(recorded).imbalance
    table = book_events(recorded.depth, None, chosen)
    at = table["available_at"].unique().sort()[3::7]
    if len(at) < 2:
        at = pl.concat([table["available_at"].unique().sort(), times(10**9)])
    rows = book_events(recorded.depth, at, chosen)
    inside = table.filter((pl.col("available_at") > at[0]) & (pl.col("available_at") <= at[-1]))
    assert rows["ofi_1"].null_count() == 1 + sum("book_unknown" in (text or "") for text in rows["reasons"][1:])
    assert rows["ofi_1"].sum() == pytest.approx(inside["ofi_1"].sum(), abs=1e-6)


def test_the_recorded_binance_moment_with_trades_and_quotes(binance):
    moment = datetime(2024, 8, 8, 23, 59, tzinfo=UTC)
    settings = replace(BookSettings(), quote_lag_seconds=0.05)
    found = book_field(binance.depth, moment, settings=settings, **{name: binance.tables[name] for name in ("trades", "quotes")})
    assert found.reasons == {}
    assert found.regime == "deep"
    assert found.figures["spread_bps"] == pytest.approx(0.01 / found.figures["mid"] * 1e4)
    assert found.figures["kyle_lambda"] > 0
    assert found.figures["effective_bps"] > 0
    later = {name: binance.tables[name].filter(pl.col("available_at") <= moment) for name in ("trades", "quotes")}
    assert book_field(binance.depth, moment, settings=settings, **later).figures == found.figures


def test_before_its_snapshot_the_recorded_binance_book_is_unknown(binance):
    first = binance.depth["available_at"].min()
    found = book_field(binance.depth, first)
    assert found.book is None
    assert set(found.reasons.values()) == {Reason.BOOK_UNKNOWN, Reason.NO_DATA}


def test_a_torn_recorded_stream_has_no_figures_after_the_tear(binance):
    """Drop one message of the venue's numbered stream: from the next one on nothing is known."""
    numbers = binance.depth["last_update"].unique().sort()
    torn = binance.depth.filter(pl.col("last_update") != numbers[1000])
    last = binance.depth["available_at"].max()
    found = book_field(torn, last)
    assert found.reasons["mid"] is Reason.BOOK_GAP
    assert book_events(torn)["reasons"].to_list()[-1] == "book_gap"


def test_a_state_of_an_unknown_recorded_book_is_refused(lone):
    states = lone("nautilus_binance_btcusdt-depth-update.csv").states()
    with pytest.raises(MissingData, match="book_unknown"):
        ladders_of_state(states)


def test_a_recorded_book_of_bids_alone_has_no_middle_and_says_so(lone):
    stream = lone("nautilus_binance_btcusdt-depth-snap.csv")
    found = book_field(stream.depth, datetime(2026, 1, 1, tzinfo=UTC))
    assert found.book is not None
    assert found.book.ask_price.size == 0
    assert found.reasons["cost_bps"] is Reason.BOOK_ONE_SIDED
    assert found.regime is None
