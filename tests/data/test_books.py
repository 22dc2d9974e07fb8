"""Order books: equal to a plain-dict replay, causal, broken where messages are missing; and never crossed on the real streams."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data import MemoryStore
from fieldcast.data.books import BookStretch, book_at, replay, replay_since
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import table_of

START = datetime(2024, 1, 2, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def _bench() -> ModuleType:
    """benchmarks/bench_depth_replay.py: its dict replay is the oracle here."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_depth_replay.py"
    spec = importlib.util.spec_from_file_location("bench_depth_replay", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = _bench()
Message, depth_rows, dict_replay = bench.Message, bench.depth_rows, bench.dict_replay

prices = st.integers(1, 12).map(lambda n: n / 4)
sizes = st.integers(0, 3).map(float)
changes = st.lists(st.tuples(st.sampled_from(["bid", "ask"]), prices, sizes), min_size=1, max_size=6)


@st.composite
def numbered(draw):
    """Changes whose numbers ascend, with gaps and overlaps, and snapshots that arrive late, early or never."""
    messages, number = [], 0
    for _ in range(draw(st.integers(1, 14))):
        rows = draw(changes)
        if draw(st.integers(0, 4)) == 0:
            back = draw(st.integers(-3, 6))
            inside = draw(st.booleans())        # part of the stream: numbered as the newest of all
            last = number if inside else max(number - back, 0)
            messages.append(Message(True, last if inside else None, last, rows))
            number = max(number, last) if inside else number
            continue
        first = number + draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
        number = max(first, number) + draw(st.integers(0, 3))
        messages.append(Message(False, first, number, rows))
    return messages


@st.composite
def unnumbered(draw):
    """Snapshots and changes of a venue that numbers nothing."""
    return [Message(draw(st.integers(0, 3)) == 0, None, None, draw(changes)) for _ in range(draw(st.integers(1, 14)))]


@settings(max_examples=150)
@given(messages=st.one_of(numbered(), unnumbered()), levels=st.integers(1, 4))
def test_every_state_is_that_of_a_plain_dict_replay(messages, levels):
    states = replay(depth_rows(messages), levels)
    assert states.messages == len(messages)
    assert bench.same(states.states, dict_replay(messages, levels), levels)


def test_a_long_market_is_that_of_a_plain_dict_replay():
    messages = bench.market(400, seed=3, width=200)
    found = replay(depth_rows(messages), 10)
    assert bench.same(found.states, dict_replay(messages, 10), 10)
    assert (found.crossed, found.unknown) == (0, 0)


@settings(max_examples=60)
@given(messages=numbered(), cut=st.integers(0, 13))
def test_a_state_knows_nothing_of_later_messages(messages, cut):
    rows = depth_rows(messages)
    until = START + timedelta(milliseconds=cut)
    whole, part = replay(rows, 2).states, rows.filter(pl.col("available_at") <= until)
    assert replay(part, 2).states.equals(whole.filter(pl.col("available_at") <= until))


@settings(max_examples=60)
@given(messages=numbered(), at=st.integers(-2, 16))
def test_the_book_of_a_moment_is_the_state_after_its_last_message(messages, at):
    rows, moment = depth_rows(messages), START + timedelta(milliseconds=at)
    row = replay(rows, 12, at=pl.Series([moment], dtype=pl.Datetime("us", "UTC"))).states.row(0, named=True)
    before = dict_replay(messages[: max(at + 1, 0)], 12)
    if not before or before[-1][0] != "ok":
        assert row["reasons"] == (before[-1][0] if before else "book_unknown")
        assert row["bid_1"] is None
        with pytest.raises(MissingData):
            book_at(rows, moment)
        return
    book = book_at(rows, moment)
    assert list(book.bids.iter_rows()) == before[-1][1]
    assert list(book.asks.iter_rows()) == before[-1][2]
    assert [row[f"bid_{n}"] for n in range(1, 13) if row[f"bid_{n}"] is not None] == [price for price, _ in before[-1][1]]
    assert row["available_at"] == book.available_at


def _numbers() -> list[Message]:
    """Two changes that are waiting when the snapshot of number 12 comes: 12 lies in the second."""
    return [
        Message(False, 1, 10, [("bid", 9.0, 1.0)]),
        Message(False, 11, 14, [("bid", 10.0, 5.0), ("ask", 11.0, 7.0)]),
        Message(True, None, 12, [("bid", 9.5, 1.0), ("ask", 11.0, 2.0)]),
        Message(False, 15, 16, [("bid", 9.5, 0.0)]),
    ]


def test_the_change_that_straddles_the_snapshot_is_applied_to_it():
    states = replay(depth_rows(_numbers())).states
    assert states["reasons"].to_list() == ["book_unknown", "book_unknown", None, None]
    assert states.row(2, named=True)["bid_1"] == 10.0        # the first change, which ends before 12, is not
    assert states.row(2, named=True)["ask_size_1"] == 7.0


@pytest.mark.parametrize(("dropped", "expected"), [
    (1, ["book_unknown", None, "book_gap"]),
    (3, ["book_unknown", "book_unknown", None]),
])
def test_a_missing_change_breaks_the_book_instead_of_being_passed_over(dropped, expected):
    messages = _numbers()
    del messages[dropped]
    states = replay(depth_rows(messages)).states
    assert states["reasons"].to_list() == expected
    assert states.filter(pl.col("reasons").is_not_null())["bid_1"].null_count() == states["reasons"].count()


def test_a_broken_book_stays_broken_until_the_next_snapshot():
    messages = [*_numbers(), Message(False, 30, 31, [("bid", 8.0, 1.0)]), Message(False, 32, 33, [("bid", 8.5, 1.0)]),
                Message(True, None, 32, [("bid", 7.0, 1.0)])]
    states = replay(depth_rows(messages), 2).states
    assert states["reasons"].to_list()[-4:] == [None, "book_gap", "book_gap", None]
    assert states.row(-1, named=True)["bid_1"] == 8.5
    assert states.row(-1, named=True)["bid_2"] == 7.0


def test_a_row_that_says_so_breaks_a_book_without_numbers():
    messages = [Message(True, None, None, [("bid", 9.0, 1.0)]), Message(False, None, None, [("bid", 9.5, 1.0)]),
                Message(False, None, None, [("bid", 9.25, 1.0)]), Message(True, None, None, [("bid", 9.0, 2.0)])]
    torn = pl.when(pl.col("sequence") == 1).then(pl.lit(str(Reason.BOOK_GAP))).alias("reasons")
    states = replay(depth_rows(messages).with_columns(torn)).states
    assert states["reasons"].to_list() == [None, "book_gap", "book_gap", None]


def test_a_crossed_state_is_counted_and_flagged():
    opening = Message(True, None, None, [("bid", 9.0, 1.0), ("ask", 10.0, 1.0)])
    messages = [opening, Message(False, None, None, [("bid", 10.0, 1.0)])]
    found = replay(depth_rows(messages))
    assert found.crossed == 1
    assert found.states["reasons"].to_list() == [None, "quote_crossed"]


# feeds by order ----------------------------------------------------------------------------------------------------


def _order_rows(steps: list[tuple[str, int, str, float, float, bool]]) -> pl.DataFrame:
    """Rows of (action, order, side, price, size, snapshot), a millisecond apart."""
    schema = dict(table_of("depth").schema)
    return pl.DataFrame(
        [
            {
                "instrument": "GLBX:TEST", "ts": START + timedelta(milliseconds=n),
                "available_at": START + timedelta(milliseconds=n), "sequence": n, "first_update": n, "last_update": n,
                "snapshot": snapshot, "side": side, "price": price, "size": size, "order_id": str(order),
                "action": action, "reasons": None,
            }
            for n, (action, order, side, price, size, snapshot) in enumerate(steps)
        ],
        schema=schema,
    )


def _order_oracle(steps: list[tuple[str, int, str, float, float, bool]]) -> list[tuple[bool, list, list]]:
    """Levels after each step out of a dict of orders."""
    orders: dict[int, tuple[str, float, float]] = {}
    known, states = False, []
    for action, order, side, price, size, snapshot in steps:
        known |= snapshot or action == "reset"
        if action == "reset":
            orders = {}
        if action == "cancel":
            if order in orders:
                old = orders.pop(order)
                if old[2] > size:
                    orders[order] = (old[0], old[1], old[2] - size)
        else:
            orders.pop(order, None)
            if size > 0:
                orders[order] = (side, price, size)
        levels: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
        for held, at, rest in orders.values():
            levels[held][at] = levels[held].get(at, 0.0) + rest
        states.append((known, sorted(levels["bid"].items(), reverse=True), sorted(levels["ask"].items())))
    return states


step = st.tuples(
    st.sampled_from(["add", "add", "add", "cancel", "modify", "reset"]), st.integers(0, 5), st.sampled_from(["bid", "ask"]),
    prices, st.integers(0, 4).map(float), st.just(value=False),
)


@settings(max_examples=150)
@given(steps=st.lists(step, min_size=1, max_size=25), begun=st.booleans())
def test_a_book_of_orders_is_that_of_a_dict_of_orders(steps, begun):
    steps = [(*steps[0][:5], begun), *steps[1:]]
    states = replay(_order_rows(steps), 12).states
    for row, (known, bids, asks) in zip(states.iter_rows(named=True), _order_oracle(steps), strict=True):
        if not known:
            assert (row["reasons"], row["bid_1"], row["ask_1"]) == ("book_unknown", None, None)
            continue
        for side, expected in (("bid", bids), ("ask", asks)):
            found = [(row[f"{side}_{n}"], row[f"{side}_size_{n}"]) for n in range(1, 13) if row[f"{side}_{n}"] is not None]
            assert found == expected


# the end of a replay -----------------------------------------------------------------------------------------------


def _same_end(rows: pl.DataFrame, since: datetime, levels: int) -> BookStretch:
    """`replay_since`, which has to end as the replay of all rows does."""
    found, whole = replay_since(rows, since, levels), replay(rows, levels).states
    before = whole.filter(pl.col("available_at") <= since).height
    assert found.states.equals(whole[max(before - 1, 0) :])
    last = whole["reasons"][-1]
    if last in ("book_unknown", "book_gap"):
        assert (found.book, found.reason) == (None, last)
        return found
    assert found.reason is None
    assert found.book is not None
    book = book_at(rows, whole["available_at"][-1])
    assert (found.book.instrument, found.book.available_at) == (book.instrument, book.available_at)
    assert found.book.bids.equals(book.bids)
    assert found.book.asks.equals(book.asks)
    return found


@settings(max_examples=400)
@given(
    messages=st.one_of(numbered(), unnumbered()), since=st.integers(-1, 16), levels=st.integers(1, 4),
    torn=st.sets(st.integers(0, 13), max_size=2), mixed=st.booleans(), together=st.integers(1, 3),
)  # fmt: skip
def test_the_end_of_a_replay_is_that_of_all_rows_wherever_it_is_cut(messages, since, levels, torn, mixed, together):
    """Also where messages are torn out, rows come in any order, or several messages become known at the same time."""
    rows = depth_rows(messages)
    place = ((pl.col("available_at") - START) / timedelta(milliseconds=1)).cast(pl.Int64)
    rows = rows.with_columns(
        reasons=pl.when(place.is_in(sorted(torn))).then(pl.lit("book_gap,simulated")),
        available_at=START + timedelta(milliseconds=1) * (place // together * together),
    ).cast({"available_at": rows.schema["available_at"]})
    rows = rows.sample(fraction=1.0, shuffle=True, seed=7) if mixed else rows
    _same_end(rows, START + timedelta(milliseconds=since), levels)


@settings(max_examples=200)
@given(steps=st.lists(step, min_size=1, max_size=25), begun=st.booleans(), since=st.integers(-1, 26), levels=st.integers(1, 4))
def test_the_end_of_a_replay_by_order_is_that_of_all_rows(steps, begun, since, levels):
    _same_end(_order_rows([(*steps[0][:5], begun), *steps[1:]]), START + timedelta(milliseconds=since), levels)


def test_a_gap_before_the_stretch_is_noticed_in_it():
    """A numbered message is missing long before the moment that is looked at."""
    later = [Message(False, n, n, [("bid", 9.25, float(n))]) for n in range(17, 40)]
    rows = depth_rows([*_numbers(), *later])
    since = rows["available_at"].max()
    assert _same_end(rows, since, 2).states["bid_size_2"].to_list() == [39.0]
    found = _same_end(rows.filter(pl.col("last_update") != 20), since, 2)
    assert found.reason is Reason.BOOK_GAP
    assert found.states["reasons"].to_list() == ["book_gap"]
    assert found.states["bid_1"].to_list() == [None]


# what is refused ---------------------------------------------------------------------------------------------------


def test_wrong_use_is_refused():
    rows = depth_rows(_numbers())
    with pytest.raises(InvalidInput, match="levels"):
        replay(rows, 0)
    with pytest.raises(InvalidInput, match="one instrument"):
        replay(rows.clear())
    with pytest.raises(InvalidInput, match="one instrument"):
        replay(pl.concat([rows, rows.with_columns(instrument=pl.lit("BINANCE:OTHER"))]))
    with pytest.raises(InvalidInput, match="bid and ask"):
        replay(rows.with_columns(side=pl.lit("buy")))
    with pytest.raises(InvalidInput, match="action"):
        replay(rows.with_columns(action=pl.lit("explode"), order_id=pl.lit("1")))
    with pytest.raises(InvalidInput, match="zone"):
        replay(rows, at=pl.Series([START.replace(tzinfo=None)]))
    with pytest.raises(MissingData, match="found none"):
        book_at(rows, START - timedelta(days=1))


def test_prices_far_apart_or_without_a_common_tick_are_held_apart():
    for far in (1e-7, 3.0e8, 1 / 3):
        messages = [Message(True, None, None, [("bid", 1.5, 1.0), ("ask", 4.0e8, 3.0), ("bid", far, 2.0)])]
        book = book_at(depth_rows(messages), START)
        assert sorted(book.bids["price"]) == sorted([1.5, far])
        assert book.asks.row(0) == (4.0e8, 3.0)


# real streams ------------------------------------------------------------------------------------------------------


def _depth(realdata: Path, name: str) -> pl.DataFrame:
    store = MemoryStore()
    report = import_source(realdata / "l2" / name, Options(now=NOW), store=store)
    assert report.removed == {}
    return store.read(report.instruments[0].id, table="depth")


BINANCE = "hftbacktest_binance_spot_btcusdt_20240808.gz"
STRADDLING, SNAPSHOT = 50093239224, 50093239218


def test_the_real_binance_book_is_never_crossed(realdata):
    found = replay(_depth(realdata, BINANCE), 10)
    assert (found.messages, found.updates, found.crossed, found.unknown) == (3452, 126_090, 0, 3)
    assert found.states["reasons"].drop_nulls().to_list() == ["book_unknown"] * 3      # before the snapshot
    for side, down in (("bid", True), ("ask", False)):
        levels = found.states.drop_nulls("bid_1").select(f"{side}_{n}" for n in range(1, 11)).to_numpy()
        assert ((levels[:, 1:] < levels[:, :-1]) == down).all()


def test_the_trap_of_the_real_binance_stream(realdata):
    """Without the change that straddles the snapshot the book is declared broken; trusted all the same it stays crossed."""
    rows = _depth(realdata, BINANCE)
    dropped = rows.filter((pl.col("last_update") != STRADDLING) | pl.col("snapshot"))
    broken = replay(dropped)
    assert (broken.crossed, broken.unknown) == (0, broken.messages - 1)
    assert broken.states["reasons"].to_list()[-1] == "book_gap"
    trusting = dropped.filter(pl.col("last_update") >= SNAPSHOT).with_columns(
        first_update=pl.lit(None, dtype=pl.Int64), last_update=pl.lit(None, dtype=pl.Int64)
    )
    naive = replay(trusting)
    assert (naive.crossed, naive.messages - 1) == (2573, 3448)


def test_the_real_binance_book_agrees_with_the_stream_of_best_quotes(realdata):
    store = MemoryStore()
    import_source(realdata / "l2" / BINANCE, Options(now=NOW), store=store)
    quotes = store.read("BINANCE:BTCUSDT", table="quotes").sort("sequence")
    states = replay(store.read("BINANCE:BTCUSDT", table="depth")).states.drop_nulls("bid_1")
    both = states.join_asof(quotes.select("available_at", "bid", "ask"), on="available_at").drop_nulls("bid")
    agree = both.select(((pl.col("bid_1") == pl.col("bid")) & (pl.col("ask_1") == pl.col("ask"))).mean()).item()
    assert agree > 0.998     # 0.9991: now and then the best quote has moved on within the 100 ms that a change sums up


@pytest.mark.parametrize(("name", "messages", "updates"), [
    ("nautilus_bybit_xrpusdt-ob500.data.zip", 50, 3966),
    ("hftbacktest_hyperliquid_btcusd_20250126.gz", 46, 1840),
    ("nautilus_tardis/binance-futures_book_snapshot_25_BTCUSDT.csv", 10, 500),
    ("nautilus_tardis/binance-futures_book_snapshot_5_BTCUSDT.csv", 10, 100),
])
def test_other_real_books_are_whole_and_never_crossed(realdata, name, messages, updates):
    found = replay(_depth(realdata, name), 5)
    assert (found.messages, found.updates, found.crossed, found.unknown) == (messages, updates, 0, 0)


def test_changes_without_their_snapshot_make_no_book(realdata):
    found = replay(_depth(realdata, "nautilus_binance_btcusdt-depth-update.csv"))
    assert (found.messages, found.unknown) == (1, 1)


def test_the_real_book_of_orders(realdata):
    pytest.importorskip("databento_dbn")
    rows = _depth(realdata, "databento/esh4-glbx-mdp3-20231224.mbo.dbn.zst")
    assert rows.height == 8725
    book = book_at(rows, NOW)
    assert (book.bids.row(0), book.asks.row(0)) == ((4799.0, 16.0), (4799.5, 23.0))
    by_hand = rows.group_by("side", "price").agg(pl.col("size").sum())
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        expected = by_hand.filter(pl.col("side") == side).select("price", "size").sort("price", descending=side == "bid")
        assert levels.equals(expected)
