"""The simulated book: it replays without a crossed state, its tables agree, and its queues have the law that the model states."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.books import replay
from fieldcast.data.simulated import (
    BookMarket,
    BookProcess,
    QueueRates,
    _kernels_book,
    crypto,
    default_rates,
    equity,
    simulate_book,
)
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import has_reason

DAY = date(2024, 7, 2), date(2024, 7, 3)  # a session and a half-day
MARKET = BookMarket(3, equity("BOOK"), *DAY, BookProcess(pace=0.06))
SMALL = QueueRates(
    limit=((1.0, 0.8, 0.7, 0.6, 0.0), (0.9, 0.9, 0.8, 0.5, 0.0)),
    cancel=((0.0, 0.3, 0.5, 0.7, 0.9), (0.0, 0.4, 0.7, 0.9, 1.0)),
    market=((0.0, 0.6, 0.4, 0.3, 0.2), (0.0, 0.6, 0.4, 0.3, 0.2)),
)


@pytest.fixture(scope="module")
def sessions():
    return list(simulate_book(MARKET).sessions())


# the tables ---------------------------------------------------------------------------------------------------------


def test_every_session_replays_without_a_crossed_or_unknown_state_and_shows_the_quotes(sessions):
    for session in sessions:
        found = replay(session.depth, 1)
        assert found.crossed == 0
        assert found.unknown == 0
        assert found.messages == session.events.height + 1
        numbers = pl.concat([pl.Series([session.quotes["sequence"][0]]), session.events["update"]])
        states = found.states.with_columns(sequence=numbers)
        both = states.join(session.quotes, on="sequence")
        assert both.height == session.quotes.height
        for of_book, of_quote in (("bid_1", "bid"), ("ask_1", "ask"), ("bid_size_1", "bid_size"), ("ask_size_1", "ask_size")):
            assert both[of_book].equals(both[of_quote].rename(of_book), null_equal=True)
        columns = ["bid_1", "ask_1", "bid_size_1", "ask_size_1"]
        changes = states.select((pl.struct(columns) != pl.struct(columns).shift(1)).sum()).item()
        assert session.quotes.height == changes + 1  # a row for every change, and none without


def test_trades_hit_the_standing_quote_and_take_one_unit_off_it(sessions):
    lot = MARKET.process.lot
    for session in sessions:
        before = session.quotes.with_columns(sequence=pl.col("sequence") + 1).rename({"ts": "quoted"})
        both = session.trades.join_asof(before, on="sequence", strategy="backward")
        assert both.height > 400
        price = pl.when(pl.col("side") == "buy").then("ask").otherwise("bid")
        resting = pl.when(pl.col("side") == "buy").then("ask_size").otherwise("bid_size")
        assert both.select((pl.col("price") == price).all()).item()
        assert both.select((resting >= pl.col("size")).all()).item()
        assert (both["size"] == lot).all()
        depth = session.depth.filter(~pl.col("snapshot")).rename({"price": "at", "side": "of"})
        taken = both.select("sequence", "price", "side", resting=resting).join(
            depth, left_on="sequence", right_on="last_update"
        ).filter(pl.col("at") == pl.col("price"), (pl.col("of") == "ask") == (pl.col("side") == "buy"))  # fmt: skip
        left = taken.filter(pl.col("resting") > lot)  # where the queue is not used up, so that nothing else changes
        assert left.height > 200
        assert (left["size"] == left["resting"] - lot).all()
        assert set(session.trades["sequence"]) == set(session.events.filter(kind="market")["update"])


def test_sessions_keep_their_hours_their_numbers_and_the_season(sessions):
    whole, half = sessions
    assert (whole.session, half.session) == (date(2024, 7, 2), date(2024, 7, 3))
    assert whole.depth["ts"].max() - whole.depth["ts"].min() > timedelta(hours=6, minutes=25)
    assert half.depth["ts"].max() - half.depth["ts"].min() < timedelta(hours=3, minutes=30)
    for session in sessions:
        assert session.depth["ts"].is_sorted()
        assert session.events["update"].diff().drop_nulls().unique().to_list() == [1]
    assert half.depth["last_update"].min() == whole.events["update"][-1] + 1
    into = (whole.events["ts"] - whole.depth["ts"][0]).dt.total_minutes()
    first, midday = (into < 30).sum(), into.is_between(180, 209).sum()
    assert first / midday == pytest.approx(2.0 / 0.70, rel=0.25)  # the season's first and seventh half hour


def test_every_row_is_labelled_and_fits_the_store(sessions):
    made, store = simulate_book(MARKET), MemoryStore()
    assert made.instrument.simulated
    for name in ("depth", "quotes", "trades"):
        for session in sessions:
            store.append(getattr(session, name), made.lineage, table=name)
        read = store.read(made.instrument.id, table=name)
        assert read.height == sum(getattr(session, name).height for session in sessions)
        assert read.select(has_reason(Reason.SIMULATED).all()).item()
        assert store.lineage(made.instrument.id, table=name)[0].simulated


def hashed(market: BookMarket) -> str:
    depth = pl.concat([session.depth for session in simulate_book(market).sessions()])
    return hashlib.sha256(depth.select("ts", "last_update", "side", "price", "size").write_csv().encode()).hexdigest()


CODE = """
from datetime import date
import hashlib, polars as pl
from fieldcast.data.simulated import *
market = BookMarket(3, equity("BOOK"), date(2024, 7, 2), date(2024, 7, 2), BookProcess(pace=0.06))
depth = pl.concat([session.depth for session in simulate_book(market).sessions()])
print(hashlib.sha256(depth.select("ts", "last_update", "side", "price", "size").write_csv().encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_book_in_another_process_and_a_later_end_only_appends(sessions):
    short = replace(MARKET, last=DAY[0])
    other = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True).stdout.strip()
    assert hashed(short) == other
    assert hashed(replace(short, seed=4)) != other
    (one,) = simulate_book(short).sessions()
    assert one.depth.equals(sessions[0].depth)
    assert short.source == replace(short, last=DAY[1]).source != replace(short, seed=4).source


def test_a_coin_has_a_book_around_the_clock():
    (session,) = simulate_book(BookMarket(1, crypto("BTC"), DAY[0], DAY[0], BookProcess(pace=0.004, lot=0.01))).sessions()
    assert session.depth["ts"].max() - session.depth["ts"].min() > timedelta(hours=23)
    assert replay(session.depth).crossed == 0


# the law ------------------------------------------------------------------------------------------------------------


def stationary(rates: QueueRates) -> np.ndarray:
    """The joint law of two queues of one side while the reference stands still, by solving the chain's balance equations."""
    limit, cancel, market = rates.table()
    n = limit.shape[1]
    generator = np.zeros((n * n, n * n))
    for a in range(n):
        for b in range(n):
            here = a * n + b
            for there, rate in (
                ((a + 1) * n + b, limit[0, a]), (here + 1, limit[1, b]), ((a - 1) * n + b, cancel[0, a] + market[0, a]),
                (here - 1, cancel[1, b] + (market[1, b] if a == 0 else 0.0)),
            ):  # fmt: skip
                if rate > 0:
                    generator[here, there] += rate
                    generator[here, here] -= rate
    system = np.vstack([generator.T, np.ones(n * n)])
    return np.linalg.lstsq(system, np.append(np.zeros(n * n), 1.0), rcond=None)[0].reshape(n, n)


@pytest.fixture(scope="module")
def still():
    """A long run of the small book whose reference never moves."""
    process = BookProcess(SMALL, move=0.0, pace=8.0)
    (session,) = simulate_book(BookMarket(21, equity("STILL"), DAY[0], DAY[0], process)).sessions()
    return session, process


def shares(events: pl.DataFrame, side: str, queue: int, size: int) -> float:
    """Share of the time that a queue has a size: each size lasts from the event that made it to the queue's next one."""
    of = events.filter((pl.col("side") == side) & (pl.col("queue") == queue))
    lasted = of["clock"].diff().slice(1)
    return float(lasted.filter(of["size_before"].slice(1) == size).sum() / lasted.sum())


def test_queues_have_the_invariant_law_of_the_model(still):
    """
    Time shares against the exact joint law of two queues, 780,000 events or so. A queue forgets itself within about ten seconds
    of 187,200 at the mean pace: 1 % is more than five standard errors.
    """
    session, process = still
    law = stationary(SMALL)
    invariant = SMALL.invariant()
    np.testing.assert_allclose(invariant[0], law.sum(axis=1), atol=1e-9)  # the closed form is exact for the first queue
    np.testing.assert_allclose(invariant[1], law.sum(axis=0), atol=0.03)  # and near for the second
    clock = (1 / session.events["total_rate"]).cum_sum()  # the expected time: free of the noise of the waits
    events = session.events.with_columns(clock=clock)
    for side in ("bid", "ask"):
        for queue, expected in ((1, law.sum(axis=1)), (2, law.sum(axis=0))):
            found = [shares(events, side, queue, size) for size in range(5)]
            np.testing.assert_allclose(found, expected, atol=0.01)
    assert session.depth["price"].n_unique() == 4  # two prices a side, never left
    assert process.move == 0


def test_events_come_as_often_as_their_rates_say(still):
    """Counts of each kind, queue and size against the sum of the stated rates over the time spent there; chi-square by count."""
    session, _ = still
    events = session.events
    waited = events["ts"].diff().dt.total_microseconds().drop_nulls().to_numpy() / 1e6
    assert waited.min() >= 0
    law = stationary(SMALL)
    limit, cancel, market = SMALL.table()
    first = events.filter(queue=1)
    pairs = first.group_by("kind", "size_before").len()
    seen = {(kind, size): count for kind, size, count in pairs.iter_rows()}
    seconds = float((1 / events["total_rate"]).sum()) * 2  # two sides
    for kind, table in (("limit", limit), ("cancel", cancel), ("market", market)):
        for size in range(5):
            expected = law.sum(axis=1)[size] * table[0, size] * seconds
            if expected:
                assert seen[kind, size] == pytest.approx(expected, rel=0.02)
    assert events["rate"].sum() > 0


def test_the_reference_moves_follow_the_mid_and_the_book_goes_with_it(sessions):
    quotes = sessions[0].quotes.drop_nulls(["bid", "ask"])
    mid = (quotes["bid"] + quotes["ask"]) / 2
    assert mid.n_unique() > 20
    spread = ((quotes["ask"] - quotes["bid"]) * 100).round()
    assert spread.min() == 1
    assert (spread == 1).mean() > 0.8
    imbalance = (quotes["bid_size"] - quotes["ask_size"]) / (quotes["bid_size"] + quotes["ask_size"])
    ahead = mid.shift(-25) - mid
    assert pl.select(pl.corr(imbalance, ahead)).item() > 0.05  # long queues hold, short ones give way


def twin(rates, sizes, p, waits, choices):
    """The book with a reference that stands still, event by event in plain Python: (time, kind, side, queue) and the sizes."""
    clock, told = 0.0, []
    for wait, choice in zip(waits, choices, strict=True):
        near = [next((q for q in range(sizes.shape[1]) if sizes[side, q]), -1) for side in (0, 1)]
        options = [
            ((kind, side, q), rates[kind, q, sizes[side, q]])
            for side in (0, 1) for q in range(sizes.shape[1]) for kind in range(3)
            if rates[kind, q, sizes[side, q]] > 0 and (kind != 2 or q == near[side])
        ]  # fmt: skip
        total = math.fsum(rate for _, rate in options)
        clock += wait / total
        left, chosen = choice * total, options[-1][0]
        for event, rate in options:
            left -= rate
            if left < 0:
                chosen = event
                break
        kind, side, q = chosen
        sizes[side, q] += 1 if kind == 0 else -1
        told.append((clock, kind, side, q))
    return told, sizes


def test_the_kernel_does_what_its_readable_twin_does():
    random, n = np.random.default_rng(2), 3000
    waits, choices = random.standard_exponential(n), random.random(n)
    sizes = np.array([[2, 1], [0, 3]])
    rows = [np.empty(5 * n, dtype) for dtype in (np.int64, np.int8, np.int64, np.int64)]
    codes = [np.empty(n), *(np.empty(n, dtype) for dtype in (np.int8, np.int8, np.int16, np.int64))]
    mine = sizes.copy()
    law = np.cumsum(SMALL.invariant(), axis=1)
    done, filled, used, reached = _kernels_book.run(
        SMALL.table(), law, np.zeros(2), mine, np.array([1000]), np.zeros(1), 1e9, waits, choices, np.ones(4 * n), *rows,
        *codes, np.empty(n), np.empty(n), np.empty((n, 4), np.int64),
    )  # fmt: skip
    told, theirs = twin(SMALL.table(), sizes.copy(), 1000, waits, choices)
    assert (done, filled, reached) == (n, n, 0)
    assert used > 0
    np.testing.assert_allclose(codes[0], [event[0] for event in told], rtol=1e-12)
    assert list(zip(*(code.tolist() for code in codes[1:4]), strict=True)) == [event[1:] for event in told]
    assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    "wrong",
    [lambda: replace(SMALL, cancel=((1.0, *SMALL.cancel[0][1:]), SMALL.cancel[1])), lambda: BookProcess(move=1.1),
     lambda: replace(SMALL, limit=((1.0, 1.0, 1.0, 1.0, 1.0), SMALL.limit[1])), lambda: BookProcess(lot=0.0),
     lambda: replace(SMALL, limit=((0.0, 1.0, 1.0, 1.0, 0.0), SMALL.limit[1])), lambda: replace(MARKET, seed=-1),
     lambda: simulate_book(replace(MARKET, first=date(2024, 7, 4), last=date(2024, 7, 4)))],
)  # fmt: skip
def test_rates_that_make_no_book_are_refused(wrong):
    with pytest.raises(InvalidInput, match="expected"):
        wrong()


def test_the_default_first_queue_is_a_few_units_and_seldom_empty():
    law = default_rates().invariant()
    np.testing.assert_allclose(law.sum(axis=1), 1.0)
    sizes = law @ np.arange(law.shape[1])
    assert 3 < sizes[0] < 10 < sizes[1]
    assert law[0, 0] < 0.05
