"""D14, universe of 225 multi-asset symbols.

Done when: "The verifier reports 225 of 225 with at least 1,260 rows on a fixture universe and exits 1 in strict mode when one
row is removed".

The rows are simulated and labelled so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.universe import Universe, load_universe
from fieldcast.data.universe_check import plan_repairs, plan_update, remaining, verify_universe
from fieldcast.ground import InvalidInput
from fieldcast.market import BARS, DAILY, STAMP, Instrument, sessions, table_of
from fieldcast.workflows import open_workspace

pytestmark = pytest.mark.feature("D14")
OPEN_PARTS: tuple[str, ...] = ("deep backfill and incremental update from a provider: ranges are planned, none is fetched",)

AS_OF = datetime(2024, 1, 3, 3, tzinfo=UTC)  # after the close of 2 January on every calendar
ROWS = 1260


def closes(instrument: Instrument, n: int = ROWS) -> pl.Series:
    return sessions(instrument.calendar).filter(pl.col("as_of") <= AS_OF)["close"].tail(n)


def simulated(universe: Universe, n: int = ROWS) -> dict[str, pl.DataFrame]:
    """Table → rows of every member, simulated and labelled."""
    random = np.random.default_rng(14)
    parts: dict[str, list[pl.DataFrame]] = {}
    for member in universe:
        ts = closes(member.instrument, n)
        value = 100 * np.exp(np.cumsum(random.normal(0, 0.01, len(ts))))
        columns = {"instrument": member.instrument.id, "ts": ts, "available_at": ts, "reasons": "simulated"}
        columns |= dict.fromkeys(("open", "high", "low", "close", "value"), value) | {"volume": 1e6, "unit": None}
        schema = dict(table_of(member.table).schema)
        parts.setdefault(member.table, []).append(pl.DataFrame({k: columns[k] for k in schema}, schema=schema))
    return {table: pl.concat(frames) for table, frames in parts.items()}


def stored(rows: dict[str, pl.DataFrame]) -> MemoryStore:
    store = MemoryStore()
    for table, frame in rows.items():
        store.append(frame, LINEAGE, table=table)
    return store


LINEAGE = Lineage(provider="simulated", dataset="simulated", fetched_at=AS_OF, simulated=True)


@pytest.fixture(scope="module")
def universe() -> Universe:
    return load_universe()


@pytest.fixture(scope="module")
def rows(universe: Universe) -> dict[str, pl.DataFrame]:
    return simulated(universe)


@pytest.fixture(scope="module")
def whole(rows: dict[str, pl.DataFrame]) -> MemoryStore:
    """Every row; read only."""
    return stored(rows)


@pytest.fixture(scope="module")
def few(universe: Universe) -> Universe:
    """One member of each class, for what needs a store of its own."""
    ids = ("XNAS:AAPL", "ARCX:SPY", "XCBO:VIX", "FX:EURUSD", "FX:GBPUSD", "CRYP:BTC", "XCME:ES", "FRED:DGS10", "XNYS:JPM")
    return Universe("few", tuple(universe.by_id[id] for id in ids), universe.sha256)


def of(rows: dict[str, pl.DataFrame], universe: Universe) -> dict[str, pl.DataFrame]:
    """The rows of a smaller universe."""
    ids = pl.Series(list(universe.by_id)).implode()
    return {table: frame.filter(pl.col("instrument").is_in(ids)) for table, frame in rows.items()}


def without(rows: dict[str, pl.DataFrame], id: str, *stamps: datetime) -> dict[str, pl.DataFrame]:
    gone = (pl.col("instrument") == id) & pl.col("ts").is_in(pl.Series(list(stamps)).cast(STAMP).implode())
    return {table: frame.filter(~gone) for table, frame in rows.items()}


@pytest.mark.parametrize("strict", [False, True])
def test_the_verifier_reports_225_of_225_with_1260_rows(universe, whole, strict):
    report = verify_universe(whole, universe, AS_OF, strict=strict)
    assert report.ok
    assert (report.passed, report.checked.height) == (225, 225)
    assert report.checked["rows"].to_list() == [ROWS] * 225
    assert report.checked["present"].to_list() == [ROWS] * 225
    assert report.checked["reasons"].null_count() == 225


def test_one_removed_row_of_225_times_1260_fails(universe, rows):
    gone = without(rows, "CRYP:BTC", closes(universe.by_id["CRYP:BTC"].instrument)[777])
    report = verify_universe(stored(gone), universe, AS_OF, strict=True)
    assert (report.ok, report.passed, report.checked.height) == (False, 224, 225)
    assert report.checked.filter(~pl.col("ok")).select("instrument", "rows").rows() == [("CRYP:BTC", ROWS - 1)]


@pytest.mark.parametrize("at", [0, 600, ROWS - 1])
@pytest.mark.parametrize("id", ["XNAS:AAPL", "CRYP:BTC", "FX:EURUSD", "XCME:ES", "XCBO:VIX"])
def test_one_removed_row_fails_wherever_it_stood(few, rows, id, at):
    gone = without(of(rows, few), id, closes(few.by_id[id].instrument)[at])
    report = verify_universe(stored(gone), few, AS_OF, strict=True)
    assert not report.ok
    assert report.passed == len(few) - 1
    failed = report.checked.filter(~pl.col("ok")).row(0, named=True)
    assert (failed["instrument"], failed["rows"]) == (id, ROWS - 1)
    assert failed["reasons"].split(",")[0] == "few_rows"


def test_strict_mode_alone_refuses_a_hole_in_a_longer_history(few):
    longer = simulated(few, ROWS + 100)
    apple = few.by_id["XNAS:AAPL"].instrument
    gone = stored(without(longer, apple.id, closes(apple)[700]))
    assert verify_universe(gone, few, AS_OF).ok
    strict = verify_universe(gone, few, AS_OF, strict=True)
    assert (strict.ok, strict.passed) == (False, len(few) - 1)
    assert strict.checked.filter(~pl.col("ok"))["reasons"].to_list() == ["missing_session"]
    late = stored(without(longer, apple.id, *closes(apple)[-2:]))
    strict = verify_universe(late, few, AS_OF, strict=True)
    assert strict.checked.filter(~pl.col("ok")).select("reasons", "late").rows() == [("stale", 2)]


@pytest.mark.parametrize("id", ["XNAS:AAPL", "CRYP:BTC", "FRED:DGS10"])
@pytest.mark.parametrize(("late", "good"), [(5, True), (6, False), (ROWS, False), (ROWS + 40, False)])
def test_a_series_that_ended_fails_in_lax_mode_too_however_long_it_was(few, id, late, good):
    member = few.by_id[id]
    only = Universe("one", (member,), few.sha256)
    longer = simulated(only, 2 * ROWS)
    store = stored(without(longer, id, *closes(member.instrument, late)))
    report = verify_universe(store, only, AS_OF)
    row = report.checked.row(0, named=True)
    assert report.ok is good
    assert (row["rows"], row["present"], row["late"]) == (2 * ROWS - late, max(0, ROWS - late), min(late, ROWS))
    assert "stale" in row["reasons"].split(",")
    assert not verify_universe(store, only, AS_OF, strict=True).ok


def test_one_new_row_does_not_make_up_for_years_without_one(few):
    apple = few.by_id["XNAS:AAPL"]
    only = Universe("one", (apple,), few.sha256)
    gone = without(simulated(only, 3 * ROWS), apple.instrument.id, *closes(apple.instrument, ROWS)[:-1])
    row = verify_universe(stored(gone), only, AS_OF).checked.row(0, named=True)
    assert (row["ok"], row["rows"], row["present"], row["late"]) == (False, 2 * ROWS + 1, 1, 0)
    assert row["reasons"] == "few_rows"


def test_a_source_may_leave_out_what_its_class_allows(few, rows):
    """Rates: the bond market keeps two or three more holidays a year."""
    rate = few.by_id["FRED:DGS10"].instrument
    dates = closes(rate)[10::50].to_list()[:25]
    store = stored(without(of(rows, few), rate.id, *dates))
    assert verify_universe(store, few, AS_OF, strict=True).ok
    assert plan_repairs(store, few, AS_OF).is_empty()
    more = closes(rate)[10::40].to_list()[:27]
    assert not verify_universe(stored(without(of(rows, few), rate.id, *more)), few, AS_OF, strict=True).ok


def test_the_report_is_json(few, rows):
    report = verify_universe(stored(without(of(rows, few), "CRYP:BTC", closes(few.by_id["CRYP:BTC"].instrument)[9])), few, AS_OF)
    text = json.loads(json.dumps(report.to_json()))
    assert (text["ok"], text["passed"], text["instruments"], text["strict"]) == (False, 8, 9, False)
    btc = next(row for row in text["checked"] if row["instrument"] == "CRYP:BTC")
    assert (btc["ok"], btc["rows"], btc["required"], btc["reasons"]) == (False, 1259, 1260, ["few_rows", "missing_session"])
    assert btc["last"].startswith("2024-01-03T00:00:00")


def test_missing_ranges_are_named_repaired_and_gone(few, rows):
    apple, btc = few.by_id["XNAS:AAPL"].instrument, few.by_id["CRYP:BTC"].instrument
    holes = [*closes(apple)[100:103], closes(apple)[500]]
    gone = without(without(of(rows, few), apple.id, *holes), btc.id, *closes(btc)[-5:])
    gone = {table: frame.filter(pl.col("instrument") != "FX:GBPUSD") for table, frame in gone.items()}
    store = stored(gone)
    plan = plan_repairs(store, few, AS_OF)
    named = plan.filter(pl.col("instrument") == apple.id).select("first", "last", "sessions", "why").rows()
    days = [stamp.date() for stamp in holes]
    assert named == [(days[0], days[2], 3, "hole"), (days[3], days[3], 1, "hole")]
    assert plan.filter(pl.col("instrument") == btc.id).select("first", "last", "why").rows() == [
        (date(2023, 12, 29), date(2024, 1, 2), "newer")
    ]
    pound = plan.filter(pl.col("instrument") == "FX:GBPUSD")
    assert pound.select("sessions", "why").rows() == [(ROWS, "newer")]
    assert plan.height == 4
    update = plan_update(store, few, AS_OF)
    assert update["instrument"].to_list() == ["FX:GBPUSD", "CRYP:BTC"]

    whole = rows[DAILY]
    fetched = whole.join(plan.filter(pl.col("instrument") == apple.id).select("instrument", "first", "last"), on="instrument")
    fetched = fetched.filter(pl.col("ts").dt.date().is_between("first", "last")).select(list(BARS))
    assert store.append(fetched, LINEAGE).rows_added == 4
    left = remaining(plan, store, few, AS_OF)
    assert left["instrument"].to_list() == ["CRYP:BTC", "FX:GBPUSD"]
    store.append(whole.filter(pl.col("instrument").is_in(left["instrument"].implode())), LINEAGE)
    assert remaining(plan, store, few, AS_OF).is_empty()
    assert verify_universe(store, few, AS_OF, strict=True).ok


def test_an_update_asks_only_for_what_is_newer(few, rows):
    store = stored(of(rows, few))
    assert plan_update(store, few, AS_OF).is_empty()
    later = plan_update(store, few.only(kind="crypto"), AS_OF + timedelta(days=3))
    assert later.select("first", "last", "sessions").unique().rows() == [(date(2024, 1, 3), date(2024, 1, 5), 3)]
    assert later.height == 1


def test_a_history_that_begins_late_is_asked_for_from_the_start(few, rows):
    stock = few.by_id["XNYS:JPM"].instrument
    kept = (pl.col("instrument") != stock.id) | (pl.col("ts") > closes(stock)[899])
    short = {table: frame.filter(kept) for table, frame in of(rows, few).items()}
    plan = plan_repairs(stored(short), few, AS_OF)
    assert plan.select("instrument", "sessions", "why").rows() == [(stock.id, 900, "before")]


def test_what_cannot_be_told_is_refused(few, rows):
    store = stored(of(rows, few))
    apple = rows[DAILY].filter(pl.col("instrument") == "XNAS:AAPL")
    store.append(apple, Lineage(provider="other", dataset="other", fetched_at=AS_OF, simulated=True))
    with pytest.raises(InvalidInput, match="XNAS:AAPL in one dataset, found other, simulated"):
        verify_universe(store, few, AS_OF)
    assert verify_universe(store, few, AS_OF, dataset="simulated", strict=True).ok
    plan = pl.DataFrame({"instrument": ["XNAS:ZZZZ"], "table": [DAILY]})
    with pytest.raises(InvalidInput, match="found XNAS:ZZZZ"):
        remaining(plan, store, few, AS_OF)
    empty = verify_universe(MemoryStore(), few, AS_OF)
    assert empty.passed == 0
    assert set(empty.checked["reasons"]) == {"no_data"}


def test_rows_that_were_not_known_yet_do_not_count(few, rows):
    apple = few.by_id["XNAS:AAPL"].instrument
    report = verify_universe(stored(of(rows, few)), few, AS_OF - timedelta(days=30), strict=True)
    row = report.checked.filter(pl.col("instrument") == apple.id).row(0, named=True)
    assert row["last"] < AS_OF - timedelta(days=30)
    assert row["late"] == 0
    assert row["rows"] < ROWS


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [str(Path(sys.executable).with_name("fieldcast")), "data", "universe", "--home", str(home), "--strict", *arguments]
    return subprocess.run([*line, "--as-of", AS_OF.isoformat(), "--json"], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_exits_0_on_225_of_225_and_1_when_one_row_is_removed(rows: dict[str, pl.DataFrame], tmp_path: Path) -> None:
    for name, gone in (("whole", 0), ("short", 1)):
        with open_workspace(tmp_path / name) as workspace:
            for table, frame in rows.items():
                workspace.store.append(frame.slice(gone) if table == DAILY else frame, LINEAGE, table=table)
    done = command(tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["ok"], found["passed"], found["instruments"]) == (True, 225, 225)
    done = command(tmp_path / "short", "--plan", "repair")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert (found["ok"], found["passed"], len(found["plan"])) == (False, 224, 1)
