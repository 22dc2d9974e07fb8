"""The feature store: whole versions only, whoever writes and whoever is killed; lineage; freshness."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore, SimulatedMarket, simulate
from fieldcast.features import compute, registry_hash
from fieldcast.features._stored import FeatureLineage, FeatureSet, code_sha256
from fieldcast.features.store import LATEST, FeatureStore, StaleFeatures, age_of
from fieldcast.ground import ConflictError, IntegrityError, InvalidInput, ManualClock, MissingData, Reason
from fieldcast.market import Instrument, Kind

SET = FeatureSet("volatility", 1, ("volatility",))
INSTRUMENT = Instrument(id="XTST:^A/B", kind=Kind.EQUITY)
START = datetime(2024, 3, 1, tzinfo=UTC)


def version(number: int, rows: int = 2000) -> tuple[pl.DataFrame, FeatureLineage]:
    """A table whose every value is its number: a reader can tell a mixture."""
    ts = pl.datetime_range(START - timedelta(minutes=rows - 1), START, "1m", time_unit="us", time_zone="UTC", eager=True)
    table = pl.DataFrame({"ts": ts, **{name: pl.repeat(float(number), rows, eager=True) for name in SET.columns}})
    lineage = FeatureLineage(
        feature_set=SET.name, version=SET.version, blocks=SET.blocks, columns_sha256=registry_hash(SET.columns),
        code_sha256=code_sha256(), inputs={INSTRUMENT.id: "0" * 64}, instrument=INSTRUMENT.id, interval="1m",
        as_of=START + timedelta(seconds=number), computed_at=START, rows=rows, first_ts=ts[0], last_ts=ts[-1], simulated=False,
    )  # fmt: skip
    return table, lineage


def number_of(found) -> int:
    """The one value that the whole table has; its lineage agrees."""
    values = {value for name in SET.columns for value in found.table[name].unique()}
    assert len(values) == 1, "a mixture of versions"
    (value,) = values
    assert found.lineage.as_of == START + timedelta(seconds=value)
    assert found.table.height == found.lineage.rows == 2000
    return int(value)


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    return FeatureStore(tmp_path, ManualClock(START))


# what is stored -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market():
    return simulate(SimulatedMarket(seed=3, kind="martingale", n_sessions=400))


def test_refresh_stores_what_compute_gives_with_where_it_came_from(tmp_path, market):
    bars = MemoryStore()
    bars.append(market.bars, market.lineage)
    now = market.bars["ts"][-1] + timedelta(minutes=30)
    features = FeatureStore(tmp_path, ManualClock(now))
    wanted = FeatureSet("model_a", 2, ("a20", "volatility"))
    written = features.refresh(bars, market.instrument, wanted)
    found = features.latest(market.instrument, wanted)
    assert found.table.equals(compute(market.bars, wanted.blocks))
    assert (found.lineage, found.path) == (written.lineage, written.path)
    lineage = found.lineage
    assert lineage.inputs == {"SIM:MARTINGALE": bars.content_hash("SIM:MARTINGALE")}
    assert (lineage.feature_set, lineage.version, lineage.blocks) == ("model_a", 2, ("a20", "volatility"))
    assert lineage.columns_sha256 == registry_hash(wanted.columns)
    assert lineage.current()
    assert (lineage.as_of, lineage.computed_at, lineage.rows, lineage.last_ts) == (now, now, 400, market.bars["ts"][-1])
    assert lineage.simulated
    assert lineage.reasons == (Reason.SIMULATED,)
    assert found.path.relative_to(tmp_path).as_posix().startswith("features/model_a/SIM%3AMARTINGALE/1d/")
    assert not replace(lineage, code_sha256="0" * 64).current()


def test_a_version_knows_only_what_was_known_and_older_ones_stay_readable(tmp_path, market):
    bars = MemoryStore()
    bars.append(market.bars, market.lineage)
    features = FeatureStore(tmp_path, ManualClock(market.bars["ts"][-1] + timedelta(days=1)))
    moments = [market.bars["ts"][row] + timedelta(minutes=30) for row in (300, 350, 399)]
    for moment in moments:
        features.refresh(bars, market.instrument, SET, as_of=moment)
    assert features.versions(market.instrument, SET) == tuple(moments)
    for rows, moment in zip((301, 351, 400), moments, strict=True):
        found = features.at(market.instrument, SET, moment)
        assert found.table.equals(compute(market.bars.head(rows), SET.blocks))
        assert found.lineage.inputs == {"SIM:MARTINGALE": bars.content_hash("SIM:MARTINGALE", as_of=moment)}
    assert features.at(market.instrument, SET, moments[1] - timedelta(seconds=1)).lineage.as_of == moments[0]
    with pytest.raises(MissingData, match="found none"):
        features.at(market.instrument, SET, moments[0] - timedelta(seconds=1))
    with pytest.raises(ConflictError, match="or later"):
        features.refresh(bars, market.instrument, SET, as_of=moments[0])


def test_vix_is_part_of_the_lineage(tmp_path, market, vix_of):
    bars = MemoryStore()
    bars.append(market.bars, market.lineage)
    vix = Instrument(id="XTST:VIX", kind=Kind.INDEX, tradable=False)
    line = vix_of(market.bars).select(
        pl.lit(vix.id).alias("instrument"), "ts", "available_at",
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("open", "high", "low")), "close",
        pl.lit(None, dtype=pl.Float64).alias("volume"), pl.lit("close_only").alias("reasons"),
    )  # fmt: skip
    bars.append(line, Lineage(provider="test", dataset="vix", fetched_at=START))
    features = FeatureStore(tmp_path, ManualClock(market.bars["ts"][-1] + timedelta(hours=1)))
    wanted = FeatureSet("with_vix", 1, ("vix",))
    found = features.refresh(bars, market.instrument, wanted, vix=vix)
    assert set(found.lineage.inputs) == {"SIM:MARTINGALE", "XTST:VIX"}
    with pytest.raises(InvalidInput, match="bars of VIX"):
        features.refresh(bars, market.instrument, wanted)


def test_old_versions_go_and_the_latest_stays(tmp_path):
    features = FeatureStore(tmp_path, ManualClock(START), keep=3)
    for number in range(6):
        features.write(*version(number))
    assert features.versions(INSTRUMENT, SET, "1m") == tuple(START + timedelta(seconds=number) for number in (3, 4, 5))
    assert number_of(features.latest(INSTRUMENT, SET, "1m")) == 5


# freshness ----------------------------------------------------------------------------------------------------------


def test_stale_features_are_refused_with_their_code(tmp_path, market):
    bars = MemoryStore()
    bars.append(market.bars, market.lineage)
    close = market.bars["ts"][-1]           # Monday 2018-12-31; New Year's day is shut, Wednesday and Thursday are sessions
    clock = ManualClock(close)
    features = FeatureStore(tmp_path, clock)
    features.refresh(bars, market.instrument, SET)
    for hours in (0, 24, 40, 48):           # the holiday, Wednesday morning, Wednesday's close: one session behind at most
        clock.advance_to(close + timedelta(hours=hours))
        assert features.fresh(market.instrument, SET).lineage.last_ts == close
    clock.advance_to(close + timedelta(hours=72))
    with pytest.raises(StaleFeatures, match=r"30\.5 hours behind the market .*stale_features") as caught:
        features.fresh(market.instrument, SET)
    assert caught.value.reason is Reason.STALE_FEATURES
    assert isinstance(caught.value, MissingData)
    assert features.latest(market.instrument, SET).lineage.last_ts == close      # for those who ask for what there is
    assert features.fresh(market.instrument, SET, max_age=timedelta(hours=31)).table.height == 400
    with pytest.raises(MissingData, match="compute them first"):
        features.fresh(INSTRUMENT, SET)


def test_age_is_counted_against_the_session_and_the_clock():
    def at(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2024, 3, day, hour, minute, tzinfo=UTC)

    friday = at(1, 21)
    assert age_of(friday, "XNYS", at(3, 12)) == timedelta(0)                              # Sunday
    assert age_of(friday, "XNYS", at(4, 20)) == timedelta(0)                              # Monday before the close
    assert age_of(friday, "XNYS", at(4, 21)) == timedelta(hours=6.5)
    assert age_of(friday, "XNYS", at(5, 21)) == timedelta(hours=30.5)
    assert age_of(friday, "XNYS", at(4, 14, 31), "1m") == timedelta(minutes=1)            # minutes go stale by the clock
    assert age_of(at(1, 17), "XNYS", at(4, 14, 30), "1m") == timedelta(hours=69.5)        # Friday's afternoon is missing
    assert age_of(at(2, 12), "24/7", at(3, 12, 1), "1m") == timedelta(hours=24, minutes=1)
    assert age_of(at(2, 0), "24/7", at(3, 23, 59)) == timedelta(hours=24)
    assert age_of(at(2, 0), "24/7", at(4, 0)) == timedelta(hours=48)
    assert age_of(at(5, 0), "24/7", at(4, 0)) == timedelta(0)


# readers, writers, kills --------------------------------------------------------------------------------------------

WRITER = """
import sys; sys.path.insert(0, sys.argv[1])
from test_store import *
features = FeatureStore(Path(sys.argv[2]), ManualClock(START), keep=4)
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    features.write(*version(number))
    print(number, flush=True)
"""


READER = """
import sys; sys.path.insert(0, sys.argv[1])
from test_store import *
features, seen = FeatureStore(Path(sys.argv[2]), ManualClock(START)), []
print("ready", flush=True)
while not (Path(sys.argv[2]) / "stop").exists():
    seen.append(number_of(features.latest(INSTRUMENT, SET, "1m")))
print(json.dumps(seen))
"""


def started(code: str, folder: Path, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), *map(str, arguments)]
    return subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_readers_during_many_writes_see_whole_versions_in_order(tmp_path):
    FeatureStore(tmp_path, ManualClock(START)).write(*version(0))
    readers = [started(READER, tmp_path) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    work = started(WRITER, tmp_path, 1, 80)
    _, errors = work.communicate(timeout=120)
    assert work.returncode == 0, errors
    time.sleep(0.3)
    (tmp_path / "stop").touch()
    for reader in readers:
        printed, errors = reader.communicate(timeout=60)
        assert reader.returncode == 0, errors           # number_of refuses a mixture
        seen = json.loads(printed)
        assert seen == sorted(seen)                     # never back to an older version
        assert len(seen) > 10
        assert seen[-1] == 79
    assert number_of(FeatureStore(tmp_path, ManualClock(START)).latest(INSTRUMENT, SET, "1m")) == 79


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("features:written", marks=pytest.mark.slow),
        pytest.param("features:after:file", marks=pytest.mark.slow),
        "features:after:pointer",
    ],
)
def test_a_writer_killed_at_any_point_leaves_the_old_version_or_the_new_one(tmp_path, point):
    features = FeatureStore(tmp_path, ManualClock(START))
    features.write(*version(1))
    work = started(WRITER, tmp_path, 2, 3, FIELDCAST_FAULT=point)
    work.communicate(timeout=60)
    assert work.returncode == -signal.SIGKILL
    expected = 2 if point == "features:after:pointer" else 1
    assert number_of(features.latest(INSTRUMENT, SET, "1m")) == expected
    features.write(*version(3))
    assert number_of(features.latest(INSTRUMENT, SET, "1m")) == 3
    folder = tmp_path / "features" / SET.name / "XTST%3A%5EA%2FB" / "1m"
    assert not list(folder.glob("*.tmp"))
    assert features.versions(INSTRUMENT, SET, "1m") == tuple(START + timedelta(seconds=n) for n in sorted({1, expected, 3}))


@pytest.mark.slow
def test_kills_at_random_moments_never_show_half_a_version(tmp_path):
    features = FeatureStore(tmp_path, ManualClock(START))
    features.write(*version(0))
    moment, newest = random.Random(5), 0
    for _ in range(6):
        work = started(WRITER, tmp_path, newest + 1, newest + 10_000)
        assert work.stdout is not None
        work.stdout.readline()              # it is at work
        time.sleep(moment.uniform(0.0, 0.15))
        work.send_signal(signal.SIGKILL)
        told = [int(line) for line in work.communicate(timeout=60)[0].split()]
        found = number_of(features.latest(INSTRUMENT, SET, "1m"))
        assert found >= max(told, default=newest + 1)       # what it said to have written is there
        newest = found
    assert newest >= 6


def test_a_second_writer_is_refused(tmp_path, store):
    import fcntl

    store.write(*version(1))
    folder = tmp_path / "features" / SET.name / "XTST%3A%5EA%2FB" / "1m"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="only writer"):
            store.write(*version(2))
    store.write(*version(2))
    assert number_of(store.latest(INSTRUMENT, SET, "1m")) == 2


# pointer, versions, inputs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [None, b"", b"{}", b"\xff", b'{"file": "../x", "as_of": "2024-03-01", "sha256": ""}'])
def test_a_lost_or_damaged_pointer_costs_no_version(tmp_path, damage):
    """The next write mends it; the newest whole file still counts as the latest, a damaged one does not."""
    features = FeatureStore(tmp_path, ManualClock(START))
    paths = [features.write(*version(number)).path for number in range(5)]
    pointer = paths[0].parent / LATEST
    if damage is None:
        pointer.unlink()
    else:
        pointer.write_bytes(damage)
        with pytest.raises(IntegrityError, match="to name a file"):
            features.latest(INSTRUMENT, SET, "1m")
    with pytest.raises(ConflictError, match="or later"):
        features.write(*version(3))
    paths[4].write_bytes(paths[4].read_bytes()[:-1])
    features.write(*version(5))
    assert number_of(features.latest(INSTRUMENT, SET, "1m")) == 5
    assert features.versions(INSTRUMENT, SET, "1m") == tuple(START + timedelta(seconds=number) for number in (0, 1, 2, 3, 5))
    assert number_of(features.at(INSTRUMENT, SET, START + timedelta(seconds=4), "1m")) == 3


def test_of_two_versions_of_one_moment_the_one_written_last_counts(tmp_path):
    """Names end in a hash, which says nothing about the order."""
    for seed in range(6):
        features = FeatureStore(tmp_path / str(seed), ManualClock(START))
        features.write(*version(1, rows=100))
        second = features.write(*version(1, rows=101 + seed))
        later = START + timedelta(hours=1)
        assert features.at(INSTRUMENT, SET, later, "1m").lineage.rows == 101 + seed
        second.path.with_name(LATEST).unlink()
        features.write(*version(2))
        assert features.at(INSTRUMENT, SET, START + timedelta(seconds=1), "1m").lineage.rows == 101 + seed


def test_a_version_that_was_not_published_is_not_given_out(tmp_path):
    features = FeatureStore(tmp_path, ManualClock(START))
    features.write(*version(1))
    started(WRITER, tmp_path, 2, 3, FIELDCAST_FAULT="features:after:file").communicate(timeout=60)
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
    assert number_of(features.at(INSTRUMENT, SET, START + timedelta(days=1), "1m")) == 1
    assert features.versions(INSTRUMENT, SET, "1m") == (START + timedelta(seconds=1),)
    first = FeatureStore(tmp_path / "first", ManualClock(START))
    started(WRITER, tmp_path / "first", 2, 3, FIELDCAST_FAULT="features:after:file").communicate(timeout=60)
    with pytest.raises(MissingData, match="none published"):
        first.at(INSTRUMENT, SET, START + timedelta(days=1), "1m")


def test_a_read_whose_file_is_pruned_meanwhile_reads_again(tmp_path, monkeypatch):
    import fieldcast.features.store as module

    features = FeatureStore(tmp_path, ManualClock(START), keep=2)
    for number in (1, 2):
        features.write(*version(number))
    plain, writes = module.decode, iter([[3, 4]])

    def slow(*arguments):
        for number in next(writes, ()):         # between choosing the file and reading it
            features.write(*version(number))
        return plain(*arguments)

    monkeypatch.setattr(module, "decode", slow)
    assert number_of(features.at(INSTRUMENT, SET, START + timedelta(days=1), "1m")) == 4
    writes = iter([[5]])
    with pytest.raises(MissingData, match="none published"):
        features.at(INSTRUMENT, SET, START + timedelta(seconds=3), "1m")
    writes = iter([[number] for number in range(6, 40, 2)])
    features = FeatureStore(tmp_path, ManualClock(START), keep=1)
    with pytest.raises(ConflictError, match="read them again"):
        features.at(INSTRUMENT, SET, START + timedelta(days=1), "1m")


def test_the_hash_of_the_inputs_is_of_the_bars_that_were_used(tmp_path, market):
    """Bars that arrive while features are computed are not in them."""
    bars = MemoryStore()
    bars.append(market.bars.head(350), market.lineage)
    before = bars.content_hash(market.instrument.id)

    class Growing:
        def __getattr__(self, name):
            return getattr(bars, name)

        def read(self, *arguments, **options):
            found = bars.read(*arguments, **options)
            bars.append(market.bars, market.lineage)
            return found

    features = FeatureStore(tmp_path, ManualClock(market.bars["ts"][-1] + timedelta(minutes=30)))
    found = features.refresh(Growing(), market.instrument, SET)
    assert (found.lineage.rows, found.lineage.inputs) == (350, {market.instrument.id: before})


def test_features_of_the_future_are_refused(tmp_path, market):
    bars = MemoryStore()
    bars.append(market.bars, market.lineage)
    now = market.bars["ts"][-1] + timedelta(minutes=30)
    features = FeatureStore(tmp_path, ManualClock(now))
    with pytest.raises(InvalidInput, match=r"now .* or before"):
        features.refresh(bars, market.instrument, SET, as_of=now + timedelta(microseconds=1))
    assert features.refresh(bars, market.instrument, SET).lineage.as_of == now


# bad input ----------------------------------------------------------------------------------------------------------


def test_damage_is_seen_and_another_version_of_the_set_is_not_taken_for_it(tmp_path, store):
    written = store.write(*version(1))
    with pytest.raises(IntegrityError, match="version 2 of volatility"):
        store.latest(INSTRUMENT, replace(SET, version=2), "1m")
    data = written.path.read_bytes()
    for place in (5, len(data) // 2, len(data) - 100):
        written.path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(IntegrityError, match="SHA-256"):
            store.latest(INSTRUMENT, SET, "1m")
    written.path.unlink()
    with pytest.raises(IntegrityError, match="points to"):
        store.latest(INSTRUMENT, SET, "1m")
    pointer = written.path.parent / LATEST
    for text in ("", "{", "[]", json.dumps({"file": "x"})):
        pointer.write_text(text)
        with pytest.raises(IntegrityError, match="to name a file"):
            store.latest(INSTRUMENT, SET, "1m")


def test_a_table_that_is_not_what_its_lineage_says_is_refused(store):
    table, lineage = version(1)
    first = SET.columns[0]
    for bad, said in (
        (table.drop(first), lineage), (table.head(5), lineage), (table.clear(), replace(lineage, rows=0)),
        (table.reverse(), lineage), (table.with_columns(pl.lit(float("nan")).alias(first)), lineage),
        (table.with_columns(pl.lit(1).alias(first)), lineage),
        (table, replace(lineage, as_of=START - timedelta(seconds=1))),
        (table, replace(lineage, last_ts=START - timedelta(minutes=1))),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match="expected"):
            store.write(bad, said)
    with pytest.raises(MissingData):
        store.latest(INSTRUMENT, SET, "1m")
    for change in ({"name": "A b"}, {"version": 0}, {"blocks": ("none",)}, {"blocks": ()}):
        with pytest.raises(InvalidInput, match="expected"):
            replace(SET, **change)
    with pytest.raises(InvalidInput, match="at least one version"):
        FeatureStore(Path("x"), keep=0)
    with pytest.raises(InvalidInput, match="table of bars"):
        store.refresh(MemoryStore(), INSTRUMENT, SET, table="macro")
    with pytest.raises(MissingData):
        store.refresh(MemoryStore(), INSTRUMENT, SET)
