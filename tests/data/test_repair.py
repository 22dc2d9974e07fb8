"""Repairs: proposed and counted, applied by a person, never silent; beside the repaired twins of real files."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.repair import apply_repair, propose
from fieldcast.data.vendor_faults import find_faults
from fieldcast.ground import ConflictError, InvalidInput, Reason
from fieldcast.market import BARS, STAMP, has_reason, sessions_between

NOW = datetime(2024, 6, 3, 12, tzinfo=UTC)
ID = "XLON:ONE"
PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def files() -> ModuleType:
    """tests/data/test_vendor_faults.py as a module, for its reader of the real files."""
    path = Path(__file__).parent / "test_vendor_faults.py"
    spec = importlib.util.spec_from_file_location("fieldcast_vendor_faults_tests", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def history(n: int = 120) -> pl.DataFrame:
    ts = sessions_between("XNYS", date(2023, 1, 3), date(2023, 12, 29))["close"].head(n)
    random = np.random.default_rng(5)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.01, n)))
    opened = close * np.exp(random.normal(0, 0.003, n))
    high, low = np.maximum(opened, close) * 1.004, np.minimum(opened, close) * 0.996
    columns = [[ID] * n, ts, ts, opened, high, low, close, np.rint(random.lognormal(12, 0.3, n)), [None] * n]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


def in_pounds(bars: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    here = pl.int_range(pl.len()).is_between(first, last)
    return bars.with_columns(pl.when(here).then(pl.col(name) / 100).otherwise(name).alias(name) for name in PRICES)


def stored(bars: pl.DataFrame) -> MemoryStore:
    store = MemoryStore()
    store.append(bars, Lineage(provider="test", dataset="test", fetched_at=datetime(2024, 1, 2, tzinfo=UTC)))
    return store


def test_a_proposal_gives_old_and_new_values_with_counts_and_changes_nothing():
    bars = in_pounds(history(), 30, 33)
    copy = bars.clone()
    proposal = propose(bars)
    assert bars.equals(copy)
    assert (proposal.counts, proposal.left, proposal.rows) == ({Reason.PRICE_UNIT: 16}, {}, 4)
    assert (proposal.changes["new"] / proposal.changes["old"]).to_list() == pytest.approx([100.0] * 16)
    repaired = proposal.bars.select(PRICES)
    np.testing.assert_allclose(repaired.to_numpy(), history().slice(30, 4).select(PRICES).to_numpy(), rtol=1e-12)
    assert set(proposal.bars["reasons"]) == {"price_unit,repaired"}
    assert propose(history()).rows == 0


def test_applying_it_restates_the_rows_from_now_on_and_no_earlier():
    bars = in_pounds(history(), 30, 33)
    store = stored(bars)
    result = apply_repair(store, propose(bars), dataset="test", by="A. Person", now=NOW)
    assert (result.rows_restated, result.rows_added) == (4, 0)
    after = store.read(ID)
    np.testing.assert_allclose(after.select(PRICES).to_numpy(), history().select(PRICES).to_numpy(), rtol=1e-12)
    assert after.filter(has_reason("repaired")).height == 4
    assert store.read(ID, as_of=datetime(2024, 6, 3, 11, 59, tzinfo=UTC)).equals(bars)
    assert find_faults(after).ok
    last = store.lineage(ID)[-1]
    assert (last.provider, last.source) == ("repair", "repair of 16 values by A. Person: price_unit")


def test_nothing_is_applied_that_nobody_answers_for_or_that_no_longer_fits():
    bars = in_pounds(history(), 30, 33)
    store = stored(bars)
    with pytest.raises(InvalidInput, match="name of the person"):
        apply_repair(store, propose(bars), dataset="test", by=" ", now=NOW)
    with pytest.raises(InvalidInput, match="values to repair"):
        apply_repair(store, propose(history()), dataset="test", by="A. Person", now=NOW)
    with pytest.raises(ConflictError, match="found none"):
        apply_repair(store, propose(bars), dataset="other", by="A. Person", now=NOW)
    with pytest.raises(ConflictError, match="propose again"):
        apply_repair(stored(history()), propose(bars), dataset="test", by="A. Person", now=NOW)
    assert store.read(ID).equals(bars)


def test_what_is_not_certain_is_counted_and_left():
    bars = in_pounds(history(), 0, 59).with_columns(volume=pl.lit(None, dtype=pl.Float64))
    proposal = propose(bars)
    assert (proposal.rows, proposal.counts, proposal.left) == (0, {}, {Reason.PRICE_UNIT: 1})


def test_prices_of_a_split_and_its_volume_move_against_each_other(files):
    bars = history()
    here = pl.int_range(pl.len()) < 60
    unadjusted = bars.with_columns(
        *(pl.when(here).then(pl.col(name) * 4).otherwise(name).alias(name) for name in PRICES),
        volume=pl.when(here).then(pl.col("volume") / 4).otherwise("volume"),
    )
    split = files.actions(bars, (60, "split", 4.0))
    proposal = propose(unadjusted, split, split_adjusted=True)
    assert proposal.counts == {Reason.SPLIT_NOT_APPLIED: 5 * 60}
    values = [*PRICES, "volume"]
    np.testing.assert_allclose(proposal.bars.select(values).to_numpy(), bars.head(60).select(values).to_numpy(), rtol=1e-12)


# real files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "counts", "tolerance"),
    [
        ("AET-L-1d-100x-error", {Reason.PRICE_UNIT: 56}, 1e-8),
        ("ASAI-L-1h-bad-unit", {Reason.PRICE_UNIT_MIXED: 2}, 1e-7),
        ("DEX-AX-1d-bad-stock-split", {Reason.SPLIT_MISPLACED: 60}, 1e-5),  # the file gives the ratio to four digits
    ],
)
def test_the_repaired_values_are_those_of_the_real_twin(realdata, files, name, counts, tolerance):
    bars, actions = files.yahoo(realdata / "bad_data" / f"{name}.csv.gz")
    twin, _ = files.yahoo(realdata / "bad_data" / f"{name}-fixed.csv.gz")
    proposal = propose(bars, actions, split_adjusted=True)
    assert (proposal.counts, proposal.left) == (counts, {})
    repaired = pl.concat([bars.filter(~pl.col("ts").is_in(proposal.bars["ts"].implode())), proposal.bars]).sort("ts")
    np.testing.assert_allclose(repaired.select(PRICES).to_numpy(), twin.select(PRICES).to_numpy(), rtol=tolerance)
    assert repaired["volume"].equals(twin["volume"])
    assert find_faults(repaired, actions, split_adjusted=True).ok


@pytest.mark.parametrize("name", ["KME-MI-1d-bad-div", "SAND-1d-bad-div", "CALM-1d-no-bad-divs"])
def test_no_price_is_touched_for_a_dividend(realdata, files, name):
    proposal = propose(*files.yahoo(realdata / "bad_data" / f"{name}.csv.gz"), split_adjusted=True)
    assert proposal.rows == 0
    assert proposal.changes.is_empty()
    assert proposal.bars.schema["ts"] == STAMP
