"""Imbalance, microprice and order flow: hand cases of the papers' formula, a plain loop as oracle, batch = steps, causal."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data.books import replay
from fieldcast.fields.books import BookStep, ImbalanceSettings, MicropriceTable, book_events, order_book_imbalance
from fieldcast.ground import InvalidInput

START = datetime(2024, 1, 2, tzinfo=UTC)
ONE = ImbalanceSettings(levels=(1,))
TWO = ImbalanceSettings(levels=(1, 2))
LEVEL = tuple[float, float]


def flow(old: tuple[LEVEL, LEVEL], new: tuple[LEVEL, LEVEL]) -> float:
    """Xu, Gould & Howison (2018), ΔW − ΔV by cases: another form of the indicators in Cont, Kukanov & Stoikov (2014)."""
    (old_bid, old_bid_size), (old_ask, old_ask_size) = old
    (bid, bid_size), (ask, ask_size) = new
    if bid > old_bid:
        bids = bid_size
    else:
        bids = bid_size - old_bid_size if bid == old_bid else -old_bid_size
    if ask > old_ask:
        asks = -old_ask_size
    else:
        asks = ask_size - old_ask_size if ask == old_ask else ask_size
    return bids - asks


def levels(row: dict[str, float | None], side: str) -> list[LEVEL]:
    pairs = [(row[f"{side}_{n}"], row[f"{side}_size_{n}"]) for n in range(1, 11) if f"{side}_{n}" in row]
    return [(price, size) for price, size in pairs if price is not None and size is not None]


@pytest.mark.parametrize(("new", "expected"), [
    ([("bid", 99.0, 15.0)], 5.0),                                    # bids come
    ([("bid", 99.0, 4.0)], -6.0),                                    # bids go
    ([("ask", 101.0, 3.0)], 4.0),                                    # asks go
    ([("ask", 101.0, 9.0)], -2.0),                                   # asks come
    ([("bid", 100.0, 2.0)], 2.0),                                    # a better bid: its whole size
    ([("bid", 99.0, 0.0)], -10.0),                                   # the bid goes, the next one takes its place
    ([("ask", 100.0, 2.0)], -2.0),                                   # a better ask
    ([("ask", 101.0, 0.0)], 7.0),                                    # the ask is eaten
    ([("bid", 100.0, 2.0), ("ask", 101.0, 0.0)], 9.0),               # both
    ([("bid", 97.0, 8.0)], 0.0),                                     # below the best: not level 1's flow
])  # fmt: skip
def test_order_flow_of_each_kind_of_event(make_depth, new, expected):
    """Worked by hand from the formula of Cont, Kukanov & Stoikov; before: bids 99 × 10, 98 × 20, asks 101 × 7, 102 × 30."""
    before = [("bid", 99.0, 10.0), ("bid", 98.0, 20.0), ("ask", 101.0, 7.0), ("ask", 102.0, 30.0)]
    table = order_book_imbalance(replay(make_depth([(0, True, before), (1, False, new)]), 1).states, ONE)
    assert table["ofi_1"].to_list() == [None, expected]
    assert table["reasons"].to_list() == ["warming_up", None]


def test_figures_of_a_hand_built_book(make_depth):
    """Bids 99 × 30, 98 × 10; asks 101 × 10, 102 × 50: mid 100, spread 200 bps, I1 = 20/40, I2 = −20/100, micro 100.5."""
    rows = make_depth([(0, True, [("bid", 99.0, 30.0), ("bid", 98.0, 10.0), ("ask", 101.0, 10.0), ("ask", 102.0, 50.0)])])
    row = order_book_imbalance(replay(rows, 2).states, TWO).row(0, named=True)
    assert (row["mid"], row["spread_bps"], row["microprice"]) == (100.0, 200.0, 100.5)
    assert (row["imbalance_1"], row["imbalance_2"]) == (0.5, -0.2)
    near, far = math.exp(-100 / 50), math.exp(-200 / 50)
    expected = (30 * near + 10 * far - 10 * near - 50 * far) / (40 * near + 60 * far)
    assert row["imbalance_weighted"] == pytest.approx(expected, rel=1e-12)


def test_fewer_levels_than_asked_for_and_one_side_are_unknown_not_small(make_depth):
    rows = make_depth([
        (0, True, [("bid", 99.0, 30.0), ("ask", 101.0, 10.0)]),
        (1, True, [("bid", 99.0, 30.0), ("bid", 98.0, 10.0)]),
    ])  # fmt: skip
    table = order_book_imbalance(replay(rows, 2).states, TWO)
    assert table["imbalance_1"].to_list() == [0.5, None]
    assert table["imbalance_2"].to_list() == [None, None]
    assert table["reasons"].to_list() == ["beyond_book,warming_up", "book_one_sided"]
    with pytest.raises(InvalidInput, match="replay more"):
        order_book_imbalance(replay(rows, 1).states, TWO)


def test_no_flow_runs_across_a_torn_book(make_depth):
    top = [("bid", 99.0, 30.0), ("ask", 101.0, 10.0)]
    rows = make_depth(
        [(0, True, top), (1, False, [("bid", 99.0, 20.0)]), (2, False, [("bid", 99.0, 10.0)]), (3, True, top),
         (4, False, [("ask", 101.0, 11.0)])],
        reasons={2: "book_gap"},
    )  # fmt: skip
    table = order_book_imbalance(replay(rows, 1).states, ONE)
    assert table["ofi_1"].to_list() == [None, -10.0, None, None, -1.0]
    assert table["reasons"].to_list() == ["warming_up", None, "book_gap", "warming_up", None]
    assert table["mid"].to_list() == [100.0, 100.0, None, 100.0, 100.0]


sizes = st.integers(0, 4).map(float)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("bid"), st.integers(1, 9).map(float), sizes),
        st.tuples(st.just("ask"), st.integers(10, 18).map(float), sizes),
    ),
    min_size=1, max_size=5,
)  # fmt: skip
streams = st.lists(changes, min_size=2, max_size=12)


def stream_rows(make_depth, stream):
    return make_depth([(at, at == 0, found) for at, found in enumerate(stream)])


@settings(max_examples=30)
@given(stream=streams)
def test_every_row_is_that_of_a_plain_loop(make_depth, stream):
    states = replay(stream_rows(make_depth, stream), 3).states
    table = order_book_imbalance(states, ImbalanceSettings(levels=(1, 3), decay_bps=2000.0), by_level=True)
    before: tuple[list[LEVEL], list[LEVEL]] | None = None
    for state, row in zip(states.iter_rows(named=True), table.iter_rows(named=True), strict=True):
        bids, asks = levels(state, "bid"), levels(state, "ask")
        for count in (1, 3):
            if min(len(bids), len(asks)) < count:
                assert row[f"imbalance_{count}"] is None
                continue
            b, a = (sum(size for _, size in side[:count]) for side in (bids, asks))
            assert row[f"imbalance_{count}"] == pytest.approx((b - a) / (b + a), abs=1e-12)
        for level in range(3):
            there = before is not None and min(len(bids), len(asks), len(before[0]), len(before[1])) > level
            old = (before[0][level], before[1][level]) if there and before else None
            expected = flow(old, (bids[level], asks[level])) if old else None
            assert row[f"ofi_level_{level + 1}"] == (pytest.approx(expected, abs=1e-12) if old else None)
        before = (bids, asks)


@settings(max_examples=30)
@given(stream=streams, at=st.lists(st.integers(-2, 14), min_size=1, max_size=4, unique=True))
def test_chosen_times_know_nothing_of_later_messages(make_depth, stream, at):
    rows = stream_rows(make_depth, stream)
    times = pl.Series([START + timedelta(milliseconds=n) for n in sorted(at)], dtype=pl.Datetime("us", "UTC"))
    whole = book_events(rows, times, TWO)
    known = rows.filter(pl.col("available_at") <= times[-1])
    if known.height:
        assert book_events(known, times, TWO).equals(whole)
    flows = book_events(rows, None, TWO)
    for place, row in enumerate(whole.iter_rows(named=True)):
        inside = flows.filter(
            (pl.col("available_at") <= times[place]) & (pl.col("available_at") > times[place - 1 if place else 0])
        )
        if row["ofi_1"] is not None:
            assert inside["ofi_1"].null_count() == 0
            assert row["ofi_1"] == pytest.approx(inside["ofi_1"].sum(), abs=1e-12)
        else:
            assert place == 0 or inside["ofi_1"].null_count() or row["available_at"] is None or row["reasons"]


@settings(max_examples=30)
@given(stream=streams)
def test_mirrored_sides_mirror_the_signs(make_depth, stream):
    other = [[("ask" if side == "bid" else "bid", 19.0 - price, size) for side, price, size in found] for found in stream]
    one, two = (order_book_imbalance(replay(stream_rows(make_depth, part), 2).states, TWO) for part in (stream, other))
    for name in ("imbalance_1", "imbalance_2", "ofi_1", "ofi_2"):
        assert one[name].is_null().equals(two[name].is_null())
        np.testing.assert_allclose(one[name].drop_nulls(), -two[name].drop_nulls(), atol=1e-12)


def test_a_fitted_microprice_table_is_looked_up_and_never_stretched():
    """Adjustments of half a tick toward the heavier side at a spread of one tick, of a whole one at two."""
    table = MicropriceTable(0.01, np.array([0.0, 0.5, 1.0]), np.array([[-0.005, 0.005], [-0.01, 0.01]]))
    assert table.price(9.99, 1.0, 10.00, 9.0) == pytest.approx(9.99)
    assert table.price(9.99, 9.0, 10.01, 1.0) == pytest.approx(10.01)
    assert table.price(9.99, 5.0, 10.00, 5.0) == pytest.approx(10.00)  # an edge belongs to the bucket above it
    assert table.price(9.99, 9.0, 10.02, 1.0) is None
    with pytest.raises(InvalidInput):
        MicropriceTable(0.01, np.array([0.0, 0.5]), np.zeros((1, 1)))


@pytest.mark.parametrize("wrong", [{"levels": ()}, {"levels": (5, 1)}, {"levels": (0,)}, {"decay_bps": 0.0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InvalidInput, match="expected"):
        ImbalanceSettings(**wrong)


# recorded books ------------------------------------------------------------------------------------------------------


def whole(recorded) -> ImbalanceSettings:
    """As many levels as the stream has."""
    return ImbalanceSettings(levels=(1, 5)) if "snapshot_5" in recorded.name else ImbalanceSettings()


def test_recorded_imbalances_are_those_of_a_plain_loop(recorded):
    chosen = whole(recorded)
    table = order_book_imbalance(recorded.states(), chosen)
    for state, row in list(zip(recorded.states().iter_rows(named=True), table.iter_rows(named=True), strict=True))[::50]:
        if state["reasons"] is not None:
            assert row["imbalance_1"] is None
            continue
        bids, asks = levels(state, "bid"), levels(state, "ask")
        for count in chosen.levels:
            b, a = (sum(size for _, size in side[:count]) for side in (bids, asks))
            assert row[f"imbalance_{count}"] == pytest.approx((b - a) / (b + a), abs=1e-12)


def test_recorded_order_flow_is_that_of_a_plain_loop(recorded):
    states = recorded.states()
    table = order_book_imbalance(states, whole(recorded))
    rows = list(states.iter_rows(named=True))
    checked = 0
    for place in range(1, len(rows)):
        if rows[place]["reasons"] is None and rows[place - 1]["reasons"] is None:
            (old, new) = ((levels(rows[at], "bid")[0], levels(rows[at], "ask")[0]) for at in (place - 1, place))
            assert table["ofi_1"][place] == pytest.approx(flow(old, new), abs=1e-9)
            checked += 1
    assert checked == (0 if "mbo" in recorded.name else len(rows) - 1 - 3 * ("spot" in recorded.name))


def test_recorded_microprices_lie_between_bid_and_ask(recorded):
    states = recorded.states()
    table = order_book_imbalance(states, whole(recorded)).with_columns(states["bid_1"], states["ask_1"]).drop_nulls("mid")
    assert table.select(((pl.col("bid_1") < pl.col("microprice")) & (pl.col("microprice") < pl.col("ask_1"))).all()).item()
    toward = pl.col("microprice") - pl.col("mid")
    assert table.select((toward * pl.col("imbalance_1") >= 0).all()).item()


def test_recorded_imbalances_stay_in_their_range(recorded):
    table = order_book_imbalance(recorded.states(), whole(recorded))
    for name in [name for name in table.columns if name.startswith("imbalance")]:
        assert table[name].drop_nulls().is_between(-1, 1).all()
        assert table[name].drop_nulls().len() > 0


def test_a_recorded_stream_gives_the_same_at_once_and_message_by_message(recorded):
    chosen = whole(recorded)
    table = order_book_imbalance(recorded.states(), chosen)
    step = BookStep(chosen)
    rows = list(recorded.states().iter_rows(named=True))[:300]
    for place, state in enumerate(rows):
        found = step.update(levels(state, "bid"), levels(state, "ask"), known=state["reasons"] is None)
        expected = {name: table[name][place] for name in chosen.quantities if table[name][place] is not None}
        assert found == expected


def test_a_recorded_stream_cut_short_gives_the_same_up_to_there(recorded):
    chosen = whole(recorded)
    for moment in recorded.moments():
        part = recorded.depth.filter(pl.col("available_at") <= moment)
        table = book_events(recorded.depth, None, chosen).filter(pl.col("available_at") <= moment)
        assert book_events(part, None, chosen).equals(table)


def test_order_flow_explains_the_recorded_price_changes(binance):
    """Cont, Kukanov & Stoikov: mid changes over seconds go with the order flow."""
    table = book_events(binance.depth, pl.datetime_range(
        datetime(2024, 8, 8, 23, 54, 20, tzinfo=UTC), datetime(2024, 8, 8, 23, 59, 59, tzinfo=UTC), "5s", eager=True,
    ))  # fmt: skip
    both = table.select("ofi_1", moved=pl.col("mid").diff()).drop_nulls()
    assert both.height == 67
    assert np.corrcoef(both["ofi_1"], both["moved"])[0, 1] > 0.5


def test_changes_without_their_snapshot_have_no_imbalance(lone):
    table = order_book_imbalance(lone("nautilus_binance_btcusdt-depth-update.csv").states())
    assert table.drop("instrument", "ts", "available_at", "reasons").null_count().row(0) == (1,) * 10
    assert table["reasons"].to_list() == ["book_unknown"]


@pytest.mark.parametrize("file", [
    "nautilus_binance_btcusdt-depth-snap.csv", "nautilus_tardis/deribit_incremental_book_L2_BTC-PERPETUAL.csv",
])  # fmt: skip
def test_a_recorded_book_with_one_side_has_no_middle(lone, file):
    table = order_book_imbalance(lone(file).states())
    assert table["reasons"].to_list() == ["book_one_sided,warming_up"]
    assert table["mid"].to_list() == [None]
