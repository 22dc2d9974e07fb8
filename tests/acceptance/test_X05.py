"""X05, the feature store: dated Parquet, latest pointer, freshness, lineage.

Done when: "A reader during a write sees the old or the new version and nothing else, and stale features raise STALE_FEATURES".

Many writes with two readers beside them, kills at random moments and damaged files are in tests/features/test_store.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from fieldcast.data import MemoryStore, SimulatedMarket, simulate
from fieldcast.features import compute, registry_hash
from fieldcast.features.store import FeatureSet, FeatureStore, StaleFeatures, code_sha256
from fieldcast.ground import ManualClock, Reason
from fieldcast.ledger.faults import VARIABLE

pytestmark = pytest.mark.feature("X05")
OPEN_PARTS: tuple[str, ...] = ()

SET = FeatureSet("acceptance", 1, ("a20", "volatility"))

WRITE = """
import sys
from datetime import timedelta
from pathlib import Path
from fieldcast.data import MemoryStore, SimulatedMarket, simulate
from fieldcast.features.store import FeatureSet, FeatureStore
from fieldcast.ground import ManualClock
made = simulate(SimulatedMarket(seed=8, n_sessions=420))
bars = MemoryStore()
bars.append(made.bars, made.lineage)
now = made.bars["ts"][-1] + timedelta(minutes=30)
wanted = FeatureSet("acceptance", 1, ("a20", "volatility"))
FeatureStore(Path(sys.argv[1]), ManualClock(now)).refresh(bars, made.instrument, wanted)
"""


@pytest.fixture
def world(tmp_path):
    """A feature store that holds the version of 20 sessions ago."""
    made = simulate(SimulatedMarket(seed=8, n_sessions=420))
    bars = MemoryStore()
    bars.append(made.bars, made.lineage)
    clock = ManualClock(made.bars["ts"][399] + timedelta(minutes=30))
    features = FeatureStore(tmp_path, clock)
    features.refresh(bars, made.instrument, SET)
    return tmp_path, made, bars, clock, features


@pytest.mark.parametrize(
    ("point", "rows"),
    [
        pytest.param("features:written", 400, marks=pytest.mark.slow),
        ("features:after:file", 400),
        pytest.param("features:after:pointer", 420, marks=pytest.mark.slow),
        ("", 420),
    ],
)
def test_a_reader_at_any_point_of_a_write_sees_the_old_or_the_new_version_and_nothing_else(world, point, rows):
    """The write stops dead (kill -9) where it is looked at; without a kill it ends."""
    folder, made, _, _, features = world
    done = subprocess.run([sys.executable, "-c", WRITE, str(folder)], env=os.environ | {VARIABLE: point}, check=False)
    assert done.returncode == (-signal.SIGKILL if point else 0)
    found = features.latest(made.instrument, SET)
    assert found.table.equals(compute(made.bars.head(rows), SET.blocks))
    assert found.lineage.rows == rows


def test_stale_features_raise_stale_features(world):
    _, made, bars, clock, features = world
    assert features.fresh(made.instrument, SET).table.height == 400
    clock.advance_to(made.bars["ts"][402] + timedelta(minutes=30))
    with pytest.raises(StaleFeatures, match="stale_features") as caught:
        features.fresh(made.instrument, SET)
    assert caught.value.reason is Reason.STALE_FEATURES
    features.refresh(bars, made.instrument, SET)
    assert features.fresh(made.instrument, SET).table.height == 403


def test_files_are_dated_by_instrument_and_interval_and_carry_their_lineage(world):
    folder, made, bars, clock, features = world
    found = features.latest(made.instrument, SET)
    lineage = found.lineage
    place = Path("features") / "acceptance" / "SIM%3APLANTED" / "1d"
    assert found.path.parent.relative_to(folder) == place
    assert found.path.name.startswith(clock.now().strftime("%Y%m%dT%H%M%S"))
    assert lineage.inputs == {made.instrument.id: bars.content_hash(made.instrument.id, as_of=clock.now())}
    assert (lineage.feature_set, lineage.version, lineage.as_of) == ("acceptance", 1, clock.now())
    assert (lineage.columns_sha256, lineage.code_sha256) == (registry_hash(SET.columns), code_sha256())
    assert lineage.simulated
