"""X04: Engine matrix of exactly 141 columns (hedge, liquidity, sentiment, technical, regime).

Done when: "The schema lists 141 names, and no column is constant on the demo data set"

The demo data set is simulated throughout: bars with three years of history, an option chain with its counted open interest, an
order book, scored texts, short volume, a VIX and a market that the share moves with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.data.simulated import (
    BarMarket,
    BookMarket,
    BookProcess,
    ChainMarket,
    ListingRules,
    equity,
    simulate_bars,
    simulate_book,
    simulate_chain,
)
from fieldcast.features._engine_columns import COLUMNS, GROUPS, How
from fieldcast.features._engine_matrix import NAMES, SCHEMA, engine_matrix
from fieldcast.fields import FieldMap, build_field_table
from fieldcast.fields.books import BookSettings, book_field
from fieldcast.fields.chain_rows import with_open_interest
from fieldcast.fields.dealer import NAIVE, dealer_field
from fieldcast.fields.elasticity import elasticity_field
from fieldcast.fields.liquidity import interpret, short_pressure
from fieldcast.fields.pricing_chain import price_chain
from fieldcast.fields.regime import regime_field
from fieldcast.fields.sentiment import sentiment_field
from fieldcast.ground import Reason
from fieldcast.market import DECISION_DELAY, conform, sessions_between, table_of

pytestmark = pytest.mark.feature("X04")
OPEN_PARTS: tuple[str, ...] = ()

FIRST, LAST = date(2014, 1, 2), date(2014, 2, 14)
SOURCES = (("news", 4), ("x", 12), ("reddit", 8), ("stocktwits", 10))
Tables = Mapping[str, pl.DataFrame]


def texts(instrument: str) -> pl.DataFrame:
    """Scored texts of ten weeks, their mood swinging slowly."""
    random = np.random.default_rng(3)
    rows = []
    for number, close in enumerate(sessions_between("XNYS", date(2013, 12, 2), LAST)["close"].to_list()):
        for source, usual in SOURCES:
            for item in range(1 + int(random.poisson(usual))):
                at = close - timedelta(hours=float(20 * random.random()))
                score = float(np.clip(random.normal(0.4 * np.sin(number / 6), 0.5), -1, 1))
                rows.append(
                    {
                        "instrument": instrument, "ts": at, "available_at": at + timedelta(minutes=5), "source": source,
                        "item": f"{source}-{number}-{item}", "scorer": "lexicon@0123456789abcdef", "score": score,
                        "confidence": float(random.uniform(0.3, 1)), "text_hash": "0" * 16,
                        "mentions": float(random.integers(1, 9)), "engagement": float(random.integers(0, 4000)),
                        "comments": float(random.integers(0, 900)), "reasons": "simulated",
                    }
                )  # fmt: skip
    stamp = pl.Datetime("us", "UTC")
    return conform(
        pl.DataFrame(rows, schema_overrides={"ts": stamp, "available_at": stamp}), dict(table_of("text_scores").schema)
    )


def market_of(close: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Closes of a market, whose returns are half the share's and half its own."""
    own = np.diff(np.log(close))
    return 100 * np.exp(np.concatenate([[0.0], np.cumsum(0.5 * own + 0.5 * own.std() * random.standard_normal(own.size))]))


def correlation_with(market: pl.DataFrame, past: pl.DataFrame, as_of: datetime) -> float:
    """Of the last 20 daily log returns that were known."""
    both = past.select("ts", own="close").join(market.filter(pl.col("available_at") <= as_of).select("ts", "close"), on="ts")
    returns = np.diff(np.log(both.select("own", "close").tail(21).to_numpy()), axis=0)
    return float(np.corrcoef(returns.T)[0, 1])


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Every table of the demo data set."""
    market = ChainMarket(
        5, equity("DEMO"), FIRST, LAST, listings=ListingRules(weeklies=3, monthlies=2, long_years=0, near_strikes=16)
    )
    chain = simulate_chain(market)
    sessions = list(chain.sessions())
    now = chain.bars.bars
    (before,) = simulate_bars(BarMarket(7, (equity("DEMO"),), date(2011, 1, 3), date(2013, 12, 31), "1d"))
    joined = now["open"][0] / before.bars["close"][-1]
    name = str(now["instrument"][0])
    old = before.bars.with_columns(
        *(pl.col(price) * joined for price in ("open", "high", "low", "close")), instrument=pl.lit(name)
    )
    bars = pl.concat([old, now])
    random = np.random.default_rng(1)
    n = bars.height
    volume = bars["volume"].to_numpy()
    short = bars.select(
        "instrument", "ts", "available_at", short_volume=pl.Series(volume * random.uniform(0.1, 0.25, n)),
        short_exempt_volume=pl.lit(None, dtype=pl.Float64), total_volume=pl.Series(volume * random.uniform(0.3, 0.45, n)),
        market=pl.lit("Q"), reasons=pl.lit("simulated"),
    )  # fmt: skip
    level = np.exp(2.9 + 0.25 * np.sin(np.arange(n) / 6) + 0.05 * random.standard_normal(n))
    book = list(simulate_book(BookMarket(5, equity("BOOK"), FIRST, LAST, process=BookProcess(pace=0.01))).sessions())
    return {
        "bars": bars,
        "chain": pl.concat([one.snapshots[0].rows for one in sessions]),
        "open_interest": pl.concat([one.open_interest for one in sessions]),
        "texts": texts(name),
        "short": conform(short, dict(table_of("short_volume").schema)),
        "vix": bars.with_columns(close=pl.Series(level)),
        "market": bars.with_columns(close=pl.Series(market_of(bars["close"].to_numpy(), random))),
        **{kind: pl.concat([getattr(one, kind) for one in book]) for kind in ("depth", "quotes", "trades")},
    }


def field_map(tables: Tables, as_of: datetime, leave_out: tuple[str, ...] = ()) -> FieldMap:
    """The map of everything that the tables hold by `as_of`, without the engines that are left out."""
    bars = tables["bars"]
    name = str(bars["instrument"][0])
    table = build_field_table(bars)
    past = bars.filter(pl.col("available_at") <= as_of)
    plain = FieldMap.at(name, as_of, table)
    day = pl.col("ts").dt.date() == as_of.date()
    readings, absent = [], {}
    gamma = None
    if "chain" not in leave_out:
        recent = pl.col("ts").is_between(as_of - timedelta(days=5), as_of)
        rows = with_open_interest(tables["chain"].filter(recent), tables["open_interest"].filter(pl.col("ts") <= as_of), as_of)
        priced = price_chain(rows, as_of)
        dealers = dealer_field(priced)
        gamma = dealers.gex
        volume = float(past["volume"].tail(20).mean())  # type: ignore[arg-type]
        readings += [dealers.reading(), elasticity_field(priced, NAIVE, daily_volume=volume).reading()]
    else:
        absent = {"dealer": Reason.NO_DATA, "elasticity": Reason.NO_DATA}
    book = None
    if "book" not in leave_out:
        settings = BookSettings(window_seconds=3600.0)
        told = {kind: tables[kind].filter(day) for kind in ("trades", "quotes")}
        book = book_field(tables["depth"].filter(day), as_of, **told, settings=settings).reading()
    pressure = short_pressure(tables["short"], past, as_of, simulated=True)
    readings.append(interpret(plain.liquidity, as_of, book=book, short=pressure).reading())
    correlation = correlation_with(tables["market"], past, as_of)
    readings.append(
        regime_field(
            plain.regime, past, as_of, calendar="XNYS", vix=tables["vix"], dealer_gamma=gamma, market_correlation=correlation
        ).reading()
    )
    scores = None if "texts" in leave_out else tables["texts"]
    readings.append(sentiment_field(scores, as_of, row=plain.sentiment).reading())
    return FieldMap.at(name, as_of, table, readings, absent=absent, simulated=True)


@pytest.fixture(scope="module")
def moments() -> list[datetime]:
    closes = sessions_between("XNYS", FIRST, LAST)["close"].to_list()
    return [close + DECISION_DELAY for close in closes[4:]]


@pytest.fixture(scope="module")
def maps(tables: Tables, moments: list[datetime]) -> list[FieldMap]:
    return [field_map(tables, moment) for moment in moments]


def test_the_schema_lists_141_names_in_five_groups() -> None:
    assert len(NAMES) == len(set(NAMES)) == 141
    assert [name for name in SCHEMA if name in set(NAMES)] == list(NAMES)
    assert {group: sum(name.startswith(f"{group}.") for name in NAMES) for group in GROUPS} == GROUPS
    assert set(GROUPS) == {"hedge", "liquidity", "sentiment", "technical", "regime"}
    assert sum(GROUPS.values()) == 141


@pytest.mark.slow
def test_no_column_is_constant_on_the_demo_data_set(tables: Tables, maps: list[FieldMap]) -> None:
    matrix = engine_matrix(maps, tables["bars"])
    assert matrix.height == len(maps) == 27
    assert dict(matrix.schema) == dict(SCHEMA)
    constant = [name for name in NAMES if matrix[name].drop_nulls().n_unique() < 2]
    assert constant == []
    few = [name for name in NAMES if matrix[name].drop_nulls().len() < 14]
    assert few == []
    assert matrix["simulated"].all()
    values = matrix.select(NAMES).to_numpy()
    assert np.isfinite(values[~np.isnan(values)]).all()
    for row in matrix.iter_rows(named=True):
        why = {item.split(":")[0]: item.split(":")[1] for item in (row["reasons"] or "").split(",") if item}
        assert set(why) == {name for name in NAMES if row[name] is None}


@pytest.mark.slow
def test_what_has_no_chain_no_book_or_no_text_is_null_with_its_reason_and_never_zero(
    tables: Tables, maps: list[FieldMap], moments: list[datetime]
) -> None:
    whole = engine_matrix(maps[-1:], tables["bars"]).row(0, named=True)
    for left_out, touched in (
        ("chain", lambda name: name.startswith("hedge.")),
        ("book", lambda name: name.startswith("liquidity.book_")),
        (
            "texts",
            lambda name: name.startswith("sentiment.") and name.split(".")[1] not in ("rsi", "mfi", "trend", "range_ratio"),
        ),
    ):
        found = field_map(tables, moments[-1], (left_out,))
        row = engine_matrix([found], tables["bars"]).row(0, named=True)
        names = [name for name in NAMES if touched(name)]
        assert len(names) >= 11
        assert all(row[name] is None for name in names), left_out
        why = dict(item.split(":") for item in row["reasons"].split(","))
        assert all(why[name] == Reason.NO_DATA for name in names), left_out
        kept = [name for name in NAMES if name not in names and name != "regime.alarms"]  # an alarm reads the dealers
        assert [row[name] for name in kept] == [whole[name] for name in kept], left_out


@pytest.mark.slow
def test_a_row_is_the_same_on_tables_cut_at_its_moment(tables: Tables, maps: list[FieldMap], moments: list[datetime]) -> None:
    matrix = engine_matrix(maps, tables["bars"])
    for index in (3, 17):
        cut = {name: table.filter(pl.col("available_at") <= moments[index]) for name, table in tables.items()}
        again = engine_matrix([field_map(cut, moments[index])], cut["bars"])
        assert again.equals(matrix[index])


@pytest.mark.slow
def test_no_column_moves_with_the_price_level(tables: Tables, maps: list[FieldMap], moments: list[datetime]) -> None:
    """A split by four: prices a quarter, units four times as many. What is in dollars or units would move."""
    prices = ("open", "high", "low", "close")
    bars = tables["bars"].with_columns(*(pl.col(name) / 4 for name in prices), pl.col("volume") * 4)
    quoted = [name for name in ("strike", "bid", "ask", "underlying_price") if name in tables["chain"].columns]
    chain = tables["chain"].with_columns(*(pl.col(name) / 4 for name in quoted), pl.col("open_interest") * 4)
    counts = tables["open_interest"].with_columns(pl.col("open_interest") * 4)
    short = tables["short"].with_columns(pl.col("short_volume", "total_volume") * 4)
    split = {**tables, "bars": bars, "chain": chain, "open_interest": counts, "short": short}
    before = engine_matrix(maps[-1:], tables["bars"]).row(0, named=True)
    after = engine_matrix([field_map(split, moments[-1])], bars).row(0, named=True)
    for name in NAMES:
        assert after[name] == pytest.approx(before[name], rel=1e-5, abs=1e-8), name


def test_every_way_of_reading_a_map_is_used() -> None:
    assert {column.how for column in COLUMNS} == set(How)
