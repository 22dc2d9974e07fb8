"""D17, reads of what was known when.

Done when: "At least 7 golden events give continuous returns after and unadjusted prices before the effective date".

Thirteen events on real files: seven splits (a reverse one and a class C settlement among them), three dividends, a ticker that
two companies had, a rename, a delisting. Bars, open interest, macro and actions are read through both stores as of moments around
the one at which each became known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore, ParquetStore, Store
from fieldcast.data.actions import action_rows, read_adjusted
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.data.tickers import import_map_files, resolve, tickers_of
from fieldcast.ground import ManualClock, MissingData
from fieldcast.ledger import Database, open_database
from fieldcast.market import DECISION_DELAY, Kind, default_instrument, sessions_between, table_of

pytestmark = pytest.mark.feature("D17")
OPEN_PARTS: tuple[str, ...] = ()
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """A corporate action as the exchanges announced it."""

    ticker: str     # of the LEAN files; upper case for Tiingo's
    id: str
    ex_date: date
    ratio: float = 1.0
    amount: float = 0.0


EVENTS = (
    Event("aapl", "XNAS:AAPL", date(2000, 6, 21), ratio=2),
    Event("aapl", "XNAS:AAPL", date(2005, 2, 28), ratio=2),
    Event("aapl", "XNAS:AAPL", date(2014, 6, 9), ratio=7),
    Event("aapl", "XNAS:AAPL", date(2020, 8, 31), ratio=4),
    Event("NVDA", "XNAS:NVDA", date(2024, 6, 10), ratio=10),
    Event("uso", "ARCX:USO", date(2020, 4, 29), ratio=1 / 8),
    Event("goog", "XNAS:GOOG", date(2015, 4, 27), ratio=1.0027),      # the class C settlement, paid in shares
    Event("aapl", "XNAS:AAPL", date(2014, 5, 8), amount=3.29),
    Event("ibm", "XNYS:IBM", date(2020, 5, 7), amount=1.63),
    Event("NVDA", "XNAS:NVDA", date(2024, 6, 11), amount=0.01),
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as database:
        yield database


@pytest.fixture(params=["memory", "parquet"])
def store(request: pytest.FixtureRequest, tmp_path: Path, db: Database) -> Store:
    return MemoryStore() if request.param == "memory" else ParquetStore(tmp_path / "data", db, ManualClock(NOW))


def fill(store: Store, realdata: Path, event: Event) -> None:
    """The event's raw prices and its actions, from the vendor's files."""
    reference = realdata / "reference"
    options = Options(now=NOW, map_files=reference / "lean_map_files")
    if event.ticker.isupper():
        named = Options(now=NOW, instrument=default_instrument(event.id, Kind.EQUITY))
        import_source(realdata / f"daily/tiingo_raw_and_adj/{event.ticker}_1d.csv.gz", named, store=store)
        return
    import_source(realdata / f"daily/lean_raw/{event.ticker}.zip", options, store=store)
    import_source(reference / f"lean_factor_files/{event.ticker}.csv", options, store=store)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.ticker}-{event.ex_date}")
def test_golden_event_is_unseen_before_and_continuous_after(store: Store, realdata: Path, event: Event):
    fill(store, realdata, event)
    days = sessions_between("XNYS", event.ex_date - timedelta(days=40), event.ex_date + timedelta(days=10))
    eve = days.filter(pl.col("session") < event.ex_date).row(-1, named=True)
    first = days.filter(pl.col("session") == event.ex_date).row(0, named=True)
    midnight = datetime(event.ex_date.year, event.ex_date.month, event.ex_date.day, 4, tzinfo=UTC)
    span = {"first": eve["session"] - timedelta(days=20), "last": first["session"]}
    raw = store.read(event.id, **span)
    before, after = (float(raw.filter(pl.col("ts") == row["close"])["close"][0]) for row in (eve, first))

    # before: what a trader saw, to the last cent, at the close of the eve and until midnight
    for as_of in (eve["close"] + DECISION_DELAY, midnight - timedelta(microseconds=1)):
        seen = read_adjusted(store, event.id, "total", as_of=as_of, **span)
        known = raw.filter(pl.col("ts") <= eve["close"])
        assert seen["ts"].equals(known["ts"])
        if event.ex_date != date(2024, 6, 11):      # the day before that dividend was a split's first
            assert seen["close"].to_list() == known["close"].to_list()
        assert seen["close"][-1] == before

    # after: one step of the size of the action is gone, and nothing else has moved
    as_of = first["close"] + DECISION_DELAY
    seen = read_adjusted(store, event.id, "total", as_of=as_of, **span)
    assert seen["close"][-1] == after
    step = float(seen["close"][-1] / seen["close"][-2])
    expected = after * event.ratio / (before - event.amount)
    assert step == pytest.approx(expected, rel=2e-5)
    usual = float(seen["close"].log().diff().drop_nulls()[:-1].std())
    assert abs(step - 1) < max(0.06, 4 * usual)
    if event.ratio >= 2 or event.ratio <= 0.5:
        assert abs(after / before - 1) > 0.4        # the raw prices do jump
        size = seen["volume"][-2] / raw.filter(pl.col("ts") == eve["close"])["volume"][0]
        assert size == pytest.approx(event.ratio, rel=1e-5)
    earlier = (seen["close"] / seen["close"].shift(1))[1:-1]
    split_free = read_adjusted(store, event.id, "total", as_of=eve["close"] + DECISION_DELAY, **span)["close"]
    assert (earlier / (split_free / split_free.shift(1))[1:] - 1).abs().max() < 1e-12

    # at any later moment the returns are the same
    later = read_adjusted(store, event.id, "total", **span)["close"]
    assert float(later[-1] / later[-2]) == pytest.approx(step, rel=1e-12)


def test_golden_ticker_reuse_keeps_two_companies_apart(store: Store, db: Database, realdata: Path):
    maps = realdata / "reference/lean_map_files"
    import_map_files(db, maps)
    import_source(realdata / "daily/lean_raw/fb.zip", Options(now=NOW, map_files=maps), store=store)
    old, new = resolve(db, "FB", date(2001, 1, 3)), resolve(db, "FB", date(2015, 1, 5))
    assert (old, new) == ("USA:FB.1", "XNAS:FB")
    assert store.read(old)["ts"][-1] < store.read(new)["ts"][0]
    assert store.read(new)["ts"][0].date() == date(2012, 5, 18)
    with pytest.raises(MissingData):
        resolve(db, "FB", date(2008, 1, 2))
    last, first = store.read(old)["close"][-1], store.read(new)["close"][0]
    assert abs(first / last - 1) > 0.02     # the return that reading the file by its ticker alone would have invented
    mixed = MemoryStore()
    import_source(realdata / "daily/lean_raw/fb.zip", Options(now=NOW), store=mixed)
    moves = mixed.read("USA:FB").with_columns(move=pl.col("close") / pl.col("close").shift(1))
    assert moves.filter(pl.col("ts").dt.date() == date(2012, 5, 18))["move"].to_list() == [first / last]


def test_golden_rename_is_one_company_throughout(store: Store, db: Database, realdata: Path):
    maps = realdata / "reference/lean_map_files"
    import_map_files(db, maps)
    for name in ("goog", "googl"):
        import_source(realdata / f"daily/lean_raw/{name}.zip", Options(now=NOW, map_files=maps), store=store)
    id = resolve(db, "GOOG", date(2014, 4, 2))
    assert id == resolve(db, "GOOGL", date(2014, 4, 3)) == "XNAS:GOOGL"
    rows = store.read(id)
    days = sessions_between("XNYS", rows["ts"][0].date(), date(2021, 3, 31))
    assert rows["ts"].to_list() == days["close"].to_list()      # out of two files, without a hole
    around = rows.filter(pl.col("ts").dt.date().is_between(date(2014, 4, 2), date(2014, 4, 3)))["close"]
    # the share was split in two on the day on which it was renamed: class C went to GOOG
    assert around[1] / around[0] == pytest.approx(0.5, abs=0.02)


def test_golden_delisting_ends_the_ticker_and_keeps_the_past(db: Database, realdata: Path):
    import_map_files(db, realdata / "reference/lean_map_files")
    assert resolve(db, "FOXA", date(2018, 1, 3)) == resolve(db, "TFCFA", date(2019, 3, 20)) == "XNAS:TFCFA"
    assert resolve(db, "GDVD", date(2021, 1, 20)) == "BATS:GDVD"
    for ticker, day in (("TFCFA", date(2019, 3, 21)), ("GDVD", date(2021, 1, 21)), ("FOXA", date(2019, 3, 19))):
        with pytest.raises(MissingData):
            resolve(db, ticker, day)
    assert tickers_of(db, "XNAS:TFCFA")["last"][-1] == date(2019, 3, 20)


def test_open_interest_is_read_as_of_the_moment_it_was_published(store: Store, realdata: Path):
    maps = realdata / "reference/lean_map_files"
    path = realdata / "options/lean_daily/aapl_2014_openinterest_american.zip"
    import_source(path, Options(now=NOW, map_files=maps), store=store)
    contract = pl.col("contract_id") == "AAPL  140613C00645000"

    def known(as_of: datetime) -> list[tuple[date, float]]:
        rows = store.read("XNAS:AAPL", table="open_interest", as_of=as_of).filter(contract)
        return [(ts.date(), count) for ts, count in rows.select("ts", "open_interest").iter_rows()]

    opened = datetime(2014, 6, 6, 13, 30, tzinfo=UTC)       # the count after 2014-06-05, out the next morning
    assert known(opened - timedelta(seconds=1)) == []
    assert known(opened) == [(date(2014, 6, 5), 3435.0)]
    assert known(datetime(2014, 6, 9, 13, 29, tzinfo=UTC)) == [(date(2014, 6, 5), 3435.0)]
    assert known(datetime(2014, 6, 9, 13, 30, tzinfo=UTC)) == [(date(2014, 6, 5), 3435.0), (date(2014, 6, 6), 4030.0)]


def test_macro_is_read_in_the_vintage_of_its_day(store: Store):
    """The first three prints of a quarter, as a statistics office revises them."""
    quarter = datetime(2024, 4, 1, 4, tzinfo=UTC)
    days = {(4, 26): 1.6, (5, 31): 1.3, (6, 28): 1.4}
    prints = [(datetime(2024, month, day, 4, tzinfo=UTC), value) for (month, day), value in days.items()]
    schema = dict(table_of("macro").schema)
    for known, value in prints:
        row = pl.DataFrame([("FRED:GROWTH", quarter, known, value, "%", None)], schema=schema, orient="row")
        store.append(row, Lineage("test", "fred", known + timedelta(hours=1), available_at="reported"), table="macro")
    for (known, value), before in zip(prints, [None, 1.6, 1.3], strict=True):
        earlier = store.read("FRED:GROWTH", table="macro", as_of=known - timedelta(microseconds=1))["value"].to_list()
        assert earlier == ([] if before is None else [before])
        assert store.read("FRED:GROWTH", table="macro", as_of=known)["value"].to_list() == [value]


def test_real_macro_is_not_known_before_its_period_has_ended(store: Store, realdata: Path):
    report = import_source(realdata / "macro/fred_2024-10/DGS10.csv", Options(now=NOW), store=store)
    id = report.instruments[0].id
    rows = store.read(id, table="macro")
    assert rows.height > 10_000
    assert (rows["available_at"] >= rows["ts"]).all()
    moment = rows["available_at"][5000]
    assert store.read(id, table="macro", as_of=moment)["available_at"].max() <= moment


def test_a_restated_bar_and_a_corrected_split_are_new_versions(store: Store):
    days = sessions_between("XNYS", date(2024, 1, 2), date(2024, 1, 31))
    rows = pl.DataFrame({"ts": days["close"], "close": [100.0] * days.height}).with_columns(
        instrument=pl.lit("XNAS:AAA"), available_at=pl.col("ts"), open=pl.col("close"), high=pl.col("close"), low=pl.col("close"),
        volume=pl.lit(10.0), reasons=pl.lit(None, dtype=pl.String),
    ).select(list(table_of("bars/1d").schema))
    fetched = datetime(2024, 2, 1, tzinfo=UTC)
    store.append(rows, Lineage("test", "one", fetched))
    ex = date(2024, 1, 16)
    wrong, right = (action_rows("XNAS:AAA", [ex], [ratio]) for ratio in (2.0, 4.0))
    store.append(wrong, Lineage("test", "one", fetched), table="actions")
    corrected = datetime(2024, 2, 5, tzinfo=UTC)
    store.append(right, Lineage("test", "one", corrected), table="actions")
    restated = rows.tail(1).with_columns(close=pl.lit(99.0), low=pl.lit(99.0))
    store.append(restated, Lineage("test", "one", corrected))
    moments = (corrected - timedelta(seconds=1), corrected)
    old, new = (read_adjusted(store, "XNAS:AAA", "split", as_of=moment)["close"] for moment in moments)
    assert (old[0], old[-1]) == (50.0, 100.0)
    assert (new[0], new[-1]) == (25.0, 99.0)
